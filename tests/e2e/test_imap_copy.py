# SPDX-License-Identifier: ISC
"""COPY, MOVE, EXPUNGE with their UID forms: RFC 3501 sections 6.4.3, 6.4.7;
RFC 4315, RFC 6851, RFC 2180 section 4.4."""
import re

import pytest
from lib.maildir import message

MBOX = True


@pytest.fixture
def five(box):
    for i in range(1, 6):
        box.deliver(message(i), flags="FS" if i == 2 else "")
    c = box.connect()
    c.ok("CREATE dest")
    c.ok("SELECT INBOX")
    c.box = box
    return c


def copyuid(text):
    match = re.search(rb"\[COPYUID (\d+) ([0-9:,]+) ([0-9:,]+)\]", text)
    assert match, text
    return match.group(2).decode(), match.group(3).decode()


def subjects(c):
    found = {}
    for seq, r in c.fetch("1:* BODY.PEEK[HEADER.FIELDS (SUBJECT)]").items():
        found[seq] = int(re.search(rb"Message (\d+)", r).group(1))
    return found


def test_copy(five):
    c = five
    status, text, untagged = c.cmd("COPY 2:4 dest")
    assert status == "OK" and copyuid(text) == ("2:4", "1:3")
    assert not untagged
    assert len(c.box.files()) == 5
    c.ok("SELECT dest")
    assert subjects(c) == {1: 2, 2: 3, 3: 4}
    assert c.flags()[1] >= {"\\Flagged", "\\Seen"}


def test_copy_keeps_keywords_and_dates(five):
    c = five
    c.ok("STORE 1 FLAGS (\\Answered $x word)")
    date = re.search(rb'"[^"]*"', c.fetch("1 INTERNALDATE")[1]).group(0)
    c.ok("UID COPY 1 dest")
    c.ok("SELECT dest")
    assert c.flags()[1] - {"\\Recent"} == {"\\Answered", "$x", "word"}
    assert re.search(rb'"[^"]*"',
                     c.fetch("1 INTERNALDATE")[1]).group(0) == date


def test_uid_copy(five):
    c = five
    status, text, _ = c.cmd("UID COPY 5,1,3 dest")
    assert status == "OK" and copyuid(text) == ("1,3,5", "1:3")
    # Nothing that is there: done, without COPYUID.
    status, text, _ = c.cmd("UID COPY 77:99 dest")
    assert status == "OK" and b"COPYUID" not in text


def test_copy_to_itself(five):
    c = five
    status, text, untagged = c.cmd("COPY 1 INBOX")
    assert status == "OK" and copyuid(text) == ("1", "6")
    untagged += c.ok("NOOP")
    assert b"* 6 EXISTS" in untagged
    assert subjects(c)[6] == 1


@pytest.mark.parametrize("command", ["COPY", "MOVE", "UID COPY", "UID MOVE"])
def test_trycreate(five, command):
    c = five
    assert c.no(command + " 1 none").startswith(b"[TRYCREATE]")
    assert len(c.box.files()) == 5


@pytest.mark.parametrize("command", ["COPY", "MOVE"])
@pytest.mark.parametrize("args", ["", "1", "6 dest", "0 dest", "1:6 dest",
                                  "1 dest x", "x dest", "(1) dest",
                                  "1 (dest)", "1,,2 dest", "1 de*t"])
def test_bad(five, command, args):
    c = five
    c.bad(command + " " + args if args else command)
    assert len(c.box.files()) == 5
    assert len(c.box.files(".dest")) == 0


def test_copy_is_all_or_nothing(five):
    """RFC 3501 section 6.4.7: on failure the destination is as before."""
    c = five
    other = c.box.connect()
    other.ok("SELECT INBOX")
    other.ok("STORE 3 +FLAGS.SILENT (\\Deleted)")
    other.ok("EXPUNGE")
    # c has not been told: message 3 is still one of its numbers.
    status, text, _ = c.cmd("COPY 1:5 dest")
    if status == "NO":
        assert text.startswith(b"[EXPUNGEISSUED]")
        assert len(c.box.files(".dest")) == 0
    else:
        assert len(c.box.files(".dest")) == 4


def test_move(five):
    c = five
    status, text, untagged = c.cmd("MOVE 2:3 dest")
    assert status == "OK" and b"COPYUID" not in text
    assert copyuid(untagged[0]) == ("2:3", "1:2")
    assert untagged[0].startswith(b"* OK [COPYUID")
    gone = sorted(r for r in untagged[1:] if b"EXPUNGE" in r)
    assert gone in ([b"* 2 EXPUNGE", b"* 2 EXPUNGE"],
                    [b"* 2 EXPUNGE", b"* 3 EXPUNGE"])
    assert subjects(c) == {1: 1, 2: 4, 3: 5}
    assert len(c.box.files()) == 3
    c.ok("SELECT dest")
    assert subjects(c) == {1: 2, 2: 3}
    assert c.flags()[1] >= {"\\Flagged", "\\Seen"}


def test_uid_move(five):
    c = five
    _, _, untagged = c.cmd("UID MOVE 1,5 dest")
    assert copyuid(untagged[0]) == ("1,5", "1:2")
    assert len([r for r in untagged if b"EXPUNGE" in r]) == 2
    assert c.ok("UID MOVE 1,5 dest") == []


def test_move_leaves_deleted_ones_alone(five):
    c = five
    c.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    c.ok("MOVE 2 dest")
    assert "\\Deleted" in c.flags()[1]


def test_another_session_sees_the_move(five):
    c = five
    other = c.box.connect()
    other.ok("SELECT INBOX")
    third = c.box.connect()
    third.ok("SELECT dest")
    c.ok("MOVE 5 dest")
    assert other.ok("NOOP") == [b"* 5 EXPUNGE"]
    assert b"* 1 EXISTS" in third.ok("NOOP")


def test_expunge(five):
    c = five
    c.ok("STORE 1,3,5 +FLAGS.SILENT (\\Deleted)")
    untagged = c.ok("EXPUNGE")
    numbers = [int(r.split()[1]) for r in untagged]
    assert all(r.endswith(b" EXPUNGE") for r in untagged)
    # Each number is that of the moment (RFC 3501 section 7.4.1).
    left = [1, 2, 3, 4, 5]
    for n in numbers:
        del left[n - 1]
    assert left == [2, 4]
    assert subjects(c) == {1: 2, 2: 4}
    assert c.ok("EXPUNGE") == []
    assert len(c.box.files()) == 2


def test_uid_expunge(five):
    c = five
    c.ok("STORE 1:4 +FLAGS.SILENT (\\Deleted)")
    assert c.ok("UID EXPUNGE 2,5") == [b"* 2 EXPUNGE"]
    assert subjects(c) == {1: 1, 2: 3, 3: 4, 4: 5}
    assert c.ok("UID EXPUNGE 100:200") == []
    assert len(c.ok("UID EXPUNGE 1:*")) == 3
    c.bad("UID EXPUNGE")
    c.bad("UID EXPUNGE x")
    c.bad("UID EXPUNGE 1 2")
    c.bad("UID EXPUNGE 0")
    assert subjects(c) == {1: 5}


def test_expunge_spares_what_another_session_undeletes(five):
    c = five
    other = c.box.connect()
    other.ok("SELECT INBOX")
    c.ok("STORE 1:2 +FLAGS.SILENT (\\Deleted)")
    other.ok("NOOP")
    other.ok("STORE 1 -FLAGS.SILENT (\\Deleted)")
    assert c.ok("EXPUNGE")[-1:] != []
    assert subjects(c) == {1: 1, 2: 3, 3: 4, 4: 5}


def test_copy_of_many(tunnel):
    tunnel.fill(1500, flags="")
    c = tunnel.connect()
    c.ok("CREATE dest")
    c.ok("SELECT INBOX")
    status, text, _ = c.cmd("COPY 1:* dest", 60)
    assert status == "OK" and copyuid(text) == ("1:1500", "1:1500")
    status, text, untagged = c.cmd("MOVE 1:* dest", 60)
    assert copyuid(untagged[0]) == ("1:1500", "1501:3000")
    assert len(untagged) == 1501
    assert b"MESSAGES 3000" in c.ok("STATUS dest (MESSAGES)")[0]
