# SPDX-License-Identifier: ISC
"""SEARCHRES (RFC 5182) and PARTIAL (RFC 9394)."""
import re

import pytest

MBOX = True


@pytest.fixture
def ten(box):
    box.fill(12, flags="")
    c = box.connect()
    c.box = box
    c.ok("SELECT INBOX")
    # so that UIDs are no sequence numbers
    c.ok("STORE 1:2 +FLAGS.SILENT (\\Deleted)")
    c.ok("EXPUNGE")
    c.ok("UID STORE 4,6:8 +FLAGS.SILENT (\\Flagged)")
    return c


def uids(untagged):
    return [int(re.search(rb"UID (\d+)", r).group(1)) for r in untagged
            if b"FETCH" in r]


def test_announced(ten):
    assert {"SEARCHRES", "PARTIAL", "ESEARCH"} <= ten.capabilities()


def test_saved_result_is_a_set(ten):
    """Examples 1, 3, 4 and 6 of RFC 5182."""
    c = ten
    assert c.ok("SEARCH RETURN (SAVE) FLAGGED") == []
    assert uids(c.ok("FETCH $ (UID)")) == [4, 6, 7, 8]
    assert uids(c.ok("UID FETCH $ FLAGS")) == [4, 6, 7, 8]
    assert c.ok("UID SEARCH UID $ NOT UID 7") == [b"* SEARCH 4 6 8"]
    assert c.ok("SEARCH $ NOT UID 7") == [b"* SEARCH 2 4 6"]
    assert c.ok("UID SEARCH (OR $ 1,9:10)") == [b"* SEARCH 3 4 6 7 8 11 12"]
    c.ok("STORE $ +FLAGS.SILENT (\\Seen)")
    assert c.ok("UID SEARCH SEEN") == [b"* SEARCH 4 6 7 8"]
    c.ok("CREATE dest")
    assert b"COPYUID" in c.cmd("COPY $ dest")[1]
    assert c.ok("UID SEARCH RETURN (SAVE) UID 3 FLAGGED") == []
    assert c.ok("FETCH $ FLAGS") == []
    c.ok("STORE $ FLAGS (\\Seen)")
    assert b"COPYUID" not in c.cmd("UID COPY $ dest")[1]
    assert c.ok("SEARCH $") == [b"* SEARCH"]


def test_what_is_saved(ten):
    """Section 2.4 with its table, and RFC 9394 section 3.2."""
    c = ten
    for options, want in (
            ("SAVE MIN", [4]), ("MAX SAVE", [8]), ("SAVE MIN MAX", [4, 8]),
            ("SAVE ALL", [4, 6, 7, 8]), ("SAVE COUNT", [4, 6, 7, 8]),
            ("SAVE MIN COUNT", [4, 6, 7, 8]),
            ("SAVE PARTIAL 2:3", [6, 7]), ("SAVE PARTIAL -1:-2", [7, 8]),
            ("SAVE PARTIAL 2:2 MIN", [4, 6]),
            ("SAVE PARTIAL 2:2 MIN MAX", [4, 6, 8]),
            ("SAVE PARTIAL 2:2 COUNT", [4, 6, 7, 8]),
            ("SAVE PARTIAL 9:12", [])):
        got = c.ok("UID SEARCH RETURN (%s) FLAGGED" % options)
        assert len(got) == 1 and got[0].startswith(b"* ESEARCH"), got
        assert uids(c.ok("UID FETCH $ UID")) == want, options


def test_what_leaves_it_alone(ten):
    """Section 2.1."""
    c = ten
    c.ok("SEARCH RETURN (SAVE) FLAGGED")
    c.ok("SEARCH UID 3")
    c.ok("SEARCH RETURN (ALL) UID 3")
    c.bad("SEARCH RETURN (SAVE) NOSUCH")
    c.no("SEARCH CHARSET X-NO SUBJECT x")
    assert uids(c.ok("UID FETCH $ UID")) == [4, 6, 7, 8]
    # expunged ones leave it
    c.ok("UID STORE 6 +FLAGS.SILENT (\\Deleted)")
    c.ok("EXPUNGE")
    assert uids(c.ok("UID FETCH $ UID")) == [4, 7, 8]
    # a search that fails empties it
    c.no("SEARCH RETURN (SAVE) CHARSET X-NO SUBJECT x")
    assert c.ok("UID FETCH $ UID") == []
    c.ok("SEARCH RETURN (SAVE) FLAGGED")
    c.ok("SELECT INBOX")
    assert c.ok("UID FETCH $ UID") == []


def test_pipelined(ten):
    """Example 7."""
    c = ten
    c.ok("CREATE dest")
    tags = [c.tag() for _ in range(3)]
    c.send(b"%s SEARCH RETURN (SAVE) FLAGGED\r\n"
           b"%s COPY $ dest\r\n"
           b"%s STORE $ +FLAGS.SILENT (\\Deleted)\r\n" % tuple(tags))
    for tag in tags:
        status, _, _ = c.finish(tag)
        assert status == "OK"
    assert c.ok("UID SEARCH DELETED") == [b"* SEARCH 4 6 7 8"]
    assert c.ok("STATUS dest (MESSAGES)") == [b"* STATUS dest (MESSAGES 4)"]


@pytest.mark.parametrize("bad", [
    "FETCH $,1 UID", "FETCH 1:$ UID", "FETCH $1 UID",
    "SEARCH RETURN (PARTIAL) ALL", "SEARCH RETURN (PARTIAL 1) ALL",
    "SEARCH RETURN (PARTIAL 0:1) ALL", "SEARCH RETURN (PARTIAL 1:*) ALL",
    "SEARCH RETURN (PARTIAL -1:2) ALL", "SEARCH RETURN (PARTIAL 1:-2) ALL",
    "SEARCH RETURN (PARTIAL 1:2 ALL) ALL", "SEARCH RETURN (PARTIAL 1:) ALL",
    "SEARCH RETURN (PARTIAL 1:2 PARTIAL 1:2) ALL",
    "SEARCH RETURN (PARTIAL 1:4294967296) ALL",
    "FETCH 1:* UID (PARTIAL 1:2)", "UID FETCH 1:* UID (PARTIAL)",
    "UID FETCH 1:* UID (PARTIAL 1:2 PARTIAL 1:2)"])
def test_bad(ten, bad):
    ten.bad(bad)


def test_partial(ten):
    c = ten  # UIDs 3..12
    for what, want in (("1:3", b"1:3 3:5"), ("3:1", b"1:3 3:5"),
                       ("-1:-2", b"-1:-2 11:12"), ("-3:-2", b"-2:-3 10:11"),
                       ("9:20", b"9:20 11:12"), ("11:20", b"11:20 NIL"),
                       ("-8:-100", b"-8:-100 3:5"),
                       ("-11:-100", b"-11:-100 NIL"),
                       ("5:5", b"5:5 7")):
        got = c.ok("UID SEARCH RETURN (PARTIAL %s) ALL" % what)
        assert got[0].endswith(b" UID PARTIAL (%s)" % want), got
    got = c.ok("SEARCH RETURN (PARTIAL 2:3 COUNT MIN) FLAGGED")[0]
    assert got.endswith(b" MIN 2 PARTIAL (2:3 4:5) COUNT 4"), got
    got = c.ok("SEARCH RETURN (PARTIAL 1:3) ANSWERED")[0]
    assert got.endswith(b") PARTIAL (1:3 NIL)"), got


def test_partial_fetch(ten):
    c = ten
    assert uids(c.ok("UID FETCH 4:9 UID (PARTIAL 1:2)")) == [4, 5]
    assert uids(c.ok("UID FETCH 4:9 UID (PARTIAL -1:-3)")) == [7, 8, 9]
    assert uids(c.ok("UID FETCH 1:* UID (PARTIAL 10:11)")) == [12]
    assert c.ok("UID FETCH 1:* UID (PARTIAL 11:12)") == []
    # first the part, then what has changed in it (section 3.4)
    since = int(re.search(rb"MODSEQ \((\d+)", c.ok(
        "UID FETCH 8 MODSEQ")[-1]).group(1))
    c.ok("UID STORE 4,9 +FLAGS.SILENT (\\Seen)")
    for modifiers in ("PARTIAL -1:-5 CHANGEDSINCE %d",
                      "CHANGEDSINCE %d PARTIAL -1:-5"):
        got = c.ok("UID FETCH 1:* UID (%s)" % (modifiers % since))
        assert uids(got) == [9], got
