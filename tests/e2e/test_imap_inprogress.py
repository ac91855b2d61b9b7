# SPDX-License-Identifier: ISC
"""INPROGRESS: RFC 9585. With progress_interval=0 a command tells how far it is
each time it gives way, so no test has to wait; what makes it give way for sure
is a lock that the test holds."""
import os
import re

import pytest
from lib import maildir

NOTICE = re.compile(
    rb'\* OK \[INPROGRESS \((NIL|"[^"\]]+") (NIL|\d+) (NIL|\d+)\)\] .')


@pytest.fixture
def box():
    from lib import box as boxes
    b = boxes.Box("tunnel", store="mbox")
    yield b
    b.close()


class Lock:
    """The dot-lock of the user's INBOX, as another program holds it."""

    def __init__(self, box):
        self.path = box.mbox() + ".lock"
        with open(self.path, "w") as f:
            f.write("%d" % os.getpid())
        box.own(self.path)

    def release(self):
        os.unlink(self.path)


def told(c, tag, lock):
    """The responses up to the tagged one; the lock goes after two notices."""
    seen, responses, notices = 0, [], []
    while True:
        r = c.response()
        if r.startswith(tag + b" "):
            assert b"INPROGRESS" not in r
            return notices, responses, r[len(tag) + 1:]
        if b"INPROGRESS" not in r:
            responses.append(r)
            continue
        match = NOTICE.match(r)
        assert match, r
        notices.append(match.groups())
        seen += 1
        if seen == 2:
            lock.release()


def counts_are_right(notices, tag):
    for word, done, goal in notices:
        assert word == b'"' + tag + b'"'
        assert (done == b"NIL") == (goal == b"NIL")
        assert done == b"NIL" or int(done) < int(goal)


def test_announced(box):
    assert "INPROGRESS" in box.connect().capabilities()


@pytest.mark.parametrize("command", [
    "STORE 1:3 +FLAGS (word)", "UID EXPUNGE 1:3", "EXPUNGE", "COPY 1:3 INBOX",
    "MOVE 1:3 other"])
def test_while_it_waits_for_a_lock(box, command):
    box.fill(3)
    c = box.connect("progress_interval=0")
    c.ok("CREATE other")
    c.ok("SELECT INBOX")
    if "EXPUNGE" in command:
        c.ok("STORE 1:3 +FLAGS.SILENT (\\Deleted)")
        c.ok("NOOP")
    lock = Lock(box)
    tag = c.start(command)
    if "STORE" in command:
        # Flags that need no lock now are written later.
        c.send(b"y CHECK\r\n")
    notices, _, answer = told_or_not(c, tag, lock)
    assert answer.startswith(b"OK"), answer
    if "STORE" not in command:
        assert len(notices) >= 2
    counts_are_right(notices, tag)


def told_or_not(c, tag, lock):
    try:
        return told(c, tag, lock)
    finally:
        if os.path.exists(lock.path):
            lock.release()


def test_append(box):
    box.fill(1)
    c = box.connect("progress_interval=0")
    message = maildir.message(1, crlf=True)
    c.send(b"x APPEND INBOX {%d}\r\n" % len(message))
    r = c.response()
    while r.startswith(b"* OK [INPROGRESS"):
        r = c.response()
    assert r.startswith(b"+")
    lock = Lock(box)
    c.send(message + b"\r\n")
    notices, _, answer = told_or_not(c, b"x", lock)
    assert answer.startswith(b"OK [APPENDUID") and len(notices) >= 2
    counts_are_right(notices, b"x")


def test_tag_that_can_not_be_quoted_in_a_code(box):
    box.fill(2)
    c = box.connect("progress_interval=0")
    c.ok("SELECT INBOX")
    lock = Lock(box)
    c.send(b"a]b COPY 1 INBOX\r\n")
    notices, _, answer = told_or_not(c, b"a]b", lock)
    assert answer.startswith(b"OK") and len(notices) >= 2
    assert all(n[0] == b"NIL" for n in notices)


def test_nothing_before_the_interval(box):
    """Twelve seconds by default: a command that does not take so long is quiet."""
    box.fill(2)
    c = box.connect()
    c.ok("SELECT INBOX")
    lock = Lock(box)
    tag = c.start("COPY 1 INBOX")
    other = box.connect("progress_interval=0")
    other.ok("SELECT INBOX")
    # The other one has waited as long, and more often.
    notices, _, answer = told_or_not(other, other.start("COPY 2 INBOX"), lock)
    assert answer.startswith(b"OK") and len(notices) >= 2
    status, _, untagged = c.finish(tag)
    assert status == "OK"
    assert not any(b"INPROGRESS" in r for r in untagged)


def test_counts_of_a_search(tunnel):
    """Messages that have to be read, more than fit in one turn."""
    text = b"".join(b"line %d of the text\n" % i for i in range(4000))
    for i in range(250):
        tunnel.deliver(b"Subject: %d\n\n" % i + text)
    c = tunnel.connect("progress_interval=0", "index_dir=none")
    c.ok("SELECT INBOX")
    notices = []
    for r in c.ok('SEARCH BODY "not in there at all"'):
        match = NOTICE.match(r)
        if match:
            notices.append(match.groups())
        else:
            assert r == b"* SEARCH"
    assert notices
    counts = [(int(d), int(g)) for _, d, g in notices if d != b"NIL"]
    assert counts and all(d < g == 250 for d, g in counts)
    assert counts == sorted(counts)


def test_never_within_another_response(tunnel):
    """Long answers stay whole."""
    for i in range(60):
        tunnel.deliver(maildir.message(i))
    c = tunnel.connect("progress_interval=0")
    c.ok("SELECT INBOX")
    for command in ("FETCH 1:* (FLAGS BODY.PEEK[])", "SEARCH ALL",
                    "SORT (SUBJECT) UTF-8 ALL", "THREAD REFERENCES UTF-8 ALL",
                    "STORE 1:* +FLAGS (word)", "UID STORE 1:* -FLAGS (word)"):
        for r in c.ok(command):
            if b"INPROGRESS" in r:
                assert NOTICE.match(r), r
                assert r.count(b"* ") == 1


def test_fetch_of_what_takes_long(tunnel):
    """Between responses alone; the message that is being read is one."""
    line = b"=41" * 25 + b"=\n"
    for i in range(6):
        tunnel.deliver(b"Subject: %d\nMIME-Version: 1.0\n"
                       b"Content-Transfer-Encoding: quoted-printable\n"
                       b"Content-Type: text/plain\n\n" % i + line * 40000)
    c = tunnel.connect("progress_interval=0", "index_dir=none")
    c.ok("SELECT INBOX")
    notices = []
    for command in ("FETCH 1:* BODYSTRUCTURE", "FETCH 1:* BINARY.SIZE[1]",
                    "FETCH 1:* BODY.PEEK[]"):
        tag = c.start(command)
        status, _, told = c.finish(tag)
        assert status == "OK"
        rest = [r for r in told if not r.startswith(b"* OK [INPROGRESS")]
        assert [int(r.split()[1]) for r in rest] == [1, 2, 3, 4, 5, 6]
        assert not any(b"INPROGRESS" in r for r in rest)
        counts_are_right([NOTICE.match(r).groups() for r in told
                          if r not in rest], tag)
        notices += [r for r in told if r not in rest]
    assert notices


def test_status_and_list(box):
    """mbox files that have to be read, behind a lock."""
    box.fill(3)
    c = box.connect("progress_interval=0", "index_dir=none")
    lock = Lock(box)
    tag = c.start("STATUS INBOX (MESSAGES)")
    c.send(b"y NOOP\r\n")
    notices, responses, answer = told_or_not(c, tag, lock)
    assert answer.startswith(b"OK")
    assert responses == [b"* STATUS INBOX (MESSAGES 3)"]
    counts_are_right(notices, tag)
    tag = c.start('LIST "" * RETURN (STATUS (MESSAGES))')
    status, _, told_all = c.finish(tag)
    notices = [r for r in told_all if b"INPROGRESS" in r]
    assert status == "OK" and b"* STATUS INBOX (MESSAGES 3)" in told_all
    counts_are_right([NOTICE.match(r).groups() for r in notices], tag)
