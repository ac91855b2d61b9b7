#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""bench.py - Restante against Debian's Dovecot in one run.

Both servers run at the same time on copies of the same mail; each row of
table.py is measured by turns, several rounds, and the median counts. Rows
that depend on the size of a mailbox are measured at each of --sizes; behind
them stands the growth: the exponent between the smallest and the largest.

Below the rows that miss the report shows what Restante's processes did in them
(profile.py): perf's samples (Debian: linux-perf), strace's counts without it,
and what the system alone takes for the same calls.

Needs root (both servers change to their users' uids) and dovecot-imapd,
dovecot-pop3d. Passwords are {PLAIN} on both sides: no hash is timed.
"""
import argparse
import json
import math
import resource
import signal
import statistics
import sys
import traceback

import harness
from harness import server
from lib import dovecot, restante
import mail
import profile
import table

SIZE_SUFFIX = {"k": 1000, "m": 1000000}


def size_of(text):
    text = text.strip().lower()
    factor = SIZE_SUFFIX.get(text[-1:], 1)
    n = int(text.rstrip("km")) * factor
    if n < 100:
        raise argparse.ArgumentTypeError("a size is 100 at least")
    return n


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, choices=range(1, 6))
    parser.add_argument("--sizes", default="1k,10k",
                        help="messages of mailboxes, such as 1k,10k,100k,1M")
    parser.add_argument("--store", default="maildir,mbox")
    parser.add_argument("--logins", type=int, default=50)
    parser.add_argument("--idle", type=int, default=2000)
    parser.add_argument("--watchers", type=int, default=200)
    parser.add_argument("--only", default="",
                        help="parts of names, with commas between them")
    parser.add_argument("--list", action="store_true",
                        help="print the names of the rows")
    parser.add_argument("--servers", default="restante,dovecot")
    parser.add_argument("--quick", action="store_true",
                        help="small figures: does it run at all?")
    parser.add_argument("--json", help="write all figures to this file")
    parser.add_argument("--profile", default="missed",
                        choices=("missed", "all", "none"),
                        help="of which rows the report shows what Restante "
                        "does, by perf or strace (default: missed)")
    parser.add_argument("--out", help="write the report to this file, too")
    opt = parser.parse_args()
    if opt.quick:
        opt.rounds, opt.sizes, opt.logins = 2, "100,300", 20
        opt.idle, opt.watchers = 40, 20
    opt.sizes = sorted({size_of(x) for x in opt.sizes.split(",")})
    opt.servers = opt.servers.split(",")
    opt.store = opt.store.split(",")
    opt.only = [x.strip() for x in opt.only.split(",")]
    return opt


class Bench:
    def __init__(self, opt):
        self.opt = opt
        self.running = harness.servers(opt)
        self.mail = harness.Mail(opt)
        self.results = {}    # name -> size -> server -> figures
        self.met, self.missed = 0, []
        self.profiles = {}   # label -> what perf has seen
        self.out = open(opt.out, "w", encoding="utf-8") if opt.out else None
        self.served, self.unserved = set(), set()

    # ---- servers ----

    def stop(self, srv):
        if srv.process is not None:
            srv.close_all()
            srv.stop(timeout=60)

    def alone(self, srv):
        """Only this one runs, and it has just been started."""
        for other in self.running.values():
            self.stop(other)
        srv.start()

    def all_run(self):
        for srv in self.running.values():
            if srv.process is None:
                srv.start()

    def serves(self, srv, store, size):
        """Whether a server serves a kind of store at all."""
        if store != table.MBOX:
            return True
        if (srv.name, store) in self.served:
            return True
        if (srv.name, store) not in self.unserved:
            try:
                c = srv.imap(harness.box(store, size), timeout=600)
                status = c.cmd("SELECT INBOX")[0]
                c.close()
            except (OSError, AssertionError, harness.wire.Closed):
                status = "NO"
            if status == "OK":
                self.served.add((srv.name, store))
                return True
            self.say("%s does not serve %s" % (srv.name, store))
            self.unserved.add((srv.name, store))
        return False

    def say(self, line):
        for out in sys.stdout, self.out:
            if out is not None:
                print(line, file=out, flush=True)

    # ---- measuring ----

    def rounds(self, row, size):
        n = row.rounds or self.opt.rounds
        if size and size >= 1000000:
            return 1
        return min(n, 3) if size and size >= 100000 else n

    def measure(self, row, size):
        """{server: {figure: median}} of one row at one size."""
        found = {name: [] for name in self.running}
        usable = []
        for srv in self.running.values():
            if row.sized:
                self.mail.need(srv, (row.store, size))
            if row.need:
                self.mail.need(srv, row.need)
            if self.serves(srv, row.store, size):
                usable.append(srv)
        for rnd in range(self.rounds(row, size)):
            for srv in usable if rnd % 2 == 0 else usable[::-1]:
                if row.fresh:
                    self.alone(srv)
                try:
                    r = row.run(srv, rnd, self.opt, size)
                except (AssertionError, OSError, harness.wire.Closed):
                    # A row that a server can not do is said, not hidden.
                    print("%s: %s failed: %.300s" % (
                        row.name, srv.name, traceback.format_exc(limit=-1)),
                        file=sys.stderr, flush=True)
                    r = None
                    if srv.name == "restante":
                        self.missed.append((label_of(row, size), "failed"))
                srv.close_all()
                mail.release()
                if r is None:
                    usable = [s for s in usable if s is not srv]
                else:
                    found[srv.name].append(r)
        if row.fresh:
            for srv in self.running.values():
                self.stop(srv)
            self.all_run()
        return {s: {k: statistics.median(r[k] for r in rs) for k in rs[0]}
                for s, rs in found.items() if rs}

    # ---- saying ----

    def verdict(self, row, size, ours, theirs):
        target = row.target_for(size)
        if target is None or ours is None:
            return ""
        kind, number = target
        if kind == "ratio" and not theirs:
            return ""
        value = ours / theirs if kind == "ratio" else ours
        good = value <= number if row.less else value >= number
        return self.judge(label_of(row, size), value, good,
                          "<=" if row.less else ">=", number)

    def judge(self, label, value, good, sign, number):
        if good:
            self.met += 1
        else:
            self.missed.append((label, "%.3g, not %s %.3g" % (
                value, sign, number)))
        return "%-6s %s %.3g" % ("met" if good else "MISSED", sign, number)

    def show(self, row, size, medians):
        values = [medians.get(s, {}).get(row.figure)
                  for s in ("restante", "dovecot")]
        ours, theirs = values
        self.say("%-38s %10s %10s %8s  %-18s %s" % (
            label_of(row, size),
            *["-" if v is None else number_text(v) for v in values],
            "%.3f" % (ours / theirs) if ours is not None and theirs else "-",
            row.figure, self.verdict(row, size, ours, theirs)))

    def growth(self, row):
        sizes = self.results[row.name]
        exponents = []
        for s in ("restante", "dovecot"):
            points = [(n, sizes[n].get(s, {}).get(row.figure))
                      for n in sorted(sizes)]
            # What is left of few ticks may be less than nothing.
            points = [(n, v) for n, v in points if v and v > 0]
            if len(points) < 2 or not row.less:
                exponents.append(None)
                continue
            (n0, v0), (n1, v1) = points[0], points[-1]
            exponents.append(math.log(v1 / v0) / math.log(n1 / n0))
        if exponents[0] is None and exponents[1] is None:
            return
        ours = exponents[0]
        self.say("%-38s %10s %10s %8s  %-18s %s" % (
            row.name + ", growth",
            *["-" if x is None else "%.2f" % x for x in exponents], "",
            "exponent",
            "" if ours is None or min(sizes) < 1000 else
            self.judge(row.name + ", growth", ours, ours <= row.growth, "<=",
                       row.growth)))

    # ---- why ----

    def profile(self, row, first, size, label=None):
        """Of a row that has missed, or of every one."""
        label = label or label_of(row, size)
        wanted = self.opt.profile == "all" or (
            self.opt.profile == "missed" and
            any(x == label for x, _ in self.missed))
        srv = self.running.get("restante")
        same = self.profiles.get(label_of(row, size))
        if same or not wanted or srv is None:
            self.profiles.setdefault(label, same)
            return
        if row.fresh or first.fresh:
            self.alone(srv)
        try:
            self.profiles[label] = profile.Profile(
                srv, row, first, self.opt, size).lines()
        except profile.Unable as e:
            self.profiles[label] = [str(e)]
        except (AssertionError, OSError, harness.wire.Closed):
            self.profiles[label] = [
                "no profile: " + traceback.format_exc(limit=-1)[-200:]]
        if row.fresh or first.fresh:
            self.stop(srv)
            self.all_run()

    def tell_profile(self, label):
        for line in self.profiles.pop(label, None) or []:
            self.say("      " + line)

    # ---- all rows ----

    def groups(self):
        """Rows that one run gives: the first has it, the others follow."""
        group = []
        for row in table.ROWS:
            if row.run is not None and group:
                yield group
                group = []
            group.append(row)
        yield group

    def wanted(self, row):
        return any(x in row.name for x in self.opt.only) and (
            row.store is None or row.store in self.opt.store)

    def run(self):
        self.all_run()
        self.say("%-38s %10s %10s %8s" % (
            "", "restante", "dovecot", "ratio"))
        for group in self.groups():
            shown = [r for r in group if self.wanted(r)]
            if not shown:
                continue
            first = group[0]
            sizes = [n for n in self.opt.sizes if n <= first.largest] \
                if first.sized else [None]
            for size in sizes:
                medians = self.measure(first, size)
                self.together(first, medians)
                for row in group:
                    self.results.setdefault(row.name, {})[size] = medians
                for row in shown:
                    self.show(row, size, medians)
                for row in shown:
                    self.profile(row, first, size)
            if first.sized and len(sizes) > 1:
                for row in shown:
                    self.growth(row)
                    self.profile(row, first, sizes[-1],
                                 row.name + ", growth")
        self.say("targets met: %d, missed: %d" % (
            self.met, len(self.missed)))
        for label, why in self.missed:
            self.say("  %s: %s" % (label, why))
            self.tell_profile(label)
        if self.profiles and self.opt.profile == "all":
            self.say("the others:")
            for label in list(self.profiles):
                self.say("  " + label)
                self.tell_profile(label)

    def together(self, row, medians):
        """Wall time of 8 clients to that of one."""
        if row.name != "APPEND 4 KiB, 8 clients":
            return
        one = self.results.get("APPEND 4 KiB", {}).get(None, {})
        for s, figures in medians.items():
            if s in one:
                figures["wall_to_one"] = \
                    figures["wall_ms"] / one[s]["wall_ms"]

    def end(self):
        for srv in self.running.values():
            try:
                self.stop(srv)
            finally:
                srv.remove()
        self.mail.end()
        if self.out is not None:
            self.out.close()
        restante.unstage()


def label_of(row, size):
    return row.name + (" [%s]" % mail.count_text(size) if size else "")


def number_text(v):
    return "%.0f" % v if v >= 1000 else "%.1f" % v if v >= 100 else "%.3g" % v \
        if v < 1 else "%.2f" % v


def more_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (65536, max(hard, 65536)))
    except (ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main():
    opt = arguments()
    if opt.list:
        for row in table.ROWS:
            print(row.name)
        return 0
    if not server.is_root():
        print("bench: needs root, to run both servers as they are shipped")
        return 2
    if "dovecot" in opt.servers and not dovecot.is_there():
        print("bench: needs Debian's dovecot-imapd and dovecot-pop3d")
        return 2
    more_files()
    # Ended from outside, it still ends the servers.
    for number in signal.SIGTERM, signal.SIGHUP:
        signal.signal(number, lambda *_: sys.exit(1))
    bench = Bench(opt)
    try:
        bench.run()
        if opt.json:
            with open(opt.json, "w") as f:
                json.dump(bench.results, f, indent=1, default=str)
    finally:
        bench.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
