# SPDX-License-Identifier: ISC
"""Dialogues made from ABNF: the rules are in tests/data/abnf, a file for each
capability, and what the server announces decides which of them count. Every
command that they allow is accepted; one that was made from such a command and
that they do not allow gets BAD or NO and changes nothing.

RESTANTE_SEED and RESTANTE_ROUNDS give other runs; a failure names its seed."""
import glob
import os
import random
import re

import pytest
from lib.abnf import Rules
from lib.maildir import message
from lib.script import refused
from test_imap_grammar import prepare, state, well_formed

MBOX = True

SEED = int(os.environ.get("RESTANTE_SEED", "1"))
ROUNDS = int(os.environ.get("RESTANTE_ROUNDS", "240"))
FILES = os.path.join(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))), "data", "abnf")
NAMES = [b"INBOX", b"one", b"two", b"one.three", b"nowhere"]
MONTHS = b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
DATE = re.compile(rb"(\d\d?)-([A-Za-z]{3})-(\d{4})(?!\d)")
LITERAL = re.compile(rb"\{(\d+)\+\}\r\n")
CHARSETS = (b"UTF-8", b"US-ASCII")


def files():
    """{capability: text} of the rules; "" for the base."""
    found = {}
    for path in sorted(glob.glob(os.path.join(FILES, "*.abnf"))):
        with open(path) as f:
            text = f.read()
        match = re.match(r"; capability: (\S+)", text)
        found[match.group(1) if match else ""] = text
    return found


class Language:
    """The rules that count, and what they leave to the test."""

    def __init__(self, capabilities, seed, uid_only=False):
        self.r = random.Random(seed)
        self.count = 1
        self.rules = rules = Rules()
        texts = files()
        rules.add(texts.pop(""))
        taken_away = texts.pop("UIDONLY")
        # What adds to a rule comes after what makes it.
        for name in sorted(texts, key=lambda n: texts[n].count("=/") >
                           len(re.findall(r"^\S+\s*= ", texts[n], re.M))):
            known = name in capabilities or any(
                c.startswith(name + "=") for c in capabilities)
            if known:
                rules.add(texts[name])
        if uid_only:
            rules.add(taken_away)
        r = self.r
        rules.hooks = {
            "mailbox": (lambda: self.astring(r.choice(NAMES)), self.astrings),
            "new-mailbox": (lambda: self.astring(r.choice(
                NAMES[1:] + [b"new", b"a b"])), self.astrings),
            "literal": (lambda: self.literal(r.choice((b"", b"two words"))),
                        self.literals),
            "message-literal": (lambda: self.literal(message(
                r.randint(1, 9), crlf=True)), self.literals),
            "charset": (lambda: r.choice(CHARSETS), self.astrings),
            "seq-number": (lambda: r.choice(
                (b"*", b"%d" % r.randint(1, max(self.count, 1)))),
                self.numbers),
            "uid-number": (lambda: r.choice((b"*", b"%d" % r.randint(1, 30))),
                           self.numbers),
            "nz-small": (lambda: b"%d" % r.randint(1, 99), self.plain),
            "small": (lambda: b"%d" % r.randint(0, 99), self.counts),
            "uidvalidity": (lambda: b"%d" % r.randint(1, 9), self.plain),
            "seq-match": (self.match, self.matches),
            "capability": (lambda: r.choice((b"CONDSTORE", b"X-UNKNOWN")),
                           self.atoms),
            "identifier": (lambda: r.choice((b"anyone", b"nobody")),
                           self.astrings),
            "date-text": (self.date, self.dates),
            "date-time": (self.time, self.times),
        }
        missing = rules.missing()
        # A file may add to what another one makes, which is not announced.
        assert missing <= {"search-return", "thread-program"}, missing

    # ---- written -------------------------------------------------------------

    def literal(self, s):
        return b"{%d+}\r\n" % len(s) + s

    def astring(self, s):
        quoted = b'"' + s + b'"'
        return self.r.choice((quoted, self.literal(s)) if b" " in s else
                             (s, quoted, self.literal(s)))

    def match(self):
        n = b"%d:%d" % (1, self.r.randint(2, 5))
        return n + b" " + n

    def date(self):
        return b"%d-%s-%d" % (self.r.randint(1, 28), self.r.choice(MONTHS),
                              self.r.randint(1975, 2035))

    def time(self):
        r = self.r
        return b'"%2d-%s-%04d %02d:%02d:%02d %s%02d%02d"' % (
            r.randint(1, 28), r.choice(MONTHS), r.randint(1975, 2035),
            r.randint(0, 23), r.randint(0, 59), r.randint(0, 59),
            r.choice((b"+", b"-")), r.randint(0, 13), r.randint(0, 59))

    # ---- read ----------------------------------------------------------------

    def literals(self, text, at):
        match = LITERAL.match(text, at)
        if not match or match.end() + int(match.group(1)) > len(text):
            return ()
        return {match.end() + int(match.group(1))}

    def astrings(self, text, at):
        return self.rules.ends("astring", text, at)

    def expression(self, pattern, text, at):
        match = re.compile(pattern, re.I).match(text, at)
        # Any shorter reading leaves digits or letters, which fit nowhere.
        return {match.end()} if match else ()

    def atoms(self, text, at):
        return self.rules.ends("atom", text, at)

    def numbers(self, text, at):
        return self.expression(rb"\*|[1-9]\d{0,8}(?!\d)", text, at)

    def plain(self, text, at):
        return self.expression(rb"[1-9]\d{0,8}(?!\d)", text, at)

    def counts(self, text, at):
        return self.expression(rb"\d{1,9}(?!\d)", text, at)

    def matches(self, text, at):
        return self.expression(rb"[\d:,]+ [\d:,]+", text, at)

    def dates(self, text, at):
        match = DATE.match(text, at)
        good = match and 1 <= int(match.group(1)) <= 31 and \
            match.group(2).title() in MONTHS
        return {match.end()} if good else ()

    def times(self, text, at):
        return self.expression(
            rb'"(?: [1-9]|[0-3]\d)-[A-Za-z]{3}-\d{4} [0-2]\d:[0-5]\d:[0-6]\d '
            rb'[+-]\d{4}"', text, at)

    # ---- what is not allowed -------------------------------------------------

    def command(self):
        rule = self.r.choice(("command-any", "command-auth", "command-select",
                              "command-select"))
        if self.count == 0 and rule == "command-select":
            rule = "command-auth"
        return self.rules.write(self.r, rule)

    def broken(self):
        """A line made of an allowed one, which the rules do not allow, and
        whose literals are whole."""
        r = self.r
        while True:
            line = bytearray(self.command())
            if LITERAL.search(line) and r.random() < .8:
                continue
            for _ in range(r.randint(1, 2)):
                at = r.randrange(len(line))
                how = r.randrange(5)
                other = self.command()
                if how == 0:
                    del line[at:at + r.choice((1, 1, 3))]
                elif how == 1:
                    line[at:at] = r.choice((
                        b" ", b"(", b")", b'"', b"\\", b"*", b"%", b"0", b"-",
                        b"]", b"[", b",", b":", b"$", b"\0", b"\x7f", b"\xc3",
                        b"\xff", b"~", b"4294967296", b"<", b"=", b"{"))
                elif how == 2 and b" " in other:
                    line += b" " + r.choice(other.split(b" "))
                elif how == 3:
                    words = bytes(line).split(b" ")
                    words[r.randrange(len(words))] = r.choice(
                        other.split(b" "))
                    line = bytearray(b" ".join(words))
                else:
                    words = bytes(line).split(b" ")
                    r.shuffle(words)
                    line = bytearray(b" ".join(words))
                if not line:
                    break
            line = bytes(line)
            if not line or b"\r" in LITERAL.sub(b"", line) or \
                    b"\n" in LITERAL.sub(b"", line) or \
                    re.search(rb"\{\d*\+?\}?$", line) or \
                    LITERAL.search(line) and not self.whole(line):
                continue
            if re.match(rb"(?i)\s*(logout|idle|starttls|compress|login|"
                        rb"authenticate|unauthenticate)", line):
                continue
            if not self.rules.allows("command", line):
                return line

    def whole(self, line):
        """Each literal has its bytes, and the line goes on behind them."""
        at = 0
        for match in LITERAL.finditer(line):
            if match.start() < at:
                continue
            at = match.end() + int(match.group(1))
        return at <= len(line)


def capabilities(c):
    for r in c.ok("CAPABILITY"):
        if r.startswith(b"* CAPABILITY "):
            return r[13:].decode().split()
    raise AssertionError("no CAPABILITY")


def hear(language, untagged):
    for r in untagged:
        match = re.match(rb"^\* (\d+) (EXISTS|EXPUNGE)$", r)
        if match and match.group(2) == b"EXISTS":
            language.count = int(match.group(1))
        elif match:
            language.count -= 1
        match = re.match(rb"^\* VANISHED ([\d:,]+)$", r)
        if match:
            for part in match.group(1).split(b","):
                first, _, last = part.partition(b":")
                language.count -= int(last or first) - int(first) + 1


# What is enabled, by turns.
MODES = ["QRESYNC UIDONLY", "", "QRESYNC", "UIDONLY", "IMAP4rev2"]


def enter(c, seed):
    """(language, what is enabled)"""
    mode = MODES[seed % len(MODES)]
    known = capabilities(c)
    if mode:
        c.ok("ENABLE " + mode)
    return Language(known, seed, "UIDONLY" in mode), mode


def check_response(mode, r):
    assert well_formed(r)
    if "UIDONLY" in mode:
        assert not re.match(rb"\* \d+ FETCH", r)
    if "QRESYNC" in mode or "UIDONLY" in mode:
        assert not re.match(rb"\* \d+ EXPUNGE", r)
    if mode == "IMAP4rev2":
        assert not re.match(rb"\* SEARCH|\* \d+ RECENT", r)


def is_open(c):
    return c.cmd("CHECK")[0] == "OK"


@pytest.mark.parametrize("seed", range(SEED, SEED + 5))
def test_what_is_allowed_is_accepted(box, seed):
    c = prepare(box)
    language, mode = enter(c, seed)
    language.count = 0
    for i in range(ROUNDS):
        if language.count == 0 or i % 20 == 0:
            box.fill(1, flags="")
            language.count = 0
            hear(language, c.ok("SELECT INBOX"))
        line = language.command()
        if "QRESYNC" not in mode and re.search(rb"QRESYNC|VANISHED",
                                               line.upper()):
            continue
        if line.upper().startswith((b"SELECT", b"EXAMINE")):
            language.count = 0
        status, text, untagged = c.cmd(line)
        assert status in ("OK", "NO"), (seed, i, line, status, text)
        for r in untagged:
            try:
                check_response(mode, r)
            except AssertionError:
                raise AssertionError((seed, i, line, r))
        hear(language, untagged)
        # None may be selected now, for a mailbox was renamed or removed.
        if status == "OK" and line.upper().startswith(
                (b"DELETE", b"RENAME", b"UNSELECT")) and not is_open(c):
            language.count = 0


@pytest.mark.parametrize("seed", range(SEED + 100, SEED + 105))
def test_what_is_not_allowed_changes_nothing(box, seed):
    c = prepare(box)
    other = box.connect()
    language, _ = enter(c, seed)
    hear(language, c.ok("SELECT INBOX"))
    # Keywords of an APPEND that breaks off later stay known to the mailbox.
    before = state(other)
    for i in range(ROUNDS):
        line = language.broken()
        refused(c, i, line, seed)
        if i % 20 == 19:
            assert state(other) == before, (seed, i, line)
    assert is_open(c)
    assert state(other) == before
