# SPDX-License-Identifier: ISC
"""The examples of RFC 9051, replayed in a session that has enabled IMAP4rev2.
"/" stands for the delimiter; "..." in what is expected for anything. Numbers are
those of the mailbox that is there, where the RFC has larger ones."""
import re

import pytest
from lib import maildir
from lib.script import play

MBOX = True

LETTER = (b"Date: Mon, 7 Feb 1994 21:52:25 -0800 (PST)\r\n"
          b"From: Fred Foobar <foobar@Blurdybloop.example>\r\n"
          b"Subject: afternoon meeting\r\n"
          b"To: mooch@owatagu.siam.edu.example\r\n"
          b"Message-Id: <B27397-0100000@Blurdybloop.example>\r\n"
          b"MIME-Version: 1.0\r\n"
          b"Content-Type: TEXT/PLAIN; CHARSET=US-ASCII\r\n"
          b"\r\n"
          b"Hello Joe, do you think we can meet at 3:30 tomorrow?\r\n\r\n")

FRUIT = """
    C: p CREATE Fruit
    S: p OK ...
    C: p CREATE Fruit/Apple
    S: p OK ...
    C: p CREATE Fruit/Banana
    S: p OK ...
    C: p CREATE Tofu
    S: p OK ...
    C: p CREATE Vegetable
    S: p OK ...
    C: p CREATE Vegetable/Broccoli
    S: p OK ...
    C: p CREATE Vegetable/Corn
    S: p OK ...
    C: p SUBSCRIBE inbox
    S: p OK ...
    C: p SUBSCRIBE Fruit/Banana
    S: p OK ...
    C: p SUBSCRIBE Fruit/Peach
    S: p OK ...
    C: p SUBSCRIBE Vegetable
    S: p OK ...
    C: p SUBSCRIBE Vegetable/Broccoli
    S: p OK ...
"""

SELECTED = """
    C: s SELECT INBOX
    S: s OK ...
"""

# name: (messages, script)
SCRIPTS = {
    "6.3.1 enable": (0, """
    C: t1 CAPABILITY
    S: * CAPABILITY ...IMAP4rev2...ID...LITERAL+...
    S: t1 OK ...
    C: t2 ENABLE CONDSTORE X-GOOD-IDEA
    S: * ENABLED CONDSTORE
    S: t2 OK ...
    C: t3 CAPABILITY
    S: * CAPABILITY ...IMAP4rev2...ID...LITERAL+...
    S: t3 OK ...
    C: a1 ENABLE CONDSTORE
    S: * ENABLED
    S: a1 OK ...
    """),
    "6.3.2 select": (172, """
    C: A142 SELECT INBOX
    S: * 172 EXISTS
    S: * OK [UIDVALIDITY ...] ...
    S: * OK [UIDNEXT 173] ...
    S: * FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft...)
    S: * OK [PERMANENTFLAGS (...\\Deleted \\Seen ...\\*)] ...
    S: * LIST (...) "/" INBOX
    S: A142 OK [READ-WRITE] ...
    C: p CREATE Drafts
    S: p OK ...
    C: A143 SELECT Drafts
    S: * OK [CLOSED] ...
    S: * 0 EXISTS
    S: * OK [UIDVALIDITY ...] ...
    S: * OK [UIDNEXT 1] ...
    S: * LIST (...) "/" Drafts
    S: A143 OK [READ-WRITE] ...
    """),
    "6.3.3 examine": (0, """
    C: p CREATE blurdybloop
    S: p OK ...
    C: A932 EXAMINE blurdybloop
    S: * 0 EXISTS
    S: * OK [UIDVALIDITY ...] ...
    S: * OK [UIDNEXT 1] ...
    S: * LIST (...) "/" blurdybloop
    S: * FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft...)
    S: * OK [PERMANENTFLAGS ()] ...
    S: A932 OK [READ-ONLY] ...
    """),
    "6.3.4 create": (0, """
    C: A003 CREATE owatagusiam/
    S: A003 OK ...
    C: A004 CREATE owatagusiam/blurdybloop
    S: A004 OK ...
    """),
    "6.3.5 delete": (0, """
    C: p CREATE blurdybloop
    S: p OK ...
    C: p CREATE foo
    S: p OK ...
    C: p CREATE foo/bar
    S: p OK ...
    C: A82 LIST "" *
    S: * LIST (...) "/" blurdybloop
    S: * LIST (...) "/" foo
    S: * LIST (...) "/" foo/bar
    S: A82 OK ...
    C: A83 DELETE blurdybloop
    S: A83 OK ...
    C: A84 DELETE foo
    S: A84 OK ...
    C: A85 LIST "" *
    S: * LIST (...) "/" foo/bar
    S: A85 OK ...
    C: A86 LIST "" %
    S: * LIST (\\No...) "/" foo
    S: A86 OK ...
    C: A684 DELETE foo
    S: A684 NO [HASCHILDREN] ...
    C: A685 DELETE foo/bar
    S: A685 OK ...
    """),
    "6.3.6 rename": (0, """
    C: p CREATE blurdybloop
    S: p OK ...
    C: p CREATE foo/bar
    S: p OK ...
    C: A683 RENAME blurdybloop sarasoop
    S: A683 OK ...
    C: A684 RENAME foo zowie
    S: A684 OK ...
    C: A685 LIST "" *
    S: * LIST (...) "/" sarasoop
    S: * LIST (\\No...) "/" zowie
    S: * LIST (...) "/" zowie/bar
    S: A685 OK ...
    """),
    "6.3.6 rename inbox": (1, """
    C: Z433 RENAME INBOX old-mail
    S: Z433 OK ...
    C: Z434 LIST "" *
    S: * LIST (...) "/" INBOX
    S: * LIST (...) "/" old-mail
    S: Z434 OK ...
    C: p STATUS old-mail (MESSAGES)
    S: * STATUS old-mail (MESSAGES 1)
    S: p OK ...
    """),
    "6.3.7 subscribe": (0, """
    C: A002 SUBSCRIBE #news.comp.mail.mime
    S: A002 OK ...
    C: A002 UNSUBSCRIBE #news.comp.mail.mime
    S: A002 OK ...
    """),
    "6.3.9.8 root": (0, """
    C: A101 LIST "" ""
    S: * LIST (\\Noselect) "/" ""
    S: A101 OK ...
    """),
    "6.3.9.8 all and subscribed": (0, FRUIT + """
    C: A01 LIST "" "*"
    S: * LIST (...) "/" INBOX
    S: * LIST (...) "/" Fruit
    S: * LIST (...) "/" Fruit/Apple
    S: * LIST (...) "/" Fruit/Banana
    S: * LIST (...) "/" Tofu
    S: * LIST (...) "/" Vegetable
    S: * LIST (...) "/" Vegetable/Broccoli
    S: * LIST (...) "/" Vegetable/Corn
    S: A01 OK ...
    C: A02 LIST (SUBSCRIBED) "" "*"
    S: * LIST (...\\Subscribed...) "/" INBOX
    S: * LIST (...\\Subscribed...) "/" Fruit/Banana
    S: * LIST (\\NonExistent...\\Subscribed...) "/" Fruit/Peach
    S: * LIST (...\\Subscribed...) "/" Vegetable
    S: * LIST (...\\Subscribed...) "/" Vegetable/Broccoli
    S: A02 OK ...
    """),
    "6.3.9.8 children and remote": (0, FRUIT + """
    C: A03 LIST () "" "%" RETURN (CHILDREN)
    S: * LIST (...) "/" INBOX
    S: * LIST (...\\HasChildren...) "/" Fruit
    S: * LIST (...\\HasNoChildren...) "/" Tofu
    S: * LIST (...\\HasChildren...) "/" Vegetable
    S: A03 OK ...
    C: A04 LIST (REMOTE) "" "%" RETURN (CHILDREN)
    S: * LIST (...\\HasChildren...) "/" Fruit
    S: A04 OK ...
    C: A05 LIST (REMOTE SUBSCRIBED) "" "*"
    S: * LIST (...\\Subscribed...) "/" Fruit/Banana
    S: * LIST (\\NonExistent...\\Subscribed...) "/" Fruit/Peach
    S: A05 OK ...
    C: A06 LIST (REMOTE) "" "*" RETURN (SUBSCRIBED)
    S: * LIST (...) "/" Fruit/Apple
    S: * LIST (...\\Subscribed...) "/" Fruit/Banana
    S: A06 OK ...
    """),
    "6.3.9.8 recursivematch": (0, """
    C: p CREATE Foo/Bar
    S: p OK ...
    C: p CREATE Foo/Baz
    S: p OK ...
    C: p CREATE Moo
    S: p OK ...
    C: p SUBSCRIBE Foo/Baz
    S: p OK ...
    C: CA3 LIST "" "%" RETURN (CHILDREN)
    S: * LIST (...\\HasChildren...) "/" Foo
    S: * LIST (...\\HasNoChildren...) "/" Moo
    S: CA3 OK ...
    C: C02 LIST (SUBSCRIBED) "" "*"
    S: * LIST (...\\Subscribed...) "/" Foo/Baz
    S: C02 OK ...
    C: C04 LIST (SUBSCRIBED RECURSIVEMATCH) "" "%"
    S: * LIST (...) "/" Foo ("CHILDINFO" ("SUBSCRIBED"))
    S: C04 OK ...
    C: p DELETE Foo/Bar
    S: p OK ...
    C: p DELETE Foo/Baz
    S: p OK ...
    C: p DELETE Foo
    S: p ...
    C: C04 LIST (SUBSCRIBED RECURSIVEMATCH) "" "%"
    S: * LIST (\\NonExistent...) "/" Foo ("CHILDINFO" ("SUBSCRIBED"))
    S: C04 OK ...
    """),
    "6.3.9.8 status": (17, """
    C: p CREATE foo
    S: p OK ...
    C: p SUBSCRIBE INBOX
    S: p OK ...
    C: A01 LIST "" % RETURN (STATUS (MESSAGES UNSEEN))
    S: * LIST (...) "/" INBOX
    S: * STATUS INBOX (MESSAGES 17 UNSEEN 17)
    S: * LIST (...) "/" foo
    S: * STATUS foo (MESSAGES 0 UNSEEN 0)
    S: A01 OK ...
    C: A02 LIST (SUBSCRIBED RECURSIVEMATCH) "" % RETURN (STATUS (MESSAGES))
    S: * LIST (...\\Subscribed...) "/" INBOX
    S: * STATUS INBOX (MESSAGES 17)
    S: A02 OK ...
    """),
    "6.3.10 namespace": (0, """
    C: A001 NAMESPACE
    S: * NAMESPACE (("" "/")) NIL NIL
    S: A001 OK ...
    """),
    "6.3.11 status": (0, """
    C: p CREATE blurdybloop
    S: p OK ...
    C: A042 STATUS blurdybloop (UIDNEXT MESSAGES)
    S: * STATUS blurdybloop (UIDNEXT 1 MESSAGES 0)
    S: A042 OK ...
    """),
    "6.3.12 uidplus": (4, SELECTED + """
    C: p CREATE meeting
    S: p OK ...
    C: A004 COPY 2:4 meeting
    S: A004 OK [COPYUID ... 2:4 1:3] ...
    C: A005 UID COPY 305:310 meeting
    S: A005 OK ...
    """),
    "6.4.1 close": (0, SELECTED + """
    C: A341 CLOSE
    S: A341 OK ...
    """),
    "6.4.2 unselect": (0, SELECTED + """
    C: A342 UNSELECT
    S: A342 OK ...
    """),
    "6.4.3 expunge": (11, SELECTED + """
    C: p STORE 3,4,7,11 +FLAGS.SILENT (\\Deleted)
    S: p OK ...
    C: A202 EXPUNGE
    S: * 3 EXPUNGE
    S: * ... EXPUNGE
    S: A202 OK ...
    C: p UID FETCH 1:* UID
    S: * 1 FETCH (UID 1)
    S: * 2 FETCH (UID 2)
    S: * 3 FETCH (UID 5)
    S: * 5 FETCH (UID 8)
    S: * 7 FETCH (UID 10)
    S: p OK ...
    """),
    "6.4.4 search": (11, SELECTED + """
    C: p STORE 2,10:11 +FLAGS.SILENT (\\Flagged)
    S: p OK ...
    C: A282 SEARCH RETURN (MIN COUNT) FLAGGED SINCE 1-Feb-1994 NOT FROM "Smith"
    S: * ESEARCH (TAG "A282") MIN 2 COUNT 3
    S: A282 OK ...
    C: A283 SEARCH RETURN () FLAGGED SINCE 1-Feb-1994 NOT FROM "Smith"
    S: * ESEARCH (TAG "A283") ALL 2,10:11
    S: A283 OK ...
    C: A284 SEARCH TEXT "string not in mailbox"
    S: * ESEARCH (TAG "A284")
    S: A284 OK ...
    C: A284 SEARCH RETURN (MIN) UNSEEN
    S: * ESEARCH (TAG "A284") MIN 1
    S: A284 OK ...
    C: A285 UID SEARCH RETURN (MIN MAX) 1:5000
    S: * ESEARCH (TAG "A285") UID MIN 1 MAX 11
    S: A285 OK ...
    C: A286 SEARCH RETURN (COUNT) DELETED
    S: * ESEARCH (TAG "A286") COUNT 0
    S: A286 OK ...
    """),
    "6.4.4.4 save 1": (5, SELECTED + """
    C: p STORE 2,4 +FLAGS.SILENT (\\Flagged)
    S: p OK ...
    C: A282 SEARCH RETURN (SAVE) FLAGGED SINCE 1-Feb-1994 NOT FROM "Smith"
    S: A282 OK ...
    C: A283 FETCH $ (UID INTERNALDATE FLAGS BODY.PEEK[HEADER])
    S: * 2 FETCH (UID 2 ...)
    S: * 4 FETCH (UID 4 ...)
    S: A283 OK ...
    C: A300 SEARCH RETURN (SAVE) SINCE 1-Jan-2004
    S: A300 OK ...
    C: A301 UID SEARCH UID $ SMALLER 4096
    S: * ESEARCH (TAG "A301") UID ALL 1:5
    S: A301 OK ...
    C: A301 UID SEARCH $ SMALLER 4096
    S: * ESEARCH (TAG "A301") UID ALL 1:5
    S: A301 OK ...
    """),
    "6.4.4.4 save 4 to 7": (5, SELECTED + """
    C: p CREATE Junk
    S: p OK ...
    C: B282 SEARCH RETURN (SAVE) SINCE 1-Feb-1994
    S: B282 OK ...
    C: B283 SEARCH RETURN (SAVE) CHARSET X-NOBODY (OR $ 1,3:4) TEXT x
    S: B283 NO [BADCHARSET (US-ASCII UTF-8)] ...
    C: E283 COPY $ "Junk"
    S: E283 OK ...
    C: p STORE 2,4 +FLAGS.SILENT ($Junk)
    S: p OK ...
    C: F282 SEARCH RETURN (SAVE) KEYWORD $Junk
    S: F282 OK ...
    C: F283 COPY $ "Junk"
    S: F283 OK [COPYUID ... 2,4 1:2] ...
    C: F284 STORE $ +FLAGS.Silent (\\Deleted)
    S: F284 OK ...
    C: G283 SEARCH RETURN (ALL) DELETED
    S: * ESEARCH (TAG "G283") ALL 2,4
    S: G283 OK ...
    """),
    "6.4.4.4 save 8": (5, SELECTED + """
    C: C282 SEARCH RETURN (ALL) SINCE 12-Feb-1980 NOT FROM "Smith"
    S: * ESEARCH (TAG "C282") ALL 1:5
    S: C282 OK ...
    C: C283 SEARCH RETURN (ALL SAVE) SINCE 12-Feb-1980 NOT FROM "Smith"
    S: * ESEARCH (TAG "C283") ALL 1:5
    S: C283 OK ...
    C: C284 SEARCH RETURN (SAVE MIN) SINCE 12-Feb-1980 NOT FROM "Smith"
    S: * ESEARCH (TAG "C284") MIN 1
    S: C284 OK ...
    C: C285 SEARCH RETURN (MAX SAVE MIN) SINCE 12-Feb-1980 NOT FROM "Smith"
    S: * ESEARCH (TAG "C285") MIN 1 MAX 5
    S: C285 OK ...
    C: C286 SEARCH RETURN (MAX SAVE MIN COUNT) SINCE 12-Feb-1980
    S: * ESEARCH (TAG "C286") MIN 1 MAX 5 COUNT 5
    S: C286 OK ...
    C: C286 SEARCH RETURN (ALL SAVE MIN) SINCE 12-Feb-1980
    S: * ESEARCH (TAG "C286") MIN 1 ALL 1:5
    S: C286 OK ...
    """),
    "6.4.5 fetch": (4, SELECTED + """
    C: A654 FETCH 2:4 (FLAGS BODY[HEADER.FIELDS (DATE FROM)])
    S: * 2 FETCH (...)
    S: * 3 FETCH (...)
    S: * 4 FETCH (...)
    S: A654 OK ...
    """),
    "6.4.6 store": (4, SELECTED + """
    C: p STORE 2,4 +FLAGS.SILENT (\\Seen)
    S: p OK ...
    C: p STORE 4 +FLAGS.SILENT (\\Flagged)
    S: p OK ...
    C: A003 STORE 2:4 +FLAGS (\\Deleted)
    S: * 2 FETCH (FLAGS (\\Deleted \\Seen))
    S: * 3 FETCH (FLAGS (\\Deleted))
    S: * 4 FETCH (FLAGS (\\Flagged \\Deleted \\Seen))
    S: A003 OK ...
    """),
    "6.4.7 copy": (4, SELECTED + """
    C: p CREATE MEETING
    S: p OK ...
    C: A003 COPY 2:4 MEETING
    S: A003 OK [COPYUID ... 2:4 1:3] ...
    """),
    "6.4.8 move": (4, SELECTED + """
    C: p CREATE foo
    S: p OK ...
    C: a UID MOVE 2:3 foo
    S: * OK [COPYUID ... 2:3 1:2] ...
    S: * 2 EXPUNGE
    S: a OK ...
    """),
    "6.4.9 uid": (4, SELECTED + """
    C: p STORE 1:3 +FLAGS.SILENT (\\Deleted)
    S: p OK ...
    C: A003 UID EXPUNGE 1:3
    S: * 1 EXPUNGE
    S: * 1 EXPUNGE
    S: * 1 EXPUNGE
    S: A003 OK ...
    C: A999 UID FETCH 2:4828442 FLAGS
    S: * 1 FETCH (UID 4 FLAGS (...))
    S: A999 OK ...
    """),
    "7.1 codes": (0, """
    C: p CREATE this
    S: p OK ...
    C: p CREATE that
    S: p OK ...
    C: o356 RENAME this that
    S: o356 NO [ALREADYEXISTS] ...
    C: l create "///////"
    S: l NO [CANNOT] ...
    C: p RENAME nowhere there
    S: p NO [NONEXISTENT] ...
    """),
}


@pytest.fixture
def c(box):
    client = box.connect()
    client.box = box
    client.ok("ENABLE IMAP4rev2")
    client.d = re.search(rb'\) "(.+)" ', client.ok('LIST "" INBOX')[0]
                         ).group(1).decode()
    return client


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_example(c, name):
    n, script = SCRIPTS[name]
    c.box.fill(n, flags="")
    play(c, script.replace("/", c.d))


@pytest.mark.parametrize("plus", ["", "+"])
def test_append(c, plus):
    """Section 6.3.12, both forms of the literal."""
    c.ok("CREATE saved-messages")
    c.send("A003 APPEND saved-messages (\\Seen) {%d%s}\r\n"
           % (len(LETTER), plus))
    if not plus:
        assert c.response().startswith(b"+ ")
    c.send(LETTER + b"\r\n")
    status, text, _ = c.finish(b"A003")
    assert status == "OK" and re.match(rb"\[APPENDUID \d+ 1\] ", text)


def test_idle(c):
    """Section 6.3.13: messages come and go while the client waits."""
    c.box.fill(3, flags="")
    play(c, """
        C: A001 SELECT INBOX
        S: * 3 EXISTS
        S: A001 OK [READ-WRITE] ...
    """)
    tag = c.start("IDLE")
    assert c.response().startswith(b"+ ")
    c.box.deliver(maildir.message(4), flags="")
    while c.response() != b"* 4 EXISTS":
        pass
    c.send(b"DONE\r\n")
    assert c.finish(tag)[0] == "OK"
    assert c.ok("FETCH 4 ALL")[0].startswith(b"* 4 FETCH (")
    tag = c.start("IDLE")
    assert c.response().startswith(b"+ ")
    other = c.box.connect()
    other.ok("SELECT INBOX")
    other.ok("STORE 2 +FLAGS (\\Deleted)")
    other.ok("EXPUNGE")
    while c.response() != b"* 2 EXPUNGE":
        pass
    c.send(b"DONE\r\n")
    assert c.finish(tag)[0] == "OK"


@pytest.mark.parametrize("word", ["отпуск", "мать"])
def test_search_in_russian(c, word):
    """Sections 6.4.4 and 6.4.4.4: a literal, and a saved result with it."""
    c.box.fill(2, flags="")
    c.box.deliver(("Content-Type: text/plain; charset=utf-8\r\n\r\n%s\r\n"
                   % word).encode(), flags="")
    c.ok("SELECT INBOX")
    raw = word.encode()
    status, _, got = c.literal("SEARCH CHARSET UTF-8 TEXT", raw)
    assert status == "OK" and got[-1].endswith(b") ALL 3")
    c.ok("SEARCH RETURN (SAVE) SINCE 1-Feb-1994")
    got = c.ok(b"SEARCH CHARSET UTF-8 (OR $ 1) TEXT {%d+}\r\n%s" % (
        len(raw), raw))
    assert got[-1].endswith(b") ALL 3")


def test_fetch_all_of_section_8(c):
    """FULL, BODY[HEADER] and a flag, with the message of the example."""
    c.box.deliver(LETTER.replace(b"\r\n", b"\n"), flags="S")
    c.ok("SELECT INBOX")
    got = c.ok("FETCH 1 FULL")[0]
    assert re.match(
        rb'\* 1 FETCH \(FLAGS \(\\Seen\) INTERNALDATE ".{26}" RFC822.SIZE \d+ '
        rb'ENVELOPE \("Mon, 7 Feb 1994 21:52:25 -0800 \(PST\)" '
        rb'"afternoon meeting" \(\("Fred Foobar" NIL "foobar" '
        rb'"Blurdybloop.example"\)\).* BODY \("text" "plain" \("charset" '
        rb'"us-ascii"\) NIL NIL "7bit" \d+ \d\)\)$', got, re.I), got
