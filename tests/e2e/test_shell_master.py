# SPDX-License-Identifier: ISC
"""imapd and pop3d by hand while a server runs: they get its settings, the
user's places and a channel to spoold over its socket. (With real accounts:
test_accounts.py.)"""
import os
import socket
import subprocess

import pytest

from lib import ipc, maildir, restante, server

CTL_REQUEST, CTL_ROW, CTL_END, CTL_SETTINGS = range(80, 84)
TEXT = {"imapd": b"a SELECT INBOX\r\nb LOGOUT\r\n", "pop3d": b"QUIT\r\n"}


def found(program, out):
    for n in range(5):
        if (b"* %d EXISTS" % n if program == "imapd" else
                b"+OK %d message" % n) in out:
            return n
    return None


@pytest.fixture(scope="module", params=["plain", "separate"])
def s(request):
    if request.param == "separate" and not server.is_root():
        pytest.skip("needs root")
    r = restante.Restante(users=["alice", "bob"],
                          separate=request.param == "separate")
    try:
        for name, n in (("Maildir", 1), ("Other", 3)):
            box = os.path.join(r.home("alice"), name)
            maildir.create(box, r.uid_of("alice"))
            for i in range(n):
                maildir.deliver(box, maildir.message(i),
                                owner=r.uid_of("alice"))
        r.start()
        # in the file, but not in force
        r.settings["mail_location"] = "maildir:~/Other"
        r.write()
        yield r
    finally:
        r.stop()
        r.remove()


def run(s, program, uid, *args, **env):
    ids = {"user": uid, "group": uid, "extra_groups": []} \
        if server.is_root() else {}
    p = subprocess.run(
        [os.path.join(restante.programs(), program), "-c", s.config, *args],
        input=TEXT[program], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        timeout=20, cwd="/",
        env={"HOME": s.home("alice"), "USER": "alice", **env}, **ids)
    assert p.returncode == 0, p
    return found(program, p.stdout)


@pytest.mark.parametrize("program", ["imapd", "pop3d"])
def test_settings_of_the_server(s, program):
    uid = s.uid_of("alice")
    if s.separate:
        # no account of the system: the server can not say who it is
        assert run(s, program, uid) == 3
        assert not os.path.exists(os.path.join(s.dir, "index", "alice"))
        return
    assert run(s, program, uid) == 1
    assert os.path.isdir(os.path.join(s.dir, "index", "alice"))
    # the command line goes before it
    assert run(s, program, uid, "maildir:~/Other") == 3
    assert run(s, program, uid, "-o", "mail_location=maildir:~/Other") == 3


def test_another_uid(s):
    """A server without root has nothing for others."""
    if s.separate or not server.is_root():
        pytest.skip("plain form as root")
    box = os.path.join(s.dir, "theirs")
    maildir.create(os.path.join(box, "Other"), 64999)
    os.chown(box, 64999, 64999)
    maildir.deliver(os.path.join(box, "Other"), maildir.message(1),
                    owner=64999)
    assert run(s, "imapd", 64999, HOME=box) == 1


class Ctl(ipc.Chan):
    def __init__(self, s):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.connect(os.path.join(s.dir, "run", "control"))
        super().__init__(sock)

    def ask(self, **args):
        items = [("str", "settings"), ("u8", len(args))]
        for name, value in args.items():
            items += [("str", name), ("str", value)]
        self.send(CTL_REQUEST, items)
        return self.recv()


def as_user(uid, fn):
    """Calls `fn` in a process of that uid; its true or false."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            if server.is_root():
                os.setgroups([])
                os.setresgid(uid, uid, uid)
                os.setresuid(uid, uid, uid)
            status = 0 if fn() else 1
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_over_the_socket(s):
    if s.separate:
        pytest.skip("no accounts here")

    def ask():
        c = Ctl(s)
        assert c.ask(service="smtp").type == CTL_END
        for user in ("../x", "a/b", ".", ""):
            m = c.ask(service="imap", user=user)
            if user:
                assert m.type == CTL_END and m.fields[0] == 0, user
            elif m.type == CTL_SETTINGS:
                c.expect(CTL_END)
        m = c.ask(service="imap", user="alice")
        assert m.type == CTL_SETTINGS and len(m.fds) == 2
        with os.fdopen(m.fds[0], "rb") as f:
            lines = f.read().decode().splitlines()
        assert "user = alice" in lines and "service = imap" in lines
        assert "index_dir = %s/index/alice" % s.dir in lines
        assert c.expect(CTL_END).fields == [1, "alice"]
        # spoold answers at the other end
        spoold = ipc.Chan.of_fd(m.fds[1])
        spoold.send(145, [("u32", 1), ("bool", 1)])
        assert spoold.expect(148).fields[0] == 1
        ok = os.path.exists(os.path.join(s.spool, "alice.lock"))
        spoold.close()
        return ok

    s.wait_pids("spoold", lambda pids: pids)
    assert as_user(s.uid, ask)
    assert os.path.exists(os.path.join(s.spool, "alice"))


def test_without_a_server(s):
    """The file counts then."""
    s.stop()
    assert run(s, "imapd", s.uid_of("alice")) == 3
