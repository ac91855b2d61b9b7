# SPDX-License-Identifier: ISC
"""Habits of mail programs (imapd/habit.c), each as its program shows it; and
capabilities that the administrator masks."""
import base64
import re

import pytest

from lib import box as boxes
from lib import maildir, restante, server, wire

MBOX = True
THUNDERBIRD = 'ID ("name" "Thunderbird" "version" "128.5.0")'
IOS = ('ID ("name" "iPhone Mail" "version" "21F90" "os" "iOS" '
       '"os-version" "17.5.1 (21F90)"%s)')


def lsub(c):
    return {r.split(b" ")[-1].decode(): re.match(rb"\* LSUB \(([^)]*)\)", r)
            .group(1).decode().split() for r in c.ok('LSUB "" "*"')}


def test_id_is_answered(box):
    c = box.connect()
    line, = c.ok(THUNDERBIRD)
    assert line.startswith(b'* ID ("name" "Restante"')
    assert c.ok("ID NIL")[0].startswith(b"* ID (")
    c.bad('ID ("name")')


def test_id_is_logged(box_server):
    used = box_server.used = getattr(box_server, "used", -1) + 1
    x = boxes.Box("server", box_server.users[used], box_server)
    x.connect().ok(THUNDERBIRD)
    box_server.wait_log(r"client user=<%s> rip=127.0.0.1 name=<Thunderbird> "
                        r"version=<128.5.0>" % x.user)
    x.close()


# ---- Thunderbird ---------------------------------------------------------------

def test_thunderbird_lsub(box):
    """It takes its folders from LSUB: a level must say that it is none."""
    c = box.connect()
    sep = "/" if box.store == "mbox" else "."
    c.ok("CREATE top%ssub" % sep)
    for name in ("top", "top%ssub" % sep, "gone"):
        c.ok("SUBSCRIBE " + name)
    assert lsub(c)["top"] == []
    c.ok(THUNDERBIRD)
    got = lsub(c)
    assert "\\Noselect" in got["top"] and "\\HasChildren" in got["top"]
    assert "\\Noselect" in got["gone"]
    assert "\\Noselect" not in got["top%ssub" % sep]
    # Another ID, another program.
    c.ok('ID ("name" "mutt")')
    assert lsub(c)["top"] == []


def test_thunderbird_separator(box):
    """It has been seen to put the delimiter behind names."""
    c = box.connect()
    sep = "/" if box.store == "mbox" else "."
    c.ok("CREATE folder" + sep)
    c.ok("SUBSCRIBE folder")
    for command in ("SELECT", "EXAMINE", "UNSUBSCRIBE"):
        c.ok("%s folder%s" % (command, sep))
    c.ok("STATUS folder%s (MESSAGES)" % sep)
    c.ok("UNSELECT")
    c.ok("RENAME folder%s other%s" % (sep, sep))
    c.ok("DELETE other" + sep)


# ---- libraries -----------------------------------------------------------------

def test_libetpan_select(box):
    """It leaves the parentheses around SELECT's parameters away."""
    box.fill(3)
    c = box.connect()
    told = b" ".join(c.ok("SELECT INBOX CONDSTORE"))
    validity, top = (
        int(re.search(rb"\[%s (\d+)\]" % code, told).group(1))
        for code in (b"UIDVALIDITY", b"HIGHESTMODSEQ"))
    assert b"MODSEQ" in c.ok("FETCH 1 MODSEQ")[0]
    c.ok("STORE 2 +FLAGS (\\Deleted)")
    c.ok("EXPUNGE")
    c.ok("UNSELECT")
    c.ok("ENABLE QRESYNC")
    assert b"* VANISHED (EARLIER) 2" in c.ok(
        "SELECT INBOX QRESYNC (%d %d 1:20)" % (validity, top))
    for bad in ("CONDSTORE x", "CONDSTORE CONDSTORE", "QRESYNC 1 1",
                "(CONDSTORE) QRESYNC (%d %d)" % (validity, top)):
        c.bad("SELECT INBOX " + bad)


def test_mail_imapclient_quota(box):
    """Its tests ask for the quota of all of the mail by an empty name."""
    c = box.connect()
    assert c.ok('GETQUOTAROOT ""')[0].startswith(b'* QUOTAROOT ""')


def test_before_login(box_server):
    """ID may come before LOGIN, and then holds."""
    used = box_server.used = getattr(box_server, "used", -1) + 1
    x = boxes.Box("server", box_server.users[used], box_server)
    a = x.connect()
    a.ok("CREATE top.sub")
    a.ok("SUBSCRIBE top")
    c = wire.Imap("127.0.0.1", box_server.imap_port)
    c.ok('ID ("name" "Thunder\\bird")')
    c.login(x.user, server.PASSWORD)
    assert "\\Noselect" in lsub(c)["top"]
    c.close()
    x.close()


# ---- Outlook -------------------------------------------------------------------

@pytest.mark.parametrize("blanks", [" ", "   "])
def test_outlook_blanks_behind_authenticate(box_server, blanks):
    used = box_server.used = getattr(box_server, "used", -1) + 1
    user = box_server.users[used].encode()
    c = wire.Imap("127.0.0.1", box_server.imap_port)
    c.send(b"a AUTHENTICATE PLAIN" + blanks.encode() + b"\r\n")
    assert c.line().startswith(b"+")
    c.send(base64.b64encode(b"\0" + user + b"\0secret") + b"\r\n")
    assert c.finish(b"a")[0] == "OK"
    c.close()
    c = wire.Imap("127.0.0.1", box_server.imap_port)
    c.send(b"a AUTHENTICATE LOGIN" + blanks.encode() + b"\r\n")
    for word in (user, b"secret"):
        assert c.line().startswith(b"+ ")
        c.send(base64.b64encode(word) + b"\r\n")
    assert c.finish(b"a")[0] == "OK"
    c.close()


def test_delay_newmail(box):
    """EXISTS with the answer to NOOP alone, where it is set so."""
    if box.kind == "server":
        pytest.skip("by setting")
    box.fill(1)
    c = box.connect("imap_client_workarounds=delay-newmail")
    c.ok("SELECT INBOX")
    box.deliver(maildir.message(2))
    for command in ("FETCH 1 FLAGS", 'LIST "" INBOX', "SEARCH ALL",
                    "UID FETCH 1 FLAGS"):
        assert not any(b"EXISTS" in r for r in c.ok(command)), command
    assert b"* 2 EXISTS" in c.ok("NOOP")
    box.deliver(maildir.message(3))
    assert b"* 3 EXISTS" in c.ok("CHECK")
    # In IDLE it waits for nothing else.
    tag = c.idle()
    box.deliver(maildir.message(4))
    c.until(rb"\* 4 EXISTS")
    c.done(tag)


# ---- iOS -----------------------------------------------------------------------

def test_ios_changedsince_0(box):
    """It begins with 0, which RFC 7162 has no place for."""
    box.fill(3)
    c = box.connect()
    c.ok(IOS % "")
    c.ok("SELECT INBOX (CONDSTORE)")
    got = c.ok("FETCH 1:* (FLAGS) (CHANGEDSINCE 0)")
    assert sum(b" FETCH (" in r for r in got) == 3
    got = c.ok("UID FETCH 1:* (FLAGS) (CHANGEDSINCE 0)")
    assert sum(b" FETCH (" in r for r in got) == 3


WORK = ("SELECT INBOX", "EXAMINE INBOX", "STATUS INBOX (MESSAGES)")


@pytest.mark.parametrize("pressed", [
    "background_memory=%d" % (900000 << 30), "background_load=0"])
def test_ios_background(box, pressed):
    """TN3189: who fills an index waits while the machine has much to do."""
    if box.kind == "server":
        pytest.skip("by setting")
    box.fill(1)
    c = box.connect(pressed, "background_memory=0" if "load" in pressed
                    else "background_load=0")
    c.ok(IOS % "")
    c.ok("SELECT INBOX")
    for event in ("com.apple.mail.indexer", "indexer", "back-fill",
                  "backfill"):
        status, text, _ = c.cmd(IOS % (' "event" "%s"' % event))
        if "load" in pressed:  # thresholds that are 0 are none
            assert status == "OK"
            c.ok("SELECT INBOX")
            continue
        assert status == "NO" and text.startswith(b"[UNAVAILABLE]"), event
        for command in WORK + ("FETCH 1:* FLAGS", "UID SEARCH ALL"):
            status, text, _ = c.cmd(command)
            assert status == "NO" and text.startswith(b"[UNAVAILABLE]")
        for command in ("NOOP", "CAPABILITY", 'LIST "" *'):
            c.ok(command)
    # A person looks: at once.
    c.ok(IOS % ' "event" "user"')
    for command in WORK:
        c.ok(command)
    c.ok("FETCH 1:* FLAGS")


def test_ios_background_before_login(start):
    s = start(settings={"background_memory": "900000G"})
    c = s.imap()
    c.ok(IOS % ' "event" "indexer"')
    c.login("alice", server.PASSWORD)
    assert c.cmd("SELECT INBOX")[1].startswith(b"[UNAVAILABLE]")
    d = s.imap("alice")
    d.ok("SELECT INBOX")


# ---- masks ---------------------------------------------------------------------

def test_mask(box):
    if box.kind == "server":
        pytest.skip("by setting")
    c = box.connect("imap_capability_mask=qresync COMPRESS=DEFLATE "
                    "client=Thunderbird:CONDSTORE user=alice:SORT "
                    "user=bob:UIDPLUS")
    caps = c.capabilities()
    assert not {"QRESYNC", "COMPRESS=DEFLATE", "SORT"} & caps
    assert {"CONDSTORE", "UIDPLUS", "SORT=DISPLAY", "IMAP4rev1"} <= caps
    assert c.greeting.count(b"QRESYNC") == 0
    c.ok(THUNDERBIRD)
    assert "CONDSTORE" not in c.capabilities()
    # What is not announced can not be enabled.
    assert c.ok("ENABLE QRESYNC CONDSTORE METADATA") == [
        b"* ENABLED METADATA"]
    c.ok('ID ("name" "mutt")')
    assert "CONDSTORE" in c.capabilities()


def test_mask_before_login(start):
    s = start(settings={"imap_capability_mask":
                        ["IDLE", "client=Evolution:NOTIFY",
                         "user=alice:MOVE"]})
    c = s.imap()
    assert "IDLE" not in c.capabilities()
    assert "AUTH=PLAIN" in c.capabilities()
    c.ok('ID ("name" "Evolution" "version" "3.46")')
    c.login("alice", server.PASSWORD)
    caps = c.capabilities()
    assert not {"IDLE", "NOTIFY", "MOVE"} & caps
    caps = s.imap("bob").capabilities()
    assert {"NOTIFY", "MOVE"} <= caps and "IDLE" not in caps


def test_wrong_settings(start):
    s = restante.Restante()
    try:
        s.settings["imap_capability_mask"] = ["client=:SORT"]
        s.write()
        text = s.ctl("config", ok=None)
        assert "imap_capability_mask" in text
    finally:
        s.remove()
    del start
