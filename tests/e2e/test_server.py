# SPDX-License-Identifier: ISC
"""restanted's life with all its real programs: start in both ways, readiness,
sockets from systemd, reload without dropping a session, stop."""
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time

import pytest

from lib import certs, proc, restante, server


@pytest.fixture(params=["plain", "separate"])
def make(request):
    """make(...): a server that is written, not started."""
    if request.param == "separate" and not server.is_root():
        pytest.skip("needs root")
    made = []

    def begin(**kw):
        s = restante.Restante(separate=request.param == "separate", **kw)
        s.write()
        if not s.separate:
            s.own_tree(s.dir, s.uid)
        made.append(s)
        return s

    yield begin
    for s in made:
        try:
            s.stop()
        finally:
            s.remove()


def run(s, *args, **kw):
    """restanted with other options than the harness has."""
    if server.is_root() and not s.separate:
        kw.update(user=s.uid, group=s.uid, extra_groups=[])
    return subprocess.Popen(
        [os.path.join(restante.programs(), "restanted"), *args, "-c",
         s.config], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **kw)


def pid_in_file(s):
    with open(os.path.join(s.dir, "run", "restanted.pid")) as f:
        return int(f.read())


def wait_gone(pid, timeout=15):
    end = time.monotonic() + timeout
    while True:
        fields = proc.stat(pid)
        if fields is None or fields[0] == "Z":
            return
        assert time.monotonic() < end, "%d does not end" % pid
        time.sleep(0.02)


def test_background(make):
    s = make()
    p = run(s)
    out, _ = p.communicate(timeout=20)
    assert p.returncode == 0, (out, s.log())
    # it answers from this moment on
    pid = pid_in_file(s)
    try:
        with s.imap("alice") as c:
            c.ok("SELECT INBOX")
        pids = proc.tree(pid)
        for q in pids:
            fields = proc.stat(q)
            assert fields is None or int(fields[4]) == 0, "has a terminal"
    finally:
        os.kill(pid, signal.SIGTERM)
        for q in pids:
            wait_gone(q)
    assert not os.path.exists(os.path.join(s.dir, "run", "restanted.pid"))
    assert not os.path.exists(os.path.join(s.dir, "run", "control"))


def test_background_fails(make):
    s = make(settings={"imap_port": 1})
    blocked = socket.socket()
    blocked.bind(("127.0.0.1", 0))
    blocked.listen(1)
    s.settings["imap_port"] = blocked.getsockname()[1]
    s.write()
    p = run(s)
    out, _ = p.communicate(timeout=20)
    assert p.returncode == 1
    assert b"bind 127.0.0.1" in out and b"in use" in out, out
    blocked.close()


def test_bad_certificate(make):
    """Found out at start, by the process that uses it."""
    s = make()
    with open(s.cert, "w") as f:
        f.write("nonsense\n")
    p = run(s)
    p.communicate(timeout=30)
    assert p.returncode == 1
    assert "can not start" in s.log()


def test_key_of_another_certificate(make):
    s = make()
    other = os.path.join(s.dir, "other")
    os.mkdir(other)
    _, key = certs.make(other)
    shutil.copy(key, s.key)
    if server.is_root() and not s.separate:
        os.chown(s.key, s.uid, s.uid)
    p = run(s)
    p.communicate(timeout=30)
    assert p.returncode == 1


@pytest.mark.parametrize("line,words", [
    ("imap_prot = 1143", [r"restante.conf:\d+", "imap_port"]),
    ("imap_port = 70000", [r"restante.conf:\d+", "imap_port"]),
    ("imap_port = {", [r"restante.conf:\d+"]),
    ("listen = {\"somewhere\"}", ["somewhere"]),
    ("tls_key = {\"/a\", \"/b\"}", ["tls_key"]),
    ("libexec_dir = \"/nonexistent\"", ["no program /nonexistent"]),
])
def test_check_configuration(make, line, words):
    s = make()
    p = run(s, "-t")
    out, _ = p.communicate(timeout=10)
    assert p.returncode == 0, out
    with open(s.config, "a") as f:
        f.write(line + "\n")
    p = run(s, "-t")
    out, _ = p.communicate(timeout=10)
    assert p.returncode == 1, out
    for word in words:
        assert re.search(word.encode(), out), out
    # and it does not start so
    p = run(s, "-F")
    out, _ = p.communicate(timeout=10)
    assert p.returncode == 1, out


def test_one_place_for_two_services(make):
    """However it is written; twice for the same service does no harm."""
    s = make()
    with open(s.config, "a") as f:
        f.write("imap_listen = {\"127.0.0.1\", \"*\", \"0.0.0.0\"}\n"
                "pop3_listen = {\"::1\", \"0::1\"}\n"
                "imap_port = %d\npop3_port = %d\n" % (s.imap_port, s.imap_port))
    p = run(s, "-t")
    out, _ = p.communicate(timeout=10)
    assert p.returncode == 0, out
    for address in ("127.0.0.1", "0.0.0.0", "*"):
        with open(s.config, "a") as f:
            f.write("pop3_listen = {\"%s\"}\n" % address)
        p = run(s, "-t")
        out, _ = p.communicate(timeout=10)
        assert p.returncode == 1, out
        assert re.search(rb"restante.conf:\d+: pop3_port: imap has %s port"
                         % re.escape(address).encode(), out), out
    p = run(s, "-F")
    out, _ = p.communicate(timeout=20)
    assert p.returncode == 1 and b"pop3: imap has *" in out, out


def check_files(s):
    p = run(s, "-t")
    out, _ = p.communicate(timeout=10)
    return p.returncode, out.decode()


def test_check_looks_for_files(make):
    """What is named and not there is an error, with its line; what need not
    be there, or may well be there for root, a warning."""
    s = make()
    with open(s.config, "a") as f:
        f.write("tls_ocsp = {\"%s/ocsp\"}\n" % s.dir)
    status, out = check_files(s)
    assert status == 0, out
    assert re.search(r"restante.conf:\d+: warning: tls_ocsp: \S+/ocsp: No such",
                     out), out
    for name, path in (("tls_cert", s.cert), ("tls_key", s.key),
                       ("passwd_file", s.passwd)):
        os.rename(path, path + ".away")
        status, out = check_files(s)
        assert status == 1, out
        assert re.search(r"restante.conf:\d+: %s: %s: No such file"
                         % (name, re.escape(path)), out), out
        os.mkfifo(path)
        status, out = check_files(s)
        assert status == 1 and "not a regular file" in out, out
        os.unlink(path)
        os.rename(path + ".away", path)
    if s.separate or not server.is_root():
        return
    os.chown(s.key, 0, 0)
    os.chmod(s.key, 0o600)
    status, out = check_files(s)
    assert status == 0 and "good" in out, out
    assert re.search(r"restante.conf:\d+: warning: tls_key: \S+: Permission",
                     out), out


def test_missing_program_is_said_once(make):
    s = make()
    with open(s.config, "a") as f:
        f.write("libexec_dir = \"/nonexistent\"\n")
    _, out = check_files(s)
    assert out.count("/nonexistent/authd") == 1, out
    assert "/nonexistent/imapd" in out


def test_usage(make):
    s = make()
    for args, code in ((["-x"], 2), (["-F", "more"], 2), (["-V"], 0),
                       (["-h"], 0)):
        p = run(s, *args)
        out, _ = p.communicate(timeout=10)
        assert p.returncode == code and out, (args, out)


def test_notify(make):
    s = make()
    path = os.path.join(s.dir, "notify")
    n = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    n.bind(path)
    os.chmod(path, 0o777)
    n.settimeout(20)
    s.process = run(s, "-F", env=dict(os.environ, NOTIFY_SOCKET=path))
    assert b"READY=1" in n.recv(500).split(b"\n")
    s.imap("alice").ok("NOOP")
    s.reload()
    assert b"RELOADING=1" in n.recv(500).split(b"\n")
    assert b"READY=1" in n.recv(500).split(b"\n")
    s.process.terminate()
    assert b"STOPPING=1" in n.recv(500).split(b"\n")
    assert s.process.wait(15) == 0
    # none of the children has it in its environment
    n.close()


SYSTEMD = r"""
import os, sys
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=sys.argv[1],
                  LISTEN_FDNAMES=sys.argv[2])
os.execv(sys.argv[3], sys.argv[3:])
"""


def with_sockets(s, socks, names):
    """Starts restanted as systemd does, the sockets being 3, 4, ..."""
    def arrange():
        fds = [os.dup(x.fileno()) for x in socks]
        fds = [os.dup2(fd, 100 + i) for i, fd in enumerate(fds)]
        for i, fd in enumerate(fds):
            os.dup2(fd, 3 + i, inheritable=True)
    kw = {"user": s.uid, "group": s.uid, "extra_groups": []} \
        if server.is_root() and not s.separate else {}
    return subprocess.Popen(
        ["/usr/bin/python3", "-c", SYSTEMD, str(len(socks)), names,
         os.path.join(restante.programs(), "restanted"), "-F", "-c",
         s.config], preexec_fn=arrange, close_fds=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **kw)


def test_sockets_from_systemd(make):
    s = make(settings={"imap_port": 9, "imaps_port": 9, "pop3_port": 9,
                       "pop3s_port": 9})
    socks = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    s.imap_port, s.imaps_port, s.pop3_port = (
        x.getsockname()[1] for x in socks)
    s.process = with_sockets(s, socks, "imap:imaps:pop3")
    for x in socks:
        x.close()
    s.wait_log("ready ")
    with s.imap("alice") as c:
        c.ok("NOOP")
    with s.imap("alice", tls=True) as c:
        c.ok("NOOP")
    with s.pop3("alice") as c:
        c.ok("NOOP")
        s.reload()
        s.wait_log("reload done")
        with s.imap("alice", tls=True) as d:
            d.ok("NOOP")
        c.ok("NOOP")


def test_unknown_socket_from_systemd(make):
    s = make()
    sock = socket.create_server(("127.0.0.1", 0))
    p = with_sockets(s, [sock], "smtp")
    out, _ = p.communicate(timeout=10)
    assert p.returncode == 1 and b"smtp" in out, out
    sock.close()


def cert_of(c):
    return c.sock.getpeercert(binary_form=True)


def context():
    ctx = ssl.create_default_context()
    ctx.check_hostname = False
    ctx.verify_mode = ssl.CERT_NONE
    return ctx


def test_reload_keeps_sessions(make):
    s = make()
    s.start()
    s.wait_log("ready ")
    sessions = [s.imap("alice"), s.imap("alice", tls=True), s.pop3("bob"),
                s.imap("bob", tls=True)]
    idle = s.imap("alice", tls=True)
    idle.ok("SELECT INBOX")
    tag = idle.idle()
    waiting = s.imap(tls=True)  # before its login
    old = set(s.pids("login")) | set(s.pids("authd")) | set(s.pids("keyd"))
    for i in range(3):
        s.settings["imap_idle_timeout"] = 3600 + i
        s.reload()
        end = time.monotonic() + 15
        while len(re.findall("reload done", s.log())) < i + 1:
            assert time.monotonic() < end, s.log()
            time.sleep(0.02)
        for c in sessions:
            c.ok("NOOP")
        with s.imap("alice") as c:
            c.ok("NOOP")
    # who was in front of his login gets in, through the old processes
    waiting.login("alice", server.PASSWORD)
    waiting.ok("SELECT INBOX")
    s.deliver("alice", b"Subject: x\r\n\r\nx\r\n")
    idle.until(rb"\* 1 EXISTS")
    idle.done(tag)
    for c in sessions + [idle, waiting]:
        c.ok("NOOP")
    # the old set is gone once nobody needs it
    end = time.monotonic() + 15
    while old & set(proc.tree(s.pid())):
        assert time.monotonic() < end, s.ctl("status")
        time.sleep(0.05)
    assert "ended pid" not in s.log()


def test_reload_bad_configuration(make):
    s = make()
    s.start()
    s.wait_log("ready ")
    c = s.imap("alice")
    s.more = "listen_to = 1\n"
    s.reload()
    s.wait_log(r"restante.conf:\d+.*listen_to")
    s.wait_log("reload failed, the old configuration stays")
    c.ok("NOOP")
    s.imap("alice").ok("NOOP")
    # another address that can not be had
    s.more = ""
    s.settings["listen"] = ["127.0.0.1", "192.0.2.1"]
    s.reload()
    s.wait_log("bind 192.0.2.1")
    c.ok("NOOP")
    s.imap("alice").ok("NOOP")
    # and back to a good one
    s.settings["listen"] = ["127.0.0.1", "127.0.0.2"]
    s.reload()
    s.wait_log("reload done")
    c.ok("NOOP")
    socket.create_connection(("127.0.0.2", s.imap_port), 5).close()


def test_reload_without_a_key(make):
    """The one who asks is told why; a process that we ended ourselves is no
    crash."""
    s = make()
    s.start()
    s.wait_log("ready ")
    os.rename(s.key, s.key + ".x")
    said = s.ctl("reload", ok=False)
    assert "keyd can not start: open the private key %s: No such" % s.key in \
        said
    assert "keyd ended" not in s.log()
    os.rename(s.key + ".x", s.key)
    s.ctl("reload")
    s.imap("alice", tls=True).ok("NOOP")


def test_session_refused_is_one_error(make):
    s = make(users=["alice"])
    s.start()
    s.wait_log("ready ")
    folder = s.maildir().rstrip("/")
    os.rename(folder, folder + ".x")
    with open(folder, "w"):
        pass
    s.new_log()
    with s.imap() as c:
        assert b"[UNAVAILABLE]" in c.no("LOGIN alice " + server.PASSWORD)
    s.wait_log("reason=session refused")
    s.wait_log("error: .*Not a directory")  # by another process
    lines = [x for x in s.new_log().splitlines()
             if "error:" in x or "warning:" in x]
    assert len(lines) == 1 and "Not a directory" in lines[0], lines
    os.unlink(folder)
    os.rename(folder + ".x", folder)
    s.imap("alice").ok("NOOP")


def test_other_port(make):
    s = make()
    s.start()
    s.wait_log("ready ")
    c = s.imap("alice")
    old, new = s.imap_port, proc.free_ports(1)[0]
    s.imap_port = new
    s.reload()
    s.wait_log("reload done")
    c.ok("NOOP")
    s.imap("alice").ok("NOOP")
    end = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", old), 5).close()
        except ConnectionRefusedError:
            break
        assert time.monotonic() < end, "the old port is still open"
        time.sleep(0.05)


def greeting_of(port):
    """b"" where the first word is expected from the client, under TLS."""
    with socket.create_connection(("127.0.0.1", port), 20) as c:
        c.settimeout(0.5)
        try:
            return c.recv(100)
        except TimeoutError:
            return b""


def test_ports_change_places(make):
    """Also between an address and all of them, on the port of before."""
    s = make()
    s.start()
    s.wait_log("ready ")
    c = s.imap("alice")
    assert greeting_of(s.imaps_port) == b""
    s.imap_port, s.imaps_port = s.imaps_port, s.imap_port
    s.reload()
    s.wait_log("reload done")
    c.ok("NOOP")
    assert greeting_of(s.imap_port).startswith(b"* OK")
    s.imap("alice", tls=True).ok("NOOP")
    s.settings["listen"] = ["*"]
    s.reload()
    s.wait_log("(?s)reload done.*reload done")
    with socket.create_connection(("127.0.0.3", s.imap_port), 20) as far:
        assert far.recv(100).startswith(b"* OK")
    s.settings["listen"] = ["127.0.0.1"]
    s.reload()
    s.wait_log("(?s)(reload done.*){3}")
    s.imap("alice").ok("NOOP")
    c.ok("NOOP")
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.3", s.imap_port), 20)
    # A second server is told that the port is taken, as before.
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError):
            other.bind(("127.0.0.1", s.imap_port))
            other.listen()


def test_fifo_in_place_of_a_key(make):
    """Nobody writes to it, and nobody waits for it."""
    s = make()
    s.start()
    s.wait_log("ready ")
    for path, what in ((s.key, "private key"), (s.cert, "certificate")):
        os.rename(path, path + ".x")
        os.mkfifo(path, 0o644)
        if server.is_root():
            os.chown(path, *[os.stat(path + ".x").st_uid] * 2)
        s.new_log()
        s.reload()
        s.wait_log("open the %s .*not a regular file" % what)
        os.rename(path + ".x", path)
        s.imap("alice", tls=True).ok("NOOP")


def test_hangup_before_ready(make):
    """What was changed while it started is in force in the end."""
    s = make()
    run_it = s.run

    def run_hung_up(argv, uid, **kw):
        def arrange():
            # It waits for the new program, which is none to hear it yet.
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
            os.kill(os.getpid(), signal.SIGHUP)

        return run_it(argv, uid, preexec_fn=arrange, **kw)

    s.run = run_hung_up
    s.start()
    s.wait_log("(?s)ready .*SIGHUP before.*reload done")
    s.imap("alice").ok("NOOP")


def test_new_certificate(make):
    """The wrong pair in between changes nothing; the right one is noticed by
    itself, too, which takes its time and is the same in both forms."""
    s = make()
    s.start()
    s.wait_log("ready ")
    old = s.imap("alice", tls=True)
    first = cert_of(old)
    other = os.path.join(s.dir, "other")
    os.mkdir(other)
    cert, key = certs.make(other)
    uid = os.stat(s.cert).st_uid
    for a, b in ((cert, s.cert), (key, s.key)):
        os.chown(a, uid, uid)
    os.rename(cert, s.cert)
    s.reload()  # now the key does not fit
    s.wait_log("reload failed")
    with s.imap("alice", tls=True) as c:
        assert cert_of(c) == first
    os.rename(key, s.key)
    if s.separate:
        s.wait_log("certificate files have changed", timeout=60)
    else:
        s.reload()
    s.wait_log("reload done")
    with s.imap("alice", tls=True) as c:
        assert cert_of(c) != first
    old.ok("NOOP")


def test_log_rotation(make):
    s = make()
    s.start()
    s.wait_log("ready ")
    os.rename(s.log_path, s.log_path + ".1")
    s.reload()
    s.wait_log("reload done")
    s.imap("alice").ok("NOOP")
    s.wait_log("login user=<alice>")
    with open(s.log_path + ".1") as f:
        assert "login user" not in f.read()


def test_stop_with_sessions(make):
    s = make()
    s.start()
    s.wait_log("ready ")
    before = s.imap()  # who is in front of his login holds nobody up
    s.ctl("reload")
    a, b = s.imap("alice", tls=True), s.pop3("bob")
    a.ok("SELECT INBOX")
    others = [s.imap(tls=True), s.pop3()]
    judged = s.imap()  # its answer is held back for two seconds
    judged.send("j LOGIN alice wrong\r\n")
    pids = proc.tree(s.pid())
    begun = time.monotonic()
    s.process.terminate()
    assert s.process.wait(15) == 0
    assert time.monotonic() - begun < 12
    for c in [before] + others[:1]:
        assert c.line() == b"* BYE The server is shutting down."
    said = judged.line()
    if said.startswith(b"j NO"):  # on a slow machine
        said = judged.line()
    assert said == b"* BYE The server is shutting down."
    for c in [before, judged] + others:
        assert c.is_closed()
    assert a.response().startswith(b"* BYE")
    assert a.is_closed()
    assert b.is_closed() or b.line().startswith(b"-ERR")
    for pid in pids:
        wait_gone(pid)
    assert "killed" not in s.log()
    # the ports are free at once
    s.process = None
    s.start()
    s.imap("alice").ok("NOOP")


def test_master_dies(make):
    """Sessions go on; all others end; the next one starts beside them."""
    s = make()
    s.start()
    s.wait_log("ready ")
    c, d = s.imap("alice", tls=True), s.pop3("bob")
    pids = proc.tree(s.pid())
    mail = set(s.pids("imapd")) | set(s.pids("pop3d")) | set(s.pids("logd"))
    s.process.kill()
    s.process.wait()
    for pid in set(pids) - mail:
        wait_gone(pid)
    c.ok("SELECT INBOX")
    d.ok("NOOP")
    s.process = None
    s.start()
    s.wait_log(r"(?s)ready .*ready ")
    s.imap("alice").ok("NOOP")
    c.ok("NOOP")
    c.logout()
    d.cmd("QUIT")
    for pid in mail:
        wait_gone(pid, 30)


def test_limits(make):
    s = make(settings={"max_sessions_per_user": 2})
    s.start()
    s.wait_log("ready ")
    a, b = s.imap("alice"), s.imap("alice", tls=True)
    c = s.imap()
    assert b"[LIMIT]" in c.no("LOGIN alice " + server.PASSWORD)
    s.imap("bob").ok("NOOP")
    s.pop3("alice").ok("NOOP")  # counted by protocol
    a.logout()
    end = time.monotonic() + 20
    while s.imap().cmd("LOGIN alice " + server.PASSWORD)[0] != "OK":
        assert time.monotonic() < end
        time.sleep(0.1)
    b.ok("NOOP")


def test_kick(make):
    s = make()
    s.start()
    s.wait_log("ready ")
    a, b = s.imap("alice"), s.imap("bob", tls=True)
    a.ok("SELECT INBOX")
    rows = s.ctl("who", "--json")["rows"]
    assert {r["user"] for r in rows} == {"alice", "bob"}
    s.ctl("kick", "alice")
    a.until(rb"^\* BYE")
    assert a.is_closed()
    b.ok("NOOP")
    end = time.monotonic() + 20
    while len(s.ctl("who", "--json")["rows"]) != 1:
        assert time.monotonic() < end
        time.sleep(0.05)


def wakeups(pid):
    with open("/proc/%d/status" % pid) as f:
        return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", f.read(),
                             re.M).group(1))


def test_an_idle_process_sleeps(make):
    """With a client that says nothing the user's process is not woken."""
    s = make(users=["alice"]).start()
    c = s.imap("alice")
    c.ok("SELECT INBOX")
    pid, = s.pids("imapd")
    end = time.monotonic() + 40
    while True:
        before = wakeups(pid)
        time.sleep(3)
        if wakeups(pid) == before:
            break
        assert time.monotonic() < end
    c.ok("NOOP")
