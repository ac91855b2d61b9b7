# SPDX-License-Identifier: ISC
"""wire.py - IMAP and POP3 as bytes on a socket, for tests that look closely.

Nothing is hidden: what a test sends goes out as it is, and every answer is
kept as bytes. Lines end at CRLF; literals are read by their count.
"""
import re
import socket
import ssl
import time

from . import slow

TIMEOUT = 30.0


class Closed(Exception):
    """The server has closed the connection."""


class Wire:
    """A socket with a buffer; `tls` wraps it, also in mid-stream."""

    def __init__(self, host, port, tls=False, timeout=TIMEOUT, context=None,
                 source=None):
        self.timeout = slow.seconds(timeout)
        self.sock = socket.create_connection((host, port), self.timeout,
                                             source_address=source)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.log = []
        if tls:
            self.start_tls(context)

    def start_tls(self, context=None, alpn=None, session=None, name=None):
        if context is None:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            if alpn:
                context.set_alpn_protocols(alpn)
        self.context = context
        self.sock = context.wrap_socket(self.sock, server_hostname=name,
                                        session=session)

    def send(self, data):
        if isinstance(data, str):
            data = data.encode()
        self.sock.sendall(data)

    def fill(self):
        data = self.sock.recv(65536)
        if not data:
            raise Closed(self.buffer)
        self.buffer += data

    def line(self, timeout=None):
        """The next line without its CRLF."""
        self.sock.settimeout(slow.seconds(timeout) or self.timeout)
        while b"\r\n" not in self.buffer:
            self.fill()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        self.log.append(line)
        return line

    def exactly(self, n):
        self.sock.settimeout(self.timeout)
        parts, have = [], 0
        try:
            while have + len(self.buffer) < n:
                # Joined once: literals may have megabytes.
                parts.append(self.buffer)
                have += len(self.buffer)
                self.buffer = b""
                self.fill()
        finally:
            self.buffer = b"".join(parts + [self.buffer])
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def is_closed(self, timeout=TIMEOUT):
        """True when the server closes without a further byte."""
        self.sock.settimeout(slow.seconds(timeout))
        try:
            data = self.sock.recv(65536)
        except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return True
        except (TimeoutError, socket.timeout):
            return False
        self.buffer += data
        return data == b"" and self.buffer == b""

    def is_silent(self, seconds):
        """True when nothing arrives for a while."""
        if self.buffer:
            return False
        self.sock.settimeout(seconds)
        try:
            self.buffer += self.sock.recv(65536)
        except (TimeoutError, socket.timeout):
            return True
        except (ConnectionError, ssl.SSLError):
            return False
        return False

    def close(self):
        try:
            self.sock.close()
        except OSError:
            pass

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.close()


LITERAL = re.compile(rb"\{(\d+)\}$")


class Imap(Wire):
    """IMAP; `cmd` numbers its tags and gives (status, text, untagged)."""

    def __init__(self, host, port, greet=True, **kw):
        super().__init__(host, port, **kw)
        self.tags = 0
        if greet:
            self.greeting = self.response()

    def response(self, timeout=None):
        """One response with its literals, CRLFs inside kept."""
        line = self.line(timeout)
        parts = [line]
        while True:
            match = LITERAL.search(line)
            if not match:
                return b"".join(parts)
            parts += [b"\r\n", self.exactly(int(match.group(1)))]
            line = self.line()
            parts.append(line)

    def tag(self):
        self.tags += 1
        return b"a%d" % self.tags

    def start(self, command):
        """Sends a command without waiting; its tag comes back."""
        if isinstance(command, str):
            command = command.encode()
        tag = self.tag()
        self.send(tag + b" " + command + b"\r\n")
        return tag

    def finish(self, tag, timeout=None):
        """(status, text, untagged responses) of the command of this tag."""
        untagged = []
        while True:
            r = self.response(timeout)
            if r.startswith(tag + b" "):
                status, _, text = r[len(tag) + 1:].partition(b" ")
                return status.decode(), text, untagged
            untagged.append(r)

    def cmd(self, command, timeout=None):
        return self.finish(self.start(command), timeout)

    def ok(self, command, timeout=None):
        """The untagged responses of a command that must succeed."""
        status, text, untagged = self.cmd(command, timeout)
        assert status == "OK", (command, status, text, untagged)
        return untagged

    def no(self, command):
        status, text, _ = self.cmd(command)
        assert status == "NO", (command, status, text)
        return text

    def bad(self, command):
        status, text, _ = self.cmd(command)
        assert status == "BAD", (command, status, text)
        return text

    def login(self, user, password):
        self.ok(b'LOGIN "%s" "%s"' % (user.encode(), password.encode()))
        return self

    def literal(self, before, data, after=b""):
        """A command with one synchronising literal."""
        tag = self.tag()
        self.send(tag + b" " + before.encode() + b" {%d}\r\n" % len(data))
        untagged = []
        while True:
            r = self.response()
            if r.startswith(b"+"):
                break
            if r.startswith(tag + b" "):
                status, _, text = r[len(tag) + 1:].partition(b" ")
                return status.decode(), text, untagged
            untagged.append(r)
        self.send(data + after + b"\r\n")
        status, text, more = self.finish(tag)
        return status, text, untagged + more

    def append(self, mailbox, data, options=""):
        status, text, _ = self.literal(
            'APPEND %s%s' % (mailbox, " " + options if options else ""), data)
        assert status == "OK", (status, text)
        return text

    def capabilities(self):
        return set(self.ok("CAPABILITY")[-1].decode().split()[2:])

    def fetch(self, what, uid=False):
        """{sequence number: bytes of the response} of a FETCH."""
        answers = {}
        for r in self.ok(("UID " if uid else "") + "FETCH " + what):
            match = re.match(rb"\* (\d+) FETCH \(", r)
            if match:
                answers[int(match.group(1))] = r
        return answers

    def flags(self, what="1:*"):
        """{sequence number: set of flags}."""
        found = {}
        for seq, r in self.fetch(what + " FLAGS").items():
            inner = re.search(rb"FLAGS \(([^)]*)\)", r).group(1)
            found[seq] = set(inner.decode().split())
        return found

    def idle(self):
        tag = self.start("IDLE")
        r = self.response()
        while not r.startswith(b"+"):
            r = self.response()
        return tag

    def done(self, tag):
        self.send(b"DONE\r\n")
        return self.finish(tag)

    def until(self, pattern, timeout=TIMEOUT):
        """Reads responses until one matches; all of them come back."""
        end = time.monotonic() + slow.seconds(timeout)
        seen = []
        while True:
            left = end - time.monotonic()
            assert left > 0, ("no", pattern, seen)
            seen.append(self.response(left / slow.FACTOR))
            if re.search(pattern, seen[-1]):
                return seen

    def logout(self):
        self.cmd("LOGOUT")
        self.close()


class Pop3(Wire):
    """POP3; `cmd` gives the status line, `multi` the lines behind it too."""

    def __init__(self, host, port, greet=True, **kw):
        super().__init__(host, port, **kw)
        if greet:
            self.greeting = self.line()

    def cmd(self, command):
        self.send(command + "\r\n" if isinstance(command, str)
                  else command + b"\r\n")
        return self.line()

    def ok(self, command):
        answer = self.cmd(command)
        assert answer.startswith(b"+OK"), (command, answer)
        return answer

    def err(self, command):
        answer = self.cmd(command)
        assert answer.startswith(b"-ERR"), (command, answer)
        return answer

    def lines(self):
        """Lines up to the lone dot, unstuffed."""
        found = []
        while True:
            line = self.line()
            if line == b".":
                return found
            found.append(line[1:] if line.startswith(b".") else line)

    def multi(self, command):
        self.ok(command)
        return self.lines()

    def login(self, user, password):
        self.ok("USER " + user)
        self.ok("PASS " + password)
        return self
