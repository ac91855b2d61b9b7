# SPDX-License-Identifier: ISC
"""What a session is told and when (RFC 3501 sections 5.2, 5.5, 7.4.1; RFC
2180), with a second session on the same mailbox; slow and rude clients."""
import re
import time

import pytest
from lib.maildir import message

MBOX = True


@pytest.fixture
def pair(box):
    box.fill(4, flags="")
    a, b = box.connect(), box.connect()
    a.ok("SELECT INBOX")
    b.ok("SELECT INBOX")
    a.box = box
    return a, b


def expunge(c, what):
    c.ok("UID STORE %s +FLAGS.SILENT (\\Deleted)" % what)
    c.ok("UID EXPUNGE %s" % what)


@pytest.mark.parametrize("command", [
    "FETCH 1:4 FLAGS", "STORE 1 +FLAGS (\\Seen)",
    "STORE 4 +FLAGS.SILENT (\\Seen)", "SEARCH ALL", "FETCH 1:* UID"])
def test_no_expunge_while_numbers_are_in_use(pair, command):
    a, b = pair
    expunge(b, "2")
    status, _, untagged = a.cmd(command)
    assert not [r for r in untagged if r.endswith(b" EXPUNGE")]
    # Numbers hold until it is told.
    assert len(a.fetch("1:4 UID")) in (3, 4)
    assert b"* 2 EXPUNGE" in a.ok("NOOP")
    assert len(a.fetch("1:3 UID")) == 3
    a.bad("FETCH 4 UID")


@pytest.mark.parametrize("command", [
    "NOOP", "CHECK", "UID FETCH 1 FLAGS", "UID STORE 1 +FLAGS (\\Seen)",
    "UID SEARCH ALL", "COPY 1 Trash", "EXPUNGE", "LIST \"\" INBOX",
    "STATUS Trash (MESSAGES)", "CAPABILITY", "CREATE x", "SUBSCRIBE x",
    "NAMESPACE", "ID NIL", "ENABLE X"])
def test_other_commands_tell_expunges(pair, command):
    a, b = pair
    a.ok("APPEND Trash {6+}\r\na: b\r\n")
    a.ok("NOOP")
    expunge(b, "2")
    assert [r for r in a.ok(command) if r == b"* 2 EXPUNGE"]


def test_nothing_is_told_unasked(pair):
    a, b = pair
    expunge(b, "2")
    a.box.deliver(message(9))
    b.ok("STORE 1 +FLAGS (\\Flagged)")
    assert a.is_silent(0.5)
    told = a.ok("NOOP")
    assert told[0] == b"* 2 EXPUNGE"
    assert b"* 4 EXISTS" in told


def test_exists_while_expunges_are_pending(pair):
    a, b = pair
    expunge(b, "1")
    a.box.deliver(message(9))
    told = a.ok("FETCH 4 FLAGS")
    assert b"* 5 EXISTS" in told
    assert not [r for r in told if b"EXPUNGE" in r]
    assert b"UID 5" in a.fetch("5 UID")[5]
    assert b"* 1 EXPUNGE" in a.ok("NOOP")
    assert b"UID 5" in a.fetch("4 UID")[4]


def test_store_on_messages_that_are_gone(pair):
    """RFC 2180 section 4.2: those that are left are changed."""
    a, b = pair
    expunge(b, "2")
    status, text, _ = a.cmd("STORE 1:4 +FLAGS (\\Flagged)")
    assert status in ("OK", "NO")
    if status == "NO":
        assert text.startswith(b"[EXPUNGEISSUED]")
    a.ok("NOOP")
    assert all("\\Flagged" in f for f in a.flags().values())
    assert len(a.flags()) == 3
    # By UID it is no error.
    expunge(b, "1")
    a.ok("UID STORE 1:4 +FLAGS (\\Seen)")


def test_uid_commands_skip_what_is_gone(pair):
    a, b = pair
    expunge(b, "2")
    told = a.ok("UID FETCH 1:4 FLAGS")
    assert len([r for r in told if b" FETCH " in r]) >= 3
    assert b"* 2 EXPUNGE" in told
    assert [r for r in a.ok("UID FETCH 2 FLAGS") if b"FETCH" in r] == []


def test_numbers_stay_right_through_a_storm(box):
    """A model of the client's view against what UID FETCH says."""
    box.fill(30, flags="")
    a, b = box.connect(), box.connect()
    b.ok("SELECT INBOX")
    view = []
    for r in a.ok("SELECT INBOX"):
        if r.endswith(b" EXISTS"):
            view = [None] * int(r.split()[1])

    def hear(untagged):
        for r in untagged:
            n, word = r.split()[1:3] if len(r.split()) > 2 else (b"", b"")
            if word == b"EXPUNGE":
                del view[int(n) - 1]
            elif word == b"EXISTS":
                assert int(n) >= len(view)
                view.extend([None] * (int(n) - len(view)))
            elif word == b"FETCH":
                uid = re.search(rb"UID (\d+)", r)
                if uid:
                    assert view[int(n) - 1] in (None, int(uid.group(1)))
                    view[int(n) - 1] = int(uid.group(1))

    hear(a.ok("UID FETCH 1:* UID"))
    for i in range(60):
        if i % 3 == 0:
            expunge(b, str(i // 2 + 1))
        elif i % 3 == 1:
            box.deliver(message(100 + i))
        else:
            b.ok("STORE * +FLAGS (\\Flagged)")
        hear(a.ok(["NOOP", "FETCH 1 (UID FLAGS)", "UID FETCH * FLAGS",
                   "STORE * +FLAGS (\\Seen)"][i % 4]))
    hear(a.ok("NOOP"))
    hear(a.ok("UID FETCH 1:* UID"))
    fresh = box.connect()
    fresh.ok("SELECT INBOX")
    want = [int(re.search(rb"UID (\d+)", r).group(1))
            for _, r in sorted(fresh.fetch("1:* UID").items())]
    assert view == want


def test_two_writers(box):
    """Flags of two sessions add up, none is lost."""
    box.fill(20, flags="")
    a, b = box.connect(), box.connect()
    a.ok("SELECT INBOX")
    b.ok("SELECT INBOX")
    tags = [(a, a.start("STORE %d +FLAGS.SILENT (\\Seen)" % i))
            for i in range(1, 21)]
    tags += [(b, b.start("STORE %d +FLAGS.SILENT (\\Flagged)" % i))
             for i in range(1, 21)]
    for c, tag in tags:
        assert c.finish(tag)[0] == "OK"
    c = box.connect()
    c.ok("SELECT INBOX")
    # of processes of their own: who met the other's lock writes a moment later
    end = time.monotonic() + 20
    while any(f - {"\\Recent"} != {"\\Seen", "\\Flagged"}
              for f in c.flags().values()):
        assert time.monotonic() < end, c.flags()
        c.ok("NOOP")


def test_a_slow_reader_blocks_only_itself(box_server):
    s = box_server
    user = "b398"
    for i in range(200):
        s.deliver(user, message(i, size=100000))
    slow, quick = s.imap(user), s.imap(user)
    slow.ok("SELECT INBOX")
    quick.ok("SELECT INBOX")
    tag = slow.start("FETCH 1:* BODY.PEEK[]")
    time.sleep(0.3)
    took = []
    for i in range(50):
        begun = time.monotonic()
        quick.ok("NOOP")
        took.append(time.monotonic() - begun)
    assert sorted(took)[40] < 0.5, took
    status, _, untagged = slow.finish(tag, 60)
    assert status == "OK"
    assert len([r for r in untagged if b" FETCH " in r[:30]]) == 200


def test_a_long_command_lets_others_run(box_server):
    """Steps: FETCH of thousands of flags beside a NOOP."""
    s = box_server
    user = "b397"
    for i in range(3000):
        s.deliver(user, message(i), flags="")
    busy, quick = s.imap(user), s.imap(user)
    busy.ok("SELECT INBOX", 60)
    quick.ok("SELECT INBOX", 60)
    tag = busy.start("STORE 1:* +FLAGS (\\Seen)")
    took = []
    for _ in range(10):
        begun = time.monotonic()
        quick.ok("NOOP", 60)
        took.append(time.monotonic() - begun)
    assert busy.finish(tag, 60)[0] == "OK"
    # The first NOOP may meet the others' scan; none waits for the whole.
    assert sorted(took)[3] < 0.2, took


def test_a_client_that_vanishes(box):
    box.fill(50, flags="")
    for _ in range(5):
        c = box.connect()
        c.ok("SELECT INBOX")
        c.send(b"a FETCH 1:* BODY[]\r\nb STORE 1:* +FLAGS (\\Seen)\r\n"
               b"c APPEND INBOX {1000000}\r\n")
        c.close()
    box.open = []
    c = box.connect()
    untagged = c.ok("SELECT INBOX")
    assert b"* 50 EXISTS" in untagged


def test_kick_says_bye(box_server):
    s = box_server
    c = s.imap("b396")
    c.ok("SELECT INBOX")
    tag = c.idle()
    s.ctl("kick", "b396")
    assert c.until(rb"^\* BYE ")
    assert c.is_closed()
    assert tag
