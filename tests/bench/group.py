# SPDX-License-Identifier: ISC
"""group.py - the CPU of a server's processes, exactly.

A control group of its own counts nanoseconds, also of processes that have
ended. Without (no root, none mounted for writing) /proc has to do: of a
process that is reaped meanwhile only whole ticks are told, ten milliseconds,
and a row of less than that is off by what some login has left behind.
"""
import atexit
import os

from lib import proc

# Where they are, the file, and how many of its units are a second.
PLACES = (("/sys/fs/cgroup/cpuacct", "cpuacct.usage", "", 1e9),
          ("/sys/fs/cgroup", "cpu.stat", "usage_usec", 1e6))
groups = {}  # pid of a server's first process -> Group, or None


class Group:
    def __init__(self, root):
        for top, name, word, unit in PLACES:
            path = os.path.join(top, "restante-bench.%d" % root)
            if not os.path.exists(os.path.join(top, "cgroup.procs")):
                continue
            os.mkdir(path)
            atexit.register(self.remove, path)
            self.file, self.word, self.unit = (
                os.path.join(path, name), word, unit)
            self.seconds()
            self.move(path, root)
            return
        raise OSError("no control groups")

    @staticmethod
    def remove(path):
        try:
            os.rmdir(path)
        except OSError:
            pass

    @staticmethod
    def move(path, root):
        """All there are; those they start are in it from the beginning."""
        moved, found = set(), set(proc.tree(root))
        while found - moved:
            for pid in found - moved:
                try:
                    with open(os.path.join(path, "cgroup.procs"), "w") as f:
                        f.write("%d" % pid)
                except ProcessLookupError:
                    pass
            moved |= found
            found = set(proc.tree(root))

    def seconds(self):
        with open(self.file) as f:
            for line in f:
                if line.startswith(self.word):
                    return int(line.split()[-1]) / self.unit
        raise OSError(self.file)


def perf_name(srv):
    """The name of a group of the second version's, which perf can pick, or
    None. Where that is another tree than the one that counts, all go into a
    group of it as well."""
    try:
        with open("/proc/mounts") as f:
            tops = [x.split()[1] for x in f if x.split()[2] == "cgroup2"]
        path = os.path.join(tops[0], "restante-bench.%d" % srv.pid())
        if not os.path.isdir(path):
            os.mkdir(path)
            atexit.register(Group.remove, path)
            Group.move(path, srv.pid())
        return os.path.basename(path)
    except (OSError, IndexError):
        return None


def cpu(srv):
    """Seconds, of which differences count."""
    root = srv.pid()
    if root not in groups:
        try:
            groups[root] = Group(root)
        except OSError:
            groups[root] = None
    group = groups[root]
    return proc.cpu_fine(root) if group is None else group.seconds()
