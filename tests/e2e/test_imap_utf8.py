# SPDX-License-Identifier: ISC
"""UTF8=ACCEPT: RFC 9755 (and 6855), with the headers of RFC 6532."""
import pytest

MBOX = True

HEADER = ("From: Zoë <zoë@bücher.example>\r\nTo: 李 <李@例子.example>\r\n"
          "Subject: Grüße\r\nMessage-ID: <ü@bücher.example>\r\n").encode()
MESSAGE = HEADER + b"\r\nhello\r\n"
INVALID = [b"\x80", b"\xff", b"\xc3", b"\xc0\x80", b"\xc1\xbf",
           b"\xe0\x80\x80", b"\xed\xa0\x80", b"\xf0\x80\x80\x80",
           b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xc3\"x"]


@pytest.fixture
def c(box):
    client = box.connect()
    client.box = box
    return client


def accept(c):
    assert c.ok("ENABLE UTF8=ACCEPT") == [b"* ENABLED UTF8=ACCEPT"]
    return c


def append(c, data, before="", after=b""):
    return c.literal("APPEND INBOX" + before, data, after)


def test_announced(c):
    caps = c.capabilities()
    assert "UTF8=ACCEPT" in caps and "UTF8=ONLY" not in caps
    assert not caps & {"UTF8=ALL", "UTF8=APPEND", "UTF8=USER"}


def test_enable(c):
    """ENABLE UTF8=ONLY is never right, and IMAP4rev2 is something else."""
    assert c.ok("ENABLE UTF8=ONLY") == [b"* ENABLED"]
    accept(c)
    assert c.ok("ENABLE UTF8=ACCEPT IMAP4rev2") == [b"* ENABLED IMAP4rev2"]


@pytest.mark.parametrize("bad", INVALID)
def test_quoted_that_is_no_utf8(c, bad):
    """Section 3: BAD, enabled or not; nothing happens."""
    for _ in range(2):
        for command in (b'CREATE "a%s"', b'SELECT "%s"', b'LIST "" "%s"',
                        b'STATUS "%s" (MESSAGES)', b'SUBSCRIBE "%s"',
                        b'RENAME INBOX "%s"', b'LIST "%s" *'):
            c.bad(command % bad)
        accept(c) if _ == 0 else None
    c.ok("SELECT INBOX")
    c.bad(b'SEARCH SUBJECT "%s"' % bad)
    c.bad(b'COPY 1 "%s"' % bad)
    assert len(c.ok('LIST "" "a*"')) <= 1  # Archive


def test_names_before_enable(c):
    """Section 3: UTF-8 in names is understood from everybody, and told in
    modified UTF-7."""
    c.ok('CREATE "Grüße"')
    for command in ('SELECT "Grüße"', "SELECT Gr&APwA3w-e",
                    'SUBSCRIBE "Grüße"', 'STATUS "Grüße" (MESSAGES)'):
        got = c.ok(command)
        assert not any("ü".encode() in r for r in got)
    for pattern in ('"Gr*"', '"Grü*"', '"*ß%"'):
        assert [r for r in c.ok('LIST "" ' + pattern)
                if r.endswith(b" Gr&APwA3w-e")]
    assert any(r.endswith(b" Gr&APwA3w-e") for r in c.ok('LSUB "" *'))
    assert c.ok('LIST "Grü" "*e"')
    c.bad("SELECT Grüße")  # no atom
    c.ok('RENAME "Grüße" "Küsse & Grüße"')
    c.ok('DELETE "K&APw-sse &- Gr&APwA3w-e"')


def test_names_once_enabled(c):
    """Raw "&", raw UTF-8, no modified UTF-7."""
    accept(c)
    for name in ("R&D", "&", "&AOQ-", "日本語", "a & ü", "&-"):
        c.ok('CREATE "%s"' % name)
        assert any(name.encode() in r for r in c.ok('LIST "" *'))
        assert b"STATUS" in c.ok('STATUS "%s" (MESSAGES)' % name)[0]
        c.ok('SELECT "%s"' % name)
        c.ok("UNSELECT")
    old = c.box.connect()
    seen = b" ".join(old.ok('LIST "" *'))
    for wire in (b"R&-D", b"&-AOQ-", b"&ZeVnLIqe-", b'"a &- &APw-"', b"&--"):
        assert wire in seen
    assert old.no("SELECT &AOQ-").startswith(b"[NONEXISTENT]")
    c.ok('DELETE "&AOQ-"')


@pytest.mark.parametrize("name", ["\u0080", "x\u009f", "\u2028", "a\u2029b",
                                  "\x7f", "a\x01"])
def test_names_that_may_not_be(c, name):
    accept(c)
    status, text, _ = c.cmd('CREATE "%s"' % name)
    assert status == "NO" and text.startswith(b"[CANNOT]"), (status, text)


def test_net_unicode(c):
    """RFC 5198: composed."""
    accept(c)
    c.ok('CREATE "u\u0308"')
    assert any("\u00fc".encode() in r for r in c.ok('LIST "" *'))
    status, text, _ = c.cmd('CREATE "\u00fc"')
    assert status == "NO" and text.startswith(b"[ALREADYEXISTS]")
    c.ok('SELECT "u\u0308"')


def test_search(c):
    """Section 3: no charset once enabled; UTF-8 then. SORT and THREAD, which
    must have one: no other."""
    accept(c)
    assert append(c, MESSAGE)[0] == "OK"
    c.ok("SELECT INBOX")
    assert c.ok('SEARCH SUBJECT "GRÜSSE"') == [b"* SEARCH"]
    assert c.ok('SEARCH SUBJECT "grüße"') == [b"* SEARCH 1"]
    assert c.ok('SEARCH FROM "bücher"') == [b"* SEARCH 1"]
    status, _, got = c.literal("SEARCH TO", "李".encode())
    assert status == "OK" and got == [b"* SEARCH 1"]
    for bad in ("SEARCH CHARSET UTF-8 ALL", "SEARCH CHARSET US-ASCII ALL",
                "UID SEARCH RETURN (ALL) CHARSET UTF-8 ALL",
                "SORT (SUBJECT) US-ASCII ALL", "SORT (DATE) ISO-8859-1 ALL",
                "THREAD REFERENCES US-ASCII ALL",
                "UID THREAD ORDEREDSUBJECT KOI8-R ALL"):
        c.bad(bad)
    assert c.ok("SORT (SUBJECT) UTF-8 ALL") == [b"* SORT 1"]
    assert c.ok("THREAD REFERENCES utf-8 ALL") == [b"* THREAD (1)"]
    other = c.box.connect()
    other.ok("SELECT INBOX")
    assert other.ok("SEARCH CHARSET UTF-8 ALL") == [b"* SEARCH 1"]


def test_append(tunnel):
    """Section 4: 8-bit in the header only from those who enabled it."""
    c = tunnel.connect("append_8bit_headers=no")
    for bad in (MESSAGE, b"Subject: \xfc\r\n\r\nx\r\n", b"A\xff: b\r\n\r\n",
                b"a: b\r\n \xc3\xbc\r\n\r\n"):
        status, text, _ = append(c, bad)
        assert status == "NO" and b"UTF8=ACCEPT" in text, (status, text)
    assert c.ok("STATUS INBOX (MESSAGES)") == [b"* STATUS INBOX (MESSAGES 0)"]
    # in the body it is nobody's business
    assert append(c, b"a: b\r\n\r\n\xc3\xbc \xff\r\n")[0] == "OK"
    accept(c)
    assert append(c, MESSAGE)[0] == "OK"
    assert c.ok("STATUS INBOX (MESSAGES)") == [b"* STATUS INBOX (MESSAGES 2)"]


def test_append_in_imap4rev2(c):
    c.ok("ENABLE IMAP4rev2")
    assert append(c, MESSAGE)[0] == "OK"


def test_append_in_pieces(tunnel):
    """The 8-bit byte comes late and alone; the session goes on."""
    c = tunnel.connect("append_8bit_headers=no")
    tag = c.tag()
    c.send(tag + b" APPEND INBOX {%d+}\r\nA: " % len(MESSAGE))
    rest = MESSAGE[3:]
    at = rest.index(b"\xc3")
    for piece in (rest[:at], rest[at:at + 1], rest[at + 1:] + b"\r\n"):
        c.send(piece)
    status, text, _ = c.finish(tag)
    assert status == "NO" and b"8-bit" in text
    c.ok("NOOP")


def test_append_of_old_mail(c):
    assert append(c, MESSAGE)[0] == "OK"
    assert append(c, b"Subject: \xfc\r\n\r\nx\r\n")[0] == "OK"


def test_envelope(c):
    """UTF-8 in quoted strings for those who enabled it, and for them alone."""
    c.box.deliver(MESSAGE)
    accept(c).ok("SELECT INBOX")
    old = c.box.connect()
    old.ok("SELECT INBOX")
    want = ('ENVELOPE (NIL "Grüße" (("Zoë" NIL "zoë" "bücher.example"))'
            ' (("Zoë" NIL "zoë" "bücher.example"))'
            ' (("Zoë" NIL "zoë" "bücher.example"))'
            ' (("李" NIL "李" "例子.example"))'
            ' NIL NIL NIL "<ü@bücher.example>")')
    for _ in range(2):
        assert c.ok("FETCH 1 ENVELOPE") == [
            b"* 1 FETCH (%s)" % want.encode()]
        got = old.ok("FETCH 1 ENVELOPE")[0]
        # 8-bit is within literals alone
        assert b'"Gr' not in got and b"{7}\r\nGr\xc3\xbc\xc3\x9fe" in got
    # the header itself is what it is for everybody
    for client in (c, old):
        got = client.ok("FETCH 1 (RFC822.SIZE BODY.PEEK[HEADER])")[0]
        assert b"BODY[HEADER] {%d}\r\n%s" % (len(HEADER) + 2, HEADER) in got


def test_bodystructure(c):
    c.box.deliver("Content-Type: text/plain; name=\"ü\"\r\nContent-Description:"
                  " Grüße\r\nContent-Disposition: attachment; filename=\"ü\""
                  "\r\n\r\nx\r\n".encode())
    accept(c).ok("SELECT INBOX")
    for _ in range(2):
        got = c.ok("FETCH 1 BODYSTRUCTURE")[0]
        assert b"{" not in got and '("name" "ü"'.encode() in got
        assert '"Grüße"'.encode() in got


def test_login_is_not_extended(shared, user):
    """Section 5."""
    with shared.imap() as c:
        status, _, _ = c.cmd('LOGIN "ü" "x"')
        assert status in ("BAD", "NO")
        c.ok("NOOP")


@pytest.mark.parametrize("enabled", [False, True])
def test_names_of_fields(box, enabled):
    """UTF-8 in the strings of a section, too; no message has such a field."""
    box.deliver(b"Subject: x\r\n\r\nhi\r\n", flags="")
    c = box.connect()
    if enabled:
        c.ok("ENABLE UTF8=ACCEPT")
    c.ok("SELECT INBOX")
    for name in ('"\u00fcx"', "{3+}\r\n\u00fcx"):
        got = c.ok("FETCH 1 BODY.PEEK[HEADER.FIELDS (SUBJECT %s)]" % name)
        assert got[0].endswith(b" {14}\r\nSubject: x\r\n\r\n)"), got
