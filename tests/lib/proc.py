# SPDX-License-Identifier: ISC
"""proc.py - what /proc says of a server's processes."""
import itertools
import os
import random
import socket

TICKS = os.sysconf("SC_CLK_TCK")


def stat(pid):
    """Fields of /proc/PID/stat from the state on, or None."""
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def comm(pid):
    try:
        with open("/proc/%d/comm" % pid) as f:
            return f.read().strip()
    except OSError:
        return ""


def all_pids():
    return [int(p) for p in os.listdir("/proc") if p.isdigit()]


def tree(root):
    """`root` and everything below it."""
    children = {}
    for pid in all_pids():
        fields = stat(pid)
        if fields:
            children.setdefault(int(fields[1]), []).append(pid)
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo.extend(children.get(pid, []))
    return found


def cpu_seconds(root):
    """CPU of a whole tree, with the children it has waited for."""
    total = 0
    for pid in tree(root):
        fields = stat(pid)
        if fields:
            total += sum(int(x) for x in fields[11:15])
    return total / TICKS


def cpu_fine(root):
    """As cpu_seconds, in nanoseconds' precision where the scheduler tells:
    the running processes from schedstat, the reaped ones in ticks."""
    total = 0.0
    for pid in tree(root):
        fields = stat(pid)
        if not fields:
            continue
        total += sum(int(x) for x in fields[13:15]) / TICKS
        try:
            with open("/proc/%d/schedstat" % pid) as f:
                total += int(f.read().split()[0]) / 1e9
        except OSError:
            total += sum(int(x) for x in fields[11:13]) / TICKS
    return total


def pss_kib(root):
    """Proportional set size of a whole tree."""
    total = 0
    for pid in tree(root):
        try:
            with open("/proc/%d/smaps_rollup" % pid) as f:
                for line in f:
                    if line.startswith("Pss:"):
                        total += int(line.split()[1])
        except OSError:
            pass
    return total


# Below the range from which the kernel takes the ports of clients: between
# the choice of a port and its use, on whatever address, nobody gets it.
FIRST_PORT, BLOCK, BLOCKS = 12000, 400, 50
claim = None
offers = None


def claim_block():
    """A block of ports that no other test process has until this one ends (a
    name in the abstract name space says so)."""
    global claim
    for i in random.sample(range(BLOCKS), BLOCKS):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind("\0restante-test-ports-%d" % i)
        except OSError:
            claim.close()
            continue
        first = FIRST_PORT + i * BLOCK
        return itertools.cycle(range(first, first + BLOCK))
    raise RuntimeError("no free block of ports")


def free_ports(n):
    """Ports that nobody has; each of the block comes once before the first
    comes again."""
    global offers
    offers = offers or claim_block()
    ports = []
    for port in itertools.islice(offers, BLOCK):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("", port))
                s.listen(1)
            except OSError:
                continue
        ports.append(port)
        if len(ports) == n:
            return ports
    raise RuntimeError("no free port")
