# SPDX-License-Identifier: ISC
"""SORT (RFC 5256), SORT=DISPLAY (RFC 5957), ESORT (RFC 5267)."""
import pytest

MAILS = [
    # From, To, Subject, Date, INTERNALDATE, bytes
    ("bob@x", "Zed <c@x>", "Re: b", "3 Jan 2000 00:00:00 +0000", 1, 10),
    ("Zoe <alice@x>", "b@x", "[list] A", "1 Jan 2000 23:30:00 -0100", 3, 500),
    ("carol@x", "a@x", "b", "2 Jan 2000 00:00:00 +0000", 2, 50),
    ("Dave <BOB@y>", "Yan <a@x>", "Fwd: a (fwd)", None, 4, 5),
    ("=?utf-8?q?=C3=84nne?= <erin@x>", "b@x", "", "2 Jan 2000 00:00:00 +0000",
     5, 5),
]


def mail(sender, to, subject, date, n):
    text = "From: %s\r\nTo: %s\r\n" % (sender, to)
    if subject:
        text += "Subject: %s\r\n" % subject
    if date:
        text += "Date: %s\r\n" % date
    return (text + "\r\n" + "x" * n + "\r\n").encode()


BY_SIZE = sorted(range(1, 6), key=lambda i: len(mail(
    *MAILS[i - 1][:4], MAILS[i - 1][5])))


@pytest.fixture
def five(box):
    c = box.connect()
    c.box = box
    c.append("INBOX", b"Subject: first\r\n\r\ngoes\r\n")
    for sender, to, subject, date, day, n in MAILS:
        c.append("INBOX", mail(sender, to, subject, date, n),
                 '"0%d-Feb-2000 00:00:00 +0000"' % day)
    c.ok("SELECT INBOX")
    # so that UIDs are no sequence numbers
    c.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    c.ok("EXPUNGE")
    return c


def order(c, arguments):
    got = c.ok("SORT " + arguments)
    assert len(got) == 1 and got[0].startswith(b"* SORT"), got
    return [int(n) for n in got[0].split()[2:]]


def test_announced(five):
    assert {"SORT", "SORT=DISPLAY", "ESORT"} <= five.capabilities()


@pytest.mark.parametrize("criteria,want", [
    ("ARRIVAL", [1, 3, 2, 4, 5]),
    ("REVERSE ARRIVAL", [5, 4, 2, 3, 1]),
    ("SIZE", BY_SIZE),
    # no Date: INTERNALDATE; 23:30 -0100 is 0:30 on the 2nd
    ("DATE", [3, 5, 2, 1, 4]),
    ("REVERSE DATE", [4, 1, 2, 3, 5]),
    ("SUBJECT", [5, 2, 4, 1, 3]),
    ("REVERSE SUBJECT", [1, 3, 2, 4, 5]),
    ("SUBJECT REVERSE DATE", [5, 4, 2, 1, 3]),
    ("FROM", [2, 1, 4, 3, 5]),
    ("TO", [3, 4, 2, 5, 1]),
    ("TO REVERSE FROM", [3, 4, 5, 2, 1]),
    ("CC", [1, 2, 3, 4, 5]),
    ("REVERSE CC ARRIVAL", [1, 3, 2, 4, 5]),
    # A with diaeresis is A and what stands above it (RFC 5051)
    ("DISPLAYFROM", [5, 1, 3, 4, 2]),
    ("DISPLAYTO", [3, 2, 5, 4, 1]),
])
def test_criteria(five, criteria, want):
    assert order(five, "(%s) UTF-8 ALL" % criteria) == want
    got = five.ok("UID SORT (%s) US-ASCII ALL" % criteria)[0]
    assert [int(n) - 1 for n in got.split()[2:]] == want


def test_search_keys(five):
    """RFC 5256's examples."""
    c = five
    assert order(c, "(SUBJECT) UTF-8 SINCE 3-Feb-2000") == [5, 2, 4]
    assert order(c, "(SUBJECT REVERSE DATE) UTF-8 ALL") == [5, 4, 2, 1, 3]
    assert order(c, '(SUBJECT) US-ASCII TEXT "not in mailbox"') == []
    assert order(c, "(ARRIVAL) UTF-8 2:4") == [3, 2, 4]
    assert order(c, "(ARRIVAL) ISO-8859-1 FROM BOB UNSEEN") == [1, 4]
    status, text, _ = c.cmd("SORT (ARRIVAL) X-NO SUBJECT x")
    assert status == "NO" and text.startswith(b"[BADCHARSET")


@pytest.mark.parametrize("bad", [
    "SORT", "SORT (ARRIVAL)", "SORT (ARRIVAL) UTF-8", "SORT () UTF-8 ALL",
    "SORT ARRIVAL UTF-8 ALL", "SORT (REVERSE) UTF-8 ALL",
    "SORT (NOSUCH) UTF-8 ALL",
    "SORT (REVERSE REVERSE DATE) UTF-8 ALL", "SORT (DATE) UTF-8 NOSUCH",
    "SORT RETURN (NOSUCH) (DATE) UTF-8 ALL", "SORT RETURN (DATE) UTF-8 ALL",
    "SORT (%s) UTF-8 ALL" % " ".join(["DATE"] * 17)])
def test_bad(five, bad):
    five.bad(bad)


def test_extended(five):
    """RFC 5267 section 3."""
    c = five

    def esort(command):
        got = c.ok(command)
        assert len(got) == 1 and got[0].startswith(b"* ESEARCH (TAG "), got
        return got[0].partition(b") ")[2]

    assert esort("SORT RETURN () (REVERSE ARRIVAL) UTF-8 ALL") == \
        b"ALL 5,4,2:3,1"
    # what ascends may be a range
    assert esort("UID SORT RETURN (ALL COUNT) (CC) UTF-8 ALL") == \
        b"UID ALL 2:6 COUNT 5"
    assert esort("SORT RETURN (MIN MAX COUNT) (DATE) UTF-8 ALL") == \
        b"MIN 3 MAX 4 COUNT 5"
    assert esort("SORT RETURN (PARTIAL 2:3) (DATE) UTF-8 ALL") == \
        b"PARTIAL (2:3 5,2)"
    assert esort("SORT RETURN (PARTIAL -1:-2) (DATE) UTF-8 ALL") == \
        b"PARTIAL (-1:-2 1,4)"
    assert esort("SORT RETURN (COUNT) (SIZE) UTF-8 ANSWERED") == b"COUNT 0"
    assert c.ok("SORT RETURN (SAVE) (SIZE) UTF-8 2:3") == []
    assert c.ok("SEARCH $") == [b"* SEARCH 2 3"]
    c.ok("SORT RETURN (SAVE MIN) (DATE) UTF-8 ALL")
    assert c.ok("SEARCH $") == [b"* SEARCH 3"]


def test_modseq(five):
    """RFC 7162 section 3.1.6."""
    got = five.ok("SORT (ARRIVAL) UTF-8 MODSEQ 1")[-1]
    assert b"* SORT 1 3 2 4 5 (MODSEQ " in got


def test_many(box):
    """Keys once read are known; more than one turn takes."""
    c = box.connect()
    for i in range(60):
        c.append("INBOX", mail("u%d@x" % (i * 37 % 60), "a@x", "s", None, i))
    c.ok("SELECT INBOX")
    want = sorted(range(60), key=lambda i: ("u%d" % (i * 37 % 60)).upper())
    for _ in range(2):
        assert order(c, "(FROM) UTF-8 ALL") == [i + 1 for i in want]


def test_expunged_by_another(five):
    c = five
    d = c.box.connect()
    d.ok("SELECT INBOX")
    d.ok("STORE 2 +FLAGS.SILENT (\\Deleted)")
    d.ok("EXPUNGE")
    got = order(c, "(REVERSE ARRIVAL) UTF-8 ALL")
    assert [n for n in got if n != 2] == [5, 4, 3, 1]
    c.ok("NOOP")
    assert order(c, "(REVERSE ARRIVAL) UTF-8 ALL") == [4, 3, 2, 1]


def test_display_name_that_is_empty(box):
    """RFC 5957 section 3: then the address counts, as without a name."""
    for name in ('"=?utf-8?q??=" <m@x.org>', "Anna <z@x.org>", "Zoe <a@x.org>"):
        box.deliver(b"From: %s\nTo: a@b\n\nx\n" % name.encode())
    c = box.connect()
    c.ok("SELECT INBOX")
    assert c.ok("SORT (DISPLAYFROM) UTF-8 ALL") == [b"* SORT 2 1 3"]


def test_header_without_fields(box):
    """Lines that are no fields are found by TEXT, and are no BODY."""
    box.deliver(b"PIPE pipe.domain\nX-Y: z\n\nthe body\n")
    c = box.connect()
    c.ok("SELECT INBOX")
    assert c.ok("SEARCH TEXT pipe.DOMAIN") == [b"* SEARCH 1"]
    assert c.ok("SEARCH BODY pipe.domain") == [b"* SEARCH"]
