# SPDX-License-Identifier: ISC
"""./quickstart, as a person calls it."""
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

from lib import proc, restante, server, wire

pytestmark = pytest.mark.skipif(
    restante.SANITIZED or os.path.abspath(restante.BUILD) !=
    os.path.join(restante.TOP, "build"),
    reason="quickstart runs what is in build/")


class Quick:
    def __init__(self, *argv):
        self.top = server.scratch("restante-quick.")
        self.dir = os.path.join(self.top, "demo")
        self.ports = dict(zip(("imap", "imaps", "pop3", "pop3s"),
                              proc.free_ports(4)))
        self.argv = list(argv)

    def command(self, *argv):
        ports = [x for n, p in self.ports.items()
                 for x in ("--" + n, str(p))]
        return [os.path.join(restante.TOP, "quickstart"), "--no-install",
                "--dir", self.dir, *ports, *self.argv, *argv]

    def start(self, *argv):
        # Output to a file: with a pipe we would wait for the server too.
        with open(os.path.join(self.top, "out"), "w+b") as out:
            done = subprocess.run(
                self.command("--background", *argv), stdout=out,
                stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                timeout=120, check=False)
            out.seek(0)
            text = out.read().decode()
        assert done.returncode == 0, text
        return text

    def stop(self):
        subprocess.run([os.path.join(restante.TOP, "quickstart"), "stop",
                        "--dir", self.dir], check=True,
                       stdout=subprocess.DEVNULL, timeout=30)

    def remove(self):
        self.stop()
        shutil.rmtree(self.top, ignore_errors=True)


@pytest.fixture
def quick():
    made = []

    def make(*argv):
        made.append(Quick(*argv))
        return made[-1]

    yield make
    for q in made:
        q.remove()


def test_one_that_has_ended_does_not_run(quick):
    """Also while nobody has waited for it, as in a container without init."""
    q = quick()
    os.makedirs(q.dir)
    program = os.path.join(q.top, "restanted")
    shutil.copy("/bin/true", program)
    with subprocess.Popen([program]) as ended:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        with open(os.path.join(q.dir, "restanted.pid"), "w",
                  encoding="ascii") as f:
            f.write("%d\n" % ended.pid)
        said = subprocess.run(
            [os.path.join(restante.TOP, "quickstart"), "stop", "--dir", q.dir],
            check=True, capture_output=True, timeout=30)
    assert b"Nothing runs" in said.stdout + said.stderr


def test_start_and_stop(quick):
    q = quick()
    text = q.start()
    password = re.search(r"password (\w+)", text).group(1)
    for port in q.ports.values():
        assert str(port) in text
    for name in ("restanted.pid", "restante.conf", "passwd", "log",
                 "home/u1/Maildir"):
        assert os.path.exists(os.path.join(q.dir, name)), name
    c = wire.Imap("127.0.0.1", q.ports["imaps"], tls=True)
    c.login("u1", password)
    lines = c.ok("SELECT INBOX")
    assert any(re.match(rb"\* \d\d EXISTS", x) for x in lines)
    c.ok("STORE 1 +FLAGS (\\Flagged)")
    wire.Pop3("127.0.0.1", q.ports["pop3"]).login("u3", password)
    assert "Already running" in q.start()
    q.stop()
    assert not os.path.exists(os.path.join(q.dir, "restanted.pid"))
    # A second start takes what is there: users, password, mail, flags.
    assert password in q.start()
    c = wire.Imap("127.0.0.1", q.ports["imaps"], tls=True)
    c.login("u1", password)
    c.ok("SELECT INBOX")
    assert "\\Flagged" in c.flags()[1]


def test_foreground(quick):
    q = quick("--password", "pw", "--users", "1")
    p = subprocess.Popen(q.command(), stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                         start_new_session=True,
                         # Ours may be ignored, as of what runs behind "&";
                         # a shell can not catch what was ignored before it.
                         preexec_fn=lambda: signal.signal(
                             signal.SIGINT, signal.SIG_DFL))
    seen = b""
    while b"ctrl-C" not in seen:
        line = p.stdout.readline()
        assert line, seen
        seen += line
    with open(os.path.join(q.dir, "restanted.pid")) as f:
        pid = int(f.read())
    # It listens before the last of its processes have been forked.
    end = time.monotonic() + 30
    while len(everybody := proc.tree(pid)) <= 4:
        assert time.monotonic() < end, everybody
        time.sleep(0.05)
    os.killpg(p.pid, signal.SIGINT)
    assert p.wait(15) == 0
    end = time.monotonic() + 20
    while any(proc.stat(x) for x in everybody):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_two_thousand_users(quick):
    q = quick("--users", "2000", "--password", "pw", "--scheme", "plain")
    began = time.monotonic()
    q.start()
    took = time.monotonic() - began
    c = wire.Imap("127.0.0.1", q.ports["imaps"], tls=True)
    c.login("u2000", "pw")
    assert b"* 1 EXISTS" in c.ok("SELECT INBOX")
    if server.is_root():
        st = os.stat(os.path.join(q.dir, "home/u2000/Maildir"))
        assert st.st_uid == 22000
    assert took < 60, took


def test_hundreds_of_sessions_of_one_user(quick):
    q = quick("--password", "pw", "--scheme", "plain")
    q.start()
    conns = [wire.Imap("127.0.0.1", q.ports["imap"]) for _ in range(300)]
    for c in conns:
        c.login("u1", "pw")
    for c in conns:
        c.ok("SELECT INBOX")
        c.close()


def test_existing_maildir(quick):
    q = quick("--password", "pw")
    from lib import maildir
    box = os.path.join(q.top, "mine")
    maildir.create(box, server.TEST_UID)
    maildir.deliver(box, maildir.message(42), owner=server.TEST_UID)
    q.start("--mail", box)
    c = wire.Imap("127.0.0.1", q.ports["imaps"], tls=True)
    c.login("u1", "pw")
    assert b"* 1 EXISTS" in c.ok("SELECT INBOX")
    assert b"Message 42" in c.fetch("1 BODY.PEEK[]")[1]


@pytest.mark.skipif(not server.is_root(), reason="needs another uid")
def test_existing_mbox_of_group_0(quick):
    """As root leaves it that copies somebody's mail: the group can not log in."""
    q = quick("--password", "pw")
    box = os.path.join(q.top, "box")
    with open(box, "w", encoding="ascii") as f:
        f.write("From a@b Mon Mar  2 10:01:00 2026\nSubject: one\n\nbody\n\n")
    os.chown(box, server.TEST_UID, 0)
    os.chmod(box, 0o600)
    q.start("--mail", box)
    c = wire.Imap("127.0.0.1", q.ports["imaps"], tls=True)
    c.login("u1", "pw")
    assert b"* 1 EXISTS" in c.ok("SELECT INBOX")
    c.ok("STORE 1 +FLAGS (\\Seen)")
    c.logout()


@pytest.mark.skipif(not server.is_root(), reason="needs other uids")
def test_other_uids_at_the_second_start(quick):
    q = quick("--password", "pw")
    q.start("--uid", "20000")
    c = wire.Imap("127.0.0.1", q.ports["imaps"], tls=True)
    c.login("u1", "pw")
    c.ok("SELECT INBOX")
    c.logout()
    q.stop()
    q.start("--uid", "20100")
    c = wire.Imap("127.0.0.1", q.ports["imaps"], tls=True)
    c.login("u1", "pw")
    c.ok("SELECT INBOX")
    c.ok("STORE 1 +FLAGS (\\Seen)")
    c.logout()


def test_wrong_options(quick):
    q = quick()
    for argv, want in [
            (["--nonsense", "1"], "there is no option --nonsense"),
            (["--users"], "--users: unknown, or its value is missing"),
            (["frob"], "'frob' is no option"),
            (["--imap", "x"], "'x' is not a number"),
            (["--imap", "70000"], "70000 is no port"),
            (["--scheme", "rot13"], "--scheme is yescrypt or plain"),
            (["--scheme", "plain", "--password", "a:b"], "with ':'"),
            (["--dir", os.path.join(q.top, "a:b")], "a path with ':'"),
            (["--dir", os.path.join(q.top, "a b"), "--mbox-users", "1"],
             "the path is without spaces"),
            (["--mail", "/nowhere"], "/nowhere is not there")]:
        done = subprocess.run(q.command("--background", *argv),
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=60,
                              check=False)
        assert done.returncode != 0, argv
        assert want in done.stdout.decode().splitlines()[-1], done.stdout
    assert not os.path.exists(os.path.join(q.dir, "restanted.pid"))
    # None of them is kept for the next start.
    assert not os.path.exists(os.path.join(q.dir, "options"))


def test_spaces_and_umask(quick):
    """A path with spaces; files that are made for nobody else."""
    q = quick("--password", "pw")
    q.dir = os.path.join(q.top, "my mail")
    before = os.umask(0o077)
    try:
        text = q.start()
    finally:
        os.umask(before)
    assert "--dir %s" % q.dir.replace(" ", "\\ ") in text
    c = wire.Imap("127.0.0.1", q.ports["imaps"], tls=True)
    c.login("u1", "pw")
    assert b"* 1 FETCH (UID 1)" in c.ok("EXAMINE INBOX") + c.ok("FETCH 1 UID")
    c.logout()


@pytest.mark.skipif(not server.is_root(), reason="about root")
def test_root_of_one_user(quick):
    """Root of a user namespace that has nobody else in it."""
    if subprocess.run(["unshare", "-Ur", "true"], check=False,
                      stderr=subprocess.DEVNULL).returncode != 0:
        pytest.skip("no user namespaces here")
    q = quick()
    done = subprocess.run(["unshare", "-Ur", *q.command("--background")],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=60, check=False)
    assert done.returncode == 1
    assert b"root can not become other users here (tried uid 20000)" in \
        done.stdout.splitlines()[-1]


def test_lines_to_try_can_be_pasted(quick):
    """Whatever the password is; and a start beside a running server tells
    which of its options do not count."""
    q = quick("--users", "1", "--mbox-users", "1")
    said = q.start("--password", "a 'b:\"c\\d$HOME")
    curl = next(x for x in said.splitlines() if x.startswith("  curl "))
    got = subprocess.run(["sh", "-c", curl + " -s"], stdout=subprocess.PIPE,
                         timeout=60, check=True)
    assert b"Subject: Welcome" in got.stdout
    c = wire.Imap("127.0.0.1", q.ports["imaps"], tls=True)
    c.ok(re.search(r"then: a (LOGIN .*)\)$", said, re.M).group(1))
    c.logout()
    assert "mbox files" in said
    said = q.start("--users", "2")
    assert "Already running" in said and "to change --imap" in said
    assert "--users, stop it first" in said
