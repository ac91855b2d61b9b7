# SPDX-License-Identifier: ISC
"""CATENATE and URL-PARTIAL: RFC 4469, RFC 5092, RFC 5550 section 5.7.1."""
import os
import re
import socket

import pytest

MBOX = True

PHOTO = b"R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7\r\n" * 40
DRAFT = (b"From: Bob Ar <bar@example.org>\r\nTo: foo@example.net\r\n"
         b"Subject: About our holiday trip\r\nMIME-Version: 1.0\r\n"
         b"Content-Type: multipart/mixed;\r\n"
         b" boundary=\"------------030308070208000400050907\"\r\n\r\n"
         b"--------------030308070208000400050907\r\n"
         b"Content-Type: text/plain; format=flowed\r\n\r\n"
         b"Our travel agent has sent the updated schedule.\r\n"
         b"\r\nCheers,\r\nBob\r\n"
         b"--------------030308070208000400050907\r\n"
         b"Content-Type: application/x-zip-compressed\r\n"
         b"Content-Transfer-Encoding: base64\r\n\r\n" + PHOTO +
         b"--------------030308070208000400050907--\r\n")
NEXT = b"\r\n--------------030308070208000400050907\r\n"
LAST = b"\r\n--------------030308070208000400050907--\r\n"


def literal(r, label):
    at = r.index(label.encode() + b" {")
    match = re.match(rb"\{(\d+)\}\r\n", r[at + len(label) + 1:])
    start = at + len(label) + 1 + match.end()
    return r[start:start + int(match.group(1))]


@pytest.fixture
def c(box):
    c = box.connect()
    c.box = box
    c.ok("CREATE Drafts")
    text = c.append("Drafts", DRAFT, "(\\Draft)")
    c.validity = int(re.match(rb"\[APPENDUID (\d+) 1\]", text).group(1))
    return c


def url(text):
    return ("url", text.encode() if isinstance(text, str) else text)


def catenate(c, parts, mailbox="Drafts", command="APPEND", wait=True,
             options=""):
    """(status, text, untagged) of the command with those parts."""
    tag = c.tag()
    out = tag + b" " + command.encode() + b" " + mailbox.encode() + \
        options.encode() + b" CATENATE ("
    untagged = []
    for i, part in enumerate(parts):
        out += b" " if i else b""
        if isinstance(part, tuple):
            out += b'URL "' + part[1] + b'"'
            continue
        out += b"TEXT {%d%s}\r\n" % (len(part), b"" if wait else b"+")
        if wait:
            c.send(out)
            r = c.response()
            while r.startswith(b"* "):
                untagged.append(r)
                r = c.response()
            if not r.startswith(b"+"):
                assert r.startswith(tag + b" ")
                status, _, text = r[len(tag) + 1:].partition(b" ")
                return status.decode(), text, untagged
            out = b""
        out += part
    c.send(out + b")\r\n")
    status, text, more = c.finish(tag)
    return status, text, untagged + more


def made(c, uid, mailbox="Drafts"):
    c.ok("EXAMINE " + mailbox)
    return literal(list(c.fetch("%d BODY.PEEK[]" % uid, uid=True).values())[0],
                   "BODY[]")


def section(c, name, uid=1):
    c.ok("EXAMINE Drafts")
    return literal(
        list(c.fetch("%d BODY.PEEK[%s]" % (uid, name), uid=True).values())[0],
        "BODY[%s]" % name)


def test_announced(c):
    assert {"CATENATE", "URL-PARTIAL"} <= c.capabilities()


@pytest.mark.parametrize("wait", [True, False])
def test_rfc_example_1(c, wait):
    """An attachment is replaced."""
    at = "/Drafts;UIDVALIDITY=%d/;UID=1" % c.validity
    c.append("Drafts", b"new attachment\r\n")
    status, text, _ = catenate(c, [
        url(at + "/;section=HEADER"), NEXT, url(at + "/;section=1.MIME"),
        url(at + "/;section=1"), NEXT,
        url("/Drafts;UIDVALIDITY=%d/;UID=2" % c.validity), LAST],
        options=" (\\Seen \\Draft $MDNSent)", wait=wait)
    assert status == "OK" and text.startswith(
        b"[APPENDUID %d 3]" % c.validity)
    want = section(c, "HEADER") + NEXT + section(c, "1.MIME") + \
        section(c, "1") + NEXT + made(c, 2) + LAST
    assert made(c, 3) == want
    flags = c.flags("3")[3] - {"\\Recent"}
    assert flags == {"\\Seen", "\\Draft", "$MDNSent"}
    assert "\\Seen" not in c.flags("1")[1]


def test_rfc_example_2(c):
    """Edited text and header; then the old one goes."""
    at = "/Drafts;UIDVALIDITY=%d/;UID=1" % c.validity
    head = DRAFT[:DRAFT.index(b"--------------0303", 400)]
    status, _, _ = catenate(c, [
        head + NEXT[2:], url(at + "/;Section=2.MIME"),
        url(at + "/;Section=2"), LAST])
    assert status == "OK"
    got = made(c, 2)
    assert got == head + NEXT[2:] + section(c, "2.MIME") + \
        section(c, "2") + LAST
    assert b"application/x-zip-compressed" in got


def test_rfc_example_4(c):
    """The first URL that is wrong is named; nothing is appended."""
    bad = "/Drafts;UIDVALIDITY=%d/;UID=113330/;section=1.5.9" % c.validity
    status, text, _ = catenate(c, [
        b"Subject: Digest\r\n\r\n", url("/Drafts/;UID=1"), b"\r\n--x\r\n",
        url(bad), b"\r\n", url("/INBOX/;UID=77"), b"\r\n"])
    assert status == "NO" and text.startswith(
        b"[BADURL " + bad.encode() + b"] "), text
    assert b"(MESSAGES 1)" in c.ok("STATUS Drafts (MESSAGES)")[0]
    c.ok("NOOP")


def test_bad_url_with_literals_sent_ahead(c):
    """Nothing of what follows is taken for a command."""
    status, text, _ = catenate(c, [
        b"a\r\n", url("/Nix/;UID=1"), b"x NOOP\r\n", b"y LOGOUT\r\n"],
        wait=False)
    assert status == "NO" and text.startswith(b"[BADURL /Nix/;UID=1]")
    c.ok("NOOP")


@pytest.mark.parametrize("bad", [
    "/Drafts/;UID=2", "/Drafts;UIDVALIDITY=1/;UID=1", "/Drafts/;UID=1/"
    ";SECTION=3", "/Drafts/;UID=1/;SECTION=1.HEADER", "/Drafts", "/Drafts/"
    ";UID=1/;SECTION=NIX", "Drafts/;UID=1", ";UID=1", "", "/;UID=1",
    "/Drafts/;UID=0", "/Drafts?ALL", "http://localhost/Drafts/;UID=1",
    "imap://mail.example.invalid/Drafts/;UID=1",
    "imap://mallory@localhost/Drafts/;UID=1", "//mallory@localhost/Drafts/"
    ";UID=1", "/%44rafts%00/;UID=1", "/Drafts/;UID=1;URLAUTH=anonymous",
    "/../Drafts/;UID=1", "/#user/mallory/INBOX/;UID=1", "/Drafts/;UID=1/"
    ";PARTIAL=0.0", "/Drafts/;UID=4294967295", "/" + "a" * 5000 + "/;UID=1"])
def test_bad_urls(c, bad):
    status, text, _ = catenate(c, [b"a: b\r\n\r\n", url(bad)])
    assert status == "NO" and text.startswith(b"[BADURL "), text
    assert not text.startswith(b"[BADURL ]"), text
    assert b"(MESSAGES 1)" in c.ok("STATUS Drafts (MESSAGES)")[0]


def test_url_with_bytes_that_no_code_can_have(c):
    status, text, _ = c.literal("APPEND Drafts CATENATE (URL",
                                b"/a]\r\n\xff/;UID=1", b")")
    assert status == "NO" and text.startswith(b"[BADURL /a????/;UID=1] ")


def test_absolute_urls_of_this_server(c):
    user = c.box.user.replace("@", "%40")
    for server in ("imap://%s@localhost", "imap://%s;AUTH=*@localhost:143",
                   "//%s@localhost", "imap://%s@" + socket.gethostname()):
        status, _, _ = catenate(c, [url(server % user + "/Drafts/;UID=1")])
        assert status == "OK", server
    status, _, _ = catenate(c, [url("imap://localhost/Drafts/;UID=1")])
    assert status == "OK"


def test_partial(c):
    """URL-PARTIAL: bytes as FETCH counts them."""
    want = section(c, "2")
    for start, count in ((0, 10), (10, 1000), (len(want) - 1, 5),
                         (5, None), (1, len(want) + 7)):
        text = "/Drafts/;UID=1/;SECTION=2/;PARTIAL=%d" % start
        stop = len(want)
        if count is not None:
            text += ".%d" % count
            stop = start + count
        status, answer, _ = catenate(c, [b"A: b\r\n\r\n", url(text)])
        assert status == "OK"
        uid = int(answer.split()[2].rstrip(b"]"))
        got = made(c, uid)
        part = want[start:stop]
        # In an mbox file a message ends with a line end.
        assert got in (b"A: b\r\n\r\n" + part,
                       b"A: b\r\n\r\n" + part + b"\r\n")
    # Behind the end there is nothing.
    status, answer, _ = catenate(c, [
        b"A: b\r\n\r\nc\r\n", url("/Drafts/;UID=1/;PARTIAL=99999999.5")])
    assert status == "OK"
    assert made(c, int(answer.split()[2].rstrip(b"]"))) == \
        b"A: b\r\n\r\nc\r\n"


def test_header_fields(c):
    status, answer, _ = catenate(c, [
        url("/Drafts/;UID=1/;SECTION=HEADER.FIELDS%20(SUBJECT%20%22To%22)"),
        b"text\r\n"])
    assert status == "OK"
    assert made(c, 2) == (b"To: foo@example.net\r\nSubject: About our "
                          b"holiday trip\r\n\r\ntext\r\n")


def test_names_in_utf8(c):
    """Names in URLs are UTF-8, whatever the session has enabled."""
    c.ok('CREATE "Entw&APw-rfe & mehr"'.replace(" & ", " &- "))
    c.append('"Entw&APw-rfe &- mehr"', DRAFT)
    for name in ("/Entw%C3%BCrfe%20%26%20mehr", "/Entw%C3%BCrfe%20&%20mehr"):
        status, _, _ = catenate(c, [url(name + "/;UID=1")])
        assert status == "OK", name


def test_inbox_in_any_case(c):
    c.append("INBOX", b"A: b\r\n\r\ninbox\r\n")
    status, _, _ = catenate(c, [url("/inBox/;UID=1")])
    assert status == "OK"
    assert made(c, 2) == b"A: b\r\n\r\ninbox\r\n"


def test_from_and_to_the_selected_mailbox(c):
    c.ok("SELECT Drafts")
    status, _, untagged = catenate(c, [url("/Drafts/;UID=1"), b"more\r\n"])
    assert status == "OK"
    assert b"* 2 EXISTS" in untagged
    assert "\\Seen" not in c.flags("1")[1]


def test_selected_mailbox_stays(c):
    c.append("INBOX", b"A: b\r\n\r\ninbox\r\n")
    c.ok("SELECT Drafts")
    assert catenate(c, [url("/INBOX/;UID=1")])[0] == "OK"
    assert c.fetch("1 UID")[1] == b"* 1 FETCH (UID 1)"
    assert b"* STATUS INBOX (RECENT 1)" in c.ok("STATUS INBOX (RECENT)")


def test_with_multiappend(c):
    """RFC 3502 and RFC 4469 together: all or nothing."""
    c.send(b"x APPEND Drafts {6+}\r\nA: 1\r\n (\\Seen) CATENATE (TEXT {6+}\r\n"
           b"A: 2\r\n URL /Drafts/;UID=1 TEXT {3+}\r\ne\r\n) {6+}\r\nA: 3\r\n"
           b"\r\n")
    status, text, _ = c.finish(b"x")
    assert status == "OK" and b" 2:4]" in text
    assert made(c, 3) == b"A: 2\r\n" + DRAFT + b"e\r\n"
    c.send(b"y APPEND Drafts {6+}\r\nA: 1\r\n CATENATE (TEXT {6+}\r\nA: 2\r\n"
           b" URL /Drafts/;UID=99) {6+}\r\nA: 3\r\n\r\n")
    status, text, _ = c.finish(b"y")
    assert status == "NO" and text.startswith(b"[BADURL ")
    assert b"(MESSAGES 4)" in c.ok("STATUS Drafts (MESSAGES)")[0]


def test_with_literal8(c):
    """BINARY: a part with NULs makes the whole one that is looked at."""
    c.send(b"x APPEND Drafts CATENATE (TEXT {6+}\r\nA: b\r\n TEXT ~{7+}\r\n"
           b"\r\na\0b\r\n)\r\n")
    assert c.finish(b"x")[0] == "OK"
    assert b"YQBiDQo=" in made(c, 2)
    c.send(b"y APPEND Drafts CATENATE (TEXT {4+}\r\na\0b\r)\r\n")
    assert c.finish(b"y")[0] == "BAD"


@pytest.mark.parametrize("args", [
    "CATENATE", "CATENATE ()", "CATENATE (TEXT)", "CATENATE (URL)",
    'CATENATE (URL "/Drafts/;UID=1" x)', 'CATENATE (NIX "a")',
    "CATENATE TEXT {3}", 'CATENATE (TEXT "abc")', "CATENATE ({3}",
    'CATENATE (URL "/Drafts/;UID=1") x', "CATENATE (UTF8 (~{3}",
    'CATENATE (URL (a))', 'CATENATE ((URL "/Drafts/;UID=1"))'])
def test_bad_arguments(tunnel, args):
    c = tunnel.connect()
    c.ok("CREATE Drafts")
    c.append("Drafts", DRAFT)
    tag = c.start("APPEND Drafts " + args)
    r = c.response()
    if r.startswith(b"+"):
        # A string that is kept in memory, which is asked for.
        c.send(b"abc)\r\n")
        r = c.response()
    assert r.startswith(tag + b" BAD "), r
    if args.endswith("{3}"):
        c.send(("t APPEND Drafts %s+}\r\nabc)\r\nu NOOP\r\n" %
                args[:-1]).encode())
        assert c.line().startswith(b"t BAD ")
        assert c.line().startswith(b"u OK ")
    assert b"(MESSAGES 1)" in c.ok("STATUS Drafts (MESSAGES)")[0]


def test_the_url_may_be_any_astring(c):
    for form in (b"/Drafts/;UID=1", b'"/Drafts/;UID=1"',
                 b"{14+}\r\n/Drafts/;UID=1"):
        c.send(b"x APPEND Drafts CATENATE (URL " + form + b")\r\n")
        assert c.finish(b"x")[0] == "OK"
    assert c.literal("APPEND Drafts CATENATE (URL", b"/Drafts/;UID=1",
                     b")")[0] == "OK"


def test_too_big(tunnel):
    """Texts are refused before they are sent, URLs as they grow."""
    c = tunnel.connect("append_limit=65536")
    c.append("INBOX", b"x: y\r\n\r\n" + b"z" * 60000)
    for parts in ([b"a" * 65537], [b"a" * 60000, b"b" * 6000],
                  [url("/INBOX/;UID=1")] * 2, [url("/INBOX/;UID=1"),
                                               b"b" * 6000]):
        status, text, _ = catenate(c, parts, "INBOX")
        assert status == "NO" and text.startswith(b"[TOOBIG]"), text
    assert len(tunnel.files()) == 1
    assert os.listdir(tunnel.maildir("tmp")) == []
    status, _, _ = catenate(c, [url("/INBOX/;UID=1/;PARTIAL=0.30000"),
                                b"b" * 30000], "INBOX")
    assert status == "OK"


def test_trycreate_comes_before_a_text(c):
    status, text, _ = catenate(c, [b"a"], "None")
    assert status == "NO" and text.startswith(b"[TRYCREATE]")


def test_empty(c):
    status, _, _ = catenate(c, [b"", b""])
    assert status == "NO"
    status, _, _ = catenate(c, [url("/Drafts/;UID=1/;PARTIAL=9999999")])
    assert status == "NO"


def test_message_expunged_meanwhile(c):
    other = c.box.connect()
    other.ok("SELECT Drafts")
    other.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    tag = c.tag()
    c.send(tag + b" APPEND Drafts CATENATE (TEXT {3}\r\n")
    assert c.line().startswith(b"+")
    other.ok("EXPUNGE")
    c.send(b"a\r\n URL /Drafts/;UID=1)\r\n")
    status, text, _ = c.finish(tag)
    assert status == "NO" and text.startswith(b"[BADURL /Drafts/;UID=1]")


def test_client_vanishes_between(tunnel):
    c = tunnel.connect()
    c.append("INBOX", DRAFT)
    c.send(b"x APPEND INBOX CATENATE (URL /INBOX/;UID=1 TEXT {10}\r\n")
    assert c.line().startswith(b"+")
    c.send(b"half")
    c.close()
    assert len(tunnel.files()) == 1
    assert os.listdir(tunnel.maildir("tmp")) == []


def test_large_messages_are_not_held(tunnel):
    c = tunnel.connect(timeout=60)
    data = b"A: b\r\n\r\n" + (b"0123456789" * 7 + b"\r\n") * 200000
    c.append("INBOX", data)
    status, _, _ = catenate(c, [url("/INBOX/;UID=1"), b"end\r\n",
                                url("/INBOX/;UID=1/;SECTION=TEXT")], "INBOX")
    assert status == "OK"
    with open("/proc/%d/status" % c.process.pid) as f:
        peak = int(re.search(r"VmHWM:\s+(\d+)", f.read()).group(1))
    assert peak < 16 * 1024 or os.environ.get("RESTANTE_SANITIZE"), peak
    c.ok("EXAMINE INBOX")
    assert b"RFC822.SIZE %d" % (2 * len(data) - 8 + 5) in \
        c.fetch("2 RFC822.SIZE")[2]
