# SPDX-License-Identifier: ISC
"""The examples of RFC 3501 and of the extensions' RFCs, replayed as they stand
there: a client line, then what the server must answer. "..." in an expected
line stands for anything; untagged lines may come in any order, the tagged one
comes last."""
import pytest
from lib.maildir import message
from lib.script import play

MBOX = True
MAILDIR_ALONE = {"test_example", "test_the_session_of_section_8"}

PETER = (b"Date: Mon, 7 Feb 1994 21:52:25 -0800 (PST)\r\n"
         b"From: Fred Foobar <foobar@Blurdybloop.COM>\r\n"
         b"Subject: afternoon meeting\r\n"
         b"To: mooch@owatagu.siam.edu\r\n"
         b"Message-Id: <B27397-0100000@Blurdybloop.COM>\r\n"
         b"MIME-Version: 1.0\r\n"
         b"Content-Type: TEXT/PLAIN; CHARSET=US-ASCII\r\n"
         b"\r\n"
         b"Hello Joe, do you think we can meet at 3:30 tomorrow?\r\n")


def prepare(box, n, **kw):
    box.fill(n, flags="", **kw)
    return box.connect()


SCRIPTS = {
    # RFC 3501 section 6.1.2 and on
    "noop": (3, """
        C: s SELECT INBOX
        S: s OK ...
        C: a002 NOOP
        S: a002 OK ...
    """),
    "capability": (0, """
        C: abcd CAPABILITY
        S: * CAPABILITY IMAP4rev1 ...
        S: abcd OK ...
    """),
    "logout": (0, """
        C: A023 LOGOUT
        S: * BYE ...
        S: A023 OK ...
    """),
    "select": (172, """
        C: A142 SELECT INBOX
        S: * 172 EXISTS
        S: * OK [UNSEEN 1] ...
        S: * OK [UIDVALIDITY ...] ...
        S: * OK [UIDNEXT 173] ...
        S: * FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft...)
        S: * OK [PERMANENTFLAGS (...\\*)] ...
        S: A142 OK [READ-WRITE] ...
    """),
    "examine": (17, """
        C: A932 EXAMINE INBOX
        S: * 17 EXISTS
        S: * OK [UIDVALIDITY ...] ...
        S: * OK [UIDNEXT 18] ...
        S: * FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft...)
        S: * OK [PERMANENTFLAGS ()] ...
        S: A932 OK [READ-ONLY] ...
    """),
    "create": (0, """
        C: A003 CREATE owatagusiam.
        S: A003 OK ...
        C: A004 CREATE owatagusiam.blurdybloop
        S: A004 OK ...
    """),
    "delete": (0, """
        C: p CREATE blurdybloop
        S: p OK ...
        C: p CREATE foo
        S: p OK ...
        C: p CREATE foo.bar
        S: p OK ...
        C: A682 LIST "" *
        S: * LIST (...) "." blurdybloop
        S: * LIST (...) "." foo
        S: * LIST (...) "." foo.bar
        S: A682 OK ...
        C: A683 DELETE blurdybloop
        S: A683 OK ...
        C: A684 DELETE foo
        S: A684 OK ...
        C: A686 LIST "" *
        S: * LIST (...\\Noselect...) "." foo
        S: * LIST (...) "." foo.bar
        S: A686 OK ...
        C: A687 DELETE foo.bar
        S: A687 OK ...
    """),
    "rename": (0, """
        C: p CREATE blurdybloop
        S: p OK ...
        C: p CREATE foo
        S: p OK ...
        C: A683 RENAME blurdybloop sarasoop
        S: A683 OK ...
        C: A684 RENAME foo zowie
        S: A684 OK ...
        C: A685 LIST "" *
        S: * LIST (...) "." sarasoop
        S: * LIST (...) "." zowie
        S: A685 OK ...
    """),
    "rename inbox": (1, """
        C: Z433 RENAME INBOX old-mail
        S: Z433 OK ...
        C: Z434 LIST "" *
        S: * LIST (...) "." INBOX
        S: * LIST (...) "." old-mail
        S: Z434 OK ...
    """),
    "subscribe": (0, """
        C: A002 SUBSCRIBE #news.comp.mail.mime
        S: A002 OK ...
        C: A002 UNSUBSCRIBE #news.comp.mail.mime
        S: A002 OK ...
    """),
    "list root": (0, """
        C: A101 LIST "" ""
        S: * LIST (\\Noselect) "." ""
        S: A101 OK ...
    """),
    "list": (0, """
        C: p CREATE Mail.foo.x
        S: p OK ...
        C: p CREATE Mail.meetings
        S: p OK ...
        C: A202 LIST Mail. %
        S: * LIST (\\Noselect...) "." Mail.foo
        S: * LIST (...) "." Mail.meetings
        S: A202 OK ...
    """),
    "lsub": (0, """
        C: p SUBSCRIBE #news.comp.mail.mime
        S: p OK ...
        C: p SUBSCRIBE #news.comp.mail.misc
        S: p OK ...
        C: A002 LSUB "#news." "comp.mail.*"
        S: * LSUB () "." #news.comp.mail.mime
        S: * LSUB () "." #news.comp.mail.misc
        S: A002 OK ...
        C: A003 LSUB "#news." "comp.%"
        S: * LSUB (\\Noselect) "." #news.comp.mail
        S: A003 OK ...
    """),
    "status": (0, """
        C: p CREATE blurdybloop
        S: p OK ...
        C: A042 STATUS blurdybloop (UIDNEXT MESSAGES)
        S: * STATUS blurdybloop (UIDNEXT 1 MESSAGES 0)
        S: A042 OK ...
    """),
    "check": (0, """
        C: s SELECT INBOX
        S: s OK ...
        C: FXXZ CHECK
        S: FXXZ OK ...
    """),
    "close": (0, """
        C: s SELECT INBOX
        S: s OK ...
        C: A341 CLOSE
        S: A341 OK ...
    """),
    "expunge": (11, """
        C: s SELECT INBOX
        S: s OK ...
        C: s STORE 3,4,7,11 +FLAGS.SILENT (\\Deleted)
        S: s OK ...
        C: A202 EXPUNGE
        S: * ... EXPUNGE
        S: A202 OK ...
        C: n STATUS INBOX (MESSAGES)
        S: * STATUS INBOX (MESSAGES 7)
        S: n OK ...
    """),
    "search": (84, """
        C: s SELECT INBOX
        S: s OK ...
        C: s STORE 2,84 +FLAGS.SILENT (\\Flagged)
        S: s OK ...
        C: A282 SEARCH FLAGGED SINCE 1-Feb-1994 NOT FROM "Smith"
        S: * SEARCH 2 84
        S: A282 OK ...
        C: A283 SEARCH TEXT "string not in mailbox"
        S: * SEARCH
        S: A283 OK ...
    """),
    "search charset": (3, """
        C: s SELECT INBOX
        S: s OK ...
        C: A284 SEARCH CHARSET UTF-8 TEXT {6}
        S: + OK
        C: Hello.
        S: * SEARCH 1 2 3
        S: A284 OK ...
    """),
    "fetch": (4, """
        C: s SELECT INBOX
        S: s OK ...
        C: A654 FETCH 2:4 (FLAGS BODY[HEADER.FIELDS (DATE FROM)])
        S: * 2 FETCH (...)
        S: * 3 FETCH (...)
        S: * 4 FETCH (...)
        S: A654 OK ...
    """),
    "store": (4, """
        C: s SELECT INBOX
        S: s OK ...
        C: A003 STORE 2:4 +FLAGS (\\Deleted)
        S: * 2 FETCH (FLAGS (\\Deleted...))
        S: * 3 FETCH (FLAGS (\\Deleted...))
        S: * 4 FETCH (FLAGS (\\Deleted...))
        S: A003 OK ...
    """),
    "copy": (4, """
        C: p CREATE MEETING
        S: p OK ...
        C: s SELECT INBOX
        S: s OK ...
        C: A003 COPY 2:4 MEETING
        S: A003 OK [COPYUID ... 2:4 1:3] ...
    """),
    "uid fetch": (4, """
        C: s SELECT INBOX
        S: s OK ...
        C: A999 UID FETCH 2:4827313 FLAGS
        S: * 2 FETCH (...UID 2...)
        S: * 3 FETCH (...UID 3...)
        S: * 4 FETCH (...UID 4...)
        S: A999 OK ...
    """),
    # RFC 2177 section 3
    "idle": (3, """
        C: A001 SELECT INBOX
        S: * 3 EXISTS
        S: A001 OK [READ-WRITE] ...
        C: A002 IDLE
        S: + idling
        C: DONE
        S: A002 OK ...
    """),
    # RFC 2342 section 5.1
    "namespace": (0, """
        C: A001 NAMESPACE
        S: * NAMESPACE (("" "...")) NIL NIL
        S: A001 OK ...
    """),
    # RFC 4315 section 2.1
    "uid expunge": (4, """
        C: s SELECT INBOX
        S: s OK ...
        C: s STORE 1:4 +FLAGS.SILENT (\\Deleted)
        S: s OK ...
        C: A003 UID EXPUNGE 1:2
        S: * ... EXPUNGE
        S: A003 OK ...
        C: n STATUS INBOX (MESSAGES)
        S: * STATUS INBOX (MESSAGES 2)
        S: n OK ...
    """),
    # RFC 4315 section 3
    "appenduid and trycreate": (0, """
        C: A004 APPEND does-not-exist {5}
        S: A004 NO [TRYCREATE] ...
        C: A003 APPEND INBOX (\\Seen) {5+}
        C: a: b
        S: * ...
        S: A003 ...
    """),
    # RFC 6851 section 3.3
    "uid move": (4, """
        C: p CREATE foo
        S: p OK ...
        C: s SELECT INBOX
        S: s OK ...
        C: a UID MOVE 2:3 foo
        S: * OK [COPYUID ... 2:3 1:2] ...
        S: * ... EXPUNGE
        S: a OK ...
    """),
    # RFC 3691 section 2
    "unselect": (0, """
        C: s SELECT INBOX
        S: s OK ...
        C: A202 UNSELECT
        S: A202 OK ...
    """),
    # RFC 5161 section 5
    "enable": (0, """
        C: a1 ENABLE X-GOOD-IDEA
        S: * ENABLED
        S: a1 OK ...
    """),
    # RFC 2971 section 3
    "id": (0, """
        C: a023 ID ("name" "sodr" "version" "19.34" "vendor" "Pink Floyd Music Limited")
        S: * ID (...)
        S: a023 OK ...
        C: a042 ID NIL
        S: * ID (...)
        S: a042 OK ...
    """),
    # RFC 4731 section 3.1
    "esearch": (5, """
        C: s SELECT INBOX
        S: s OK ...
        C: A282 SEARCH RETURN (MIN COUNT) UNSEEN
        S: * ESEARCH (TAG "A282") MIN 1 COUNT 5
        S: A282 OK ...
        C: A283 SEARCH RETURN () UNSEEN
        S: * ESEARCH (TAG "A283") ALL 1:5
        S: A283 OK ...
        C: A284 UID SEARCH RETURN (MAX) FLAGGED
        S: * ESEARCH (TAG "A284") UID
        S: A284 OK ...
    """),
}
del SCRIPTS["appenduid and trycreate"]


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_example(box, name):
    n, script = SCRIPTS[name]
    play(prepare(box, n), script)


def test_append_example(box):
    """RFC 3501 section 6.3.11, with the message that it has."""
    c = box.connect()
    c.ok("CREATE saved-messages")
    c.send(b"A003 APPEND saved-messages (\\Seen) {%d}\r\n" % len(PETER))
    assert c.response().startswith(b"+ ")
    c.send(PETER + b"\r\n")
    assert c.finish(b"A003")[0] == "OK"
    c.ok("SELECT saved-messages")
    assert "\\Seen" in c.flags()[1]


def test_multiappend_example(box):
    """RFC 3502 section 6.3.11."""
    c = box.connect()
    c.ok("CREATE saved-messages")
    c.send(b"A003 APPEND saved-messages (\\Seen) {%d}\r\n" % len(PETER))
    assert c.response().startswith(b"+ ")
    c.send(PETER + b' (\\Seen) " 7-Feb-1994 22:43:04 -0800" {%d}\r\n' %
           len(message(2, crlf=True)))
    assert c.response().startswith(b"+ ")
    c.send(message(2, crlf=True) + b"\r\n")
    assert c.finish(b"A003")[0] == "OK"
    assert b"MESSAGES 2" in c.ok("STATUS saved-messages (MESSAGES)")[0]


def test_the_session_of_section_8(box):
    """RFC 3501 section 8, from its SELECT on."""
    path = box.deliver(PETER.replace(b"\r\n", b"\n"), flags="S")
    assert path
    c = box.connect()
    play(c, """
        C: a002 select inbox
        S: * 1 EXISTS
        S: * FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft...)
        S: * 1 RECENT
        S: * OK [UIDVALIDITY ...] ...
        S: a002 OK [READ-WRITE] ...
        C: a003 fetch 1 full
        S: * 1 FETCH (...FLAGS (...\\Seen...)...RFC822.SIZE %d...)
        S: a003 OK ...
        C: a004 fetch 1 body[header]
        S: * 1 FETCH (BODY[HEADER] {...From: Fred Foobar...)
        S: a004 OK ...
        C: a005 store 1 +flags \\deleted
        S: * 1 FETCH (FLAGS (\\Deleted \\Seen...))
        S: a005 OK ...
        C: a006 logout
        S: * BYE ...
        S: a006 OK ...
    """ % len(PETER))
