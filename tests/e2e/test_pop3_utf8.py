# SPDX-License-Identifier: ISC
"""UTF-8 and languages in POP3 (RFC 6856), and the surrogates that clients get
which know nothing of it (RFC 6858)."""
import email
import email.header
import email.policy

import pytest

from lib import pop3_store, server

DE = "Sprache geändert".encode()


@pytest.fixture(scope="module", params=["maildir", "mbox"])
def srv(request):
    s = pop3_store.start(request.param, users=13,
                         pop3_language="es")
    # Names and passwords beyond ASCII (RFC 6856 section 2.2).
    s.settings["auth_username_chars"] = \
        "abcdefghijklmnopqrstuvwxyz0123456789éöü"
    s.passwords = {"p12": "pässword"}
    try:
        yield s.start()
    finally:
        s.stop()
        s.remove()


def lines(c):
    return [x.decode() for x in c.lines()]


def test_announced_in_both_states(srv):
    c = srv.pop3()
    before = c.multi("CAPA")
    c.login(pop3_store.new_user(srv), server.PASSWORD)
    for capa in (before, c.multi("CAPA")):
        assert b"UTF8 USER" in capa and b"LANG" in capa


def test_lang_examples(srv):
    """RFC 6856 section 3.3."""
    c = srv.pop3(pop3_store.new_user(srv))
    assert c.err("LANG MUL") == b"-ERR There is no such language here"
    c.ok("LANG")
    listing = lines(c)
    assert {"en English", "de Deutsch", "es Español", "fr Français"} \
        == set(listing)
    assert c.ok("LANG es") == "+OK es Idioma cambiado".encode()
    # The language that was stays.
    assert c.err("LANG uga") == \
        "-ERR Ese idioma no está disponible".encode()
    assert c.ok("LANG de") == b"+OK de " + DE
    assert c.ok("LANG *") == b"+OK es Idioma cambiado"
    assert c.ok("LANG en") == b"+OK en Language changed"
    assert c.ok("LANG de-CH-1996") == b"+OK de " + DE
    assert c.ok("NOOP") == b"+OK Nichts getan"
    assert "Auf Wiedersehen" in c.ok("QUIT").decode()


def test_lang_before_login_goes_on(srv):
    c = srv.pop3()
    c.ok("LANG de")
    assert c.err("STAT").decode() == "-ERR Das geht nicht vor der Anmeldung."
    user = pop3_store.new_user(srv)
    assert c.ok("USER " + user) == b"+OK Jetzt das Kennwort."
    assert b"0 Nachricht(en) (0 Oktette)" in c.ok("PASS secret")
    assert c.err("RETR 1").decode() == \
        "-ERR Es gibt keine Nachricht 1, nur 0"
    assert c.err("RETR").decode() == "-ERR RETR: zu wenige Argumente"


def test_response_codes_stay(srv):
    c = srv.pop3()
    c.ok("LANG fr")
    c.ok("USER p1")
    assert c.err("PASS wrong").decode() == \
        "-ERR [AUTH] Échec de l'authentification."


def test_english_until_asked(srv):
    """RFC 1939: ASCII."""
    c = srv.pop3(pop3_store.new_user(srv))
    for command in ("NOOP", "STAT", "RETR 7", "NONSENSE", "RSET", "CAPA"):
        assert max(c.cmd(command)) < 0x80
        if command == "CAPA":
            c.lines()


def test_stls_forgets(srv):
    c = srv.pop3()
    c.ok("LANG de")
    c.ok("STLS")
    c.start_tls()
    assert c.err("STAT") == b"-ERR This is not possible before login."


def test_utf8_states(srv):
    c = srv.pop3()
    c.err("UTF8 now")
    c.ok("UTF8")
    assert c.err("STLS") == b"-ERR STLS comes before UTF8"
    c.login(pop3_store.new_user(srv), server.PASSWORD)
    assert c.err("UTF8") == b"-ERR UTF8 comes before the login"


def test_names_and_passwords(srv):
    c = srv.pop3()
    c.ok("USER p12")
    assert c.err(b"PASS p\xe4ssword") == b"-ERR This is not UTF-8."
    # SASLprep: decomposed as typed on some keyboards, the same password.
    c.ok("USER p12")
    c.ok("PASS pa\u0308ssword".encode())
    c.ok("QUIT")
    d = srv.pop3()
    assert d.err(b"USER \xc0\xaf") == b"-ERR This is not UTF-8."
    # A character that SASLprep forbids (RFC 3454 table C.3).
    d.ok("USER p12")
    assert b"[AUTH]" in d.err("PASS pässword\ue000".encode())


UTF8 = """\
From: Jörg <jörg@exämple.org>
To: Ann <ann@example.org>, "Bø, C" <b@example.org>
Subject: Grüße aus Köln
X-Secret: ü
Message-ID: <1@example.org>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=x

--x
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

Grüße
--x
Content-Type: application/octet-stream; name="Übung.pdf"
Content-Disposition: attachment; filename="Übung.pdf"

data
--x--
""".encode()


def whole(c, number=1):
    return b"\r\n".join(c.multi("RETR %d" % number)) + b"\r\n"


def login(srv, user, utf8):
    c = srv.pop3()
    if utf8:
        c.ok("UTF8")
    return c.login(user, server.PASSWORD)


def test_message_as_it_is(srv):
    user = pop3_store.new_user(srv)
    pop3_store.deliver(srv, user, UTF8)
    c = login(srv, user, True)
    size = int(c.ok("LIST 1").split()[2])
    got = whole(c)
    if srv.store == "maildir":
        assert got == UTF8.replace(b"\n", b"\r\n")
    assert "Subject: Grüße aus Köln".encode() in got
    assert len(got) == size
    assert "Grüße aus Köln" in b"\n".join(c.multi("TOP 1 0")).decode()
    c.ok("QUIT")


def test_surrogate(srv):
    user = pop3_store.new_user(srv)
    pop3_store.deliver(srv, user, UTF8)
    c = login(srv, user, False)
    got = whole(c)
    top = b"\r\n".join(c.multi("TOP 1 0"))
    c.ok("QUIT")
    head, _, rest = got.partition(b"\r\n\r\n")
    assert max(head) < 0x80 and head in top
    m = email.message_from_bytes(got, policy=email.policy.default)
    assert m["Subject"] == "Grüße aus Köln"
    assert m["X-Secret"] is None
    sender, = m["From"].addresses
    # Somebody sees whose it was, and nobody answers to a wrong address.
    assert sender.addr_spec == "invalid@internationalized-address.invalid"
    assert sender.display_name == "Jörg jörg@exämple.org"
    assert [(a.display_name, a.addr_spec) for a in m["To"].addresses] == [
        ("Ann", "ann@example.org"), ("Bø, C", "b@example.org")]
    # Parts: their headers in ASCII, their bodies as they are.
    text, attached = m.iter_parts()
    assert text.get_content().strip() == "Grüße"
    assert attached.get_filename() == "Übung.pdf"
    assert attached.get_content() == b"data\r\n" or \
        attached.get_content() == b"data"
    for part in rest.split(b"--x")[1:3]:
        assert max(part.strip().partition(b"\r\n\r\n")[0]) < 0x80


def test_bodies_and_old_bytes_stay(srv):
    """8 bits in a body are no matter of UTF8; nor is Latin-1 in a header."""
    user = pop3_store.new_user(srv)
    text = b"From: a@b\nSubject: M\xfcller\n\n\xc3\xa4 \xe4\n"
    pop3_store.deliver(srv, user, text)
    c = login(srv, user, False)
    got = whole(c)
    assert b"Subject: M\xfcller\r\n" in got and b"\r\n\xc3\xa4 \xe4\r\n" in got
    assert len(got) == int(c.ok("LIST 1").split()[2])


def test_large_surrogate(srv):
    """Pieces, TOP's lines, and stuffing go on behind what was put in."""
    user = pop3_store.new_user(srv)
    body = b"".join(b".line %d\n" % i for i in range(20000))
    pop3_store.deliver(
        srv, user, b"Content-Type: multipart/mixed; boundary=q\n\n--q\n\n" +
        body + "--q\nContent-Description: ä\n\nlast\n--q--\n".encode())
    c = login(srv, user, False)
    got = whole(c)
    assert body.replace(b"\n", b"\r\n") in got
    assert b"Content-Description: =?utf-8?B?w6Q=?=\r\n\r\nlast" in got
    assert c.multi("TOP 1 3")[-1] == b".line 0"


def test_surrogate_of_many_fields(srv):
    """More parts, more fields and longer ones than are written at a time."""
    user = pop3_store.new_user(srv)
    extra = "".join("X-Extra-%d: %s\n" % (i, "é" if i % 7 == 0 else "e" * 80)
                    for i in range(2000))
    long = "ä" * 70 + "\n" + " ö%s\n" % ("u" * 70) * 1500
    parts = "".join("--q\nContent-Description: ä%d\n\nü%d\n" % (i, i)
                    for i in range(1200))
    pop3_store.deliver(srv, user, (
        "Subject: " + long + extra + "X-Huge: " + "ß" * 600000 + "\n"
        # These end where a piece of what is read ends.
        "X-Edge: x" + "ß" * 524283 + "\nBehind: 1\n" +
        "X-Further: xy" + "ß" * 540665 + "\nBehind-It: 2\n"
        "Last: 1\nContent-Type: multipart/mixed; boundary=q\n\n" + parts +
        "--q--\n").encode())
    c = login(srv, user, False)
    got = whole(c)
    c.ok("QUIT")
    m = email.message_from_bytes(got, policy=email.policy.default)
    assert m["Subject"] == long.replace("\n", "").strip()
    for i in range(2000):
        assert m["X-Extra-%d" % i] == (None if i % 7 == 0 else "e" * 80)
    assert m["Last"] == "1" and m["X-Huge"] is None
    assert m["X-Edge"] is None and m["Behind"] == "1"
    assert m["X-Further"] is None and m["Behind-It"] == "2"
    found = list(m.iter_parts())
    assert [p["Content-Description"] for p in found] == [
        "ä%d" % i for i in range(1200)]
    assert "ü1199".encode() in got


def test_pipelined(srv):
    user = pop3_store.new_user(srv)
    pop3_store.deliver(srv, user, UTF8)
    c = srv.pop3()
    c.send("UTF8\r\nLANG de\r\nUSER %s\r\nPASS secret\r\nTOP 1 0\r\nQUIT\r\n"
           % user)
    for word in (b"+OK UTF-8", b"+OK de", b"+OK Jetzt", b"+OK 1 Nachricht",
                 b"+OK Der Anfang"):
        assert c.line().startswith(word)
    assert "Grüße aus Köln" in b"\n".join(c.lines()).decode()
    assert c.line().startswith(b"+OK Auf")


def test_tls(srv):
    """What was chosen goes along with the TLS session."""
    c = srv.pop3(tls=True)
    c.ok("UTF8")
    c.ok("LANG fr")
    c.login(pop3_store.new_user(srv), server.PASSWORD)
    assert c.ok("QUIT").decode() == "+OK Au revoir"
