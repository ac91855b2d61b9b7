# SPDX-License-Identifier: ISC
"""programs.py - runs mail programs from Debian, also in a terminal."""
import os
import re
import shutil
import subprocess
import time

import pytest

from . import server

NOBODY = 65534  # an account with a name, which getmail wants


def needs(program):
    return pytest.mark.skipif(shutil.which(program) is None,
                              reason=program + " is not installed")


def to_user(place):
    """For a program that does not want to be run by root."""
    if not server.is_root():
        return {}
    for root, dirs, files in os.walk(place):
        for name in [root] + [os.path.join(root, f) for f in dirs + files]:
            os.chown(name, NOBODY, NOBODY)
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []}


def run(argv, place, ok=True, timeout=60, **kw):
    env = {"HOME": str(place / "home"), "PATH": os.environ["PATH"],
           "LANG": "C", "TMPDIR": str(place), "TERM": "vt100"}
    done = subprocess.run(argv, env=env, cwd=place, timeout=timeout,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, **kw)
    text = done.stdout.decode(errors="replace")
    assert not ok or done.returncode == 0, text
    return text


def write(path, text, mode=0o600):
    path.write_text(text)
    path.chmod(mode)
    return str(path)


MBSYNC = """
{far}

MaildirStore near
Path {near}/
Inbox {near}/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
Sync All
SyncState *
"""
MBSYNC_ACCOUNT = """
IMAPAccount far
Host localhost
Port {port}
User {user}
Pass {password}
SSLType {ssl}
AuthMechs {mechs}
{more}

IMAPStore far
Account far
"""


def mbsync(place, port, user, tls=False, more="", mechs="LOGIN"):
    """All mailboxes with the folder near/, both ways."""
    near = place / "near"
    near.mkdir(exist_ok=True)
    far = MBSYNC_ACCOUNT.format(
        port=port, user=user, password=server.PASSWORD,
        ssl="IMAPS" if tls else "None", more=more, mechs=mechs)
    rc = write(place / "mbsyncrc", MBSYNC.format(far=far, near=near))
    return run(["mbsync", "-c", rc, "-a"], place)


class Terminal:
    """A program in tmux, with a server of its own."""

    def __init__(self, place, argv):
        self.place = place
        self.socket = str(place / "tmux")
        env = {"HOME": str(place / "home"), "PATH": os.environ["PATH"],
               "LANG": "C.UTF-8", "TERM": "screen"}
        subprocess.run(["tmux", "-S", self.socket, "-f", "/dev/null",
                        "new-session", "-d", "-x", "100", "-y", "30", *argv],
                       env=env, check=True, cwd=place)

    def keys(self, *keys):
        subprocess.run(["tmux", "-S", self.socket, "send-keys", *keys],
                       check=True)

    def screen(self):
        return subprocess.run(
            ["tmux", "-S", self.socket, "capture-pane", "-p"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            check=False).stdout.decode(errors="replace")

    def wait(self, pattern, timeout=20):
        end = time.monotonic() + timeout
        while True:
            text = self.screen()
            if re.search(pattern, text):
                return text
            assert time.monotonic() < end, (pattern, text)
            time.sleep(0.1)

    def close(self):
        subprocess.run(["tmux", "-S", self.socket, "kill-server"],
                       check=False, stderr=subprocess.DEVNULL)
