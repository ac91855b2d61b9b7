# SPDX-License-Identifier: ISC
"""CONTEXT=SEARCH and CONTEXT=SORT (RFC 5267, RFC 5465 section 7): results of
searches that are kept up to date."""
import os
import random
import re
import select

import pytest
from lib.maildir import message

MBOX = True

SEED = int(os.environ.get("RESTANTE_SEED", "0")) or random.randrange(1 << 30)


def numbers(text):
    """The members of "5,1:3", in order."""
    found = []
    for piece in text.split(","):
        first, _, last = piece.partition(":")
        found += range(int(first), int(last or first) + 1)
    return found


class Context:
    """What a client makes of the responses to its tag."""

    def __init__(self, c, command):
        self.client = c
        self.is_sort = "SORT" in command.split(" RETURN")[0]
        self.is_uid = command.startswith(("UID", "ESEARCH"))
        self.tag = c.start(command)
        status, self.text, self.untagged = c.finish(self.tag)
        assert status == "OK", (command, status, self.text)
        self.list = []
        for r in self.untagged:
            m = re.match(rb'\* ESEARCH \(TAG "%s".*\)(?: UID)? ALL (\S+)$' %
                         self.tag, r)
            if m:
                self.list = numbers(m.group(1).decode())

    def take(self, untagged):
        """Applies ADDTO, REMOVEFROM and EXPUNGE, as they come."""
        for r in untagged:
            m = re.match(rb"\* (\d+) EXPUNGE$", r)
            if m and not self.is_uid:
                gone = int(m.group(1))
                assert gone not in self.list, "REMOVEFROM comes first"
                self.list = [n - (n > gone) for n in self.list]
            m = re.match(rb'\* ESEARCH \(TAG "%s"[^)]*\)( UID)? (ADDTO|'
                         rb'REMOVEFROM) \((.*)\)$' % self.tag, r)
            if not m:
                continue
            assert bool(m.group(1)) == self.is_uid, r
            words = m.group(3).decode().split()
            for pos, some in zip(map(int, words[::2]), words[1::2]):
                self.change(m.group(2), pos, numbers(some))
        return self

    def change(self, what, pos, some):
        assert (pos != 0) == self.is_sort
        if what == b"ADDTO":
            assert not set(some) & set(self.list), some
            at = pos - 1 if pos else 0
            self.list[at:at] = some
            if not pos:
                self.list.sort()
        elif pos:
            assert self.list[pos - 1:pos - 1 + len(some)] == some, (pos, some)
            del self.list[pos - 1:pos - 1 + len(some)]
        else:
            assert set(some) <= set(self.list), (some, self.list)
            self.list = [n for n in self.list if n not in some]


@pytest.fixture
def five(box):
    box.fill(5, flags="")
    c = box.connect()
    c.box = box
    c.ok("SELECT INBOX")
    c.other = box.connect()
    c.other.ok("SELECT INBOX")
    return c


def test_announced(five):
    assert {"CONTEXT=SEARCH", "CONTEXT=SORT"} <= five.capabilities()


def test_examples(five):
    """Section 4.2, 4.3 and 4.3.5."""
    c, o = five, five.other
    c.send(b"A01 SEARCH RETURN (CONTEXT COUNT) UNDELETED UNKEYWORD $Junk\r\n")
    assert c.finish(b"A01")[2] == [b'* ESEARCH (TAG "A01") COUNT 5']
    c.send(b"B01 UID SEARCH RETURN (UPDATE COUNT) DELETED KEYWORD $Junk\r\n")
    assert c.finish(b"B01")[2] == [b'* ESEARCH (TAG "B01") UID COUNT 0']
    c.send(b"B01 SORT RETURN (UPDATE) (DATE) UTF-8 FLAGGED\r\n")
    assert c.finish(b"B01")[0] == "BAD"
    # a keyword that did not exist when the search was made
    o.ok("STORE 2:3 +FLAGS (\\Deleted $Junk)")
    got = []
    while not [r for r in got if b"ESEARCH" in r]:
        got += c.ok("NOOP")
    added = [r for r in got if b"ESEARCH" in r]
    assert added in ([b'* ESEARCH (TAG "B01") UID ADDTO (0 2:3)'],
                     [b'* ESEARCH (TAG "B01") UID ADDTO (0 2)'])
    # behind the FETCH that shows why
    assert b"FETCH" in got[0] or b"FLAGS" in got[0]
    o.ok("STORE 3 -FLAGS (\\Deleted)")
    o.ok("UID EXPUNGE 2")
    got = []
    while b"* 2 EXPUNGE" not in got:
        got += c.ok("NOOP")
    gone = [r for r in got if b"REMOVEFROM" in r and b" 2" in r] + [
        b"* 2 EXPUNGE"]
    assert got.index(gone[0]) < got.index(b"* 2 EXPUNGE")
    c.send(b'B04 CANCELUPDATE "B01"\r\n')
    assert c.finish(b"B04")[0] == "OK"
    o.ok("STORE 4 +FLAGS (\\Deleted $Junk)")
    assert not [r for r in c.ok("NOOP") if b"ESEARCH" in r]
    c.send(b"B01 UID SEARCH RETURN (UPDATE) DELETED\r\n")
    assert c.finish(b"B01")[0] == "OK"


def test_immediate_expunge(five):
    """Appendix A.3: told at once, while the numbers stay."""
    c, o = five, five.other
    x = Context(c, "SEARCH RETURN (UPDATE) ALL")
    assert x.untagged == []
    x.list = [1, 2, 3, 4, 5]
    o.ok("STORE 2 +FLAGS.SILENT (\\Deleted)")
    o.ok("EXPUNGE")
    got = []
    while x.take(got).list != [1, 3, 4, 5]:
        got = c.ok("FETCH 1 UID")
        assert not [r for r in got if b"EXPUNGE" in r]
    assert x.take(c.ok("NOOP")).list == [1, 2, 3, 4]
    c.box.deliver(message(6))
    while x.list != [1, 2, 3, 4, 5]:
        x.take(c.ok("NOOP"))


def test_own_changes(five):
    """Whoever changes the flags, told or not."""
    c = five
    x = Context(c, "UID SEARCH RETURN (UPDATE ALL) UNSEEN")
    assert x.list == [1, 2, 3, 4, 5]
    x.take(c.ok("STORE 1 +FLAGS (\\Seen)"))
    assert x.list == [2, 3, 4, 5]
    assert x.take(c.ok("UID STORE 2:3 +FLAGS.SILENT (\\Seen)")).list == [4, 5]
    assert x.take(c.ok("FETCH 4 BODY[]")).list == [5]
    assert x.take(c.ok("STORE 1:3 -FLAGS.SILENT (\\Seen)")).list == [1, 2, 3, 5]
    c.ok("STORE 2 +FLAGS.SILENT (\\Deleted)")
    assert x.take(c.ok("EXPUNGE")).list == [1, 3, 5]
    c.append("INBOX", message(7))
    assert x.take(c.ok("NOOP")).list in ([1, 3, 5, 6], [1, 3, 5])


def test_sorted(five):
    """Positions, from both sides and in the middle."""
    c, o = five, five.other
    x = Context(c, "UID SORT RETURN (UPDATE ALL) (SUBJECT) UTF-8 UNDELETED")
    y = Context(c, "SORT RETURN (UPDATE ALL) (REVERSE SUBJECT) UTF-8 ALL")
    assert x.list == [1, 2, 3, 4, 5] and y.list == [5, 4, 3, 2, 1]
    for i, subject in enumerate((b"aa", b"Message 2b", b"zz"), 6):
        o.append("INBOX", b"Subject: %s\r\n\r\nbody\r\n" % subject)
    got = []
    while len(x.list) < 8:
        got = c.ok("NOOP")
        x.take(got), y.take(got)
    assert x.list == [6, 1, 2, 7, 3, 4, 5, 8]
    assert y.list == x.list[::-1]
    o.ok("NOOP")
    o.ok("STORE 2:3,7 +FLAGS.SILENT (\\Deleted)")
    while len(x.list) > 5:
        got = c.ok("NOOP")
        x.take(got), y.take(got)
    assert x.list == [6, 1, 4, 5, 8] and len(y.list) == 8
    o.ok("STORE 3 -FLAGS.SILENT (\\Deleted)")
    o.ok("EXPUNGE")
    while len(x.list) != 6 or len(y.list) != 6:
        got = c.ok("NOOP")
        x.take(got), y.take(got)
    assert x.list == [6, 1, 3, 4, 5, 8]
    assert y.list == [6, 4, 3, 2, 1, 5]


def test_limits(five):
    """Section 4.3.1."""
    c = five
    tags = []
    for i in range(40):
        tag = c.start("UID SORT RETURN (UPDATE COUNT) (DATE) UTF-8 ALL")
        status, _, untagged = c.finish(tag)
        assert status == "OK"
        assert b'* ESEARCH (TAG "%s") UID COUNT 5' % tag in untagged
        refused = [r for r in untagged if b"* NO [NOUPDATE" in r]
        if refused:
            assert refused[0].startswith(b'* NO [NOUPDATE "%s"]' % tag)
            break
        tags.append(tag)
    assert 1 <= len(tags) < 40
    # those of SEARCH have room of their own
    x = Context(c, "UID SEARCH RETURN (UPDATE ALL) ALL")
    assert not [r for r in x.untagged if b"NOUPDATE" in r]
    c.ok(b"CANCELUPDATE " + b" ".join(b'"%s"' % t for t in tags[:2]))
    x = Context(c, "UID SORT RETURN (UPDATE ALL) (DATE) UTF-8 ALL")
    assert not [r for r in x.untagged if b"NOUPDATE" in r]
    # they end with the mailbox
    c.ok("SELECT INBOX")
    c.box.deliver(message(9))
    got = []
    while not [r for r in got if b"EXISTS" in r]:
        got += c.ok("NOOP")
    assert not [r for r in got if b"ESEARCH" in r]


@pytest.mark.parametrize("wrong", [
    "SEARCH RETURN (UPDATE (NOSUCH)) ALL", "SEARCH RETURN (UPDATE ()) ALL",
    "SEARCH RETURN (CONTEXT x) ALL", "SEARCH RETURN (UPDATE",
    "SEARCH RETURN (UPDATE) NOSUCH", "CANCELUPDATE", "CANCELUPDATE ()",
    "CANCELUPDATE x", "SORT RETURN (UPDATE) UTF-8 ALL"])
def test_errors(five, wrong):
    five.bad(wrong)


def test_needs_a_mailbox(tunnel):
    c = tunnel.connect()
    c.bad('CANCELUPDATE "x"')
    c.bad("SEARCH RETURN (UPDATE) ALL")
    c.bad("ESEARCH IN (personal) RETURN (UPDATE) ALL")
    c.ok("CREATE one")
    c.ok("SELECT INBOX")
    # only of the selected one (RFC 7377 section 2.2)
    got = c.ok("ESEARCH IN (mailboxes one) RETURN (UPDATE) ALL")
    assert len(got) == 1 and b"NOUPDATE" in got[0]


def test_esearch(five):
    c = five
    x = Context(c, "ESEARCH IN (personal) RETURN (ALL UPDATE) UNSEEN")
    assert x.list == [1, 2, 3, 4, 5]
    got = c.ok("STORE 1 +FLAGS (\\Seen)")
    assert re.match(rb'\* ESEARCH \(TAG "%s" MAILBOX INBOX UIDVALIDITY \d+\) '
                    rb'UID REMOVEFROM \(0 1\)$' % x.tag, got[-1])


def test_fetch_attributes(five):
    """RFC 5465 section 7: EXISTS, then FETCH, then ESEARCH."""
    c, o = five, five.other
    x = Context(c, "SEARCH RETURN (COUNT UPDATE (UID BODY.PEEK[HEADER.FIELDS "
                '(TO FROM SUBJECT)])) SUBJECT "boss"')
    o.append("INBOX", b"Subject: nobody\r\n\r\n")
    o.append("INBOX", b"Subject: the boss\r\nX: y\r\n\r\n")
    got = []
    while not [r for r in got if b"ADDTO" in r]:
        got += c.ok("NOOP")
    fetched = [r for r in got if b"FETCH" in r]
    assert len(fetched) == 1 and fetched[0].startswith(
        b"* 7 FETCH (UID 7 BODY[HEADER.FIELDS (TO FROM SUBJECT)] ")
    assert x.take(got).list == [7]
    order = [i for i, r in enumerate(got)
             if b" EXISTS" in r or b"FETCH" in r or b"ADDTO" in r]
    assert b"EXISTS" in got[order[0]] and b"ADDTO" in got[order[-1]]
    # none for a message that only comes back
    o.ok("NOOP")
    y = Context(c, "UID SEARCH RETURN (UPDATE (BODY.PEEK[TEXT])) FLAGGED")
    o.ok("STORE 1 +FLAGS (\\Flagged)")
    got = []
    while not [r for r in got if b"ADDTO" in r]:
        got += c.ok("NOOP")
    assert y.take(got).list == [1]
    assert not [r for r in got if b"BODY" in r]


def test_with_notify(five):
    """Between commands, in the right order; and during IDLE."""
    c, o = five, five.other
    c.ok("NOTIFY SET (selected (MessageNew (UID) MessageExpunge FlagChange))")
    x = Context(c, "UID SEARCH RETURN (UPDATE ALL) FLAGGED")
    y = Context(c, "UID SORT RETURN (UPDATE ALL) (REVERSE SUBJECT) UTF-8 ALL")
    o.ok("STORE 3 +FLAGS (\\Flagged)")
    got = c.until(rb"ADDTO")
    assert b"FETCH" in got[0] and x.take(got).list == [3]
    o.ok("STORE 3 +FLAGS.SILENT (\\Deleted)")
    o.ok("EXPUNGE")
    got = c.until(rb"EXPUNGE$")
    assert b"EXPUNGE" in got[-1]
    assert x.take(got).list == [] and y.take(got).list == [5, 4, 2, 1]
    c.box.deliver(message(6))
    got = c.until(rb"ADDTO")
    if not any(b"FETCH" in r for r in got):  # either may be first
        got.append(c.response())
    assert y.take(got).list == [6, 5, 4, 2, 1]
    assert [r for r in got if b"* 5 FETCH (UID 6)" in r]
    tag = c.idle()
    o.ok("NOOP")
    o.ok("STORE 1 +FLAGS (\\Flagged)")
    assert x.take(c.until(rb"ADDTO")).list == [1]
    assert c.done(tag)[0] == "OK"


BIG = b"Subject: big\n\n" + b"".join(b"line %d\n" % i for i in range(500000))


def whole_fetch(got):
    """The FETCH of the message that is sent in many pieces, nothing within."""
    found = [r for r in got if b"BODY[] {" in r]
    assert len(found) == 1
    literal = found[0].partition(b"}\r\n")[2]
    assert literal.rstrip(b")") == BIG.replace(b"\n", b"\r\n")


def test_nothing_within_a_fetch(five):
    """NOTIFY's FETCH comes behind that of a context, which takes long."""
    c = five
    c.ok("NOTIFY SET (selected (MessageNew (UID FLAGS) MessageExpunge))")
    x = Context(c, "UID SEARCH RETURN (UPDATE (BODY.PEEK[]) ALL) ALL")
    c.box.deliver(BIG)
    got = c.until(rb"ADDTO")
    if not any(b"FLAGS (" in r for r in got):
        got.append(c.response())
    whole_fetch(got)
    assert x.take(got).list == [1, 2, 3, 4, 5, 6]
    assert [r for r in got if b"FETCH (UID 6 FLAGS (" in r]


@pytest.mark.parametrize("says", ["DONE", "NONSENSE"])
def test_end_of_idle_within_a_fetch(five, says):
    c, o = five, five.other
    x = Context(c, "UID SEARCH RETURN (UPDATE (BODY.PEEK[]) ALL) ALL")
    c.ok('GETMETADATA INBOX /shared/comment')
    c.ok("ENABLE METADATA")
    tag = c.idle()
    c.box.deliver(BIG)
    assert select.select([c.sock], [], [], 30)[0]
    o.ok('SETMETADATA INBOX (/shared/comment "x")')
    c.send(says + "\r\n")
    status, _, got = c.finish(tag)
    assert status == ("OK" if says == "DONE" else "BAD")
    while not any(b"ADDTO" in r for r in got):
        got += c.ok("NOOP")
    whole_fetch(got)
    assert x.take(got).list == [1, 2, 3, 4, 5, 6]


def test_idle_alone(five):
    c, o = five, five.other
    x = Context(c, "SEARCH RETURN (UPDATE ALL) FLAGGED")
    tag = c.idle()
    o.ok("STORE 2 +FLAGS (\\Flagged)")
    assert x.take(c.until(rb"ADDTO")).list == [2]
    assert c.done(tag)[0] == "OK"


@pytest.mark.parametrize("enable", ["QRESYNC", "UIDONLY"])
def test_with_vanished(five, enable):
    c, o = five, five.other
    c.ok("ENABLE " + enable)
    x = Context(c, "UID SEARCH RETURN (UPDATE ALL) ALL")
    o.ok("STORE 2 +FLAGS.SILENT (\\Deleted)")
    o.ok("EXPUNGE")
    got = []
    while not [r for r in got if b"VANISHED" in r]:
        got += c.ok("NOOP")
    assert x.take(got).list == [1, 3, 4, 5]
    kinds = [r.split()[1] for r in got if b"REMOVEFROM" in r or
             b"VANISHED" in r]
    assert kinds == [b"ESEARCH", b"VANISHED"]


def test_modseq(five):
    c, o = five, five.other
    top = int(c.ok("STATUS INBOX (HIGHESTMODSEQ)")[-1].split()[-1][:-1])
    x = Context(c, "UID SEARCH RETURN (UPDATE ALL) MODSEQ %d" % (top + 1))
    assert x.list == []
    o.ok("STORE 4 +FLAGS (\\Flagged)")
    got = []
    while x.take(got).list != [4]:
        got = c.ok("NOOP")


KEYS = ["ALL", "FLAGGED", "UNSEEN UNDELETED", "OR SEEN KEYWORD Kw",
        "NOT SUBJECT 3", "SUBJECT 1", "UNKEYWORD Kw LARGER 10"]
SORTS = ["(SUBJECT)", "(REVERSE ARRIVAL)", "(SIZE REVERSE DATE)",
         "(REVERSE SUBJECT)"]


def a_context(c, rnd):
    kind = rnd.choice(["SEARCH", "UID SEARCH", "SORT", "UID SORT", "UID SORT"])
    keys = rnd.choice(KEYS)
    how = "%s UTF-8 " % rnd.choice(SORTS) if "SORT" in kind else ""
    x = Context(c, "%s RETURN (UPDATE ALL) %s%s" % (kind, how, keys))
    x.again = "%s RETURN (ALL) %s%s" % (kind, how, keys)
    return x


@pytest.mark.parametrize("push", [False, True])
def test_random(box, push):
    """Whatever two sessions and a delivery do: what a client has made of the
    responses is what a new search finds."""
    rnd = random.Random(SEED + push)
    box.fill(8, flags="")
    c, o = box.connect(), box.connect()
    c.ok("SELECT INBOX")
    o.ok("SELECT INBOX")
    if push:
        c.ok("NOTIFY SET (selected (MessageNew (UID) MessageExpunge "
             "FlagChange))")
    contexts, seen = [], []

    def do(client, command):
        got = client.cmd(command)[2]
        if client is c:
            seen.extend(got)

    for i in range(5):
        before = len(contexts)
        x = a_context(c, rnd)
        # what came with it is the others' too
        for old in contexts[:before]:
            old.take(x.untagged)
        # of sorted ones there may be four
        if not any(b"NOUPDATE" in r for r in x.untagged):
            contexts.append(x)
    for step in range(40):
        who = rnd.choice([c, o, o])
        n = 3 + rnd.randrange(4)
        what = rnd.randrange(6)
        if what == 0:
            box.deliver(b"Subject: Message %d\n\n%s\n" % (
                rnd.randrange(5), b"x" * rnd.randrange(60)))
        elif what == 1:
            do(who, "UID STORE %d:%d +FLAGS.SILENT (\\Deleted)" % (
                step // 3, step // 3 + 1))
            do(who, "EXPUNGE")
        elif what == 2:
            do(c, "NOOP")
        else:
            flag = rnd.choice(["\\Seen", "\\Flagged", "Kw", "\\Deleted"])
            do(who, "%sSTORE %d:* %sFLAGS%s (%s)" % (
                rnd.choice(["", "UID "]), n, rnd.choice("+-"),
                rnd.choice(["", ".SILENT"]), flag))
        for x in contexts:
            x.take(seen)
        seen.clear()
    # until nothing more comes: others' changes, too
    for x in contexts:
        for _ in range(60):
            got = c.ok("NOOP")
            for y in contexts:
                y.take(got)
            tag = c.start(x.again)
            _, _, untagged = c.finish(tag)
            want = []
            for r in untagged:
                m = re.match(rb'\* ESEARCH \(TAG "%s"\)(?: UID)? ALL (\S+)$' %
                             tag, r)
                if m:
                    want = numbers(m.group(1).decode())
                    untagged.remove(r)
                    break
            before = list(x.list)
            for y in contexts:
                y.take(untagged)
            if want in (before, x.list):
                break
        else:
            raise AssertionError((SEED, x.again, x.list, want))
