# SPDX-License-Identifier: ISC
"""What our store leaves and mends when it is killed at any system call, Dovecot
accepts: the crash test of common/store/mbox keeps each file after it was opened
again, and Dovecot looks at those that differ: the same messages, the same UIDs,
no complaint."""
import os
import re
import shutil
import subprocess
import tempfile

import pytest
from lib import dovecot, restante

VARIES = re.compile(
    rb"(?m)^From .*|^(?:Date|Message-ID: <\d+@|X-IMAP(?:base)?:) .*| +$")
UID = re.compile(rb"\nX-UID: (\d+) *\n")
SUBJECT = re.compile(rb"\nSubject: (\w)\n")


def crash_test():
    return os.path.join(
        restante.BUILD, "common", "store", "mbox", "mbox_crash_test")


def in_file(path):
    """[(UID or None, letter)], and UIDVALIDITY, as the file itself says."""
    with open(path, "rb") as f:
        parts = re.split(rb"(?m)^(?=From )", f.read())
    found, validity = [], None
    for p in parts:
        head = p.partition(b"\n\n")[0] + b"\n"
        base = re.search(rb"\nX-IMAP(?:base)?: (\d+) ", head)
        if base:
            validity = int(base.group(1))
        uid, letter = UID.search(head), SUBJECT.search(head)
        if letter:
            found.append((int(uid.group(1)) if uid else None,
                          letter.group(1)))
    return found, validity


def seen(c, name):
    lines = c.ok("EXAMINE " + name)
    validity = int(re.search(rb"UIDVALIDITY (\d+)", b"".join(lines)).group(1))
    found = []
    for r in c.ok("FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])") \
            if c.ok("SEARCH ALL") != [b"* SEARCH"] else ():
        if b"FETCH" in r:
            found.append((int(re.search(rb"UID (\d+)", r).group(1)),
                          re.search(rb"Subject: (\w)", r).group(1)))
    return found, validity


@pytest.fixture(scope="module")
def states():
    """{path of a file: the state in which it was met first}"""
    if not dovecot.is_there():
        pytest.skip("needs root and Debian's Dovecot")
    if not os.path.exists(crash_test()):
        pytest.skip("the unit tests are not built")
    top = tempfile.mkdtemp(prefix="crash-states.", dir="/dev/shm" if os.access(
        "/dev/shm", os.W_OK) else None)
    try:
        subprocess.run(
            [crash_test()], check=True, stdout=subprocess.DEVNULL,
            env=dict(os.environ, RESTANTE_CRASH_STATES=top))
        unlike = {}
        for state in sorted(os.listdir(top)):
            for name in os.listdir(os.path.join(top, state)):
                path = os.path.join(top, state, name)
                with open(path, "rb") as f:
                    unlike.setdefault(VARIES.sub(b"", f.read()),
                                      (path, "%s: %s" % (state, name)))
        yield sorted(unlike.values())
    finally:
        shutil.rmtree(top, ignore_errors=True)


def test_dovecot_accepts_what_is_mended(states):
    # A sanitizer makes each slow: there fewer are left.
    assert len(states) > (10 if restante.SANITIZED else 30)
    d = dovecot.Dovecot(
        users=["c"], settings="mail_fsync = never\n",
        extra={"c": "mbox:~/mail:INBOX=~/inbox"})
    try:
        root = os.path.join(d.home("c"), "mail")
        os.makedirs(root, exist_ok=True)
        for i, (path, _) in enumerate(states):
            shutil.copy(path, os.path.join(root, "s%d" % i))
        d.own_tree(d.home("c"), d.uid_of("c"))
        d.start()
        c = d.imap("c")
        d.new_log()
        for i, (path, state) in enumerate(states):
            want, validity = in_file(path)
            found, theirs = seen(c, "s%d" % i)
            assert [x for _, x in found] == [x for _, x in want], state
            assert validity in (None, theirs), state
            assert all(u in (None, v) for (u, _), (v, _)
                       in zip(want, found)), (state, want, found)
            assert d.complaints() == [], state
        c.close()
    finally:
        d.stop()
        d.remove()
