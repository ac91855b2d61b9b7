# SPDX-License-Identifier: ISC
"""LIST-EXTENDED (RFC 5258), LIST-STATUS (RFC 5819), SPECIAL-USE in LIST (RFC
6154)."""
import random
import re

import pytest

LINE = re.compile(rb'\* LIST \(([^)]*)\) "?([^" ]+)"? "?([^" ]*)"?(?: (\(.*\)))?$')
SPECIAL = {"Drafts", "Sent", "Trash", "Junk", "Archive"}


def lists(untagged, special=False):
    """{name: (set of attributes, extended data)} without special mailboxes."""
    found = {}
    for r in untagged:
        if not r.startswith(b"* LIST"):
            continue
        match = LINE.match(r)
        assert match, r
        name = match.group(3).decode()
        assert name not in found, "twice: " + name
        if special or name not in SPECIAL:
            found[name] = (set(match.group(1).decode().split()),
                           (match.group(4) or b"").decode())
    return found


def attrs(untagged, *wanted):
    return {name: {a for a in seen if a in wanted}
            for name, (seen, _) in lists(untagged).items()}


def d(c):
    """The delimiter."""
    return LINE.match(c.ok('LIST "" INBOX')[0]).group(2).decode()


@pytest.fixture
def tree(box):
    """The hierarchy of RFC 5258 section 5."""
    c = box.connect()
    c.box = box
    c.d = d(c)
    for name in ("Fruit", "Fruit/Apple", "Fruit/Banana", "Tofu", "Vegetable",
                 "Vegetable/Broccoli", "Vegetable/Corn"):
        c.ok("CREATE " + name.replace("/", c.d))
    for name in ("INBOX", "Fruit/Banana", "Fruit/Peach", "Vegetable",
                 "Vegetable/Broccoli"):
        c.ok("SUBSCRIBE " + name.replace("/", c.d))
    return c


def names(c, *plain):
    return {p.replace("/", c.d) for p in plain}


def test_announced(box):
    assert {"LIST-EXTENDED", "LIST-STATUS", "SPECIAL-USE", "CHILDREN"} <= \
        box.connect().capabilities()


def test_subscribed(tree):
    """Example 2."""
    c = tree
    got = attrs(c.ok('LIST (SUBSCRIBED) "" "*"'), "\\Subscribed",
                "\\NonExistent")
    assert got == {
        n.replace("/", c.d): a for n, a in (
            ("INBOX", {"\\Subscribed"}),
            ("Fruit/Banana", {"\\Subscribed"}),
            ("Fruit/Peach", {"\\Subscribed", "\\NonExistent"}),
            ("Vegetable", {"\\Subscribed"}),
            ("Vegetable/Broccoli", {"\\Subscribed"}))}
    # twice is once (section 3)
    assert attrs(c.ok('LIST (SUBSCRIBED subscribed) "" "*"'), "\\Subscribed",
                 "\\NonExistent") == got


def test_children(tree):
    """Example 3."""
    got = attrs(tree.ok('LIST () "" "%" RETURN (CHILDREN)'), "\\HasChildren",
                "\\HasNoChildren")
    assert got["Fruit"] == got["Vegetable"] == {"\\HasChildren"}
    assert got["Tofu"] == {"\\HasNoChildren"}
    assert set(got) == {"INBOX", "Fruit", "Tofu", "Vegetable"}


def test_remote(tree):
    """Examples 5 and 6, without anything remote."""
    c = tree
    assert lists(c.ok('LIST (REMOTE) "" "*"')) == \
        lists(c.ok('LIST () "" "*"'))
    got = attrs(c.ok('LIST (REMOTE) "" "*" RETURN (SUBSCRIBED)'),
                "\\Subscribed")
    assert {n for n, a in got.items() if a} == names(
        c, "INBOX", "Fruit/Banana", "Vegetable", "Vegetable/Broccoli")
    assert set(got) == names(
        c, "INBOX", "Fruit", "Fruit/Apple", "Fruit/Banana", "Tofu",
        "Vegetable", "Vegetable/Broccoli", "Vegetable/Corn")


def test_many_patterns(tree):
    """Example 7; each name once."""
    c = tree
    got = lists(c.ok('LIST "" ("INBOX" "Tofu" "T%%" "Fruit%s%%" nowhere)'
                     % c.d.replace("\\", "\\\\")))
    assert set(got) == names(c, "INBOX", "Tofu", "Fruit/Apple",
                             "Fruit/Banana")
    got = lists(c.ok('LIST Fruit%s ("A%%" B*)' % c.d))
    assert set(got) == names(c, "Fruit/Apple", "Fruit/Banana")
    assert lists(c.ok('LIST "" ("")')) == {}


def test_recursivematch(tree):
    """Example 8."""
    c = tree
    got = lists(c.ok('LIST (SUBSCRIBED RECURSIVEMATCH) "" "%"'))
    assert set(got) == {"INBOX", "Fruit", "Vegetable"}
    info = '("CHILDINFO" ("SUBSCRIBED"))'
    assert got["Fruit"][1] == info and "\\Subscribed" not in got["Fruit"][0]
    assert got["Vegetable"][1] == info
    assert "\\Subscribed" in got["Vegetable"][0]
    assert got["INBOX"][1] == ""
    # A2: a level that is not there
    c.ok("SUBSCRIBE " + "Foo/Baz".replace("/", c.d))
    got = lists(c.ok('LIST (RECURSIVEMATCH SUBSCRIBED) "" "F%"'))
    assert "\\NonExistent" in got["Foo"][0] and got["Foo"][1] == info
    # C: a child that is not subscribed counts for nothing
    c.ok("UNSUBSCRIBE " + "Vegetable/Broccoli".replace("/", c.d))
    got = lists(c.ok('LIST (SUBSCRIBED RECURSIVEMATCH) "" "V%"'))
    assert got["Vegetable"][1] == ""
    assert "\\HasChildren" in got["Vegetable"][0]


def test_childinfo_whether_told_or_not(box):
    """Example 9."""
    c = box.connect()
    c.d = d(c)
    for name in ("foo2", "foo2/bar1", "foo2/bar2", "baz2", "baz2/bar2",
                 "baz2/bar22", "baz2/bar222", "eps2", "eps2/mamba",
                 "qux2/bar2"):
        c.ok("CREATE " + name.replace("/", c.d))
        if name not in ("foo2", "baz2"):
            c.ok("SUBSCRIBE " + name.replace("/", c.d))
    got = lists(c.ok('LIST (RECURSIVEMATCH SUBSCRIBED) "" "*2"'))
    assert {n for n, (_, x) in got.items() if x} == {"foo2", "eps2"}
    assert set(got) == names(c, "foo2", "foo2/bar2", "baz2/bar2",
                             "baz2/bar22", "baz2/bar222", "eps2", "qux2/bar2")


def test_nonexistent_level(box):
    c = box.connect()
    c.d = d(c)
    c.ok("CREATE " + "up/down".replace("/", c.d))
    old = lists(c.ok('LIST "" "up"'))
    new = lists(c.ok('LIST () "" "up"'))
    if not old:
        pytest.skip("this place makes levels")
    assert "\\Noselect" in old["up"][0]
    assert new["up"][0] >= {"\\NonExistent", "\\HasChildren"}


@pytest.mark.parametrize("bad", [
    'LIST (NOSUCH) "" "*"', 'LIST (RECURSIVEMATCH) "" "*"',
    'LIST (RECURSIVEMATCH REMOTE) "" "*"', 'LIST () "" "*" RETURN',
    'LIST () "" "*" RETURN (NOSUCH)', 'LIST () "" "*" RETURN CHILDREN',
    'LIST "" "*" RETURN (STATUS)', 'LIST "" "*" RETURN (STATUS ())',
    'LIST "" "*" RETURN (STATUS (NOSUCH))', 'LIST "" ()', 'LIST () ""',
    'LIST "" "*" x', 'LIST "" "*" RETURN () x', 'LSUB () "" "*"',
    'LSUB "" ("*")', 'LSUB "" "*" RETURN ()'])
def test_bad(tree, bad):
    tree.bad(bad)


def test_special_use(tree):
    """RFC 6154 sections 5.1 to 5.3."""
    c = tree
    want = {n: "\\" + n for n in SPECIAL}
    for command in ('LIST (SPECIAL-USE) "" "*"',
                    'LIST (SPECIAL-USE) "" "*" RETURN (SPECIAL-USE)'):
        got = lists(c.ok(command), True)
        assert set(got) == SPECIAL
        for name, attr in want.items():
            assert attr in got[name][0]
    got = lists(c.ok('LIST "" "%" RETURN (SPECIAL-USE)'), True)
    assert "\\Sent" in got["Sent"][0] and "Tofu" in got
    got = lists(c.ok('LIST (SPECIAL-USE SUBSCRIBED) "" "*"'), True)
    assert got == {}
    c.ok("SUBSCRIBE Trash")
    got = lists(c.ok('LIST (SPECIAL-USE SUBSCRIBED) "" "*"'), True)
    assert set(got) == {"Trash"}


def test_list_status(tree):
    """RFC 5819 section 3: LIST, then STATUS of what can be selected."""
    c = tree
    c.box.fill(3)
    c.append("Tofu", b"Subject: x\r\n\r\ny\r\n", "(\\Seen)")
    got = c.ok('LIST "" "%" RETURN (STATUS (MESSAGES UNSEEN))')
    for name, status in (("INBOX", b"MESSAGES 3 UNSEEN 3"),
                         ("Tofu", b"MESSAGES 1 UNSEEN 0"),
                         ("Fruit", b"MESSAGES 0 UNSEEN 0")):
        at = got.index(b"* STATUS %s (%s)" % (name.encode(), status))
        assert name in lists([got[at - 1]]), got[at - 1]
    # none of what does not exist
    got = c.ok('LIST (SUBSCRIBED) "" "*" RETURN (STATUS (UIDNEXT))')
    assert not [r for r in got if b"STATUS" in r and b"Peach" in r]
    assert len([r for r in got if b"STATUS" in r]) == 4
    # as in STATUS itself
    assert b"HIGHESTMODSEQ" in c.ok(
        'LIST "" INBOX RETURN (STATUS (HIGHESTMODSEQ))')[1]


def test_list_status_of_many(box):
    """More than one turn takes; another session goes on meanwhile."""
    c = box.connect()
    for i in range(150):
        c.ok("CREATE m%d" % i)
    got = c.ok('LIST "" m* RETURN (SUBSCRIBED STATUS (MESSAGES))')
    assert len([r for r in got if r.startswith(b"* STATUS")]) == 150
    assert len(lists(got)) == 150


def test_list_status_asked_again(box):
    """What came before the command is in the answer, however often the same was
    asked before and nothing was there to be told."""
    c, poll = box.connect(), 'LIST "" Sub RETURN (STATUS (MESSAGES UNSEEN))'
    c.ok("CREATE Sub")
    for n in range(1, 9):
        box.deliver(b"Subject: x\r\n\r\ny\r\n", folder=".Sub")
        told = b"* STATUS Sub (MESSAGES %d UNSEEN %d)" % (n, n)
        assert told in c.ok(poll)
        assert told in c.ok("STATUS Sub (MESSAGES UNSEEN)")
    # a session that reads it, and one that asks behind its answer
    reader = box.connect()
    reader.ok("SELECT Sub")
    reader.ok("STORE 1:4 +FLAGS.SILENT (\\Seen)")
    assert b"* STATUS Sub (MESSAGES 8 UNSEEN 4)" in c.ok(poll)
    reader.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    reader.ok("EXPUNGE")
    reader.close()
    assert b"* STATUS Sub (MESSAGES 7 UNSEEN 4)" in c.ok(poll)
    assert b"* STATUS Sub (MESSAGES 7 UNSEEN 4)" in c.ok(poll)
    c.ok("RENAME Sub Other")
    assert not c.ok(poll)
    c.ok("CREATE Sub")
    assert b"* STATUS Sub (MESSAGES 0 UNSEEN 0)" in c.ok(poll)


def test_recursive_match_of_any_tree(box):
    """Section 3.5 in plain words, for trees and subscriptions at random."""
    c = box.connect()
    sep = d(c)
    r = random.Random(5258)
    tree, subscribed = set(), set()
    for _ in range(60):
        top = r.choice(sorted(tree) + [""] * 20)
        name = (top + sep if top else "") + r.choice("abxyz") + \
            str(r.randrange(9))
        if name.count(sep) < 8:
            tree.add(name)
    for name in sorted(tree):
        c.ok("CREATE " + name)
        if r.random() < .3:
            c.ok("SUBSCRIBE " + name)
            subscribed.add(name)

    def below(name):
        return [n for n in subscribed if n.startswith(name + sep)]

    for pattern in ("%", "*", "a*", "*1", "%" + sep + "%", "x%", "*" + sep + "b*"):
        glob = re.compile(re.escape(pattern).replace(r"\*", ".*").replace(
            "%", "[^" + re.escape(sep) + "]*"))
        want = {}
        for name in tree:
            if not glob.fullmatch(name):
                continue
            children = [n for n in below(name) if name in subscribed or
                        not glob.fullmatch(n)]
            if name in subscribed or children:
                want[name] = bool(children)
        got = lists(c.ok('LIST (SUBSCRIBED RECURSIVEMATCH) "" "%s"' % pattern))
        got.pop("INBOX", None)
        assert {n: "CHILDINFO" in x for n, (_, x) in got.items()} == want, \
            pattern
