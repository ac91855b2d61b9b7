# SPDX-License-Identifier: ISC
"""Between accept() and the session: TLS, the words before login, the handover
of both to the user's process, floods, proxies."""
import base64
import contextlib
import itertools
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from lib import authd, maildir, proc, restante, server, slow, wire

PW = server.PASSWORD
LOGIN = 'LOGIN "%s" "%s"'


def context(version=None, ciphers=None, alpn=None, ca=None):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname = False
    c.verify_mode = ssl.CERT_NONE
    if ca:
        c.load_verify_locations(ca)
        c.verify_mode = ssl.CERT_REQUIRED
    if version:
        c.minimum_version = c.maximum_version = version
    if ciphers:
        c.set_ciphers(ciphers)
    if alpn:
        c.set_alpn_protocols(alpn)
    return c


def imaps(s, ctx, name=None, session=None, greet=True):
    c = wire.Imap("127.0.0.1", s.imaps_port, greet=False)
    s.open.append(c)
    c.start_tls(ctx, name=name, session=session)
    if greet:
        c.greeting = c.response()
    return c


# ---- the words before login --------------------------------------------------

SCRAM = {"auth_mechanisms": ["plain", "login", "scram-sha-256",
                             "scram-sha-256-plus"]}


def test_capabilities(start):
    s = start(settings=SCRAM)
    c = s.imap()
    caps = c.capabilities()
    assert b"[CAPABILITY IMAP4rev1" in c.greeting
    assert {"IMAP4rev1", "STARTTLS", "SASL-IR", "LITERAL+", "ID",
            "AUTH=PLAIN", "AUTH=LOGIN", "AUTH=SCRAM-SHA-256"} <= caps
    assert "LOGINDISABLED" not in caps  # loopback
    assert "AUTH=SCRAM-SHA-256-PLUS" not in caps
    t = s.imap(tls=True)
    caps = t.capabilities()
    assert "STARTTLS" not in caps and "AUTH=SCRAM-SHA-256-PLUS" in caps


def scram(c, mech, password=PW, gs2="n,,", binding=b""):
    """The status of AUTHENTICATE."""
    peer = authd.Scram("alice", password, gs2, binding)
    c.send(b"a AUTHENTICATE %s %s\r\n" % (
        mech.encode(), base64.b64encode(peer.first())))
    for step in (peer.final, peer.check):
        line = c.line()
        if not line.startswith(b"+ "):
            return line.split()[1].decode()
        answer = step(base64.b64decode(line[2:]))
        c.send(base64.b64encode(answer or b"") + b"\r\n")
    return c.response().split()[1].decode()


def test_scram(start):
    s = start(settings=dict(SCRAM, auth_failure_delay=0, auth_penalty=False))
    for tls in (False, True):
        c = s.imap(tls=tls)
        assert scram(c, "SCRAM-SHA-256", "wrong") == "NO"
        assert scram(c, "SCRAM-SHA-256") == "OK"
        c.ok("SELECT INBOX")
    # tls-unique is the one that Python can tell.
    c = imaps(s, context(ssl.TLSVersion.TLSv1_2))
    unique = c.sock.get_channel_binding("tls-unique")
    assert scram(c, "SCRAM-SHA-256-PLUS", gs2="p=tls-unique,,",
                 binding=b"x" * len(unique)) == "NO"
    assert scram(c, "SCRAM-SHA-256", gs2="y,,") == "NO"
    assert scram(c, "SCRAM-SHA-256-PLUS", gs2="p=tls-unique,,",
                 binding=unique) == "OK"
    c.ok("SELECT INBOX")


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("how", [
    'LOGIN "%s" "%s"', "LOGIN %s %s", "LOGIN {n+}\r\n%s {n+}\r\n%s",
    "sync", "plain-ir", "plain", "login"])
def test_every_form_of_login(shared, user, how, tls):
    c = shared.imap(tls=tls)
    if how == "sync":
        c.send("a LOGIN {%d}\r\n" % len(user))
        assert c.line().startswith(b"+")
        c.send(user + " {%d}\r\n" % len(PW))
        assert c.line().startswith(b"+")
        c.send(PW + "\r\n")
    elif how == "plain-ir":
        c.send(b"a AUTHENTICATE PLAIN " + base64.b64encode(
            b"\0" + user.encode() + b"\0" + PW.encode()) + b"\r\n")
    elif how == "plain":
        c.send("a AUTHENTICATE PLAIN\r\n")
        assert c.line() == b"+ "
        c.send(base64.b64encode(
            b"\0" + user.encode() + b"\0" + PW.encode()) + b"\r\n")
    elif how == "login":
        c.send("a AUTHENTICATE LOGIN\r\n")
        assert base64.b64decode(c.line()[2:]).lower().startswith(b"user")
        c.send(base64.b64encode(user.encode()) + b"\r\n")
        assert base64.b64decode(c.line()[2:]).lower().startswith(b"pass")
        c.send(base64.b64encode(PW.encode()) + b"\r\n")
    else:
        if "{n+}" in how:
            how = how.replace("{n+}", "{%d+}" % len(user), 1)
            how = how.replace("{n+}", "{%d+}" % len(PW), 1)
        c.send("a " + how % (user, PW) + "\r\n")
    answer = c.response()
    assert answer.startswith(b"a OK [CAPABILITY IMAP4rev1"), answer
    c.ok("SELECT INBOX")


@pytest.mark.parametrize("tls", [False, True])
def test_pipelined_behind_login(shared, user, tls):
    """All at once, and as records of their own, without waiting."""
    shared.deliver(user, maildir.message(1))
    c = shared.imap(tls=tls)
    c.send("a %s\r\nb SELECT INBOX\r\nc FETCH 1 (UID)\r\nd NOOP\r\n" %
           (LOGIN % (user, PW)))
    for tag in (b"a", b"b", b"c", b"d"):
        assert c.finish(tag)[0] == "OK"
    c = shared.imap(tls=tls)
    for part in ("a ", LOGIN % (user, PW), "\r\n", "b SELECT INBOX\r\n",
                 "c NO", "OP\r\n", "d FETCH 1 BODY[]\r\n"):
        c.send(part)
    for tag in (b"a", b"b", b"c", b"d"):
        assert c.finish(tag)[0] == "OK"
    c.ok("NOOP")


def test_large_input_behind_login(shared, user):
    """More than a record of it: some of it stays in the kernel."""
    data = maildir.message(1, body=b"x" * 70 + b"\r\n", crlf=True)
    data += b"y" * 60000 + b"\r\n"
    c = shared.imap(tls=True)
    c.send(b"a %s\r\nb APPEND INBOX {%d+}\r\n%s\r\nc STATUS INBOX "
           b"(MESSAGES)\r\n" % ((LOGIN % (user, PW)).encode(), len(data),
                                data))
    for tag in (b"a", b"b", b"c"):
        assert c.finish(tag)[0] == "OK"


def test_wrong_password_three_times(start):
    s = start(settings={"auth_failure_delay": 0, "auth_penalty": False})
    c = s.imap()
    for i in range(3):
        assert b"[AUTHENTICATIONFAILED]" in c.no(LOGIN % ("alice", "wrong"))
    assert c.line().startswith(b"* BYE")
    assert c.is_closed()
    p = s.pop3()
    for i in range(3):
        p.ok("USER alice")
        assert p.err("PASS wrong").startswith(b"-ERR [AUTH]")
    assert p.is_closed()  # one answer for a command
    # So also for a client that does not wait for each.
    p = s.pop3()
    p.send("USER alice\r\nPASS wrong\r\n" * 4 + "QUIT\r\n")
    answers = []
    with pytest.raises((wire.Closed, ConnectionError)):
        while True:
            answers.append(p.line()[:6])
    assert answers == [b"+OK No", b"-ERR ["] * 3


def test_cancel_then_login(shared, user):
    c = shared.imap()
    c.send("a AUTHENTICATE PLAIN\r\n")
    assert c.line() == b"+ "
    c.send("*\r\n")
    assert c.finish(b"a")[0] == "BAD"
    c.login(user, PW)
    p = shared.pop3()
    p.send("AUTH PLAIN\r\n")
    assert p.line() == b"+ "
    p.send("*\r\n")
    assert p.line().startswith(b"-ERR")
    p.login(user, PW)


def test_limits(shared):
    c = shared.imap()
    c.send(b"a LOGIN " + b"x" * 9000)
    assert c.line().startswith(b"* BYE")
    assert c.is_closed()
    c = shared.imap()
    c.bad("LOGIN {2000}")
    c.bad("SELECT INBOX")
    c.bad("X {5+}\r\n12345")
    c.ok("NOOP")
    p = shared.pop3()
    p.err("STAT")
    p.err("PASS x")
    p.send(b"USER " + b"x" * 9000)
    assert p.line().startswith(b"-ERR")
    assert p.is_closed()


def until_cut(s, service, tls, how):
    """Seconds from connect to the end; what was said after the greeting."""
    begun = time.monotonic()
    c = (s.imap if service == "imap" else s.pop3)(tls=tls)
    if how == "challenged":
        c.send("a AUTHENTICATE PLAIN\r\n" if service == "imap" else
               "AUTH PLAIN\r\n")
        assert c.line() == b"+ "
    said = b""
    c.sock.settimeout({"drips": 0.1, "talks": 0.01}.get(how, 20))
    while time.monotonic() < begun + 20:
        try:
            if how == "drips":
                c.send(b"x")
            elif how == "talks":
                c.send(b"a NOOP\r\n" if service == "imap" else b"CAPA\r\n")
            data = c.sock.recv(65536)
        except (TimeoutError, ssl.SSLWantReadError):
            continue
        except OSError:
            break  # reset, where it had not read all of ours
        if not data:
            break
        said += data
    return time.monotonic() - begun, said


def test_time_to_log_in(start):
    """It is absolute, and not counted from the last word."""
    s = start(settings={"login_timeout": 2})
    cases = list(itertools.product(
        ["imap", "pop3"], [False, True],
        ["silent", "drips", "talks", "challenged"]))
    with ThreadPoolExecutor(len(cases)) as pool:
        ends = list(pool.map(lambda case: until_cut(s, *case), cases))
    for (service, tls, how), (seconds, said) in zip(cases, ends):
        assert 1.8 < seconds < 15, (service, tls, how)
        if how in ("silent", "challenged"):
            assert said == (b"* BYE No login in time.\r\n" if service == "imap"
                            else b""), (tls, how)
    s.wait_log("reason=no login in time")


def test_session_outlives_the_time_to_log_in(start):
    s = start(settings={"login_timeout": 1, "auth_failure_delay": 2})
    c = s.imap(tls=True)
    # what the server takes for its answer does not count
    c.no("LOGIN alice wrong")
    c.login("alice", PW)
    time.sleep(1.5)
    c.ok("NOOP")


def test_half_closed_client(shared, user):
    """printf ... | nc: all is said, then FIN."""
    c = shared.imap()
    c.send("a %s\r\nb LOGOUT\r\n" % (LOGIN % (user, PW)))
    c.sock.shutdown(socket.SHUT_WR)
    assert c.finish(b"a")[0] == "OK"
    assert c.finish(b"b")[0] == "OK"


# ---- TLS ---------------------------------------------------------------------

SUITES = [
    (ssl.TLSVersion.TLSv1_3, None),
    (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-GCM-SHA256"),
    (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES256-GCM-SHA384"),
    (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-CHACHA20-POLY1305"),
]


@pytest.mark.parametrize("version,suite", SUITES)
def test_session_over_tls(shared, user, version, suite):
    shared.deliver(user, maildir.message(1, body=b"z" * 99 + b"\r\n"))
    c = imaps(shared, context(version, suite))
    c.login(user, PW)
    c.ok("SELECT INBOX")
    for _ in range(5):
        assert b"zzzzz" in c.fetch("1 BODY.PEEK[]")[1]
    c.logout()


def wait_new_log(s, pattern):
    """Of what is logged since s.new_log()."""
    end, text = time.monotonic() + slow.seconds(10), ""
    while not re.search(pattern, text):
        assert time.monotonic() < end, text
        text += s.new_log()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("how,said", [
    ((ssl.TLSVersion.TLSv1_3,), "does not trust the certificate"),
    ((ssl.TLSVersion.TLSv1_2, "AES128-SHA256"),
     "no cipher suite that is allowed"),
    ((ssl.TLSVersion.TLSv1_1, "ALL:@SECLEVEL=0"),
     "no version of TLS that is allowed"),
], ids=["trust", "suite", "version"])
def test_why_a_handshake_failed(shared, how, said):
    """What GnuTLS says of these would lead a reader of the log astray."""
    ctx = context(*how)
    if "trust" in said:
        ctx.verify_mode = ssl.CERT_REQUIRED
    shared.new_log()
    with pytest.raises(OSError):
        imaps(shared, ctx)
    wait_new_log(shared, "closed before login service=imap .*"
                 "reason=TLS handshake: .*" + said)


@pytest.mark.parametrize("service,says,why", [
    ("imap", "a LOGOUT\r\n", "logged out"),
    ("pop3", "QUIT\r\n", "logged out"),
    ("imap", "GET / HTTP/1.0\r\n" * 40, "too many errors"),
    ("pop3", "a" * 70000, "line too long"),
    ("imap", "a LOGIN {70000+}\r\n", "literal too large"),
    ("imap", "\x16\x03\x01\x02", "TLS spoken .*STARTTLS .*imaps_port"),
    ("pop3", "\x16\x03\x01\x02", "TLS spoken .*STLS .*pop3s_port"),
    ("imap", "", "client left")],
    ids=["logout", "quit", "errors", "line", "literal", "tls", "tls-pop3",
         "left"])
def test_why_no_login(shared, service, says, why):
    """Each ends for a reason of its own, which the log names."""
    s = shared
    s.new_log()
    c = wire.Imap("127.0.0.1", s.imap_port) if service == "imap" else \
        wire.Pop3("127.0.0.1", s.pop3_port)
    # It may be closed already.
    with contextlib.suppress(OSError):
        c.send(says)
        c.sock.shutdown(socket.SHUT_WR)
        while c.sock.recv(65536):
            pass
    c.sock.close()
    wait_new_log(s, "closed before login service=%s .*reason=%s" % (
        service, why))


@pytest.mark.parametrize("version,suite", SUITES)
def test_starttls(shared, user, version, suite):
    c = shared.imap()
    c.ok("ID (\"name\" \"before\")")
    c.ok("STARTTLS")
    c.start_tls(context(version, suite))
    caps = c.capabilities()
    assert "STARTTLS" not in caps and "AUTH=PLAIN" in caps
    c.bad("STARTTLS")
    c.login(user, PW)
    c.ok("SELECT INBOX")
    p = shared.pop3()
    p.ok("STLS")
    p.start_tls(context(version, suite))
    assert b"STLS" not in p.multi("CAPA")
    p.login(user, PW)
    p.ok("STAT")


@pytest.mark.parametrize("behind", ["b NOOP\r\n", "\r\n", "x"])
def test_nothing_behind_starttls(shared, behind):
    c = shared.imap()
    c.send("a STARTTLS\r\n" + behind)
    assert c.is_closed()
    p = shared.pop3()
    p.send("STLS\r\n" + behind)
    assert p.is_closed()


def test_refused_tls(shared):
    for ctx in (context(ssl.TLSVersion.TLSv1_2, "AES128-GCM-SHA256"),
                context(ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-SHA"),
                context(alpn=["http/1.1"]), context(alpn=["pop3"])):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            imaps(shared, ctx)
    c = imaps(shared, context(alpn=["http/1.1", "imap"]))
    assert c.sock.selected_alpn_protocol() == "imap"
    c = wire.Wire("127.0.0.1", shared.imaps_port)
    c.send("a001 CAPABILITY\r\n")
    assert c.is_closed()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2,
                                     ssl.TLSVersion.TLSv1_3])
def test_tickets_always_resume(shared, user, version):
    ctx = context(version)
    c = imaps(shared, ctx)
    c.login(user, PW)
    session = c.sock.session
    for _ in range(10):
        c = imaps(shared, ctx, session=session)
        assert c.sock.session_reused
        c.login(user, PW)
        c.ok("NOOP")
        c.logout()


def run_client(argv, lines, timeout=20):
    """Feeds lines, each after the answer to the one before."""
    p = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, bufsize=0)
    seen = b""
    end = time.monotonic() + slow.seconds(timeout)
    os.set_blocking(p.stdout.fileno(), False)
    try:
        for line, answer in lines:
            if line is not None:
                p.stdin.write(line)
            part = b""
            while not re.search(answer, part):
                assert time.monotonic() < end, (answer, seen + part)
                more = p.stdout.read()
                if more == b"":
                    raise AssertionError((answer, seen + part))
                part += more or b""
                time.sleep(0.01)
            seen += part
    finally:
        p.kill()
        p.wait()
    return seen


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl")
def test_odd_server_names(shared):
    """Workers have no library for names in other alphabets (login/lean.c): none
    may be called for what a client says."""
    shared.new_log()
    for name in ("b\u00fccher.example", "xn--bcher-kva.example", "xn--\u00fc",
                 "\ud55c.example", "xn--" + "9" * 50, "a" * 250, "*.example",
                 "192.0.2.1", "\x7f\x01"):
        for version in ("-tls1_2", "-tls1_3"):
            got = subprocess.run(
                ["openssl", "s_client", "-quiet", version, "-alpn", "imap",
                 "-servername", name, "-connect",
                 "127.0.0.1:%d" % shared.imaps_port],
                input=b"a LOGOUT\r\n", capture_output=True, timeout=60)
            # A name of no right form is refused with an alert.
            assert b"* OK" in got.stdout or b"alert" in got.stderr, (name, got)
    assert "signal" not in shared.new_log()


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl")
@pytest.mark.parametrize("suite", [
    "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256"])
def test_openssl_updates_keys(shared, user, suite):
    """KeyUpdate before login (GnuTLS sees it), behind it (the session sees
    it), with and without a request for ours."""
    lines = [(None, rb"\* OK"), (b"K\n", rb"KEYUPDATE"),
             (b"a NOOP\n", rb"a OK"), (b"k\n", rb"KEYUPDATE"),
             (b"b " + (LOGIN % (user, PW)).encode() + b"\n", rb"b OK"),
             (b"K\n", rb"KEYUPDATE"), (b"c SELECT INBOX\n", rb"c OK"),
             (b"k\n", rb"KEYUPDATE"), (b"d NOOP\n", rb"d OK"),
             (b"K\n", rb"KEYUPDATE"), (b"e LOGOUT\n", rb"e OK")]
    run_client(["openssl", "s_client", "-crlf", "-tls1_3", "-ciphersuites",
                suite, "-connect", "127.0.0.1:%d" % shared.imaps_port], lines)


@pytest.mark.skipif(not shutil.which("gnutls-cli"), reason="no gnutls-cli")
@pytest.mark.parametrize("priority", [
    "NORMAL:-VERS-ALL:+VERS-TLS1.3", "NORMAL:-VERS-ALL:+VERS-TLS1.2"])
def test_gnutls_client(shared, user, priority):
    lines = [(None, rb"\* OK"), (b"a " + (LOGIN % (user, PW)).encode() +
                                 b"\r\n", rb"a OK"),
             (b"b SELECT INBOX\r\n", rb"b OK"), (b"c LOGOUT\r\n", rb"c OK")]
    run_client(["gnutls-cli", "--insecure", "--priority", priority, "-p",
                str(shared.imaps_port), "127.0.0.1"], lines)


def test_small_records(shared, user):
    """A client that asks for records of 512 bytes gets no larger ones from
    the session either."""
    if not shutil.which("gnutls-cli"):
        pytest.skip("no gnutls-cli")
    shared.deliver(user, maildir.message(1, body=b"w" * 70 + b"\r\n" * 300))
    lines = [(None, rb"\* OK"), (b"a " + (LOGIN % (user, PW)).encode() +
                                 b"\r\n", rb"a OK"),
             (b"b SELECT INBOX\r\n", rb"b OK"),
             (b"c FETCH 1 BODY[]\r\n", rb"c OK"), (b"d LOGOUT\r\n", rb"d OK")]
    run_client(["gnutls-cli", "--insecure", "--recordsize", "512", "-p",
                str(shared.imaps_port), "127.0.0.1"], lines)


# ---- who is on the other side ------------------------------------------------

def proxied(s, header, tls=False):
    c = wire.Imap("127.0.0.1", s.imaps_port if tls else s.imap_port,
                  greet=False)
    s.open.append(c)
    c.send(header)
    if tls:
        c.start_tls(context())
    c.greeting = c.response()
    return c


V2 = b"\r\n\r\n\0\r\nQUIT\n"


def test_proxy(start):
    s = start(settings={"proxy_networks": ["127.0.0.0/8"]})
    v1 = b"PROXY TCP4 192.0.2.7 192.0.2.1 5000 143\r\n"
    c = proxied(s, v1)
    caps = c.capabilities()
    assert "LOGINDISABLED" in caps and "AUTH=PLAIN" not in caps
    assert b"[PRIVACYREQUIRED]" in c.no(LOGIN % ("alice", PW))
    assert b"[PRIVACYREQUIRED]" in c.no("LOGIN {5}")
    c.ok("STARTTLS")
    c.start_tls(context())
    c.login("alice", PW)
    c.ok("NOOP")
    c = proxied(s, v1, tls=True)
    c.login("alice", PW)
    who = s.ctl("who")
    assert "192.0.2.7" in who
    # The proxy has taken TLS off.
    addresses = bytes([192, 0, 2, 8, 192, 0, 2, 1, 19, 136, 3, 225])
    tlv = b"\x20\0\x05\x01\0\0\0\0"
    c = proxied(s, V2 + b"\x21\x11\0\x14" + addresses + tlv)
    assert "LOGINDISABLED" not in c.capabilities()
    c.login("alice", PW)
    # No header, no service.
    bare = wire.Wire("127.0.0.1", s.imap_port)
    bare.send("a NOOP\r\n")
    assert bare.is_closed()


def test_header_is_not_believed(shared):
    c = wire.Imap("127.0.0.1", shared.imap_port)
    c.send("PROXY TCP4 192.0.2.7 192.0.2.1 5000 143\r\n")
    assert c.line().split()[1] == b"BAD"


def test_plaintext_settings(start):
    s = start(settings={"allow_plaintext_auth": True, "tls": "required"})
    assert "LOGINDISABLED" in s.imap().capabilities()
    p = s.pop3()
    assert b"USER" not in p.multi("CAPA")
    p.err("USER alice")
    s.imap("alice", tls=True).ok("NOOP")


# ---- many --------------------------------------------------------------------

def test_flood_costs_the_busiest(start):
    """Past login_workers_max the busiest address loses its oldest."""
    s = start(settings={"login_workers_max": 10, "login_workers_spare": 3})
    friend = wire.Imap("127.0.0.1", s.imap_port, source=("127.0.0.3", 0))
    flood = []
    for i in range(25):
        flood.append(wire.Imap("127.0.0.1", s.imap_port,
                               source=("127.0.0.2", 0)))
    late = wire.Imap("127.0.0.1", s.imap_port, source=("127.0.0.4", 0))
    s.wait_log("too many connections before login dropped=127.0.0.2")
    for c in (friend, late):
        c.login("alice", PW)
        c.ok("NOOP")
    assert all(c.is_closed() for c in flood[:10])
    flood[-1].ok("NOOP")
    assert "dropped=127.0.0.3" not in s.log()
    for c in flood:
        c.close()
    assert len(s.pids("login")) < 30
    s.imap("bob").ok("NOOP")


def test_many_at_once(shared, user):
    """A hundred clients in one moment, all are served."""
    many = [shared.imap(greet=False) for _ in range(100)]
    for c in many:
        assert c.response().startswith(b"* OK")
        c.send("a %s\r\nb NOOP\r\n" % (LOGIN % (user, PW)))
    for c in many:
        assert c.finish(b"a", 30)[0] == "OK"
        assert c.finish(b"b")[0] == "OK"


def test_workers_are_used_once(shared, user):
    before = set(shared.pids("login"))
    for _ in range(3):
        shared.imap(user).logout()
    # One that an earlier test used may die first, before a new one is forked.
    shared.wait_pids("login", lambda p: set(p) - before and before - set(p))


def test_workers_without_tls(start):
    """Where there is no keyd, spares live until a client comes."""
    s = start(tls=False)
    for _ in range(20):
        s.imap("alice").logout()
    s.wait_pids("login", lambda p: len(p) > 1)
    assert "login workers die" not in s.log()


def test_reuse(start):
    s = start(settings={"login_reuse": 5, "login_workers_spare": 1})
    time.sleep(0.3)
    first = set(s.pids("login"))
    for i in range(8):
        s.imap("alice", tls=True).logout()
        s.pop3("alice", tls=i % 2 == 0).ok("QUIT")
    c = s.imap()
    c.no(LOGIN % ("alice", "wrong"))
    c.close()
    s.imap("alice").ok("NOOP")
    assert len(set(s.pids("login")) - first) < 7


def test_killed_worker_and_parent(shared, user):
    c = shared.imap(user)
    for pid in shared.pids("login"):
        fields = proc.stat(pid)
        if fields and int(fields[1]) != shared.pid():
            os.kill(pid, signal.SIGKILL)
    shared.imap(user).ok("NOOP")
    parent = [p for p in shared.pids("login")
              if int(proc.stat(p)[1]) == shared.pid()]
    os.kill(parent[0], signal.SIGKILL)
    c.ok("NOOP")
    # Its spares go with it; until then one may still take a connection.
    shared.wait_pids("login", lambda pids: parent[0] not in pids)
    end = time.monotonic() + slow.seconds(10)
    while True:
        try:
            shared.imap(user).ok("NOOP")
            break
        except (OSError, wire.Closed):
            assert time.monotonic() < end
            time.sleep(0.1)


def status_of(pid):
    with open("/proc/%d/status" % pid) as f:
        return dict(line.rstrip("\n").split(":\t", 1)
                    for line in f if ":\t" in line)


def test_confinement(shared, form):
    c = shared.imap(tls=True)  # one worker holds a stranger
    for name, uid in (("login", 0), ("keyd", 1)):
        for pid in shared.pids(name):
            st = status_of(pid)
            assert st["NoNewPrivs"] == "1"
            assert st["Seccomp"] == "2"
            assert int(st["CapEff"], 16) == int(st["CapPrm"], 16) == 0
            with open("/proc/%d/limits" % pid) as f:
                limits = f.read()
            assert re.search(r"Max core file size +0 +0", limits)
            assert restante.SANITIZED or re.search(
                r"Max file size +0 +0", limits)
            if form == "separate":
                uids = {restante.SERVICE_UID + uid}
                assert set(map(int, st["Uid"].split())) == uids
                assert st["Groups"].strip() == ""
                root = os.readlink("/proc/%d/root" % pid)
                assert root.endswith("/run/empty")
    worker = [p for p in shared.pids("login")
              if int(proc.stat(p)[1]) != shared.pid()][0]
    with open("/proc/%d/limits" % worker) as f:
        limits = f.read()
    assert re.search(r"Max processes +0 +0", limits)
    if not restante.SANITIZED:
        assert re.search(r"Max address space +67108864 ", limits)
    # Of the parent's and the others' descriptors a worker has none.
    assert len(os.listdir("/proc/%d/fd" % worker)) <= 16
    c.ok("NOOP")
