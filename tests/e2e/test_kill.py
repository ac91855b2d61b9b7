# SPDX-License-Identifier: ISC
"""Killing each kind of process at any moment leaves the others serving: open
sessions go on, others log in meanwhile or soon after, and what was killed is
back. A login that is under way at the moment may fail for now, never wrongly
succeed or hang."""
import os
import random
import signal
import threading
import time

import pytest

from lib import proc, server, wire

SEED = int(os.environ.get("RESTANTE_SEED", "1"))


class Stream(threading.Thread):
    """Logs in again and again; remembers how it went."""

    def __init__(self, s, users, tls):
        super().__init__(daemon=True)
        self.s, self.users, self.tls = s, users, tls
        self.over = False
        self.good, self.failed, self.wrong = [], [], []

    def once(self, user):
        c = self.s.__class__.imap(self.s, tls=self.tls, timeout=12)
        try:
            status, text, _ = c.cmd("LOGIN %s %s" % (user, server.PASSWORD))
            if status == "OK":
                status, text, _ = c.cmd("STATUS INBOX (MESSAGES)")
            if status != "OK":
                # only "not now" is an honest answer to a right password
                (self.failed if b"UNAVAILABLE" in text else
                 self.wrong).append(text)
                return
            self.good.append(time.monotonic())
        finally:
            c.close()

    def run(self):
        n = 0
        while not self.over:
            try:
                self.once(self.users[n % len(self.users)])
            except (wire.Closed, OSError, EOFError) as e:
                if isinstance(e, TimeoutError):
                    self.wrong.append(e)
                self.failed.append(e)
            n += 1


def workers(s):
    """Login workers: children of the login parents."""
    parents = set(s.pids("login"))
    return [p for p in parents
            if int(proc.stat(p)[1]) in parents]


def login_parent(s):
    all_ = set(s.pids("login"))
    return [p for p in all_ if int(proc.stat(p)[1]) not in all_]


def authds(s, spawner):
    found = []
    for pid in s.pids("authd"):
        with open("/proc/%d/cmdline" % pid, "rb") as f:
            line = f.read()
        if int(proc.stat(pid)[1]) == s.pid() and \
                (b"spawner" in line) == spawner:
            found.append(pid)
    return found


def children(pid):
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
            return [int(x) for x in f.read().split()]
    except FileNotFoundError:
        return [p for p in proc.tree(pid) if p != pid]


def auth_children(s):
    """They live for a few milliseconds: look often."""
    spawner, = authds(s, True)
    end = time.monotonic() + 1
    while time.monotonic() < end:
        found = children(spawner)
        if found:
            return found
    return []


KINDS = {
    "login": login_parent,
    "worker": workers,
    "authd": lambda s: authds(s, False),
    "spawner": lambda s: authds(s, True),
    "auth child": auth_children,
    "keyd": lambda s: s.pids("keyd"),
    "logd": lambda s: s.pids("logd"),
    "spoold": lambda s: s.pids("spoold"),
    # those of the stream's users
    "imapd": lambda s: [r["pid"] for r in s.ctl("who", "--json")["rows"]
                        if r["user"].startswith("s")],
}


@pytest.fixture(scope="module")
def running(form):
    from lib import restante
    s = restante.Restante(users=["alice", "bob", "s1", "s2", "s3", "s4"],
                          separate=form == "separate",
                          settings={"log_level": "info"})
    try:
        s.deliver("alice", b"Subject: one\r\n\r\nbody\r\n")
        s.start()
        yield s
    finally:
        s.stop()
        s.remove()


def kill_one(s, kind):
    try:
        pids = KINDS[kind](s)
        if pids:
            os.kill(random.choice(pids), signal.SIGKILL)
            return True
    except (OSError, TypeError):
        pass  # gone already
    return False


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_kill(running, kind):
    s = running
    random.seed(SEED)
    sessions = [s.imap("alice"), s.imap("alice", tls=True),
                s.pop3("bob"), s.pop3("alice", tls=True)]
    streams = [Stream(s, ["s1", "s2"], False), Stream(s, ["s3", "s4"], True)]
    for t in streams:
        t.start()
    killed = 0
    for _ in range(5):
        # the first moments after a start are as good as any
        time.sleep(random.random() * 0.4)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            if kill_one(s, kind):
                killed += 1
                break
            time.sleep(0.005)
        for c in sessions:
            assert c.cmd("NOOP") is not None, kind
    assert killed == 5
    end = time.monotonic()
    # all is well again: logins that begin now succeed
    deadline = end + 15
    for t in streams:
        while not t.good or t.good[-1] < end:
            assert time.monotonic() < deadline, (kind, t.failed[-3:], s.log())
            time.sleep(0.02)
    for t in streams:
        t.over = True
    for t in streams:
        t.join(20)
        assert not t.is_alive()
        assert not t.wrong, (kind, t.wrong)
    for c in sessions:
        assert c.cmd("NOOP") is not None
        c.close()
    assert s.ctl("status")
    assert s.process.poll() is None
    s.wait_pids("login", lambda pids: len(pids) > 1)
    s.close_all()
