# SPDX-License-Identifier: ISC
"""box.py - one user's mail and connections to it, for tests of the protocol.

A Box speaks to imapd in one of two ways: "tunnel" starts imapd on a socket as
the caller (each connection is a process of its own on the same Maildir),
"server" goes through restanted and login (all connections are in one process).
What holds for one must hold for the other. A tunnel's mail can be in mbox files
instead; "Maildir" stands for the place of either below.
"""
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time

from . import maildir, mbox, restante, server, wire


class Tunnel(wire.Imap):
    """imapd on a socketpair, already logged in."""

    def __init__(self, argv, uid=None, env=None, timeout=wire.TIMEOUT,
                 log=None):
        # pylint: disable=super-init-not-called
        ours, theirs = socket.socketpair()
        kw = {}
        if server.is_root() and uid is not None:
            kw = {"user": uid, "group": uid, "extra_groups": []}
        self.process = subprocess.Popen(
            argv, stdin=theirs, stdout=theirs, stderr=log, env=env, cwd="/",
            **kw)
        theirs.close()
        self.timeout = timeout
        self.sock = ours
        self.buffer = b""
        self.log = []
        self.tags = 0
        self.greeting = self.response()

    def close(self):
        super().close()
        if self.process.poll() is None:
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise AssertionError("imapd does not end")
        self.status = self.process.returncode


class Box:
    """`connect()` gives a wire.Imap in authenticated state."""

    def __init__(self, kind, user="alice", server_=None, store="maildir"):
        self.kind = kind
        self.user = user
        self.server = server_
        self.store = store
        self.open = []
        if kind == "server":
            server_.maildir(user)  # is made now, if it was not
            self.dir = server_.home(user)
            self.uid = server_.uid_of(user)
        else:
            self.dir = server.scratch()
            self.uid = server.TEST_UID if server.is_root() else os.geteuid()
            self.own(self.dir)
            if store == "mbox":
                for folder in ("spool", "mail"):
                    os.mkdir(os.path.join(self.dir, folder))
                    self.own(os.path.join(self.dir, folder))
            else:
                maildir.create(self.maildir(), self.uid)

    def own(self, path):
        if server.is_root():
            os.chown(path, self.uid, self.uid)

    def maildir(self, folder=""):
        return os.path.join(self.dir, "Maildir", folder)

    def mbox(self, folder=""):
        """The file of a folder, which is called as in a Maildir."""
        return os.path.join(self.dir, "mail", folder[1:].replace(".", "/")) \
            if folder else os.path.join(self.dir, "spool", self.user)

    def connect(self, *settings, tls=False, timeout=wire.TIMEOUT):
        if self.kind == "server":
            c = wire.Imap(
                "127.0.0.1", self.server.imaps_port if tls else
                self.server.imap_port, tls=tls, timeout=timeout)
            c.login(self.user, server.PASSWORD)
        else:
            argv = [os.path.join(restante.programs(), "imapd"),
                    "-o", "user=" + self.user, "-o", "poll_interval=1"]
            for s in settings:
                argv += ["-o", s]
            argv.append("maildir:~/Maildir" if self.store == "maildir"
                        else "mbox:~/mail:INBOX=~/spool/" + self.user)
            self.errors = open(os.path.join(self.dir, "stderr"), "ab")
            c = Tunnel(argv, self.uid, {"HOME": self.dir, "PATH": "/bin"},
                       timeout, self.errors)
            self.errors.close()
        self.open.append(c)
        return c

    def deliver(self, message, folder="", **kw):
        if self.store == "mbox":
            return mbox.deliver(self.mbox(folder), message, owner=self.uid,
                                **kw)
        return maildir.deliver(self.maildir(folder), message, owner=self.uid,
                               **kw)

    def fill(self, n, folder="", **kw):
        for i in range(1, n + 1):
            self.deliver(maildir.message(i), folder, **kw)

    @contextlib.contextmanager
    def killed_within(self, c, seconds):
        """`with`: imapd of `c` is killed so much later; what fails for that is
        what the block ends with."""
        killer = threading.Timer(seconds, os.kill,
                                 (c.process.pid, signal.SIGKILL))
        killer.start()
        try:
            yield
        except (wire.Closed, OSError):
            pass
        killer.join()
        c.process.wait(10)
        self.open.remove(c)
        c.sock.close()

    @contextlib.contextmanager
    def after_kill(self):
        """`with`: INBOX in a new session, which has ended after the block."""
        c = self.connect()
        c.ok("SELECT INBOX")
        self.outwait_lock(c)
        yield c
        c.logout()
        self.open.remove(c)
        c.process.wait(10)

    def outwait_lock(self, c, folder=""):
        """What a killed process had begun gets its UIDs when its lock counts
        as left behind, after two seconds; `c` has the mailbox selected."""
        lock = os.path.join(self.maildir(folder), "dovecot-uidlist.lock")
        until = time.monotonic() + 20
        gone = 0
        # It is removed a moment before it is taken anew.
        while gone < 4 and time.monotonic() < until:
            gone = 0 if os.path.exists(lock) else gone + 1
            time.sleep(.05)
            c.ok("NOOP")

    def files(self, folder=""):
        if self.store == "mbox":
            return mbox.messages(self.mbox(folder))
        return maildir.files(self.maildir(folder))

    def close(self):
        for c in self.open:
            c.close()
        self.open = []
        if self.kind == "tunnel":
            text = ""
            path = os.path.join(self.dir, "stderr")
            if os.path.exists(path):
                with open(path, errors="replace") as f:
                    text = f.read()
            shutil.rmtree(self.dir, ignore_errors=True)
            for word in ("ERROR", "runtime error", "assert", "fatal:"):
                assert word not in text, text
