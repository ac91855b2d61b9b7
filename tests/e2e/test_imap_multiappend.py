# SPDX-License-Identifier: ISC
"""MULTIAPPEND (RFC 3502): all of the messages, or none, whatever fails; only a
kill in the middle of its renames leaves a part of them in a Maildir."""
import os
import random
import re
import subprocess

import pytest
from lib import box as boxes
from lib import maildir, server, wire

MBOX = True


def text(i, size=200):
    return (b"Subject: m %d\r\n\r\n" % i + b"x" * 70 + b"\r\n" * 2 +
            b"y" * size + b"\r\n")


def many(n, size=200, first=0):
    """The arguments of an APPEND of n messages, sent without waiting."""
    out = b""
    for i in range(first, first + n):
        message = text(i, size)
        out += b" (\\Seen) {%d+}\r\n" % len(message) + message
    return out


def count(c, mailbox="INBOX"):
    return int(re.search(rb"MESSAGES (\d+)", c.ok(
        "STATUS %s (MESSAGES)" % mailbox)[0]).group(1))


def left_behind(box):
    """Files in tmp/, and in the folder of mbox's stages."""
    if box.kind == "server":
        return []
    if box.store == "maildir":
        return os.listdir(box.maildir("tmp"))
    state = os.path.join(box.dir, ".local/state/restante")
    return [f for f in (os.listdir(state) if os.path.isdir(state) else [])
            if f.startswith("append")]


# ---- the RFC's example, and the answer -----------------------------------------

FIRST = (b"Date: Mon, 7 Feb 1994 21:52:25 -0800 (PST)\r\n"
         b"From: Fred Foobar <foobar@Blurdybloop.example.COM>\r\n"
         b"Subject: afternoon meeting\r\nTo: mooch@owatagu.example.net\r\n"
         b"Message-Id: <B27397-0100000@Blurdybloop.example.COM>\r\n"
         b"MIME-Version: 1.0\r\nContent-Type: TEXT/PLAIN; CHARSET=US-ASCII"
         b"\r\n\r\nHello Joe, do you think we can meet at 3:30 tomorrow?\r\n"
         b"\r\n")
SECOND = FIRST.replace(b"Joe, do you", b"Joe, sorry, do you")


def test_announced(box):
    assert "MULTIAPPEND" in box.connect().capabilities()


def test_rfc_example(box):
    c = box.connect()
    c.ok("CREATE saved-messages")
    c.send(b"A003 APPEND saved-messages (\\Seen) {%d}\r\n" % len(FIRST))
    assert c.line().startswith(b"+ ")
    c.send(FIRST + b' (\\Seen) " 7-Feb-1994 22:43:04 -0800" {%d}\r\n' %
           len(SECOND))
    assert c.line().startswith(b"+ ")
    c.send(SECOND + b"\r\n")
    status, answer, _ = c.finish(b"A003")
    assert status == "OK"
    assert re.match(rb"\[APPENDUID \d+ 1:2\] ", answer), answer
    assert count(c, "saved-messages") == 2


def test_the_uids_are_those_of_the_messages_in_order(box):
    c = box.connect()
    c.append("INBOX", text(100))
    c.send(b"x APPEND INBOX" + many(50) + b"\r\n")
    status, answer, _ = c.finish(b"x")
    assert status == "OK" and b" 2:51] " in answer
    c.ok("SELECT INBOX")
    found = c.fetch("2:51 (UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
    for seq, r in found.items():
        assert b"UID %d" % seq in r
        assert b"Subject: m %d\r\n" % (seq - 2) in r


# ---- nothing of it -------------------------------------------------------------

@pytest.mark.parametrize("n", [1, 2, 5])
def test_disconnect(box, n):
    """In the middle of the n-th message, and between two."""
    for end in (b" {500+}\r\nhalf", b" (\\Seen", b" {5+}\r\n", b""):
        c = box.connect()
        c.send(b"x APPEND INBOX" + many(n) + end)
        if box.kind == "server":
            # So that it has come before the end does.
            c.send(b"")
        c.close()
        box.open.remove(c)
    c = box.connect()
    assert count(c) == 0
    assert left_behind(box) == []


@pytest.mark.parametrize("end", [
    b" {5+}\r\nabcde garbage", b" (\\Nix) {5+}\r\nabcde", b" {0+}\r\n",
    b" {5+}\r\nab\0de", b" ~{3+}\r\n\0\0\0", b' "1-Jan" {1+}\r\nx',
    b" CATENATE (URL /INBOX/;UID=99)", b" {2000001+}\r\n" + b"z" * 2000001])
def test_a_bad_message_behind_good_ones(box, end):
    if box.kind == "server":
        c = box.connect()
        if b"2000001" in end:
            pytest.skip("the limit is another one there")
    else:
        c = box.connect("append_limit=2000000")
    c.send(b"x APPEND INBOX" + many(3) + end + b"\r\ny NOOP\r\n")
    status, answer, _ = c.finish(b"x")
    assert status in ("NO", "BAD")
    if b"2000001" in end:
        assert answer.startswith(b"[TOOBIG]")
    assert c.finish(b"y")[0] == "OK"
    assert count(c) == 0 and left_behind(box) == []


def test_too_big_is_told_before_it_is_sent(tunnel):
    c = tunnel.connect("append_limit=65536")
    c.send(b"x APPEND INBOX" + many(3) + b" {65537}\r\n")
    assert c.line().startswith(b"x NO [TOOBIG]")
    assert count(c) == 0 and left_behind(tunnel) == []


def test_over_quota_with_the_last_one(start):
    s = start(users=["bob"], settings={"maildir_quota": "20000S,10C"})
    c = wire.Imap("127.0.0.1", s.imap_port)
    c.login("bob", server.PASSWORD)
    c.append("INBOX", text(0))
    for args in (many(10), many(3, size=7000)):
        c.send(b"x APPEND INBOX" + args + b"\r\ny NOOP\r\n")
        status, answer, _ = c.finish(b"x")
        assert status == "NO" and answer.startswith(b"[OVERQUOTA]"), answer
        assert c.finish(b"y")[0] == "OK"
        assert count(c) == 1
    c.send(b"x APPEND INBOX" + many(9) + b"\r\n")
    assert c.finish(b"x")[0] == "OK"
    assert count(c) == 10
    c.close()


@pytest.fixture(params=["maildir", "mbox"])
def small_disk(request):
    """A box whose folder is a file system of 2 MiB."""
    if not server.is_root():
        pytest.skip("mounts need root")
    b = boxes.Box("tunnel", store=request.param)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "restante",
                       b.dir], check=False).returncode != 0:
        b.close()
        pytest.skip("no mounts here")
    try:
        b.own(b.dir)
        if request.param == "mbox":
            for folder in ("spool", "mail"):
                os.mkdir(os.path.join(b.dir, folder))
                b.own(os.path.join(b.dir, folder))
        else:
            maildir.create(b.maildir(), b.uid)
        yield b
    finally:
        for c in b.open:
            c.close()
        b.open = []
        subprocess.run(["umount", "-l", b.dir], check=False)
        b.close()


def test_full_disk(small_disk):
    """ENOSPC in the n-th message, or when they are put in their place."""
    c = small_disk.connect("index_dir=memory", timeout=60)
    c.append("INBOX", text(0))
    for n, size in ((30, 100000), (3, 900000), (400, 6000)):
        c.send(b"x APPEND INBOX" + many(n, size) + b"\r\ny NOOP\r\n")
        status, answer, _ = c.finish(b"x")
        assert status == "NO", answer
        assert c.finish(b"y")[0] == "OK"
        assert count(c) == 1
        assert left_behind(small_disk) == []
    # There is room again, and what fits is taken.
    c.send(b"x APPEND INBOX" + many(5, 50000) + b"\r\n")
    assert c.finish(b"x")[0] == "OK"
    assert count(c) == 6


def test_killed_at_any_moment(box):
    """Groups of five: in an mbox all of each, or nothing of it. In a Maildir
    a kill between two renames leaves those that are in place, as delivered."""
    if box.kind != "tunnel":
        pytest.skip("imapd is a process of the test's own there")
    rng = random.Random(int(os.environ.get("RESTANTE_SEED", "1")))
    base = 0
    for _ in range(4):
        c = box.connect()
        sent = acked = 0
        with box.killed_within(c, rng.random() * .03):
            while True:
                c.send(b"x APPEND INBOX" + many(5, first=base + sent * 5) + b"\r\n")
                sent += 1
                status, answer, _ = c.finish(b"x")
                assert status == "OK", answer
                acked += 1
        with box.after_kill() as after:
            n = count(after) - base
            assert box.store == "mbox" or n == len(box.files()) - base
            assert acked * 5 <= n <= sent * 5, (n, acked, sent)
            assert box.store == "maildir" or n % 5 == 0, (n, acked, sent)
        base += n
