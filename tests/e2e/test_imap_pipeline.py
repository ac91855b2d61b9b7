# SPDX-License-Identifier: ISC
"""Every command behind others, behind IDLE, and behind a literal of APPEND that
is still open: RFC 3501 sections 2.2.1, 5.5, RFC 2177, RFC 7888. Long lines."""
import random

import pytest
from lib import maildir

MBOX = True

MAIL = maildir.message(7, crlf=True)

# (command, has it untagged responses); what is there afterwards is as before
COMMANDS = [
    (b"CAPABILITY", True), (b"NOOP", False), (b"ID NIL", True),
    (b"NAMESPACE", True), (b"LIST \"\" *", True), (b"LSUB \"\" *", False),
    (b"LIST (SUBSCRIBED) \"\" * RETURN (STATUS (MESSAGES))", False),
    (b"STATUS INBOX (MESSAGES UIDNEXT)", True),
    (b"GETQUOTAROOT INBOX", True), (b"ENABLE X-NOTHING", True),
    (b"CREATE {1+}\r\nx", False), (b"SUBSCRIBE x", False),
    (b"APPEND x (\\Seen) {%d+}\r\n%s" % (len(MAIL), MAIL), False),
    (b"APPEND x ~{%d+}\r\n%s" % (len(MAIL), MAIL), False),
    (b"APPEND x CATENATE (TEXT {%d+}\r\n%s TEXT {3+}\r\nab\n)"
     % (len(MAIL), MAIL), False),
    (b"RENAME x y", False), (b"UNSUBSCRIBE x", False), (b"DELETE y", False),
    (b"FETCH 1 (FLAGS BODY.PEEK[])", True),
    (b"FETCH 1 BODY.PEEK[HEADER.FIELDS ({7+}\r\nSubject)]", True),
    (b"UID FETCH 1:* FLAGS", True), (b"SEARCH TEXT {3+}\r\nxyz", True),
    (b"SORT (DATE) UTF-8 ALL", True), (b"THREAD REFERENCES UTF-8 ALL", True),
    (b"STORE 1 +FLAGS (\\Flagged)", True),
    (b"STORE 1 -FLAGS.SILENT (\\Flagged)", False), (b"EXPUNGE", False),
    (b"UID EXPUNGE 1", False), (b"CHECK", False),
    (b"IDLE\r\nDONE", True), (b"NOSUCH {3+}\r\nabc (", None),
    (b"FETCH", None), (b"EXAMINE INBOX", True), (b"SELECT INBOX", True),
    (b"CREATE \"\xc3", None),
]


def script(commands, prefix=b"p"):
    return b"".join(b"%s%d %s\r\n" % (prefix, i, command)
                    for i, (command, _) in enumerate(commands))


def check(c, commands, prefix=b"p"):
    for i, (command, told) in enumerate(commands):
        status, text, untagged = c.finish(b"%s%d" % (prefix, i))
        want = "BAD" if told is None else "OK"
        assert status == want, (command, status, text)
        if told is not None:
            rest = [u for u in untagged if b"RECENT" not in u]
            assert bool(rest) == told, (command, untagged)


@pytest.fixture
def c(box):
    box.fill(2)
    client = box.connect()
    client.box = box
    client.ok("SELECT INBOX")
    return client


def test_all_at_once(c):
    c.send(script(COMMANDS))
    check(c, COMMANDS)


def test_all_behind_idle(c):
    """DONE and what follows come before the server has said "+"."""
    c.send(b"i IDLE\r\nDONE\r\n" + script(COMMANDS) + b"j IDLE\r\nDONE\r\n")
    status, _, untagged = c.finish(b"i")
    assert status == "OK" and untagged[0].startswith(b"+")
    check(c, COMMANDS)
    assert c.finish(b"j")[0] == "OK"


def test_each_behind_each_idle(c):
    commands = [command for pair in COMMANDS
                for command in (pair, (b"IDLE\r\ndone", True))]
    c.send(script(commands))
    check(c, commands)


@pytest.mark.parametrize("cut", [0, 1, len(MAIL) - 1, len(MAIL)])
def test_behind_an_open_literal(c, cut):
    """The commands are sent while the message has not been taken whole; the
    session of another client goes on."""
    head = b"a APPEND INBOX {%d+}\r\n" % len(MAIL)
    c.send(head + MAIL[:cut])
    other = c.box.connect()
    other.ok("SELECT INBOX")
    c.send(MAIL[cut:] + b"\r\n" + script(COMMANDS[:12]))
    status, text, _ = c.finish(b"a")
    assert status == "OK" and b"APPENDUID" in text
    check(c, COMMANDS[:12])
    assert other.ok("STATUS INBOX (MESSAGES)")


def test_behind_a_refused_literal(c):
    """The literal is swallowed, or not sent; then come the others."""
    c.send(b"a APPEND nowhere {%d+}\r\n%s\r\n" % (len(MAIL), MAIL) +
           b"b APPEND INBOX {999999999999}\r\n" +
           b"c NOSUCH {%d+}\r\n%s\r\n" % (len(MAIL), MAIL) +
           script(COMMANDS[:12]))
    assert c.finish(b"a")[0] == "NO"
    assert c.finish(b"b")[0] == "NO"
    assert c.finish(b"c")[0] == "BAD"
    check(c, COMMANDS[:12])


def test_any_order_in_any_pieces(c):
    """What a command needs is made before, and no reply is lost."""
    r = random.Random(4)
    plain = [x for x in COMMANDS if x[1] is None or
             x[0].split()[0] not in (b"CREATE", b"APPEND", b"RENAME", b"DELETE",
                                     b"SUBSCRIBE", b"UNSUBSCRIBE", b"LIST",
                                     b"LSUB")]
    commands = [r.choice(plain) for _ in range(100)]
    text = script(commands)
    while text:
        n = r.choice((1, 7, 100, 2000))
        c.send(text[:n])
        text = text[n:]
    for i, (command, told) in enumerate(commands):
        # after EXAMINE a change is refused
        status = c.finish(b"p%d" % i)[0]
        assert status in (("BAD",) if told is None else ("OK", "NO")), command


def test_enable_counts_from_the_next_command(c):
    """Strings and names are what was enabled before them."""
    c.send('a CREATE "R&-D"\r\nb ENABLE IMAP4rev2\r\nc CREATE "R&-D"\r\n'
           'd CREATE "Grüße"\r\ne LIST "" "*R*"\r\nf SEARCH ALL\r\n'.encode())
    for tag in (b"a", b"b", b"c", b"d"):
        assert c.finish(tag)[0] == "OK"
    got = b" ".join(c.finish(b"e")[2])
    assert b" R&D" in got and b" R&-D" in got
    assert c.finish(b"f")[2][0].startswith(b'* ESEARCH (TAG "f")')


def test_not_read(c):
    """Who sends and does not read is made to wait, not dropped."""
    n = 300
    text = b"".join(b"t%d FETCH 1:2 (ENVELOPE BODYSTRUCTURE BODY.PEEK[])\r\n"
                    % i for i in range(n))
    c.sock.settimeout(60)
    c.send(text)
    for i in range(n):
        status, _, untagged = c.finish(b"t%d" % i)
        assert status == "OK" and len(untagged) == 2


@pytest.mark.parametrize("command, word", [
    ("SEARCH OR SUBJECT a SUBJECT b", " NOT DELETED"),
    ("FETCH 1 (UID", " FLAGS"), ('LIST "" (INBOX', " x"),
    ("STORE 1 FLAGS ($a", " $b"), ("ENABLE X-A", " X-B")])
def test_long_lines(c, command, word):
    """Nearly 64 KiB of them."""
    line = command + word * ((65000 - len(command)) // len(word))
    line += ")" if "(" in line else ""
    assert 64000 < len(line) < 65536
    c.ok(line)
    c.bad("SELECT " + "x" * 70000)
    c.ok("NOOP")


def test_long_sets(c):
    """10,000 ranges."""
    wide = ",".join("%d:%d" % (4000000000 + i * 10, 4000000001 + i * 10)
                    for i in range(10000))
    assert len(wide) > 200000
    for command in ("UID FETCH %s FLAGS", "UID SEARCH UID %s",
                    "UID STORE %s FLAGS ()", "UID EXPUNGE %s",
                    "UID COPY %s INBOX", "UID SORT (DATE) UTF-8 UID %s",
                    "UID THREAD REFERENCES UTF-8 UID %s", "UID MOVE %s INBOX"):
        c.ok(command % wide)
    c.ok("NOOP")
