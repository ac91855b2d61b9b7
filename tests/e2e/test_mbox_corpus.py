# SPDX-License-Identifier: ISC
"""Every mbox file of the corpus, read by us and by Debian's Dovecot, each from a
copy of its own: the same messages, sizes, dates, headers and bodies."""
import hashlib
import os
import re
import shutil

import pytest
from lib import box as boxes
from lib import dovecot

# Where we differ on purpose.
DIFFERS = {
    # A message without a body whose header's blank line is also what separates
    # it from the next: ours keeps that line, as RFC 3501 6.4.5 says of a
    # header; Dovecot's header has no end (347 bytes instead of 349).
    "exim-mbox/0014.userx",
    # "From user at example.net  Sat Feb ..." as mailing list archives write it:
    # Dovecot says that it is not an mbox; ours and c-client read 791 messages.
    "twisted-pipermail/twisted-python/2003-February.txt",
}


def corpus():
    top = os.environ.get("RESTANTE_CORPUS") or os.path.join(
        os.path.dirname(__file__), "..", "..", "..", "shared", "corpus")
    found = []
    manifest = os.path.join(top, "MANIFEST.tsv")
    if os.path.exists(manifest):
        with open(manifest, encoding="utf-8") as f:
            for line in f:
                path, kind = line.split("\t")[:2]
                if kind == "mbox":
                    found.append((path, os.path.join(top, path)))
    return sorted(found)


def seen(c, name):
    """[(size, date, hash of header, hash of body)]; None: not an mbox."""
    status, _, lines = c.cmd("EXAMINE " + name)
    if status != "OK":
        return None
    if b"* 0 EXISTS" in lines:
        return []
    out = []
    for r in c.ok("FETCH 1:* (RFC822.SIZE INTERNALDATE BODY.PEEK[HEADER] "
                  "BODY.PEEK[TEXT])", timeout=60):
        if b" FETCH (" not in r[:40]:
            continue
        parts = []
        for what in (rb"BODY\[HEADER\] ", rb"BODY\[TEXT\] "):
            m = re.search(what + rb"(?:\{(\d+)\}\r\n|\"\"|NIL)", r)
            n = int(m.group(1) or 0)
            parts.append(hashlib.md5(r[m.end():m.end() + n]).hexdigest())
        out.append((int(re.search(rb"RFC822\.SIZE (\d+)", r).group(1)),
                    re.search(rb'INTERNALDATE "[ 0]?([^"]*)"', r).group(1),
                    *parts))
    return out


def test_corpus_beside_dovecot():
    files = corpus()
    if not files:
        pytest.skip("there is no corpus")
    if not dovecot.is_there():
        pytest.skip("needs root and Debian's Dovecot")
    d = dovecot.Dovecot(users=["c"], settings="mail_fsync = never\n",
                        extra={"c": "mbox:~/mail:INBOX=~/inbox"})
    ours = boxes.Box("tunnel", store="mbox")
    try:
        theirs = os.path.join(d.home("c"), "mail")
        os.makedirs(theirs, exist_ok=True)
        for i, (_, path) in enumerate(files):
            for to in (os.path.join(theirs, "c%d" % i),
                       ours.mbox(".c%d" % i)):
                shutil.copyfile(path, to)
                os.chmod(to, 0o600)
            ours.own(ours.mbox(".c%d" % i))
        d.own_tree(d.home("c"), d.uid_of("c"))
        d.start()
        a, b = ours.connect(), d.imap("c")
        differ, n = {}, 0
        for i, (name, _) in enumerate(files):
            x, y = seen(a, "c%d" % i), seen(b, "c%d" % i)
            n += len(x or ())
            if x != y:
                at = [k for k in zip(x or (), y or ()) if k[0] != k[1]]
                differ[name] = (len(x or ()), len(y or ()), at[:1])
        assert set(differ) == DIFFERS, {
            k: v for k, v in differ.items() if k not in DIFFERS}
        assert n > 1000
    finally:
        ours.close()
        d.stop()
        d.remove()
