# SPDX-License-Identifier: ISC
"""keyd and login one by one: what they do when the others are slow, silent,
gone, or ask for what they must not have."""
import os
import resource
import signal
import socket
import subprocess
import time

import pytest

from lib import certs, login, proc, restante, server, wire
from lib.authd import Gone, readable
from lib.login import (AUTH_CANCEL, AUTH_FAIL, AUTH_MORE, AUTH_OK, AUTH_START,
                       BLOB, FAILED, KILL, NEED, REFUSED, RETIRED, SIGN,
                       SIGN_FAILED, SIGNED, STOP, STR, TAKEN, U8, U16, U32, U64, encode)

CONTEXT = b" " * 64 + b"TLS 1.3, server CertificateVerify\0"
VERIFY = CONTEXT + b"h" * 32
PARAMS = b"r" * 64 + b"\x03\x00\x1d\x20" + b"p" * 32
LOGIN = b"a LOGIN joe secret\r\n"


def sign(number, scheme, data):
    return encode(SIGN, (U32, number), (U16, scheme), (BLOB, data))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("keys"))
    return [certs.make(folder, kind=kind) for kind in ("ecdsa", "rsa")]


@pytest.fixture
def keyd(pairs):
    k = login.Keyd([key for _, key in pairs]).ready()
    yield k
    k.stop()


def verify(pair, data, signature, tmp_path, pss):
    names = [str(tmp_path / n) for n in ("data", "sig", "pub")]
    for name, content in zip(names, (data, signature)):
        with open(name, "wb") as f:
            f.write(content)
    subprocess.run(["openssl", "x509", "-in", pair[0], "-pubkey", "-noout",
                    "-out", names[2]], check=True)
    options = ["-sigopt", "rsa_padding_mode:pss"] if pss else []
    subprocess.run(["openssl", "dgst", "-sha256", "-verify", names[2],
                    "-signature", names[1]] + options + [names[0]],
                   check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("number,scheme,data", [
    (0, 0x0403, VERIFY), (0, 0x0403, PARAMS), (1, 0x0804, VERIFY),
    (1, 0x0804, PARAMS), (1, 0x0401, PARAMS),
    (0, 0x0403, CONTEXT + b"h" * 48)])
def test_signs_handshakes(keyd, pairs, tmp_path, number, scheme, data):
    w = keyd.worker()
    w.send(sign(number, scheme, data))
    kind, values = w.recv()
    assert kind == SIGNED
    verify(pairs[number], data, values[0], tmp_path, scheme == 0x0804)


@pytest.mark.parametrize("message", [
    sign(0, 0x0403, b"anything"),
    sign(0, 0x0403, b""),
    sign(0, 0x0403, VERIFY + b"x"),
    sign(0, 0x0403, VERIFY[1:]),
    sign(0, 0x0403, VERIFY.replace(b"server", b"client")),
    sign(0, 0x0403, b"r" * 64 + b"\x03\x00\x1d\x21" + b"p" * 32),
    sign(0, 0x0807 + 0x1000, VERIFY),
    sign(1, 0x0401, VERIFY),  # TLS 1.3 has no PKCS #1 1.5 there
    sign(0, 0x0403, b"0" * 600),
    encode(SIGN, (U32, 0)),
    encode(SIGN + 1, (BLOB, b"x")),
    encode(1, (U8, 1), (U32, 9)),
    b"", b"x", b"\x01\x00\x00\x70" + b"\xff" * 2000,
])
def test_refuses_the_rest(keyd, message):
    """The worker is cut off, the others are served."""
    w, other = keyd.worker(), keyd.worker()
    w.send(message)
    with pytest.raises(Gone):
        w.recv(5)
    other.send(sign(0, 0x0403, VERIFY))
    assert other.recv()[0] == SIGNED


def test_descriptor_from_worker(keyd):
    w = keyd.worker()
    w.send(encode(SIGN, (U32, 0), (U16, 0x0403), (BLOB, VERIFY), fds=1), [0])
    with pytest.raises(Gone):
        w.recv(5)


@pytest.mark.parametrize("number,scheme", [(7, 0x0403), (0, 0x0804),
                                           (1, 0x0403), (40, 0x0403)])
def test_no_such_key(keyd, number, scheme):
    w = keyd.worker()
    w.send(sign(number, scheme, VERIFY))
    assert w.recv() == (SIGN_FAILED, [])


def test_counts(pairs):
    """A worker has as many signatures as connections."""
    k = login.Keyd([pairs[0][1]], "login_reuse = 3\n").ready()
    try:
        w = k.worker()
        for _ in range(3):
            w.send(sign(0, 0x0403, VERIFY))
            assert w.recv()[0] == SIGNED
        w.send(sign(0, 0x0403, VERIFY))
        with pytest.raises(Gone):
            w.recv(5)
    finally:
        k.stop()


@pytest.mark.skipif(os.getuid() != 0, reason="keyd locks its memory as root")
def test_many_workers(pairs):
    """What is locked against swapping does not keep it from growing."""
    kept = [(what, resource.getrlimit(what))
            for what in (resource.RLIMIT_MEMLOCK, resource.RLIMIT_NOFILE)]
    try:
        for (what, (_, hard)), soft in zip(kept, (8 << 20, 4096)):
            resource.setrlimit(what, (soft, hard))
        k = login.Keyd([pairs[0][1]]).ready()
        try:
            workers = [k.worker() for _ in range(1500)]
            for w in (workers[0], workers[-1]):
                w.send(sign(0, 0x0403, VERIFY))
                assert w.recv()[0] == SIGNED
        finally:
            k.stop()
    finally:
        for what, limits in kept:
            resource.setrlimit(what, limits)


@pytest.mark.parametrize("content,why", [
    ("", "key"), ("nonsense\n", "key"),
    ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "key"),
    ("x" * 400000, "key")])
def test_bad_key_file(tmp_path, content, why):
    path = str(tmp_path / "bad.key")
    with open(path, "w") as f:
        f.write(content)
    k = login.Keyd([path])
    try:
        kind, values = k.master.recv()
        assert kind == FAILED and path in values[0], (kind, values)
        assert k.child.wait() != 0
    finally:
        k.stop()


def test_key_with_password(tmp_path, pairs):
    path = str(tmp_path / "protected.key")
    subprocess.run(["openssl", "pkcs8", "-topk8", "-in", pairs[0][1], "-out",
                    path, "-passout", "pass:x"], check=True)
    k = login.Keyd([path])
    try:
        kind, values = k.master.recv()
        assert kind == FAILED and "password" in values[0], (kind, values)
    finally:
        k.stop()


def test_old_keyd_serves_its_workers(keyd):
    w = keyd.worker()
    keyd.master.send(encode(STOP, (STR, "reload")))
    w.send(sign(0, 0x0403, VERIFY))
    assert w.recv()[0] == SIGNED
    w.close()
    assert keyd.child.wait() == 0


# ---- login -------------------------------------------------------------------

@pytest.fixture
def parent():
    running = []

    def begin(settings="login_workers_spare = 2\n", **kw):
        p = login.Login(settings, **kw)
        running.append(p)
        return p.feed()

    yield begin
    for p in running:
        p.stop()


def client(p, tls=False, **kw):
    return wire.Imap("127.0.0.1", p.imaps_port if tls else p.imap_port,
                     tls=tls, **kw)


def granted(p, c, command=LOGIN):
    """authd says yes; the worker's set, after its HANDOFF."""
    c.send(command)
    s, kind, values = p.serving()
    assert kind == AUTH_START
    s.start = values
    s.auth.send(encode(AUTH_OK, (U32, values[0])))
    s.offer, s.client, s.state = login.handoff(s.master)
    return s


def test_what_authd_hears(parent):
    p = parent()
    c = client(p)
    c.send(LOGIN)
    s, kind, v = p.serving()
    assert kind == AUTH_START
    assert v[0] == 1 and v[1] == 1 and v[2] != 0
    assert v[3:5] == [1, 2]  # IMAP; local, no TLS
    assert v[5:8] == ["PLAIN", True, b"\0joe\0secret"]
    assert v[8:12] == [b"\x7f\0\0\1", c.sock.getsockname()[1],
                       b"\x7f\0\0\1", p.imap_port]
    assert v[12:] == [b"", b""]
    # While authd thinks the worker says nothing and asks nothing.
    c.send(b"b NOOP\r\nc LOGIN x y\r\n")
    assert c.is_silent(0.3)
    s.auth.send(encode(AUTH_FAIL, (U32, 1), (U32, 1), (U32, 100)))
    assert c.finish(b"a")[0] == "NO"
    assert c.finish(b"b")[0] == "OK"
    assert p.serving()[2][0] == 2


def test_taken(parent):
    """The worker lets go without a byte, and what was unread goes along."""
    p = parent()
    for tls in (False, True):
        c = client(p, tls)
        s = granted(p, c, b"tag7 LOGIN joe secret\r\nb NOOP\r\n")
        assert s.offer == [1, "tag7", ""]
        assert s.client.getpeername() == c.sock.getsockname()
        assert b"b NOOP\r\n" in s.state
        assert b"secret" not in s.state
        assert s.state[:3] == (b"\x02\x03\x04" if tls else b"\x02\0\0")
        s.master.send(encode(TAKEN, (U64, 1)))
        with pytest.raises(Gone):
            s.auth.recv(5)  # the worker has ended
        assert c.is_silent(0.3)
        if not tls:
            s.client.sendall(b"tag7 OK here I am\r\n")
            assert c.line() == b"tag7 OK here I am"
        s.client.close()


@pytest.mark.parametrize("reason,code", [(1, b"UNAVAILABLE"), (2, b"LIMIT"),
                                         (3, b"UNAVAILABLE")])
def test_refused(parent, reason, code):
    p = parent()
    for tls in (False, True):
        c = client(p, tls)
        s = granted(p, c)
        s.client.close()
        s.master.send(encode(REFUSED, (U64, 1), (U8, reason)))
        status, text, _ = c.finish(b"a")
        assert status == "NO" and text.startswith(b"[" + code + b"]")
        assert c.line().startswith(b"* BYE")
        assert c.is_closed()


def test_master_closes_the_channel(parent):
    """Master may have died behind the offer: whose the client is now nobody
    can say, so the worker says nothing."""
    p = parent()
    for tls in (False, True):
        c = client(p, tls)
        s = granted(p, c)
        s.master.close()
        with pytest.raises(Gone):
            s.auth.recv(5)
        assert c.is_silent(0.3)
        s.client.close()
        assert c.is_closed()


def test_no_word_from_master(parent):
    """It may be that the session has it: the worker says nothing."""
    p = parent()
    c = client(p)
    s = granted(p, c)
    s.client.close()
    begun = time.monotonic()
    assert c.is_closed(30)
    assert 9 < time.monotonic() - begun


@pytest.mark.parametrize("message", [
    encode(TAKEN, (U64, 2)), encode(REFUSED, (U64, 1), (U8, 9)),
    encode(AUTH_OK, (U32, 1)), b"junk"])
def test_nonsense_from_master(parent, message):
    p = parent()
    c = client(p)
    s = granted(p, c)
    s.client.close()
    s.master.send(message)
    # At most an answer that it did not work; never a second owner.
    c.sock.settimeout(5)
    data = c.sock.recv(1000)
    assert data == b"" or data.startswith(b"a NO [UNAVAILABLE]")


def test_authd_gone(parent):
    p = parent()
    c = client(p)
    c.send(LOGIN)
    s, _, _ = p.serving()
    s.auth.close()
    status, text, _ = c.finish(b"a")
    assert status == "NO" and text.startswith(b"[UNAVAILABLE]")
    # The channel is of no use any more.
    c.send(b"b LOGIN joe secret\r\n")
    assert c.finish(b"b")[1].startswith(b"[UNAVAILABLE]")


@pytest.mark.parametrize("message", [
    encode(AUTH_START, (U32, 1)), encode(AUTH_FAIL, (U32, 1)),
    encode(AUTH_CANCEL, (U32, 1)), b"", b"\x01"])
def test_nonsense_from_authd(parent, message):
    p = parent()
    c = client(p)
    c.send(LOGIN)
    s, _, _ = p.serving()
    s.auth.send(message)
    c.sock.settimeout(5)
    data = c.sock.recv(1000)
    assert data == b"" or data.startswith(b"a NO [UNAVAILABLE]")
    with pytest.raises((TimeoutError, Gone)):
        s.master.recv(0.3)


def test_answer_of_an_earlier_exchange(parent):
    """A late OK is for nobody: only the number of this exchange counts."""
    p = parent()
    c = client(p)
    c.send(b"a AUTHENTICATE PLAIN\r\n")
    s, _, v = p.serving()
    s.auth.send(encode(AUTH_MORE, (U32, v[0]), (BLOB, b"")))
    assert c.line() == b"+ "
    c.send(b"*\r\n")
    assert s.auth.recv() == (AUTH_CANCEL, [1])
    s.auth.send(encode(AUTH_FAIL, (U32, 1), (U32, 9), (U32, 0)))
    assert c.finish(b"a")[0] == "BAD"
    c.send(b"b LOGIN joe wrong\r\n")
    assert s.auth.recv()[1][0] == 2
    s.auth.send(encode(AUTH_OK, (U32, 1)))
    assert c.is_silent(0.3)
    with pytest.raises(TimeoutError):
        s.master.recv(0.2)
    s.auth.send(encode(AUTH_FAIL, (U32, 2), (U32, 1), (U32, 0)))
    assert c.finish(b"b")[0] == "NO"


def test_client_leaves_while_judged(parent):
    p = parent()
    c = client(p)
    c.send(LOGIN)
    s, _, _ = p.serving()
    c.sock.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")  # SO_LINGER: RST
    c.close()
    with pytest.raises(Gone):
        s.auth.recv(5)


def test_spares_are_replaced(parent):
    p = parent()
    before = len(p.sets)
    for s in p.sets:
        s.auth.close()
    p.feed(ready=False)
    assert len(p.sets) > before
    p.sets = p.sets[before:]
    c = client(p)
    granted(p, c)


def mappings(pid):
    with open("/proc/%d/maps" % pid, "rb") as f:
        return f.read().count(b"\n")


@pytest.mark.skipif(bool(restante.SANITIZED), reason="leaves nothing out")
def test_worker_dies_of_a_bad_address(parent):
    """What workers were to do without is given to the next ones."""
    p = parent()
    workers = [pid for pid in proc.tree(p.child.pid) if pid != p.child.pid]
    lean = mappings(workers[0])
    assert lean < mappings(p.child.pid) - 10
    for pid in workers:
        os.kill(pid, signal.SIGSEGV)
    p.feed(ready=False)
    client(p).ok("NOOP")
    fresh = [pid for pid in proc.tree(p.child.pid)
             if pid != p.child.pid and pid not in workers]
    assert max(mappings(pid) for pid in fresh) > lean + 10
    end = time.monotonic() + 30
    while not [x for x in p.lines if "all of the libraries" in x]:
        assert time.monotonic() < end, p.lines
        time.sleep(0.01)


def test_killed_by_master(parent):
    p = parent()
    c = client(p)
    c.send(LOGIN)
    s, _, _ = p.serving()
    p.master.send(encode(KILL, (U32, s.number)))
    assert c.is_closed()
    p.feed(ready=False)
    client(p).ok("NOOP")


def test_keyd_gone(parent):
    """No handshake without a key; the clear port is served."""
    p = parent()
    p.keyd.stop()
    p.keyd = None
    with pytest.raises((OSError, wire.Closed)):
        client(p, True, timeout=3)
    p.feed(ready=False)
    client(p).ok("NOOP")


def cpu_seconds(pids):
    """Used by these processes so far."""
    ticks = 0
    for pid in pids:
        with open("/proc/%d/stat" % pid) as f:
            ticks += sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def set_descriptors(pids, n):
    """The soft limit, as only the same uid may."""
    for pid in pids:
        subprocess.run(
            ["/usr/bin/prlimit", "--pid", str(pid), "--nofile=%s:" % n],
            check=True, user=login.LOGIN_UID, group=login.LOGIN_UID,
            extra_groups=[])


@pytest.mark.skipif(not server.is_root(), reason="needs root")
def test_no_descriptor_for_a_client(parent):
    """Who can not accept rests; the client is served when there is room."""
    p = parent("login_workers_spare = 2\n")
    with open("/proc/%d/task/%d/children" % (p.child.pid, p.child.pid)) as f:
        spares = [int(pid) for pid in f.read().split()]
    set_descriptors(spares, "0")
    with socket.create_connection(("127.0.0.1", p.imap_port), 20) as c:
        before = cpu_seconds(spares)
        c.settimeout(1)
        with pytest.raises(TimeoutError):
            c.recv(1)
        assert cpu_seconds(spares) - before < 0.3
        set_descriptors(spares, "32")
        c.settimeout(20)
        assert c.recv(4) == b"* OK"


def retired(p):
    while True:
        kind, _ = p.master.recv(10)
        if kind == RETIRED:
            return
        assert kind == NEED


@pytest.mark.parametrize("reuse", [1, 3])
def test_nobody_comes_to_an_old_parent(parent, reuse):
    """It says when its last spare has gone; who has a client by then ends
    with him, also where workers are used again."""
    p = parent("login_reuse = %d\n" % reuse)
    first = client(p)
    p.master.send(encode(STOP, (STR, "reload")))
    retired(p)
    first.ok("NOOP")
    first.logout()
    assert p.child.wait() == 0


def test_old_parent_finishes(parent):
    p = parent()
    c = client(p)
    p.master.send(encode(STOP, (STR, "reload")))
    retired(p)
    with pytest.raises(ConnectionRefusedError):
        client(p)
    s = granted(p, c)
    s.client.close()
    s.master.send(encode(TAKEN, (U64, 1)))
    assert p.child.wait() == 0


def test_end_with_master(parent):
    p = parent()
    c = client(p)
    p.master.close()
    assert p.child.wait() == 0
    assert c.is_closed()


def test_parent_asks_no_more_than_it_needs(parent):
    p = parent()
    for _ in range(10):
        c = client(p)
        s = granted(p, c)
        s.client.close()
        s.master.send(encode(TAKEN, (U64, 1)))
        with pytest.raises(Gone):
            s.auth.recv(5)
        p.feed(ready=False)
    assert len(p.sets) < 30
    # It may still say that nobody serves any more (TELL_MS of pool.c).
    while readable(p.master.sock, 0.5):
        kind, values = p.master.recv()
        assert kind == NEED and values[0] == 0, (kind, values)


def test_handshake_takes_too_long(parent):
    p = parent()
    c = wire.Wire("127.0.0.1", p.imaps_port)
    begun = time.monotonic()
    c.send(b"\x16\x03\x01\x02\x00\x01")
    assert c.is_closed(35)
    assert 13 < time.monotonic() - begun


def test_no_keyd_at_all():
    """The parent does not come up, and says why."""
    p = login.Login(keyd=False)
    try:
        kind, _ = p.master.recv()
        assert kind == NEED
        p.give_set()
        p.sets[0].key.close()
        while True:
            kind, values = p.master.recv()
            if kind != NEED:
                break
        assert kind == FAILED and "keyd" in values[0]
        assert p.child.wait() != 0
    finally:
        p.stop()
    assert not os.path.exists(p.dir)
