# SPDX-License-Identifier: ISC
"""QUOTA (RFC 9208, RFC 2087) with a Maildir++ quota, and the kernel's where
this machine can make one."""
import os
import re
import subprocess
import time

import pytest

from lib import maildir, restante, server
from lib.maildir import message

SMALL = message(1, crlf=True)


@pytest.fixture(scope="module")
def s():
    r = restante.Restante(users=["alice", "bob", "carol"], extra={
        "bob": "userdb_maildir_quota=20000S,4C"})
    try:
        yield r.start()
    finally:
        r.stop()
        r.remove()


def quota(c, root="User quota"):
    """(used, limit) by resource, or None."""
    status, _, untagged = c.cmd('GETQUOTA "%s"' % root)
    if status != "OK":
        return None
    line, = [u for u in untagged if u.startswith(b"* QUOTA ")]
    inner = re.match(rb'\* QUOTA "?%s"? \((.*)\)\r?\n?$' % root.encode(),
                     line).group(1).split()
    return {inner[i].decode(): (int(inner[i + 1]), int(inner[i + 2]))
            for i in range(0, len(inner), 3)}


def size_file(s, user):
    with open(os.path.join(s.maildir(user), "maildirsize")) as f:
        return f.read()


def write_size_file(s, user, text):
    path = os.path.join(s.maildir(user), "maildirsize")
    with open(path, "w") as f:
        f.write(text)
    s.own(path, user)


def roots_of(c, name="INBOX"):
    untagged = c.ok("GETQUOTAROOT %s" % name)
    line, = [u for u in untagged if u.startswith(b"* QUOTAROOT ")]
    return line, [u for u in untagged if u.startswith(b"* QUOTA ")]


def test_without(s):
    c = s.imap("carol")
    caps = c.ok("CAPABILITY")[0].split()
    assert {b"QUOTA", b"QUOTA=RES-STORAGE", b"QUOTA=RES-MESSAGE"} <= set(caps)
    line, quotas = roots_of(c)
    # the disk's alone, if there is one
    assert len(quotas) <= 1 and b"User quota" not in line
    assert c.cmd('GETQUOTA "User quota"')[0] == "NO"
    assert c.cmd("GETQUOTA nothing")[0] == "NO"
    c.append("INBOX", SMALL)
    assert not os.path.exists(os.path.join(s.maildir("carol"), "maildirsize"))


def test_setting(s):
    """Limits of the passwd-file, kept in the mail for other programs."""
    c = s.imap("bob")
    line, quotas = roots_of(c)
    assert line.startswith(b'* QUOTAROOT INBOX "User quota"')
    assert quotas[0].startswith(b'* QUOTA "User quota" (STORAGE 0 19 '
                                b'MESSAGE 0 4)')
    # not there, but covered
    assert roots_of(c, "Not/There")[0].startswith(
        b'* QUOTAROOT Not/There "User quota"')
    assert size_file(s, "bob") == "20000S,4C\n0 0          \n"
    for n in range(1, 3):
        c.append("INBOX", SMALL)
        assert quota(c)["MESSAGE"] == (n, 4)
    c.ok("SELECT INBOX")
    c.ok("COPY 1 Sent")
    # another program delivers, by the rules
    s.deliver("bob", message(2))
    with open(os.path.join(s.maildir("bob"), "maildirsize"), "a") as f:
        f.write("100 1        \n")
    assert quota(c)["MESSAGE"] == (4, 4)
    status, text, _ = c.cmd("APPEND INBOX {%d+}\r\n%s" % (
        len(SMALL), SMALL.decode()))
    assert status == "NO" and text.startswith(b"[OVERQUOTA]")
    status, text, _ = c.cmd("COPY 1 Sent")
    assert status == "NO" and text.startswith(b"[OVERQUOTA]")
    assert quota(c)["MESSAGE"] == (4, 4)
    # moving takes no room; Trash does not count
    c.ok("MOVE 1 Sent")
    c.ok("COPY 1 Trash")
    assert quota(c)["MESSAGE"] == (4, 4)
    c.ok("STORE 1 +FLAGS (\\Deleted)")
    untagged = c.ok("STATUS INBOX (MESSAGES DELETED DELETED-STORAGE SIZE)")
    match = re.search(rb"MESSAGES (\d+) DELETED 1 DELETED-STORAGE (\d+) "
                      rb"SIZE (\d+)", untagged[-1])
    assert int(match.group(2)) == len(SMALL)
    assert int(match.group(3)) > len(SMALL)
    c.ok("EXPUNGE")
    assert quota(c)["MESSAGE"] == (3, 4)
    c.append("INBOX", SMALL)
    # what comes back from there counts again
    c.ok("SELECT Trash")
    for command in ("MOVE 1 INBOX", "UID MOVE 1 INBOX", "COPY 1 INBOX"):
        status, text, _ = c.cmd(command)
        assert status == "NO" and text.startswith(b"[OVERQUOTA]"), text
    assert quota(c)["MESSAGE"] == (4, 4)
    c.ok("STORE 1 +FLAGS (\\Seen)")
    c.ok("SELECT Sent")
    c.ok("STORE 1 +FLAGS (\\Deleted)")
    c.ok("EXPUNGE")
    c.ok("SELECT Trash")
    c.ok("MOVE 1 INBOX")
    assert quota(c)["MESSAGE"] == (4, 4)


def test_bytes(s):
    c = s.imap("bob")
    big = b"Subject: big\r\n\r\n" + b"x" * 30000 + b"\r\n"
    before = quota(c)
    # refused before the client sends it
    status, text, _ = c.cmd("APPEND INBOX {%d}" % len(big))
    assert status == "NO" and text.startswith(b"[OVERQUOTA]")
    assert quota(c) == before
    c.ok("NOOP")


def test_set_is_refused(s):
    c = s.imap("bob")
    status, text, _ = c.cmd('SETQUOTA "User quota" (STORAGE 5)')
    assert status == "NO" and text.startswith(b"[NOPERM]")
    for bad in ("GETQUOTA", "GETQUOTAROOT", "GETQUOTA a b", "SETQUOTA x",
                'SETQUOTA "" STORAGE', "GETQUOTAROOT INBOX x"):
        assert c.cmd(bad)[0] == "BAD", bad


def test_file_of_another_program(s):
    """Courier's: limits from there; sums that are wrong are counted anew
    before anybody is refused."""
    n = 5
    for i in range(n):
        s.deliver("alice", message(i))
    write_size_file(s, "alice", "100000S,10C\n90000 9       \n"
                                "9999 1        \n")
    c = s.imap("alice")
    assert quota(c)["MESSAGE"] == (10, 10)
    c.append("INBOX", SMALL)
    assert quota(c)["MESSAGE"] == (n + 1, 10)
    assert size_file(s, "alice").startswith("100000S,10C\n")
    write_size_file(s, "alice", "100000S,10C\ngarbage\n")
    assert quota(c)["MESSAGE"] == (n + 1, 10)
    # a second session adds, both count right
    d = s.imap("alice")
    for k in range(4):
        (c if k % 2 else d).append("INBOX", SMALL)
    assert quota(c)["MESSAGE"] == quota(d)["MESSAGE"] == (10, 10)
    assert c.cmd("APPEND INBOX {%d+}\r\n%s" % (
        len(SMALL), SMALL.decode()))[1].startswith(b"[OVERQUOTA]")


def test_counted_in_the_background(s):
    """The file has grown: nobody waits while it is counted anew."""
    c = s.imap("alice")
    have = quota(c)["MESSAGE"][0]
    write_size_file(s, "alice", "100000S,100C\n7 %d\n" % have +
                    "1 0          \n" * 500)
    assert quota(c)["MESSAGE"] == (have, 100)
    end = time.monotonic() + 10
    while len(size_file(s, "alice")) > 100:
        assert time.monotonic() < end
        time.sleep(0.02)
    assert re.match(r"100000S,100C\n\d+ %d +\n$" % have,
                    size_file(s, "alice"))


def test_pop3_takes_off(s):
    """What POP3 removes makes room."""
    c = s.imap("alice")
    c.append("INBOX", SMALL)
    have = sum(len(os.listdir(os.path.join(s.maildir("alice"), d)))
               for d in ("cur", "new"))
    write_size_file(s, "alice", "100000S,100C\n5000 %d\n" % have)
    p = s.pop3("alice")
    p.ok("DELE 1")
    p.ok("QUIT")
    assert quota(c)["MESSAGE"] == (have - 1, 100)


def test_disk_quota():
    """The kernel's, on a file system of our own (Linux 6.6)."""
    if not server.is_root():
        pytest.skip("needs root")
    mount = server.scratch("restante-q.")
    r = None
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o",
         "usrquota,usrquota_block_hardlimit=2M,mode=755", "tmpfs", mount],
        capture_output=True, check=False)
    if done.returncode != 0:
        os.rmdir(mount)
        pytest.skip("no quotas here: %s" % done.stderr.decode())
    try:
        r = restante.Restante(users=["dave"], settings={
            "mail_location": "maildir:%s/Maildir" % mount})
        maildir.create(os.path.join(mount, "Maildir"), r.uid_of("dave"))
        c = r.start().imap("dave")
        assert b'"Disk quota"' in roots_of(c)[0]
        used, limit = quota(c, "Disk quota")["STORAGE"]
        assert limit == 2048 and used < 2048
        big = b"Subject: big\r\n\r\n" + (b"x" * 78 + b"\r\n") * 8000
        c.append("INBOX", big)
        assert quota(c, "Disk quota")["STORAGE"][0] >= used + 600
        for _ in range(4):
            status, text, _ = c.cmd("APPEND INBOX {%d+}\r\n%s" % (
                len(big), big.decode()))
            if status == "NO":
                break
        assert status == "NO" and text.startswith(b"[OVERQUOTA]")
        c.ok("NOOP")
    finally:
        if r:
            r.stop()
            r.remove()
        subprocess.run(["umount", mount], check=False, capture_output=True)
        os.rmdir(mount)


# ---- RES-MAILBOX (RFC 9208 section 5.3)

@pytest.mark.parametrize("place", ["maildir:~/Maildir", "mbox:~/mail"])
def test_mailboxes(start, place):
    s = start(users=["alice"], tls=False,
              settings={"mail_location": place, "max_mailboxes": 4})
    c = s.imap("alice")
    assert "QUOTA=RES-MAILBOX" in c.capabilities()
    assert quota(c) == {"MAILBOX": (1, 4)}
    d = "/" if "mbox" in place else "."
    c.ok("CREATE one")
    # A level is no mailbox.
    c.ok("CREATE a%sb" % d)
    assert quota(c) == {"MAILBOX": (3, 4)}
    line, quotas = roots_of(c)
    assert b"User quota" in line and any(
        b"MAILBOX 3 4" in q for q in quotas)
    c.ok("CREATE two")
    for command in ("CREATE three", "RENAME INBOX three"):
        status, text, _ = c.cmd(command)
        assert status == "NO" and text.startswith(b"[OVERQUOTA]")
    assert not any(b"three" in r for r in c.ok('LIST "" *'))
    # To have another name is not to be one more.
    c.ok("RENAME two four")
    c.ok("DELETE one")
    c.ok("CREATE three")
    assert quota(c) == {"MAILBOX": (4, 4)}
    # What is made when it is first used counts, but is not refused.
    c.append("Drafts", SMALL)
    assert quota(c) == {"MAILBOX": (5, 4)}
