# SPDX-License-Identifier: ISC
"""scenario_wait.py - idle connections: how soon they hear, what they weigh."""
import os
import select
import statistics
import threading
import time

from lib import maildir, proc, server, wire
from harness import (NO_TICKET, USERS, Bulk, Measure, box, end_sessions,
                     open_box, session_pids)


def idle_memory(tls):
    """Both servers are stopped before, and only this one runs again: no page
    of a library is shared with the other, no process is left of before."""
    def run(srv, rnd, opt, n):
        n, users = opt.idle, max(opt.idle // 4, 1)
        time.sleep(1)
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
        whole = proc.pss_kib(srv.pid())
        count = len(proc.tree(srv.pid()))
        Measure.memory(proc.tree(srv.pid()))
        for c in conns:
            c.close()
        return {"kib_per_connection": whole / n, "kib_all": whole,
                "processes": count}
    return run


def session_memory(store):
    """The largest PSS of the process of one session that walks a mailbox."""
    def run(srv, rnd, opt, n):
        user = box(store, n)
        open_box(srv, user).logout()
        end_sessions(srv, user)
        c = open_box(srv, user)
        pids = session_pids(srv, user)
        assert pids, (srv.name, user)
        peak, done = [0], threading.Event()

        def watch():
            while not done.wait(0.02):
                peak[0] = max(peak[0], sum(pss_of(p) for p in pids))
        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            Bulk(c).run("FETCH 1:* (UID FLAGS)")
            Bulk(c).run("UID SEARCH UNSEEN")
            time.sleep(0.1)
            Measure.memory(pids)
        finally:
            done.set()
            watcher.join()
        c.logout()
        return {"pss_kib": peak[0]}
    return run


def pss_of(pid):
    try:
        with open("/proc/%d/smaps_rollup" % pid) as f:
            for line in f:
                if line.startswith("Pss:"):
                    return int(line.split()[1])
    except OSError:
        pass
    return 0


def prepare(srv, user, name):
    """A message in tmp/, ready to be renamed."""
    path = os.path.join(srv.maildir(user), "tmp", name)
    with open(path, "wb") as f:
        f.write(maildir.message(1))
    os.chown(path, srv.uid_of(user), srv.uid_of(user))
    return path


def latency(srv, rnd, opt, n):
    user = "u%d" % (USERS - 60 - rnd)
    c = srv.imap(user)
    c.ok("SELECT INBOX")
    tag = c.idle()
    times = []
    with Measure(srv):
        for i in range(15):
            time.sleep(0.05)
            tmp = prepare(srv, user, "x%d" % i)
            new = os.path.join(srv.maildir(user), "new", "%d.M%d.bench" % (
                time.time(), i + rnd * 100))
            t0 = time.monotonic()
            os.rename(tmp, new)
            c.until(rb"EXISTS", 10)
            times.append(time.monotonic() - t0)
    c.done(tag)
    c.logout()
    return {"median_ms": statistics.median(times) * 1e3}


def watchers(srv, rnd, opt, n):
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
    tmp = prepare(srv, user, "w%d" % rnd)
    new = os.path.join(srv.maildir(user), "new", "%d.W%d.bench" % (
        time.time(), rnd))
    waiting = set(by_fd)
    with Measure(srv) as m:
        t0 = last = time.monotonic()
        os.rename(tmp, new)
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
    for c in conns:
        c.close()
    time.sleep(0.5)
    return {"last_ms": (last - t0) * 1e3, "cpu_ms": m.cpu * 1e3,
            "missed": len(waiting)}
