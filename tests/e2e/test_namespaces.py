# SPDX-License-Identifier: ISC
"""Namespaces (RFC 2342): a prefix for the user's own mailboxes, names from
Courier's times, public mailboxes, other users' mail under the permissions of
the files."""
import os
import stat
import time

import pytest
from lib import maildir, restante, server
from lib.maildir import message

ALICE, BOB, CAROL = "alice", "bob", "carol"


def names(untagged):
    return [r.rsplit(b" ", 1)[1].strip(b'"') for r in untagged]


def run(users=(ALICE, BOB, CAROL), separate=None, **settings):
    if separate is None:
        separate = server.is_root()
    return restante.Restante(users=list(users), separate=separate,
                             settings=settings)


@pytest.fixture
def starts():
    yield from server.starting(lambda s: s)


# ---- the user's own

def test_prefix(starts):
    s = starts(run(namespace_prefix="INBOX."))
    c = s.imap(ALICE)
    assert c.ok("NAMESPACE") == [b'* NAMESPACE (("INBOX." ".")) NIL NIL']
    c.ok("CREATE INBOX.a.b")
    assert os.path.isdir(s.maildir(ALICE, ".a.b"))
    found = c.ok('LIST "" *')
    assert names(found)[0] == b"INBOX"
    assert all(n.startswith(b"INBOX.") for n in names(found)[1:])
    assert b"INBOX.a.b" in names(found) and b"INBOX.Sent" in names(found)
    assert [r for r in found if r.endswith(b" INBOX.a")][0].startswith(
        b"* LIST (\\Noselect")
    assert b"\\HasChildren" in [r for r in found if r.endswith(b" INBOX")][0]
    assert names(c.ok('LIST "" INBOX.%')).count(b"INBOX.a") == 1
    c.append("INBOX.a.b", b"a: b\r\n\r\n")
    c.append("INBOX.Sent", b"a: b\r\n\r\n")
    assert os.path.isdir(s.maildir(ALICE, ".Sent"))
    c.ok("SELECT inbox.a.b")
    c.ok("COPY 1 INBOX")
    c.ok("RENAME INBOX.a.b INBOX.c")
    assert os.path.isdir(s.maildir(ALICE, ".c"))
    # Without the prefix a name is in no namespace.
    for command in ("SELECT Sent", "STATUS a (MESSAGES)", "CREATE x",
                    "RENAME INBOX.c d", "DELETE c", "SELECT INBOX.INBOX"):
        c.no(command)
    # Subscriptions are stored as ever.
    c.ok("SUBSCRIBE INBOX.c")
    assert names(c.ok('LSUB "" *')) == [b"INBOX.c"]
    with open(s.maildir(ALICE, "subscriptions"), "rb") as f:
        assert b"INBOX" not in f.read()
    c.ok("UNSUBSCRIBE INBOX.c")
    assert c.ok('LSUB "" *') == []


def test_names_of_courier(starts):
    s = starts(run(inbox_alias="yes"))
    c = s.imap(ALICE)
    c.ok("CREATE Work")
    c.append("Work", b"a: b\r\n\r\n")
    # What really lies below INBOX comes first.
    maildir.create(s.maildir(ALICE, ".INBOX.real"), s.uid_of(ALICE))
    assert c.ok("NAMESPACE") == [b'* NAMESPACE (("" ".")) NIL NIL']
    listed = names(c.ok('LIST "" *'))
    assert b"Work" in listed and b"INBOX.Work" not in listed
    assert b"INBOX.Work" in names(c.ok('LIST "" INBOX.%'))
    assert b"* 1 EXISTS" in c.ok("SELECT INBOX.Work")
    c.ok("SELECT INBOX.real")
    c.ok("CREATE INBOX.New")
    assert os.path.isdir(s.maildir(ALICE, ".New"))
    c.ok("RENAME INBOX.New INBOX.Newer")
    c.ok("SUBSCRIBE INBOX.Newer")
    assert b"Newer" in names(c.ok('LSUB "" *'))
    c.ok("DELETE INBOX.Newer")
    assert not os.path.exists(s.maildir(ALICE, ".Newer"))


def test_alias_is_off_without_courier(starts):
    s = starts(run())
    c = s.imap(ALICE)
    c.ok("CREATE Work")
    c.no("SELECT INBOX.Work")
    c.ok("CREATE INBOX.Sub")
    assert os.path.isdir(s.maildir(ALICE, ".INBOX.Sub"))


# ---- public mailboxes

def open_to_all(path, mode):
    server.set_modes(path, mode, mode & 0o666)


def test_public(starts):
    s = run()
    place = os.path.join(s.dir, "public")
    s.settings["public_location"] = "maildir:%s:LAYOUT=fs" % place
    maildir.create(os.path.join(place, "Staff", "News"), None)
    for i in range(3):
        maildir.deliver(os.path.join(place, "Staff", "News"), message(i))
    open_to_all(place, 0o777)
    starts(s)
    c = s.imap(ALICE)
    assert c.ok("NAMESPACE") == [
        b'* NAMESPACE (("" ".")) NIL (("#public/" "/"))']
    found = c.ok('LIST "" *')
    assert b'* LIST (\\Noselect \\HasChildren) "/" #public/Staff' in found
    assert b"#public/Staff/News" in names(found)
    # No INBOX there, and nothing that is made on first use.
    assert [n for n in names(found) if n.startswith(b"#public/")] == [
        b"#public/Staff", b"#public/Staff/News"]
    assert names(c.ok('LIST "" %')).count(b"#public") == 1
    assert names(c.ok('LIST "#public/" %')) == [b"#public/Staff"]
    assert c.ok('LIST "#public/" ""') == [
        b'* LIST (\\Noselect) "/" #public/']
    assert b"* 3 EXISTS" in c.ok("SELECT #public/Staff/News")
    c.ok("STORE 1 +FLAGS ($Later)")
    assert b"MESSAGES 3" in c.ok("STATUS #public/Staff/News (MESSAGES)")[0]
    # In and out, by copy and by move; other sessions and users see it.
    d = s.imap(BOB)
    d.ok("SELECT #public/Staff/News")
    c.ok("COPY 1 INBOX")
    c.append("#public/Staff/News", b"a: b\r\n\r\n")
    assert b"* 4 EXISTS" in d.ok("NOOP")
    c.ok("SELECT INBOX")
    c.ok("MOVE 1 #public/Staff/News")
    assert b"* 5 EXISTS" in d.ok("NOOP")
    assert "$Later" in d.flags()[1]
    # Who has read what is nobody else's business.
    c.ok("SELECT #public/Staff/News")
    c.ok("FETCH 1 BODY[]")
    c.ok("STORE 2 FLAGS (\\Seen \\Answered)")
    c.append("#public/Staff/News", b"a: b\r\n\r\n", "(\\Seen)")
    c.ok("NOOP")
    mine, others = c.flags(), d.ok("NOOP") and d.flags()
    assert [i for i in mine if "\\Seen" in mine[i]] == [1, 2, 6]
    assert not [i for i in others if "\\Seen" in others[i]]
    assert "\\Answered" in others[2]
    assert b"UNSEEN 3" in c.ok("STATUS #public/Staff/News (UNSEEN)")[0]
    assert [r for r in s.imap(ALICE).ok("SELECT #public/Staff/News")
            if r.startswith(b"* OK [UNSEEN 3]")]
    c.ok("STORE 1 -FLAGS (\\Seen)")
    c.ok("STORE 2 FLAGS ()")
    assert [i for i, f in c.flags().items() if "\\Seen" in f] == [6]
    # A copy to one's own takes it along.
    c.ok("COPY 5:6 Archive")
    c.ok("SELECT Archive")
    assert ["\\Seen" in f for f in c.flags().values()] == [False, True]
    c.ok("CREATE #public/Staff/Old.2026")
    assert os.path.isdir(os.path.join(place, "Staff", "Old.2026", "cur"))
    c.ok("RENAME #public/Staff/Old.2026 #public/Staff/Older")
    c.no("RENAME #public/Staff/Older Older")
    c.no("RENAME INBOX.x #public/x")
    c.ok("SUBSCRIBE #public/Staff/News")
    assert names(c.ok('LSUB "" *')) == [b"#public/Staff/News"]
    assert names(s.imap(ALICE).ok('LSUB "" #public/%')) == [b"#public/Staff"]
    assert s.imap(BOB).ok('LSUB "" *') == []
    c.ok("DELETE #public/Staff/Older")
    c.ok("UNSUBSCRIBE #public/Staff/News")
    assert c.ok('LSUB "" *') == []
    for name in ("#public", "#public/", "#public/INBOX", "#public/none"):
        c.no("SELECT " + name)


def test_idle_on_public(starts):
    s = run()
    place = os.path.join(s.dir, "public")
    s.settings["public_location"] = "maildir:" + place
    maildir.create(os.path.join(place, ".a"), None)
    open_to_all(place, 0o777)
    starts(s)
    c = s.imap(ALICE)
    # A Maildir++ place: levels are dots on disk, slashes for clients.
    c.ok("CREATE #public/b/c")
    assert os.path.isdir(os.path.join(place, ".b.c"))
    assert b"#public/b/c" in names(c.ok('LIST "" #public/*'))
    c.no("CREATE #public/b.c")
    c.ok("SELECT #public/a")
    tag = c.idle()
    maildir.deliver(os.path.join(place, ".a"), message(1))
    c.until(rb"\* 1 EXISTS")
    c.done(tag)


def test_public_place_is_missing(starts):
    s = run(public_location="maildir:/nowhere/at/all")
    starts(s)
    c = s.imap(ALICE)
    assert c.ok("NAMESPACE") == [b'* NAMESPACE (("" ".")) NIL NIL']
    c.no("CREATE #public/x")
    s.wait_log("no public mailboxes")


# ---- other users

@pytest.mark.skipif(not server.is_root(), reason="needs uids")
def test_other_users(starts):
    s = run()
    s.settings["other_users_location"] = \
        "maildir:%s/%%u/Maildir" % os.path.dirname(s.home(ALICE))
    for i in range(2):
        s.deliver(BOB, message(i))
    starts(s)
    b = s.imap(BOB)
    b.ok("CREATE Shared")
    b.ok("CREATE Private")
    b.append("Shared", b"a: b\r\n\r\n")
    home, mail = s.home(BOB), s.maildir(BOB)
    c = s.imap(ALICE)
    assert c.ok("NAMESPACE") == [
        b'* NAMESPACE (("" ".")) (("#user/" "/")) NIL']
    # Closed to all, as mail is.
    os.chmod(mail, 0o700)
    os.chmod(s.maildir(CAROL), 0o700)
    c.no("SELECT #user/bob/Shared")
    assert not [n for n in names(c.ok('LIST "" *')) if n.startswith(b"#")]
    # Bob opens the way to one of them, for reading.
    os.chmod(home, 0o755)
    os.chmod(mail, 0o755)
    open_to_all(s.maildir(BOB, ".Shared"), 0o755)
    os.chmod(s.maildir(BOB, ".Private"), 0o700)
    assert [r for r in c.ok("SELECT #user/bob/Shared")
            if r == b"* 1 EXISTS"]
    c.ok("FETCH 1 BODY[]")
    c.no("STORE 1 +FLAGS (\\Flagged)")
    c.no("SELECT #user/bob/Private")
    # What she has read is hers to know, and stays known.
    untagged = c.ok("SELECT #user/bob/Shared")
    assert [r for r in untagged if b"[PERMANENTFLAGS (\\Seen)]" in r]
    c.ok("STORE 1 +FLAGS (\\Seen)")
    # One of them she may set (RFC 4314 section 4).
    c.ok("STORE 1 +FLAGS (\\Seen \\Flagged)")
    c.no("EXPUNGE")
    assert "\\Seen" in c.flags()[1] and "\\Flagged" not in c.flags()[1]
    c.ok("CLOSE")
    assert b"UNSEEN 0" in c.ok("STATUS #user/bob/Shared (UNSEEN)")[0]
    b.ok("SELECT Shared")
    assert "\\Seen" not in b.flags()[1]
    b.ok("CLOSE")
    d = s.imap(CAROL)
    assert b"#user/bob/Shared" in names(d.ok('LIST "" #user/*'))
    # And for writing.
    open_to_all(s.maildir(BOB, ".Shared"), 0o777)
    d.ok("SELECT #user/bob/Shared")
    d.ok("STORE 1 +FLAGS (\\Flagged)")
    b.ok("SELECT Shared")
    assert "\\Flagged" in b.flags()[1]
    for name in ("#user", "#user/", "#user/bob", "#user/none/INBOX",
                 "#user/../bob/Shared", "#user/carol/INBOX", "#user//x"):
        d.no('SELECT "%s"' % name)
    # Nothing of ours was made in his home.
    for path, _, _ in os.walk(home):
        assert os.stat(path).st_uid == s.uid_of(BOB), path


def test_modes_are_what_they_were(starts):
    """The permissions of a folder decide; we do not widen them."""
    s = starts(run())
    os.chmod(s.maildir(ALICE), 0o700)
    c = s.imap(ALICE)
    c.ok("CREATE x")
    assert stat.S_IMODE(os.stat(s.maildir(ALICE, ".x")).st_mode) & 0o077 == 0


# ---- what may only be read

def lock_up(folder, locked=True):
    for sub in ("", "cur", "new", "tmp"):
        os.chmod(os.path.join(folder, sub), 0o555 if locked else 0o777)


def state_of(c, name="#public/News"):
    untagged = c.ok("SELECT " + name)
    validity = [r for r in untagged if b"UIDVALIDITY" in r]
    return validity, c.ok("FETCH 1:* (UID FLAGS)")


def test_uids_of_what_may_only_be_read(starts):
    """The viewer's own UIDs: there at once, and for ever."""
    s = run()
    place = os.path.join(s.dir, "public")
    folder = os.path.join(place, ".News")
    s.settings["public_location"] = "maildir:" + place
    maildir.create(folder, None)
    for i in range(2):
        maildir.deliver(folder, message(i))
    open_to_all(place, 0o777)
    starts(s)
    # Its owner has looked: his map is there, and names two messages.
    b = s.imap(BOB)
    owners, _ = state_of(b)
    b.logout()
    lock_up(folder)
    before = sorted(os.listdir(folder))
    c = s.imap(ALICE)
    own, listed = state_of(c)
    assert own != owners
    assert [b"UID %d " % (i + 1) in r for i, r in enumerate(listed)] == \
        [True, True]
    lock_up(folder, False)
    maildir.deliver(folder, message(7))
    lock_up(folder)
    end = time.monotonic() + 20
    while b"* 3 EXISTS" not in c.ok("NOOP"):
        assert time.monotonic() < end
        time.sleep(0.02)
    c.ok("UID STORE 3 +FLAGS (\\Seen)")
    c.no("UID STORE 3 +FLAGS (\\Flagged)")
    _, listed = state_of(c)
    assert len(listed) == 3
    c.logout()
    # Over a restart, without the index, and whatever its owner does.
    for i in range(3):
        s.stop()
        if i == 1:
            os.rename(os.path.join(s.dir, "index"),
                      os.path.join(s.dir, "index.old"))
        if i == 2:
            lock_up(folder, False)
            names_ = sorted(n.split(":")[0] for n in
                            os.listdir(os.path.join(folder, "cur")) +
                            os.listdir(os.path.join(folder, "new")))
            with open(os.path.join(folder, "dovecot-uidlist"), "w") as f:
                f.write("3 V77 N90 G%s\n" % ("a" * 32))
                for j, name in enumerate(reversed(names_)):
                    f.write("%d :%s\n" % (40 + j, name))
            lock_up(folder)
        s.start()
        c = s.imap(ALICE)
        validity, now = state_of(c)
        assert validity == own
        assert [strip_recent(r) for r in now] == \
            [strip_recent(r) for r in listed]
        c.logout()
    assert sorted(os.listdir(folder)) == before
    # Who may write has the owner's.
    lock_up(folder, False)
    c = s.imap(ALICE)
    validity, now = state_of(c)
    assert b"UIDVALIDITY 77" in validity[0]


def strip_recent(line):
    return line.replace(b"\\Recent", b"").replace(b" ", b"")


def test_index_of_public(starts):
    """A viewer's index has what others' mailboxes are listed with."""
    s = run()
    place = os.path.join(s.dir, "public")
    folder = os.path.join(place, ".News")
    s.settings["public_location"] = "maildir:" + place
    maildir.create(folder, None)
    for i in range(5):
        maildir.deliver(folder, message(i), flags="S" if i % 2 else None)
    open_to_all(place, 0o777)
    starts(s)
    c = s.imap(ALICE)
    c.ok("SELECT #public/News")
    first = c.ok("FETCH 1:* (UID ENVELOPE RFC822.SIZE)")
    c.ok("STORE 2:3 +FLAGS (\\Seen)")
    c.logout()
    for sub in ("cur", "new"):
        os.utime(os.path.join(folder, sub), (10 ** 9, 10 ** 9))
    for _ in range(2):
        s.stop()
        s.start()
        c = s.imap(ALICE)
        assert b"UNSEEN 3" in c.ok("STATUS #public/News (UNSEEN)")[0]
        untagged = c.ok("SELECT #public/News")
        assert [r for r in untagged if b"[UNSEEN 1]" in r]
        assert c.ok("FETCH 1:* (UID ENVELOPE RFC822.SIZE)") == first
        assert [i for i, f in c.flags().items() if "\\Seen" in f] == [2, 3]
        c.logout()
    # A message whose bytes can not be had any more: the index knows it.
    path = os.path.join(folder, "cur")
    name = sorted(os.listdir(path))[0]
    os.chmod(os.path.join(path, name), 0)
    s.stop()
    s.start()
    c = s.imap(ALICE)
    c.ok("SELECT #public/News")
    assert c.ok("FETCH 1:* (UID ENVELOPE RFC822.SIZE)") == first


@pytest.mark.skipif(not server.is_root(), reason="needs uids")
@pytest.mark.parametrize("layout", ["", ":LAYOUT=fs"])
def test_root_without_an_inbox(starts, layout):
    """What MYRIGHTS does not know LIST does not show."""
    s = run()
    s.settings["other_users_location"] = "maildir:%s/%%u/Maildir%s" % (
        os.path.dirname(s.home(ALICE)), layout)
    home, mail = s.home(BOB), s.maildir(BOB)
    folder = os.path.join(mail, "Shared" if layout else ".Shared")
    for place in (folder, *(os.path.join(folder, n)
                            for n in ("cur", "new", "tmp"))):
        os.mkdir(place)
        os.chmod(place, 0o755)
    with open(os.path.join(folder, "dovecot-acl"), "w") as f:
        f.write("anyone lrs\n")
    for name in ("cur", "new", "tmp"):
        os.rmdir(os.path.join(mail, name))
    os.chmod(home, 0o755)
    os.chmod(mail, 0o755)
    s.own_tree(mail, s.uid_of(BOB))
    starts(s)
    c = s.imap(ALICE)
    assert names(c.ok('LIST "" "#user/bob/*"')) == [b"#user/bob/Shared"]
    assert c.cmd("MYRIGHTS #user/bob/INBOX")[1].startswith(b"[NONEXISTENT]")
    c.ok("MYRIGHTS #user/bob/Shared")
