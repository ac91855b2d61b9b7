# SPDX-License-Identifier: ISC
"""SEARCH and UID SEARCH: RFC 3501 section 6.4.4, ESEARCH (RFC 4731), WITHIN
(RFC 5032), charsets and case."""
import base64
import time

import pytest

from lib import maildir

MBOX = True

PLAIN = maildir.message(
    1, b"The quick brown Fox.\r\nNothing else here.\r\n")
UTF8 = (
    "From: =?utf-8?q?J=C3=B6rg_M=C3=BCller?= <joerg@example.org>\r\n"
    "To: \"Other, One\" <other@example.net>\r\n"
    "Cc: third@example.com\r\n"
    "Subject: =?iso-8859-1?q?Gr=FC=DFe_aus_K=F6ln?=\r\n"
    "Date: Mon, 02 Mar 2015 23:30:00 -0800\r\n"
    "Content-Type: text/plain; charset=utf-8\r\n"
    "Content-Transfer-Encoding: base64\r\n\r\n"
    + base64.encodebytes(
        "\u041f\u0440\u0438\u0432\u0435\u0442, caf\u00e9 \u65e5\u672c\u8a9e\n"
        .encode()).decode().replace("\n", "\r\n")).encode()
PARTS = (
    b"From: multi@example.org\r\n"
    b"X-Tag: one\r\n"
    b"X-Empty:\r\n"
    b"Subject: with\r\n parts\r\n"
    b"Date: Tue, 03 Mar 2015 00:10:00 +0000\r\n"
    b"MIME-Version: 1.0\r\n"
    b"Content-Type: multipart/mixed; boundary=xx\r\n\r\n"
    b"preamble\r\n--xx\r\nContent-Type: text/html; charset=iso-8859-1\r\n"
    b"Content-Transfer-Encoding: quoted-printable\r\n\r\n"
    b"<b>Stra=DFe und so wei=\r\nter</b>\r\n--xx\r\n"
    b"Content-Type: message/rfc822\r\n\r\n"
    b"Subject: inside letter\r\nFrom: inner@example.org\r\n\r\n"
    b"deep text\r\n--xx\r\n"
    b"Content-Type: application/octet-stream; name=secretname.bin\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\n"
    + base64.encodebytes(b"hiddenpayload in a binary").replace(
        b"\n", b"\r\n") + b"--xx--\r\n")


@pytest.fixture
def box(shared, user):
    """Three known messages, UIDs 1 to 3, one flagged with a keyword."""
    with shared.imap(user) as c:
        c.append("INBOX", PLAIN.replace(b"\n", b"\r\n"),
                 '(\\Seen) "01-Jan-2020 10:00:00 +0000"')
        c.append("INBOX", UTF8,
                 '(\\Flagged $Work) "02-Mar-2021 10:00:00 +0000"')
        c.append("INBOX", PARTS,
                 '(\\Deleted \\Draft) "05-May-2022 10:00:00 +0000"')
        c.ok("SELECT INBOX")
        yield c


def found(c, keys, uid=False):
    answers = [r for r in c.ok(("UID " if uid else "") + "SEARCH " + keys)
               if r.startswith(b"* SEARCH")]
    assert len(answers) == 1
    return [int(n) for n in answers[0].split()[2:]]


def test_flags(box):
    for keys, want in [
            ("ALL", [1, 2, 3]), ("SEEN", [1]), ("UNSEEN", [2, 3]),
            ("FLAGGED", [2]), ("UNFLAGGED", [1, 3]), ("DELETED", [3]),
            ("UNDELETED", [1, 2]), ("DRAFT", [3]), ("UNDRAFT", [1, 2]),
            ("ANSWERED", []), ("UNANSWERED", [1, 2, 3]),
            ("KEYWORD $work", [2]), ("UNKEYWORD $Work", [1, 3]),
            ("KEYWORD nosuch", []), ("UNKEYWORD nosuch", [1, 2, 3]),
            ("NOT DELETED", [1, 2]), ("OR SEEN FLAGGED", [1, 2]),
            ("OR (SEEN DELETED) (FLAGGED UNDELETED)", [2]),
            ("NOT (OR SEEN FLAGGED)", [3]), ("NOT NOT SEEN", [1]),
            ("seen all", [1])]:
        assert found(box, keys) == want, keys


def test_recent(shared, user):
    shared.deliver(user, PLAIN)
    with shared.imap(user) as c:
        c.ok("SELECT INBOX")
        assert found(c, "RECENT") == [1]
        assert found(c, "NEW") == [1]
        assert found(c, "OLD") == []
        c.ok("STORE 1 +FLAGS (\\Seen)")
        assert found(c, "NEW") == []
    with shared.imap(user) as c:
        c.ok("SELECT INBOX")
        assert found(c, "RECENT") == []
        assert found(c, "OLD") == [1]


def test_sets(box):
    for keys, want in [
            ("1", [1]), ("2:*", [2, 3]), ("*:2", [2, 3]), ("1,3", [1, 3]),
            ("NOT 1:2", [3]), ("UID 2", [2]), ("UID 2:*", [2, 3]),
            ("UID 100:*", [3]), ("UID 7,9", []), ("1:2 FLAGGED", [2])]:
        assert found(box, keys) == want, keys
    box.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    box.ok("UID EXPUNGE 1")
    assert found(box, "ALL") == [1, 2]
    assert found(box, "ALL", uid=True) == [2, 3]
    assert found(box, "UID 3") == [2]
    assert found(box, "2", uid=True) == [3]


def test_dates(box):
    for keys, want in [
            ("BEFORE 1-Jan-2020", []), ("BEFORE 2-Jan-2020", [1]),
            ("ON 2-Mar-2021", [2]), ("ON \"02-Mar-2021\"", [2]),
            ("SINCE 2-Mar-2021", [2, 3]), ("SINCE 06-May-2022", []),
            # The Date field's own day counts, whatever its zone.
            ("SENTON 2-Mar-2015", [2]), ("SENTON 3-Mar-2015", [3]),
            ("SENTBEFORE 3-Mar-2015", [2]),
            ("SENTSINCE 3-Mar-2015", [1, 3]),
            ("OLDER 3600", [1, 2, 3]), ("YOUNGER 3600", [])]:
        assert found(box, keys) == want, keys


def test_sizes(box):
    sizes = [int(r.split(b"RFC822.SIZE ")[1].rstrip(b")"))
             for r in box.ok("FETCH 1:3 RFC822.SIZE")]
    for i, size in enumerate(sizes):
        assert i + 1 in found(box, "LARGER %d" % (size - 1))
        assert i + 1 not in found(box, "LARGER %d" % size)
        assert i + 1 in found(box, "SMALLER %d" % (size + 1))
        assert i + 1 not in found(box, "SMALLER %d" % size)


def test_header_text(box):
    for keys, want in [
            ("FROM example.org", [1, 2, 3]), ("FROM joerg@", [2]),
            ("FROM \"sender 1\"", [1]), ("TO other", [2]),
            ("CC THIRD", [2]), ("BCC x", []), ("SUBJECT message", [1]),
            ("SUBJECT \"with parts\"", [3]), ("HEADER X-Tag ONE", [3]),
            ("HEADER X-Tag \"\"", [3]), ("HEADER x-empty \"\"", [3]),
            ("HEADER X-None \"\"", []), ("HEADER Message-ID m1@", [1]),
            ("SUBJECT inside", [])]:
        assert found(box, keys) == want, keys


def utf8_found(c, before, text):
    status, more, untagged = c.literal(
        "SEARCH CHARSET UTF-8 " + before, text.encode())
    assert status == "OK", more
    return [int(n) for n in untagged[-1].split()[2:]]


def test_unicode(box):
    for key, text, want in [
            ("SUBJECT", "K\u00d6LN", [2]), ("SUBJECT", "ko\u0308ln", [2]),
            ("SUBJECT", "koln", []), ("FROM", "m\u00fcller", [2]),
            ("BODY", "\u043f\u0420\u0418\u0432", [2]),
            ("BODY", "CAF\u00c9", [2]), ("TEXT", "\u65e5\u672c", [2]),
            ("BODY", "stra\u00dfe", [3]), ("TEXT", "Gr\u00fc\u00dfe", [2]),
            ("BODY", "Gr\u00fc\u00dfe", [])]:
        assert utf8_found(box, key, text) == want, (key, text)


def test_other_charset(box):
    tag = box.start("SEARCH CHARSET ISO-8859-1 SUBJECT {4}")
    assert box.response().startswith(b"+")
    box.send("k\u00f6ln".encode("latin-1") + b"\r\n")
    status, _, untagged = box.finish(tag)
    assert (status, untagged[-1]) == ("OK", b"* SEARCH 2")


def test_text_of_parts(box):
    for keys, want in [
            ("BODY fox", [1]), ("BODY \"und so weiter\"", [3]),
            ("BODY \"deep text\"", [3]), ("BODY \"inside letter\"", [3]),
            ("BODY secretname", []), ("TEXT secretname", [3]), ("BODY hiddenpayload", []),
            ("TEXT multi@example.org", [3]), ("BODY multi@example.org", []),
            ("TEXT \"with parts\"", [3]), ("TEXT \"\"", [1, 2, 3]),
            ("BODY fox BODY nothing", [1]), ("NOT BODY fox", [2, 3]),
            ("OR BODY fox BODY deep", [1, 3]),
            ("OR TEXT nowhere BODY \"QUICK BROWN\"", [1])]:
        assert found(box, keys) == want, keys


def test_extended(box):
    def esearch(command):
        return box.ok(command)[-1]

    assert esearch("SEARCH RETURN () ALL").endswith(b" ALL 1:3")
    assert b"(TAG \"a" in esearch("SEARCH RETURN (COUNT) SEEN")
    assert esearch("SEARCH RETURN (MIN MAX COUNT) ALL").endswith(
        b") MIN 1 MAX 3 COUNT 3")
    assert esearch("UID SEARCH RETURN (ALL) OR 1 3").endswith(
        b" UID ALL 1,3")
    assert esearch("SEARCH RETURN (MIN ALL COUNT) ANSWERED").endswith(
        b") COUNT 0")
    box.bad("SEARCH RETURN (NOSUCH) ALL")
    box.bad("SEARCH RETURN ALL")


def test_errors(box):
    for wrong in ["", " ", "NOSUCH", "NOT", "OR SEEN", "FROM", "ON",
                  "ON 31-Feb-2020", "ON 2020-01-01", "LARGER x",
                  "LARGER -1", "()", "(SEEN", "UID", "UID x", "0", "1:",
                  "HEADER X", "KEYWORD \\Seen", "CHARSET", "CHARSET UTF-8",
                  "SEEN CHARSET UTF-8 SEEN", "YOUNGER 0"]:
        status, _, _ = box.cmd("SEARCH " + wrong)
        assert status == "BAD", wrong
    # numbers behind the last one are no error (RFC 7377 section 2)
    assert found(box, "2:9999") == [2, 3]
    assert found(box, "4:9999") == []
    text = box.no("SEARCH CHARSET x-nosuch TEXT a")
    assert text.startswith(b"[BADCHARSET (")
    box.bad("SEARCH " + "NOT " * 5000 + "SEEN")
    assert found(box, "ALL") == [1, 2, 3]


def test_needs_a_mailbox(shared, user):
    with shared.imap(user) as c:
        c.bad("SEARCH ALL")


def test_empty_mailbox(shared, user):
    with shared.imap(user) as c:
        c.ok("SELECT INBOX")
        assert found(c, "ALL") == []
        assert found(c, "UID 1:*") == []
        # Not an error, as it is for FETCH: clients do this.
        assert found(c, "1:*") == []
        assert found(c, "1:* UNSEEN", uid=True) == []


def test_expunge_is_not_told_during_search(shared, box, user):
    with shared.imap(user) as other:
        other.ok("SELECT INBOX")
        other.ok("STORE 1 +FLAGS (\\Deleted)")
        other.ok("UID EXPUNGE 1")
    untagged = box.ok("SEARCH UNDELETED")
    assert not [r for r in untagged if b"EXPUNGE" in r]
    untagged = box.ok("UID SEARCH ALL")
    answer = [r for r in untagged if r.startswith(b"* SEARCH")]
    assert len(answer) == 1
    assert [r for r in box.ok("NOOP") + untagged if b" EXPUNGE" in r]


def test_others_go_on_during_a_large_search(shared, user):
    shared.fill(user, 300, size=100000)
    with shared.imap(user) as a, shared.imap(user) as b:
        a.ok("SELECT INBOX")
        b.ok("SELECT INBOX")
        # We must have the CPU in its midst, too.
        for _ in range(10):
            tag = a.start("SEARCH BODY \"nowhere to be found\"")
            answered = 0
            while a.is_silent(0.001):
                b.ok("NOOP")
                answered += 1
            status, _, untagged = a.finish(tag, 60)
            assert (status, untagged[-1]) == ("OK", b"* SEARCH")
            if answered > 1:
                break
        assert answered > 1


def test_others_go_on_during_a_search_for_many_texts(shared, user):
    """A slice is the shorter the more texts there are to look for."""
    with shared.imap(user) as c, shared.imap(user) as other:
        c.append("INBOX", maildir.message(1, size=3000000, crlf=True))
        c.ok("SELECT INBOX")
        tag = c.start("SEARCH " + " ".join(
            "NOT TEXT zzz%d" % i for i in range(1000)))
        took = []
        while c.is_silent(0.001):
            began = time.monotonic()
            other.ok("NOOP")
            took.append(time.monotonic() - began)
        assert c.finish(tag, 120)[2] == [b"* SEARCH 1"]
        assert len(took) > 10 and sorted(took)[len(took) * 3 // 4] < 1, took


def test_numbers_alone(box):
    """One date or size is answered for many messages at a time, from what is
    known of them: with gaps, and the first ones expunged by another."""
    many = [PLAIN.replace(b"\n", b"\r\n") + b"x" * (i * 7 % 300)
            for i in range(270)]
    box.send(b"m APPEND INBOX" + b"".join(
        b' "%02d-Jun-2021 10:00:00 +0000" {%d+}\r\n%s'
        % (i % 28 + 1, len(x), x) for i, x in enumerate(many)) + b"\r\n")
    assert box.finish(b"m")[0] == "OK"
    box.ok("STORE 1:5,100,200:206 +FLAGS.SILENT (\\Deleted)")
    box.ok("EXPUNGE")
    sizes = {}
    for _ in range(2):
        for limit in (len(many[0]) + 150, len(many[0]) + 40):
            larger = found(box, "LARGER %d" % limit, uid=True)
            smaller = found(box, "NOT LARGER %d" % limit, uid=True)
            if not sizes:
                sizes = {
                    int(r.split(b"UID ")[1].split()[0].rstrip(b")")):
                    int(r.split(b"RFC822.SIZE ")[1].split()[0].rstrip(b")"))
                    for r in box.ok("FETCH 1:* (UID RFC822.SIZE)")}
                assert len(sizes) == 260
            want = [u for u in sorted(sizes) if sizes[u] > limit]
            assert larger == want
            assert smaller == [u for u in sorted(sizes) if u not in want]
            few = ",".join(str(u) for u in sorted(sizes)[::3])
            assert found(box, "UID %s LARGER %d" % (few, limit), uid=True) == \
                [u for u in sorted(sizes)[::3] if sizes[u] > limit]
        late = found(box, "SINCE 20-Jun-2021")
        assert 0 < len(late) < len(sizes)
        assert late == found(box, "NOT BEFORE 20-Jun-2021")
