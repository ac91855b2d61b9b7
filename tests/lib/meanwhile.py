# SPDX-License-Identifier: ISC
"""meanwhile.py - is another session of the same process answered while a
command runs?"""
import select

ANSWERED = 4
TRIES = 6


def is_answered(busy, other, command):
    """command(i): what `busy` is told at the i-th time, which takes many turns.
    True: `other` had answers meanwhile, more than can have been on their way
    before it began. The machine may keep the test itself from running in
    between: that takes answers away, so it is tried again."""
    for i in range(TRIES):
        tag = busy.start(command(i))
        n = 0
        while n < ANSWERED and not busy.buffer and \
                not select.select([busy.sock], [], [], 0)[0]:
            other.ok("NOOP")
            n += 1
        status, text, _ = busy.finish(tag, 120)
        assert status == "OK", text
        if n == ANSWERED:
            return True
    return False
