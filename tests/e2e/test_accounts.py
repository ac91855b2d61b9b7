# SPDX-License-Identifier: ISC
"""The whole server as a machine has it: root, system accounts, PAM, the usual
ports and service accounts, mail below /home. Runs in namespaces of its own."""
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

from lib import certs, maildir, namespace, proc, restante, server, wire
from lib.namespace import INSIDE

SETUP = r"""
for u in ann ben cat; do
    useradd -b $T/home -m -s /usr/sbin/nologin $u
    echo $u:s3cret | chpasswd
done
useradd -b $T/home -m -s /usr/sbin/nologin old
echo old:s3cret | chpasswd
chage -d 2001-01-01 -M 10 old
groupadd team
useradd -b $T/home -m -g team -s /usr/sbin/nologin dan; echo dan:s3cret | chpasswd
useradd -u 500 -M -d $T/home/low low; echo low:s3cret | chpasswd
for s in imap pop3; do
cat >/etc/pam.d/$s <<X
@include common-auth
@include common-account
@include common-session
X
done
"""

pytestmark = pytest.mark.skipif(not server.is_root(), reason="needs root")
inner = namespace.inner
test_in_namespaces = namespace.outer(__file__, SETUP)


class System(restante.Restante):
    """Everything has its default but the places."""

    def __init__(self, settings=None):
        super().__init__(users=[], tls=False)
        self.settings = settings or {}
        self.imap_port, self.imaps_port = 143, 993
        self.pop3_port, self.pop3s_port = 110, 995
        self.separate = True
        os.makedirs("/etc/restante/tls", exist_ok=True)
        cert, key = certs.make(self.dir)
        shutil.move(cert, "/etc/restante/tls/cert.pem")
        shutil.move(key, "/etc/restante/tls/key.pem")

    def effective(self):
        s = {"run_dir": os.path.join(self.dir, "run"),
             "state_dir": os.path.join(self.dir, "state"),
             "index_dir": os.path.join(self.dir, "index"),
             "log": self.log_path, "log_level": "debug",
             "spool_dir": self.spool,
             "libexec_dir": restante.programs()}
        s.update(self.settings)
        return s

    def home(self, user):
        return os.path.join(INSIDE, "home", user)

    def uid_of(self, user):
        return os.stat(self.home(user)).st_uid


@pytest.fixture(scope="module")
def system():
    s = System()
    yield from server.serving(s)


def imap(system, user="ann", tls=True):
    return system.imap(user, "s3cret", tls=tls)


@inner
def test_ports(system):
    for port, greeting in ((143, b"* OK"), (110, b"+OK")):
        for host in ("127.0.0.1", "::1"):
            c = wire.Wire(host, port)
            assert c.line().startswith(greeting)
            c.close()
    for port in (993, 995):
        c = wire.Wire("127.0.0.1", port, tls=True)
        assert c.sock.version() == "TLSv1.3"
        c.close()


@inner
def test_login_and_mail(system):
    box = os.path.join(system.home("ann"), "Maildir")
    uid = system.uid_of("ann")
    maildir.create(box, uid)
    maildir.deliver(box, maildir.message(1), owner=uid)
    c = imap(system)
    assert b"* 1 EXISTS" in c.ok("SELECT INBOX")
    assert maildir.message(1, crlf=True) in c.fetch("1 BODY.PEEK[]")[1]
    p = system.pop3("ann", "s3cret", tls=True)
    assert p.ok("STAT").startswith(b"+OK 1 ")
    c.append("INBOX", maildir.message(2, crlf=True))
    for sub in ("new", "cur"):
        for name in os.listdir(os.path.join(box, sub)):
            st = os.stat(os.path.join(box, sub, name))
            assert st.st_uid == uid


@inner
def test_refused(system):
    for user, password in (("ann", "wrong"), ("nobody", "x"),
                           ("root", "s3cret"), ("low", "s3cret"),
                           ("daemon", "")):
        c = system.imap(tls=True)
        began = time.monotonic()
        status, text, _ = c.cmd('LOGIN %s "%s"' % (user, password))
        assert status == "NO", user
        assert time.monotonic() - began >= 1.9, user


@inner
def test_expired_password(system):
    """The right one, which PAM wants changed (RFC 5530)."""
    c = system.imap(tls=True)
    for command in ("LOGIN old s3cret",
                    "AUTHENTICATE PLAIN AG9sZABzM2NyZXQ="):
        status, text, _ = c.cmd(command)
        assert status == "NO" and text.startswith(b"[EXPIRED] "), text
    p = wire.Wire("127.0.0.1", 995, tls=True)
    p.line()
    p.send(b"USER old\r\nPASS s3cret\r\n")
    p.line()
    assert p.line().startswith(b"-ERR [AUTH] The password has expired")


def by_hand(system, user, text, **env):
    """imapd as a user starts it from a shell."""
    uid = system.uid_of(user)
    run = subprocess.run(
        [os.path.join(restante.programs(), "imapd"), "-c", system.config],
        input=text.replace(b"\n", b"\r\n"), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, timeout=20, cwd="/", user=uid, group=uid,
        extra_groups=[], env={"HOME": system.home(user), **env})
    assert run.returncode == 0, run
    return run.stdout


@inner
def test_by_hand(system):
    """Settings of the running server, by the uid that the kernel tells; what
    the caller says he is counts for nothing."""
    before = system.effective()
    uid = system.uid_of("ben")
    for name, n in (("Maildir", 1), ("Other", 3)):
        box = os.path.join(system.home("ben"), name)
        shutil.rmtree(box, ignore_errors=True)
        maildir.create(box, uid)
        for i in range(n):
            maildir.deliver(box, maildir.message(i), owner=uid)
    system.settings["mail_location"] = "maildir:~/Maildir"
    system.reload()
    system.wait_log("reload done")
    text = b"a SELECT INBOX\nb LOGOUT\n"
    try:
        # in the file, but not in force
        system.settings["mail_location"] = "maildir:~/Other"
        system.write()
        for env in ({}, {"USER": "ann"}, {"USER": "root"}, {"USER": ""}):
            assert b"* 1 EXISTS" in by_hand(system, "ben", text, **env)
        index = os.path.join(system.dir, "index")
        assert os.stat(os.path.join(index, "ben")).st_uid == uid
        # nothing was made in another's name
        ann = os.path.join(index, "ann")
        assert not os.path.exists(ann) or \
            os.stat(ann).st_uid == system.uid_of("ann")
        assert not os.path.exists(os.path.join(index, "root"))
        # another home: mail from there
        with_home = by_hand(system, "ben", text,
                            HOME=os.path.join(system.home("ben"), "Other"))
        assert b"* 0 EXISTS" in with_home
        # may not log in, so is given nothing: the file counts
        run = subprocess.run(
            [os.path.join(restante.programs(), "imapd"), "-c",
             system.config], input=b"b LOGOUT\r\n", env={"HOME": "/root"},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20,
            cwd="/", user=500, group=500, extra_groups=[])
        assert not os.path.exists(os.path.join(index, "low")), run
    finally:
        system.settings = {k: v for k, v in system.settings.items()
                           if k != "mail_location"}
        assert system.effective() == before
        system.reload()
        system.wait_log("reload done")


@inner
def test_processes(system):
    """Who is who: real uids, no way back, nothing left open."""
    c = imap(system, "ben")
    c.ok("SELECT INBOX")
    uid = system.uid_of("ben")
    of = {}
    for pid in proc.tree(system.pid()):
        try:
            exe = os.path.basename(os.readlink("/proc/%d/exe" % pid))
            with open("/proc/%d/status" % pid) as f:
                status = f.read()
        except (FileNotFoundError, ProcessLookupError):
            continue  # a login worker or an auth child has ended
        uids = set(re.search(r"Uid:(.*)", status).group(1).split())
        caps = int(re.search(r"CapEff:\s*(\w+)", status).group(1), 16)
        seccomp = int(re.search(r"Seccomp:\s*(\d)", status).group(1))
        nnp = int(re.search(r"NoNewPrivs:\s*(\d)", status).group(1))
        groups = re.search(r"Groups:(.*)", status).group(1).split()
        of.setdefault(exe, []).append((uids, caps, seccomp, nnp, groups))
    names = {}
    with open("/etc/passwd") as f:
        for line in f:
            name, _, number = line.split(":")[:3]
            names[name] = number
    for program, account in (("login", "_restante-login"),
                             ("keyd", "_restante-key"),
                             ("logd", "_restante-log")):
        assert of[program], program
        for uids, caps, seccomp, nnp, groups in of[program]:
            assert uids == {names[account]}, program
            assert (caps, seccomp, nnp) == (0, 2, 1), program
            assert groups == [], program
    authds = [x[0] for x in of["authd"]]
    assert {names["_restante-auth"]} in authds
    assert [x for x in of["imapd"] if x[0] == {str(uid)}]
    for uids, caps, seccomp, nnp, groups in of["imapd"]:
        assert (caps, seccomp, nnp) == (0, 2, 1)
        assert groups == []


@inner
def test_every_kind_may_die(system):
    """Kill each kind of process; the others go on, and a login works again."""
    c = imap(system)
    c.ok("SELECT INBOX")
    for program in ("login", "keyd", "authd", "logd"):
        for pid in system.pids(program):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        c.ok("NOOP")
        end = time.monotonic() + 20
        while True:
            try:
                d = imap(system, "ben")
                d.ok("NOOP")
                break
            except (OSError, AssertionError, wire.Closed):
                assert time.monotonic() < end, print(program, system.log())
                time.sleep(0.2)
    # One user's process takes only its own sessions with it.
    other = imap(system, "ben")
    uid = system.uid_of("ann")
    for pid in system.pids("imapd"):
        if os.stat("/proc/%d" % pid).st_uid == uid:
            os.kill(pid, signal.SIGKILL)
    with pytest.raises((wire.Closed, OSError)):
        c.ok("NOOP")
    other.ok("NOOP")
    imap(system).ok("SELECT INBOX")


@inner
def test_reload_keeps_sessions(system):
    c = imap(system)
    c.ok("SELECT INBOX")
    before = c.sock.getpeercert(True) if c.sock else None
    cert, key = certs.make(system.dir)
    shutil.move(cert, "/etc/restante/tls/cert.pem")
    shutil.move(key, "/etc/restante/tls/key.pem")
    system.ctl("reload")
    end = time.monotonic() + 10
    while time.monotonic() < end:
        d = imap(system)
        if d.sock.getpeercert(True) != before:
            break
        time.sleep(0.1)
    assert d.sock.getpeercert(True) != before
    c.ok("NOOP")
    # A key that does not belong to the certificate: the old set stays.
    cert, key = certs.make(system.dir)
    shutil.move(key, "/etc/restante/tls/key.pem")
    system.ctl("reload", ok=None)
    imap(system).ok("NOOP")
    c.ok("NOOP")


@inner
def test_who_and_kick(system):
    c = imap(system, "cat")
    rows = system.ctl("--json", "who")["rows"]
    assert [r for r in rows if r["user"] == "cat"]
    # Somebody else sees and ends only his own.
    ben = {"user": system.uid_of("ben"), "group": system.uid_of("ben"),
           "extra_groups": []}
    run = subprocess.run(
        [os.path.join(restante.programs(), "restantectl"), "-c",
         system.config, "kick", "cat"], stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, check=False, **ben)
    c.ok("NOOP")
    assert run.returncode != 0 or b"cat" not in run.stdout
    system.ctl("kick", "cat")
    with pytest.raises((wire.Closed, OSError, AssertionError)):
        c.ok("NOOP")


@inner
def test_new_user_gets_a_maildir(system):
    """Without any mail there is still a mailbox to open."""
    c = imap(system, "cat")
    assert b"* 0 EXISTS" in c.ok("SELECT INBOX")


@inner
def test_sharing_needs_no_setting(system):
    """SETACL by the one, `#user/` for the other, and for nobody else."""
    def others(user):
        with imap(system, user) as c:
            return [r for r in c.ok('LIST "" "#user/*"')
                    if b"\\Noselect" not in r]

    def until(user, test):
        end = time.monotonic() + 40
        while not test(others(user)):
            assert time.monotonic() < end, others(user)
            time.sleep(0.1)

    os.chmod(system.home("cat"), 0o700)
    a = imap(system, "cat")
    a.ok("CREATE Team")
    a.append("Team", maildir.message(1))
    a.ok("SETACL Team ben lrswite")
    until("ben", lambda found: len(found) == 1 and found[0].endswith(
        b"#user/cat/Team"))
    assert others("ann") == []
    with imap(system, "ben") as b:
        b.ok("SELECT #user/cat/Team")
        b.ok("STORE 1 +FLAGS (\\Flagged)")
    a.ok("SELECT Team")
    assert b"\\Flagged" in a.ok("FETCH 1 FLAGS")[0]
    a.ok("DELETEACL Team ben")
    until("ben", lambda found: found == [])


@inner
def test_sharing_with_a_group(system):
    """The kernel's idea of a group and ours are one: /etc/group."""
    a = imap(system, "cat")
    a.ok("CREATE Plans")
    a.append("Plans", maildir.message(1))
    a.ok("SETACL Plans $team lr")
    with imap(system, "dan") as d:
        assert b"* 1 EXISTS" in d.ok("EXAMINE #user/cat/Plans")
        assert d.ok("MYRIGHTS #user/cat/Plans")[0].endswith(b" lr")
        assert b"Subject" in d.ok("FETCH 1 BODY[]")[0]
        d.no("APPEND #user/cat/Plans {1+}\r\nx")
    with imap(system, "ben") as b:
        b.no("EXAMINE #user/cat/Plans")
    a.ok("SETACL Plans $team lrswite")
    with imap(system, "dan") as d:
        d.append("#user/cat/Plans", maildir.message(2))
    a.ok("DELETEACL Plans $team")
    with imap(system, "dan") as d:
        d.no("EXAMINE #user/cat/Plans")
