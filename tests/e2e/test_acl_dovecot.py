# SPDX-License-Identifier: ISC
"""dovecot-acl between Restante and Debian's Dovecot: what one writes the other
obeys, and both come to the same rights."""
import os

import pytest
from lib import dovecot, restante, server

pytestmark = [
    pytest.mark.skipif(not dovecot.is_there(), reason="needs Dovecot"),
    pytest.mark.skipif(not os.path.exists(
        "/usr/lib/dovecot/modules/lib01_acl_plugin.so"), reason="no ACL"),
]

USERS = ["alice", "bob", "carol"]
SETTINGS = """
mail_plugins = acl
protocol imap {
  mail_plugins = acl imap_acl
}
plugin {
  acl = vfile
}
"""
# Alice's mail as others have it: a shared namespace below her home.
SHARED = """
namespace shared {
  type = shared
  separator = /
  prefix = user/%%%%u/
  location = %s
  subscriptions = no
  list = no
}
namespace inbox {
  separator = /
}
"""
PLACES = {"maildir": ("maildir:~/Maildir:LAYOUT=fs",
                      "maildir:%s/Maildir:LAYOUT=fs:INDEX=MEMORY"),
          "mbox": ("mbox:~/mail", "mbox:%s/mail:INDEX=MEMORY")}


class Both:
    """The same homes behind one server and then the other."""

    def __init__(self, store):
        self.store = store
        own, others = PLACES[store]
        self.r = restante.Restante(users=USERS, tls=False, settings={
            "mail_location": own})
        self.r.settings["other_users_location"] = (
            others % os.path.join(self.r.dir, "home", "%u")).replace(
                ":INDEX=MEMORY", "")
        self.d = dovecot.Dovecot(
            users=USERS, extra={u: own for u in USERS},
            settings=SETTINGS + SHARED % (others % os.path.join(
                self.r.dir, "home", "%%u")))
        self.d.home = self.r.home
        self.running = None

    def use(self, which):
        if self.running is not which:
            if self.running is not None:
                self.running.close_all()
                self.running.stop()
            self.running = which
            which.start()
        return which

    def end(self):
        if self.running is not None:
            self.running.stop()
        self.r.remove()
        self.d.remove()

    def acl_file(self, name="Shared"):
        if self.store == "mbox":
            return os.path.join(self.r.home("alice"), "mail", ".imap", name,
                                "dovecot-acl")
        return os.path.join(self.r.maildir("alice"), name, "dovecot-acl")


@pytest.fixture(scope="module", params=["maildir", "mbox"])
def both(request):
    if dovecot.version() >= (2, 4):
        pytest.skip("its configuration is another one")
    b = Both(request.param)
    try:
        c = b.use(b.r).imap("alice")
        c.cmd("CREATE Shared")
        c.append("Shared", b"a: b\r\n\r\n")
        c.logout()
        yield b
    finally:
        b.end()


def letters(untagged):
    return "".join(sorted(untagged[0].split()[-1].decode()))


FILES = [
    "",
    "user=bob lr\n",
    "user=bob lrwstipekxa\n",
    "anyone lr\n",
    "authenticated lri\n",
    "anyone lr\nuser=bob l\n",
    "anyone lrw\nuser=bob lrs\n-user=bob r\n",
    "anyone lrs\n-anyone s\nuser=bob lrs\n",
    "owner lr\nuser=carol lr\n",
    "group=staff lr\n",
    "user=bob lr :write\n",
    "user=bob l\nuser=bob r\n",
    "# remark\n\nuser=bob lr\n",
    "user=bob lrZ\n",
    "something bob lr\nanyone lr\n",
]


def asked(c, name):
    """Rights of the caller, or None where there is no such mailbox."""
    status, _, untagged = c.cmd("MYRIGHTS " + name)
    return letters(untagged) if status == "OK" else None


def test_same_rights(both):
    """For each file: what bob may."""
    found = {}
    for which, name in ((both.r, "#user/alice/Shared"),
                        (both.d, "user/alice/Shared")):
        s = both.use(which)
        for text in FILES:
            path = both.acl_file()
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path + ".new", "w") as f:
                f.write(text)
            os.rename(path + ".new", path)
            s.own_tree(os.path.dirname(path), server.TEST_UID)
            c = s.imap("bob")
            found.setdefault(text, []).append(asked(c, name))
            c.logout()
    different = {t: r for t, r in found.items() if r[0] != r[1]}
    assert different == {}


def test_each_obeys_the_other(both):
    os.path.exists(both.acl_file()) and os.unlink(both.acl_file())
    a = both.use(both.r).imap("alice")
    for change in ("bob lrs", "carol lrswite", "-carol w", "$staff l",
                   "!$out r", '"two words" lr'):
        a.ok("SETACL Shared " + change)
    told = a.ok("GETACL Shared")[0]
    with open(both.acl_file()) as f:
        ours = lines(f.read())
    # Dovecot reads it as we do, and allows what it says.
    a = both.use(both.d).imap("alice")
    theirs = a.ok("GETACL Shared")[0]
    assert pairs(theirs) == pairs(told)
    b, c = both.d.imap("bob"), both.d.imap("carol")
    assert asked(b, "user/alice/Shared") == "lrs"
    b.ok("SELECT user/alice/Shared")
    b.no("COPY 1 user/alice/Shared")
    assert asked(c, "user/alice/Shared") == "".join(sorted("lrsited"))
    # What it writes is what we would.
    a.ok("DELETEACL Shared bob")
    a.ok("SETACL Shared bob lrs")
    with open(both.acl_file()) as f:
        again = f.read()
    assert lines(again) == ours
    a.ok("SETACL Shared bob -s")
    a.ok("SETACL Shared carol +k")
    theirs = a.ok("GETACL Shared")[0]
    a = both.use(both.r).imap("alice")
    assert pairs(a.ok("GETACL Shared")[0]) == pairs(theirs)
    b = both.r.imap("bob")
    assert asked(b, "#user/alice/Shared") == "lr"
    b.ok("SELECT #user/alice/Shared")
    b.no("STORE 1 +FLAGS (\\Seen)")
    assert asked(both.r.imap("carol"), "#user/alice/Shared") == \
        "".join(sorted("lrsitedkc"))


def lines(text):
    """The order of letters is each server's own."""
    return sorted(who + " " + "".join(sorted(rights)) for who, _, rights in (
        line.rpartition(" ") for line in text.splitlines()))


def pairs(line):
    words = []
    rest = line.decode().split(" ", 3)[3]
    while rest:
        if rest[0] == '"':
            word, _, rest = rest[1:].partition('"')
            rest = rest.strip()
        else:
            word, _, rest = rest.partition(" ")
        words.append(word)
    return {words[i]: "".join(sorted(words[i + 1]))
            for i in range(0, len(words), 2)}
