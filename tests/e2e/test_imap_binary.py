# SPDX-License-Identifier: ISC
"""BINARY: RFC 3516, RFC 9051 section 6.4.5."""
import base64
import os
import re

import pytest

MBOX = True

BYTES = bytes(range(256)) * 300
TEXT = b"Gr\xc3\xbc\xc3\x9fe,\nline two with trailing =\nend\n"


def wrap(data):
    return base64.encodebytes(data)


def parts(*bodies, nl=b"\n"):
    """A multipart of (content type, encoding or None, body)."""
    out = (b"From: a@example.org\nSubject: parts\nMIME-Version: 1.0\n"
           b"Content-Type: multipart/mixed; boundary=xx\n\npreamble\n")
    for kind, encoding, body in bodies:
        out += b"--xx\nContent-Type: " + kind + b"\n"
        if encoding:
            out += b"Content-Transfer-Encoding: " + encoding + b"\n"
        out += b"\n" + body + b"\n"
    out += b"--xx--\n"
    return out if nl == b"\n" else out.replace(b"\n", nl)


INNER = (b"From: b@example.org\nSubject: inner\nMIME-Version: 1.0\n"
         b"Content-Type: multipart/mixed; boundary=yy\n\n"
         b"--yy\nContent-Type: image/png\n"
         b"Content-Transfer-Encoding: base64\n\n" + wrap(b"PNG\0data") +
         b"--yy--\n")

MESSAGE = parts(
    (b"text/plain; charset=utf-8", b"quoted-printable",
     b"Gr=C3=BC=C3=9Fe,   \nsoft =\nbreak =0A lone"),
    (b"application/octet-stream", b"base64", wrap(BYTES)),
    (b"text/plain; charset=utf-8", b"8bit", TEXT[:-1]),
    (b"message/rfc822", None, INNER[:-1]),
    (b"text/plain", b"x-uuencode", b"begin 644 x"),
    (b"text/plain", b"BASE64", wrap(b"one\ntwo\r\n")),
    (b"text/plain", None, b""),
)


def value(response, label):
    """(is literal8, bytes) of an item that is a literal; None: NIL."""
    at = response.find(label.encode() + b" ")
    assert at != -1, (label, response[:200])
    rest = response[at + len(label) + 1:]
    if rest.startswith(b"NIL"):
        return None
    match = re.match(rb"(~?)\{(\d+)\}\r\n", rest)
    assert match, rest[:80]
    n = int(match.group(2))
    data = rest[match.end():match.end() + n]
    assert len(data) == n
    return match.group(1) == b"~", data


@pytest.fixture
def one(box):
    box.deliver(MESSAGE)
    c = box.connect()
    c.box = box
    c.ok("SELECT INBOX")
    return c


def binary(c, section, partial="", answer=""):
    r = c.fetch("1 BINARY.PEEK[%s]%s" % (section, partial))[1]
    return value(r, "BINARY[%s]%s" % (section, answer))


def size(c, section):
    r = c.fetch("1 BINARY.SIZE[%s]" % section)[1]
    return int(re.search(rb"BINARY.SIZE\[[0-9.]*\] (\d+)", r).group(1))


WANT = {
    "1": (False, b"Gr\xc3\xbc\xc3\x9fe,\r\nsoft break \n lone"),
    "2": (True, BYTES),
    "3": (False, TEXT[:-1].replace(b"\n", b"\r\n")),
    "4.1": (True, b"PNG\0data"),
    "6": (False, b"one\ntwo\r\n"),
    "7": (False, b""),
}


def test_announced(one):
    assert "BINARY" in one.capabilities()


@pytest.mark.parametrize("section", sorted(WANT))
def test_decoded(one, section):
    c = one
    assert binary(c, section) == WANT[section]
    assert size(c, section) == len(WANT[section][1])


def test_literal8_only_where_there_is_a_nul(one):
    """... in what is sent (RFC 3516 section 4.3)."""
    c = one
    assert binary(c, "2", "<1.100>", "<1>") == (False, BYTES[1:101])
    assert binary(c, "2", "<200.100>", "<200>") == (True, BYTES[200:300])
    assert binary(c, "2", "<0.1>", "<0>") == (True, b"\0")
    assert binary(c, "2", "<256.1>", "<256>") == (True, b"\0")
    assert binary(c, "2", "<255.1>", "<255>") == (False, b"\xff")


@pytest.mark.parametrize("section", ["1", "2", "3", "6"])
def test_partial_counts_decoded_bytes(one, section):
    c = one
    whole = WANT[section][1]
    step = max(1, len(whole) // 7 + 3)
    got = b""
    while len(got) < len(whole):
        _, piece = binary(c, section, "<%d.%d>" % (len(got), step),
                          "<%d>" % len(got))
        assert piece == whole[len(got):len(got) + step]
        got += piece
    # back again, and behind the end
    assert binary(c, section, "<0.4>", "<0>")[1] == whole[:4]
    assert binary(c, section, "<%d.5>" % (len(whole) - 2),
                  "<%d>" % (len(whole) - 2))[1] == whole[-2:]
    assert binary(c, section, "<%d.5>" % len(whole),
                  "<%d>" % len(whole)) == (False, b"")
    assert binary(c, section, "<4294967295.4294967295>",
                  "<4294967295>") == (False, b"")


def test_what_is_no_leaf_is_not_decoded(one):
    """Multiparts have no encoding (RFC 2045 section 6.4)."""
    c = one
    want = MESSAGE.replace(b"\n", b"\r\n")
    assert binary(c, "") == (False, want)
    assert size(c, "") == len(want)
    assert binary(c, "4") == (False, INNER[:-1].replace(b"\n", b"\r\n"))


@pytest.mark.parametrize("section", ["8", "1.1", "4.2", "4.1.2", "99.1"])
def test_no_such_part(one, section):
    c = one
    assert binary(c, section) is None
    assert size(c, section) == 0
    assert binary(c, section, "<3.4>", "<3>") is None


def test_part_1_of_a_message_that_is_no_multipart(box):
    box.deliver(b"Subject: x\nContent-Transfer-Encoding: base64\n\n" +
                wrap(b"a\0b"))
    c = box.connect()
    c.ok("SELECT INBOX")
    assert binary(c, "1") == (True, b"a\0b")
    assert binary(c, "")[1].endswith(wrap(b"a\0b").rstrip() + b"\r\n")
    assert binary(c, "2") is None


def test_unknown_encoding(one):
    c = one
    for item in ("BINARY[5]", "BINARY.PEEK[5]<0.1>", "BINARY.SIZE[5]",
                 "(FLAGS BINARY[5])", "(BINARY[1] BINARY.SIZE[5])"):
        status, text, untagged = c.cmd("FETCH 1 " + item)
        assert status == "NO" and text.startswith(b"[UNKNOWN-CTE]"), item
        assert untagged == []
    assert "\\Seen" not in c.flags()[1]
    assert binary(c, "1") == WANT["1"]


def test_unknown_encoding_among_others(one):
    """The other messages are answered."""
    c = one
    c.box.deliver(parts((b"text/plain", b"7bit", b"abc")))
    c.ok("NOOP")
    assert c.ok("SEARCH ALL") == [b"* SEARCH 1 2"]
    status, text, untagged = c.cmd("FETCH 1:2 BINARY.SIZE[5]")
    assert status == "NO" and text.startswith(b"[UNKNOWN-CTE]")
    assert [r[:11] for r in untagged] == [b"* 2 FETCH ("]


def test_seen(one):
    c = one
    c.fetch("1 BINARY.PEEK[1]")
    c.fetch("1 BINARY.SIZE[1]")
    assert "\\Seen" not in c.flags()[1]
    assert b"\\Seen" in c.fetch("1 BINARY[1]")[1]
    assert "\\Seen" in c.flags()[1]


def test_examine_sets_nothing(one):
    c = one
    c.ok("EXAMINE INBOX")
    c.fetch("1 BINARY[1]")
    assert "\\Seen" not in c.flags()[1]


def test_with_other_items_and_uid(one):
    c = one
    r = c.fetch("1 (BINARY.SIZE[2] BINARY.PEEK[2] BODY.PEEK[2] BINARY[4.1] "
                "BODY.PEEK[2]<0.9> BINARY[2]<0.3>)", uid=True)[1]
    assert b"UID 1" in r
    assert b"BINARY.SIZE[2] %d " % len(BYTES) in r
    assert value(r, "BINARY[2]") == (True, BYTES)
    assert value(r, " BODY[2]")[1] == \
        wrap(BYTES).replace(b"\n", b"\r\n")
    assert value(r, "BINARY[4.1]") == WANT["4.1"]
    assert value(r, "BODY[2]<0>") == (False, wrap(BYTES)[:9])
    assert value(r, "BINARY[2]<0>") == (True, BYTES[:3])


@pytest.mark.parametrize("item", [
    "BINARY", "BINARY.PEEK", "BINARY.SIZE", "BINARY[0]", "BINARY[1.]",
    "BINARY[TEXT]", "BINARY[1.MIME]", "BINARY[HEADER]",
    "BINARY.SIZE[1]<0.1>", "BINARY[1]<0.0>", "BINARY[1]<0>", "BINARY[1",
    "BINARY.PEEK.SIZE[1]", "BINARYX[1]"])
def test_bad_items(one, item):
    one.bad("FETCH 1 " + item)


def test_size_is_kept(box):
    """Counted once, whatever is asked for beside it; not those that fail."""
    box.deliver(MESSAGE)
    c = box.connect()
    c.ok("SELECT INBOX")
    # The second question finds what the first has left in the index.
    asked = "(BINARY.SIZE[2] UID BINARY.SIZE[4.1] BINARY.SIZE[7])"
    first = c.fetch("1 " + asked)[1]
    assert b"BINARY.SIZE[2] %d " % len(BYTES) in first
    assert b"BINARY.SIZE[7] 0" in first
    c.no("FETCH 1 BINARY.SIZE[5]")
    c.logout()
    c = box.connect()
    c.ok("SELECT INBOX")
    readable = box.kind == "server" or box.store == "mbox"
    if not readable:
        os.chmod(box.maildir("cur"), 0)
    try:
        assert c.fetch("1 " + asked)[1] == first
        assert size(c, "2") == len(BYTES)
    finally:
        if not readable:
            os.chmod(box.maildir("cur"), 0o700)
    # Another part, and one that is not known, are looked for then.
    for section in ("1", "6", "2"):
        assert size(c, section) == len(binary(c, section)[1])
    c.no("FETCH 1 (BINARY.SIZE[2] BINARY.SIZE[5])")


def test_broken_base64(box):
    """What can be decoded is; the size is that of what is sent."""
    for body in (b"QUJD!!RA==\n", b"QUJDR", b"=====", b"QUI=Q0Q=\n",
                 b"\0\1\2QUJD"):
        box.deliver(b"Content-Transfer-Encoding: base64\n\n" + body)
    c = box.connect()
    c.ok("SELECT INBOX")
    found = c.fetch("1:5 (BINARY.PEEK[1] BINARY.SIZE[1])")
    for r in found.values():
        n = int(re.search(rb"BINARY.SIZE\[1\] (\d+)", r).group(1))
        assert len(value(r, "BINARY[1]")[1]) == n
    assert value(found[1], "BINARY[1]") == (False, b"ABCD")
    assert value(found[4], "BINARY[1]") == (False, b"ABCD")


def test_nuls_in_a_stored_part(tunnel):
    """A file that another program wrote: BODY[] can not say it, BINARY can."""
    tunnel.deliver(b"Content-Type: application/octet-stream\n"
                   b"Content-Transfer-Encoding: binary\n\na\0b\n")
    c = tunnel.connect()
    c.ok("SELECT INBOX")
    assert binary(c, "1") == (True, b"a\0b\r\n")
    assert value(c.fetch("1 BODY.PEEK[1]")[1], "BODY[1]") == \
        (False, b"a\x80b\r\n")


def test_large_parts_are_not_held(tunnel):
    """30 MB of base64, decoded as it goes, by pieces too."""
    data = os.urandom(1 << 20) * 20 + b"end"
    tunnel.deliver(parts((b"application/octet-stream", b"base64",
                          wrap(data))))
    c = tunnel.connect(timeout=60)
    c.ok("SELECT INBOX")
    assert size(c, "1") == len(data)
    assert binary(c, "1") == (True, data)
    step = 1 << 20
    for at in range(0, len(data), step):
        assert binary(c, "1", "<%d.%d>" % (at, step), "<%d>" % at)[1] == \
            data[at:at + step]
    with open("/proc/%d/status" % c.process.pid) as f:
        peak = int(re.search(r"VmHWM:\s+(\d+)", f.read()).group(1))
    assert peak < 16 * 1024 or os.environ.get("RESTANTE_SANITIZE"), peak


# ---- APPEND with literal8 ------------------------------------------------------

def append8(c, data, mailbox="INBOX", options=""):
    """(status, text) of an APPEND whose literal8 waits for the "+"."""
    tag = c.tag()
    c.send(tag + b" APPEND " + mailbox.encode() + b" " + options.encode() +
           b"~{%d}\r\n" % len(data))
    r = c.line()
    if not r.startswith(b"+"):
        return r
    c.send(data + b"\r\n")
    status, text, _ = c.finish(tag)
    return status, text


def count(c):
    return int(re.search(rb"MESSAGES (\d+)",
                         c.ok("STATUS INBOX (MESSAGES)")[0]).group(1))


def stored(c):
    """The last message as it is fetched with BODY[]."""
    return value(c.fetch("* BODY.PEEK[]")[count(c)], "BODY[]")[1]


@pytest.fixture
def empty(box):
    c = box.connect()
    c.box = box
    c.ok("SELECT INBOX")
    return c


def test_literal8_without_nul_is_not_changed(empty):
    c = empty
    for data in (b"Subject: x\r\n\r\nplain\r\n",
                 b"A: b\r\nContent-Transfer-Encoding: binary\r\n\r\n"
                 b"\xff\xfe 8 bit\r\n" + b"long" * 1000 + b"\r\n",
                 MESSAGE.replace(b"\n", b"\r\n")):
        status, text = append8(c, data)
        assert status == "OK" and text.startswith(b"[APPENDUID "), text
        assert stored(c) == data
    assert count(c) == 3


def test_nuls_become_base64(empty):
    """No byte is lost, and the structure says what is sent (RFC 3516)."""
    c = empty
    data = (b"Subject: x\r\nContent-Type: image/png\r\n"
            b"Content-Transfer-Encoding: binary\r\n\r\n") + BYTES
    status, _ = append8(c, data, options='(\\Seen) "17-Jul-1996 02:44:25 '
                        '-0700" ')
    assert status == "OK"
    assert binary(c, "1") == (True, BYTES)
    r = c.fetch("1 (BODYSTRUCTURE FLAGS INTERNALDATE)")[1]
    assert b'"base64"' in r and b"\\Seen" in r and b"-Jul-1996" in r
    got = stored(c)
    assert b"\0" not in got and b"Subject: x\r\n" in got
    assert max(map(len, got.split(b"\r\n"))) <= 76
    assert base64.b64decode(got.split(b"\r\n\r\n")[1]) == BYTES


def test_only_parts_that_need_it_are_changed(empty):
    c = empty
    data = parts((b"text/plain", b"8bit", b"Gr\xc3\xbc\xc3\x9fe"),
                 (b"application/x", b"binary", b"a\0b"),
                 (b"application/x", b"base64", b"QUJD"),
                 (b"text/plain", None, b"c\0"),
                 (b"application/x", b"binary", b"one.two"),
                 ).replace(b"\n", b"\r\n").replace(b"one.two", b"one\ntwo")
    assert append8(c, data)[0] == "OK"
    want = data
    for old, new in ((b"binary\r\n\r\na\0b", b"base64\r\n\r\nYQBi"),
                     (b"plain\r\n\r\nc\0", b"plain\r\nContent-Transfer-"
                      b"Encoding: base64\r\n\r\nYwA="),
                     (b"binary\r\n\r\none\ntwo",
                      b"base64\r\n\r\nb25lCnR3bw==")):
        assert want.count(old) == 1
        want = want.replace(old, new)
    assert stored(c) == want
    assert [binary(c, str(i)) for i in (2, 4, 5)] == [
        (True, b"a\0b"), (True, b"c\0"), (False, b"one\ntwo")]


@pytest.mark.parametrize("data", [
    b"A: \0\r\n\r\nb\r\n",
    b"Content-Transfer-Encoding: base64\r\n\r\nQU\0JD\r\n",
    b"Content-Type: multipart/mixed; boundary=x\r\n\r\n\0\r\n--x\r\n\r\n"
    b"a\r\n--x--\r\n"])
def test_nuls_that_can_not_be_kept_are_refused(empty, data):
    c = empty
    status, text = append8(c, data)
    assert status == "NO" and text.startswith(b"[UNKNOWN-CTE]")
    assert count(c) == 0
    c.ok("NOOP")


def test_literal8_without_waiting(empty):
    c = empty
    c.send(b"x APPEND INBOX ~{12+}\r\nA: b\r\n\r\na\0b\0\r\ny NOOP\r\n")
    assert c.finish(b"x")[0] == "OK"
    assert c.finish(b"y")[0] == "OK"
    assert binary(c, "1") == (True, b"a\0b\0")


def test_nul_in_a_literal_stays_an_error(empty):
    c = empty
    status, _, _ = c.literal("APPEND INBOX", b"A: b\r\n\r\na\0b\0")
    assert status == "BAD"
    assert count(c) == 0


def test_multiappend_with_literal8(empty):
    c = empty
    c.send(b"x APPEND INBOX {6+}\r\nA: b\r\n (\\Seen) ~{11+}\r\nA: b\r\n\r\n"
           b"\0bc (\\Draft) {6+}\r\nC: d\r\n\r\n")
    status, text, _ = c.finish(b"x")
    assert status == "OK" and b" 1:3] " in text
    assert value(c.fetch("2 BINARY[1]")[2], "BINARY[1]") == (True, b"\0bc")
    flags = {s: f - {"\\Recent"} for s, f in c.flags().items()}
    assert flags == {1: set(), 2: {"\\Seen"}, 3: {"\\Draft"}}


def test_literal8_limits(tunnel):
    c = tunnel.connect("append_limit=65536")
    c.box = tunnel
    assert append8(c, b"x" * 65537).startswith(b"a1 NO [TOOBIG]")
    # What is encoded is longer than what was sent.
    status, text = append8(c, b"A: b\r\n\r\n" + b"\0" * 50000)
    assert status == "NO" and text.startswith(b"[TOOBIG]")
    assert append8(c, b"")[0] == "NO"
    assert append8(c, b"x", mailbox="none").startswith(b"a4 NO [TRYCREATE]")
    assert tunnel.files() == {} and os.listdir(tunnel.maildir("tmp")) == []


def test_large_literal8_goes_to_disk(tunnel):
    data = b"A: b\r\n\r\n" + os.urandom(1 << 20) * 20
    c = tunnel.connect(timeout=60)
    c.box = tunnel
    assert append8(c, data)[0] == "OK"
    c.ok("SELECT INBOX")
    assert binary(c, "1")[1] == data[8:]
    with open("/proc/%d/status" % c.process.pid) as f:
        peak = int(re.search(r"VmHWM:\s+(\d+)", f.read()).group(1))
    assert peak < 16 * 1024 or os.environ.get("RESTANTE_SANITIZE"), peak
    assert os.listdir(tunnel.maildir("tmp")) == []
