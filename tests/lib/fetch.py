# SPDX-License-Identifier: ISC
"""fetch.py - FETCH responses as Python values, read strictly (RFC 3501
section 9): what the grammar does not allow raises an AssertionError."""
import re

ATOM = re.compile(rb'[^(){ %*"\\\]\x00-\x1f\x7f-\xff]+')
FLAG = re.compile(rb'\\?[^(){ %*"\\\]\x00-\x1f\x7f-\xff]+')
NUMBER = re.compile(rb"\d+")
QUOTED = re.compile(rb'"(?:[^"\\\r\n\0\x80-\xff]|\\["\\])*"')
SECTION = re.compile(
    rb'BODY\[(?:[^\]"]|"(?:[^"\\]|\\.)*")*\](?:<\d+>)?', re.I)


class Reader:
    def __init__(self, data):
        self.data = data
        self.at = 0

    def peek(self):
        return self.data[self.at:self.at + 1]

    def eat(self, text):
        assert self.data.startswith(text, self.at), \
            (text, self.data[self.at:self.at + 80])
        self.at += len(text)

    def match(self, pattern):
        m = pattern.match(self.data, self.at)
        assert m, (pattern.pattern, self.data[self.at:self.at + 80])
        self.at = m.end()
        return m.group(0)

    def string(self):
        if self.peek() == b"{":
            self.at += 1
            n = int(self.match(NUMBER))
            self.eat(b"}\r\n")
            value = self.data[self.at:self.at + n]
            assert len(value) == n and b"\0" not in value
            self.at += n
            return value
        text = self.match(QUOTED)[1:-1]
        return re.sub(rb"\\(.)", rb"\1", text) if b"\\" in text else text

    def value(self):
        """nstring, number or parenthesised list of these."""
        c = self.peek()
        if c == b"(":
            self.at += 1
            items = []
            while self.peek() != b")":
                # body-type-mpart: parts follow without a blank.
                if items and self.peek() == b" ":
                    self.at += 1
                items.append(self.value())
            self.at += 1
            return items
        if c in b'"{':
            return self.string()
        if self.data.startswith(b"NIL", self.at):
            self.at += 3
            return None
        return int(self.match(NUMBER))

    def flags(self):
        self.eat(b"(")
        found = []
        while self.peek() != b")":
            if found:
                self.eat(b" ")
            found.append(self.match(FLAG).decode())
        self.at += 1
        return found


def parse(response):
    """(seq, {item: value}) of one untagged FETCH response."""
    m = re.match(rb"\* (\d+) FETCH \(", response)
    assert m, response[:80]
    r = Reader(response)
    r.at = m.end()
    items = {}
    while r.peek() != b")":
        if items:
            r.eat(b" ")
        if r.data[r.at:r.at + 5].upper() == b"BODY[":
            name = r.match(SECTION)
        else:
            name = r.match(ATOM)
        r.eat(b" ")
        name = name.decode("latin-1").upper()
        assert name not in items, name
        items[name] = r.flags() if name == "FLAGS" else r.value()
    r.eat(b")")
    assert r.at == len(response), response[r.at:]
    return int(m.group(1)), items


def fetch(c, what, uid=False):
    """{seq: {item: value}} of a FETCH that must succeed."""
    found = {}
    for r in c.ok(("UID " if uid else "") + "FETCH " + what):
        if b" FETCH (" in r[:24]:
            seq, items = parse(r)
            found.setdefault(seq, {}).update(items)
    return found


def one(c, what, item=None):
    """The items of the only message answered, or one of them."""
    found = fetch(c, what)
    assert len(found) == 1, found
    items = next(iter(found.values()))
    return items if item is None else items[item.upper()]


def leaves(structure, path=()):
    """(part path, structure) of every part of a BODYSTRUCTURE, containers
    too; the parts of a message within count on from its own path. RFC 3501
    opens message/rfc822 only, RFC 9051 message/global, too."""
    if isinstance(structure[0], list):
        if path:
            yield path, structure
        for i, child in enumerate(structure):
            if not isinstance(child, list):
                break
            yield from leaves(child, path + (i + 1,))
        return
    if not path:
        path = (1,)
    yield path, structure
    if structure[0].lower() == b"message" and \
            structure[1].lower() in (b"rfc822", b"global") and \
            len(structure) > 8 and isinstance(structure[7], list):
        inner = structure[8]
        if isinstance(inner[0], list):
            for p in leaves(inner, path):
                if p[0] != path:
                    yield p
        else:
            yield from leaves(inner, path + (1,))
