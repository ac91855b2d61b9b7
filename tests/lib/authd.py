# SPDX-License-Identifier: ISC
"""authd.py - authd and its spawner alone, with the test in the place of master
and of the login workers: what each of them may say can be said wrongly."""
import base64
import contextlib
import fcntl
import hashlib
import hmac
import os
import select
import shutil
import signal
import socket
import struct
import threading
import time

from . import proc, restante, server, slow

U8, U16, U32, U64, BOOL, STR, BLOB = range(1, 8)
NUMBERS = {U8: ">B", U16: ">H", U32: ">I", U64: ">Q", BOOL: ">B"}

PEER, FILE, GO, READY, FAILED, STOP = range(1, 7)
KIND_WORKER, KIND_AUTHD, KIND_SPAWNER = 1, 2, 3
LOG_LINE = 32
GRANT, GRANT_HELD = 40, 41
START, MORE, CANCEL, OK, FAIL = range(96, 101)
TRY_NEW, TRY_CHILD, TRY_CHILD_HOLD, TRY_REFUSED, TRY_WORK, TRY_RESULT, \
    HOLD_START, HOLD_STARTED, HOLD_ENDED = range(128, 137)

BAD, EXPIRED, CONTACTADMIN, NOT_ALLOWED, UNAVAILABLE, NEEDS_TLS, MECHANISM, \
    MALFORMED, CANCELLED = range(1, 10)

TLS, LOCAL = 1, 2

# Who they become, with root.
AUTH_UID, PASS_UID = 64101, 64102


def encode(kind, *fields, fds=0):
    """fields: (type, value) pairs."""
    out = struct.pack(">BBH", 1, fds, kind)
    for field, value in fields:
        out += bytes([field])
        if field in NUMBERS:
            out += struct.pack(NUMBERS[field], value)
        else:
            if isinstance(value, str):
                value = value.encode()
            out += struct.pack(">I", len(value)) + value
    return out


def decode(data):
    """(type, [values])."""
    version, _fds, kind = struct.unpack(">BBH", data[:4])
    assert version == 1, data
    rest, values = data[4:], []
    while rest:
        field, rest = rest[0], rest[1:]
        if field in NUMBERS:
            size = struct.calcsize(NUMBERS[field])
            values.append(struct.unpack(NUMBERS[field], rest[:size])[0])
        else:
            size = 4 + struct.unpack(">I", rest[:4])[0]
            value = rest[4:size]
            values.append(value.decode() if field == STR else value)
        rest = rest[size:]
    return kind, values


class Gone(Exception):
    """The other end has closed the channel."""


class Channel:
    """One end of a SOCK_SEQPACKET pair."""

    def __init__(self, sock):
        self.sock = sock

    def send(self, data, fds=()):
        try:
            if fds:
                socket.send_fds(self.sock, [data], list(fds))
            else:
                self.sock.send(data)
        except (BrokenPipeError, ConnectionResetError):
            raise Gone() from None

    def recv_fds(self, timeout=30.0):
        """(type, values, descriptors)."""
        if not readable(self.sock, slow.seconds(timeout)):
            raise TimeoutError("nothing came")
        try:
            data, fds, _flags, _from = socket.recv_fds(
                self.sock, 131072, 16)
        except ConnectionResetError:
            # The peer left something unread; its last words come behind.
            data, fds, _flags, _from = socket.recv_fds(
                self.sock, 131072, 16)
        if not data:
            raise Gone()
        return decode(data) + (fds,)

    def recv(self, timeout=30.0):
        kind, values, fds = self.recv_fds(timeout)
        assert not fds
        return kind, values

    def is_open(self, timeout=2.0):
        try:
            self.recv(timeout)
        except Gone:
            return False
        except TimeoutError:
            pass
        return True

    def close(self):
        self.sock.close()


def readable(sock, timeout):
    """As select(), also for high descriptors."""
    p = select.poll()
    p.register(sock, select.POLLIN)
    return bool(p.poll(None if timeout is None else timeout * 1000))


def pair():
    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Channel(a), b


class Child:
    """A process as master starts it: descriptors 3, 4 and 5."""

    def __init__(self, path, name, settings, on_log, env=()):
        self.master, theirs = pair()
        self.log, log_theirs = pair()
        memory = os.memfd_create("settings")
        os.write(memory, settings.encode())
        os.lseek(memory, 0, os.SEEK_SET)
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 100) for fd in
                (theirs.fileno(), log_theirs.fileno(), memory)]
        actions = [(os.POSIX_SPAWN_DUP2, fd, 3 + i)
                   for i, fd in enumerate(high)]
        self.pid = os.posix_spawn(
            path, [name],
            {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C",
             **server_environment(), **dict(env)}, file_actions=actions,
            setsigdef=[signal.SIGPIPE])
        for fd in high + [memory]:
            os.close(fd)
        theirs.close()
        log_theirs.close()
        self.reader = threading.Thread(
            target=self.read_log, args=(on_log,), daemon=True)
        self.reader.start()

    def read_log(self, on_log):
        while True:
            try:
                kind, values = self.log.recv(None)
            except (Gone, OSError, ValueError):
                return
            if kind == LOG_LINE:
                on_log(values[2])

    def wait(self, timeout=30.0):
        end = time.monotonic() + slow.seconds(timeout)
        while time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = None
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.01)
        raise TimeoutError("still there")

    def end(self):
        self.master.close()
        if self.pid is not None:
            try:
                self.wait()
            except TimeoutError:
                os.kill(self.pid, signal.SIGKILL)
                self.wait()


def server_environment():
    """What a sanitizer or a wrapped libpam need to get through."""
    return {k: v for k, v in os.environ.items()
            if k.startswith(("ASAN_", "UBSAN_", "PAM_WRAPPER", "LD_PRELOAD"))}


class Authd:
    """Both roles and what the test plays: master and login workers."""

    def __init__(self, passwd="", settings=(), separate=None, sources=(
            "passwd-file",), memory=None):
        self.separate = server.is_root() if separate is None else separate
        self.dir = server.scratch()
        self.passwd_path = os.path.join(self.dir, "passwd")
        self.write_passwd(passwd)
        self.root = os.path.join(self.dir, "empty")
        os.mkdir(self.root, 0o555)
        self.lines = []
        self.grants = []
        self.next_worker = 0
        text = {"passwd_file": self.passwd_path, "first_valid_uid": 1000,
                "log_level": "debug"}
        text.update(dict(settings))
        self.settings = "".join("%s = %s\n" % kv for kv in text.items())
        self.settings += "".join("auth = %s\n" % s for s in sources)
        if "auth_mechanisms" not in text:
            self.settings += "".join(
                "auth_mechanisms = %s\n" % m for m in
                ("plain", "login", "scram-sha-256", "scram-sha-256-plus"))
        self.broker = self.spawner = None
        # what master keeps for it
        self.memory = None
        if memory is not None:
            self.memory = os.memfd_create("penalty")
            os.ftruncate(self.memory, memory)

    def write_passwd(self, text):
        new = self.passwd_path + ".new"
        with open(new, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(new, 0o600)
        os.rename(new, self.passwd_path)

    def program(self):
        return os.path.join(restante.BUILD, "master", "auth", "authd")

    def start_broker(self):
        text = self.settings + "role = broker\n"
        if self.separate:
            text += "self_uid = %d\nself_gid = %d\nself_root = %s\n" % (
                AUTH_UID, AUTH_UID, self.root)
        self.broker = Child(self.program(), "authd", text, self.lines.append)
        if self.memory is not None:
            self.broker.master.send(
                encode(FILE, (STR, "penalty"), (U32, 0), (STR, "penalty"),
                       fds=1), [self.memory])

    def start_spawner(self):
        text = self.settings + "role = spawner\nsalt_key = %s\n" % (
            "0123456789abcdef" * 2)
        if self.separate:
            text += "pass_uid = %d\npass_gid = %d\n" % (PASS_UID, PASS_UID)
        self.spawner = Child(
            self.program(), "spawner", text, self.lines.append)

    def connect(self):
        """A channel between the two."""
        a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.broker.master.send(
            encode(PEER, (U8, KIND_SPAWNER), (U32, 0), fds=1), [a.fileno()])
        self.spawner.master.send(
            encode(PEER, (U8, KIND_AUTHD), (U32, 0), fds=1), [b.fileno()])
        a.close()
        b.close()

    def start(self):
        self.start_broker()
        self.start_spawner()
        self.connect()
        for child in (self.broker, self.spawner):
            child.master.send(encode(GO))
            kind, values = child.master.recv()
            assert kind == READY, (kind, values, self.lines)
        return self

    def worker(self):
        self.next_worker += 1
        return Worker(self, self.next_worker)

    def grant(self, timeout=20.0):
        """The next GRANT as a dict."""
        kind, v, fds = self.broker.master.recv_fds(timeout)
        assert kind in (GRANT, GRANT_HELD), kind
        names = ("worker", "conn", "cookie", "peer_ip", "peer_port",
                 "service", "user", "uid", "gid", "home", "mail", "extra")
        out = dict(zip(names, v))
        out["held"] = Channel(socket.socket(fileno=fds[0])) if fds else None
        return out

    def no_grant(self):
        return not readable(self.broker.master.sock, 0.3)

    def log(self, text, timeout=20.0):
        """Waits for a log line with this text."""
        end = time.monotonic() + slow.seconds(timeout)
        while time.monotonic() < end:
            for line in self.lines:
                if text in line:
                    return line
            time.sleep(0.01)
        raise AssertionError("no line with %r in %r" % (text, self.lines))

    def stop(self):
        for child in (self.broker, self.spawner):
            if child is not None:
                child.end()
        if self.memory is not None:
            os.close(self.memory)
        shutil.rmtree(self.dir, ignore_errors=True)


class Worker:
    """A login worker's end, honest or not."""

    def __init__(self, authd, number):
        self.authd, self.number = authd, number
        self.channel, theirs = pair()
        authd.broker.master.send(
            encode(PEER, (U8, KIND_WORKER), (U32, number), fds=1),
            [theirs.fileno()])
        theirs.close()
        self.conv = 0
        self.conn = number * 1000

    def start(self, mech="PLAIN", initial=None, service=1, flags=TLS,
              ip=b"\xc0\x00\x02\x07", unique=b"", exporter=b""):
        self.conv += 1
        self.conn += 1
        self.channel.send(encode(
            START, (U32, self.conv), (U64, self.conn), (U64, 7),
            (U32, service), (U32, flags), (STR, mech),
            (BOOL, initial is not None), (BLOB, initial or b""),
            (BLOB, ip), (U16, 4711), (BLOB, b"\x7f\x00\x00\x01"),
            (U16, 143), (BLOB, unique), (BLOB, exporter)))

    def more(self, data):
        self.channel.send(encode(MORE, (U32, self.conv), (BLOB, data)))

    def cancel(self):
        self.channel.send(encode(CANCEL, (U32, self.conv)))

    def answer(self, timeout=30.0):
        """("ok",), ("fail", why), ("more", data)."""
        kind, v = self.channel.recv(timeout)
        assert v[0] == self.conv
        if kind == OK:
            assert len(v) == 1
            return ("ok",)
        if kind == FAIL:
            self.held_ms = v[2]
            return ("fail", v[1])
        assert kind == MORE, kind
        return ("more", v[1])

    def plain(self, user, password, **kw):
        self.start("PLAIN", b"\0" + user.encode() + b"\0" + password.encode(),
                   **kw)
        return self.answer(kw.get("timeout", 40.0))

    def close(self):
        self.channel.close()


class Scram:
    """The client's side of RFC 5802 with SHA-256, by hashlib."""

    def __init__(self, user, password, gs2="n,,", binding=b""):
        self.user, self.password = user, password.encode()
        self.gs2, self.binding = gs2, binding
        self.nonce = base64.b64encode(os.urandom(18)).decode()
        self.bare = "n=%s,r=%s" % (user, self.nonce)

    def first(self):
        return (self.gs2 + self.bare).encode()

    def final(self, server_first):
        fields = dict(f.split("=", 1)
                      for f in server_first.decode().split(","))
        assert fields["r"].startswith(self.nonce)
        self.salt, self.iter = fields["s"], int(fields["i"])
        salted = hashlib.pbkdf2_hmac(
            "sha256", self.password, base64.b64decode(self.salt), self.iter)
        client = hmac.digest(salted, b"Client Key", "sha256")
        stored = hashlib.sha256(client).digest()
        without = "c=%s,r=%s" % (base64.b64encode(
            self.gs2.encode() + self.binding).decode(), fields["r"])
        auth = ",".join((self.bare, server_first.decode(), without)).encode()
        proof = bytes(a ^ b for a, b in zip(
            client, hmac.digest(stored, auth, "sha256")))
        self.signature = hmac.digest(
            hmac.digest(salted, b"Server Key", "sha256"), auth, "sha256")
        return ("%s,p=%s" % (
            without, base64.b64encode(proof).decode())).encode()

    def check(self, server_final):
        assert server_final == b"v=" + base64.b64encode(self.signature)

    def run(self, worker, mech="SCRAM-SHA-256", **kw):
        """The whole exchange; the worker's last answer."""
        worker.start(mech, self.first(), **kw)
        answer = worker.answer()
        if answer[0] != "more":
            return answer
        worker.more(self.final(answer[1]))
        answer = worker.answer()
        if answer[0] != "more":
            return answer
        self.check(answer[1])
        worker.more(b"")
        return worker.answer()


def stored_key(password, salt=b"0123456789abcdef", count=4096):
    """What stands behind {SCRAM-SHA-256} in a passwd-file."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, count)
    client = hmac.digest(salted, b"Client Key", "sha256")
    keys = (hashlib.sha256(client).digest(),
            hmac.digest(salted, b"Server Key", "sha256"))
    return "{SCRAM-SHA-256}%d,%s" % (count, ",".join(
        base64.b64encode(k).decode() for k in (salt,) + keys))


YESCRYPT = ("$y$j9T$F5Jx5fExrKuPp53xLKQ..1$"
            "GmcwIgvdUC9qLWcKCi6gklUa1dM3ziD43YxYNURLKy0")  # "secret"

# As much work as fits into a child's memory.
SLOW = ("$y$jCT$F5Jx5fExrKuPp53xLKQ..1$"
        "QYVvejMG9cSPnQmjuT5SaoXCLmDqEaf2SZR1XnuxzJB")

PASSWD = """\
# name:hash:uid:gid:gecos:home:shell:extra
locked:!%s:3005:3005::/home/locked
alice:{PLAIN}secret:3001:3002:A. L.:/home/alice:/bin/sh:userdb_mail=maildir:~/M
bob:%s:3003:3003::/home/bob
sam:%s:3004:3004::/home/sam::userdb_pop3_uidl_format=%%%%f
off:{PLAIN}secret:3006:3006::/home/off::nologin
near:{PLAIN}secret:3007:3007::/home/near::allow_nets=192.0.2.0/24
root:{PLAIN}secret:0:0::/root
low:{PLAIN}secret:999:3000::/home/low
gid0:{PLAIN}secret:3008:0::/home/gid0
noids:{PLAIN}secret
daemon:{PLAIN}secret:3009:3009
broken:{ARGON2ID}x:3010:3010::/home/broken
""" % (YESCRYPT, YESCRYPT, stored_key("secret"))


@contextlib.contextmanager
def starting():
    """A function that starts what is stopped at the end."""
    running = []

    def begin(passwd=PASSWD, settings=(), **kw):
        running.append(Authd(passwd, settings, **kw))
        return running[-1].start()

    yield begin
    for a in running:
        a.stop()


def children_of(pid):
    return [p for p in proc.tree(pid) if p != pid]


def wait_for_child(a):
    end = time.monotonic() + 20
    while time.monotonic() < end:
        found = children_of(a.spawner.pid)
        if found:
            return found[0]
    raise AssertionError("no child")
