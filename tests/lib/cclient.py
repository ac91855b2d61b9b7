# SPDX-License-Identifier: ISC
"""cclient.py - UW's c-client library (Alpine, uw-imapd) on an mbox."""
import functools
import os
import shutil
import subprocess
import tempfile

from . import restante


@functools.lru_cache
def program():
    """The path of the program, or None where it can not be built."""
    if not os.path.exists("/usr/include/c-client/c-client.h"):
        return None
    cc = shutil.which("gcc") or shutil.which("cc")
    place = tempfile.mkdtemp(prefix="cclient.")
    os.chmod(place, 0o755)
    out = os.path.join(place, "cclient")
    done = subprocess.run(
        [cc or "cc", "-rdynamic", "-o", out,
         os.path.join(restante.TOP, "tests", "lib", "cclient.c"),
         "-lc-client"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        check=False) if cc else None
    return out if done and done.returncode == 0 else None


def start(box, mailbox, *command):
    """As the user, in his home; names are relative to it."""
    return subprocess.Popen(
        [program(), mailbox, *[str(x) for x in command]], cwd=box.root,
        env={"HOME": box.root, "PATH": "/usr/bin:/bin", "TZ": "UTC"},
        user=box.uid, group=box.uid, extra_groups=[],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def run(box, mailbox, *command):
    """What it prints, and what the library logs."""
    p = start(box, mailbox, *command)
    out, err = p.communicate(timeout=60)
    assert p.returncode == 0, (command, err)
    return out.decode(), err.decode()


def look(box, mailbox="in/box"):
    """(uidvalidity, last uid, {uid: (size, flags)}); nothing was amiss."""
    out, err = run(box, mailbox, "list")
    assert "ssigning new unique" not in err, err
    head, *lines = out.splitlines()
    found = {}
    for line in lines:
        uid, size, *flags = line.split()
        found[int(uid)] = (int(size), frozenset(flags))
    v, last = head.split()
    return int(v), int(last), found
