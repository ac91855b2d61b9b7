# SPDX-License-Identifier: ISC
"""Mail that Courier has served, taken over in place and kept so that it can
be given back (compat-tests.md section 7). The Maildir is one that the real
Courier wrote; Dovecot looks on where it can."""
import re

import pytest
from lib import agree, courier, dovecot
from lib.agree import msg

JAPAN = "&ZeVnLIqe-"
UIDL = ["UID%d-%d" % (n, courier.V_POP3) for n in (2, 3, 4)]


@pytest.fixture(scope="module")
def pair():
    if not dovecot.is_there():
        pytest.skip("needs root and Debian's Dovecot")
    users = ["c%d" % i for i in range(1, 12)]
    p = agree.Pair(users, extra={u: "maildir:~/Maildir:UTF-8" for u in
                                 ("c2", "c4", "c5", "c6", "c7")})
    try:
        yield p.start()
    finally:
        try:
            p.stop()
        finally:
            p.remove()


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
    for which in ("ours", "dovecot"):
        assert uidls(box, which) == \
            UIDL + ["%08x%08x" % (5, courier.V)], which
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
        "courierimapkeywords/:list")}
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
