# SPDX-License-Identifier: ISC
"""What is left when our store is killed at any system call, Dovecot accepts:
the crash test of common/store/maildir keeps each state, and Dovecot looks at
those that differ: the same messages, the same UIDs, no complaint."""
import os
import re
import shutil
import subprocess
import tempfile
import time

import pytest
from lib import dovecot, restante

GENERATED = re.compile(rb"\d+\.[ML]\d+P\d+\.[-\w.]+")
# What changes the UID map or files that it names.
MAP_CHANGES = ("append", "multiappend", "replace", "rewrite", "copy", "move", "expunge",
               "deliver", "rename INBOX", "first open")
SUBJECT = re.compile(rb"Subject: msg (\w)")


def crash_test():
    return os.path.join(
        restante.BUILD, "common", "store", "maildir", "crash_test")


def shape(top):
    """A state without what differs from run to run."""
    found = []
    for path, _, files in os.walk(top):
        rel = os.path.relpath(path, top).encode()
        for f in files:
            data = b""
            if f.startswith("dovecot-") or f == "subscriptions":
                with open(os.path.join(path, f), "rb") as o:
                    data = o.read()
            if f.endswith(".lock"):
                data = b""
            found.append((rel, GENERATED.sub(b"G", f.encode()),
                          GENERATED.sub(b"G", re.sub(
                              rb"V\d+|G[0-9a-f]{32}", b"", data))))
    return tuple(sorted(found))


def on_disk(maildir):
    letters = []
    for d in ("new", "cur"):
        path = os.path.join(maildir, d)
        for f in os.listdir(path) if os.path.isdir(path) else ():
            with open(os.path.join(path, f), "rb") as o:
                letters.append(SUBJECT.search(o.read()).group(1))
    return sorted(letters)


def seen(c, name):
    c.ok("EXAMINE " + name)
    found = []
    for r in c.ok("FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])") \
            if c.ok("SEARCH ALL") != [b"* SEARCH"] else ():
        if b"FETCH" in r:
            found.append((int(re.search(rb"UID (\d+)", r).group(1)),
                          SUBJECT.search(r).group(1)))
    c.ok("CLOSE")
    return found


@pytest.fixture(scope="module")
def states():
    if not dovecot.is_there():
        pytest.skip("needs root and Debian's Dovecot")
    shm = "/dev/shm"
    if not os.path.exists(crash_test()):
        pytest.skip("the unit tests are not built")
    # In memory, as the test's mailboxes are: states are moved, not copied.
    top = tempfile.mkdtemp(prefix="crash-states.", dir=shm if os.access(
        shm, os.W_OK) else None)
    try:
        subprocess.run(
            [crash_test()], check=True, stdout=subprocess.DEVNULL,
            env=dict(os.environ, RESTANTE_CRASH_STATES=top))
        unlike = {}
        for name in sorted(os.listdir(top)):
            if not name.startswith(MAP_CHANGES):
                continue
            unlike.setdefault(shape(os.path.join(top, name)), name)
        yield top, sorted(unlike.values())
    finally:
        shutil.rmtree(top, ignore_errors=True)


def as_folders(maildir, top, names):
    """Each state becomes a folder sN, its folder To becomes sN.To."""
    long_ago = time.time() - 3600
    for i, name in enumerate(names):
        folder = os.path.join(maildir, ".s%d" % i)
        shutil.move(os.path.join(top, name), folder)
        for sub in [x for x in os.listdir(folder) if x.startswith(".")
                    and os.path.isdir(os.path.join(folder, x))]:
            shutil.move(os.path.join(folder, sub), folder + sub)
        for path in (folder, folder + ".To"):
            for f in os.listdir(path) if os.path.isdir(path) else ():
                if f.endswith(".lock"):
                    os.utime(os.path.join(path, f), (long_ago, long_ago))


def test_dovecot_accepts_what_is_left(states):
    top, names = states
    assert len(names) > 30
    d = dovecot.Dovecot(users=["c"], settings="mail_fsync = never\n")
    try:
        maildir = d.maildir("c")
        as_folders(maildir, top, names)
        d.own_tree(maildir, d.uid_of("c"))
        d.start()
        c = d.imap("c")
        d.new_log()
        for i, name in enumerate(names):
            folder = os.path.join(maildir, ".s%d" % i)
            want = on_disk(folder)
            others = on_disk(folder + ".To")
            found = seen(c, "s%d" % i)
            assert sorted(x for _, x in found) == want, name
            for uid, letter in found:
                if name.startswith("first open"):
                    break
                if letter in b"abc":
                    assert uid == b"abc".index(letter) + 1, name
                else:
                    assert uid > 3, name
            if name.startswith(("copy", "move")):
                found = seen(c, "s%d.To" % i)
                assert sorted(x for _, x in found) == others, name
                assert [u for u, x in found if x == b"d"] in ([1], []), name
            # A torn line was never told to anybody; Dovecot says so, once.
            told = d.complaints()
            if ", torn at" in name:
                told = [x for x in told if "Broken file" not in x]
            assert told == [], name
        c.close()
    finally:
        d.stop()
        d.remove()
