# SPDX-License-Identifier: ISC
"""UIDONLY: RFC 9586."""
import re

import pytest
from lib import maildir

MBOX = True

NUMBERS = ["FETCH 1 FLAGS", "FETCH $ FLAGS", "STORE 1 +FLAGS (\\Seen)",
           "STORE 1 +FLAGS.SILENT (\\Seen)", "COPY 1 Other", "MOVE 1 Other",
           "SEARCH ALL", "SEARCH RETURN (COUNT) ALL", "SEARCH UID 1",
           "SORT (DATE) UTF-8 ALL", "SORT RETURN (ALL) (DATE) UTF-8 ALL",
           "THREAD REFERENCES UTF-8 ALL", "FETCH * FLAGS",
           "fetch 1 (UID FLAGS)"]
SETS = ["UID SEARCH 1", "UID SEARCH 1:*", "UID SEARCH *", "UID SEARCH NOT 1:2",
        "UID SEARCH RETURN (COUNT) OR 2 SEEN", "UID SEARCH UNSEEN (1,3)",
        "UID SORT (DATE) UTF-8 2:3", "UID SORT RETURN (MIN) (DATE) UTF-8 2",
        "UID THREAD ORDEREDSUBJECT UTF-8 1:*"]


def number_words(untagged):
    """Responses that begin with a message number."""
    return [r for r in untagged
            if re.match(rb"\* \d+ (FETCH|EXPUNGE)", r) or b"[UNSEEN" in r]


def uidfetch(untagged):
    """{UID: what is in the parentheses}"""
    found = {}
    for r in untagged:
        m = re.match(rb"\* (\d+) UIDFETCH \((.*)\)$", r, re.S)
        if m:
            found[int(m.group(1))] = m.group(2)
    return found


def vanished(untagged):
    for r in untagged:
        m = re.match(rb"\* VANISHED ([\d:,]+)$", r)
        if m:
            return m.group(1)
    return None


def earlier(untagged):
    """What is said of more than has gone is allowed (RFC 7162 3.2.10.1)."""
    for r in untagged:
        if r.startswith(b"* VANISHED (EARLIER) "):
            return r
    return b""


@pytest.fixture
def six(box):
    """UIDs 3 to 8: they differ from the message numbers. UIDONLY is on."""
    box.fill(8, flags="")
    c = box.connect()
    c.box = box
    c.ok("CREATE Other")
    c.ok("SELECT INBOX")
    c.ok("UID STORE 1:2 +FLAGS.SILENT (\\Deleted)")
    c.ok("EXPUNGE")
    assert c.ok("ENABLE UIDONLY") == [b"* ENABLED UIDONLY"]
    return c


def test_announced(six):
    assert "UIDONLY" in six.capabilities()


def test_enabled_once(six):
    assert b"* ENABLED QRESYNC" in six.ok("ENABLE UIDONLY QRESYNC")
    assert "UIDONLY" in six.capabilities()


@pytest.mark.parametrize("command", NUMBERS)
def test_command_needs_uid(six, command):
    """Section 3.2 and 3.8."""
    c = six
    status, text, _ = c.cmd(command)
    assert status == "BAD" and b"[UIDREQUIRED]" in text, (command, text)
    assert set(uidfetch(c.ok("UID FETCH 1:* FLAGS"))) == set(range(3, 9))
    assert b"* SEARCH" in c.ok("UID SEARCH SEEN")
    assert b"* STATUS Other (MESSAGES 0)" in c.ok("STATUS Other (MESSAGES)")


@pytest.mark.parametrize("command", SETS)
def test_set_needs_uid(six, command):
    """Section 3.5."""
    status, text, _ = six.cmd(command)
    assert status == "BAD" and b"[UIDREQUIRED]" in text, (command, text)


def test_search_in_many(six):
    """MULTISEARCH tells UIDs in any case; its keys are as those of SEARCH."""
    c = six
    found = c.ok("ESEARCH IN (selected) ALL")
    assert found and found[0].endswith(b"UID ALL 3:8"), found
    status, text, _ = c.cmd("ESEARCH IN (selected) 1:2")
    assert status == "BAD" and b"[UIDREQUIRED]" in text


def test_set_of_an_empty_mailbox(six):
    six.ok("SELECT Other")
    status, text, _ = six.cmd("UID SEARCH 1:*")
    assert status == "BAD" and b"[UIDREQUIRED]" in text


def test_without_it_numbers_stay(box):
    box.fill(2)
    c = box.connect()
    c.ok("SELECT INBOX")
    for command in NUMBERS + SETS:
        status, text, _ = c.cmd(command)
        assert b"[UIDREQUIRED]" not in text, (command, status, text)


def test_literal_behind_a_refused_name(six):
    """The rest of the command does not become a command."""
    c = six
    tag = c.start("SEARCH SUBJECT {6+}\r\nfive x")
    assert c.finish(tag)[0] == "BAD"
    c.ok("NOOP")


def test_fetch(six):
    """Section 3.3."""
    c = six
    found = c.ok("UID FETCH 4:6 (FLAGS)")
    assert number_words(found) == []
    assert set(uidfetch(found)) == {4, 5, 6}
    assert all(x.startswith(b"FLAGS (") and b"UID " not in x
               for x in uidfetch(found).values()), found
    found = uidfetch(c.ok("UID FETCH 4:6 (UID FLAGS)"))
    assert all(b"UID %d" % u in x for u, x in found.items()), found
    # from the index, and from the message
    for items in ("ENVELOPE", "RFC822.SIZE", "BODYSTRUCTURE", "INTERNALDATE",
                  "BODY.PEEK[]<0.10>", "BODY.PEEK[HEADER.FIELDS (SUBJECT)]"):
        for _ in range(2):
            found = c.ok("UID FETCH 3:* %s" % items)
            assert number_words(found) == []
            assert list(uidfetch(found)) == [3, 4, 5, 6, 7, 8], (items, found)
            assert not any(b"UID " in x for x in uidfetch(found).values())


def test_fetch_sets_seen(six):
    found = uidfetch(six.ok("UID FETCH 5 BODY[TEXT]"))
    assert b"\\Seen" in found[5]


def test_macro_and_vanished_uid(six):
    c = six
    assert list(uidfetch(c.ok("UID FETCH 8 ALL"))) == [8]
    assert uidfetch(c.ok("UID FETCH 1:2 ALL")) == {}
    assert list(uidfetch(c.ok("UID FETCH * FLAGS"))) == [8]


def test_store(six):
    c = six
    found = c.ok("UID STORE 3,8 +FLAGS (\\Flagged)")
    assert number_words(found) == []
    assert {u: b"\\Flagged" in x for u, x in uidfetch(found).items()} == \
        {3: True, 8: True}
    assert uidfetch(c.ok("UID STORE 3 -FLAGS.SILENT (\\Flagged)")) == {}


def test_expunge(six):
    """Section 3.4."""
    c = six
    c.ok("UID STORE 4,6,7 +FLAGS.SILENT (\\Deleted)")
    found = c.ok("UID EXPUNGE 6")
    assert vanished(found) == b"6" and number_words(found) == []
    found = c.ok("EXPUNGE")
    assert vanished(found) == b"4,7" and number_words(found) == []
    assert b"* SEARCH 3 5 8" in c.ok("UID SEARCH ALL")


def test_search(six):
    c = six
    assert b"* SEARCH 3 4 5 6 7 8" in c.ok("UID SEARCH ALL")
    assert b"* SEARCH 4 5" in c.ok("UID SEARCH UID 4:5")
    assert sorted(c.ok("UID SORT (SIZE) UTF-8 UID 7:*")[0].split()) == \
        [b"*", b"7", b"8", b"SORT"]
    assert any(x.startswith(b"* THREAD (3)")
               for x in c.ok("UID THREAD ORDEREDSUBJECT UTF-8 UID 3"))
    found = c.ok("UID SEARCH RETURN (MIN MAX COUNT PARTIAL 1:2) ALL")
    assert b"UID MIN 3 MAX 8 PARTIAL (1:2 3:4) COUNT 6" in found[0]


def test_saved_result(six):
    """What $ stands for are UIDs."""
    c = six
    c.ok("UID SEARCH RETURN (SAVE) UID 5:6")
    assert set(uidfetch(c.ok("UID FETCH $ FLAGS"))) == {5, 6}
    assert b"* SEARCH 5 6" in c.ok("UID SEARCH $")
    assert b"* SEARCH 6" in c.ok("UID SEARCH UID $ UID 6:8")
    assert set(uidfetch(c.ok("UID STORE $ +FLAGS (\\Seen)"))) == {5, 6}
    status, text, _ = c.cmd("STORE $ +FLAGS (\\Seen)")
    assert status == "BAD" and b"[UIDREQUIRED]" in text


def test_copy_and_move(six):
    """Section 3.6: COPYUID, and VANISHED for what was moved."""
    c = six
    assert b"[COPYUID " in c.cmd("UID COPY 3 Other")[1]
    found = c.ok("UID MOVE 4:5 Other")
    assert any(re.match(rb"\* OK \[COPYUID \d+ 4:5 2:3\]", x) for x in found)
    assert vanished(found) == b"4:5" and number_words(found) == []


def test_select(six):
    """No UNSEEN code; EXISTS and RECENT as ever (section 3.6)."""
    c = six
    found = c.ok("SELECT INBOX")
    assert b"* 6 EXISTS" in found
    assert any(x.endswith(b" RECENT") for x in found)
    assert number_words(found) == []
    other = c.box.connect()
    assert number_words(other.ok("EXAMINE INBOX")) != []


def test_changes_by_others(six):
    """Flags, removals and new messages, at NOOP and while idle."""
    c = six
    other = c.box.connect()
    other.ok("SELECT INBOX")
    other.ok("STORE 1 +FLAGS (\\Answered)")
    other.ok("STORE 2:3 +FLAGS.SILENT (\\Deleted)")
    other.ok("EXPUNGE")
    c.box.deliver(maildir.message(9))
    other.ok("NOOP")
    found = []
    for _ in range(200):
        found += c.ok("NOOP")
        if vanished(found) and b"* 5 EXISTS" in found and 3 in uidfetch(found):
            break
    assert vanished(found) == b"4:5", found
    assert b"\\Answered" in uidfetch(found)[3]
    assert b"* 5 EXISTS" in found and number_words(found) == []


def test_idle(six):
    c = six
    other = c.box.connect()
    other.ok("SELECT INBOX")
    tag = c.idle()
    other.ok("STORE 6 +FLAGS (\\Draft \\Deleted)")
    assert number_words(c.until(rb"\* 8 UIDFETCH")) == []
    other.ok("EXPUNGE")
    assert number_words(c.until(rb"\* VANISHED 8$")) == []
    assert c.done(tag)[0] == "OK"


def test_others_go_on_as_before(six):
    """A session that has not asked for it has numbers."""
    c = six
    other = c.box.connect()
    other.ok("SELECT INBOX")
    c.ok("UID STORE 3 +FLAGS.SILENT (\\Deleted)")
    c.ok("EXPUNGE")
    for _ in range(200):
        found = other.ok("NOOP")
        if found:
            break
    assert b"* 1 EXPUNGE" in found


# ---- CONDSTORE and QRESYNC: section 3.7 --------------------------------------

def test_condstore(six):
    c = six
    assert b"* ENABLED CONDSTORE" in c.ok("ENABLE CONDSTORE")
    found = c.ok("UID STORE 3 +FLAGS.SILENT (\\Seen)")
    assert re.fullmatch(rb"MODSEQ \(\d+\)", uidfetch(found)[3]), found
    found = uidfetch(c.ok("UID STORE 3 +FLAGS (\\Draft)"))
    assert re.match(rb"MODSEQ \(\d+\) FLAGS \(", found[3]), found
    modseq = int(re.search(rb"MODSEQ \((\d+)\)", found[3]).group(1))
    found = c.ok("UID FETCH 1:* (FLAGS) (CHANGEDSINCE %d)" % (modseq - 1))
    assert list(uidfetch(found)) == [3] and number_words(found) == []
    status, text, found = c.cmd(
        "UID STORE 3:4 (UNCHANGEDSINCE %d) -FLAGS (\\Draft)" %
        (modseq - 1))
    assert status == "OK" and b"[MODIFIED 3]" in text
    assert list(uidfetch(found)) == [4]


def state(c):
    found = c.ok("SELECT INBOX")
    text = b"\n".join(found)
    return (int(re.search(rb"UIDVALIDITY (\d+)", text).group(1)),
            int(re.search(rb"HIGHESTMODSEQ (\d+)", text).group(1)))


def test_qresync(six):
    c = six
    c.ok("ENABLE QRESYNC")
    validity, modseq = state(c)
    other = c.box.connect()
    other.ok("SELECT INBOX")
    other.ok("STORE 1 +FLAGS (\\Answered)")
    other.ok("STORE 6 +FLAGS (\\Deleted)")
    other.ok("EXPUNGE")
    found = c.ok("SELECT INBOX (QRESYNC (%d %d 1:8))" % (validity, modseq))
    assert earlier(found).endswith(b"8"), found
    assert list(uidfetch(found)) == [3] and number_words(found) == []
    found = c.ok("UID FETCH 1:* FLAGS (CHANGEDSINCE %d VANISHED)" % modseq)
    assert earlier(found).endswith(b"8"), found
    assert list(uidfetch(found)) == [3] and number_words(found) == []


def test_qresync_beside_others(six):
    """RFC 7162 section 3.2.10 in the words of RFC 9586: what others remove is
    VANISHED at once, and EARLIER when the session comes back."""
    c = six
    c.ok("ENABLE QRESYNC")
    validity, modseq = state(c)
    other = c.box.connect()
    other.ok("ENABLE QRESYNC UIDONLY")
    other.ok("SELECT INBOX")
    other.ok("UID STORE 3 +FLAGS (\\Deleted)")
    assert b"* VANISHED 3" in other.ok("UID EXPUNGE 3")
    told = []
    while b"* VANISHED 3" not in told:
        told += c.ok("NOOP")
    assert number_words(told) == []
    status, text, told = c.cmd("UID STORE 4 (UNCHANGEDSINCE 1) +FLAGS (x)")
    assert status == "OK" and text.startswith(b"[MODIFIED 4]")
    status, text, told = c.cmd("UID MOVE 4 Other")
    assert b"* VANISHED 4" in told and number_words(told) == []
    # The one that moved it away and back: another UID, nothing of the old.
    found = c.ok("SELECT INBOX (QRESYNC (%d %d))" % (validity, modseq))
    # (1 and 2 were gone before, which it may say once more.)
    assert earlier(found).endswith((b" 3:4", b" 1:4")), found
    assert number_words(found) == []
    c.ok("UNSELECT")
    found = c.ok("EXAMINE INBOX (QRESYNC (%d %d 3:4))" % (validity, modseq))
    assert earlier(found).endswith(b" 3:4")
    # another UIDVALIDITY: nothing of it is told
    found = c.ok("SELECT INBOX (QRESYNC (%d %d))" % (validity + 1, modseq))
    assert not any(b"VANISHED" in r or b"UIDFETCH" in r for r in found)


def test_qresync_match_data(six):
    c = six
    c.ok("ENABLE QRESYNC")
    validity, modseq = state(c)
    status, text, _ = c.cmd("SELECT INBOX (QRESYNC (%d %d 1:8 (1,2 3,4)))" % (
        validity, modseq))
    assert status == "BAD" and b"[UIDREQUIRED]" in text
    # nothing has happened: the mailbox is still selected
    assert list(uidfetch(c.ok("UID FETCH 3 FLAGS"))) == [3]


def test_behind_pipelining(box):
    """What follows ENABLE without waiting is refused, too."""
    box.fill(2)
    c = box.connect()
    c.ok("SELECT INBOX")
    tags = [c.start(x) for x in (
        "FETCH 1 FLAGS", "ENABLE UIDONLY", "FETCH 1 FLAGS",
        "UID FETCH 2 FLAGS")]
    answers = [c.finish(t) for t in tags]
    assert [a[0] for a in answers] == ["OK", "OK", "BAD", "OK"], answers
    assert list(uidfetch(answers[3][2])) == [2]
