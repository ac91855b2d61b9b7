# SPDX-License-Identifier: ISC
"""Cases of compat-tests.md sections 1 to 3 and 11 on Maildir that need no more
than files put in place; the others are in test_store_dovecot.py. Which case is
where: compat-tests.md in this folder."""
import os
import random
import re
import threading
import time

import pytest
from lib import agree
from lib.agree import B1, B2, B3, GUID, M1, fill_m1, msg

OK_UIDVALIDITY = r"UIDVALIDITY changed"


@pytest.fixture(scope="module")
def pair():
    yield from agree.serving(["k%d" % i for i in range(1, 51)])


@pytest.fixture
def box(pair):
    pair.dovecot.complaints()
    b = pair.box()
    yield b
    pair.dovecot.close_all()
    pair.ours.close_all()


def look(box, which):
    c = box.of(which)
    seen = agree.facts(c, "INBOX")
    c.logout()
    return seen


def our_log(box, text):
    """A line of ours about this user since the last look."""
    return box.pair.ours.wait_log(text)


# ---- every order, with and without Dovecot's index (compat-tests 0.7) --------

def put_m3(box):
    box.write("dovecot-uidlist",
              "3 V1795300389 N11 G%s\n1 :a,S=127,W=134\n3 :b\n4 :c\n"
              "9 :d\n10 Puidl-ten O3 Gguid10 :e,S=127,W=134\n" % GUID)
    for i, n in enumerate(("a,S=127,W=134", "b", "c", "d",
                           "e,S=127,W=134"), 1):
        box.write("cur/%s:2,S" % n, msg(i), when=1772445600)


def put_m4(box):
    box.write("dovecot-uidlist",
              "3 V5 N2 G%s Zfoo\n1 Q7 :a\n" % GUID)
    box.write("cur/a:2,F", msg(1), when=1772445600)


def put_m5(box):
    box.write("dovecot-uidlist", "1 795300733 5\n2 a\n3 b\n4 c\n")
    for i, n in enumerate("abc", 1):
        box.write("cur/%s:2," % n, msg(i), when=1772445600)


def put_m7(box):
    box.write("dovecot-uidlist", "3 V1700000000 N5\n")


def put_crlf(box):
    """As an editor of another system leaves it: the lines end with CR LF."""
    put_m3(box)
    box.write("dovecot-uidlist",
              box.read("dovecot-uidlist").replace("\n", "\r\n"))


def put_m10(box):
    box.write("dovecot-uidlist",
              "3 V6 N4 G%s\n1 :x\n2 :y\n3 :z\n" % GUID)
    box.write("cur/x:1,xyz", msg(1), when=1772445600)
    box.write("cur/y", msg(2), when=1772445600)
    box.write("cur/z:2,PS", msg(3), when=1772445600)


@pytest.mark.parametrize("first", ["ours", "dovecot"])
@pytest.mark.parametrize("put", [fill_m1, put_m3, put_m4, put_m5, put_m7,
                                 put_m10, put_crlf], ids=lambda f: f.__name__)
def test_every_order(box, put, first):
    put(box)
    order = ["ours", "dovecot"] if first == "ours" else ["dovecot", "ours"]
    seen = [look(box, which) for which in order + order[:1]]
    box.drop_index()
    seen += [look(box, which) for which in order[::-1]]
    for s in seen[1:]:
        assert s["messages"] == seen[0]["messages"]
        assert s["uidvalidity"] == seen[0]["uidvalidity"]
    box.quiet()


# ---- what Dovecot wrote ---------------------------------------------------------

def test_m4_unknown_fields_stay(box):
    put_m4(box)
    c = box.ours()
    c.append("INBOX", msg(2))
    for _ in range(12):
        c.append("INBOX", msg(3))
    c.ok("SELECT INBOX")
    c.ok("STORE 3:14 +FLAGS.SILENT (\\Deleted)")
    c.ok("EXPUNGE")
    c.append("INBOX", msg(4))  # a quarter is dead: written anew
    c.logout()
    text = box.read("dovecot-uidlist")
    assert re.match(r"3 V5 N1\d G%s Zfoo\n1 (\w+ )*Q7 (\w+ )*:a\n2 :"
                    % GUID, text), text
    assert "\n5 :" not in text
    box.agree()


def test_m6_old_map_with_a_low_uidnext(box):
    """Dovecot would renumber; ours keeps what is there."""
    box.write("dovecot-uidlist", "1 5 3\n1 a\n7 b\n")
    box.write("cur/a:2,", msg(1), when=1772445600)
    box.write("cur/b:2,", msg(2), when=1772445600)
    seen = look(box, "ours")
    assert list(seen["messages"]) == [1, 7] and seen["uidnext"] == 8
    c = box.ours()
    assert b"APPENDUID 5 8]" in c.append("INBOX", msg(3))
    c.logout()
    assert re.match(r"3 V5 N\d+ G", box.read("dovecot-uidlist"))
    box.agree()


def test_m8_wrong_size_in_the_name(box):
    box.write("dovecot-uidlist", "3 V5 N2 G%s\n1 :x,S=5,W=9\n" % GUID)
    box.write("cur/x,S=5,W=9:2,S", msg(1), when=1772445600)
    for _ in range(2):
        seen = look(box, "ours")
        assert seen["messages"][1][3] == 134
        assert box.list("cur") == ["x,S=5,W=9:2,S"]
    assert our_log(box, "wrong size in file name .*user=<%s>" % box.user)


def test_m10_a_flag_replaces_experimental_info(box):
    put_m10(box)
    c = box.ours()
    c.ok("SELECT INBOX")
    assert c.flags("1:3") == {1: set(), 2: set(), 3: {"\\Seen"}}
    assert set(box.list("cur")) == {"x:1,xyz", "y", "z:2,PS"}
    c.ok("STORE 1:3 +FLAGS.SILENT (\\Flagged)")
    c.logout()
    assert set(box.list("cur")) == {"x:2,F", "y:2,F", "z:2,FPS"}
    box.agree()


# ---- files as we write them, with Dovecot's index warm -----------------------------

def test_w2_w3_records_from_us(box):
    fill_m1(box)
    box.agree()
    box.write("new/1795300400.M1P9.mx1,S=127,W=134", msg(4),
              when=1772445600)
    box.append_line("dovecot-uidlist",
                    "4 :1795300400.M1P9.mx1,S=127,W=134\n")
    d = box.dovecot()
    d.ok("SELECT INBOX")
    assert "\\Recent" in d.flags("4")[4]
    d.logout()
    assert "1795300400.M1P9.mx1,S=127,W=134:2," in box.list("cur")
    box.write("cur/1795300401.M1P9.mx1,S=127,W=134:2,", msg(5),
              when=1772445600)
    box.append_line("dovecot-uidlist",
                    "9 :1795300401.M1P9.mx1,S=127,W=134\n")
    seen = box.agree(first="dovecot")["INBOX"]
    assert list(seen["messages"]) == [1, 2, 3, 4, 9]
    assert seen["uidnext"] == 10


def test_w6_keyword_from_us(box):
    fill_m1(box)
    box.agree()
    c = box.ours()
    c.ok("SELECT INBOX")
    c.ok("STORE 1 +FLAGS (Projekt)")
    c.logout()
    assert box.read("dovecot-keywords") == \
        "0 $Label1\n1 NonJunk\n2 Later\n3 Projekt\n"
    assert B1 + ":2,Sd" in box.list("cur")
    assert "Projekt" in box.agree(first="dovecot")["INBOX"]["messages"][1][1]


def test_w8_folder_from_us(box):
    c = box.ours()
    c.ok("CREATE Made.ByUs")
    c.logout()
    assert set(box.list(".Made.ByUs")) >= {"cur", "new", "tmp",
                                           "maildirfolder"}
    v = int(re.match(r"3 V(\d+) ",
                     box.read(".Made.ByUs/dovecot-uidlist")).group(1)) \
        if "dovecot-uidlist" in box.list(".Made.ByUs") else None
    d = box.dovecot()
    status = b" ".join(d.ok("STATUS Made.ByUs (UIDNEXT UIDVALIDITY)"))
    assert b"UIDNEXT 1" in status
    if v:
        assert b"UIDVALIDITY %d" % v in status
    d.logout()
    box.agree(("INBOX", "Made.ByUs"))


# ---- damage ------------------------------------------------------------------------

def whole(box, which="ours", n=3):
    """All messages are there, with sizes and texts."""
    seen = look(box, which)
    assert len(seen["messages"]) == n
    assert {m[3] for m in seen["messages"].values()} == {134}
    return seen


def test_d1_d2_map_deleted(box):
    """With and without an index of Dovecot's: a UIDVALIDITY that was never
    used, as clients must read everything anew in any case."""
    fill_m1(box)
    box.agree()
    c = box.ours()
    c.logout()
    os.unlink(box.path("dovecot-uidlist"))
    seen = whole(box)
    assert seen["uidvalidity"] != 1795300341 or \
        min(seen["messages"]) >= 4 or list(seen["messages"]) == [1, 2, 3]
    box.pair.dovecot.complaints()
    look(box, "dovecot")
    box.quiet(OK_UIDVALIDITY)
    box.agree()
    os.unlink(box.path("dovecot-uidlist"))
    box.drop_index()
    again = whole(box)
    assert again["uidvalidity"] >= seen["uidvalidity"]
    box.agree()


@pytest.mark.parametrize("text", ["3 V0 N5\n", "3 V5\n", "",
                                  "\x00\x01\x02binary\xff\n"],
                         ids=["v0", "no-n", "empty", "binary"])
def test_d5_no_header(box, text):
    fill_m1(box)
    box.write("dovecot-uidlist", text.encode("latin-1"))
    seen = whole(box)
    assert seen["uidvalidity"] > 1795300341 or seen["uidvalidity"] > 10 ** 9
    assert [x for x in box.list(".") if ".broken." in x]
    assert our_log(box, r"dovecot-uidlist mailbox=INBOX unreadable, set "
                   r"aside user=<%s>" % box.user)
    box.agree()


def test_d6_one_base_twice(box):
    fill_m1(box)
    box.write("dovecot-uidlist", M1 + "7 :%s\n" % B1)
    seen = whole(box)
    assert list(seen["messages"]) == [2, 3, 7] and seen["uidnext"] == 8
    c = box.ours()
    assert b"APPENDUID 1795300341 8]" in c.append("INBOX", msg(4))
    c.logout()
    box.pair.dovecot.complaints()
    look(box, "dovecot")
    box.pair.dovecot.complaints()
    box.agree()


def test_d7_slash_in_a_base(box):
    fill_m1(box)
    box.write("dovecot-uidlist", M1 + "5 :../../etc/passwd\n")
    seen = whole(box)
    assert list(seen["messages"]) == [1, 2, 3] and seen["uidnext"] >= 4
    assert "passwd" not in box.read("dovecot-uidlist")
    box.agree()


def test_d9_hard_link(box):
    """A message linked twice is one; the second name goes when it is old."""
    fill_m1(box)
    os.link(box.path("cur/%s:2,S" % B1), box.path("cur/%s:2,FS" % B1))
    seen = look(box, "ours")
    assert len(seen["messages"]) == 3
    c = box.ours()
    c.ok("SELECT INBOX")
    c.ok("NOOP")
    c.logout()
    assert len([x for x in box.list("cur") if x.startswith(B1)]) == 2


@pytest.mark.skipif(os.environ.get("RESTANTE_ABUSE") != "full",
                    reason="takes half a minute")
def test_d9_old_hard_link(box):
    """The same when both are old: one of the names goes, the message stays."""
    fill_m1(box)
    os.link(box.path("cur/%s:2,S" % B1), box.path("cur/%s:2,FS" % B1))
    time.sleep(32)
    c = box.ours()
    c.ok("SELECT INBOX")
    end = time.monotonic() + 60
    while len([x for x in box.list("cur") if x.startswith(B1)]) > 1:
        assert time.monotonic() < end
        box.write("tmp/x", b"")
        os.rename(box.path("tmp/x"), box.path("cur/x"))
        os.unlink(box.path("cur/x"))
        c.ok("CHECK")
        time.sleep(0.2)
    c.logout()
    assert len([x for x in box.list("cur") if x.startswith(B1)]) == 1
    assert len(look(box, "ours")["messages"]) == 3


def test_d10_odd_names(box):
    fill_m1(box)
    os.mkdir(box.path("cur/subdir"))
    os.chown(box.path("cur/subdir"), box.uid, box.uid)
    box.write("cur/.hid", msg(1))
    box.write("new/:2,S", msg(4))
    box.write("cur/line\nend:2,", msg(5))
    c = box.ours()
    c.ok("SELECT INBOX")
    c.ok("NOOP")
    c.logout()
    seen = whole(box, n=4)
    assert "subdir" in box.list("cur") and ".hid" in box.list("cur")
    assert ":2,S" not in box.list("new") + box.list("cur")
    assert list(seen["messages"])[-1] == 4


def test_d11_d12_uidnext_by_hand(box):
    fill_m1(box)
    box.write("dovecot-uidlist", M1.replace(" N1 ", " N9 "))
    assert look(box, "ours")["uidnext"] == 9
    # D12: lowered, records kept: no effect.
    box.write("dovecot-uidlist", M1)
    assert look(box, "ours")["uidnext"] >= 4
    c = box.ours()
    uid = int(re.search(rb"APPENDUID \d+ (\d+)",
                        c.append("INBOX", msg(4))).group(1))
    assert uid >= 4
    c.logout()
    box.agree()


def test_d13_read_only_folder(box):
    fill_m1(box)
    box.folder(".Ro")
    for name in (B1, B2):
        box.write(".Ro/cur/%s:2," % name, msg(1), when=1772445600)
    box.write(".Ro/dovecot-uidlist", M1)
    for sub in ("cur", "new", "tmp", ""):
        os.chmod(box.path(os.path.join(".Ro", sub)), 0o500)
    try:
        c = box.ours()
        status, text, _ = c.cmd("SELECT Ro")
        assert status == "OK" and b"READ-ONLY" in text
        assert c.fetch("1 BODY.PEEK[TEXT]")
        assert c.cmd("STORE 1 +FLAGS (\\Flagged)")[0] == "NO"
        c.logout()
    finally:
        for sub in ("", "cur", "new", "tmp"):
            os.chmod(box.path(os.path.join(".Ro", sub)), 0o700)
    box.agree(("INBOX", "Ro"))


# ---- round trips ---------------------------------------------------------------------

class Cache:
    """What a client remembers: it must never be told something else."""

    def __init__(self):
        self.v = None
        self.texts = {}

    def check(self, seen):
        assert self.v in (None, seen["uidvalidity"])
        self.v = seen["uidvalidity"]
        for uid, m in seen["messages"].items():
            assert self.texts.setdefault(uid, m[4]) == m[4], uid
        assert seen["uidnext"] > max(self.texts, default=0)


def random_change(rng, c, box, n):
    found = b" ".join(c.ok("UID SEARCH ALL"))
    uids = [int(x) for x in re.search(rb"SEARCH([0-9 ]*)",
                                      found).group(1).split()]
    what = rng.choice("append append flag keyword unflag delete deliver "
                      "mutt copy".split())
    if what == "append":
        c.append("INBOX", b"Subject: %d\n\nx%d\n" % (n, rng.random() * 1e9),
                 rng.choice(["", "(\\Seen)", "(Kw%d)" % rng.randrange(5)]))
    elif what == "deliver":
        box.write("new/18%08d.M%dP1.mx1" % (n, n),
                  b"Subject: d%d\n\n%d\n" % (n, rng.random() * 1e9), when=1772445600)
    elif not uids:
        return
    elif what == "mutt":
        name = rng.choice(box.list("cur") or [""])
        if ":2," in name and "F" not in name:
            base, flags = name.split(":2,")
            box.rename("cur/" + name, "cur/%s:2,%s" % (
                base, "".join(sorted(flags + "F"))))
    elif what == "copy":
        c.ok("UID COPY %d INBOX" % rng.choice(uids))
    elif what == "delete":
        c.ok("UID STORE %d +FLAGS (\\Deleted)" % rng.choice(uids))
        c.ok("EXPUNGE")
    else:
        c.ok("UID STORE %d %sFLAGS (%s)" % (
            rng.choice(uids), "-" if what == "unflag" else "+",
            rng.choice(["\\Flagged", "\\Answered", "Kw1", "Kw2", "$Later"])
            if what != "keyword" else "Kw%d" % rng.randrange(12)))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_r1_turns(box, seed):
    """One server after the other, changes at random; whoever comes next sees
    the same mail under the same UIDs, and the same flags."""
    rng = random.Random(seed)
    cache, n = Cache(), 0
    fill_m1(box)
    for _ in range(8):
        which = rng.choice(["ours", "dovecot"])
        c = box.of(which)
        c.ok("SELECT INBOX")
        for _ in range(rng.randrange(1, 12)):
            c.ok("NOOP")
            n += 1
            random_change(rng, c, box, n)
        c.ok("NOOP")
        c.logout()
        first = look(box, which)
        cache.check(first)
        other = "dovecot" if which == "ours" else "ours"
        second = look(box, other)
        cache.check(second)
        # Dovecot alone knows its 27th keyword and later ones.
        assert first["messages"] == second["messages"]
        if rng.random() < 0.3:
            box.drop_index()
    # Dovecot's COPY takes the GUID as the name, when no message has it, though
    # the record of one that had it is still in the list; then it complains.
    box.quiet("Duplicate file entry")


def test_r2_at_the_same_time(box):
    """Both servers at once: no UID ever means two texts."""
    fill_m1(box)
    errors = []

    def work(which, seed):
        rng = random.Random(seed)
        try:
            c = box.of(which)
            c.ok("SELECT INBOX")
            for i in range(40):
                c.ok("NOOP")
                try:
                    random_change(rng, c, box, seed * 1000 + i)
                except AssertionError as e:
                    # Somebody else's EXPUNGE came first.
                    if "NO" not in str(e) and "OSError" not in str(e):
                        raise
                except FileNotFoundError:
                    pass
            c.logout()
        except Exception as e:  # noqa: B902
            errors.append((which, seed, repr(e)))

    threads = [threading.Thread(target=work, args=(w, k))
               for k, w in enumerate(("ours", "dovecot", "ours", "dovecot"))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert errors == []
    cache = Cache()
    for which in ("ours", "dovecot", "ours"):
        cache.check(look(box, which))
    box.settle()
    box.pair.dovecot.complaints()
    box.agree()
