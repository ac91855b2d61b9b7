# SPDX-License-Identifier: ISC
"""What each process can not do: a probe makes the running process itself try,
and the results must equal the tables here. A new entry that says "may" is a
change to be reviewed (security.md 3.3 and 3.4)."""
import os
import re
import signal
import socket
import stat
import time

import pytest

from lib import probe, proc, restante, server
from lib.probe import DIES

pytestmark = pytest.mark.skipif(
    not probe.can() or restante.SANITIZED,
    reason="needs root, x86-64 and no sanitizer")

AT_FDCWD = -100
O_CREAT = 0o100
PROT_RX, PRIVATE_ANON = 5, 0x22


@pytest.fixture(scope="module")
def s(form):
    r = restante.Restante(users=["alice", "bob"], separate=form == "separate",
                          settings={"log_level": "info"})
    try:
        r.deliver("alice", b"Subject: x\r\n\r\nx\r\n")
        r.deliver("bob", b"Subject: x\r\n\r\nx\r\n")
        r.start()
        r.wait_log("ready ")
        yield r
    finally:
        r.stop()
        r.remove()


def parent_of(pid):
    return int(proc.stat(pid)[1])


def login_parent(s):
    return [p for p in s.pids("login") if parent_of(p) == s.pid()][0]


def spare(s):
    """A worker that waits for a connection."""
    parent = login_parent(s)
    s.wait_pids("login", lambda pids: len(pids) >= 5)
    return [p for p in s.pids("login") if parent_of(p) == parent][0]


def authd(s, spawner=False):
    for pid in s.pids("authd"):
        if parent_of(pid) != s.pid():
            continue
        with open("/proc/%d/cmdline" % pid, "rb") as f:
            if (b"spawner" in f.read()) == spawner:
                return pid
    raise AssertionError(s.log())


def session(s, service):
    s.close_all()
    c = s.imap("alice") if service == "imapd" else s.pop3("alice")
    if service == "imapd":
        c.ok("SELECT INBOX")
    s.kept = c
    s.wait_pids(service, lambda pids: pids)
    for r in s.ctl("who", "--json")["rows"]:
        if r["user"] == "alice" and r["service"] == service[:-1]:
            return r["pid"]
    raise AssertionError(s.log())


def judge(s):
    """A child of authd's that has found a password right and waits."""
    end = time.monotonic() + 30
    while True:
        s.imap("bob").ok("LOGOUT")
        s.close_all()
        spawner = authd(s, True)
        found = [p for p in s.pids("authd") if parent_of(p) == spawner]
        if found:
            return found[0]
        assert time.monotonic() < end, s.log()


KINDS = {
    "judge": judge,
    "login": login_parent,
    "worker": spare,
    "keyd": lambda s: s.pids("keyd")[0],
    "authd": authd,
    "logd": lambda s: s.pids("logd")[0],
    "spoold": lambda s: s.wait_pids("spoold", lambda pids: pids)[0],
    "imapd": lambda s: session(s, "imapd"),
    "pop3d": lambda s: session(s, "pop3d"),
}
MAIL = ("imapd", "pop3d")
CLOSED = [k for k in KINDS if k not in MAIL]


def settled(pid):
    """Waits until it sleeps in the kernel."""
    end = time.monotonic() + 20
    while proc.stat(pid)[0] != "S":
        assert time.monotonic() < end
        time.sleep(0.01)
    return pid


def attempts(s):
    """name: (system call, arguments). Each must fail in the way of TABLE."""
    other = os.path.join(s.maildir("bob"), "new")
    other = os.path.join(other, os.listdir(other)[0]) \
        if os.listdir(other) else s.maildir("bob")
    return {
        "read accounts": ("open", "/etc/passwd", 0, 0),
        "read the passwd-file": ("open", s.passwd, 0, 0),
        "read the configuration": ("open", s.config, 0, 0),
        "read the private key": ("open", s.key, 0, 0),
        "read another's mail": ("open", other, 0, 0),
        "list another's mail": ("open", s.maildir("bob"), 0o200000, 0),
        "write in /tmp": ("open", "/tmp/restante-probe", O_CREAT | 1, 0o600),
        "read processes": ("open", "/proc/%d/environ" % s.pid(), 0, 0),
        # Not in every container.
        "read devices": ("open", "/dev/kmsg" if os.path.exists("/dev/kmsg")
                         else "/dev/full", 0, 0),
        "make a TCP socket": ("socket", socket.AF_INET, socket.SOCK_STREAM, 0),
        "make a UDP socket": ("socket", socket.AF_INET6, socket.SOCK_DGRAM, 0),
        "make a Unix socket": ("socket", socket.AF_UNIX, socket.SOCK_STREAM,
                               0),
        "fork": ("fork",),
        "new namespace": ("clone", 0x10000000 | 17, 0, 0, 0, 0),
        "exec": ("execve", "/bin/true", 0, 0),
        "signal init": ("kill", 1, signal.SIGTERM),
        "signal init by thread": ("tgkill", 1, 1, signal.SIGTERM),
        "trace": ("ptrace", 16, s.pid(), 0, 0),
        "read memory of others": ("process_vm_readv", s.pid(), 0, 0, 0, 0, 0),
        "become root": ("setuid", 0),
        "take back ids": ("setresuid", 0, 0, 0),
        "take groups": ("setgroups", 0, 0),
        "executable memory": ("mmap", 0, 4096, PROT_RX, PRIVATE_ANON, -1, 0),
        "write and execute": ("mmap", 0, 4096, 7, PRIVATE_ANON, -1, 0),
        "make memory executable": ("mprotect", 0x1000, 4096, PROT_RX),
        "raise a limit": ("prlimit64", 0, 7, b"\xff" * 16, 0),
        "become dumpable": ("prctl", 4, 1, 0, 0, 0),
        "chroot": ("chroot", "/"),
        "mount": ("mount", "none", "/mnt", "tmpfs", 0, 0),
        "change a mode by path": ("chmod", s.maildir("alice"), 0o777),
        "change an owner by path": ("chown", s.maildir("alice"), 0, 0),
        "make a symbolic link": ("symlink", "x", s.maildir("alice") + "/y"),
        "make a device": ("mknod", s.maildir("alice") + "/z", 0o20666, 0),
        "io_uring": ("io_uring_setup", 8, b"\0" * 120),
        "bpf": ("bpf", 0, 0, 0),
        "keys": ("keyctl", 0, 0, 0),
        "userfaultfd": ("userfaultfd", 0),
        "steal descriptors": ("pidfd_getfd", 0, 0, 0),
        "unshare": ("unshare", 0x10000000),
        "terminal tricks": ("ioctl", 0, 0x5412, b"x"),
    }


# In an empty root every name is gone, and the filter says so first.
SOFT = {n: "EACCES" for n in (
    "read accounts", "read the passwd-file", "read the configuration",
    "read the private key", "read another's mail", "list another's mail",
    "write in /tmp", "read processes", "read devices", "make a TCP socket",
    "make a UDP socket", "make a Unix socket")}
SOFT.update({"raise a limit": "EPERM", "become dumpable": "EPERM",
             "io_uring": "ENOSYS", "terminal tricks": "ENOTTY"})

# What differs from "the filter ends the process".
TABLE = {
    # It forks, waits for and signals its workers, and sets their limits.
    "login": dict(SOFT, **{
        "fork": None, "signal init": "EPERM", "raise a limit": "EPERM",
        "become dumpable": None}),
    "worker": SOFT,
    "keyd": SOFT,
    "authd": SOFT,
    # It stands in the root of all; what it may not do it does not survive.
    "judge": {},
    "logd": SOFT,
    # It opens files, but Landlock knows the spool alone; names in the form
    # without a descriptor are nothing it needs.
    "spoold": dict(SOFT, **{"signal init": "EPERM"}),
    # Landlock refuses what lies elsewhere.
    "imapd": dict(SOFT, **{"signal init": "EPERM"}),
    "pop3d": dict(SOFT, **{"signal init": "EPERM"}),
}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_attempts(s, kind):
    wrong = []
    with probe.Probe(settled(KINDS[kind](s))) as p:
        for name, (call, *args) in sorted(attempts(s).items()):
            want = TABLE[kind].get(name, DIES)
            if want is None:
                continue  # it may
            got = p.call_or_verdict(call, *args)
            if got != want:
                wrong.append((name, got, want))
    s.close_all()
    assert not wrong, (kind, wrong)
    # it goes on as if nothing had been
    s.imap("bob", tls=True).ok("NOOP")
    s.close_all()


@pytest.mark.parametrize("kind", ["worker", "imapd", "keyd"])
def test_it_really_dies(s, kind):
    """The verdict read from the filter is what the kernel does."""
    with probe.Probe(settled(KINDS[kind](s))) as p:
        assert p.call("getpid") == p.pid
        assert p.call("execve", "/bin/true", 0, 0) == DIES
    s.wait_log(r"killed by signal 31 \(Bad system call\)")
    s.wait_pids(kind if kind != "worker" else "login",
                lambda pids: pids and p.pid not in pids or kind == "imapd")
    s.close_all()
    end = time.monotonic() + 10
    while True:
        try:
            s.imap("bob", tls=True).ok("NOOP")
            break
        except (AssertionError, OSError, EOFError):
            assert time.monotonic() < end
            time.sleep(0.1)
    s.close_all()


HEADER = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"
LISTS = os.path.join(restante.TOP, "tests", "data", "syscalls")


def system_calls():
    with open(HEADER) as f:
        return {int(n): name for name, n in re.findall(
            r"#define __NR_(\w+) (\d+)", f.read())}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_system_calls(s, kind):
    """All that the filter lets through (arguments of 0) stands in a list in
    the tree. RESTANTE_WRITE=1 writes the lists anew, for a reviewer."""
    if not os.path.exists(HEADER):
        pytest.skip("no " + HEADER)
    with probe.Probe(settled(KINDS[kind](s))) as p:
        allowed = sorted(name for number, name in system_calls().items()
                         if p.verdict(number) == "ALLOW")
    s.close_all()
    path = os.path.join(LISTS, kind)
    if os.environ.get("RESTANTE_WRITE"):
        os.makedirs(LISTS, exist_ok=True)
        with open(path, "w") as f:
            f.write("\n".join(allowed) + "\n")
    with open(path) as f:
        listed = f.read().split()
    assert set(allowed) - set(listed) == set(), "allowed, not listed"
    assert set(listed) - set(allowed) == set(), "listed, not allowed"


@pytest.mark.parametrize("kind", MAIL)
def test_mail_process_may(s, kind):
    """The other side: what it needs works under the same probe."""
    pid = settled(session(s, kind))
    box = s.maildir("alice")
    with probe.Probe(pid) as p:
        assert isinstance(p.call("open", box, 0o200000, 0), int)
        assert isinstance(
            p.call("open", box + "/tmp/probe", O_CREAT | 1, 0o600), int)
        assert p.call("unlink", box + "/tmp/probe") == 0
        assert p.call("mkdir", box + "/.Probe", 0o700) == 0
    os.rmdir(box + "/.Probe")
    s.kept.ok("NOOP")  # and it goes on after all that
    s.close_all()


def test_spoold_may(s):
    """Make, write and remove a file in the spool; nothing outside, not even
    through the directory it has open."""
    pid = settled(KINDS["spoold"](s))
    fd = [f for f in os.listdir("/proc/%d/fd" % pid)
          if os.readlink("/proc/%d/fd/%s" % (pid, f)) == s.spool][0]
    with probe.Probe(pid) as p:
        def at(name, flags):
            return p.call("openat", int(fd), name, flags, 0o600)
        got = at("x.lock", O_CREAT | 1)
        assert isinstance(got, int), got
        p.call("close", got)
        assert p.call("unlinkat", int(fd), "x.lock", 0) == 0
        for name in ("../passwd", "../restante.conf", "../../../etc/passwd",
                     "/etc/passwd", "../home/alice/Maildir/new", ".", ".."):
            assert at(name, 0) in ("EACCES", "ENOENT"), name
        assert at("../x", O_CREAT | 1) in ("EACCES", "ENOENT")
        for call, *args in (("mkdirat", int(fd), "d", 0o700),
                            ("symlinkat", "x", int(fd), "y"),
                            ("renameat2", int(fd), "a", int(fd), "b", 0),
                            ("mknodat", int(fd), "n", 0o10600, 0),
                            ("truncate", "x", 0), ("ftruncate", int(fd), 0),
                            ("getdents64", int(fd), b"\0" * 512, 512)):
            assert p.call_or_verdict(call, *args) in (DIES, "EACCES"), call
    assert os.listdir(s.spool) == []


STATUS = re.compile(r"^(\w+):[ \t]*(.*)$", re.M)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_identity(s, kind):
    pid = KINDS[kind](s)
    with open("/proc/%d/status" % pid) as f:
        status = dict(STATUS.findall(f.read()))
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    # to give a new file to its user
    may = 1 << 0 if kind == "spoold" and s.separate else 0
    for name, want in (("CapPrm", may), ("CapEff", may), ("CapInh", 0),
                       ("CapAmb", 0)):
        assert int(status[name], 16) == want, name
    uids = {int(x) for x in status["Uid"].split()}
    gids = {int(x) for x in status["Gid"].split()}
    account = {"login": "login", "worker": "login", "keyd": "key",
               "authd": "auth", "judge": "pass", "logd": "log",
               "spoold": "spool"}.get(kind)
    if not s.separate:
        want = s.uid
    elif account:
        want = restante.SERVICE_UID + restante.SERVICES.index(account)
    else:
        want = s.uid_of("alice")
    assert uids == {want}
    assert gids == {restante.SPOOL_GID if may else want}
    assert status["Groups"].strip() == ""
    # not dumpable: what is in /proc belongs to root
    assert os.stat("/proc/%d/mem" % pid).st_uid == 0
    root = os.readlink("/proc/%d/root" % pid)
    if s.separate and account and kind != "judge":
        assert root == os.path.join(s.dir, "run", "empty")
        assert os.listdir(root) == []
        assert stat.S_IMODE(os.stat(root).st_mode) == 0o555
    s.close_all()


LIMITS = {
    "login": {"core file size": 0, "file size": 0},
    "worker": {"core file size": 0, "file size": 0, "processes": 0,
               "open files": 32, "address space": 64 << 20},
    "keyd": {"core file size": 0, "file size": 0, "processes": 0},
    "authd": {"core file size": 0, "file size": 0, "processes": 0},
    "judge": {"core file size": 0, "file size": 0, "processes": 0,
              "open files": 64, "address space": 256 << 20},
    "logd": {"core file size": 0, "processes": 0},
    "spoold": {"core file size": 0, "processes": 0},
    "imapd": {"core file size": 0, "processes": 0, "data size": 1 << 30},
    "pop3d": {"core file size": 0, "processes": 0, "data size": 1 << 30},
}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_limits(s, kind):
    pid = KINDS[kind](s)
    with open("/proc/%d/limits" % pid) as f:
        lines = f.read()
    for name, want in LIMITS[kind].items():
        match = re.search(r"^Max %s\s+(\w+)\s+(\w+)" % name, lines, re.M)
        assert {match.group(1), match.group(2)} == {str(want)}, (name, lines)
    s.close_all()


def descriptors(pid):
    """Kinds of what is open: how many of each."""
    found = {}
    for fd in os.listdir("/proc/%d/fd" % pid):
        try:
            link = os.readlink("/proc/%d/fd/%s" % (pid, fd))
        except FileNotFoundError:
            continue
        kind = re.sub(r":?\[\d*.*$", "", link)
        found.setdefault(kind, []).append((int(fd), link))
    return found


def listening(pid, port):
    """Has it the socket that listens on this port?"""
    with open("/proc/net/tcp") as f:
        inodes = {line.split()[9] for line in f.read().splitlines()[1:]
                  if line.split()[3] == "0A" and
                  line.split()[1].endswith(":%04X" % port)}
    return any(link == "socket:[%s]" % i for i in inodes
               for _, link in descriptors(pid).get("socket", []))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_descriptors(s, kind):
    """Nobody holds what is another's."""
    pid = KINDS[kind](s)
    found = descriptors(pid)
    files = [link for kind_, all_ in found.items() for _, link in all_
             if kind_.startswith("/") and link not in ("/dev/null",)]
    stderr = os.path.join(s.dir, "stderr")
    files = [f for f in files if f != stderr]
    want = {"logd": [s.log_path], "spoold": [s.spool],
            "judge": [s.passwd]}.get(kind, [])
    if kind in MAIL:
        assert all(f.startswith((s.home("alice"), os.path.join(s.dir, "index"),
                                 os.path.join(s.dir, "state"))) or
                   "inotify" in f for f in files), files
    else:
        assert files == want, files
    has = listening(pid, s.imaps_port)
    assert has == (kind in ("login", "worker"))
    if kind == "worker":
        # its three channels, its parent, the log, the listening sockets
        assert len(found["socket"]) <= 5 + 4, found
    s.close_all()


def test_master_capabilities(s):
    with open("/proc/%d/status" % s.pid()) as f:
        status = dict(STATUS.findall(f.read()))
    caps = int(status["CapEff"], 16)
    if not s.separate:
        assert caps == 0
        return
    # chown, dac_override, fowner, kill, setgid, setuid, net_bind_service,
    # sys_resource
    with open("/proc/self/status") as f:
        ours = int(dict(STATUS.findall(f.read()))["CapPrm"], 16)
    assert caps == ours & sum(1 << b for b in (0, 1, 3, 5, 6, 7, 10, 24))
    assert caps == int(status["CapPrm"], 16)


def test_environment(s):
    """Nothing of the starter's environment reaches a child."""
    own = {"login": b"LD_BIND_NOW", "imapd": b"NETTLE_FAT_OVERRIDE",
           "pop3d": b"NETTLE_FAT_OVERRIDE"}
    for pid in proc.tree(s.pid()):
        if pid == s.pid():
            continue
        try:
            with open("/proc/%d/environ" % pid, "rb") as f:
                names = {x.split(b"=")[0] for x in f.read().split(b"\0")
                         if b"=" in x}
            program = os.path.basename(os.readlink("/proc/%d/exe" % pid))
        except (FileNotFoundError, ProcessLookupError):
            continue  # an auth child that has waited long enough
        assert names <= {b"PATH", b"LANG", b"TZ", b"TITLE_ROOM",
                         b"GLIBC_TUNABLES", own.get(program)}, program


def test_links():
    """What is not linked can not be reached (layout.md, Processes)."""
    for program, never in {
            "restanted": ("gnutls", "pam", "gsasl", "unistring", "nettle"),
            "imapd": ("gnutls", "pam", "gsasl", "confuse"),
            "pop3d": ("gnutls", "pam", "gsasl", "confuse"),
            "login": ("pam", "gsasl", "confuse", "lmdb"),
            "keyd": ("pam", "gsasl", "confuse", "lmdb"),
            "logd": ("gnutls", "pam", "gsasl", "confuse", "lmdb"),
            "spoold": ("gnutls", "pam", "gsasl", "confuse", "lmdb"),
            "authd": ("gnutls.so.99", "confuse", "lmdb")}.items():
        path = os.path.join(restante.BUILD, "bin", program)
        out = os.popen("readelf -d %s" % path).read()
        needed = re.findall(r"NEEDED.*\[(.*)\]", out)
        assert needed, program
        for word in never:
            assert not [n for n in needed if "lib" + word in n], \
                (program, needed)


assert server  # used by fixtures
