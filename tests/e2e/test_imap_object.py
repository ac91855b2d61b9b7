# SPDX-License-Identifier: ISC
"""OBJECTID (RFC 8474), SAVEDATE (RFC 8514), PREVIEW (RFC 8970)."""
import datetime
import re
import time

import pytest

TEXT = (b"From: a@example.org\r\nSubject: %s\r\nMessage-ID: <%s@x>\r\n%s"
        b"\r\n%s\r\n")
FIRST = TEXT % (b"one", b"1", b"", b"The first words.\r\nAnd more.")
REPLY = TEXT % (b"Re: one", b"2", b"In-Reply-To: <1@x>\r\n", b"I answer.")
OTHER = TEXT % (b"two", b"3", b"Content-Type: image/png\r\n", b"PNG")


def one(untagged, pattern):
    found = [m for m in (re.search(pattern, r) for r in untagged) if m]
    assert len(found) == 1, (pattern, untagged)
    return found[0].group(1)


@pytest.fixture
def three(box):
    c = box.connect()
    c.box = box
    for m in (FIRST, REPLY, OTHER):
        c.append("INBOX", m, '"01-Jan-2001 01:02:03 +0000"')
    c.selected = c.ok("SELECT INBOX")
    return c


def ids(c, what="1:*", item=b"EMAILID"):
    return [re.search(item + rb" \(([A-Za-z0-9_-]{1,255})\)", r).group(1)
            for r in c.ok("FETCH %s (%s)" % (what, item.decode()))
            if b"FETCH" in r]


def test_announced(three):
    assert {"OBJECTID", "SAVEDATE", "PREVIEW"} <= three.capabilities()


def test_mailbox_id(three):
    """RFC 8474 section 4."""
    c = three
    inbox = one(c.selected, rb"^\* OK \[MAILBOXID \(([\w-]+)\)\]")
    assert one(c.ok("STATUS INBOX (MAILBOXID)"),
               rb"STATUS INBOX \(MAILBOXID \(([\w-]+)\)\)$") == inbox
    status, text, _ = c.cmd("CREATE foo")
    assert status == "OK"
    foo = re.match(rb"\[MAILBOXID \(([\w-]+)\)\]", text).group(1)
    bar = re.match(rb"\[MAILBOXID \(([\w-]+)\)\]",
                   c.cmd("CREATE bar")[1]).group(1)
    assert len({inbox, foo, bar}) == 3
    c.ok("RENAME foo renamed")
    assert one(c.ok("STATUS renamed (MESSAGES MAILBOXID)"),
               rb"MAILBOXID \(([\w-]+)\)\)$") == foo
    # the name once more is another mailbox
    again = re.match(rb"\[MAILBOXID \(([\w-]+)\)\]",
                     c.cmd("CREATE foo")[1]).group(1)
    assert again not in (foo, bar)
    got = c.ok('LIST "" bar RETURN (STATUS (MAILBOXID))')
    assert got[1] == b"* STATUS bar (MAILBOXID (%s))" % bar
    assert one(c.ok("EXAMINE renamed"), rb"\[MAILBOXID \(([\w-]+)\)\]") == foo


def test_email_and_thread_ids(three):
    """RFC 8474 section 5."""
    c = three
    mails, threads = ids(c), ids(c, item=b"THREADID")
    assert len(set(mails)) == 3 and not set(mails) & set(threads)
    assert threads[0] == threads[1] != threads[2]
    c.ok("CREATE dest")
    c.ok("COPY 1:2 dest")
    c.ok("MOVE 3 dest")
    c.ok("SELECT dest")
    assert ids(c) == mails and ids(c, item=b"THREADID") == threads
    got = c.ok("UID FETCH 1 (EMAILID THREADID)")
    assert re.match(rb"\* 1 FETCH \(UID 1 EMAILID \([\w-]+\) THREADID "
                    rb"\([\w-]+\)\)$", got[0])
    # another process says the same
    d = c.box.connect()
    d.ok("EXAMINE dest")
    assert ids(d) == mails


def test_search_ids(three):
    """RFC 8474 section 6."""
    c = three
    mails, threads = ids(c), ids(c, item=b"THREADID")
    assert c.ok("SEARCH EMAILID " + mails[1].decode()) == [b"* SEARCH 2"]
    assert c.ok("SEARCH THREADID " + threads[0].decode()) == \
        [b"* SEARCH 1 2"]
    assert c.ok("SEARCH OR EMAILID %s EMAILID %s" % (
        mails[0].decode(), mails[2].decode())) == [b"* SEARCH 1 3"]
    assert c.ok("SEARCH NOT EMAILID Mnone") == [b"* SEARCH 1 2 3"]
    for bad in ("EMAILID", 'EMAILID "x"', "EMAILID a.b", "THREADID (x)",
                "EMAILID " + "x" * 256):
        c.bad("SEARCH " + bad)


def test_save_date(three):
    c = three
    text = one(c.ok("FETCH 1 (SAVEDATE INTERNALDATE)"),
               rb'SAVEDATE "([^"]*)" INTERNALDATE " ?0?1-Jan-2001')
    saved = datetime.datetime.strptime(text.decode().strip(),
                                       "%d-%b-%Y %H:%M:%S %z")
    assert abs(saved.timestamp() - time.time()) < 120
    # the copy has its own
    time.sleep(1.1)
    c.ok("CREATE dest")
    c.ok("COPY 1 dest")
    c.ok("SELECT dest")
    later = one(c.ok("FETCH 1 SAVEDATE"), rb'SAVEDATE "([^"]*)"')
    later = datetime.datetime.strptime(later.decode().strip(),
                                       "%d-%b-%Y %H:%M:%S %z")
    assert later > saved
    # and who is moved gets a new one
    time.sleep(1.1)
    c.ok("MOVE 1 INBOX")
    c.ok("SELECT INBOX")
    moved = one(c.ok("FETCH 4 SAVEDATE"), rb'SAVEDATE "([^"]*)"')
    assert datetime.datetime.strptime(
        moved.decode().strip(), "%d-%b-%Y %H:%M:%S %z") > later


def test_search_saved(three):
    c = three
    today = datetime.date.today()
    days = [(today + datetime.timedelta(n)).strftime("%d-%b-%Y")
            for n in (-1, 0, 1, 2)]
    assert c.ok("SEARCH SAVEDSINCE " + days[0]) == [b"* SEARCH 1 2 3"]
    assert c.ok("SEARCH SAVEDSINCE " + days[3]) == [b"* SEARCH"]
    assert c.ok("SEARCH SAVEDBEFORE " + days[0]) == [b"* SEARCH"]
    assert c.ok("SEARCH SAVEDBEFORE " + days[3]) == [b"* SEARCH 1 2 3"]
    assert c.ok("SEARCH OR OR SAVEDON %s SAVEDON %s SAVEDON %s"
                % tuple(days[:3])) == [b"* SEARCH 1 2 3"]
    assert c.ok("SEARCH SAVEDATESUPPORTED") == [b"* SEARCH 1 2 3"]
    c.bad("SEARCH SAVEDON")
    c.bad("SEARCH SAVEDON tomorrow")


def test_preview(three):
    c = three
    got = c.ok("FETCH 1:3 (UID PREVIEW)")
    assert got[0] == b'* 1 FETCH (UID 1 PREVIEW "The first words. And more.")'
    assert got[1] == b'* 2 FETCH (UID 2 PREVIEW "I answer.")'
    # nothing to be said of a picture (section 3.2)
    assert got[2] == b'* 3 FETCH (UID 3 PREVIEW "")'
    assert "\\Seen" not in c.flags()[1]


def test_preview_lazy(three):
    """NIL at most before it was made; without LAZY never."""
    c = three
    first = c.ok("FETCH 1 (PREVIEW (LAZY))")[0]
    assert first in (b"* 1 FETCH (PREVIEW NIL)",
                     b'* 1 FETCH (PREVIEW "The first words. And more.")')
    # what has just come is not written down at once
    end = time.monotonic() + 20
    while b"NIL" in c.ok("FETCH 1 (PREVIEW (LAZY))")[0]:
        assert time.monotonic() < end
        c.ok("FETCH 1 PREVIEW")
        time.sleep(0.2)
    for command in ("FETCH 1 (PREVIEW (LAZY))", "FETCH 1 PREVIEW (LAZY)",
                    "FETCH 1 (preview (lazy lazy))"):
        assert c.ok(command)[0] == \
            b'* 1 FETCH (PREVIEW "The first words. And more.")'
    got = c.ok("FETCH 1 (PREVIEW (LAZY)) (CHANGEDSINCE 1)")
    assert b"MODSEQ (" in got[0] or b"MODSEQ (" in got[1]
    for bad in ("FETCH 1 (PREVIEW ())", "FETCH 1 (PREVIEW (EAGER))",
                "FETCH 1 (PREVIEW LAZY)", "FETCH 1 (PREVIEW (LAZY) (LAZY))"):
        c.bad(bad)


def test_preview_of_text_in_all_charsets(box):
    c = box.connect()
    c.append("INBOX", b"Subject: x\r\nContent-Type: text/plain; "
             b"charset=iso-8859-1\r\nContent-Transfer-Encoding: "
             b"quoted-printable\r\n\r\nGr=FC=DFe aus K=F6ln\r\n")
    c.append("INBOX", b"Subject: x\r\nContent-Type: text/html\r\n\r\n<p>A "
             b"<b>bold</b>\r\nword</p><script>no()</script>\r\n")
    c.append("INBOX", b"Subject: x\r\n\r\n" + b"word \r\n" * 1000)
    c.ok("SELECT INBOX")
    got = c.ok("FETCH 1:3 PREVIEW")
    text = "Gr\u00fc\u00dfe aus K\u00f6ln".encode()
    assert got[0] == b"* 1 FETCH (PREVIEW {%d}\r\n%s)" % (len(text), text)
    assert got[1] == b'* 2 FETCH (PREVIEW "A bold word")'
    assert 150 < len(got[2]) <= 256
