# SPDX-License-Identifier: ISC
"""I18NLEVEL=1 (RFC 5255 section 4): SEARCH, SORT and THREAD compare by
i;unicode-casemap (RFC 5051): titlecase, then full decomposition."""
import pytest

MBOX = True

# a text, then others that are the same to the comparator
EQUAL = [
    ("resume", ["RESUME", "Resume"]),
    ("r\u00e9sum\u00e9", ["R\u00c9SUM\u00c9", "re\u0301sume\u0301"]),
    ("\u0436\u0443\u043a", ["\u0416\u0423\u041a", "\u0416\u0443\u043a"]),
    ("\u03c3\u03bf\u03c6\u03af\u03b1", ["\u03a3\u039f\u03a6\u0399\u0301\u0391"]),
    # section 2 of RFC 5051: U+01C4 becomes D z and a caron
    ("\u01c4", ["\u01c5", "\u01c6"]),
    ("\ufb01n", ["\ufb01N"]),
    ("\uff21\uff22", ["ab", "AB", "\uff41\uff42"]),
    ("\u212b", ["\u00e5", "A\u030a"]),
    ("\u2460", ["1"]),
    ("\uac00", ["\u1100\u1161"]),
    ("\u0133", ["\u0132"]),
]
# alike to people, but not to this comparator
DIFFERENT = [("stra\u00dfe", "strasse"), ("resume", "r\u00e9sum\u00e9"),
             ("\u0131", "\u00ed"), ("\u00f8", "o"),
             # their small letters do not become capitals
             ("\u01c4", "dz\u030c"), ("\ufb01n", "fin")]


def mail(subject, **fields):
    head = "Subject: %s\r\n" % subject
    for name, value in fields.items():
        head += "%s: %s\r\n" % (name.replace("_", "-"), value)
    return (head + "\r\n%s\r\n" % subject).encode()


def search(c, key, text):
    got = c.ok('SEARCH CHARSET UTF-8 %s "%s"' % (key, text))
    return [int(n) for n in got[0].split()[2:]]


@pytest.fixture
def c(box):
    client = box.connect()
    client.box = box
    return client


def test_announced(c):
    assert "I18NLEVEL=1" in c.capabilities()
    assert "I18NLEVEL=2" not in c.capabilities()


def test_search(c):
    for text, _ in EQUAL:
        c.box.deliver(mail(text, Cc='"%s" <a@b.example>' % text, X_F=text,
                           Content_Type="text/plain; charset=utf-8",
                           MIME_Version="1.0"))
    c.ok("SELECT INBOX")
    for i, (text, others) in enumerate(EQUAL):
        for other in [text] + others:
            for key in ("SUBJECT", "CC", "HEADER X-F", "BODY", "TEXT"):
                assert i + 1 in search(c, key, other), (text, other, key)


def test_search_tells_others_apart(c):
    for text, _ in DIFFERENT:
        c.box.deliver(mail(text))
    c.ok("SELECT INBOX")
    for i, (text, other) in enumerate(DIFFERENT):
        assert i + 1 in search(c, "SUBJECT", text)
        assert i + 1 not in search(c, "SUBJECT", other), (text, other)


def test_search_decodes_first(c):
    """A charset that is known is converted, in encoded words and in bodies."""
    c.box.deliver(
        b"Subject: =?koi8-r?B?88/Gydg=?=\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: text/plain; charset=koi8-r\r\n\r\n\xf3\xcf\xc6\xd1\r\n")
    c.ok("SELECT INBOX")
    assert search(c, "BODY", "\u0441\u043e\u0444\u044f") == [1]
    assert search(c, "BODY", "\u0421\u041e\u0424\u042f") == [1]
    assert search(c, "SUBJECT", "\u0441\u043e\u0444") == [1]


def test_sort(c):
    """Octets of the mapped and decomposed text decide; equal ones keep their
    place."""
    subjects = ["\u00e9clair", "Zebra", "eclipse", "\u00c9CLAIR",
                "e\u0301clair", "zebra", "\u0416\u0443\u043a",
                "\u0436\u0443\u043a", "echo"]
    for s in subjects:
        c.box.deliver(mail(s))
    c.ok("SELECT INBOX")
    # e < e + combining acute (which decomposed is "E" U+0301)
    assert c.ok("SORT (SUBJECT) UTF-8 ALL") == [
        b"* SORT 9 3 1 4 5 2 6 7 8"]


@pytest.mark.parametrize("algorithm", ["ORDEREDSUBJECT", "REFERENCES"])
def test_thread(c, algorithm):
    """Subjects are compared by it."""
    for s in ("Gr\u00fc\u00dfe", "other", "Re: GR\u00dc\u00dfE",
              "re: gru\u0308\u00dfe"):
        c.box.deliver(mail(s, Date="Mon, 7 Feb 1994 21:52:25 -0800"))
    c.ok("SELECT INBOX")
    got = c.ok("THREAD %s UTF-8 ALL" % algorithm)[0]
    assert b"(1 (3)(4))" in got or b"(1 3 4)" in got, got
    assert b"(2)" in got
