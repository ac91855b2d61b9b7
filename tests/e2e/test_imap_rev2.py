# SPDX-License-Identifier: ISC
"""IMAP4rev2 (RFC 9051), where it differs from IMAP4rev1: what a client hears
that has said ENABLE IMAP4rev2, and that nothing changes for one that has not."""
import re
import unicodedata

import pytest
from lib import maildir

MBOX = True

NFC = unicodedata.normalize("NFC", "Entwürfe")
NFD = unicodedata.normalize("NFD", "Entwürfe")


def rev2(box, n=0, select=True, **kw):
    if n:
        box.fill(n, flags="", **kw)
    c = box.connect()
    assert c.ok("ENABLE IMAP4rev2") == [b"* ENABLED IMAP4rev2"]
    c.box = box
    c.selected = c.ok("SELECT INBOX") if select else None
    return c


def d(c):
    return re.search(rb'\) "(.+)" ', c.ok('LIST "" INBOX')[0]).group(1).decode()


def lists(untagged):
    """Without what depends on the time."""
    return [re.sub(r" ?\\(Unm|M)arked", "", r.decode())
            for r in untagged if r.startswith(b"* LIST")]


def test_enable_once(box):
    c = rev2(box, select=False)
    assert c.ok("ENABLE imap4REV2") == [b"* ENABLED"]


def test_select(box):
    """Section 6.3.2: FLAGS, EXISTS, LIST, PERMANENTFLAGS, UIDNEXT,
    UIDVALIDITY; no RECENT and no UNSEEN."""
    c = rev2(box, 3)
    got = c.selected
    for want in (rb"\* 3 EXISTS", rb"\* OK \[UIDVALIDITY \d+\] .*",
                 rb"\* OK \[UIDNEXT 4\] .*",
                 rb"\* FLAGS \(\\Answered \\Flagged \\Deleted \\Seen \\Draft"
                 rb" \$MDNSent \$Forwarded \$Junk \$NotJunk \$Phishing\)",
                 rb"\* OK \[PERMANENTFLAGS \(.*\\\*\)\] .*",
                 rb'\* LIST \(.*\) "." INBOX'):
        assert len([r for r in got if re.fullmatch(want, r)]) == 1, (want, got)
    assert not [r for r in got if b"RECENT" in r or b"UNSEEN" in r]
    # one that has not enabled it
    old = box.connect().ok("EXAMINE INBOX")
    assert not lists(old)
    assert [r for r in old if r.endswith(b" RECENT")]
    assert [r for r in old if b"[UNSEEN 1]" in r]


def test_select_of_another_spelling(box):
    """Section 8: select inbox."""
    c = rev2(box, 1, select=False)
    want = '* LIST (\\HasNoChildren) "%s" INBOX ("OLDNAME" (inbox))' % d(c)
    assert lists(c.ok("SELECT inbox")) == [want]
    assert lists(c.ok("EXAMINE inbox")) == [want]


def test_list_of_select_is_that_of_list(box):
    c = rev2(box, select=False)
    sub = "Sent" + d(c) + "x"
    c.ok("CREATE Sent")
    c.ok("CREATE " + sub)
    for name in ("Sent", sub, "INBOX"):
        assert lists(c.ok("SELECT " + name)) == \
            lists(c.ok('LIST "" ' + name))
    assert "\\Sent" in lists(c.ok("SELECT Sent"))[0]


def test_closed(box):
    """Section 6.3.2, second example: CLOSED before all of the new one."""
    c = rev2(box, 1)
    c.ok("CREATE Drafts")
    got = c.ok("SELECT Drafts")
    assert got[0].startswith(b"* OK [CLOSED]")
    assert any(r.startswith(b"* LIST") for r in got)
    got = c.ok("UNSELECT")
    assert not [r for r in got if b"CLOSED" in r]


def test_failed_select_closes(box):
    c = rev2(box, 1)
    status, text, got = c.cmd("SELECT nowhere")
    assert status == "NO" and text.startswith(b"[NONEXISTENT]")
    assert got[0].startswith(b"* OK [CLOSED]") and not lists(got)
    c.bad("FETCH 1 FLAGS")


def test_no_recent(box):
    c = rev2(box, 2)
    box.deliver(maildir.message(3), flags="")
    got = []
    while not any(r.endswith(b"EXISTS") for r in got):
        got += c.ok("NOOP")
    got += c.ok("FETCH 1:* (FLAGS)") + c.ok("UID FETCH 1:* (FLAGS ENVELOPE)")
    got += c.ok("FETCH 3 (FLAGS BODY[])")
    got += c.ok("STORE 1:3 +FLAGS (\\Flagged)")
    assert not [r for r in got if b"RECENT" in r.upper()], got


def test_uid_in_what_was_not_asked_for(box):
    """Section 7.5.2: unsolicited FETCH responses have the UID."""
    c = rev2(box, 2)
    other = box.connect()
    other.ok("SELECT INBOX")
    other.ok("STORE 2 +FLAGS (\\Flagged)")
    got = []
    while not got:
        got = [r for r in c.ok("NOOP") if b"FETCH" in r]
    assert got == [b"* 2 FETCH (UID 2 FLAGS (\\Flagged))"]
    assert c.ok("STORE 2 -FLAGS (\\Flagged)") == [b"* 2 FETCH (FLAGS ())"]
    got = []
    while not got:
        got = [r for r in other.ok("NOOP") if b"FETCH" in r]
    assert b"UID" not in got[0]


def test_list_ignores_what_it_can_not_do(box):
    """Section 6.3.9: silently."""
    c = rev2(box)
    assert c.ok('LIST "" ' + "x" * 2000) == []
    assert len(c.ok('LIST "" (INBOX %s)' % ("x" * 2000))) == 1
    assert c.ok('LSUB "" ' + "x" * 2000) == []


def test_append_to_another_spelling(box):
    """Section 6.3.12: OLDNAME, too."""
    c = rev2(box)
    c.ok('CREATE "%s"' % NFC)
    mail = b"a: b\r\n\r\n"
    for name, want in ((NFC, 0), (NFD, 1)):
        got = c.ok(b'APPEND "%s" {%d+}\r\n%s' % (
            name.encode(), len(mail), mail))
        assert len(lists(got)) == want
        assert not want or '("OLDNAME" ("%s"))' % NFD in lists(got)[0]


def test_keywords(box):
    """Section 2.3.2: those that a server should know, in SEARCH and kept by
    APPEND, COPY and MOVE."""
    c = rev2(box)
    c.ok("CREATE there")
    known = "$Forwarded $MDNSent $Junk $NotJunk $Phishing".split()
    mail = b"a: b\r\n\r\n"
    c.ok(b"APPEND INBOX (%s) {%d+}\r\n%s" % (
        " ".join(known).encode(), len(mail), mail))
    c.ok("COPY 1 there")
    c.ok("MOVE 1 there")
    c.ok("SELECT there")
    for word in known:
        got = c.ok("SEARCH KEYWORD " + word.upper())
        assert got[0].endswith(b" ALL 1:2"), (word, got)
        assert all(word.encode() in r for r in c.ok("FETCH 1:2 FLAGS"))


def test_recent_for_others(box):
    """\\Recent is told to a session that does not know better."""
    box.fill(1, flags="")
    c = box.connect()
    c.ok("SELECT INBOX")
    got = c.ok("FETCH 1 FLAGS")
    assert got in ([b"* 1 FETCH (FLAGS (\\Recent))"],
                   [b"* 1 FETCH (FLAGS ())"])
    recent = got == [b"* 1 FETCH (FLAGS (\\Recent))"]
    c.ok("ENABLE IMAP4rev2")
    assert c.ok("FETCH 1 FLAGS") == [b"* 1 FETCH (FLAGS ())"]
    assert recent or box.kind == "tunnel"


def test_search_is_esearch(box):
    """Section 6.4.4."""
    c = rev2(box, 5)
    c.ok("STORE 2,5 +FLAGS (\\Deleted)")
    tag = b"a%d" % (c.tags + 1)
    assert c.ok("SEARCH DELETED") == [b'* ESEARCH (TAG "%s") ALL 2,5' % tag]
    tag = b"a%d" % (c.tags + 1)
    assert c.ok("UID SEARCH 1:3") == [
        b'* ESEARCH (TAG "%s") UID ALL 1:3' % tag]
    tag = b"a%d" % (c.tags + 1)
    assert c.ok('SEARCH TEXT "string not in mailbox"') == [
        b'* ESEARCH (TAG "%s")' % tag]
    tag = b"a%d" % (c.tags + 1)
    assert c.ok("SEARCH RETURN () 1,3") == [
        b'* ESEARCH (TAG "%s") ALL 1,3' % tag]
    tag = b"a%d" % (c.tags + 1)
    assert c.ok("SEARCH RETURN (MIN COUNT) DELETED") == [
        b'* ESEARCH (TAG "%s") MIN 2 COUNT 2' % tag]
    # section 6.4.4.4: example 1, a saved result
    assert c.ok("SEARCH RETURN (SAVE) DELETED") == []
    assert [r.split()[1] for r in c.ok("FETCH $ (UID FLAGS)")] == [b"2", b"5"]


def test_search_example(box):
    """Section 6.4.4: the charset of a search may be said; UTF-8 and US-ASCII
    are known everywhere, BADCHARSET names them."""
    c = rev2(box, 1)
    box.deliver("Subject: \u0425\u0430\u0431\u0440\r\n\r\nx\r\n".encode())
    tag = b"a%d" % (c.tags + 2)
    c.ok("NOOP")
    got = c.ok('SEARCH CHARSET UTF-8 SUBJECT "\u0445\u0430\u0431\u0440"')
    assert b'* ESEARCH (TAG "%s") ALL 2' % tag in got
    assert b"* ESEARCH" in c.ok('SEARCH TEXT "\u0445\u0430\u0431\u0440"')[0]
    text = c.no("SEARCH CHARSET NOSUCH TEXT x")
    assert text.startswith(b"[BADCHARSET (US-ASCII UTF-8)]")


@pytest.mark.parametrize("command, want", [
    ("CREATE {NFD}", '* LIST () "{d}" "{NFC}" ("OLDNAME" ("{NFD}"))'),
    ("RENAME here {NFD}", '* LIST () "{d}" "{NFC}" ("OLDNAME" (here))'),
    ("DELETE {NFD}", '* LIST (\\NonExistent \\HasNoChildren) "{d}" "{NFC}"'
                     ' ("OLDNAME" ("{NFD}"))'),
    ("SELECT {NFD}", '* LIST (\\HasNoChildren) "{d}" "{NFC}"'
                     ' ("OLDNAME" ("{NFD}"))')])
def test_normalised_names(box, command, want):
    """Sections 5.1, 6.3.2, 6.3.4 to 6.3.6, 6.3.9.7."""
    c = rev2(box, select=False)
    kw = {"NFC": NFC, "NFD": NFD, "d": d(c)}
    c.ok("CREATE here")
    if not command.startswith(("CREATE", "RENAME")):
        c.ok('CREATE "%s"' % NFC)
    command = command.replace("{NFD}", '"{NFD}"').format(**kw)
    want = want.format(**kw)
    # what it is for is told, too
    assert [g.replace(" \\Drafts", "") for g in lists(c.ok(command))] == [want]
    # another client, which knows modified UTF-7 alone
    have = [r for r in box.connect().ok('LIST "" *') if b"Entw" in r]
    assert len(have) == (0 if command.startswith("DELETE") else 1)
    assert all(b"Entw&APw-rfe" in r for r in have)


def test_denormalized_name_on_disk(box):
    """Mailboxes of other programs are found as they are spelt."""
    old = box.connect()
    old.ok("CREATE Entwu&Awg-rfe")
    c = rev2(box, select=False)
    assert any(NFD.encode() in r for r in c.ok('LIST "" *'))
    assert "OLDNAME" not in lists(c.ok('SELECT "%s"' % NFD))[0]
    c.ok('DELETE "%s"' % NFD)


@pytest.mark.parametrize("name", ["a\u0085b", "a\u2028", "\u2029", "x\u0080"])
def test_names_without_control_characters(box, name):
    c = rev2(box, select=False)
    c.ok("CREATE there")
    assert c.no('CREATE "%s"' % name).startswith(b"[CANNOT]")
    assert c.no('RENAME there "%s"' % name).startswith(b"[CANNOT]")


def test_utf8_names(box):
    c = rev2(box, select=False)
    name = "日本語 & 台北"
    c.ok('CREATE "%s"' % name)
    assert lists(c.ok('LIST "" "日本*"')) == [
        '* LIST (\\HasNoChildren) "%s" "%s"' % (d(c), name)]
    assert c.ok('STATUS "%s" (MESSAGES)' % name) == [
        ('* STATUS "%s" (MESSAGES 0)' % name).encode()]
    # an atom can not have it
    c.bad("CREATE \u00fc")
    # a name with a literal is the same
    status, _, got = c.literal("SELECT", name.encode())
    assert status == "OK" and name in lists(got)[0]
    c.ok("CREATE R&D")
    assert any(r.endswith(" R&D") for r in lists(c.ok('LIST "" R*')))
    assert any(b"R&-D" in r for r in box.connect().ok('LIST "" R*'))


def test_bad_utf8(box):
    c = rev2(box, 1)
    for bad in (b"\xff", b"\xc3", b"\xc0\xaf", b"\xed\xa0\x80",
                b"\xf4\x90\x80\x80"):
        c.bad(b'CREATE "a%s"' % bad)
        c.bad(b'SEARCH SUBJECT "%s"' % bad)
    c.ok("NOOP")


def test_status(box):
    """Sections 6.3.11, 7.3.3: DELETED and SIZE."""
    c = rev2(box, 3)
    c.ok("STORE 1 +FLAGS (\\Deleted)")
    size = sum(int(re.search(rb"RFC822.SIZE (\d+)", r).group(1))
               for r in c.ok("FETCH 1:* RFC822.SIZE"))
    got = c.ok("STATUS INBOX (UIDNEXT MESSAGES DELETED SIZE UNSEEN)")
    assert b"* STATUS INBOX (UIDNEXT 4 MESSAGES 3 DELETED 1 SIZE %d UNSEEN 3)" \
        % size in got


def test_delete_with_children(box):
    """Section 6.3.5: a name that is no mailbox, with mailboxes below it."""
    c = rev2(box, select=False)
    below = "foo" + d(c) + "bar"
    c.ok("CREATE " + below)
    status, text, _ = c.cmd("DELETE foo")
    if status == "NO":
        assert text.startswith(b"[HASCHILDREN]")
    c.ok("DELETE " + below)
    c.cmd("DELETE foo")
    assert c.no("DELETE foo").startswith(b"[NONEXISTENT]")


def test_move(box):
    """Section 6.4.8: COPYUID untagged, then EXPUNGE; TRYCREATE."""
    c = rev2(box, 3)
    assert c.no("MOVE 1 nowhere").startswith(b"[TRYCREATE]")
    assert c.no("UID COPY 1 nowhere").startswith(b"[TRYCREATE]")
    c.ok("CREATE there")
    got = c.ok("UID MOVE 1:2 there")
    at = [i for i, r in enumerate(got)
          if re.match(rb"\* OK \[COPYUID \d+ 1:2 1:2\]", r)]
    gone = [i for i, r in enumerate(got) if r.endswith(b" EXPUNGE")]
    assert at and len(gone) == 2 and at[0] < gone[0]


def test_what_rev2_has_no_more_is_still_there(box):
    """Appendix A: a client that asks for it gets it."""
    c = rev2(box, 1)
    c.ok("SUBSCRIBE INBOX")
    assert c.ok("CHECK") == []
    assert b"INBOX" in c.ok('LSUB "" *')[0]
    assert b"RFC822.HEADER {" in c.ok("FETCH 1 RFC822.HEADER")[0]


def test_quoted_utf8_in_envelope(box):
    """Section 9: quoted; with the answer kept, too, and only for those who
    enabled it."""
    subject = "Grüße aus \"Köln\" {5}"
    box.deliver(("From: Jörg <a@b.example>\r\nSubject: %s\r\n\r\nx\r\n"
                 % subject).encode())
    old = box.connect()
    old.ok("SELECT INBOX")
    quoted = '"%s"' % subject.replace('"', '\\"')
    c = rev2(box)
    for _ in range(2):
        got = old.ok("FETCH 1 ENVELOPE")[0]
        assert ("{%d}\r\n%s" % (len(subject.encode()), subject)).encode() in got
        got = c.ok("FETCH 1 ENVELOPE")[0]
        assert b"{" not in got.replace(b"{5}", b""), got
        assert quoted.encode() in got and '"Jörg"'.encode() in got
    # fetched first by those who enabled it
    box.deliver(("Subject: %s\r\n\r\nx\r\n" % subject).encode())
    for _ in range(2):
        c.ok("NOOP")
        assert quoted.encode() in c.ok("FETCH 2 ENVELOPE")[0]
    old.ok("NOOP")
    assert quoted.encode() not in old.ok("FETCH 2 ENVELOPE")[0]
    # what is no UTF-8 stays a literal
    box.deliver(b"Subject: Gr\xfc\xdfe\r\n\r\nx\r\n")
    c.ok("NOOP")
    assert b"{5}\r\nGr\xfc\xdfe" in c.ok("FETCH 3 ENVELOPE")[0]


GLOBAL = (b"Subject: g\r\nMIME-Version: 1.0\r\n"
          b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
          b"Content-Type: message/global\r\n\r\n"
          b"Subject: \xc3\xbc\r\n\r\nhello\r\n\r\n--b--\r\n")


def test_message_global(box):
    """Section 7.5.2: like message/rfc822, but for RFC 3501 any attachment; one
    does not hear what was kept for the other."""
    box.deliver(GLOBAL)
    c = rev2(box)
    old = box.connect()
    old.ok("SELECT INBOX")
    for _ in range(2):
        for item in ("BODYSTRUCTURE", "BODY"):
            new = c.ok("FETCH 1 " + item)[0]
            assert b'"message" "global" NIL NIL NIL "7bit"' in new
            assert '(NIL "ü" NIL'.encode() in new
            plain = old.ok("FETCH 1 " + item)[0]
            assert b"hello" not in plain and b"Subject" not in plain
            assert "ü".encode() not in plain
            assert re.search(rb'"message" "global" NIL NIL NIL "7bit" \d+[ )]',
                             plain)


def test_the_session_of_section_8(box):
    c = box.connect()
    box.fill(18, flags="S")
    for sent, wanted in (
            ("ENABLE IMAP4rev2", [rb"\* ENABLED IMAP4rev2"]),
            ("select inbox", [
                rb"\* 18 EXISTS", rb"\* FLAGS \(\\Answered \\Flagged \\Deleted"
                rb" \\Seen \\Draft.*\)", rb"\* OK \[UIDVALIDITY \d+\].*",
                rb'\* LIST \(.*\) "." INBOX \("OLDNAME" \(inbox\)\)']),
            ("fetch 12 full", [
                rb"(?s)\* 12 FETCH \(FLAGS \(\\Seen\) INTERNALDATE \".*\" "
                rb"RFC822.SIZE \d+ ENVELOPE \(.*\) BODY \(\"text\" \"plain\".*"
                rb"\)\)"]),
            ("fetch 12 body[header]", [
                rb"(?s)\* 12 FETCH \(BODY\[HEADER\] \{\d+\}\r\n.*\r\n\r\n\)"]),
            ("store 12 +flags \\deleted", [
                rb"\* 12 FETCH \(FLAGS \(\\Deleted \\Seen\)\)"]),
            ("logout", [rb"\* BYE .*"])):
        got = c.ok(sent)
        for want in wanted:
            assert [r for r in got if re.fullmatch(want, r)], (want, got)
