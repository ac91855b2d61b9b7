# SPDX-License-Identifier: ISC
"""Two hosts on one mail tree, as over NFS: two servers with host names, indexes
and state of their own, which tell each other nothing and only poll. Shared is
what lies with the mail, guarded by dotlocks made by link."""
import collections
import os
import random
import re
import subprocess
import threading
import time

import pytest

from lib import restante, server, wire
from lib.maildir import message

SEED = int(os.environ.get("RESTANTE_SEED", "1"))

pytestmark = pytest.mark.skipif(
    not server.is_root(), reason="needs root: a host name of its own")


class Host(restante.Restante):
    """`tree`: the server whose homes it serves too."""

    def __init__(self, name, users, tree=None):
        self.tree = tree
        self.host = name
        super().__init__(users=users, separate=True, settings={
            "poll_only": True, "poll_interval": 1})

    def home(self, user):
        return self.tree.home(user) if getattr(self, "tree", None) else \
            super().home(user)

    def make_home(self, user):
        if not self.tree:
            super().make_home(user)

    def run(self, argv, uid=None, gid=None, **kw):
        """Under a host name of its own; the process is restanted's."""
        return super().run(
            ["unshare", "--uts", "sh", "-c",
             'hostname "$0" && exec "$@"', self.host, *argv], uid, gid, **kw)


def can_rename():
    return server.is_root() and subprocess.run(
        ["unshare", "--uts", "sh", "-c", "hostname x"],
        capture_output=True, check=False).returncode == 0


USERS = ["ann", "ben", "cat", "dan", "eve"]


@pytest.fixture(scope="module")
def hosts():
    if not can_rename():
        pytest.skip("no host names of our own here")
    a = Host("host-a", USERS)
    b = Host("host-b", USERS, tree=a)
    try:
        yield a.start(), b.start()
    finally:
        for h in (a, b):
            h.stop()
            h.remove()


def state(c):
    """{uid: (flags, subject)} as one session sees it."""
    out = {}
    for r in c.ok("FETCH 1:* (UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])"):
        if b"HEADER.FIELDS" not in r:
            continue  # news of flags
        uid = int(re.search(rb"UID (\d+)", r).group(1))
        flags = re.search(rb"FLAGS \(([^)]*)\)", r).group(1).split()
        subject = re.search(rb"Subject: ([^\r]*)", r).group(1)
        out[uid] = (frozenset(flags) - {b"\\Recent"}, subject)
    return out


def opened(host, user, name="INBOX"):
    c = host.imap(user)
    lines = c.ok("SELECT %s" % name)
    validity = [int(re.search(rb"UIDVALIDITY (\d+)", x).group(1))
                for x in lines if b"UIDVALIDITY" in x]
    return c, validity[0]


def same(hosts, user, name="INBOX", timeout=20):
    """What fresh sessions on both see; must come to be the same."""
    end = time.monotonic() + timeout
    while True:
        both = []
        for h in hosts:
            c, validity = opened(h, user, name)
            both.append((validity, state(c)))
            c.close()
        if both[0] == both[1]:
            return both[0]
        assert time.monotonic() < end, both
        time.sleep(0.2)


def test_names_and_places(hosts):
    a, b = hosts
    for h in hosts:
        c = h.imap("ann")
        c.append("INBOX", message(1, crlf=True))
        assert os.path.isdir(os.path.join(h.dir, "index", "ann"))
    names = os.listdir(os.path.join(a.maildir("ann"), "new")) + \
        os.listdir(os.path.join(a.maildir("ann"), "cur"))
    assert {("host-a" in n, "host-b" in n) for n in names} == \
        {(True, False), (False, True)}
    assert a.dir != b.dir and not os.path.exists(
        os.path.join(b.dir, "home", "ann"))
    validity, got = same(hosts, "ann")
    assert sorted(got) == [1, 2] and validity


def test_appends_at_once(hosts):
    """Both give UIDs: none twice, each as its client was told, both agree."""
    told, fails = {}, []

    def work(host, tag):
        try:
            c = host.imap("ben")
            for i in range(25):
                text = c.append("INBOX", b"Subject: %s-%d\r\n\r\nx\r\n" % (
                    tag, i))
                uid = int(re.search(rb"APPENDUID \d+ (\d+)", text).group(1))
                if uid in told:
                    fails.append(("twice", uid))
                told[uid] = b"%s-%d" % (tag, i)
        except Exception as e:  # told below
            fails.append(e)

    threads = [threading.Thread(target=work, args=(h, b"%s%d" % (n, k)))
               for k in range(2) for h, n in zip(hosts, (b"a", b"b"))]
    for t in threads:
        t.start()
    for t in threads:
        t.join(120)
    assert not fails
    _, got = same(hosts, "ben")
    assert {u: s for u, (_, s) in got.items()} == told
    assert len(told) == 100


def test_changes_reach_the_other(hosts):
    """An open session hears of them at its interval."""
    a, b = hosts
    c, _ = opened(a, "cat")
    d, _ = opened(b, "cat")
    tag = d.idle()
    c.append("INBOX", message(1, crlf=True))
    d.until(rb"\* 1 EXISTS")
    c.ok("NOOP")
    c.ok("STORE 1 +FLAGS (\\Flagged $Label1 fromhosta)")
    d.until(rb"\* 1 FETCH .*\\Flagged")
    d.done(tag)
    assert {b"$Label1", b"fromhosta"} <= state(d)[1][0]
    # keywords of both, made apart
    d.ok("STORE 1 +FLAGS (fromhostb)")
    end = time.monotonic() + 15
    while b"fromhostb" not in state(c)[1][0]:
        assert time.monotonic() < end
        c.ok("NOOP")
        time.sleep(0.1)
    tag = c.idle()
    d.ok("STORE 1 +FLAGS (\\Deleted)")
    d.ok("EXPUNGE")
    c.until(rb"\* 1 EXPUNGE")
    c.done(tag)
    # folders, subscriptions
    d.ok("CREATE New.Folder")
    d.ok("SUBSCRIBE New.Folder")
    assert any(b"New.Folder" in x for x in c.ok('LIST "" *'))
    assert any(b"New.Folder" in x for x in c.ok('LSUB "" *'))
    d.ok("RENAME New.Folder Other")
    c.ok("SELECT Other")
    d.ok("DELETE Other")
    assert c.cmd("STATUS Other (MESSAGES)")[0] == "NO"


def test_random_changes(hosts):
    """Both change the same messages for a while; then they agree, and what a
    client was told has happened."""
    random.seed(SEED)
    c0, _ = opened(hosts[0], "dan")
    for i in range(40):
        c0.append("INBOX", b"Subject: m%d\r\n\r\nx\r\n" % i)
    fails, gone = [], []
    flags = ["\\Seen", "\\Flagged", "\\Answered", "$Work"]

    def work(host, seed):
        rng = random.Random(seed)
        try:
            c, _ = opened(host, "dan")
            for _ in range(40):
                what = rng.random()
                uid = rng.randrange(1, 41)
                if what < 0.6:
                    c.cmd("UID STORE %d %sFLAGS (%s)" % (
                        uid, rng.choice("+-"), rng.choice(flags)))
                elif what < 0.7:
                    c.append("INBOX", b"Subject: new\r\n\r\nx\r\n")
                elif what < 0.8:
                    if c.cmd("UID MOVE %d Trash" % uid)[0] == "OK":
                        pass
                elif what < 0.9:
                    c.ok("UID STORE %d +FLAGS (\\Deleted)" % uid)
                    c.ok("UID EXPUNGE %d" % uid)
                    gone.append(uid)
                else:
                    c.ok("NOOP")
        except Exception as e:  # told below
            fails.append(repr(e))

    threads = [threading.Thread(target=work, args=(h, SEED * 10 + k))
               for k, h in enumerate(hosts * 2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(120)
        assert not t.is_alive()
    assert not fails, fails
    _, inbox = same(hosts, "dan")
    _, trash = same(hosts, "dan", "Trash")
    assert not set(gone) & set(inbox), (gone, sorted(inbox))
    # nobody is there twice, nobody came back
    subjects = collections.Counter(s for _, s in inbox.values())
    subjects.update(s for _, s in trash.values())
    assert all(n == 1 for s, n in subjects.items() if s != b"new"), subjects
    assert all(int(s[1:]) + 1 == u for u, (_, s) in inbox.items()
               if s != b"new")


def test_one_goes_down(hosts):
    """Killed in the middle of everything: the other one goes on, UIDs stay, and
    what was acknowledged is there."""
    a, b = hosts
    c, validity = opened(a, "eve")
    acknowledged = []
    over = threading.Event()

    def work():
        d = b.imap("eve")
        try:
            for i in range(10000):
                text = d.append("INBOX", b"Subject: b%d\r\n\r\nx\r\n" % i)
                acknowledged.append((int(re.search(
                    rb"APPENDUID \d+ (\d+)", text).group(1)), b"b%d" % i))
        except (wire.Closed, EOFError, OSError, AssertionError):
            pass
        over.set()

    t = threading.Thread(target=work)
    t.start()
    end = time.monotonic() + 30
    while len(acknowledged) < 20:
        assert time.monotonic() < end
        time.sleep(0.01)
    for pid in b.pids("imapd"):
        os.kill(pid, 9)
    assert over.wait(20)
    t.join()
    # A lock of the dead process may be left. Only its own host can know that
    # it is dead, and breaks it; here it would be waited for.
    end = time.monotonic() + 15
    while True:
        try:
            b.imap("eve").append("INBOX", b"Subject: back\r\n\r\nx\r\n")
            break
        except (wire.Closed, EOFError, OSError, AssertionError):
            assert time.monotonic() < end
            time.sleep(0.1)
    c.append("INBOX", b"Subject: after\r\n\r\nx\r\n")
    c2, again = opened(a, "eve")
    assert again == validity
    got = {u: s for u, (_, s) in state(c2).items()}
    for uid, subject in acknowledged:
        assert got[uid] == subject
    assert b"after" in got.values()
