# SPDX-License-Identifier: ISC
"""login.py - the login parent and keyd alone, with the test in the place of
master, authd, the other end of keyd: each may be slow, silent or gone."""
import os
import select
import shutil
import socket
import time

from . import certs, proc, restante, server
from .authd import Channel, Child, Gone, encode, pair
from .authd import BLOB, BOOL, STR, U8, U16, U32, U64

PEER, FILE, GO, READY, FAILED, STOP = range(1, 7)
LISTENER, CERT, TICKETS, NEED, WORKER, KILL = range(48, 54)
RETIRED = 55
HANDOFF, TAKEN, REFUSED = 56, 57, 58
AUTH_START, AUTH_MORE, AUTH_CANCEL, AUTH_OK, AUTH_FAIL = range(96, 101)
SIGN, SIGNED, SIGN_FAILED = 112, 113, 114
KIND_WORKER, KIND_FIRST_WORKER = 1, 6
LOGIN_UID, KEY_UID = 64103, 64104

__all__ = ["BLOB", "BOOL", "STR", "U8", "U16", "U32", "U64", "encode"]


def program(folder, name):
    return os.path.join(restante.BUILD, "master", folder, name)


class Keyd:
    """keyd with the test as master and as login worker."""

    def __init__(self, keys, settings="", uid=KEY_UID):
        self.dir = server.scratch()
        self.root = os.path.join(self.dir, "empty")
        os.mkdir(self.root, 0o555)
        self.lines = []
        text = "log_level = debug\n" + settings
        if server.is_root() and uid:
            text += "self_uid = %d\nself_gid = %d\nself_root = %s\n" % (
                uid, uid, self.root)
        self.child = Child(program("key", "keyd"), "keyd", text,
                           self.lines.append)
        self.master = self.child.master
        for i, path in enumerate(keys):
            fd = os.open(path, os.O_RDONLY)
            self.master.send(encode(FILE, (STR, "key"), (U32, i), (STR, path),
                                    fds=1), [fd])
            os.close(fd)
        self.master.send(encode(GO))
        self.number = 0

    def ready(self):
        kind, values = self.master.recv()
        assert kind == READY, (kind, values)
        return self

    def give(self, sock, number, kind=KIND_WORKER):
        self.master.send(encode(PEER, (U8, kind), (U32, number), fds=1),
                         [sock.fileno()])
        sock.close()

    def worker(self):
        self.number += 1
        mine, theirs = pair()
        self.give(theirs, self.number)
        return mine

    def stop(self):
        self.child.end()
        shutil.rmtree(self.dir, ignore_errors=True)


class Set:
    """The far ends of one worker's channels."""

    def __init__(self, number, auth, key, master):
        self.number = number
        self.auth, self.key, self.master = auth, key, master

    def close(self):
        for c in (self.auth, self.key, self.master):
            c.close()


class Login:
    """The login parent with everybody else played."""

    def __init__(self, settings="", tls=True, keyd=True):
        self.dir = server.scratch()
        self.root = os.path.join(self.dir, "empty")
        os.mkdir(self.root, 0o555)
        self.lines = []
        self.sets = []
        self.keyd = None
        text = "log_level = debug\nauth = passwd-file\n" \
            "auth_mechanisms = plain\n" + settings
        if server.is_root():
            text += "self_uid = %d\nself_gid = %d\nself_root = %s\n" % (
                LOGIN_UID, LOGIN_UID, self.root)
        self.child = Child(program("login", "login"), "login", text,
                           self.lines.append, {"LD_BIND_NOW": "1"})
        self.master = self.child.master
        self.imap_port, self.imaps_port, self.pop3_port = proc.free_ports(3)
        self.listen(self.imap_port, 1, False)
        self.listen(self.pop3_port, 2, False)
        if tls:
            self.listen(self.imaps_port, 1, True)
            cert, key = certs.make(self.dir)
            if keyd:
                self.keyd = Keyd([key]).ready()
            fd = os.open(cert, os.O_RDONLY)
            self.master.send(encode(CERT, (U32, 0), (BOOL, False),
                                    (STR, cert), fds=1), [fd])
            os.close(fd)
            self.master.send(encode(TICKETS, (BLOB, b"k" * 64)))
        self.master.send(encode(GO))

    def listen(self, port, service, tls):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", port))
        s.listen(64)
        self.master.send(encode(LISTENER, (U8, service), (BOOL, tls),
                                (BOOL, False), (STR, "x"), fds=1),
                         [s.fileno()])
        s.close()

    def feed(self, ready=True, most=100):
        """Gives what is asked for until READY has come (or, later, until
        nothing is asked for)."""
        while most:
            try:
                kind, values = self.master.recv(10 if ready else 0.3)
            except TimeoutError:
                assert not ready
                return self
            if kind == READY:
                ready = False
            elif kind == NEED:
                for _ in range(min(values[0], most)):
                    self.give_set()
                    most -= 1
            else:
                raise AssertionError((kind, values, self.lines))
        return self

    def give_set(self):
        number = len(self.sets) + 1
        auth, auth_w = pair()
        own, own_w = pair()
        key, key_w = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if self.keyd:
            self.keyd.give(key, number, KIND_WORKER if self.sets else
                           KIND_FIRST_WORKER)
            key = None
        self.sets.append(Set(number, auth, Channel(key) if key else None,
                             own))
        self.master.send(encode(WORKER, (U32, number), fds=3),
                         [auth_w.fileno(), key_w.fileno(), own_w.fileno()])
        for s in (auth_w, own_w, key_w):
            s.close()

    def serving(self, timeout=20.0):
        """(set, type, fields): what the next worker asks of authd."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            by_fd = {s.auth.sock.fileno(): s for s in self.sets
                     if s.auth.sock.fileno() != -1}
            ready = select.poll()
            for fd in by_fd:
                ready.register(fd, select.POLLIN)
            for fd, _ in ready.poll(200):
                try:
                    return (by_fd[fd], *by_fd[fd].auth.recv(1))
                except Gone:
                    by_fd[fd].auth.close()
        raise TimeoutError("nobody asks authd")

    def stop(self):
        self.child.end()
        if self.keyd:
            self.keyd.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


def handoff(channel, timeout=20.0):
    """(fields of HANDOFF, client's socket, what the second descriptor has)."""
    kind, values, fds = channel.recv_fds(timeout)
    assert kind == HANDOFF and len(fds) in (1, 2), (kind, values, fds)
    client = socket.socket(fileno=fds[0])
    if len(fds) == 1:
        return values, client, None
    second = socket.socket(fileno=fds[1])
    data = second.recv(131072)
    second.close()
    return values, client, data

