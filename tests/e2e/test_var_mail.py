# SPDX-License-Identifier: ISC
"""INBOX in /var/mail itself, as Debian installs it, by turns with Debian's
Dovecot (compat-tests.md R3). Runs in namespaces of its own."""
import os
import stat
import time

import pytest

from lib import agree, dovecot, namespace, server
from lib.agree import msg, piece

SETUP = r"""
mount -t tmpfs -o mode=2775,gid=mail tmpfs /var/mail
"""
USERS = ["v1", "v2"]
SPOOL = "/var/mail"

pytestmark = pytest.mark.skipif(not server.is_root(), reason="needs root")
inner = namespace.inner
test_in_namespaces = namespace.outer(__file__, SETUP, dovecot.is_there)


class SpoolBox(agree.MboxBox):
    """INBOX is the user's file in the spool, which only the group mail may
    write to."""

    def __init__(self, pair, user):
        super().__init__(pair, user)
        self.spool = os.path.join(SPOOL, user)

    def path(self, rel=""):
        return self.spool if rel == "in/box" else super().path(rel)

    def add(self, data, rel="in/box"):
        super().add(data, rel)
        os.chown(self.path(rel), self.uid, os.stat(SPOOL).st_gid)
        os.chmod(self.path(rel), 0o660)


@pytest.fixture(scope="module")
def pair():
    p = agree.Pair(USERS, extra={
        u: "mbox:~/mail:INBOX=%s/%s" % (SPOOL, u) for u in USERS})
    p.dovecot.settings += "\nmail_privileged_group = mail\n"
    p.ours.separate = True
    p.ours.uid_of = p.dovecot.uid_of
    p.ours.settings["spool_dir"] = SPOOL
    yield from server.serving(p)


@inner
@pytest.mark.parametrize("first", ["ours", "dovecot"])
def test_r3_turns(pair, first):
    second = "dovecot" if first == "ours" else "ours"
    st = os.stat(SPOOL)
    assert os.path.ismount(SPOOL) and stat.S_IMODE(st.st_mode) == 0o2775
    box = SpoolBox(pair, USERS[first == "ours"])
    pair.dovecot.complaints()
    box.add(b"".join(piece(i) for i in range(1, 7)))
    ino = os.stat(box.spool).st_ino
    seen = box.agree(first=first)["INBOX"]
    assert sorted(seen["messages"]) == [1, 2, 3, 4, 5, 6]
    agree.do(box, first, r"STORE 1 +FLAGS (\Seen Work)",
             r"STORE 2:3 +FLAGS (\Deleted)", "EXPUNGE")
    seen = box.agree(first=second)["INBOX"]
    assert sorted(seen["messages"]) == [1, 4, 5, 6]
    box.add(piece(7))
    agree.do(box, second, r"STORE 2 +FLAGS (\Deleted)", "EXPUNGE")
    for which in (first, second):
        c = box.of(which)
        assert b"APPENDUID" in c.append(
            "INBOX", msg(8).replace(b"\n", b"\r\n"), r"(\Seen Work)")
        c.logout()
    seen = box.agree(first=first)["INBOX"]
    assert sorted(seen["messages"]) == [1, 5, 6, 7, 8, 9]
    assert seen["messages"][1][1] == {"\\Seen", "Work"}
    # The file, its owner and mode, and nothing beside it.
    st = os.stat(box.spool)
    assert (st.st_ino, st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)) == (
        ino, box.uid, os.stat(SPOOL).st_gid, 0o660)
    end = time.monotonic() + 30
    while os.path.exists(box.spool + ".lock"):
        assert time.monotonic() < end
        time.sleep(0.01)
    assert [x for x in os.listdir(SPOOL) if x not in USERS] == []
