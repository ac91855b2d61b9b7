# SPDX-License-Identifier: ISC
"""NOTIFY (RFC 5465): what a client hears without asking."""
import contextlib
import os
import re
import shutil
import time

import pytest
from lib import server
from lib.maildir import message

MBOX = True
MAILDIR_ALONE = {"test_rsync_and_mutt", "test_alias_of_courier"}

MESSAGES = "MessageNew MessageExpunge"
ALL = "MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange"


def status(r):
    """(mailbox, {item: number}) of a STATUS response."""
    m = re.match(rb'\* STATUS (\S+|"[^"]*") \((.*)\)$', r)
    assert m, r
    words = m.group(2).decode().split()
    return m.group(1).decode().strip('"'), dict(
        zip(words[::2], map(int, words[1::2])))


def nothing(c):
    """Nothing is told; a command in between shows that the session goes on."""
    assert c.is_silent(0.4), c.buffer
    return True


@pytest.fixture
def two(box):
    """A client without a mailbox, and another one for changes."""
    if box.store == "mbox":
        # or it would be root's for a moment
        with open(box.mbox(), "w", encoding="ascii"):
            box.own(box.mbox())
    c = box.connect()
    c.box = box
    c.ok("CREATE one")
    c.ok("CREATE two")
    c.other = box.connect()
    c.sep = c.ok('LIST "" ""')[0].split()[3].strip(b'"').decode()
    return c


def test_announced(two):
    assert "NOTIFY" in two.capabilities()


def test_example(two):
    """The dialogue of section 3.1, with events that go together."""
    c = two
    lists = "Lists" + c.sep
    c.ok("CREATE %sLemonade" % lists)
    c.ok("CREATE %sIm2000" % lists)
    c.append(lists + "Lemonade", message(1))
    got = c.ok("notify set status (selected MessageNew (uid body.peek["
               "header.fields (from to subject)]) MessageExpunge) "
               "(subtree Lists (MessageNew MessageExpunge))")
    seen = dict(status(r) for r in got)
    assert set(seen) == {lists + "Lemonade", lists + "Im2000"}
    assert seen[lists + "Lemonade"]["MESSAGES"] == 1
    assert seen[lists + "Im2000"]["UIDNEXT"] == 1
    assert "UIDVALIDITY" in seen[lists + "Im2000"]
    c.ok("select inbox")
    c.other.append(lists + "Lemonade", message(2))
    name, items = status(c.response())
    assert (name, items["UIDNEXT"], items["MESSAGES"]) == (
        lists + "Lemonade", 3, 2)
    assert items["UIDVALIDITY"] == seen[name]["UIDVALIDITY"]
    c.box.deliver(b"From: a@b\nTo: c@d\nSubject: x\nDate: now\n\nbody\n")
    got = c.until(rb"FETCH")
    assert got[0] == b"* 1 EXISTS"
    fields = b"From: a@b\r\nTo: c@d\r\nSubject: x\r\n\r\n"
    assert re.sub(rb"\{\d+\}", b"{%d}" % len(fields), got[-1]) == got[-1]
    assert got[-1] == (b"* 1 FETCH (UID 1 BODY[HEADER.FIELDS (from to subject)"
                       b"] {%d}\r\n%s)" % (len(fields), fields))
    # one mailbox more, without STATUS
    assert c.ok("notify set (selected MessageNew (uid body.peek[header.fields "
                "(from to subject)]) MessageExpunge) (subtree Lists "
                "(MessageNew MessageExpunge)) (mailboxes one (MessageNew "
                "MessageExpunge))") == []
    c.other.append("one", message(1))
    assert status(c.response())[0] == "one"


@pytest.mark.parametrize("wrong", [
    "", "SET", "NONE x", "SET STATUS", "SET (selected)", "SET selected NONE",
    "SET (nosuch NONE)", "SET (selected ())", "SET () NONE",
    "SET (selected (MessageNew))", "SET (selected (MessageExpunge))",
    "SET (personal (FlagChange))", "SET (personal (MessageNew FlagChange))",
    "SET (selected (MailboxName))",
    "SET (selected (%s SubscriptionChange))" % MESSAGES,
    "SET (selected NONE) (selected-delayed NONE)",
    "SET (selected NONE) (selected NONE)",
    "SET (personal (MessageNew (uid) MessageExpunge))",
    "SET (selected (MessageNew (nosuch) MessageExpunge))",
    "SET (selected (MessageNew () MessageExpunge))",
    "SET (mailboxes (%s))" % MESSAGES, "SET (mailboxes () NONE)",
    "SET (subtree-one one NONE)", "SET (personal NONE x)",
    "SET (personal (%s) x)" % MESSAGES, "SET STATUS NONE", "NOSUCH"])
def test_syntax(tunnel, wrong):
    c = tunnel.connect()
    c.bad("NOTIFY " + wrong)
    # a refused one has no effect: new mail is told as ever
    c.ok("SELECT INBOX")
    tunnel.deliver(message(1))
    assert b"* 1 EXISTS" in c.ok("NOOP")


def test_events_that_there_are_not(two):
    c = two
    for event in ("AnnotationChange", "NoSuchEvent"):
        text = c.no("NOTIFY SET (personal (%s %s))" % (MESSAGES, event))
        m = re.match(rb"\[BADEVENT \(([^)]*)\)\]", text)
        assert {b"MessageNew", b"MessageExpunge", b"FlagChange",
                b"MailboxName", b"SubscriptionChange"} <= set(
                    m.group(1).split())
        assert b"AnnotationChange" not in m.group(1)
    c.ok("NOTIFY SET (PERSONAL (messagenew MESSAGEEXPUNGE flagchange))")


def test_selected_at_once(two):
    """Section 6.1.1: also while no command runs, also EXPUNGE."""
    c = two
    c.box.fill(3, flags="")
    c.ok("SELECT INBOX")
    # all that has come together is told by NOTIFY itself (section 3.1)
    c.box.deliver(message(4))
    assert b"* 4 EXISTS" in c.ok(
        "NOTIFY SET (selected (%s FlagChange))" % MESSAGES)
    o = c.other
    o.ok("SELECT INBOX")
    o.ok("STORE 2 +FLAGS (\\Flagged)")
    got = c.response()
    assert got.startswith(b"* 2 FETCH (UID 2 ") and b"\\Flagged" in got
    c.box.deliver(message(5))
    assert c.until(rb"EXISTS")[-1] == b"* 5 EXISTS"
    o.ok("UID STORE 1,3 +FLAGS.SILENT (\\Deleted)")
    o.ok("EXPUNGE")
    # together or one by one
    uids = [1, 2, 3, 4, 5]
    while len(uids) > 3:
        r = c.until(rb"EXPUNGE")[-1]
        del uids[int(r.split()[1]) - 1]
    assert uids == [2, 4, 5]
    assert len(c.ok("UID FETCH 1:* FLAGS")) == 3
    # what the client does itself is not told twice
    got = c.ok("UID STORE 2 +FLAGS (\\Seen)")
    assert len(got) == 1 and b"FETCH" in got[0]
    assert nothing(c)


def test_selected_delayed(two):
    """Section 6.1.2: EXPUNGE waits for a command that may tell it."""
    c = two
    c.box.fill(3, flags="")
    c.ok("SELECT INBOX")
    c.ok("NOTIFY SET (selected-delayed (%s FlagChange))" % MESSAGES)
    o = c.other
    o.ok("SELECT INBOX")
    o.ok("STORE 1 +FLAGS (\\Deleted)")
    assert b"* 1 FETCH" in c.response()
    o.ok("EXPUNGE")
    c.box.deliver(message(4))
    assert c.until(rb"EXISTS")[-1] == b"* 4 EXISTS"
    assert sorted(c.flags("1:4")) == [1, 2, 3, 4]
    assert nothing(c) or True
    assert b"* 1 EXPUNGE" in c.ok("NOOP")
    o.ok("NOOP")
    o.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    o.ok("EXPUNGE")
    # IDLE may tell it too, and tells just what NOTIFY has asked for
    tag = c.idle()
    c.until(rb"^\* 1 EXPUNGE")
    o.append("INBOX", message(5))
    c.until(rb"EXISTS")
    assert c.done(tag)[0] == "OK"


@pytest.mark.parametrize("how", ["NONE", "SET (selected NONE)",
                                 "SET (personal (%s))" % MESSAGES])
def test_a_snapshot(two, how):
    """Section 3.1 and 5: who wishes for nothing is told nothing."""
    c = two
    c.box.fill(3, flags="")
    c.ok("SELECT INBOX")
    c.ok("NOTIFY " + how)
    o = c.other
    o.ok("SELECT INBOX")
    o.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    o.ok("EXPUNGE")
    o.ok("STORE 1 +FLAGS (\\Flagged)")
    c.box.deliver(message(4))
    o.ok("NOOP")
    assert c.ok("NOOP") == []
    tag = c.idle()
    assert nothing(c)
    assert c.done(tag)[2] == []
    # its own commands are answered as ever
    assert b"\\Seen" in c.ok("STORE 3 +FLAGS (\\Seen)")[0]
    assert list(c.fetch("3 UID")) == [3]
    c.ok("STORE 2 +FLAGS.SILENT (\\Deleted)")
    assert b"* 2 EXPUNGE" in c.ok("EXPUNGE")
    # ... and when it wishes again all is told
    got = c.ok("NOTIFY SET (selected (%s))" % MESSAGES)
    assert [r for r in got if b"EXISTS" in r]


def test_no_flags_wished(two):
    c = two
    c.box.fill(2, flags="")
    c.ok("SELECT INBOX")
    c.ok("NOTIFY SET (selected (%s))" % MESSAGES)
    o = c.other
    o.ok("SELECT INBOX")
    o.ok("STORE 1 +FLAGS (\\Flagged)")
    assert nothing(c)
    assert c.ok("NOOP") == []
    assert b"\\Flagged" in c.ok("FETCH 1 FLAGS")[0]


def test_attributes_of_new_messages(two):
    """Section 5.2: EXISTS, then FETCH, but not of the client's own."""
    c = two
    c.ok("SELECT INBOX")
    c.ok("NOTIFY SET (selected (MessageNew (FLAGS ENVELOPE BODY[TEXT] "
         "RFC822.SIZE) MessageExpunge))")
    for i in range(1, 6):
        c.box.deliver(message(i))
    # each once, in order
    seen = []
    while len(seen) < 5:
        r = c.response()
        m = re.match(rb"\* (\d+) FETCH \(UID (\d+) FLAGS .*ENVELOPE.*"
                     rb"BODY\[TEXT\]", r, re.S)
        if m:
            seen.append((int(m.group(1)), int(m.group(2))))
        else:
            assert b"EXISTS" in r or b"RECENT" in r, r
    assert seen == [(i, i) for i in range(1, 6)]
    # to be told is not to read
    assert not [f for f in c.flags().values() if "\\Seen" in f]
    tag = c.literal("APPEND INBOX", message(6))
    assert b"* 6 EXISTS" in tag[2]
    c.ok("COPY 1 INBOX")
    assert nothing(c)
    c.box.deliver(message(8))
    got = c.until(rb"FETCH")
    assert got[0] == b"* 8 EXISTS" and got[-1].startswith(b"* 8 FETCH (UID 8 ")


def test_other_mailboxes(two):
    """Sections 5.1 to 5.3; the selected one only as `selected` says."""
    c = two
    o = c.other
    first = dict(status(r) for r in c.ok(
        "NOTIFY SET STATUS (personal (%s FlagChange))" % MESSAGES))
    assert set(first) >= {"INBOX", "one", "two"}
    assert set(first["one"]) >= {"MESSAGES", "UIDNEXT", "UIDVALIDITY",
                                 "HIGHESTMODSEQ"}
    o.append("one", message(1))
    name, items = status(c.response())
    assert name == "one" and items["MESSAGES"] == 1 and items["UIDNEXT"] == 2
    assert "HIGHESTMODSEQ" not in items
    o.ok("SELECT one")
    o.ok("STORE 1 +FLAGS (\\Seen)")
    name, items = status(c.response())
    assert name == "one" and items["UNSEEN"] == 0
    c.ok("ENABLE CONDSTORE")
    o.ok("STORE 1 +FLAGS (\\Flagged)")
    name, items = status(c.response())
    assert name == "one" and items["UIDVALIDITY"] and \
        items["HIGHESTMODSEQ"] > first["one"]["HIGHESTMODSEQ"]
    before = items["HIGHESTMODSEQ"]
    o.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    o.ok("EXPUNGE")
    while items.get("MESSAGES") != 0:
        name, items = status(c.response())
        assert name == "one"
    assert items["UIDNEXT"] == 2 and items["HIGHESTMODSEQ"] > before
    c.ok("SELECT one")
    o.append("one", message(2))
    assert nothing(c)
    c.ok("UNSELECT")
    # what was kept from the client while it was selected is told then
    name, items = status(c.response())
    assert name == "one" and items["MESSAGES"] == 1
    assert nothing(c)


def test_outside_delivery(two):
    c = two
    c.ok("NOTIFY SET (subtree one %s) (mailboxes (two nosuch) (%s))" % (
        MESSAGES, MESSAGES))
    for i, folder in enumerate((".one", ".two", ".one"), 1):
        c.box.deliver(message(i), folder)
        name, items = status(c.response())
        assert name == folder[1:]
    assert items["MESSAGES"] == 2
    c.box.deliver(message(9))
    assert nothing(c)


def test_own_changes_are_not_told(two):
    """Section 5: the client knows what it does itself."""
    c = two
    c.ok("NOTIFY SET STATUS (personal (%s))" % ALL)
    c.append("one", message(1))
    c.append("one", message(2))
    c.ok("CREATE mine")
    c.ok("CREATE %s" % c.sep.join(("deep", "deeper", "deepest")))
    c.ok("RENAME mine yours")
    c.ok("SUBSCRIBE yours")
    c.ok("UNSUBSCRIBE yours")
    c.ok("SUBSCRIBE nosuch")
    c.ok("SELECT one")
    c.ok("COPY 1:2 two")
    c.ok("UNSELECT")
    c.ok("DELETE yours")
    assert nothing(c), c.buffer
    # but what another one adds to it is
    c.append("two", message(3))
    c.other.append("two", message(4))
    items = {}
    while items.get("MESSAGES") != 4:
        name, items = status(c.response())
        assert name == "two"


def test_names(two):
    """Section 5.4."""
    c, o = two, two.other
    c.ok("NOTIFY SET (personal (MailboxName))")
    sep = c.sep.encode()
    o.ok("CREATE new")
    assert re.match(rb'\* LIST \([^)]*\) "%s" new$' % re.escape(sep),
                    c.response())
    o.ok("CREATE below%snew" % c.sep)
    got = [c.response(), c.response()]
    assert got[0].endswith(b" below%snew" % sep)
    # the parent, which is no mailbox, is affected too
    assert b"\\HasChildren" in got[1] and got[1].endswith(b" below")
    o.ok("RENAME new newer")
    assert re.match(rb'\* LIST \([^)]*\) "." newer \("?OLDNAME"? \(new\)\)$',
                    c.response())
    # children go along without a word
    o.ok("RENAME below above")
    got = c.response()
    assert b"above" in got and b"OLDNAME" in got
    o.ok("DELETE newer")
    got = c.response()
    assert got.startswith(b"* LIST (\\NonExistent") and got.endswith(b" newer")
    o.ok("DELETE above%snew" % c.sep)
    got = c.response()
    assert b"\\NonExistent" in got and got.endswith(b" above%snew" % sep)
    o.ok("SUBSCRIBE one")
    o.append("one", message(1))
    assert not [r for r in c.ok("NOOP") if b"one" in r]


def test_names_that_begin_alike(two):
    """Only what lies below a renamed mailbox goes along without a word."""
    c, o = two, two.other
    for name in ("foo", "foo1"):
        o.ok("CREATE " + name)
    c.ok("NOTIFY SET (personal (MailboxName))")
    o.ok("CREATE first")
    assert c.response().endswith(b" first")
    # Lists keep apart: both renames are found by the next one.
    o.send("r1 RENAME foo bar\r\nr2 RENAME foo1 bar1\r\n")
    for name in (b"bar", b"bar1"):
        c.until(rb' %s \("?OLDNAME"? \(%s\)\)$' % (
            name, name.replace(b"bar", b"foo")))


def test_subscriptions(two):
    """Section 5.5, and the `subscribed` specifier, which follows them."""
    c, o = two, two.other
    c.ok("NOTIFY SET (mailboxes one (SubscriptionChange)) (subscribed (%s))" %
         MESSAGES)
    o.ok("SUBSCRIBE one")
    got = c.response()
    assert b"\\Subscribed" in got and got.endswith(b" one")
    o.append("two", message(1))
    o.append("one", message(1))
    assert status(c.response())[0] == "one"
    o.ok("UNSUBSCRIBE one")
    got = c.response()
    assert got.startswith(b"* LIST (") and b"\\Subscribed" not in got
    o.append("one", message(2))
    assert nothing(c)


def test_new_mailboxes_are_watched(two):
    c, o = two, two.other
    c.ok("NOTIFY SET (personal (%s MailboxName))" % MESSAGES)
    o.ok("CREATE fresh")
    assert b"LIST" in c.response()
    o.append("fresh", message(1))
    name, items = status(c.response())
    assert name == "fresh" and items["MESSAGES"] == 1
    o.ok("RENAME fresh ripe")
    assert b"OLDNAME" in c.response()
    c.box.deliver(message(2), ".ripe")
    name, items = status(c.response())
    assert name == "ripe" and items["MESSAGES"] == 2
    # one of the same name is another one
    o.ok("DELETE ripe")
    c.until(rb"NonExistent")
    o.ok("CREATE ripe")
    c.until(rb"LIST \([^)]*\) .* ripe$")
    o.append("ripe", message(3))
    name, items = status(c.until(rb"STATUS")[-1])
    assert name == "ripe" and items["MESSAGES"] == 1


def test_annotations(two):
    """Sections 5.6 and 5.7."""
    c, o = two, two.other
    c.ok("NOTIFY SET (mailboxes one (MailboxMetadataChange "
         "ServerMetadataChange))")
    o.ok('SETMETADATA one (/shared/comment "x")')
    assert c.response() == b"* METADATA one /shared/comment"
    o.ok('SETMETADATA two (/shared/comment "x")')
    o.ok('SETMETADATA "" (/private/vendor/a/x "y")')
    assert c.response() == b'* METADATA "" /private/vendor/a/x'
    c.ok('SETMETADATA one (/shared/comment NIL)')
    assert nothing(c)


def test_with_qresync(two):
    c, o = two, two.other
    c.box.fill(3, flags="")
    c.ok("ENABLE QRESYNC")
    c.ok("SELECT INBOX")
    c.ok("NOTIFY SET (selected (%s FlagChange)) (personal (%s))" % (
        MESSAGES, MESSAGES))
    o.ok("SELECT INBOX")
    o.ok("STORE 2 +FLAGS (\\Deleted)")
    assert re.match(rb"\* 2 FETCH \(UID 2 MODSEQ \(\d+\) FLAGS", c.response())
    o.ok("EXPUNGE")
    assert c.response() == b"* VANISHED 2"
    o.append("one", message(1))
    assert "HIGHESTMODSEQ" in status(c.response())[1]


@pytest.mark.parametrize("items", ["UID FLAGS", "FLAGS", "MODSEQ"])
def test_new_messages_with_mod_sequences(two, items):
    """RFC 7162 section 3.2.4: each FETCH that comes by itself has both."""
    c, o = two, two.other
    c.ok("ENABLE CONDSTORE")
    c.ok("SELECT INBOX")
    c.ok("NOTIFY SET (selected (MessageNew (%s) MessageExpunge))" % items)
    o.append("INBOX", message(1))
    fetch = c.until(rb"FETCH")[-1]
    assert fetch.count(b"UID 1") == 1 and fetch.count(b"MODSEQ (") == 1, fetch
    assert b"FLAGS" not in items.encode() or b"FLAGS (" in fetch


def test_uid_only(two):
    c, o = two, two.other
    c.box.fill(2, flags="")
    c.ok("ENABLE UIDONLY")
    c.ok("SELECT INBOX")
    c.ok("NOTIFY SET (selected (MessageNew (FLAGS) MessageExpunge "
         "FlagChange))")
    o.ok("SELECT INBOX")
    o.ok("STORE 1 +FLAGS (\\Deleted)")
    assert re.match(rb"\* 1 UIDFETCH \(FLAGS", c.response())
    o.ok("EXPUNGE")
    assert c.response() == b"* VANISHED 1"
    c.box.deliver(message(3))
    # UIDONLY is no CONDSTORE enabling command, so MODSEQ need not be there.
    assert re.match(rb"\* 3 UIDFETCH \(FLAGS", c.until(rb"FETCH")[-1])


def test_no_access(two):
    """Section 3.1: what may be listed, but not read, and section 5.9."""
    c = two
    if not server.is_root():
        pytest.skip("needs root")
    path = c.box.mbox(".one") if c.box.store == "mbox" \
        else c.box.maildir(".one")
    os.chmod(path, 0)
    try:
        c = c.box.connect()
        got = c.ok("NOTIFY SET STATUS (mailboxes (one two) (%s))" % MESSAGES)
        seen = [r for r in got if r.startswith(b"* LIST")]
        assert len(seen) == 1 and b"\\NoAccess" in seen[0] and \
            seen[0].endswith(b" one")
        assert [status(r)[0] for r in got if b"STATUS" in r] == ["two"]
    finally:
        os.chmod(path, 0o700)


def test_too_many_mailboxes(tunnel):
    c = tunnel.connect("imap_notify_mailboxes=10")
    for i in range(8):
        c.ok("CREATE box%d" % i)
    o = tunnel.connect()
    c.ok("NOTIFY SET (personal (%s))" % MESSAGES)
    o.ok("CREATE more")
    assert nothing(c)
    o.ok("CREATE evenmore")
    got = c.response()
    assert got.startswith(b"* OK [NOTIFICATIONOVERFLOW]")
    # as if NOTIFY NONE had been said
    o.append("box1", message(1))
    assert nothing(c)
    assert c.no("NOTIFY SET (personal (%s))" % MESSAGES).startswith(
        b"[NOTIFICATIONOVERFLOW]")
    c.ok("NOTIFY SET (subtree (box1 box2) (%s)) (personal (MailboxName))" %
         MESSAGES)
    o.append("box2", message(1))
    assert status(c.response())[0] == "box2"


def test_too_long(tunnel):
    c = tunnel.connect()
    groups = " ".join("(mailboxes b%d NONE)" % i for i in range(101))
    assert c.no("NOTIFY SET " + groups).startswith(b"[NOTIFICATIONOVERFLOW]")
    names = " ".join("b%d" % i for i in range(2001))
    assert c.no("NOTIFY SET (mailboxes (%s) NONE)" % names).startswith(
        b"[NOTIFICATIONOVERFLOW]")
    c.send(b"l NOTIFY SET (mailboxes (")
    c.send(b"{1000+}\r\n" + b"x" * 1000)
    c.send((b" {1000+}\r\n" + b"x" * 1000) * 140 + b") NONE)\r\n")
    state, text, _ = c.finish(b"l")
    assert state == "NO" and text.startswith(b"[NOTIFICATIONOVERFLOW]")
    c.ok("NOOP")


def test_hundreds_of_mailboxes(tunnel):
    """Each of them costs little, and events reach the client at once."""
    c = tunnel.connect()
    for i in range(300):
        c.send(b"m%d CREATE box%d\r\n" % (i, i))
    for i in range(300):
        c.finish(b"m%d" % i)
    c.ok("NOTIFY SET STATUS (personal (%s))" % ALL)

    def memory():
        with open("/proc/%d/statm" % c.process.pid) as f:
            return int(f.read().split()[1]) * 4

    before = memory()
    assert len(os.listdir("/proc/%d/fd" % c.process.pid)) < 60
    for i in (5, 250, 17, 299):
        tunnel.deliver(message(i), ".box%d" % i)
        assert status(c.response())[0] == "box%d" % i
    # nothing happens, nothing is done
    with open("/proc/%d/stat" % c.process.pid) as f:
        used = sum(map(int, f.read().rsplit(")")[1].split()[11:13]))
    assert nothing(c)
    with open("/proc/%d/stat" % c.process.pid) as f:
        assert sum(map(int, f.read().rsplit(")")[1].split()[11:13])) - used \
            <= 2
    assert memory() - before < 8000


def test_a_storm(tunnel):
    """Many changes in a short time are told by a few responses, the last of
    which tells the truth."""
    c = tunnel.connect()
    c.ok("CREATE one")
    c.ok("NOTIFY SET STATUS (personal (%s))" % ALL)
    for i in range(300):
        tunnel.deliver(message(i), ".one")
    n, items = 0, {}
    while items.get("MESSAGES") != 300:
        name, items = status(c.response())
        n += 1
    assert n < 100


def test_rsync_and_mutt(two):
    """What other programs do to the files."""
    c = two
    c.ok("NOTIFY SET STATUS (personal (%s))" % ALL)
    one, two_ = c.box.maildir(".one"), c.box.maildir(".two")
    c.box.deliver(message(1), ".one")
    assert status(c.response())[1]["UNSEEN"] == 1
    # mutt: from new to cur, with a flag
    name = os.listdir(os.path.join(one, "new"))[0]
    os.rename(os.path.join(one, "new", name),
              os.path.join(one, "cur", name + ":2,S"))
    assert status(c.response())[1]["UNSEEN"] == 0
    # rsync: a hidden file first
    at = os.path.join(two_, "cur", name + ":2,S")
    shutil.copy(os.path.join(one, "cur", name + ":2,S"),
                os.path.join(two_, "cur", "." + name + ".x1"))
    c.box.own(os.path.join(two_, "cur", "." + name + ".x1"))
    os.rename(os.path.join(two_, "cur", "." + name + ".x1"), at)
    assert status(c.response()) [0] == "two"
    os.unlink(at)
    assert status(c.response())[1]["MESSAGES"] == 0
    # mv of a whole folder; cp of one; rm
    os.rename(two_, c.box.maildir(".second"))
    got = c.response()
    assert got.endswith(b'second ("OLDNAME" (two))')
    shutil.copytree(one, c.box.maildir(".copy"))
    for path, dirs, files in os.walk(c.box.maildir(".copy")):
        for f in [path] + [os.path.join(path, x) for x in files]:
            c.box.own(f)
    c.until(rb"LIST \([^)]*\) .* copy$")
    assert status(c.until(rb"STATUS copy")[-1])[1]["MESSAGES"] == 1
    shutil.rmtree(c.box.maildir(".second"))
    assert b"\\NonExistent" in c.until(rb" second$")[-1]
    with open(c.box.maildir("subscriptions"), "w") as f:
        f.write("V\t2\n\none\n")
    c.box.own(c.box.maildir("subscriptions"))
    assert b"\\Subscribed" in c.until(rb"LIST .* one$")[-1]


def test_polling(tunnel):
    """Where the kernel does not tell."""
    c = tunnel.connect("poll_only=yes", "poll_interval=1")
    c.ok("CREATE one")
    c.ok("SELECT INBOX")
    c.ok("NOTIFY SET STATUS (selected (%s)) (personal (%s))" % (MESSAGES, ALL))
    tunnel.deliver(message(1), ".one")
    assert status(c.response())[0] == "one"
    tunnel.deliver(message(2))
    c.until(rb"^\* 1 EXISTS")
    o = tunnel.connect()
    o.ok("CREATE two")
    c.until(rb"LIST \([^)]*\) .* two$")


def test_pipelined_commands_go_on(two):
    """While much is told, commands have their turn, and no response is cut."""
    c, o = two, two.other
    c.ok("SELECT INBOX")
    c.ok("NOTIFY SET (selected (MessageNew (BODY.PEEK[]) MessageExpunge)) "
         "(personal (%s))" % ALL)
    for i in range(30):
        o.append("INBOX", message(i))
        o.append("one", message(i))
        c.send(b"p%d UID FETCH 1:* (FLAGS BODY.PEEK[HEADER])\r\n" % i)
    fetched = set()
    for i in range(30):
        state, _, untagged = c.finish(b"p%d" % i)
        assert state == "OK"
        for r in untagged:
            assert re.match(rb"\* (\d+ (EXISTS|RECENT|FETCH \()|STATUS )", r)
            m = re.match(rb"\* (\d+) FETCH \(UID \d+ BODY\[\] ", r)
            if m:
                fetched.add(int(m.group(1)))
    while len(fetched) < 30:
        m = re.match(rb"\* (\d+) FETCH \(UID \d+ BODY\[\] ", c.response())
        if m:
            assert int(m.group(1)) not in fetched
            fetched.add(int(m.group(1)))


def test_a_client_that_does_not_read(tunnel):
    """It costs the server no memory: nothing is queued but the last state."""
    c = tunnel.connect()
    o = tunnel.connect()
    for i in range(20):
        o.ok("CREATE box%d" % i)
    c.ok("NOTIFY SET (personal (%s))" % ALL)
    c.sock.setsockopt(1, 8, 2048)
    end = time.monotonic() + 2
    while time.monotonic() < end:
        for i in range(20):
            tunnel.deliver(message(1), ".box%d" % i)
    c.ok("NOOP", timeout=30)


def test_selected_mailbox_removed(two):
    c, o = two, two.other
    if c.box.kind == "server":
        pytest.skip("DELETE is told there at once")
    c.ok("SELECT one")
    c.ok("NOTIFY SET (selected (%s))" % MESSAGES)
    o.ok("DELETE one")
    with contextlib.suppress(OSError):
        c.send(b"x NOOP\r\n")
    c.until(rb"^\* BYE")


def test_alias_of_courier(tunnel):
    c = tunnel.connect("inbox_alias=yes")
    c.ok("CREATE one")
    c.ok("NOTIFY SET (mailboxes INBOX.one (%s))" % MESSAGES)
    tunnel.deliver(message(1), ".one")
    assert status(c.response())[1]["MESSAGES"] == 1


# ---- what LIST shows before it is made ----------------------------------------


def listed(c):
    return {re.search(rb'"?([^" ]+)"?$', r).group(1).decode()
            for r in c.ok('LIST "" "*"')}


def test_status_of_all_that_is_listed(two):
    """Also of those that are made when they are first used."""
    names = listed(two)
    assert {"Drafts", "Sent"} < names
    seen = dict(status(r) for r in two.ok(
        "NOTIFY SET STATUS (personal (%s))" % MESSAGES))
    assert set(seen) == names
    assert seen["Sent"]["MESSAGES"] == 0
    two.other.append("Sent", message(1))
    name, items = status(two.response())
    assert (name, items["MESSAGES"], items["UIDVALIDITY"]) == (
        "Sent", 1, seen["Sent"]["UIDVALIDITY"])


@pytest.mark.parametrize("events", [MESSAGES, MESSAGES + " MailboxName"])
def test_made_by_the_first_message(two, events):
    """It was listed before, so that it is no new name; the mail is news."""
    assert two.ok("NOTIFY SET (personal (%s))" % events) == []
    two.other.append("Junk", message(1))
    name, items = status(two.response())
    assert (name, items["MESSAGES"], items["UIDNEXT"]) == ("Junk", 1, 2)
    # made, and nothing in it
    two.other.ok("STATUS Drafts (MESSAGES)")
    assert nothing(two)
    two.other.append("Drafts", message(2))
    name, items = status(two.response())
    assert (name, items["MESSAGES"]) == ("Drafts", 1)
