# SPDX-License-Identifier: ISC
"""LITERAL+ and LITERAL- (RFC 7888), APPENDLIMIT (RFC 7889), long lines, and
pipelining around literals."""
import os
import re

import pytest
from lib import maildir, server
from lib.wire import Closed

MBOX = True

SMALL = maildir.message(1, crlf=True)


def limit(c):
    for word in c.capabilities():
        match = re.match(r"APPENDLIMIT=(\d+)$", word)
        if match:
            return int(match.group(1))
    raise AssertionError("no APPENDLIMIT")


def bye(c):
    """All lines up to the end, of which the last one must be a BYE."""
    lines = []
    try:
        while True:
            lines.append(c.line())
    except Closed:
        pass
    assert lines and lines[-1].startswith(b"* BYE "), lines
    return lines


# ---- LITERAL+ ------------------------------------------------------------------

def test_announced(box):
    c = box.connect()
    assert "LITERAL+" in c.capabilities()
    assert "LITERAL-" not in c.capabilities()


@pytest.mark.parametrize("size", [0, 1, 4096, 4097, 100000])
def test_any_size(box, size):
    c = box.connect()
    c.send(b"x CREATE {%d+}\r\n" % size + b"n" * size + b"\r\ny NOOP\r\n")
    status = c.finish(b"x")[0]
    assert status == ("OK" if size == 1 else "NO"), status
    assert c.finish(b"y")[0] == "OK"


def test_literals_end_where_they_end(box):
    """What follows the bytes belongs to the same command."""
    c = box.connect()
    c.send(b"x RENAME {1+}\r\na {1+}\r\nb\r\ny LIST {0+}\r\n {1+}\r\n*\r\n"
           b"z STATUS {5+}\r\ninbox (MESSAGES)\r\n")
    assert c.finish(b"x")[0] == "NO"
    assert c.finish(b"y")[0] == "OK"
    status, _, untagged = c.finish(b"z")
    assert status == "OK" and len(untagged) == 1


@pytest.mark.parametrize("line", [
    b"x NIX {12+}\r\ny LOGOUT\r\n\r\n", b"x NIX a b {12+}\r\ny LOGOUT\r\n\r\n"
    b" {3+}\r\nabc", b"x SELECT (\r\n", b"x SELECT \"{12+}\r\ny LOGOUT\r\n\r\n",
    b"x FETCH 1 {12+}\r\ny LOGOUT\r\n\r\n", b"{12+}\r\ny LOGOUT\r\n\r\n"])
def test_literals_of_broken_commands_are_skipped(tunnel, line):
    c = tunnel.connect()
    c.send(line + (b"" if line.endswith(b"\r\n") and b"(" in line
                   else b"\r\n") + b"z NOOP\r\n")
    r = c.line()
    assert r.startswith((b"x BAD", b"* BAD")), r
    assert c.line().startswith(b"z OK")


def test_too_large_for_memory(tunnel):
    """1 MiB is kept in memory for anything but a message."""
    c = tunnel.connect()
    c.send(b"x CREATE {1048577}\r\n")
    assert c.line().startswith(b"x BAD [TOOBIG]")
    c.send(b"y CREATE {1048577+}\r\n" + b"y" * 1048577 + b"\r\nz NOOP\r\n")
    assert c.line().startswith(b"y BAD [TOOBIG]")
    assert c.line().startswith(b"z OK")


def test_message_over_the_limit_is_skipped(tunnel):
    c = tunnel.connect("append_limit=1048576")
    n = 1 << 20
    c.send(b"x APPEND INBOX {%d+}\r\n" % (n + 1) + b"y" * (n + 1) +
           b"\r\nz NOOP\r\n")
    assert c.line().startswith(b"x NO [TOOBIG]")
    assert c.line().startswith(b"z OK")
    c.send(b"x APPEND INBOX (\\Seen) {3+}\r\nabc ~{%d+}\r\n" % (n + 1) +
           b"y" * (n + 1) + b" {5+}\r\n12345\r\nz NOOP\r\n")
    assert c.line().startswith(b"x NO [TOOBIG]")
    assert c.line().startswith(b"z OK")
    assert tunnel.files() == {}


@pytest.mark.parametrize("command", [
    b"APPEND INBOX {%d+}", b"APPEND INBOX {3+}\r\nabc {%d+}", b"NIX {%d+}",
    b"CREATE {%d+}", b"APPEND nowhere ~{%d+}",
    b"APPEND INBOX CATENATE (TEXT {%d+}", b"APPEND INBOX (\\Nix) {%d+}"])
@pytest.mark.parametrize("size", [(1 << 21) + 1, 1 << 40, 1 << 70])
def test_much_too_large_ends_the_session(tunnel, command, size):
    """RFC 7888 section 4: rather than to read it for nothing."""
    c = tunnel.connect("append_limit=1048576")
    c.send(b"x " + command % size + b"\r\nz LOGOUT\r\n")
    lines = bye(c)
    assert lines[-1].startswith(b"* BYE [TOOBIG]")
    assert len(lines) == 2 and lines[0].startswith((b"x NO ", b"x BAD ")), \
        lines
    assert tunnel.files() == {}
    assert os.listdir(tunnel.maildir("tmp")) == []


def test_synchronising_ones_never_end_it(tunnel):
    c = tunnel.connect("append_limit=1048576")
    for size in (1 << 21, 1 << 40, 1 << 70):
        for command in (b"APPEND INBOX", b"CREATE", b"NIX"):
            c.send(b"x %s {%d}\r\n" % (command, size))
            assert c.line().startswith((b"x NO", b"x BAD"))
    c.ok("NOOP")


# ---- LITERAL- ------------------------------------------------------------------

@pytest.fixture
def minus(tunnel):
    c = tunnel.connect("nonsync_literals=small", "append_limit=1048576")
    c.box = tunnel
    return c


def test_minus_is_announced_alone(minus):
    assert "LITERAL-" in minus.capabilities()
    assert "LITERAL+" not in minus.capabilities()


def test_minus_takes_4096(minus):
    c = minus
    data = SMALL + b"x" * (4096 - len(SMALL))
    c.send(b"x APPEND INBOX {4096+}\r\n" + data + b"\r\n")
    assert c.finish(b"x")[0] == "OK"
    c.send(b"y APPEND INBOX (\\Seen) ~{4096+}\r\n" + data + b"\r\n")
    assert c.finish(b"y")[0] == "OK"
    c.append("INBOX", SMALL * 100)


@pytest.mark.parametrize("command", [
    b"APPEND INBOX {4097+}", b"APPEND INBOX ~{4097+}", b"CREATE {4097+}",
    b"APPEND INBOX {3+}\r\nabc (\\Seen) {4097+}",
    b"APPEND INBOX CATENATE (TEXT {4097+}"])
def test_minus_refuses_more_with_toobig(minus, command):
    c = minus
    c.send(b"x " + command + b"\r\n" + b"y" * 4097 +
           (b")" if b"(TEXT" in command else b"") + b"\r\nz NOOP\r\n")
    assert c.line().startswith(b"x BAD [TOOBIG]")
    assert c.line().startswith(b"z OK")
    assert c.box.files() == {}


def test_minus_before_login(start):
    s = start(settings={"nonsync_literals": "small"})
    from lib import wire
    with wire.Imap("127.0.0.1", s.imap_port) as c:
        assert b" LITERAL- " in c.greeting.replace(b"]", b" ")
        assert b"LITERAL+" not in c.greeting
        c.send(b"A001 LOGIN {5+}\r\nalice {%d+}\r\n%s\r\n" % (
            len(server.PASSWORD), server.PASSWORD.encode()))
        status, text, _ = c.finish(b"A001")
        assert status == "OK" and b" LITERAL- " in text
    s.stop()


# ---- APPENDLIMIT ---------------------------------------------------------------

def test_limit_is_announced(box):
    c = box.connect()
    assert limit(c) == 100 << 20


def test_limit_of_mailboxes(box):
    """RFC 7889 sections 3.1 and 3.2."""
    c = box.connect()
    c.ok("CREATE other")
    n = limit(c)
    assert c.ok("STATUS INBOX (APPENDLIMIT)") == \
        [b"* STATUS INBOX (APPENDLIMIT %d)" % n]
    assert c.ok("STATUS other (MESSAGES appendlimit)") == \
        [b"* STATUS other (MESSAGES 0 APPENDLIMIT %d)" % n]
    untagged = c.ok('LIST "" % RETURN (STATUS (APPENDLIMIT))')
    assert sum(r.startswith(b"* LIST ") for r in untagged) > 1
    assert sum(b"(APPENDLIMIT %d)" % n in r for r in untagged) == \
        sum(r.startswith(b"* LIST ") for r in untagged)
    assert c.no("STATUS none (APPENDLIMIT)").startswith(b"[NONEXISTENT]")


def test_limit_is_the_setting(tunnel):
    c = tunnel.connect("append_limit=70000")
    assert limit(c) == 70000
    assert b"(APPENDLIMIT 70000)" in c.ok("STATUS INBOX (APPENDLIMIT)")[0]
    c.append("INBOX", b"x" * 70000)
    c.send(b"x APPEND INBOX {70001}\r\n")
    assert c.line().startswith(b"x NO [TOOBIG]")


# ---- lines ---------------------------------------------------------------------

def test_long_lines(tunnel):
    """A command line may have 64 KiB, one with a set more."""
    tunnel.fill(3)
    c = tunnel.connect()
    c.ok("SELECT INBOX")
    padding = 65536 - len(b"x SEARCH \r\n")
    c.send(b"x SEARCH " + b"ALL " * (padding // 4 - 1) + b"ALL\r\n")
    status, _, untagged = c.finish(b"x")
    assert status == "OK" and untagged == [b"* SEARCH 1 2 3"]
    text = b"x" * 60000
    c.send(b'x SEARCH SUBJECT "' + text + b'"\r\n')
    assert c.finish(b"x")[2] == [b"* SEARCH"]
    c.send(b"x CREATE " + b"y" * 70000 + b"\r\nz NOOP\r\n")
    assert c.line().startswith(b"x BAD")
    assert c.line().startswith(b"z OK")


def test_long_sets(tunnel):
    tunnel.fill(3)
    c = tunnel.connect()
    c.ok("SELECT INBOX")
    numbers = b",".join(b"%d" % (i * 2 + 1000000000) for i in range(9999))
    assert len(numbers) > 100000
    for command in (b"UID FETCH 1:3,%s FLAGS", b"UID STORE 1:3,%s +FLAGS (x)",
                    b"UID SEARCH UID 1:3,%s", b"UID EXPUNGE %s"):
        c.send(b"x " + command % numbers + b"\r\n")
        status, _, untagged = c.finish(b"x")
        assert status == "OK", (command, status)
        assert len(untagged) >= (0 if b"EXPUNGE" in command else 1)
    # More ranges than may be: refused, and in step.
    numbers += b",5" * 20000
    c.send(b"x UID FETCH " + numbers + b" FLAGS\r\nz NOOP\r\n")
    assert c.line().startswith(b"x BAD")
    assert c.line().startswith(b"z OK")


# ---- pipelining ----------------------------------------------------------------

def test_commands_behind_a_literal(box):
    """All at once; answered in order, the literals taken for what they are."""
    c = box.connect()
    trap = b"A: b\r\n\r\nt LOGOUT\r\n"
    out = b""
    for i in range(20):
        out += b"a%d APPEND INBOX {%d+}\r\n" % (i, len(trap)) + trap + b"\r\n"
        out += b"n%d NOOP\r\n" % i
        out += b"s%d STATUS INBOX (MESSAGES)\r\n" % i
    c.send(out + b"z NOOP\r\n")
    for i in range(20):
        assert c.finish(b"a%d" % i)[0] == "OK"
        assert c.finish(b"n%d" % i)[0] == "OK"
        assert c.finish(b"s%d" % i)[2] == \
            [b"* STATUS INBOX (MESSAGES %d)" % (i + 1)]
    assert c.finish(b"z")[0] == "OK"


def test_literal_in_pieces_with_commands_behind(box):
    """A slow client: a byte at a time, the next command in the same piece."""
    c = box.connect()
    c.ok("SELECT INBOX")
    whole = (b"a APPEND INBOX (\\Seen) {%d+}\r\n" % len(SMALL) + SMALL +
             b"\r\nb FETCH 1 FLAGS\r\nc APPEND INBOX ~{6+}\r\nA: b\r\n\r\n"
             b"d SEARCH ALL\r\n")
    for i in range(0, len(whole), 7):
        c.send(whole[i:i + 7])
    assert c.finish(b"a")[0] == "OK"
    status, _, untagged = c.finish(b"b")
    assert status == "OK" and any(b"\\Seen" in r for r in untagged)
    assert c.finish(b"c")[0] == "OK"
    assert c.finish(b"d")[2] == [b"* SEARCH 1 2"]


def test_behind_idle(box):
    c = box.connect()
    c.ok("SELECT INBOX")
    c.send(b"a IDLE\r\nDONE\r\nb APPEND INBOX {%d+}\r\n" % len(SMALL) +
           SMALL + b"\r\nc IDLE\r\nDONE\r\nd NOOP\r\n")
    assert c.line().startswith(b"+")
    assert c.finish(b"a")[0] == "OK"
    assert c.finish(b"b")[0] == "OK"
    assert c.line().startswith(b"+")
    assert c.finish(b"c")[0] == "OK"
    assert c.finish(b"d")[0] == "OK"


def test_behind_a_synchronising_literal(box):
    """The next command comes together with the literal that was asked for."""
    c = box.connect()
    c.send(b"a APPEND INBOX {%d}\r\n" % len(SMALL))
    assert c.line().startswith(b"+")
    c.send(SMALL + b"\r\nb STATUS INBOX (MESSAGES)\r\nc APPEND none {3}\r\n")
    assert c.finish(b"a")[0] == "OK"
    assert c.finish(b"b")[2] == [b"* STATUS INBOX (MESSAGES 1)"]
    status, text, _ = c.finish(b"c")
    assert status == "NO" and text.startswith(b"[TRYCREATE]")
    # It is not sent then: the next line is a command.
    c.send(b"d NOOP\r\n")
    assert c.finish(b"d")[0] == "OK"
