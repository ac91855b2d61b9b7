# SPDX-License-Identifier: ISC
"""POP3's options: EXPIRE and LOGIN-DELAY as they are announced (RFC 2449), AUTH
with an initial response for all mechanisms (RFC 5034), LAST, deletion as a
flag, folders by name of the user."""
import base64
import os
import re
import time

import pytest

from lib import maildir, pop3_store, server
from lib.authd import Scram

M = maildir.message
OLD = time.time() - 40 * 86400


@pytest.fixture(params=["maildir", "mbox"])
def begin(request):
    running = []

    def fn(**settings):
        s = pop3_store.start(request.param, users=3, **settings)
        running.append(s)
        return s.start()
    yield fn
    for s in running:
        s.stop()
        s.remove()


def capa(c):
    return {x.decode() for x in c.multi("CAPA")}


# ---- EXPIRE -------------------------------------------------------------------

def test_expire_never(begin):
    s = begin()
    pop3_store.deliver(s, "p0", M(1), when=OLD, flags="S")
    c = s.pop3()
    assert "EXPIRE NEVER" in capa(c)
    c.login("p0", server.PASSWORD)
    assert "EXPIRE NEVER" in capa(c)
    c.multi("RETR 1")
    c.ok("QUIT")
    assert pop3_store.count(s, "p0") == 1


def test_expire_days(begin):
    s = begin(pop3_expire="30")
    pop3_store.deliver(s, "p0", M(1), when=OLD, flags="S")  # read and old
    pop3_store.deliver(s, "p0", M(2), flags="S")            # read, new
    pop3_store.deliver(s, "p0", M(3), when=OLD, flags="")   # old, not read
    pop3_store.deliver(s, "p0", M(4), when=OLD, flags="")   # read in a moment
    c = s.pop3()
    assert "EXPIRE 30 USER" in capa(c)
    c.login("p0", server.PASSWORD)
    assert "EXPIRE 30" in capa(c)
    subjects = [re.search(rb"Message (\d)", b"\n".join(c.multi(
        "TOP %d 0" % i))).group(1) for i in (1, 2, 3, 4)]
    c.multi("RETR %d" % (subjects.index(b"4") + 1))
    c.close()  # without QUIT nothing goes
    time.sleep(0.2)
    assert pop3_store.count(s, "p0") == 4
    c = s.pop3("p0")
    c.multi("RETR %d" % (subjects.index(b"4") + 1))
    assert b"2 messages removed" in c.ok("QUIT")
    c = s.pop3("p0")
    left = b"".join(b"".join(c.multi("TOP %d 0" % i)) for i in (1, 2))
    assert b"Message 2" in left and b"Message 3" in left
    assert c.ok("STAT").startswith(b"+OK 2 ")


def test_expire_at_once(begin):
    s = begin(pop3_expire="0")
    for i in (1, 2):
        pop3_store.deliver(s, "p0", M(i))
    c = s.pop3()
    assert "EXPIRE 0 USER" in capa(c)
    c.login("p0", server.PASSWORD)
    c.multi("TOP 1 100")  # this is no RETR
    c.multi("RETR 2")
    assert c.ok("STAT").startswith(b"+OK 2 ")
    c.ok("QUIT")
    assert pop3_store.count(s, "p0") == 1


# ---- LOGIN-DELAY --------------------------------------------------------------

def refused(s, user):
    c = s.pop3()
    c.ok("USER " + user)
    answer = c.cmd("PASS " + server.PASSWORD)
    closed = answer.startswith(b"-ERR") and c.is_closed()
    c.close()
    return answer.startswith(b"-ERR [LOGIN-DELAY] ") and closed


def state_file(s, user):
    return os.path.join(s.dir, "state", user, "pop3-login")


def test_login_delay(begin):
    s = begin(pop3_login_delay=3600, process_linger=0)
    c = s.pop3()
    assert "LOGIN-DELAY 3600 USER" in capa(c)
    c.login("p0", server.PASSWORD)
    assert "LOGIN-DELAY 3600" in capa(c)
    c.ok("QUIT")
    assert refused(s, "p0")
    s.pop3("p1").ok("QUIT")  # others are not concerned
    s.imap("p0").ok("NOOP")  # nor is IMAP
    # In a new process, and after a restart, it is remembered.
    s.wait_pids("pop3d", lambda pids: not pids)
    assert refused(s, "p0")
    s.stop()
    s.start()
    assert refused(s, "p0")
    # A refused attempt does not prolong it.
    with open(state_file(s, "p0"), "w") as f:
        f.write("%d\n" % (time.time() - 3601))
    s.pop3("p0").ok("QUIT")
    assert refused(s, "p0")
    # A clock that was wrong, or nonsense, locks nobody out.
    for text in ("%d\n" % (time.time() + 10**6), "soon", ""):
        with open(state_file(s, "p0"), "w") as f:
            f.write(text)
        s.pop3("p0").ok("QUIT")


@pytest.mark.parametrize("user,delay,days", [
    ("p0", None, "NEVER"), ("p1", 20, "60"), ("p2", 3600, "30")])
def test_kinder_to_some(begin, user, delay, days):
    """Before the login what holds for all, behind it what holds for him."""
    s = begin(pop3_login_delay=3600, pop3_expire="30", extra={
        "p0": "userdb_pop3_login_delay=0 userdb_pop3_expire=never",
        "p1": "userdb_pop3_login_delay=20 userdb_pop3_expire=60",
        # Not less kind than was announced.
        "p2": "userdb_pop3_login_delay=9999 userdb_pop3_expire=2"})
    pop3_store.deliver(s, user, M(1), when=OLD, flags="S")
    c = s.pop3()
    assert {"LOGIN-DELAY 3600 USER", "EXPIRE 30 USER"} <= capa(c)
    c.login(user, server.PASSWORD)
    told = capa(c)
    assert "EXPIRE " + days in told
    assert [x for x in told if x.startswith("LOGIN-DELAY")] == (
        ["LOGIN-DELAY %d" % delay] if delay else [])
    c.ok("QUIT")
    assert pop3_store.count(s, user) == (0 if days == "30" else 1)
    if delay is None:
        s.pop3(user).ok("QUIT")
    else:
        assert refused(s, user)


def test_no_login_delay(begin):
    s = begin()
    for _ in range(3):
        c = s.pop3()
        assert not any(x.startswith("LOGIN-DELAY") for x in capa(c))
        c.login("p0", server.PASSWORD)
        c.ok("QUIT")
    assert not os.path.exists(state_file(s, "p0"))


# ---- LAST ---------------------------------------------------------------------

def test_last_is_off(begin):
    s = begin()
    assert s.pop3("p0").err("LAST") == b"-ERR Unknown command"


def test_last(begin):
    """RFC 1460's example, as far as it goes."""
    s = begin(pop3_enable_last=True)
    for i in (1, 2, 3, 4):
        pop3_store.deliver(s, "p0", M(i))
    c = s.pop3("p0")
    assert c.ok("LAST") == b"+OK 0"
    c.multi("RETR 1")
    c.ok("QUIT")
    c = s.pop3("p0")
    assert c.ok("LAST") == b"+OK 1"
    c.multi("TOP 3 0")
    assert c.ok("LAST") == b"+OK 3"
    c.multi("RETR 2")
    assert c.ok("LAST") == b"+OK 3"
    c.ok("DELE 2")
    c.ok("RSET")
    assert c.ok("LAST") == b"+OK 1"


# ---- pop3_deleted_flag --------------------------------------------------------

@pytest.mark.parametrize("flag", ["$POP3Deleted", "\\Deleted"])
def test_deleted_is_a_flag(begin, flag):
    s = begin(pop3_deleted_flag=flag)
    for i in (1, 2, 3):
        pop3_store.deliver(s, "p0", M(i))
    c = s.pop3("p0")
    uidl = c.multi("UIDL")
    c.ok("DELE 2")
    assert b"1 message removed" in c.ok("QUIT")
    i = s.imap("p0")
    i.ok("SELECT INBOX")
    flags = i.flags()
    assert [flag.lower() in {x.lower() for x in flags[n]}
            for n in (1, 2, 3)] == [False, True, False]
    c = s.pop3("p0")
    assert [x.split()[1] for x in c.multi("UIDL")] == \
        [uidl[0].split()[1], uidl[2].split()[1]]
    assert c.ok("STAT").startswith(b"+OK 2 ")
    c.ok("QUIT")
    # IMAP takes it back, another POP3 session sees it again.
    i.ok("STORE 2 -FLAGS (%s)" % flag)
    c = s.pop3("p0")
    assert c.ok("STAT").startswith(b"+OK 3 ")
    assert pop3_store.count(s, "p0") == 3


# ---- user+folder --------------------------------------------------------------

def test_folder(begin):
    s = begin()
    pop3_store.deliver(s, "p0", M(1))
    for i in (2, 3):
        pop3_store.deliver(s, "p0", M(i), folder="lists")
    c = s.pop3("p0")
    assert c.ok("STAT").startswith(b"+OK 1 ")
    # Another maildrop, so both can be open; but each only once.
    d = s.pop3("p0+lists")
    assert d.ok("STAT").startswith(b"+OK 2 ")
    e = s.pop3()
    e.ok("USER p0+lists")
    assert e.err("PASS " + server.PASSWORD).startswith(b"-ERR [IN-USE]")
    assert b"Message 2" in b"".join(d.multi("TOP 1 0"))
    d.ok("DELE 1")
    d.ok("QUIT")
    assert c.ok("STAT").startswith(b"+OK 1 ")
    assert pop3_store.count(s, "p0", "lists") == 1
    assert pop3_store.count(s, "p0") == 1
    c.ok("QUIT")
    assert s.pop3("P0+inbox").ok("STAT").startswith(b"+OK 1 ")
    s.wait_log(r"login user=<p0> .* folder=lists")


def test_folder_that_is_not_there(begin):
    s = begin()
    for name in ("nothing", "../p1", "a/../../p1", ""):
        c = s.pop3()
        c.ok("USER p0+" + name)
        answer = c.cmd("PASS " + server.PASSWORD)
        if name:
            assert answer == b"-ERR There is no such folder", answer
            assert c.is_closed()
        else:
            assert answer.startswith(b"+OK 0 ")
    # The password is asked before anybody learns of folders.
    c = s.pop3()
    c.ok("USER p0+lists")
    assert c.err("PASS wrong").startswith(b"-ERR [AUTH]")


def test_folder_by_sasl(begin):
    s = begin()
    pop3_store.deliver(s, "p0", M(1), folder="lists")

    def plain(authzid, authcid):
        return "AUTH PLAIN " + base64.b64encode(
            b"\0".join((authzid, authcid, b"secret"))).decode()
    for z, a in ((b"", b"p0+lists"), (b"p0", b"p0+lists"),
                 (b"p0+lists", b"p0+lists")):
        c = s.pop3()
        assert c.ok(plain(z, a)).startswith(b"+OK 1 message")
        c.ok("QUIT")
    for z in (b"p1", b"p1+lists", b"p0+other"):
        assert s.pop3().err(plain(z, b"p0+lists")).startswith(b"-ERR [AUTH]")


def test_no_separator_no_folder(begin):
    s = begin(pop3_folder_separator="")
    c = s.pop3()
    c.ok("USER p0+lists")
    assert c.err("PASS " + server.PASSWORD).startswith(b"-ERR [AUTH]")
    # And IMAP knows no such names.
    s.imap().no("LOGIN p0+lists secret")


def test_plus_in_names(begin):
    s = begin(auth_username_chars="abcdefghijklmnopqrstuvwxyz0123456789+")
    c = s.pop3()
    c.ok("USER p0+lists")
    assert c.err("PASS " + server.PASSWORD).startswith(b"-ERR [AUTH]")


# ---- SASL-IR ------------------------------------------------------------------

def b64(b):
    return base64.b64encode(b).decode()


@pytest.fixture(scope="module")
def all_mechs():
    s = pop3_store.start("maildir", users=2, auth_mechanisms=[
        "plain", "login", "scram-sha-256", "scram-sha-256-plus"])
    try:
        yield s.start()
    finally:
        s.stop()
        s.remove()


@pytest.mark.parametrize("initial", [True, False])
@pytest.mark.parametrize("blank", ["", " ", "  "])
def test_plain_and_login(all_mechs, initial, blank):
    c = all_mechs.pop3()
    if initial:
        c.ok("AUTH PLAIN %s%s" % (b64(b"\0p0\0secret"), blank))
    else:
        assert c.cmd("AUTH PLAIN" + blank).rstrip() == b"+"
        c.ok(b64(b"\0p0\0secret"))
    c.ok("QUIT")
    c = all_mechs.pop3()
    answer = c.cmd("AUTH LOGIN%s%s" % (
        " " + b64(b"p0") if initial else "", blank))
    if not initial:
        assert answer == b"+ " + b64(b"Username:").encode()
        answer = c.cmd(b64(b"p0"))
    assert answer == b"+ " + b64(b"Password:").encode()
    c.ok(b64(b"secret"))
    c.ok("QUIT")


@pytest.mark.parametrize("initial", [True, False])
def test_scram(all_mechs, initial):
    """(test_auth.py has the form with a channel binding.)"""
    c = all_mechs.pop3()
    assert any(x.startswith("SASL ") and "SCRAM-SHA-256" in x
               for x in capa(c))
    pop3_store.deliver(all_mechs, "p1", M(1), folder="lists")
    x = Scram("p1+lists", "secret")
    answer = c.cmd("AUTH SCRAM-SHA-256" +
                   (" " + b64(x.first()) if initial else ""))
    if not initial:
        assert answer.rstrip() == b"+"
        answer = c.cmd(b64(x.first()))
    answer = c.cmd(b64(x.final(base64.b64decode(answer[2:]))))
    x.check(base64.b64decode(answer[2:]))
    c.ok("")
    assert not c.ok("STAT").startswith(b"+OK 0 ")
    c.ok("QUIT")


def test_bad_initial(all_mechs):
    c = all_mechs.pop3()
    for bad in ("AUTH PLAIN !", "AUTH PLAIN AHUAcA", "AUTH NONE AHUAcA=="):
        c.err(bad)
    assert c.err("AUTH PLAIN =").startswith(b"-ERR")
    c.ok("AUTH PLAIN " + b64(b"\0p0\0secret"))


# ---- pop3_no_flag_updates, pop3_client_workarounds ----------------------------

@pytest.mark.parametrize("off", ["no", "yes"])
def test_no_flag_updates(begin, off):
    s = begin(pop3_no_flag_updates=off)
    pop3_store.deliver(s, "p0", M(1))
    c = s.pop3("p0")
    c.multi("RETR 1")
    c.ok("QUIT")
    i = s.imap("p0")
    i.ok("SELECT INBOX")
    assert ("\\Seen" in i.flags()[1]) == (off == "no")


@pytest.mark.parametrize("words, nul, blank", [
    (None, b"\x80", False), ([], b"\0", False),
    ("oe-ns-eoh", b"\0", True), (["outlook-no-nuls", "oe-ns-eoh"], b"\x80", True)])
def test_workarounds(begin, words, nul, blank):
    """What a message has that clients can not bear: NULs, no end of header."""
    s = begin(**({} if words is None else
                 {"pop3_client_workarounds": words}))
    if s.store == "mbox" and blank:
        pytest.skip("there the blank line is part of the file")
    pop3_store.deliver(s, "p0", b"Subject: x\n\none\0two\n")
    pop3_store.deliver(s, "p0", b"Subject: y\n")
    c = s.pop3("p0")
    got = {m[0]: m for m in (c.multi("RETR 1"), c.multi("RETR 2"))}
    assert [x for x in got[b"Subject: x"] if b"one" in x] == \
        [b"one" + nul + b"two"]
    if s.store == "maildir":
        assert got[b"Subject: y"] == [b"Subject: y"] + [b""] * blank
