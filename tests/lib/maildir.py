# SPDX-License-Identifier: ISC
"""maildir.py - delivers into Maildirs as an outside program does."""
import os
import time

counter = 0


def create(path, owner=None):
    for sub in ("", "cur", "new", "tmp"):
        folder = os.path.join(path, sub)
        os.makedirs(folder, exist_ok=True)
        if owner is not None and os.geteuid() == 0:
            os.chown(folder, owner, owner)
    return path


def deliver(path, message, flags=None, owner=None, when=None, name=None):
    """A message into new/ (or, with flags, cur/); its path."""
    global counter
    counter += 1
    base = name or "%d.M%dP%dQ%d.test" % (
        time.time(), time.time_ns() % 10**9 // 1000, os.getpid(), counter)
    temporary = os.path.join(path, "tmp", base)
    with open(temporary, "wb") as f:
        f.write(message)
    if owner is not None and os.geteuid() == 0:
        os.chown(temporary, owner, owner)
    if when is not None:
        os.utime(temporary, (when, when))
    final = os.path.join(path, "new", base) if flags is None else \
        os.path.join(path, "cur", "%s:2,%s" % (base, flags))
    os.rename(temporary, final)
    return final


def message(number=1, body=b"Hello.\r\n", extra=b"", size=0, crlf=False):
    """A small message; `size` fills the body up."""
    if size:
        line = b"The quick brown fox jumps over the lazy dog. %06d\r\n"
        rows = []
        have = 0
        while have < size:
            row = line % len(rows)
            rows.append(row)
            have += len(row)
        body = b"".join(rows)
    text = (b"From: Sender %d <sender%d@example.org>\r\n"
            b"To: Reader <reader@example.org>\r\n"
            b"Subject: Message %d\r\n"
            b"Date: Sat, 22 Nov 2025 10:%02d:%02d +0000\r\n"
            b"Message-ID: <m%d@example.org>\r\n"
            b"MIME-Version: 1.0\r\n"
            b"Content-Type: text/plain; charset=us-ascii\r\n"
            % (number, number, number, number // 60 % 60, number % 60,
               number)) + extra + b"\r\n" + body
    return text if crlf else text.replace(b"\r\n", b"\n")


def files(path):
    """All messages: {base name: flags or None (in new)}."""
    found = {}
    for name in os.listdir(os.path.join(path, "new")):
        found[name.split(":")[0]] = None
    for name in os.listdir(os.path.join(path, "cur")):
        base, _, info = name.partition(":")
        found[base] = info[2:] if info.startswith("2,") else ""
    return found
