# SPDX-License-Identifier: ISC
"""The other compatibility cases of mbox: Debian's Dovecot, UW's c-client and
deliveries on the same files (compat-tests.md sections 4, 5 and 6)."""
import fcntl
import os
import re
import signal
import stat
import threading
import time

import pytest
from lib import agree, cclient, proc
from lib.agree import FROM, do, msg, piece

needs_cclient = pytest.mark.skipif(
    cclient.program() is None, reason="needs libc-client2007e-dev")


@pytest.fixture(scope="module")
def pair():
    users = ["b%d" % i for i in range(1, 41)]
    extra = {u: "mbox:~/mail:INBOX=~/in/box" for u in users}
    # As UW has it: names are relative to the home folder.
    extra["uw"] = "mbox:~:INBOX=~/in/box"
    yield from agree.serving(users + ["uw"], extra=extra)


@pytest.fixture
def box(pair, request):
    pair.dovecot.complaints()
    user = getattr(request, "param", None)
    if user is None:
        user = pair.users[pair.used]
        pair.used += 1
    b = agree.MboxBox(pair, user)
    yield b
    pair.dovecot.close_all()
    pair.ours.close_all()
    # U3: nobody ever finds X-UID before X-IMAPbase in the first message.
    for rel in ("in/box",):
        if os.path.exists(b.path(rel)):
            head = b.bytes(rel).split(b"\n\n")[0]
            if b"X-UID: " in head and b"X-IMAPbase: " in head:
                assert head.find(b"X-IMAPbase: ") < head.find(b"X-UID: ")


def uids(seen):
    return sorted(seen["INBOX"]["messages"])


def flags(seen, uid):
    return seen["INBOX"]["messages"][uid][1]


# ---- B: mbox -----------------------------------------------------------------

def test_b4_every_write_changes_the_second(box):
    box.add(piece(1) + piece(2))
    box.agree()
    last, text = 0, b""
    for i in range(4):
        do(box, "ours", "STORE 1 %sFLAGS (\\Seen)" % "+-"[i % 2])
        text = box.when(lambda d, old=text: d != old)
        now = int(os.stat(box.path("in/box")).st_mtime)
        assert now != last
        last = now
        assert "\\Seen" in flags(box.agree(first="dovecot"), 1) or i % 2


@pytest.mark.parametrize("which", [1, 0])
@pytest.mark.parametrize("first", ["ours", "dovecot"])
def test_b5_removed_by_others(box, which, first):
    """The first or the second message, with our X-IMAPbase or without."""
    box.add(b"".join(piece(i) for i in (1, 2, 3, 4)))
    before = box.agree()["INBOX"]
    parts = re.split(rb"(?m)^(?=From a@b )", box.bytes())[1:]
    del parts[which]
    box.write("in/box", b"".join(parts))
    seen = box.agree(first=first)["INBOX"]
    # Each server knows the identity from its own notes.
    if which == 1:
        assert seen["uidvalidity"] == before["uidvalidity"]
        assert sorted(seen["messages"]) == [1, 3, 4]
    assert len(seen["messages"]) == 3
    assert re.search(rb"X-IMAPbase: \d+ \d{10}", box.bytes())


@pytest.mark.parametrize("last,claim,want", [
    (5, 5, 5), (5, 50, 6), (60, 60, 60), (4, 2, 5)])
def test_b6_which_uids_are_believed(box, last, claim, want):
    box.add(b"".join(piece(i) for i in (1, 2, 3, 4)))
    seen = box.agree()["INBOX"]
    box.write("in/box", re.sub(
        rb"X-IMAPbase: (\d+) \d{10}", b"X-IMAPbase: \\1 %010d" % last,
        box.bytes()) + piece(5, b"X-UID: %d\n" % claim))
    now = box.agree(first="dovecot")["INBOX"]
    assert now["uidvalidity"] == seen["uidvalidity"]
    assert sorted(now["messages"]) == [1, 2, 3, 4, want]


def test_b7_b8_letters_and_names(box):
    box.add(piece(1, b"X-IMAPbase: 1795300494 0000000002 kwOne\nX-UID: 1\n"
                  b"Status: ROA\nX-Keywords: kwOne stranger\n") +
            piece(2, b"X-UID: 2\nStatus: O\n"))
    # Dovecot reads letters from both fields only once they are in order.
    c = box.ours()
    seen = {"INBOX": agree.facts(c, "INBOX")}
    c.logout()
    assert flags(seen, 1) == {"\\Seen", "\\Answered", "kwOne"}
    do(box, "ours", "STORE 1 +FLAGS (\\Flagged)")
    text = box.when(lambda d: b"stranger" not in d).decode()
    letters = "".join(re.findall(r"(?m)^(?:X-)?Status: (\S+)",
                                 text.split("\n\n")[0]))
    assert sorted(letters) == sorted(set("ROAF"))
    seen = box.agree(first="dovecot")
    assert flags(seen, 1) == {"\\Seen", "\\Answered", "\\Flagged", "kwOne"}


def test_b9_what_append_writes(box):
    text = (b"From: a@b\r\nSubject: x\r\nStatus: RO\r\nX-UID: 77\r\n\r\n"
            b"line\r\nFrom the start\r\n" + FROM.replace(b"\n", b"\r\n"))
    c = box.ours()
    c.append("INBOX", text, "(\\Seen \\Flagged foo)")
    c.logout()
    data = box.when(lambda d: b"X-UID: 1" in d)
    head, _, body = data.partition(b"\n\n")
    assert re.match(rb"From \S+  \w{3} \w{3} \d\d [\d:]{8} \d{4}\n", data)
    assert b"X-UID: 1" in head and b"X-UID: 77" not in head
    length = int(re.search(rb"Content-Length: (\d+)", head).group(1))
    assert body[:length].count(b"\n") == 3
    assert body[length:] == b"\n"
    assert b"\n>From a@b Mon Mar" in body
    seen = box.agree(first="dovecot")
    assert flags(seen, 1) == {"\\Seen", "\\Flagged", "foo"}


def test_b15_leading_line_end(box):
    box.write("mail/lead", b"\n" + FROM + b"Subject: 1\n\nb\n\n")
    c = box.ours()
    assert b"* 1 EXISTS" in c.ok("EXAMINE lead")
    c.logout()
    assert box.bytes("mail/lead").startswith(b"\n")


def test_b16_empty_spool(box):
    box.write("in/box", b"")
    c = box.ours()
    said = b"\n".join(c.ok("SELECT INBOX"))
    told = re.search(rb"UIDVALIDITY (\d+)", said).group(1)
    assert b"* 0 EXISTS" in said
    assert box.bytes() == b""
    box.add(piece(1))
    assert b"* 1 EXISTS" in c.ok("NOOP")
    assert b"* 1 FETCH (UID 1)" in c.ok("FETCH 1 (UID)")
    c.logout()
    seen = box.agree()["INBOX"]
    assert seen["uidvalidity"] == int(told)
    assert sorted(seen["messages"]) == [1]


def test_b17_dovecot_killed(box):
    """Its flags are lost with it, and nothing else."""
    box.add(b"".join(piece(i) for i in (1, 2, 3)))
    box.agree()
    d = box.dovecot()
    d.ok("SELECT INBOX")
    d.ok("STORE 2 +FLAGS (\\Flagged)")
    box.add(piece(4))
    d.ok("NOOP")
    for pid in proc.tree(box.pair.dovecot.process.pid):
        if proc.comm(pid) == "imap":
            os.kill(pid, signal.SIGKILL)
    box.pair.ours.new_log()
    c = box.ours()
    seen = agree.facts(c, "INBOX")
    c.logout()
    assert sorted(seen["messages"]) == [1, 2, 3, 4]
    assert "warning" not in box.pair.ours.new_log()
    box.pair.dovecot.complaints()


def test_b18_list(box):
    # Not ok.lock: for that Dovecot waits.
    for name in ("ok", "inbox", ".hidden", "a.lock", "b.lock", "empty"):
        box.write("mail/" + name, b"" if name == "empty" else piece(1))
    box.write("mail/notmbox", b"hello\n")
    os.mkdir(box.path("mail/dir"))
    os.mkdir(box.path("mail/.imap"))
    for name in ("dir", ".imap"):
        os.chown(box.path("mail/" + name), box.uid, box.uid)
    box.write("mail/dir/inner", piece(1))
    c = box.ours()
    shown = set(agree.names(c)) - agree.ON_FIRST_USE
    c.logout()
    d = box.dovecot()
    assert shown == set(agree.names(d))
    d.logout()
    assert {"INBOX", "ok", ".hidden", "notmbox", "empty", "dir",
            "dir/inner"} == shown


@pytest.mark.parametrize("text,want", [
    ("V\t2\n\nok\ndir\tinner\n", "V\t2\n\nok\ndir\tinner\nQ\ta\n"),
    ("ok\ndir/inner\nnonexist\n", "ok\ndir/inner\nnonexist\nQ/a\n")])
def test_b19_subscriptions(box, text, want):
    box.write("mail/.subscriptions", text)
    c = box.ours()
    c.ok("SUBSCRIBE Q/a")
    lsub = set(agree.names(c, "LSUB"))
    c.logout()
    assert box.read("mail/.subscriptions") == want
    assert {"ok", "dir/inner", "Q/a"} <= lsub
    d = box.dovecot()
    assert set(agree.names(d, "LSUB")) == lsub
    d.ok("UNSUBSCRIBE Q/a")
    d.logout()
    c = box.ours()
    assert set(agree.names(c, "LSUB")) == lsub - {"Q/a"}
    c.logout()
    assert box.read("mail/.subscriptions") == text


def test_b20_b21_rename_inbox_keeps_the_file(box):
    box.add(piece(1) + piece(2))
    os.chmod(box.path("in/box"), 0o640)
    first = os.stat(box.path("in/box"))

    def same():
        now = os.stat(box.path("in/box"))
        return [(x.st_ino, x.st_uid, x.st_gid, stat.S_IMODE(x.st_mode))
                for x in (first, now)]
    do(box, "ours", "STORE 1 +FLAGS (\\Seen kw)", "STORE 2 +FLAGS (\\Deleted)")
    assert len(set(same())) == 1
    do(box, "ours", "EXPUNGE")
    assert len(set(same())) == 1
    c = box.ours()
    c.append("INBOX", msg(3).replace(b"\n", b"\r\n"))
    c.ok("RENAME INBOX old")
    assert len(set(same())) == 1
    assert b"(MESSAGES 0)" in c.ok("STATUS INBOX (MESSAGES)")[0]
    assert b"(MESSAGES 2)" in c.ok("STATUS old (MESSAGES)")[0]
    c.logout()
    box.add(piece(4))
    box.agree(("INBOX", "old"))
    assert len(set(same())) == 1


def test_b23_new_mail_is_still_new_to_shells(box):
    box.add(piece(1))
    box.agree()
    box.add(piece(2))
    st = os.stat(box.path("in/box"))
    os.utime(box.path("in/box"), (st.st_mtime - 10, st.st_mtime))
    c = box.ours()
    c.ok("EXAMINE INBOX")
    c.ok("FETCH 1:* (FLAGS BODY.PEEK[])")
    c.logout()
    now = os.stat(box.path("in/box"))
    assert now.st_mtime > now.st_atime


# ---- L: locks ----------------------------------------------------------------

def test_l4_everybody_at_once(box):
    """Ours, Dovecot and deliveries: nothing is lost or doubled."""
    box.add(piece(1))
    box.agree()
    errors = []

    def client(which, n):
        try:
            c = box.of(which)
            c.ok("SELECT INBOX")
            for i in range(n):
                c.append("INBOX", msg(i % 9 + 1).replace(b"\n", b"\r\n"))
                c.ok("STORE 1 %sFLAGS (\\Flagged)" % "+-"[i % 2])
            c.logout()
        except Exception as e:  # pylint: disable=broad-except
            errors.append(e)
    threads = [threading.Thread(target=client, args=(w, 12))
               for w in ("ours", "dovecot")]
    for t in threads:
        t.start()
    for i in range(20):
        box.add(piece(i + 2))
        time.sleep(0.02)
    for t in threads:
        t.join()
    assert errors == []
    data = box.bytes()
    assert b"\0" not in data and not os.path.exists(box.path("in/box.lock"))
    box.pair.dovecot.complaints()  # "unexpectedly corrupted" is allowed
    seen = box.agree()["INBOX"]
    assert len(seen["messages"]) == 1 + 24 + 20


def test_l6_lets_others_have_fcntl_while_it_waits(box):
    box.add(piece(1) + piece(2))
    box.agree()
    box.write("in/box.lock", b"1:another.host.example")
    c = box.ours()
    c.ok("SELECT INBOX")
    c.send("a STORE 1 +FLAGS (\\Deleted)\r\nb EXPUNGE\r\n")
    got = 0
    end = time.monotonic() + 20
    while got < 3 and time.monotonic() < end:
        with open(box.path("in/box"), "r+b") as f:
            try:
                fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
                got += 1
            except OSError:
                pass
        time.sleep(0.05)
    assert got == 3
    assert len(re.findall(rb"(?m)^From a@b", box.bytes())) == 2
    os.unlink(box.path("in/box.lock"))
    assert c.finish(b"a", 60)[0] == "OK"
    assert c.finish(b"b", 60)[0] == "OK"
    c.logout()
    assert uids(box.agree()) == [2]


def test_l7_the_other_order(box):
    """Somebody takes the dotlock first: nobody waits for ever."""
    box.add(piece(1) + piece(2))
    box.agree()
    stop, worst = threading.Event(), []

    def other():
        while not stop.is_set():
            begun = time.monotonic()
            while True:
                try:
                    os.close(os.open(box.path("in/box.lock"), os.O_CREAT |
                                     os.O_EXCL | os.O_WRONLY, 0o644))
                    break
                except FileExistsError:
                    time.sleep(0.002)
            with open(box.path("in/box"), "r+b") as f:
                fcntl.lockf(f, fcntl.LOCK_EX)
            os.unlink(box.path("in/box.lock"))
            worst.append(time.monotonic() - begun)
            time.sleep(0.001)
    t = threading.Thread(target=other)
    t.start()
    try:
        c = box.ours()
        c.ok("SELECT INBOX")
        for i in range(40):
            c.ok("STORE 1 %sFLAGS (\\Seen)" % "+-"[i % 2])
            c.append("INBOX", msg(i % 9 + 1).replace(b"\n", b"\r\n"))
        c.logout()
    finally:
        stop.set()
        t.join()
    assert len(worst) > 10
    assert len(box.agree()["INBOX"]["messages"]) == 42


# ---- U: UW's c-client --------------------------------------------------------

@needs_cclient
def test_u1_as_cclient_leaves_it(box):
    box.add(piece(1) + piece(2) + piece(3))
    cclient.run(box, "in/box", "list")
    cclient.run(box, "in/box", "flag", "1",
                "\\Flagged \\Deleted \\Seen kwA")
    v, last, theirs = cclient.look(box)
    seen = box.agree()["INBOX"]
    assert (seen["uidvalidity"], seen["uidnext"]) == (v, last + 1)
    assert {u: x[1] for u, x in seen["messages"].items()} == {
        u: x[1] for u, x in theirs.items()}
    assert theirs[1][1] == {"\\Flagged", "\\Deleted", "\\Seen", "kwA"}


@needs_cclient
def test_u2_u5_as_we_leave_it(box):
    box.add(piece(1) + piece(2) + piece(3))
    do(box, "ours", "STORE 2 +FLAGS (\\Answered kwB)",
       "STORE 1 +FLAGS (\\Deleted)", "EXPUNGE")
    c = box.ours()
    c.append("INBOX", msg(4).replace(b"\n", b"\r\n"), "(\\Draft kwC)")
    seen = agree.facts(c, "INBOX")
    c.logout()
    v, last, theirs = cclient.look(box)
    assert (v, last + 1) == (seen["uidvalidity"], seen["uidnext"])
    assert {u: x[1] for u, x in theirs.items()} == {
        u: x[1] for u, x in seen["messages"].items()}
    # All goes; what remembers the identity is hidden from all three.
    do(box, "ours", "STORE 1:* +FLAGS (\\Deleted)", "EXPUNGE")
    box.when(lambda d: b"X-IMAP: " in d)
    assert cclient.look(box) == (v, last, {})
    assert box.agree()["INBOX"]["messages"] == {}
    cclient.run(box, "in/box", "append", _message(box), "\\Seen", "1")
    v2, last2, theirs = cclient.look(box)
    assert (v2, last2, set(theirs)) == (v, last + 1, {last + 1})
    assert uids(box.agree()) == [last + 1]


def _message(box):
    box.write("one", msg(5).replace(b"\n", b"\r\n"))
    return box.path("one")


@needs_cclient
def test_u4_appended_by_cclient(box):
    box.add(piece(1))
    before = box.agree()["INBOX"]
    cclient.run(box, "in/box", "append", _message(box), "\\Seen", "2")
    seen = box.agree()
    assert uids(seen) == [1, 2, 3]
    assert seen["INBOX"]["uidvalidity"] == before["uidvalidity"]
    assert flags(seen, 2) == flags(seen, 3) == {"\\Seen"}
    c = box.ours()
    c.ok("EXAMINE INBOX")
    assert b"Status" not in c.fetch("2 BODY.PEEK[]")[2]
    c.logout()


@needs_cclient
def test_l5_cclient_appends_while_we_rewrite(box):
    """Its lock is flock() and the dotlock: the dotlock keeps us apart."""
    box.add(b"".join(piece(i) for i in range(1, 30)))
    box.agree()
    other = cclient.start(box, "in/box", "append", _message(box), "", 40)
    c = box.ours()
    c.ok("SELECT INBOX")
    gone = 0
    while other.poll() is None:
        if gone < 25:
            c.ok("UID STORE %d +FLAGS (\\Deleted)" % (gone + 1))
            c.ok("EXPUNGE")
            gone += 1
        c.ok("NOOP")
    out, err = other.communicate(timeout=60)
    assert other.returncode == 0, (out, err)
    c.logout()
    assert len(box.agree()["INBOX"]["messages"]) == 29 - gone + 40
    assert len(cclient.look(box)[2]) == 29 - gone + 40


@needs_cclient
@pytest.mark.parametrize("seed", range(2))
def test_r1_turns_with_cclient(box, seed):
    """Ours, Dovecot and c-client one after the other: the same to each."""
    import random  # pylint: disable=import-outside-toplevel
    r = random.Random(seed)
    box.add(b"".join(piece(i) for i in range(1, 8)))
    known = {}
    v = box.agree()["INBOX"]["uidvalidity"]
    for step in range(8):
        which = r.choice(("ours", "dovecot", "cclient", "mail"))
        if which == "mail":
            box.add(piece(10 + step))
        elif which == "cclient":
            cclient.run(box, "in/box", "flag", "%d" % r.randint(1, 3),
                        r.choice(("\\Seen", "\\Deleted", "kw%d" % step)))
            if r.random() < 0.5:
                cclient.run(box, "in/box", "expunge")
            else:
                cclient.run(box, "in/box", "append", _message(box), "", "1")
        else:
            do(box, which, "STORE 1 +FLAGS (%s)" % r.choice(
                ("\\Answered", "\\Deleted", "kw%d" % step)),
               r.choice(("NOOP", "EXPUNGE")))
        c = box.ours()
        seen = agree.facts(c, "INBOX")
        c.logout()
        assert seen["uidvalidity"] == v
        for uid, m in seen["messages"].items():
            assert known.setdefault(uid, m[4]) == m[4], (seed, step, uid)
        theirs = cclient.look(box)
        assert theirs[0] == v
        assert {u: x[1] for u, x in theirs[2].items()} == {
            u: x[1] for u, x in seen["messages"].items()}
    box.agree(first="dovecot")


@pytest.mark.parametrize("box", ["uw"], indirect=True)
def test_u6_mailboxlist(box):
    box.write(".mailboxlist", "mail/work\nINBOX\n")
    box.write("mail/work", piece(1))
    box.add(piece(2))
    c = box.ours()
    assert set(agree.names(c, "LSUB")) == {"mail/work", "INBOX"}
    assert b"* 1 EXISTS" in c.ok("EXAMINE mail/work")
    c.ok("SUBSCRIBE mail/more")
    listed = agree.names(c)
    c.logout()
    assert box.read(".mailboxlist") == "mail/work\nINBOX\nmail/more\n"
    assert ".mailboxlist" not in listed and "mail/work" in listed
    assert not os.path.exists(box.path(".subscriptions"))


def test_mailboxlist_of_another_root(box):
    """UW's list with Debian's root ~/mail: taken over once."""
    text = "mail/work\nINBOX\nelsewhere\nmail/a/b\nmail/\nmailx\n"
    box.write(".mailboxlist", text)
    c = box.ours()
    assert set(agree.names(c, "LSUB")) == {"work", "INBOX", "a/b"}
    c.ok("UNSUBSCRIBE work")
    c.logout()
    assert box.read("mail/.subscriptions") == "V\t2\n\nINBOX\na\tb\n"
    assert box.read(".mailboxlist") == text
    c = box.ours()
    assert set(agree.names(c, "LSUB")) == {"INBOX", "a/b"}
    c.logout()
    d = box.dovecot()
    assert set(agree.names(d, "LSUB")) == {"INBOX", "a/b"}
    d.logout()
