# SPDX-License-Identifier: ISC
"""pam_session = yes in the whole server: the holder, the user's process below
it, and what happens when either of them, or master, is killed."""
import os
import resource
import signal
import time

import pytest

from lib import namespace, proc, restante, server, wire
from lib.namespace import INSIDE

SETUP = r"""
for u in ann ben; do
    useradd -b $T/home -m -s /usr/sbin/nologin $u
    echo $u:s3cret | chpasswd
done
cat >$T/note <<X
#!/bin/sh
echo "\$PAM_TYPE \$PAM_USER \$PAM_SERVICE \$(id -u)" >>$T/sessions
while test -e $T/wait; do sleep 0.05; done
X
chmod 755 $T/note
for s in imap pop3; do
cat >/etc/pam.d/$s <<X
auth required pam_unix.so
account required pam_unix.so
session required pam_exec.so quiet $T/note
X
done
cat >/etc/pam.d/refused <<X
auth required pam_unix.so
account required pam_unix.so
session required pam_deny.so
X
"""

pytestmark = pytest.mark.skipif(not server.is_root(), reason="needs root")
inner = namespace.inner
test_in_namespaces = namespace.outer(__file__, SETUP)


class System(restante.Restante):
    """System accounts through PAM, a session for each process."""

    def __init__(self, **settings):
        super().__init__(users=[], separate=True, settings=dict(
            {"auth": ["pam"], "pam_session": True, "process_linger": 1,
             "auth_failure_delay": 0, "auth_penalty": False}, **settings))

    def home(self, user):
        return os.path.join(INSIDE, "home", user)


@pytest.fixture
def system(request):
    try:
        os.unlink(INSIDE + "/sessions")
    except FileNotFoundError:
        pass
    s = System(**getattr(request, "param", {}))
    yield from server.serving(s)


def sessions():
    try:
        with open(INSIDE + "/sessions", encoding="ascii") as f:
            return f.read().splitlines()
    except FileNotFoundError:
        return []


def wait_sessions(want, timeout=10):
    end = time.monotonic() + timeout
    while sessions() != want:
        assert time.monotonic() < end, (sessions(), want)
        time.sleep(0.02)


def parent(pid):
    return int(proc.stat(pid)[1])


def uids(pid):
    with open("/proc/%d/status" % pid, encoding="ascii") as f:
        return [x.split()[1:5] for x in f if x.startswith("Uid:")][0]


OPEN, CLOSE = "open_session ann imap 0", "close_session ann imap 0"


def holder_of(system):
    """(imapd, its holder) of the one user."""
    imapd, = system.pids("imapd")
    holder = parent(imapd)
    with open("/proc/%d/cmdline" % holder, "rb") as f:
        assert b"holder: ann" in f.read()
    assert set(uids(holder)) == {"0"}
    assert set(uids(imapd)) == {str(os.stat(system.home("ann")).st_uid)}
    return imapd, holder


@inner
def test_one_session_for_all_connections(system):
    a = system.imap("ann", "s3cret", tls=True)
    a.ok("SELECT INBOX")
    wait_sessions([OPEN])
    holder_of(system)
    b = system.imap("ann", "s3cret", tls=True)
    b.ok("SELECT INBOX")
    assert len(system.pids("imapd")) == 1
    # Its auth child was not needed as holder and has gone.
    end = time.monotonic() + 20
    spawner = [p for p in system.pids("authd") if parent(p) == system.pid()]
    while len([p for p in system.pids("authd") if p not in spawner]) > 1:
        assert time.monotonic() < end
        time.sleep(0.02)
    a.logout()
    b.ok("NOOP")
    assert sessions() == [OPEN]
    b.logout()
    wait_sessions([OPEN, CLOSE])
    assert system.pids("imapd") == []


@inner
def test_each_protocol_has_its_own(system):
    a = system.imap("ann", "s3cret")
    p = system.pop3("ann", "s3cret")
    wait_sessions([OPEN, "open_session ann pop3 0"])
    a.ok("NOOP")
    p.ok("QUIT")
    wait_sessions([OPEN, "open_session ann pop3 0",
                   "close_session ann pop3 0"])
    a.ok("NOOP")


@inner
def test_killed_user_process(system):
    a = system.imap("ann", "s3cret")
    imapd, _holder = holder_of(system)
    os.kill(imapd, signal.SIGKILL)
    with pytest.raises((wire.Closed, OSError)):
        a.ok("NOOP")
    wait_sessions([OPEN, CLOSE])
    system.imap("ann", "s3cret").ok("NOOP")
    wait_sessions([OPEN, CLOSE, OPEN])


@inner
def test_killed_holder(system):
    """Without its session the process has no right to go on."""
    a = system.imap("ann", "s3cret")
    imapd, holder = holder_of(system)
    os.kill(holder, signal.SIGKILL)
    end = time.monotonic() + 20
    with pytest.raises((wire.Closed, OSError)):
        while time.monotonic() < end:
            a.ok("NOOP")
    while proc.stat(imapd) and proc.stat(imapd)[0] != "Z":
        assert time.monotonic() < end
        time.sleep(0.02)
    system.imap("ann", "s3cret").ok("NOOP")


@inner
def test_master_without_descriptors(system):
    """It needs none to hear that the process has begun."""
    wait = INSIDE + "/wait"
    with open(wait, "w", encoding="ascii"):
        pass
    c = system.imap(tls=True)
    master = system.pid()
    soft, hard = resource.prlimit(master, resource.RLIMIT_NOFILE)
    try:
        tag = c.start("LOGIN ann s3cret")
        wait_sessions([OPEN])
        resource.prlimit(master, resource.RLIMIT_NOFILE, (3, hard))
        os.unlink(wait)
        assert c.finish(tag)[0] == "OK"
        system.wait_log("descriptor of a PAM session's process is lost")
    finally:
        if os.path.exists(wait):
            os.unlink(wait)
        resource.prlimit(master, resource.RLIMIT_NOFILE, (soft, hard))
    c.ok("NOOP")
    c.logout()
    wait_sessions([OPEN, CLOSE])


@inner
def test_killed_spawner(system):
    a = system.imap("ann", "s3cret")
    _imapd, holder = holder_of(system)
    os.kill(parent(holder), signal.SIGKILL)
    time.sleep(0.3)
    a.ok("NOOP")
    a.logout()
    wait_sessions([OPEN, CLOSE])


@inner
def test_killed_master(system):
    """Sessions go on, and the PAM session is closed behind the last one."""
    a = system.imap("ann", "s3cret")
    a.ok("SELECT INBOX")
    os.kill(system.pid(), signal.SIGKILL)
    time.sleep(0.3)
    a.ok("NOOP")
    a.logout()
    wait_sessions([OPEN, CLOSE], timeout=70)


@inner
@pytest.mark.parametrize("system", [{"pam_service": "refused"}],
                         indirect=True)
def test_session_refused(system):
    """The password was right, PAM has no session: not now."""
    c = system.imap(tls=True)
    text = c.no("LOGIN ann s3cret")
    assert b"[UNAVAILABLE]" in text
    assert system.pids("imapd") == []
    assert "pam_open_session" in system.log()
    p = system.pop3(tls=True)
    p.ok("USER ann")
    assert b"[SYS/TEMP]" in p.err("PASS s3cret")


@inner
def test_switched_on_later():
    """A process without a session is replaced at the next login."""
    if sessions():
        os.unlink(INSIDE + "/sessions")
    s = System(pam_session=False)
    try:
        s.start()
        a = s.imap("ann", "s3cret")
        old, = s.pids("imapd")
        assert sessions() == []
        s.settings["pam_session"] = True
        s.reload()
        end = time.monotonic() + 20
        while not sessions():
            assert time.monotonic() < end, s.log()[-6000:]
            b = s.imap("ann", "s3cret")
            b.ok("NOOP")
        assert len(s.pids("imapd")) == 2 and old in s.pids("imapd")
        a.ok("NOOP")
    finally:
        s.stop()
        s.remove()
