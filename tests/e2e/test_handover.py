# SPDX-License-Identifier: ISC
"""The TLS session goes on in the user's process: every suite and version,
updates of keys, bytes that were on their way, and clients that cheat."""
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time

import pytest

from lib import maildir, server

SUITES = [
    ("-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"),
    ("-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384"),
    ("-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"),
    ("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"),
    ("-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"),
    ("-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"),
]


class Openssl:
    """openssl s_client with a line of ours at a time."""

    def __init__(self, port, *options):
        # pylint: disable=consider-using-with
        self.p = subprocess.Popen(
            ["openssl", "s_client", "-connect", "127.0.0.1:%d" % port,
             "-crlf", "-msg", *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)
        self.text = b""
        self.changed = threading.Condition()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        while True:
            data = os.read(self.p.stdout.fileno(), 65536)
            with self.changed:
                self.text += data
                self.changed.notify_all()
            if not data:
                return

    def say(self, line):
        self.p.stdin.write(line.encode() + b"\n")
        self.p.stdin.flush()

    def see(self, pattern, timeout=15):
        end = time.monotonic() + timeout
        with self.changed:
            while not re.search(pattern, self.text, re.S):
                left = end - time.monotonic()
                assert left > 0, (pattern, self.text[-2000:])
                self.changed.wait(left)

    def end(self):
        self.p.stdin.close()
        return self.p.wait(15)


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl")
@pytest.mark.parametrize("suite", SUITES, ids=lambda s: s[2])
def test_suites(shared, user, suite):
    shared.deliver(user, maildir.message(1, size=300000))
    c = Openssl(shared.imaps_port, *suite)
    c.see(rb"\* OK")
    c.say("a LOGIN %s %s" % (user, server.PASSWORD))
    c.see(rb"a OK")
    c.say("b SELECT INBOX")
    c.see(rb"\nb OK")
    c.say("c FETCH 1 BODY.PEEK[]")
    c.see(rb"\nc OK", 30)
    assert suite[2].encode() in c.text
    c.say("x LOGOUT")
    c.see(rb"BYE.*x OK")
    # close_notify, not a cut connection
    c.see(rb"close_notify|closed")
    c.end()


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl")
def test_key_updates(shared, user):
    shared.deliver(user, maildir.message(1, size=100000))
    c = Openssl(shared.imaps_port, "-tls1_3")
    c.see(rb"\* OK")
    c.say("a LOGIN %s %s" % (user, server.PASSWORD))
    c.see(rb"a OK")
    # k: the client's own keys alone; K: ours too
    for i, letter in enumerate("kKKkK"):
        c.say(letter)
        c.see(rb"(KEYUPDATE.*){%d}" % (i + 1))
        c.say("b%d SELECT INBOX" % i)
        c.see(rb"\nb%d OK" % i)
        c.say("c%d FETCH 1 BODY.PEEK[]" % i)
        c.see(rb"\nc%d OK" % i, 30)
    # Three were asked for and answered.
    assert len(re.findall(rb"<<< TLS 1.3, Handshake.{0,30}KeyUpdate",
                          c.text)) == 3
    c.say("x LOGOUT")
    c.see(rb"x OK")
    c.end()


class Records:
    """TLS with the records in our hands."""

    def __init__(self, port, version=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if version:
            context.minimum_version = context.maximum_version = version
        self.come, self.go = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.come, self.go)
        self.sock = socket.create_connection(("127.0.0.1", port), 15)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.text = b""
        self.work(self.tls.do_handshake)

    def work(self, what, *args):
        while True:
            try:
                return what(*args)
            except ssl.SSLWantReadError:
                self.flush()
                data = self.sock.recv(65536)
                if data:
                    self.come.write(data)
                else:
                    self.come.write_eof()
            finally:
                self.flush()

    def flush(self):
        data = self.go.read()
        if data:
            self.sock.sendall(data)

    def record(self, text):
        """The bytes of a record with this text, not sent yet."""
        self.flush()
        self.tls.write(text.encode())
        return self.go.read()

    def send(self, data):
        self.sock.sendall(data)

    def see(self, pattern):
        while not re.search(pattern, self.text, re.S):
            data = self.work(self.tls.read, 65536)
            assert data, self.text
            self.text += data
        return self.text


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


def login(user):
    return "a LOGIN %s %s\r\n" % (user, server.PASSWORD)


@pytest.mark.parametrize("version", VERSIONS, ids=["1.2", "1.3"])
@pytest.mark.parametrize("how", ["one record", "one write", "torn", "late"])
def test_bytes_behind_the_login(shared, user, version, how):
    c = Records(shared.imaps_port, version)
    c.see(rb"\* OK.*\r\n")
    more = "b SELECT INBOX\r\nc NOOP\r\n"
    if how == "one record":
        # Decrypted by login, not used by it.
        c.send(c.record(login(user) + more))
    elif how == "one write":
        # Received by login, not decrypted.
        c.send(c.record(login(user)) + c.record(more))
    elif how == "torn":
        one, two = c.record(login(user)), c.record(more)
        c.send(one + two[:len(two) // 2])
        c.see(rb"a OK.*\r\n")
        c.send(two[len(two) // 2:])
    else:
        # Half a command in login's hands, half on the wire.
        c.send(c.record(login(user) + more[:5]))
        c.see(rb"a OK.*\r\n")
        c.send(c.record(more[5:]))
    c.see(rb"a OK.*b OK.*c OK")


def test_a_literal_behind_the_login(shared, user):
    text = "Subject: x\r\n\r\n" + "0123456789abcde\r\n" * 2000
    c = Records(shared.imaps_port)
    c.see(rb"\* OK.*\r\n")
    c.send(c.record(login(user) + "b APPEND INBOX {%d+}\r\n%s" % (
        len(text), text[:9000])) + c.record(text[9000:25000]))
    c.see(rb"a OK.*\r\n")
    c.send(c.record(text[25000:] + "\r\nc SELECT INBOX\r\n"))
    c.see(rb"b OK.*c OK")
    assert b"* 1 EXISTS" in c.text


def test_pop3_behind_pass(shared, user):
    shared.fill(user, 2)
    c = Records(shared.pop3s_port)
    c.see(rb"\+OK.*\r\n")
    c.send(c.record("USER %s\r\nPASS %s\r\nSTAT\r\nRETR 1\r\nQU" % (
        user, server.PASSWORD)) + c.record("IT\r\n"))
    c.see(rb"\+OK 2 .*\r\n\.\r\n\+OK Bye")


@pytest.mark.parametrize("version", VERSIONS, ids=["1.2", "1.3"])
def test_forged_record(shared, user, version):
    c = Records(shared.imaps_port, version)
    c.see(rb"\* OK.*\r\n")
    c.send(c.record(login(user)))
    c.see(rb"a OK.*\r\n")
    bad = bytearray(c.record("b NOOP\r\n"))
    bad[-3] ^= 1
    c.send(bytes(bad))
    with pytest.raises(ssl.SSLError, match="(?i)bad.record.mac"):
        c.see(rb"b OK")


@pytest.mark.parametrize("version", VERSIONS, ids=["1.2", "1.3"])
def test_replayed_record(shared, user, version):
    c = Records(shared.imaps_port, version)
    c.see(rb"\* OK.*\r\n")
    c.send(c.record(login(user)))
    c.see(rb"a OK.*\r\n")
    noop = c.record("b NOOP\r\n")
    c.send(noop)
    c.see(rb"b OK")
    c.send(noop)
    with pytest.raises(ssl.SSLError, match="(?i)bad.record.mac"):
        c.see(rb"b OK.*b OK")


def test_plain_text_behind_the_login(shared, user):
    c = Records(shared.imaps_port)
    c.see(rb"\* OK.*\r\n")
    c.send(c.record(login(user)))
    c.see(rb"a OK.*\r\n")
    c.send(b"b NOOP\r\n")
    with pytest.raises(ssl.SSLError, match="(?i)unexpected.message"):
        c.see(rb"b OK")


def test_close_notify_is_answered(shared, user):
    c = Records(shared.imaps_port)
    c.see(rb"\* OK.*\r\n")
    c.send(c.record(login(user)))
    c.see(rb"a OK.*\r\n")
    c.work(c.tls.unwrap)  # raises unless the server's close_notify comes
    assert c.sock.recv(1) == b""


def test_large_both_ways(shared, user):
    """Several records at a time, and a reader who takes his time."""
    text = ("Subject: large\r\n\r\n" + "x" * 70 + "\r\n") + (
        "0123456789" * 7 + "\r\n") * 100000
    c = shared.imap(user, tls=True)
    c.send("b APPEND INBOX {%d+}\r\n" % len(text))
    c.send(text + "\r\n")
    assert b"b OK" in c.line(60)
    c.ok("SELECT INBOX")
    c.send("c FETCH 1 BODY.PEEK[]\r\n")
    time.sleep(0.5)
    head = c.line(30)
    size = int(re.search(rb"\{(\d+)\}$", head).group(1))
    assert c.exactly(size) == text.encode()


def test_nothing_of_the_session_stays_in_login(shared, user):
    """The worker is gone once the session has moved."""
    before = set(shared.pids("login"))
    c = shared.imap(user, tls=True)
    c.ok("NOOP")
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if len(set(shared.pids("login")) & before) < len(before):
            break
        time.sleep(0.05)
    assert len(set(shared.pids("login")) & before) < len(before)
    c.ok("NOOP")
