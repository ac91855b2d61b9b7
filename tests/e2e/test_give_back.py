# SPDX-License-Identifier: ISC
"""restantectl give-back: what a return to Dovecot or Courier needs is on disk
when it comes back (formats.md 12.2, compat-tests.md R3, R4)."""
import json
import os
import re
import subprocess

import pytest
from lib import agree, courier, dovecot, restante
from lib.agree import msg

UIDL = "userdb_pop3_uidl_format=%%v-%%u"


@pytest.fixture(scope="module")
def pair():
    users = ["g%d" % i for i in range(1, 13)]
    extra = {"g2": "maildir:~/Maildir", "g4": "mbox:~/mail:INBOX=~/in/box",
             "g5": "mbox:~/mail:INBOX=~/in/box"}
    # Ours makes other POP3 ids for g2 than Dovecot does by itself.
    yield from agree.serving(users, extra=extra, ours={
        "g2": "userdb_mail=maildir:~/Maildir " + UIDL})


@pytest.fixture
def box(pair, request):
    pair.dovecot.complaints()
    b = pair.box(request.param)
    b.wide = b.root
    if request.param in ("g4", "g5"):
        b.root = pair.dovecot.home(request.param)
        for rel in ("mail", "in"):
            os.makedirs(b.path(rel), exist_ok=True)
            os.chown(b.path(rel), b.uid, b.uid)
    else:
        agree.fill_m1(b)
    yield b
    pair.dovecot.close_all()
    pair.ours.close_all()


def user(name):
    return pytest.mark.parametrize("box", [name], indirect=True)


def call(box, *options, ok=True):
    p = box.pair
    done = subprocess.run(
        [os.path.join(restante.programs(), "restantectl"), "-c",
         p.ours.config, "give-back", *options, "--dovecot-config",
         os.path.join(p.dovecot.state, "dovecot.conf"), box.user],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
        stdin=subprocess.DEVNULL, check=False)
    assert (done.returncode == 0) == ok, done
    return done.stdout.decode()


def give(box, *options, ok=True):
    return json.loads(call(box, "--json", *options, ok=ok))


def texts(answer):
    return [f["text"] for f in answer["findings"]]


def status(c, name="INBOX"):
    line = c.ok("STATUS %s (HIGHESTMODSEQ UIDNEXT)" % name)[-1]
    return {k.decode(): int(v) for k, v in
            re.findall(rb"([A-Z]+) (\d+)", line.split(b"(", 1)[1])}


@user("g1")
def test_maildir(box):
    c = box.ours()
    c.ok("SELECT INBOX")
    c.ok("UID STORE 2 +FLAGS (\\Seen Later Fresh)")
    c.append("INBOX", msg(4))
    c.ok("CREATE Foo")
    c.append("Foo", msg(5), "(\\Flagged)")
    c.ok("SUBSCRIBE Foo")
    c.logout()
    # Mail that nobody has looked at gets its UID now.
    box.write("new/1800000000.M1P1.mx1", msg(6), when=1772445600)
    done = give(box)
    assert done["ok"] and done["user"] == box.user
    rows = {m["name"]: m for m in done["mailboxes"]}
    assert (rows["INBOX"]["uidvalidity"], rows["INBOX"]["uidnext"],
            rows["INBOX"]["messages"]) == (1795300341, 6, 5)
    assert rows["Foo"]["messages"] == 1
    assert all(m["lifted"] for m in rows.values())
    assert " N6 " in box.read("dovecot-uidlist").splitlines()[0] + " "
    assert "\n5 :1800000000.M1P1.mx1\n" in box.read("dovecot-uidlist")
    d = box.dovecot()
    for name, row in rows.items():
        seen = status(d, name)
        assert seen["HIGHESTMODSEQ"] >= row["highest_modseq"]
        assert seen["UIDNEXT"] == row["uidnext"]
    d.logout()
    box.agree(("INBOX", "Foo"), first="dovecot")
    # As often as one likes.
    assert give(box)["ok"]
    box.agree(("INBOX", "Foo"))


@user("g2")
def test_pop3_ids_stay(box):
    """Ids that Dovecot would not make, of mail that POP3 never saw."""
    assert give(box)["ok"]
    assert box.read("dovecot-uidlist").count(" P1795300341-") == 3
    drops = {}
    for which in ("dovecot", "ours"):
        c = getattr(box.pair, which).pop3(box.user)
        drops[which] = agree.drop(c)
        c.close()
    assert drops["dovecot"] == drops["ours"]
    assert drops["dovecot"][1] == [
        b"1795300341-%d" % u for u in (1, 2, 3)]


@user("g3")
def test_what_can_not_be_given(box):
    c = box.ours()
    c.ok("SELECT INBOX")
    for i in range(30):
        c.ok("UID STORE 1 +FLAGS (key%d)" % i)
    done = give(box)
    assert any(re.match("7 keywords, from the 27th on", x)
               for x in texts(done)), done
    assert any("1 sessions of the user are open" in x for x in texts(done))
    assert done["ok"]
    said = call(box)
    assert "note: INBOX: 7 keywords" in said and \
        "are on disk.\n" in said
    c.logout()


@user("g4")
def test_mbox(box):
    box.write("in/box", b"".join(
        b"From a@b Mon Mar  2 10:01:00 2026\n" + msg(i) + b"\n"
        for i in (1, 2, 3)))
    c = box.ours()
    c.ok("SELECT INBOX")
    c.ok("STORE 2 +FLAGS (\\Flagged Work)")
    c.ok("CREATE one")
    c.append("one", msg(4).replace(b"\n", b"\r\n"), "(\\Seen)")
    # What a session keeps for later is written when it is ended.
    box.pair.ours.ctl("kick", box.user)
    c.until(rb"^\* BYE")
    done = give(box)
    assert done["ok"], done
    rows = {m["name"]: m for m in done["mailboxes"]}
    assert rows["INBOX"]["messages"] == 3 and rows["INBOX"]["lifted"]
    text = box.read("in/box")
    assert re.search(r"X-IMAPbase: %d 0000000003 Work\n"
                     % rows["INBOX"]["uidvalidity"], text)
    assert [x for x in re.findall(r"X-UID: (\d+)", text)] == ["1", "2", "3"]
    assert re.search(r"X-Status: F\nX-Keywords: Work", text)
    seen = box.agree(("INBOX", "one"), first="dovecot")
    assert seen["INBOX"]["uidvalidity"] == rows["INBOX"]["uidvalidity"]


@user("g5")
def test_damage_is_said(box):
    box.write("in/box", b"hello\n")
    done = give(box, ok=False)
    assert not done["ok"] and done["mailboxes"] == []
    assert "can not be brought to disk" in texts(done)[0]
    assert "fault: INBOX: " in call(box, ok=False)
    assert box.read("in/box") == "hello\n"


@user("g6")
def test_print(box):
    c = box.ours()
    c.ok('CREATE "it\'s"')
    c.logout()
    lines = call(box, "--print").splitlines()
    conf = os.path.join(box.pair.dovecot.state, "dovecot.conf")
    assert len(lines) == 2
    for line in lines:
        assert line.startswith("doveadm -c %s mailbox update -u %s "
                               "--min-highest-modseq 1" % (conf, box.user))
        subprocess.run(["sh", "-c", line], check=True, timeout=30)
    numbers = {x.split(" -- ")[1]: int(x.split()[-3]) for x in lines}
    assert set(numbers) == {"INBOX", "'it'\\''s'"}
    d = box.dovecot()
    assert status(d, '"it\'s"')["HIGHESTMODSEQ"] == numbers["'it'\\''s'"]
    d.logout()


@pytest.mark.parametrize("box,is_up,lift", [
    ("g7", True, True), ("g8", False, True), ("g11", True, False)],
    indirect=["box"])
def test_r4_modseq(box, is_up, lift):
    """A client that synchronised with ours last hears of what came then."""
    if lift and not is_up and dovecot.version() >= (2, 4):
        pytest.skip("doveadm of 2.4 needs Dovecot running")
    d = box.dovecot()
    d.ok("ENABLE QRESYNC")
    d.ok("SELECT INBOX")
    d.ok("NOOP")
    d.logout()
    c = box.ours()
    c.ok("SELECT INBOX")
    c.ok("UID STORE 1 +FLAGS (\\Answered)")
    c.logout()
    box.settle()
    if not lift:
        # What it loses otherwise: Dovecot's own numbers are small.
        known = give(box, "--print")["mailboxes"][0]["highest_modseq"]
    elif is_up:
        known = give(box)["mailboxes"][0]["highest_modseq"]
    else:
        box.pair.dovecot.stop()
        try:
            done = give(box)
        finally:
            box.pair.dovecot.start()
        assert done["mailboxes"][0]["lifted"]
        known = done["mailboxes"][0]["highest_modseq"]
    # Behind the back of both, before anybody logs in at Dovecot.
    box.rename("cur/%s:2,Rc" % agree.B3, "cur/%s:2,FRc" % agree.B3)
    os.unlink(box.path("cur/%s:2,Fab" % agree.B2))
    d = box.dovecot()
    d.ok("ENABLE QRESYNC")
    said = b"\n".join(d.ok(
        "SELECT INBOX (QRESYNC (1795300341 %d))" % known))
    d.logout()
    if lift:
        assert re.search(rb"^\* \d+ FETCH \(.*UID 3 .*\\Flagged", said, re.M)
        assert re.search(rb"^\* VANISHED \(EARLIER\) 2", said, re.M), said
    else:
        assert b"VANISHED" not in said and b"FETCH" not in said
    box.pair.dovecot.complaints()


@user("g8")
@pytest.mark.parametrize("known", [57, 1 << 62])
def test_r4_way_in(box, known):
    """A client that synchronised with Dovecot hears of all there is."""
    c = box.ours()
    c.ok("SELECT INBOX")
    c.logout()
    box.settle()
    os.unlink(box.path("cur/%s:2,Fab" % agree.B2))
    c = box.ours()
    c.ok("ENABLE QRESYNC")
    said = b"\n".join(c.ok(
        "SELECT INBOX (QRESYNC (1795300341 %d 1:3))" % known))
    assert sorted(int(n) for n in re.findall(
        rb"^\* \d+ FETCH \(.*?UID (\d+)", said, re.M)) == [1, 3], said
    assert re.search(rb"^\* VANISHED \(EARLIER\) 2$", said, re.M), said
    top = int(re.search(rb"HIGHESTMODSEQ (\d+)", said).group(1))
    assert 57 < top < 1 << 62
    c.logout()


@user("g9")
def test_to_courier(box):
    """A Maildir that Courier has never seen."""
    c = box.ours()
    c.ok("SELECT INBOX")
    c.ok("UID STORE 3 -FLAGS (Later)")
    c.append("INBOX", msg(4), "(Later)")
    c.ok("CREATE Foo")
    c.ok("SUBSCRIBE Foo")
    c.logout()
    done = give(box, "--to", "courier")
    assert done["ok"] and not done["mailboxes"][0]["lifted"]
    assert any("POP3 ids of its own" in x for x in texts(done))
    v, uidnext, uids = courier.uids(box.read("courierimapuiddb"))
    assert (v, uidnext) == (1795300341, 5)
    assert {u: uids[u] for u in (1, 2, 3)} == {
        1: agree.B1, 2: agree.B2, 3: agree.B3}
    assert box.read("courierimapsubscribed") == "INBOX.Foo\n"
    assert box.read("courierimapkeywords/:list") == \
        "$Label1\nNonJunk\nLater\n\n%s:0 1\n%s:2\n" % (agree.B2, uids[4])
    assert courier.uids(box.read(".Foo/courierimapuiddb"))[1:] == (1, {})
    assert {x.split(":")[0] for x in box.list("cur")} == set(uids.values())


@user("g10")
def test_usage(box):
    tool = [os.path.join(restante.programs(), "restantectl"), "-c",
            box.pair.ours.config, "give-back"]
    for argv in ((), ("--to",), ("--to", "cyrus", "g10"), ("a", "b"),
                 ("--nonsense", "g10")):
        done = subprocess.run([*tool, *argv], stderr=subprocess.PIPE,
                              stdout=subprocess.PIPE, timeout=30, check=False)
        assert done.returncode == 2 and b"usage" in done.stderr, argv
    done = subprocess.run([*tool, "nobody-here"], stderr=subprocess.PIPE,
                          stdout=subprocess.PIPE, timeout=30, check=False)
    assert done.returncode == 1
    assert b"no user nobody-here is known" in done.stderr
