# SPDX-License-Identifier: ISC
"""Locks of mbox files against the programs that take them."""
import os
import shutil
import subprocess
import sys
import time

import pytest
from lib import restante

MSG = b"Subject: new\r\n\r\nnew\r\n"
OLD = (b"From a@b Mon Mar  2 10:01:00 2026\nSubject: old\n"
       b"Message-ID: <old@x>\n\nold\n\n")

FCNTL = """
import fcntl, sys
f = open(sys.argv[1], "r+b")
fcntl.lockf(f, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
"""


class Fcntl:
    """A program that has the kernel's record lock."""
    locks = "fcntl dotlock"

    def __init__(self, path):
        self.p = subprocess.Popen([sys.executable, "-c", FCNTL, path],
                                  stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE)
        assert self.p.stdout.readline() == b"locked\n"

    def release(self):
        self.p.stdin.close()
        self.p.wait(30)
        self.p.stdout.close()


class Flock(Fcntl):
    """flock(1)."""
    needs, locks = "flock", "dotlock flock"

    def __init__(self, path):
        self.p = subprocess.Popen(["flock", path, "-c", "echo locked; cat"],
                                  stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE)
        assert self.p.stdout.readline() == b"locked\n"


class Lockfile:
    """procmail's lockfile(1)."""
    needs, locks = "lockfile", "fcntl dotlock"

    def __init__(self, path):
        self.path = path + ".lock"
        subprocess.run(["lockfile", "-r0", self.path], check=True)

    def release(self):
        os.unlink(self.path)


class MuttDotlock:
    needs, locks = "mutt_dotlock", "fcntl dotlock"

    def __init__(self, path):
        self.path = path
        subprocess.run(["mutt_dotlock", "-r0", path], check=True)
        assert os.path.exists(path + ".lock")

    def release(self):
        subprocess.run(["mutt_dotlock", "-u", self.path], check=True)


HOLDERS = [Fcntl, Flock, Lockfile, MuttDotlock]


class Server:
    def __init__(self, **settings):
        self.s = restante.Restante(users=["joe"], settings=settings)
        self.box = os.path.join(self.s.spool, "joe")
        self.s.extra = {
            "joe": "userdb_mail=mbox:~/mail:INBOX=%s/joe" % self.s.spool}
        self.s.write_passwd()
        with open(self.box, "wb") as f:
            f.write(OLD)
        self.s.own(self.box, "joe")
        self.s.start()

    def close(self):
        try:
            self.s.stop()
        finally:
            self.s.remove()


def start_append(c):
    return c.start(b"APPEND INBOX {%d+}\r\n%s" % (len(MSG), MSG))


@pytest.mark.parametrize("holder", HOLDERS, ids=lambda h: h.__name__)
def test_waits(holder):
    """A change waits; other sessions of the user work on; then it is made."""
    if getattr(holder, "needs", None) and not shutil.which(holder.needs):
        pytest.skip("no " + holder.needs)
    server = Server(mbox_write_locks=holder.locks.split())
    try:
        a, b = server.s.imap("joe"), server.s.imap("joe")
        a.ok("NOOP")
        b.ok("CREATE other")
        b.ok("SELECT other")
        other = holder(server.box)
        try:
            tag = start_append(a)
            for _ in range(5):
                b.append("other", MSG)
                b.ok("NOOP")
            with open(server.box, "rb") as f:
                assert b"Subject: new" not in f.read()
        finally:
            other.release()
        status, text, _ = a.finish(tag)
        assert status == "OK", text
        with open(server.box, "rb") as f:
            assert f.read().count(b"Subject: new\n") == 1
        assert not os.path.exists(server.box + ".lock")
    finally:
        server.close()


def test_time_limit():
    """Refused after the time that is set; the log says who has the lock."""
    if not shutil.which("lockfile"):
        pytest.skip("no lockfile")
    server = Server(mbox_lock_timeout="1s")
    try:
        c = server.s.imap("joe")
        with open(server.box + ".lock", "w", encoding="ascii") as f:
            f.write("%d" % os.getpid())
        begun = time.monotonic()
        status, text, _ = c.finish(start_append(c))
        assert status == "NO" and text.startswith(b"[INUSE]"), text
        assert time.monotonic() - begun >= 0.9
        log = server.s.log()
        assert "waited 1 s" in log and "process %d" % os.getpid() in log
        os.unlink(server.box + ".lock")
        c.append("INBOX", MSG)
    finally:
        server.close()


def test_wrong_setting():
    server = restante.Restante(
        users=["joe"], settings={"mbox_write_locks": "fcntl link"})
    try:
        with pytest.raises(Exception):
            server.start()
    finally:
        server.remove()
