# SPDX-License-Identifier: ISC
"""Mail in mbox files, by IMAP and POP3."""
import fcntl
import os
import re
import shutil

import pytest
from lib import restante, server

PIECE = (b"From a@b Mon Mar  2 10:01:%02d 2026\n"
         b"From: a@example.org\nSubject: msg %d\n"
         b"Date: Mon, 02 Mar 2026 10:01:00 +0000\n"
         b"Message-ID: <m%d@example.org>\n%s\nhello %d\n\n")


def piece(n, fields=b""):
    return PIECE % (n % 60, n, n, fields, n)


def text(n):
    """What clients see of it."""
    return (b"From: a@example.org\r\nSubject: msg %d\r\n"
            b"Date: Mon, 02 Mar 2026 10:01:00 +0000\r\n"
            b"Message-ID: <m%d@example.org>\r\n\r\nhello %d\r\n" % (n, n, n))


class Mbox:
    def __init__(self, running, user):
        self.server, self.user = running, user
        self.spool = os.path.join(running.dir, "spool", user)
        self.mail = os.path.join(running.home(user), "mail")
        os.makedirs(self.mail, exist_ok=True)
        running.own(self.mail, user)

    def path(self, folder="INBOX"):
        return self.spool if folder == "INBOX" else os.path.join(
            self.mail, folder)

    def write(self, data, folder="INBOX"):
        with open(self.path(folder), "wb") as f:
            f.write(data)
        self.server.own(self.path(folder), self.user)

    def add(self, data, folder="INBOX"):
        with open(self.path(folder), "ab") as f:
            f.write(data)

    def read(self, folder="INBOX"):
        with open(self.path(folder), "rb") as f:
            return f.read()

    def imap(self, **kw):
        return self.server.imap(self.user, **kw)

    def pop3(self, **kw):
        return self.server.pop3(self.user, **kw)


@pytest.fixture(scope="module")
def running(form):
    users = ["m%d" % i for i in range(1, 41)]
    yield from server.serving(restante.with_spool(
        users, separate=form == "separate"))


@pytest.fixture
def mbox(running):
    used = running.used = getattr(running, "used", -1) + 1
    yield Mbox(running, running.users[used])
    running.close_all()


def fetch(c, what):
    """{uid: whole answer}"""
    _, _, lines = c.cmd(b"UID FETCH 1:* (UID %s)" % what)
    out = {}
    for x in lines:
        m = re.search(rb"UID (\d+)", x)
        if b"FETCH" in x and m:
            out[int(m.group(1))] = x
    return out


# ---- reading ----------------------------------------------------------------


def test_read(mbox):
    mbox.write(b"".join(piece(i, b"Status: RO\nX-Status: F\n" if i == 2
                                   else b"") for i in range(1, 4)))
    c = mbox.imap()
    _, _, lines = c.cmd(b"EXAMINE INBOX")
    assert b"* 3 EXISTS" in lines
    got = fetch(c, b"FLAGS RFC822.SIZE BODY.PEEK[]")
    assert sorted(got) == [1, 2, 3]
    assert b"\\Seen" in got[2] and b"\\Flagged" in got[2]
    for i in got:
        assert text(i) in got[i]
        assert b"RFC822.SIZE %d" % len(text(i)) in got[i]
        assert b"Status" not in got[i]
    # Delivery is seen.
    mbox.add(piece(4))
    _, _, lines = c.cmd(b"NOOP")
    assert b"* 4 EXISTS" in lines
    c.close()
    p = mbox.pop3()
    assert p.ok(b"STAT").startswith(b"+OK 4 ")
    assert b"".join(x + b"\r\n" for x in p.multi(b"RETR 2")) == text(2)
    p.close()


def test_idle_sees_delivery(mbox):
    mbox.write(piece(1))
    c = mbox.imap()
    c.cmd(b"EXAMINE INBOX")
    c.start(b"IDLE")
    assert c.line().startswith(b"+")
    mbox.add(piece(2))
    while c.line() != b"* 2 EXISTS":
        pass
    c.close()


def test_list(mbox):
    mbox.write(piece(1), "work")
    os.mkdir(os.path.join(mbox.mail, "dir"))
    mbox.server.own(os.path.join(mbox.mail, "dir"), mbox.user)
    mbox.write(piece(1) + piece(2), "dir/inner")
    c = mbox.imap()
    _, _, lines = c.cmd(b'LIST "" "*"')
    names = [x.split(b' "/" ')[1] for x in lines if b"LIST" in x]
    assert {b"INBOX", b"work", b"dir", b"dir/inner"} <= set(names)
    assert any(b"\\Noselect" in x and x.endswith(b" dir") for x in lines)
    _, _, lines = c.cmd(b"STATUS dir/inner (MESSAGES UIDNEXT)")
    assert b"MESSAGES 2" in lines[0] and b"UIDNEXT 3" in lines[0]
    status, _, _ = c.cmd(b"SELECT dir")
    assert status == "NO"
    c.close()


# ---- writing ----------------------------------------------------------------


def test_flags_stay(mbox):
    mbox.write(piece(1) + piece(2) + piece(3))
    c = mbox.imap()
    c.ok("SELECT INBOX")
    c.ok(rb"STORE 1 +FLAGS (\Seen \Flagged $Work)")
    c.ok(rb"STORE 2:3 +FLAGS (\Answered)")
    c.logout()
    data = mbox.read()
    assert b"\nX-UID: 1\nStatus: RO\nX-Status: F\nX-Keywords: $Work " in data
    assert data.count(b"X-IMAPbase: ") == 1
    assert data.find(b"X-IMAPbase: ") < data.find(b"X-UID: ")
    c = mbox.imap()
    c.ok("SELECT INBOX")
    assert c.flags() == {1: {"\\Seen", "\\Flagged", "$Work"},
                         2: {"\\Answered"}, 3: {"\\Answered"}}
    c.logout()


def test_append_copy_expunge(mbox):
    mbox.write(piece(1) + piece(2))
    c = mbox.imap()
    c.ok("SELECT INBOX")
    assert b"APPENDUID" in c.append("INBOX", text(3), "(\\Seen)")
    c.ok("CREATE work")
    c.ok("CREATE work/below")
    c.ok("COPY 1:3 work/below")
    c.ok("MOVE 2 work")
    c.ok(rb"STORE 1 +FLAGS (\Deleted)")
    assert b"* 1 EXPUNGE" in c.ok("EXPUNGE")
    got = fetch(c, b"FLAGS BODY.PEEK[]")
    assert sorted(got) == [3] and text(3) in got[3]
    c.ok("SELECT work/below")
    assert len(fetch(c, b"FLAGS")) == 3
    c.ok("SELECT work")
    got = fetch(c, b"BODY.PEEK[]")
    assert text(2) in got[1]
    c.ok("CLOSE")
    c.ok("RENAME work moved")
    c.ok("SUBSCRIBE moved/below")
    assert any(b"moved/below" in x for x in c.ok('LSUB "" "*"'))
    c.ok("DELETE moved/below")
    c.ok("DELETE moved")
    c.logout()
    with open(os.path.join(mbox.mail, ".subscriptions"), "rb") as f:
        assert b"moved\tbelow\n" in f.read()


def test_pop3_and_imap(mbox):
    mbox.write(b"".join(piece(i) for i in range(1, 5)))
    c = mbox.imap()
    c.ok("SELECT INBOX")
    c.ok(rb"STORE 4 +FLAGS (\Flagged)")
    p = mbox.pop3()
    uidl = [x.split()[1] for x in p.multi("UIDL")]
    assert len(uidl) == 4
    p.ok("DELE 2")
    p.ok("DELE 3")
    mbox.add(piece(5))
    p.ok("QUIT")
    lines = c.ok("NOOP")
    assert b"* 3 EXPUNGE" in lines and b"* 3 EXISTS" in lines
    got = fetch(c, b"FLAGS BODY.PEEK[]")
    assert sorted(got) == [1, 4, 5]
    assert text(4) in got[4] and b"\\Flagged" in got[4]
    c.logout()
    p = mbox.pop3()
    assert [x.split()[1] for x in p.multi("UIDL")][:2] == [uidl[0], uidl[3]]
    p.ok("QUIT")


def test_no_folder_for_mailboxes(mbox):
    """A home that can not be written, as that of a user with mail alone."""
    home = mbox.server.home(mbox.user)
    os.rmdir(mbox.mail)
    os.chmod(home, 0o555)
    if os.geteuid() == 0:
        os.chown(home, 0, 0)
    mbox.write(piece(1))
    c = mbox.imap()
    assert b"* 1 EXISTS" in c.ok("SELECT INBOX")
    c.logout()
    p = mbox.pop3()
    assert p.ok("STAT").startswith(b"+OK 1 ")
    p.ok("QUIT")


def test_other_formats(mbox):
    """What UW-IMAP keeps in formats of its own is named, not called damaged,
    and left as it is."""
    mbx = b"*mbx*\r\n6b034d0c00000000\r\n" + b"\r\n" * 100
    mbox.write(mbx)
    mbox.write(mbx, "old")
    mbox.write(piece(1), "good")
    os.mkdir(mbox.path("mix"))
    mbox.server.own(mbox.path("mix"), mbox.user)
    for name in ".mixmeta", ".mixindex", ".mix6b034d0c":
        mbox.write(b"SA\r\n", "mix/" + name)
    c = mbox.imap()
    listed = c.ok('LIST "" *')
    assert b'* LIST (\\HasNoChildren) "/" old' in listed
    assert not [x for x in listed if b".mix" in x]
    assert [x for x in listed if b"\\Noselect" in x and x.endswith(b" mix")]
    c.ok("SELECT good")
    for what in ("COPY 1 old", "MOVE 1 old", "STATUS old (MESSAGES)",
                 "APPEND old {14+}\r\nSubject: a\r\n\r\n", "SELECT old",
                 "SELECT INBOX"):
        status, said, _ = c.cmd(what)
        assert status == "NO" and said.startswith(
            b"[CANNOT] The mailbox is in a format"), (what, said)
    c.logout()
    with pytest.raises(AssertionError, match=r"\[SYS/PERM\] The mailbox is"):
        mbox.pop3()
    assert mbox.read() == mbx and mbox.read("old") == mbx
    assert "UW-IMAP's mbx format" in mbox.server.log()


def test_everything_goes(mbox):
    mbox.write(piece(1))
    p = mbox.pop3()
    p.ok("DELE 1")
    p.ok("QUIT")
    assert b"X-IMAP: " in mbox.read()
    c = mbox.imap()
    assert any(b"* 0 EXISTS" in x for x in c.ok("SELECT INBOX"))
    mbox.add(piece(2))
    c.ok("NOOP")
    assert sorted(fetch(c, b"FLAGS")) == [2]
    c.logout()


def test_as_mutt_does(mbox):
    """A program that rewrites the file: without our fields, with its own."""
    mbox.write(b"".join(piece(i) for i in range(1, 6)))
    c = mbox.imap()
    c.ok("SELECT INBOX")
    c.ok(rb"STORE 5 +FLAGS (\Flagged)")
    mbox.write(b"".join(
        piece(i, b"Status: RO\nContent-Length: 8\nLines: 1\n")
        for i in (1, 3, 4, 5)))
    c.ok("NOOP")
    got = fetch(c, b"FLAGS BODY.PEEK[]")
    assert sorted(got) == [1, 3, 4, 5]
    assert all(b"\\Seen" in x for x in got.values())
    assert b"hello 4" in got[4]
    c.logout()
    c = mbox.imap()
    c.ok("SELECT INBOX")
    assert sorted(fetch(c, b"FLAGS")) == [1, 3, 4, 5]
    c.logout()


def test_locked_by_somebody(mbox):
    """A delivery that holds the lock: we wait, then we see its mail."""
    mbox.write(piece(1))
    c = mbox.imap()
    c.ok("SELECT INBOX")
    with open(mbox.spool, "ab") as f:
        fcntl.lockf(f, fcntl.LOCK_EX)
        f.write(piece(2)[:50])
        f.flush()
        assert not any(b"2 EXISTS" in x for x in c.ok("NOOP"))
        f.write(piece(2)[50:])
        f.flush()
    assert any(b"2 EXISTS" in x for x in c.ok("NOOP"))
    assert text(2) in fetch(c, b"BODY.PEEK[]")[2]
    c.logout()


# ---- the index --------------------------------------------------------------

# More than is read whole in any case.
LARGE = piece(1, b"X-IMAPbase: 1795300494 0000000030\nX-UID: 1\nStatus: RO\n"
              )[:-1] + (b"-" * 70 + b"\n") * 40000 + b"\n"


def numbered(n, status=b"RO"):
    return LARGE if n == 1 else piece(
        n, b"X-UID: %d          \nStatus: %s\n" % (n, status))


def listing(mbox, mailbox=b"INBOX"):
    c = mbox.imap(timeout=60)
    c.ok(b"EXAMINE " + mailbox)
    out = [sorted(re.sub(rb" ?\\Recent", b"", x)
                  for x in c.ok(b"UID FETCH 1:* (%s)" % items))
           for items in (b"FLAGS RFC822.SIZE INTERNALDATE ENVELOPE",
                         b"BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS (SUBJECT)]")]
    c.logout()
    return [[x for x in part if b"FETCH" in x] for part in out]


def anew(mbox):
    """No process knows anything."""
    mbox.server.stop()
    mbox.server.start()


def index_dir(mbox):
    return os.path.join(mbox.server.dir, "index", mbox.user)


def bodies_of(mbox, *uids):
    c = mbox.imap(timeout=60)
    c.ok(b"EXAMINE INBOX")
    for uid in uids:
        got = c.ok(b"UID FETCH %d BODY.PEEK[]" % uid)
        assert any(b"hello %d\r\n" % uid in x for x in got), uid
    c.logout()


def test_index_same_answers(mbox):
    """From memory, from the index, and without one."""
    mbox.write(b"".join(numbered(i) for i in range(1, 31)))
    mbox.write(b"".join(piece(i) for i in range(1, 4)), "other")
    first, other = listing(mbox), listing(mbox, b"other")
    assert len(first[0]) == 30 and len(other[0]) == 3
    anew(mbox)
    assert os.path.exists(os.path.join(index_dir(mbox), "data.mdb"))
    assert listing(mbox) == first and listing(mbox, b"other") == other
    bodies_of(mbox, 2, 30)
    # It goes while a session is open.
    c = mbox.imap(timeout=60)
    c.ok("SELECT INBOX")
    for name in os.listdir(index_dir(mbox)):
        os.unlink(os.path.join(index_dir(mbox), name))
    assert len(fetch(c, b"ENVELOPE")) == 30
    c.logout()
    assert listing(mbox) == first
    anew(mbox)
    assert listing(mbox) == first
    anew(mbox)
    data = os.path.join(index_dir(mbox), "data.mdb")
    with open(data, "r+b") as f:
        for at in range(8192, os.path.getsize(data), 1024):
            f.seek(at)
            f.write(b"junk")
    try:
        listing(mbox)  # the process may end over it, once
    except Exception:  # pylint: disable=broad-except
        pass
    anew(mbox)
    assert listing(mbox) == first


def test_index_changed_outside(mbox):
    """Flags in their place, delivery, a rewrite: while nobody looks, and
    while two sessions do."""
    mbox.write(b"".join(numbered(i) for i in range(1, 31)))
    listing(mbox)
    anew(mbox)
    with open(mbox.spool, "r+b") as f:
        fcntl.lockf(f, fcntl.LOCK_EX)
        f.seek(mbox.read().index(b"X-UID: 7 "))
        f.write(b"X-UID: 7          \nStatus: O ")
        f.seek(0, os.SEEK_END)
        f.write(piece(31))
    c, d = mbox.imap(timeout=60), mbox.imap(timeout=60)
    assert b"* 31 EXISTS" in c.ok("SELECT INBOX")
    d.ok("SELECT INBOX")
    for x in c, d:
        got = fetch(x, b"FLAGS")
        assert b"\\Seen" not in got[7] and b"\\Seen" in got[8]
        assert b"UID 31" in got[31]
    bodies_of(mbox, 7, 30, 31)
    # Without 5 and with 6 another one of the same length.
    old = mbox.read()
    new = old.replace(old[old.index(b"From a@b Mon Mar  2 10:01:05"):
                          old.index(b"From a@b Mon Mar  2 10:01:06")], b"")
    new = new.replace(b"hello 6\n", b"HELLO 6\n")
    with open(mbox.spool, "r+b") as f:
        fcntl.lockf(f, fcntl.LOCK_EX)
        f.write(new)
        f.truncate()
    for x in c, d:
        assert b"* 5 EXPUNGE" in x.ok("NOOP")
        assert any(b"HELLO 6" in y
                   for y in x.ok("UID FETCH 6 BODY.PEEK[TEXT]"))
        x.logout()
    bodies_of(mbox, 4, 7, 31)


def test_index_older_than_the_file(mbox):
    """A copy of the index comes back after the file has changed."""
    mbox.write(b"".join(numbered(i) for i in range(1, 31)))
    listing(mbox)
    mbox.server.stop()
    kept = index_dir(mbox) + ".kept"
    shutil.copytree(index_dir(mbox), kept)
    mbox.server.start()
    c = mbox.imap(timeout=60)
    c.ok("SELECT INBOX")
    c.ok(rb"STORE 2:9 +FLAGS (\Deleted)")
    c.ok("EXPUNGE")
    c.ok(rb"UID STORE 20 +FLAGS (\Flagged)")
    c.logout()
    mbox.server.stop()
    for name in ("data.mdb", "state"):
        with open(os.path.join(kept, name), "rb") as f:
            data = f.read()
        with open(os.path.join(index_dir(mbox), name), "r+b") as f:
            f.write(data)
            f.truncate()
    shutil.rmtree(kept)
    mbox.server.start()
    got = listing(mbox)[0]
    assert len(got) == 22
    assert all(b"UID %d " % uid not in x for x in got for uid in range(2, 10))
    assert sum(b"\\Flagged" in x for x in got) == 1
    bodies_of(mbox, 10, 20, 30)


# ---- identity ---------------------------------------------------------------


def mailbox_id(c, name):
    _, _, lines = c.cmd("STATUS %s (MAILBOXID)" % name)
    return re.search(rb"MAILBOXID \((.*?)\)", b"".join(lines)).group(1)


def email_ids(c, name):
    c.ok("SELECT " + name)
    _, _, lines = c.cmd("FETCH 1:* (EMAILID)")
    return re.findall(rb"EMAILID \((.*?)\)", b"".join(lines))


def test_mailbox_id_on_rename(mbox):
    """RFC 8474 section 4: it stays, whoever has looked before, in new
    processes, and of what lies below; the old name is another mailbox."""
    mbox.write(piece(1), "seen")
    mbox.write(piece(2), "unseen")
    c = mbox.imap()
    c.ok("CREATE made")
    c.ok("CREATE made/below")
    c.ok("CREATE level/leaf")
    names = ["seen", "made", "made/below", "level/leaf"]
    ids = {n: mailbox_id(c, n) for n in names}
    assert len(set(ids.values())) == len(names)
    emails = email_ids(c, "seen")
    c.ok("COPY 1 made")
    assert email_ids(c, "made") == emails and len(emails) == 1
    c.ok("UNSELECT")
    c.ok("RENAME seen seen2")
    c.ok("RENAME made made2")
    c.ok("RENAME level level2")
    c.ok("RENAME unseen unseen2")
    fresh = {"seen": "seen2", "made": "made2", "made/below": "made2/below",
             "level/leaf": "level2/leaf"}
    unseen = mailbox_id(c, "unseen2")
    c.ok("RENAME unseen2 level2/unseen3")
    for old, name in fresh.items():
        assert mailbox_id(c, name) == ids[old], name
    assert mailbox_id(c, "level2/unseen3") == unseen
    assert email_ids(c, "seen2") == emails
    c.ok("CREATE made")
    assert mailbox_id(c, "made") not in ids.values()
    c.logout()
    c = mbox.imap()
    for old, name in fresh.items():
        assert mailbox_id(c, name) == ids[old], name
    c.ok("RENAME made2 made3")
    assert mailbox_id(c, "made3") == ids["made"]
    c.ok("SELECT made3/below")
    c.ok("RENAME made3/below up")
    assert mailbox_id(c, "up") == ids["made/below"]
    c.logout()


def test_names_with_room_for_a_dotlock(mbox):
    """"NAME.lock" has to be a name of a file too, and "NAME.sbd"."""
    c = mbox.imap()
    fits, over, old = "x" * 250, "x" * 251, "y" * 255
    c.ok("CREATE " + fits)
    c.ok(b"APPEND %s {4+}\r\nA: b" % fits.encode())
    for name in (over, over + "/z"):
        assert b"[CANNOT]" in c.no("CREATE " + name)
        assert b"[CANNOT]" in c.no("RENAME %s %s" % (fits, name))
    assert not os.path.exists(mbox.path(over))
    # A file of another program, which no program can lock in this way.
    mbox.write(piece(1) + piece(2), old)
    c.ok("SELECT " + old)
    c.ok("STORE 1 +FLAGS (\\Deleted)")
    c.ok("EXPUNGE")
    c.ok(b"APPEND %s {4+}\r\nA: b" % old.encode())
    assert b"[CANNOT]" in c.no("CREATE %s/z" % old)
    c.ok("UNSELECT")
    c.ok("RENAME %s short" % old)
    assert c.ok("STATUS short (MESSAGES)") == [b"* STATUS short (MESSAGES 2)"]
    assert mbox.read("short").count(b"\nSubject: msg 1\n") == 0
