# SPDX-License-Identifier: ISC
"""Many sessions do as they please to one mailbox while mail is delivered,
flagged and removed from outside: nobody is told anything that contradicts what
he was told before, and in the end all see the same.

A run is repeated with RESTANTE_SEED; RESTANTE_STRESS_SECONDS makes it longer.
"""
import os
import random
import re
import threading
import time

from lib.maildir import message
from lib.tracker import Tracker, Wrong

SECONDS = float(os.environ.get("RESTANTE_STRESS_SECONDS", "4"))
SEED = int(os.environ.get("RESTANTE_SEED", "0")) or random.randrange(1 << 30)
FLAGS = ["\\Seen", "\\Flagged", "\\Answered", "\\Draft", "$Later", "Kw-2"]


def a_set(rnd, values):
    few = rnd.sample(values, min(len(values), rnd.choice([1, 1, 2, 5])))
    if rnd.random() < 0.3:
        return "%d:%d" % (min(few), max(few))
    return ",".join(map(str, few))


def do_fetch(t, rnd):
    what = rnd.choice(["FLAGS", "(UID FLAGS RFC822.SIZE)", "BODY.PEEK[HEADER]",
                       "(UID ENVELOPE)", "BODY[]<0.40>", "FULL",
                       "(UID BODY.PEEK[TEXT])"])
    if t.uids:
        t.cmd("FETCH %s %s" % (
            a_set(rnd, range(1, len(t.uids) + 1)), what), may_fail=True)


def do_uid_fetch(t, rnd):
    known = [u for u in t.uids if u]
    if known:
        t.cmd("UID FETCH %s (FLAGS)" % a_set(rnd, known))


def do_store(t, rnd):
    if not t.uids:
        return
    seqs = a_set(rnd, range(1, len(t.uids) + 1))
    sign, silent = rnd.choice(["", "+", "-"]), rnd.choice(["", ".SILENT"])
    flags = rnd.sample(FLAGS, rnd.choice([0, 1, 2]))
    _, _, untagged = t.cmd("STORE %s %sFLAGS%s (%s)" % (
        seqs, sign, silent, " ".join(flags)), may_fail=True)
    if silent:
        # What it did not tell us, we no longer know.
        t.flags.clear()


def do_delete(t, rnd):
    known = [u for u in t.uids if u]
    if known and len(known) > 8:
        uids = a_set(rnd, known[:-4])
        t.cmd("UID STORE %s +FLAGS.SILENT (\\Deleted)" % uids)
        t.cmd(rnd.choice(["EXPUNGE", "UID EXPUNGE " + uids, "CHECK"]))
        t.flags.clear()


def do_search(t, rnd):
    keys = ["ALL", "UNSEEN", "SUBJECT 1", "NOT DELETED", "KEYWORD $Later",
            "RECENT", "UID 1:*", "BODY x"]
    _, _, untagged = t.cmd("SEARCH " + rnd.choice(keys))
    for r in untagged:
        m = re.match(rb"\* SEARCH((?: \d+)*)$", r)
        if m and any(int(x) > len(t.uids) for x in m.group(1).split()):
            t.wrong("SEARCH found what is not there")


def do_copy(t, rnd):
    if t.uids:
        t.cmd("COPY %d %s" % (rnd.randint(1, len(t.uids)), t.mailbox),
              may_fail=True)


def do_move(t, rnd):
    known = [u for u in t.uids if u]
    if len(known) > 12:
        t.cmd("UID MOVE %d %s" % (rnd.choice(known), rnd.choice(
            [t.mailbox, "Other"])), may_fail=True)


def do_append(t, rnd):
    t.append(message(rnd.randrange(1000)).replace(b"\n", b"\r\n"),
             " ".join(rnd.sample(FLAGS, rnd.choice([0, 1]))))


ACTIONS = [do_fetch, do_fetch, do_uid_fetch, do_store, do_store, do_delete,
           do_search, do_copy, do_move, do_append,
           lambda t, rnd: t.cmd("NOOP"),
           lambda t, rnd: t.idle(rnd.random() / 20),
           lambda t, rnd: t.learn(),
           lambda t, rnd: t.select()]


class Session(threading.Thread):
    def __init__(self, conn, mailbox, seed, end):
        super().__init__()
        self.rnd = random.Random(seed)
        self.end = end
        self.failed = None
        self.count = 0
        self.tracker = Tracker(conn, mailbox)

    def run(self):
        try:
            while time.monotonic() < self.end:
                self.rnd.choice(ACTIONS)(self.tracker, self.rnd)
                self.count += 1
        except Exception as e:  # pylint: disable=broad-except
            self.failed = e


class Outsider(threading.Thread):
    """Delivers, flags and removes as other programs do."""

    def __init__(self, box, seed, end):
        super().__init__()
        self.box, self.rnd, self.end = box, random.Random(seed), end
        self.failed = None

    def rename(self, cur, name):
        base, _, flags = name.partition(":2,")
        letter = self.rnd.choice("FRS")
        flags = flags.replace(letter, "") if letter in flags \
            else "".join(sorted(flags + letter))
        os.rename(os.path.join(cur, name),
                  os.path.join(cur, base + ":2," + flags))

    def run(self):
        cur = os.path.join(self.box.maildir(), "cur")
        try:
            while time.monotonic() < self.end:
                time.sleep(self.rnd.random() / 50)
                names = os.listdir(cur)
                what = self.rnd.random()
                try:
                    if what < 0.4 or not names:
                        self.box.deliver(message(self.rnd.randrange(1000)))
                    elif what < 0.8:
                        self.rename(cur, self.rnd.choice(names))
                    elif len(names) > 12:
                        os.unlink(os.path.join(cur, self.rnd.choice(names)))
                except FileNotFoundError:
                    pass
        except Exception as e:  # pylint: disable=broad-except
            self.failed = e


def test_everybody_at_once(box):
    print("RESTANTE_SEED=%d" % SEED)
    box.fill(20, flags="")
    first = box.connect()
    first.ok("CREATE Other")
    end = time.monotonic() + SECONDS
    sessions = [Session(box.connect(), "INBOX", SEED + i, end)
                for i in range(6)]
    threads = sessions + [Outsider(box, SEED + 100, end)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for t in threads:
        if t.failed:
            raise t.failed
    assert all(s.count > 5 for s in sessions), [s.count for s in sessions]
    trackers = [s.tracker for s in sessions]
    deadline = time.monotonic() + 20
    while True:
        pictures = [t.picture() for t in trackers]
        if all(p == pictures[0] for p in pictures):
            break
        assert time.monotonic() < deadline, pictures
        time.sleep(0.2)
    # And so does one who comes now; and the disk.
    late = Tracker(box.connect(), "INBOX")
    assert late.picture() == pictures[0]
    files = [n for sub in ("cur", "new")
             for n in os.listdir(os.path.join(box.maildir(), sub))]
    assert len(files) == len(pictures[0])


def test_a_recent_message_is_one_sessions(box):
    """\\Recent is given to one of the sessions that select read-write."""
    trackers = [Tracker(box.connect(), "INBOX") for _ in range(4)]
    for i in range(40):
        box.deliver(message(i))
        trackers[i % 4].cmd("NOOP")
        trackers[(i + 1) % 4].cmd("NOOP")
    for t in trackers:
        t.cmd("NOOP")
        t.learn()
    claims = [t.claimed for t in trackers]
    assert sum(map(len, claims)) == len(set().union(*claims))
    assert set().union(*claims) == set(trackers[0].uids)


__all__ = ["Wrong"]
