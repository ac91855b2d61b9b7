# SPDX-License-Identifier: ISC
"""Ours and Debian's Dovecot take turns on the same Maildirs
(compat-tests.md sections 1 to 4)."""
import os
import re
import subprocess
import threading
import time

import pytest
from lib import agree, dovecot
from lib.agree import B1, B2, B3, GUID, M1, fill_m1, msg

@pytest.fixture(scope="module")
def pair():
    users = ["m%d" % i for i in range(1, 61)]
    yield from agree.serving(users + ["fs1", "fs2"], extra={
        u: "maildir:~/Maildir:LAYOUT=fs" for u in ("fs1", "fs2")})


@pytest.fixture
def box(pair):
    pair.dovecot.complaints()
    b = pair.box()
    yield b
    pair.dovecot.close_all()
    pair.ours.close_all()


# ---- what Dovecot wrote -----------------------------------------------------------

@pytest.mark.parametrize("first", ["ours", "dovecot"])
def test_m1(box, first):
    fill_m1(box)
    seen = box.agree(first=first)["INBOX"]
    assert seen["uidvalidity"] == 1795300341 and seen["uidnext"] == 4
    assert {u: m[1] for u, m in seen["messages"].items()} == {
        1: {"\\Seen"}, 2: {"\\Flagged", "$Label1", "NonJunk"},
        3: {"\\Answered", "Later"}}
    box.drop_index()
    box.agree(first=first)


def test_m2_append_by_ours_then_by_dovecot(box):
    fill_m1(box)
    c = box.ours()
    assert b"[APPENDUID 1795300341 4]" in c.append("INBOX", msg(4))
    c.logout()
    assert box.read("dovecot-uidlist").startswith(M1 + "4 :")
    d = box.dovecot()
    assert b"[APPENDUID 1795300341 5]" in d.append("INBOX", msg(5))
    d.logout()
    c = box.ours()
    assert b"[APPENDUID 1795300341 6]" in c.append("INBOX", msg(6))
    c.logout()
    assert len(box.agree()["INBOX"]["messages"]) == 6


def test_m3_extra_fields(box):
    box.write("dovecot-uidlist",
              "3 V1795300389 N11 G%s\n1 :a,S=127,W=134\n3 :b\n4 :c\n"
              "9 :1795300401.M1P9.mx1\n"
              "10 Puidl-ten O3 Gguid10 :1795300402.M7P9.mx1,S=127,W=134\n"
              % GUID)
    for i, n in enumerate(("a,S=127,W=134", "b", "c", "1795300401.M1P9.mx1",
                           "1795300402.M7P9.mx1,S=127,W=134"), 1):
        box.write("cur/%s:2," % n, msg(i), when=1772445600)
    seen = box.agree()
    assert list(seen["INBOX"]["messages"]) == [1, 3, 4, 9, 10]
    p = box.pair.ours.pop3(box.user)
    assert agree.multi(p, "UIDL")[0] == b"1 uidl-ten"
    p.close()


def test_m5_old_map(box):
    box.write("dovecot-uidlist", "1 795300733 5\n2 a\n3 b\n4 c\n")
    for i, n in enumerate("abc", 1):
        box.write("cur/%s:2," % n, msg(i), when=1772445600)
    c = box.ours()
    c.append("INBOX", msg(4))
    c.logout()
    assert box.read("dovecot-uidlist").startswith("3 V795300733 N6 G")
    seen = box.agree()["INBOX"]
    assert list(seen["messages"]) == [2, 3, 4, 5]


def test_m7_no_guid(box):
    box.folder(".Made")
    box.write(".Made/dovecot-uidlist", "3 V1700000000 N5\n")
    seen = box.agree(("Made",), pop3=False)["Made"]
    assert (seen["uidvalidity"], seen["uidnext"]) == (1700000000, 5)
    assert re.match(r"3 V1700000000 N5 G[0-9a-f]{32}\n",
                    box.read(".Made/dovecot-uidlist"))
    box.agree(("Made",), pop3=False)


def test_m9_letters(box):
    box.write("dovecot-uidlist", "3 V5 N2 G%s\n1 :x\n" % GUID)
    box.write("dovecot-keywords", "0 k0\n1 k1\n2 k2\n3 k3\n")
    box.write("cur/x:2,PSde", msg(1))
    seen = box.agree()["INBOX"]
    assert seen["messages"][1][1] == {"\\Seen", "k3", "unknown-4"}
    c = box.ours()
    c.ok("SELECT INBOX")
    c.ok("STORE 1 +FLAGS (\\Flagged)")
    c.logout()
    assert box.list("cur") == ["x:2,FPSde"]
    box.agree()


# ---- what ours writes, with a warm index ---------------------------------------------

def test_w1_flags_by_ours(box):
    fill_m1(box)
    box.agree()
    c = box.ours()
    c.ok("SELECT INBOX")
    c.ok("STORE 1 +FLAGS (\\Flagged)")
    c.ok("STORE 3 +FLAGS ($Label1)")
    c.ok("STORE 2 FLAGS (Projekt)")
    assert box.list("cur") == sorted(
        [B1 + ":2,FS", B2 + ":2,d", B3 + ":2,Rac"])
    c.logout()
    assert box.read("dovecot-keywords").endswith("3 Projekt\n")
    seen = box.agree()["INBOX"]
    assert seen["messages"][2][1] == {"Projekt"}


def test_w4_expunge_by_ours(box):
    fill_m1(box)
    box.agree()
    c = box.ours()
    c.ok("SELECT INBOX")
    c.ok("STORE 2 +FLAGS (\\Deleted)")
    c.ok("EXPUNGE")
    c.logout()
    assert "2 :" + B2 in box.read("dovecot-uidlist")
    seen = box.agree()["INBOX"]
    assert list(seen["messages"]) == [1, 3] and seen["uidnext"] == 4


def test_w5_rewrite_by_ours(box):
    """Dead records go when they are a quarter; Dovecot does not mind."""
    fill_m1(box)
    d = box.dovecot()
    for i in range(4, 9):
        d.append("INBOX", msg(i))
    for i in range(30):
        d.append("INBOX", msg(1))
    d.logout()
    c = box.ours()
    c.ok("SELECT INBOX")
    c.ok("STORE 4:20 +FLAGS.SILENT (\\Deleted)")
    c.ok("EXPUNGE")
    c.append("INBOX", msg(9))
    c.logout()
    text = box.read("dovecot-uidlist")
    assert "\n5 :" not in text and "\n39 :" in text
    assert re.match(r"3 V1795300341 N40 G" + GUID, text)
    box.agree()
    d = box.dovecot()
    assert b"APPENDUID 1795300341 40]" in d.append("INBOX", msg(2))
    box.agree()


@pytest.mark.parametrize("which", ["ours", "dovecot"])
def test_w7_order_of_new_uids(box, which):
    fill_m1(box)
    box.write("cur/1700000000.X.h:2,F", msg(1))
    box.write("new/1600000000.Y.h", msg(2))
    c = box.of(which)
    c.ok("SELECT INBOX")
    c.logout()
    assert box.read("dovecot-uidlist").endswith(
        "4 :1600000000.Y.h\n5 :1700000000.X.h\n")
    box.agree()


def test_w9_changes_while_dovecot_has_it_open(box):
    fill_m1(box)
    d = box.dovecot()
    d.ok("SELECT INBOX")
    c = box.ours()
    c.ok("SELECT INBOX")
    c.ok("STORE 1 +FLAGS (\\Flagged)")
    c.ok("STORE 3 +FLAGS (\\Deleted)")
    c.ok("EXPUNGE")
    c.append("INBOX", msg(4))
    told = d.ok("NOOP")
    assert any(b"EXPUNGE" in x for x in told)
    assert any(b"3 EXISTS" in x for x in told)
    assert any(b"1 FETCH" in x and b"\\Flagged" in x for x in told)
    d.ok("STORE 1 +FLAGS (\\Answered)")
    told = c.ok("NOOP")
    assert any(b"1 FETCH" in x and b"\\Answered" in x for x in told)
    # Renamed under its nose: both changes stay.
    c.ok("STORE 2 +FLAGS (\\Draft)")
    d.ok("STORE 2 +FLAGS (\\Seen)")
    assert any(re.match(B2 + ":2,DFS", x) for x in box.list("cur"))
    box.agree()


def test_w10_rewrite_while_dovecot_has_it_open(box):
    fill_m1(box)
    d = box.dovecot()
    d.ok("SELECT INBOX")
    c = box.ours()
    c.ok("SELECT INBOX")
    for i in range(20):
        c.append("INBOX", msg(1))
    c.ok("STORE 4:20 +FLAGS.SILENT (\\Deleted)")
    c.ok("EXPUNGE")
    c.append("INBOX", msg(2))
    assert "\n5 :" not in box.read("dovecot-uidlist")
    assert b"APPENDUID 1795300341 25]" in d.append("INBOX", msg(3))
    d.ok("NOOP")
    d.logout()
    box.agree()


def test_w11_without_index(box):
    fill_m1(box)
    d = box.dovecot()
    d.append("INBOX", msg(4), "(\\Seen)")
    d.ok("SELECT INBOX")
    d.ok("STORE 2 +FLAGS (Fresh)")
    d.logout()
    before = box.agree()
    box.drop_index()
    assert box.agree()["INBOX"]["messages"] == before["INBOX"]["messages"]


def test_w12_subscriptions(box):
    c = box.ours()
    for name in ("Sent", "Archive.2026", "INBOX", "&ZeVnLIqe-"):
        c.ok('SUBSCRIBE "%s"' % name)
    c.logout()
    assert box.read("subscriptions") == \
        "V\t2\n\nSent\nArchive\t2026\nINBOX\n&ZeVnLIqe-\n"
    d = box.dovecot()
    assert set(agree.names(d, "LSUB")) == \
        {"Sent", "Archive.2026", "INBOX", "&ZeVnLIqe-"}
    d.ok('CREATE "Q"')
    d.ok('SUBSCRIBE "Q"')
    d.ok('UNSUBSCRIBE "Sent"')
    d.logout()
    c = box.ours()
    assert set(agree.names(c, "LSUB")) == \
        {"Archive.2026", "INBOX", "&ZeVnLIqe-", "Q"}
    # An old file keeps its version, whoever changes it.
    box.write("subscriptions", "Sub.One\nINBOX\nGone\n")
    c.ok("SUBSCRIBE Q")
    c.logout()
    assert box.read("subscriptions") == "Sub.One\nINBOX\nGone\nQ\n"
    d = box.dovecot()
    d.ok("UNSUBSCRIBE Gone")
    assert box.read("subscriptions") == "Sub.One\nINBOX\nQ\n"
    box.quiet()


def test_w13_uidvalidity_counter(box):
    values = []
    for i in range(6):
        c = box.of("ours" if i % 2 == 0 else "dovecot")
        c.ok('CREATE "f%d"' % i)
        c.ok('SELECT "f%d"' % i)
        c.logout()
        head = box.read(".f%d/dovecot-uidlist" % i)
        values.append(int(re.match(r"3 V(\d+)", head).group(1)))
    assert values == sorted(set(values))
    files = [x for x in box.list(".") if
             x.startswith("dovecot-uidvalidity.")]
    assert files == ["dovecot-uidvalidity.%08x" % values[-1]]
    assert box.read("dovecot-uidvalidity") == "%08x" % values[-1]
    box.agree(["f%d" % i for i in range(6)])


def test_w14_copies(box):
    fill_m1(box)
    c = box.ours()
    c.ok("CREATE To")
    c.ok("SELECT INBOX")
    c.ok("COPY 1:3 To")
    c.ok("COPY 1 To")
    c.logout()
    d = box.dovecot()
    d.ok("SELECT INBOX")
    d.ok("COPY 1:2 To")
    d.logout()
    text = box.read(".To/dovecot-uidlist")
    assert "\n1 :%s\n" % B1 in text and "\n4 G%s :" % B1 in text
    assert "\n5 G%s :" % B1 in text
    seen = box.agree(("INBOX", "To"))["To"]
    assert len(seen["messages"]) == 6
    assert seen["messages"][2][1] == {"\\Flagged", "$Label1", "NonJunk"}
    run = subprocess.run(
        ["doveadm", "-c", os.path.join(box.pair.dovecot.state,
                                       "dovecot.conf"),
         "fetch", "-u", box.user, "guid", "mailbox", "To"],
        stdout=subprocess.PIPE, check=True)
    guids = re.findall(r"guid: (\S+)", run.stdout.decode())
    assert guids == [B1, B2, B3, B1, B1, B2]


def test_w15_more_keywords_than_letters(box):
    fill_m1(box)
    c = box.ours()
    c.ok("SELECT INBOX")
    for i in range(25):
        c.ok("STORE 1 +FLAGS (kw%d)" % i)
    c.ok("CREATE To")
    c.ok("COPY 1 To")
    c.logout()
    assert "k 26 " in box.read("restante-keywords")
    for _ in range(2):
        c = box.ours()
        c.ok("SELECT INBOX")
        assert c.flags("1")[1] >= {"kw%d" % i for i in range(25)}
        c.ok("SELECT To")
        assert c.flags("1")[1] >= {"kw%d" % i for i in range(25)}
        c.logout()
        d = box.dovecot()
        d.ok("SELECT INBOX")
        shown = d.flags("1")[1] & {"kw%d" % i for i in range(25)}
        assert shown == {"kw%d" % i for i in range(23)}
        d.ok("STORE 1 +FLAGS (\\Answered)")
        d.logout()
        box.drop_index()
    box.quiet()


def test_w16_delete_and_create(box):
    c = box.ours()
    c.ok("CREATE again")
    c.append("again", msg(1))
    c.logout()
    first = box.agree(("again",))["again"]
    c = box.ours()
    c.ok("DELETE again")
    c.ok("CREATE again")
    c.logout()
    second = box.agree(("again",))["again"]
    assert second["uidvalidity"] > first["uidvalidity"]
    assert second["messages"] == {}


def test_folders_by_both(box):
    c = box.ours()
    c.ok("CREATE a.b.c")
    c.ok('CREATE "x y"')
    c.ok('CREATE "&ZeVnLIqe-.R&-D"')
    c.logout()
    boxes = ["a.b.c", "x y", "&ZeVnLIqe-.R&-D"]
    box.agree(boxes)
    d = box.dovecot()
    d.ok("CREATE a.d")
    d.ok("RENAME a.b new")
    d.logout()
    box.agree(["a.d", "new.c"])
    c = box.ours()
    c.ok("RENAME new newer.deep")
    c.ok("DELETE a.d")
    c.logout()
    box.settle()
    box.agree(["newer.deep.c"])


@pytest.mark.parametrize("user", ["fs1"])
def test_layout_fs(pair, user):
    box = pair.box(user)
    pair.dovecot.complaints()
    c = box.ours()
    c.ok("CREATE a/b/c")
    c.ok("CREATE x.y")
    c.append("a/b/c", msg(1), "(\\Seen)")
    c.logout()
    box.agree(["INBOX", "a/b/c", "x.y"])
    d = box.dovecot()
    d.ok("CREATE a/b")
    d.append("a/b", msg(2))
    d.logout()
    box.agree(["INBOX", "a/b/c", "x.y", "a/b"])
    c = box.ours()
    c.ok("RENAME a z/a")
    c.logout()
    box.settle()
    box.agree(["z/a/b", "z/a/b/c"])


def test_sizes_that_names_lack(box):
    """As Postfix delivers: ours counts once and writes what it found into
    the map, where Dovecot reads it."""
    for i in range(1, 41):
        box.write("new/%d.x%d.mx1" % (1795300000 + i, i), msg(i % 9 + 1),
                  when=1772445600)
    c = box.ours()
    c.ok("SELECT INBOX")
    c.fetch("1:* RFC822.SIZE")
    c.logout()
    deadline = time.monotonic() + 20
    while " W134 :" not in box.read("dovecot-uidlist"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert "\n1 S127 W134 :1795300001.x1.mx1\n" in \
        box.read("dovecot-uidlist")
    box.agree()
    d = box.dovecot()
    d.append("INBOX", msg(1))
    d.ok("SELECT INBOX")
    d.ok("STORE 1:30 +FLAGS.SILENT (\\Deleted)")
    d.ok("EXPUNGE")
    d.logout()
    box.agree()


# ---- damage ---------------------------------------------------------------------------

def test_d3_swapped_lines(box):
    fill_m1(box)
    lines = M1.splitlines(True)
    box.write("dovecot-uidlist",
              "".join([lines[0], lines[2], lines[1], lines[3]]))
    c = box.ours()
    c.ok("SELECT INBOX")
    c.logout()
    assert [x for x in box.list(".") if ".broken." in x]
    assert list(box.agree()["INBOX"]["messages"]) == [1, 2, 3]


def test_d4_torn_line(box):
    fill_m1(box)
    box.append_line("dovecot-uidlist", "77 :")
    c = box.ours()
    assert b"APPENDUID 1795300341 78]" in c.append("INBOX", msg(4))
    c.logout()
    d = box.dovecot()
    assert b"APPENDUID 1795300341 79]" in d.append("INBOX", msg(5))
    d.logout()
    box.agree()


def test_d8_twins(box):
    fill_m1(box)
    box.write("cur/%s:2,FT" % B1, msg(7))
    c = box.ours()
    c.ok("SELECT INBOX")
    c.ok("NOOP")
    c.logout()
    seen = box.agree()["INBOX"]["messages"]
    assert len(seen) == 4
    assert sorted(map(sorted, (m[1] for m in seen.values()))) == sorted([
        ["\\Seen"], ["\\Deleted", "\\Flagged"],
        ["$Label1", "NonJunk", "\\Flagged"], ["Later", "\\Answered"]])


def test_d15_restored_message(box):
    fill_m1(box)
    box.agree()
    box.rename("cur/%s:2,Fab" % B2, "away")
    c = box.ours()
    c.ok("SELECT INBOX")
    c.logout()
    box.rename("away", "cur/%s:2,Fab" % B2)
    c = box.ours()
    c.ok("SELECT INBOX")
    c.ok("NOOP")
    c.logout()
    assert box.agree()["INBOX"]["uidnext"] >= 4


# ---- locks -------------------------------------------------------------------------------

@pytest.mark.parametrize("which", ["ours", "dovecot"])
def test_l1_waits_for_a_live_lock(box, which):
    fill_m1(box)
    holder = subprocess.Popen(["sleep", "60"])
    try:
        host = os.uname().nodename
        box.write("dovecot-uidlist.lock", "%d:%s" % (holder.pid, host))
        c = box.of(which)
        timer = threading.Timer(
            1.5, lambda: os.unlink(box.path("dovecot-uidlist.lock")))
        timer.start()
        begin = time.monotonic()
        assert b"APPENDUID 1795300341 4]" in c.append("INBOX", msg(4))
        assert time.monotonic() - begin > 1.2
        timer.join()
        c.logout()
    finally:
        holder.kill()
        holder.wait()
    box.agree()


@pytest.mark.parametrize("which", ["ours", "dovecot"])
def test_l2_breaks_the_lock_of_a_dead_process(box, which):
    fill_m1(box)
    dead = subprocess.Popen(["true"])
    dead.wait()
    box.write("dovecot-uidlist.lock",
              "%d:%s" % (dead.pid, os.uname().nodename),
              when=time.time() - 10)
    c = box.of(which)
    begin = time.monotonic()
    c.append("INBOX", msg(4))
    assert time.monotonic() - begin < 8
    c.logout()


@pytest.mark.skipif(os.environ.get("RESTANTE_ABUSE") != "full",
                    reason="takes two minutes")
def test_l2_waits_for_another_host(box):
    """Nobody here knows whether that process lives: its lock stays for two
    minutes, then it is broken."""
    fill_m1(box)
    lock = box.path("dovecot-uidlist.lock")
    box.write("dovecot-uidlist.lock", "1:otherhost")
    made = time.monotonic()
    c = box.ours()
    c.sock.settimeout(300)
    c.append("INBOX", msg(4))
    while time.monotonic() < made + 110:
        with open(lock) as f:
            assert f.read() == "1:otherhost"
        time.sleep(1)
    while os.path.exists(lock):
        assert time.monotonic() < made + 250
        c.append("INBOX", msg(5))
    c.logout()
    assert time.monotonic() > made + 115
    box.agree()


def test_l3_both_append_at_once(box):
    """Two sessions of each server append, another one changes flags."""
    fill_m1(box)
    uids, errors = {}, []

    def append(which, k):
        try:
            c = box.of(which)
            for i in range(60):
                text = b"Subject: %s %d %d\n\nx\n" % (which.encode(), k, i)
                answer = c.append("INBOX", text)
                uid = int(re.search(rb"APPENDUID \d+ (\d+)",
                                    answer).group(1))
                if uid in uids:
                    errors.append(("twice", uid, uids[uid], text))
                uids[uid] = text
            c.logout()
        except Exception as e:  # noqa: B902
            errors.append((which, k, repr(e)))

    def change():
        try:
            c = box.ours()
            c.ok("SELECT INBOX")
            for i in range(60):
                c.ok("STORE 1:3 %sFLAGS.SILENT (\\Draft)" % "+-"[i % 2])
            c.logout()
        except Exception as e:  # noqa: B902
            errors.append(("change", repr(e)))

    threads = [threading.Thread(target=append, args=(w, k))
               for w in ("ours", "dovecot") for k in (1, 2)]
    threads.append(threading.Thread(target=change))
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert errors == []
    assert len(uids) == 240
    seen = box.agree()["INBOX"]["messages"]
    assert len(seen) == 243
    assert set(uids) <= set(seen)
    texts = os.listdir(box.path("cur")) + os.listdir(box.path("new"))
    assert len(texts) == 243
    assert not os.path.exists(box.path("dovecot-uidlist.lock"))
