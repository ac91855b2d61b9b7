# SPDX-License-Identifier: ISC
"""POP3 as RFC 1939 has it, with the extensions that clients look for."""
import os
import re
import time

from lib import maildir, restante, server

M = maildir.message


def test_greeting_capa(shared, user):
    c = shared.pop3()
    assert c.greeting.startswith(b"+OK")
    before = {x.decode() for x in c.multi("CAPA")}
    for name in ("TOP", "UIDL", "RESP-CODES", "PIPELINING",
                 "AUTH-RESP-CODE"):
        assert name in before, name
    assert "STLS" in before
    assert any(x.startswith("SASL") and "PLAIN" in x for x in before)
    c.login(user, server.PASSWORD)
    after = {x.decode().split()[0] for x in c.multi("CAPA")}
    assert {"TOP", "UIDL", "RESP-CODES", "PIPELINING"} <= after


def test_transaction(shared, user):
    texts = [M(i, body=b"line\r\n" * i, crlf=True) for i in (1, 2, 3)]
    for i in (1, 2, 3):
        shared.deliver(user, M(i, body=b"line\r\n" * i))
        time.sleep(0.01)
    c = shared.pop3(user)
    sizes = [int(x.split()[1]) for x in c.multi("LIST")]
    assert sorted(sizes) == sorted(len(t) for t in texts)
    assert c.ok("STAT") == b"+OK 3 %d" % sum(sizes)
    assert c.ok("LIST 2").startswith(b"+OK 2 %d" % sizes[1])
    whole = b"\r\n".join(c.multi("RETR 1")) + b"\r\n"
    assert whole in texts
    top = c.multi("TOP 3 1")
    assert top[-1] == b"line" and top.count(b"line") == 1
    assert c.multi("TOP 3 0")[-1] == b""
    uidl = dict(x.split(b" ", 1) for x in c.multi("UIDL"))
    assert len(set(uidl.values())) == 3
    assert c.ok("UIDL 2").startswith(b"+OK 2 " + uidl[b"2"])
    c.ok("DELE 2")
    c.err("DELE 2")
    c.err("RETR 2")
    c.err("LIST 2")
    assert [x.split()[0] for x in c.multi("LIST")] == [b"1", b"3"]
    assert c.ok("STAT").startswith(b"+OK 2 ")
    c.ok("RSET")
    assert c.ok("STAT").startswith(b"+OK 3 ")
    c.ok("DELE 1")
    c.ok("NOOP")
    for bad in ("RETR", "RETR 0", "RETR 9", "RETR x", "TOP 1", "DELE",
                "NONSENSE", "LIST 99999999999999999999"):
        c.err(bad)
    c.ok("QUIT")
    assert c.is_closed()
    assert len(maildir.files(shared.maildir(user))) == 2
    again = shared.pop3(user)
    later = dict(x.split(b" ", 1) for x in again.multi("UIDL"))
    assert list(later.values()) == [uidl[b"2"], uidl[b"3"]]


def test_default_uidl_is_dovecots(shared, user):
    shared.fill(user, 1)
    i = shared.imap(user)
    text = b" ".join(i.ok("SELECT INBOX"))
    validity = int(re.search(rb"UIDVALIDITY (\d+)", text).group(1))
    i.logout()
    c = shared.pop3(user)
    assert c.multi("UIDL") == [b"1 %08x%08x" % (1, validity)]


def test_gone_without_quit(shared, user):
    shared.fill(user, 2)
    c = shared.pop3(user)
    c.ok("DELE 1")
    c.close()
    time.sleep(0.3)
    assert len(maildir.files(shared.maildir(user))) == 2


def test_byte_stuffing(shared, user):
    body = b".\r\n..\r\n.x\r\nend\r\n"
    shared.deliver(user, M(1, body=body))
    c = shared.pop3(user)
    c.ok("RETR 1")
    raw = b""
    while not raw.endswith(b"\r\n.\r\n"):
        raw += c.exactly(1) if not c.buffer else c.exactly(len(c.buffer))
    assert raw.endswith(b"\r\n\r\n..\r\n...\r\n..x\r\nend\r\n.\r\n")


def test_no_line_end_at_the_end(shared, user):
    shared.deliver(user, M(1, body=b"no line end"))
    c = shared.pop3(user)
    assert c.multi("RETR 1")[-1] == b"no line end"


def test_exclusive(shared, user):
    shared.fill(user, 1)
    first = shared.pop3(user)
    second = shared.pop3()
    second.cmd("USER " + user)
    began = time.monotonic()
    answer = second.cmd("PASS " + server.PASSWORD)
    assert answer.startswith(b"-ERR [IN-USE]"), answer
    assert time.monotonic() - began < 15
    first.ok("QUIT")
    shared.pop3(user).ok("STAT")


def test_wrong_password(shared, user):
    c = shared.pop3()
    c.ok("USER " + user)
    answer = c.err("PASS wrong")
    assert answer.startswith(b"-ERR [AUTH]"), answer
    c.ok("USER " + user)
    c.ok("PASS " + server.PASSWORD)


def test_states(shared, user):
    c = shared.pop3()
    for command in ("STAT", "RETR 1"):
        c.err(command)
    c.ok("QUIT")
    for command in ("LIST", "DELE 1", "UIDL", "TOP 1 1", "RSET"):
        shared.pop3().err(command)


def test_auth_plain(shared, user):
    import base64
    word = base64.b64encode(b"\0%s\0%s" % (
        user.encode(), server.PASSWORD.encode())).decode()
    c = shared.pop3()
    c.ok("AUTH PLAIN " + word)
    c.ok("STAT")
    d = shared.pop3()
    assert d.cmd("AUTH PLAIN").startswith(b"+ ")
    d.send(b"*\r\n")
    assert d.line().startswith(b"-ERR")


def test_pipelining(shared, user):
    shared.fill(user, 3)
    c = shared.pop3()
    c.send("USER %s\r\nPASS %s\r\nSTAT\r\nRETR 1\r\nRETR 2\r\nQUIT\r\n" %
           (user, server.PASSWORD))
    assert c.line().startswith(b"+OK")
    assert c.line().startswith(b"+OK")
    assert c.line().startswith(b"+OK 3 ")
    for _ in (1, 2):
        assert c.line().startswith(b"+OK")
        c.lines()
    assert c.line().startswith(b"+OK")
    assert c.is_closed()


def test_new_mail_waits_for_the_next_session(shared, user):
    shared.fill(user, 1)
    c = shared.pop3(user)
    shared.deliver(user, M(2))
    time.sleep(0.2)
    assert c.ok("STAT").startswith(b"+OK 1 ")
    c.ok("QUIT")
    assert shared.pop3(user).ok("STAT").startswith(b"+OK 2 ")


def test_poplib(shared, user):
    import poplib
    shared.fill(user, 2)
    c = poplib.POP3("127.0.0.1", shared.pop3_port)
    c.user(user)
    c.pass_(server.PASSWORD)
    assert c.stat()[0] == 2
    assert b"Subject: Message" in b"\n".join(c.retr(1)[1])
    c.dele(1)
    c.quit()
    assert len(maildir.files(shared.maildir(user))) == 1


# ---- what is left to the session ---------------------------------------------

def raw_retr(c, number):
    c.send("RETR %d\r\n" % number)
    assert c.line().startswith(b"+OK")
    lines = []
    while True:
        line = c.line()
        if line == b".":
            return b"\r\n".join(lines) + b"\r\n"
        lines.append(line[1:] if line.startswith(b".") else line)


def test_nul_becomes_something_outlook_can_read(shared, user):
    shared.deliver(user, M(1, body=b"a\0b\r\n"))
    c = shared.pop3(user)
    size = int(c.ok("LIST 1").split()[2])
    text = raw_retr(c, 1)
    assert text.endswith(b"a\x80b\r\n")
    assert len(text) == size


def test_retrieved_is_seen_after_quit(shared, user):
    shared.fill(user, 3)
    c = shared.pop3(user)
    c.multi("RETR 2")
    c.multi("TOP 3 1")
    c.close()
    time.sleep(0.3)
    assert not any(f.endswith("S") for f in os.listdir(
        os.path.join(shared.maildir(user), "cur")))
    c = shared.pop3(user)
    c.multi("RETR 2")
    c.multi("TOP 3 1")
    c.ok("QUIT")
    flags = [f.rpartition(":2,")[2] for f in os.listdir(
        os.path.join(shared.maildir(user), "cur"))]
    assert sorted(flags) == ["", "", "S"]


def test_a_session_by_hand_keeps_out_others(shared, user):
    """Another process, without master, has the lock."""
    import subprocess

    from lib import restante
    shared.fill(user, 1)
    if shared.uid_of(user) != os.geteuid():
        os.chown(shared.maildir(user), os.geteuid(), -1)
    with subprocess.Popen(
            [os.path.join(restante.BUILD, "bin", "pop3d"),
             "maildir:" + shared.maildir(user)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={"HOME": shared.home(user), "USER": user}) as p:
        try:
            assert p.stdout.readline().startswith(b"+OK 1 ")
            if shared.uid_of(user) != os.geteuid():
                os.chown(shared.maildir(user), shared.uid_of(user), -1)
            c = shared.pop3()
            c.cmd("USER " + user)
            assert c.cmd("PASS " + server.PASSWORD).startswith(
                b"-ERR [IN-USE]")
        finally:
            p.stdin.write(b"QUIT\r\n")
            p.stdin.close()
            p.wait(10)
    shared.pop3(user).ok("STAT")


def test_slow_reader(shared, user):
    """His session waits; the server's memory does not grow, and a message of
    many megabytes comes whole."""
    body = b"0123456789abcdef\r\n" * 500000
    shared.deliver(user, M(1, body=body))
    c = shared.pop3(user)
    size = int(c.ok("LIST 1").split()[2])
    c.send("RETR 1\r\nNOOP\r\n")
    time.sleep(1)
    pid = max(shared.pids("pop3d"))
    with open("/proc/%d/status" % pid) as f:
        rss = int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))
    # A sanitizer alone takes some 10 MiB, valgrind 60; the message has 9.
    if not restante.VALGRIND:
        assert rss < (24 if restante.SANITIZED else 16) * 1024, rss
    assert c.line().startswith(b"+OK")
    assert len(c.exactly(size)) == size
    assert c.line() == b"."
    assert c.line().startswith(b"+OK")


def test_two_hundred_bad_commands(shared, user):
    c = shared.pop3(user)
    c.send("NONSENSE\r\n" * 200)
    for _ in range(21):  # one answer for each
        assert c.line().startswith(b"-ERR")
    assert c.is_closed()


def test_long_line(shared, user):
    c = shared.pop3(user)
    c.send("X" * 100000 + "\r\nNOOP\r\n")
    assert c.line().startswith(b"-ERR")
    assert c.line().startswith(b"+OK")


def test_large_maildrop(shared, user):
    shared.fill(user, 300)
    c = shared.pop3(user)
    assert len(c.multi("LIST")) == 300
    for i in range(1, 301, 2):
        c.send("DELE %d\r\n" % i)
    for i in range(1, 301, 2):
        assert c.line().startswith(b"+OK")
    assert c.ok("QUIT").endswith(b"150 messages removed")
    assert len(maildir.files(shared.maildir(user))) == 150


def test_log_line(shared, user):
    shared.fill(user, 2)
    c = shared.pop3(user)
    c.multi("RETR 1")
    c.ok("DELE 2")
    c.ok("QUIT")
    line = shared.wait_log(
        r"session ended user=<%s> .*retr=1/\d+ del=1/2 size=\d+ "
        r'reason="logged out"' % user)
    assert line


def test_maildir_is_a_link(shared, user):
    """~/Maildir on another disk, as many have it."""
    home, uid = shared.home(user), shared.uid_of(user)
    shared.deliver(user, M(1))
    os.mkdir(os.path.join(home, "elsewhere"))
    os.chown(os.path.join(home, "elsewhere"), uid, uid)
    os.rename(shared.maildir(user), os.path.join(home, "elsewhere", "M"))
    os.symlink("elsewhere/M", shared.maildir(user).rstrip("/"))
    c = shared.pop3(user)
    assert c.ok("STAT").startswith(b"+OK 1 ")
    c.ok("DELE 1")
    # Still one session at a time.
    other = shared.pop3()
    other.send("USER %s\r\nPASS %s\r\n" % (user, server.PASSWORD))
    assert other.line().startswith(b"+OK")
    assert other.line().startswith(b"-ERR [IN-USE]")
    c.ok("QUIT")


def test_uidl_format_and_xuidl(start):
    s = start(users=["anna"], settings={"pop3_uidl": "%v-%u",
                                        "reuse_xuidl": True})
    s.deliver("anna", M(1))
    s.deliver("anna", M(2, extra=b'X-UIDL: abc"def\r\n'))
    c = s.pop3("anna")
    ids = [x.split(b" ", 1)[1] for x in c.multi("UIDL")]
    assert re.match(rb"^\d+-1$", ids[0])
    assert ids[1] == b'abc"def'
