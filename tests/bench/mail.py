# SPDX-License-Identifier: ISC
"""mail.py - the mail that is measured: the same bytes for both servers."""
import ctypes
import fcntl
import mmap
import os
import shutil

MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
LINE = (b"The quick brown fox jumps over the lazy dog, and %06d times it "
        b"does.\n")
BASE64 = b"VGhlIHF1aWNrIGJyb3duIGZveCBqdW1wcyBvdmVyIHRoZSBsYXp5IGRvZywgYWdhaW4u\n"
T0 = 1700000000
RARE = "xylograph"  # a word that few bodies have
RARE_EACH, RARE_AT = 5000, 76


def text(size):
    rows, have = [], 0
    while have < size:
        rows.append(LINE % len(rows))
        have += len(rows[-1])
    return b"".join(rows)


def plain(size):
    return (b"Content-Type: text/plain; charset=utf-8\n"
            b"Content-Transfer-Encoding: 8bit\n", text(size))


def alternative(size):
    half = text(size // 2)
    return (b"Content-Type: multipart/alternative; boundary=\"=_alt\"\n",
            b"--=_alt\nContent-Type: text/plain; charset=utf-8\n\n" + half +
            b"--=_alt\nContent-Type: text/html; charset=utf-8\n"
            b"Content-Transfer-Encoding: 8bit\n\n<html><body><p>" + half +
            b"</p></body></html>\n--=_alt--\n")


def attached(size):
    return (b"Content-Type: multipart/mixed; boundary=\"=_mixed\"\n",
            b"--=_mixed\nContent-Type: text/plain; charset=us-ascii\n\n" +
            text(min(size, 512)) +
            b"--=_mixed\nContent-Type: application/pdf; name=\"report.pdf\"\n"
            b"Content-Disposition: attachment; filename=\"report.pdf\"\n"
            b"Content-Transfer-Encoding: base64\n\n" +
            BASE64 * (size // len(BASE64) + 1) + b"--=_mixed--\n")


KINDS = (plain, alternative, plain, attached)
bodies = {}


def body(number, small):
    key = (number % 4, 0 if small else number * 7 % 8 + 1)
    if key not in bodies:
        bodies[key] = KINDS[key[0]](key[1] * 1024 or 256)
    return bodies[key]


def message(number, small=False):
    """One message with LF line ends: 1 to 9 KiB, half of them multipart, with
    the header of mail that has travelled; `small`: below 2 KiB."""
    kind, content = body(number, small)
    n = number
    if n % RARE_EACH == RARE_AT:
        content += b"And there is a %s.\n" % RARE.encode()
    date = b"%02d %s 2023 %02d:%02d:%02d +0100" % (
        n % 28 + 1, MONTHS[n % 12].encode(), n % 24, n % 60, n * 7 % 60)
    return (b"Return-Path: <sender%d@example.org>\n"
            b"Received: from mx%d.example.org (mx%d.example.org [192.0.2.%d])\n"
            b"\tby mail.example.net (Postfix) with ESMTPS id %08X\n"
            b"\tfor <reader@example.net>; Sat, %s\n"
            b"Received: from [198.51.100.%d] (helo=desk%d)\n"
            b"\tby mx%d.example.org with esmtpa id 1q%06x; Sat, %s\n"
            b"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\n"
            b"\td=example.org; s=k1; h=from:to:subject:date:message-id;\n"
            b"\tbh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;\n"
            b"\tb=q%060d\n"
            b"From: \"Sender, Number %d\" <sender%d@example.org>\n"
            b"To: Reader <reader@example.net>, other%d@example.com\n"
            b"Cc: list-%d@lists.example.org\n"
            b"Subject: Re: Message %d of a long talk about %d things\n"
            b"Date: Sat, %s\n"
            b"Message-ID: <m%d.%08x@example.org>\n"
            b"In-Reply-To: <m%d.%08x@example.org>\n"
            b"References: <m%d.%08x@example.org>\n"
            b"User-Agent: Bench/1.0\nMIME-Version: 1.0\n" % (
                n % 97, n % 7, n % 7, n % 250, n, date, n % 250, n % 50,
                n % 7, n, date, n, n % 97, n % 97, n % 31, n % 11, n, n % 13,
                date, n, n * 2654435761 % 2**32, n // 2, n, n // 3, n) +
            kind + b"\n" + content)


def count_text(n):
    return "%dM" % (n // 10**6) if n % 10**6 == 0 else \
        "%dk" % (n // 1000) if n % 1000 == 0 else str(n)


# ---- held in memory ----------------------------------------------------------

LOCKED, POPULATED = 0x2000, 0x8000  # MAP_LOCKED, MAP_POPULATE
HELD_MAX = 50000                    # mappings; a process may have 65,530
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int,
                      ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
held = []  # (address, bytes)


def hold(path):
    """Reads a file into memory, where it stays until release(); its time of
    access stays as it is."""
    fd = os.open(path, os.O_RDONLY | os.O_NOATIME)
    try:
        size = os.fstat(fd).st_size
        if size == 0 or len(held) >= HELD_MAX:
            return
        at = libc.mmap(None, size, mmap.PROT_READ,
                       mmap.MAP_SHARED | LOCKED | POPULATED, fd, 0)
        if at != ctypes.c_void_p(-1).value:
            held.append((at, size))
    finally:
        os.close(fd)


def release():
    while held:
        libc.munmap(*held.pop())


# ---- Maildir -----------------------------------------------------------------

LINKS_MAX = 20000  # of one file


def fill_maildir(path, n, uid):
    """n messages into cur/, as another server or a filter has left them. Of
    very many, whose bodies no row reads, most are links."""
    cur = os.path.join(path, "cur")
    small, linked = n > 200000, None
    for i in range(1, n + 1):
        name = os.path.join(cur, "%d.M%dP1Q%d.bench:2,%s" % (
            T0 + i, i * 7919 % 10**6, i, "S" if i % 3 else ""))
        if small and i % LINKS_MAX != 1:
            os.link(linked, name)
            continue
        linked = name
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(fd, message(i, small))
        os.fchown(fd, uid, uid)
        os.close(fd)
        os.utime(name, (T0 + i, T0 + i))


delivered = 0


def deliver_maildir(path, uid):
    """One message more by rename into new/; the moment before the rename
    is not measured, so the file is made by `prepare`."""
    global delivered
    delivered += 1
    name = "%d.M%dP2Q%d.bench" % (T0 + 10**8 + delivered, delivered,
                                  delivered)
    temporary = os.path.join(path, "tmp", name)
    with open(temporary, "wb") as f:
        f.write(message(delivered))
    os.chown(temporary, uid, uid)
    os.rename(temporary, os.path.join(path, "new", name))


# ---- mbox --------------------------------------------------------------------

def fill_mbox(path, n):
    with open(path, "wb") as f:
        for i in range(1, n + 1):
            f.write(b"From sender%d@example.org Sat Jan %2d %02d:%02d:%02d "
                    b"2023\n" % (i % 97, i % 28 + 1, i % 24, i % 60, i % 60))
            f.write(message(i, n > 200000).replace(
                b"MIME-Version", b"Status: RO\nMIME-Version" if i % 3 else
                b"MIME-Version", 1))
            f.write(b"\n")


def deliver_mbox(path):
    global delivered
    delivered += 1
    with open(path, "ab") as f:
        fcntl.lockf(f, fcntl.LOCK_EX)
        f.write(b"From bench@example.org Sun Feb  5 10:00:00 2023\n" +
                message(delivered) + b"\n")
        f.flush()
        fcntl.lockf(f, fcntl.LOCK_UN)


def copy_file(source, target, uid):
    shutil.copyfile(source, target + ".new")
    os.chmod(target + ".new", 0o600)
    os.chown(target + ".new", uid, uid)
    os.rename(target + ".new", target)
