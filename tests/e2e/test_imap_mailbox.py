# SPDX-License-Identifier: ISC
"""CREATE, DELETE, RENAME, SUBSCRIBE, LIST, LSUB, NAMESPACE, STATUS: RFC 3501
sections 6.3.3 to 6.3.10; RFC 2342, 3348, 6154, 8438, 5530."""
import os
import re

import pytest
from lib.maildir import message

MBOX = True

LIST = re.compile(rb'^\* (LIST|LSUB) \(([^)]*)\) (NIL|"(?:[^"\\]|\\.)") (.*)$',
                  re.S)


def listed(c, command):
    """{name: set of attributes}; names as sent."""
    found = {}
    for r in c.ok(command):
        word, attrs, delimiter, name = LIST.match(r).groups()
        assert word.decode() == command.split()[0].upper()
        if name.startswith(b'"'):
            name = re.sub(rb"\\(.)", rb"\1", name[1:-1])
        assert name not in found, "told twice"
        found[name.decode()] = set(attrs.decode().split())
    return found


@pytest.fixture
def delimiter(box):
    c = box.connect()
    r = c.ok('LIST "" ""')
    assert len(r) == 1
    match = re.match(rb'^\* LIST \(\\Noselect\) "(.)" ""$', r[0])
    c.logout()
    return match.group(1).decode()


def test_inbox_is_always_there(box, delimiter):
    c = box.connect()
    assert listed(c, 'LIST "" INBOX').keys() == {"INBOX"}
    assert listed(c, 'LIST "" inbox').keys() == {"INBOX"}
    assert listed(c, 'LIST "" InB%').keys() == {"INBOX"}
    assert "INBOX" in listed(c, 'LIST "" *')
    assert "INBOX" in listed(c, 'LIST "" %')
    assert c.no("CREATE INBOX").startswith(b"[ALREADYEXISTS]")
    assert c.no("CREATE inbox").startswith(b"[ALREADYEXISTS]")
    assert c.no("DELETE INBOX").startswith(b"[CANNOT]")
    c.ok("SELECT INBOX")


def test_create_and_delete(box, delimiter):
    c = box.connect()
    c.ok("CREATE one")
    marks = {"\\Unmarked"} if box.store == "maildir" else set()
    assert listed(c, 'LIST "" one') == {"one": {"\\HasNoChildren"} | marks}
    assert c.no("CREATE one").startswith(b"[ALREADYEXISTS]")
    c.ok("SELECT one")
    c.ok("SELECT INBOX")
    c.ok("DELETE one")
    assert listed(c, 'LIST "" one') == {}
    assert c.no("DELETE one").startswith(b"[NONEXISTENT]")
    assert c.no("SELECT one").startswith(b"[NONEXISTENT]")


def test_create_makes_the_levels_above(box, delimiter):
    d = delimiter
    c = box.connect()
    c.ok("CREATE a%sb%sc" % (d, d))
    assert listed(c, 'LIST "" a*').keys() == \
        {"a", "a" + d + "b", "a" + d + "b" + d + "c"}
    assert "\\HasChildren" in listed(c, 'LIST "" a')["a"]
    assert listed(c, 'LIST "" a%').keys() == {"a"}
    assert listed(c, 'LIST "" a%s%%' % d).keys() == {"a" + d + "b"}
    assert listed(c, 'LIST a%s %%' % d).keys() == {"a" + d + "b"}
    assert listed(c, 'LIST "a%s" "b%s*"' % (d, d)).keys() == \
        {"a" + d + "b" + d + "c"}
    assert listed(c, 'LIST "" *c').keys() == {"a" + d + "b" + d + "c"}
    assert listed(c, 'LIST "" %%%sc' % d) == {}


def test_a_delimiter_at_the_end(box, delimiter):
    """RFC 3501 section 6.3.3: a declaration that names will follow."""
    c = box.connect()
    c.ok("CREATE up" + delimiter)
    c.ok("CREATE up%sdown" % delimiter)
    names = listed(c, 'LIST "" up*')
    assert set(names) == {"up", "up" + delimiter + "down"}


def test_delete_with_children(box, delimiter):
    d = delimiter
    c = box.connect()
    c.ok("CREATE foo")
    c.ok("CREATE foo%sbar" % d)
    c.ok("CREATE lone%sbar" % d)
    c.ok("DELETE foo")
    # The name stays as a level, the mailbox is gone.
    assert "\\Noselect" in listed(c, 'LIST "" foo')["foo"]
    c.no("SELECT foo")
    c.ok("SELECT foo%sbar" % d)
    # A level alone can not be deleted while there are names below it.
    c.no("DELETE foo")
    c.ok("SELECT foo%sbar" % d)
    c.ok("SELECT INBOX")
    c.ok("DELETE foo%sbar" % d)
    # With mbox files the level is a directory, which stays.
    left = listed(c, 'LIST "" foo*')
    assert set(left) == ({"foo"} if box.store == "mbox" else set())
    c.cmd("DELETE foo")
    assert listed(c, 'LIST "" foo*') == {}


def test_uids_are_not_used_again_after_delete(box):
    c = box.connect()
    c.ok("CREATE again")
    first = c.ok("STATUS again (UIDVALIDITY)")
    c.ok("DELETE again")
    c.ok("CREATE again")
    second = c.ok("STATUS again (UIDVALIDITY)")

    def number(r):
        return int(re.search(rb"UIDVALIDITY (\d+)", r[0]).group(1))
    assert number(second) > number(first)


def test_rename(box, delimiter):
    d = delimiter
    c = box.connect()
    c.ok("CREATE old%skid" % d)
    c.ok("CREATE other")
    c.append("old%skid" % d, message(1, crlf=True))
    status = c.ok("STATUS old%skid (MESSAGES UIDNEXT UIDVALIDITY)" % d)[0]
    c.ok("RENAME old new")
    assert listed(c, 'LIST "" old*') == {}
    assert listed(c, 'LIST "" new*').keys() == {"new", "new" + d + "kid"}
    again = c.ok("STATUS new%skid (MESSAGES UIDNEXT UIDVALIDITY)" % d)[0]
    assert again.split(b"(")[1] == status.split(b"(")[1]
    assert c.no("RENAME old new2").startswith(b"[NONEXISTENT]")
    assert c.no("RENAME new other").startswith(b"[ALREADYEXISTS]")
    assert c.no("RENAME new INBOX").startswith(b"[ALREADYEXISTS]")
    c.ok("RENAME new a%sb%snew" % (d, d))
    assert "a" + d + "b" + d + "new" + d + "kid" in listed(c, 'LIST "" *')


def test_rename_inbox_moves_its_messages(box):
    box.fill(3, flags="F")
    c = box.connect()
    c.ok("SELECT INBOX")
    c.ok("UNSELECT")
    c.ok("RENAME INBOX saved")
    assert b"MESSAGES 0" in c.ok("STATUS INBOX (MESSAGES)")[0]
    assert b"MESSAGES 3" in c.ok("STATUS saved (MESSAGES)")[0]
    c.ok("SELECT saved")
    assert all("\\Flagged" in f for f in c.flags().values())
    box.deliver(message(4))
    assert b"MESSAGES 1" in c.ok("STATUS INBOX (MESSAGES)")[0]


def test_rename_inbox_while_it_is_selected(box):
    box.fill(2)
    c = box.connect()
    c.ok("SELECT INBOX")
    untagged = c.ok("RENAME inbox saved")
    untagged += c.ok("NOOP")
    assert len([r for r in untagged if r.endswith(b" EXPUNGE")]) == 2


def test_subscriptions(box, delimiter):
    d = delimiter
    c = box.connect()
    assert listed(c, 'LSUB "" *') == {}
    c.ok("SUBSCRIBE INBOX")
    c.ok("SUBSCRIBE foo%sbar" % d)
    c.ok("SUBSCRIBE foo%sbar" % d)
    assert listed(c, 'LSUB "" *').keys() == {"INBOX", "foo" + d + "bar"}
    # RFC 3501 section 6.3.9: the level, flagged, not what is below it.
    assert listed(c, 'LSUB "" %') == {"INBOX": set(),
                                      "foo": {"\\Noselect"}}
    assert listed(c, 'LSUB "" foo') == {}
    assert listed(c, 'LSUB foo%s %%' % d).keys() == {"foo" + d + "bar"}
    c.ok("SUBSCRIBE foo")
    assert "\\Noselect" not in listed(c, 'LSUB "" %')["foo"]
    c.ok("UNSUBSCRIBE foo")
    c.ok("UNSUBSCRIBE foo%sbar" % d)
    assert listed(c, 'LSUB "" *').keys() == {"INBOX"}
    # Another session sees the same.
    assert listed(box.connect(), 'LSUB "" *').keys() == {"INBOX"}


def test_subscriptions_outlive_mailboxes(box):
    """RFC 3501 section 6.3.9: MUST NOT unilaterally remove."""
    c = box.connect()
    c.ok("CREATE gone")
    c.ok("SUBSCRIBE gone")
    c.ok("DELETE gone")
    assert listed(c, 'LSUB "" *').keys() == {"gone"}


def test_namespace(box, delimiter):
    c = box.connect()
    assert c.ok("NAMESPACE") == \
        [b'* NAMESPACE (("" "%s")) NIL NIL' % delimiter.encode()]


NAMES = ["&AOQ-", "R&-D", "&ZeVnLIqe-", "&U,BTFw-", "a b", 'quo"te', "per%cent",
         "st*r", "back\\slash", "(list)", "br{ace", "ti~lde", "#hash", "'",
         "x]y", "&AAEAAg-"]


@pytest.mark.parametrize("name", NAMES)
def test_odd_names_there_and_back(tunnel, name):
    c = tunnel.connect()
    quoted = '"%s"' % name.replace("\\", "\\\\").replace('"', '\\"')
    status, _, _ = c.cmd("CREATE " + quoted)
    if status == "NO":
        # Control characters may be refused; the rest is common in names.
        assert name == "&AAEAAg-"
        return
    assert name in listed(c, 'LIST "" *')
    c.ok("SELECT " + quoted)
    c.ok("SUBSCRIBE " + quoted)
    assert name in listed(c, 'LSUB "" *')
    c.ok("SELECT INBOX")
    c.ok("DELETE " + quoted)


@pytest.mark.parametrize("name", [
    "&", "&AOQ", "&AOQ-&AOQ-", "&AGE-", "&=-", "a&b", "&2AA-", "&AOR-",
    '""', "{1+}\r\n\xe4"])
def test_names_that_are_not_modified_utf7(tunnel, name):
    c = tunnel.connect()
    for command in ("CREATE", "SELECT", "SUBSCRIBE", "DELETE"):
        c.no(("%s %s" % (command, name)).encode("latin-1"))
    c.no(("STATUS %s (MESSAGES)" % name).encode("latin-1"))
    c.no(("RENAME INBOX %s" % name).encode("latin-1"))
    c.ok("NOOP")
    assert set(os.listdir(tunnel.maildir())) >= {"cur", "new", "tmp"}


@pytest.mark.parametrize("name", [
    "..", "../x", "a/../b", "a..b", ".", "/etc/passwd", "~root/x", "a//b",
    "x" * 1001, "&AAA-", "{3+}\r\na\r\n"])
def test_names_that_can_not_be(tunnel, name):
    c = tunnel.connect()
    before = sorted(os.listdir(tunnel.dir))
    c.no("CREATE " + name)
    c.no("SELECT " + name)
    c.no("RENAME INBOX " + name)
    assert sorted(os.listdir(tunnel.dir)) == before
    assert not os.path.exists(os.path.join(tunnel.dir, "x"))


@pytest.mark.parametrize("command", [
    "CREATE", "CREATE a b", "CREATE (a)", "DELETE", "DELETE a b", "RENAME a",
    "RENAME a b c", "RENAME", "SUBSCRIBE", "SUBSCRIBE a b", "UNSUBSCRIBE",
    "LIST", 'LIST ""', 'LIST "" * x', "LIST % %", 'LIST "" ()',
    "LSUB", 'LSUB ""', "STATUS INBOX", "STATUS INBOX ()",
    "STATUS INBOX MESSAGES", "STATUS INBOX (FOO)",
    "STATUS INBOX (MESSAGES FOO)", 'STATUS INBOX ("MESSAGES")',
    "STATUS INBOX (MESSAGES) x", "STATUS (MESSAGES)"])
def test_bad_arguments(tunnel, command):
    c = tunnel.connect()
    before = listed(c, 'LIST "" *')
    c.bad(command)
    assert listed(c, 'LIST "" *') == before


def test_status(box):
    box.fill(3, flags="S")
    c = box.connect()
    c.ok("SELECT INBOX")
    c.ok("UNSELECT")
    box.fill(2)
    r = c.ok("STATUS INBOX (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN)")
    match = re.match(rb"^\* STATUS INBOX \(MESSAGES 5 RECENT 2 UIDNEXT 6 "
                     rb"UIDVALIDITY \d+ UNSEEN 2\)$", r[0])
    assert match, r
    # It takes \Recent from nobody.
    assert c.ok("STATUS INBOX (RECENT)") == [b"* STATUS INBOX (RECENT 2)"]
    assert b"* 2 RECENT" in c.ok("SELECT INBOX")
    assert c.no("STATUS none (MESSAGES)").startswith(b"[NONEXISTENT]")


def test_status_size(box):
    c = box.connect()
    c.ok("CREATE sized")
    sizes = [len(message(i, size=500 * i, crlf=True)) for i in range(1, 4)]
    for i in range(1, 4):
        c.append("sized", message(i, size=500 * i, crlf=True))
    assert c.ok("STATUS sized (SIZE)") == \
        [b"* STATUS sized (SIZE %d)" % sum(sizes)]
    assert c.ok("STATUS sized (size messages)")[0].startswith(
        b"* STATUS sized (SIZE %d MESSAGES 3" % sum(sizes))


def test_status_of_what_is_moved_outside(box):
    """The index has it, and it is looked for where it was."""
    c = box.connect()
    c.ok("CREATE moved")
    box.fill(3, folder=".moved")
    for _ in range(3):  # from the files, and then from the index
        assert b"MESSAGES 3" in c.ok("STATUS moved (MESSAGES)")[0]
        c.ok("SELECT moved")
        c.ok("UNSELECT")
    path = box.mbox(".moved") if box.store == "mbox" else box.maildir(".moved")
    os.rename(path, path + "away")
    assert c.no("STATUS moved (MESSAGES)").startswith(b"[NONEXISTENT]")
    os.rename(path + "away", path)
    assert b"MESSAGES 3" in c.ok("STATUS moved (MESSAGES)")[0]
    # In UTF-8 on disk, too, and not in modified UTF-7 alone.
    if box.store != "mbox":
        os.rename(path, box.maildir(".b\u00e4nde"))
        assert b"MESSAGES 3" in c.ok("STATUS b&AOQ-nde (MESSAGES)")[0]
        os.rename(box.maildir(".b\u00e4nde"), box.maildir(".b&AOQ-nde"))
        assert b"MESSAGES 3" in c.ok("STATUS b&AOQ-nde (MESSAGES)")[0]
    c.logout()


def test_status_of_the_selected_mailbox(box):
    box.fill(1)
    c = box.connect()
    c.ok("SELECT INBOX")
    assert b"MESSAGES 1" in c.ok("STATUS INBOX (MESSAGES)")[0]
    c.ok("FETCH 1 FLAGS")


def test_special_use(box):
    c = box.connect()
    for name, use in (("Drafts", "\\Drafts"), ("Sent", "\\Sent"),
                      ("Trash", "\\Trash"), ("Junk", "\\Junk"),
                      ("Archive", "\\Archive")):
        c.append(name, message(1, crlf=True))
        assert use in listed(c, 'LIST "" ' + name)[name]
    uses = [a for attrs in listed(c, 'LIST "" *').values() for a in attrs
            if a in ("\\Drafts", "\\Sent", "\\Trash", "\\Junk",
                     "\\Archive")]
    assert sorted(uses) == ["\\Archive", "\\Drafts", "\\Junk", "\\Sent",
                            "\\Trash"]


def test_deleting_what_is_selected(box):
    c = box.connect()
    c.ok("CREATE here")
    c.ok("SELECT here")
    c.ok("DELETE here")
    c.bad("CHECK")
    c.ok("NOOP")


def test_deleting_in_vain_what_is_selected(box):
    """A NO changes nothing: it stays selected (RFC 3501 section 6.3.4)."""
    c = box.connect()
    c.ok("CREATE kept")
    c.append("kept", message(1, crlf=True))
    c.ok("SELECT kept")
    place = box.maildir(".kept") if box.store == "maildir" else \
        box.mbox(".kept")
    above = os.path.dirname(place.rstrip("/"))
    mode = os.stat(above).st_mode
    os.chmod(above, 0o500)
    try:
        assert c.cmd("DELETE kept")[0] == "NO"
    finally:
        os.chmod(above, mode)
    c.ok("FETCH 1 (FLAGS)")
    c.ok("DELETE kept")
    c.bad("FETCH 1 (FLAGS)")


def test_deleting_what_another_session_has_selected(box):
    """RFC 2180 section 3.3: the other one is told BYE."""
    c, other = box.connect(), box.connect()
    c.ok("CREATE here")
    c.append("here", message(1, crlf=True))
    other.ok("SELECT here")
    c.ok("DELETE here")
    other.send(b"x NOOP\r\n")
    seen = []
    try:
        while True:
            seen.append(other.line())
    except Exception:  # pylint: disable=broad-except
        pass
    assert any(r.startswith(b"* BYE") for r in seen), seen


def test_many_mailboxes(tunnel):
    c = tunnel.connect()
    for i in range(300):
        c.ok("CREATE box%03d" % i)
    names = listed(c, 'LIST "" box*')
    assert len(names) == 300
    assert list(names) == sorted(names)


def test_renaming_what_is_selected(box):
    box.fill(1)
    c = box.connect()
    c.ok("CREATE before")
    c.append("before", message(1, crlf=True))
    c.ok("SELECT before")
    c.ok("RENAME before behind")
    c.ok("NOOP")
    c.ok("STORE 1 +FLAGS (\\Seen)")
    assert b"UNSEEN 0" in c.ok("STATUS behind (UNSEEN)")[0]
    c.ok("DELETE behind")
    c.bad("CHECK")


@pytest.mark.parametrize("how, folder", [
    ("mutf7", ".&AMQ-rger"), ("utf8", ".\u00c4rger"), ("auto", ".&AMQ-rger")])
def test_folder_names(tunnel, how, folder):
    """The setting folder_names: how a new folder is spelt on disk; both
    spellings are found."""
    c = tunnel.connect("folder_names=" + how)
    c.ok("CREATE &AMQ-rger")
    assert os.path.isdir(tunnel.maildir(folder))
    other = ".\u00fcbrig" if how != "utf8" else ".&APw-brig"
    for name in ("", "cur", "new", "tmp"):
        os.mkdir(os.path.join(tunnel.maildir(other), name))
        tunnel.own(os.path.join(tunnel.maildir(other), name))
    c.ok("STATUS &APw-brig (MESSAGES)")
