# SPDX-License-Identifier: ISC
"""authd with real accounts, pam_unix and the name service, in a private mount
namespace: /etc is an overlay, nothing on the host changes. The outer test
runs this file again inside of it."""
import os
import signal
import time

import pytest

from lib import authd, namespace, proc, server
from lib.authd import Authd
from lib.namespace import INSIDE

pytestmark = pytest.mark.skipif(not server.is_root(), reason="needs root")

SETUP = r"""
for u in good wrong locked expired old nologin inactive nohome Upper; do
    useradd --badname -b $T/home -m -s /usr/sbin/nologin $u
    echo $u:s3cret | chpasswd
done
passwd -q -l locked
chage -E 2001-01-01 expired
chage -d 2001-01-01 -M 10 old
chage -d 2001-01-01 -M 10 -I 10 inactive
usermod -p '' wrong
useradd -u 777 -M -d / low; echo low:s3cret | chpasswd
cat >/etc/pam.d/imap <<X
@include common-auth
@include common-account
@include common-session
X
cat >/etc/pam.d/restante <<X
auth required pam_deny.so
account required pam_deny.so
X
rm -f /etc/pam.d/pop3
"""
test_in_namespaces = namespace.outer(__file__, SETUP)
inner = namespace.inner


@pytest.fixture(scope="module")
def shared():
    a = Authd("", {"auth_penalty": "no"}, sources=("pam",))
    try:
        yield a.start()
    finally:
        a.stop()


@pytest.fixture
def start():
    running = []

    def begin(settings=(), sources=("pam",), passwd=""):
        running.append(Authd(passwd, settings, sources=sources))
        return running[-1].start()

    yield begin
    for a in running:
        a.stop()


def uid_of(name):
    with open("/etc/passwd", encoding="utf-8") as f:
        for line in f:
            if line.startswith(name + ":"):
                return int(line.split(":")[2])
    raise KeyError(name)


@inner
def test_good(shared):
    w = shared.worker()
    begin = time.monotonic()
    assert w.plain("good", "s3cret") == ("ok",)
    assert time.monotonic() - begin < 1.9
    g = shared.grant()
    assert (g["user"], g["uid"], g["home"]) == (
        "good", uid_of("good"), INSIDE + "/home/good")
    assert g["held"] is None


OUTCOMES = [
    (b"good", b"wrong", authd.BAD),
    (b"good", b"", authd.BAD),
    (b"nosuch", b"s3cret", authd.BAD),
    (b"locked", b"s3cret", authd.BAD),
    (b"wrong", b"x", authd.BAD),  # has an empty password
    (b"expired", b"s3cret", authd.CONTACTADMIN),
    (b"expired", b"wrong", authd.BAD),
    (b"old", b"s3cret", authd.EXPIRED),
    (b"old", b"wrong", authd.BAD),
    (b"inactive", b"s3cret", authd.CONTACTADMIN),
    (b"root", b"s3cret", authd.BAD),
    (b"daemon", b"x", authd.BAD),
    (b"low", b"s3cret", authd.CONTACTADMIN),
]


@inner
def test_failures(shared):
    """Each kind of no, and all of them at the same moment."""
    workers = [shared.worker() for _ in OUTCOMES]
    for w, (user, password, _why) in zip(workers, OUTCOMES):
        w.start("PLAIN", b"\0" + user + b"\0" + password)
    answers = [w.answer() for w in workers]
    assert [a[1] for a in answers] == [why for _u, _p, why in OUTCOMES]
    held = [w.held_ms for w in workers]
    assert min(held) >= 2000 and max(held) < 2450, held
    assert shared.no_grant()


@inner
def test_service_files(start):
    """pop3 has no file here: restante, which refuses all; unless named."""
    a = start({"auth_failure_delay": "0", "auth_penalty": "no"})
    w = a.worker()
    assert w.plain("good", "s3cret", service=2) == ("fail", authd.BAD)
    a = start({"pop3:pam_service": "imap"})
    w = a.worker()
    assert w.plain("good", "s3cret", service=2) == ("ok",)
    assert a.grant()["service"] == "pop3"


@inner
def test_case_of_names(start):
    a = start({"auth_failure_delay": "0", "auth_penalty": "no"})
    w = a.worker()
    assert w.plain("GOOD", "s3cret") == ("ok",)
    assert a.grant()["user"] == "good"
    assert w.plain("Upper", "s3cret") == ("fail", authd.BAD)
    a = start({"auth_username_lowercase": "no"})
    w = a.worker()
    assert w.plain("Upper", "s3cret") == ("ok",)
    assert a.grant()["user"] == "Upper"


@inner
def test_both_sources(start):
    a = start({"auth_failure_delay": "0", "auth_penalty": "no"},
              sources=("pam", "passwd-file"),
              passwd="virtual:{PLAIN}x:5001:5001::/srv/v\n"
                     "good:{PLAIN}other\n")
    w = a.worker()
    assert w.plain("good", "s3cret") == ("ok",)
    assert a.grant()["uid"] == uid_of("good")
    assert w.plain("virtual", "x") == ("ok",)
    assert a.grant()["home"] == "/srv/v"
    # A further password for a system account, and its SCRAM.
    assert w.plain("good", "other") == ("ok",)
    g = a.grant()
    assert (g["uid"], g["home"]) == (uid_of("good"), INSIDE + "/home/good")
    assert authd.Scram("good", "other").run(w) == ("ok",)
    assert a.grant()["uid"] == uid_of("good")
    assert w.plain("good", "neither") == ("fail", authd.BAD)


@inner
def test_range_of_ids(start):
    a = start({"last_valid_uid": 900, "auth_failure_delay": "0"})
    w = a.worker()
    assert w.plain("good", "s3cret") == ("fail", authd.CONTACTADMIN)
    a.log("uid %d is outside" % uid_of("good"))
    a = start({"first_valid_uid": 500})
    assert a.worker().plain("low", "s3cret") == ("ok",)


@inner
def test_module_sees_the_peer(start, tmp_path):
    """RHOST, TTY, service and the name reach PAM's modules."""
    out = tmp_path / "seen"
    script = tmp_path / "see"
    script.write_text("#!/bin/sh\nenv | grep ^PAM_ | sort >%s\n" % out)
    script.chmod(0o755)
    tmp_path.chmod(0o755)
    with open("/etc/pam.d/seen", "w", encoding="ascii") as f:
        f.write("auth required pam_exec.so quiet %s\n"
                "account required pam_permit.so\n" % script)
    a = start({"pam_service": "seen"})
    assert a.worker().plain("good", "any") == ("ok",)
    seen = out.read_text()
    for word in ("PAM_RHOST=192.0.2.7", "PAM_TTY=restante", "PAM_USER=good",
                 "PAM_SERVICE=seen", "PAM_RUSER=good"):
        assert word in seen


@inner
def test_killed_pam_child(start):
    """A module that hangs costs its own user an answer, and only for a while."""
    with open("/etc/pam.d/hang", "w", encoding="ascii") as f:
        f.write("auth required pam_exec.so quiet /bin/sleep 1000\n")
    a = start({"imap:pam_service": "hang", "pop3:pam_service": "imap"})
    w, other = a.worker(), a.worker()
    w.start("PLAIN", b"\0good\0s3cret")
    end = time.monotonic() + 20
    while len(proc.tree(a.spawner.pid)) < 3 and time.monotonic() < end:
        time.sleep(0.01)
    children = [p for p in proc.tree(a.spawner.pid) if p != a.spawner.pid]
    assert len(children) == 2
    assert other.plain("good", "s3cret", service=2) == ("ok",)
    for p in children:
        os.kill(p, signal.SIGKILL)
    assert w.answer() == ("fail", authd.UNAVAILABLE)


@inner
def test_faillock(start):
    """pam_faillock counts across attempts, each in a child of its own."""
    with open("/etc/pam.d/counted", "w", encoding="ascii") as f:
        f.write("auth required pam_faillock.so preauth silent dir=%s/fl "
                "deny=3\n"
                "auth sufficient pam_unix.so nodelay\n"
                "auth [default=die] pam_faillock.so authfail dir=%s/fl "
                "deny=3\n"
                "account required pam_faillock.so dir=%s/fl\n"
                "account required pam_unix.so\n" % ((INSIDE,) * 3))
    a = start({"pam_service": "counted", "auth_failure_delay": "0",
               "auth_penalty": "no"})
    w = a.worker()
    assert w.plain("good", "s3cret") == ("ok",)
    for _ in range(3):
        assert w.plain("good", "wrong") == ("fail", authd.BAD)
    # Locked: even the right password sounds like a wrong one.
    assert w.plain("good", "s3cret") == ("fail", authd.BAD)


# ---- sessions -------------------------------------------------------------

def session_service(tmp_path):
    out = tmp_path / "session"
    script = tmp_path / "note"
    script.write_text("#!/bin/sh\necho $PAM_TYPE $PAM_USER $(id -u) >>%s\n"
                      % out)
    script.chmod(0o755)
    tmp_path.chmod(0o755)
    with open("/etc/pam.d/held", "w", encoding="ascii") as f:
        f.write("auth required pam_unix.so\naccount required pam_unix.so\n"
                "session required pam_exec.so quiet %s\n" % script)
    return out


def hold_start(channel, path, args, fds):
    fields = [(authd.STR, path), (authd.U32, len(args))]
    fields += [(authd.STR, a) for a in args]
    fields += [(authd.U32, 1), (authd.STR, "PATH=/usr/bin:/bin")]
    channel.send(authd.encode(authd.HOLD_START, *fields, fds=4), fds)


@inner
def test_session(start, tmp_path):
    seen = session_service(tmp_path)
    a = start({"pam_service": "held", "pam_session": "yes"})
    assert a.worker().plain("good", "s3cret") == ("ok",)
    held = a.grant()["held"]
    assert held is not None and not seen.exists()
    out = tmp_path / "out"
    with open(out, "wb") as f, open("/dev/null", "rb") as null:
        hold_start(held, "/bin/sh", [
            "sh", "-c", "id -u; id -G; ulimit -t; ls -l /proc/self/fd | wc -l;"
            "grep -c . /proc/self/limits; read x <&3"],
            [f.fileno(), null.fileno(), null.fileno(), null.fileno()])
    kind, values, fds = held.recv_fds()
    assert kind == authd.HOLD_STARTED and len(fds) == 1 and values[0] > 1
    kind, values = held.recv()
    assert (kind, values) == (authd.HOLD_ENDED, [1 << 8, ""])
    with pytest.raises(authd.Gone):
        held.recv()
    os.close(fds[0])
    lines = out.read_text().split("\n")
    gid = str(os.stat(INSIDE + "/home/good").st_gid)
    # The user, no further groups, nobody's time limit.
    assert lines[:3] == [str(uid_of("good")), gid, "unlimited"]
    assert seen.read_text() == (
        "open_session good 0\nclose_session good 0\n")


@inner
def test_session_outlives_spawner_and_master(start, tmp_path):
    seen = session_service(tmp_path)
    a = start({"pam_service": "held", "pam_session": "yes"})
    assert a.worker().plain("good", "s3cret") == ("ok",)
    held = a.grant()["held"]
    ours, theirs = authd.pair()
    with open("/dev/null", "r+b") as null:
        hold_start(held, "/bin/cat", ["cat", "/proc/self/fd/3"], [
            null.fileno(), null.fileno(), null.fileno(), null.fileno()])
        _kind, _values, fds = held.recv_fds()
        held.recv()
        os.close(fds[0])
    assert a.worker().plain("good", "s3cret") == ("ok",)
    held = a.grant()["held"]
    pipe = os.pipe()
    with open("/dev/null", "r+b") as null:
        hold_start(held, "/bin/sh", ["sh", "-c", "read x <&3"], [
            null.fileno(), pipe[0], null.fileno(), null.fileno()])
    _kind, _values, fds = held.recv_fds()
    os.close(pipe[0])
    os.kill(a.spawner.pid, signal.SIGKILL)
    a.spawner.wait()
    held.close()
    a.broker.master.close()
    time.sleep(0.3)
    assert seen.read_text().count("close_session") == 1
    os.close(pipe[1])  # the process ends
    end = time.monotonic() + 20
    while (seen.read_text().count("close_session") < 2 and
           time.monotonic() < end):
        time.sleep(0.02)
    assert seen.read_text().count("close_session") == 2
    os.close(fds[0])
    ours.close()
    theirs.close()


@inner
def test_session_not_wanted(start, tmp_path):
    """A process runs already: master closes the channel, the child ends."""
    seen = session_service(tmp_path)
    a = start({"pam_service": "held", "pam_session": "yes"})
    assert a.worker().plain("good", "s3cret") == ("ok",)
    held = a.grant()["held"]
    assert len(proc.tree(a.spawner.pid)) == 2
    held.close()
    end = time.monotonic() + 20
    while len(proc.tree(a.spawner.pid)) > 1 and time.monotonic() < end:
        time.sleep(0.02)
    assert len(proc.tree(a.spawner.pid)) == 1
    assert not seen.exists()
    # Nor does a failure leave anybody waiting.
    assert a.worker().plain("good", "wrong") == ("fail", authd.BAD)
    time.sleep(0.1)
    assert len(proc.tree(a.spawner.pid)) == 1


@inner
def test_session_refused_by_module(start):
    with open("/etc/pam.d/nosession", "w", encoding="ascii") as f:
        f.write("auth required pam_unix.so\naccount required pam_unix.so\n"
                "session required pam_deny.so\n")
    a = start({"pam_service": "nosession", "pam_session": "yes"})
    assert a.worker().plain("good", "s3cret") == ("ok",)
    held = a.grant()["held"]
    with open("/dev/null", "r+b") as null:
        hold_start(held, "/bin/true", ["true"], [null.fileno()] * 4)
    kind, values = held.recv()
    assert kind == authd.HOLD_ENDED and "pam_open_session" in values[1]


@inner
def test_program_missing(start, tmp_path):
    seen = session_service(tmp_path)
    a = start({"pam_service": "held", "pam_session": "yes"})
    assert a.worker().plain("good", "s3cret") == ("ok",)
    held = a.grant()["held"]
    with open("/dev/null", "r+b") as null:
        hold_start(held, "/nonexistent", ["x"], [null.fileno()] * 4)
    kind, values = held.recv()
    assert kind == authd.HOLD_ENDED and "/nonexistent" in values[1]
    assert seen.read_text().endswith("close_session good 0\n")
