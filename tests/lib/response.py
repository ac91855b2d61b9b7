# SPDX-License-Identifier: ISC
"""response.py - tells whether a response is one that the grammars allow: the
whole of it, by tests/data/response.abnf.

`utf8` is what the client has enabled: UTF8=ACCEPT or IMAP4rev2 let UTF-8 into
quoted strings and texts."""
import os
import re

from .abnf import Rules

FILE = os.path.join(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))), "data", "response.abnf")
LITERAL = re.compile(rb"\{(\d+)\}\r\n")
LITERAL8 = re.compile(rb"~\{(\d+)\}\r\n")
PLAIN = rb"\x01-\x09\x0b\x0c\x0e-\x7f"
UTF8 = (rb"[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|"
        rb"[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]|"
        rb"\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|"
        rb"\xf4[\x80-\x8f][\x80-\xbf]{2}")
QUOTED = re.compile(rb'"(?:[\x01-\x09\x0b\x0c\x0e-\x21\x23-\x5b\x5d-\x7f]|'
                    rb'\\["\\])*"')
QUOTED8 = re.compile(rb'"(?:[\x01-\x09\x0b\x0c\x0e-\x21\x23-\x5b\x5d-\x7f]|'
                     rb'\\["\\]|' + UTF8 + rb')*"')
TEXT = re.compile(rb"(?!\[)[" + PLAIN + rb"]+")
TEXT8 = re.compile(rb"(?!\[)(?:[" + PLAIN + rb"]|" + UTF8 + rb")+")
ATOM = re.compile(rb'[^\x00-\x20(){%*"\\\]\x7f-\xff]+')
FLAG = re.compile(rb'\\?[^\x00-\x20(){%*"\\\]\x7f-\xff]+')
BASE64 = re.compile(rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|"
                    rb"[A-Za-z0-9+/]{3}=)?")
NUMBER = re.compile(rb"0(?!\d)|[1-9]\d*")
# nz-number is a number of 32 bits, a mod-sequence one of 63.
LARGEST = (1 << 63) - 1


def matched(pattern):
    def ends(text, at):
        match = pattern.match(text, at)
        return {match.end()} if match else ()
    return ends


def counted(pattern, clean):
    def ends(text, at):
        match = pattern.match(text, at)
        if not match:
            return ()
        end = match.end() + int(match.group(1))
        if end > len(text) or clean and b"\0" in text[match.end():end]:
            return ()
        return {end}
    return ends


def nz_number(text, at):
    match = NUMBER.match(text, at)
    good = match and 0 < int(match.group()) <= LARGEST
    return {match.end()} if good else ()


def number(text, at):
    match = NUMBER.match(text, at)
    good = match and int(match.group()) <= LARGEST
    return {match.end()} if good else ()


class Grammar:
    """`wrong(r)`: None, or where what is allowed ends at the latest."""

    def __init__(self, utf8=False):
        self.rules = Rules()
        with open(FILE, encoding="ascii") as f:
            self.rules.add(f.read())
        self.rules.hooks = {
            "literal": (None, counted(LITERAL, True)),
            "literal8": (None, counted(LITERAL8, False)),
            "quoted": (None, matched(QUOTED8 if utf8 else QUOTED)),
            "text": (None, matched(TEXT8 if utf8 else TEXT)),
            "tag": (None, matched(re.compile(rb"[A-Za-z0-9.]+"))),
            "base64": (None, matched(BASE64)),
            "atom": (None, matched(ATOM)),
            "nz-number": (None, nz_number),
            "number": (None, number),
        }
        assert not self.rules.missing(), self.rules.missing()

    def allows(self, r):
        return self.rules.allows("response", r)

    def reached(self, r):
        """How far reading goes, for who looks at a failure."""
        known = {}
        self.rules._ends(("rule", "response"), r, 0, known)
        return max([0] + [e for ends in known.values() for e in ends])
