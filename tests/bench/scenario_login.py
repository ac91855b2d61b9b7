# SPDX-License-Identifier: ISC
"""scenario_login.py - logins: what a connection costs before it does anything.

Each scenario gives {figure: value} for one round of one server; `rnd` is the
round, `n` the size of the mailbox where the row has sizes.
"""
from lib import server, wire
from harness import (Measure, NO_TICKET, POP, at_rest, context, each,
                     forget)

FIRST_USERS = 500  # the others are for other rows


def logins(srv, users, tls):
    with Measure(srv, settle=0.3) as m:  # workers that end after the answer
        for u in users:
            c = wire.Imap("127.0.0.1",
                          srv.imaps_port if tls else srv.imap_port,
                          tls=tls, context=NO_TICKET)
            c.login(u, server.PASSWORD)
            c.logout()
    return each(m, len(users))


def first(tls):
    def run(srv, rnd, opt, n):
        at = (rnd * 2 + (1 if tls else 0)) * opt.logins
        users = ["u%d" % (1 + (at + i) % FIRST_USERS)
                 for i in range(opt.logins)]
        if at + opt.logins > FIRST_USERS:
            for user in users:
                forget(srv, user)
        return logins(srv, users, tls)
    return run


def again(tls):
    def run(srv, rnd, opt, n):
        users = ["u%d" % (1 + i % 10) for i in range(opt.logins)]
        if rnd == 0:
            logins(srv, users[:10], False)
        return logins(srv, users, tls)
    return run


def resume(srv, rnd, opt, n):
    ctx = context(resume=True)
    session, resumed, n = None, 0, opt.logins
    with Measure(srv, settle=0.3) as m:
        for i in range(n + 1):
            c = wire.Wire("127.0.0.1", srv.imaps_port)
            c.start_tls(ctx, session=session)
            line = c.line()
            assert line.startswith(b"* OK"), line
            c.send(b"a LOGIN u1 %s\r\n" % server.PASSWORD.encode())
            while not c.line().startswith(b"a OK"):
                pass
            if i:
                resumed += c.sock.session_reused
            session = c.sock.session
            c.send(b"b LOGOUT\r\n")
            while not c.line().startswith(b"b OK"):
                pass
            c.close()
    return {"cpu_ms": m.cpu / (n + 1) * 1e3,
            "resumed_percent": 100.0 * resumed / n}


def pop3(tls):
    """Not the first session of this maildrop that there ever was: that finds
    out what the later ones know. It was half of the median of two rounds."""
    def run(srv, rnd, opt, n):
        if rnd == 0:
            c = srv.pop3(POP)
            c.ok("STAT")
            c.multi("UIDL")
            c.ok("QUIT")
        at_rest(srv, POP)
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
        return each(m, 1)
    return run
