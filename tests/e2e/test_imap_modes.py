# SPDX-License-Identifier: ISC
"""Several sessions of one mailbox, each of which has enabled something else
(NOTIFY, QRESYNC, UIDONLY, contexts): each builds its picture from what it is
told, and from nothing else; in the end all have the picture of one that comes
then. A run is repeated with RESTANTE_SEED."""
import os
import random
import re
import time

import pytest
from lib.maildir import message

MBOX = True

SEED = int(os.environ.get("RESTANTE_SEED", "0")) or random.randrange(1 << 30)
STEPS = int(os.environ.get("RESTANTE_STEPS", "60"))
NEW = "MessageNew (UID FLAGS) MessageExpunge FlagChange"

# What a session says before it selects the mailbox.
MODES = {
    "plain": [],
    "condstore": ["ENABLE CONDSTORE"],
    "qresync": ["ENABLE QRESYNC"],
    "uidonly": ["ENABLE UIDONLY"],
    "rev2": ["ENABLE IMAP4rev2"],
    "notify": ["NOTIFY SET (selected (%s))" % NEW],
    "delayed": ["NOTIFY SET (selected-delayed (%s)) (personal (MessageNew "
                "MessageExpunge FlagChange MailboxName))" % NEW],
    "notify qresync": ["ENABLE QRESYNC", "NOTIFY SET (selected (%s))" % NEW],
    "notify uidonly": ["ENABLE UIDONLY", "NOTIFY SET (selected (%s))" % NEW],
}


def members(text):
    found = []
    for piece in text.decode().split(","):
        first, _, last = piece.partition(":")
        found += range(int(first), int(last or first) + 1)
    return found


class Client:
    """uids[i] is the message behind number i + 1, None as long as unknown."""

    def __init__(self, conn, mode):
        self.conn, self.mode = conn, mode
        self.uids, self.flags, self.found = [], {}, []
        for command in MODES[mode]:
            self.conn.ok(command)
        self.cmd("SELECT INBOX")
        self.learn()
        # all modes have UIDs in common
        self.tag, got = self.cmd("UID SEARCH RETURN (UPDATE ALL) UNSEEN")
        for r in got:
            m = re.search(rb"\) UID ALL (\S+)$", r)
            if m:
                self.found = members(m.group(1))
        # what came with the answer was evaluated behind it
        for r in got:
            self.context(r)

    def fetched(self, uid, seq, items):
        if seq is not None:
            assert 1 <= seq <= len(self.uids), (self.mode, seq, self.uids)
            m = re.search(rb"(?:^| )UID (\d+)", items)
            if m:
                uid = int(m.group(1))
                assert self.uids[seq - 1] in (None, uid), (self.mode, items)
                self.uids[seq - 1] = uid
            uid = self.uids[seq - 1]
        elif uid not in self.uids:
            # without numbers only how many there are counts
            self.uids.remove(None)
            self.uids.insert(0, uid)
        m = re.search(rb"FLAGS \(([^)]*)\)", items)
        if m and uid is not None:
            self.flags[uid] = set(m.group(1).split()) - {b"\\Recent"}

    def unknown(self, uid):
        """Where one stands that was announced, but not by its UID."""
        if "uidonly" in self.mode:
            return self.uids.index(None)
        above = [i for i, u in enumerate(self.uids) if u and u > uid]
        end = above[0] if above else len(self.uids)
        assert end > 0 and self.uids[end - 1] is None, (uid, self.uids)
        return end - 1

    def gone(self, uid):
        self.flags.pop(uid, None)
        if uid in self.uids:
            self.uids.remove(uid)
        else:
            self.uids.pop(self.unknown(uid))

    def context(self, r):
        m = re.match(rb'\* ESEARCH \(TAG "%s"\) UID (ADDTO|REMOVEFROM) '
                     rb"\(0 (\S+)\)$" % self.tag, r)
        if not m:
            return
        some = set(members(m.group(2)))
        if m.group(1) == b"ADDTO":
            assert not some & set(self.found), (self.mode, r, self.found)
            self.found = sorted(some | set(self.found))
        else:
            assert some <= set(self.found), (self.mode, r, self.found)
            self.found = sorted(set(self.found) - some)

    def take(self, r):
        m = re.match(rb"\* (\d+) (EXISTS|EXPUNGE|FETCH|UIDFETCH)(.*)$", r,
                     re.S)
        if m and m.group(2) == b"EXISTS":
            n = int(m.group(1))
            assert n >= len(self.uids), (self.mode, r, self.uids)
            self.uids += [None] * (n - len(self.uids))
        elif m and m.group(2) == b"EXPUNGE":
            self.flags.pop(self.uids.pop(int(m.group(1)) - 1), None)
        elif m and m.group(2) == b"FETCH":
            assert "uidonly" not in self.mode
            self.fetched(None, int(m.group(1)), m.group(3)[2:])
        elif m:
            self.fetched(int(m.group(1)), None, m.group(3)[2:])
        m = re.match(rb"\* VANISHED ([\d:,]+)$", r)
        if m:
            for uid in members(m.group(1)):
                self.gone(uid)

    def cmd(self, command, may_fail=False):
        tag = self.conn.start(command)
        status, text, got = self.conn.finish(tag)
        assert status == "OK" or may_fail, (self.mode, command, status, text)
        for r in got:
            self.take(r)
            if hasattr(self, "tag"):
                self.context(r)
        return tag, got

    def idle(self):
        tag = self.conn.start("IDLE")
        r = self.conn.response()
        while not r.startswith(b"+"):
            self.take(r)
            self.context(r)
            r = self.conn.response()
        status, _, got = self.conn.done(tag)
        assert status == "OK"
        for r in got:
            self.take(r)
            self.context(r)

    def learn(self):
        while None in self.uids:
            self.cmd("UID FETCH 1:* (FLAGS)")

    def picture(self):
        return sorted((u, sorted(self.flags.get(u, ()))) for u in self.uids)


def act(client, rnd):
    known = [u for u in client.uids if u]
    what = rnd.randrange(7)
    if not known or what == 0:
        return client.cmd("NOOP")
    some = ",".join(map(str, rnd.sample(known, min(len(known), 2))))
    if what == 1 and len(known) > 6:
        client.cmd("UID STORE %s +FLAGS (\\Deleted)" % some, True)
        return client.cmd("UID EXPUNGE " + some)
    if what == 2:
        return client.cmd("UID FETCH %s BODY[]" % some, True)
    if what == 3:
        return client.cmd("UID COPY %s INBOX" % some, True)
    if what == 4:
        return client.idle()
    return client.cmd("UID STORE %s %sFLAGS (%s)" % (
        some, rnd.choice("+-"),
        rnd.choice(["\\Seen", "\\Flagged", "Kw", "\\Seen Later"])), True)


@pytest.mark.parametrize("turn", [0, 1])
def test_all_end_with_one_picture(box, turn):
    rnd = random.Random(SEED + turn)
    print("RESTANTE_SEED=%d" % (SEED + turn))
    box.fill(8, flags="")
    modes = rnd.sample(sorted(MODES), 5)
    clients = [Client(box.connect(), mode) for mode in modes]
    for step in range(STEPS):
        if rnd.random() < 0.2:
            box.deliver(message(step))
        client = rnd.choice(clients)
        act(client, rnd)
        if rnd.random() < 0.5:
            client.learn()
    deadline = time.monotonic() + 30
    while True:
        for c in clients:
            c.cmd("NOOP")
            c.learn()
        late = Client(box.connect(), "plain")
        late.cmd("UID FETCH 1:* (FLAGS)")
        late.conn.logout()
        pictures = {c.mode: c.picture() for c in clients}
        unseen = [u for u in late.uids if b"\\Seen" not in late.flags[u]]
        if all(p == late.picture() for p in pictures.values()) and \
                all(c.found == unseen for c in clients):
            break
        assert time.monotonic() < deadline, (
            SEED + turn, late.picture(), pictures, unseen,
            [c.found for c in clients])
