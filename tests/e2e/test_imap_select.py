# SPDX-License-Identifier: ISC
"""SELECT, EXAMINE, CLOSE, UNSELECT: RFC 3501 sections 6.3.1, 6.3.2, 6.4.2;
RFC 3691."""
import os
import re

import pytest
from lib.maildir import message

MBOX = True


def find(untagged, pattern):
    found = [m for m in (re.match(pattern, r) for r in untagged) if m]
    assert len(found) == 1, (pattern, untagged)
    return found[0]


def test_select_says_all_it_must(box):
    box.fill(2, flags="S")
    c = box.connect()
    c.ok("SELECT INBOX")
    c.logout()
    box.fill(2)
    c = box.connect()
    status, text, untagged = c.cmd("SELECT INBOX")
    assert status == "OK" and text.startswith(b"[READ-WRITE]")
    flags = find(untagged, rb"\* FLAGS \(([^)]*)\)").group(1).split()
    for flag in (b"Answered", b"Flagged", b"Deleted", b"Seen", b"Draft"):
        assert b"\\" + flag in flags
    assert b"\\Recent" not in flags
    find(untagged, rb"\* 4 EXISTS$")
    find(untagged, rb"\* 2 RECENT$")
    find(untagged, rb"\* OK \[UNSEEN 3\]")
    find(untagged, rb"\* OK \[UIDNEXT 5\]")
    assert int(find(untagged,
                    rb"\* OK \[UIDVALIDITY (\d+)\]").group(1)) > 0
    permanent = find(untagged, rb"\* OK \[PERMANENTFLAGS \(([^)]*)\)\]")
    assert b"\\*" in permanent.group(1).split()
    assert set(flags) <= set(permanent.group(1).split())


def test_select_of_an_empty_mailbox(box):
    c = box.connect()
    untagged = c.ok("SELECT INBOX")
    find(untagged, rb"\* 0 EXISTS$")
    find(untagged, rb"\* 0 RECENT$")
    assert not [r for r in untagged if b"UNSEEN" in r]


def test_examine_changes_nothing(box):
    box.fill(2)
    c = box.connect()
    status, text, untagged = c.cmd("EXAMINE INBOX")
    assert status == "OK" and text.startswith(b"[READ-ONLY]")
    find(untagged, rb"\* 2 RECENT$")
    find(untagged, rb"\* OK \[PERMANENTFLAGS \(\)\]")
    for command in ("STORE 1 +FLAGS (\\Seen)", "UID STORE 1 FLAGS ()",
                    "EXPUNGE", "UID EXPUNGE 1:*", "MOVE 1 Trash"):
        status, text, _ = c.cmd(command)
        assert status == "NO" and text.startswith(b"[READ-ONLY]"), command
    c.ok("FETCH 1 BODY[]")
    assert c.flags() == {1: {"\\Recent"}, 2: {"\\Recent"}}
    c.ok("CLOSE")
    # \Recent is still there for whoever comes first in earnest.
    find(c.ok("SELECT INBOX"), rb"\* 2 RECENT$")
    c.ok("CLOSE")
    find(c.ok("SELECT INBOX"), rb"\* 0 RECENT$")


def test_a_failed_select_selects_nothing(box):
    c = box.connect()
    c.ok("SELECT INBOX")
    assert c.no("SELECT nonexistent").startswith(b"[NONEXISTENT]")
    c.bad("CHECK")
    c.ok("SELECT INBOX")
    c.no("EXAMINE nonexistent")
    c.bad("CHECK")
    # What is no command at all leaves everything as it was.
    c.ok("SELECT INBOX")
    c.bad("SELECT")
    c.bad("SELECT INBOX (CONDSTOR)")
    c.ok("CHECK")


def test_select_again(box):
    c = box.connect()
    c.ok("CREATE other")
    box.fill(1)
    c.ok("SELECT INBOX")
    find(c.ok("SELECT other"), rb"\* 0 EXISTS$")
    find(c.ok("SELECT INBOX"), rb"\* 1 EXISTS$")
    find(c.ok("SELECT INBOX"), rb"\* 1 EXISTS$")


def test_close_expunges_in_silence(box):
    box.fill(3)
    c = box.connect()
    c.ok("SELECT INBOX")
    c.ok("STORE 1,3 +FLAGS.SILENT (\\Deleted)")
    assert c.ok("CLOSE") == []
    c.bad("CHECK")
    find(c.ok("SELECT INBOX"), rb"\* 1 EXISTS$")
    assert len(box.files()) == 1


@pytest.mark.parametrize("how", ["UNSELECT", "SELECT INBOX",
                                 "EXAMINE INBOX", "LOGOUT"])
def test_only_close_expunges(box, how):
    box.fill(2)
    c = box.connect()
    c.ok("SELECT INBOX")
    c.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    c.ok(how)
    assert len(box.files()) == 2


def test_close_of_an_examined_mailbox_keeps_all(box):
    box.fill(1)
    c = box.connect()
    c.ok("SELECT INBOX")
    c.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    c.ok("EXAMINE INBOX")
    c.ok("CLOSE")
    assert len(box.files()) == 1


def test_unselect(box):
    c = box.connect()
    c.ok("SELECT INBOX")
    assert c.ok("UNSELECT") == []
    c.bad("UNSELECT")
    c.ok("NOOP")


def test_uidvalidity_and_uids_stay(box):
    box.fill(3)
    c = box.connect()
    first = c.ok("SELECT INBOX")
    validity = find(first, rb"\* OK \[UIDVALIDITY (\d+)\]").group(1)
    uids = {s: re.search(rb"UID (\d+)", r).group(1)
            for s, r in c.fetch("1:* UID").items()}
    c.logout()
    c = box.connect()
    again = c.ok("SELECT INBOX")
    assert find(again, rb"\* OK \[UIDVALIDITY (\d+)\]").group(1) == validity
    assert {s: re.search(rb"UID (\d+)", r).group(1)
            for s, r in c.fetch("1:* UID").items()} == uids


def test_uidnext_never_falls(box):
    box.fill(2)
    c = box.connect()
    find(c.ok("SELECT INBOX"), rb"\* OK \[UIDNEXT 3\]")
    c.ok("STORE 2 +FLAGS.SILENT (\\Deleted)")
    c.ok("CLOSE")
    find(c.ok("SELECT INBOX"), rb"\* OK \[UIDNEXT 3\]")
    box.deliver(message(9))
    c.ok("NOOP")
    assert b"UID 3" in c.fetch("2 UID")[2]


def test_keywords_are_announced(box):
    box.fill(1)
    c = box.connect()
    c.ok("SELECT INBOX")
    untagged = c.ok("STORE 1 +FLAGS ($Label1 later)")
    kinds = [r.split()[1] for r in untagged]
    # FLAGS come before the FETCH that has the new ones.
    assert kinds.index(b"FLAGS") < [i for i, r in enumerate(untagged)
                                    if b" FETCH " in r][0]
    assert len([r for r in untagged if r.startswith(b"* FLAGS")]) == 1
    again = c.ok("SELECT INBOX")
    for word in (b"$Label1", b"later"):
        assert word in find(again, rb"\* FLAGS \(([^)]*)\)").group(1)
        assert word in find(
            again, rb"\* OK \[PERMANENTFLAGS \(([^)]*)\)").group(1)


def test_a_mailbox_that_can_not_be_written(tunnel):
    c = tunnel.connect()
    c.ok("CREATE fixed")
    for sub in ("", "cur", "new", "tmp"):
        os.chmod(tunnel.maildir(".fixed/" + sub), 0o555)
    status, text, _ = c.cmd("SELECT fixed")
    assert status == "OK" and text.startswith(b"[READ-ONLY]"), text
    for sub in ("", "cur", "new", "tmp"):
        os.chmod(tunnel.maildir(".fixed/" + sub), 0o755)
