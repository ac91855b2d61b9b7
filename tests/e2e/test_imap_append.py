# SPDX-License-Identifier: ISC
"""APPEND: RFC 3501 section 6.3.11, RFC 3502, RFC 4315, RFC 7888."""
import os
import re

import pytest
from lib.maildir import message

MBOX = True

SMALL = message(1, crlf=True)


def appenduid(text):
    match = re.match(rb"\[APPENDUID (\d+) ([0-9:,]+)\] ", text)
    assert match, text
    return int(match.group(1)), match.group(2).decode()


def body(c, seq):
    r = c.fetch("%d BODY.PEEK[]" % seq)[seq]
    match = re.search(rb"BODY\[\] \{(\d+)\}\r\n", r)
    return r[match.end():match.end() + int(match.group(1))]


def test_append(box):
    c = box.connect()
    validity, uid = appenduid(c.append("INBOX", SMALL))
    assert uid == "1"
    untagged = c.ok("SELECT INBOX")
    assert b"* 1 EXISTS" in untagged
    assert any(b"[UIDVALIDITY %d]" % validity in r for r in untagged)
    assert body(c, 1) == SMALL
    assert appenduid(c.append("INBOX", SMALL)) == (validity, "2")


def test_flags_and_date(box):
    c = box.connect()
    c.append("INBOX", SMALL,
             '(\\Seen \\flagged $Label1 word) "17-Jul-1996 02:44:25 -0700"')
    c.append("INBOX", SMALL, "(\\Answered \\Deleted \\Draft)")
    c.append("INBOX", SMALL, '" 7-Feb-1994 21:52:25 -0800"')
    c.append("INBOX", SMALL, "()")
    c.ok("SELECT INBOX")
    flags = {s: f - {"\\Recent"} for s, f in c.flags().items()}
    assert flags == {1: {"\\Seen", "\\Flagged", "$Label1", "word"},
                     2: {"\\Answered", "\\Deleted", "\\Draft"},
                     3: set(), 4: set()}
    import datetime
    dates = {s: re.search(rb'INTERNALDATE "([^"]*)"', r).group(1).decode()
             for s, r in c.fetch("1:* INTERNALDATE").items()}
    when = [datetime.datetime.strptime(dates[s].strip(),
                                       "%d-%b-%Y %H:%M:%S %z").timestamp()
            for s in (1, 3)]
    assert when == [837596665, 760686745]


@pytest.mark.parametrize("mailbox", ["inbox", '"INBOX"', "{5+}\r\nINBOX"])
def test_forms_of_the_name(tunnel, mailbox):
    c = tunnel.connect()
    appenduid(c.append(mailbox, SMALL))


def test_the_name_as_synchronising_literal(tunnel):
    c = tunnel.connect()
    c.send(b"a APPEND {5}\r\n")
    assert c.line().startswith(b"+ ")
    c.send(b"INBOX (\\Seen) {%d}\r\n" % len(SMALL))
    assert c.line().startswith(b"+ ")
    c.send(SMALL + b"\r\n")
    assert c.finish(b"a")[0] == "OK"


def test_trycreate(box):
    c = box.connect()
    status, text, _ = c.literal("APPEND none", SMALL)
    assert status == "NO" and text.startswith(b"[TRYCREATE]")
    # Without waiting: the literal is swallowed, the session goes on.
    c.send(b"x APPEND none {%d+}\r\n" % len(SMALL) + SMALL +
           b"\r\ny NOOP\r\n")
    status, text, _ = c.finish(b"x")
    assert status == "NO" and text.startswith(b"[TRYCREATE]")
    assert c.finish(b"y")[0] == "OK"
    c.ok("CREATE none")
    appenduid(c.append("none", SMALL))


def test_limit_is_told_before_the_message_is_sent(tunnel):
    c = tunnel.connect("append_limit=1000")
    c.send(b"a APPEND INBOX {1001}\r\n")
    assert c.line().startswith(b"a NO [TOOBIG]")
    c.send(b"b APPEND INBOX {1001+}\r\n" + b"x" * 1001 + b"\r\nc NOOP\r\n")
    assert c.line().startswith(b"b NO [TOOBIG]")
    assert c.line().startswith(b"c OK")
    appenduid(c.append("INBOX", b"y" * 1000))
    assert len(tunnel.files()) == 1


def test_100_mb_is_the_default_limit(tunnel):
    c = tunnel.connect()
    c.send(b"a APPEND INBOX {104857601}\r\n")
    assert c.line().startswith(b"a NO [TOOBIG]")
    c.send(b"b APPEND INBOX {104857600}\r\n")
    assert c.line().startswith(b"+ ")
    c.close()


@pytest.mark.parametrize("args", [
    "", "INBOX", "INBOX (\\Seen)", "INBOX {3", "INBOX \\Seen {3}", "INBOX (\\) {3}", "INBOX (\\*) {3}",
    "INBOX ((\\Seen)) {3}", 'INBOX ("x") {3}', "INBOX (a%b) {3}",
    'INBOX "1-Jan-2020" {3}', 'INBOX "32-Jan-2020 00:00:00 +0000" {3}',
    'INBOX "-Jan-2020 00:00:00 +0000" {3}',
    'INBOX " 1-Jan-2020 00:00:00 +0000" (\\Seen) {3}',
    'INBOX " 1-Jan-2020 00:00:00 +0000" " 1-Jan-2020 00:00:00 +0000" {3}',
    'INBOX () () {3}', "INBOX NIL {3}", "(INBOX) {3}",
    "INBOX abc", 'INBOX "abc"', "IN*OX {3}"])
def test_bad_arguments(tunnel, args):
    c = tunnel.connect()
    c.bad(("APPEND " + args).strip())
    # The same sent without waiting: no byte is taken for a command.
    if args.endswith("{3}"):
        c.send(("t APPEND %s{3+}\r\n" % args[:-3]).encode() +
               b"a\r\n\r\nu NOOP\r\n")
        assert c.line().startswith(b"t BAD ")
        assert c.line().startswith(b"u OK ")
    assert tunnel.files() == {}
    assert os.listdir(tunnel.maildir("tmp")) == []


def test_garbage_behind_the_message(tunnel):
    c = tunnel.connect()
    for after in (b"x", b" ", b" x", b")", b" {3}x", b"\0"):
        status, _, _ = c.literal("APPEND INBOX", SMALL, after)
        assert status == "BAD", after
        assert tunnel.files() == {}
    c.ok("NOOP")
    assert os.listdir(tunnel.maildir("tmp")) == []


def test_nul_is_refused(tunnel):
    c = tunnel.connect()
    status, _, _ = c.literal("APPEND INBOX", b"Subject: x\r\n\r\na\0b\r\n")
    assert status == "BAD"
    assert tunnel.files() == {}
    c.ok("NOOP")


def test_an_empty_message(tunnel):
    c = tunnel.connect()
    c.send(b"a APPEND INBOX {0}\r\n")
    assert c.line().startswith(b"a NO ")
    c.send(b"b APPEND INBOX {0+}\r\n\r\nc NOOP\r\n")
    assert c.line().startswith(b"b NO ")
    assert c.line().startswith(b"c OK ")
    assert tunnel.files() == {}


@pytest.mark.parametrize("text", [
    b"x", b"\r\n", b"no header at all", b"a: b\nlone LF\n",
    b"a: b\r\n\r\n\xff\xfe8-bit \xc3\xa4\r\n", b"\n\r\nx\r",
    b"a: b\r\n\r\n" + b"y" * 10000 + b"\r\n"])
def test_bytes_come_back(tunnel, text):
    """Only line ends may be other ones: CRLF as it should be."""
    c = tunnel.connect()
    c.append("INBOX", text)
    c.ok("SELECT INBOX")
    want = re.sub(rb"(?<!\r)\n", b"\r\n", text)
    assert body(c, 1) == want


def test_the_selected_mailbox_is_told(box):
    c = box.connect()
    c.ok("SELECT INBOX")
    status, _, untagged = c.literal("APPEND INBOX", SMALL)
    assert status == "OK"
    assert b"* 1 EXISTS" in untagged and b"* 1 RECENT" in untagged


def test_a_message_is_whole_or_not_there(tunnel):
    c = tunnel.connect()
    c.send(b"a APPEND INBOX {1000000}\r\n")
    c.line()
    c.send(b"z" * 500000)
    c.close()
    assert tunnel.files() == {}
    assert os.listdir(tunnel.maildir("tmp")) == []


def test_large_messages_go_to_disk(tunnel):
    """30 MB must not be held in memory."""
    c = tunnel.connect()
    line = b"0123456789" * 7 + b"\r\n"
    n = 30 * 1024 * 1024 // len(line)
    c.send(b"a APPEND INBOX {%d}\r\n" % (n * len(line)))
    assert c.line().startswith(b"+ ")
    for _ in range(n // 1000):
        c.send(line * 1000)
    c.send(line * (n % 1000) + b"\r\n")
    assert c.finish(b"a")[0] == "OK"
    with open("/proc/%d/status" % c.process.pid) as f:
        peak = int(re.search(r"VmHWM:\s+(\d+)", f.read()).group(1))
    assert peak < 16 * 1024 or os.environ.get("RESTANTE_SANITIZE"), peak
    c.ok("SELECT INBOX")
    assert b"RFC822.SIZE %d" % (n * len(line)) in \
        c.fetch("1 RFC822.SIZE")[1]


def test_multiappend(box):
    """RFC 3502: several messages, all or nothing."""
    c = box.connect()
    c.send(b"a APPEND INBOX (\\Seen) {%d}\r\n" % len(SMALL))
    assert c.line().startswith(b"+ ")
    c.send(SMALL + b' " 7-Feb-1994 21:52:25 -0800" {5}\r\n')
    assert c.line().startswith(b"+ ")
    c.send(b"a\r\n\r\n (\\Flagged) {6+}\r\nb: c\r\n\r\n")
    status, text, _ = c.finish(b"a")
    assert status == "OK"
    assert appenduid(text)[1] == "1:3"
    c.ok("SELECT INBOX")
    flags = {s: f - {"\\Recent"} for s, f in c.flags().items()}
    assert flags == {1: {"\\Seen"}, 2: set(), 3: {"\\Flagged"}}
    # In an mbox file every header has an end.
    assert body(c, 3) == b"b: c\r\n" + (
        b"\r\n" if box.store == "mbox" else b"")


@pytest.mark.parametrize("second", [b" (\\) {5+}\r\nabcde", b" x",
                                    b" {3+}\r\nabcd", b" {0+}\r\n"])
def test_multiappend_is_all_or_nothing(tunnel, second):
    c = tunnel.connect()
    c.send(b"a APPEND INBOX {5+}\r\na: b\n" + second + b"\r\nb NOOP\r\n")
    status, _, _ = c.finish(b"a")
    assert status in ("BAD", "NO")
    assert c.finish(b"b")[0] == "OK"
    assert tunnel.files() == {}
    assert os.listdir(tunnel.maildir("tmp")) == []


def test_multiappend_stopped_between(tunnel):
    c = tunnel.connect()
    c.send(b"a APPEND INBOX {5+}\r\na: b\n {5}\r\n")
    assert c.line().startswith(b"+ ")
    c.close()
    assert tunnel.files() == {}


def test_many_appends(box):
    c = box.connect()
    for i in range(100):
        assert appenduid(c.append("INBOX", message(i, crlf=True)))[1] == \
            str(i + 1)
    assert len(box.files()) == 100


def test_sessions_that_append_at_the_same_time(box):
    """They share their waits for the disk, and nothing else: each gets the
    UID of its own message, also when one of them goes in between."""
    conns = [box.connect() for _ in range(6)]
    told = {}
    for turn in range(4):
        texts = [message(100 * turn + i, crlf=True)
                 for i in range(len(conns))]
        for c, text in zip(conns, texts):
            c.send(b"t%d APPEND INBOX {%d+}\r\n" % (turn, len(text)))
        for c, text in zip(conns, texts):
            c.send(text + b"\r\n")
        if turn == 1:
            conns.pop().close()
        for i, c in enumerate(conns):
            status, why, _ = c.finish(b"t%d" % turn)
            assert status == "OK", why
            told[int(appenduid(why)[1])] = texts[i]
    c = conns[0]
    c.ok("SELECT INBOX")
    for uid, text in told.items():
        r, = c.ok("UID FETCH %d BODY.PEEK[]" % uid)
        assert text in r
    assert len(told) == 6 + 5 + 5 + 5
