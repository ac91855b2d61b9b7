# SPDX-License-Identifier: ISC
"""profile.py - why a row misses: the row once more, by Restante alone, with its
processes recorded.

Only what the row's figure measures is recorded (harness.Measure tells it when
that begins and ends), as often as it takes to have samples. `perf` samples the
server's control group (without one, all that bears the programs' names); without it `strace` counts the system
calls of the whole run. Figures of memory have the mappings instead. Where a
row is mostly work of the system's, floor.c does the same calls and no more.
"""
import collections
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

from lib import proc, restante
from harness import POP, Measure, box
import group

FREQUENCY = 4000            # samples in a second of CPU
ENOUGH, RUNS, WITHIN = 0.4, 10, 15  # seconds of CPU, runs, seconds
SHOWN, CALLS = 8, 8
PROGRAMS = {"restanted", "login", "keyd", "authd", "logd", "spoold", "imapd",
            "pop3d"}
SYSCALL = re.compile(r"^__(?:x64|arm64|se)_sys_(\w+)$")
HEAD = re.compile(r"^\s*(\S.*?)\s+([0-9]+\.[0-9]+):\s*$")
FAULT = "asm_exc_page_fault"
TRACEPOINTS = "/sys/kernel/tracing/events/syscalls/sys_enter_"
NOTHING = "install linux-perf (or strace) to see why"


class Unable(Exception):
    """No profile; the text says why."""


class Recorder:
    """perf. A counter is switched on while something is measured; samples are
    taken all the time, or it would not know the programs that start between,
    and `spans` tells which ones count."""

    def __init__(self, srv, figure, arguments, counter=False):
        self.figure, self.cpu, self.runs = figure, 0.0, 0
        self.counter, self.spans, self.since = counter, [], 0
        self.dir = tempfile.mkdtemp(prefix="bench-perf.", dir="/tmp")
        names = [os.path.join(self.dir, x) for x in ("control", "answer")]
        for name in names:
            os.mkfifo(name, 0o600)
        # Held open for both, so that neither end waits for the other.
        self.control, self.answer = [os.open(x, os.O_RDWR) for x in names]
        self.log = open(os.path.join(self.dir, "log"), "w+")
        # Not by process: what changes its ids is lost then.
        name = group.perf_name(srv)
        self.process = subprocess.Popen(
            ["perf"] + arguments + (["-G", name] if name else []) + [
                "-a", "-o", self.path("data")] + (
                    ["-D", "-1"] if counter else []) + [
                "--control", "fifo:%s,%s" % tuple(names)],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.tell("ping")

    def path(self, name):
        return os.path.join(self.dir, name)

    def tell(self, word):
        os.write(self.control, word.encode() + b"\n")
        end = time.monotonic() + 30
        os.set_blocking(self.answer, False)
        while time.monotonic() < end:
            try:
                if b"ack" in os.read(self.answer, 100):
                    return
            except BlockingIOError:
                pass
            if self.process.poll() is not None:
                break
            time.sleep(0.002)
        self.log.seek(0)
        raise Unable("perf: " + " ".join(self.log.read().split())[:200])

    def wants(self, name):
        return not name or self.figure.startswith(name + "_")

    def begin(self, name):
        if self.wants(name):
            if self.counter:
                self.tell("enable")
            self.since = time.monotonic()

    def end(self, name, cpu):
        if self.wants(name):
            self.spans.append((self.since, time.monotonic()))
            if self.counter:
                self.tell("disable")
            self.cpu += cpu

    def finish(self):
        """perf writes what it has."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def remove(self):
        self.finish()
        self.log.close()
        os.close(self.control)
        os.close(self.answer)
        shutil.rmtree(self.dir, ignore_errors=True)


class Samples:
    """What perf script says of its samples within `spans`."""

    def __init__(self, path, spans):
        self.symbols = collections.Counter()
        self.calls = collections.Counter()
        self.programs = collections.Counter()
        self.n = self.kernel = 0
        with subprocess.Popen(
                ["perf", "script", "-i", path, "--no-inline", "-F",
                 "comm,time,ip,sym,dso"], stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, text=True, errors="replace") as p:
            comm, frames = None, []
            for line in p.stdout:
                head = HEAD.match(line)
                if head:
                    at = float(head.group(2))
                    inside = any(a <= at <= b for a, b in spans)
                    comm = head.group(1) if inside else None
                elif line.strip():
                    frames.append(line)
                else:
                    self.add(comm, frames)
                    comm, frames = None, []

    @staticmethod
    def parts(frame):
        """(symbol, file's name, whether it is the kernel's)."""
        found = re.match(r"\s*[0-9a-f]+ (.*) \((.*)\)\s*$", frame)
        if not found:
            return "?", "?", False
        symbol, place = found.groups()
        inside = place.startswith("[") and place != "[vdso]" or \
            place.endswith(".ko")
        return symbol, os.path.basename(place), inside

    def add(self, comm, frames):
        if not frames or comm not in PROGRAMS:
            return  # of others, where perf can not pick the group
        symbol, place, inside = self.parts(frames[0])
        self.n += 1
        self.kernel += inside
        self.programs[comm] += 1
        self.symbols[(symbol, "kernel" if inside else place)] += 1
        for frame in frames if inside else ():
            name = self.parts(frame)[0]
            call = SYSCALL.match(name)
            if call or name == FAULT:
                self.calls[call.group(1) if call else FAULT] += 1
                break


def percent(part, whole):
    return "%.0f %%" % (100.0 * part / max(whole, 1))


class Profile:
    """Of one row at one size."""

    def __init__(self, srv, row, first, opt, size):
        self.srv, self.row, self.first = srv, row, first
        self.opt, self.size = opt, size
        self.rnd = first.rounds or opt.rounds  # rounds were 0 to this

    # ---- running it ----

    def once(self, recorder):
        Measure.recorder = recorder
        try:
            self.first.run(self.srv, self.rnd, self.opt, self.size)
        finally:
            Measure.recorder = None
            self.srv.close_all()
        recorder.runs += 1
        self.rnd += 1

    def repeat(self, recorder):
        end = time.monotonic() + WITHIN
        while recorder.runs < RUNS and recorder.cpu < ENOUGH and \
                time.monotonic() < end:
            self.once(recorder)

    def lines(self):
        if self.row.figure.endswith(("kib", "kib_per_connection")):
            memory = Memory()
            self.once(memory)
            return memory.lines()
        if shutil.which("perf"):
            return self.by_perf() + self.floor()
        if shutil.which("strace"):
            return self.by_strace() + self.floor()
        raise Unable(NOTHING)

    # ---- perf ----

    def by_perf(self):
        recorder = Recorder(self.srv, self.row.figure, [
            "record", "-q", "-B", "-N", "-g", "-k", "CLOCK_MONOTONIC", "-e", "cpu-clock", "-F", str(FREQUENCY)])
        try:
            self.repeat(recorder)
            recorder.finish()
            samples = Samples(recorder.path("data"), recorder.spans)
        finally:
            recorder.remove()
        if not samples.n:
            raise Unable("perf has no samples")
        lines = ["%d runs, %.3g ms of CPU each, %d samples: user %s, kernel "
                 "%s; %s" % (
                     recorder.runs, recorder.cpu / recorder.runs * 1e3,
                     samples.n, percent(samples.n - samples.kernel, samples.n),
                     percent(samples.kernel, samples.n),
                     ", ".join("%s %s" % (name, percent(n, samples.n))
                               for name, n in
                               samples.programs.most_common(4)))]
        for (symbol, place), n in samples.symbols.most_common(SHOWN):
            lines.append("%5.1f %%  %s (%s)" % (
                100.0 * n / samples.n, symbol, place))
        return lines + self.calls(samples)

    def calls(self, samples):
        """Those that cost most: their share and how many a run has."""
        top = samples.calls.most_common(CALLS)
        if not top:
            return []
        counts = self.count([name for name, _ in top if name != FAULT])
        return ["calls: " + "; ".join("%s %s%s" % (
            "page faults" if name == FAULT else name, percent(n, samples.n),
            ", %d times" % counts[name] if name in counts else "")
            for name, n in top)]

    def count(self, names):
        """How often one run makes these system calls."""
        names = [x for x in names if os.path.isdir(TRACEPOINTS + x)]
        if not names:
            return {}
        recorder = Recorder(self.srv, self.row.figure, [
            "stat", "-x", ",", "-e",
            ",".join("syscalls:sys_enter_" + x for x in names)], True)
        try:
            self.once(recorder)
            recorder.finish()
            with open(recorder.path("data")) as f:
                fields = [line.split(",") for line in f if "," in line]
            return {x[2].rpartition("sys_enter_")[2]: int(x[0])
                    for x in fields if x[0].isdigit()}
        except Unable:
            return {}
        finally:
            recorder.remove()

    # ---- strace ----

    def by_strace(self):
        """Of the whole run: with the login, and slower than without."""
        with tempfile.NamedTemporaryFile("r", prefix="bench-strace.") as out:
            command = ["strace", "-f", "-q", "-c", "-S", "time", "-o",
                       out.name]
            for pid in proc.tree(self.srv.pid()):
                command += ["-p", str(pid)]
            with subprocess.Popen(command, stderr=subprocess.DEVNULL) as p:
                time.sleep(1)
                if p.poll() is not None:
                    raise Unable("strace is not allowed; " + NOTHING)
                try:
                    self.first.run(self.srv, self.rnd, self.opt, self.size)
                finally:
                    self.srv.close_all()
                    p.send_signal(signal.SIGINT)
            rows = [line.split() for line in out]
        rows = [x for x in rows if len(x) >= 5 and x[3].isdigit() and
                x[-1] != "total"]
        return ["without perf, by strace, of a whole run with its login: " +
                "; ".join("%s %s %%, %s times" % (x[-1], x[0], x[3])
                          for x in rows[:SHOWN])]

    # ---- the floor ----

    def floor(self):
        """What the system takes for the same, without and with a sandbox."""
        program = os.path.join(restante.BUILD, "tests", "bench", "floor")
        if self.row.floor is None or not os.path.exists(program):
            return []
        operation, count, what = self.row.floor
        told = []
        for arguments in [], ["-s"]:
            if arguments and operation == "exec":
                continue
            with Place(self, operation) as path:
                done = subprocess.run(
                    [program] + arguments + [
                        operation, path, str(count or self.size)],
                    capture_output=True, text=True, check=False)
            if done.returncode:
                return ["floor: " + done.stderr.strip()]
            n, us = done.stdout.split()
            told.append("%.3g ms%s" % (
                int(us) / 1e3, " in imapd's sandbox" if arguments else ""))
        return ["floor: %s times %s, nothing else: %s" % (
            n, what, ", ".join(told))]


class Place:
    """The mail that is read, or a folder beside it for what is made."""

    def __init__(self, profile, operation):
        srv, row = profile.srv, profile.row
        self.user = box(row.store, profile.size) if row.sized else POP
        self.uid, self.made = srv.uid_of(self.user), None
        if operation in ("list", "read"):
            self.path = os.path.join(srv.maildir(self.user), "cur")
        elif operation == "scan":
            self.path = os.path.join(srv.home(self.user), "inbox")
        else:
            self.path = self.made = os.path.join(
                srv.home(self.user), "floor.%d" % os.getpid())

    def __enter__(self):
        if self.made:
            os.mkdir(self.made, 0o700)
            os.chown(self.made, self.uid, self.uid)
        return self.path

    def __exit__(self, *what):
        if self.made:
            shutil.rmtree(self.made, ignore_errors=True)


class Memory:
    """The mappings of processes, taken where a scenario says `memory`."""

    def __init__(self):
        self.runs, self.kib = 0, collections.Counter()

    def begin(self, name):
        pass

    def end(self, name, cpu):
        pass

    def memory(self, pids):
        self.kib.clear()
        for pid in pids:
            name, comm = "", proc.comm(pid)
            for line in self.smaps(pid):
                if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
                    name = self.kind(line.split(None, 5)[5:])
                elif line.startswith("Pss:"):
                    self.kib[(comm, name)] += int(line.split()[1])

    @staticmethod
    def smaps(pid):
        try:
            with open("/proc/%d/smaps" % pid) as f:
                return f.readlines()
        except OSError:
            return []

    @staticmethod
    def kind(name):
        name = name[0].strip() if name else "[anonymous]"
        return name if name.startswith("[") else os.path.basename(
            name.replace(" (deleted)", ""))

    def lines(self):
        whole = sum(self.kib.values())
        return ["%d KiB of PSS: %s" % (whole, "; ".join(
            "%s %s %d" % (comm, name, n)
            for (comm, name), n in self.kib.most_common(SHOWN)))]
