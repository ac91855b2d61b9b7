# SPDX-License-Identifier: ISC
"""mbox.py - mbox files as outside programs handle them, below their locks."""
import contextlib
import fcntl
import os
import re
import time

from . import wire

FROM = re.compile(rb"(?m)^>*From ")


@contextlib.contextmanager
def locked(path, timeout=wire.TIMEOUT):
    """fcntl, then the dotlock; the open file. Made when it is not there."""
    end = time.monotonic() + timeout
    while True:
        f = open(path, "a+b")
        try:
            fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
            dot = os.open(path + ".lock",
                          os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            os.write(dot, b"%d" % os.getpid())
            os.close(dot)
            break
        except (BlockingIOError, FileExistsError):
            f.close()
            assert time.monotonic() < end, "%s is locked for long" % path
            time.sleep(0.005)
    try:
        yield f
    finally:
        f.close()
        os.unlink(path + ".lock")


def entry(message, flags=None, when=None):
    """A message as it stands in a file. Flags are Maildir's letters."""
    stamp = time.strftime(
        "%a %b %d %H:%M:%S %Y", time.localtime(when or time.time()))
    head, blank, body = message.partition(b"\n\n")
    fields = b""
    if flags is not None:
        fields = b"\nStatus: %sO" % (b"R" if "S" in flags else b"")
        letters = "".join(x for x, y in zip("AFTD", "RFDT") if y in flags)
        if letters:
            fields += b"\nX-Status: " + letters.encode()
    body = FROM.sub(rb">\g<0>", body)
    if body and not body.endswith(b"\n"):
        body += b"\n"
    return b"From mx@example.org  %s\n" % stamp.encode() + head + fields + \
        (blank or b"\n\n") + body + b"\n"


def deliver(path, message, flags=None, owner=None, when=None):
    """Appends a message, as a delivery agent does."""
    with locked(path) as f:
        if owner is not None and os.geteuid() == 0:
            os.chown(path, owner, owner)
        f.write(entry(message, flags, when))
        f.flush()
    return path


def messages(path):
    """All in the file: {number: letters as in Maildir, or None}."""
    with open(path, "rb") as f:
        found = re.split(rb"(?m)^From .*\n", f.read())[1:]
    out = {}
    for i, text in enumerate(found):
        head = b"\n" + text.partition(b"\n\n")[0] + b"\n"
        if b"\nX-IMAP: " in head:
            continue
        letters = b"".join(
            m.group(1) for m in re.finditer(rb"\n(?:X-)?Status: *(\w*)", head))
        out[i] = "".join(sorted(y for x, y in zip("RAFTD", "SRFDT")
                                if x in letters.decode())) \
            if letters else None
    return out
