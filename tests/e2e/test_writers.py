# SPDX-License-Identifier: ISC
"""All who may write to one mailbox do so at once: sessions of IMAP and POP3,
Dovecot, deliveries and a program that rewrites it. In the end each message is
there as often as was acknowledged, byte for byte, and no UID was two messages'.

A run is repeated with RESTANTE_SEED; RESTANTE_STRESS_SECONDS makes it longer,
for each two of them, too.
"""
import itertools
import os
import random

import pytest
from lib import agree, writers

SECONDS = float(os.environ.get("RESTANTE_STRESS_SECONDS", "0"))
SEED = int(os.environ.get("RESTANTE_SEED", "0")) or random.randrange(1 << 30)
ALL = sorted(writers.KINDS)
OURS = [k for k in ALL if k != "dovecot"]
FEW = [("flags", "imap", "pop3"), tuple(ALL)]
TOGETHER = FEW if not SECONDS else FEW + [tuple(OURS)] + \
    list(itertools.combinations(ALL, 2))
PLACES = {"maildir": writers.MaildirPlace, "mbox": writers.MboxPlace}
CASES = [(b, t) for b in PLACES for t in TOGETHER]


@pytest.fixture(scope="module")
def pair():
    yield from agree.serving(
        ["%s%d" % (b, i) for i, (b, _) in enumerate(CASES)],
        extra={"%s%d" % (b, i): "maildir:~/Maildir" if b == "maildir" else
               "mbox:~/mail:INBOX=~/in/box"
               for i, (b, _) in enumerate(CASES)})


@pytest.mark.parametrize("n", range(len(CASES)),
                         ids=["%s-%s" % (b, "+".join(t)) for b, t in CASES])
def test_together(pair, n):
    backend, kinds = CASES[n]
    # enough for an mbox file of which the tail alone is read
    big = 33000 if backend == "mbox" and (SEED + n) % 2 else 0
    place = PLACES[backend](pair, "%s%d" % (backend, n), SEED, kinds, big)
    wrong = place.go(SECONDS or 1.5)
    assert not wrong, "RESTANTE_SEED=%d\n%s\n%s" % (
        SEED, "\n".join(wrong), pair.ours.log()[-3000:])
