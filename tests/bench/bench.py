#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""bench.py - Restante against Debian's Dovecot in one run.

Both servers run at the same time on copies of the same mail; each scenario is
measured by turns, several rounds, and the median counts. CPU is utime + stime
of all processes of a server from /proc, with those that have been reaped; the
client is not in it. Nothing is timed that the disk decides alone.

Needs root (both servers change to their users' uids) and dovecot-imapd,
dovecot-pop3d. Passwords are {PLAIN} on both sides: no hash is timed.
"""
import argparse
import json
import os
import resource
import select
import ssl
import statistics
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
# pylint: disable=wrong-import-position
from lib import dovecot, maildir, proc, restante, server, wire  # noqa: E402

USERS = 600          # u1.. with empty mail; enough for "first login" rounds
BIG = "big"          # the mailbox of --messages
POP = "pop"          # 1,000 messages
UIDS = {}

DOVECOT_LIMITS = """
default_process_limit = 8000
default_client_limit = 30000
mail_max_userip_connections = 5000
service imap {
  process_limit = 8000
}
service imap-login {
  process_limit = 8000
}
service pop3-login {
  process_limit = 1000
}
"""


def context(resume=False):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname = False
    c.verify_mode = ssl.CERT_NONE
    if not resume:
        c.options |= ssl.OP_NO_TICKET
    return c


NO_TICKET = context()


class Bulk:
    """Counts the bytes of one answer without looking at them."""

    def __init__(self, conn):
        self.conn = conn
        self.room = bytearray(1 << 20)
        self.view = memoryview(self.room)

    def run(self, command):
        c = self.conn
        tag = c.start(command)
        end = b"\r\n" + tag + b" "
        tail, total = b"\r\n" + c.buffer, len(c.buffer)
        c.buffer = b""
        c.sock.settimeout(120)
        while True:
            n = c.sock.recv_into(self.view)
            if n == 0:
                raise wire.Closed()
            total += n
            if n < 128:
                tail = (tail + bytes(self.view[:n]))[-512:]
            else:
                tail = bytes(self.view[max(0, n - 512):n])
            if end in tail and tail.endswith(b"\r\n"):
                status = tail[tail.rindex(end) + len(end):]
                assert status.startswith(b"OK"), status
                return total


class Measure:
    """with Measure(server) as m: ...; then m.cpu and m.wall in seconds."""

    def __init__(self, srv, settle=0.0):
        self.srv, self.settle = srv, settle

    def __enter__(self):
        self.cpu0 = proc.cpu_fine(self.srv.pid())
        self.t0 = time.monotonic()
        return self

    def __exit__(self, *what):
        self.wall = time.monotonic() - self.t0
        if self.settle:
            time.sleep(self.settle)  # workers that end after the answer
        self.cpu = proc.cpu_fine(self.srv.pid()) - self.cpu0


# ---- scenarios: each gives {figure: value} for one round of one server -------

def logins(srv, users, tls):
    with Measure(srv, settle=0.3) as m:
        for u in users:
            c = wire.Imap("127.0.0.1",
                          srv.imaps_port if tls else srv.imap_port,
                          tls=tls, context=NO_TICKET)
            c.login(u, server.PASSWORD)
            c.logout()
    return {"cpu_ms": m.cpu / len(users) * 1e3,
            "wall_ms": m.wall / len(users) * 1e3}


def login_first(tls):
    def run(srv, rnd, opt):
        n = opt.logins
        at = (rnd * 2 + (1 if tls else 0)) * n
        return logins(srv, ["u%d" % (1 + (at + i) % USERS)
                            for i in range(n)], tls)
    return run


def login_again(tls):
    def run(srv, rnd, opt):
        users = ["u%d" % (1 + i % 10) for i in range(opt.logins)]
        if rnd == 0:
            logins(srv, users[:10], False)
        return logins(srv, users, tls)
    return run


def resume(srv, rnd, opt):
    ctx = context(resume=True)
    session, resumed, n = None, 0, opt.logins
    with Measure(srv, settle=0.3) as m:
        for i in range(n + 1):
            c = wire.Wire("127.0.0.1", srv.imaps_port)
            c.start_tls(ctx, session=session)
            imap = c
            line = imap.line()
            assert line.startswith(b"* OK"), line
            imap.send(b"a LOGIN u1 %s\r\n" % server.PASSWORD.encode())
            while not imap.line().startswith(b"a OK"):
                pass
            if i:
                resumed += c.sock.session_reused
            session = c.sock.session
            imap.send(b"b LOGOUT\r\n")
            while not imap.line().startswith(b"b OK"):
                pass
            c.close()
    return {"cpu_ms": m.cpu / (n + 1) * 1e3,
            "resumed_percent": 100.0 * resumed / n}


def select_mailbox(srv, rnd, opt):
    c = srv.imap(BIG)
    c.ok("SELECT INBOX")
    n = 50
    with Measure(srv) as m:
        for _ in range(n):
            c.ok("SELECT INBOX")
    c.logout()
    return {"cpu_ms": m.cpu / n * 1e3, "wall_ms": m.wall / n * 1e3}


def fetch(items, tls=False, times=1):
    def run(srv, rnd, opt):
        c = srv.imap(BIG, tls=tls, context=NO_TICKET if tls else None)
        c.ok("EXAMINE INBOX")
        bulk = Bulk(c)
        total = 0
        with Measure(srv) as m:
            for _ in range(times):
                total += bulk.run("FETCH 1:* (%s)" % items)
        c.logout()
        mb = total / 1e6
        return {"cpu_ms": m.cpu / times * 1e3, "wall_ms": m.wall / times * 1e3,
                "mb_per_s": mb / m.wall, "mb_per_cpu_s": mb / max(m.cpu, 1e-9),
                "bytes": total / times}
    return run


def append(srv, rnd, opt):
    user = "u%d" % (USERS - rnd)
    text = maildir.message(1, size=4096, crlf=True)
    c = srv.imap(user)
    n = 200
    with Measure(srv) as m:
        for _ in range(n):
            c.append("INBOX", text)
    c.logout()
    return {"cpu_ms": m.cpu / n * 1e3, "wall_ms": m.wall / n * 1e3}


def idle_memory(tls):
    def run(srv, rnd, opt):
        if rnd > 0:
            return None  # one round says it
        n, users = opt.idle, opt.idle // 4
        time.sleep(1)
        before = proc.pss_kib(srv.pid())
        conns = []
        for i in range(n):
            c = wire.Imap("127.0.0.1",
                          srv.imaps_port if tls else srv.imap_port,
                          tls=tls, context=NO_TICKET)
            c.login("u%d" % (1 + i % users), server.PASSWORD)
            c.ok("SELECT INBOX")
            c.idle()
            conns.append(c)
        time.sleep(2)
        after = proc.pss_kib(srv.pid())
        count = len(proc.tree(srv.pid()))
        for c in conns:
            c.close()
        time.sleep(3)
        return {"kib_per_connection": (after - before) / n,
                "kib_all": after, "processes": count}
    return run


def latency(srv, rnd, opt):
    user = "u%d" % (USERS - 50 - rnd)
    c = srv.imap(user)
    c.ok("SELECT INBOX")
    tag = c.idle()
    times = []
    for i in range(15):
        time.sleep(0.05)
        text = maildir.message(i)
        box = srv.maildir(user)
        tmp = os.path.join(box, "tmp", "x%d" % i)
        with open(tmp, "wb") as f:
            f.write(text)
        os.chown(tmp, srv.uid_of(user), srv.uid_of(user))
        t0 = time.monotonic()
        os.rename(tmp, os.path.join(box, "new", "%d.M%d.bench" % (
            time.time(), i + rnd * 100)))
        c.until(rb"EXISTS", 10)
        times.append(time.monotonic() - t0)
    c.done(tag)
    c.logout()
    return {"median_ms": statistics.median(times) * 1e3}


def watchers(srv, rnd, opt):
    """One mailbox, 200 sessions in IDLE: when has the last one heard?"""
    user, n = "u%d" % (USERS - 80 - rnd), opt.watchers
    conns = []
    for _ in range(n):
        c = srv.imap(user)
        c.ok("SELECT INBOX")
        c.idle()
        conns.append(c)
    time.sleep(0.5)
    poll = select.epoll()
    by_fd = {}
    for c in conns:
        c.sock.setblocking(False)
        poll.register(c.sock, select.EPOLLIN)
        by_fd[c.sock.fileno()] = c
    box = srv.maildir(user)
    tmp = os.path.join(box, "tmp", "w%d" % rnd)
    with open(tmp, "wb") as f:
        f.write(maildir.message(1))
    os.chown(tmp, srv.uid_of(user), srv.uid_of(user))
    cpu0, t0 = proc.cpu_fine(srv.pid()), time.monotonic()
    os.rename(tmp, os.path.join(box, "new", "%d.W%d.bench" % (
        time.time(), rnd)))
    waiting = set(by_fd)
    last = t0
    while waiting and time.monotonic() < t0 + 30:
        for fd, _ in poll.poll(1):
            c = by_fd[fd]
            try:
                c.buffer += c.sock.recv(65536)
            except BlockingIOError:
                continue
            if b"EXISTS" in c.buffer and fd in waiting:
                waiting.discard(fd)
                last = time.monotonic()
    cpu = proc.cpu_fine(srv.pid()) - cpu0
    for c in conns:
        c.close()
    time.sleep(0.5)
    return {"last_ms": (last - t0) * 1e3, "cpu_ms": cpu * 1e3,
            "missed": len(waiting)}


def pop3(tls):
    def run(srv, rnd, opt):
        with Measure(srv, settle=0.3) as m:
            c = srv.pop3(POP, tls=tls, context=NO_TICKET if tls else None)
            n = int(c.ok("STAT").split()[1])
            c.multi("UIDL")
            # Pipelined in groups, as fetchers do.
            for start in range(1, n + 1, 50):
                group = range(start, min(start + 50, n + 1))
                c.send("".join("RETR %d\r\n" % i for i in group))
                for _ in group:
                    assert c.line().startswith(b"+OK")
                    c.lines()
            c.ok("QUIT")
        return {"cpu_ms": m.cpu * 1e3, "wall_ms": m.wall * 1e3}
    return run


# name, function, the figure that counts, is less better, target for ours as
# (kind, number): "ratio" to Dovecot, or "value".
SCENARIOS = [
    ("login, first of a user", login_first(False), "cpu_ms", True,
     ("ratio", 1 / 6)),
    ("login, first of a user, TLS", login_first(True), "cpu_ms", True,
     ("ratio", 1 / 6)),
    ("login again", login_again(False), "cpu_ms", True, ("ratio", 1 / 6)),
    ("login again, TLS", login_again(True), "cpu_ms", True,
     ("ratio", 1 / 6)),
    ("tickets resumed", resume, "resumed_percent", False, ("value", 100)),
    ("SELECT, unchanged", select_mailbox, "cpu_ms", True, None),
    ("FETCH 1:* FLAGS", fetch("UID FLAGS", times=3), "cpu_ms", True, None),
    ("FETCH 1:* header fields", fetch(
        "UID FLAGS BODY.PEEK[HEADER.FIELDS (FROM TO SUBJECT DATE)]"),
     "cpu_ms", True, None),
    ("FETCH 1:* ENVELOPE", fetch("UID ENVELOPE"), "cpu_ms", True, None),
    ("FETCH 1:* BODY[]", fetch("BODY.PEEK[]"), "mb_per_s", False,
     ("ratio", 2)),
    ("FETCH 1:* BODY[], CPU", None, "mb_per_cpu_s", False, ("ratio", 2)),
    ("FETCH 1:* BODY[], TLS", fetch("BODY.PEEK[]", tls=True), "mb_per_s",
     False, ("ratio", 3)),
    ("FETCH 1:* BODY[], TLS, CPU", None, "mb_per_cpu_s", False,
     ("ratio", 3)),
    ("APPEND 4 KiB", append, "cpu_ms", True, None),
    ("delivery to EXISTS", latency, "median_ms", True, ("value", 5)),
    ("200 watchers, the last", watchers, "last_ms", True, ("value", 50)),
    ("POP3 session, 1,000 messages", pop3(False), "cpu_ms", True, None),
    ("POP3 session, TLS", pop3(True), "cpu_ms", True, None),
    ("idle connection, plain", idle_memory(False), "kib_per_connection",
     True, ("value", 55)),
    ("idle connection, TLS", idle_memory(True), "kib_per_connection", True,
     ("value", 60)),
]


def make_mail(srv, opt):
    for i in range(1, opt.messages + 1):
        srv.deliver(BIG, maildir.message(i, size=(i % 16 + 1) * 1024),
                    flags="S" if i % 3 else "", when=1.7e9 + i)
    for i in range(1, 1001):
        srv.deliver(POP, maildir.message(i, size=(i % 8 + 1) * 1024),
                    flags="", when=1.7e9 + i)


def servers(opt):
    users = ["u%d" % i for i in range(1, USERS + 1)] + [BIG, POP]
    uids = {u: server.TEST_UID + i for i, u in enumerate(users)}
    found = {}
    if "restante" in opt.servers:
        found["restante"] = restante.Restante(
            users=users, separate=True, settings={
                "log_level": "info", "max_connections": 20000,
                "max_sessions_per_address": 20000,
                "max_sessions_per_user": 5000, "login_workers_max": 2000})
    if "dovecot" in opt.servers:
        found["dovecot"] = dovecot.Dovecot(
            users=users, tls=True, uids=uids, settings=DOVECOT_LIMITS)
    return found


def verdict(figure, target, ours, theirs):
    if target is None or ours is None:
        return "", None
    kind, number = target
    less = figure not in ("mb_per_s", "mb_per_cpu_s", "resumed_percent")
    value = ours / theirs if kind == "ratio" and theirs else ours
    if kind == "ratio" and not theirs:
        return "", None
    good = value <= number if less else value >= number
    return "%s %s %.3g" % ("ok  " if good else "MISS",
                           "<=" if less else ">=", number), good


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=10000)
    parser.add_argument("--logins", type=int, default=50)
    parser.add_argument("--idle", type=int, default=2000)
    parser.add_argument("--watchers", type=int, default=200)
    parser.add_argument("--only", default="", help="part of a name")
    parser.add_argument("--servers", default="restante,dovecot")
    parser.add_argument("--quick", action="store_true",
                        help="small figures: does it run at all?")
    parser.add_argument("--json", help="write all figures to this file")
    opt = parser.parse_args()
    opt.servers = opt.servers.split(",")
    if opt.quick:
        opt.rounds, opt.messages, opt.logins = 2, 500, 20
        opt.idle, opt.watchers = 40, 20
    if not server.is_root():
        print("bench: needs root, to run both servers as they are shipped")
        return 2
    if "dovecot" in opt.servers and not dovecot.is_there():
        print("bench: needs Debian's dovecot-imapd and dovecot-pop3d")
        return 2
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (65536, max(hard, 65536)))
    except (ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    running = servers(opt)
    results = {}
    missed = 0
    try:
        for srv in running.values():
            make_mail(srv, opt)
            srv.start()
            c = srv.imap(BIG)
            c.ok("SELECT INBOX")  # UIDs given, both indexes made
            c.logout()
        print("%-30s %12s %12s %9s" % ("", "restante", "dovecot",
                                       "ratio"), flush=True)
        previous = {}
        for name, fn, figure, _, target in SCENARIOS:
            if opt.only not in name:
                continue
            if fn is not None:
                rounds = {s: [] for s in running}
                for rnd in range(opt.rounds):
                    order = list(running)
                    if rnd % 2:
                        order.reverse()
                    for s in order:
                        r = fn(running[s], rnd, opt)
                        if r is not None:
                            rounds[s].append(r)
                previous = {
                    s: {k: statistics.median(r[k] for r in rs)
                        for k in rs[0]} for s, rs in rounds.items()}
                results[name] = previous
            ours = previous.get("restante", {}).get(figure)
            theirs = previous.get("dovecot", {}).get(figure)
            text, good = verdict(figure, target, ours, theirs)
            missed += good is False
            print("%-30s %12s %12s %9s  %-16s %s" % (
                name, "-" if ours is None else "%.2f" % ours,
                "-" if theirs is None else "%.2f" % theirs,
                "%.3f" % (ours / theirs) if ours is not None and theirs
                else "-", figure, text), flush=True)
        if opt.json:
            with open(opt.json, "w") as f:
                json.dump(results, f, indent=1)
        print("targets missed: %d" % missed)
    finally:
        for srv in running.values():
            try:
                srv.stop()
            finally:
                srv.remove()
        restante.unstage()
    return 0


if __name__ == "__main__":
    sys.exit(main())
