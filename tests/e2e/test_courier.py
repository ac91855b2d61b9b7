# SPDX-License-Identifier: ISC
"""Mail that Courier has served, taken over in place and kept so that it can
be given back (compat-tests.md section 7). The Maildir is one that the real
Courier wrote; Dovecot looks on where it can."""
import os
import re
import subprocess
import sys
import threading
import time

import pytest
from lib import agree, courier
from lib.agree import msg

JAPAN = "&ZeVnLIqe-"
UIDL = ["UID%d-%d" % (n, courier.V_POP3) for n in (2, 3, 4)]


@pytest.fixture(scope="module")
def pair():
    users = ["c%d" % i for i in range(1, 13)]
    yield from agree.serving(users, extra={
        u: "maildir:~/Maildir:UTF-8" for u in ("c2", "c4", "c5", "c6", "c7")})


@pytest.fixture
def box(pair, request):
    b = pair.box(request.param)
    pair.dovecot.complaints()
    courier.put(b)
    yield b
    pair.dovecot.close_all()
    pair.ours.close_all()


def user(name):
    return pytest.mark.parametrize("box", [name], indirect=True)


def uidls(box, which):
    c = getattr(box.pair, which).pop3(box.user)
    found = [x.split(b" ", 1)[1].decode() for x in agree.multi(c, "UIDL")]
    c.send("QUIT\r\n")
    assert c.line().startswith(b"+OK")
    c.close()
    return found


@user("c1")
def test_c1_taken_over(box):
    c = box.ours()
    seen = agree.facts(c, "INBOX")
    assert (seen["uidvalidity"], seen["uidnext"]) == (courier.V, 5)
    assert {u: m[1] for u, m in seen["messages"].items()} == {
        2: {"\\Answered", "$Two"}, 3: {"kwOne"}, 4: {"\\Flagged"}}
    listed = agree.names(c)
    assert {"Sent", JAPAN, "a.b.c"} <= set(listed)
    assert "\\noselect" in listed["a"] and "\\noselect" in listed["a.b"]
    c.ok('SELECT "%s"' % JAPAN)
    sent = agree.facts(c, "Sent")
    assert {u: m[1] for u, m in sent["messages"].items()} == {
        1: {"\\Seen"}, 2: {"\\Answered", "$Two", "kwOne"}}
    assert set(agree.names(c, "LSUB")) == \
        {"Sent", "INBOX", JAPAN, "nonexist"}
    c.logout()
    # Once more, from what was made of it.
    c = box.ours()
    assert agree.facts(c, "INBOX") == seen
    c.logout()


@user("c2")
def test_c1_dovecot_agrees(box):
    """Dovecot with the option UTF-8, on what we have made of it."""
    c = box.ours()
    for name in ("INBOX", "Sent", JAPAN, "a.b.c"):
        agree.facts(c, name)
    c.logout()
    seen = box.agree(("INBOX", "Sent", JAPAN, "a.b.c"))
    assert seen["INBOX"]["uidvalidity"] == courier.V
    # c6: without that option it can list the folder, not open it.
    c = box.ours()
    c.append(JAPAN, msg(4))
    c.logout()
    box.agree(("INBOX", JAPAN))


@user("c3")
def test_c2_c3_pop3_ids(box):
    for which in ("ours", "dovecot", "ours"):
        assert uidls(box, which) == UIDL, which
    assert re.search(r"\n2 PUID2-%d O1 (W134 )?:1700000001\.M1P1\.mx1,S=127\n"
                     % courier.V_POP3, box.read("dovecot-uidlist"))
    c = box.ours()
    c.append("INBOX", msg(5))
    c.logout()
    head, *before = box.read("courierpop3dsizelist").splitlines()
    assert head == "/3 5 %d" % courier.V_POP3
    # As Courier would number it, and will find it in its list.
    for which in ("ours", "dovecot"):
        assert uidls(box, which) == UIDL + ["UID5-%d" % courier.V_POP3], which
    head, *lines = box.read("courierpop3dsizelist").splitlines()
    assert head == "/3 6 %d" % courier.V_POP3
    assert {x.split(":")[0] for x in before} < \
        {x.split(":")[0] for x in lines}
    assert {x.split(" ")[0] for x in lines} == set(box.list("cur"))
    assert [x.split(" ", 1)[1] for x in lines][-1] == \
        "134 5:%d:0" % courier.V_POP3
    # One goes, Courier numbers another one meanwhile: both are told the same.
    c = box.ours()
    c.ok("SELECT INBOX")
    c.ok("STORE 1 +FLAGS (\\Deleted)")
    c.ok("EXPUNGE")
    c.logout()
    box.write("cur/1800000000.b.mx1,S=127:2,", msg(6), when=1772445600)
    box.append_line("courierpop3dsizelist",
                    "1800000000.b.mx1,S=127:2, 134 9:%d:0\n"
                    % courier.V_POP3)
    for which in ("ours", "dovecot"):
        assert uidls(box, which) == UIDL[1:] + [
            "UID%d-%d" % (n, courier.V_POP3) for n in (5, 9)], which
    box.write("cur/1800000001.b.mx1,S=127:2,", msg(7), when=1772445600)
    assert uidls(box, "ours")[-1] == "UID10-%d" % courier.V_POP3
    head, *lines = box.read("courierpop3dsizelist").splitlines()
    assert head == "/3 11 %d" % courier.V_POP3 and len(lines) == 5
    box.quiet()


@user("c4")
def test_c4_kept_up_to_date(box):
    c = box.ours()
    c.ok("SELECT INBOX")
    assert b"APPENDUID %d 5]" % courier.V in c.append("INBOX", msg(5))
    c.ok("UID STORE 2 +FLAGS (\\Deleted)")
    c.ok("EXPUNGE")
    c.ok("UID STORE 5 +FLAGS (Fresh)")
    c.ok("UID STORE 3 -FLAGS (kwOne)")
    c.ok('CREATE "&ZeU-.x"')
    c.append("&ZeU-.x", msg(6))
    c.ok('SUBSCRIBE "&ZeU-.x"')
    c.ok("UNSUBSCRIBE Sent")
    c.logout()
    v, uidnext, uids = courier.uids(box.read("courierimapuiddb"))
    assert (v, uidnext) == (courier.V, 6)
    assert set(uids) >= {3, 4, 5} and uids[3] == "1700000002.M1P1.mx1"
    assert "2" not in [x.split(":")[0] for x in box.list("cur")]
    assert box.list("new") == []  # Courier would number it anew
    files = {x.split(":")[0] for x in box.list("cur")}
    assert {uids[3], uids[4], uids[5]} == files
    assert box.read("courierimapkeywords/:list") == \
        "kwOne\n$Two\nFresh\n\n%s:2\n" % uids[5]
    assert box.list("courierimapkeywords") == [":list"]
    assert box.read("courierimapsubscribed") == \
        "INBOX\nINBOX.日本語\nINBOX.nonexist\nINBOX.日.x\n"
    assert courier.uids(box.read(".日.x/courierimapuiddb"))[1] == 2
    box.agree(("INBOX", "&ZeU-.x"))


@user("c5")
def test_c5_courier_was_used_in_between(box):
    c = box.ours()
    agree.facts(c, "INBOX")
    c.logout()
    # Two deliveries; Courier gave one of them a number.
    box.write("cur/1800000000.b.mx1:2,S", msg(5), when=1772445600)
    box.write("new/1700000009.a.mx1", msg(6), when=1772445600)
    text = box.read("courierimapuiddb")
    box.write("courierimapuiddb", text.replace(
        "1 %d 5\n" % courier.V, "1 %d 6\n" % courier.V) +
        "5 1800000000.b.mx1\n")
    c = box.ours()
    seen = agree.facts(c, "INBOX")
    assert set(seen["messages"]) == {2, 3, 4, 5, 6}
    assert seen["messages"][5][1] == {"\\Seen"}
    c.logout()
    assert courier.uids(box.read("courierimapuiddb"))[1:] == (7, {
        2: "1700000001.M1P1.mx1,S=127", 3: "1700000002.M1P1.mx1",
        4: next(x.split(":")[0] for x in box.list("cur")
                if "M32637" in x),
        5: "1800000000.b.mx1", 6: "1700000009.a.mx1"})
    box.agree()


@user("c8")
def test_c6_dovecot_without_utf8(box):
    """It lists the folder but can not open it; ours can."""
    c = box.ours()
    agree.facts(c, JAPAN)
    c.logout()
    d = box.dovecot()
    assert JAPAN in agree.names(d)
    assert d.cmd('SELECT "%s"' % JAPAN)[0] == "NO"
    d.logout()
    box.pair.dovecot.complaints()


@user("c9")
def test_not_kept_up_to_date(box):
    """courier_compat = no: taken over, then left alone."""
    before = {x: box.read(x) for x in (
        "courierimapuiddb", "courierimapsubscribed",
        "courierpop3dsizelist", "courierimapkeywords/:list")}
    box.pair.ours.settings["courier_compat"] = "no"
    box.pair.ours.write()
    box.pair.ours.ctl("reload")
    try:
        c = box.ours()
        seen = agree.facts(c, "INBOX")
        assert seen["uidvalidity"] == courier.V
        assert seen["messages"][3][1] == {"kwOne"}
        c.append("INBOX", msg(5), "(Fresh)")
        c.ok("UNSUBSCRIBE Sent")
        c.logout()
        assert uidls(box, "ours") == UIDL + ["%08x%08x" % (5, courier.V)]
    finally:
        del box.pair.ours.settings["courier_compat"]
        box.pair.ours.write()
        box.pair.ours.ctl("reload")
    assert before == {x: box.read(x) for x in before}
    assert re.match(r"3 V%d N" % courier.V, box.read("dovecot-uidlist"))


@user("c10")
def test_c7_names_below_inbox(box):
    """With Courier's prefix clients see the names that Courier gave them."""
    box.pair.ours.settings["namespace_prefix"] = "INBOX."
    box.pair.ours.write()
    box.pair.ours.ctl("reload")
    try:
        c = box.ours()
        listed = agree.names(c)
        assert {"INBOX", "INBOX.Sent", "INBOX." + JAPAN, "INBOX.a",
                "INBOX.a.b", "INBOX.a.b.c"} <= set(listed)
        assert "\\noselect" in listed["INBOX.a"]
        assert set(agree.names(c, "LSUB")) == \
            {"INBOX.Sent", "INBOX", "INBOX." + JAPAN, "INBOX.nonexist"}
        assert agree.facts(c, "INBOX.Sent")["messages"][1][1] == {"\\Seen"}
        c.ok("SUBSCRIBE INBOX.a.b.c")
        c.logout()
    finally:
        del box.pair.ours.settings["namespace_prefix"]
        box.pair.ours.write()
        box.pair.ours.ctl("reload")
    assert box.read("courierimapsubscribed").endswith("INBOX.a.b.c\n")


# Takes Courier's lock as Courier does and gives UIDs to what has none, again and
# again until it is told to end.
COURIER = """
import os, socket, sys, time
os.chdir(sys.argv[1])
temp = "tmp/1.P%d_courierlock" % os.getpid()
while not os.path.exists("tmp/stop"):
    open(temp, "w").write("%d:%s" % (os.getpid(), socket.gethostname()))
    try:
        os.link(temp, "tmp/courier.lock")
    except FileExistsError:
        time.sleep(0.002)
        continue
    lines = open("courierimapuiddb").read().splitlines()
    _, v, next_uid = lines[0].split()
    next_uid = int(next_uid)
    have = dict(x.split(" ", 1)[::-1] for x in lines[1:])
    for sub in ("new", "cur"):
        for name in sorted(os.listdir(sub)):
            base = name.split(":")[0]
            if base not in have:
                have[base] = str(next_uid)
                print(next_uid, base)
                next_uid += 1
    time.sleep(0.003)
    keep = sorted((int(u), b) for b, u in have.items())
    with open("tmp/uiddb", "w") as f:
        f.write("1 %s %d\\n" % (v, next_uid) +
                "".join("%d %s\\n" % x for x in keep))
    os.rename("tmp/uiddb", "courierimapuiddb")
    os.unlink("tmp/courier.lock")
    time.sleep(0.002)
"""


@user("c11")
def test_at_the_same_time(box):
    """Courier gives UIDs while we do: no UID for two, none renumbered."""
    c = box.ours()
    seen = agree.facts(c, "INBOX")["messages"]
    c.ok("SELECT INBOX")
    other = subprocess.Popen(
        [sys.executable, "-c", COURIER, box.root], stdout=subprocess.PIPE,
        user=box.uid, group=box.uid, extra_groups=[])
    given = {}

    def deliver():
        for i in range(40):
            box.write("tmp/%d.d.mx1" % i, msg(i % 9 + 1), when=1772445600)
            os.rename(box.path("tmp/%d.d.mx1" % i),
                      box.path("new/%d.d.mx1" % (1900000000 + i)))
            time.sleep(0.01)
    thread = threading.Thread(target=deliver)
    thread.start()
    try:
        for i in range(40):
            said = c.append("INBOX", msg(i % 9 + 1))
            uid = int(re.search(rb"APPENDUID \d+ (\d+)\]", said).group(1))
            given[uid] = msg(i % 9 + 1)
            c.ok("NOOP")
    finally:
        thread.join()
        box.write("tmp/stop", "")
        told = other.communicate(timeout=30)[0].decode().splitlines()
        assert other.returncode == 0
    assert len(given) == 40
    c.logout()
    c = box.ours()
    after = agree.facts(c, "INBOX")["messages"]
    c.logout()
    assert len(after) == len(seen) + 80
    assert set(given) | set(seen) <= set(after)
    v, _, uids = courier.uids(box.read("courierimapuiddb"))
    assert v == courier.V and set(uids) == set(after)
    ours = dict(re.findall(r"^(\d+) [^:\n]*:(.*)$",
                           box.read("dovecot-uidlist"), re.M))
    assert {u: ours.get(str(u)) for u in uids} == uids, \
        box.read("dovecot-uidlist")
    # What Courier has told its clients stays as well.
    assert told and {x for x in told if uids.get(int(x.split()[0])) !=
                     x.split()[1]} == set()
    box.agree()


@user("c12")
def test_waits_for_courier(box):
    c = box.ours()
    agree.facts(c, "INBOX")
    holder = subprocess.Popen(["sleep", "60"])
    try:
        box.write("tmp/courier.lock", "%d:%s" % (
            holder.pid, os.uname().nodename))
        begun = time.monotonic()
        c.send("a APPEND INBOX {%d}\r\n" % len(msg(5)))
        assert c.line().startswith(b"+")
        c.send(msg(5) + b"\r\n")
        time.sleep(0.5)
        assert not any(" 5 " in x for x in
                       box.read("dovecot-uidlist").splitlines()[1:])
        os.unlink(box.path("tmp/courier.lock"))
        assert c.finish(b"a", 30)[0] == "OK"
        assert time.monotonic() - begun >= 0.5
    finally:
        holder.kill()
        holder.wait()
    # Left behind by a process that is no more: broken after two seconds.
    box.write("tmp/courier.lock", "%d:%s" % (
        holder.pid, os.uname().nodename), when=int(time.time()) - 10)
    assert b"APPENDUID" in c.append("INBOX", msg(6))
    assert "courier.lock" not in box.list("tmp")
    c.logout()
