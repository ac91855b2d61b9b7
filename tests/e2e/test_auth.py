# SPDX-License-Identifier: ISC
"""Logins through the whole server: mechanisms, codes, what a client is told."""
import base64
import contextlib
import os
import re
import signal
import ssl
import time

import pytest

from lib import authd, restante, server, wire
from lib.authd import Scram

MECHS = ["plain", "login", "scram-sha-256", "scram-sha-256-plus"]
ODD = "p\"w\\ \t\xe4{5}"


@pytest.fixture(scope="module")
def all_mechs(form):
    s = restante.Restante(
        users=["alice", "odd"], separate=form == "separate",
        passwords={"odd": ODD},
        settings={"auth_mechanisms": MECHS, "auth_penalty": False})
    try:
        yield s.start()
    finally:
        s.stop()
        s.remove()


def b64(data):
    if isinstance(data, str):
        data = data.encode()
    return base64.b64encode(data)


class Dialogue:
    """AUTHENTICATE of IMAP or AUTH of POP3 with the same words."""

    def __init__(self, c):
        self.c, self.imap = c, isinstance(c, wire.Imap)

    def begin(self, mech, initial=None):
        line = mech.encode()
        if initial is not None:
            line += b" " + (b64(initial) if initial else b"=")
        if self.imap:
            self.tag = self.c.tag()
            line = self.tag + b" AUTHENTICATE " + line
        else:
            line = b"AUTH " + line
        self.c.send(line + b"\r\n")

    def challenge(self):
        line = self.c.line()
        assert line.startswith(b"+ "), line
        return base64.b64decode(line[2:])

    def send(self, data):
        self.c.send(b64(data) + b"\r\n")

    def result(self):
        """OK, NO, BAD, or +OK, -ERR; and the text behind."""
        while True:
            line = self.c.line()
            if self.imap and line.startswith(b"* "):
                continue
            if self.imap:
                assert line.startswith(self.tag + b" "), line
                line = line[len(self.tag) + 1:]
            status, _, text = line.partition(b" ")
            return status.decode().replace("+OK", "OK"), text.decode()

    def scram(self, user, password, mech="SCRAM-SHA-256", gs2="n,,",
              binding=b""):
        s = Scram(user, password, gs2, binding)
        self.begin(mech, s.first())
        self.send(s.final(self.challenge()))
        line = self.c.line()
        if not line.startswith(b"+ "):
            return line
        s.check(base64.b64decode(line[2:]))
        self.send(b"")
        return self.result()


@pytest.fixture(params=["imap", "pop3"])
def connect(request, all_mechs):
    def begin(tls=True):
        return getattr(all_mechs, request.param)(tls=tls)
    begin.name = request.param
    return begin


def works(c):
    if isinstance(c, wire.Imap):
        c.ok("SELECT INBOX")
    else:
        c.ok("STAT")
        c.ok("QUIT")  # nobody else may have the maildrop meanwhile
        c.close()


def test_mechanisms(connect):
    for begin in (lambda d: d.begin("PLAIN", b"\0alice\0secret"),
                  lambda d: (d.begin("PLAIN"), d.challenge(),
                             d.send(b"alice\0alice\0secret")),
                  lambda d: (d.begin("LOGIN"), d.challenge(),
                             d.send("alice"), d.challenge(),
                             d.send("secret")),
                  lambda d: (d.begin("LOGIN", b"alice"), d.challenge(),
                             d.send("secret")),
                  lambda d: d.begin("plain", b"\0ALICE\0secret")):
        for tls in (False, True):
            d = Dialogue(connect(tls))
            begin(d)
            assert d.result()[0] == "OK"
            works(d.c)


def test_scram(connect):
    for tls in (False, True):
        d = Dialogue(connect(tls))
        assert d.scram("alice", "secret")[0] == "OK"
        works(d.c)


def test_scram_plus(all_mechs, connect):
    """The binding of this very connection, which Python knows in TLS 1.2."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    port = getattr(all_mechs, connect.name + "s_port")
    kind = wire.Imap if connect.name == "imap" else wire.Pop3
    c = kind("127.0.0.1", port, tls=True, context=context)
    binding = c.sock.get_channel_binding("tls-unique")
    d = Dialogue(c)
    answer = d.scram("alice", "secret", "SCRAM-SHA-256-PLUS",
                     "p=tls-unique,,", binding)
    assert answer[0] == "OK", answer
    works(c)
    c = kind("127.0.0.1", port, tls=True, context=context)
    line = Dialogue(c).scram("alice", "secret", "SCRAM-SHA-256-PLUS",
                             "p=tls-unique,,", os.urandom(12))
    assert b"AUTHENTICATIONFAILED" in line or b"[AUTH]" in line
    # Without TLS there is nothing to bind to.
    d = Dialogue(connect(False))
    d.begin("SCRAM-SHA-256-PLUS", Scram("alice", "x").first())
    assert d.result()[0] in ("NO", "BAD", "-ERR")


def test_announced(all_mechs, connect):
    tls, plain = connect(True), connect(False)
    if connect.name == "imap":
        assert {"AUTH=" + m.upper() for m in MECHS} <= tls.capabilities()
        assert "AUTH=SCRAM-SHA-256" in plain.capabilities()
        assert "AUTH=SCRAM-SHA-256-PLUS" not in plain.capabilities()
    else:
        sasl = [x for x in tls.multi("CAPA") if x.startswith(b"SASL ")][0]
        assert set(sasl.decode().split()[1:]) == {m.upper() for m in MECHS}


def test_default_is_plain_and_login(shared):
    """A client that finds SCRAM takes it and nothing else; most have no keys."""
    caps = {c for c in shared.imap(tls=True).capabilities()
            if c.startswith("AUTH=")}
    assert caps == {"AUTH=PLAIN", "AUTH=LOGIN"}
    d = Dialogue(shared.imap(tls=True))
    d.begin("SCRAM-SHA-256", Scram("u1", "secret").first())
    assert d.result()[0] in ("NO", "BAD")


def test_odd_password(connect):
    c = connect()
    if connect.name == "imap":
        status, text, _ = c.literal("LOGIN odd", ODD.encode())
        assert status == "OK", text
        c = connect()
        c.ok(b'LOGIN odd "%s"' % ODD.encode().replace(
            b"\\", b"\\\\").replace(b'"', b'\\"'))
    else:
        c.ok("USER odd")
        c.ok(b"PASS " + ODD.encode())
        works(c)
    d = Dialogue(connect())
    d.begin("PLAIN", b"\0odd\0" + ODD.encode())
    assert d.result()[0] == "OK"
    works(d.c)


def test_no(connect):
    """The same face for all failures, at the same moment; nothing else."""
    want = {"imap": ("NO", "[AUTHENTICATIONFAILED]"),
            "pop3": ("-ERR", "[AUTH]")}[connect.name]
    rows = [(Dialogue(connect()), initial) for initial in (
        b"\0alice\0wrong", b"\0nosuch\0secret", b"\0a b\0secret",
        b"\0alice\0")]
    began = []
    for d, initial in rows:
        began.append(time.monotonic())
        d.begin("PLAIN", initial)
    for (d, _), begun in zip(rows, began):
        status, text = d.result()
        took = time.monotonic() - begun
        assert status == want[0] and text.startswith(want[1]), text
        assert 1.9 < took < 3.9, took
    # Two more, then it is over.
    for d, initial in rows:
        d.begin("PLAIN", initial)
    for d, _ in rows:
        assert d.result()[0] == want[0]


def test_cancel_and_nonsense(connect):
    d = Dialogue(connect())
    bad = "BAD" if connect.name == "imap" else "-ERR"
    d.begin("LOGIN")
    d.challenge()
    d.c.send(b"*\r\n")
    assert d.result()[0] == bad
    d.begin("PLAIN", b"alice")
    assert d.result()[0] == bad
    d.begin("PLAIN", b"\0alice\0secret")
    assert d.result()[0] == "OK"
    works(d.c)


def test_file_gone(start, form):
    s = start(users=["alice"], separate=form == "separate",
              settings={"auth_failure_delay": 0, "auth_penalty": False})
    os.rename(s.passwd, s.passwd + ".away")
    assert b"[UNAVAILABLE]" in s.imap(tls=True).no("LOGIN alice secret")
    p = s.pop3(tls=True)
    p.ok("USER alice")
    assert b"[SYS/TEMP]" in p.err("PASS secret")
    os.rename(s.passwd + ".away", s.passwd)
    s.imap("alice", "secret", tls=True).ok("NOOP")
    assert "passwd-file %s: No such file" % s.passwd in s.log()


def test_not_allowed(start, form):
    s = start(users=["alice", "bob"], separate=form == "separate",
              extra={"alice": "nologin", "bob": "allow_nets=192.0.2.0/24"},
              settings={"auth_failure_delay": 0, "auth_penalty": False})
    for user in ("alice", "bob"):
        c = s.imap(tls=True)
        assert b"[CONTACTADMIN]" in c.no("LOGIN %s secret" % user)
        assert b"[AUTHENTICATIONFAILED]" in c.no("LOGIN %s wrong" % user)
        p = s.pop3(tls=True)
        p.ok("USER " + user)
        assert b"[AUTH]" in p.err("PASS secret")
    assert s.imap(tls=True)


def test_root_never(start):
    if not server.is_root():
        pytest.skip("needs root")
    s = start(users=["alice"], separate=True,
              settings={"auth_failure_delay": 0, "first_valid_uid": 1})
    with open(s.passwd, "a", encoding="ascii") as f:
        f.write("r:{PLAIN}x:0:0::/root\nz:{PLAIN}x:5000:0::/root\n")
    c = s.imap(tls=True)
    for user in ("r", "z"):
        assert b"[CONTACTADMIN]" in c.no("LOGIN %s x" % user)
    assert "is outside first_valid_uid" in s.log()


def test_two_users_of_one_uid(start, form):
    """Two names with one uid are two users."""
    s = start(users=["alice"], separate=form == "separate")
    home = os.path.join(s.dir, "home", "two")
    os.makedirs(home)
    os.chown(home, s.uid_of("alice"), s.uid_of("alice"))
    with open(s.passwd, "a", encoding="ascii") as f:
        f.write("two:{PLAIN}x:%d:%d::%s\n" % (
            s.uid_of("alice"), s.uid_of("alice"), home))
    a, b = s.imap("alice", "secret"), s.imap("two", "x")
    a.ok("CREATE only-alice")
    assert not [r for r in b.ok('LIST "" only*')]
    assert len(s.pids("imapd")) == 2


def test_killed_authd_mid_login(start, form):
    """Who waits for a killed authd hears that it may be tried again."""
    s = start(users=["alice"], separate=form == "separate")
    c = s.imap(tls=True)
    tag = c.start("LOGIN alice wrong")
    time.sleep(0.3)
    for pid in s.pids("authd"):
        try:
            os.kill(pid, 9)
        except ProcessLookupError:
            pass
    assert b"[UNAVAILABLE]" in c.finish(tag)[1]
    end = time.monotonic() + 15
    while True:
        try:
            s.imap("alice", "secret").ok("NOOP")
            break
        except (AssertionError, OSError, wire.Closed):
            assert time.monotonic() < end, s.log()
            time.sleep(0.2)


def salt(s, user):
    """What SCRAM tells anybody who asks for this user."""
    first = authd.Scram(user, "x").first()
    end = time.monotonic() + 15
    while True:
        try:
            c = s.imap()
            c.send(b"a AUTHENTICATE SCRAM-SHA-256 " +
                   base64.b64encode(first) + b"\r\n")
            line = c.line()
            c.close()
        except (OSError, wire.Closed):
            line = b""
        if line.startswith(b"+ "):
            break
        # just killed: not now
        assert time.monotonic() < end, (line, s.log())
        time.sleep(0.1)
    return re.search(rb"s=([^,]+)", base64.b64decode(line[2:])).group(1)


def test_salts_of_nobody_stay(start, form):
    """Across a reload, the death of those who make them, and a restart: else
    they would tell who has none of his own."""
    s = start(separate=form == "separate", settings={
        "auth_mechanisms": ["plain", "scram-sha-256"]})
    users = ("alice", "nosuch", "other")
    before = [salt(s, u) for u in users]
    assert len(set(before)) == 3
    s.ctl("reload")
    assert [salt(s, u) for u in users] == before
    for pid in s.pids("authd"):
        with contextlib.suppress(ProcessLookupError):  # a judge that has ended
            os.kill(pid, signal.SIGKILL)
    assert [salt(s, u) for u in users] == before
    s.stop()
    path = os.path.join(s.dir, "state", ".salt")
    st = os.stat(path)
    assert st.st_mode & 0o777 == 0o600
    assert st.st_uid == (0 if s.separate else s.uid)
    s.start()
    assert [salt(s, u) for u in users] == before
    s.imap("alice").ok("NOOP")


def test_penalties_stay(start, form):
    s = start(separate=form == "separate",
              settings={"auth_failure_delay": 0})
    s.imap().no("LOGIN alice wrong")
    s.imap().no("LOGIN alice wrong")
    s.ctl("reload")
    begun = time.monotonic()
    s.imap("alice")
    assert time.monotonic() - begun > 1.5
    # bob has done nothing
    begun = time.monotonic()
    s.imap("bob")
    assert time.monotonic() - begun < 1.9


def test_helpers_are_used():
    """authd.stored_key and Scram agree (RFC 7677 section 3, the keys)."""
    key = authd.stored_key("pencil", base64.b64decode(
        "W22ZaJ0SNY7soEsUEjb6gQ=="))
    assert "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=" in key
