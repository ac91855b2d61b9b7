# SPDX-License-Identifier: ISC
"""REPLACE and UID REPLACE: RFC 8508."""
import os
import random
import re

import pytest
from lib import maildir, server, wire

MBOX = True

OLD = b"Subject: old\r\n\r\nfirst draft\r\n"
NEW = (b"Date: Thu, 1 Jan 2015 00:05:00 -0500 (EST)\r\n"
       b"From: Fritz Schmidt <fritz.ze@example.org>\r\n"
       b"Subject: happy new year !!\r\nTo: miss.mitzy@example.org\r\n"
       b"Message-Id: <B238822388-0100000@example.org>\r\n"
       b"MIME-Version: 1.0\r\nContent-Type: TEXT/PLAIN; CHARSET=US-ASCII\r\n"
       b"\r\nJust saw the best fireworks show. Wish you were here.\r\n\r\n")


@pytest.fixture
def c(box):
    c = box.connect()
    c.box = box
    c.ok("CREATE Drafts")
    c.ok("CREATE Sent")
    for i in range(1, 5):
        text = c.append("Drafts", OLD.replace(b"old", b"old %d" % i),
                        "(\\Seen \\Flagged word)")
    c.validity = int(text.split()[1])
    c.selected = c.ok("SELECT Drafts")
    return c


def subjects(c, what="1:*"):
    found = []
    for _, r in sorted(c.fetch(
            what + " BODY.PEEK[HEADER.FIELDS (SUBJECT)]").items()):
        found.append(re.search(rb"Subject: (.*)\r\n", r).group(1).decode())
    return found


def kinds(untagged):
    """What was told, in order, without the literals."""
    return [re.match(rb"\* (\d+ )?(OK \[\w+|\w+)", r).group(0).decode()
            for r in untagged]


def test_announced(c):
    assert "REPLACE" in c.capabilities()


def test_rfc_example(c):
    """RFC 8508 section 3.2, and the order of section 4.3."""
    status, text, untagged = c.literal(
        "REPLACE 4 Drafts (\\Seen \\Draft)", NEW)
    assert status == "OK", text
    assert untagged[0].startswith(
        b"* OK [APPENDUID %d 5] " % c.validity), untagged
    rest = [k for k in kinds(untagged[1:]) if "RECENT" not in k]
    assert rest == ["* 5 EXISTS", "* 4 EXPUNGE"]
    assert b"APPENDUID" not in text
    assert subjects(c) == ["old 1", "old 2", "old 3", "happy new year !!"]
    # Nothing is inherited from the old one (section 1).
    assert c.flags("4")[4] - {"\\Recent"} == {"\\Seen", "\\Draft"}


def test_uid_replace(c):
    """RFC 8508 section 3.3: one after the other."""
    uid = 2
    for i in range(5, 9):
        status, _, untagged = c.literal(
            'UID REPLACE %d Drafts () " 7-Feb-1994 21:52:25 -0800"' % uid,
            NEW)
        assert status == "OK"
        assert untagged[0].startswith(
            b"* OK [APPENDUID %d %d] " % (c.validity, i))
        uid = i
    assert subjects(c)[-1] == "happy new year !!" and len(subjects(c)) == 4
    r = c.fetch("4 (UID INTERNALDATE FLAGS)")[4]
    assert b"UID 8" in r and b"-Feb-1994" in r
    assert b"\\Flagged" not in r


def test_into_another_mailbox(c):
    """Section 3.4: from Drafts to Sent."""
    status, _, untagged = c.literal("REPLACE 2 Sent (\\Seen)", NEW)
    assert status == "OK"
    assert untagged[0].startswith(b"* OK [APPENDUID ")
    assert untagged[0].split()[4] == b"1]"
    assert kinds(untagged[1:]) == ["* 2 EXPUNGE"]
    assert subjects(c) == ["old 1", "old 3", "old 4"]
    assert b"(MESSAGES 1)" in c.ok("STATUS Sent (MESSAGES)")[0]


def test_star_is_the_last(c):
    assert c.literal("REPLACE * Drafts", NEW)[0] == "OK"
    assert subjects(c)[:3] == ["old 1", "old 2", "old 3"]


def test_only_that_message_goes(c):
    """... and not what else is \\Deleted."""
    c.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    assert c.literal("REPLACE 3 Drafts", NEW)[0] == "OK"
    assert subjects(c) == ["old 1", "old 2", "old 4", "happy new year !!"]


def test_no_store_is_told(c):
    other = c.box.connect()
    other.ok("SELECT Drafts")
    status, _, untagged = c.literal("REPLACE 3 Drafts", NEW)
    assert status == "OK"
    assert not any(b"FETCH" in r or b"\\Deleted" in r for r in untagged)
    untagged = other.ok("NOOP")
    assert not any(b"\\Deleted" in r for r in untagged)
    assert any(b"EXPUNGE" in r for r in untagged)
    assert any(b" EXISTS" in r for r in untagged)
    assert subjects(other) == subjects(c)


def test_another_session_that_idles(c):
    """... is told of both without asking."""
    other = c.box.connect()
    other.ok("SELECT Drafts")
    tag = other.idle()
    assert c.literal("REPLACE 1 Drafts", NEW)[0] == "OK"
    told = b""
    while b"EXPUNGE" not in told or b" EXISTS" not in told:
        told += other.response() + b"\r\n"
    other.done(tag)
    assert subjects(other) == ["old 2", "old 3", "old 4",
                               "happy new year !!"]


def test_catenate(c):
    """Section 4.2: header fields before what is there already."""
    c.send(b"x UID REPLACE 3 Drafts CATENATE (TEXT {71}\r\n")
    assert c.line().startswith(b"+")
    head = (b"To: Mitzy <miss.mitzy@example.org>\r\n"
            b"Subject: My view of the fireworks\r\n")
    c.send(head + b' URL "/Drafts/;UID=3")\r\n')
    status, _, untagged = c.finish(b"x")
    assert status == "OK", untagged
    assert untagged[0].startswith(b"* OK [APPENDUID %d 5]" % c.validity)
    r = c.fetch("4 BODY.PEEK[]")[4]
    assert head + OLD.replace(b"old", b"old 3") in r
    assert subjects(c)[:3] == ["old 1", "old 2", "old 4"]


def test_catenate_with_a_bad_url_changes_nothing(c):
    c.send(b'x REPLACE 1 Drafts CATENATE (URL "/Drafts/;UID=99")\r\n')
    status, text, untagged = c.finish(b"x")
    assert status == "NO" and text.startswith(b"[BADURL /Drafts/;UID=99]")
    assert untagged == [] and len(subjects(c)) == 4


def test_literal8(c):
    c.send(b"x REPLACE 1 Drafts ~{11+}\r\nA: b\r\n\r\na\0b\r\n")
    assert c.finish(b"x")[0] == "OK"
    assert b"YQBi" in c.fetch("4 BODY.PEEK[]")[4]


def test_name_as_literal(c):
    c.send(b"x REPLACE 1 {6+}\r\nDrafts (\\Seen) {%d+}\r\n" % len(NEW) + NEW +
           b"\r\ny REPLACE 1 {6}\r\n")
    assert c.finish(b"x")[0] == "OK"
    assert c.line().startswith(b"+")
    c.send(b"Drafts {%d}\r\n" % len(NEW))
    assert c.line().startswith(b"+")
    c.send(NEW + b"\r\n")
    assert c.finish(b"y")[0] == "OK"
    assert len(subjects(c)) == 4


def test_only_when_selected(c):
    """Section 3.5."""
    c.ok("UNSELECT")
    for command in ("REPLACE 1 Drafts", "UID REPLACE 1 Drafts"):
        c.send(b"x %s {3+}\r\nabc\r\n" % command.encode())
        assert c.finish(b"x")[0] == "BAD"


def test_read_only(c):
    c.ok("EXAMINE Drafts")
    tag = c.start("REPLACE 1 Drafts {3}")
    status, text, _ = c.finish(tag)
    assert status == "NO" and text.startswith(b"[READ-ONLY]")


def test_trycreate(c):
    tag = c.start("REPLACE 1 None {3}")
    status, text, _ = c.finish(tag)
    assert status == "NO" and text.startswith(b"[TRYCREATE]")
    assert len(subjects(c)) == 4


def test_uid_that_is_not_there(c):
    tag = c.start("UID REPLACE 99 Drafts {3}")
    status, _, _ = c.finish(tag)
    assert status == "NO"
    c.send(b"x UID REPLACE 99 Drafts {3+}\r\nabc\r\ny NOOP\r\n")
    assert c.finish(b"x")[0] == "NO"
    assert c.finish(b"y")[0] == "OK"


@pytest.mark.parametrize("args", [
    "", "1", "1 Drafts", "0 Drafts {3}", "5 Drafts {3}", "1:2 Drafts {3}",
    "1,2 Drafts {3}", "$ Drafts {3}", "x Drafts {3}", "1 Drafts (\\Nix {3}",
    "1 Drafts (\\*) {3}", "1 Drafts x {3}", "Drafts {3}",
    '1 Drafts "1-Jan-2020" {3}', "1 Drafts CATENATE ()", "(1) Drafts {3}"])
def test_bad_arguments(c, args):
    tag = c.start(("REPLACE " + args).strip())
    r = c.response()
    if r.startswith(b"+"):
        c.send(b"abc)\r\n")
        r = c.response()
    assert r.startswith(tag + b" BAD "), r
    assert len(subjects(c)) == 4


def test_one_message_alone(c):
    """Section 4.7: no MULTIAPPEND."""
    c.send(b"x REPLACE 1 Drafts {3+}\r\nabc {3+}\r\nabc\r\ny NOOP\r\n")
    assert c.finish(b"x")[0] == "BAD"
    assert c.finish(b"y")[0] == "OK"
    assert len(subjects(c)) == 4


def test_refused_new_message_leaves_the_old(c):
    for args in (b"{0+}\r\n", b"~{3+}\r\n\0\0\0", b"{3+}\r\na\0b"):
        c.send(b"x REPLACE 1 Drafts " + args + b"\r\n")
        status, _, untagged = c.finish(b"x")
        assert status in ("NO", "BAD") and untagged == []
    assert len(subjects(c)) == 4


def test_old_one_expunged_by_another_meanwhile(c):
    """Then there is nothing to replace, and nothing is added."""
    other = c.box.connect()
    other.ok("SELECT Drafts")
    tag = c.start("REPLACE 1 Drafts {%d}" % len(NEW))
    assert c.line().startswith(b"+")
    other.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    other.ok("EXPUNGE")
    c.send(NEW + b"\r\n")
    status, text, _ = c.finish(tag)
    if c.box.kind == "server":
        # The same process knows at once; another one when it looks.
        assert status == "NO" and text.startswith(b"[EXPUNGEISSUED]"), text
        assert subjects(c) == ["old 2", "old 3", "old 4"]
    else:
        assert status in ("NO", "OK")
        c.ok("NOOP")
        assert subjects(c)[:3] == ["old 2", "old 3", "old 4"]


def test_client_vanishes_in_the_middle(c):
    c.send(b"x REPLACE 1 Drafts {%d}\r\n" % len(NEW))
    assert c.line().startswith(b"+")
    c.send(NEW[:50])
    c.close()
    other = c.box.connect()
    other.ok("SELECT Drafts")
    assert subjects(other) == ["old 1", "old 2", "old 3", "old 4"]


def test_qresync(c):
    """Section 4.5: as if it had been expunged."""
    c.ok("ENABLE QRESYNC")
    c.ok("SELECT Drafts")
    status, text, untagged = c.literal("UID REPLACE 2 Drafts", NEW)
    assert status == "OK"
    assert b"* VANISHED 2" in untagged
    assert re.match(rb"\[HIGHESTMODSEQ \d+\]", text)
    exists = [i for i, r in enumerate(untagged) if r.endswith(b" EXISTS")]
    assert exists and exists[0] < untagged.index(b"* VANISHED 2")
    modseq = re.search(rb"MODSEQ (\d+)", text).group(1).decode()
    assert c.ok("UID FETCH 1:* (FLAGS) (CHANGEDSINCE %s)" % modseq) == []


def test_uidonly(c):
    c.ok("ENABLE UIDONLY")
    tag = c.start("REPLACE 1 Drafts {3}")
    status, text, _ = c.finish(tag)
    assert status == "BAD" and text.startswith(b"[UIDREQUIRED]")
    assert c.literal("UID REPLACE 1 Drafts", NEW)[0] == "OK"


def test_uidonly_beside_a_session_that_is_notified(box):
    """RFC 9586 and RFC 5465: neither hears of a message number."""
    c, o = box.connect(), box.connect()
    c.append("INBOX", OLD)
    c.append("INBOX", OLD)
    for x in (c, o):
        x.ok("ENABLE UIDONLY QRESYNC")
        x.ok("SELECT INBOX")
    o.ok("NOTIFY SET (selected (MessageNew (UID FLAGS) MessageExpunge "
         "FlagChange))")
    status, text, untagged = c.literal("UID REPLACE 1 INBOX (\\Draft)", NEW)
    assert status == "OK" and re.match(rb"\[HIGHESTMODSEQ \d+\]", text)
    assert [k for k in kinds(untagged) if "RECENT" not in k and
            "MODSEQ" not in k] == ["* OK [APPENDUID", "* 3 EXISTS",
                                   "* VANISHED"]
    assert b"* VANISHED 1" in untagged
    heard = []
    while not any(b"UIDFETCH" in r for r in heard) or \
            b"* VANISHED 1" not in heard:
        heard.append(o.response())
    assert not any(re.match(rb"\* \d+ (FETCH|EXPUNGE)", r) for r in heard)
    new, = [r for r in heard if b"UIDFETCH" in r]
    assert new.startswith(b"* 3 UIDFETCH (") and b"\\Draft" in new
    # Without UIDONLY, and silent until it is asked: the same in its words.
    p = box.connect()
    p.ok("SELECT INBOX")
    p.ok("NOTIFY SET (selected (MessageNew (UID) MessageExpunge))")
    assert c.literal("UID REPLACE 2 INBOX", NEW)[0] == "OK"
    heard = []
    while b"* 1 EXPUNGE" not in heard or \
            not any(re.match(rb"\* \d FETCH \(UID 4", r) for r in heard):
        heard.append(p.response())
    assert p.ok("UID SEARCH ALL") == [b"* SEARCH 3 4"]


def test_only_the_difference_counts_for_the_quota(start):
    """Section 3.4: who is at his limit can still replace a draft."""
    s = start(users=["bob"], settings={"maildir_quota": "20000S,4C"})
    c = wire.Imap("127.0.0.1", s.imap_port)
    c.login("bob", server.PASSWORD)
    c.ok("CREATE Drafts")
    body = b"A: b\r\n\r\n" + b"x" * 70 + b"\r\n"
    for i in range(4):
        c.append("Drafts", body * 50)
    c.ok("SELECT Drafts")
    status, text, _ = c.literal("APPEND Drafts", body)
    assert status == "NO" and text.startswith(b"[OVERQUOTA]")
    # as many messages as before, and no more bytes
    for size in (50, 49, 60):
        assert c.literal("REPLACE 1 Drafts", body * size)[0] == "OK"
    status, text, _ = c.literal("REPLACE 1 Drafts", body * 200)
    assert status == "NO" and text.startswith(b"[OVERQUOTA]")
    assert c.ok("SEARCH ALL") == [b"* SEARCH 1 2 3 4"]
    c.close()


def test_killed_at_any_moment(box):
    """The old one or the new one is there, whatever happens."""
    if box.kind != "tunnel":
        pytest.skip("imapd is a process of the test's own there")
    rng = random.Random(int(os.environ.get("RESTANTE_SEED", "1")))
    c = box.connect()
    c.append("INBOX", b"Subject: n 0\r\n\r\n" + b"x" * 3000 + b"\r\n")
    latest = acked = 0
    for _ in range(4):
        c = box.connect()
        c.ok("SELECT INBOX")
        with box.killed_within(c, rng.random() * .02):
            for i in range(acked + 1, acked + 400):
                text = b"Subject: n %d\r\n\r\n" % i + b"x" * 3000 + b"\r\n"
                c.send(b"x REPLACE 1 INBOX {%d+}\r\n" % len(text) + text +
                       b"\r\n")
                latest = i
                assert c.finish(b"x")[0] == "OK"
                acked = i
        with box.after_kill() as after:
            # One that was removed is missed only by a second look.
            if after.cmd("FETCH 1:* BODY.PEEK[]")[0] != "OK":
                after.ok("NOOP")
            found = [int(s[2:]) for s in subjects(after)]
            assert found and set(found) <= {acked, acked + 1}, (found, acked)
            assert len(found) == len(set(found))
            acked = max(found)
            if len(found) > 1:
                after.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
                after.ok("EXPUNGE")
    assert latest > 0


def test_own_doing_is_not_told_by_notify(c):
    """RFC 5465: neither the new message nor the old one's end by STATUS."""
    c.ok("NOTIFY SET (selected (MessageNew MessageExpunge)) "
         "(personal (MessageNew MessageExpunge))")
    status, _, untagged = c.literal("REPLACE 2 Sent (\\Seen)", NEW)
    assert status == "OK"
    assert [k for k in kinds(untagged) if "STATUS" in k] == []
    assert kinds(untagged)[-1] == "* 2 EXPUNGE"


def test_nothing_is_left_behind(tunnel):
    """No file stays behind in tmp/."""
    c = tunnel.connect()
    c.append("INBOX", maildir.message(1, crlf=True))
    c.ok("SELECT INBOX")
    for _ in range(3):
        assert c.literal("REPLACE 1 INBOX", NEW)[0] == "OK"
    assert len(tunnel.files()) == 1
    assert os.listdir(tunnel.maildir("tmp")) == []
