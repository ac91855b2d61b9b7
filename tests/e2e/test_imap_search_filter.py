# SPDX-License-Identifier: ISC
"""SEARCH answered by filters: the same as by reading every message, whatever
has happened to the mail, to the index, and to who made them."""
import base64
import glob
import os
import quopri
import random
import re
import signal
import subprocess
import time

import pytest
from lib import box as boxes, maildir, restante, server, wire

HERE = os.path.dirname(os.path.abspath(__file__))
NOW = "search_filter_now=yes"  # NOOP waits until all filters are made
TEXTS = [
    ("us-ascii", "Plain words of an ordinary letter, and xylophones.\n"),
    ("iso-8859-1", "Grüße aus Ærøskøbing, naïve façade\nÜber alles.\n"),
    ("koi8-r", "Привет, как дела? Съешь же ещё этих булок\n"),
    ("iso-2022-jp", "日本語のテキストと、カタカナ。\n二行目です。\n"),
    ("big5", "繁體中文信件內容測試\n"),
    ("euc-kr", "한국어 편지입니다. 가나다라\n"),
    ("windows-1253", "Ελληνικά γράμματα ΣΊΣΥΦΟΣ\n"),
    ("utf-16", "wide characters, breite Zeichen ß\n"),
    ("utf-8", "mixed ünïcödé 日本 e\u0301clair \ufb01ligature \u01c4\n"),
    ("utf-7", "seven bits are enough for ä and €\n"),
]


@pytest.fixture(params=["maildir", "mbox"])
def mail(request):
    b = boxes.Box("tunnel", store=request.param)
    yield b
    b.close()


def encoded(text, charset, encoding):
    raw = text.encode(charset)
    if encoding == "base64":
        raw = base64.encodebytes(raw)
    elif encoding == "quoted-printable":
        raw = quopri.encodestring(raw)
    return (b"Content-Type: text/%s; charset=%s\n"
            b"Content-Transfer-Encoding: %s\n\n" % (
                b"html" if "xylo" in text else b"plain", charset.encode(),
                encoding.encode())) + raw


def word(text, charset):
    return b"=?%s?b?%s?=" % (charset.encode(),
                             base64.b64encode(text.encode(charset)))


def messages():
    """All charsets in all encodings, alone, as parts, and in a message within
    a message; then what the tree has of odd mail."""
    for i, (charset, text) in enumerate(TEXTS):
        for encoding in ("8bit", "quoted-printable", "base64"):
            if encoding == "8bit" and charset == "utf-16":
                continue
            body = encoded(text * (i + 1), charset, encoding)
            head = (b"From: %s <p%d@example.org>\nTo: x@y\nX-Odd: %s\n"
                    b"Subject: %s\n %s\n" % (
                        word(text[:5], charset), i, encoding.encode(),
                        word(text[:7].strip(), charset),
                        word(text[7:14].strip(), charset)))
            yield head + body
            yield (head + b"Content-Type: multipart/mixed; boundary=b\n\n"
                   b"--b\n" + body + b"\n--b\nContent-Type: message/rfc822\n"
                   b"\nSubject: within %d\n" % i + body + b"\n--b--\n")
    for name in sorted(glob.glob(os.path.join(HERE, "..", "data", "*.eml"))):
        with open(name, "rb") as f:
            text = f.read()
        if len(text) < 50000:
            yield text


def needles(rnd, n):
    """Pieces of the texts, across lines too, and the same with an error."""
    all_text = [text * 2 for _, text in TEXTS]
    fixed = ["Subject: ", "within", "MULTIPART", "X-Odd: base64", "iso-8859",
             "p3@example.org", "a", "zz", "\n", "  ", "charset=", "--b",
             "xylophones.\nplain", "nowhere-at-all"]
    for i in range(n):
        if i < len(fixed):
            yield fixed[i]
            continue
        text = rnd.choice(all_text)
        at = rnd.randrange(len(text))
        piece = list(text[at:at + rnd.randint(1, 12)])
        if rnd.random() < 0.4:
            piece[rnd.randrange(len(piece))] = rnd.choice("qzß日я\u0301K")
        piece = "".join(piece)
        yield rnd.choice((piece, piece.upper(), piece.swapcase()))


def search(c, key, needle):
    """The answer to UID SEARCH with the needle as literals."""
    status, text, lines = c.literal(
        "UID SEARCH CHARSET UTF-8 %s" % key, needle.encode())
    assert status == "OK", (key, needle, status, text)
    found = [l for l in lines if l.startswith(b"* SEARCH")]
    assert len(found) == 1, lines
    return found[0]


def same_answers(plain, filtered, rnd, n=120):
    told = 0
    keys = ("TEXT", "BODY", "SUBJECT", "FROM", "HEADER X-Odd", "NOT TEXT",
            "OR SEEN TEXT", "NOT BODY", "HEADER Content-Type")
    for i, needle in enumerate(needles(rnd, n)):
        for key in ("TEXT", rnd.choice(keys)):
            want = search(plain, key, needle)
            got = search(filtered, key, needle)
            assert got == want, (key, needle)
            told += want.count(b" ") > 1
    assert told > n / 4  # the needles are not all nonsense


def build(b, *settings):
    """What is made is written at the end of the process at the latest."""
    c = b.connect(NOW, *settings)
    c.ok("SELECT INBOX")
    c.ok("NOOP")
    c.logout()
    c.close()


def open_both(b):
    build(b)
    plain = b.connect("index_dir=none")
    filtered = b.connect(NOW)
    for c in (plain, filtered):
        c.ok("SELECT INBOX")
    return plain, filtered


def test_same_answers(mail):
    for text in messages():
        mail.deliver(text)
    rnd = random.Random(4711)
    plain, filtered = open_both(mail)
    same_answers(plain, filtered, rnd)
    # New mail, and less of the old one.
    for text in list(messages())[:9]:
        mail.deliver(text.replace(b"\n\n", b"\n\nfresh\n", 1))
    filtered.ok("UID STORE 3,10:20 +FLAGS.SILENT (\\Deleted)")
    filtered.ok("EXPUNGE")
    plain.ok("NOOP")
    filtered.ok("NOOP")
    same_answers(plain, filtered, rnd, 30)
    # By the next process, and by one that finds no index any more.
    filtered.logout()
    again = mail.connect(NOW)
    again.ok("SELECT INBOX")
    same_answers(plain, again, rnd, 30)
    again.logout()
    for f in glob.glob(os.path.join(mail.dir, ".cache", "*", "*", "*")):
        os.unlink(f)
    again = mail.connect()
    again.ok("SELECT INBOX")
    same_answers(plain, again, rnd, 30)


def secret(b, text):
    """A message that says this; all are of the same length."""
    return b"Subject: s\n\n" + b"padding %s\n" % text.ljust(60).encode() * 20


def file_with(folder, word):
    """Its path. The order of names is not that of UIDs."""
    for path in glob.glob(os.path.join(folder, "cur", "*")):
        with open(path, "rb") as f:
            if word in f.read():
                return path
    raise AssertionError(word)


def test_the_filter_is_asked(tunnel):
    """A file whose text was changed, which is not allowed, shows who answers."""
    for i in range(20):
        tunnel.deliver(secret(tunnel, "apricot%d" % i), flags="S")
    build(tunnel)
    c = tunnel.connect()
    c.ok("SELECT INBOX")
    name = file_with(tunnel.maildir(), b"apricot7")
    with open(name, "r+b") as f:
        f.write(secret(tunnel, "boysenberry"))
    assert c.ok("SEARCH TEXT boysenberry") == [b"* SEARCH"]
    assert len(c.ok("SEARCH TEXT apricot1")[0].split()) > 10
    c.logout()
    # Without filters the message is read.
    c = tunnel.connect("index_dir=none")
    c.ok("SELECT INBOX")
    assert c.ok("SEARCH TEXT boysenberry") == [b"* SEARCH 8"]
    # The setting is obeyed.
    for f in glob.glob(os.path.join(tunnel.dir, ".cache", "*", "*", "*")):
        os.unlink(f)
    build(tunnel, "search_filter_percent=0")
    c = tunnel.connect("search_filter_percent=0")
    c.ok("SELECT INBOX")
    assert c.ok("SEARCH TEXT boysenberry") == [b"* SEARCH 8"]
    with open(name, "r+b") as f:
        f.write(secret(tunnel, "cranberry"))
    assert c.ok("SEARCH TEXT cranberry") == [b"* SEARCH 8"]


def test_changed_mbox():
    """In a file other programs do change messages: that is noticed."""
    b = boxes.Box("tunnel", store="mbox")
    try:
        for i in range(10):
            b.deliver(secret(b, "apricot%d" % i))
        build(b)
        c = b.connect()
        c.ok("SELECT INBOX")
        with open(b.mbox(), "rb") as f:
            text = f.read()
        with open(b.mbox(), "r+b") as f:
            f.write(text.replace(b"apricot7 ", b"blueberr "))
        os.utime(b.mbox(), (time.time() - 5, time.time() - 5))
        c.ok("NOOP")
        assert len(c.ok("SEARCH TEXT blueberr")[0].split()) == 3
        assert c.ok("SEARCH TEXT apricot7") == [b"* SEARCH"]
        c.logout()
    finally:
        b.close()


def test_in_the_background(tunnel):
    """Also without being asked for, while nothing else is to be done."""
    for i in range(50):
        tunnel.deliver(secret(tunnel, "apricot%d" % i), flags="S")
    c = tunnel.connect()
    c.ok("SELECT INBOX")
    tag = c.idle()
    path = file_with(tunnel.maildir(), b"apricot7")
    end = time.monotonic() + 60
    while True:
        time.sleep(0.3)
        c.done(tag)
        # What the filter knows is the text before; then it is put back.
        with open(path, "r+b") as f:
            f.write(secret(tunnel, "boysenberry"))
        found = c.ok("SEARCH TEXT boysenberry")
        with open(path, "r+b") as f:
            f.write(secret(tunnel, "apricot7"))
        if found == [b"* SEARCH"]:
            break
        assert re.fullmatch(rb"\* SEARCH \d+", found[0])
        assert time.monotonic() < end
        tag = c.idle()


def test_killed_while_building(mail):
    texts = list(messages())
    for text in texts * 3:
        mail.deliver(text)
    rnd = random.Random(11)
    for _ in range(4):
        c = mail.connect(NOW)
        c.ok("SELECT INBOX")
        c.start("NOOP")
        time.sleep(rnd.random() * 0.15)
        c.process.send_signal(signal.SIGKILL)
        c.process.wait()
        mail.open.remove(c)
        c.sock.close()
    plain, filtered = open_both(mail)
    same_answers(plain, filtered, rnd, 40)


def test_damaged(tunnel):
    for text in messages():
        tunnel.deliver(text)
    plain, c = open_both(tunnel)
    c.logout()
    data, = glob.glob(os.path.join(tunnel.dir, ".cache", "*", "*",
                                   "data.mdb"))
    rnd = random.Random(5)
    with open(data, "r+b") as f:
        for at in range(16384, os.path.getsize(data), 700):
            f.seek(at)
            f.write(rnd.randbytes(8))
    # The process may end over it, once.
    for _ in range(3):
        c = tunnel.connect()
        try:
            c.ok("SELECT INBOX")
            same_answers(plain, c, random.Random(6), 30)
            break
        except (ConnectionError, EOFError, wire.Closed):
            tunnel.open.remove(c)
            c.sock.close()
            c.process.wait()
    else:
        raise AssertionError("it does not come back")


def test_no_place_for_them(tunnel):
    for text in list(messages())[:12]:
        tunnel.deliver(text)
    place = os.path.join(tunnel.dir, "index")
    os.mkdir(place)
    tunnel.own(place)
    os.chmod(place, 0o500)
    plain = tunnel.connect("index_dir=none")
    c = tunnel.connect(NOW, "index_dir=" + place)
    for each in (plain, c):
        each.ok("SELECT INBOX")
        each.ok("NOOP")
    same_answers(plain, c, random.Random(8), 30)
    c.logout()
    os.chmod(place, 0o700)


def test_index_command():
    """restantectl index makes them ahead, of all mailboxes."""
    if not server.is_root():
        pytest.skip("needs root")
    s = restante.Restante(users=["u1"])
    root = os.path.join(s.home("u1"), "Maildir")
    uid = s.uid_of("u1")
    maildir.create(root, uid)
    maildir.create(os.path.join(root, ".Other"), uid)
    try:
        for folder in ("", ".Other"):
            for i in range(10):
                maildir.deliver(os.path.join(root, folder),
                                secret(None, "apricot%d" % i), flags="S",
                                owner=uid)
        s.start()
        done = subprocess.run(
            [os.path.join(restante.programs(), "restantectl"), "-c",
             s.config, "index", "u1"], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=60, check=False)
        assert done.returncode == 0, done
        for folder in ("", ".Other"):
            name = file_with(os.path.join(root, folder), b"apricot3")
            with open(name, "r+b") as f:
                f.write(secret(None, "boysenberry"))
            c = s.imap("u1")
            c.ok("SELECT " + (folder[1:] or "INBOX"))
            assert c.ok("SEARCH BODY boysenberry") == [b"* SEARCH"], folder
            assert c.ok("SEARCH BODY apricot9") == [b"* SEARCH 10"]
            c.logout()
    finally:
        s.stop()
        s.remove()
