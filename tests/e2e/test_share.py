# SPDX-License-Identifier: ISC
"""Mailboxes shared between accounts with uids of their own: SETACL sets what
the kernel obeys, so that other programs do, too."""
import contextlib
import os
import stat
import subprocess
import sys
import time

import pytest
from lib import mbox, restante, server
from lib.maildir import message

pytestmark = pytest.mark.skipif(not server.is_root(), reason="needs uids")

ALICE, BOB, CAROL = "alice", "bob", "carol"
ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"


class Place:
    def __init__(self, store):
        self.store = store
        self.s = restante.Restante(users=[ALICE, BOB, CAROL], separate=True,
                                   tls=False,
                                   settings={"process_linger": 2})
        where = {"maildir": "maildir:~/Maildir", "mbox": "mbox:~/mail"}[store]
        self.s.settings["mail_location"] = where
        self.s.settings["other_users_location"] = where.replace(
            "~", os.path.join(self.s.dir, "home", "%u"))
        for user in self.s.users:
            # As Debian makes them.
            os.chmod(self.s.home(user), 0o700)
            os.chmod(self.s.maildir(user), 0o700)
        self.d = "/" if store == "mbox" else "."

    def path(self, name="Shared"):
        if self.store == "mbox":
            return os.path.join(self.s.home(ALICE), "mail", name)
        return self.s.maildir(ALICE, "." + name)

    def make(self, name="Shared", n=2):
        a = self.s.imap(ALICE)
        a.ok("CREATE " + name)
        for i in range(n):
            a.append(name, message(i))
        return a

    def can(self, user, path, how):
        """What the kernel says to a process of this user."""
        return subprocess.run(
            [sys.executable, "-c", "import os, sys\n"
             "sys.exit(not os.access(sys.argv[1], int(sys.argv[2])))", path,
             str(how)], user=self.s.uid_of(user), group=self.s.uid_of(user),
            extra_groups=[], check=False).returncode == 0

    def listed(self, user, wanted):
        """Who has mail is looked for every two seconds."""
        c = self.s.imap(user)
        end = time.monotonic() + 40
        while True:
            found = {r.rsplit(b" ", 1)[1].decode() for r in
                     c.ok('LIST "" #user/*') if b"\\Noselect" not in r}
            if found == wanted:
                break
            assert time.monotonic() < end, (found, wanted)
            time.sleep(0.2)
        c.logout()


@pytest.fixture(params=["maildir", "mbox"])
def place(request):
    if not server.has_access_lists():
        pytest.skip("no access lists on /tmp")
    p = Place(request.param)
    try:
        p.s.start()
        yield p
    finally:
        try:
            p.s.stop()
        finally:
            p.s.remove()


def lists_of(path):
    found = {}
    for full, _ in server.below(path):
        with contextlib.suppress(FileNotFoundError):
            found[full] = [a for a in os.listxattr(full) if "posix" in a]
    return found


def test_read(place):
    a = place.make()
    a.ok("CREATE Private")
    place.listed(BOB, set())
    assert not place.can(BOB, place.path(), os.R_OK)
    a.ok("SETACL Shared bob lrs")
    # Other programs of his can read it, and nothing else of hers.
    assert place.can(BOB, place.path(), os.R_OK)
    assert not place.can(BOB, place.path(), os.W_OK)
    assert not place.can(BOB, place.path("Private"), os.R_OK)
    assert not place.can(BOB, place.s.home(ALICE), os.R_OK)
    assert not place.can(CAROL, place.path(), os.R_OK)
    if place.store == "maildir":
        cur = os.path.join(place.path(), "cur")
        for name in os.listdir(cur):
            assert place.can(BOB, os.path.join(cur, name), os.R_OK)
            assert not place.can(BOB, os.path.join(cur, name), os.W_OK)
        assert not place.can(BOB, os.path.join(place.path(), "tmp"), os.R_OK)
        assert not place.can(BOB, place.s.maildir(ALICE, "cur"), os.R_OK)
    place.listed(BOB, {"#user/alice/Shared"})
    place.listed(CAROL, set())
    b = place.s.imap(BOB)
    assert b.cmd("SELECT #user/alice/Shared")[1].startswith(b"[READ-ONLY]")
    assert b"Subject" in b.ok("FETCH 2 BODY[]")[0]
    b.ok("STORE 1 +FLAGS (\\Seen)")
    b.no("STORE 1 +FLAGS (\\Deleted)")
    assert set(b.ok("MYRIGHTS #user/alice/Shared")[0].split()[-1]) == \
        set(b"lrs")
    # What comes later, he reads, too.
    a.append("Shared", message(7))
    b.ok("SELECT #user/alice/Shared")
    assert b"Subject" in b.ok("FETCH 3 BODY[]")[0]
    b.no("SELECT #user/alice/Private")
    c = place.s.imap(CAROL)
    c.no("SELECT #user/alice/Shared")


def test_change(place):
    a = place.make()
    a.ok("SETACL Shared bob lrswite")
    assert place.can(BOB, place.path(), os.W_OK)
    b = place.s.imap(BOB)
    assert b.cmd("SELECT #user/alice/Shared")[1].startswith(b"[READ-WRITE]")
    b.ok("STORE 1 +FLAGS (\\Flagged)")
    b.append("#user/alice/Shared", message(9))
    b.ok("STORE 2 +FLAGS (\\Deleted)")
    b.ok("EXPUNGE")
    b.ok("COPY 1 INBOX")
    b.ok("UNSELECT")
    # And she has what he has brought and changed.
    untagged = a.ok("SELECT Shared")
    assert b"* 2 EXISTS" in untagged
    assert "\\Flagged" in a.flags()[1]
    assert b"Subject" in a.ok("FETCH 2 BODY[]")[0]
    a.ok("STORE 2 +FLAGS (\\Deleted)")
    a.ok("EXPUNGE")
    a.append("Shared", message(10))
    b.ok("SELECT #user/alice/Shared")
    assert b"Subject" in b.ok("FETCH 2 BODY[]")[0]


def test_what_can_not_be_given(place):
    a = place.make()
    words = a.ok("LISTRIGHTS Shared bob")[0].decode().split()
    assert words[4] == '""' and sorted("".join(sorted(w))
                                       for w in words[5:]) == \
        sorted(["l", "r", "s", "p", "".join(sorted("wtied"))])
    for given in ("lra", "lrk", "lrx", "+c"):
        status, text, _ = a.cmd("SETACL Shared bob " + given)
        assert status == "NO" and text.startswith(b"[CANNOT]"), given
    assert not place.can(BOB, place.path(), os.R_OK)
    # Half of a set is none of it, which is said.
    untagged = a.ok("SETACL Shared bob lri")
    assert [r for r in untagged if b"all or none" in r]
    assert set(a.ok("GETACL Shared")[0].split()[-1]) == set(b"lr")
    assert not place.can(BOB, place.path(), os.W_OK)
    a.no("SETACL Shared bob wite")
    a.ok("SETACL Shared bob lrwite")
    assert place.can(BOB, place.path(), os.W_OK)
    a.ok("SETACL Shared bob -i")
    assert not place.can(BOB, place.path(), os.W_OK)
    for who in ("nobody-here", "../bob", "$no-such-group"):
        status, text, _ = a.cmd("SETACL Shared %s lr" % who)
        assert status == "NO" and text.startswith(b"[CANNOT]"), who
    b = place.s.imap(BOB)
    b.no("SETACL #user/alice/Shared carol lr")
    b.no("GETACL #user/alice/Shared")
    b.no("CREATE #user/alice/New")
    b.no("DELETE #user/alice/Shared")
    b.no("RENAME #user/alice/Shared #user/alice/Mine")


def test_unshare(place):
    a = place.make()
    a.ok("CREATE Other")
    before = lists_of(place.s.home(ALICE))
    a.ok("SETACL Shared bob lrswite")
    a.ok("SETACL Other bob lr")
    a.ok("SETACL Shared carol lr")
    a.ok("DELETEACL Shared bob")
    assert not place.can(BOB, place.path(), os.R_OK)
    assert place.can(BOB, place.path("Other"), os.R_OK)
    place.listed(BOB, {"#user/alice/Other"})
    place.listed(CAROL, {"#user/alice/Shared"})
    a.ok("DELETEACL Other bob")
    place.listed(BOB, set())
    assert not place.can(BOB, place.s.home(ALICE), os.X_OK)
    assert place.can(CAROL, place.path(), os.R_OK)
    a.ok("SETACL Shared carol -lr")
    assert not place.can(CAROL, place.s.home(ALICE), os.X_OK)
    # Nothing is left of it but the lists, in which she alone is.
    after = lists_of(place.s.home(ALICE))
    for path, names in after.items():
        assert names == before.get(path, []), path
    assert stat.S_IMODE(os.stat(place.s.home(ALICE)).st_mode) == 0o700


def test_anyone(place):
    a = place.make()
    a.ok("SETACL Shared anyone lr")
    for user in (BOB, CAROL):
        assert place.can(user, place.path(), os.R_OK)
        place.listed(user, {"#user/alice/Shared"})
    # But not he.
    a.ok("SETACL Shared -bob lr")
    place.listed(BOB, set())
    assert not place.can(BOB, place.path(), os.R_OK)
    a.ok("DELETEACL Shared -bob")
    assert place.can(BOB, place.path(), os.R_OK)
    a.ok("DELETEACL Shared anyone")
    assert not place.can(CAROL, place.path(), os.R_OK)
    place.listed(CAROL, set())


def test_rights_from_permissions(place):
    """Without a dovecot-acl."""
    a = place.make()
    for path in (place.s.home(ALICE), os.path.dirname(place.path())):
        os.chmod(path, 0o755)
    server.set_modes(place.path(), 0o755, 0o644)
    if place.store == "mbox":
        os.chmod(place.path(), 0o644)
    pairs = a.ok("GETACL Shared")[0].split()
    assert pairs[-2] == b"anyone" and set(pairs[-1]) == set(b"lrsp")
    assert set(place.s.imap(BOB).ok(
        "MYRIGHTS #user/alice/Shared")[0].split()[-1]) == set(b"lrsp")
    # The first change keeps what they had.
    a.ok("SETACL Shared carol lrswite")
    assert set(place.s.imap(BOB).ok(
        "MYRIGHTS #user/alice/Shared")[0].split()[-1]) == set(b"lrsp")
    # A dovecot-acl gives no more than the permissions.
    path = place.path() if place.store == "maildir" else os.path.join(
        place.s.home(ALICE), "mail", ".imap", "Shared")
    with open(os.path.join(path, "dovecot-acl"), "w") as f:
        f.write("anyone lrswitekxa\n")
    assert set(place.s.imap(BOB).ok(
        "MYRIGHTS #user/alice/Shared")[0].split()[-1]) == set(b"lrs")


def test_inbox(place):
    """A Maildir's INBOX is the folder of all: it can be read, no more."""
    a = place.make("Private")
    place.s.deliver(ALICE, message(1)) if place.store == "maildir" else \
        mbox.deliver(place.path("inbox"), message(1),
                     owner=place.s.uid_of(ALICE))
    a.ok("SELECT INBOX")
    if place.store == "maildir":
        words = a.ok("LISTRIGHTS INBOX bob")[0].decode().split()
        assert "w" not in "".join(words[5:])
        a.no("SETACL INBOX bob lrswite")
    a.ok("SETACL INBOX bob lrs")
    b = place.s.imap(BOB)
    assert b"* 1 EXISTS" in b.ok("SELECT #user/alice/INBOX")
    b.ok("FETCH 1 BODY[]")
    b.no("SELECT #user/alice/Private")
    assert not place.can(BOB, place.s.maildir(ALICE), os.W_OK)
    # A new mailbox of hers is hers alone.
    a.ok("CREATE Fresh")
    assert not place.can(BOB, place.path("Fresh"), os.R_OK)
    place.listed(BOB, {"#user/alice/INBOX"})


@pytest.mark.parametrize("shared", ["Shared", "INBOX"])
def test_closed_by_home_alone(place, shared):
    """Under umask 022 only the home keeps others out: once bob may pass it, the
    other mailboxes stay closed to him all the same."""
    a = place.make()
    a.ok("CREATE Private")
    a.append("Private", message(1))
    if place.store == "maildir":
        place.s.deliver(ALICE, message(1))
    else:
        mbox.deliver(place.path("inbox"), message(1),
                     owner=place.s.uid_of(ALICE))
    a.ok("SELECT INBOX")
    a.ok("UNSELECT")
    root = os.path.dirname(place.path())
    server.set_modes(root, 0o755, 0o644)
    a.ok("SETACL %s bob lr" % shared)
    inbox = place.path("inbox")
    if place.store == "maildir":
        inbox = os.path.join(root, "cur")
    shut = [place.path("Private")]
    shut.append(inbox if shared == "Shared" else place.path())
    for path in shut:
        assert not place.can(BOB, path, os.R_OK), path
        assert not place.can(CAROL, path, os.R_OK), path
    assert place.can(BOB, place.path() if shared == "Shared" else inbox,
                     os.R_OK)
    place.listed(BOB, {"#user/alice/" + shared})


def test_closed_above(place):
    """A folder that is not hers keeps him out: she is told."""
    a = place.make()
    home = os.path.join(place.s.dir, "home")
    os.chown(home, 0, place.s.uid_of(ALICE))
    os.chmod(home, 0o710)
    try:
        untagged = a.ok("SETACL Shared bob lr")
        assert [r for r in untagged if b"[ALERT]" in r and
                home.encode() in r]
    finally:
        os.chmod(home, 0o755)
    place.listed(BOB, {"#user/alice/Shared"})


def test_below_inherits(place):
    if place.store == "mbox":
        pytest.skip("a file")
    a = place.make()
    a.ok("SETACL Shared bob lrswite")
    a.ok("CREATE Shared.below")
    place.listed(BOB, {"#user/alice/Shared",
                                 "#user/alice/Shared/below"})
    assert place.can(BOB, place.path("Shared.below"), os.W_OK)
    a.ok("RENAME Shared Moved")
    place.listed(BOB, {"#user/alice/Moved",
                                 "#user/alice/Moved/below"})
    a.ok("DELETE Moved.below")
    a.ok("DELETE Moved")
    a.ok("CREATE Moved")
    place.listed(BOB, set())


def test_delivered_closed(place):
    """As Postfix delivers, with mode 0600: open once its owner has seen it."""
    if place.store == "mbox":
        pytest.skip("one file")
    a = place.make()
    a.ok("SETACL Shared bob lrs")
    name = "1700000000.M1P1.host"
    path = os.path.join(place.path(), "tmp", name)
    fd = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    os.write(fd, message(5))
    os.close(fd)
    os.chown(path, place.s.uid_of(ALICE), place.s.uid_of(ALICE))
    os.rename(path, os.path.join(place.path(), "new", name))
    assert not place.can(BOB, os.path.join(place.path(), "new", name),
                         os.R_OK)
    assert b"* 3 EXISTS" in a.ok("SELECT Shared")
    a.ok("NOOP")
    b = place.s.imap(BOB)
    assert b"* 3 EXISTS" in b.ok("SELECT #user/alice/Shared")
    assert b"Subject" in b.ok("FETCH 3 BODY[]")[0]


def test_copies(place):
    """A copy is as closed or open as the mailbox that it lies in."""
    a = place.make()
    a.ok("CREATE Private")
    a.append("Private", message(3))
    a.ok("SETACL Shared bob lrswite")
    a.ok("SELECT Private")
    a.ok("COPY 1 Shared")
    a.ok("SELECT Shared")
    a.ok("COPY 1 Private")
    b = place.s.imap(BOB)
    assert b"* 3 EXISTS" in b.ok("SELECT #user/alice/Shared")
    assert b"Subject" in b.ok("FETCH 3 BODY[]")[0]
    a.append("Shared", message(4))
    b.ok("NOOP")
    b.ok("COPY 4 INBOX")
    b.ok("SELECT INBOX")
    assert b"Subject" in b.ok("FETCH 1 BODY[]")[0]
    if place.store == "maildir":
        cur = os.path.join(place.path("Private"), "cur")
        for name in os.listdir(cur):
            full = os.path.join(cur, name)
            assert os.stat(full).st_nlink == 1
            assert ACCESS not in os.listxattr(full)


# ---- restantectl

def test_restantectl(place):
    place.make()
    s = place.s
    out = s.ctl("share", ALICE, "Shared", BOB, "lrs")
    assert "may now pass" in out
    shares = s.ctl("--json", "share", ALICE)["shares"]
    assert [(x["mailbox"], x["identifier"], set(x["rights"]))
            for x in shares] == [("Shared", BOB, set("lrs"))]
    assert place.can(BOB, place.path(), os.R_OK)
    place.listed(BOB, {"#user/alice/Shared"})
    place.s.imap(BOB).ok("SELECT #user/alice/Shared")
    s.ctl("share", ALICE, "Shared", BOB, "+wite")
    assert place.can(BOB, place.path(), os.W_OK)
    out = s.ctl("share", ALICE)
    assert "Shared" in out and BOB in out
    for argv in (("share", ALICE, "None", BOB, "lr"),
                 ("share", ALICE, "Shared", "nobody-here", "lr"),
                 ("share", ALICE, "Shared", BOB, "lrk"),
                 ("share", ALICE, "Shared", BOB, "lrq"),
                 ("share", "nobody-here", "Shared", BOB, "lr"),
                 ("share", ALICE, "Shared"), ("unshare", ALICE, "Shared"),
                 ("share", ALICE, "Shared", "--bob", "lr")):
        s.ctl(*argv, ok=False)
    s.ctl("unshare", ALICE, "Shared", BOB)
    assert s.ctl("--json", "share", ALICE)["shares"] == []
    assert not place.can(BOB, place.path(), os.R_OK)
    assert not place.can(BOB, s.home(ALICE), os.X_OK)
    # Nothing of root's was made in her home.
    for path, _ in server.below(s.home(ALICE)):
        with contextlib.suppress(FileNotFoundError):
            assert os.stat(path).st_uid == s.uid_of(ALICE), path


def test_annotations_reach_others(place):
    """Those of a shared mailbox, as soon as its owner has changed them."""
    if place.store == "mbox":
        pytest.skip("not kept beside others' mbox files")
    a = place.make()
    a.ok("SETACL Shared bob lr")
    place.listed(BOB, {"#user/alice/Shared"})
    b = place.s.imap(BOB)
    b.ok('NOTIFY SET (mailboxes "#user/alice/Shared" '
         "(MailboxMetadataChange))")
    a.ok('SETMETADATA Shared (/shared/comment "for all")')
    assert b.response() == b"* METADATA #user/alice/Shared /shared/comment"
    a.ok('SETMETADATA Shared (/private/comment "mine")')
    b = place.s.imap(BOB)
    b.ok("ENABLE METADATA")
    b.ok('SELECT "#user/alice/Shared"')
    b.ok("NOOP")
    a.ok('SETMETADATA Shared (/shared/comment NIL)')
    end = time.monotonic() + 10
    while b"* METADATA #user/alice/Shared /shared/comment" not in \
            b.ok("NOOP"):
        assert time.monotonic() < end
        time.sleep(0.05)
