# SPDX-License-Identifier: ISC
"""scenario_read.py - opening mailboxes and reading from them."""
import os
import random
import time

from harness import (AFTER_LOGIN, FOLDERS, Bulk, Measure, at_rest, box, each,
                     end_sessions, forget, fresh, open_box)
import mail

# What a well-known mail program asks for to draw its list.
LIST_FIELDS = ("UID FLAGS RFC822.SIZE BODY.PEEK[HEADER.FIELDS (From To Cc Bcc "
               "Subject Date Message-ID Priority X-Priority References "
               "Newsgroups In-Reply-To Content-Type Reply-To)]")
UNCHANGED = 1.0  # a file that nobody has written to for so long is written
WRITTEN_WITHIN = 300
SETTLE = 0.2  # what is written to an index behind the answer counts


def deliver(srv, store, user):
    if store == "mbox":
        mail.deliver_mbox(os.path.join(srv.home(user), "inbox"))
    else:
        mail.deliver_maildir(srv.maildir(user), srv.uid_of(user))


def wait_until_written(srv, store, user):
    """What the sessions of an earlier row left to write to an mbox (UIDs,
    flags) is written, and is not counted to this one."""
    path = os.path.join(srv.home(user), "inbox")
    end = time.monotonic() + WRITTEN_WITHIN
    seen, since = None, time.monotonic()
    while store == "mbox" and time.monotonic() - since < UNCHANGED:
        assert time.monotonic() < end, (srv.name, path)
        st = os.stat(path)
        now = (st.st_ino, st.st_size, st.st_mtime_ns)
        if now != seen:
            seen, since = now, time.monotonic()
        time.sleep(0.05)


def select_first(store):
    """No index, no UIDs: what adopting a mailbox costs."""
    def run(srv, rnd, opt, n):
        user = box(store, n)
        forget(srv, user)
        c = fresh(srv, user)
        with Measure(srv, settle=SETTLE) as m:
            c.ok("SELECT INBOX")
        c.logout()
        return each(m, 1)
    return run


def select_again(store):
    """Again and again by one session."""
    def run(srv, rnd, opt, n):
        c = open_box(srv, box(store, n))
        c.ok("SELECT INBOX")
        times = 50
        with Measure(srv, settle=SETTLE) as m:
            for _ in range(times):
                c.ok("SELECT INBOX")
        c.logout()
        return each(m, times)
    return run


def select_unchanged(store, anew=False):
    """By a new session, as a mail program's next connection does; `anew`:
    in a process that has just been started (one server's always are)."""
    def run(srv, rnd, opt, n):
        user, cpu, wall, times = box(store, n), 0.0, 0.0, 10
        open_box(srv, user).logout()
        time.sleep(1.1 if rnd == 0 else 0)  # older than the clock's grain
        open_box(srv, user).logout()
        for _ in range(times):
            if anew:
                end_sessions(srv, user)
            c = srv.imap(user, timeout=600)
            time.sleep(AFTER_LOGIN)  # what the login leaves is not in it
            with Measure(srv, settle=0.02) as m:
                c.ok("SELECT INBOX")
            cpu, wall = cpu + m.cpu, wall + m.wall
            c.logout()
        return {"cpu_ms": cpu / times * 1e3, "wall_ms": wall / times * 1e3}
    return run


def select_delivery(store):
    def run(srv, rnd, opt, n):
        user, times, cpu, wall = box(store, n), 10, 0.0, 0.0
        c = open_box(srv, user)
        c.ok("UNSELECT")
        for _ in range(times):
            deliver(srv, store, user)
            with Measure(srv, settle=0.02) as m:
                c.ok("SELECT INBOX")
            cpu, wall = cpu + m.cpu, wall + m.wall
            c.ok("UNSELECT")
        c.logout()
        return {"cpu_ms": cpu / times * 1e3, "wall_ms": wall / times * 1e3}
    return run


def first_second(items, store):
    """A listing by the first session ever and by the next one, in a process
    of its own; opening the mailbox is in both, for work may be done there."""
    def run(srv, rnd, opt, n):
        user = box(store, n)
        forget(srv, user)
        found = {}
        for name in ("first", "second"):
            c = fresh(srv, user)
            with Measure(srv, settle=SETTLE, name=name) as m:
                c.ok("SELECT INBOX")
                Bulk(c).run("FETCH 1:* (%s)" % items)
            c.logout()
            found[name + "_cpu_ms"] = m.cpu * 1e3
            found[name + "_wall_ms"] = m.wall * 1e3
        return found
    return run


def known(srv, user, rnd):
    """A mailbox that was read before: what is found when each message is read
    for the first time has rows of its own, and is no part of the others. They
    differed by it between the first round and the next ones, and between a run
    of all rows and one of a row alone."""
    if rnd == 0:
        c = open_box(srv, user, examine=True)
        Bulk(c).run("FETCH 1:* (RFC822.SIZE)")
        c.logout()
    at_rest(srv, user)


def fetch(items, store, tls=False, times=1):
    def run(srv, rnd, opt, n):
        c = open_box(srv, box(store, n), tls, examine=True)
        wait_until_written(srv, store, box(store, n))
        bulk, total = Bulk(c), 0
        with Measure(srv) as m:
            for _ in range(times):
                total += bulk.run("FETCH 1:* (%s)" % items)
        c.logout()
        mb = total / 1e6
        return {**each(m, times), "mb_per_s": mb / m.wall,
                "mb_per_cpu_s": mb / max(m.cpu, 1e-9),
                "bytes": total / times}
    return run


def bodies(store, tls=False):
    run_fetch = fetch("BODY.PEEK[]", store, tls)

    def run(srv, rnd, opt, n):
        known(srv, box(store, n), rnd)
        return run_fetch(srv, rnd, opt, n)
    return run


def random_messages(store):
    def run(srv, rnd, opt, n):
        known(srv, box(store, n), rnd)
        c = open_box(srv, box(store, n), examine=True)
        bulk, times = Bulk(c), 1000
        pick = random.Random(rnd)
        with Measure(srv) as m:
            for _ in range(times):
                bulk.run("FETCH %d BODY.PEEK[]" % pick.randint(1, n))
        c.logout()
        return {"cpu_us": m.cpu / times * 1e6, "wall_us": m.wall / times * 1e6}
    return run


def status(srv, rnd, opt, n):
    c = srv.imap(FOLDERS)
    names = ["Folder%03d" % i for i in range(200)]
    times = 3

    def all_of_them():
        tags = [c.start("STATUS %s (MESSAGES UNSEEN RECENT UIDNEXT "
                        "UIDVALIDITY)" % x) for x in names]
        for tag in tags:
            assert c.finish(tag)[0] == "OK"
    all_of_them()
    with Measure(srv) as m:
        for _ in range(times):
            all_of_them()
    c.logout()
    return {"cpu_us": m.cpu / times / len(names) * 1e6}


def list_status(srv, rnd, opt, n):
    c = srv.imap(FOLDERS)
    if "LIST-STATUS" not in c.capabilities():
        c.logout()
        return None
    command = 'LIST "" "*" RETURN (STATUS (MESSAGES UNSEEN))'
    c.ok(command)
    times = 5
    with Measure(srv) as m:
        for _ in range(times):
            answer = c.ok(command)
            assert sum(b"STATUS" in x for x in answer) >= 200
    c.logout()
    return each(m, times)
