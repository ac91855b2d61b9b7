# SPDX-License-Identifier: ISC
"""imapd from a shell: what mbsync and mutt use through ssh."""
import os
import shutil
import subprocess

import pytest
from lib import maildir, restante, server
from lib.maildir import message
from lib.programs import MBSYNC

FAR = """
IMAPStore far
Tunnel "exec {imapd} maildir:{maildir}"
"""


def mbsync(box, near):
    rc = os.path.join(box.dir, "mbsyncrc")
    with open(rc, "w") as f:
        f.write(MBSYNC.format(near=near, far=FAR.format(
            imapd=os.path.join(restante.programs(), "imapd"),
            maildir=box.maildir())))
    kw = {"user": box.uid, "group": box.uid, "extra_groups": []} \
        if server.is_root() else {}
    os.makedirs(near, exist_ok=True)
    box.own(near)
    run = subprocess.run(["mbsync", "-c", rc, "-a"], cwd="/", timeout=60,
                         env={"HOME": box.dir, "PATH": "/usr/bin:/bin"},
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         **kw)
    assert run.returncode == 0, run.stdout.decode(errors="replace")


@pytest.mark.skipif(not shutil.which("mbsync"), reason="needs mbsync")
def test_mbsync_by_tunnel(tunnel):
    """PREAUTH, both ways: new mail, flags, folders, deletions."""
    tunnel.fill(100)
    near = os.path.join(tunnel.dir, "near")
    mbsync(tunnel, near)
    inbox = os.path.join(near, "INBOX")
    assert len(maildir.files(inbox)) == 100
    # Here: a flag, a new message, a folder. There: one less, one more.
    sub, name = next((s, n) for s in ("cur", "new")
                     for n in os.listdir(os.path.join(inbox, s)))
    os.rename(os.path.join(inbox, sub, name),
              os.path.join(inbox, "cur", name.split(":")[0] + ":2,FS"))
    maildir.deliver(inbox, message(901), flags="S", owner=tunnel.uid)
    box = maildir.create(os.path.join(near, "Fresh"), tunnel.uid)
    maildir.deliver(box, message(902), flags="", owner=tunnel.uid)
    c = tunnel.connect()
    c.ok("SELECT INBOX")
    last = max(c.flags())
    c.ok("STORE %d +FLAGS (\\Deleted)" % last)
    c.ok("EXPUNGE")
    c.append("INBOX", message(903, crlf=True))
    c.ok("NOOP")
    mbsync(tunnel, near)
    c.ok("NOOP")
    flags = list(c.flags().values())
    assert len(flags) == 101
    assert sum("\\Flagged" in f for f in flags) == 1
    assert c.ok("STATUS Fresh (MESSAGES)") == [b"* STATUS Fresh (MESSAGES 1)"]
    assert len(maildir.files(inbox)) == 101
    # Once more: there is nothing to do, and nothing is done.
    before = maildir.files(inbox), tunnel.files()
    mbsync(tunnel, near)
    assert (maildir.files(inbox), tunnel.files()) == before


def test_wrong_command_lines():
    imapd = os.path.join(restante.programs(), "imapd")
    for argv in (["-x"], ["a", "b"], ["-o"]):
        run = subprocess.run([imapd] + argv, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             timeout=10)
        assert run.returncode == 64, (argv, run)
        assert run.stdout == b"" and b"usage:" in run.stderr


def test_mail_that_can_not_be_opened(tunnel):
    imapd = os.path.join(restante.programs(), "imapd")
    run = subprocess.run([imapd, "maildir:/proc/nothing/here"],
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, timeout=10,
                         env={"HOME": tunnel.dir})
    assert run.returncode == 1 and run.stdout == b"", run
    assert b"/proc/nothing" in run.stderr
