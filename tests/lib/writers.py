# SPDX-License-Identifier: ISC
"""writers.py - all who write to one mailbox at the same time: our imapd and
pop3d, Dovecot, deliveries, and a program that rewrites it as mutt does.

Each message carries a mark that no other has, from which all its bytes follow,
and each mark belongs to one of those who remove. So it is known of each how
often it must be there in the end, and each UID is known to be of one message.
"""
import contextlib
import fcntl
import hashlib
import os
import random
import re
import struct
import threading
import time
import traceback

from . import maildir

FROM = b"From a@b Mon Mar  2 10:01:00 2026\n"
HIDDEN = re.compile(rb"(?im)^(?:X-UID|X-IMAPbase|X-IMAP|Status|X-Status|"
                    rb"X-Keywords|Content-Length): .*\n(?:[ \t].*\n)*")
MARK = re.compile(rb"(?m)^Subject: (m-[a-z0-9]+-\d+)\r?$")
FLAGS = ["\\Seen", "\\Flagged", "\\Answered", "\\Deleted", "$Later"]


def text_of(mark, big=0):
    """The message of this mark, with LF."""
    n = hashlib.md5(mark).digest()[0]
    lines = b"".join(b"%d of %s\n" % (i, mark) for i in range(n % 23))
    return (b"Subject: %s\nFrom: a@example.org\nMessage-ID: <%s@x>\n\n%sthis "
            b"is %s\n" % (mark, mark, lines, mark)) + b"x" * 70 * big + \
        (b"\n" if big else b"")


class Ledger:
    """What was put in and taken out, as it was acknowledged."""

    def __init__(self, seed, removers):
        self.mutex = threading.Lock()
        self.least, self.most = {}, {}
        self.uids, self.wrong, self.events = {}, [], []
        self.removers = removers
        self.seed = seed

    def note(self, mark, least, most, why):
        with self.mutex:
            self.least[mark] = self.least.get(mark, 0) + least
            self.most[mark] = self.most.get(mark, 0) + most
            self.events.append((time.time(), mark, least, most, why))

    def is_of(self, who, mark):
        n = hashlib.md5(b"%d" % self.seed + mark).digest()[1]
        return self.removers and \
            self.removers[n % len(self.removers)] == who

    def saw(self, key, mark, who):
        with self.mutex:
            old = self.uids.setdefault(key, (mark, who))
        if old[0] != mark:
            self.wrong.append("%s: UID %s was %s (%s), is %s" % (
                who, key, old[0], old[1], mark))

    def check(self, found):
        """found: {mark: how often}."""
        for mark in sorted(set(found) | set(self.least)):
            n = found.get(mark, 0)
            if not self.least.get(mark, 0) <= n <= self.most.get(mark, 0):
                self.wrong.append("%s is there %d times, not %d to %d: %s" % (
                    mark, n, self.least.get(mark, 0), self.most.get(mark, 0),
                    [x for x in self.events if x[1] == mark]))
        return self.wrong


class Writer(threading.Thread):
    pause = 0.0

    def __init__(self, place, name, seed):
        super().__init__(name=name)
        self.place, self.rnd = place, random.Random("%s %s" % (name, seed))
        self.ledger, self.count, self.failed = place.ledger, 0, None

    def mark(self):
        self.count += 1
        return b"m-%s-%d" % (self.name.encode(), self.count)

    def begin(self):
        pass

    def run(self):
        try:
            self.begin()
            while not self.place.over.is_set():
                self.act()
                time.sleep(self.pause * self.rnd.random())
        except Exception:  # told by the test
            self.failed = "%s: %s" % (self.name, traceback.format_exc())

    def act(self):
        raise NotImplementedError


# ---- by a protocol ------------------------------------------------------------

class ByImap(Writer):
    copies = False
    pause = 0.002

    def server(self):
        return self.place.ours

    def begin(self):
        self.c = self.server().imap(self.place.user)
        untagged = self.c.ok("SELECT INBOX")
        self.validity = int(re.search(rb"UIDVALIDITY (\d+)",
                                      b"\n".join(untagged)).group(1))

    def look(self, what="1:*", folder="INBOX"):
        """{uid: mark}"""
        found = {}
        # NO is for those that went meanwhile (RFC 2180)
        for r in self.c.cmd("UID FETCH %s (UID BODY.PEEK[HEADER.FIELDS "
                            "(SUBJECT)])" % what)[2]:
            m, u = MARK.search(r), re.search(rb"[( ]UID (\d+)", r)
            if m and u:
                found[int(u.group(1))] = m.group(1)
                self.ledger.saw((folder, self.validity, int(u.group(1))),
                                m.group(1), self.name)
        return found

    def append(self):
        mark = self.mark()
        self.ledger.note(mark, 0, 1, "append")
        self.c.append("INBOX", text_of(mark).replace(b"\n", b"\r\n"),
                      self.rnd.choice(["", "(\\Seen)", "($Later)"]))
        self.ledger.note(mark, 1, 0, "appended")

    def store(self):
        self.c.cmd("STORE %s %sFLAGS%s (%s)" % (
            self.rnd.choice(["1", "1:3", "*", "1:*"]),
            self.rnd.choice(["", "", "+", "-"]),
            self.rnd.choice(["", ".SILENT"]),
            " ".join(x for x in self.rnd.sample(FLAGS, self.rnd.randint(0, 2))
                     if x != "\\Deleted")))

    def owned(self):
        mine = [(u, m) for u, m in self.look().items()
                if self.ledger.is_of(self.name, m)]
        return self.rnd.choice(mine) if mine else (None, None)

    def remove(self):
        uid, mark = self.owned()
        if uid is None:
            return
        self.ledger.note(mark, -1, 0, "expunge %d" % uid)
        self.c.cmd("UID STORE %d +FLAGS.SILENT (\\Deleted)" % uid)
        status, text, _ = self.c.cmd("UID EXPUNGE %d" % uid)
        seen = self.look()
        # gone before, and numbered anew: it is another one now
        if status == "OK" and mark not in seen.values():
            self.ledger.note(mark, 0, -1, "expunged %d" % uid)
        elif uid in seen:
            self.c.cmd("UID STORE %d -FLAGS.SILENT (\\Deleted)" % uid)

    def copy(self):
        seen = self.look()
        if not seen:
            return
        uid = self.rnd.choice(sorted(seen))
        self.ledger.note(seen[uid], 0, 1, "copy %d" % uid)
        status, text, _ = self.c.cmd("UID COPY %d %s" % (
            uid, self.rnd.choice(["INBOX", "Other"])))
        if status == "OK" and b"COPYUID" in text:
            self.ledger.note(seen[uid], 1, 0, "copied %d" % uid)

    def move(self):
        uid, mark = self.owned()
        if uid is None:
            return
        self.ledger.note(mark, -1, 0, "move %d" % uid)
        status, text, untagged = self.c.cmd("UID MOVE %d %s" % (
            uid, self.rnd.choice(["INBOX", "Other"])))
        if status == "OK" and b"COPYUID" in b"\n".join(untagged) + text:
            self.ledger.note(mark, 1, 0, "moved %d" % uid)
        elif b"numbered messages anew" in text:
            # found when the copy was there: two are better than none
            self.ledger.note(mark, 1, 1, "move refused %d" % uid)

    def again(self):
        self.c.close()
        self.begin()

    def act(self):
        what = [self.append, self.append, self.store, self.store, self.store,
                self.store, self.remove, self.look]
        if self.copies:
            what += [self.copy, self.copy, self.move, self.move]
        self.rnd.choice(what if self.rnd.random() > 0.05 else [self.again])()


class ByImapToo(ByImap):
    copies = True


class ByFlags(ByImap):
    """Nothing but flags."""
    def act(self):
        self.store()


class ByDovecot(ByImap):
    def server(self):
        return self.place.dovecot


class ByPop3(Writer):
    pause = 0.005

    def act(self):
        p = self.place.ours.pop3(self.place.user)
        n = int(p.ok("STAT").split()[1])
        chosen = []
        for i in self.rnd.sample(range(1, n + 1), min(n, 2)) + \
                ([1] if n else []):
            if not p.cmd("TOP %d 0" % i).startswith(b"+OK"):
                continue  # gone
            m = MARK.search(b"\n".join(p.lines()) + b"\n")
            if m and self.ledger.is_of(self.name, m.group(1)) and \
                    i not in [x for x, _ in chosen]:
                chosen.append((i, m.group(1)))
        for i, mark in chosen:
            if self.rnd.random() < 0.3:
                p.multi("RETR %d" % i)
            p.ok("DELE %d" % i)
            self.ledger.note(mark, -1, 0, "dele %d" % i)
        if p.cmd("QUIT").startswith(b"+OK"):
            for i, mark in chosen:
                self.ledger.note(mark, 0, -1, "quit %d" % i)
        p.close()


# ---- on the files ---------------------------------------------------------------

@contextlib.contextmanager
def locked(path):
    """fcntl (of the open file: others of this process meet it), then dotlock."""
    lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0)
    while True:
        f = open(path, "r+b")
        try:
            fcntl.fcntl(f, fcntl.F_OFD_SETLK, lock)
            os.close(os.open(path + ".lock",
                             os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            break
        except (BlockingIOError, FileExistsError):
            f.close()
            time.sleep(0.003)
    try:
        yield f
        f.flush()
    finally:
        # while the file is locked still
        os.unlink(path + ".lock")
        f.close()


class Deliverer(Writer):
    pause = 0.04

    def act(self):
        mark = self.mark()
        self.place.deliver(mark)


class Rewriter(Writer):
    """Flags and removes, all in one go."""
    pause = 0.05

    def act(self):
        self.place.rewrite(self)


class Place:
    """One mailbox of one user, and who writes to it."""

    def __init__(self, pair, user, seed, kinds, start=40, big=0):
        self.ours, self.dovecot, self.user = pair.ours, pair.dovecot, user
        removers = [k for k in kinds if k not in ("deliver", "flags")]
        self.ledger = Ledger(seed, removers)
        self.over = threading.Event()
        for i in range(start):
            self.deliver(b"m-old-%d" % i, big if i == 0 else 0)
        self.writers = [KINDS[k](self, k, seed) for k in kinds]

    def go(self, seconds):
        for w in self.writers:
            w.start()
        time.sleep(seconds)
        self.over.set()
        for w in self.writers:
            w.join(90)
            if w.is_alive():
                self.ledger.wrong.append("%s does not end" % w.name)
            if w.failed:
                self.ledger.wrong.append(w.failed)
        self.ours.close_all()
        self.dovecot.close_all()
        return self.judge()

    def judge(self):
        found = {}
        for text in self.texts():
            m = MARK.search(text)
            if not m:
                self.ledger.wrong.append("not a message: %r" % text[:300])
                continue
            mark = m.group(1)
            want = text_of(mark, self.big if mark == b"m-old-0" else 0)
            if text.rstrip(b"\n") != want.rstrip(b"\n"):
                self.ledger.wrong.append("%s has changed: %r" % (
                    mark, text[:3000]))
            found[mark] = found.get(mark, 0) + 1
        return self.ledger.check(found)


class MboxPlace(Place):
    def __init__(self, pair, user, seed, kinds, big=0):
        self.path = os.path.join(pair.ours.home(user), "in", "box")
        self.other = os.path.join(pair.ours.home(user), "mail", "Other")
        self.big = big
        for path in self.path, self.other:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            open(path, "xb").close()
        super().__init__(pair, user, seed, kinds, big=big)
        pair.ours.own_tree(pair.ours.home(user), pair.ours.uid_of(user))

    def deliver(self, mark, big=0):
        with locked(self.path) as f:
            f.seek(0, 2)
            f.write(FROM + text_of(mark, big) + b"\n")
        self.ledger.note(mark, 1, 1, "delivered")

    @staticmethod
    def split(data):
        found = re.split(rb"(?m)(?<=\n)(?=^From a@b |^From [^ \n]+ +[A-Z])",
                         data)
        return [x for x in found if x]

    def rewrite(self, who):
        gone = []
        with locked(self.path) as f:
            times, out = os.fstat(f.fileno()), []
            entries = self.split(f.read())
            for i, entry in enumerate(entries):
                m = MARK.search(entry.partition(b"\n\n")[0] + b"\n")
                if m and self.ledger.is_of(who.name, m.group(1)) and \
                        who.rnd.random() < (
                            0.05 if i < len(entries) - 2 else 0.6):
                    gone.append(m.group(1))
                    continue
                if m and who.rnd.random() < 0.3:
                    head, blank, body = entry.partition(b"\n\n")
                    head = re.sub(rb"\n(?:X-)?Status: .*", b"", head)
                    head += who.rnd.choice(
                        [b"", b"\nStatus: O", b"\nStatus: RO\nX-Status: F"])
                    entry = head + blank + body
                out.append(entry)
            f.seek(0)
            f.write(b"".join(out))
            f.truncate()
            f.flush()
            if who.rnd.random() < 0.3:
                os.utime(f.fileno(), ns=(times.st_atime_ns,
                                         times.st_mtime_ns))
        for mark in gone:
            self.ledger.note(mark, -1, -1, "rewritten")

    def texts(self):
        found = []
        for path in self.path, self.other:
            with locked(path) as f:
                data = f.read()
            assert not data or data.startswith(b"From "), data[:200]
            for entry in self.split(data):
                head, blank, body = entry.partition(b"\n")[2].partition(
                    b"\n\n")
                if b"FOLDER INTERNAL DATA" in head:
                    continue
                found.append(HIDDEN.sub(b"", head + b"\n") + b"\n" + body)
        return found


class MaildirPlace(Place):
    def __init__(self, pair, user, seed, kinds, big=0):
        self.path = pair.ours.home(user) + "/Maildir"
        self.owner, self.big = pair.ours.uid_of(user), big
        self.other = os.path.join(self.path, ".Other")
        for path in self.path, self.other:
            maildir.create(path, self.owner)
        super().__init__(pair, user, seed, kinds, big=big)

    def deliver(self, mark, big=0):
        maildir.deliver(self.path, text_of(mark, big), owner=self.owner)
        self.ledger.note(mark, 1, 1, "delivered")

    def rewrite(self, who):
        cur = os.path.join(self.path, "cur")
        for sub in "new", "cur":
            for name in os.listdir(os.path.join(self.path, sub)):
                at = os.path.join(self.path, sub, name)
                try:
                    with open(at, "rb") as f:
                        m = MARK.search(f.read(200))
                    if m and self.ledger.is_of(who.name, m.group(1)) and \
                            who.rnd.random() < 0.1:
                        self.ledger.note(m.group(1), -1, 0, "unlink")
                        os.unlink(at)
                        self.ledger.note(m.group(1), 0, -1, "unlinked")
                    elif who.rnd.random() < 0.3:
                        os.rename(at, os.path.join(
                            cur, name.partition(":")[0] + ":2," +
                            who.rnd.choice(["", "S", "F", "FS"])))
                except FileNotFoundError:
                    pass

    def texts(self):
        found = []
        for folder in self.path, self.other:
            for sub in "cur", "new":
                for name in os.listdir(os.path.join(folder, sub)):
                    with open(os.path.join(folder, sub, name), "rb") as f:
                        found.append(f.read().replace(b"\r\n", b"\n"))
        return found


KINDS = {"imap": ByImap, "imaptoo": ByImapToo, "flags": ByFlags, "pop3": ByPop3,
         "dovecot": ByDovecot, "deliver": Deliverer, "rewrite": Rewriter}
