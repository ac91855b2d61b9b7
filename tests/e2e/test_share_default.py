# SPDX-License-Identifier: ISC
"""Sharing with nothing to configure: SETACL by the one, `#user/` for the other.
test_accounts.py does it with accounts of the system."""
import fcntl
import os
import re
import subprocess
import time

import pytest
from lib import restante, server
from lib.maildir import message

pytestmark = pytest.mark.skipif(not server.is_root(), reason="needs uids")

ALICE, BOB, CAROL = "alice", "bob", "carol"


@pytest.fixture(scope="module", params=["maildir", "fs", "mbox"])
def place(request):
    if not server.has_access_lists():
        pytest.skip("no access lists on /tmp")
    s = restante.Restante(users=[ALICE, BOB, CAROL], separate=True, tls=False,
                          settings={"process_linger": 1})
    s.settings["mail_location"] = {
        "maildir": "maildir:~/Maildir", "fs": "maildir:~/Maildir:LAYOUT=fs",
        "mbox": "mbox:~/mail"}[request.param]
    s.kind = request.param
    for user in s.users:
        os.chmod(s.home(user), 0o700)
        os.chmod(s.maildir(user), 0o700)
    yield from server.serving(s)


def others(s, user):
    """What a new session of this user finds of others'."""
    with s.imap(user) as c:
        return {r.rsplit(b" ", 1)[1].strip(b'"').decode()
                for r in c.ok('LIST "" "#user/*"') if b"\\Noselect" not in r}


def until(s, user, wanted):
    end = time.monotonic() + 40
    while True:
        found = others(s, user)
        if found == wanted:
            return
        assert time.monotonic() < end, (found, wanted)
        time.sleep(0.1)


def fill(s, name, n=2):
    a = s.imap(ALICE)
    a.ok("CREATE " + name)
    for i in range(n):
        a.append(name, message(i))
    return a


def test_shared_and_taken_back(place):
    s = place
    a = fill(s, "Shared")
    a.ok("CREATE Private")
    assert others(s, BOB) == set()
    b = s.imap(BOB)
    assert not any(b"#user" in r for r in b.ok("NAMESPACE"))
    b.no("SELECT #user/alice/Shared")
    b.logout()
    a.ok("SETACL Shared bob lrs")
    until(s, BOB, {"#user/alice/Shared"})
    assert others(s, CAROL) == set()
    b = s.imap(BOB)
    assert any(b'"#user/"' in r for r in b.ok("NAMESPACE"))
    assert b.cmd("SELECT #user/alice/Shared")[1].startswith(b"[READ-ONLY]")
    assert b"Subject" in b.ok("FETCH 2 BODY[]")[0]
    b.ok("STORE 1 +FLAGS (\\Seen)")
    b.no("STORE 1 +FLAGS (\\Flagged)")
    b.no("SELECT #user/alice/Private")
    b.logout()
    a.ok("DELETEACL Shared bob")
    until(s, BOB, set())
    # With all that can be given.
    a.ok("SETACL Shared bob lrswite")
    until(s, BOB, {"#user/alice/Shared"})
    b = s.imap(BOB)
    assert b.cmd("SELECT #user/alice/Shared")[1].startswith(b"[READ-WRITE]")
    b.ok("STORE 1 +FLAGS (\\Flagged)")
    b.append("#user/alice/Shared", message(7))
    a.ok("SELECT Shared")
    assert b"\\Flagged" in a.ok("FETCH 1 FLAGS")[0]
    assert a.ok("STATUS Shared (MESSAGES)")[-1].endswith(b"(MESSAGES 3)")
    a.ok("CLOSE")
    # Taken back: at once in the session that there is, too.
    a.ok("DELETEACL Shared bob")
    b.ok("UNSELECT")
    b.no("SELECT #user/alice/Shared")
    b.logout()
    until(s, BOB, set())
    b = s.imap(BOB)
    assert not any(b"#user" in r for r in b.ok("NAMESPACE"))


def test_kept_over_a_restart_and_by_restantectl(place):
    s = place
    fill(s, "Kept")
    s.ctl("share", ALICE, "Kept", BOB, "lr")
    until(s, BOB, {"#user/alice/Kept"})
    s.stop()
    s.start()
    assert others(s, BOB) == {"#user/alice/Kept"}
    s.ctl("unshare", ALICE, "Kept", BOB)
    until(s, BOB, set())


def test_master_takes_the_list_meanwhile(place):
    """What waits for the lock does not write to a file without a name."""
    s = place
    if s.kind != "maildir":
        pytest.skip("once is enough")
    fill(s, "Meanwhile")
    path = os.path.join(s.dir, "state", ".shares.add")
    with open(path, "a") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        ctl = subprocess.Popen(
            [os.path.join(restante.programs(), "restantectl"), "-c", s.config,
             "share", ALICE, "Meanwhile", BOB, "lr"], stdout=subprocess.DEVNULL)
        waits = re.compile(r"-> FLOCK +ADVISORY +WRITE %d " % ctl.pid)
        end = time.monotonic() + 30
        with open("/proc/locks") as locks:
            while not waits.search(locks.read()):
                assert time.monotonic() < end and ctl.poll() is None
                time.sleep(0.02)
                locks.seek(0)
        os.unlink(path)
    assert ctl.wait(30) == 0
    until(s, BOB, {"#user/alice/Meanwhile"})
    s.ctl("unshare", ALICE, "Meanwhile", BOB)
    until(s, BOB, set())


def test_anyone(place):
    s = place
    a = fill(s, "All")
    a.ok("SETACL All anyone lr")
    until(s, BOB, {"#user/alice/All"})
    until(s, CAROL, {"#user/alice/All"})
    a.ok("DELETEACL All anyone")
    until(s, BOB, set())


def test_renamed_and_removed(place):
    s = place
    a = fill(s, "Before")
    a.ok("SETACL Before bob lr")
    until(s, BOB, {"#user/alice/Before"})
    a.ok("RENAME Before After")
    until(s, BOB, {"#user/alice/After"})
    with s.imap(BOB) as b:
        assert b"* 2 EXISTS" in b.ok("SELECT #user/alice/After")
    a.ok("DELETE After")
    until(s, BOB, set())
    with s.imap(BOB) as b:
        assert not any(b"#user" in r for r in b.ok("NAMESPACE"))


def uid_of_process(pid):
    try:
        return os.stat("/proc/%d" % pid).st_uid
    except FileNotFoundError:
        return None


def test_renamed_with_what_is_below(place):
    s = place
    sep = "." if s.kind == "maildir" else "/"
    names = [sep.join(("Top",) + x) for x in (("one",), ("two", "deep"))]
    # The last one begins alike, but does not lie below it.
    for name in names + ["Topmost"]:
        fill(s, name).logout()
    a = s.imap(ALICE)
    for name in names + ["Topmost"]:
        a.ok("SETACL %s bob lr" % name)
    until(s, BOB, {"#user/alice/" + x.replace(".", "/")
                   for x in names + ["Topmost"]})
    a.ok("RENAME Top Roof")
    moved = {"#user/alice/" + x.replace("Top", "Roof").replace(".", "/")
             for x in names}
    # A process keeps what it was let into: a new one is to find them.
    s.wait_pids("imapd", lambda pids: not [
        pid for pid in pids if uid_of_process(pid) == s.uid_of(BOB)])
    until(s, BOB, moved | {"#user/alice/Topmost"})
    with s.imap(BOB) as b:
        for name in sorted(moved):
            assert b"* 2 EXISTS" in b.ok("SELECT " + name)
    for name in names + ["Topmost"]:
        a.ok("DELETE " + name.replace("Top" + sep, "Roof" + sep))
    until(s, BOB, set())


def add_lines(s, *lines):
    """As a broken or hostile list would have them."""
    with open(os.path.join(s.dir, "state", ".shares.add"), "a") as f:
        for line in lines:
            f.write("\t".join(str(x) for x in line) + "\n")


def test_what_a_list_says_opens_nothing(place):
    """A list is no permission, and leads nowhere but to the owner's."""
    s = place
    if s.kind != "maildir":
        pytest.skip("once is enough")
    alice, bob = s.uid_of(ALICE), s.uid_of(BOB)
    fill(s, "Closed")
    secret = os.path.join(s.home(BOB), "secret")
    for d in ("", "/.x", "/.x/cur", "/.x/new", "/.x/tmp"):
        os.mkdir(secret + d)
        os.chown(secret + d, bob, bob)
    link = os.path.join(s.home(ALICE), "link")
    os.symlink(secret, link)
    os.lchown(link, alice, alice)
    os.chmod(s.home(ALICE), 0o711)
    root = s.maildir(ALICE)
    add_lines(
        s, (alice, ALICE, "u", bob, "+", "maildir:" + root, root + "/.Closed"),
        (alice, "al2", "u", bob, "+", "maildir:" + secret, secret + "/.x"),
        (alice, "al3", "u", bob, "+", "maildir:" + link, link + "/.x"),
        (alice, "al4", "u", bob, "+", "maildir:/", "/etc"),
        (alice, "al5", "u", bob, "+", "maildir:/etc", "/etc/../root"),
        (alice, "al6", "u", bob, "+", "maildir:/%u/x", "/%u/x"),
        (alice, "../al7", "u", bob, "+", "maildir:/etc", "/etc"),
        (0, "root", "u", bob, "+", "maildir:/etc", "/etc"),
        ("nonsense",))
    assert others(s, BOB) == set()
    with s.imap(BOB) as b:
        for who in (ALICE, "al2", "al3", "al4", "al5", "al6", "root"):
            b.no("SELECT #user/%s/x" % who)
            b.no("CREATE #user/%s/y" % who)
    os.chmod(s.home(ALICE), 0o700)
    assert not os.path.exists(os.path.join(secret, ".y"))
