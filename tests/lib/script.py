# SPDX-License-Identifier: ISC
"""script.py - what a client says and what the server must answer."""
import re


def play(c, script):
    """Lines "C: ..." and "S: ..."; all S of one command at once. "..." in an
    S line stands for anything; untagged lines may come in any order, the
    tagged one comes last."""
    steps = []
    for line in script.strip().splitlines():
        line = line.strip()
        if not line:
            continue
        who, text = line[:2], line[3:]
        if who == "C:":
            steps.append((text, []))
        else:
            steps[-1][1].append(text)
    for sent, wanted in steps:
        c.send(sent.encode() + b"\r\n")
        for want in wanted:
            if want.startswith("+"):
                assert c.response().startswith(b"+")
        rest = [w for w in wanted if not w.startswith("+")]
        if not rest:
            continue
        got = []
        while True:
            r = c.response().decode("latin-1")
            got.append(r)
            if not r.startswith("* "):
                break
        for want in rest:
            pattern = ".*".join(re.escape(p) for p in want.split("..."))
            assert [r for r in got if re.fullmatch(pattern, r, re.S)], \
                (sent, want, got)


def refused(c, i, line, name):
    """Sends a line that is wrong, and NOOP behind it: it gets one BAD or NO,
    and the session goes on. Gives all answers; `name` is for a failure."""
    c.send(b"t%d " % i + line + b"\r\nu%d NOOP\r\n" % i)
    seen = []
    while not seen or not seen[-1].startswith(b"u%d " % i):
        seen.append(c.response())
    assert seen[-1].startswith(b"u%d OK" % i), (name, i, line, seen)
    tagged = [r for r in seen if r.startswith(b"t%d " % i)]
    assert len(tagged) == 1 and \
        tagged[0].split()[1] in (b"BAD", b"NO"), (name, i, line, seen)
    return seen
