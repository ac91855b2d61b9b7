# SPDX-License-Identifier: ISC
"""Mail in mbox files, by IMAP and POP3."""
import fcntl
import os
import re

import pytest
from lib import restante

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
    s = restante.Restante(users=users, separate=form == "separate")
    spool = os.path.join(s.dir, "spool")
    os.makedirs(spool, exist_ok=True)
    if form == "plain":
        os.chmod(spool, 0o1777)
    s.extra = {u: "userdb_mail=mbox:~/mail:INBOX=%s/%s" % (spool, u)
               for u in users}
    s.write_passwd()
    try:
        yield s.start()
    finally:
        try:
            s.stop()
        finally:
            s.remove()


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
