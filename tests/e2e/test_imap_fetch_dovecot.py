# SPDX-License-Identifier: ISC
"""FETCH beside Debian's Dovecot: every message of the corpus, every item and
every section of every part. What differs must be explained by a rule that
differences.md judges, or be one of the messages named there."""
import itertools
import os
import re

import pytest
from lib import box as boxes
from lib.fetch import leaves, parse
from test_imap_fetch import corpus

ITEMS = ["RFC822.SIZE", "ENVELOPE", "BODY", "BODYSTRUCTURE", "BODY.PEEK[]",
         "BODY.PEEK[HEADER]", "BODY.PEEK[TEXT]",
         "BODY.PEEK[HEADER.FIELDS (From Subject Content-Type)]",
         "BODY.PEEK[HEADER.FIELDS.NOT (Received)]", "RFC822",
         "RFC822.HEADER", "RFC822.TEXT"]
HERE = os.path.dirname(__file__)


def named():
    """{file: set of letters} of the table of single messages."""
    found = {}
    with open(os.path.join(HERE, "differences.md")) as f:
        for line in f:
            m = re.match(r"\| `([^`]+)` \| ([a-z]) \|", line)
            if m:
                found.setdefault(m.group(1), set()).add(m.group(2))
    return found


PLACEHOLDERS = (b"MISSING_DOMAIN", b"MISSING_MAILBOX")
ENCODINGS = (b"7bit", b"8bit", b"binary", b"base64", b"quoted-printable")


def section_rule(item, ours, theirs):
    kind = item.rstrip("]").rpartition(".")[2]
    if ours is None and theirs == b"":
        return "no-such-part"
    if isinstance(ours, bytes) and isinstance(theirs, bytes):
        if "HEADER.FIELDS" in item and theirs == ours + b"\r\n":
            return "no-blank-line"
        if "HEADER.FIELDS.NOT" in item and ours == theirs + b"\r\n":
            return "last-line-end"
        if theirs == ours + b"\r\n" and not kind.startswith("HEADER"):
            return "line-end-of-boundary"
        if ours == theirs + b"\r\n" and kind in ("MIME", "HEADER"):
            return "header-cut-by-boundary"
        if theirs == b"" and ours.endswith(b"\n") or theirs == b"":
            return "multipart-without-parts"
    return None


def is_list(x):
    return isinstance(x, list)


def is_same_but_case(a, b):
    if is_list(a) and is_list(b):
        return len(a) == len(b) and all(
            is_same_but_case(x, y) for x, y in zip(a, b))
    if isinstance(a, bytes) and isinstance(b, bytes):
        return a.lower() == b.lower()
    return a == b


def address_rule(ours, theirs):
    """Two address lists: equal but for what is missing?"""
    if not is_list(ours) or not is_list(theirs) or \
            len(ours) != len(theirs):
        return None
    for a, b in zip(ours, theirs):
        b = [b"" if x in PLACEHOLDERS else x for x in b]
        if a != b:
            return None
    return "missing-part-of-address"


def envelope_rules(ours, theirs):
    for i, (a, b) in enumerate(zip(ours, theirs)):
        if a == b:
            continue
        if 2 <= i <= 7:
            yield address_rule(a, b) or (a, b)
        elif a is not None and b is not None and a == b.strip():
            yield "blanks-around"
        else:
            yield (a, b)


def body_rules(ours, theirs):
    """A rule, or what is not explained, for every place where two structures
    differ."""
    if ours == theirs:
        return
    if not is_list(ours) or not is_list(theirs):
        yield (ours, theirs)
        return
    if is_list(ours[0]) != is_list(theirs[0]):
        yield (ours, theirs)
        return
    if is_list(ours[0]):
        k = 0
        while k < len(ours) and is_list(ours[k]):
            k += 1
        if len(ours) != len(theirs) or is_list(theirs[k]) or \
                not is_list(theirs[k - 1]):
            yield (ours, theirs)
            return
        empty = theirs[0]
        if k == 1 and empty[6:8] == [0, 0] and \
                ours[0][:3] == empty[:3] and ours[0][6:8] != [0, 0]:
            yield "multipart-without-parts"
        else:
            for a, b in zip(ours[:k], theirs[:k]):
                yield from body_rules(a, b)
        for a, b in zip(ours[k:], theirs[k:]):
            if a != b:
                yield (ours, theirs)
        return
    if ours[0].lower() != theirs[0].lower() or \
            ours[1].lower() != theirs[1].lower() or len(ours) != len(theirs):
        yield (ours, theirs)
        return
    if ours[:2] != theirs[:2]:
        yield "letter-case"
    is_message = (ours[0].lower(), ours[1].lower()) == (b"message", b"rfc822")
    for i in range(2, len(ours)):
        a, b = ours[i], theirs[i]
        if a == b:
            continue
        if i == 5 and b == b"7bit" and a.lower() not in ENCODINGS:
            yield "unknown-encoding"
        elif i in (3, 4) and a is not None and b is not None and \
                a == b.strip():
            yield "blanks-around"
        elif is_same_but_case(a, b):
            yield "letter-case"
        elif is_message and i == 6 and b == a + 2:
            yield "line-end-of-boundary"
        elif is_message and i == 9 and b == a + 1:
            yield "line-end-of-boundary"
        elif is_message and i == 7:
            yield from envelope_rules(a, b)
        elif is_message and i == 8:
            yield from body_rules(a, b)
        else:
            yield (a, b)


def rules_of(item, ours, theirs):
    if item == "ENVELOPE":
        return list(envelope_rules(ours, theirs))
    if item in ("BODY", "BODYSTRUCTURE"):
        return list(body_rules(ours, theirs))
    return [section_rule(item, ours, theirs) or (ours, theirs)]


def rules_in_the_page():
    with open(os.path.join(HERE, "differences.md")) as f:
        return set(re.findall(r"^\| `([a-z-]+)` \|", f.read(), re.M))


class Comparison:
    def __init__(self, files, names):
        self.files = files
        self.names = names
        self.used = set()
        self.unexplained = []

    def short(self, seq):
        path = self.files[seq - 1]
        top = os.environ.get("RESTANTE_CORPUS")
        for mark in (top, "shared/corpus", "tests/e2e/.."):
            if mark and mark in path:
                return path.partition(mark)[2].lstrip("/")
        return path

    def judge(self, seq, item, ours, theirs):
        if ours == theirs:
            return
        name = self.short(seq)
        for rule in rules_of(item, ours, theirs):
            if isinstance(rule, str):
                self.used.add(rule)
            elif name in self.names:
                self.used.add(name)
            else:
                self.unexplained.append(
                    "%s %s\n   ours   %.300r\n   theirs %.300r" %
                    ((name, item) + rule))


def batches(sections, most):
    """(seq, [section]) of one message each"""
    for seq, group in itertools.groupby(sections, lambda x: x[0]):
        group = [s for _, s in group]
        for i in range(0, len(group), most):
            yield seq, group[i:i + most]


def both(c, d, seq, items):
    command = "FETCH %d (%s)" % (seq, " ".join(items))
    tags = [x.start(command) for x in (c, d)]
    found = []
    for x, tag in zip((c, d), tags):
        status, text, lines = x.finish(tag)
        assert status == "OK", (command, text)
        found.append(parse(lines[0])[1])
    return found


def test_corpus_beside_dovecot(start_dovecot):
    files = corpus()
    if len(files) < 100:
        pytest.skip("needs the corpus")
    names = named()
    theirs = start_dovecot(users=["u1"])
    ours = boxes.Box("tunnel")
    for i, path in enumerate(files):
        with open(path, "rb") as f:
            text = f.read()
        kw = {"flags": "S", "name": "%d.%d.h" % (1600000000 + i, i)}
        ours.deliver(text, **kw)
        theirs.deliver("u1", text, **kw)
    c, d = ours.connect(), theirs.imap("u1")
    for x in (c, d):
        x.ok("SELECT INBOX")
    cmp = Comparison(files, names)
    sections = []
    for seq in range(1, len(files) + 1):
        a, b = both(c, d, seq, ITEMS)
        assert list(a) == list(b)
        for item in a:
            cmp.judge(seq, item, a[item], b[item])
        for path, part in leaves(a["BODYSTRUCTURE"]):
            n = ".".join(map(str, path))
            sections.append((seq, n))
            sections.append((seq, n + ".MIME"))
            if not is_list(part[0]) and part[0].lower() == b"message":
                for what in (".HEADER", ".TEXT",
                             ".HEADER.FIELDS (Subject From)",
                             ".HEADER.FIELDS.NOT (Subject From)"):
                    sections.append((seq, n + what))
    # A few at a time: most of the time is that of commands.
    for seq, some in batches(sections, 12):
        a, b = both(c, d, seq, ["BODY.PEEK[%s]" % s for s in some])
        assert list(a) == list(b) and len(a) == len(some)
        for item in a:
            cmp.judge(seq, item, a[item], b[item])
        # Wire partials are of the same bytes.
        some = [s for s in some if s[-1].isdigit() and
                a["BODY[%s]" % s] == b["BODY[%s]" % s]]
        if seq % 10 == 0 and some:
            a, b = both(c, d, seq, ["BODY.PEEK[%s]<3.11>" % s for s in some])
            assert a == b
    ours.close()
    if cmp.unexplained:
        pytest.fail("%d unexplained:\n%s" % (
            len(cmp.unexplained), "\n".join(cmp.unexplained)), False)
    # Neither page nor test names what no longer happens.
    assert cmp.used == rules_in_the_page() | set(names)
