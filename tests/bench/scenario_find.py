# SPDX-License-Identifier: ISC
"""scenario_find.py - SEARCH, SORT and THREAD."""
import time

from harness import Bulk, Measure, box, forget, fresh
import group
import mail

SETTLE = 0.2        # what is written to an index behind the answer counts
QUIET = 1.0         # a server that does nothing for so long has built it all
BUILT_WITHIN = 600

# What each row asks. The words are looked for by every server in every run;
# how many messages have them does not depend on the size much.
QUESTIONS = {
    "SEARCH FROM": 'SEARCH FROM "sender42@"',
    "SEARCH SUBJECT": 'SEARCH SUBJECT "message 42 of"',
    "SEARCH SINCE": "SEARCH SINCE 14-Nov-2023",
    "SEARCH LARGER": "SEARCH LARGER 4000",
    "SORT": "SORT (SUBJECT) UTF-8 ALL",
    "SORT DATE": "SORT (REVERSE DATE) UTF-8 ALL",
    "SORT FROM": "SORT (FROM) UTF-8 ALL",
    "THREAD": "THREAD REFERENCES UTF-8 ALL",
    "SEARCH TEXT": 'SEARCH TEXT "fox leaps"',
    "SEARCH BODY": 'SEARCH BODY "fox leaps"',
    "SEARCH TEXT, rare": 'SEARCH TEXT "%s"' % mail.RARE,
    "SEARCH BODY, rare": 'SEARCH BODY "%s"' % mail.RARE,
}


def ask(srv, user, command, name=""):
    """Opening the mailbox is in it, for work may be done there."""
    c = fresh(srv, user)
    with Measure(srv, settle=SETTLE, name=name) as m:
        c.ok("SELECT INBOX")
        Bulk(c).run(command)
    c.logout()
    return m


def first_second(name, store):
    """By the first session ever, and by the next one, in a process of its
    own: a mailbox never seen, and one seen before."""
    def run(srv, rnd, opt, n):
        user, found = box(store, n), {}
        forget(srv, user)
        for which in ("first", "second"):
            m = ask(srv, user, QUESTIONS[name], which)
            found[which + "_cpu_ms"] = m.cpu * 1e3
            found[which + "_wall_ms"] = m.wall * 1e3
        return found
    return run


def wait_until_quiet(srv):
    """What is built behind the answers is built."""
    end = time.monotonic() + BUILT_WITHIN
    before, since = group.cpu(srv), time.monotonic()
    while time.monotonic() - since < QUIET:
        assert time.monotonic() < end, srv.name
        time.sleep(0.1)
        now = group.cpu(srv)
        if now - before > 0.005:
            before, since = now, time.monotonic()


def built(name, store):
    """By a new session, when all that is built in the background is there."""
    def run(srv, rnd, opt, n):
        user = box(store, n)
        c = srv.imap(user, timeout=600)
        c.ok("SELECT INBOX")
        Bulk(c).run(QUESTIONS[name])
        wait_until_quiet(srv)
        c.logout()
        m = ask(srv, user, QUESTIONS[name])
        return {"cpu_ms": m.cpu * 1e3, "wall_ms": m.wall * 1e3}
    return run
