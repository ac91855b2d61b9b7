# SPDX-License-Identifier: ISC
"""scenario_change.py - flags, new messages, copies, removal."""
import os
import random

from harness import USERS, Measure, box, each, open_box
import mail

SETTLE = 0.3  # flag changes may be written behind the answer


def toggles(store, clients):
    """Each of the clients sets or clears a flag of a random message; all
    wait for all before the next."""
    def run(srv, rnd, opt, n):
        conns = [open_box(srv, box(store, n)) for _ in range(clients)]
        pick = random.Random(rnd)
        times = max(400 // clients, 50)
        with Measure(srv, settle=SETTLE) as m:
            for i in range(times):
                tags = [c.start("STORE %d %sFLAGS (\\Flagged)" % (
                    pick.randint(1, n), "-+"[(i + rnd) % 2])) for c in conns]
                for c, tag in zip(conns, tags):
                    status, text, _ = c.finish(tag)
                    assert status == "OK", text
        for c in conns:
            c.logout()
        return each(m, times * clients)
    return run


def thousand(n):
    """The step that finds 1,000 of n messages; of fewer than 10,000, each
    tenth."""
    return n // 1000 if n >= 10000 else 10


def store_all(store):
    """A flag of all messages (mbox: of 1,000) set, written, cleared,
    written."""
    def run(srv, rnd, opt, n):
        c = open_box(srv, box(store, n))
        step = thousand(n) if store == "mbox" else 1
        which = "1:*" if step == 1 else ",".join(
            str(i) for i in range(1, n + 1, step))
        c.ok("STORE %s -FLAGS.SILENT (\\Answered)" % which)
        c.ok("CHECK")
        with Measure(srv, settle=SETTLE) as m:
            for sign in "+-":
                c.ok("STORE %s %sFLAGS.SILENT (\\Answered)" % (which, sign))
                c.ok("CHECK")
        c.logout()
        return each(m, 2)
    return run


def append(clients):
    """Into the empty mailbox of a user nobody has asked for yet."""
    def run(srv, rnd, opt, n):
        user = "u%d" % (USERS - rnd - (30 if clients > 1 else 0))
        text = mail.message(1).ljust(4096, b".").replace(b"\n", b"\r\n")
        conns = [srv.imap(user) for _ in range(clients)]
        return appends(srv, conns, text)
    return run


def append_mbox(srv, rnd, opt, n):
    text = mail.message(1).ljust(4096, b".").replace(b"\n", b"\r\n")
    return appends(srv, [open_box(srv, box("mbox", n))], text)


def appends(srv, conns, text):
    times = 200 // len(conns)
    with Measure(srv, settle=0.1) as m:
        for _ in range(times):
            tags = []
            for c in conns:
                tags.append(c.tag())
                c.send(tags[-1] + b" APPEND INBOX {%d}\r\n" % len(text))
            for c in conns:
                while not c.response().startswith(b"+"):
                    pass
                c.send(text + b"\r\n")
            for c, tag in zip(conns, tags):
                status, why, _ = c.finish(tag)
                assert status == "OK", why
    for c in conns:
        c.logout()
    return each(m, times * len(conns))


def copy_move_expunge(srv, rnd, opt, n):
    c = open_box(srv, box("maildir", n))
    first, second = "copy%d" % rnd, "move%d" % rnd
    c.ok("CREATE " + first)
    c.ok("CREATE " + second)
    with Measure(srv, settle=SETTLE, name="copy") as copy:
        c.ok("COPY 1:* " + first, 600)
    c.ok("SELECT " + first)
    with Measure(srv, settle=SETTLE, name="move") as move:
        c.ok("MOVE 1:* " + second, 600)
    c.ok("SELECT " + second)
    c.ok("STORE 1:* +FLAGS.SILENT (\\Deleted)", 600)
    with Measure(srv, settle=SETTLE, name="expunge") as expunge:
        c.ok("EXPUNGE", 600)
    c.ok("SELECT INBOX")
    c.ok("DELETE " + first)
    c.ok("DELETE " + second)
    c.logout()
    return {"copy_cpu_ms": copy.cpu * 1e3, "move_cpu_ms": move.cpu * 1e3,
            "expunge_cpu_ms": expunge.cpu * 1e3,
            "copy_wall_ms": copy.wall * 1e3, "move_wall_ms": move.wall * 1e3,
            "expunge_wall_ms": expunge.wall * 1e3}


def expunge_mbox(srv, rnd, opt, n):
    """Messages from all over the file."""
    user = box("mbox", n)
    folder = "gone%d" % rnd
    path = os.path.join(srv.home(user), "mail", folder)
    mail.copy_file(srv.templates[user], path, srv.uid_of(user))
    c = srv.imap(user, timeout=600)
    c.ok("SELECT " + folder)
    c.ok("STORE %s +FLAGS.SILENT (\\Deleted)" % ",".join(
        str(i) for i in range(1, n + 1, thousand(n))))
    c.ok("CHECK")
    with Measure(srv, settle=SETTLE) as m:
        c.ok("EXPUNGE", 600)
    c.ok("SELECT INBOX")
    c.ok("DELETE " + folder)
    c.logout()
    return each(m, 1)
