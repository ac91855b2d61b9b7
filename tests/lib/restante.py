# SPDX-License-Identifier: ISC
"""restante.py - the real restanted below a folder of its own.

As root there are two ways: everything as one unprivileged uid (what an
ordinary user gets), or the whole privilege separation with service accounts
by number. Real accounts in a namespace are in namespace.py.
"""
import json
import os
import shutil
import subprocess
import time

from . import certs, server, slow

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BUILD = os.environ.get("RESTANTE_BUILD") or os.path.join(TOP, "build")
SANITIZED = bool(os.environ.get("RESTANTE_SANITIZE"))
# A folder for what valgrind finds (make check-valgrind).
VALGRIND = os.environ.get("RESTANTE_VALGRIND")
SERVICE_UID = server.TEST_UID + 899  # and the five behind it
SPOOL_GID = 20990  # as the group mail
SERVICES = ("login", "key", "auth", "pass", "spool", "log")

staged = None


def programs():
    """A folder with all programs that every uid can run: `make` made links
    in build/bin; a checkout below a closed folder is copied out of it."""
    global staged
    here = os.path.join(BUILD, "bin")
    if not server.is_root() and not VALGRIND:
        return here
    if staged is None or not os.path.isdir(staged):
        staged = server.scratch("restante-bin.")
        shutil.copy(os.path.join(TOP, "tests", "lib", "valgrind.supp"),
                    os.path.join(staged, "supp"))
        for name in os.listdir(here):
            shutil.copy2(os.path.join(here, name), staged)
            os.chmod(os.path.join(staged, name), 0o755)
            if VALGRIND and name != "restantectl":
                wrap(os.path.join(staged, name))
    return staged


def wrap(path):
    """Puts valgrind in the place of a program. It writes to descriptor 2, a
    pipe, because its processes may write no file."""
    os.rename(path, path + ".real")
    with open(path, "w") as f:
        f.write("#!/bin/sh\nexec valgrind -q --vgdb=no --log-fd=2 --leak-check=full "
                "--errors-for-leak-kinds=definite "
                "--show-leak-kinds=definite --suppressions=%s %s.real "
                "\"$@\"\n" % (os.path.join(staged, "supp"), path))
    os.chmod(path, 0o755)


def unstage():
    global staged
    if staged:
        shutil.rmtree(staged, ignore_errors=True)
        staged = None


class Restante(server.Server):
    """`settings` is a dict for the file's top, `more` text below it.
    `separate`: the full privilege separation (needs root)."""

    name = "restante"

    def __init__(self, users=("alice", "bob"), settings=None, more="",
                 separate=False, extra=None, tls=True, scheme="PLAIN",
                 passwords=None, **kw):
        self.separate = separate and server.is_root()
        super().__init__(users=users, **kw)
        self.settings = settings or {}
        self.more = more
        self.extra = extra or {}
        self.passwords = passwords or {}
        self.scheme = scheme
        self.config = os.path.join(self.dir, "restante.conf")
        self.passwd = os.path.join(self.dir, "passwd")
        self.spool = os.path.join(self.dir, "spool")
        self.make_spool()
        self.cert = self.key = None
        if tls:
            self.cert, self.key = certs.make(self.dir)

    def make_spool(self):
        """As /var/mail: the users can write to it only through spoold."""
        os.mkdir(self.spool)
        if self.separate:
            os.chown(self.spool, 0, SPOOL_GID)
        os.chmod(self.spool, 0o2775)

    def uid_of(self, user):
        if not getattr(self, "separate", False):
            return self.uid
        return server.TEST_UID + self.users.index(user)

    def value(self, v):
        if isinstance(v, bool):
            return "yes" if v else "no"
        if isinstance(v, int):
            return str(v)
        if isinstance(v, (list, tuple)):
            return "{" + ", ".join(self.value(x) for x in v) + "}"
        return '"' + v.replace("\\", "\\\\").replace('"', '\\"') + '"'

    def effective(self):
        s = {
            "listen": ["127.0.0.1"],
            "imap_port": self.imap_port, "imaps_port": self.imaps_port,
            "pop3_port": self.pop3_port, "pop3s_port": self.pop3s_port,
            "auth": ["passwd-file"], "passwd_file": self.passwd,
            "run_dir": os.path.join(self.dir, "run"),
            "state_dir": os.path.join(self.dir, "state"),
            "index_dir": os.path.join(self.dir, "index"),
            "spool_dir": self.spool,
            "log": self.log_path, "log_level": "debug",
            "libexec_dir": programs(),
            "first_valid_uid": 500, "max_sessions_per_user": 1000,
            # Each process has one of the 128 inotify instances of its uid.
            "process_linger": 10,
            "max_sessions_per_address": 5000,
            "mail_location": "maildir:~/Maildir",
            # In the plain form all users share one uid's inotify instances;
            # where they are used up, processes poll.
            "poll_interval": 1,
        }
        if self.cert:
            s["tls_cert"], s["tls_key"] = [self.cert], [self.key]
        else:
            s["tls"] = "no"
        if self.separate:
            for i, name in enumerate(SERVICES):
                s[name + "_user"] = str(SERVICE_UID + i)
        s.update(self.settings)
        return s

    def write_passwd(self):
        with open(self.passwd + ".new", "w") as f:
            for u in self.users:
                f.write("%s:{%s}%s:%d:%d::%s::%s\n" % (
                    u, self.scheme, self.passwords.get(u, server.PASSWORD),
                    self.uid_of(u), self.uid_of(u), self.home(u),
                    self.extra.get(u, "")))
        if self.separate:
            os.chmod(self.passwd + ".new", 0o640)
            os.chown(self.passwd + ".new", 0,
                     SERVICE_UID + SERVICES.index("pass"))
        os.rename(self.passwd + ".new", self.passwd)

    def write(self):
        with open(self.config + ".new", "w") as f:
            for name, v in self.effective().items():
                f.write("%s = %s\n" % (name, self.value(v)))
            f.write(self.more)
        os.rename(self.config + ".new", self.config)
        self.write_passwd()

    def start(self, wait=True):
        self.write()
        if not self.separate:
            self.own_tree(self.dir, self.uid)
        argv = [os.path.join(programs(), "restanted"), "-F", "-c",
                self.config]
        self.errors = open(os.path.join(self.dir, "stderr"), "ab")
        if not self.separate and server.is_root():
            os.chown(self.errors.name, self.uid, self.uid)
        errors = self.errors
        if VALGRIND:
            errors = subprocess.Popen(["cat"], stdin=subprocess.PIPE,
                                      stdout=self.errors).stdin
        self.process = self.run(
            argv, None if self.separate else self.uid,
            stdin=subprocess.DEVNULL, stdout=errors,
            stderr=errors, cwd="/")
        errors.close()
        self.errors.close()
        if wait:
            self.wait_port(self.imap_port or self.imaps_port)
            # clients are greeted a moment before the master says "ready"
            self.wait_control()
        return self

    def stop(self, *args, **kw):
        super().stop(*args, **kw)
        if VALGRIND:
            self.keep_findings()

    def keep_findings(self):
        time.sleep(0.2)
        try:
            with open(os.path.join(self.dir, "stderr"),
                      errors="replace") as f:
                found = [line for line in f if line.startswith("==")]
        except FileNotFoundError:
            return
        if found:
            with open(os.path.join(VALGRIND, os.path.basename(self.dir)),
                      "w") as f:
                f.writelines(found)

    def wait_control(self, timeout=60):
        end = time.monotonic() + slow.seconds(timeout)
        while not os.path.exists(os.path.join(self.dir, "run", "control")):
            assert time.monotonic() < end and self.process.poll() is None, \
                self.log()
            time.sleep(0.005)

    def log(self):
        time.sleep(0.03)  # logd gathers lines for some milliseconds
        text = super().log()
        try:
            with open(os.path.join(self.dir, "stderr"),
                      errors="replace") as f:
                return text + f.read()
        except FileNotFoundError:
            return text

    def new_log(self):
        """Without standard error, which log() has behind the log: what comes
        into the log later would not be at the end."""
        time.sleep(0.03)
        text = super().log()
        part, self.log_seen = text[self.log_seen:], len(text)
        return part

    def reload(self):
        self.write()
        os.kill(self.pid(), 1)

    def ctl(self, *argv, ok=True, user=None):
        """restantectl; what it prints. With --json: the parsed value."""
        run = subprocess.run(
            [os.path.join(programs(), "restantectl"), "-c", self.config,
             *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            timeout=slow.seconds(60), **({} if self.separate or not server.is_root() else
                           {"user": self.uid, "group": self.uid,
                            "extra_groups": []}))
        if ok is not None:
            assert (run.returncode == 0) == ok, (argv, run)
        if "--json" in argv:
            return json.loads(run.stdout)
        return (run.stdout + run.stderr).decode()

    def pids(self, program):
        """Running processes of ours with this name (process titles vary:
        the executable's name counts)."""
        from . import proc
        found = []
        for pid in proc.tree(self.pid()):
            try:
                exe = os.readlink("/proc/%d/exe" % pid)
                if VALGRIND:
                    with open("/proc/%d/cmdline" % pid) as f:
                        exe = f.read().partition(".real")[0]
            except OSError:
                continue
            if os.path.basename(exe) == program:
                found.append(pid)
        return found

    def wait_pids(self, program, test, timeout=30):
        """Waits until test(pids of program) is true."""
        end = time.monotonic() + slow.seconds(timeout)
        while True:
            pids = self.pids(program)
            if test(pids):
                return pids
            assert time.monotonic() < end, (program, pids, self.log())
            time.sleep(0.02)


def with_spool(users, separate=False):
    """Mail in mbox files: each user's INBOX in the folder spool/."""
    s = Restante(users=users, separate=separate)
    spool = os.path.join(s.dir, "spool")
    os.makedirs(spool, exist_ok=True)
    if not separate:
        os.chmod(spool, 0o1777)
    s.extra = {u: "userdb_mail=mbox:~/mail:INBOX=%s/%s" % (spool, u)
               for u in users}
    s.write_passwd()
    return s
