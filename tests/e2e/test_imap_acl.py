# SPDX-License-Identifier: ISC
"""ACL (RFC 4314) and LIST-MYRIGHTS (RFC 8440), where all users have one uid:
who may what is in dovecot-acl alone. (With uids: test_share.py.)"""
import os
import time

import pytest
from lib import mbox, maildir, restante
from lib.maildir import message

ALL = "lrwstipekxacd"
USERS = ["fred", "chris", "david", "byron", "john"]


class Pair:
    """fred's mailbox as he and as others see it."""

    def __init__(self, server, store):
        self.server, self.store = server, store
        self.d = "/" if store == "mbox" else "."

    def c(self, user="fred"):
        return self.server.imap(user)

    def acl_file(self, name="Shared", user="fred"):
        if self.store == "mbox":
            return os.path.join(self.server.home(user), "mail", ".imap", name,
                                "dovecot-acl")
        folder = "" if name == "INBOX" else "." + name
        return os.path.join(self.server.maildir(user, folder), "dovecot-acl")

    def read(self, name="Shared"):
        with open(self.acl_file(name)) as f:
            return f.read()

    def write(self, text, name="Shared"):
        path = self.acl_file(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path + ".new", "w") as f:
            f.write(text)
        os.rename(path + ".new", path)
        above = os.path.dirname(path)
        if self.store == "mbox":
            above = os.path.dirname(above)
        self.server.own_tree(above, self.server.uid)

    def deliver(self, n, name="Shared", flags=None):
        for i in range(n):
            if self.store == "mbox":
                mbox.deliver(os.path.join(self.server.home("fred"), "mail",
                                          name), message(i), flags=flags,
                             owner=self.server.uid)
            else:
                maildir.deliver(self.server.maildir("fred", "." + name),
                                message(i), flags=flags,
                                owner=self.server.uid)


@pytest.fixture(scope="module", params=["maildir", "mbox"])
def run(request):
    place = {"maildir": "maildir:~/Maildir", "mbox": "mbox:~/mail"}
    s = restante.Restante(users=USERS, tls=False, settings={
        "mail_location": place[request.param], "process_linger": 2})
    s.settings["other_users_location"] = place[request.param].replace(
        "~", os.path.join(s.dir, "home", "%u"))
    try:
        yield Pair(s.start(), request.param)
    finally:
        try:
            s.stop()
        finally:
            s.remove()


@pytest.fixture
def pair(run):
    """A fresh mailbox "Shared" of fred's."""
    c = run.c()
    for row in sorted(c.ok('LIST "" Shared*'), reverse=True):
        c.cmd("DELETE " + row.split()[-1].decode())
    c.ok("CREATE Shared")
    run.deliver(3)
    run.fred = c
    yield run
    run.server.close_all()


def rights(untagged):
    """Of the first MYRIGHTS or the pairs of the first ACL."""
    words = [w.strip(b'"').decode() for w in untagged[0].split()[2:]]
    if untagged[0].startswith(b"* MYRIGHTS"):
        return "".join(sorted(words[-1]))
    return {words[i]: "".join(sorted(words[i + 1]))
            for i in range(1, len(words), 2)}


def mine(c, name="#user/fred/Shared"):
    return rights(c.ok("MYRIGHTS " + name))


def acl(c, name="Shared"):
    return rights(c.ok("GETACL " + name))


def s(letters):
    return "".join(sorted(letters))


def test_announced(pair):
    found = pair.fred.capabilities()
    assert {"ACL", "RIGHTS=texk", "LIST-MYRIGHTS"} <= found


# ---- RFC 4314 section 2.1.1: c and d

def test_virtual_rights(pair):
    c = pair.fred
    c.ok("SeTacl Shared david lrswida")
    assert acl(c) == {"fred": s(ALL), "david": s("lrswideta")}
    c.ok("Setacl Shared byron lrswikda")
    assert acl(c)["byron"] == s("lrswikcdeta")
    # Whoever has one member has the letter.
    for given, told in (("t", "td"), ("e", "ed"), ("k", "kc"), ("x", "xc"),
                        ("c", "kxc"), ("d", "etd"), ("cx", "kxc")):
        c.ok("SETACL Shared john " + given)
        assert acl(c)["john"] == s(told)


# ---- section 3.1

def test_setacl(pair):
    c = pair.fred
    c.ok("SETACL Shared chris lrswi")
    assert acl(c) == {"fred": s(ALL), "chris": s("lrswi")}
    c.ok("SETACL Shared chris +cda")
    assert acl(c)["chris"] == s("lrswicdakxet")
    c.bad("SETACL Shared john lrQswicda")
    c.bad("SETACL Shared john lrqswicda")
    c.bad("SETACL Shared john +lz")
    c.bad("SETACL Shared john lr0")
    assert "john" not in acl(c)
    c.ok("SETACL Shared chris -wa")
    assert acl(c)["chris"] == s("lrsicdkxet")
    c.ok("SETACL Shared chris r")
    assert acl(c)["chris"] == "r"
    c.ok("SETACL Shared chris +")
    assert acl(c)["chris"] == "r"
    c.ok("SETACL Shared chris {0+}\r\n")
    assert "chris" not in acl(c)
    c.ok('SETACL Shared chris "l"')
    c.ok("SETACL Shared chris -l")
    assert acl(c) == {"fred": s(ALL)}
    assert not os.path.exists(pair.acl_file())


def test_bad_arguments(pair):
    c = pair.fred
    for command in ("SETACL", "SETACL Shared", "SETACL Shared chris",
                    "SETACL Shared chris lr x", 'SETACL Shared "" lr',
                    "SETACL Shared - lr", "SETACL Shared --chris lr",
                    "DELETEACL Shared", "DELETEACL Shared chris x", "GETACL",
                    "GETACL Shared x", "LISTRIGHTS Shared",
                    "LISTRIGHTS Shared a b", "MYRIGHTS", "MYRIGHTS a b",
                    'SETACL Shared "a\tb" lr',
                    ):
        c.bad(command)
    # SASLprep would make another name of it; and this is no UTF-8.
    for i, data in enumerate(("\ufb01".encode(), b"\xff\xfe")):
        tag = b"y%d" % i
        c.send(tag + b" SETACL Shared {%d+}\r\n%s lr\r\n" % (
            len(data), data))
        assert c.finish(tag)[0] == "BAD"
    for command in ("SETACL none chris lr", "DELETEACL none chris",
                    "GETACL none", "LISTRIGHTS none chris", "MYRIGHTS none"):
        c.no(command)
    assert acl(c) == {"fred": s(ALL)}


def test_identifiers(pair):
    c = pair.fred
    for wire, stored in (("anyone", "anyone l"), ("-anyone", "-anyone l"),
                         ("authenticated", "authenticated l"),
                         ("$team", "group=team l"),
                         ("group=other", "group=other l"),
                         ("!$team", "group-override=team l"),
                         ("-chris", "-user=chris l"),
                         ('"two words"', '"user=two words" l'),
                         ("user=anyone", "user=anyone l")):
        c.ok("SETACL Shared %s l" % wire)
        assert stored in pair.read().splitlines()
    listed = c.ok("GETACL Shared")[0]
    for told in (b" anyone l", b" -anyone l", b" $team l", b" $other l",
                 b" !$team l", b" -chris l", b' "two words" l',
                 b" user=anyone l"):
        assert told in listed
    assert b"SETACL" not in listed
    # What stands in other words is the same.
    c.ok("DELETEACL Shared $other")
    assert "other" not in pair.read()


# ---- section 3.2

def test_deleteacl(pair):
    c = pair.fred
    c.ok("SETACL Shared -chris wetd")
    c.ok("SETACL Shared $team w")
    assert acl(c) == {"fred": s(ALL), "-chris": s("wetd"), "$team": "w"}
    c.ok("SETACL Shared chris lr")
    c.ok("DeleteAcl Shared chris")
    assert acl(c) == {"fred": s(ALL), "-chris": s("wetd"), "$team": "w"}
    # There need not be one.
    c.ok("DELETEACL Shared chris")
    c.ok("DELETEACL Shared -chris")
    assert acl(c) == {"fred": s(ALL), "$team": "w"}


def test_owner(pair):
    """The owner has all rights for ever, under his name and as "owner"."""
    c = pair.fred
    for who in ("fred", "owner"):
        c.ok("SETACL Shared %s +lr" % who)
        c.ok("SETACL Shared %s lrswipkxtea" % who)
        c.no("SETACL Shared %s lr" % who)
        c.no("SETACL Shared %s -w" % who)
        c.no("SETACL Shared -%s w" % who)
        c.ok("DELETEACL Shared " + who)
        first = c.ok("LISTRIGHTS Shared " + who)[0].decode().split()
        assert first[:4] == ["*", "LISTRIGHTS", "Shared", who]
        assert s(first[4]) == s(ALL) and len(first) == 5
    assert mine(c, "Shared") == s(ALL) == mine(c, "INBOX")
    # Dovecot's owner may have less; ours has not.
    pair.write("user=fred l\nowner l\nuser=chris lr\n")
    assert mine(c, "Shared") == s(ALL)
    assert acl(c) == {"fred": s(ALL), "chris": "lr"}
    c.ok("SELECT Shared")
    c.ok("STORE 1 +FLAGS (\\Deleted)")
    c.ok("EXPUNGE")


# ---- sections 3.4 and 3.5

def test_listrights(pair):
    c = pair.fred
    words = c.ok("LISTRIGHTS Shared chris")[0].decode().split()
    assert words[:5] == ["*", "LISTRIGHTS", "Shared", "chris", '""']
    assert sorted(words[5:]) == sorted(ALL)
    words = c.ok("listrights Shared $team")[0].decode().split()
    assert words[3] == "$team"
    # The form is the client's.
    words = c.ok("LISTRIGHTS Shared group=team")[0].decode().split()
    assert words[3] == "group=team"


def test_myrights(pair):
    pair.fred.ok("SETACL Shared chris lrs")
    c = pair.c("chris")
    assert mine(c) == s("lrs")
    pair.fred.ok("SETACL Shared anyone lri")
    assert mine(pair.c("john")) == s("lri")
    # The most specific identifier counts.
    assert mine(c) == s("lrs")
    pair.fred.ok("SETACL Shared -chris s")
    assert mine(c) == s("lr")
    pair.fred.ok("DELETEACL Shared chris")
    assert mine(c) == s("lri")


def test_unknown_without_rights(pair):
    """Section 6: what one may not know of is not there."""
    c = pair.c("chris")
    pair.fred.ok("SETACL Shared john lrs")
    missing = {}
    for command in ("MYRIGHTS %s", "GETACL %s", "SETACL %s chris lr",
                    "DELETEACL %s chris", "LISTRIGHTS %s chris", "SELECT %s",
                    "STATUS %s (MESSAGES)", "DELETE %s"):
        for name in ("#user/fred/Shared", "#user/fred/None"):
            status, text, _ = c.cmd(command % name)
            assert status == "NO", command
            missing.setdefault(command, []).append(text)
    for command, (one, other) in missing.items():
        assert one == other, command
    assert not [r for r in c.ok('LIST "" *') if b"fred" in r]
    # Who may look it up but not administer it is told so.
    pair.fred.ok("SETACL Shared chris l")
    for command in ("GETACL %s", "SETACL %s chris lr", "LISTRIGHTS %s chris",
                    "DELETEACL %s john"):
        status, text, _ = c.cmd(command % "#user/fred/Shared")
        assert status == "NO" and text.startswith(b"[NOPERM]"), command


# ---- section 4: the table

TABLE = [
    # rights, command, allowed
    ("lr", "SELECT {m}", True), ("l", "SELECT {m}", False),
    ("l", "EXAMINE {m}", False), ("r", "EXAMINE {m}", True),
    ("r", "STATUS {m} (MESSAGES)", True),
    ("lswipkxtea", "STATUS {m} (MESSAGES)", False),
    ("lrswipxtea", "CREATE {m}/sub", False),
    ("lrswipktea", "DELETE {m}", False), ("x", "DELETE {m}", True),
    ("lrswipktea", "RENAME {m} {m}2", False),
    ("lrswipkxte", "SETACL {m} john lr", False),
    ("a", "SETACL {m} john lr", True), ("a", "DELETEACL {m} john", True),
    ("a", "GETACL {m}", True), ("lrswipkxte", "GETACL {m}", False),
    ("a", "LISTRIGHTS {m} john", True),
    ("lrswipkxte", "LISTRIGHTS {m} john", False),
    ("l", "MYRIGHTS {m}", True), ("r", "MYRIGHTS {m}", True),
    ("i", "MYRIGHTS {m}", True), ("k", "MYRIGHTS {m}", True),
    ("x", "MYRIGHTS {m}", True), ("a", "MYRIGHTS {m}", True),
    ("swpte", "MYRIGHTS {m}", False),
    ("i", "APPEND {m} {{4+}}\r\na: b", True),
    ("lrswpkxtea", "APPEND {m} {{4+}}\r\na: b", False),
    ("", "SUBSCRIBE {m}", True), ("", "UNSUBSCRIBE {m}", True),
]


@pytest.mark.parametrize("given,command,allowed", TABLE,
                         ids=["%s-%s" % (r or "none", c.split()[0])
                              for r, c, _ in TABLE])
def test_table(pair, given, command, allowed):
    pair.write("user=chris %s\n" % given)
    c = pair.c("chris")
    status, text, _ = c.cmd(command.format(m="#user/fred/Shared"))
    assert (status == "OK") == allowed, text
    if not allowed:
        assert text.startswith((b"[NOPERM]", b"[NONEXISTENT]",
                                b"[TRYCREATE]")), text


SELECTED = [
    # rights beside lr, command, allowed, flags of message 1 afterwards
    ("", "STORE 1 +FLAGS (\\Flagged)", False, set()),
    ("w", "STORE 1 +FLAGS (\\Flagged $x)", True, {"\\Flagged", "$x"}),
    ("", "STORE 1 +FLAGS (\\Seen)", False, set()),
    ("s", "STORE 1 +FLAGS (\\Seen)", True, {"\\Seen"}),
    ("sw", "STORE 1 +FLAGS (\\Deleted)", False, set()),
    ("t", "STORE 1 +FLAGS (\\Deleted)", True, {"\\Deleted"}),
    # One of several is enough; the others are left.
    ("s", "STORE 1 FLAGS (\\Seen \\Deleted \\Flagged $x)", True, {"\\Seen"}),
    ("w", "STORE 1 FLAGS (\\Seen \\Deleted \\Flagged)", True, {"\\Flagged"}),
    ("t", "STORE 1:2 +FLAGS (\\Deleted \\Draft)", True, {"\\Deleted"}),
    ("", "STORE 1 FLAGS ()", False, set()),
    ("swti", "EXPUNGE", False, None), ("e", "EXPUNGE", True, None),
    ("e", "UID EXPUNGE 1:*", True, None),
    ("w", "UID EXPUNGE 1:*", False, None),
    ("", "CLOSE", True, None), ("", "COPY 1 INBOX", True, None),
    ("e", "MOVE 1 INBOX", False, None), ("t", "MOVE 1 INBOX", False, None),
    ("te", "MOVE 1 INBOX", True, None),
    ("", "FETCH 1 BODY[]", True, set()), ("s", "FETCH 1 BODY[]", True,
                                          {"\\Seen"}),
    ("", "SEARCH ALL", True, None),
]


@pytest.mark.parametrize("given,command,allowed,flags", SELECTED,
                         ids=["%s-%s" % (r or "none", c) for r, c, _, _ in
                              SELECTED])
def test_selected(pair, given, command, allowed, flags):
    pair.write("user=chris lr%s\n" % given)
    c = pair.c("chris")
    c.ok("SELECT #user/fred/Shared")
    status, text, _ = c.cmd(command)
    assert (status == "OK") == allowed, text
    if not allowed:
        assert text.startswith((b"[NOPERM]", b"[READ-ONLY]")), text
    if flags is not None:
        assert set(c.flags()[1]) - {"\\Recent"} == flags


def test_store_leaves_what_one_may_not_change(pair):
    f = pair.fred
    f.ok("SELECT Shared")
    f.ok("STORE 1 FLAGS (\\Answered \\Deleted $kept)")
    f.ok("UNSELECT")
    pair.write("user=chris lrw\n")
    c = pair.c("chris")
    c.ok("SELECT #user/fred/Shared")
    c.ok("STORE 1 FLAGS (\\Flagged)")
    assert set(c.flags()[1]) - {"\\Recent"} == {"\\Flagged", "\\Deleted"}
    pair.write("user=chris lrt\n")
    c.ok("SELECT #user/fred/Shared")
    c.ok("STORE 1 FLAGS (\\Answered)")
    assert set(c.flags()[1]) - {"\\Recent"} == {"\\Flagged"}


def test_close_leaves_deleted(pair):
    """Without "e" the expunge is ignored."""
    pair.write("user=chris lrt\n")
    c = pair.c("chris")
    c.ok("SELECT #user/fred/Shared")
    c.ok("STORE 1 +FLAGS (\\Deleted)")
    c.ok("CLOSE")
    assert b"MESSAGES 3" in c.ok("STATUS #user/fred/Shared (MESSAGES)")[0]
    pair.write("user=chris lre\n")
    c.ok("SELECT #user/fred/Shared")
    c.ok("CLOSE")
    assert b"MESSAGES 2" in c.ok("STATUS #user/fred/Shared (MESSAGES)")[0]


# ---- COPY and APPEND: the example

@pytest.mark.parametrize("given,kept", [
    ("rwis", [{"\\Draft"}, {"\\Answered"}, {"$Forwarded", "\\Seen"}]),
    ("rsti", [{"\\Deleted"}, set(), {"\\Seen"}]),
    ("ri", [set(), set(), set()])])
def test_copied_flags(pair, given, kept):
    pair.write("user=chris %s\n" % given)
    c = pair.c("chris")
    c.cmd("DELETE Source")
    c.ok("CREATE Source")
    had = ["\\Draft \\Deleted", "\\Answered", "$Forwarded \\Seen"]
    for flags in had:
        c.append("Source", b"a: b\r\n\r\n", "(%s)" % flags)
    c.ok("SELECT Source")
    c.ok("COPY 1:3 #user/fred/Shared")
    c.append("#user/fred/Shared", b"a: b\r\n\r\n", "(%s)" % had[0])
    c.ok("SELECT #user/fred/Shared")
    flags = c.flags("4:7")
    assert [set(flags[n]) - {"\\Recent"} for n in (4, 5, 6, 7)] == \
        kept + kept[:1]


def test_create_and_rename(pair):
    """Section 4: "k" above, "x" on the mailbox; what is made inherits."""
    if pair.store == "mbox":
        pytest.skip("its mailboxes have none below them before there is one")
    pair.write("user=chris lrkx\nuser=john lr\n")
    c = pair.c("chris")
    c.ok("CREATE #user/fred/Shared/sub")
    assert mine(c, "#user/fred/Shared/sub") == s("lrkxc")
    assert mine(pair.c("john"), "#user/fred/Shared/sub") == s("lr")
    c.no("RENAME #user/fred/Shared/sub #user/fred/Other")
    c.ok("RENAME #user/fred/Shared/sub #user/fred/Shared/fresh")
    assert mine(c, "#user/fred/Shared/fresh") == s("lrkxc")
    c.no("CREATE #user/fred/New")
    c.ok("DELETE #user/fred/Shared/fresh")
    # One's own inherit, too; and a new one of an old name has no rights.
    pair.fred.ok("CREATE Shared.own")
    assert mine(c, "#user/fred/Shared/own") == s("lrkxc")
    pair.fred.ok("DELETE Shared.own")
    pair.fred.ok("DELETE Shared")
    pair.fred.ok("CREATE Shared")
    c.no("SELECT #user/fred/Shared")


@pytest.mark.parametrize("how", ["CREATE Again", "RENAME Shared Again",
                                 "RENAME Given Again"])
def test_removed_by_hand(pair, how):
    """Rights that were given on a mailbox are not those of the next one."""
    if pair.store != "mbox":
        pytest.skip("the rights of a Maildir lie in it")
    c = pair.fred
    for name in ("Given", "Again"):
        c.cmd("DELETE " + name)
        c.ok("CREATE " + name)
    c.ok("SETACL Again chris lrs")
    c.ok("SETACL Given john lr")
    mail = os.path.join(pair.server.home("fred"), "mail")
    os.unlink(os.path.join(mail, "Again"))
    c.ok(how)
    want = {"fred": s(ALL)}
    if "Given" in how:
        want["john"] = "lr"
    assert acl(c, "Again") == want
    pair.c("chris").no("SELECT #user/fred/Again")


def test_list(pair):
    """Only what may be looked up; levels above it as if they were none."""
    f = pair.fred
    below = "Shared" + pair.d + "sub"
    if pair.store == "maildir":
        f.cmd("DELETE " + below)
        f.ok("CREATE " + below)
        f.ok("SETACL %s chris lr" % below)
    f.ok("SETACL Shared john l")
    f.ok("SETACL Shared david r")
    c = pair.c("chris")
    if pair.store == "maildir":
        found = [r for r in c.ok('LIST "" #user/*')]
        assert [r for r in found if r.endswith(b"#user/fred/Shared/sub")]
        level = [r for r in found if r.endswith(b"#user/fred/Shared")]
        assert level and b"\\Noselect" in level[0]
        f.ok("DELETE " + below)
    assert [r for r in pair.c("john").ok('LIST "" #user/*')
            if r.endswith(b"#user/fred/Shared") and b"Noselect" not in r]
    c = pair.c("david")
    assert not [r for r in c.ok('LIST "" #user/*') if b"Shared" in r]
    c.ok("SELECT #user/fred/Shared")
    # Others' INBOX is theirs.
    assert not [r for r in c.ok('LIST "" *') if b"fred/INBOX" in r]


# ---- section 5.1.1: FLAGS, PERMANENTFLAGS; 5.2: READ-ONLY

@pytest.mark.parametrize("given,code,flags", [
    ("lr", b"[READ-ONLY]", set()),
    ("lrs", b"[READ-ONLY]", {"\\Seen"}),
    ("rit", b"[READ-WRITE]", {"\\Deleted"}),
    ("rset", b"[READ-WRITE]", {"\\Seen", "\\Deleted"}),
    ("lri", b"[READ-WRITE]", set()),
    ("lre", b"[READ-WRITE]", set()),
    ("lrwis", b"[READ-WRITE]", {"\\Seen", "\\Answered", "\\Flagged",
                                "\\Draft", "\\*"})])
def test_what_select_tells(pair, given, code, flags):
    pair.write("user=chris %s\n" % given)
    c = pair.c("chris")
    select, my = c.start("SELECT #user/fred/Shared"), \
        c.start("MYRIGHTS #user/fred/Shared")
    status, text, untagged = c.finish(select)
    assert status == "OK" and text.startswith(code)
    line = [r for r in untagged if b"PERMANENTFLAGS" in r][0]
    told = line.partition(b"(")[2].partition(b")")[0].decode().split()
    assert set(told) == flags
    names = [r for r in untagged if r.startswith(b"* FLAGS")][0]
    assert b"\\Answered \\Flagged \\Deleted \\Seen \\Draft" in names
    told = c.finish(my)[2][0].split()[-1].decode()
    assert set(told) - set("cd") == set(given)
    assert c.cmd("EXAMINE #user/fred/Shared")[1].startswith(b"[READ-ONLY]")


def test_rights_change_while_selected(pair):
    pair.write("user=chris lrs\n")
    c = pair.c("chris")
    c.ok("SELECT #user/fred/Shared")
    pair.fred.ok("SETACL Shared chris +t")
    end = time.monotonic() + 30
    told = []
    while not [r for r in told if b"PERMANENTFLAGS" in r]:
        assert time.monotonic() < end
        told = c.ok("NOOP")
        time.sleep(0.05)
    assert [r for r in told if b"(\\Deleted \\Seen)" in r]
    c.ok("STORE 1 +FLAGS (\\Deleted)")


# ---- the file of others

def test_damaged_file(pair):
    """Who may what is not known: nobody may anything but the owner."""
    pair.write("anyone lr\nuser=chris lrZ\n")
    pair.c("chris").no("SELECT #user/fred/Shared")
    pair.fred.ok("SELECT Shared")
    status, text, _ = pair.fred.cmd("GETACL Shared")
    assert status == "NO" and text.startswith(b"[CORRUPTION]")


def test_remarks_and_names_stay(pair):
    pair.write("# ours\nanyone l\nuser=john lr :custom\n")
    pair.fred.ok("SETACL Shared chris r")
    assert pair.read() == "# ours\nanyone l\nuser=chris r\n" \
        "user=john lr :custom\n"
    pair.fred.ok("SETACL Shared john w")
    assert "user=john w :custom\n" in pair.read()


def test_utf8_names(pair):
    c = pair.fred
    data = "jürgen".encode()
    c.send(b"x1 SETACL Shared {%d+}\r\n%s lr\r\n" % (len(data), data))
    assert c.finish(b"x1")[0] == "OK"
    assert "user=jürgen lr\n" in pair.read()
    listed = c.ok("GETACL Shared")[0]
    assert data in listed or b"{7}" in listed


# ---- LIST-MYRIGHTS (RFC 8440)

def test_list_myrights(pair):
    f = pair.fred
    f.ok("SUBSCRIBE Shared")
    f.cmd("SUBSCRIBE bar")
    pair.write("user=chris lrs\n")
    c = pair.c("chris")
    found = c.ok('LIST "" (INBOX #user/fred/%) RETURN (MYRIGHTS)')
    at = [i for i, r in enumerate(found)
          if r.startswith(b"* LIST") and r.endswith(b"#user/fred/Shared")][0]
    assert found[at + 1].startswith(b"* MYRIGHTS #user/fred/Shared ")
    assert s(found[at + 1].split()[-1].decode()) == s("lrs")
    assert [r for r in found if r.startswith(b"* MYRIGHTS INBOX ")]
    # None for what is not there, nor for what is told because of children.
    found = f.ok('LIST (SUBSCRIBED) "" (Shared bar) RETURN (MYRIGHTS)')
    assert [r for r in found if b"\\NonExistent" in r and b"bar" in r]
    assert [r.split()[2] for r in found
            if r.startswith(b"* MYRIGHTS")] == [b"Shared"]
    if pair.store == "maildir":
        f.cmd("CREATE up.down")
        f.ok("SUBSCRIBE up.down")
        found = f.ok('LIST (SUBSCRIBED RECURSIVEMATCH) "" % '
                     'RETURN (MYRIGHTS STATUS (MESSAGES))')
        assert [r for r in found if b"CHILDINFO" in r and b" up " in r]
        assert not [r for r in found if r.startswith(b"* MYRIGHTS up ")]
        f.ok("UNSUBSCRIBE up.down")
        f.ok("DELETE up.down")
    f.bad('LIST "" % RETURN (MYRIGHTS (x))')
