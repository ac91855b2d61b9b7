# SPDX-License-Identifier: ISC
"""Commands made from the grammar of RFC 3501 section 9 at random. What the
grammar allows is never BAD, and every answer is well-formed; what it does not
allow is BAD (or NO), changes nothing, and the session goes on.

RESTANTE_SEED and RESTANTE_ROUNDS give other runs; a failure names its seed."""
import os
import random
import re

import pytest
from lib.maildir import message
from lib.script import refused

SEED = int(os.environ.get("RESTANTE_SEED", "1"))
ROUNDS = int(os.environ.get("RESTANTE_ROUNDS", "250"))
NAMES = [b"INBOX", b"inbox", b"one", b"two", b"one.three", b"a b", b"R&-D",
         b"&AOQ-x", b"Sent", b"Trash", b"x]y", b"nil", b"q\"q"]
ATOM_SPECIALS = b'(){%*"\\] '
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep",
          "Oct", "Nov", "Dec"]


class Grammar:
    """Each method writes one rule of the grammar."""

    def __init__(self, seed):
        self.r = random.Random(seed)
        self.count = 0  # messages in the selected mailbox
        self.uids = [1]

    def pick(self, *what):
        return self.r.choice(what)

    def some(self, rule, least=1, most=4):
        return [rule() for _ in range(self.r.randint(least, most))]

    def case(self, word):
        how = self.r.randrange(4)
        if how == 0:
            return word.lower()
        if how == 1:
            return bytes(self.r.choice(
                (c, c ^ 32 if 65 <= c <= 90 else c)) for c in word)
        return word

    # ---- strings -------------------------------------------------------------

    def quoted(self, s):
        return b'"' + re.sub(rb'(["\\])', rb"\\\1", s) + b'"'

    def literal(self, s):
        return b"{%d+}\r\n" % len(s) + s

    def string(self, s):
        if any(c in s for c in b"\r\n\0") or any(c > 127 for c in s):
            return self.literal(s)
        return self.pick(self.quoted, self.literal)(s)

    def astring(self, s):
        plain = s and all(32 < c < 127 and (c not in ATOM_SPECIALS or
                                            c == 93) for c in s)
        if plain and self.r.random() < .5:
            return s
        return self.string(s)

    def mailbox(self):
        return self.astring(self.pick(*NAMES))

    # ---- numbers, flags, dates -----------------------------------------------

    def number(self):
        if self.r.random() < .15:
            return b"*"
        return b"%d" % self.r.randint(1, self.count)

    def sequence_set(self):
        return b",".join(self.some(
            lambda: self.number() + (b":" + self.number()
                                     if self.r.random() < .4 else b"")))

    def uid_set(self):
        def uid():
            return self.pick(b"*", b"%d" % self.r.randint(1, 40),
                             b"%d" % self.r.choice(self.uids), b"4294967295")
        return b",".join(self.some(
            lambda: uid() + (b":" + uid() if self.r.random() < .4 else b"")))

    def flag(self):
        return self.case(self.pick(b"\\Answered", b"\\Flagged", b"\\Deleted",
                                   b"\\Seen", b"\\Draft", b"$Forwarded",
                                   b"word", b"k[ey"))

    def flag_list(self, least=0):
        return b"(" + b" ".join(self.some(self.flag, least, 4)) + b")"

    def date_text(self):
        return b"%d-%s-%d" % (self.r.randint(1, 28),
                              self.case(self.pick(*MONTHS).encode()),
                              self.r.randint(1970, 2037))

    def date(self):
        return self.pick(b"%s", b'"%s"') % self.date_text()

    def date_time(self):
        return b'"%2d-%s-%04d %02d:%02d:%02d %s%02d%02d"' % (
            self.r.randint(1, 28), self.pick(*MONTHS).encode(),
            self.r.randint(1970, 2037), self.r.randint(0, 23),
            self.r.randint(0, 59), self.r.randint(0, 60),
            self.pick(b"+", b"-"), self.r.randint(0, 13),
            self.r.randint(0, 59))

    # ---- FETCH and SEARCH ----------------------------------------------------

    def header_list(self):
        return b"(" + b" ".join(self.some(lambda: self.astring(self.pick(
            b"DATE", b"From", b"X-No", b"subject")))) + b")"

    def section(self):
        def text():
            return self.pick(b"HEADER", b"TEXT",
                             b"HEADER.FIELDS " + self.header_list(),
                             b"HEADER.FIELDS.NOT " + self.header_list())
        inner = self.pick(b"", text(), b"1", b"1.2.3", b"1.MIME",
                          b"2." + text(), b"1.1." + text())
        return b"[" + inner + b"]"

    def fetch_att(self):
        body = self.pick(b"BODY", b"BODY.PEEK") + self.section()
        if self.r.random() < .3:
            body += b"<%d.%d>" % (self.r.randint(0, 300),
                                  self.r.randint(1, 300))
        return self.pick(b"ENVELOPE", b"FLAGS", b"INTERNALDATE", b"RFC822",
                         b"RFC822.HEADER", b"RFC822.SIZE", b"RFC822.TEXT",
                         b"BODY", b"BODYSTRUCTURE", b"UID", body, body)

    def fetch_items(self):
        if self.r.random() < .2:
            return self.case(self.pick(b"ALL", b"FULL", b"FAST"))
        if self.r.random() < .3:
            return self.fetch_att()
        return b"(" + b" ".join(self.some(self.fetch_att)) + b")"

    def text(self):
        return self.astring(self.pick(b"hello", b"Message 1", b"", b"x y",
                                      b"example.org"))

    def search_key(self, depth=0):
        if depth < 3 and self.r.random() < .3:
            def sub():
                return self.search_key(depth + 1)
            return self.pick(
                lambda: b"NOT " + sub(), lambda: b"OR " + sub() + b" " + sub(),
                lambda: b"(" + b" ".join(self.some(sub)) + b")")()
        return self.pick(
            lambda: self.case(self.pick(
                b"ALL", b"ANSWERED", b"DELETED", b"DRAFT", b"FLAGGED", b"NEW",
                b"OLD", b"RECENT", b"SEEN", b"UNANSWERED", b"UNDELETED",
                b"UNDRAFT", b"UNFLAGGED", b"UNSEEN")),
            lambda: self.pick(b"BCC ", b"BODY ", b"CC ", b"FROM ",
                              b"SUBJECT ", b"TEXT ", b"TO ") + self.text(),
            lambda: self.pick(b"BEFORE ", b"ON ", b"SINCE ", b"SENTBEFORE ",
                              b"SENTON ", b"SENTSINCE ") + self.date(),
            lambda: self.pick(b"KEYWORD ", b"UNKEYWORD ") +
            self.pick(b"word", b"$Forwarded", b"nobody"),
            lambda: self.pick(b"LARGER ", b"SMALLER ") +
            b"%d" % self.r.randint(0, 5000),
            lambda: b"HEADER " + self.astring(b"Message-ID") + b" " +
            self.text(),
            lambda: b"UID " + self.uid_set(),
            self.sequence_set)()

    def search_args(self):
        args = []
        if self.r.random() < .2:
            args.append(b"RETURN (" + b" ".join(self.some(lambda: self.pick(
                b"MIN", b"MAX", b"ALL", b"COUNT"), 0)) + b")")
        if self.r.random() < .2:
            args.append(b"CHARSET " + self.astring(
                self.pick(b"UTF-8", b"US-ASCII")))
        return args + self.some(self.search_key)

    # ---- commands: name and arguments ----------------------------------------

    def store_args(self, numbers):
        item = self.case(self.pick(b"FLAGS", b"+FLAGS", b"-FLAGS") +
                         self.pick(b"", b".SILENT"))
        flags = self.flag_list() if self.r.random() < .7 else \
            b" ".join(self.some(self.flag))
        return [numbers, item, flags]

    def append_args(self):
        args = [self.mailbox()]
        if self.r.random() < .5:
            args.append(self.flag_list())
        if self.r.random() < .5:
            args.append(self.date_time())
        text = message(self.r.randint(1, 99), crlf=True)
        return args + [self.literal(text)]

    def status_items(self):
        return b"(" + b" ".join(self.some(lambda: self.case(self.pick(
            b"MESSAGES", b"RECENT", b"UIDNEXT", b"UIDVALIDITY", b"UNSEEN",
            b"SIZE")))) + b")"

    def list_args(self):
        return [self.astring(self.pick(b"", b"one.", b"INBOX")),
                self.pick(b"*", b"%", b"one%", b'"one.%"', b"{1+}\r\n*",
                          b'""', b"INBOX", b"i*")]

    def id_args(self):
        if self.r.random() < .3:
            return [self.case(b"NIL")]
        return [b"(" + b" ".join(self.some(
            lambda: self.string(self.pick(b"name", b"os", b"version")) +
            b" " + self.pick(b"NIL", self.string(b"Some Thing")), 0)) + b")"]

    def command(self):
        """(name, arguments, fixed): fixed arity, one more is an error."""
        both = [
            lambda: (b"CAPABILITY", [], True), lambda: (b"NOOP", [], True),
            lambda: (b"NAMESPACE", [], True),
            lambda: (self.pick(b"SELECT", b"EXAMINE"), [self.mailbox()], True),
            lambda: (b"CREATE", [self.mailbox()], True),
            lambda: (b"DELETE", [self.mailbox()], True),
            lambda: (b"RENAME", [self.mailbox(), self.mailbox()], True),
            lambda: (self.pick(b"SUBSCRIBE", b"UNSUBSCRIBE"),
                     [self.mailbox()], True),
            lambda: (self.pick(b"LIST", b"LSUB"), self.list_args(), True),
            lambda: (b"STATUS", [self.mailbox(), self.status_items()], True),
            lambda: (b"APPEND", self.append_args(), False),
            lambda: (b"ID", self.id_args(), True),
            lambda: (b"ENABLE", self.some(lambda: self.pick(
                b"X-A", b"X-B")), False),
        ]
        if self.count == 0:
            return self.pick(*both)()
        selected = [
            lambda: (b"CHECK", [], True),
            lambda: (b"FETCH", [self.sequence_set(), self.fetch_items()],
                     True),
            lambda: (b"STORE", self.store_args(self.sequence_set()), False),
            lambda: (b"COPY", [self.sequence_set(), self.mailbox()], True),
            lambda: (b"MOVE", [self.sequence_set(), self.mailbox()], True),
            lambda: (b"SEARCH", self.search_args(), False),
            lambda: (b"EXPUNGE", [], True),
            lambda: (b"UID FETCH", [self.uid_set(), self.fetch_items()],
                     True),
            lambda: (b"UID STORE", self.store_args(self.uid_set()), False),
            lambda: (b"UID COPY", [self.uid_set(), self.mailbox()], True),
            lambda: (b"UID MOVE", [self.uid_set(), self.mailbox()], True),
            lambda: (b"UID SEARCH", self.search_args(), False),
            lambda: (b"UID EXPUNGE", [self.uid_set()], True),
        ]
        return self.pick(*(both + selected * 2))()

    def line(self, name, args):
        return b" ".join([self.case(name)] + args)

    # ---- what is not allowed -------------------------------------------------

    def broken(self):
        """A line, without tag, that the grammar does not allow."""
        while True:
            name, args, fixed = self.command()
            parts = [self.case(name)] + args
            line = b" ".join(parts)
            how = self.r.randrange(12)
            if how == 0 and args:
                i = self.r.randint(1, len(args))
                return b" ".join(parts[:i]) + b"  " + b" ".join(parts[i:])
            if how == 1:
                return line + b" "
            if how == 2 and args and fixed:
                return b" ".join(parts[:-1])
            if how == 3 and fixed:
                return line + b" x"
            if how == 4:
                return line + b")"
            if how == 5 and args:
                return b" ".join(parts[:-1] + [b"(" + parts[-1]])
            if how == 6:
                return line + self.pick(b"\0", b"\x01", b"\t", b"\x7f",
                                        b"\x80", b"\xff", b"\r")
            if how == 7:
                return line + b'"'
            if how == 8:
                return line + b"\\"
            if how == 9:
                return line + self.pick(b" {x}", b" {-1}", b" {}", b" {1+",
                                        b"{", b" ~{y}")
            if how == 10:
                return self.pick(b"X" + name.split()[-1], name + b"S",
                                 b"UID " + b"NOOP", b"UID") + \
                    (b" " + b" ".join(args) if args else b"")
            if how == 11 and args:
                return b" ".join(parts[:-1] + [b"((" + parts[-1] + b")"])


# ---- answers ------------------------------------------------------------------

TOKEN = re.compile(
    rb'(?P<sp> )|(?P<open>\()|(?P<close>\))|(?P<quoted>"(?:[^"\\\r\n\0\x80-'
    rb'\xff]|\\["\\])*")|(?P<literal>\{(\d+)\}\r\n)|'
    rb'(?P<atom>\\?[^ (){"\\\x00-\x1f\x7f-\xff]+(?:\[[^]]*\](?:<\d+>)?)?|'
    rb'\\\*)')


def well_formed(r):
    """Atoms, strings, lists: blanks where they belong, all lists closed."""
    if re.match(rb"^\* (OK|NO|BAD|BYE|PREAUTH)( |$)", r):
        return b"\r" not in r and b"\n" not in r and b"\0" not in r
    at, depth = 2, 0
    while at < len(r):
        section = re.compile(
            rb'(?:BODY|BINARY)(?:\.SIZE)?\[[^](]*(?:\((?:"(?:[^"\\]|\\.)*"|'
            rb'[^()"])*\))?[^]]*\](?:<\d+>)?').match(
                r, at)
        if section:
            at = section.end()
            continue
        match = TOKEN.match(r, at)
        if not match:
            return False
        at = match.end()
        if match.group("open"):
            depth += 1
        elif match.group("close"):
            depth -= 1
            if depth < 0:
                return False
        elif match.group("literal"):
            at += int(match.group(6))
    plain = re.sub(rb'"(?:[^"\\]|\\.)*"|\{\d+\}\r\n.*', b"q", r, flags=re.S)
    return depth == 0 and b"  " not in plain


def hear(g, untagged):
    for r in untagged:
        match = re.match(rb"^\* (\d+) (EXISTS|EXPUNGE)$", r)
        if match and match.group(2) == b"EXISTS":
            g.count = int(match.group(1))
        elif match:
            g.count -= 1


def state(c):
    """All that a client could see change, from a session of its own."""
    found = []
    for r in sorted(c.ok('LIST "" *')) + sorted(c.ok('LSUB "" *')):
        found.append(r)
        name = re.match(rb'^\* LIST \(([^)]*)\) "[./]" (.*)$', r)
        if not name or b"\\Noselect" in name.group(1):
            continue
        found += c.ok(b"STATUS " + name.group(2) +
                      b" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)")
    c.ok("EXAMINE INBOX")
    found += c.ok("UID FETCH 1:* FLAGS")
    c.ok("UNSELECT")
    # \\Marked says what was seen since the last visit, by whoever looked.
    return [re.sub(rb" ?\\(Recent|Marked|Unmarked)", b"", r) for r in found]


def prepare(box):
    c = box.connect()
    for name in ("one", "two", "one.three"):
        c.ok("CREATE " + name)
    box.fill(6, flags="")
    return c


@pytest.mark.parametrize("seed", range(SEED, SEED + 4))
def test_valid_commands(box, seed):
    g = Grammar(seed)
    c = prepare(box)
    for i in range(ROUNDS):
        name, args, _ = g.command()
        line = g.line(name, args)
        if name in (b"SELECT", b"EXAMINE"):
            g.count = 0
        status, text, untagged = c.cmd(line)
        assert status in ("OK", "NO"), (seed, i, line, status, text)
        for r in untagged:
            assert well_formed(r), (seed, i, line, r)
        hear(g, untagged)
        if name in (b"DELETE", b"RENAME") and status == "OK":
            # It may have been the selected one.
            status, _, untagged = c.cmd("CHECK")
            hear(g, untagged)
            if status == "BAD":
                g.count = 0
        if i % 40 == 39:
            box.fill(3, flags="")


@pytest.mark.parametrize("seed", range(SEED + 100, SEED + 102))
def test_broken_commands_change_nothing(box, seed):
    g = Grammar(seed)
    c = prepare(box)
    other = box.connect()
    c.ok("SELECT INBOX")
    # Keywords of an APPEND that breaks off later stay known to the mailbox.
    c.ok("STORE 1 +FLAGS.SILENT ($Forwarded word k[ey)")
    c.ok("STORE 1 -FLAGS.SILENT ($Forwarded word k[ey)")
    for name in ("one", "one.three", "Sent", "Trash"):
        c.append(name, message(1, crlf=True), "($Forwarded word k[ey)")
    g.count = 6
    before = state(other)
    for i in range(ROUNDS):
        line = g.broken()
        seen = refused(c, i, line, seed)
        assert len(seen) == 2, (seed, i, line, seen)
        if i % 10 == 9:
            assert state(other) == before, (seed, i, line)
    assert c.ok("CHECK") == []
    assert state(other) == before


@pytest.mark.parametrize("seed", range(SEED + 200, SEED + 203))
def test_noise_ends_nothing(tunnel, seed):
    """Bytes changed at random: whatever it means, the session goes on."""
    g = Grammar(seed)
    c = prepare(tunnel)
    c.ok("SELECT INBOX")
    g.count = 6
    for i in range(ROUNDS):
        name, args, _ = g.command()
        line = bytearray(g.line(name, args))
        for _ in range(g.r.randint(1, 3)):
            at = g.r.randrange(len(line))
            how = g.r.randrange(3)
            byte = g.r.choice(b' ()"\\{}%*[]<>:,\0\r\x80aZ09')
            if how == 0:
                line[at] = byte
            elif how == 1:
                line.insert(at, byte)
            else:
                del line[at]
            if not line:
                line += b"x"
        if b"OGOUT" in bytes(line).upper() or b"IDLE" in bytes(line).upper():
            continue
        # A literal that became longer would swallow the mark; then send more.
        c.send(b"t%d " % i + bytes(line) + b"\r\n")
        mark = b"m%d NOOP\r\n" % i
        c.send(mark)
        tries = 0
        while True:
            try:
                r = c.response(1.0 if tries < 200 else 10)
            except TimeoutError:
                tries += 1
                assert tries < 200, (seed, i, bytes(line))
                c.send(b"\r\n" * 50 + mark)
                continue
            if r.startswith(b"m%d OK" % i):
                break
        c.send(b"e%d NOOP\r\n" % i)
        while not c.response().startswith(b"e%d OK" % i):
            pass
        if i % 25 == 24:
            tunnel.fill(2, flags="")
            c.ok("SELECT INBOX")
