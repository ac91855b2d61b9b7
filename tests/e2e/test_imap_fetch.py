# SPDX-License-Identifier: ISC
"""FETCH: RFC 3501 sections 6.4.5, 6.4.8, 7.4.2; RFC 2180 section 4.1."""
import os
import re
import time

import pytest
from lib import maildir, proc, restante, wire
from lib.fetch import fetch, leaves, one

MBOX = True
MAILDIR_ALONE = {"test_message_gone"}

M = maildir.message

NESTED = b"""From: Outer <outer@example.org>
To: a@example.org
Subject: outer
Date: Sat, 22 Nov 2025 10:00:00 +0000
Message-ID: <outer@example.org>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=o

preamble
--o
Content-Type: text/plain; charset=utf-8
Content-Language: en, de

one
--o
Content-Type: message/rfc822
Content-Description: forwarded

From: inner@example.org
Subject: inner
Content-Type: multipart/alternative; boundary=i

--i

two.one
--i
Content-Type: text/html
Content-ID: <html@example.org>

<p>two.two
--i--

--o
Content-Type: message/rfc822

Subject: single

three.one

--o
Content-Type: image/png; name="a b.png"
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename="a b.png"
Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==
Content-Location: http://example.org/a.png

aGVsbG8=
--o--
epilogue
"""


def crlf(text):
    return text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def opened(box, *messages, **kw):
    kw.setdefault("flags", "")
    paths = [box.deliver(m, **kw) for m in messages]
    c = box.connect()
    c.ok("SELECT INBOX")
    c.paths = paths
    return c


def between(text, start, end):
    """What lies behind `start` and before `end`."""
    at = text.index(start) + len(start)
    return text[at:text.index(end, at)]


@pytest.fixture
def nested(tunnel):
    return opened(tunnel, NESTED)


# ---- items -------------------------------------------------------------------

def test_every_item_alone(tunnel):
    c = opened(tunnel, M(1), flags="FS", when=1577934245)
    text = M(1, crlf=True)
    assert one(c, "1 UID") == {"UID": 1}
    assert set(one(c, "1 FLAGS", "FLAGS")) - {"\\Recent"} == \
        {"\\Flagged", "\\Seen"}
    assert re.fullmatch(rb"[ \d]\d-Jan-2020 \d\d:\d\d:05 [+-]\d{4}",
                        one(c, "1 INTERNALDATE", "INTERNALDATE"))
    assert one(c, "1 RFC822.SIZE") == {"RFC822.SIZE": len(text)}
    assert one(c, "1 RFC822") == {"RFC822": text}
    head, body = text.split(b"\r\n\r\n", 1)
    assert one(c, "1 RFC822.HEADER") == {"RFC822.HEADER": head + b"\r\n\r\n"}
    assert one(c, "1 RFC822.TEXT") == {"RFC822.TEXT": body}
    me = [[b"Sender 1", None, b"sender1", b"example.org"]]
    assert one(c, "1 ENVELOPE", "ENVELOPE") == [
        b"Sat, 22 Nov 2025 10:00:01 +0000", b"Message 1", me, me, me,
        [[b"Reader", None, b"reader", b"example.org"]], None, None, None,
        b"<m1@example.org>"]
    assert one(c, "1 BODY", "BODY") == [
        b"text", b"plain", [b"charset", b"us-ascii"], None, None, b"7bit",
        len(body), body.count(b"\n")]
    assert one(c, "1 BODYSTRUCTURE", "BODYSTRUCTURE") == \
        one(c, "1 BODY", "BODY") + [None, None, None, None]


def test_macros(tunnel):
    c = opened(tunnel, M(1))
    fast = {"FLAGS", "INTERNALDATE", "RFC822.SIZE"}
    assert set(one(c, "1 FAST")) == fast
    assert set(one(c, "1 all")) == fast | {"ENVELOPE"}
    assert set(one(c, "1 Full")) == fast | {"ENVELOPE", "BODY"}
    for wrong in ("(ALL)", "(FAST UID)", "ALL FAST", "(UID) FLAGS", "()",
                  "UID FLAGS", "BODY.PEEK", "BODY.PEEK[]<0>", "BODY[]<5.0>",
                  "BODY[]<1>", "BODY[MIME]", "BODY[0]", "BODY[1.]",
                  "BODY[.1]", "BODY[HEADER.FIELDS]", "BODY[HEADER.FIELDS ()]",
                  "BODY[1.HEADER.FIELD (A)]", "BODY[TEXT.1]", "ENVELOPE[]",
                  "RFC822.PEEK", "BODY[]<9223372036854775808.1>",
                  "BODY[] <0.1>"):
        c.bad("FETCH 1 " + wrong)
    assert one(c, "1 UID") == {"UID": 1}


def test_several_items_in_one_answer(nested):
    items = one(nested, "1 (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY"
                " BODYSTRUCTURE BODY.PEEK[] BODY.PEEK[1] BODY.PEEK[TEXT]<3.9>"
                " BODY.PEEK[HEADER.FIELDS (Subject \"X-Y\")] RFC822.HEADER)")
    assert list(items) == [
        "UID", "FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY",
        "BODYSTRUCTURE", "BODY[]", "BODY[1]", "BODY[TEXT]<3>",
        "BODY[HEADER.FIELDS (SUBJECT X-Y)]", "RFC822.HEADER"]
    assert items["BODY[]"] == crlf(NESTED)
    assert items["BODY[HEADER.FIELDS (SUBJECT X-Y)]"] == \
        b"Subject: outer\r\n\r\n"


def test_uid_fetch(box):
    c = opened(box, M(1), M(2), M(3))
    c.ok("STORE 2 +FLAGS.SILENT (\\Deleted)")
    c.ok("EXPUNGE")
    assert fetch(c, "3 FLAGS", uid=True) == \
        {2: {"FLAGS": fetch(c, "2 FLAGS")[2]["FLAGS"], "UID": 3}}
    # UIDs that are not there are no error (RFC 3501 6.4.8).
    assert c.ok("UID FETCH 2,77:99 (UID FLAGS)") == []
    assert set(fetch(c, "1:* UID", uid=True)) == {1, 2}
    assert set(fetch(c, "4294967295:* UID", uid=True)) == {2}
    assert set(fetch(c, "* UID")) == {2}
    assert set(fetch(c, "2:1,1 UID")) == {1, 2}
    c.bad("FETCH 3 UID")
    c.bad("FETCH 0 UID")
    c.bad("FETCH 1:,2 UID")


# ---- structure and sections --------------------------------------------------

def test_bodystructure(nested):
    bs = one(nested, "1 BODYSTRUCTURE", "BODYSTRUCTURE")
    assert bs[4:] == [b"mixed", [b"boundary", b"o"], None, None, None]
    assert bs[0] == [b"text", b"plain", [b"charset", b"utf-8"], None, None,
                     b"7bit", 3, 0, None, None, [b"en", b"de"], None]
    message = bs[1]
    inner = crlf(between(NESTED, b"forwarded\n\n", b"\n--o\n"))
    assert message[:7] == [b"message", b"rfc822", None, None, b"forwarded",
                           b"7bit", len(inner)]
    assert message[7][1:3] == [b"inner",
                               [[None, None, b"inner", b"example.org"]]]
    assert message[8][2] == b"alternative"
    assert message[8][1][:6] == [b"text", b"html", [b"charset", b"us-ascii"],
                                 b"<html@example.org>", None, b"7bit"]
    assert message[9] == inner.count(b"\n")
    assert bs[3] == [
        b"image", b"png", [b"name", b"a b.png"], None, None, b"base64", 8,
        b"Q2hlY2sgSW50ZWdyaXR5IQ==",
        [b"attachment", [b"filename", b"a b.png"]], None,
        b"http://example.org/a.png"]
    # BODY is the same without what only BODYSTRUCTURE has.
    body = one(nested, "1 BODY", "BODY")
    assert body[4:] == [b"mixed"]
    assert body[0] == bs[0][:8]
    assert body[3] == bs[3][:7]


def test_sections(nested):
    wire_text = crlf(NESTED)
    head, text = wire_text.split(b"\r\n\r\n", 1)
    inner = crlf(between(NESTED, b"forwarded\n\n", b"\n--o\n"))
    want = {
        "": wire_text,
        "HEADER": head + b"\r\n\r\n",
        "TEXT": text,
        "1": b"one",
        "1.MIME": b"Content-Type: text/plain; charset=utf-8\r\n"
                  b"Content-Language: en, de\r\n\r\n",
        "2": inner,
        "2.MIME": b"Content-Type: message/rfc822\r\n"
                  b"Content-Description: forwarded\r\n\r\n",
        "2.HEADER": inner.split(b"\r\n\r\n")[0] + b"\r\n\r\n",
        "2.TEXT": inner.split(b"\r\n\r\n", 1)[1],
        "2.1": b"two.one",
        "2.1.MIME": b"\r\n",
        "2.2": b"<p>two.two",
        "2.2.MIME": b"Content-Type: text/html\r\n"
                    b"Content-ID: <html@example.org>\r\n\r\n",
        "2.HEADER.FIELDS (SUBJECT)": b"Subject: inner\r\n\r\n",
        "2.HEADER.FIELDS.NOT (SUBJECT CONTENT-TYPE)":
            b"From: inner@example.org\r\n\r\n",
        "3": b"Subject: single\r\n\r\nthree.one\r\n",
        "3.HEADER": b"Subject: single\r\n\r\n",
        "3.TEXT": b"three.one\r\n",
        "3.1": b"three.one\r\n",
        "4": b"aGVsbG8=",
        # What is not there.
        "5": None, "1.1": None, "1.TEXT": None, "1.HEADER": None,
        "2.3": None, "3.2": None, "4.1.1": None, "9.9.9": None,
        "1.HEADER.FIELDS (A)": None,
    }
    for section, value in want.items():
        got = one(nested, "1 BODY.PEEK[%s]" % section,
                  "BODY[%s]" % section)
        assert got == value, section


def test_sections_of_a_message_of_one_part(tunnel):
    c = opened(tunnel, M(1))
    head, text = M(1, crlf=True).split(b"\r\n\r\n", 1)
    assert one(c, "1 BODY.PEEK[1]", "BODY[1]") == text
    assert one(c, "1 BODY.PEEK[1.MIME]", "BODY[1.MIME]") == head + b"\r\n\r\n"
    for section in ("2", "1.1", "1.TEXT", "1.HEADER"):
        assert one(c, "1 BODY.PEEK[%s]" % section,
                   "BODY[%s]" % section) is None


def test_header_fields(tunnel):
    text = (b"Subject: one\n two\nX-Twice: 1\nx-twice: 2\nno colon\n"
            b"X-Spaced : yes\nFrom: a@b\n\nbody\n")
    c = opened(tunnel, text)

    def fields(spec):
        found = one(c, "1 BODY.PEEK[HEADER.FIELDS%s]" % spec)
        return next(iter(found.values()))

    assert fields(" (subject)") == b"Subject: one\r\n two\r\n\r\n"
    assert fields(" (X-TWICE)") == b"X-Twice: 1\r\nx-twice: 2\r\n\r\n"
    # In the order of the message, each once.
    assert fields(" (From X-Twice From)") == \
        b"X-Twice: 1\r\nx-twice: 2\r\nFrom: a@b\r\n\r\n"
    assert fields(" (X-Spaced)") == b"X-Spaced : yes\r\n\r\n"
    assert fields(" (None)") == b"\r\n"
    # What is no field is not among those named.
    assert fields(".NOT (From X-Twice X-Spaced Subject)") == \
        b"no colon\r\n\r\n"
    many = " ".join("X-%d" % i for i in range(3000))
    assert fields(" (%s from %s)" % (many, many)) == b"From: a@b\r\n\r\n"
    assert fields(' ("")') == b"\r\n"
    assert one(c, '1 BODY.PEEK[HEADER.FIELDS ("From")]<2.3>') == \
        {"BODY[HEADER.FIELDS (FROM)]<2>": b"om:"}
    tag = c.tag()
    c.send(tag + b" FETCH 1 BODY.PEEK[HEADER.FIELDS ({4}\r\n")
    assert c.response().startswith(b"+")
    c.send(b"From)]\r\n")
    status, _, lines = c.finish(tag)
    assert status == "OK" and lines == [
        b"* 1 FETCH (BODY[HEADER.FIELDS (From)] {13}\r\nFrom: a@b\r\n\r\n)"]


def test_header_fields_without_a_blank_line(tunnel):
    c = opened(tunnel, b"From: a@b\nTo: c@d\n", b"From: a@b")
    assert one(c, "1 BODY.PEEK[HEADER.FIELDS (To)]") == \
        {"BODY[HEADER.FIELDS (TO)]": b"To: c@d\r\n"}
    assert one(c, "1 BODY.PEEK[HEADER.FIELDS (Cc)]") == \
        {"BODY[HEADER.FIELDS (CC)]": b""}
    assert one(c, "2 BODY.PEEK[HEADER.FIELDS.NOT (To)]") == \
        {"BODY[HEADER.FIELDS.NOT (TO)]": b"From: a@b\r\n"}


LINE_ENDS = [
    b"Subject: x\n\na\nb\n", b"Subject: x\r\n\r\na\r\nb\r\n",
    b"Subject: x\r\n\na\rb\r\n\r\n\n\nc", b"Subject: x\rFrom: y\r\rbody\r",
    b"Subject: x\n\nno end", b"\n\n", b"\n", b"Subject: x", b"\r\r\n\r\n\na",
    b"Subject: x\n\nnul \0 nul\n\n\0"]


@pytest.mark.parametrize("text", LINE_ENDS)
def test_line_ends_and_every_partial(tunnel, text):
    # Lone LFs become CRLF, lone CRs stay, NUL is 0x80 (RFC 3501: CHAR8).
    want = re.sub(rb"(?<!\r)\n", b"\r\n", text).replace(b"\0", b"\x80")
    c = opened(tunnel, text)
    items = one(c, "1 (RFC822.SIZE BODY.PEEK[] BODY.PEEK[HEADER]"
                " BODY.PEEK[TEXT])")
    assert items["BODY[]"] == want
    assert items["RFC822.SIZE"] == len(want)
    assert items["BODY[HEADER]"] + items["BODY[TEXT]"] == want
    ranges = [(s, n) for s in range(len(want) + 2)
              for n in range(1, len(want) + 2 - s)]
    tags = [c.start("FETCH 1 BODY.PEEK[]<%d.%d>" % r) for r in ranges]
    for (s, n), tag in zip(ranges, tags):
        status, _, lines = c.finish(tag)
        part = want[s:s + n]
        assert status == "OK" and lines == [
            b"* 1 FETCH (BODY[]<%d> {%d}\r\n%s)" % (s, len(part), part)]


# ---- \Seen -------------------------------------------------------------------

@pytest.mark.parametrize("item", ["BODY[]", "BODY[TEXT]", "BODY[HEADER]",
                                  "BODY[1]", "BODY[]<0.1>", "RFC822",
                                  "RFC822.TEXT", "BODY[9]"])
def test_reading_sets_seen(tunnel, item):
    c = opened(tunnel, M(1))
    d = tunnel.connect()
    d.ok("SELECT INBOX")
    items = one(c, "1 " + item)
    assert "\\Seen" in items["FLAGS"]
    # It is told once, and to the others.
    assert c.ok("NOOP") == []
    assert "FLAGS" not in one(c, "1 " + item)
    assert [b"\\Seen" in x for x in d.ok("NOOP")] == [True]
    assert list(tunnel.files().values()) == ["S"]


def test_flags_asked_for_with_the_body(tunnel):
    c = opened(tunnel, M(1))
    items = one(c, "1 (FLAGS BODY[])")
    assert "\\Seen" in items["FLAGS"]
    assert c.ok("NOOP") == []


@pytest.mark.parametrize("item", ["BODY.PEEK[]", "RFC822.HEADER",
                                  "BODY.PEEK[TEXT]", "ENVELOPE", "FULL",
                                  "BODYSTRUCTURE", "BODY.PEEK[1]<0.3>"])
def test_peeking_does_not(tunnel, item):
    c = opened(tunnel, M(1))
    items = one(c, "1 " + item)
    assert "\\Seen" not in items.get("FLAGS", ())
    assert list(tunnel.files().values()) == [""]


def test_examine_sets_nothing(tunnel):
    c = opened(tunnel, M(1))
    c.ok("EXAMINE INBOX")
    assert set(one(c, "1 BODY[]")) == {"BODY[]"}
    assert list(tunnel.files().values()) == [""]


# ---- messages that go, change, or can not be read ----------------------------

def test_message_gone(box):
    c = opened(box, *[M(i) for i in range(1, 6)])
    os.unlink(c.paths[1])
    status, text, lines = c.cmd("FETCH 1:5 (UID BODY.PEEK[TEXT])")
    assert status == "NO" and text.startswith(b"[EXPUNGEISSUED]")
    assert [x.split()[1] for x in lines if b"FETCH" in x] == \
        [b"1", b"3", b"4", b"5"]
    # FETCH itself never tells of it (RFC 3501 7.4.1).
    assert not any(b"EXPUNGE" in x for x in lines)
    assert b"* 2 EXPUNGE" in c.ok("NOOP")
    assert set(fetch(c, "1:* UID")) == {1, 2, 3, 4}
    # By UID it is simply not there.
    assert c.ok("UID FETCH 2 BODY.PEEK[]") == []


def test_expunged_by_another_session(box):
    c = opened(box, *[M(i) for i in range(1, 4)])
    d = box.connect()
    d.ok("SELECT INBOX")
    d.ok("STORE 2 +FLAGS.SILENT (\\Deleted)")
    d.ok("EXPUNGE")
    lines = c.cmd("FETCH 1:3 FLAGS")[2]
    assert not any(b"EXPUNGE" in x for x in lines)
    status, text, lines = c.cmd("FETCH 1:3 (BODY.PEEK[] UID)")
    assert not any(b"EXPUNGE" in x for x in lines)
    assert status == "OK" or text.startswith(b"[EXPUNGEISSUED]")
    seqs = {x.split()[1] for x in lines if b"FETCH" in x}
    assert {b"1", b"3"} <= seqs
    assert b"* 2 EXPUNGE" in c.ok("NOOP")


def test_flags_and_uid_read_no_file(tunnel):
    c = opened(tunnel, M(1), M(2), flags="F")
    for path in c.paths:
        os.chmod(path, 0)
    assert {s: i["UID"] for s, i in fetch(c, "1:* (UID FLAGS)").items()} == \
        {1: 1, 2: 2}
    assert c.cmd("FETCH 1 BODY.PEEK[]")[0] == "NO"
    os.chmod(c.paths[1], 0o600)
    status, _, lines = c.cmd("FETCH 1:2 (UID BODY.PEEK[])")
    assert status == "NO" and len(lines) == 1 and b"* 2 FETCH" in lines[0]


def test_envelope_reads_the_header_only(tunnel):
    # A hole of 200 MB behind the header: reading it all would show.
    head = M(1).split(b"\n\n")[0] + b"\n\n"
    c = opened(tunnel, head)
    os.truncate(c.paths[0], 200 << 20)
    began = proc.cpu_seconds(c.process.pid)
    for _ in range(20):
        assert one(c, "1 ENVELOPE", "ENVELOPE")[1] == b"Message 1"
        assert one(c, "1 BODY.PEEK[HEADER]", "BODY[HEADER]") == crlf(head)
    assert proc.cpu_seconds(c.process.pid) - began < 2


def test_header_past_the_limit(tunnel):
    # More than is looked at for fields; nothing of the message is lost.
    head = b"Subject: first\n" + b"X-Filler: %s\n" % (b"x" * 70) * 140000
    text = head + b"Subject: last\n\nthe text\n"
    assert len(head) > 10 << 20
    c = opened(tunnel, text)
    items = one(c, "1 (RFC822.SIZE BODY.PEEK[HEADER] BODY.PEEK[TEXT])")
    assert items["BODY[TEXT]"] == b"the text\r\n"
    assert items["BODY[HEADER]"] == crlf(text)[:-len(b"the text\r\n")]
    assert items["RFC822.SIZE"] == len(crlf(text))
    structure = one(c, "1 BODYSTRUCTURE", "BODYSTRUCTURE")
    assert int(structure[6]) == len(b"the text\r\n")
    fields = one(c, "1 BODY.PEEK[HEADER.FIELDS (SUBJECT)]",
                 "BODY[HEADER.FIELDS (SUBJECT)]")
    assert fields.startswith(b"Subject: first\r\n")


def test_file_shrinks_while_it_is_sent(tunnel):
    text = M(1, size=30 << 20)
    c = opened(tunnel, text, M(2))
    size = one(c, "1 RFC822.SIZE", "RFC822.SIZE")
    tag = c.start("FETCH 1:2 BODY.PEEK[]")
    assert c.line() == b"* 1 FETCH (BODY[] {%d}" % size
    os.truncate(c.paths[0], 25 << 20)
    body = c.exactly(size)
    # As announced; what is missing is blank.
    assert body[:20 << 20] == crlf(text)[:20 << 20]
    assert body.endswith(b" " * 1000)
    assert c.line() == b")"
    assert c.response().startswith(b"* 2 FETCH")
    status, _, _ = c.finish(tag)
    assert status == "NO"


def test_wrong_size_in_the_name(tunnel):
    text = M(1)
    wrong = "1600000000.M1P1.h,S=7,W=9"
    c = opened(tunnel, text, name=wrong)
    items = one(c, "1 (RFC822.SIZE BODY.PEEK[])")
    assert items["BODY[]"] == crlf(text)
    assert items["RFC822.SIZE"] == len(crlf(text))


# ---- large ones --------------------------------------------------------------

def test_pieces_of_a_large_message_take_linear_time(tunnel):
    text = M(1, size=24 << 20)
    c = opened(tunnel, text)
    want = crlf(text)
    step = 65536
    spent = []
    got = []
    for start in range(0, len(want), step):
        began = time.monotonic()
        got.append(one(c, "1 BODY.PEEK[]<%d.%d>" % (start, step),
                       "BODY[]<%d>" % start))
        spent.append(time.monotonic() - began)
    assert b"".join(got) == want
    tenth = len(spent) // 10
    assert sum(spent[-tenth:]) < 5 * sum(spent[:tenth]) + 0.2


def test_pieces_of_parts_in_turn(tunnel):
    part = b"".join(b"%06d some base64 text or other\n" % i
                    for i in range(20000))
    text = (b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\n" + part +
            b"\n--b\nContent-Type: a/b\n\n" + part[::-1] + b"\n--b--\n")
    c = opened(tunnel, text, M(2))
    want = {1: crlf(part), 2: crlf(part[::-1])}
    for start in range(0, len(want[1]) + 30000, 29989):
        for n in (1, 2):
            assert one(c, "1 BODY.PEEK[%d]<%d.29989>" % (n, start),
                       "BODY[%d]<%d>" % (n, start)) == \
                want[n][start:start + 29989]
        one(c, "2 BODY.PEEK[]<0.10>")


@pytest.mark.skipif(bool(restante.VALGRIND), reason="as slow as its reader")
def test_slow_reader(box_server):
    """One that does not read costs no memory and no other session time."""
    from lib import box as boxes
    box_server.used = getattr(box_server, "used", -1) + 1
    box = boxes.Box("server", box_server.users[box_server.used], box_server)
    for i in range(20):
        box.deliver(M(i, size=4 << 20), flags="")
    c = box.connect()
    c.ok("SELECT INBOX")
    tags = [c.start("FETCH 1:20 (BODY.PEEK[] BODY.PEEK[TEXT])")
            for _ in range(3)]
    d = box.connect()
    d.ok("SELECT INBOX")
    began = time.monotonic()
    for _ in range(20):
        assert len(fetch(d, "1:20 (FLAGS RFC822.SIZE)")) == 20
    assert time.monotonic() - began < 15
    pids = [p for p in box_server.pids("imapd")
            if os.stat("/proc/%d" % p).st_uid == box.uid]
    rss = sum(int(re.search(r"VmRSS:\s+(\d+)", open(
        "/proc/%d/status" % p).read()).group(1)) for p in pids)
    if not os.environ.get("RESTANTE_SANITIZE"):
        assert rss < 60000 * len(pids), rss
    for tag in tags:
        status, _, lines = c.finish(tag, timeout=60)
        assert status == "OK" and len(lines) == 20
    box.close()


def test_client_leaves_in_the_middle(box):
    box.deliver(M(1, size=20 << 20), flags="")
    for _ in range(3):
        c = box.connect()
        c.ok("SELECT INBOX")
        c.start("FETCH 1 BODY.PEEK[]")
        c.exactly(100000)
        c.close()
    d = box.connect()
    d.ok("SELECT INBOX")
    assert one(d, "1 RFC822.SIZE")["RFC822.SIZE"] > 20 << 20


def test_many_parts(tunnel):
    parts = b"".join(b"--b\nX: %d\n\n%d\n" % (i, i) for i in range(9000))
    head = b"Content-Type: multipart/mixed; boundary=b\n\n"
    c = opened(tunnel, head + parts + b"--b--\n",
               head + b"--b\n\nx\n" * 10001 + b"--b--\n")
    items = one(c, "1 (BODYSTRUCTURE BODY.PEEK[9000] BODY.PEEK[9000.MIME])")
    assert sum(isinstance(x, list) for x in items["BODYSTRUCTURE"][:9000]) \
        == 9000
    assert items["BODY[9000]"] == b"8999"
    assert items["BODY[9000.MIME]"] == b"X: 8999\r\n\r\n"
    # One part too many: it is one opaque part, in every view.
    items = one(c, "2 (BODYSTRUCTURE BODY.PEEK[1]<0.9> BODY.PEEK[2])")
    assert items["BODYSTRUCTURE"][:2] == [b"application", b"octet-stream"]
    assert items["BODY[1]<0>"] == b"--b\r\n\r\nx\r"
    assert items["BODY[2]"] is None


def test_nesting(tunnel):
    text = b""
    for i in range(300):
        text += b"Content-Type: multipart/mixed; boundary=b%03d\n\n--b%03d\n" \
            % (i, i)
    text += b"\ndeep\n"
    c = opened(tunnel, text)
    bs = one(c, "1 BODYSTRUCTURE", "BODYSTRUCTURE")
    depth = 0
    while isinstance(bs[0], list):
        bs = bs[0]
        depth += 1
    assert depth == 99 and bs[:2] == [b"application", b"octet-stream"]
    path = ".".join(["1"] * 99)
    part = one(c, "1 BODY.PEEK[%s]" % path, "BODY[%s]" % path)
    assert len(part) == bs[6] and part.endswith(b"\r\ndeep\r\n")
    path += ".1"
    assert one(c, "1 BODY.PEEK[%s]" % path, "BODY[%s]" % path) is None


def test_many_messages(box):
    box.fill(300, flags="")
    c = box.connect()
    c.ok("SELECT INBOX")
    tag = c.start("FETCH 1:* (UID ENVELOPE BODYSTRUCTURE BODY.PEEK[])")
    tag2 = c.start("FETCH 300:1 (FLAGS)")
    status, _, lines = c.finish(tag)
    assert status == "OK"
    assert [int(x.split()[1]) for x in lines] == list(range(1, 301))
    status, _, lines = c.finish(tag2)
    assert status == "OK" and len(lines) == 300


# ---- the corpus --------------------------------------------------------------

def corpus():
    top = os.environ.get("RESTANTE_CORPUS") or os.path.join(
        os.path.dirname(__file__), "..", "..", "..", "shared", "corpus")
    found = []
    for root, dirs, names in os.walk(os.path.join(
            os.path.dirname(__file__), "..", "data")):
        found += [os.path.join(root, n) for n in sorted(names)
                  if n.endswith(".eml")]
    manifest = os.path.join(top, "MANIFEST.tsv")
    if os.path.exists(manifest):
        with open(manifest, encoding="latin-1") as f:
            found += [os.path.join(top, x.split("\t")[0]) for x in f
                      if x.split("\t")[1:2] == ["message"]]
    return found


def test_corpus(tunnel):
    """Of every message, all parts: what BODYSTRUCTURE says is what comes."""
    files = corpus()
    for i, path in enumerate(files):
        with open(path, "rb") as f:
            tunnel.deliver(f.read(), flags="",
                           name="%d.%d.h" % (1600000000 + i, i))
    c = tunnel.connect()
    c.ok("SELECT INBOX")
    seen = fetch(c, "1:* (RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE BODY.PEEK[]"
                 " BODY.PEEK[HEADER] BODY.PEEK[TEXT])")
    assert len(seen) == len(files)
    asked = []
    for seq, items in seen.items():
        with open(files[seq - 1], "rb") as f:
            text = re.sub(rb"(?<!\r)\n", b"\r\n",
                          f.read()).replace(b"\0", b"\x80")
        assert items["BODY[]"] == text, files[seq - 1]
        assert items["RFC822.SIZE"] == len(text)
        assert items["BODY[HEADER]"] + items["BODY[TEXT]"] == text
        assert len(items["ENVELOPE"]) == 10
        for path, part in leaves(items["BODYSTRUCTURE"]):
            number = ".".join(map(str, path))
            tag = c.start("FETCH %d (BODY.PEEK[%s] BODY.PEEK[%s.MIME])" %
                          (seq, number, number))
            asked.append((seq, number, part, tag))
        if len(asked) > 50 or seq == len(files):
            for s, number, part, tag in asked:
                check_part(c, files[s - 1], seen[s], number, part, tag)
            asked = []


def check_part(c, path, items, number, part, tag):
    from lib.fetch import parse
    status, _, lines = c.finish(tag)
    assert status == "OK" and len(lines) == 1, (path, number)
    got = parse(lines[0])[1]
    body = got["BODY[%s]" % number]
    mime = got["BODY[%s.MIME]" % number]
    assert body is not None and mime is not None, (path, number)
    assert mime + body in items["BODY[]"], (path, number)
    if isinstance(part[0], list):
        return
    assert len(body) == part[6], (path, number)
    kind = (part[0].lower(), part[1].lower())
    if kind[0] == b"text":
        assert body.count(b"\n") == part[7], (path, number)
    elif kind == (b"message", b"rfc822"):
        assert body.count(b"\n") == part[9], (path, number)
