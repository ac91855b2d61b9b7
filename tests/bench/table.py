# SPDX-License-Identifier: ISC
"""table.py - the rows: what is measured, and what is asked of it.

A target is a fraction of Dovecot's figure in the same run ("ratio") or a
value. It holds for mailboxes of 10,000 messages and more, unless it is given
per size; smaller ones are measured for the growth.
"""
from harness import FOLDERS, POP
import scenario_change as change
import scenario_find as find
import scenario_login as login
import scenario_read as read
import scenario_wait as wait

LARGE = 10000
MAILDIR, MBOX = "maildir", "mbox"


class Row:
    """`run` None: another figure of the row above. `sized`: once for each
    size of --sizes up to `largest`. `fresh`: both servers are stopped and
    the one that is measured started anew. `growth`: the exponent allowed.
    `floor`: the operation of floor.c that is the least a row takes, how
    often (None: as many as there are messages), and in words."""

    def __init__(self, name, run, figure, target=None, sized=False,
                 store=None, need=None, fresh=False, rounds=None,
                 growth=1.0, largest=100000, floor=None):
        self.name, self.run, self.figure, self.target = \
            name, run, figure, target
        self.sized, self.store, self.need, self.fresh = \
            sized, store or (MAILDIR if sized else None), need, fresh
        self.rounds, self.growth, self.largest = rounds, growth, largest
        self.floor = floor
        self.less = not figure.startswith(("mb_per", "resumed"))

    def target_for(self, size):
        """("ratio" or "value", number) or None."""
        if self.target is None or not self.sized:
            return self.target
        kind, number = self.target
        if not isinstance(number, dict):
            number = {LARGE: number}
        fitting = [at for at in number if at <= size]
        return (kind, number[max(fitting)]) if fitting else None


EXEC = ("exec", 50, "fork, exec of a program that does nothing, wait")
LIST = ("list", None, "readdir")
READ = ("read", None, "open, fstat, read, close")
SCAN = ("scan", None, "read of 64 KiB")
DELIVER = ("deliver", 200, "create, write 4 KiB, fdatasync, rename, close")


def first_floor(store):
    return READ if store == MAILDIR else SCAN


def ratio(number):
    return ("ratio", number)


def sized(name, run, figure, target=None, store=MAILDIR, **kw):
    return Row(name, run, figure, target, sized=True, store=store, **kw)


def pair(name, items, store, first, second):
    """The rows of a listing by the first and by the second session."""
    return [
        sized(name + ", first", read.first_second(items, store),
              "first_cpu_ms", ratio(first), store,
              floor=first_floor(store)),
        sized(name + ", second", None, "second_cpu_ms", ratio(second), store),
    ]


def found(name, store, first, second):
    """The rows of a search on a mailbox never seen and on one seen before."""
    return [
        sized(label_in(name + ", first", store),
              find.first_second(name, store), "first_cpu_ms", ratio(first),
              store, floor=first_floor(store)),
        sized(label_in(name + ", second", store), None, "second_cpu_ms",
              ratio(second), store),
    ]


def built(name, store, target):
    return [sized(label_in(name + ", built", store), find.built(name, store),
                  "cpu_ms", ratio(target), store)]


def label_in(name, store):
    return name if store == MAILDIR else "%s: %s" % (store, name)


def all_found(store):
    rows = []
    for name in find.QUESTIONS:
        if name.startswith(("SEARCH TEXT", "SEARCH BODY")):
            continue
        rows += found(name, store, 1 / 4, 1 / 8)
    for name in ("SEARCH TEXT", "SEARCH BODY"):
        rows += found(name, store, 1 / 4, 1 / 4)
        rows += built(name + ", rare", store, 1 / 100)
    return rows


UNCHANGED = {10000: 1 / 4, 100000: 1 / 20, 1000000: 1 / 100}
MILLION = 1000000

ROWS = [
    Row("login, first of a user", login.first(False), "cpu_ms",
        ratio(1 / 6), floor=EXEC),
    Row("login, first of a user, TLS", login.first(True), "cpu_ms",
        ratio(1 / 6), floor=EXEC),
    Row("login again", login.again(False), "cpu_ms", ratio(1 / 6)),
    Row("login again, TLS", login.again(True), "cpu_ms", ratio(1 / 6)),
    Row("tickets resumed", login.resume, "resumed_percent", ("value", 100)),

    sized("SELECT, first ever", read.select_first(MAILDIR), "cpu_ms",
          ratio(1 / 2), largest=MILLION, floor=LIST),
    sized("SELECT, unchanged", read.select_unchanged(MAILDIR), "cpu_ms",
          ratio(UNCHANGED), growth=0.1, largest=MILLION),
    sized("SELECT, unchanged, new process",
          read.select_unchanged(MAILDIR, anew=True), "cpu_ms",
          ratio(UNCHANGED), growth=0.1, largest=MILLION),
    sized("SELECT, unchanged, same session", read.select_again(MAILDIR),
          "cpu_ms", None, growth=0.1),
    sized("SELECT, one delivery", read.select_delivery(MAILDIR), "cpu_ms",
          ratio(1 / 20), largest=MILLION),
    sized("FETCH 1:* FLAGS", read.fetch("UID FLAGS", MAILDIR, times=3),
          "cpu_ms", ratio(1 / 10), largest=MILLION),
    *pair("ENVELOPE", "UID FLAGS ENVELOPE", MAILDIR, 1 / 3, 1 / 25),
    *pair("BODYSTRUCTURE", "UID BODYSTRUCTURE", MAILDIR, 1 / 2, 1 / 4),
    *pair("header fields", read.LIST_FIELDS, MAILDIR, 1 / 4, 1 / 5),
    sized("FETCH 1:* BODY[]", read.bodies(MAILDIR), "cpu_ms", ratio(1 / 3),
          floor=READ),
    sized("FETCH 1:* BODY[], MB/s", None, "mb_per_s", ratio(2)),
    sized("FETCH 1:* BODY[], TLS",
          read.bodies(MAILDIR, tls=True), "cpu_ms", ratio(1 / 3), floor=READ),
    sized("FETCH 1:* BODY[], TLS, MB/s", None, "mb_per_s", ratio(3)),
    sized("1,000 random messages, each", read.random_messages(MAILDIR),
          "cpu_us", ratio(1 / 3)),
    sized("flag toggle", change.toggles(MAILDIR, 1), "cpu_ms",
          ratio(1 / 4)),
    sized("flag toggle, 8 clients", change.toggles(MAILDIR, 8), "cpu_ms",
          ratio(1 / 6)),
    sized("STORE 1:*", change.store_all(MAILDIR), "cpu_ms",
          ratio(1 / 1.5), floor=("rename", None, "rename in a folder")),
    Row("APPEND 4 KiB", change.append(1), "cpu_ms", ratio(1 / 2),
        floor=DELIVER),
    Row("APPEND 4 KiB, 8 clients", change.append(8), "cpu_ms",
        ratio(1 / 2), floor=DELIVER),
    Row("APPEND, wall, 8 to 1 client", None, "wall_to_one", ("value", 1)),
    sized("COPY 1:*", change.copy_move_expunge, "copy_cpu_ms",
          ratio(1 / 2.5), floor=("link", None, "link into a folder")),
    sized("MOVE 1:*", None, "move_cpu_ms", ratio(1 / 3),
          floor=("move", None, "rename into another folder")),
    sized("EXPUNGE of all", None, "expunge_cpu_ms", ratio(1 / 2),
          floor=("unlink", None, "unlink")),
    Row("STATUS of 200 folders, each", read.status, "cpu_us", ratio(1 / 4),
        need=FOLDERS),
    Row("LIST-STATUS of 200 folders", read.list_status, "cpu_ms",
        ratio(1 / 4), need=FOLDERS),
    *all_found(MAILDIR),
    Row("POP3 session, 1,000 messages", login.pop3(False), "cpu_ms",
        ratio(1 / 3), need=POP,
        floor=("read", 1000, "open, fstat, read, close")),
    Row("POP3 session, TLS", login.pop3(True), "cpu_ms", ratio(1 / 3),
        need=POP, floor=("read", 1000, "open, fstat, read, close")),
    Row("delivery to EXISTS", wait.latency, "median_ms", ("value", 5)),
    Row("200 watchers, the last", wait.watchers, "last_ms", ("value", 50)),

    sized("mbox: SELECT, first ever", read.select_first(MBOX), "cpu_ms",
          ratio(1 / 8), MBOX, largest=MILLION, floor=SCAN),
    sized("mbox: SELECT, unchanged", read.select_unchanged(MBOX), "cpu_ms",
          ratio(UNCHANGED), MBOX, growth=0.1, largest=MILLION),
    sized("mbox: SELECT, unchanged, new process",
          read.select_unchanged(MBOX, anew=True), "cpu_ms",
          ratio(UNCHANGED), MBOX, growth=0.1, largest=MILLION),
    sized("mbox: SELECT, one delivery", read.select_delivery(MBOX),
          "cpu_ms", ratio(1 / 100), MBOX, largest=MILLION),
    sized("mbox: FETCH 1:* FLAGS", read.fetch("UID FLAGS", MBOX, times=3),
          "cpu_ms", ratio(1 / 10), MBOX, largest=MILLION),
    *pair("mbox: ENVELOPE", "UID FLAGS ENVELOPE", MBOX, 1 / 8, 1 / 40),
    sized("mbox: FETCH 1:* BODY[]", read.bodies(MBOX),
          "cpu_ms", ratio(1 / 4), MBOX, floor=SCAN),
    *all_found(MBOX),
    sized("mbox: EXPUNGE of 1,000", change.expunge_mbox, "cpu_ms",
          ratio(1 / 3), MBOX),
    sized("mbox: flags of 1,000", change.store_all(MBOX), "cpu_ms",
          ratio(1 / 2), MBOX),
    sized("mbox: APPEND 4 KiB", change.append_mbox, "cpu_ms", ratio(1 / 4),
          MBOX, floor=("append", 200, "write of 4 KiB, fdatasync")),

    sized("memory of a session", wait.session_memory(MAILDIR), "pss_kib",
          ratio({MILLION: 1 / 20}), rounds=1, largest=MILLION),
    sized("mbox: memory of a session", wait.session_memory(MBOX), "pss_kib",
          ratio({MILLION: 1 / 20}), MBOX, rounds=1, largest=MILLION),
    Row("idle connection, plain", wait.idle_memory(False),
        "kib_per_connection", ("value", 55), fresh=True, rounds=1),
    Row("idle connection, TLS", wait.idle_memory(True),
        "kib_per_connection", ("value", 60), fresh=True, rounds=1),
]
