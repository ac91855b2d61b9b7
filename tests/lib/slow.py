# SPDX-License-Identifier: ISC
"""slow.py - how long a test waits for what is to happen. Below valgrind all
takes some ten times as long; a limit that has passed there says nothing."""
import os

FACTOR = 10 if os.environ.get("RESTANTE_VALGRIND") else 1


def seconds(n):
    """A limit of `n` seconds, as it is where this runs. None: without end."""
    return None if n is None else n * FACTOR
