# SPDX-License-Identifier: ISC
"""Every response of long dialogues made from ABNF, read by the grammar of
responses (tests/data/response.abnf): in each mode that a client can switch on,
with NOTIFY, and with a second session that changes the same mailboxes.

RESTANTE_SEED and RESTANTE_ROUNDS give other runs; a failure names its seed."""
import contextlib
import os
import random
import re

import pytest
from lib.maildir import message
from lib.response import Grammar
from lib.wire import Closed
from test_imap_abnf import Language, capabilities, hear, is_open
from test_imap_grammar import prepare

MBOX = True

SEED = int(os.environ.get("RESTANTE_SEED", "1"))
ROUNDS = int(os.environ.get("RESTANTE_ROUNDS", "60"))
MODES = ["", "QRESYNC", "IMAP4rev2", "UIDONLY UTF8=ACCEPT",
         "IMAP4rev2 QRESYNC UTF8=ACCEPT"]
NOTIFY = (
    "NOTIFY SET STATUS (selected (MessageNew (UID FLAGS BODY.PEEK[HEADER.FIELDS"
    " (SUBJECT)]) MessageExpunge FlagChange)) (personal (MessageNew "
    "MessageExpunge FlagChange MailboxName SubscriptionChange "
    "MailboxMetadataChange ServerMetadataChange))")
ODD = b"""From: =?utf-8?q?J=C3=B6rg?= <j@x.example>, "a \\" b" <q@x>
To: undisclosed-recipients:;, A group: one@x, "T. W" <two@x>;
Cc: <@a,@b:route@x>
Subject: J\xc3\xb6rg \xff raw
Message-ID: <odd@x>
Date: Thu, 1 Jan 1970 00:00:00 +0000
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="b=1"; name*=utf-8''%C3%B6

--b=1
Content-Type: text/plain; charset="utf-8"; x=y
Content-Disposition: attachment; filename="a\\"b.txt"
Content-Language: de, en
Content-Location: http://x/ y
Content-MD5: abc==
Content-Transfer-Encoding: base64

aGVsbG8=
--b=1
Content-Type: message/rfc822

Subject: inner

body
--b=1
Content-Type: message/rfc822
Content-Transfer-Encoding: base64

U3ViamVjdDogeAoKeQo=
--b=1
Content-Type: multipart/alternative

no boundary
--b=1
Content-Type: odd

x
--b=1--
"""


def outsider(other, r, i):
    """What a second session does meanwhile."""
    other.cmd(r.choice((
        b"CREATE n%d" % i, b"DELETE n%d" % (i - 3), b"RENAME one uno",
        b"RENAME uno one", b"CREATE one", b"DELETE two", b"CREATE two",
        b"CREATE &AOQ-x%d" % (i % 5), b"SUBSCRIBE &AOQ-x%d" % (i % 5),
        b"STORE 1:* +FLAGS (k%d \\Flagged)" % (i % 7),
        b"STORE 1 -FLAGS (\\Seen)", b"STORE 1 +FLAGS (\\Deleted)",
        b"EXPUNGE", b"COPY 1:3 two", b"COPY 1 INBOX", b"MOVE 1 INBOX",
        b'SETMETADATA INBOX (/private/comment "v%d")' % i,
        b'SETMETADATA one (/shared/comment {3+}\r\na"\xc3)',
        b'SETMETADATA one (/shared/comment ~{3+}\r\na\0b)')))
    for text in (ODD.replace(b"\n", b"\r\n"), message(i, crlf=True)):
        if r.random() < .2:
            other.cmd(b"APPEND INBOX {%d+}\r\n" % len(text) + text)
    if not is_open(other):
        other.ok("SELECT INBOX")


def read_all(grammar, what, responses):
    for r in responses:
        assert grammar.allows(r), (what, r[grammar.reached(r):][:200], r)


def begin(box, mode):
    c = box.connect()
    if mode:
        c.ok("ENABLE " + mode)
    c.ok(NOTIFY)
    return c


def last_line(c):
    """What a session that the server ends has said last."""
    with contextlib.suppress(Closed, ConnectionError):
        while True:
            c.response()
    return c.log[-1]


def one_round(box, where, mode, grammar, language, c, other, r):
    i = where[1]
    if language.count == 0 or i % 20 == 0:
        box.fill(1, flags="")
        language.count = 0
        hear(language, c.ok("SELECT INBOX"))
    if i % 20 == 10:
        read_all(grammar, (where, NOTIFY), c.cmd(NOTIFY)[2])
    outsider(other, r, i)
    line = language.command()
    # RFC 9755 section 3 refuses these.
    if "UTF8" in mode and re.search(rb"charset|US-ASCII", line, re.I):
        return
    if "QRESYNC" not in mode and re.search(rb"QRESYNC|VANISHED",
                                           line.upper()):
        return
    if line.upper().startswith((b"SELECT", b"EXAMINE")):
        language.count = 0
    status, text, untagged = c.cmd(line)
    gone = text == b"No mailbox selected"
    assert gone or status in ("OK", "NO"), (where, line, status, text)
    read_all(grammar, (where, line),
             untagged + [b"a1 " + status.encode() + b" " + text])
    hear(language, untagged)
    if gone or status == "OK" and line.upper().startswith(
            (b"DELETE", b"RENAME", b"UNSELECT")) and not is_open(c):
        language.count = 0


@pytest.mark.parametrize("seed", range(SEED, SEED + len(MODES)))
def test_every_response_is_of_the_grammar(box, seed):
    mode = MODES[seed % len(MODES)]
    grammar = Grammar("UTF8" in mode or "rev2" in mode)
    r = random.Random(seed)
    other = prepare(box)
    for folder in (".one", ".two"):
        box.deliver(ODD, folder)
    box.deliver(ODD)
    other.ok("SELECT INBOX")
    language = Language(capabilities(other), seed, "UIDONLY" in mode)
    c = begin(box, mode)
    language.count = 0
    for i in range(ROUNDS):
        try:
            one_round(box, (seed, i), mode, grammar, language, c, other, r)
        except (Closed, ConnectionError):
            # The other session removed the selected mailbox: that may be told
            # at any time, also before a command can be sent.
            last = last_line(c)
            assert last.startswith(b"* BYE "), (seed, i, last)
            c = begin(box, mode)
            language.count = 0


@pytest.mark.parametrize("wrong", [
    b"* OK [UIDNEXT] x", b"* OK [SURPRISE] x", b"* OK", b"* NO [LIMIT]",
    b"* LIST (\\Seen) \".\" INBOX", b"* LIST () \".\" a b", b"* SEARCH 0",
    b"* ESEARCH (TAG a1) ALL 1", b"* ESEARCH (TAG \"a1\") ALL 1:*",
    b"* STATUS INBOX (UIDNEXT 0)", b"* 1 FETCH (FLAGS (\\Seen) )",
    b"* 1 FETCH (BODY[1.0] NIL)", b"* 1 FETCH (BODY[] {3}\r\nab)",
    b"* 1 FETCH (ENVELOPE (NIL NIL NIL NIL NIL NIL NIL NIL NIL))",
    b"* 1 FETCH (INTERNALDATE \"1-Jan-2026 00:00:00 +0000\")",
    b"* 0 EXPUNGE", b"* VANISHED 1:*", b"* LIST () \".\" \"\xc3\xa4\"",
    b"* QUOTA \"\" (STORAGE 1)", b"* METADATA INBOX (/shared/comment)"])
def test_the_grammar_refuses(wrong):
    assert not Grammar().allows(wrong)
