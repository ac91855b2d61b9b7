# SPDX-License-Identifier: ISC
"""restanted alone: what it believes of whom, what it starts and ends. The
other programs are played by the test, which lies where the real ones can not."""
import os
import resource
import signal
import socket
import subprocess
import time

import pytest

from lib import fakes, ipc, server


@pytest.fixture(params=["plain", "separate"])
def m(request):
    if request.param == "separate" and not server.is_root():
        pytest.skip("needs root")
    running = []

    def begin(**kw):
        s = fakes.Faked(separate=request.param == "separate", **kw)
        running.append(s)
        return s.start()

    begin.form = request.param
    yield begin
    for s in running:
        try:
            s.end_all()
            s.stop(signal.SIGKILL)
        finally:
            s.remove()


def refused(worker):
    return worker.master.expect(ipc.HANDOFF_REFUSED).fields[1]


# ---- who gets a session ------------------------------------------------------

def test_session(m):
    s = m()
    near, p, number = s.session("alice")
    assert p.settings["user"] == "alice"
    assert p.settings["home"] == s.home("alice")
    assert p.settings["service"] == "imap"
    st = os.stat(p.settings["index_dir"])
    assert st.st_uid == s.uid_of("alice")
    assert st.st_mode & 0o7777 == 0o700
    # the next one of the same user goes to the same process
    _, again, second = s.session("alice", process=p)
    assert again is p and second != number
    # another protocol, another user: another process
    _, q, _ = s.session("bob")
    assert q.pid != p.pid
    _, r, _ = s.session("alice", service="pop3")
    assert r.name == "pop3d"
    rows = s.ctl("who", "--json")["rows"]
    assert len(rows) == 4, rows
    p.chan.send(ipc.SESSION_STATE, [("u64", number), ("str", "INBOX")])
    p.chan.send(ipc.SESSION_END, [("u64", second)])
    s.settle()
    rows = [r for r in s.ctl("who", "--json")["rows"] if r["user"] == "alice"]
    assert len(rows) == 2, rows
    assert any(r.get("state") == "INBOX" for r in rows), rows
    near.close()


@pytest.mark.parametrize("mail", [
    "maildir:~/Maildir", "mbox:~/mail", "auto"])
def test_state_dir(m, mail):
    """Each user has his own."""
    s = m()
    _, p, _ = s.session("alice", mail=mail)
    path = p.settings["state_dir"]
    assert path.endswith("/alice")
    st = os.stat(path)
    assert st.st_uid == s.uid_of("alice")
    assert st.st_mode & 0o7777 == 0o700


@pytest.mark.parametrize("what", [
    {"home": "/somewhere/else"}, {"mail": "mbox:~/mail"},
    {"extra": "quota=1\n"}])
def test_other_grant_other_process(m, what):
    s = m()
    _, p, _ = s.session("alice")
    _, q, _ = s.session("alice", **what)
    assert p.pid != q.pid


def test_grant_waits_behind_others(m):
    """Master reads a few messages of a channel in a turn; the grant counts
    from the moment authd has sent it."""
    s = m()
    w = s.worker()
    _, far = s.client()
    os.kill(s.pid(), signal.SIGSTOP)
    s.settle = lambda: None
    for i in range(40):
        s.grant(w, far, worker=9999, conn=i)
    conn = s.grant(w, far, conn=100)
    s.handoff(w, conn, far)
    os.kill(s.pid(), signal.SIGCONT)
    s.next("imapd").chan.expect(ipc.SESSION_CONNECTION)


def cut_off(w):
    """It may hear first that its client is not taken."""
    w.master.expect_closed(behind=ipc.HANDOFF_REFUSED)


# ---- a lying worker ----------------------------------------------------------

def test_forged(m):
    """No grant at all."""
    s = m()
    w = s.worker()
    near, far = s.client()
    s.handoff(w, 1, far)
    w.master.expect(ipc.HANDOFF_REFUSED)
    w.master.expect_closed()
    assert s.wait_log("handoff without a grant worker=%d" % w.number)
    far.close()
    near.settimeout(5)
    assert near.recv(1) == b""  # nobody keeps the client


def test_replayed(m):
    s = m()
    w = s.worker()
    _, far = s.client()
    conn = s.grant(w, far)
    s.handoff(w, conn, far)
    p = s.next("imapd")
    number = p.chan.expect(ipc.SESSION_CONNECTION).fields[0]
    p.chan.send(ipc.SESSION_HAVE, [("u64", number)])
    w.master.expect(ipc.HANDOFF_TAKEN)
    s.handoff(w, conn, far)
    w.master.expect(ipc.HANDOFF_REFUSED)
    w.master.expect_closed()
    assert p.chan.is_quiet()


def test_foreign_channel(m):
    """The grant of one worker is worth nothing to another."""
    s = m()
    w, other = s.worker(), s.worker()
    _, far = s.client()
    conn = s.grant(w, far)
    s.handoff(other, conn, far)
    cut_off(other)
    s.handoff(w, conn, far)  # and is still good for its own
    s.next("imapd").chan.expect(ipc.SESSION_CONNECTION)


def test_wrong_connection(m):
    s = m()
    w = s.worker()
    _, far = s.client()
    conn = s.grant(w, far)
    s.handoff(w, conn + 1, far)
    cut_off(w)


def test_other_socket(m):
    """The password of one client, the socket of another: the worker dies."""
    s = m()
    w = s.worker()
    _, far = s.client()
    near, other = s.client()
    conn = s.grant(w, far)
    s.handoff(w, conn, other)
    cut_off(w)
    assert s.login.chan.expect(ipc.LOGIN_KILL).fields == [w.number]
    assert s.wait_log("login worker killed")
    other.close()
    near.settimeout(5)
    assert near.recv(1) == b""


def test_other_peer(m):
    s = m()
    w = s.worker()
    _, far = s.client()
    conn = s.grant(w, far, peer_ip=socket.inet_aton("192.0.2.1"))
    s.handoff(w, conn, far)
    cut_off(w)
    assert s.login.chan.expect(ipc.LOGIN_KILL).fields == [w.number]


def test_nothing_left(m):
    """Without TLS and with nothing read ahead there is no second descriptor;
    another one of the same user may have one."""
    s = m()
    w = s.worker()
    near, far = s.client()
    s.handoff(w, s.grant(w, far), far, state=False)
    p = s.next("imapd")
    got = p.chan.expect(ipc.SESSION_CONNECTION)
    assert len(got.fds) == 1
    p.chan.send(ipc.SESSION_HAVE, [("u64", got.fields[0])])
    w.master.expect(ipc.HANDOFF_TAKEN)
    os.close(got.fds[0])
    s.handoff(w, s.grant(w, far), far)
    got = p.chan.expect(ipc.SESSION_CONNECTION)
    assert len(got.fds) == 2
    for fd in got.fds:
        os.close(fd)
    near.close()
    far.close()


@pytest.mark.parametrize("extra", [9, 3000])
def test_own_settings(m, extra):
    """What is a user's own comes in the channel, or in a file when it is
    long; the next user has his own."""
    s = m()
    _, p, _ = s.session("alice", extra="note=%s\n" % ("x" * extra))
    assert p.settings["user"] == "alice" and p.settings["note"] == "x" * extra
    _, q, _ = s.session("bob")
    assert q.settings["user"] == "bob" and "note" not in q.settings
    assert p.settings["home"] != q.settings["home"]
    assert p.settings["append_limit"] == q.settings["append_limit"]


def test_not_a_socket(m):
    s = m()
    w = s.worker()
    _, far = s.client()
    conn = s.grant(w, far)
    with open("/dev/null") as f:
        near, second = socket.socketpair()
        w.master.send(ipc.HANDOFF, [("u64", conn), ("str", "a"), ("str", "")],
                      [f.fileno(), second.fileno()])
        near.close()
        second.close()
    cut_off(w)
    assert s.login.chan.expect(ipc.LOGIN_KILL).fields == [w.number]


def test_late(m):
    if m.form == "separate":
        pytest.skip("takes long; nothing in it depends on uids")
    s = m()
    w = s.worker()
    _, far = s.client()
    conn = s.grant(w, far)
    time.sleep(15.3)
    s.handoff(w, conn, far)
    cut_off(w)


def test_grant_dies_with_worker(m):
    s = m()
    w = s.worker()
    _, far = s.client()
    conn = s.grant(w, far)
    w.close()
    s.settle()
    other = s.worker()
    s.handoff(other, conn, far)
    cut_off(other)


@pytest.mark.parametrize("data", [
    b"\x01\x02\x00\x38", b"\x02\x00\x00\x38", b"", b"\x01\x00\x00\x40",
    b"\x01\x00\x00\x28" + b"\x03\0\0\0\1" * 4, b"x" * 4000])
def test_worker_nonsense(m, data):
    """A message that no correct worker sends, a grant among them."""
    s = m()
    w = s.worker()
    if data:
        w.master.send_raw(data)
    else:
        w.master.send_raw(ipc.frame(ipc.HANDOFF, [("u64", 1), ("str", "a"),
                                                  ("str", "")], 0))
    cut_off(w)
    assert s.login.chan.expect(ipc.LOGIN_KILL).fields == [w.number]
    s.session("alice")


@pytest.mark.parametrize("what", [
    {"user": "../bob"}, {"user": ""}, {"user": "a\nb"}, {"service": "smtp"},
    {"home": "relative"}, {"home": "/a\nuid = 0"}, {"extra": "x"},
    {"extra": "A=b\n"}])
def test_unusable_grant(m, what):
    s = m()
    w = s.worker()
    _, far = s.client()
    conn = s.grant(w, far, **{"user": "alice", **what})
    assert s.wait_log("grant refused")
    s.handoff(w, conn, far)
    cut_off(w)


@pytest.mark.parametrize("what", [
    {"uid": 0}, {"gid": 0}, {"uid": 499}, {"uid": 0xffffffff}])
def test_uid_out_of_range(m, what):
    if m.form != "separate":
        pytest.skip("only with different uids")
    s = m()
    w = s.worker()
    _, far = s.client()
    conn = s.grant(w, far, **what)
    assert s.wait_log("grant refused")
    s.handoff(w, conn, far)
    cut_off(w)


# ---- limits ------------------------------------------------------------------

def test_limits(m):
    s = m(settings={"max_sessions_per_user": 2,
                    "max_sessions_per_address": 3, "max_connections": 100})
    _, p, first = s.session("alice")
    s.session("alice", process=p)
    w = s.worker()
    _, far = s.client()
    s.handoff(w, s.grant(w, far, "alice"), far)
    assert refused(w) == 2
    # a session that ends makes room
    p.chan.send(ipc.SESSION_END, [("u64", first)])
    s.settle()
    s.session("alice", process=p, worker=s.worker())
    kept = s.session("bob")
    w = s.worker()
    _, far = s.client()
    s.handoff(w, s.grant(w, far, "bob"), far)
    assert refused(w) == 2  # three of this address
    s.wait_log("too many sessions user=<bob> service=imap "
               "limit=\"per address\"")
    del kept


# ---- the user's process ------------------------------------------------------

def test_process_refuses(m):
    s = m()
    w = s.worker()
    _, far = s.client()
    s.handoff(w, s.grant(w, far), far)
    p = s.next("imapd")
    number = p.chan.expect(ipc.SESSION_CONNECTION).fields[0]
    p.chan.send(ipc.SESSION_REFUSE, [("u64", number), ("str", "no home")])
    assert refused(w) == 1
    # The process itself has told the log why; the session is over.
    assert s.ctl("who").count("alice") == 0


@pytest.mark.parametrize("how", ["exit 0", "exit 1", "die 11"])
def test_process_dies_before_its_word(m, how):
    s = m()
    w = s.worker()
    _, far = s.client()
    s.handoff(w, s.grant(w, far), far)
    p = s.next("imapd")
    p.chan.expect(ipc.SESSION_CONNECTION)
    p.end(how)
    assert refused(w) == 1
    # the next login starts another one
    s.session("alice")


def test_process_crash_is_logged(m):
    s = m()
    _, p, _ = s.session("alice")
    _, q, _ = s.session("bob")
    p.end("die 11")
    s.wait_log(r"imapd ended pid=%d user=<alice> status=\"killed by signal 11"
               r" \(Segmentation fault\)\" sessions=1" % p.pid)
    assert s.is_alive(q.pid)
    assert [r["user"] for r in s.ctl("who", "--json")["rows"]] == ["bob"]


def test_process_crashes_too_often(m):
    s = m()
    for _ in range(3):
        _, p, _ = s.session("alice")
        p.end("die 6")
        s.wait_log("imapd ended pid=%d" % p.pid)
    w = s.worker()
    _, far = s.client()
    s.handoff(w, s.grant(w, far), far)
    assert refused(w) == 1
    s.session("bob")  # nobody else suffers


def test_process_says_nothing(m):
    """Then neither the worker nor the process may both write."""
    s = m()
    w = s.worker()
    near, far = s.client()
    s.handoff(w, s.grant(w, far), far)
    p = s.next("imapd")
    number = p.chan.expect(ipc.SESSION_CONNECTION)
    assert w.master.expect(ipc.HANDOFF_REFUSED, timeout=10).fields[1] == 1
    near.settimeout(5)
    assert near.recv(1) == b""
    with pytest.raises(OSError):
        os.write(number.fds[0], b"x")


@pytest.mark.parametrize("message", [
    (ipc.SESSION_HAVE, [("u64", 999)]),
    (ipc.SESSION_END, [("u64", 999)]),
    (ipc.SESSION_STATE, [("u64", 999), ("str", "x")]),
    (ipc.GRANT, []),
    (ipc.SESSION_CONNECTION, []),
])
def test_process_lies(m, message):
    s = m()
    _, p, _ = s.session("alice")
    _, q, _ = s.session("bob")
    p.chan.send(*message)
    p.expect_end()
    s.wait_log("imapd pid=%d user=<alice> broke the protocol, killed" % p.pid)
    assert s.is_alive(q.pid)
    s.session("alice")


def test_process_lies_and_ends(m):
    """Its exit is seen before its last word is read."""
    s = m()
    _, p, _ = s.session("alice")
    _, q, _ = s.session("bob")
    os.kill(s.pid(), signal.SIGSTOP)
    try:
        p.chan.send(ipc.GRANT, [])
        p.end("exit 0")
        deadline = time.monotonic() + 15
        while s.is_alive(p.pid) and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        os.kill(s.pid(), signal.SIGCONT)
    s.wait_log("imapd pid=%d user=<alice> broke the protocol" % p.pid)
    s.session("bob", process=q)
    s.session("alice")


def test_process_ends_others_session(m):
    s = m()
    _, p, _ = s.session("alice")
    _, q, number = s.session("bob")
    p.chan.send(ipc.SESSION_END, [("u64", number)])
    p.expect_end()
    assert [r["user"] for r in s.ctl("who", "--json")["rows"]] == ["bob"]


def test_leaving(m):
    s = m()
    _, p, number = s.session("alice")
    p.chan.send(ipc.SESSION_LEAVING)
    s.settle()
    s.session("alice", process=p)  # it has a session: it stays
    p.chan.send(ipc.SESSION_END, [("u64", number)])
    p.chan.send(ipc.SESSION_END, [("u64", number + 1)])
    p.chan.send(ipc.SESSION_LEAVING)
    p.chan.expect_closed()
    p.end("exit 0")
    s.session("alice")
    assert "imapd ended" not in s.log()


def test_kick(m):
    s = m()
    _, p, number = s.session("alice")
    _, q, _ = s.session("bob")
    s.ctl("kick", "alice")
    assert p.chan.expect(ipc.SESSION_KICK).fields[0] == number
    assert q.chan.is_quiet()


SO_PEERPIDFD = 77  # Linux 6.5


@pytest.mark.parametrize("m", ["separate"], indirect=True)
@pytest.mark.parametrize("claim", ["victim", "all", "none", "twice", "again",
                                   "master"])
def test_lying_holder(m, claim):
    """The holder's channel comes from authd. Whoever has it names a process
    that is not his: master ends none that it has no descriptor of."""
    s = m(settings={"auth": ["pam", "passwd-file"], "pam_session": True})
    victim = subprocess.Popen(["sleep", "100"])
    try:
        worker = s.worker()
        mine, theirs = socket.socketpair(
            socket.AF_UNIX, socket.SOCK_SEQPACKET)
        holder = ipc.Chan(mine)
        near, far = s.client()
        conn = s.grant(worker, far, held=theirs)
        theirs.close()
        s.handoff(worker, conn, far)
        far.close()
        start = holder.expect(ipc.HOLD_START)
        pid = {"all": 0xffffffff, "none": 0}.get(claim, victim.pid)
        if claim == "master":
            # authd is not kept from asking who made its channel.
            try:
                fd = s.authd.chan.sock.getsockopt(
                    socket.SOL_SOCKET, SO_PEERPIDFD)
            except OSError:
                pytest.skip("this kernel has no SO_PEERPIDFD")
            holder.send(ipc.HOLD_STARTED, [("u32", s.pid())], [fd])
            os.close(fd)
            holder.expect_closed()
            s.settle()
        with open("/dev/null", "rb") as f:
            for i in range(0 if claim == "master" else 2 if claim in ("twice", "again") else 1):
                if i > 0 and claim == "again":
                    holder.send(ipc.HOLD_ENDED, [("u32", 0), ("str", "")])
                holder.send(ipc.HOLD_STARTED, [("u32", pid)], [f.fileno()])
        if claim == "again":
            # Each would bring a descriptor that stays open.
            holder.expect_closed()
        holder.close()
        s.wait_log("holder of the PAM session ended user=<alice>")
        for fd in start.fds:
            os.close(fd)
        s.settle()
        assert victim.poll() is None
        # Others are not held up.
        s.session("bob")
    finally:
        victim.kill()
        victim.wait()


# ---- services ----------------------------------------------------------------

def test_login_restarts(m):
    s = m()
    near, p, _ = s.session("alice")
    s.login.end("die 9")
    s.wait_log(r'login ended pid=%d status="killed by signal 9 \(Killed\)"' %
               s.login.pid)
    s.login = s.next("login").ready()
    assert s.is_alive(p.pid)
    s.session("bob")


def test_authd_restarts(m):
    s = m()
    _, p, _ = s.session("alice")
    w = s.worker()
    s.authd.end("die 11")
    w.authd.expect_closed()
    s.login.chan.send(ipc.LOGIN_NEED, [("u32", 1), ("u32", 0), ("u32", 0)])
    s.authd = s.next("authd").ready()
    m2 = s.login.chan.expect(ipc.LOGIN_WORKER)
    w = fakes.Worker(m2.fields[0], m2.fds)
    s.session("alice", worker=w, process=p)


def test_spawner_restarts(m):
    s = m()
    s.spawner.end("exit 3")
    s.wait_log('spawner ended pid=%d status="exited with status 3"' %
               s.spawner.pid)
    s.spawner = s.next_authd().ready()
    # both get a channel to each other
    assert s.authd.chan.expect(ipc.CHILD_PEER).fields[0] == 3
    assert [x.fields[0] for x in s.spawner.setup] == [2]
    s.session("alice")


def test_logd_restarts(m):
    s = m()
    _, p, _ = s.session("alice")
    pid, = s.pids("logd")
    os.kill(pid, signal.SIGKILL)
    s.wait_pids("logd", lambda pids: pids and pids != [pid])
    s.wait_log("logd ended pid=%d" % pid)
    s.session("bob")
    p.end("die 11")
    s.wait_log("imapd ended pid=%d" % p.pid)


def test_service_violation(m):
    s = m()
    s.authd.chan.send(ipc.LOGIN_NEED, [("u32", 1), ("u32", 0), ("u32", 0)])
    s.authd.expect_end()
    s.wait_log("authd pid=%d broke the protocol, killed" % s.authd.pid)
    s.authd = s.next("authd").ready()
    s.session("alice")


def test_login_asks_for_too_much(m):
    s = m(settings={"login_workers_max": 4, "login_workers_spare": 1})
    for _ in range(40):
        s.login.chan.send(
            ipc.LOGIN_NEED, [("u32", 1), ("u32", 0), ("u32", 0)])
    s.wait_log("login asks for more workers")
    n = 0
    while not s.login.chan.is_quiet(0.3):
        for fd in s.login.chan.expect(ipc.LOGIN_WORKER).fds:
            os.close(fd)
        n += 1
    assert 4 <= n <= 40


def limit_descriptors(s, n):
    """Master may open this many beyond what it has; None: all it likes, -1: not
    one."""
    pid = s.pid()
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    used = 1 + max(int(fd) for fd in os.listdir("/proc/%d/fd" % pid))
    if n == -1:  # nor what holes there are
        used, n = 3, 0
    resource.prlimit(pid, resource.RLIMIT_NOFILE,
                     (hard if n is None else used + n, hard))


def test_workers_come_when_descriptors_do(m):
    """Login has asked, and asks no second time."""
    if m.form != "separate":
        pytest.skip("sets a limit of a process of its own uid alone")
    s = m()
    limit_descriptors(s, 0)
    for _ in range(20):  # what holes there are among the numbers
        s.login.chan.send(
            ipc.LOGIN_NEED, [("u32", 1), ("u32", 0), ("u32", 0)])
    s.wait_log("no channels for a login worker")
    limit_descriptors(s, None)
    for _ in range(20):
        got = s.login.chan.expect(ipc.LOGIN_WORKER, timeout=15)
        for fd in got.fds:
            os.close(fd)


def test_handoff_without_descriptors(m):
    """It is no lie when master has no number left for what comes: the client
    hears it, the worker lives, and the next one is served."""
    if m.form != "separate":
        pytest.skip("sets a limit of a process of its own uid alone")
    s = m()
    w = s.worker()
    _, far = s.client()
    conn = s.grant(w, far)
    s.settle()
    limit_descriptors(s, -1)
    s.handoff(w, conn, far)
    w.master.expect(ipc.HANDOFF_REFUSED)
    s.wait_log("connection can not be handed over")
    limit_descriptors(s, None)
    assert "killed" not in s.log()
    conn = s.grant(w, far)
    s.handoff(w, conn, far)
    s.next("imapd").chan.expect(ipc.SESSION_CONNECTION)


def test_start_fails(m):
    s = fakes.Faked(separate=m.form == "separate")
    try:
        s.start(wait=False)
        first = s.next_authd()
        while first.chan.recv().type != ipc.CHILD_GO:
            pass
        first.chan.send(ipc.CHILD_FAILED, [("str", "no such thing")])
        first.end("exit 1")
        assert s.process.wait(15) == 1
        s.wait_log("can not start: no such thing")
    finally:
        s.end_all()
        s.stop()
        s.remove()


def test_start_fails_beside_spoold(m):
    """Nobody waits for spoold: it is not the reason."""
    s = fakes.Faked(separate=m.form == "separate")
    try:
        s.settings["spool_dir"] = s.dir
        spoold = os.path.join(s.bin, "spoold")
        os.unlink(spoold)
        with open(spoold, "w") as f:
            f.write("#!/bin/sh\nexit 3\n")
        os.chmod(spoold, 0o755)
        s.start(wait=False)
        first = s.next_authd()
        while first.chan.recv().type != ipc.CHILD_GO:
            pass
        s.wait_log("spoold ended")
        first.chan.send(ipc.CHILD_FAILED, [("str", "no such thing")])
        first.end("exit 1")
        assert s.process.wait(15) == 1
        with open(os.path.join(s.dir, "stderr")) as f:
            said = f.read()
        assert "can not start: no such thing" in said
        assert "spoold" not in said
    finally:
        s.end_all()
        s.stop()
        s.remove()


def test_start_fails_without_a_log(m):
    """The log is not there to be seen: standard error says why."""
    s = fakes.Faked(separate=m.form == "separate")
    try:
        logd = os.path.join(s.bin, "logd")
        os.unlink(logd)
        with open(logd, "w") as f:
            f.write("#!/bin/sh\nexit 3\n")
        os.chmod(logd, 0o755)
        s.start(wait=False)
        assert s.process.wait(15) == 1
        with open(os.path.join(s.dir, "stderr")) as f:
            assert "restanted: logd ended: exited with status 3\n" in f.read()
    finally:
        s.end_all()
        s.stop()
        s.remove()


# ---- reload, stop ------------------------------------------------------------

def test_reload(m):
    s = m()
    near, p, number = s.session("alice")
    worker = s.worker()
    old = s.login, s.authd, s.spawner
    s.settings["imap_idle_timeout"] = 3600
    s.reload()
    s.authd, s.spawner = s.two_authd()
    s.login = s.next("login").ready()
    # it is over when no spare of before can take a client any more
    assert old[0].chan.expect(ipc.CHILD_STOP)
    time.sleep(0.2)
    assert "reload done" not in s.log()
    old[0].chan.send(ipc.LOGIN_RETIRED)
    s.wait_log("reload done")
    # the old worker's grant comes from the old authd, and is good
    _, far = s.client()
    conn = s.grant(worker, far, "alice", authd=old[1])
    s.handoff(worker, conn, far)
    # other settings: a new process, while the old one keeps its session
    q = s.next("imapd")
    assert q.settings["imap_idle_timeout"] == "3600"
    assert s.is_alive(p.pid)
    kept = s.session("bob")
    # a foreign authd can not speak for it
    other = s.worker()
    _, far = s.client()
    conn = s.grant(other, far, "alice", authd=old[1])
    s.handoff(other, conn, far)
    cut_off(other)
    # once its worker has gone the old set ends
    worker.close()
    old[0].end("exit 0")
    for x in old[1:]:
        x.chan.skip_to(ipc.CHILD_STOP)
        x.end("exit 0")
    assert {r["user"] for r in s.ctl("who", "--json")["rows"]} == {"alice", "bob"}
    near.close()
    del kept


def test_ready_crosses_stop(m):
    """A service that has just started again when it is told to stop."""
    s = m()
    s.authd.end("die 9")
    late = s.next("authd")
    old = s.login
    s.reload()
    s.authd, s.spawner = s.two_authd()
    s.login = s.next("login").ready()
    old.chan.skip_to(ipc.CHILD_STOP)
    old.end("exit 0")
    late.chan.skip_to(ipc.CHILD_STOP)
    late.chan.send(ipc.CHILD_READY)
    late.end("exit 0")
    s.session("alice")
    assert "broke the protocol" not in s.log()


def test_reload_same_settings_same_process(m):
    s = m()
    _, p, _ = s.session("alice")
    old = s.login
    s.reload()
    s.authd, s.spawner = s.two_authd()
    s.login = s.next("login").ready()
    old.chan.skip_to(ipc.CHILD_STOP)
    # also when it dies instead of saying so
    old.end("die 9")
    s.wait_log("reload done")
    s.session("alice", process=p)


def test_reload_bad_configuration(m):
    s = m()
    s.more = "no_such_setting = 1\n"
    s.reload()
    s.wait_log("reload failed, the old configuration stays")
    s.more = ""
    s.write()
    s.session("alice")


def test_reload_login_fails(m):
    s = m()
    s.reload()
    new = s.two_authd()
    login = s.next("login")
    while login.chan.recv().type != ipc.CHILD_GO:
        pass
    login.chan.send(ipc.CHILD_FAILED, [("str", "bad certificate")])
    login.end("exit 1")
    for p in new:
        p.expect_end()
    s.wait_log("login can not start: bad certificate")
    s.wait_log("reload failed, the old configuration stays")
    s.session("alice")


def test_stop(m):
    s = m()
    _, p, _ = s.session("alice")
    s.process.terminate()
    assert p.chan.expect(ipc.SESSION_STOP)
    p.end("exit 0")
    assert s.login.chan.expect(ipc.CHILD_STOP)
    s.login.end("exit 0")
    for x in (s.authd, s.spawner):
        x.chan.skip_to(ipc.CHILD_STOP)
        x.end("exit 0")
    assert s.process.wait(10) == 0
    assert "stopped" in s.log()
    assert not os.path.exists(os.path.join(s.dir, "run", "restanted.pid"))


def test_stop_unwilling(m):
    s = m()
    _, p, _ = s.session("alice")
    s.process.terminate()
    assert s.process.wait(20) == 0
    assert not s.is_alive(p.pid)
    assert not s.is_alive(s.login.pid)


def test_killed(m):
    """Sessions go on without master; services see its end."""
    s = m()
    _, p, _ = s.session("alice")
    s.process.kill()
    s.process.wait()
    for x in (s.login, s.authd, s.spawner, p):
        x.chan.skip_to(None)
    assert s.is_alive(p.pid)
    p.end("exit 0")


def test_second_master(m):
    s = m()
    other = fakes.Faked(separate=m.form == "separate", settings={
        "run_dir": os.path.join(s.dir, "run")})
    try:
        other.start(wait=False)
        kept = other.two_authd() + (other.next("login").ready(),)
        for x in kept:
            x.chan.skip_to(ipc.CHILD_STOP)
            x.end("exit 0")
        assert other.process.wait(15) == 1
        assert "another restanted uses" in other.log()
        s.settle()
        with open(os.path.join(s.dir, "run", "restanted.pid")) as f:
            assert int(f.read()) == s.pid()
    finally:
        other.end_all()
        other.stop()
        other.remove()


def test_user_stops_his_process(m):
    """A process that its user stops before it has even begun holds up nobody
    else; its login is answered in time."""
    s = m()
    kept = s.session("bob")
    w = s.worker()
    _, far = s.client()
    conn = s.grant(w, far)
    s.handoff(w, conn, far)
    p = s.next("imapd")
    os.kill(p.pid, signal.SIGSTOP)
    try:
        begin = time.monotonic()
        s.session("bob", process=kept[1])
        assert time.monotonic() - begin < 5
        assert w.master.expect(ipc.HANDOFF_REFUSED, timeout=10).fields[1] == 1
    finally:
        os.kill(p.pid, signal.SIGCONT)


def test_program_is_missing(m):
    s = m()
    os.unlink(os.path.join(s.bin, "imapd"))
    w = s.worker()
    _, far = s.client()
    s.handoff(w, s.grant(w, far), far)
    assert refused(w) == 1
    s.wait_log("user=<alice> service=imap reason=\"start [^ ]*imapd: exec: "
               "No such file")
    assert [r for r in s.ctl("status", "--json")["rows"]]
