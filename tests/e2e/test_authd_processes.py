# SPDX-License-Identifier: ISC
"""authd, its spawner and the children that judge passwords: how they come, stay,
and go."""
import ctypes
import os
import resource
import signal
import time

import pytest

from lib import authd, proc, restante, server
from lib.authd import SLOW, YESCRYPT, Authd, Scram


@pytest.fixture
def start():
    with authd.starting() as begin:
        yield begin


# ---- processes come and go ------------------------------------------------

def next_spawner(a):
    a.start_spawner()
    a.connect()
    a.spawner.master.send(authd.encode(authd.GO))
    assert a.spawner.master.recv()[0] == authd.READY


def test_killed_spawner(start):
    a = start()
    w = a.worker()
    assert w.plain("alice", "secret") == ("ok",)
    os.kill(a.spawner.pid, signal.SIGKILL)
    a.spawner.wait()
    w.start("PLAIN", b"\0alice\0secret")
    time.sleep(0.2)
    next_spawner(a)
    # It has waited for the next one.
    assert w.answer() == ("ok",)


def test_spawner_dies_before_the_child(start):
    """What it had been asked for is asked of the next one; a look-up or a
    second source, too, that begins while there is none."""
    a = start()
    w, other = a.worker(), a.worker()
    assert w.plain("alice", "secret") == ("ok",)
    os.kill(a.spawner.pid, signal.SIGSTOP)
    w.start("PLAIN", b"\0alice\0secret")
    time.sleep(0.2)
    os.kill(a.spawner.pid, signal.SIGKILL)
    a.spawner.wait()
    other.start("PLAIN", b"\0alice\0wrong")
    time.sleep(0.2)
    next_spawner(a)
    assert w.answer() == ("ok",)
    assert other.answer() == ("fail", authd.BAD)


def salt_of(worker, user):
    c = Scram(user, "wrong")
    worker.start("SCRAM-SHA-256", c.first())
    kind, data = worker.answer(2.0)
    assert kind == "more"
    worker.more(c.final(data))
    worker.cancel()
    assert worker.answer()[0] == "fail"
    return c.salt


def test_salts_of_nobody_outlive_the_spawner(start):
    a = start(settings={"auth_penalty": "no", "auth_failure_delay": "0"})
    w = a.worker()
    before = [salt_of(w, u) for u in ("nosuch", "alice")]
    os.kill(a.spawner.pid, signal.SIGKILL)
    a.spawner.wait()
    next_spawner(a)
    assert [salt_of(w, u) for u in ("nosuch", "alice")] == before


def test_penalties_outlive_authd(start):
    a = start(settings={"auth_failure_delay": "0"}, memory=512 * 1024)
    w = a.worker()
    for _ in range(2):
        assert w.plain("alice", "wrong") == ("fail", authd.BAD)
    # one is being judged when it dies: that counts for nobody
    w.start("PLAIN", b"\0alice\0wrong")
    a.broker.end()
    a.start_broker()
    a.connect()
    a.broker.master.send(authd.encode(authd.GO))
    assert a.broker.master.recv()[0] == authd.READY
    w = a.worker()
    begun = time.monotonic()
    assert w.plain("alice", "secret") == ("ok",)
    assert 1.5 < time.monotonic() - begun < 3.8


@pytest.mark.parametrize("size", [0, 4096])
def test_too_little_memory_is_not_used(start, size):
    a = start(settings={"auth_failure_delay": "0"}, memory=size)
    a.log("authd begins without knowing")
    assert a.worker().plain("alice", "secret") == ("ok",)


def test_killed_child(start):
    a = start("slow:%s:3001:3001::/h\nalice:{PLAIN}secret:3001:3001::/h\n" % SLOW)
    w, other = a.worker(), a.worker()
    w.start("PLAIN", b"\0slow\0secret")
    os.kill(authd.wait_for_child(a), signal.SIGKILL)
    assert w.answer() == ("fail", authd.UNAVAILABLE)
    assert other.plain("alice", "secret") == ("ok",)
    a.log("auth child killed by signal 9")


# ---- a child that stays ---------------------------------------------------

def the_child(a):
    """The only child there is, once it is alone."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        found = authd.children_of(a.spawner.pid)
        if len(found) == 1:
            return found[0]
        time.sleep(0.01)
    raise AssertionError(found)


def test_child_stays_for_the_next_right_password(start):
    a = start()
    w, other = a.worker(), a.worker()
    assert w.plain("alice", "secret") == ("ok",)
    child = the_child(a)
    assert other.plain("alice", "secret") == ("ok",)
    assert w.plain("alice", "secret") == ("ok",)
    assert the_child(a) == child
    # Who guesses leaves it to nobody.
    assert w.plain("alice", "wrong") == ("fail", authd.BAD)
    gone(child)
    assert w.plain("nosuch", "secret") == ("fail", authd.BAD)
    assert w.plain("alice", "secret") == ("ok",)
    assert the_child(a) != child


def gone(pid):
    end = time.monotonic() + 10
    while proc.stat(pid) is not None:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_child_that_stays_does_not_stay_for_ever(start):
    a = start()
    w = a.worker()
    assert w.plain("alice", "secret") == ("ok",)
    child = the_child(a)
    for i in range(99):
        assert w.plain("alice", "secret") == ("ok",), i
    gone(child)
    assert w.plain("alice", "secret") == ("ok",)
    # What costs much does not stay either.
    a.write_passwd("slow:%s:3001:3001::/h\n" %
                   hashed("secret", "$6$rounds=900000$abcdefgh$"))
    assert w.plain("slow", "secret") == ("ok",)
    end = time.monotonic() + 10
    while authd.children_of(a.spawner.pid):
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_child_that_stays_ends_without_an_answer(start, how):
    """Killed while it waits, or while it is asked: another one is."""
    a = start()
    w = a.worker()
    assert w.plain("alice", "secret") == ("ok",)
    child = the_child(a)
    os.kill(child, signal.SIGKILL if how == "killed" else signal.SIGSTOP)
    w.start("PLAIN", b"\0alice\0secret")
    if how == "stopped":
        time.sleep(0.1)
        os.kill(child, signal.SIGKILL)
    assert w.answer() == ("ok",)


def hashed(password, setting):
    lib = ctypes.CDLL("libcrypt.so.1")
    lib.crypt.restype = ctypes.c_char_p
    return lib.crypt(password.encode(), setting.encode()).decode()


@pytest.mark.skipif(restante.SANITIZED, reason="the runtime keeps copies")
@pytest.mark.skipif(not server.is_root(), reason="needs root")
@pytest.mark.parametrize("setting", [
    None, YESCRYPT, "$6$abcdefghij$", "$2b$04$abcdefghijklmnopqrstuu"],
    ids=["plain", "yescrypt", "sha512", "bcrypt"])
def test_child_that_stays_remembers_nothing(start, setting):
    password = "Xq7-%d-abcdefgh-password" % os.getpid()
    other = "something-else"
    stored = hashed(password, setting) if setting else "{PLAIN}" + password
    a = start("u:%s:3001:3001::/h\nv:{PLAIN}%s:3001:3001::/h\n" % (
        stored, other), separate=True)
    w = a.worker()
    assert w.plain("u", password) == ("ok",)
    assert w.plain("u", password) == ("ok",)
    child = the_child(a)
    found = []
    with open("/proc/%d/maps" % child, encoding="ascii") as f:
        spans = [line.split() for line in f]
    with open("/proc/%d/mem" % child, "rb", buffering=0) as f:
        for span in spans:
            if "w" not in span[1]:
                continue
            begin, end = (int(x, 16) for x in span[0].split("-"))
            f.seek(begin)
            at = f.read(end - begin).find(password.encode())
            if at != -1:
                found.append((span, at))
    assert not found
    assert w.plain("v", other) == ("ok",)


def lowest_free(pid):
    """The number its next descriptor would have."""
    used = {int(fd) for fd in os.listdir("/proc/%d/fd" % pid)}
    return min(set(range(len(used) + 1)) - used)


def test_spawner_without_descriptors(start):
    """What it can not take is not master's fault: without the file it goes on,
    without its peer it makes room for the next one."""
    a = start()
    pid = a.spawner.pid
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest_free(pid), hard))
    r, w = os.pipe()
    a.spawner.master.send(authd.encode(
        authd.FILE, (authd.STR, "passwd"), (authd.U32, 0),
        (authd.STR, a.passwd_path), fds=1), [r])
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
    assert a.worker().plain("alice", "secret") == ("ok",)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest_free(pid), hard))
    a.spawner.master.send(authd.encode(
        authd.PEER, (authd.U8, authd.KIND_AUTHD), (authd.U32, 0), fds=1), [r])
    os.close(r)
    os.close(w)
    assert a.spawner.wait() == 0
    a.log("master: the channel of authd is lost")
    assert not [x for x in a.lines if "broke the rules" in x]
    next_spawner(a)
    assert a.worker().plain("alice", "secret") == ("ok",)


def test_end_with_master(start):
    a = start()
    a.broker.master.close()
    a.spawner.master.close()
    assert a.broker.wait() == 0
    assert a.spawner.wait() == 0


def test_stop(start):
    a = start()
    for child in (a.broker, a.spawner):
        child.master.send(authd.encode(authd.STOP, (authd.STR, "test")))
        assert child.wait() == 0


def test_no_source(start):
    a = Authd("", sources=("pam",), separate=False)
    a.start_broker()
    kind, values = a.broker.master.recv()
    assert kind == authd.FAILED
    assert "passwd-file" in values[0]
    assert a.broker.wait() == 1
    a.stop()
