# SPDX-License-Identifier: ISC
"""Messages that Dovecot's zlib plugin has stored compressed are read as if
they were not; a damaged one costs itself only."""
import gzip
import os
import re

import pytest
from lib import agree, dovecot, meanwhile, server
from lib.agree import msg

SETTINGS = {(2, 3): "mail_plugins = zlib\n",
            (2, 4): "mail_plugins {\n  mail_compress = yes\n}\n"}
SAVE = {(2, 3): "zlib_save", (2, 4): "mail_compress_write_method"}


@pytest.fixture(scope="module")
def pair():
    if not dovecot.is_there():
        pytest.skip("needs root and Debian's Dovecot")
    how = {"gz": "gz", "zst": "zstd"}
    p = agree.Pair([*how, "hand"])
    p.dovecot.settings = SETTINGS[dovecot.version()]
    p.dovecot.extra = {
        u: "maildir:~/Maildir userdb_%s=%s" % (
            SAVE[dovecot.version()], how[u]) for u in how}
    yield from server.serving(p)


def bodies(c):
    found = []
    for r in c.ok("FETCH 1:* (RFC822.SIZE BODY.PEEK[])"):
        if b"FETCH" in r:
            head, _, body = r.partition(b"}\r\n")
            size = int(re.search(rb"\{(\d+)$", head).group(1))
            found.append((int(re.search(rb"SIZE (\d+)", head).group(1)),
                          body[:size]))
    return found


def paths(box):
    cur = box.path("cur") if hasattr(box, "path") else os.path.join(
        box.dir, "cur")
    return sorted(os.path.join(cur, f) for f in os.listdir(cur))


@pytest.mark.parametrize("user,magic", [
    ("gz", b"\x1f\x8b"), ("zst", b"\x28\xb5\x2f\xfd")])
def test_what_dovecot_wrote(pair, user, magic):
    box = pair.box(user)
    large = msg(3) + b"line of a large message\n" * 100000
    theirs = pair.dovecot.imap(user)
    for text in (msg(1), msg(2), large):
        wire = text.replace(b"\n", b"\r\n")
        theirs.append("INBOX", wire, "(\\Seen)")
    theirs.ok("SELECT INBOX")
    want = bodies(theirs)
    theirs.close()
    files = paths(box)
    assert len(files) == 3
    for f in files:
        with open(f, "rb") as o:
            assert o.read(4).startswith(magic)
    ours = pair.ours.imap(user)
    ours.ok("SELECT INBOX")
    assert bodies(ours) == want
    assert want[2][1] == large.replace(b"\n", b"\r\n")
    got = ours.ok("FETCH 3 BODY.PEEK[TEXT]<2000000.30>")
    assert b"line of a large message" in b"".join(got)
    assert ours.ok("SEARCH BODY hello") == [b"* SEARCH 1 2 3"]
    ours.ok("CREATE other")
    ours.ok("COPY 1:3 other")
    ours.ok("SELECT other")
    assert bodies(ours) == want
    # Damaged: an error for that message, the others are there.
    ours.ok("SELECT INBOX")
    with open(files[1], "rb+") as o:
        o.truncate(os.path.getsize(files[1]) - 6)
    status, _, told = ours.cmd("FETCH 1:3 BODY.PEEK[]")
    assert status == "NO"
    assert len([r for r in told if b"hello" in r]) == 2
    ours.ok("NOOP")
    ours.close()


def test_by_hand(pair):
    """gzip(1) over a file, with the size of nothing in its name."""
    box = pair.box("hand")
    ours = pair.ours.imap("hand")
    ours.append("INBOX", msg(1).replace(b"\n", b"\r\n"))
    ours.ok("SELECT INBOX")
    first, = paths(box)
    name = os.path.join(os.path.dirname(first), "1999999999.x.y:2,")
    with open(name, "wb") as o:
        o.write(gzip.compress(msg(7)))
    os.chown(name, pair.ours.uid_of("hand"), -1)
    ours.ok("NOOP")
    told = b"".join(ours.ok("UID FETCH 2:* (RFC822.SIZE BODY.PEEK[])"))
    assert b"RFC822.SIZE 134" in told and b"msg 7" in told
    ours.close()


def large(megabytes):
    """So much that unpacks to so many megabytes of text, a member each."""
    head = gzip.compress(msg(1))
    return head + gzip.compress((b"x" * 63 + b"\n") * 16384, 9) * megabytes


@pytest.mark.parametrize("items", [
    "BODYSTRUCTURE", "RFC822.SIZE", "BODY.PEEK[]<0.10>",
    "BODY.PEEK[TEXT]<150000000.10>", "BINARY.PEEK[1]<150000000.10>"])
def test_others_are_served_meanwhile(start, items):
    """A message is looked through, and gone forward in, step by step."""
    s = start(users=["alice"], tls=False)
    packed = large(160)
    for i in range(meanwhile.TRIES):
        # Names without sizes: what it is has to be found out.
        s.deliver("alice", packed, flags="", name="%d.x.y" % (i + 1))
    busy, other = s.imap("alice"), s.imap("alice")
    busy.ok("SELECT INBOX")
    assert meanwhile.is_answered(
        busy, other, lambda i: "FETCH %d %s" % (i + 1, items))


@pytest.mark.parametrize("command", [
    "SEARCH %d BODY nowhere", "SORT (SUBJECT) UTF-8 %d",
    "THREAD REFERENCES UTF-8 %d"])
def test_others_are_served_while_it_is_searched(start, command):
    s = start(users=["alice"], tls=False)
    packed = large(160)
    for i in range(meanwhile.TRIES):
        s.deliver("alice", packed, flags="", name="%d.x.y" % (i + 1))
    busy, other = s.imap("alice"), s.imap("alice")
    busy.ok("SELECT INBOX")
    assert meanwhile.is_answered(busy, other, lambda i: command % (i + 1))
