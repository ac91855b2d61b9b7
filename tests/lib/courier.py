# SPDX-License-Identifier: ISC
"""courier.py - a Maildir that Courier has served (tests/data/courier)."""
import json
import os

from . import restante

V = 795320875
V_POP3 = 1795320870


def data():
    with open(os.path.join(restante.TOP, "tests", "data", "courier",
                           "maildir.json"), encoding="utf-8") as f:
        return json.load(f)


def put(box):
    """Fills an empty agree.Box with it."""
    for path in sorted(data()):
        top = os.path.dirname(path.rstrip("/"))
        parts = [p for p in top.split("/") if p]
        for i in range(len(parts)):
            rel = "/".join(parts[:i + 1])
            if not os.path.isdir(box.path(rel)):
                os.mkdir(box.path(rel), 0o700)
                os.chown(box.path(rel), box.uid, box.uid)
        if data()[path] is None:
            if not os.path.isdir(box.path(path)):
                os.mkdir(box.path(path), 0o700)
                os.chown(box.path(path), box.uid, box.uid)
        else:
            box.write(path, data()[path])


def uids(text):
    """courierimapuiddb as (uidvalidity, uidnext, {uid: base})."""
    lines = text.splitlines()
    version, v, n = lines[0].split()
    assert version == "1"
    return int(v), int(n), {
        int(x.split(" ", 1)[0]): x.split(" ", 1)[1] for x in lines[1:]}
