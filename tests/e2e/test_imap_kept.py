# SPDX-License-Identifier: ISC
"""Orders of SORT and answers of THREAD are kept in the index: whatever happens
between two of them, they are the same as without an index."""
import os
import random

import pytest
from lib import maildir

MBOX = True
WORDS = "alpha Beta gamma DELTA epsilon zeta".split()
ASKED = ["UID SORT (SUBJECT) UTF-8 ALL", "UID SORT (REVERSE DATE) UTF-8 ALL",
         "UID SORT (FROM REVERSE SIZE) UTF-8 ALL",
         "SORT (ARRIVAL) UTF-8 NOT DELETED",
         "UID SORT (REVERSE SUBJECT DATE) UTF-8 NOT UID 3:9",
         "UID SORT RETURN (PARTIAL 5:9 COUNT) (SUBJECT) UTF-8 ALL",
         "UID THREAD REFERENCES UTF-8 ALL", "UID THREAD REFS UTF-8 ALL",
         "THREAD ORDEREDSUBJECT UTF-8 ALL",
         "THREAD REFERENCES UTF-8 NOT DELETED"]


def mail(r, n):
    refs = b"" if n < 3 or r.random() < 0.4 else \
        b"References: <m%d@x>\n" % r.randrange(1, n)
    return (b"From: %s <%s@example.org>\nTo: a@b\nSubject: %s %d\n"
            b"Date: %d Jan 2024 0%d:00:00 +0000\nMessage-ID: <m%d@x>\n%s\n%s" % (
                r.choice(WORDS).encode(), r.choice(WORDS).encode(),
                r.choice(WORDS).encode(), r.randrange(4), r.randrange(1, 28),
                r.randrange(10), n, refs, b"x" * r.randrange(300) + b"\n"))


@pytest.mark.parametrize("seed", range(2))
def test_same_as_without(box, seed):
    if box.kind == "server":
        pytest.skip("the setting is the server's")
    r = random.Random(seed)
    n = 90
    for i in range(1, n + 1):
        box.deliver(mail(r, i))
    plain = box.connect("index_dir=none")
    plain.ok("SELECT INBOX")

    def compare(c):
        plain.ok("NOOP")
        for command in r.sample(ASKED, 5):
            expected = [x.split(b")", 1)[-1] if b"ESEARCH" in x else x
                        for x in plain.ok(command)]
            found = [x.split(b")", 1)[-1] if b"ESEARCH" in x else x
                     for x in c.ok(command)]
            assert found == expected, command
    c = box.connect()
    c.ok("SELECT INBOX")
    for turn in range(14):
        compare(c)
        what = r.randrange(4)
        if what == 0:
            for _ in range(r.choice([1, 2, 30])):
                n += 1
                box.deliver(mail(r, n))
            c.ok("NOOP")
        elif what == 1:
            some = ",".join(str(r.randrange(1, n)) for _ in range(4))
            c.ok("UID STORE %s +FLAGS.SILENT (\\Deleted)" % some)
            if r.random() < 0.5:
                c.ok("EXPUNGE")
        elif what == 2:
            c.logout()
            c = box.connect()
            c.ok("SELECT INBOX")
        compare(c)
        for _ in range(200):  # both have been told
            if len(c.ok("UID SEARCH ALL")[-1]) == len(
                    plain.ok("UID SEARCH ALL")[-1]):
                break
            c.ok("NOOP")
            plain.ok("NOOP")


def test_it_is_kept(box):
    """The second answer is found without a look at any message."""
    if box.kind == "server" or box.store == "mbox":
        pytest.skip("looks at files")
    r = random.Random(7)
    for i in range(1, 81):
        box.deliver(mail(r, i))
    c = box.connect()
    c.ok("SELECT INBOX")
    asked = ["UID SORT (SUBJECT) UTF-8 ALL", "UID THREAD REFS UTF-8 ALL"]
    first = [c.ok(x) for x in asked]
    c.logout()
    c = box.connect()
    c.ok("SELECT INBOX")
    cur = box.maildir("cur")
    os.chmod(cur, 0)
    try:
        assert [c.ok(x) for x in asked] == first
    finally:
        os.chmod(cur, 0o700)
