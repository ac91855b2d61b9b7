# SPDX-License-Identifier: ISC
"""Lines, strings, literals, pipelining: RFC 3501 sections 2.2, 4, 5.5, 9."""
import pytest
from lib.maildir import message

MBOX = True


def lines(c, data, tag=b"z"):
    """Sends bytes, then NOOP; all lines before its reply."""
    c.send(data + tag + b" NOOP\r\n")
    found = []
    while True:
        line = c.response()
        if line.startswith(tag + b" OK"):
            return found
        found.append(line)


@pytest.mark.parametrize("sent,want", [
    (b"\r\n", b"* BAD"), (b" \r\n", b"* BAD"), (b"a\r\n", b"a BAD"),
    (b"a \r\n", b"a BAD"), (b"a  NOOP\r\n", b"a BAD"),
    (b" a NOOP\r\n", b"* BAD"), (b"a NOOP \r\n", b"a BAD"),
    (b"a NOOP\n", b"a BAD"), (b"a NO\rOP\r\n", b"a BAD"),
    (b"+ NOOP\r\n", b"* BAD"), (b"a+ NOOP\r\n", b"* BAD"),
    (b"a* NOOP\r\n", b"* BAD"), (b"a( NOOP\r\n", b"* BAD"),
    (b'a" NOOP\r\n', b"* BAD"), (b"a\\ NOOP\r\n", b"* BAD"),
    (b"a{ NOOP\r\n", b"* BAD"), (b"a% NOOP\r\n", b"* BAD"),
    (b"\xc3\xa4 NOOP\r\n", b"* BAD"), (b"a\0 NOOP\r\n", b"* BAD"),
    (b"a N\xc3\xa4\r\n", b"a BAD"), (b"a NO\0OP\r\n", b"a BAD"),
    (b"a SELECT\r\n", b"a BAD"), (b"a SELECT \r\n", b"a BAD"),
    (b"a SELECT INBOX \r\n", b"a BAD"), (b"a SELECT  INBOX\r\n", b"a BAD"),
    (b"a SELECT INBOX x\r\n", b"a BAD"), (b"a SELECT (INBOX)\r\n", b"a BAD"),
    (b'a SELECT "INBOX\r\n', b"a BAD"), (b'a SELECT "IN\\BOX"\r\n', b"a BAD"),
    (b'a SELECT "INBOX"x\r\n', b"a BAD"), (b"a SELECT INB*X\r\n", b"a BAD"),
    (b"a SELECT INB%X\r\n", b"a BAD"), (b'a SELECT IN"BOX\r\n', b"a BAD"),
    (b"a SELECT IN\\BOX\r\n", b"a BAD"), (b"a SELECT \xe4\r\n", b"a BAD"),
    (b'a SELECT "\xc3"\r\n', b"a BAD"), (b'a SELECT "\0"\r\n', b"a BAD"),
    (b"a SELECT {5\r\n", b"a BAD"), (b"a SELECT {}\r\n", b"a BAD"),
    (b"a SELECT {x}\r\n", b"a BAD"), (b"a SELECT {5} \r\n", b"a BAD"),
    (b"a SELECT {+5}\r\n", b"a BAD"), (b"a SELECT {5}}\r\n", b"a BAD"),
    (b"a SELECT {5+}\r\nINBOXx\r\n", b"a BAD"),
    (b"a SELECT {5+}\r\nIN\0OX\r\n", b"a BAD"),
    (b"a SELECT ~{5+}\r\nINBOX\r\n", b"a BAD"),
    (b"a LIST (\r\n", b"a BAD"), (b"a STATUS INBOX (MESSAGES\r\n", b"a BAD"),
    (b"a STATUS INBOX MESSAGES)\r\n", b"a BAD"),
    (b"a STATUS INBOX ( MESSAGES)\r\n", b"a BAD"),
    (b"a STATUS INBOX (MESSAGES )\r\n", b"a BAD"),
    (b"a STATUS INBOX (MESSAGES  UNSEEN)\r\n", b"a BAD"),
])
def test_bad_lines(tunnel, sent, want):
    c = tunnel.connect()
    found = lines(c, sent)
    assert len(found) == 1 and found[0].startswith(want), found
    # Nothing was selected by any of them.
    c.bad("CHECK")


@pytest.mark.parametrize("name", [
    b"INBOX", b"inbox", b"InBox", b'"INBOX"', b'"inbox"', b"{5+}\r\nINBOX",
    b"{5+}\r\ninbox"])
def test_every_form_of_a_string(box, name):
    c = box.connect()
    box.deliver(message(1))
    assert b"* 1 EXISTS" in c.ok(b"SELECT " + name)
    assert c.ok(b"STATUS " + name + b" (MESSAGES)") == \
        [b"* STATUS INBOX (MESSAGES 1)"]
    assert c.ok(b'LIST "" ' + name)[0].endswith(b" INBOX")


def test_synchronising_literals(box):
    c = box.connect()
    c.send(b"a SELECT {5}\r\n")
    assert c.line().startswith(b"+ ")
    c.send(b"INBOX\r\n")
    assert c.finish(b"a")[0] == "OK"
    c.send(b"b STATUS {5}\r\n")
    assert c.line().startswith(b"+ ")
    c.send(b"INBOX (MESSAGES UNSEEN)\r\n")
    assert c.finish(b"b")[0] == "OK"
    c.send(b"c RENAME {1}\r\n")
    assert c.line().startswith(b"+ ")
    c.send(b"x {1}\r\n")
    assert c.line().startswith(b"+ ")
    c.send(b"y\r\n")
    assert c.finish(b"c")[0] == "NO"


def test_an_empty_literal(tunnel):
    c = tunnel.connect()
    assert c.literal("LIST {0+}\r\n", b"INBOX")[0] == "OK"
    assert c.literal("LIST \"\"", b"")[0] == "OK"


@pytest.mark.parametrize("tag", [
    b"a", b"A0001", b"]", b"&", b"x-1_2.3/4=5", b"'", b"a]b", b"9" * 100,
    b"~", b"[", b"!#$,-./:;<=>?@^_`|}~"])
def test_tags(tunnel, tag):
    c = tunnel.connect()
    c.send(tag + b" NOOP\r\n")
    assert c.line().startswith(tag + b" OK ")


def test_refused_literals(tunnel):
    """The client does not send what was refused before the '+'."""
    c = tunnel.connect()
    c.send(b"a SELECT {1048577}\r\nb XYZZY {5}\r\nc NOOP\r\n")
    assert c.line().startswith(b"a BAD ")
    assert c.line().startswith(b"b BAD ")
    assert c.line().startswith(b"c OK ")
    # Sent without waiting, they are swallowed whole.
    c.send(b"d SELECT {1048577+}\r\n" + b"x NOOP\r\n" * 131072 + b"y\r\n" +
           b"e XYZZY {9+}\r\nf NOOP\r\n\n {4+}\r\n\r\n\r\n\r\ng NOOP\r\n")
    assert c.line().startswith(b"d BAD ")
    assert c.line().startswith(b"e BAD ")
    assert c.line().startswith(b"g OK ")


def test_line_limits(tunnel):
    c = tunnel.connect()
    c.ok(b'LIST "" ' + b"x" * 900)
    for n in (65536, 70000, 1000000):
        found = lines(c, b"a SELECT " + b"x" * n + b"\r\n")
        assert len(found) == 1 and found[0].startswith(b"a BAD"), found
    # Sets may be longer than that, up to ten thousand ranges.
    c.ok("SELECT INBOX")
    ranges = b",".join(b"%d" % i for i in range(1, 20001, 2))
    assert len(ranges) > 50000
    c.ok(b"UID FETCH " + ranges + b" FLAGS")
    c.bad(b"UID FETCH " + ranges + b",30000 FLAGS")
    wide = b",".join(b"%d" % (2000000000 + i * 2) for i in range(10000))
    assert len(wide) > 100000
    c.ok(b"UID FETCH " + wide + b" FLAGS")


def test_nesting(tunnel):
    c = tunnel.connect()
    c.bad(b"STATUS INBOX " + b"(" * 32 + b")" * 32)
    c.bad(b"STATUS INBOX " + b"(" * 5000 + b")" * 5000)
    c.ok("NOOP")


def test_commands_in_pieces(tunnel):
    c = tunnel.connect()
    for byte in b"a SELECT {5+}\r\nINBOX\r\nb CHECK\r\n":
        c.send(bytes([byte]))
    assert c.finish(b"a")[0] == "OK"
    assert c.finish(b"b")[0] == "OK"


def test_pipelining(box):
    """Replies come in the order of the commands, each one's own."""
    box.fill(3)
    c = box.connect()
    c.send(b"a SELECT INBOX\r\n"
           b"b STORE 1 +FLAGS (\\Deleted)\r\n"
           b"c FETCH 1 FLAGS\r\n"
           b"d UID STORE 2 +FLAGS.SILENT (\\Flagged)\r\n"
           b"e EXPUNGE\r\n"
           b"f NOOP\r\n"
           b"g UID FETCH 1:* FLAGS\r\n"
           b"h CLOSE\r\n"
           b"i STATUS INBOX (MESSAGES)\r\n")
    assert c.finish(b"a")[0] == "OK"
    status, _, untagged = c.finish(b"b")
    assert status == "OK" and b"\\Deleted" in untagged[0]
    status, _, untagged = c.finish(b"c")
    assert status == "OK" and b"\\Deleted" in untagged[0]
    assert c.finish(b"d")[0] == "OK"
    status, _, untagged = c.finish(b"e")
    assert status == "OK" and untagged == [b"* 1 EXPUNGE"]
    assert c.finish(b"f")[0] == "OK"
    status, _, untagged = c.finish(b"g")
    assert status == "OK" and len(untagged) == 2
    assert b"\\Flagged" in untagged[0] and b"UID 2" in untagged[0]
    assert c.finish(b"h")[0] == "OK"
    assert c.finish(b"i")[2] == [b"* STATUS INBOX (MESSAGES 2)"]


def test_a_thousand_pipelined_commands(tunnel):
    c = tunnel.connect()
    c.send(b"".join(b"t%d NOOP\r\n" % i for i in range(1000)))
    for i in range(1000):
        assert c.line().startswith(b"t%d OK " % i)


def test_pipelined_literals(tunnel):
    c = tunnel.connect()
    c.send(b"a CREATE {1+}\r\nx\r\nb APPEND {1+}\r\nx (\\Seen) {19+}\r\n"
           b"Subject: y\r\n\r\nz NOO\r\nc STATUS {1+}\r\nx (MESSAGES)\r\n")
    assert c.finish(b"a")[0] == "OK"
    assert c.finish(b"b")[0] == "OK"
    assert c.finish(b"c")[2] == [b"* STATUS x (MESSAGES 1)"]
