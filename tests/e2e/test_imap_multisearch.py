# SPDX-License-Identifier: ISC
"""MULTISEARCH (RFC 7377): ESEARCH in many mailboxes."""
import os
import re

import pytest
from lib import restante, server
from lib.maildir import message

MBOX = True


def answers(untagged, tag=None):
    """{mailbox: what follows " UID "} of ESEARCH responses."""
    found = {}
    for r in untagged:
        m = re.match(rb'\* ESEARCH \(TAG "(\w+)" MAILBOX (\S+) UIDVALIDITY '
                     rb'(\d+)\) UID(?: (.*))?$', r)
        assert m, r
        assert tag is None or m.group(1) == tag
        name = m.group(2).decode().strip('"')
        assert name not in found, "one answer for each mailbox"
        found[name] = (m.group(4) or b"").decode()
    return found


def esearch(c, args):
    tag = c.start("ESEARCH " + args)
    status, text, untagged = c.finish(tag)
    assert status == "OK", (args, status, text)
    return answers(untagged, tag)


@pytest.fixture
def tree(box):
    """INBOX with 3 messages, folders of some more; nothing is selected."""
    c = box.connect()
    c.box = box
    c.sep = c.ok('LIST "" ""')[0].split()[3].strip(b'"').decode()
    for name, n in (("one", 2), ("two", 0), ("two/a", 3), ("two/a/b", 1),
                    ("two/c", 2)):
        name = name.replace("/", c.sep)
        # in mbox files a name is either a level or a mailbox
        if box.store == "mbox" and name == "two":
            continue
        if box.store == "mbox" and name.endswith("a"):
            name += "0"
        c.ok("CREATE " + name)
        for i in range(1, n + 1):
            c.append(name, b"Subject: message %d in %s\r\n\r\nbody %d\r\n" % (
                i, name.encode(), i))
    box.fill(3, flags="")
    c.a = ("two/a0" if box.store == "mbox" else "two/a").replace("/", c.sep)
    c.b = "two/a/b".replace("/", c.sep)
    c.two_c = "two/c".replace("/", c.sep)
    return c


def test_announced(tree):
    assert "MULTISEARCH" in tree.capabilities()


def test_personal_without_a_selected_mailbox(tree):
    c = tree
    want = {"INBOX": "ALL 1:3", "one": "ALL 1:2", c.a: "ALL 1:3",
            c.b: "ALL 1", c.two_c: "ALL 1:2"}
    for word in ("personal", "PERSONAL", "inboxes"):
        assert esearch(c, "IN (%s) ALL" % word) == want
    assert esearch(c, "IN (inboxes) RETURN (COUNT) 1:2") == {
        "INBOX": "COUNT 2", "one": "COUNT 2", c.a: "COUNT 2", c.b: "COUNT 1",
        c.two_c: "COUNT 2"}
    # it does not change what is selected
    c.bad("FETCH 1 FLAGS")
    assert not [r for r in c.ok("NOOP") if b"EXISTS" in r]


def test_only_those_with_matches_answer(tree):
    c = tree
    assert esearch(c, "IN (personal) RETURN (MIN MAX COUNT ALL) 3") == {
        "INBOX": "MIN 3 MAX 3 ALL 3 COUNT 1", c.a: "MIN 3 MAX 3 ALL 3 COUNT 1"}
    assert esearch(c, "IN (personal) RETURN (COUNT) SUBJECT nowhere") == {}
    assert esearch(c, "IN (personal) 101:200") == {}
    assert esearch(c, 'IN (personal) SUBJECT "in one"') == {"one": "ALL 1:2"}


def test_sources(tree):
    c = tree
    two = "two"
    below = {c.a: "ALL 1:3", c.b: "ALL 1", c.two_c: "ALL 1:2"}
    assert esearch(c, "IN (subtree %s) ALL" % two) == below
    del below[c.b]
    assert esearch(c, "IN (subtree-one two) ALL") == below
    assert esearch(c, "IN (mailboxes one) ALL") == {"one": "ALL 1:2"}
    assert esearch(c, 'IN (mailboxes (INBOX "one" %s)) ALL' % c.b) == {
        "INBOX": "ALL 1:3", "one": "ALL 1:2", c.b: "ALL 1"}
    # what is named twice is searched once; what is not there is ignored
    assert esearch(c, "IN (mailboxes one subtree (one nosuch) personal) "
                   'SUBJECT "in one"') == {"one": "ALL 1:2"}
    assert esearch(c, "IN (mailboxes (nosuch &bad- \"\")) ALL") == {}
    # there are no wildcards
    assert esearch(c, 'IN (mailboxes "*") ALL') == {}
    assert esearch(c, 'IN (subtree "%") ALL') == {}
    assert esearch(c, "IN (subscribed) ALL") == {}
    c.ok("SUBSCRIBE one")
    c.ok("SUBSCRIBE nosuch")
    assert esearch(c, "IN (subscribed) ALL") == {"one": "ALL 1:2"}


def test_example(tree):
    """Section 3: two of them, pipelined; answers have their tags."""
    c = tree
    c.send(b'tag1 ESEARCH IN (mailboxes "one" subtree "two") unseen\r\n'
           b'tag2 ESEARCH IN (mailboxes "one" subtree-one "two") subject '
           b'"message 2"\r\n')
    status, _, untagged = c.finish(b"tag1")
    assert status == "OK"
    assert answers(untagged, b"tag1") == {
        "one": "ALL 1:2", c.a: "ALL 1:3", c.b: "ALL 1", c.two_c: "ALL 1:2"}
    status, _, untagged = c.finish(b"tag2")
    assert status == "OK"
    assert answers(untagged, b"tag2") == {
        "one": "ALL 2", c.a: "ALL 2", c.two_c: "ALL 2"}


def test_the_selected_one(tree):
    c = tree
    c.bad("ESEARCH ALL")
    c.bad("ESEARCH IN (selected) ALL")
    c.bad("ESEARCH IN (personal selected) ALL")
    c.ok("SELECT " + c.a)
    c.ok("STORE 1 +FLAGS.SILENT (\\Deleted Kw)")
    c.ok("EXPUNGE")
    # UIDs, also without IN; RETURN or not
    assert esearch(c, "ALL") == {c.a: "ALL 2:3"}
    assert esearch(c, "IN (selected) 1") == {c.a: "ALL 2"}
    assert esearch(c, "RETURN (MIN COUNT) 2:5") == {c.a: "MIN 3 COUNT 1"}
    assert esearch(c, "RETURN () CHARSET UTF-8 ALL") == {c.a: "ALL 2:3"}
    assert esearch(c, "SUBJECT nosuch") == {}
    assert esearch(c, "IN (selected personal) 2")[c.a] == "ALL 3"
    # as the session sees it: what it was not told of is not there
    c.box.connect().append(c.a, b"Subject: new\r\n\r\n")
    tag = c.start("ESEARCH IN (mailboxes %s) ALL" % c.a)
    untagged = c.finish(tag)[2]
    assert answers(untagged[:1], tag) == {c.a: "ALL 2:3"}
    assert b"EXISTS" in untagged[1]


def test_partial_and_save(tree):
    c = tree
    assert esearch(c, "IN (personal) RETURN (PARTIAL 2:3) ALL") == {
        "INBOX": "PARTIAL (2:3 2:3)", "one": "PARTIAL (2:3 2)",
        c.a: "PARTIAL (2:3 2:3)", c.b: "PARTIAL (2:3 NIL)",
        c.two_c: "PARTIAL (2:3 2)"}
    assert esearch(c, "IN (mailboxes INBOX) RETURN (PARTIAL -1:-2 COUNT) ALL"
                   ) == {"INBOX": "PARTIAL (-1:-2 2:3) COUNT 3"}
    c.ok("SELECT INBOX")
    c.bad("ESEARCH IN (personal) RETURN (SAVE) ALL")
    c.bad("ESEARCH IN (selected mailboxes one) RETURN (SAVE) ALL")
    assert c.ok("ESEARCH IN (selected) RETURN (SAVE) 2:3") == []
    assert list(c.fetch("$ UID")) == [2, 3]
    assert esearch(c, "RETURN (SAVE COUNT) 1") == {"INBOX": "COUNT 1"}
    assert esearch(c, "UID $") == {"INBOX": "ALL 1"}
    # "$" means messages of the selected mailbox alone
    c.bad("ESEARCH IN (personal) $")
    assert c.cmd("ESEARCH IN (selected) RETURN (SAVE) CHARSET x-no TEXT a"
                 )[0] == "NO"
    assert c.ok("FETCH $ UID") == []


def test_keywords_and_mod_sequences_of_each(tree):
    """What a keyword's number is differs from mailbox to mailbox."""
    c = tree
    other = c.box.connect()
    for name, words in (("one", "First Second"), (c.a, "Second"),
                        (c.two_c, "Third")):
        other.ok("SELECT " + name)
        other.ok("STORE 2 +FLAGS.SILENT (%s)" % words)
    other.ok("UNSELECT")
    assert esearch(c, "IN (personal) KEYWORD Second") == {
        "one": "ALL 2", c.a: "ALL 2"}
    assert esearch(c, "IN (mailboxes one) UNKEYWORD Third") == {
        "one": "ALL 1:2"}
    got = esearch(c, "IN (personal) RETURN (COUNT) MODSEQ 1")
    assert len(got) == 5
    for text in got.values():
        assert re.match(r"COUNT \d MODSEQ \d+$", text)
    # from then on the session knows of mod-sequences
    c.ok("SELECT one")
    assert b"MODSEQ" in c.ok("STORE 1 +FLAGS (\\Seen)")[0]


def test_uid_only(tree):
    """RFC 9586: its answers have UIDs alone; its keys may have no numbers."""
    c = tree
    c.ok("ENABLE UIDONLY")
    c.ok("SELECT one")
    assert esearch(c, "UID 2:9") == {"one": "ALL 2"}
    assert esearch(c, "IN (mailboxes INBOX) ALL") == {"INBOX": "ALL 1:3"}
    assert c.bad("ESEARCH IN (personal) 1:2").startswith(b"[UIDREQUIRED]")


def test_errors(tree):
    c = tree
    for wrong in ("", "IN", "IN ALL", "IN () ALL", "IN (personal)",
                  "IN (nosuch) ALL", "IN (mailboxes) ALL",
                  "IN (mailboxes ()) ALL", "IN (subtree) ALL",
                  "IN (selected-delayed) ALL", "IN (personal (x)) ALL",
                  "RETURN (ALL) IN (personal) ALL",
                  "IN (personal) RETURN (NOSUCH) ALL", "IN (personal) NOSUCH",
                  "IN (personal) RETURN (ALL PARTIAL 1:2) ALL",
                  "IN (mailboxes nosuch) NOSUCH", "IN (personal) KEYWORD",
                  "IN (personal) UID x", "IN (personal) 0"):
        c.bad("ESEARCH " + wrong)
    text = c.no("ESEARCH IN (personal) CHARSET x-nosuch TEXT a")
    assert text.startswith(b"[BADCHARSET (")
    c.ok("NOOP")


def test_what_can_not_be_read_is_left_out(tree):
    c = tree
    if not server.is_root():
        pytest.skip("needs root")
    path = c.box.mbox(".one") if c.box.store == "mbox" \
        else c.box.maildir(".one")
    os.chmod(path, 0)
    try:
        # nobody has kept it open
        c = c.box.connect()
        assert esearch(c, 'IN (personal) SUBJECT "in one"') == {}
        assert len(esearch(c, "IN (personal) ALL")) == 4
    finally:
        os.chmod(path, 0o700)


def test_nothing_is_made(box):
    """Mailboxes that come into being with their first use are not used."""
    c = box.connect()
    c.append("INBOX", message(1))
    c.ok("SUBSCRIBE Trash")
    before = sorted(os.listdir(box.dir)) + sorted(
        os.listdir(os.path.join(box.dir, "mail") if box.store == "mbox"
                   else box.maildir()))
    assert esearch(c, "IN (personal subscribed mailboxes (Trash Sent)) ALL"
                   ) == {"INBOX": "ALL 1"}
    after = sorted(os.listdir(box.dir)) + sorted(
        os.listdir(os.path.join(box.dir, "mail") if box.store == "mbox"
                   else box.maildir()))
    assert [n for n in after if "Trash" in n or "Sent" in n] == \
        [n for n in before if "Trash" in n or "Sent" in n]


def test_many_mailboxes_little_memory(tunnel):
    """One after the other: what one takes is given back."""
    c = tunnel.connect()
    for i in range(120):
        c.send(b"m%d CREATE box%d\r\n" % (i, i))
        c.finish(b"m%d" % i)
        tunnel.deliver(message(i), ".box%d" % i)

    def memory():
        with open("/proc/%d/statm" % c.process.pid) as f:
            return int(f.read().split()[1]) * 4

    assert len(esearch(c, "IN (subtree (box1 box2 box3 box4 box5)) ALL")) == 5
    before = memory()
    for _ in range(3):
        assert len(esearch(c, "IN (personal) RETURN (COUNT) BODY o")) == 120
    assert restante.SANITIZED or memory() - before < 4000
    fds = len(os.listdir("/proc/%d/fd" % c.process.pid))
    assert fds < 60
