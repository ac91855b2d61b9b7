# SPDX-License-Identifier: ISC
"""server.py - what the servers under test have in common."""
import contextlib
import errno
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import weakref

from . import maildir, proc, slow, wire

# The uid of everybody in tests that have one uid for all. Processes of pytest
# that run side by side have others: a uid has 128 inotify instances.
TEST_UID = 20001 + 1000 * int(
    re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "")) or 0)
PASSWORD = "secret"


def is_root():
    return os.geteuid() == 0


def scratch(prefix="restante-test."):
    """A folder that other uids can pass through (pytest's are 0700)."""
    path = tempfile.mkdtemp(prefix=prefix, dir="/tmp")
    os.chmod(path, 0o755)
    return path


def has_access_lists():
    """Whether the file system of scratch() has POSIX ones."""
    path = scratch()
    try:
        os.getxattr(path, "system.posix_acl_access")
    except OSError as e:
        return e.errno != errno.EOPNOTSUPP
    finally:
        os.rmdir(path)
    return True


def below(top):
    """(path, whether it is a folder) of `top` and all in it. A server's
    processes write on after they have answered: what is listed here, a lock
    for example, may be gone in the next moment."""
    for base, _, files in os.walk(top):
        yield base, True
        for name in files:
            yield os.path.join(base, name), False


def set_modes(top, folders, files):
    """As chmod -R does."""
    for path, is_folder in below(top):
        with contextlib.suppress(FileNotFoundError):
            os.chmod(path, folders if is_folder else files)


def serving(s):
    """For a fixture: a server (or a pair of them) while it is in use."""
    try:
        s.start()
        yield s
    finally:
        try:
            s.stop()
        finally:
            s.remove()


def starting(make):
    """For a fixture: a function that starts what make(...) gives, for as long
    as the test lasts."""
    running = []

    def begin(*args, **kw):
        s = make(*args, **kw)
        running.append(s)
        return s.start()

    yield begin
    for s in running:
        try:
            s.stop()
        finally:
            s.remove()


there = weakref.WeakSet()


def with_logs(since):
    """The servers that have said something since then (time.time())."""
    found = []
    for s in there:
        with contextlib.suppress(OSError):
            if os.stat(s.log_path).st_mtime >= since:
                found.append(s)
    return found


class Server:
    """A private server below a folder of its own, ended by its pid."""

    name = "server"

    def __init__(self, users=("alice", "bob"), uid=TEST_UID):
        self.dir = scratch()
        there.add(self)
        self.uid = uid if is_root() else os.geteuid()
        self.users = list(users)
        self.log_path = os.path.join(self.dir, "log")
        self.log_seen = 0
        self.process = None
        self.open = []
        ports = proc.free_ports(4)
        self.imap_port, self.imaps_port, self.pop3_port, self.pop3s_port = \
            ports
        os.makedirs(os.path.join(self.dir, "home"))
        for user in self.users:
            self.make_home(user)

    # ---- users ---------------------------------------------------------------

    def uid_of(self, user):
        return self.uid

    def home(self, user):
        return os.path.join(self.dir, "home", user)

    def maildir(self, user="alice", folder=""):
        return os.path.join(self.home(user), "Maildir", folder)

    def make_home(self, user):
        os.makedirs(self.home(user), exist_ok=True)
        self.own(self.home(user), user)
        maildir.create(self.maildir(user), self.uid_of(user))

    def own(self, path, user):
        if is_root():
            os.chown(path, self.uid_of(user), self.uid_of(user))

    def deliver(self, user, message, **kw):
        return maildir.deliver(self.maildir(user), message,
                               owner=self.uid_of(user), **kw)

    def fill(self, user, n, **kw):
        for i in range(1, n + 1):
            self.deliver(user, maildir.message(i, **kw))

    def own_tree(self, path, uid):
        if not is_root():
            return
        for root, dirs, files in os.walk(path):
            for name in [root] + [os.path.join(root, f)
                                  for f in dirs + files]:
                with contextlib.suppress(FileNotFoundError):
                    os.chown(name, uid, uid, follow_symlinks=False)

    # ---- connections ---------------------------------------------------------

    def imap(self, user=None, password=PASSWORD, tls=False, **kw):
        c = wire.Imap("127.0.0.1", self.imaps_port if tls else self.imap_port,
                      tls=tls, **kw)
        self.open.append(c)
        if user:
            c.login(user, password)
        return c

    def pop3(self, user=None, password=PASSWORD, tls=False, **kw):
        c = wire.Pop3("127.0.0.1", self.pop3s_port if tls else self.pop3_port,
                      tls=tls, **kw)
        self.open.append(c)
        if user:
            c.login(user, password)
        return c

    def close_all(self):
        for c in self.open:
            c.close()
        self.open = []

    # ---- log -----------------------------------------------------------------

    def log(self):
        try:
            with open(self.log_path, errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def new_log(self):
        """What was logged since the last call."""
        text = self.log()
        part, self.log_seen = text[self.log_seen:], len(text)
        return part

    def wait_log(self, pattern, timeout=30):
        """Waits for a line that matches; the match comes back."""
        end = time.monotonic() + slow.seconds(timeout)
        while time.monotonic() < end:
            match = re.search(pattern, self.log())
            if match:
                return match
            time.sleep(0.02)
        raise AssertionError("no %r in the log:\n%s" % (pattern, self.log()))

    # ---- life ----------------------------------------------------------------

    def run(self, argv, uid=None, gid=None, **kw):
        if is_root() and uid is not None:
            kw.update(user=uid, group=gid if gid is not None else uid,
                      extra_groups=[])
        return subprocess.Popen(argv, **kw)

    def wait_port(self, port, timeout=60):
        end = time.monotonic() + slow.seconds(timeout)
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                if self.process and self.process.poll() is not None:
                    break
                time.sleep(0.02)
        raise AssertionError("%s does not listen on %d:\n%s" %
                             (self.name, port, self.log()))

    def pid(self):
        return self.process.pid

    def stop(self, how=signal.SIGTERM, timeout=30):
        self.close_all()
        if self.process is None:
            return
        process, self.process = self.process, None
        if process.poll() is None:
            process.send_signal(how)
            try:
                process.wait(slow.seconds(timeout))
            except subprocess.TimeoutExpired:
                for pid in reversed(proc.tree(process.pid)):
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
                process.wait()
                raise AssertionError("%s did not stop:\n%s" %
                                     (self.name, self.log()))

    def remove(self):
        shutil.rmtree(self.dir, ignore_errors=True)
