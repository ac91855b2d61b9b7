# SPDX-License-Identifier: ISC
"""THREAD: RFC 5256."""
import pytest


def mail(n, subject, refs=(), reply=None):
    text = "Message-ID: <%s@x>\r\nSubject: %s\r\n" % (n, subject)
    if refs:
        text += "References: %s\r\n" % "\r\n ".join("<%s@x>" % r for r in refs)
    if reply:
        text += "In-Reply-To: <%s@x> from somebody\r\n" % reply
    text += "Date: %d Jan 2000 00:00:00 +0000\r\n" % (ord(str(n)[0]) - 96)
    return (text + "\r\nbody of %s\r\n" % n).encode()


@pytest.fixture
def talk(box):
    """a <- b <- d, a <- c; e and f answer what is not there; g by its
    subject; h has nobody."""
    c = box.connect()
    c.box = box
    c.append("INBOX", b"Subject: first\r\n\r\ngoes\r\n")
    for m in (mail("a", "one"), mail("b", "Re: one", ["a"]),
              mail("c", "other", (), "a"), mail("d", "Re: one", ["a", "b"]),
              mail("e", "lost", ["z"]), mail("f", "Re: lost", ["z"]),
              mail("g", "Re: ONE"), mail("h", "alone")):
        c.append("INBOX", m)
    c.ok("SELECT INBOX")
    c.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    c.ok("EXPUNGE")
    return c


def thread(c, arguments):
    got = c.ok("THREAD " + arguments)
    assert len(got) == 1 and got[0].startswith(b"* THREAD"), got
    return got[0][len("* THREAD"):].decode().strip()


def test_announced(talk):
    assert {"THREAD=ORDEREDSUBJECT", "THREAD=REFERENCES"} <= \
        talk.capabilities()


def test_references(talk):
    c = talk
    assert thread(c, "REFERENCES UTF-8 ALL") == \
        "(1 (2 4)(3)(7))((5)(6))(8)"
    got = c.ok("UID THREAD REFERENCES US-ASCII ALL")
    assert got == [b"* THREAD (2 (3 5)(4)(8))((6)(7))(9)"]
    # only what is searched for; who is not found counts as not there
    assert thread(c, "REFERENCES UTF-8 NOT 1") == \
        "((2 4)(3)(7))((5)(6))(8)"
    assert thread(c, 'REFERENCES UTF-8 BODY "body of d"') == "(4)"


def test_ordered_subject(talk):
    c = talk
    assert thread(c, "ORDEREDSUBJECT UTF-8 ALL") == \
        "(1 (2)(4)(7))(3)(5 6)(8)"
    assert thread(c, 'ORDEREDSUBJECT US-ASCII TEXT "gewp"') == ""


@pytest.mark.parametrize("bad", [
    "THREAD", "THREAD REFERENCES", "THREAD REFERENCES UTF-8",
    "THREAD NOSUCH UTF-8 ALL", "THREAD (REFERENCES) UTF-8 ALL",
    "THREAD REFERENCES UTF-8 NOSUCH"])
def test_bad(talk, bad):
    talk.bad(bad)


def test_unknown_charset(talk):
    status, text, _ = talk.cmd("THREAD REFERENCES X-NO SUBJECT x")
    assert status == "NO" and text.startswith(b"[BADCHARSET")


def test_twice_and_by_another(talk):
    """Keys that are known by now give the same tree; so does another
    process."""
    want = thread(talk, "REFERENCES UTF-8 ALL")
    assert thread(talk, "REFERENCES UTF-8 ALL") == want
    d = talk.box.connect()
    d.ok("EXAMINE INBOX")
    assert thread(d, "REFERENCES UTF-8 ALL") == want


def test_quoted_ids_are_the_same(box):
    """Section 3: <"a"@x> is <a@x>."""
    c = box.connect()
    c.append("INBOX", b'Message-ID: <"q"@x>\r\nSubject: 1\r\n\r\nx\r\n')
    c.append("INBOX", b"Message-ID: <r@x>\r\nReferences: <q@x>\r\n"
             b"Subject: 2\r\n\r\nx\r\n")
    c.ok("SELECT INBOX")
    assert thread(c, "REFERENCES UTF-8 ALL") == "(1 2)"
