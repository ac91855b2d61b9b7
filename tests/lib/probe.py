# SPDX-License-Identifier: ISC
"""probe.py - makes a running process call the kernel, and says what came of it
(ptrace; x86-64 and root). The filter, the ids and Landlock are the process's
own, so this shows what a hole in it would give."""
import ctypes
import errno
import os
import platform
import signal
import struct

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = [ctypes.c_long] * 2 + [ctypes.c_void_p] * 2

SETREGS, GETREGS, SYSCALL, DETACH = 13, 12, 24, 17
SEIZE, INTERRUPT, O_TRACESYSGOOD = 0x4206, 0x4207, 1
GET_FILTER = 0x420c
ALLOW, ERRNO, KILL = 0x7fff0000, 0x00050000, 0x80000000
ARCH = 0xc000003e
WALL = 0x40000000
REGS = ("r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax "
        "rip cs eflags rsp ss fs_base gs_base ds es fs gs").split()

DIES = "DIES"

NUMBERS = {
    "read": 0, "write": 1, "open": 2, "mmap": 9, "mprotect": 10,
    "ioctl": 16, "socket": 41, "connect": 42, "socketpair": 53, "clone": 56,
    "fork": 57, "execve": 59, "kill": 62, "mkdir": 83, "unlink": 87,
    "symlink": 88, "chmod": 90, "chown": 92, "ptrace": 101, "setuid": 105,
    "mknod": 133, "prctl": 157, "chroot": 161, "mount": 165, "keyctl": 250,
    "inotify_init1": 294, "openat": 257, "unshare": 272, "prlimit64": 302,
    "process_vm_readv": 310, "bpf": 321, "userfaultfd": 323, "statx": 332,
    "io_uring_setup": 425, "pidfd_open": 434, "pidfd_getfd": 438,
    "close": 3, "truncate": 76, "ftruncate": 77, "getdents64": 217,
    "mkdirat": 258, "mknodat": 259, "unlinkat": 263, "symlinkat": 266,
    "renameat2": 316, "memfd_create": 319, "tgkill": 234, "setresuid": 117, "setgroups": 116, "getpid": 39,
}


def can():
    return platform.machine() == "x86_64" and os.geteuid() == 0


def ptrace(what, pid, addr=0, data=0):
    if libc.ptrace(what, pid, addr, data) == -1:
        e = ctypes.get_errno()
        raise OSError(e, os.strerror(e))


def run_filter(code, data):
    """What a classic BPF program says of struct seccomp_data."""
    acc = index = at = 0
    scratch = [0] * 16
    while True:
        op, jt, jf, k = code[at]
        at += 1
        kind = op & 7
        if kind == 0:  # ld
            mode = op & 0xe0
            acc = (struct.unpack_from("<I", data, k)[0] if mode == 0x20 else
                   k if mode == 0 else scratch[k])
        elif kind == 1:
            index = scratch[k] if op & 0xe0 == 0x60 else k
        elif kind == 2:
            scratch[k] = acc
        elif kind == 4:  # alu
            v = index if op & 8 else k
            acc = {0x50: acc & v, 0x40: acc | v, 0x00: acc + v, 0x10: acc - v,
                   0xa0: acc ^ v}[op & 0xf0] & 0xffffffff
        elif kind == 5:  # jump
            v = index if op & 8 else k
            test = op & 0xf0
            if test == 0:
                at += k
            else:
                yes = {0x10: acc == v, 0x20: acc > v, 0x30: acc >= v,
                       0x40: acc & v != 0}[test]
                at += jt if yes else jf
        elif kind == 6:
            return acc if op & 0x18 == 0x10 else k
        else:
            raise ValueError(op)


class Probe:
    """Holds a process still; `call` may be used any number of times, until a
    call is its last."""

    def __init__(self, pid):
        self.pid = pid
        self.alive = True
        ptrace(SEIZE, pid, 0, O_TRACESYSGOOD)
        ptrace(INTERRUPT, pid)
        self.wait()
        self.regs = self.get()
        # it waits in the kernel: the instruction behind us is syscall
        with open("/proc/%d/mem" % pid, "rb", buffering=0) as f:
            f.seek(self.regs["rip"] - 2)
            assert f.read(2) == b"\x0f\x05", "not in a system call"

    def __enter__(self):
        return self

    def __exit__(self, *what):
        if self.alive:
            self.set(self.regs)
            ptrace(DETACH, self.pid)

    def wait(self):
        _, status = os.waitpid(self.pid, WALL)
        if os.WIFSIGNALED(status) or os.WIFEXITED(status):
            self.alive = False
        return status

    def get(self):
        room = ctypes.create_string_buffer(8 * len(REGS))
        ptrace(GETREGS, self.pid, 0, ctypes.addressof(room))
        return dict(zip(REGS, struct.unpack("<%dQ" % len(REGS), room.raw)))

    def set(self, regs):
        room = ctypes.create_string_buffer(
            struct.pack("<%dQ" % len(REGS), *(regs[r] for r in REGS)))
        ptrace(SETREGS, self.pid, 0, ctypes.addressof(room))

    def filters(self):
        """The system call filters that are in force, newest first."""
        if hasattr(self, "programs"):
            return self.programs
        self.programs = []
        while True:
            n = libc.ptrace(GET_FILTER, self.pid, len(self.programs), 0)
            if n < 0:
                break
            room = ctypes.create_string_buffer(8 * n)
            ptrace(GET_FILTER, self.pid, len(self.programs),
                   ctypes.addressof(room))
            self.programs.append(list(struct.iter_unpack("<HBBI", room.raw)))
        return self.programs

    def verdict(self, number, *args):
        """"ALLOW", "EACCES" or DIES, by the filters alone. The strictest of
        several counts; a text is a pointer that is not 0."""
        values = [0x7ffffff000 if isinstance(a, (str, bytes)) else
                  a & 0xffffffffffffffff for a in args]
        values += [0] * (6 - len(values))
        data = struct.pack("<IIQ6Q", number, ARCH, self.regs["rip"], *values)
        actions = [run_filter(f, data) for f in self.filters()]
        assert actions, "no filter can be read"
        order = [KILL, 0, 0x00030000, ERRNO, 0x7ff00000, ALLOW]
        worst = min(actions, key=lambda a: order.index(a & 0xffff0000))
        if worst & 0xffff0000 == ALLOW:
            return "ALLOW"
        if worst & 0xffff0000 == ERRNO:
            return errno.errorcode[worst & 0xffff]
        return DIES

    def call_or_verdict(self, name, *args):
        """As `call`, without dying: then it is what the filter says."""
        v = self.verdict(NUMBERS[name], *args)
        return self.call(name, *args) if v == "ALLOW" else v

    def call(self, name, *args):
        """0 or more: what it returned; "EACCES": how it failed; DIES: the
        filter killed the process. Texts and bytes are put below its stack."""
        at = self.regs["rsp"] - 8192
        values = []
        with open("/proc/%d/mem" % self.pid, "r+b", buffering=0) as f:
            for a in args:
                if isinstance(a, str):
                    a = a.encode() + b"\0"
                if isinstance(a, bytes):
                    f.seek(at)
                    f.write(a)
                    values.append(at)
                    at += (len(a) + 15) & ~15
                else:
                    values.append(a & 0xffffffffffffffff)
        values += [0] * (6 - len(values))
        regs = dict(self.regs)
        regs["rip"] -= 2
        regs["rax"] = NUMBERS[name]
        regs["orig_rax"] = 0xffffffffffffffff
        for r, v in zip(("rdi", "rsi", "rdx", "r10", "r8", "r9"), values):
            regs[r] = v
        self.set(regs)
        self.step(name)  # to its entry
        if self.alive:
            self.step(name)  # to its exit
        if self.alive and self.get()["rax"] == NUMBERS[name]:
            self.step(name)  # undone by the filter: it dies now
            assert not self.alive, name
        if not self.alive:
            return DIES
        result = self.get()["rax"]
        if result >= 0x8000000000000000:
            result -= 1 << 64
        return errno.errorcode[-result] if result < 0 else result

    def step(self, name):
        """To the next end of a system call."""
        sig = 0
        while True:
            ptrace(SYSCALL, self.pid, 0, sig)
            status = self.wait()
            if not self.alive:
                assert os.WIFSIGNALED(status) and \
                    os.WTERMSIG(status) == signal.SIGSYS, (name, status)
                return
            sig = os.WSTOPSIG(status)
            if sig == signal.SIGTRAP | 0x80:
                return
            if status >> 16:
                sig = 0  # a stop of ptrace's own
