# SPDX-License-Identifier: ISC
"""authd and its spawner with a passwd-file; the test is master and the login
workers (tests/lib/authd.py)."""
import os
import select
import signal
import time

import pytest

from lib import authd, server
from lib.authd import PASSWD, SLOW, YESCRYPT, Authd, Scram


@pytest.fixture(scope="module", params=["plain", "separate"])
def shared(request):
    if request.param == "separate" and not server.is_root():
        pytest.skip("needs root")
    a = Authd(PASSWD, {"auth_penalty": "no"},
              separate=request.param == "separate")
    try:
        yield a.start()
    finally:
        a.stop()


@pytest.fixture
def start():
    with authd.starting() as begin:
        yield begin


@pytest.fixture
def worker(shared):
    w = shared.worker()
    yield w
    w.close()


# ---- who gets in ----------------------------------------------------------

def test_grant_comes_before_ok(shared, worker):
    assert worker.plain("alice", "secret") == ("ok",)
    # The OK is there already: so must be the grant.
    g = shared.grant(timeout=0)
    assert (g["worker"], g["conn"], g["cookie"]) == (
        worker.number, worker.conn, 7)
    assert (g["user"], g["service"], g["held"]) == ("alice", "imap", None)
    assert (g["home"], g["mail"]) == ("/home/alice", "maildir:~/M")
    assert (g["peer_ip"], g["peer_port"]) == (b"\xc0\x00\x02\x07", 4711)
    if shared.separate:
        assert (g["uid"], g["gid"]) == (3001, 3002)
    else:
        assert (g["uid"], g["gid"]) == (os.geteuid(), os.getegid())


def test_names_are_made_lower_case(shared, worker):
    assert worker.plain("ALice", "secret", service=2) == ("ok",)
    g = shared.grant()
    assert (g["user"], g["service"]) == ("alice", "pop3")


def test_yescrypt_and_extra(shared, worker):
    assert worker.plain("bob", "secret") == ("ok",)
    assert shared.grant()["extra"] == ""
    assert worker.plain("sam", "secret") == ("ok",)
    assert shared.grant()["extra"] == "pop3_uidl=%f\n"


def test_any_bytes_in_a_password(start):
    odd = b"\t \x01\xe4\xc2\xaa \xff"
    a = start()
    with open(a.passwd_path, "wb") as f:
        f.write(b"odd:{PLAIN}" + odd + b":3001:3001::/h\n")
    w = a.worker()
    w.start("PLAIN", b"\0odd\0" + odd)
    assert w.answer() == ("ok",)
    w.start("LOGIN", b"odd")
    assert w.answer() == ("more", b"Password:")
    w.more(odd)
    assert w.answer() == ("ok",)


def test_success_is_not_delayed(shared, worker):
    start = time.monotonic()
    assert worker.plain("alice", "secret") == ("ok",)
    assert time.monotonic() - start < 1.9
    shared.grant()


def test_login(shared, worker):
    worker.start("login")
    assert worker.answer() == ("more", b"Username:")
    worker.more(b"alice")
    assert worker.answer() == ("more", b"Password:")
    worker.more(b"secret")
    assert worker.answer() == ("ok",)
    assert shared.grant()["user"] == "alice"


def test_plain_without_initial_response(shared, worker):
    worker.start("PLAIN")
    assert worker.answer() == ("more", b"")
    worker.more(b"alice\0alice\0secret")
    assert worker.answer() == ("ok",)
    shared.grant()


def test_many_logins_on_one_channel(shared, worker):
    for _ in range(20):
        assert worker.plain("alice", "secret") == ("ok",)
        assert shared.grant()["conn"] == worker.conn


# ---- who does not ---------------------------------------------------------

def failures(shared, attempts):
    """All at once, each by a worker of its own."""
    workers = [shared.worker() for _ in attempts]
    for w, (user, password) in zip(workers, attempts):
        w.start("PLAIN", b"\0" + user + b"\0" + password)
    answers = [w.answer() for w in workers]
    held = [w.held_ms for w in workers]
    for w in workers:
        w.close()
    return answers, held


def test_failures_look_alike(shared):
    """Wrong password, no such user, impossible name, locked: same class, same
    moment."""
    answers, held = failures(shared, [
        (b"alice", b"wrong"), (b"bob", b"wrong"), (b"nosuch", b"secret"),
        (b"locked", b"secret"), (b"../../etc", b"secret"), (b"alice", b""),
        (b"alice", b"x" * 1025), (b"a" * 256, b"x"), (b"sam", b"wrong"),
        (b"alice\n", b"secret"), (b"%s%n", b"secret")])
    assert answers == [("fail", authd.BAD)] * len(answers)
    assert min(held) >= 2000, held
    assert max(held) < 2000 + 250 + 200, held
    assert shared.no_grant()


def test_right_password_is_not_enough(shared):
    attempts = [(b"off", b"secret")]
    if shared.separate:
        attempts += [(b"root", b"secret"), (b"low", b"secret"),
                     (b"gid0", b"secret"), (b"noids", b"secret")]
    answers, held = failures(shared, attempts)
    assert answers == [("fail", authd.CONTACTADMIN)] * len(answers)
    assert min(held) >= 2000
    answers, _held = failures(shared, [(u, b"wrong") for u, _p in attempts])
    assert answers == [("fail", authd.BAD)] * len(answers)
    assert shared.no_grant()


def test_allow_nets(shared, worker):
    assert worker.plain("near", "secret") == ("ok",)
    shared.grant()
    assert worker.plain("near", "secret", ip=b"\xc0\x00\x03\x07") == (
        "fail", authd.CONTACTADMIN)


def test_name_service_fills_in_what_the_file_leaves_out(shared, worker):
    assert worker.plain("daemon", "secret") == ("ok",)
    g = shared.grant()
    assert g["home"] == "/usr/sbin"
    if shared.separate:
        assert g["uid"] == 3009


def test_unknown_scheme_is_out_of_order(shared, worker):
    assert worker.plain("broken", "x") == ("fail", authd.UNAVAILABLE)
    shared.log("authentication is out of order user=<broken>")


def test_authorization_as_another(shared, worker):
    worker.start("PLAIN", b"bob\0alice\0secret")
    assert worker.answer() == ("fail", authd.NOT_ALLOWED)
    worker.start("PLAIN", b"bob\0alice\0wrong")
    assert worker.answer() == ("fail", authd.BAD)
    worker.start("PLAIN", b"Alice\0alice\0secret")
    assert worker.answer() == ("ok",)
    assert shared.grant()["user"] == "alice"


def test_at_once(shared, worker):
    """What anybody can see needs no delay."""
    for mech in ("CRAM-MD5", "ANONYMOUS", "X", "EXTERNAL", "GSSAPI"):
        worker.start(mech, b"")
        assert worker.answer(0.5) == ("fail", authd.MECHANISM)
    worker.start("PLAIN", b"alice")
    assert worker.answer(0.5) == ("fail", authd.MALFORMED)
    worker.start("PLAIN", b"\0alice\0secret", flags=0)
    assert worker.answer(0.5) == ("fail", authd.NEEDS_TLS)
    worker.start("LOGIN", flags=0)
    assert worker.answer(0.5) == ("fail", authd.NEEDS_TLS)
    assert worker.plain("alice", "secret", flags=authd.LOCAL) == ("ok",)
    shared.grant()


def test_plaintext_when_allowed(start):
    a = start(settings={"allow_plaintext_auth": "no",
                        "imap:allow_plaintext_auth": "yes"})
    w = a.worker()
    assert w.plain("alice", "secret", flags=0) == ("ok",)
    assert w.plain("alice", "secret", flags=0, service=2) == (
        "fail", authd.NEEDS_TLS)


def test_no_password_in_any_line(start):
    a = start("alice:{PLAIN}hunter2hunter2:3001:3001::/h\n")
    w = a.worker()
    assert w.plain("alice", "hunter2hunter2") == ("ok",)
    assert w.plain("alice", "hunter3hunter3") == ("fail", authd.BAD)
    a.log("login failed user=<alice> service=imap mech=PLAIN rip=192.0.2.7 "
          "reason=password")
    assert not [line for line in a.lines if "hunter" in line]


# ---- SCRAM ----------------------------------------------------------------

def test_scram(shared, worker):
    for user in ("sam", "alice"):
        assert Scram(user, "secret").run(worker) == ("ok",)
        assert shared.grant()["user"] == user
        start = time.monotonic()
        assert Scram(user, "wrong").run(worker) == ("fail", authd.BAD)
        assert time.monotonic() - start > 1.9
    # SCRAM shows no password: it may go without TLS.
    assert Scram("sam", "secret").run(worker, flags=0) == ("ok",)
    shared.grant()
    assert shared.no_grant()


def test_scram_unknown_user(shared):
    """Nobody's salt is as steady as somebody's."""
    seen, waiting = {}, []
    for user in ("nosuch", "other", "bob", "off", "sam", "alice"):
        for _ in range(2):
            c, w = Scram(user, "wrong"), shared.worker()
            w.start("SCRAM-SHA-256", c.first())
            kind, data = w.answer(1.0)
            assert kind == "more"
            w.more(c.final(data))
            seen.setdefault(user, []).append((c.salt, c.iter))
            waiting.append(w)
    for w in waiting:  # all wait for their moment together
        w.cancel()
    for w in waiting:
        assert w.answer()[0] == "fail"
        w.close()
    assert all(a == b for a, b in seen.values()), seen
    assert len({a for a, _b in seen.values()}) == len(seen)
    assert {i for a in seen.values() for _salt, i in a} == {4096}


def test_scram_plus(shared, worker):
    exporter = os.urandom(32)
    c = Scram("sam", "secret", "p=tls-exporter,,", exporter)
    assert c.run(worker, "SCRAM-SHA-256-PLUS", exporter=exporter) == ("ok",)
    shared.grant()
    # Somebody between client and server has two bindings to offer.
    c = Scram("sam", "secret", "p=tls-exporter,,", os.urandom(32))
    assert c.run(worker, "SCRAM-SHA-256-PLUS", exporter=exporter) == (
        "fail", authd.BAD)
    # A client that could, told that we can not.
    c = Scram("sam", "secret", "y,,")
    assert c.run(worker, exporter=exporter) == ("fail", authd.BAD)
    assert c.run(worker) == ("ok",)
    shared.grant()
    c = Scram("sam", "secret", "p=tls-unique,,", b"unique")
    assert c.run(worker, "SCRAM-SHA-256-PLUS", unique=b"unique",
                 exporter=exporter) == ("ok",)
    shared.grant()


def test_scram_needs_the_last_word(shared, worker):
    c = Scram("sam", "secret")
    worker.start("SCRAM-SHA-256", c.first())
    worker.more(c.final(worker.answer()[1]))
    c.check(worker.answer()[1])
    assert shared.no_grant()
    worker.more(b"x")
    assert worker.answer() == ("fail", authd.MALFORMED)
    assert shared.no_grant()


# ---- cancel, gone ---------------------------------------------------------

def test_cancel(shared, worker):
    worker.start("LOGIN")
    worker.answer()
    worker.cancel()
    assert worker.answer(0.5) == ("fail", authd.CANCELLED)
    # Crossing its answer: nothing happens.
    worker.cancel()
    assert worker.plain("alice", "secret") == ("ok",)
    shared.grant()
    # While a child judges: exactly one answer, and no grant.
    worker.start("PLAIN", b"\0bob\0secret")
    worker.cancel()
    assert worker.answer() == ("fail", authd.CANCELLED)
    assert shared.no_grant()
    # While the failure is held back, it stays held back.
    worker.start("PLAIN", b"\0alice\0wrong")
    time.sleep(0.3)
    worker.cancel()
    assert worker.answer() == ("fail", authd.CANCELLED)
    assert worker.held_ms >= 2000


def test_worker_gone_while_judged(shared):
    w = shared.worker()
    w.start("PLAIN", b"\0bob\0secret")
    w.close()
    assert shared.no_grant()
    w = shared.worker()
    w.start("PLAIN", b"\0nosuch-gone\0secret")
    w.close()
    shared.log("login failed user=<nosuch-gone>")


# ---- workers that lie -----------------------------------------------------

def raw_start(conv, **kw):
    f = dict(conn=1, cookie=1, service=1, flags=1, mech="PLAIN", has=True,
             initial=b"\0alice\0wrong", ip=b"\1\2\3\4", lip=b"\1\2\3\4")
    f.update(kw)
    return authd.encode(
        authd.START, (authd.U32, conv), (authd.U64, f["conn"]),
        (authd.U64, f["cookie"]), (authd.U32, f["service"]),
        (authd.U32, f["flags"]), (authd.STR, f["mech"]),
        (authd.BOOL, f["has"]), (authd.BLOB, f["initial"]),
        (authd.BLOB, f["ip"]), (authd.U16, 1), (authd.BLOB, f["lip"]),
        (authd.U16, 1), (authd.BLOB, b""), (authd.BLOB, b""))


LIES = {
    "more-before-start": [authd.encode(
        authd.MORE, (authd.U32, 1), (authd.BLOB, b""))],
    "two-starts": [raw_start(1), raw_start(2)],
    "start-again": [raw_start(1, mech="X"), raw_start(1, mech="X")],
    "more-while-judged": [raw_start(1), authd.encode(
        authd.MORE, (authd.U32, 1), (authd.BLOB, b""))],
    "other-conversation": [raw_start(1, mech="LOGIN", has=False, initial=b""),
                           authd.encode(authd.MORE, (authd.U32, 2),
                                        (authd.BLOB, b"alice"))],
    "ok-by-itself": [authd.encode(authd.OK, (authd.U32, 1))],
    "grant-by-itself": [authd.encode(
        authd.GRANT, (authd.U32, 1), (authd.U64, 1))],
    "try-result": [authd.encode(authd.TRY_RESULT, (authd.U32, 1))],
    "bad-address": [raw_start(1, ip=b"12345")],
    "long-mechanism": [raw_start(1, mech="A" * 21)],
    "unknown-flag": [raw_start(1, flags=8)],
    "unknown-service": [raw_start(1, service=3)],
    "too-long": [raw_start(1, initial=b"x" * 8193)],
    "huge": [b"\1\0\0\x60" + b"x" * 100000],
    "short": [b"\1"],
    "version": [b"\2\0\0\x60"],
    "cut": [raw_start(1)[:-3]],
    "trailing": [raw_start(1) + b"\1\1"],
}


@pytest.mark.parametrize("lie", sorted(LIES))
def test_lying_worker_is_cut_off(shared, lie):
    w, honest = shared.worker(), shared.worker()
    try:
        for frame in LIES[lie]:
            w.channel.send(frame)
    except authd.Gone:
        pass
    with pytest.raises(authd.Gone):
        while True:
            w.channel.recv(3.0)
    assert shared.no_grant()
    # Nobody else notices.
    assert honest.plain("alice", "secret") == ("ok",)
    assert shared.grant()["worker"] == honest.number
    honest.close()


def test_descriptor_from_worker(shared):
    w = shared.worker()
    with open("/dev/null", "rb") as f:
        w.channel.send(raw_start(1), [f.fileno()])
    assert not w.channel.is_open()


# ---- the file -------------------------------------------------------------

def test_file_changes_are_seen(start):
    a = start("u:{PLAIN}one:3001:3001::/h\n")
    w = a.worker()
    assert w.plain("u", "one") == ("ok",)
    a.write_passwd("u:{PLAIN}two:3001:3001::/h\n")
    assert w.plain("u", "two") == ("ok",)
    with open(a.passwd_path, "w", encoding="utf-8") as f:  # in place
        f.write("u:{PLAIN}three:3001:3001::/h\n")
    assert w.plain("u", "three") == ("ok",)
    os.unlink(a.passwd_path)
    assert w.plain("u", "three") == ("fail", authd.UNAVAILABLE)
    a.log("passwd-file %s: No such file" % a.passwd_path)
    a.write_passwd("u:{PLAIN}four:3001:3001::/h\n")
    assert w.plain("u", "four") == ("ok",)
    os.chmod(a.passwd_path, 0o646)
    assert w.plain("u", "four") == ("fail", authd.UNAVAILABLE)
    a.log("everybody may write it")


def test_large_file(start):
    users = "".join("u%d:{PLAIN}p%d:%d:%d::/home/u%d\n" % (
        i, i, 3000 + i, 3000 + i, i) for i in range(50000))
    a = start(users)
    w = a.worker()
    for i in (0, 49999, 31):
        begin = time.monotonic()
        assert w.plain("u%d" % i, "p%d" % i) == ("ok",)
        assert time.monotonic() - begin < 2
        assert a.grant()["user"] == "u%d" % i


# ---- many -----------------------------------------------------------------

def test_penalties(start):
    a = start(settings={"auth_failure_delay": "0"})
    w = a.worker()

    def attempt(user, password, ip):
        begin = time.monotonic()
        answer = w.plain(user, password, ip=ip)
        return answer, time.monotonic() - begin

    bad, good, third = b"\x0a\0\0\1", b"\x0a\0\0\2", b"\x0a\0\0\3"
    assert attempt("bob", "secret", good)[0] == ("ok",)
    assert attempt("bob", "wrong", bad) [1] < 0.9
    answer, took = attempt("bob", "wrong", bad)
    assert answer == ("fail", authd.BAD) and 0.9 < took < 1.9
    # Another user from there, the same from a new place: 2 s each.
    answer, took = attempt("alice", "secret", bad)
    assert answer == ("ok",) and 1.9 < took < 3.9
    answer, took = attempt("bob", "secret", third)
    assert answer == ("ok",) and 1.9 < took < 3.9
    # From where he has been before, and others elsewhere: at once.
    assert attempt("bob", "secret", good)[1] < 0.9
    assert attempt("alice", "secret", good)[1] < 0.9


def test_flood_of_one_does_not_stop_others(start):
    """300 attempts of one block, each a whole yescrypt; somebody else gets in
    before they are through."""
    a = start(settings={"auth_penalty": "no"})
    flood = [a.worker() for _ in range(300)]
    for w in flood:
        w.start("PLAIN", b"\0bob\0wrong", ip=b"\x0a\0\0\1")
    other = a.worker()
    begin = time.monotonic()
    assert other.plain("alice", "secret", ip=b"\x0a\0\1\1") == ("ok",)
    took = time.monotonic() - begin
    answers = [w.answer(60.0) for w in flood]
    all_took = time.monotonic() - begin
    assert set(answers) <= {("fail", authd.BAD), ("fail", authd.UNAVAILABLE)}
    assert took < all_took / 2, (took, all_took)
    for w in flood:
        w.close()


def test_log_says_why(start):
    a = start(settings={"auth_failure_delay": "0"})
    w = a.worker()
    assert w.plain("off", "secret") == ("fail", authd.CONTACTADMIN)
    a.log("login failed user=<off> service=imap mech=PLAIN rip=192.0.2.7 "
          "reason=account-not-usable detail=\"nologin\"")
    assert w.plain("near", "secret", ip=b"\xc0\x00\x03\x07") == (
        "fail", authd.CONTACTADMIN)
    a.log("reason=account-not-usable detail=\"not in allow_nets\"")


def test_full_queue(start):
    a = start(settings={"auth_penalty": "no"})
    flood = [a.worker() for _ in range(1100)]
    for w in flood:
        w.start("PLAIN", b"\0bob\0wrong", ip=b"\x0a\0\0\1")
    other = a.worker()
    assert other.plain("alice", "secret", ip=b"\x0a\0\1\1") == ("ok",)
    answers = [w.answer(90.0) for w in flood]
    assert ("fail", authd.UNAVAILABLE) in answers
    a.log("reason=too many attempts")
    for w in flood:
        w.close()


def ks_distance(a, b):
    """Two-sample Kolmogorov-Smirnov statistic."""
    a, b = sorted(a), sorted(b)
    worst = i = j = 0
    while i < len(a) and j < len(b):
        if a[i] <= b[j]:
            i += 1
        else:
            j += 1
        worst = max(worst, abs(i / len(a) - j / len(b)))
    return worst


def failure_times(a, users, rounds, at_once=50):
    """{user: seconds until each FAIL}, the users by turns, many at once."""
    took = {u: [] for u in users}
    for n in range(rounds):
        began, waiting = {}, select.poll()
        for i in range(at_once):
            user = users[(i + n) % len(users)]
            w = a.worker()
            w.start("PLAIN", b"\0" + user + b"\0wrong")
            began[w.channel.sock.fileno()] = (w, user, time.monotonic())
            waiting.register(w.channel.sock, select.POLLIN)
        while began:
            for fd, _events in waiting.poll(20000):
                w, user, start = began.pop(fd)
                took[user].append(time.monotonic() - start)
                waiting.unregister(fd)
                assert w.answer() == ("fail", authd.BAD)
                w.close()
    return took


@pytest.mark.parametrize("stored", ["{PLAIN}x", YESCRYPT],
                         ids=["plain", "yescrypt"])
def test_time_tells_nothing(start, stored):
    """Known and unknown names: the same distribution at 1 %."""
    a = start("known:%s:3001:3001::/h\n" % stored,
              settings={"auth_penalty": "no"})
    rounds = 20 if os.environ.get("RESTANTE_NIGHTLY") else 4
    took = failure_times(a, [b"known", b"unknown"], rounds)
    known, unknown = took[b"known"], took[b"unknown"]
    limit = 1.63 * ((len(known) + len(unknown)) /
                    (len(known) * len(unknown))) ** 0.5
    assert ks_distance(known, unknown) < limit, (
        sum(known) / len(known), sum(unknown) / len(unknown))


def test_time_would_tell_without_the_moment(start):
    """The test above can fail: with no delay PAM-like work would show. Here a
    name that can not be one, which costs no child at all."""
    a = start("known:%s:3001:3001::/h\n" % YESCRYPT,
              settings={"auth_penalty": "no", "auth_failure_delay": "0"})
    took = failure_times(a, [b"known", b"a b"], 2, at_once=20)
    assert ks_distance(took[b"known"], took[b"a b"]) > 0.6


# ---- what they can not do -------------------------------------------------

def status(pid):
    with open("/proc/%d/status" % pid, encoding="ascii") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f
                    if ":\t" in line)


@pytest.mark.skipif(not server.is_root(), reason="needs root")
def test_confinement(start):
    a = start("slow:%s:3001:3001::/h\n" % SLOW, separate=True)
    s = status(a.broker.pid)
    assert s["Uid"].split() == [str(authd.AUTH_UID)] * 4
    assert s["Gid"].split() == [str(authd.AUTH_UID)] * 4
    assert s["Groups"].strip() == ""
    assert (s["NoNewPrivs"], s["Seccomp"]) == ("1", "2")
    assert int(s["CapEff"], 16) == int(s["CapPrm"], 16) == 0
    assert os.readlink("/proc/%d/root" % a.broker.pid) == a.root
    w = a.worker()
    w.start("PLAIN", b"\0slow\0secret")
    child = authd.wait_for_child(a)
    end = time.monotonic() + 20
    s = status(child)
    while s["Seccomp"] != "2" and time.monotonic() < end:
        s = status(child)
    assert s["Uid"].split() == [str(authd.PASS_UID)] * 4
    assert (s["NoNewPrivs"], s["Seccomp"]) == ("1", "2")
    assert int(s["CapEff"], 16) == int(s["CapPrm"], 16) == 0
    names = sorted(os.readlink("/proc/%d/fd/%s" % (child, fd))
                   for fd in os.listdir("/proc/%d/fd" % child))
    # Standard ones, its channel, the log, the file: nothing else.
    assert names.count(a.passwd_path) == 1
    assert len([n for n in names if n.startswith("socket:")]) == 2
    assert not [n for n in names if "passwd" not in n and
                "socket:" not in n and not n.startswith(("/dev/", "pipe:",
                                                         "/tmp/"))], names
    # No rights to look at in core files or by ptrace of the same uid.
    assert os.stat("/proc/%d/mem" % a.broker.pid).st_uid == 0
    os.kill(child, signal.SIGKILL)
    w.answer()


def test_memory_stays(start):
    """Ten thousand conversations that fail or are dropped leave nothing."""
    a = start(settings={"auth_penalty": "no", "auth_failure_delay": "0"})
    w = a.worker()

    def some(n):
        for _ in range(n):
            w.start("LOGIN")
            w.answer()
            w.cancel()
            w.answer()
            w.start("SCRAM-SHA-256", b"n,,n=nosuch,r=abcdefgh")
            w.answer()
            w.cancel()
            w.answer()
            w.start("PLAIN", b"x")
            w.answer()
            assert w.plain("alice", "secret") == ("ok",)
            a.grant()

    some(200)
    before = int(status(a.broker.pid)["VmRSS"].split()[0])
    fds = len(os.listdir("/proc/%d/fd" % a.broker.pid))
    some(800)
    assert int(status(a.broker.pid)["VmRSS"].split()[0]) < before + 300
    assert len(os.listdir("/proc/%d/fd" % a.broker.pid)) == fds
    assert len(os.listdir("/proc/%d/fd" % a.spawner.pid)) < 20
