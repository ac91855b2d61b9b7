# SPDX-License-Identifier: ISC
"""Mail in mbox files, by IMAP and POP3."""
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
    os.makedirs(spool)
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
