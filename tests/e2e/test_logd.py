# SPDX-License-Identifier: ISC
"""logd alone, with the test as master and as who has something to say: what
can not be written is counted, and the count is told."""
import fcntl
import os
import re
import select
import signal
import socket
import time

import pytest

from lib import fakes, login, server
from lib.authd import Child, pair

LOG_LINE, LOG_SOURCE, LOG_REOPEN = 32, 33, 34


class Logd:
    def __init__(self):
        self.said = []
        self.n_said = 0
        self.child = Child(login.program("log", "logd"), "logd",
                           "log_level = debug\n", self.said.append)
        self.master = self.child.master
        self.file = None
        self.source, theirs = pair()
        self.master.send(login.encode(
            LOG_SOURCE, (login.STR, "imapd"), (login.U32, 7), fds=1),
            [theirs.fileno()])
        theirs.close()

    def give(self, fd, role="log"):
        self.master.send(login.encode(
            login.FILE, (login.STR, role), (login.U32, 0),
            (login.STR, "where"), fds=1), [fd])
        os.close(fd)

    def go(self):
        self.master.send(login.encode(login.GO))
        assert self.master.recv()[0] == login.READY
        return self

    def say(self, text):
        self.n_said += 1
        self.source.send(login.encode(
            LOG_LINE, (login.U8, 1), (login.STR, "imapd"), (login.STR, text)))

    def asks(self):
        assert self.master.recv()[0] == LOG_REOPEN


@pytest.fixture
def logd():
    d = Logd()
    yield d
    d.source.close()
    d.child.end()


def broken():
    """A pipe that nobody reads."""
    r, w = os.pipe()
    os.close(r)
    return w


def sum_up(d, next_text):
    """Reads until all that was said has come or is told to be lost."""
    got = lost = 0
    end = time.monotonic() + 20
    while got + lost < d.n_said:
        text = next_text()
        if text is None:  # what is lost is told ahead of the next line
            assert time.monotonic() < end, (got, lost, d.n_said)
            d.say("another")
            continue
        told = re.search(r"log lines lost count=(\d+)", text)
        if told:
            lost += int(told[1])
        else:
            got += 1
    assert got + lost == d.n_said
    return lost


def test_lost_lines_are_told(logd):
    """Also when the line about them is lost at first."""
    logd.give(broken())
    logd.go()
    for _ in range(5):
        logd.say("one of five")
    logd.asks()
    logd.give(broken())
    logd.asks()
    r, w = os.pipe()
    logd.give(w)
    with os.fdopen(r) as f:
        assert sum_up(logd, lambda: f.readline() if select.select(
            [f], [], [], 0.2)[0] else None) > 0


def test_full_pipe(logd):
    """A pipe whose reader is slow takes a part of what is written: each line
    comes whole, or is told to be lost."""
    r, w = os.pipe()
    os.set_blocking(w, False)
    # Nearly full, so that what comes has room for no whole number of lines.
    os.write(w, b"x" * (65536 - 3000) + b"\n")
    logd.give(w)
    logd.go()
    for i in range(200):
        logd.say("line %d %s end" % (i, "y" * (i % 7) * 300))
    time.sleep(0.3)
    assert not select.select([logd.master.sock], [], [], 0.1)[0]
    with os.fdopen(r, "rb", buffering=0) as f:
        rest = b""

        def line():
            nonlocal rest
            while b"\n" not in rest:
                if not select.select([f], [], [], 0.2)[0]:
                    return None
                rest += f.read(65536)
            text, rest = rest.split(b"\n", 1)
            return text.decode()
        assert line().strip("x") == ""

        def next_text():
            text = line()
            assert text is None or re.search(
                r" (end|another|count=\d+)$", text) and \
                text.count("imapd") + text.count("logd") == 1, text
            return text
        assert sum_up(logd, next_text) > 0


def test_longer_than_a_pipe_takes(logd):
    """One line that has room in parts alone is finished, also when nothing
    is said behind it."""
    r, w = os.pipe()
    os.set_blocking(w, False)
    fcntl.fcntl(w, fcntl.F_SETPIPE_SZ, 4096)
    logd.give(w)
    logd.go()
    # Bytes that are written as four each.
    text = "begin " + "\x01" * 1900 + " end"
    logd.say(text)
    time.sleep(0.1)
    with os.fdopen(r, "rb", buffering=0) as f:
        got = b""
        while not got.endswith(b"\n"):
            assert select.select([f], [], [], 20)[0], got
            got += f.read(65536)
    assert got.count(b"begin") == 1 and got.endswith(b" end\n")


def test_full_syslog(logd):
    """A socket that is full is not broken: nothing is asked for, and the
    lines that had no room are told by themselves."""
    r, w = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    w.setblocking(False)
    logd.give(w.detach(), "syslog")
    logd.go()
    for i in range(2000):  # far beyond what such a socket holds
        logd.say("line %d" % i)
    time.sleep(0.3)
    sum_up(logd, lambda: r.recv(4096).decode() if select.select(
        [r], [], [], 0.2)[0] else None)
    assert not select.select([logd.master.sock], [], [], 0.1)[0]
    r.close()


@pytest.mark.skipif(not server.is_root(), reason="needs root")
def test_opened_when_it_can_be():
    """The folder of the log is away for longer than one try."""
    s = fakes.Faked(separate=True)
    folder = os.path.join(s.dir, "logs")
    s.log_path = os.path.join(folder, "log")
    os.mkdir(folder)
    if server.is_root():
        os.chown(folder, s.uid, s.uid)
    try:
        s.start()
        os.rename(folder, folder + ".away")
        old = s.pids("logd")
        os.kill(old[0], signal.SIGKILL)
        end = time.monotonic() + 30
        while not set(s.pids("logd")) - set(old):
            assert time.monotonic() < end
            time.sleep(0.05)
        time.sleep(1.8)  # it has looked for the folder, and once more
        os.mkdir(folder)
        s.wait_log(r"log lines lost count=\d+", timeout=20)
    finally:
        s.end_all()
        s.stop(signal.SIGKILL)
        s.remove()
