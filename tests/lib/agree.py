# SPDX-License-Identifier: ISC
"""agree.py - ours and Dovecot on the same mail, compared by what clients see
(compat-tests.md 0.4)."""
import email.utils
import fcntl
import hashlib
import os
import re
import shutil
import time

import pytest

from . import dovecot, restante, server

DATE = re.compile(rb'INTERNALDATE "([^"]*)"')
# Made by us on first use; listed before they are on disk.
ON_FIRST_USE = {"Drafts", "Sent", "Trash", "Junk", "Archive"}


def msg(n):
    """MSG(n) of compat-tests.md: 127 bytes, 134 on the wire."""
    text = (b"From: a@example.org\nTo: b@example.org\nSubject: msg %d\n"
            b"Date: Mon, 02 Mar 2026 10:0%d:00 +0000\n"
            b"Message-ID: <m%d@example.org>\n\nhello\n" % (n, n, n))
    assert len(text) == 127
    return text


# Three messages as Dovecot left them (compat-tests.md M1).
B1 = "1795300341.M945632P17847.mx1,S=127,W=134"
B2 = "1795300341.M946189P17847.mx1,S=127,W=134"
B3 = "1795300341.M952196P17847.mx1,S=127,W=134"
GUID = "620a5138f51b026bb745000083ecc375"
M1 = "3 V1795300341 N1 G%s\n1 :%s\n2 :%s\n3 :%s\n" % (GUID, B1, B2, B3)


def fill_m1(box):
    box.write("dovecot-uidlist", M1)
    box.write("dovecot-keywords", "0 $Label1\n1 NonJunk\n2 Later\n")
    for i, (base, flags) in enumerate(
            ((B1, "S"), (B2, "Fab"), (B3, "Rc")), 1):
        box.write("cur/%s:2,%s" % (base, flags), msg(i),
                  when=1772445600 + i)


class Pair:
    """Both servers on the same homes; each has a log that is watched."""

    def __init__(self, users, extra=None):
        self.dovecot = dovecot.Dovecot(users=users, extra=extra)
        self.ours = restante.Restante(
            users=users, tls=False,
            extra={u: "userdb_mail=" + x for u, x in (extra or {}).items()})
        self.ours.home = self.dovecot.home
        self.users = list(users)
        self.used = 0

    def start(self):
        self.dovecot.start()
        self.ours.start()
        return self

    def stop(self):
        try:
            self.ours.stop()
        finally:
            self.dovecot.stop()

    def remove(self):
        self.ours.remove()
        self.dovecot.remove()

    def box(self, user=None):
        """A user that no other test has had."""
        if user is None:
            user = self.users[self.used]
            self.used += 1
        return Box(self, user)


def serving(users, extra=None, ours=None):
    """For a fixture: both servers, while it is in use. `ours`: extra fields
    that only ours has."""
    if not dovecot.is_there():
        pytest.skip("needs root and Debian's Dovecot")
    p = Pair(users, extra=extra)
    p.ours.extra.update(ours or {})
    yield from server.serving(p)


def facts(c, name):
    """What a client sees of a mailbox; the connection has it open after."""
    status, text, untagged = c.cmd('EXAMINE "%s"' % name)
    assert status == "OK", (name, status, text)
    whole = b"\n".join(untagged)
    found = {
        "uidvalidity": int(re.search(rb"UIDVALIDITY (\d+)", whole).group(1)),
        "uidnext": int(re.search(rb"UIDNEXT (\d+)", whole).group(1)),
        "messages": {},
    }
    for r in c.ok("FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE "
                  "BODY.PEEK[])") if not re.search(
                      rb"^\* 0 EXISTS", whole, re.M) else []:
        match = re.match(rb"\* (\d+) FETCH ", r)
        if not match:
            continue
        head, _, body = r.partition(b"}\r\n")
        size = int(re.search(rb"\{(\d+)$", head).group(1))
        uid = int(re.search(rb"UID (\d+)", head).group(1))
        flags = re.search(rb"FLAGS \(([^)]*)\)", head).group(1)
        found["messages"][uid] = (
            int(match.group(1)),
            frozenset(f for f in flags.decode().split()
                      if f != "\\Recent"),
            email.utils.mktime_tz(email.utils.parsedate_tz(
                DATE.search(head).group(1).decode())),
            int(re.search(rb"RFC822\.SIZE (\d+)", head).group(1)),
            hashlib.md5(body[:size]).hexdigest())
    c.ok("CLOSE")
    return found


def names(c, command="LIST"):
    """{name: attributes that both servers have}."""
    found = {}
    for r in c.ok('%s "" "*"' % command):
        match = re.match(rb'\* %s \(([^)]*)\) "(.)" (.*)$'
                         % command.encode(), r)
        if not match:
            continue
        attrs = {a.lower() for a in match.group(1).decode().split()}
        name = match.group(3).decode().strip('"').replace("\\\\", "\\")
        if "\\nonexistent" in attrs:
            attrs.add("\\noselect")
        found[name] = frozenset(attrs & {"\\haschildren", "\\noselect"})
    return found


def drop(c):
    """The POP3 view: sizes and ids in order."""
    sizes = [x.split()[1] for x in multi(c, "LIST")]
    uidls = [x.split()[1] for x in multi(c, "UIDL")]
    return sizes, uidls


def multi(c, command):
    c.send(command + "\r\n")
    assert c.line().startswith(b"+OK")
    lines = []
    while True:
        x = c.line()
        if x == b".":
            return lines
        lines.append(x)


class Box:
    """One user's mail, seen through both servers."""

    def __init__(self, pair, user):
        self.pair, self.user = pair, user
        self.root = pair.dovecot.maildir(user).rstrip("/")
        self.uid = pair.dovecot.uid_of(user)

    # ---- files ---------------------------------------------------------------

    def path(self, rel):
        return os.path.join(self.root, rel)

    def write(self, rel, data, when=None):
        if isinstance(data, str):
            data = data.encode()
        with open(self.path(rel), "wb") as f:
            f.write(data)
        os.chown(self.path(rel), self.uid, self.uid)
        if when is not None:
            os.utime(self.path(rel), (when, when))

    def read(self, rel):
        with open(self.path(rel), "rb") as f:
            return f.read().decode()

    def list(self, rel):
        return sorted(os.listdir(self.path(rel)))

    def folder(self, rel):
        for sub in ("", "cur", "new", "tmp"):
            path = os.path.join(self.path(rel), sub)
            if not os.path.isdir(path):
                os.mkdir(path, 0o700)
            os.chown(path, self.uid, self.uid)

    def rename(self, a, b):
        os.rename(self.path(a), self.path(b))

    def append_line(self, rel, text):
        with open(self.path(rel), "ab") as f:
            f.write(text.encode())

    def drop_index(self):
        """As if Dovecot had never had an index."""
        for root, _, files in os.walk(self.root):
            for name in files:
                if name.startswith("dovecot.index") or \
                        name.startswith("dovecot.list.index"):
                    os.unlink(os.path.join(root, name))

    def clear(self):
        shutil.rmtree(self.root)
        self.folder("")

    # ---- servers --------------------------------------------------------------

    def dovecot(self):
        return self.pair.dovecot.imap(self.user)

    def ours(self):
        return self.pair.ours.imap(self.user)

    def of(self, which):
        return self.dovecot() if which == "dovecot" else self.ours()

    def quiet(self, *allowed):
        """Dovecot had nothing to complain of."""
        bad = [x for x in self.pair.dovecot.complaints()
               if not any(re.search(a, x) for a in allowed)]
        assert bad == [], bad

    def settle(self):
        """Dovecot looks at whole seconds of a directory."""
        time.sleep(2.1)

    def agree(self, mailboxes=("INBOX",), first="ours", pop3=True):
        """Compares all; what ours sees of the mailboxes comes back."""
        order = ("ours", "dovecot") if first == "ours" else \
            ("dovecot", "ours")
        seen = {}
        for which in order:
            c = self.of(which)
            seen[which] = {
                "names": names(c),
                "lsub": set(names(c, "LSUB")),
                "boxes": {m: facts(c, m) for m in mailboxes},
            }
            c.logout()
        ours, theirs = seen["ours"], seen["dovecot"]
        for name in ON_FIRST_USE - set(theirs["names"]):
            ours["names"].pop(name, None)
        assert ours["names"] == theirs["names"]
        assert ours["lsub"] == theirs["lsub"]
        for m in mailboxes:
            a, b = ours["boxes"][m], theirs["boxes"][m]
            assert a["messages"] == b["messages"], m
            assert a["uidvalidity"] == b["uidvalidity"], m
            assert a["uidnext"] >= b["uidnext"], m
        if pop3:
            drops = {}
            for which in order:
                server = getattr(self.pair, which)
                c = server.pop3(self.user)
                drops[which] = drop(c)
                c.send("QUIT\r\n")
                c.line()
                c.close()
            assert drops["ours"] == drops["dovecot"]
        self.quiet()
        return ours["boxes"]


# ---- mbox --------------------------------------------------------------------

FROM = b"From a@b Mon Mar  2 10:01:00 2026\n"


def piece(n, fields=b""):
    """Each with a Received of its own: that is what names it."""
    head, _, body = msg(n % 9 + 1).partition(b"\n\n")
    return (FROM + b"Received: from x by y; Mon, 2 Mar 2026 10:00:%02d "
            b"+0000\n" % n + head + b"\n" + fields + b"\n" + body + b"\n")


class MboxBox(Box):
    """One user's mail: the file of INBOX and the folder of the others."""

    def __init__(self, pair, user):
        super().__init__(pair, user)
        self.root = pair.dovecot.home(user)
        for rel in ("mail", "in"):
            os.makedirs(self.path(rel), exist_ok=True)
            os.chown(self.path(rel), self.uid, self.uid)

    def add(self, data, rel="in/box"):
        """Delivers, Debian's way: fcntl and the dotlock, or neither."""
        path = self.path(rel)
        with open(path, "ab") as f:
            os.chown(path, self.uid, self.uid)
            while True:
                fcntl.lockf(f, fcntl.LOCK_EX)
                try:
                    os.close(os.open(path + ".lock", os.O_CREAT | os.O_EXCL |
                                     os.O_WRONLY, 0o644))
                    break
                except FileExistsError:
                    fcntl.lockf(f, fcntl.LOCK_UN)
                    time.sleep(0.005)
            f.write(data)
            f.flush()
            os.unlink(path + ".lock")

    def when(self, test, rel="in/box"):
        """The bytes, as soon as test(bytes) is true: a session's last writes
        come behind its end."""
        end = time.monotonic() + 20
        while not test(self.bytes(rel)):
            assert time.monotonic() < end, self.bytes(rel)
            time.sleep(0.01)
        return self.bytes(rel)

    def bytes(self, rel="in/box"):
        with open(self.path(rel), "rb") as f:
            return f.read()


def do(box, which, *commands, mailbox="INBOX"):
    c = box.of(which)
    c.ok("SELECT " + mailbox)
    for x in commands:
        c.ok(x)
    c.logout()
