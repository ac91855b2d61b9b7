# SPDX-License-Identifier: ISC
"""IDLE (RFC 2177) and COMPRESS=DEFLATE (RFC 4978)."""
import os
import time
import zlib

import pytest
from lib.maildir import message

MBOX = True
MAILDIR_ALONE = {"test_a_file_that_vanishes"}


def test_idle_without_a_mailbox(box):
    c = box.connect()
    tag = c.idle()
    assert c.done(tag)[0] == "OK"
    c.ok("NOOP")


def test_news_within_100_ms(box):
    c = box.connect()
    c.ok("SELECT INBOX")
    tag = c.idle()
    took = []
    for i in range(1, 21):
        begun = time.monotonic()
        box.deliver(message(i))
        c.until(rb"^\* %d EXISTS" % i)
        took.append(time.monotonic() - begun)
        c.until(rb"^\* \d+ RECENT")
    # On a busy machine some wait for a CPU.
    assert sorted(took)[5] < 0.1, took
    status, _, untagged = c.done(tag)
    assert status == "OK" and untagged == []


def test_flags_and_expunges_of_another_session(box):
    box.fill(3, flags="")
    c, other = box.connect(), box.connect()
    c.ok("SELECT INBOX")
    other.ok("SELECT INBOX")
    tag = c.idle()
    other.ok("STORE 2 +FLAGS (\\Flagged)")
    assert b"\\Flagged" in c.until(rb"^\* 2 FETCH")[-1]
    other.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    c.until(rb"^\* 1 FETCH")
    other.ok("EXPUNGE")
    c.until(rb"^\* 1 EXPUNGE")
    assert c.done(tag)[0] == "OK"


def test_a_file_that_vanishes(box):
    box.fill(2, flags="")
    c = box.connect()
    c.ok("SELECT INBOX")
    tag = c.idle()
    cur = box.maildir("cur")
    os.unlink(os.path.join(cur, sorted(os.listdir(cur))[0]))
    c.until(rb"^\* \d EXPUNGE")
    assert c.done(tag)[0] == "OK"


def test_news_that_came_before(box):
    c = box.connect()
    c.ok("SELECT INBOX")
    box.deliver(message(1))
    tag = c.start("IDLE")
    c.until(rb"^\* 1 EXISTS")
    c.done(tag)


@pytest.mark.parametrize("end", [b"DONE\r\n", b"done\r\n", b"Done\r\n"])
def test_pipelined_behind_idle(box, end):
    c = box.connect()
    c.send(b"a SELECT INBOX\r\nb IDLE\r\n" + end + b"c NOOP\r\nd IDLE\r\n" +
           end + b"e CHECK\r\n")
    assert c.finish(b"a")[0] == "OK"
    status, _, untagged = c.finish(b"b")
    assert status == "OK" and untagged[0].startswith(b"+ ")
    assert c.finish(b"c")[0] == "OK"
    assert c.finish(b"d")[0] == "OK"
    assert c.finish(b"e")[0] == "OK"


@pytest.mark.parametrize("line", [b"\r\n", b"DON\r\n", b"DONE \r\n",
                                  b"DONE\n", b" DONE\r\n", b"x NOOP\r\n",
                                  b"DONE\0\r\n", b"x" * 5000 + b"\r\n"])
def test_anything_but_done_is_bad(tunnel, line):
    c = tunnel.connect()
    tag = c.idle()
    c.send(line)
    assert c.finish(tag)[0] == "BAD"
    c.ok("NOOP")


def test_done_in_pieces(tunnel):
    c = tunnel.connect()
    tag = c.idle()
    for byte in b"DONE\r\n":
        c.send(bytes([byte]))
        time.sleep(0.01)
    assert c.finish(tag)[0] == "OK"


def test_many_idle_sessions(box):
    sessions = [box.connect() for _ in range(20)]
    tags = []
    for c in sessions:
        c.ok("SELECT INBOX")
        tags.append(c.idle())
    box.deliver(message(1))
    for c in sessions:
        c.until(rb"^\* 1 EXISTS")
    for c, tag in zip(sessions, tags):
        assert c.done(tag)[0] == "OK"


class Deflated:
    """The same client with a compressed stream below."""

    def __init__(self, c):
        self.c = c
        self.packer = zlib.compressobj(wbits=-15)
        self.unpacker = zlib.decompressobj(wbits=-15)
        self.plain_send, self.plain_fill = c.send, c.fill
        c.send, c.fill = self.send, self.fill

    def send(self, data):
        if isinstance(data, str):
            data = data.encode()
        self.plain_send(self.packer.compress(data) +
                        self.packer.flush(zlib.Z_SYNC_FLUSH))

    def fill(self):
        before, self.c.buffer = self.c.buffer, b""
        self.plain_fill()
        self.c.buffer = before + self.unpacker.decompress(self.c.buffer)


def compress(c):
    c.ok("COMPRESS DEFLATE")
    assert c.buffer == b""
    Deflated(c)


def test_compress(box):
    box.fill(5, flags="")
    c = box.connect()
    compress(c)
    assert "COMPRESS=DEFLATE" not in c.capabilities()
    c.ok("SELECT INBOX")
    assert len(c.fetch("1:* BODY.PEEK[]")) == 5
    assert c.no("COMPRESS DEFLATE").startswith(b"[COMPRESSIONACTIVE]")
    big = message(1, size=300000, crlf=True)
    c.append("INBOX", big)
    assert big in c.fetch("6 BODY.PEEK[]")[6]
    tag = c.idle()
    box.deliver(message(7))
    c.until(rb"^\* 7 EXISTS")
    c.done(tag)
    status, _, untagged = c.cmd("LOGOUT")
    assert status == "OK" and untagged[0].startswith(b"* BYE")


def test_compress_above_tls(box_server):
    c = box_server.imap("b399", tls=True)
    compress(c)
    c.ok("SELECT INBOX")
    text = message(1, size=200000, crlf=True)
    c.append("INBOX", text)
    assert text in c.fetch("1 BODY.PEEK[]")[1]
    c.ok("LOGOUT")


def test_compress_wants_no_garbage(tunnel):
    c = tunnel.connect()
    c.ok("COMPRESS DEFLATE")
    c.send(b"\xff" * 100)
    assert c.is_closed()
