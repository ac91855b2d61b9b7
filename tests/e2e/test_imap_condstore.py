# SPDX-License-Identifier: ISC
"""CONDSTORE and QRESYNC: RFC 7162."""
import os
import re
import shutil

import pytest
from lib import maildir

MBOX = True
MAILDIR_ALONE = {"test_changed_by_another_program"}


def modseqs(untagged):
    """{UID: mod-sequence} of FETCH responses."""
    found = {}
    for r in untagged:
        uid = re.search(rb"FETCH \(.*UID (\d+)", r)
        number = re.search(rb"FETCH \(.*MODSEQ \((\d+)\)", r)
        if uid and number:
            found[int(uid.group(1))] = int(number.group(1))
    return found


def highest(untagged):
    for r in untagged:
        match = re.match(rb"\* OK \[HIGHESTMODSEQ (\d+)\]", r)
        if match:
            return int(match.group(1))
    return None


def numbers(text):
    """The members of "1:3,5"."""
    found = set()
    for piece in text.decode().split(","):
        first, _, last = piece.partition(":")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def vanished(untagged, earlier=False):
    word = rb"\* VANISHED \(EARLIER\) " if earlier else rb"\* VANISHED (?!\()"
    found = set()
    for r in untagged:
        match = re.match(word + rb"([\d:,]+)$", r)
        if match:
            found |= numbers(match.group(1))
    return found


def uidvalidity(untagged):
    for r in untagged:
        match = re.match(rb"\* OK \[UIDVALIDITY (\d+)\]", r)
        if match:
            return int(match.group(1))
    raise AssertionError(untagged)


@pytest.fixture
def five(box):
    box.fill(5, flags="")
    c = box.connect()
    c.box = box
    c.selected = c.ok("SELECT INBOX")
    return c


def test_announced(five):
    assert {"CONDSTORE", "QRESYNC"} <= five.capabilities()


def test_select_tells_the_highest(five):
    c = five
    top = highest(c.selected)
    assert top is not None and top > 0
    assert max(modseqs(c.ok("UID FETCH 1:* MODSEQ")).values()) <= top
    # the same mailbox, not changed: the same number, with or without asking
    assert highest(c.ok("SELECT INBOX (CONDSTORE)")) == top
    assert highest(c.ok("EXAMINE INBOX")) == top
    c.ok("UNSELECT")
    status = c.ok("STATUS INBOX (HIGHESTMODSEQ MESSAGES)")
    assert status == [b"* STATUS INBOX (HIGHESTMODSEQ %d MESSAGES 5)" % top]


def test_before_a_client_asks_nothing_is_told(five):
    got = five.ok("STORE 1 +FLAGS (\\Seen)")
    assert got and b"MODSEQ" not in b"".join(got)
    assert five.ok("STORE 1 -FLAGS.SILENT (\\Seen)") == []


@pytest.mark.parametrize("command", [
    "STATUS INBOX (HIGHESTMODSEQ)", "FETCH 1 MODSEQ", "FETCH 1 (FLAGS MODSEQ)",
    "FETCH 1 FLAGS (CHANGEDSINCE 1)", "SEARCH MODSEQ 1", "ENABLE CONDSTORE",
    "STORE 5 (UNCHANGEDSINCE 1) FLAGS.SILENT ()"])
def test_enabling_commands(five, command):
    """Section 3.1: they tell the highest, and MODSEQ and UID come from then
    on."""
    c = five
    assert highest(c.ok(command)) == highest(c.selected)
    assert highest(c.ok(command)) is None
    other = c.box.connect()
    other.ok("SELECT INBOX")
    other.ok("STORE 2 +FLAGS (\\Flagged)")
    got = []
    while not got:
        got = [r for r in c.ok("NOOP") if b"FETCH" in r]
    assert re.match(rb"\* 2 FETCH \(UID 2 MODSEQ \(\d+\) FLAGS \(\\Flagged",
                    got[0])
    got = c.ok("STORE 3 +FLAGS (\\Flagged)")
    assert re.match(rb"\* 3 FETCH \(UID 3 MODSEQ \(\d+\) FLAGS", got[0])


def test_select_with_condstore_enables(five):
    c = five
    assert highest(c.ok("SELECT INBOX (CONDSTORE)"))
    assert list(modseqs(c.ok("STORE 1 +FLAGS (\\Seen)"))) == [1]
    # a body that sets \Seen says so with its mod-sequence (3.2.4)
    got = c.ok("FETCH 2 BODY[TEXT]")
    assert list(modseqs(got)) == [2] and b"\\Seen" in got[0]


def test_changes_raise_it(five):
    c = five
    before = modseqs(c.ok("UID FETCH 1:* MODSEQ"))
    stored = modseqs(c.ok("UID STORE 2,4 +FLAGS (\\Seen $x)"))
    assert set(stored) == {2, 4} and min(stored.values()) > max(
        before.values())
    after = modseqs(c.ok("UID FETCH 1:* MODSEQ"))
    assert after == {**before, **stored}
    # A flag that is set already changes nothing (3.1.3).
    c.ok("UID STORE 2 +FLAGS (\\Seen)")
    assert modseqs(c.ok("UID FETCH 1:* MODSEQ")) == after


def test_fetch_changedsince(five):
    c = five
    start = highest(c.selected)
    assert modseqs(c.ok("FETCH 1:* (UID FLAGS) (CHANGEDSINCE %d)" % start)) \
        == {}
    c.ok("STORE 2:3 +FLAGS (\\Draft)")
    got = c.ok("FETCH 1:* (FLAGS) (CHANGEDSINCE %d)" % start)
    assert [re.match(rb"\* (\d)", r).group(1) for r in got] == [b"2", b"3"]
    assert all(b"MODSEQ (" in r for r in got)
    got = modseqs(c.ok("UID FETCH 3:* FLAGS (CHANGEDSINCE %d)" % start))
    assert set(got) == {3}
    # 1 is before everything
    assert set(modseqs(c.ok("UID FETCH 1:* FLAGS (CHANGEDSINCE 1)"))) == \
        {1, 2, 3, 4, 5}
    # Mail of iOS says 0.
    assert set(modseqs(c.ok("UID FETCH 1:* FLAGS (CHANGEDSINCE 0)"))) == \
        {1, 2, 3, 4, 5}


@pytest.mark.parametrize("bad", [
    "FETCH 1 FLAGS ()", "FETCH 1 FLAGS (CHANGEDSINCE)",
    "FETCH 1 FLAGS (CHANGEDSINCE 0 CHANGEDSINCE 0)",
    "FETCH 1 FLAGS (CHANGEDSINCE x)",
    "FETCH 1 FLAGS (CHANGEDSINCE 9223372036854775808)",
    "FETCH 1 FLAGS (CHANGEDSINCE 1 CHANGEDSINCE 1)",
    "FETCH 1 FLAGS (CHANGEDSINCE 1) (CHANGEDSINCE 1)",
    "UID FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)",
    "FETCH 1 FLAGS (VANISHED)", "FETCH 1 FLAGS (OTHER 1)",
    "STORE 1 () FLAGS (\\Seen)", "STORE 1 (UNCHANGEDSINCE) FLAGS (\\Seen)",
    "STORE 1 (UNCHANGEDSINCE -1) FLAGS (\\Seen)",
    "STORE 1 (UNCHANGEDSINCE 1 UNCHANGEDSINCE 1) FLAGS (\\Seen)",
    "STORE 1 (CHANGEDSINCE 1) FLAGS (\\Seen)",
    "SEARCH MODSEQ", "SEARCH MODSEQ x", "SEARCH MODSEQ 9223372036854775808",
    "SEARCH MODSEQ \"/flags/\\\\seen\" 1",
    "SEARCH MODSEQ \"/flags/\\\\seen\" some 1",
    "SEARCH MODSEQ \"seen\" all 1",
    "SELECT INBOX ()", "SELECT INBOX (CONDSTORE CONDSTORE)",
    "SELECT INBOX (QRESYNC (1 1))", "SELECT INBOX CONDSTORE x"])
def test_bad_arguments(five, bad):
    five.bad(bad)
    assert five.flags() == {n: five.flags()[n] for n in range(1, 6)}
    assert all("\\Seen" not in f for f in five.flags().values())


def test_store_unchangedsince(five):
    """Examples 2, 5, 6 and 11 of section 3.1.3."""
    c = five
    start = highest(c.selected)
    other = c.box.connect()
    other.ok("SELECT INBOX")
    other.ok("STORE 3,5 +FLAGS (\\Answered)")
    status, text, got = c.cmd(
        "STORE 5,2:4,3 (UNCHANGEDSINCE %d) +FLAGS.SILENT (\\Deleted)" % start)
    assert status == "OK" and text.startswith(b"[MODIFIED 3,5]"), text
    told = [r for r in got if b"Answered" not in r]
    assert set(modseqs(told)) == {2, 4}
    assert not [r for r in told if b"FLAGS" in r]
    flags = other_flags(other)
    assert flags[2] == flags[4] == {"\\Deleted"}
    assert flags[3] == flags[5] == {"\\Answered"}
    # UIDs for UID STORE
    status, text, _ = c.cmd(
        "UID STORE 1:* (UNCHANGEDSINCE %d) FLAGS (\\Draft)" % start)
    assert text.startswith(b"[MODIFIED 2:5]")
    # with what is known now it goes
    now = max(modseqs(c.ok("UID FETCH 1:* MODSEQ")).values())
    status, text, got = c.cmd(
        "STORE 1:5 (UNCHANGEDSINCE %d) FLAGS (\\Draft)" % now)
    assert status == "OK" and b"MODIFIED" not in text
    assert set(modseqs(got)) == {1, 2, 3, 4, 5}


def other_flags(c):
    c.ok("NOOP")
    return {n: f - {"\\Recent"} for n, f in c.flags().items()}


def test_unchangedsince_0_always_fails(five):
    status, text, got = five.cmd(
        "STORE 2 (UNCHANGEDSINCE 0) +FLAGS.SILENT ($MDNSent)")
    assert status == "OK" and text.startswith(b"[MODIFIED 2]")
    assert "$MDNSent" not in five.flags()[2]


def test_what_another_did_the_same_is_no_conflict(five):
    """Section 3.1.12."""
    c = five
    start = highest(c.selected)
    other = c.box.connect()
    other.ok("SELECT INBOX")
    other.ok("STORE 1 +FLAGS (\\Deleted $done)")
    status, text, _ = c.cmd(
        "STORE 1 (UNCHANGEDSINCE %d) +FLAGS.SILENT (\\Deleted $done)" % start)
    assert status == "OK" and b"MODIFIED" not in text
    status, text, _ = c.cmd(
        "STORE 1 (UNCHANGEDSINCE %d) -FLAGS.SILENT (\\Seen)" % start)
    assert status == "OK" and b"MODIFIED" not in text
    status, text, _ = c.cmd(
        "STORE 1 (UNCHANGEDSINCE %d) +FLAGS.SILENT (\\Seen)" % start)
    assert text.startswith(b"[MODIFIED 1]")


def test_store_many_conditionally(box):
    """More than are chosen at once."""
    box.fill(450, flags="")
    c = box.connect()
    start = highest(c.ok("SELECT INBOX"))
    other = box.connect()
    other.ok("SELECT INBOX")
    other.ok("STORE 7,199:201,450 +FLAGS.SILENT (\\Flagged)")
    _, text, got = c.cmd(
        "UID STORE 1:* (UNCHANGEDSINCE %d) +FLAGS.SILENT (\\Seen)" % start)
    assert text.startswith(b"[MODIFIED 7,199:201,450]"), text
    assert len(c.ok("SEARCH SEEN")[-1].split()) == 445 + 2


def test_changed_by_another_program(five):
    """A flag in a file's name is a change like any other."""
    c = five
    start = highest(c.selected)
    cur = c.box.maildir("cur")
    name = sorted(os.listdir(cur))[2]
    uid = 3
    os.rename(os.path.join(cur, name), os.path.join(cur, name + "F"))
    status, text, _ = c.cmd(
        "UID STORE 1:* (UNCHANGEDSINCE %d) +FLAGS.SILENT (\\Seen)" % start)
    match = re.match(rb"\[MODIFIED (\d)\]", text)
    assert match, text
    uid = int(match.group(1))
    got = modseqs(c.ok("UID FETCH %d FLAGS (CHANGEDSINCE %d)" % (uid, start)))
    assert set(got) == {uid}


def test_search(five):
    c = five
    start = highest(c.selected)
    stored = modseqs(c.ok("UID FETCH 1:* MODSEQ"))
    assert c.ok("SEARCH MODSEQ %d" % (start + 1)) == [b"* SEARCH"]
    stored = modseqs(c.ok("UID STORE 2,4 +FLAGS (\\Seen)"))
    top = max(stored.values())
    assert c.ok("SEARCH MODSEQ %d" % (start + 1)) == \
        [b"* SEARCH 2 4 (MODSEQ %d)" % top]
    assert c.ok('SEARCH MODSEQ "/flags/\\\\seen" all %d UID 1:3'
                % (start + 1)) == [b"* SEARCH 2 (MODSEQ %d)" % stored[2]]
    got = c.ok("SEARCH RETURN (MIN) MODSEQ %d" % (start + 1))[0]
    assert got.endswith(b" MIN 2 MODSEQ %d" % stored[2]), got
    got = c.ok("UID SEARCH RETURN (MIN MAX) MODSEQ %d" % (start + 1))[0]
    assert got.endswith(b" UID MIN 2 MAX 4 MODSEQ %d" % top), got
    got = c.ok("SEARCH RETURN (ALL COUNT) MODSEQ %d" % (start + 1))[0]
    assert got.endswith(b" ALL 2,4 COUNT 2 MODSEQ %d" % top), got
    assert b"MODSEQ" not in c.ok("SEARCH RETURN (ALL) MODSEQ %d"
                                 % (top + 1))[0]
    assert c.ok("SEARCH NOT MODSEQ %d" % (start + 1))[0].startswith(
        b"* SEARCH 1 3 5 (MODSEQ ")


def test_enable(box):
    c = box.connect()
    assert c.ok("ENABLE X-OTHER") == [b"* ENABLED"]
    assert c.ok("ENABLE qresync X CONDSTORE") == \
        [b"* ENABLED QRESYNC CONDSTORE"]
    assert c.ok("ENABLE CONDSTORE QRESYNC") == [b"* ENABLED"]


def test_closed(five):
    """Section 3.2.11, for everybody: the code does no harm."""
    got = five.ok("SELECT INBOX")
    assert got[0].startswith(b"* OK [CLOSED]")
    five.ok("CLOSE")
    assert b"CLOSED" not in b"".join(five.ok("SELECT INBOX"))
    status, _, got = five.cmd("SELECT nonexistent")
    assert status == "NO" and got[0].startswith(b"* OK [CLOSED]")


# ---- QRESYNC ------------------------------------------------------------------


@pytest.fixture
def quick(box):
    box.fill(10, flags="")
    c = box.connect()
    c.box = box
    c.ok("ENABLE QRESYNC")
    c.selected = c.ok("SELECT INBOX")
    c.validity = uidvalidity(c.selected)
    return c


def test_vanished_instead_of_expunge(quick):
    c = quick
    other = c.box.connect()
    other.ok("SELECT INBOX")
    c.ok("STORE 2:4,9 +FLAGS.SILENT (\\Deleted)")
    status, text, got = c.cmd("EXPUNGE")
    assert status == "OK" and vanished(got) == {2, 3, 4, 9}
    assert not [r for r in got if b"EXPUNGE" in r]
    top = int(re.match(rb"\[HIGHESTMODSEQ (\d+)\]", text).group(1))
    assert highest(c.ok("SELECT INBOX")) == top
    # who has not enabled it hears EXPUNGE
    got = []
    while len(got) < 4:
        got += [r for r in other.ok("NOOP") if b"EXPUNGE" in r]
    assert got == [b"* 9 EXPUNGE", b"* 4 EXPUNGE", b"* 3 EXPUNGE",
                   b"* 2 EXPUNGE"]
    # nothing removed: no code
    assert b"HIGHESTMODSEQ" not in c.cmd("EXPUNGE")[1]


def test_uid_expunge_and_move(quick):
    c = quick
    c.ok("STORE 1:4 +FLAGS.SILENT (\\Deleted)")
    status, text, got = c.cmd("UID EXPUNGE 2:3")
    assert vanished(got) == {2, 3} and text.startswith(b"[HIGHESTMODSEQ ")
    c.ok("CREATE dest")
    status, text, got = c.cmd("UID MOVE 5:6 dest")
    assert status == "OK" and vanished(got) == {5, 6}
    assert text.startswith(b"[HIGHESTMODSEQ "), text
    assert any(b"COPYUID" in r for r in got)
    # CLOSE must not (section 3.2.9)
    assert b"HIGHESTMODSEQ" not in c.cmd("CLOSE")[1]


def test_removed_by_others_is_kept_back(quick):
    """Section 3.2 and 3.2.10.2: not during FETCH and STORE; then the highest
    mod-sequence that is told stays below."""
    c = quick
    start = highest(c.selected)
    other = c.box.connect()
    other.ok("SELECT INBOX")
    other.ok("STORE 5 +FLAGS.SILENT (\\Deleted)")
    other.ok("EXPUNGE")
    other.ok("STORE 1 +FLAGS.SILENT (\\Flagged)")
    got = []
    while not any(b"Flagged" in r for r in got):
        got = c.ok("FETCH 10 FLAGS")
        assert vanished(got) == set()
    told = highest(got)
    assert told is not None and told < max(modseqs(got).values())
    assert vanished(c.ok("NOOP")) == {5}
    # Who was cut off with `told` learns of it.
    again = c.box.connect()
    again.ok("ENABLE QRESYNC")
    got = again.ok("SELECT INBOX (QRESYNC (%d %d))" % (c.validity, told))
    assert vanished(got, True) == {5}
    assert start <= told


def comes_back(c, arguments, enable=True):
    again = c.box.connect()
    if enable:
        again.ok("ENABLE QRESYNC")
    return again.ok("SELECT INBOX (QRESYNC (%s))" % arguments)


def test_resynchronise(quick):
    c = quick
    start = highest(c.selected)
    c.ok("STORE 3,8 +FLAGS.SILENT (\\Deleted)")
    c.ok("EXPUNGE")
    stored = modseqs(c.ok("UID STORE 2,10 +FLAGS (\\Flagged $new)"))
    c.box.deliver(maildir.message(11), flags="")
    got = comes_back(c, "%d %d" % (c.validity, start))
    assert vanished(got, True) == {3, 8}
    flags = {int(re.search(rb"UID (\d+)", r).group(1)): r for r in got
             if b" FETCH " in r}
    # (Another process may take what was not yet written down for new.)
    assert set(flags) == {2, 10, 11} or \
        (c.box.kind == "tunnel" and set(flags) > {2, 10, 11})
    assert b"\\Flagged $new" in flags[2] and b"* 8 FETCH" in flags[10]
    assert modseqs(got)[2] >= stored[2]
    # what was seen before the last change (that messages vanished before may
    # be said again)
    got = comes_back(c, "%d %d" % (c.validity, stored[2]))
    assert vanished(got, True) <= {3, 8}
    assert set(modseqs(got)) >= {10, 11}
    # of some only
    got = comes_back(c, "%d %d 1:7" % (c.validity, start))
    assert vanished(got, True) == {3} and 2 in modseqs(got)
    assert max(modseqs(got)) <= 7
    # another mailbox than he thinks: nothing (3.2.5)
    got = comes_back(c, "%d %d" % (c.validity + 1, start))
    assert vanished(got, True) == set() and modseqs(got) == {}
    assert highest(got) > start


def test_sequence_match_data(quick):
    """Section 3.2.5.2: what the client knows to be gone is not told."""
    c = quick
    start = highest(c.selected)
    c.ok("STORE 2,4,8 +FLAGS.SILENT (\\Deleted)")
    c.ok("EXPUNGE")
    # now 1 3 5 6 7 9 10
    for match, want in (("(1:2 1,3)", {4, 8}), ("(1,4 1,6)", {8}),
                        ("(1:7 1,3,5:7,9:10)", set()),
                        ("(1,4 1,7)", {2, 4, 8}), ("(7 10)", set())):
        got = comes_back(c, "%d %d 1:10 %s" % (c.validity, start, match))
        assert vanished(got, True) == want, match
    # billions of pairs are no reason to let the user's other sessions wait
    every = "1:4294967294"
    got = comes_back(c, "%d %d %s (%s %s)" % (c.validity, start, every, every,
                                              every))
    assert vanished(got, True) == {2, 4, 8}
    got = comes_back(c, "%d %d (1:2 1,3)" % (c.validity, start))
    assert vanished(got, True) == {4, 8}


@pytest.mark.parametrize("bad", [
    "1", "1 0", "0 1", "1 1 *", "1 1 1:*", "1 1 ()", "1 1 (1)", "1 1 (1:2 5)",
    "1 1 (1 *)", "1 1 1 (1 1) 1", "x 1", "1 1 1 1"])
def test_bad_qresync(quick, bad):
    quick.bad("SELECT INBOX (QRESYNC (%s))" % bad)
    quick.ok("FETCH 1 FLAGS")  # still selected


def test_uid_fetch_vanished(quick):
    c = quick
    start = highest(c.selected)
    c.ok("STORE 3,7,10 +FLAGS.SILENT (\\Deleted)")
    c.ok("EXPUNGE")
    c.ok("STORE 1 +FLAGS.SILENT (\\Seen)")
    got = c.ok("UID FETCH 1:* FLAGS (CHANGEDSINCE %d VANISHED)" % start)
    assert got[0] == b"* VANISHED (EARLIER) 3,7,10"
    assert set(modseqs(got)) == {1}
    got = c.ok("UID FETCH 5:8 FLAGS (VANISHED CHANGEDSINCE %d)" % start)
    assert got == [b"* VANISHED (EARLIER) 7"]
    c.bad("FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)")
    c.bad("UID FETCH 1 FLAGS (VANISHED)")


def test_a_lost_index_loses_nothing(quick):
    """Then more is told than had to be, never less."""
    c = quick
    c.ok("STORE 2,6 +FLAGS.SILENT (\\Deleted)")
    c.ok("EXPUNGE")
    start = highest(c.ok("SELECT INBOX"))
    c.ok("UID STORE 4 +FLAGS.SILENT (\\Deleted)")
    c.ok("EXPUNGE")
    c.ok("UID STORE 5 +FLAGS.SILENT (\\Seen)")
    c.ok("LOGOUT")
    if c.box.kind == "server":
        pytest.skip("the process lives on, and with it what it knows")
    c.close()
    for top, dirs, _ in os.walk(c.box.dir):
        for d in list(dirs):
            if "restante" in d or d == "index":
                shutil.rmtree(os.path.join(top, d), ignore_errors=True)
                dirs.remove(d)
    got = comes_back(c, "%d %d" % (c.validity, start))
    assert {4} <= vanished(got, True) <= {2, 4, 6}
    assert set(modseqs(got)) == {1, 3, 5, 7, 8, 9, 10}
    assert highest(got) > start


# ---- what comes after HIGHESTMODSEQ was told ----------------------------------


def told(c, name):
    r, = c.ok("STATUS %s (HIGHESTMODSEQ)" % name)
    return int(re.search(rb"HIGHESTMODSEQ (\d+)", r).group(1))


@pytest.mark.parametrize("how", ["APPEND", "COPY"])
def test_new_mail_is_above_what_was_told(box, how):
    """RFC 7162 section 3.1.1; also the first message, and one on its own after
    each question: a client that knows HIGHESTMODSEQ must hear of it."""
    c, other = box.connect(), box.connect()
    c.ok("CREATE Rising")
    c.append("INBOX", b"Subject: x\r\n\r\n")
    other.ok("ENABLE QRESYNC")
    c.ok("SELECT INBOX")
    tops = [told(other, "Rising")]
    uidvalidity = None
    for uid in range(1, 5):
        if how == "COPY":
            c.ok("COPY 1 Rising")
        else:
            c.append("Rising", b"Subject: y\r\n\r\n")
        if uidvalidity:
            got = other.ok("SELECT Rising (QRESYNC (%d %d))" % (
                uidvalidity, tops[-1]))
            assert any(b"(UID %d " % uid in r for r in got), got
        else:
            got = other.ok("SELECT Rising")
            uidvalidity = int(re.search(
                rb"UIDVALIDITY (\d+)", b"".join(got)).group(1))
        r, = other.ok("UID FETCH %d (MODSEQ)" % uid)
        modseq = int(re.search(rb"MODSEQ \((\d+)\)", r).group(1))
        other.ok("UNSELECT")
        assert modseq > tops[-1], tops
        tops.append(told(other, "Rising"))
        assert tops[-1] >= modseq


def test_first_mail_is_above_what_select_said(box):
    """Two sessions, nothing asked but SELECT; both hear of what is new."""
    c = box.connect()
    c.ok("CREATE Empty")
    c.ok("ENABLE QRESYNC")
    other = box.connect()
    got = b"\n".join(c.ok("SELECT Empty"))
    uidvalidity, top = (int(re.search(rb"%s (\d+)" % w, got).group(1))
                        for w in (b"UIDVALIDITY", b"HIGHESTMODSEQ"))
    other.append("Empty", b"Subject: y\r\n\r\n")
    c.ok("UNSELECT")
    got = c.ok("SELECT Empty (QRESYNC (%d %d))" % (uidvalidity, top))
    assert any(b"FETCH (UID 1 " in r for r in got), got


def status_highest(c, name):
    return int(re.search(rb"HIGHESTMODSEQ (\d+)",
                         c.ok("STATUS %s (HIGHESTMODSEQ)" % name)[-1]).group(1))


def test_annotations_raise_the_highest(five):
    """Section 3.2: SETMETADATA makes the mailbox newer, and no message."""
    c, box, tops = five, five.box, {}
    c.ok("CREATE notes")
    c.append("notes", maildir.message(1, crlf=True))
    for name in ("INBOX", "notes"):
        top = status_highest(c, name)
        for value in (b'"a"', b'"b"', b"NIL"):
            for entry in (b"/private/comment", b"/shared/comment"):
                c.ok(b"SETMETADATA %s (%s %s)" % (name.encode(), entry, value))
                higher = status_highest(c, name)
                assert higher > top, (name, entry, value)
                top = higher
        # Nothing was changed, so nothing is newer.
        c.no('SETMETADATA %s (/private/comment {65537+}\r\n%s)' % (
            name, "x" * 65537))
        assert status_highest(c, name) == top
        assert highest(c.ok("SELECT " + name)) == top
        assert c.ok("UID FETCH 1:* FLAGS (CHANGEDSINCE %d)" % top) == []
        tops[name] = top
    c.logout()
    box.open.remove(c)
    again = box.connect()
    for name, top in tops.items():
        assert highest(again.ok("SELECT %s (CONDSTORE)" % name)) >= top
