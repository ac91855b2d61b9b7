# SPDX-License-Identifier: ISC
"""Debian's programs on the same mbox files as our server, directly and by IMAP
and POP3 at the same time. A program that is not installed is skipped."""
import os
import re
import subprocess
import threading
import time

import pytest

from lib import maildir, mbox, restante, server
from lib.programs import Terminal, mbsync, needs, run, write

M = maildir.message


@pytest.fixture(scope="module")
def running():
    users = ["m%d" % i for i in range(1, 21)]
    yield from server.serving(restante.with_spool(users))


class Mail:
    """One user's INBOX: a file, and connections to it."""

    def __init__(self, s, user):
        self.server, self.user = s, user
        self.path = os.path.join(s.dir, "spool", user)
        self.mail = os.path.join(s.home(user), "mail")
        os.makedirs(self.mail, exist_ok=True)
        s.own(self.mail, user)
        with open(self.path, "ab"):
            s.own(self.path, user)

    def deliver(self, message, **kw):
        mbox.deliver(self.path, message, **kw)

    def fill(self, n):
        for i in range(1, n + 1):
            self.deliver(M(i))

    def imap(self):
        return self.server.imap(self.user)

    def state(self):
        """By subject's number: (UID, flags but \\Recent), by a new session."""
        c = self.imap()
        c.ok("EXAMINE INBOX")
        out = {}
        for r in c.ok("UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS "
                      "(SUBJECT)])"):
            m = re.search(rb"UID (\d+)", r)
            n = re.search(rb"Message (\d+)", r)
            if b"FETCH" not in r or not n:
                continue
            flags = re.search(rb"FLAGS \(([^)]*)\)", r).group(1).split()
            key = int(n.group(1))
            assert key not in out, "message %d twice" % key
            out[key] = (int(m.group(1)), {
                f.decode() for f in flags} - {"\\Recent"})
        c.logout()
        return out

    def wait(self, test, what, timeout=20):
        end = time.monotonic() + timeout
        while True:
            state = self.state()
            if test(state):
                return state
            assert time.monotonic() < end, (what, state)
            time.sleep(0.1)


@pytest.fixture
def mail(running):
    used = running.used = getattr(running, "used", -1) + 1
    yield Mail(running, running.users[used])
    running.close_all()


# ---- delivery ------------------------------------------------------------------

def in_thread(fn):
    failed = []

    def guarded():
        try:
            fn()
        except BaseException as e:  # pylint: disable=broad-except
            failed.append(e)
    t = threading.Thread(target=guarded)
    t.start()

    def join():
        t.join()
        if failed:
            raise failed[0]
    return join


@needs("procmail")
def test_procmail_beside_us(mail, place):
    """procmail delivers while we change flags, expunge and append."""
    mail.fill(5)
    rc = write(place / "procmailrc", "LOGFILE=%s\nLOCKSLEEP=1\n"
               ":0:\n%s\n" % (place / "log", mail.path))

    def deliver():
        for i in range(100, 125):
            subprocess.run(
                ["procmail", "-f", "mx@example.org", "-m", rc], input=M(i), check=True, timeout=60,
                cwd=place, env={"HOME": str(place / "home"),
                                "PATH": os.environ["PATH"]})
    join = in_thread(deliver)
    c = mail.imap()
    c.ok("SELECT INBOX")
    for i in range(200, 215):
        c.append("INBOX", M(i, crlf=True))
        c.ok(r"UID STORE 1:3 +FLAGS.SILENT (\Flagged k%d)" % (i % 3))
        if i == 207:
            c.ok(r"UID STORE 1 +FLAGS.SILENT (\Deleted)")
            c.ok("EXPUNGE")
    join()
    c.ok("NOOP")
    got = mail.state()
    assert sorted(got) == [2, 3, 4, 5, *range(100, 125), *range(200, 215)]
    assert "\\Flagged" in got[2][1]
    uids = [got[n][0] for n in got]
    assert len(set(uids)) == len(uids)
    with open(mail.path, "rb") as f:
        assert b"\0" not in f.read()
    c.logout()


# ---- mutt ----------------------------------------------------------------------

MUTTRC = """
set sort=mailbox-order mail_check=1 timeout=1 delete=yes quit=yes move=no
set confirmappend=no edit_headers=no mark_old=no wait_key=no
"""


@needs("mutt")
@needs("tmux")
def test_mutt_on_the_file(mail, place):
    """mutt and our session change the same file in turns."""
    mail.fill(5)
    c = mail.imap()
    c.ok("SELECT INBOX")
    before = mail.state()
    write(place / "muttrc", MUTTRC + "set folder=%s\n" % mail.mail)
    t = Terminal(place, ["mutt", "-F", str(place / "muttrc"), "-f",
                         mail.path])
    try:
        t.wait(r"Message 1(.|\n)*Message 5")
        t.keys("F", "j", "d", "$")  # flag the first, remove the third
        got = mail.wait(lambda s: 3 not in s, "mutt's removal")
        assert "\\Flagged" in got[1][1]
        assert {n: u for n, (u, _) in got.items()} == {
            n: u for n, (u, _) in before.items() if n != 3}
        assert any(b"3 EXPUNGE" in r for r in c.ok("NOOP"))
        # Ours is seen by mutt: a flag, a removal, a new message.
        c.append("INBOX", M(8, crlf=True))
        t.wait(r"Message 8")
        c.ok(r"UID STORE %d +FLAGS (\Seen \Answered)" % got[2][0])
        c.ok(r"UID STORE %d +FLAGS (\Deleted)" % got[5][0])
        c.ok("EXPUNGE")
        t.keys("x")
        mail.deliver(M(9))
        assert any(b" EXISTS" in r for r in c.ok("NOOP"))
    finally:
        t.close()
    got = mail.state()
    assert sorted(got) == [1, 2, 4, 8, 9]
    assert got[2][1] == {"\\Seen", "\\Answered"}
    assert {n: got[n][0] for n in (1, 2, 4)} == {
        n: before[n][0] for n in (1, 2, 4)}
    t = Terminal(place, ["mutt", "-F", str(place / "muttrc"), "-R", "-f",
                         mail.path])
    try:
        t.wait(r"Message 1(.|\n)*Message 2(.|\n)*Message 4(.|\n)*Message 9")
    finally:
        t.close()
    c.logout()


# ---- alpine --------------------------------------------------------------------

PINERC = """
personal-name=Tester
user-domain=example.org
inbox-path={inbox}
folder-collections={mail}/[]
feature-list=no-enable-newmail-sound,quit-without-confirm,
 expunge-without-confirm,expunge-without-confirm-everywhere,
 quell-folder-internal-msg,no-enable-exit-via-lessthan-command
last-version-used=6.26
last-time-prune-questioned=99.1
mail-check-interval=15
"""


def alpine(mail, place, inbox=None):
    write(place / "pinerc", PINERC.format(
        inbox=inbox or mail.path, mail=mail.mail))
    return Terminal(place, ["alpine", "-p", str(place / "pinerc"), "-i"])


@needs("alpine")
@needs("tmux")
def test_alpine_on_the_file(mail, place):
    """c-client's way: its own field order, a dotlock and flock."""
    mail.fill(4)
    c = mail.imap()
    c.ok("SELECT INBOX")
    c.ok(r"STORE 2 +FLAGS (\Answered word)")
    c.logout()
    before = mail.state()
    t = alpine(mail, place)
    try:
        t.wait(r"Message 1(.|\n)*Message 4")
        t.keys("Home")
        t.keys("D", "N")  # the last is current at first; delete what it is on
        t.keys("x")
        t.wait(r"Message \d(.|\n)*(xpunge|Expunged|expunged)")
        t.keys("q")
        got = mail.wait(lambda s: len(s) == 3, "alpine's removal")
    finally:
        t.close()
    assert all(got[n][0] == before[n][0] for n in got)
    if 2 in got:
        assert got[2][1] - {"\\Seen"} == {"\\Answered", "word"}
    # Mail that comes after that, and a change by ours, which alpine reads.
    mail.deliver(M(7))
    got = mail.state()
    assert got[7][0] == max(u for u, _ in before.values()) + 1
    c = mail.imap()
    c.ok("SELECT INBOX")
    c.ok(r"STORE 1:* +FLAGS (\Flagged)")
    c.logout()
    t = alpine(mail, place)
    try:
        t.wait(r"Message 7")
        assert "INTERNAL DATA" not in t.screen()
        t.keys("q")
    finally:
        t.close()
    again = mail.state()
    assert {n: again[n][0] for n in again} == {n: got[n][0] for n in got}
    assert all("\\Flagged" in f for _, f in again.values())


# ---- POP3 and IMAP clients -------------------------------------------------------

@needs("fetchmail")
def test_fetchmail_empties_it(mail, place):
    mail.fill(4)
    out = place / "out"
    rc = write(place / "fetchmailrc", """
set no bouncemail
poll 127.0.0.1 protocol pop3 service {port} uidl
  username "{user}" password "{password}" sslproto ""
  mda "cat >>{out}" nokeep fetchall
""".format(user=mail.user, password=server.PASSWORD, out=out,
           port=mail.server.pop3_port))
    c = mail.imap()
    c.ok("SELECT INBOX")
    run(["fetchmail", "-f", rc, "-d0", "--nosyslog", "--invisible", "-i",
         str(place / "ids"), "--pidfile", str(place / "pid")], place)
    assert out.read_text().count("Subject: Message") == 4
    assert sum(b" EXPUNGE" in r for r in c.ok("NOOP")) == 4
    # UIDs go on where they were.
    mail.deliver(M(9))
    assert mail.state()[9][0] == 5
    c.logout()


@needs("mpop")
def test_mpop_takes_new_ones_alone(mail, place):
    mail.fill(3)
    near = place / "box"
    maildir.create(str(near))
    rc = write(place / "mpoprc", """
account a
host 127.0.0.1
port {port}
user {user}
password {password}
tls off
delivery maildir {box}
uidls_file {d}/uidls
keep on
auth user
""".format(port=mail.server.pop3_port, user=mail.user, d=place, box=near,
           password=server.PASSWORD))
    run(["mpop", "-C", rc, "a"], place)
    assert len(maildir.files(str(near))) == 3
    # Its ids stay when IMAP changes and removes messages in between.
    c = mail.imap()
    c.ok("SELECT INBOX")
    c.ok(r"STORE 1 +FLAGS (\Deleted)")
    c.ok(r"STORE 2:3 +FLAGS (\Seen word)")
    c.ok("EXPUNGE")
    c.logout()
    mail.deliver(M(9))
    run(["mpop", "-C", rc, "a"], place)
    assert len(maildir.files(str(near))) == 4


@needs("mbsync")
def test_mbsync_both_ways(mail, place):
    mail.fill(6)
    near = str(place / "near" / "INBOX")
    mbsync(place, mail.server.imap_port, mail.user)
    assert len(maildir.files(near)) == 6
    maildir.deliver(near, M(77), flags="S")
    maildir.create(str(place / "near" / "Fresh"))
    maildir.deliver(str(place / "near" / "Fresh"), M(78), flags="")
    c = mail.imap()
    c.ok("SELECT INBOX")
    c.ok(r"STORE 2 +FLAGS (\Deleted)")
    c.ok(r"STORE 3 +FLAGS (\Flagged)")
    c.ok("EXPUNGE")
    mail.deliver(M(9))
    mbsync(place, mail.server.imap_port, mail.user)
    assert sorted(mail.state()) == [1, 3, 4, 5, 6, 9, 77]
    assert b"* STATUS Fresh (MESSAGES 1)" in c.ok("STATUS Fresh (MESSAGES)")
    assert sorted(f or "" for f in maildir.files(near).values()).count(
        "F") == 1
    before = maildir.files(near)
    mbsync(place, mail.server.imap_port, mail.user)
    assert maildir.files(near) == before
    c.logout()
