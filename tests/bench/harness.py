# SPDX-License-Identifier: ISC
"""harness.py - what the scenarios share: the two servers, and measuring them.

CPU is utime + stime of all processes of a server, with those that have been
reaped (group.py); the client is not in it.
"""
import os
import shutil
import signal
import ssl
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
# pylint: disable=wrong-import-position
from lib import dovecot, proc, restante, server, wire  # noqa: E402
import group  # noqa: E402
import mail  # noqa: E402

USERS = 600          # u1.. with empty mail; enough for "first login" rounds
POP = "pop"          # 1,000 messages
FOLDERS = "folders"  # 200 folders with 20 messages each
MBOX_LOCATION = "mbox:~/mail:INBOX=~/inbox"

DOVECOT_LIMITS = """
default_process_limit = 8000
default_client_limit = 18000
default_vsz_limit = 4 G
mail_max_userip_connections = 5000
service imap {
  process_limit = 8000
}
service imap-login {
  process_limit = 8000
}
service pop3-login {
  process_limit = 1000
}
"""


def context(resume=False):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname = False
    c.verify_mode = ssl.CERT_NONE
    if not resume:
        c.options |= ssl.OP_NO_TICKET
    return c


NO_TICKET = context()


class Bulk:
    """Counts the bytes of one answer without looking at them."""

    room = bytearray(1 << 20)
    view = memoryview(room)

    def __init__(self, conn):
        self.conn = conn

    def run(self, command):
        c = self.conn
        tag = c.start(command)
        end = b"\r\n" + tag + b" "
        tail, total = b"\r\n" + c.buffer, len(c.buffer)
        c.buffer = b""
        c.sock.settimeout(600)
        while True:
            n = c.sock.recv_into(self.view)
            if n == 0:
                raise wire.Closed()
            total += n
            if n < 128:
                tail = (tail + bytes(self.view[:n]))[-512:]
            else:
                tail = bytes(self.view[max(0, n - 512):n])
            if end in tail and tail.endswith(b"\r\n"):
                status = tail[tail.rindex(end) + len(end):]
                assert status.startswith(b"OK"), status
                return total


class Measure:
    """with Measure(server) as m: ...; then m.cpu and m.wall in seconds.
    `settle`: what is still done behind the answer counts too. `name`: of
    several in one run, that whose figures begin with it."""

    recorder = None  # profile.py's, while it looks at a row

    def __init__(self, srv, settle=0.0, name=""):
        self.srv, self.settle, self.name = srv, settle, name

    def __enter__(self):
        if self.recorder:
            self.recorder.begin(self.name)
        self.cpu0 = group.cpu(self.srv)
        self.t0 = time.monotonic()
        return self

    def __exit__(self, *what):
        self.wall = time.monotonic() - self.t0
        if self.settle:
            time.sleep(self.settle)
        self.cpu = group.cpu(self.srv) - self.cpu0
        if self.recorder:
            self.recorder.end(self.name, self.cpu)

    @classmethod
    def memory(cls, pids):
        """What these processes have is what the row measures."""
        if cls.recorder:
            cls.recorder.memory(pids)


def each(m, n):
    """The figures of n operations of one kind."""
    return {"cpu_ms": m.cpu / n * 1e3, "wall_ms": m.wall / n * 1e3}


def box(store, size):
    """The user with a mailbox of this many messages."""
    return "%s%d" % ("m" if store == "mbox" else "b", size)


def open_box(srv, user, tls=False, examine=False):
    c = srv.imap(user, tls=tls, context=NO_TICKET if tls else None,
                 timeout=600)
    c.ok("EXAMINE INBOX" if examine else "SELECT INBOX")
    return c


# ---- sessions and what they leave --------------------------------------------

AFTER_LOGIN = 0.02
SESSION_PROGRAMS = {"restante": ("imapd", "pop3d"),
                    "dovecot": ("imap", "pop3")}


def session_pids(srv, user):
    """The processes that serve this user's sessions."""
    found = []
    for pid in proc.tree(srv.pid()):
        try:
            exe = os.path.basename(os.readlink("/proc/%d/exe" % pid))
            uid = os.stat("/proc/%d" % pid).st_uid
        except OSError:
            continue
        # A process that is not dumpable belongs to root there.
        if exe in SESSION_PROGRAMS[srv.name] and \
                (uid == srv.uid_of(user) or (
                    uid == 0 and real_uid(pid) == srv.uid_of(user))):
            found.append(pid)
    return found


def real_uid(pid):
    try:
        with open("/proc/%d/status" % pid) as f:
            for line in f:
                if line.startswith("Uid:"):
                    return int(line.split()[1])
    except OSError:
        pass
    return -1


def end_sessions(srv, user):
    """The next session of this user gets a process that knows nothing."""
    end = time.monotonic() + 60
    asked = set()
    while True:
        pids = session_pids(srv, user)
        if not pids:
            return
        assert time.monotonic() < end, (srv.name, user, pids)
        for pid in pids:
            if pid not in asked and srv.name == "restante":
                asked.add(pid)
                try:
                    os.kill(pid, signal.SIGTERM)
                except ProcessLookupError:
                    pass
        time.sleep(0.01)


def at_rest(srv, user):
    """A user's mail lies as on a machine in use: written out, so that no run
    shares the machine with the writing of what was made before it, and in
    memory, until the row has been run. A machine that gives idle memory back
    (DAMON) drops what was read a few seconds ago; whoever comes first then
    waits for the disk, and asking it takes more CPU than a whole row does
    (10,000 messages by bare calls: 40 ms, 100 to 380 after a pause). As mail
    rests while the other server has its turn, that went to both alike and hid
    what they do. When times of access are written is the servers' own affair:
    they stay."""
    os.sync()
    mail.release()
    for folder, _, names in os.walk(srv.home(user)):
        # By name, as both servers come to them.
        for name in sorted(names):
            path = os.path.join(folder, name)
            if name == "inbox" or os.path.basename(folder) in ("cur", "new"):
                mail.hold(path)
            else:
                os.lstat(path)


def fresh(srv, user):
    """A session in a process that has just been started, a round trip after
    its login; what that leaves to do is not measured."""
    end_sessions(srv, user)
    at_rest(srv, user)
    c = srv.imap(user, timeout=600)
    time.sleep(AFTER_LOGIN)
    return c


def remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass


def forget(srv, user):
    """Removes all that a server keeps beside the mail: the next session is
    the first ever. An mbox becomes again what the MTA left."""
    end_sessions(srv, user)
    for place in ("index", "state"):
        top = os.path.join(srv.dir, place, user)
        if os.path.isdir(top):
            for name in os.listdir(top):
                remove(os.path.join(top, name))
    home = srv.home(user)
    for folder in (os.path.join(home, "Maildir"), os.path.join(home, "mail"),
                   home):
        if os.path.isdir(folder):
            for name in os.listdir(folder):
                if name.startswith(("dovecot", "restante", ".imap")):
                    remove(os.path.join(folder, name))
    if hasattr(srv, "templates") and user in srv.templates:
        mail.copy_file(srv.templates[user], os.path.join(home, "inbox"),
                       srv.uid_of(user))


# ---- the two -----------------------------------------------------------------

def servers(opt):
    users = ["u%d" % i for i in range(1, USERS + 1)] + [POP, FOLDERS]
    mbox = []
    for size in opt.sizes:
        users.append(box("maildir", size))
        mbox.append(box("mbox", size))
    users += mbox
    uids = {u: server.TEST_UID + i for i, u in enumerate(users)}
    extra = {u: MBOX_LOCATION for u in mbox}
    found = {}
    if "restante" in opt.servers:
        found["restante"] = restante.Restante(
            users=users, separate=True, settings={
                "log_level": "info", "max_connections": 20000,
                "max_sessions_per_address": 20000,
                "max_sessions_per_user": 5000, "login_workers_max": 2000},
            extra={u: "userdb_mail=" + x for u, x in extra.items()})
    if "dovecot" in opt.servers:
        found["dovecot"] = dovecot.Dovecot(
            users=users, tls=True, uids=uids, settings=DOVECOT_LIMITS,
            extra=extra)
    return found


class Mail:
    """Makes a server's mail when a row first asks for it."""

    def __init__(self, opt):
        self.opt, self.made = opt, set()
        self.scratch = server.scratch("bench-mbox.")

    def need(self, srv, what):
        if (srv.name, what) in self.made:
            return
        self.made.add((srv.name, what))
        if what == POP:
            mail.fill_maildir(srv.maildir(POP), 1000, srv.uid_of(POP))
        elif what == FOLDERS:
            self.folders(srv)
        elif what[0] == "maildir":
            user = box(*what)
            mail.fill_maildir(srv.maildir(user), what[1], srv.uid_of(user))
        elif what[0] == "mbox":
            self.mbox(srv, *what)

    def folders(self, srv):
        uid = srv.uid_of(FOLDERS)
        for i in range(200):
            path = srv.maildir(FOLDERS, ".Folder%03d" % i)
            restante_make(path, uid)
            mail.fill_maildir(path, 20, uid)

    def mbox(self, srv, store, size):
        user = box(store, size)
        template = os.path.join(self.scratch, user)
        if not os.path.exists(template):
            mail.fill_mbox(template, size)
        if not hasattr(srv, "templates"):
            srv.templates = {}
        srv.templates[user] = template
        home, uid = srv.home(user), srv.uid_of(user)
        shutil.rmtree(os.path.join(home, "Maildir"), ignore_errors=True)
        os.makedirs(os.path.join(home, "mail"), exist_ok=True)
        os.chown(os.path.join(home, "mail"), uid, uid)
        mail.copy_file(template, os.path.join(home, "inbox"), uid)

    def end(self):
        shutil.rmtree(self.scratch, ignore_errors=True)


def restante_make(path, uid):
    for sub in ("", "cur", "new", "tmp"):
        os.makedirs(os.path.join(path, sub), exist_ok=True)
        os.chown(os.path.join(path, sub), uid, uid)
