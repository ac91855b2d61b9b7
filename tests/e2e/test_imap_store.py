# SPDX-License-Identifier: ISC
"""STORE: RFC 3501 sections 6.4.6, 6.4.8, 2.3.2."""
import re

import pytest
from lib.maildir import message

MBOX = True
MAILDIR_ALONE = {"test_flags_changed_by_another_program"}


@pytest.fixture
def three(box):
    box.fill(3, flags="")
    c = box.connect()
    c.ok("SELECT INBOX")
    c.box = box
    return c


def fetches(untagged):
    """{seq: set of flags without \\Recent} of FETCH responses."""
    found = {}
    for r in untagged:
        match = re.match(rb"\* (\d+) FETCH \((?:UID (\d+) )?FLAGS "
                         rb"\(([^)]*)\)(?: UID \d+)?\)$", r)
        if match:
            found[int(match.group(1))] = \
                set(match.group(3).decode().split()) - {"\\Recent"}
    return found


def test_set_add_remove(three):
    c = three
    assert fetches(c.ok("STORE 1:2 FLAGS (\\Seen \\Deleted)")) == \
        {1: {"\\Seen", "\\Deleted"}, 2: {"\\Seen", "\\Deleted"}}
    assert fetches(c.ok("STORE 2 +FLAGS (\\Flagged $x)")) == \
        {2: {"\\Seen", "\\Deleted", "\\Flagged", "$x"}}
    assert fetches(c.ok("STORE 2 -FLAGS (\\Seen $X)")) == \
        {2: {"\\Deleted", "\\Flagged"}}
    assert fetches(c.ok("STORE 1:* FLAGS ()")) == {1: set(), 2: set(),
                                                    3: set()}


@pytest.mark.parametrize("flags", ["\\Seen", "\\Seen \\Draft", "(\\Seen)",
                                   "(\\Seen \\Seen)", "\\SEEN", "word",
                                   "(word \\Seen other)"])
def test_forms_of_flags(tunnel, flags):
    tunnel.fill(1, flags="")
    c = tunnel.connect()
    c.ok("SELECT INBOX")
    want = {f.capitalize() if f[0] != "\\" else "\\" + f[1:].capitalize()
            for f in flags.strip("()").split()}
    got = fetches(c.ok("STORE 1 FLAGS " + flags))[1]
    assert {f.lower() for f in got} == {f.lower() for f in want}


def test_silent(three):
    c = three
    assert c.ok("STORE 1:3 +FLAGS.SILENT (\\Seen)") == []
    assert c.ok("STORE 1:3 FLAGS.SILENT (\\Draft)") == []
    assert c.ok("STORE 1:3 -flags.silent (\\Draft)") == []
    assert c.ok("NOOP") == []
    assert all(not f - {"\\Recent"} for f in c.flags().values())


def test_every_message_is_answered_even_if_unchanged(three):
    c = three
    c.ok("STORE 1:3 +FLAGS (\\Seen)")
    assert set(fetches(c.ok("STORE 1:3 +FLAGS (\\Seen)"))) == {1, 2, 3}


def test_uid_store_tells_uids(three):
    c = three
    c.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    c.ok("EXPUNGE")
    untagged = c.ok("UID STORE 2:3 +FLAGS (\\Seen)")
    assert len(untagged) == 2
    assert b"* 1 FETCH (" in untagged[0] and b"UID 2" in untagged[0]
    assert b"* 2 FETCH (" in untagged[1] and b"UID 3" in untagged[1]
    # UIDs that are not there are no error.
    assert c.ok("UID STORE 1 +FLAGS (\\Seen)") == []
    assert c.ok("UID STORE 4000:5000 +FLAGS (\\Seen)") == []
    # "*" and ranges that reach it stand for the last one.
    assert len(c.ok("UID STORE 1000:* +FLAGS (\\Seen)")) == 1


@pytest.mark.parametrize("args", [
    "", "1", "1 FLAGS", "1 FLAGS ", "4 FLAGS (\\Seen)", "0 FLAGS (\\Seen)",
    "1:4 FLAGS (\\Seen)", "1,4 FLAGS (\\Seen)", "x FLAGS (\\Seen)",
    "1 FLAG (\\Seen)", "1 *FLAGS (\\Seen)", "1 + FLAGS (\\Seen)",
    "1 FLAGS.LOUD (\\Seen)", "1 (FLAGS) (\\Seen)", "(1) FLAGS (\\Seen)",
    '1 "FLAGS" (\\Seen)', "1 FLAGS (\\Seen) x", "1 FLAGS (\\Seen", "1 FLAGS "
    "((\\Seen))", '1 FLAGS ("\\Seen")', "1 FLAGS \"\\\\Seen\"",
    "1 FLAGS (\\)", "1 FLAGS (\\Recent)", "1 +FLAGS \\Nonsense", "1 FLAGS (\\*)", "1 FLAGS (a*)", "1 FLAGS (a]b)",
    "1 FLAGS (\\Seen) (\\Draft)", "1,2,, FLAGS (\\Seen)", "1:2:3 FLAGS "
    "(\\Seen)", "1 FLAGS {5+}\r\n\\Seen", "* * FLAGS (\\Seen)"])
def test_bad_and_nothing_changes(three, args):
    c = three
    c.bad("STORE " + args)
    assert all(not f - {"\\Recent"} for f in c.flags().values())
    assert all(not f for f in c.box.files().values())


def test_sequence_numbers_of_an_empty_mailbox(tunnel):
    c = tunnel.connect()
    c.ok("SELECT INBOX")
    c.bad("STORE 1 FLAGS (\\Seen)")
    c.bad("STORE * FLAGS (\\Seen)")
    c.bad("STORE 1:* FLAGS (\\Seen)")
    c.ok("UID STORE 1:* FLAGS (\\Seen)")


def test_recent_can_not_be_changed(box):
    box.fill(1)
    c = box.connect()
    c.ok("SELECT INBOX")
    c.bad("STORE 1 -FLAGS (\\Recent)")
    assert c.flags() == {1: {"\\Recent"}}
    c.ok("STORE 1 FLAGS (\\Seen)")
    assert c.flags() == {1: {"\\Recent", "\\Seen"}}
    box.fill(1, flags="")
    c.ok("NOOP")
    c.bad("STORE 2 +FLAGS (\\Recent)")
    d = box.connect()
    d.ok("SELECT INBOX")
    assert all("\\Recent" not in f for f in d.flags().values())


def test_flags_are_in_the_file_names(three):
    c = three
    c.ok("STORE 1 FLAGS (\\Seen \\Answered \\Flagged \\Draft \\Deleted)")
    assert sorted(c.box.files().values()) == ["", "", "DFRST"]


def test_keywords_survive_and_are_of_any_case(three):
    c = three
    c.ok("STORE 1 FLAGS ($Forwarded Urgent)")
    c.ok("STORE 2 FLAGS (URGENT)")
    c.logout()
    c = c.box.connect()
    c.ok("SELECT INBOX")
    flags = c.flags()
    assert flags[1] == {"$Forwarded", "Urgent"}
    assert flags[2] == {"Urgent"}


def test_many_keywords(three):
    """Beyond the 26 that letters in file names can hold."""
    c = three
    words = ["key%d" % i for i in range(60)]
    c.ok("STORE 1 FLAGS (%s)" % " ".join(words))
    c.ok("STORE 2 FLAGS (%s)" % " ".join(words[30:]))
    assert {s: f - {"\\Recent"} for s, f in c.flags("1:2").items()} == \
        {1: set(words), 2: set(words[30:])}
    c.ok("STORE 1 -FLAGS (%s)" % " ".join(words[:59]))
    c.logout()
    c = c.box.connect()
    c.ok("SELECT INBOX")
    flags = c.flags()
    assert flags[1] == {"key59"} and flags[2] == set(words[30:])


def test_another_session_learns_of_it(box):
    box.fill(2, flags="")
    a, b = box.connect(), box.connect()
    a.ok("SELECT INBOX")
    b.ok("SELECT INBOX")
    a.ok("STORE 1 +FLAGS (\\Flagged word)")
    told = b.ok("NOOP")
    assert fetches(told) == {1: {"\\Flagged", "word"}}
    assert b.ok("NOOP") == []
    # His own .SILENT hides only his own change.
    b.ok("STORE 2 +FLAGS.SILENT (\\Seen)")
    assert fetches(a.ok("NOOP")) == {2: {"\\Seen"}}


def test_flags_changed_by_another_program(box):
    import os
    path = box.deliver(message(1), flags="")
    c = box.connect()
    c.ok("SELECT INBOX")
    os.rename(path, path + "FS")
    assert fetches(c.ok("NOOP")) == {1: {"\\Flagged", "\\Seen"}}


def test_two_thousand_messages(tunnel):
    for i in range(2000):
        tunnel.deliver(message(i), flags="")
    c = tunnel.connect()
    c.ok("SELECT INBOX")
    assert len(fetches(c.ok("STORE 1:* +FLAGS (\\Seen)", 60))) == 2000
    assert set(tunnel.files().values()) == {"S"}
