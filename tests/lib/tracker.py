# SPDX-License-Identifier: ISC
"""tracker.py - an IMAP client that believes nothing.

Follows every response of a session with a mailbox selected and knows what the
server may say next: which UID stands behind each sequence number, how many
messages there are, which flags each had when it was last told of them. What
contradicts that raises a Wrong with the whole dialogue.
"""
import re
import time

from lib import wire

FETCH = re.compile(rb"\* (\d+) FETCH \((.*)\)$", re.S)
NUMBER = re.compile(rb"\* (\d+) (EXISTS|RECENT|EXPUNGE)$")
UID = re.compile(rb"(?:^| )UID (\d+)")
FLAGS = re.compile(rb"FLAGS \(([^)]*)\)")
# No EXPUNGE may be told while these run (RFC 3501 section 7.4.1).
QUIET = re.compile(r"(FETCH|STORE|SEARCH)\b")


class Wrong(Exception):
    pass


class Tracker:
    """A logged-in session on `mailbox`; uids[i] is None until it was told."""

    def __init__(self, conn, mailbox):
        self.conn = conn
        self.mailbox = mailbox
        self.said = []
        self.uids, self.flags = [], {}
        self.uidnext = 0
        self.recent = 0
        self.claimed = set()
        self.select()

    def wrong(self, why):
        raise Wrong("%s\n%s" % (why, "\n".join(map(repr, self.said[-40:]))))

    # ---- what the server says

    def number(self, n, word, quiet):
        if word == b"EXISTS":
            if n < len(self.uids):
                self.wrong("EXISTS %d shrinks %d" % (n, len(self.uids)))
            self.uids += [None] * (n - len(self.uids))
        elif word == b"RECENT":
            self.recent = n
            if n > len(self.uids):
                self.wrong("more RECENT than messages")
        else:
            if quiet:
                self.wrong("EXPUNGE where numbers are in use")
            if not 1 <= n <= len(self.uids):
                self.wrong("EXPUNGE of a number that is not there")
            self.flags.pop(self.uids.pop(n - 1), None)

    def fetched(self, seq, items):
        if not 1 <= seq <= len(self.uids):
            self.wrong("FETCH of a number that is not there")
        uid = UID.search(items)
        if uid:
            uid = int(uid.group(1))
            had = self.uids[seq - 1]
            if had is not None and had != uid:
                self.wrong("message %d was UID %d" % (seq, had))
            self.uids[seq - 1] = uid
            known = [u for u in self.uids if u is not None]
            if known != sorted(set(known)):
                self.wrong("UIDs do not ascend")
        uid = self.uids[seq - 1]
        flags = FLAGS.search(items)
        if flags and uid is not None:
            flags = frozenset(flags.group(1).split())
            if b"\\Recent" in flags:
                self.claimed.add(uid)
            self.flags[uid] = flags - {b"\\Recent"}

    def take(self, response, quiet):
        self.said.append(response[:200])
        m = NUMBER.match(response)
        if m:
            return self.number(int(m.group(1)), m.group(2), quiet)
        m = FETCH.match(response)
        if m:
            return self.fetched(int(m.group(1)), m.group(2))
        if response.startswith(b"* BYE"):
            self.wrong("BYE")
        if not response.startswith((b"* ", b"+ ")):
            self.wrong("what is this?")
        return None

    # ---- what the client says

    def finish(self, tag, quiet=False):
        """(status, text, untagged) of a command."""
        untagged = []
        while True:
            r = self.conn.response(60)
            if r.startswith(tag + b" "):
                self.said.append(r)
                status, _, text = r[len(tag) + 1:].partition(b" ")
                return status.decode(), text, untagged
            self.take(r, quiet)
            untagged.append(r)

    def cmd(self, command, may_fail=False):
        quiet = bool(QUIET.match(command))
        self.said.append(command)
        status, text, untagged = self.finish(self.conn.start(command), quiet)
        if status != "OK" and not may_fail:
            self.wrong("%s: %s %s" % (command, status, text))
        return status, text, untagged

    def select(self):
        self.uids, self.flags = [], {}
        _, _, untagged = self.cmd("SELECT " + self.mailbox)
        for r in untagged:
            m = re.search(rb"\[UIDNEXT (\d+)\]", r)
            if m:
                if int(m.group(1)) < self.uidnext:
                    self.wrong("UIDNEXT went back")
                self.uidnext = int(m.group(1))
        self.learn()

    def learn(self):
        """After it every UID and flag is known."""
        if self.uids:
            self.cmd("FETCH 1:* (UID FLAGS)")
        for i, uid in enumerate(self.uids):
            if uid is None:
                # Announced behind the FETCH: asked for by its number.
                self.cmd("FETCH %d (UID FLAGS)" % (i + 1))

    def append(self, message, flags=""):
        self.said.append("APPEND")
        tag = self.conn.tag()
        self.conn.send(tag + b" APPEND %s (%s) {%d+}\r\n%s\r\n" % (
            self.mailbox.encode(), flags.encode(), len(message), message))
        status, text, _ = self.finish(tag)
        if status != "OK":
            self.wrong("APPEND: " + status)
        m = re.search(rb"\[APPENDUID \d+ (\d+)\]", text)
        return int(m.group(1)) if m else None

    def idle(self, seconds):
        self.said.append("IDLE")
        tag = self.conn.start("IDLE")
        while True:
            r = self.conn.response(60)
            if r.startswith(b"+"):
                break
            self.take(r, False)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not self.conn.is_silent(seconds):
                self.take(self.conn.response(60), False)
        self.conn.send(b"DONE\r\n")
        self.finish(tag)

    def picture(self):
        """What this session believes the mailbox is, after all was told."""
        self.cmd("NOOP")
        self.learn()
        self.cmd("NOOP")
        return [(u, self.flags.get(u)) for u in self.uids]


def tracker(server, user, mailbox="INBOX", **kw):
    return Tracker(server.imap(user, **kw), mailbox)


__all__ = ["Tracker", "Wrong", "tracker", "wire"]
