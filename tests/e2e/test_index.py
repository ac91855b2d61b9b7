# SPDX-License-Identifier: ISC
"""The index: what is derived from mail. Answers are the same whether it is
there, removed, damaged or switched off; a mailbox that has not changed is not
read; restantectl makes it ahead."""
import glob
import os
import re
import shutil
import subprocess
import time

import pytest
from lib import maildir, restante, server

HERE = os.path.dirname(os.path.abspath(__file__))
ITEMS = ("UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE "
         "BODY.PEEK[HEADER.FIELDS (DATE From to cc SUBJECT message-id)]")


def samples():
    for name in sorted(glob.glob(os.path.join(HERE, "..", "data", "*.eml"))):
        with open(name, "rb") as f:
            yield f.read()


@pytest.fixture
def srv(form):
    s = restante.Restante(users=["u1"], separate=form == "separate")
    root = os.path.join(s.home("u1"), "Maildir")
    maildir.create(root, s.uid_of("u1"))
    old = time.time() - 1000
    for i, text in enumerate(samples()):
        maildir.deliver(root, text, flags="S" if i % 2 else None,
                        owner=s.uid_of("u1"))
    for sub in ("cur", "new"):
        os.utime(os.path.join(root, sub), (old, old))
    s.root = root
    yield from server.serving(s)


def listing(s):
    """All that a listing shows, by a process that has nothing in memory."""
    c = s.imap("u1")
    try:
        c.ok("EXAMINE INBOX")
        out = [c.ok("FETCH 1:* (%s)" % item)
               for item in (ITEMS, "ENVELOPE", "FLAGS ENVELOPE BODY")]
        out.append(c.ok("STATUS INBOX (MESSAGES UNSEEN UIDNEXT SIZE)"))
    finally:
        c.logout()
    # That is each process's own business.
    return [[re.sub(rb" ?\\Recent", b"", line) for line in part]
            for part in out]


def restart(s):
    s.stop()
    s.start()


def index_files(s):
    return glob.glob(os.path.join(s.dir, "index", "u1", "*"))


def test_same_answers(srv):
    first = listing(srv)
    assert listing(srv) == first
    restart(srv)
    assert any(f.endswith("data.mdb") for f in index_files(srv))
    assert listing(srv) == first
    restart(srv)
    for f in index_files(srv):
        os.unlink(f)
    assert listing(srv) == first
    restart(srv)
    data = [f for f in index_files(srv) if f.endswith("data.mdb")][0]
    with open(data, "r+b") as f:
        for at in range(8192, os.path.getsize(data), 1024):
            f.seek(at)
            f.write(b"junk")
    try:
        listing(srv)  # the process may end over it, once
    except Exception:  # pylint: disable=broad-except
        pass
    restart(srv)
    assert listing(srv) == first


def test_switched_off(srv):
    first = listing(srv)
    srv.stop()
    shutil.rmtree(os.path.join(srv.dir, "index"))
    srv.settings["index_dir"] = "none"
    srv.start()
    assert listing(srv) == first
    assert listing(srv) == first
    assert not index_files(srv)


def test_in_the_home(srv):
    first = listing(srv)
    srv.stop()
    srv.settings["index_dir"] = "%h/.index-%u"
    srv.start()
    assert listing(srv) == first
    restart(srv)
    place = os.path.join(srv.home("u1"), ".index-u1")
    assert os.path.exists(os.path.join(place, "data.mdb"))
    assert os.stat(place).st_uid == srv.uid_of("u1")
    assert listing(srv) == first


def test_ahead(srv):
    if not server.is_root():
        pytest.skip("needs root")
    first = listing(srv)
    c = srv.imap("u1")
    c.ok('CREATE "Odd \\\\\\"&ZeU-"')
    c.ok("STATUS Sent (MESSAGES)")
    c.logout()
    srv.stop()
    shutil.rmtree(os.path.join(srv.dir, "index"))
    os.mkdir(os.path.join(srv.dir, "index"), 0o755)
    done = subprocess.run(
        [os.path.join(restante.programs(), "restantectl"), "-c",
         srv.config, "index", "u1"], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, timeout=60, check=False)
    assert done.returncode == 0, done
    n = len(list(samples()))
    # Special-use mailboxes that nobody has used are not made for that.
    assert done.stdout == b"%d messages in 3 mailboxes.\n" % n
    assert sorted(x for x in os.listdir(srv.root) if x.startswith(".")) == \
        [".Odd \\\"&ZeU-", ".Sent"]
    place = os.path.join(srv.dir, "index", "u1")
    assert os.stat(place).st_uid == srv.uid_of("u1")
    assert os.stat(place).st_mode & 0o777 == 0o700
    assert os.path.getsize(os.path.join(place, "data.mdb")) > 8192
    srv.start()
    assert listing(srv) == first
    # Who is not known has no mail.
    done = subprocess.run(
        [os.path.join(restante.programs(), "restantectl"), "-c",
         srv.config, "index", "nobody-here"], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, timeout=60, check=False)
    assert done.returncode == 1 and b"nobody-here" in done.stderr
