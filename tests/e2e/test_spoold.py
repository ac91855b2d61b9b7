# SPDX-License-Identifier: ISC
"""spoold alone: it locks the file of the user whose channel it is, in the
spool, and does nothing else, whatever a process asks (security.md 7.3)."""
import os
import signal
import socket
import stat
import subprocess
import time

import pytest

from lib import server, spool
from lib.authd import Gone, STR, encode
from lib.login import STOP
from lib.spool import BUSY, HELD, LOCK, REFUSED

ERR_PERM = 10


@pytest.fixture
def d():
    s = spool.Spoold()
    yield s
    s.stop()


@pytest.fixture
def sleeper():
    """A process that lives, to stand in a lock."""
    p = subprocess.Popen(["sleep", "1000"])
    yield p
    p.kill()
    p.wait()


def wait_for(test, timeout=10):
    end = time.monotonic() + timeout
    while not test():
        assert time.monotonic() < end
        time.sleep(0.01)


def content(path):
    with open(path) as f:
        return f.read()


def test_lock_and_unlock(d, sleeper):
    u = d.user("ann", sleeper.pid)
    lock = d.path("ann.lock")
    for _ in range(3):
        kind, values = u.lock()
        assert kind == HELD
        st = os.stat(lock)
        assert values == [st.st_dev, st.st_ino]
        assert content(lock) == "%d:%s" % (sleeper.pid, socket.gethostname())
        if server.is_root():
            assert (st.st_uid, st.st_gid) == (u.uid, spool.SPOOL_GID)
        u.unlock()
        wait_for(lambda: not os.path.exists(lock))
    # the mailbox itself was not asked for, and nothing else is left behind
    assert os.listdir(d.spool) == []


def test_creates_the_mailbox(d, sleeper):
    u = d.user("ann", sleeper.pid)
    assert u.lock(create=True)[0] == HELD
    st = os.stat(d.path("ann"))
    assert st.st_size == 0 and stat.S_IMODE(st.st_mode) == 0o660
    if server.is_root():
        assert (st.st_uid, st.st_gid) == (u.uid, spool.SPOOL_GID)
    u.unlock()
    with open(d.path("ann"), "w") as f:
        f.write("mail")
    assert u.lock(create=True)[0] == HELD
    assert content(d.path("ann")) == "mail"


def test_one_of_two(d, sleeper):
    """imapd and pop3d of one user; and others are not held up."""
    a = d.user("ann", sleeper.pid)
    b = d.user("ann", os.getpid())
    other = d.user("bob", os.getppid())
    assert a.lock()[0] == HELD
    kind, (retry_ms, holder) = b.lock()
    assert kind == BUSY and 0 < retry_ms <= 1000
    assert "process %d of host %s" % (
        sleeper.pid, socket.gethostname()) in holder
    assert other.lock()[0] == HELD
    a.unlock()
    wait_for(lambda: b.lock()[0] == HELD)


def test_many_wait(d, sleeper):
    """Each gets it in the end, and never two at once."""
    users = [d.user("ann", sleeper.pid)]
    users += [d.user("ann", 1000000 + i) for i in range(20)]
    done, holder, asking = 0, None, set()
    end = time.monotonic() + 20
    while done < len(users):
        assert time.monotonic() < end
        for u in users:
            if u in asking or u is holder or u.ticket == -1:
                continue
            u.ask()
            asking.add(u)
        for u in list(asking):
            kind, _ = u.answer()
            asking.remove(u)
            if kind == HELD:
                assert holder is None
                holder = u
        if holder:
            holder.unlock()
            holder.close()
            users.remove(holder)
            holder = None
            continue
    # processes with numbers that nobody has: their locks are stale at once
    assert not users


def test_goes_with_its_process(d, sleeper):
    a = d.user("ann", sleeper.pid)
    assert a.lock()[0] == HELD
    a.close()
    wait_for(lambda: not os.path.exists(d.path("ann.lock")))
    b = d.user("ann", os.getpid())
    assert b.lock()[0] == HELD
    # a new channel of the same process: the old one is over
    c = d.user("ann", os.getpid())
    b.forget()
    with pytest.raises(Gone):
        b.chan.recv()
    assert c.lock()[0] == HELD


def put_lock(d, text, age_s=0):
    path = d.path("ann.lock")
    with open(path, "w") as f:
        f.write(text)
    os.utime(path, (time.time() - age_s,) * 2)
    return path


def test_foreign_locks(d, sleeper):
    u = d.user("ann", os.getpid())
    host = socket.gethostname()
    # somebody else's who lives
    path = put_lock(d, "%d:%s" % (sleeper.pid, host), 5000)
    assert u.lock()[0] == BUSY
    u.unlock()  # means nothing
    u.touch()
    assert u.lock()[0] == BUSY
    # another host's
    put_lock(d, "%d:elsewhere.example" % sleeper.pid, 5000)
    kind, (_, holder) = u.lock()
    assert kind == BUSY and "of host elsewhere.example" in holder
    put_lock(d, "")
    assert u.lock()[0] == BUSY
    os.chmod(path, 0)  # as Postfix makes them
    assert u.lock()[0] == BUSY
    os.chmod(path, 0o644)
    # its process has gone
    dead = subprocess.Popen(["true"])
    dead.wait()
    put_lock(d, "%d:%s" % (dead.pid, host), 5)
    wait_for(lambda: u.lock()[0] == HELD)
    # broken by somebody: what lies there now is not removed
    put_lock(d, "1:elsewhere.example")
    os.rename(path, path + ".old")
    put_lock(d, "1:elsewhere.example")
    u.unlock()
    assert u.lock()[0] == BUSY
    assert os.path.exists(path)


def test_touch(d, sleeper):
    u = d.user("ann", sleeper.pid)
    assert u.lock()[0] == HELD
    os.utime(d.path("ann.lock"), (1000000000, 1000000000))
    u.touch()
    wait_for(lambda: os.stat(d.path("ann.lock")).st_mtime > 1000000000)
    assert content(d.path("ann.lock")).startswith("%d:" % sleeper.pid)


def test_next_spoold_goes_on(d, sleeper):
    """Killed while a lock is held: the lock stays, the next one has it."""
    u = d.user("ann", sleeper.pid)
    kind, (dev, ino) = u.lock()
    assert kind == HELD
    os.kill(d.child.pid, signal.SIGKILL)
    d.end(keep=True)
    assert os.path.exists(d.path("ann.lock"))
    d.start()
    other = d.user("ann", os.getpid())
    assert other.lock()[0] == BUSY
    # another process can not have it by its number
    other.unlock(dev, ino)
    other.touch(dev, ino)
    assert other.lock()[0] == BUSY
    u.offer(d)
    os.utime(d.path("ann.lock"), (1000000000, 1000000000))
    u.touch(dev, ino)
    wait_for(lambda: os.stat(d.path("ann.lock")).st_mtime > 1000000000)
    assert u.lock() == (HELD, [dev, ino])
    u.unlock(dev, ino)
    wait_for(lambda: not os.path.exists(d.path("ann.lock")))
    assert other.lock()[0] == HELD


@pytest.mark.parametrize("how", ["unlock", "wrong unlock", "lock", "gone"])
def test_next_spoold_finds_locks(d, sleeper, how):
    """Whatever it hears first of a process whose lock it has not made."""
    u = d.user("ann", sleeper.pid)
    kind, (dev, ino) = u.lock()
    os.kill(d.child.pid, signal.SIGKILL)
    d.end(keep=True)
    # it waits in the channel until there is somebody
    if how == "unlock":
        u.unlock(dev, ino)
    elif how == "wrong unlock":
        u.unlock(dev, ino + 1)
    elif how == "lock":
        u.ask()
    d.start()
    u.offer(d)
    if how == "wrong unlock":
        assert u.lock()[0] == HELD
        u.unlock()
    elif how == "lock":
        assert u.answer() == (HELD, [dev, ino])
        u.unlock()
    elif how == "gone":
        u.close()
    wait_for(lambda: not os.path.exists(d.path("ann.lock")))


def test_stop_leaves_locks(d, sleeper):
    u = d.user("ann", sleeper.pid)
    assert u.lock()[0] == HELD
    d.master.send(encode(STOP, (STR, "reload")))
    d.child.wait()
    assert os.path.exists(d.path("ann.lock"))


def test_lives_for_sessions_without_master(d, sleeper):
    a, b = d.user("ann", sleeper.pid), d.user("bob", os.getpid())
    d.master.close()
    assert a.lock()[0] == HELD
    b.close()
    a.unlock()
    assert a.lock()[0] == HELD
    a.close()
    wait_for(lambda: not os.path.exists(d.path("ann.lock")))
    d.child.wait()


# ---- what it does not do ------------------------------------------------------

def test_not_somebody_elses_file(d, sleeper):
    if not server.is_root():
        pytest.skip("needs root")
    with open(d.path("ann"), "w") as f:
        f.write("of another")
    os.chown(d.path("ann"), server.TEST_UID + 1, spool.SPOOL_GID)
    u = d.user("ann", sleeper.pid)
    kind, (code, why) = u.lock(create=True)
    assert (kind, code) == (REFUSED, ERR_PERM) and "belongs to" in why
    os.unlink(d.path("ann"))
    os.symlink("/etc/passwd", d.path("ann"))
    assert u.lock(create=True)[0] == REFUSED
    os.unlink(d.path("ann"))
    os.mkdir(d.path("ann"))
    os.chown(d.path("ann"), u.uid, u.uid)
    assert u.lock(create=True)[0] == REFUSED
    assert not os.path.exists(d.path("ann.lock"))


def test_a_link_as_lock(d, sleeper):
    """A lock that is a link is neither followed nor written through."""
    victim = os.path.join(d.dir, "victim")
    with open(victim, "w") as f:
        f.write("1:%s" % socket.gethostname())
    os.symlink(victim, d.path("ann.lock"))
    u = d.user("ann", sleeper.pid)
    assert u.lock()[0] == BUSY
    st = os.stat(victim)
    u.touch(st.st_dev, st.st_ino)
    u.unlock(st.st_dev, st.st_ino)
    assert u.lock()[0] == BUSY
    assert content(victim) == "1:%s" % socket.gethostname()


@pytest.mark.parametrize("data", [
    b"", b"\x01", b"\x01\x00\x00\x91", encode(LOCK), b"\x02\x00\x00\x91",
    encode(spool.CLIENT), encode(spool.HELD), encode(3), encode(6, (STR, "x")),
    encode(spool.UNLOCK, (STR, "bob")), encode(spool.UNLOCK),
    b"\x01\x00\x00\x91" + b"x" * 5000])
def test_nonsense_cuts_off(d, sleeper, data):
    """Master is told; the lock that its process held goes with it; others
    stay."""
    u, other = d.user("ann", sleeper.pid), d.user("bob", os.getpid())
    assert u.lock()[0] == HELD
    assert other.lock()[0] == HELD
    if not data:
        u.chan.sock.shutdown(socket.SHUT_WR)
    else:
        u.chan.send(data)
        assert d.master.recv() == (spool.CUT, [sleeper.pid])
    u.forget()
    with pytest.raises(Gone):
        u.chan.recv()
    wait_for(lambda: not os.path.exists(d.path("ann.lock")))
    other.unlock()
    assert other.lock()[0] == HELD


def test_locking_twice(d, sleeper):
    """An answer may have been lost: it is given again."""
    u = d.user("ann", sleeper.pid)
    first = u.lock()
    assert first[0] == HELD
    assert u.lock() == first
    u.unlock()
    wait_for(lambda: not os.path.exists(d.path("ann.lock")))


def test_a_flood_hurts_nobody(d, sleeper):
    """Thousands of attempts: few are made, and others have their turn."""
    host = socket.gethostname()
    put_lock(d, "%d:%s" % (sleeper.pid, host))
    u, other = d.user("ann", os.getpid()), d.user("bob", sleeper.pid)
    looked = 0
    begin = time.monotonic()
    for _ in range(500):
        kind, (_, holder) = u.lock()
        assert kind == BUSY
        looked += holder != ""
    assert looked <= 50 * (time.monotonic() - begin + 1)
    begin = time.monotonic()
    assert other.lock()[0] == HELD
    assert time.monotonic() - begin < 8
    # who never reads what it is told is cut off
    u.forget()
    with pytest.raises((Gone, BlockingIOError, OSError)):
        u.chan.sock.settimeout(5)
        for _ in range(100000):
            u.ask()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", ".x",
                                  "ann.lock"])
def test_names(name):
    """Master sends none of these; from master they are the end."""
    d = spool.Spoold()
    try:
        d.user(name, 1)
        d.child.wait()
        assert os.listdir(d.spool) == []
    finally:
        d.stop()


def test_without_a_spool():
    d = spool.Spoold(spool="/nonexistent/mail")
    try:
        kind, (code, why) = d.user("ann", os.getpid()).lock()
        assert (kind, code) == (REFUSED, ERR_PERM)
        assert "no spool" in why
    finally:
        d.stop()


def test_without_the_right(d):
    if not server.is_root():
        pytest.skip("needs root")
    os.chmod(d.spool, 0o755)
    kind, (code, _) = d.user("ann", os.getpid()).lock()
    assert (kind, code) == (REFUSED, ERR_PERM)
    # a later one works without anything being started anew
    os.chmod(d.spool, 0o2775)
    assert d.user("bob", os.getppid()).lock(create=True)[0] == HELD


def test_sticky_directory():
    """There a lock can only be removed by its owner: it stays spoold's."""
    d = spool.Spoold(mode=0o3775)
    try:
        u = d.user("ann", os.getpid())
        assert u.lock(create=True)[0] == HELD
        u.unlock()
        wait_for(lambda: not os.path.exists(d.path("ann.lock")))
        assert os.stat(d.path("ann")).st_uid == u.uid
    finally:
        d.stop()
