# SPDX-License-Identifier: ISC
"""MESSAGELIMIT and SAVELIMIT: RFC 9738. The limit is lower here than it should
be anywhere else."""
import re

import pytest
from lib import maildir

MBOX = True


@pytest.fixture
def ten(box):
    """UIDs 3 to 12 at most 4 at a time."""
    if box.kind == "server":
        pytest.skip("the setting is the server's")
    box.fill(12, flags="")
    c = box.connect("message_limit=4")
    c.box = box
    c.ok("CREATE Other")
    c.ok("SELECT INBOX")
    c.ok("UID STORE 1:2 +FLAGS.SILENT (\\Deleted)")
    c.ok("EXPUNGE")
    return c


def uids(untagged, what=b"FETCH"):
    return [int(m.group(1)) for r in untagged for m in
            [re.match(rb"\* \d+ " + what + rb" \(.*UID (\d+)", r)] if m]


def code(text):
    m = re.match(rb"\[MESSAGELIMIT (\d+)(?: (\d+))?\]", text)
    return m and tuple(int(x) for x in m.groups() if x)


def test_announced(ten):
    assert "MESSAGELIMIT=4" in ten.capabilities()
    plain = ten.box.connect()
    assert not any(x.startswith(("MESSAGELIMIT", "SAVELIMIT"))
                   for x in plain.capabilities())


def test_fetch(ten):
    """From the highest down, in either form."""
    c = ten
    for command in ("UID FETCH 1:* FLAGS", "FETCH 1:10 (UID FLAGS)",
                    "UID FETCH 1:* (ENVELOPE)", "UID FETCH 1:* BODY.PEEK[]"):
        status, text, found = c.cmd(command)
        assert status == "OK" and code(text) == (4, 9), (command, text)
        assert uids(found) == [12, 11, 10, 9], (command, found)
    status, text, found = c.cmd("UID FETCH 1:8 FLAGS")
    assert code(text) == (4, 5) and uids(found) == [8, 7, 6, 5]
    status, text, found = c.cmd("UID FETCH 1:4 FLAGS")
    assert status == "OK" and code(text) is None and uids(found) == [3, 4]
    assert code(c.cmd("UID FETCH 5:8 FLAGS")[1]) is None


def test_fetch_changedsince(ten):
    c = ten
    c.ok("ENABLE CONDSTORE")
    c.ok("UID FETCH 12 MODSEQ")
    modseq = int(re.search(rb"HIGHESTMODSEQ (\d+)", b" ".join(
        c.ok("STATUS INBOX (HIGHESTMODSEQ)"))).group(1))
    c.ok("UID STORE 10 +FLAGS.SILENT (\\Seen)")
    status, text, found = c.cmd(
        "UID FETCH 1:* FLAGS (CHANGEDSINCE %d)" % modseq)
    assert status == "OK" and code(text) == (4, 9) and uids(found) == [10]
    status, text, found = c.cmd(
        "UID FETCH 1:* FLAGS (CHANGEDSINCE %d)" % (modseq + 10**9))
    assert status == "OK" and code(text) == (4, 9) and uids(found) == []


def test_fetch_partial(ten):
    """A range that is too large is refused, one that fits is not."""
    c = ten
    status, text, found = c.cmd("UID FETCH 1:* FLAGS (PARTIAL 1:5)")
    assert status == "NO" and code(text) == (4,) and uids(found) == []
    status, text, found = c.cmd("UID FETCH 1:* FLAGS (PARTIAL -1:-4)")
    assert status == "OK" and code(text) is None
    assert uids(found) == [9, 10, 11, 12]


def test_seen_is_set_where_it_was_read(ten):
    c = ten
    c.ok("UID FETCH 1:* BODY[TEXT]")
    assert c.ok("UID SEARCH UID 9:12 SEEN") == [b"* SEARCH 9 10 11 12"]
    assert c.ok("UID SEARCH UID 5:8 SEEN") == [b"* SEARCH"]


def test_store(ten):
    c = ten
    status, text, found = c.cmd("UID STORE 1:* +FLAGS (\\Flagged)")
    assert status == "OK" and code(text) == (4, 9)
    assert uids(found) == [12, 11, 10, 9]
    assert c.ok("UID SEARCH UID 5:8 FLAGGED") == [b"* SEARCH"]
    status, text, _ = c.cmd("UID STORE 1:8 +FLAGS.SILENT (\\Flagged)")
    assert code(text) == (4, 5)
    status, text, _ = c.cmd("UID STORE 1:4 +FLAGS.SILENT (\\Flagged)")
    assert code(text) is None
    assert c.ok("UID SEARCH UID 3:6 UNFLAGGED") == [b"* SEARCH"]
    assert c.ok("UID SEARCH UID 7:10 UNFLAGGED") == [b"* SEARCH"]


def test_store_with_another_code(ten):
    """Two codes: the limit's is untagged."""
    c = ten
    c.ok("ENABLE CONDSTORE")
    status, text, found = c.cmd(
        "UID STORE 1:* (UNCHANGEDSINCE 1) +FLAGS (\\Flagged)")
    assert status == "OK" and text.startswith(b"[MODIFIED 9:12]"), text
    assert any(x.startswith(b"* NO [MESSAGELIMIT 4 9]") for x in found)


def test_search(ten):
    """What is looked at counts, not what is found."""
    c = ten
    c.ok("UID STORE 4,11 +FLAGS.SILENT (\\Flagged)")
    status, text, found = c.cmd("UID SEARCH FLAGGED")
    assert status == "OK" and code(text) == (4, 9)
    assert found == [b"* SEARCH 11"]
    status, text, found = c.cmd("UID SEARCH UID 1:8 FLAGGED")
    assert code(text) == (4, 5) and found == [b"* SEARCH"]
    status, text, found = c.cmd("UID SEARCH UID 1:4 FLAGGED")
    assert code(text) is None and found == [b"* SEARCH 4"]
    status, text, found = c.cmd("SEARCH RETURN (COUNT MIN) ALL")
    assert code(text) == (4, 9) and b"COUNT 4" in found[0], found


def test_saved_result(ten):
    """It is what was looked at."""
    c = ten
    assert code(c.cmd("UID SEARCH RETURN (SAVE) ALL")[1]) == (4, 9)
    assert sorted(uids(c.ok("UID FETCH $ FLAGS"))) == [9, 10, 11, 12]


def test_uid_sides(ten):
    c = ten
    for command, found in (
            ("UIDAFTER 9", b" 10 11 12"), ("UIDAFTER 12", b""),
            ("UIDAFTER 4294967295", b""), ("UIDBEFORE 5", b" 3 4"),
            ("UIDBEFORE 1", b""), ("UIDBEFORE 3", b""),
            ("UIDAFTER 8 UIDBEFORE 11", b" 9 10"),
            ("OR UIDBEFORE 4 UIDAFTER 11", None)):
        status, text, answer = c.cmd("UID SEARCH " + command)
        assert status == "OK", (command, text)
        if found is not None:
            assert answer == [b"* SEARCH" + found] and code(text) is None
    for bad in ("UIDAFTER", "UIDBEFORE 0", "UIDAFTER 1:2", "UIDBEFORE *",
                "UIDAFTER x", "NOT (UIDBEFORE 4 UIDAFTER)"):
        assert c.cmd("UID SEARCH " + bad)[0] == "BAD", bad


def test_copy(ten):
    """All or none."""
    c = ten
    status, text, _ = c.cmd("UID COPY 1:* Other")
    assert status == "NO" and code(text) == (4, 9)
    assert b"* STATUS Other (MESSAGES 0)" in c.ok("STATUS Other (MESSAGES)")
    c.ok("UID COPY 9:12 Other")
    assert b"* STATUS Other (MESSAGES 4)" in c.ok("STATUS Other (MESSAGES)")


def test_move(ten):
    """Repeated until the code is absent."""
    c = ten
    seen = []
    for _ in range(5):
        status, text, found = c.cmd("UID MOVE 1:* Other")
        assert status == "OK"
        seen.append(code(text))
        if seen[-1] is None:
            break
    assert seen == [(4, 9), (4, 5), None]
    assert b"* STATUS Other (MESSAGES 10)" in c.ok("STATUS Other (MESSAGES)")


def test_expunge(ten):
    """UID EXPUNGE counts what is deleted; EXPUNGE has no limit."""
    c = ten
    c.ok("UID STORE 9:12 +FLAGS.SILENT (\\Deleted)")
    c.ok("UID STORE 3:4 +FLAGS.SILENT (\\Deleted)")
    status, text, found = c.cmd("UID EXPUNGE 3:*")
    assert status == "OK" and code(text) == (4, 9)
    assert len([x for x in found if b"EXPUNGE" in x]) == 4
    status, text, found = c.cmd("UID EXPUNGE 3:*")
    assert status == "OK" and code(text) is None
    assert len([x for x in found if b"EXPUNGE" in x]) == 2
    c.ok("STORE 1:4 +FLAGS.SILENT (\\Deleted)")
    status, text, found = c.cmd("EXPUNGE")
    assert status == "OK" and code(text) is None
    assert len([x for x in found if b"EXPUNGE" in x]) == 4


def test_expunge_with_qresync(ten):
    c = ten
    c.ok("ENABLE QRESYNC")
    for chunk in ("3:6", "7:10", "11:12"):
        c.ok("UID STORE %s +FLAGS.SILENT (\\Deleted)" % chunk)
    status, text, found = c.cmd("UID EXPUNGE 1:*")
    assert status == "OK" and text.startswith(b"[HIGHESTMODSEQ ")
    assert any(x.startswith(b"* NO [MESSAGELIMIT 4 9]") for x in found)
    assert b"* VANISHED 9:12" in found


def test_append(ten):
    """Four at once, not five; none of the five."""
    c = ten
    message = maildir.message(1)
    if isinstance(message, str):
        message = message.encode()
    piece = b" {%d+}\r\n" % len(message) + message
    tag = c.start(b"APPEND Other" + piece * 5)
    status, text, _ = c.finish(tag)
    assert status == "NO" and code(text) == (4,), text
    assert b"* STATUS Other (MESSAGES 0)" in c.ok("STATUS Other (MESSAGES)")
    assert c.finish(c.start(b"APPEND Other" + piece * 4))[0] == "OK"


def test_thread_and_sort(ten):
    """THREAD needs all; the keys of SORT are kept in the index."""
    c = ten
    status, text, _ = c.cmd("UID THREAD REFERENCES UTF-8 ALL")
    assert status == "NO" and code(text) == (4,)
    assert len(c.ok("UID SORT (SUBJECT) UTF-8 ALL")[0].split()) == 12


def test_status_and_close(ten):
    c = ten
    assert b"* STATUS INBOX (UNSEEN 10)" in c.ok("STATUS INBOX (UNSEEN)")
    for chunk in ("3:6", "7:10", "11:12"):
        c.ok("UID STORE %s +FLAGS.SILENT (\\Deleted)" % chunk)
    c.ok("CLOSE")
    assert b"* STATUS INBOX (MESSAGES 0)" in c.ok("STATUS INBOX (MESSAGES)")


def test_uidonly(ten):
    c = ten
    c.ok("ENABLE UIDONLY")
    status, text, found = c.cmd("UID FETCH 1:* FLAGS")
    assert code(text) == (4, 9)
    assert [int(x.split()[1]) for x in found] == [12, 11, 10, 9]


def test_savelimit(box):
    """Only what is saved is limited."""
    if box.kind == "server":
        pytest.skip("the setting is the server's")
    box.fill(6)
    c = box.connect("save_limit=4")
    assert "SAVELIMIT=4" in c.capabilities()
    c.ok("CREATE Other")
    c.ok("SELECT INBOX")
    assert uids(c.ok("UID FETCH 1:* FLAGS")) == [1, 2, 3, 4, 5, 6]
    status, text, _ = c.cmd("COPY 1:5 Other")
    assert status == "NO" and code(text) == (4, 2)
    c.ok("COPY 1:4 Other")
    status, text, _ = c.cmd("MOVE 1:6 Other")
    assert status == "OK" and code(text) is None
    both = box.connect("save_limit=4", "message_limit=5")
    assert "MESSAGELIMIT=5" in both.capabilities()
    assert "SAVELIMIT=4" not in both.capabilities()
