# SPDX-License-Identifier: ISC
"""Ours and Debian's Dovecot take turns on the same mbox files
(compat-tests.md section 5)."""
import random
import re

import pytest
from lib import agree
from lib.agree import FROM, msg, piece

@pytest.fixture(scope="module")
def pair():
    users = ["m%d" % i for i in range(1, 61)]
    yield from agree.serving(users, extra={
        u: "mbox:~/mail:INBOX=~/in/box" for u in users})


@pytest.fixture
def box(pair):
    pair.dovecot.complaints()
    user = pair.users[pair.used]
    pair.used += 1
    b = agree.MboxBox(pair, user)
    yield b
    pair.dovecot.close_all()
    pair.ours.close_all()


@pytest.mark.parametrize("first", ["ours", "dovecot"])
def test_first_contact(box, first):
    box.add(piece(1) + piece(2) + piece(3))
    seen = box.agree(first=first)["INBOX"]
    assert sorted(seen["messages"]) == [1, 2, 3]
    data = box.bytes()
    assert data.count(b"\nX-IMAPbase: %d 0000000003\n"
                      % seen["uidvalidity"]) == 1
    assert data.find(b"X-IMAPbase: ") < data.find(b"X-UID: ")
    box.add(piece(4))
    assert box.agree(first=first)["INBOX"]["uidnext"] == 5


def test_as_dovecot_leaves_it(box):
    """B2"""
    box.add(FROM + b"Subject: 1\nX-IMAPbase: 1795300494 0000000003 $Fwd\n"
            b"X-UID: 1                      \nStatus: O\nX-Status: AD\n\n"
            b"b\n\n" + FROM + b"Subject: 2\nX-UID: 2          \nStatus: RO\n"
            b"X-Status: F\nX-Keywords: $Fwd\n\nb\n\n" + FROM +
            b"Subject: 3\nX-UID: 3                                        \n"
            b"Status: O\n\nb\n\n")
    seen = box.agree()["INBOX"]
    assert seen["uidvalidity"] == 1795300494 and seen["uidnext"] == 4
    assert {u: m[1] for u, m in seen["messages"].items()} == {
        1: {"\\Answered", "\\Deleted"},
        2: {"\\Flagged", "\\Seen", "$Fwd"}, 3: set()}
    before = box.bytes()
    agree.do(box, "ours", r"STORE 3 +FLAGS (\Seen)")
    after = box.when(lambda d: b"Status: RO\n\nb" in d)
    assert len(after) == len(before)
    box.agree(first="dovecot")


@pytest.mark.parametrize("first", ["ours", "dovecot"])
def test_turns(box, first):
    """Each changes what the other has written, of every kind."""
    second = "dovecot" if first == "ours" else "ours"
    box.add(b"".join(piece(i) for i in range(1, 7)))
    agree.do(box, first, r"STORE 1 +FLAGS (\Seen \Flagged Work)",
       r"STORE 2:3 +FLAGS (\Answered)")
    box.agree(first=second)
    agree.do(box, second, r"STORE 1 -FLAGS (\Flagged)",
       r"STORE 4 +FLAGS (\Draft Home Work)")
    box.agree(first=first)
    agree.do(box, first, r"STORE 1,3 +FLAGS (\Deleted)", "EXPUNGE")
    seen = box.agree(first=second)["INBOX"]
    assert sorted(seen["messages"]) == [2, 4, 5, 6]
    box.add(piece(7))
    agree.do(box, second, r"STORE 1 +FLAGS (\Deleted)", "EXPUNGE")
    seen = box.agree(first=first)["INBOX"]
    assert sorted(seen["messages"]) == [4, 5, 6, 7]
    assert seen["messages"][4][1] == {"\\Draft", "Home", "Work"}
    for which in (first, second, first):
        c = box.of(which)
        assert b"APPENDUID" in c.append(
            "INBOX", msg(8).replace(b"\n", b"\r\n"), "(\\Seen Work)")
        c.logout()
    seen = box.agree(first=second)["INBOX"]
    assert sorted(seen["messages"]) == list(range(4, 11))
    agree.do(box, first, r"STORE 1:* +FLAGS (\Deleted)", "EXPUNGE")
    box.when(lambda d: b"X-IMAP: " in d)
    assert box.agree(first=second)["INBOX"]["messages"] == {}
    agree.do(box, second, "NOOP")
    box.add(piece(9))
    seen = box.agree(first=second)["INBOX"]
    assert sorted(seen["messages"]) == [11]


def test_folders(box):
    c = box.ours()
    c.ok("CREATE one")
    c.ok("CREATE dir/two")
    c.ok('CREATE "M&APw-ll"')
    c.ok("SUBSCRIBE dir/two")
    c.append("one", msg(1).replace(b"\n", b"\r\n"))
    c.logout()
    c = box.dovecot()
    c.append("dir/two", msg(2).replace(b"\n", b"\r\n"))
    c.append('"M&APw-ll"', msg(2).replace(b"\n", b"\r\n"))
    c.ok("SUBSCRIBE one")
    c.logout()
    box.agree(("one", "dir/two", "M&APw-ll"), pop3=False)
    c = box.ours()
    c.ok("SELECT one")
    c.ok("COPY 1 dir/two")
    c.ok("MOVE 1 INBOX")
    c.ok("RENAME dir/two dir/three")
    c.logout()
    box.agree(("INBOX", "one", "dir/three"), first="dovecot")


TABLE = (
    "From x@y Mon Mar  2 10:01:00 2026", "From x@y Mon Mar  2 10:01 2026",
    "From x@y Mon Mar  2 10:01:00 EST 2026",
    "From x@y Mon Mar  2 10:01:00 2026 +0200",
    "From x@y Mon Mar  2 10:01:00 +0200 2026",
    "From x@y  Mon Mar 02 10:01:00 2026",
    'From "a b"@y Mon Mar  2 10:01:00 2026',
    "From Mon Mar  2 10:01:00 2026",
    "From x@y Mon, 2 Mar 2026 10:01:00 +0200",
    "From x@y Mon Mar 2 10:01:00 2026",
    "From x@y Mon Mar  2 10:01:00 2026 remote from foo",
    "From x@y 2026-03-02 10:01:00", "From the start",
    "From x@y Xyz Mar 99 99:99:99 2026",
    "From - Mon Mar  2 10:01:00 2026", "from x@y Mon Mar  2 10:01:00 2026",
    ">From x@y Mon Mar  2 10:01:00 2026",
)


def test_from_lines(box):
    """B11: what begins a message, one file for each line."""
    boxes = []
    for i, line in enumerate(TABLE):
        boxes.append("t%d" % i)
        box.write("mail/t%d" % i, FROM + b"Subject: 1\n\nb\n\n" +
                  line.encode() + b"\nSubject: 2\n\nc\n\n")
    for which in ("ours", "dovecot"):
        c = box.of(which)
        seen = [int(re.search(rb"MESSAGES (\d+)", c.ok(
            "STATUS %s (MESSAGES)" % x)[-1]).group(1)) for x in boxes]
        c.logout()
        if which == "ours":
            ours = seen
    assert ours == seen


def test_shapes(box):
    """B12 to B14 and their like: sizes and bytes are the same."""
    covered = b"x\n" + FROM + b"y\n"
    files = {
        "length": FROM + b"Content-Length: %d\n\n" % len(covered) + covered +
        b"\n" + FROM + b"A: b\n\nb\n\n",
        "wrong": FROM + b"Content-Length: 9999\nA: b\n\nb\n\n" + FROM +
        b"A: b\n\nb\n\n",
        "crlf": (FROM + b"Subject: 1\n\nb\n\n" + FROM + b"Subject: 2\n\nc\n"
                 b"\n").replace(b"\n", b"\r\n"),
        "nolf": FROM + b"Subject: 1\n\nb",
        "noblank": FROM + b"Subject: 1\n\nb\n" + FROM + b"Subject: 2\n\nc\n",
        "nobody": FROM + b"Subject: 1\n\n\n" + FROM + b"Subject: 2\n\n\n",
    }
    for name, data in files.items():
        box.write("mail/" + name, data)
    seen = box.agree(list(files), pop3=False)
    assert len(seen["length"]["messages"]) == 2
    assert len(seen["wrong"]["messages"]) == 2
    # Written to by both, they stay what they are.
    agree.do(box, "ours", r"STORE 1 +FLAGS (\Seen kw)", mailbox="crlf")
    box.when(lambda d: b"X-UID: 1" in d, "mail/crlf")
    assert b"\n" not in box.bytes("mail/crlf").replace(b"\r\n", b"")
    agree.do(box, "dovecot", r"STORE 1 +FLAGS (\Flagged)", mailbox="nolf")
    agree.do(box, "ours", r"STORE 1 +FLAGS (\Seen)", mailbox="noblank")
    box.agree(list(files), pop3=False)


def test_cut_from_line(box):
    """A delivery broke off in the From_ line of a message."""
    files = {"one": FROM[:-1], "two": piece(1) + FROM[:-1],
             "crlf": piece(1).replace(b"\n", b"\r\n") + FROM[:-1]}
    for name, data in files.items():
        box.write("mail/" + name, data)
        do = [r"STORE 1:* +FLAGS (\Seen kw)"]
        agree.do(box, "ours", *do, mailbox=name)
        found = box.when(lambda d, n=name: d.count(b"Status: RO") ==
                         (1 if n == "one" else 2), "mail/" + name)
        assert b"2026\nX-" in found
    box.agree(list(files), pop3=False, first="dovecot")


def test_not_an_mbox(box):
    box.write("mail/no", b"hello\n")
    for which in ("ours", "dovecot"):
        c = box.of(which)
        c.no("SELECT no")
        c.logout()
    assert box.bytes("mail/no") == b"hello\n"


@pytest.mark.parametrize("seed", range(3))
def test_random_turns(box, seed):
    r = random.Random(seed)
    box.add(b"".join(piece(i) for i in range(1, 10)))
    n = 10
    for _ in range(8):
        which = r.choice(("ours", "dovecot"))
        c = box.of(which)
        c.ok("SELECT INBOX")
        for _ in range(r.randint(1, 3)):
            count = len(c.flags()) if n else 0
            if count == 0:
                break
            first = r.randint(1, count)
            what = "%d:%d" % (first, r.randint(first, count))
            op = r.choice(("flags", "flags", "append", "expunge", "mail"))
            if op == "flags":
                c.ok("STORE %s %sFLAGS (%s)" % (
                    what, r.choice("+-"), r.choice((
                        "\\Seen", "\\Flagged", "\\Answered kw%d"
                        % r.randint(1, 9)))))
            elif op == "append":
                c.append("INBOX", msg(n % 9 + 1).replace(b"\n", b"\r\n"),
                         r.choice(("", "(\\Seen)", "(kw1 other)")))
            elif op == "mail":
                box.add(piece(n))
            elif first > 2:
                c.ok("STORE %d +FLAGS (\\Deleted)" % first)
                c.ok("EXPUNGE")
            n += 1
            c.ok("NOOP")
        c.logout()
    box.agree(first=r.choice(("ours", "dovecot")))
    box.agree(first="ours")
