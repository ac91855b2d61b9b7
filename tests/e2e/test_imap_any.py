# SPDX-License-Identifier: ISC
"""CAPABILITY, NOOP, CHECK, LOGOUT, ID, ENABLE; what is too late or unknown."""
import re

import pytest
from lib import wire
from lib.maildir import message

MBOX = True

WANTED = {"IMAP4rev1", "SASL-IR", "LITERAL+", "ENABLE", "ID", "IDLE",
          "NAMESPACE", "UIDPLUS", "MOVE", "UNSELECT", "CHILDREN",
          "SPECIAL-USE", "ESEARCH", "STATUS=SIZE", "COMPRESS=DEFLATE"}


def test_greeting_has_the_capabilities(tunnel):
    c = tunnel.connect()
    match = re.match(rb"\* PREAUTH \[CAPABILITY ([^]]*)\] ", c.greeting)
    assert set(match.group(1).decode().split()) == c.capabilities()


def test_login_reply_has_the_capabilities(box_server):
    c = box_server.imap()
    status, text, untagged = c.cmd("LOGIN b400 secret")
    assert status == "OK"
    match = re.match(rb"\[CAPABILITY ([^]]*)\] ", text)
    assert set(match.group(1).decode().split()) == c.capabilities()
    assert not untagged


def test_capability(box):
    c = box.connect()
    found = c.capabilities()
    assert WANTED <= found
    # What belongs before the login is not announced behind it.
    assert not {"STARTTLS", "LOGINDISABLED"} & found
    assert not [x for x in found if x.startswith("AUTH=")]


@pytest.mark.parametrize("command", [
    "NOOP", "noop", "Noop", "CAPABILITY", "capability", "Capability"])
def test_any_case(tunnel, command):
    tunnel.connect().ok(command)


@pytest.mark.parametrize("command", [
    "NOOP x", "CAPABILITY ()", "LOGOUT now", "CHECK 1", "NAMESPACE \"\"",
    "CLOSE INBOX", "UNSELECT INBOX", "EXPUNGE 1", "IDLE x", "XYZZY",
    "UID", "UID NOOP", "UID SELECT INBOX", "UID UID FETCH 1 FLAGS",
    "STARTTLS", "LOGIN a b", "AUTHENTICATE PLAIN", "AUTHENTICATE PLAIN =",
    "ENABLE", "ENABLE ()", "ENABLE \"X\"", "ID", "ID x", "ID (\"a\")",
    "ID (\"a\" \"b\" \"c\")", "ID (a \"b\")", "ID ((\"a\" \"b\"))",
    "ID \"NIL\"", "COMPRESS", "COMPRESS GZIP", "COMPRESS DEFLATE x"])
def test_bad_and_the_session_goes_on(tunnel, command):
    c = tunnel.connect()
    c.ok("SELECT INBOX")
    c.bad(command)
    c.ok("CHECK")


@pytest.mark.parametrize("command", [
    "CHECK", "CLOSE", "UNSELECT", "EXPUNGE", "FETCH 1 FLAGS", "UID FETCH 1 "
    "FLAGS", "STORE 1 FLAGS (\\Seen)", "COPY 1 x", "MOVE 1 x", "SEARCH ALL",
    "UID EXPUNGE 1"])
def test_only_with_a_mailbox(tunnel, command):
    c = tunnel.connect()
    assert b"No mailbox selected" in c.bad(command)
    c.ok("NOOP")


def test_logout(box):
    c = box.connect()
    status, _, untagged = c.cmd("LOGOUT")
    assert status == "OK"
    assert [r for r in untagged if r.startswith(b"* BYE ")]
    assert c.is_closed()


def test_logout_leaves_what_is_behind_it(tunnel):
    c = tunnel.connect()
    c.send(b"a LOGOUT\r\nb NOOP\r\n")
    assert c.line().startswith(b"* BYE ")
    assert c.line().startswith(b"a OK ")
    assert c.is_closed()


def test_end_of_input_ends_the_session(tunnel):
    import socket
    c = tunnel.connect()
    c.send(b"a NOOP\r\nb CAPABILITY\r\nc NO")
    c.sock.shutdown(socket.SHUT_WR)
    assert c.line().startswith(b"a OK")
    assert c.line().startswith(b"* CAPABILITY")
    assert c.line().startswith(b"b OK")
    with pytest.raises(wire.Closed):
        c.line()
    c.process.wait(5)


def test_noop_and_check_tell_news(box):
    c = box.connect()
    c.ok("SELECT INBOX")
    box.deliver(message(1))
    assert c.ok("NOOP") == [b"* 1 EXISTS", b"* 1 RECENT"]
    box.deliver(message(2))
    assert c.ok("CHECK") == [b"* 2 EXISTS", b"* 2 RECENT"]
    assert c.ok("NOOP") == []


def test_id(box):
    c = box.connect()
    for arg in ("NIL", "()", '("name" "test" "version" NIL)',
                '("name" {4+}\r\ntest)'):
        assert re.match(rb'\* ID \("name" "[^"]*"', c.ok("ID " + arg)[0])
    c.bad("ID (" + " ".join('"f%d" "v"' % i for i in range(31)) + ")")
    c.bad('ID ("%s" "v")' % ("x" * 31))
    c.bad('ID ("x" "%s")' % ("x" * 1025))


def test_enable_answers_with_what_it_knows(tunnel):
    c = tunnel.connect()
    assert c.ok("ENABLE X-NOBODY IMAP4rev1") == [b"* ENABLED"]


def test_autologout(tunnel):
    c = tunnel.connect("imap_idle_timeout=1")
    c.ok("SELECT INBOX")
    assert c.line(10).startswith(b"* BYE ")
    assert c.is_closed()


def test_autologout_while_idle(tunnel):
    c = tunnel.connect("imap_idle_timeout=1")
    c.ok("SELECT INBOX")
    c.idle()
    assert c.until(rb"^\* BYE ", 10)
    assert c.is_closed()
