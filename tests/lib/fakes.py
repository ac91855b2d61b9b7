# SPDX-License-Identifier: ISC
"""fakes.py - the real restanted and logd with programs played by the test."""
import array
import os
import shutil
import socket

from . import ipc, proc, restante, server

FAKE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake.py")
FAKED = ("authd", "keyd", "login", "imapd", "pop3d")


class Program:
    """A faked program that runs: its channel to master and its settings."""

    def __init__(self, sock, name, pid, fds):
        self.sock, self.name, self.pid = sock, name, pid
        self.chan = ipc.Chan.of_fd(fds[0])
        with os.fdopen(fds[1], "rb") as f:
            text = os.pread(f.fileno(), 1 << 20, 0).decode()
        if text.endswith("own_settings = follow\n"):  # ipc/child.h
            text += self.chan.sock.recv(1 << 16).decode()
        self.settings = dict(
            (line[:-2], "") if line.endswith(" =") else line.split(" = ", 1)
            for line in text.splitlines())

    def ready(self):
        """Takes the setup; what came is in .setup."""
        self.setup = []
        while True:
            m = self.chan.recv()
            assert m is not None
            if m.type == ipc.CHILD_GO:
                break
            self.setup.append(m)
        self.chan.send(ipc.CHILD_READY)
        return self

    def end(self, word):
        """"exit 0", "die 11"."""
        self.chan.close()
        try:
            self.sock.sendall(word.encode())
        except OSError:
            pass
        self.sock.close()

    def expect_end(self, timeout=30):
        """Killed, or told by nobody but gone."""
        self.sock.settimeout(timeout)
        try:
            assert self.sock.recv(1) == b""
        except ConnectionResetError:
            pass


class Worker:
    def __init__(self, number, fds):
        self.number = number
        self.authd, self.keyd, self.master = (
            ipc.Chan.of_fd(fd) for fd in fds)

    def close(self):
        for c in (self.authd, self.keyd, self.master):
            c.close()


class Faked(restante.Restante):
    """`start()` brings it to the point where login workers can be made."""

    def __init__(self, **kw):
        kw.setdefault("tls", False)
        super().__init__(**kw)
        self.bin = os.path.join(self.dir, "bin")
        os.mkdir(self.bin)
        for name in FAKED:
            path = os.path.join(self.bin, name)
            shutil.copy(FAKE, path)
            os.chmod(path, 0o755)
        for name in ("restanted", "restantectl", "logd", "spoold"):
            os.symlink(os.path.join(restante.programs(), name),
                       os.path.join(self.bin, name))
        self.listen = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listen.bind(os.path.join(self.bin, "fake"))
        os.chmod(os.path.join(self.bin, "fake"), 0o777)
        self.listen.listen(64)
        self.listen.settimeout(15)
        self.waiting = []
        self.settings.setdefault("libexec_dir", self.bin)
        self.conn = 0

    def next(self, name):
        """The next program with this name that starts."""
        while True:
            for p in self.waiting:
                if p.name == name:
                    self.waiting.remove(p)
                    return p
            sock, _ = self.listen.accept()
            data, control, _, _ = sock.recvmsg(
                100, socket.CMSG_SPACE(8))
            fds = array.array("i")
            fds.frombytes(control[0][2])
            word, pid = data.decode().split()
            p = Program(sock, word, int(pid), list(fds))
            self.waiting.append(p)

    def start(self, wait=True):
        super().start(wait=False)
        return self.bring_up() if wait else self

    def two_authd(self):
        """(authd, its spawner), ready."""
        both = [self.next_authd().ready() for _ in range(2)]
        both.sort(key=lambda p: p.settings.get("role") == "spawner")
        return tuple(both)

    def next_authd(self):
        while True:
            for p in self.waiting:
                if p.name == "authd":
                    self.waiting.remove(p)
                    return p
            p = self.next_any()
            self.waiting.append(p)

    def next_any(self):
        n = len(self.waiting)
        sock, _ = self.listen.accept()
        data, control, _, _ = sock.recvmsg(100, socket.CMSG_SPACE(8))
        fds = array.array("i")
        fds.frombytes(control[0][2])
        word, pid = data.decode().split()
        assert len(self.waiting) == n
        return Program(sock, word, int(pid), list(fds))

    def bring_up(self):
        self.authd, self.spawner = self.two_authd()
        self.login = self.next("login").ready()
        self.wait_log("restanted.*: ready ")
        return self

    def worker(self, login=None, authd=None):
        """A new login worker."""
        login = login or self.login
        login.chan.send(ipc.LOGIN_NEED, [("u32", 1), ("u32", 0), ("u32", 0)])
        m = login.chan.expect(ipc.LOGIN_WORKER)
        return Worker(m.fields[0], m.fds)

    def client(self):
        """A TCP connection: (client's end, the server's end)."""
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            listening.listen(1)
            near = socket.create_connection(listening.getsockname())
            far, _ = listening.accept()
        return near, far

    @staticmethod
    def cookie(sock):
        so_cookie = 57
        raw = sock.getsockopt(socket.SOL_SOCKET, so_cookie, 8)
        return int.from_bytes(raw, "little")

    def grant(self, to, sock, user="alice", authd=None, conn=None,
              held=None, **kw):
        """What authd says of this socket; returns the connection's number.
        `held`: the socket of who is to keep the PAM session."""
        if conn is None:
            self.conn += 1
            conn = self.conn
        ip, port = sock.getpeername()
        uid = self.uid_of(user) if user in self.users else self.uid
        g = {"worker": to.number, "conn": conn,
             "cookie": self.cookie(sock),
             "peer_ip": socket.inet_aton(ip), "peer_port": port,
             "service": "imap", "user": user, "uid": uid, "gid": uid,
             "home": self.home(user), "mail": "", "extra": ""}
        g.update(kw)
        (authd or self.authd).chan.send(ipc.GRANT_HELD if held else ipc.GRANT, [
            ("u32", g["worker"]), ("u64", g["conn"]), ("u64", g["cookie"]),
            ("blob", g["peer_ip"]), ("u16", g["peer_port"]),
            ("str", g["service"]), ("str", g["user"]), ("u32", g["uid"]),
            ("u32", g["gid"]), ("str", g["home"]), ("str", g["mail"]),
            ("str", g["extra"])], [held.fileno()] if held else [])
        self.settle()
        return conn

    def settle(self):
        """Master has read what was sent before: it works in order of arrival
        for each channel only, so ask it something."""
        self.ctl("status")

    def handoff(self, worker, conn, sock, tag="a1", remote="", state=True):
        if not state:
            worker.master.send(
                ipc.HANDOFF, [("u64", conn), ("str", tag), ("str", remote)],
                [sock.fileno()])
            return None
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        worker.master.send(
            ipc.HANDOFF, [("u64", conn), ("str", tag), ("str", remote)],
            [sock.fileno(), far.fileno()])
        far.close()
        return near

    def session(self, user="alice", take=True, worker=None, process=None,
                **kw):
        """The honest way: a connection, granted, handed over, taken.
        Returns (client's end, process, session number)."""
        own = worker is None
        if own:
            worker = self.worker()
        near, far = self.client()
        conn = self.grant(worker, far, user, **kw)
        self.handoff(worker, conn, far)
        far.close()
        if process is None:
            process = self.next("pop3d" if kw.get("service") == "pop3"
                                else "imapd")
        m = process.chan.expect(ipc.SESSION_CONNECTION)
        for fd in m.fds:
            os.close(fd)
        if take:
            process.chan.send(ipc.SESSION_HAVE, [("u64", m.fields[0])])
            worker.master.expect(ipc.HANDOFF_TAKEN)
        if own and take:
            worker.close()
        return near, process, m.fields[0]

    def end_all(self):
        """What fakes are left end when master does."""
        for p in self.waiting:
            p.sock.close()
        self.listen.close()

    def is_alive(self, pid):
        fields = proc.stat(pid)
        return fields is not None and fields[0] != "Z"


TEST_UID = server.TEST_UID
