# SPDX-License-Identifier: ISC
"""ipc.py - frames between processes (common/ipc/msg.h), from the outside, so
that a test can play any process of the server, honest or lying."""
import array
import select
import socket
import struct

FDS_MAX = 16
(CHILD_PEER, CHILD_FILE, CHILD_GO, CHILD_READY, CHILD_FAILED,
 CHILD_STOP) = range(1, 7)
GRANT, GRANT_HELD = 40, 41
LOGIN_LISTENER, LOGIN_CERT, LOGIN_TICKETS, LOGIN_NEED, LOGIN_WORKER, \
    LOGIN_KILL, LOGIN_SEES, LOGIN_RETIRED = range(48, 56)
HANDOFF, HANDOFF_TAKEN, HANDOFF_REFUSED = 56, 57, 58
(SESSION_CONNECTION, SESSION_KICK, SESSION_STOP, SESSION_HAVE, SESSION_STATE,
 SESSION_END, SESSION_LEAVING, SESSION_REFUSE) = range(64, 72)

HOLD_START, HOLD_STARTED, HOLD_ENDED = 134, 135, 136

NUMBERS = {"u8": (1, 1), "u16": (2, 2), "u32": (3, 4), "u64": (4, 8),
           "bool": (5, 1)}
BYTES = {"str": 6, "blob": 7}
KINDS = {n: k for k, (n, _) in NUMBERS.items()}
KINDS.update({n: k for k, n in BYTES.items()})


def put(kind, value):
    if kind in NUMBERS:
        number, size = NUMBERS[kind]
        return bytes([number]) + int(value).to_bytes(size, "big")
    data = value.encode() if isinstance(value, str) else value
    return bytes([BYTES[kind]]) + struct.pack(">I", len(data)) + data


def frame(type_, fields=(), n_fds=0):
    return bytes([1, n_fds]) + struct.pack(">H", type_) + b"".join(
        put(kind, value) for kind, value in fields)


def fields(data):
    """The values of a frame in their order; text as str."""
    out, at = [], 4
    while at < len(data):
        kind = KINDS[data[at]]
        at += 1
        if kind in NUMBERS:
            size = NUMBERS[kind][1]
            out.append(int.from_bytes(data[at:at + size], "big"))
        else:
            size, = struct.unpack_from(">I", data, at)
            at += 4
            value = data[at:at + size]
            out.append(value.decode() if kind == "str" else value)
        at += size
    return out


class Message:
    def __init__(self, data, fds):
        self.type, = struct.unpack_from(">H", data, 2)
        self.fields = fields(data)
        self.fds = fds


class Chan:
    """One end of a channel, blocking with a deadline."""

    def __init__(self, sock):
        self.sock = sock

    @classmethod
    def of_fd(cls, fd):
        return cls(socket.socket(fileno=fd))

    def send(self, type_, items=(), fds=()):
        self.send_raw(frame(type_, items, len(fds)), fds)

    def send_raw(self, data, fds=()):
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                    array.array("i", fds))] if fds else []
        self.sock.sendmsg([data], control)

    def is_ready(self, timeout):
        """poll, because select knows no descriptor above 1023."""
        p = select.poll()
        p.register(self.sock, select.POLLIN)
        return bool(p.poll(timeout * 1000))

    def recv(self, timeout=30):
        """A Message; None when the other end has closed."""
        assert self.is_ready(timeout), "no message in time"
        try:
            data, control, _, _ = self.sock.recvmsg(
                131072, socket.CMSG_SPACE(4 * FDS_MAX))
        except ConnectionResetError:
            return None
        fds = array.array("i")
        for level, kind, part in control:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(part[:len(part) - len(part) % 4])
        if not data and not fds:
            return None
        return Message(data, list(fds))

    def expect(self, type_, timeout=30):
        m = self.recv(timeout)
        assert m is not None, "closed, %d was due" % type_
        assert m.type == type_, (m.type, m.fields)
        return m

    def skip_to(self, type_, timeout=30):
        """The first message of this type; None: the end. Others are read
        and dropped."""
        while True:
            m = self.recv(timeout)
            if m is None or m.type == type_:
                assert (m is None) == (type_ is None)
                return m

    def expect_closed(self, timeout=30, behind=None):
        """`behind`: a message of this type may come first."""
        m = self.recv(timeout)
        if m is not None and m.type == behind:
            m = self.recv(timeout)
        assert m is None, (m.type, m.fields)

    def is_quiet(self, seconds=0.3):
        return not self.is_ready(seconds)

    def close(self):
        self.sock.close()
