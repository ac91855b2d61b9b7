# SPDX-License-Identifier: ISC
"""restantectl check USER and repair USER: what is wrong with mail, in
sentences; as the user, never as root."""
import json
import os
import re
import shutil
import subprocess
import time

import pytest
from lib import maildir, restante, server

BASES = ["179530034%d.M945632P17847.mx1,S=127,W=134" % i for i in (1, 2, 3)]
GUID = "620a5138f51b026bb745000083ecc375"
LIST = "3 V1795300341 N4 G%s\n1 :%s\n2 :%s\n3 :%s\n" % ((GUID,) +
                                                      tuple(BASES))
MSG = (b"From: a@example.org\nTo: b@example.org\nSubject: msg 1\n"
       b"Date: Mon, 02 Mar 2026 10:01:00 +0000\n"
       b"Message-ID: <m1@example.org>\n\nhello\n")


class Mail:
    """A home with mail that restantectl looks at, as anna."""

    def __init__(self, path):
        self.dir = path
        self.root = os.path.join(path, "home", "Maildir")
        self.uid = server.TEST_UID if server.is_root() else os.geteuid()
        os.mkdir(os.path.join(path, "home"))
        maildir.create(self.root, self.uid)
        self.conf = os.path.join(path, "conf")
        with open(self.conf, "w") as f:
            f.write("auth = passwd-file\npasswd_file = %s/passwd\n"
                    "first_valid_uid = 1000\n" % path)
        with open(os.path.join(path, "passwd"), "w") as f:
            f.write("# users\nbob:{PLAIN}x:%d:%d::/nowhere::\n"
                    "anna:{PLAIN}x:%d:%d::%s/home::"
                    "userdb_mail=maildir:~/Maildir\n"
                    "toor:{PLAIN}x:0:0::/root::\n"
                    % (self.uid, self.uid, self.uid, self.uid, path))
        self.write("dovecot-uidlist", LIST)
        self.write("dovecot-keywords", "0 one\n1 two\n")
        for base in BASES:
            self.write("cur/%s:2,Sa" % base, MSG)
        os.chmod(path, 0o755)
        self.own(os.path.join(path, "home"))

    def own(self, path):
        if server.is_root():
            os.chown(path, self.uid, self.uid)

    def path(self, rel):
        return os.path.join(self.root, rel)

    def write(self, rel, data):
        if isinstance(data, str):
            data = data.encode()
        with open(self.path(rel), "wb") as f:
            f.write(data)
        self.own(self.path(rel))

    def read(self, rel):
        with open(self.path(rel)) as f:
            return f.read()

    def mkdir(self, rel):
        os.mkdir(self.path(rel), 0o700)
        self.own(self.path(rel))

    def run(self, *argv, user=None):
        kw = {}
        if user is not None:
            kw = {"user": user, "group": user, "extra_groups": []}
        p = subprocess.run(
            [os.path.join(restante.programs(), "restantectl"), "-c",
             self.conf, *argv], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=60, **kw)
        return p.returncode, p.stdout.decode(), p.stderr.decode()

    def findings(self, command="check"):
        status, out, err = self.run("--json", command, "anna")
        report = json.loads(out)
        assert (status == 0) == report["ok"], (status, out, err)
        return report

    def kinds(self, state, command="check"):
        return [f["kind"] for f in self.findings(command)["findings"]
                if f["state"] == state]

    def snapshot(self):
        found = {}
        for root, dirs, files in os.walk(self.root):
            for name in dirs + files:
                path = os.path.join(root, name)
                st = os.lstat(path)
                found[os.path.relpath(path, self.root)] = (
                    st.st_mtime_ns, st.st_size, st.st_ino, st.st_mode,
                    st.st_uid)
        return found


@pytest.fixture
def place():
    """Where the user can go; pytest's own folder is root's alone, and made so
    again whenever another pytest begins."""
    path = server.scratch("check-test.")
    os.chmod(path, 0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def mail(place):
    return Mail(place)


def test_nothing_wrong(mail):
    before = mail.snapshot()
    status, out, err = mail.run("check", "anna")
    assert (status, err) == (0, "")
    assert out == "Nothing is wrong in 1 mailboxes with 3 messages.\n"
    report = mail.findings()
    assert report == {"ok": True, "user": "anna", "mailboxes": 1,
                      "messages": 3, "findings": []}
    assert mail.snapshot() == before


def broken_line(m):
    lines = LIST.splitlines(True)
    m.write("dovecot-uidlist", "".join([lines[0], lines[2], lines[1],
                                        lines[3]]))


def torn(m):
    m.write("dovecot-uidlist", LIST + "77 :")


def twice(m):
    m.write("dovecot-uidlist", LIST.replace("N4", "N5") +
            "4 :%s\n" % BASES[0])


def no_cur_of_folder(m):
    m.mkdir(".Sent")
    m.mkdir(".Sent/new")
    m.mkdir(".Sent/tmp")


def no_name(m):
    m.write("new/:2,S", MSG)


def twin(m):
    m.write("cur/%s:2,F" % BASES[0], MSG.replace(b"hello", b"other"))


def letters(m):
    m.write("cur/1795300349.x.mx1:2,e", MSG)


def keyword_lines(m):
    m.write("dovecot-keywords", "0 one\nnonsense\n1 two\n77 big\n")


def torn_more(m):
    m.write("restante-keywords", "1\nk 26 Projekt\nm 26 %s\nm 26 to"
            % BASES[0])


def old_lock(m):
    dead = subprocess.Popen(["true"])
    dead.wait()
    m.write("dovecot-uidlist.lock", "%d:%s" % (dead.pid,
                                               os.uname().nodename))
    old = time.time() - 1000
    os.utime(m.path("dovecot-uidlist.lock"), (old, old))
    os.utime(m.path("dovecot-uidlist"), (old, old))


MENDED = [(broken_line, "uidlist"), (torn, "uidlist"), (twice, "uidlist"),
          (no_cur_of_folder, "structure"), (no_name, "name"),
          (twin, "twin"), (letters, "keywords"),
          (keyword_lines, "keywords"), (torn_more, "keywords"),
          (old_lock, "lock")]


@pytest.mark.parametrize("damage,kind", MENDED,
                         ids=[d.__name__ for d, _ in MENDED])
def test_found_and_mended(mail, damage, kind):
    damage(mail)
    before = mail.snapshot()
    assert mail.kinds("fault") == [kind]
    assert mail.snapshot() == before  # it only looked
    report = mail.findings("repair")
    assert [f["kind"] for f in report["findings"]
            if f["state"] == "mended"] == [kind], report
    assert report["ok"], report
    assert report["mailboxes"] == (2 if damage == no_cur_of_folder else 1)
    assert mail.kinds("fault") == []
    if os.stat(mail.path("dovecot-uidlist")).st_size and damage != twice:
        text = mail.read("dovecot-uidlist")
        for i, base in enumerate(BASES, 1):
            assert "\n%d :%s\n" % (i, base) in text
    texts = [open(os.path.join(mail.path(d), x), "rb").read()
             for d in ("cur", "new") for x in os.listdir(mail.path(d))]
    assert sum(t.startswith(b"From: a") for t in texts) >= 3
    for root, dirs, files in os.walk(mail.root):
        for name in dirs + files:
            assert os.lstat(os.path.join(root, name)).st_uid == mail.uid


def test_what_only_a_person_can_mend(mail):
    mail.write("restante-keywords", "9\nk 26 later\n")
    mail.write("cur/odd\nname:2,", MSG)
    mail.mkdir("cur/sub")
    mail.write("new/x,S=5", MSG)
    for _ in range(2):
        status, out, _ = mail.run("check", "anna")
        assert status == 1
        assert "fault: INBOX: restante-keywords is not of a version" in out
        assert "Put back a copy" in out
        assert "line end in its name" in out
        assert "note: INBOX: cur/sub is no file" in out
        assert "says 5 bytes in its name and has 127" in out
        mail.run("repair", "anna")
    assert mail.read("restante-keywords") == "9\nk 26 later\n"
    assert mail.run("repair", "anna")[0] == 1


def test_headless_list(mail):
    mail.write("dovecot-uidlist", "what\n")
    report = mail.findings()
    assert not report["ok"]
    assert "backup" in report["findings"][0]["cure"]
    report = mail.findings("repair")
    assert report["ok"], report
    assert [x for x in os.listdir(mail.root) if ".broken." in x]


def test_no_mail_yet(mail):
    conf = mail.conf
    with open(conf, "a") as f:
        f.write("mail_location = maildir:~/Other\n")
    with open(os.path.join(mail.dir, "passwd"), "a") as f:
        f.write("new:{PLAIN}x:%d:%d::%s/home::\n"
                % (mail.uid, mail.uid, mail.dir))
    status, out, _ = mail.run("check", "new")
    assert status == 0 and "There is no mail at" in out
    assert not os.path.exists(os.path.join(mail.dir, "home", "Other"))


def test_who_may(mail):
    assert mail.run("check", "nobody-such")[0] == 1
    assert "no user" in mail.run("check", "nobody-such")[2]
    assert mail.run("repair")[0] == 2
    assert mail.run("check", "a", "b")[0] == 2
    if not server.is_root():
        return
    assert "may not log in" in mail.run("check", "toor")[2]
    # The user himself, and another one.
    os.chmod(mail.conf, 0o644)
    os.chmod(os.path.join(mail.dir, "passwd"), 0o644)
    assert mail.run("check", "anna", user=mail.uid)[0] == 0
    status, _, err = mail.run("check", "anna", user=mail.uid + 1)
    assert status == 1 and "only root may" in err


@pytest.mark.skipif(not server.is_root(), reason="needs root")
def test_root_touches_nothing(mail):
    """A link to a file of root's: the user's process can not follow."""
    secret = os.path.join(mail.dir, "secret")
    with open(secret, "w") as f:
        f.write("3 V1 N2\n")
    os.chmod(secret, 0o600)
    os.unlink(mail.path("dovecot-uidlist"))
    os.symlink(secret, mail.path("dovecot-uidlist"))
    status, out, _ = mail.run("check", "anna")
    assert status == 1 and "can not be read" in out
    mail.run("repair", "anna")
    assert os.stat(secret).st_uid == 0
    with open(secret) as f:
        assert f.read() == "3 V1 N2\n"
    for name in os.listdir(mail.root):
        assert os.lstat(mail.path(name)).st_uid in (mail.uid, 0) and \
            (name == "dovecot-uidlist" or
             os.lstat(mail.path(name)).st_uid == mail.uid), name


def with_index(mail):
    """The index as `restantectl index` leaves it; its folder."""
    top = os.path.join(mail.dir, "index")
    os.mkdir(top)
    os.chmod(top, 0o755)
    with open(mail.conf, "a") as f:
        f.write("index_dir = %s\n" % top)
    # Older than the clock's granularity, so that it can be believed.
    for name in ("cur", "new"):
        os.utime(mail.path(name), (time.time() - 100,) * 2)
    status, out, err = mail.run("index", "anna")
    assert status == 0 and out.startswith("3 messages in "), err
    return os.path.join(top, "anna")


def test_index_in_order(mail):
    with_index(mail)
    before = mail.snapshot()
    report = mail.findings()
    assert report["ok"] and report["findings"] == []
    assert mail.snapshot() == before


def test_index_damaged(mail):
    index = with_index(mail)
    path = os.path.join(index, "data.mdb")
    with open(path, "r+b") as f:
        data = f.read()
        at = data.find(BASES[1].encode())
        assert at > 0
        while at >= 0:
            f.seek(at + 3)
            f.write(b"#")
            at = data.find(BASES[1].encode(), at + 1)
    before = mail.snapshot()
    for _ in range(2):  # who meets it, and who is told of it
        status, out, _ = mail.run("check", "anna")
        assert status == 1
        assert "damaged" in out and "repair" in out
    report = mail.findings("repair")
    assert report["ok"], report
    assert "index" in [f["kind"] for f in report["findings"]
                       if f["state"] == "mended"]
    report = mail.findings()
    assert report["ok"], report
    assert [f["state"] for f in report["findings"]] == ["note"]  # data.bad
    assert mail.snapshot().keys() == before.keys()


def test_index_of_others(mail):
    index = with_index(mail)
    os.chmod(index, 0o777)
    report = mail.findings()
    assert [f["kind"] for f in report["findings"]] == ["index"]
    assert "Others may write" in report["findings"][0]["text"]
    os.chmod(index, 0o700)
    assert mail.findings()["ok"]


# ---- mbox --------------------------------------------------------------------

FROM = b"From a@b Mon Mar  2 10:01:00 2026\n"


def piece(n, fields=b""):
    return (FROM + MSG.replace(b"msg 1", b"msg %d" % n).replace(
        b"\n\n", b"\n" + fields + b"\n", 1) + b"\n")


GOOD = (piece(1, b"X-IMAPbase: 1795300494 0000000003 kw\nX-UID: 1\n"
              b"Status: RO\nX-Keywords: kw\n") +
        piece(2, b"X-UID: 2\nStatus: O\n") + piece(3, b"X-UID: 3\n"))


class Mbox(Mail):
    def __init__(self, path):
        super().__init__(path)
        home = os.path.join(path, "home")
        self.root = home
        for rel in ("mail", "mail/dir"):
            self.mkdir(rel)
        with open(os.path.join(path, "passwd"), "w") as f:
            f.write("anna:{PLAIN}x:%d:%d::%s::"
                    "userdb_mail=mbox:~/mail:INBOX=~/inbox-file\n"
                    % (self.uid, self.uid, home))
        self.write("inbox-file", GOOD)
        self.write("mail/dir/one", piece(1))


@pytest.fixture
def mbox(place):
    return Mbox(place)


def test_mbox_nothing_wrong(mbox):
    before = mbox.snapshot()
    report = mbox.findings()
    assert (report["mailboxes"], report["messages"]) == (2, 4)
    assert [(f["kind"], f["mailbox"]) for f in report["findings"]] == [
        ("uids", "dir/one")]
    assert {k: v for k, v in mbox.snapshot().items()} == before
    # The first login gives the UIDs that it lacks, and so does repair.
    assert mbox.findings("repair")["ok"]
    assert mbox.findings()["findings"] == []
    assert "X-UID: 1" in mbox.read("mail/dir/one")
    assert re.findall(r"X-UID: (\d+)", mbox.read("inbox-file")) == \
        ["1", "2", "3"]


@pytest.mark.parametrize("data,kind,state,cured", [
    (GOOD.replace(b"X-UID: 2\n", b""), "uids", "fault", True),
    (GOOD.replace(b"X-UID: 3\n", b"X-UID: 2\n"), "uids", "fault", True),
    (GOOD.replace(b"X-UID: 3\n", b"X-UID: 99\n"), "uids", "fault", True),
    (GOOD.replace(b"X-IMAPbase: 1795300494 0000000003 kw\nX-UID: 1\n",
                  b"X-UID: 1\nX-IMAPbase: 1795300494 0000000003 kw\n"),
     "uids", "fault", False),
    (b"hello\n" + GOOD, "structure", "fault", False),
    (b"*mbx*\n6b034d0c00000000\n", "format", "fault", False),
    (GOOD + piece(4, b"Content-Length: 3000\n"), "structure", "note", None),
    (GOOD + piece(4, b"X-UID: 4\nX-Keywords: other\n").replace(
        b"X-UID: 4\n", b""), "keywords", "note", None),
    (GOOD + piece(4, b"X-IMAPbase: 5 0000000009\n"), "uids", "note", None),
    (GOOD + piece(4), None, None, None),
])
def test_mbox_found_and_mended(mbox, data, kind, state, cured):
    mbox.write("inbox-file", data)
    found = [(f["kind"], f["state"]) for f in mbox.findings()["findings"]
             if f["mailbox"] == "INBOX"]
    assert found == ([(kind, state)] if kind else [])
    assert mbox.read("inbox-file") == data.decode()
    if cured is None:
        return
    after = mbox.findings("repair")
    assert after["ok"] == cured, after
    assert ("uids" in [f["kind"] for f in after["findings"]
                       if f["state"] == "mended"]) == cured
    assert mbox.findings()["ok"] == cured
    if data.startswith(b"hello"):
        assert mbox.read("inbox-file") == data.decode()


@pytest.mark.skipif(not server.is_root(), reason="needs another owner")
def test_mbox_owner_and_lock(mbox):
    os.chown(mbox.path("inbox-file"), 0, 0)
    os.chmod(mbox.path("inbox-file"), 0o644)
    mbox.write("mail/dir/one.lock", "1")
    old = time.time() - 4000
    os.utime(mbox.path("mail/dir/one.lock"), (old, old))
    report = mbox.findings()
    assert ("owner", "INBOX", "fault") in [
        (f["kind"], f["mailbox"], f["state"]) for f in report["findings"]]
    assert ("lock", "dir/one", "note") in [
        (f["kind"], f["mailbox"], f["state"]) for f in report["findings"]]
