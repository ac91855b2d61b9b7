# SPDX-License-Identifier: ISC
"""INBOX in a spool that only the group mail may write to: users' processes
lock through spoold."""
import contextlib
import fcntl
import os
import re
import signal
import socket
import stat
import subprocess
import threading
import time

import pytest

from lib import proc, restante, server

PIECE = (b"From a@b Mon Mar  2 10:01:00 2026\n"
         b"From: a@example.org\nSubject: msg %d\n\nhello %d\n\n")
MSG = b"Subject: appended\r\n\r\nhello\r\n"

pytestmark = pytest.mark.skipif(
    not server.is_root(), reason="needs root: users apart from the server")


class Spool(restante.Restante):
    def box(self, user):
        return os.path.join(self.spool, user)

    def lock_path(self, user):
        return self.box(user) + ".lock"

    def put(self, user, n):
        """Mail as a delivery agent of root makes it."""
        with open(self.box(user), "wb") as f:
            f.write(b"".join(PIECE % (i, i) for i in range(1, n + 1)))
        os.chmod(self.box(user), 0o660)
        os.chown(self.box(user), self.uid_of(user), restante.SPOOL_GID)

    @contextlib.contextmanager
    def locked(self, user, mode):
        """As Debian's policy has it: fcntl, then the dotlock."""
        with open(self.box(user), mode) as f:
            while True:
                fcntl.lockf(f, fcntl.LOCK_EX)
                try:
                    fd = os.open(self.lock_path(user),
                                 os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
                except FileExistsError:
                    fcntl.lockf(f, fcntl.LOCK_UN)
                    time.sleep(0.01)
                    continue
                break
            os.write(fd, b"%d" % os.getpid())
            os.close(fd)
            try:
                yield f
                f.flush()
            finally:
                os.unlink(self.lock_path(user))

    def deliver_locked(self, user, n):
        with self.locked(user, "ab") as f:
            f.write(PIECE % (n, n))


@pytest.fixture(scope="module")
def s():
    r = Spool(users=["ann", "ben", "cat"], separate=True)
    r.settings["mail_location"] = "mbox:~/mail:INBOX=%s/%%u" % r.spool
    r.settings["log_level"] = "debug"
    try:
        r.start()
        r.wait_pids("spoold", lambda pids: pids)
        yield r
    finally:
        r.stop()
        r.remove()


def watch_lock(s, user, seen, over):
    """Who owned the lock while it was there."""
    while not over.is_set():
        try:
            st = os.stat(s.lock_path(user))
            with open(s.lock_path(user)) as f:
                seen.add((st.st_uid, st.st_gid, f.read()))
        except OSError:
            pass


def wait_unlocked(s, user, timeout=10):
    """UNLOCK is not answered: it may be under way."""
    end = time.monotonic() + timeout
    while os.path.exists(s.lock_path(user)):
        assert time.monotonic() < end, s.log()[-2000:]
        time.sleep(0.01)


def again(s, user, timeout=15):
    """A login after the user's process was killed."""
    end = time.monotonic() + timeout
    while True:
        try:
            return s.imap(user)
        except (AssertionError, EOFError, OSError):
            assert time.monotonic() < end
            time.sleep(0.1)


def subjects(c):
    return sorted(r.split(b"msg ")[1].split(b"\r")[0] for r in c.fetch(
        "1:* BODY.PEEK[HEADER.FIELDS (SUBJECT)]").values() if b"msg " in r)


def test_flags_append_expunge(s):
    s.put("ann", 30)
    seen, over = set(), threading.Event()
    t = threading.Thread(target=watch_lock, args=(s, "ann", seen, over))
    t.start()
    try:
        c = s.imap("ann")
        assert b"* 30 EXISTS" in c.ok("SELECT INBOX")
        for i in range(1, 11):
            c.ok("STORE %d +FLAGS (\\Seen)" % i)
        c.append("INBOX", MSG)
        c.ok("STORE 2,4 +FLAGS (\\Deleted)")
        c.ok("EXPUNGE")
        c.ok("CHECK")
        s.deliver_locked("ann", 77)
        assert b"* 30 EXISTS" in c.ok("NOOP")
    finally:
        over.set()
        t.join()
    wait_unlocked(s, "ann")
    st = os.stat(s.box("ann"))
    assert (st.st_uid, st.st_gid) == (s.uid_of("ann"), restante.SPOOL_GID)
    imapd = [r["pid"] for r in s.ctl("who", "--json")["rows"]
             if r["user"] == "ann"]
    # a moment between link and chown may be seen, nothing else
    # (but our own)
    seen = {x for x in seen if x[2] != str(os.getpid())}
    texts = {text for _, _, text in seen if text}
    assert texts == {"%d:%s" % (imapd[0], socket.gethostname())}
    assert {gid for _, gid, _ in seen} == {restante.SPOOL_GID}
    assert s.uid_of("ann") in {uid for uid, _, _ in seen}
    assert "fcntl alone" not in s.log()


def test_no_spool_file_yet(s):
    path = s.box("ben")
    assert not os.path.exists(path)
    c = s.imap("ben")
    assert b"* 0 EXISTS" in c.ok("SELECT INBOX")
    c.append("INBOX", MSG)
    assert b"* 1 EXISTS" in s.imap("ben").ok("EXAMINE INBOX")
    st = os.stat(path)
    assert (st.st_uid, st.st_gid) == (s.uid_of("ben"), restante.SPOOL_GID)
    assert stat.S_IMODE(st.st_mode) == 0o660


def test_imap_and_pop3_and_delivery(s):
    """Both processes of the user and an outsider write for a while."""
    s.put("cat", 100)
    over, fails = threading.Event(), []

    def work(fn):
        def loop():
            try:
                while not over.is_set():
                    fn()
            except Exception as e:  # told below
                fails.append(e)
        return threading.Thread(target=loop)

    c = s.imap("cat")
    c.ok("SELECT INBOX")
    put, gone = {b"hello %d" % i for i in range(1, 101)}, []
    counts = {"append": 0, "deliver": 0, "pop3": 0}

    def append():
        mark = b"hello %d" % (20000 + counts["append"])
        c.append("INBOX", b"Subject: appended\r\n\r\n%s\r\n" % mark)
        put.add(mark)
        counts["append"] += 1
        c.ok("STORE 1 FLAGS (\\Seen)" if counts["append"] % 2 else
             "STORE 1 FLAGS ()")

    def deliver():
        n = 10000 + counts["deliver"]
        s.deliver_locked("cat", n)
        put.add(b"hello %d" % n)
        counts["deliver"] += 1
        time.sleep(0.02)

    def pop3():
        p = s.pop3("cat")
        mark, = [x for x in p.multi("TOP 1 5") if x.startswith(b"hello ")]
        p.ok("DELE 1")
        p.ok("QUIT")
        gone.append(mark)
        counts["pop3"] += 1
        p.close()
        time.sleep(0.01)

    threads = [work(f) for f in (append, deliver, pop3)]
    for t in threads:
        t.start()
    time.sleep(2)
    over.set()
    for t in threads:
        t.join(60)
        assert not t.is_alive()
    assert not fails, (fails, s.log()[-3000:])
    assert min(counts.values()) > 0, counts
    with s.locked("cat", "r+b") as f:
        text = f.read()
    # none doubled, none lost, and each DELE has removed its message
    assert sorted(re.findall(rb"^hello \d+", text, re.M)) == \
        sorted(put - set(gone)), (counts, gone)
    assert len(set(gone)) == len(gone) == counts["pop3"]
    assert text.count(b"\n\nFrom ") + 1 == len(put) - len(gone)
    d, end = s.imap("cat"), time.monotonic() + 30
    # while pop3d still writes, what imapd knows will do
    while b"* %d EXISTS" % (len(put) - len(gone)) not in \
            d.ok("EXAMINE INBOX"):
        assert time.monotonic() < end, counts
        time.sleep(0.1)


def test_held_by_another(s):
    """A lock that stays: others of the user go on, the log says who has it."""
    s.put("ann", 5)
    c, d = s.imap("ann"), s.imap("ann")
    c.ok("SELECT INBOX")
    d.ok("CREATE Work")
    sleeper = subprocess.Popen(["sleep", "100"])
    with open(s.lock_path("ann"), "w") as f:
        f.write("%d:%s" % (sleeper.pid, socket.gethostname()))
    tag = c.start("APPEND INBOX {%d+}\r\n%s" % (len(MSG), MSG.decode()))
    time.sleep(0.3)
    assert c.is_silent(0.2)
    sleeper.kill()
    sleeper.wait()
    # its process has gone: it is stale
    os.utime(s.lock_path("ann"), (time.time() - 5,) * 2)
    assert c.finish(tag, 30)[0] == "OK"
    wait_unlocked(s, "ann")
    d.ok("NOOP")


def test_spoold_killed(s):
    """Again and again, while mail is changed: nothing is lost, and locks do
    not stay."""
    s.put("ann", 10)
    c = s.imap("ann")
    c.ok("SELECT INBOX")
    killed = 0
    for i in range(12):
        if i % 3 == 0:
            pids = s.wait_pids("spoold", lambda pids: pids)
            os.kill(pids[0], signal.SIGKILL)
            killed += 1
        c.append("INBOX", MSG)
        c.ok("STORE 1 %sFLAGS (\\Seen)" % "+-"[i % 2])
    assert killed == 4
    assert b"* 22 EXISTS" in s.imap("ann").ok("EXAMINE INBOX")
    s.wait_pids("spoold", lambda pids: pids)
    c.ok("STORE 1 +FLAGS (\\Flagged)")
    wait_unlocked(s, "ann")


def test_process_killed_with_the_lock(s):
    """imapd dies: its lock goes with it."""
    s.put("ann", 2000)
    c = s.imap("ann")
    c.ok("SELECT INBOX")
    pid = [r["pid"] for r in s.ctl("who", "--json")["rows"]
           if r["user"] == "ann"][0]
    c.ok("STORE 1:500 +FLAGS.SILENT (\\Deleted)")
    c.start("EXPUNGE")
    end = time.monotonic() + 2
    while not os.path.exists(s.lock_path("ann")) and time.monotonic() < end:
        pass
    os.kill(pid, signal.SIGKILL)
    wait_unlocked(s, "ann")
    s.close_all()
    d = again(s, "ann")
    d.ok("SELECT INBOX")
    d.ok("UID STORE 1:* +FLAGS.SILENT (\\Flagged)")
    n = len(d.fetch("1:* UID"))
    assert n in (1500, 2000) or 1500 <= n <= 2000
    assert set(subjects(d)) >= {b"%d" % i for i in range(501, 2001)}


def test_reload_with_another_spool(s):
    """spoold is started anew with what is configured then."""
    old = s.wait_pids("spoold", lambda pids: pids)
    s.ctl("reload")
    assert s.pids("spoold") == old
    before = dict(s.settings)
    try:
        s.settings["spool_dir"] = os.path.join(s.dir, "run")
        s.write()
        s.ctl("reload")
        s.wait_pids("spoold", lambda pids: pids and pids != old)
    finally:
        s.settings = before
        s.write()
        s.ctl("reload")
    s.wait_pids("spoold", lambda pids: pids)
    c = s.imap("ben")
    c.append("INBOX", MSG)


assert proc
