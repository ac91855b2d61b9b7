# SPDX-License-Identifier: ISC
"""spool.py - spoold alone, with the test in the place of master and of the
users' processes."""
import os
import shutil

from . import server
from .authd import BOOL, STR, U32, U64, Child, encode, pair
from .login import FILE, GO, READY, program

CLIENT, LOCK, UNLOCK, TOUCH, HELD, BUSY, REFUSED, CUT = range(144, 152)
SPOOL_UID, SPOOL_GID = 64105, 64106


class User:
    """A user's process, as spoold sees it."""

    def __init__(self, spoold, name, pid, uid):
        self.name, self.pid, self.uid = name, pid, uid
        self.chan, self.theirs = pair()
        self.offer(spoold)
        self.ticket = 0

    def offer(self, spoold):
        """Master gives spoold, or the next one, its end."""
        spoold.master.send(
            encode(CLIENT, (U32, self.pid), (U32, self.uid), (U32, self.uid),
                   (STR, self.name), fds=1), [self.theirs.fileno()])

    def forget(self):
        """Master lets go of it."""
        self.theirs.close()

    def ask(self, create=False):
        self.ticket += 1
        self.chan.send(encode(LOCK, (U32, self.ticket), (BOOL, create)))

    def answer(self):
        kind, values = self.chan.recv()
        assert values[0] == self.ticket
        return kind, values[1:]

    def lock(self, **kw):
        self.ask(**kw)
        return self.answer()

    def unlock(self, dev=0, ino=0):
        self.chan.send(encode(UNLOCK, (U64, dev), (U64, ino)))

    def touch(self, dev=0, ino=0):
        self.chan.send(encode(TOUCH, (U64, dev), (U64, ino)))

    def close(self):
        self.chan.close()
        self.theirs.close()


class Spoold:
    def __init__(self, spool=None, mode=0o2775, group=SPOOL_GID):
        self.dir = server.scratch()
        self.root = os.path.join(self.dir, "empty")
        os.mkdir(self.root, 0o555)
        self.spool = spool or os.path.join(self.dir, "mail")
        if spool is None:
            os.mkdir(self.spool)
            if server.is_root():
                os.chown(self.spool, 0, group)
            os.chmod(self.spool, mode)
        self.lines = []
        self.users = []
        self.start()

    def start(self):
        text = "log_level = debug\n"
        if server.is_root():
            text += "self_uid = %d\nself_gid = %d\nself_root = %s\n" % (
                SPOOL_UID, SPOOL_UID, self.root)
        self.child = Child(program("spool", "spoold"), "spoold", text,
                           self.lines.append)
        self.master = self.child.master
        if os.path.isdir(self.spool):
            fd = os.open(self.spool, os.O_RDONLY | os.O_DIRECTORY)
            self.master.send(encode(FILE, (STR, "spool"), (U32, 0),
                                    (STR, self.spool), fds=1), [fd])
            os.close(fd)
        self.master.send(encode(GO))
        kind, values = self.master.recv()
        assert kind == READY, (kind, values)
        return self

    def user(self, name, pid, uid=None):
        if uid is None:
            uid = server.TEST_UID if server.is_root() else os.geteuid()
        u = User(self, name, pid, uid)
        self.users.append(u)
        return u

    def path(self, name):
        return os.path.join(self.spool, name)

    def end(self, keep=False):
        if not keep:
            for u in self.users:
                u.close()
            self.users = []
        self.child.end()

    def stop(self):
        self.end()
        shutil.rmtree(self.dir, ignore_errors=True)
