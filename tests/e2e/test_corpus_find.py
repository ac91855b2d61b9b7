# SPDX-License-Identifier: ISC
"""SEARCH, SORT and THREAD beside Debian's Dovecot over the corpus. What differs
must be explained: by a rule or by a row of differences_find.md.

RESTANTE_FIND=full: all of the corpus and 200 words, ten minutes."""
import bisect
import collections
import email.header
import mailbox
import os
import random
import re
import tempfile

import pytest
from lib import box as boxes
from lib.fetch import one
from test_imap_fetch import corpus
from test_imap_fetch_dovecot import is_same_but_case

FULL = os.environ.get("RESTANTE_FIND") == "full"
HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.environ.get("RESTANTE_CORPUS") or os.path.join(
    HERE, "..", "..", "..", "shared", "corpus")
FIELDS = ("SUBJECT", "FROM", "TEXT", "BODY")
SORTS = ["ARRIVAL", "CC", "DATE", "FROM", "SIZE", "SUBJECT", "TO",
         "DISPLAYFROM", "DISPLAYTO", "REVERSE CC", "REVERSE FROM",
         "REVERSE SUBJECT", "REVERSE TO", "REVERSE DISPLAYFROM",
         "REVERSE DISPLAYTO", "SUBJECT DATE", "FROM SUBJECT SIZE"]
THREADS = ["ORDEREDSUBJECT", "REFERENCES", "REFS"]


def split_mbox(path):
    with tempfile.NamedTemporaryFile() as copy:
        with open(path, "rb") as f:
            copy.write(f.read())
        copy.flush()
        box = mailbox.mbox(copy.name, create=False)
        return [box.get_bytes(k) for k in box.keys()]


def messages():
    """[(name, bytes)]"""
    found = []
    for path in corpus():
        with open(path, "rb") as f:
            name = path
            for mark in ("shared/corpus", "tests/data"):
                name = name.partition(mark + "/")[2] or name
            found.append((name, f.read()))
    for path in ("linux-man/linux-man-2020-09.mbox",
                 "twisted-pipermail/divunal-author/1999-August.txt",
                 "twisted-pipermail/twisted-python/2003-February.txt"):
        path = os.path.join(TOP, path)
        if os.path.exists(path):
            found += [("%s %d" % (os.path.basename(path), i), x)
                      for i, x in enumerate(split_mbox(path), 1)]
    if not FULL and len(found) > 250:
        found = random.Random(5).sample(found, 250)
    return found


def decoded(text):
    out = []
    for part, charset in email.header.decode_header(text):
        if isinstance(part, bytes):
            part = part.decode(charset or "latin-1", "replace")
        out.append(part)
    return "".join(out)


def subject_words(mail):
    """Words of subjects and names that are not plain ASCII, too."""
    found = set()
    for _, text in mail:
        for m in re.finditer(rb"(?mi)^(?:subject|from): (.*(?:\n[ \t].*)*)",
                             text.partition(b"\n\n")[0]):
            try:
                value = decoded(m.group(1).decode("ascii"))
            except (UnicodeError, LookupError, ValueError):
                continue
            found |= set(re.findall(r"\w{3,}", value))
    return sorted(w for w in found if "\ufffd" not in w)


def words(mail, n):
    """Some that few messages have, some that many have, in any script."""
    r = random.Random(9586)
    ours = subject_words(mail)
    foreign = [w for w in ours if not w.isascii()]
    count = collections.Counter()
    for _, text in mail:
        count.update(set(re.findall(rb"[A-Za-z]{4,12}", text)))
    rare = sorted(w.decode() for w, k in count.items() if k <= 3)
    common = [w.decode() for w, _ in count.most_common(300)]
    found = r.sample(foreign, min(n // 4, len(foreign)))
    found += r.sample(ours, min(n // 4, len(ours)))
    found += r.sample(common, min(n // 4, len(common)))
    found += r.sample(rare, n - len(found))
    return found


def moved(ours, theirs):
    """The fewest members to be taken away that leave the same order."""
    place = {u: i for i, u in enumerate(theirs)}
    tails, links, at = [], {}, []
    for u in ours:
        i = bisect.bisect_left(at, place[u])
        links[u] = tails[i - 1] if i else None
        if i == len(at):
            at.append(place[u])
            tails.append(u)
        else:
            at[i], tails[i] = place[u], u
    keep, u = set(), tails[-1] if tails else None
    while u is not None:
        keep.add(u)
        u = links[u]
    return set(ours) - keep


def field(text, name):
    """The values of a field, folded as they are."""
    header = re.split(rb"\r?\n\r?\n", text, maxsplit=1)[0]
    return re.findall(rb"(?mis)^%s:(.*?)(?=\n[^ \t]|\Z)" % name.encode(),
                      header)


DATE = re.compile(
    rb"\s*(?:[A-Za-z]{3},?\s+)?\d{1,2}\s+(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep"
    rb"|Oct|Nov|Dec)\s+(?:19[7-9]\d|20[0-2]\d|[0-24-9]\d)\s+\d\d:\d\d"
    rb"(?::\d\d)?\s+(?:[+-]\d{4}|UT|GMT|[ECMP][SD]T)\s*(?:\(.*\)\s*)?", re.S)


def odd_date(text):
    """Not of RFC 5322, or not of Dovecot's time."""
    found = field(text, "Date")
    return bool(found) and not (
        len(found) == 1 and DATE.fullmatch(found[0]))


def blanks_in_subject(text):
    return any(re.search(rb"[ \t]\r?\n?[ \t]", x.strip())
               for x in field(text, "Subject"))


def raw_in(name):
    def judge(text):
        return any(re.search(rb"[\0\x80-\xff]", x) for x in
                   field(text, name))
    return judge


def embedded(text):
    return re.search(rb"(?i)message/(rfc822|global|news)|multipart/digest",
                     text) is not None


# What can be told from the bytes: (rule, what it is about, predicate).
RULES = [
    ("odd-date", "DATE", odd_date),
    ("raw-field", "SUBJECT", raw_in("Subject")),
    ("raw-field", "FROM", raw_in("From")),
    ("raw-field", "TO", raw_in("To")),
    ("blanks-in-subject", "SUBJECT", blanks_in_subject),
    ("embedded-header", "BODY", embedded),
]
# What differs in FETCH already, see differences.md: place in ENVELOPE.
ADDRESSES = {"FROM": 2, "TO": 5, "CC": 6}
ABOUT = {"ORDEREDSUBJECT": "SUBJECT DATE", "REFERENCES": "DATE SUBJECT",
         "REFS": "DATE"}


def page():
    """Rules, and {(message, what)} of the table of single messages."""
    with open(os.path.join(HERE, "differences_find.md"),
              encoding="utf-8") as f:
        text = f.read()
    return (set(re.findall(r"^\| `([a-z-]+)` \|", text, re.M)),
            {(m.group(1), w) for m in re.finditer(
                r"^\| `([^`]+)` \| ([A-Z, ]+) \|", text, re.M)
             for w in m.group(2).split(", ")})


class Comparison:
    def __init__(self, mail, ours, theirs):
        self.mail, self.ours, self.theirs = mail, ours, theirs
        self.named = page()[1]
        self.used, self.unexplained = set(), []
        self.known = {}  # {what: {uid: rule}}
        for rule, about, judge in RULES:
            self.known.setdefault(about, {}).update(
                {u: rule for u, (_, text) in enumerate(mail, 1)
                 if judge(text)})
        self.fetched()

    def fetched(self):
        """Messages whose addresses or structure FETCH tells otherwise."""
        for u, _ in enumerate(self.mail, 1):
            a, b = [one(c, "%d (ENVELOPE BODYSTRUCTURE)" % u)
                    for c in (self.ours, self.theirs)]
            for key, i in ADDRESSES.items():
                if a["ENVELOPE"][i] != b["ENVELOPE"][i]:
                    self.known.setdefault(key, {})[u] = "other-address"
            if not is_same_but_case(a["BODYSTRUCTURE"], b["BODYSTRUCTURE"]):
                for key in ("TEXT", "BODY"):
                    self.known.setdefault(key, {})[u] = "other-structure"

    def explained(self, what):
        """{uid: rule or row}"""
        found = {}
        for word in what.replace("DISPLAY", "").split():
            found.update(self.known.get(word, {}))
            found.update({u: (name, word) for u, (name, _) in
                          enumerate(self.mail, 1)
                          if (name, word) in self.named})
        return found

    def both(self, command):
        tag = self.ours.start(command)
        answers = [self.ours.finish(tag, 600)]
        answers.append(self.theirs.finish(self.theirs.start(command), 600))
        assert [a[0] for a in answers] == ["OK", "OK"], command
        return [[r for r in a[2] if re.match(
            rb"\* (SEARCH|SORT|THREAD)", r)][-1] for a in answers]

    def fail(self, what, uids):
        for u in sorted(uids):
            self.unexplained.append("%s %s" % (what, self.mail[u - 1][0]))

    def sort(self, key):
        """Without what is explained the orders are the same."""
        known = self.explained(key)
        for without in ((), known):
            command = "UID SORT (%s) UTF-8 ALL" % key
            if without:
                command += " NOT UID " + ",".join(map(str, sorted(known)))
            a, b = [[int(x) for x in line.split()[2:]]
                    for line in self.both(command)]
            assert set(a) == set(b), key
            if a == b:
                return
            if not without:
                self.used |= {known[u] for u in moved(a, b) if u in known}
        self.fail("SORT " + key, moved(a, b))

    def thread(self, kind):
        rows = self.explained(kind)
        for what in (ABOUT[kind], ABOUT[kind] + " " + kind):
            known = self.explained(what)
            command = "UID THREAD %s UTF-8 ALL" % kind
            if known:
                command += " NOT UID " + ",".join(map(str, sorted(known)))
            a, b = self.both(command)
            if a == b:
                return
            self.used |= set(rows.values())
        (ours, our_heads), (theirs, their_heads) = tree(a), tree(b)
        assert set(ours) == set(theirs)
        self.fail("THREAD " + kind,
                  {u for u in ours if ours[u] != theirs[u]} or
                  moved(our_heads, their_heads))

    def search(self, key, word):
        text = '"%s"' % word if word.isascii() else \
            "{%d+}\r\n%s" % (len(word.encode()), word)
        a, b = [{int(x) for x in line.split()[2:]} for line in self.both(
            ("UID SEARCH CHARSET UTF-8 %s %s" % (key, text)).encode())]
        known = self.explained(key)
        self.used |= {known[u] for u in a ^ b if u in known}
        self.fail("SEARCH %s %s" % (key, word), (a ^ b) - set(known))


def tree(line):
    """{uid: (parent or None, uid of the head)}, [heads' first uids]"""
    parents, heads, stack, last = {}, [], [], None
    for token in re.findall(rb"[()]|\d+", line):
        if token == b"(":
            stack.append(last)
        elif token == b")":
            last = stack.pop()
            if not stack:
                last = None
        else:
            parents[int(token)] = last
            if last is None and len(stack) == 1:
                heads.append(int(token))
            last = int(token)
    return parents, heads


def test_like_dovecot(start_dovecot):
    mail = messages()
    if len(mail) < 100:
        pytest.skip("needs the corpus")
    theirs = start_dovecot(users=["u1"])
    ours = boxes.Box("tunnel")
    for i, (_, text) in enumerate(mail):
        kw = {"flags": "S", "name": "%d.%d.h" % (1600000000 + i, i)}
        ours.deliver(text, **kw)
        theirs.deliver("u1", text, **kw)
    c, d = ours.connect(timeout=600), theirs.imap("u1", timeout=600)
    for x in (c, d):
        x.ok("SELECT INBOX")
    cmp = Comparison(mail, c, d)
    for key in SORTS:
        cmp.sort(key)
    for kind in THREADS:
        cmp.thread(kind)
    chosen = words(mail, 200 if FULL else 8)
    for key in FIELDS:
        for word in chosen:
            cmp.search(key, word)
    ours.close()
    if cmp.unexplained:
        pytest.fail("%d unexplained:\n%s" % (
            len(cmp.unexplained), "\n".join(cmp.unexplained)), False)
    rules, named = page()
    assert rules == {r for r, _, _ in RULES} | {
        "other-address", "other-structure"}
    if FULL:  # neither page nor test names what no longer happens
        assert cmp.used == rules | named
