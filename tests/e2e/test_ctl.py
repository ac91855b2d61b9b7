# SPDX-License-Identifier: ISC
"""What a person meets: restanted's options, restantectl, messages about a
wrong configuration."""
import datetime
import json
import os
import re
import socket
import subprocess
import sys
import time

import pytest

from lib import restante, server


def program(name, *argv, **kw):
    return subprocess.run(
        [os.path.join(restante.programs(), name), *argv],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30,
        stdin=subprocess.DEVNULL, check=False, **kw)


WRONG = [
    ("imap_prot = 1\n",
     "2: unknown setting 'imap_prot' (did you mean 'imap_port'?)"),
    ("imap_port = 99999\n", "2: imap_port = 99999: out of range"),
    ("service imapp {\n}\n", "unknown service 'imapp'"),
    ("log_level = loud\n", "2: log_level = loud: must be one of"),
    ("auth = {passwd_file}\n", "2: auth = passwd_file: must be one of"),
    ("listen = {\n", ":"),
    ("mail_location = \"mailder:~/M\"\n",
     "2: mail_location = mailder:~/M: must be auto, or begin with maildir:"),
    ("mail_location = \"mbox:~/m:INBX=/var/mail/%u\"\n",
     "\"INBX\" is none of INBOX, CONTROL"),
    ("maildir_quota = 10M\n", "2: maildir_quota = 10M: \"10M\" is no limit"),
]


@pytest.mark.parametrize("text,want", WRONG)
@pytest.mark.parametrize("how", ["restanted -t", "check", "check --json"])
def test_wrong_configuration(tmp_path, text, want, how):
    path = tmp_path / "restante.conf"
    path.write_text("# a comment counts as one line\n" + text)
    if how == "restanted -t":
        done = program("restanted", "-t", "-c", str(path))
        said = done.stderr.decode()
    else:
        done = program("restantectl", "-c", str(path), *how.split())
        said = done.stdout.decode()
    assert done.returncode == 1, done
    if how == "check --json":
        answer = json.loads(said)
        assert answer["ok"] is False
        first = answer["problems"][0]
        said = "%s:%s: %s" % (first.get("file", path), first.get("line", 0),
                              first["text"])
    assert str(path) in said and want in said, said


def test_good_configuration(tmp_path):
    path = tmp_path / "restante.conf"
    path.write_text("imap_idle_timeout = 30m\n")
    done = program("restantectl", "-c", str(path), "check")
    assert done.returncode == 0
    done = program("restantectl", "-c", str(path), "config")
    assert done.stdout.decode() == \
        "imap_idle_timeout = 1800\t# %s:1\n" % path
    done = program("restantectl", "--json", "-c", str(path), "config")
    values = json.loads(done.stdout)
    assert values["imap_idle_timeout"] == {"value": 1800,
                                           "where": "%s:1" % path}
    assert values["listen"] == {"value": ["*", "::"], "where": None}
    done = program("restantectl", "-c", str(path), "config", "--plain",
                   "pop3")
    assert b"pop3_idle_timeout = 600\n" in done.stdout
    assert b"passwd_file" not in done.stdout


def test_file_that_is_not_there(tmp_path):
    for argv in (("restanted", "-t", "-c", str(tmp_path / "none")),
                 ("restantectl", "-c", str(tmp_path / "none"), "check")):
        done = program(*argv)
        assert done.returncode == 1
        assert b"No such file" in done.stdout + done.stderr


@pytest.mark.parametrize("argv", [
    ("restantectl",), ("restantectl", "frobnicate"),
    ("restantectl", "kick"), ("restantectl", "who", "--colour", "red"),
    ("restanted", "-x"), ("restanted", "extra")])
def test_usage(argv):
    done = program(*argv)
    assert done.returncode == 2
    assert b"usage" in done.stderr.lower()


@pytest.mark.parametrize("line,want", [
    ("chekc", "unknown command chekc; did you mean check?"),
    ("giveback x", "did you mean give-back?"),
    ("doctor x", "unknown command doctor"),
    ("", "which command?"),
    ("repair", "repair: name one user"),
    ("check a b", "check: name one user, or none"),
    ("share a INBOX", "share: name a user; or him, a mailbox, whom"),
    ("unshare a", "unshare: name a user, a mailbox, and whom"),
    ("status now", "status: it takes no arguments"),
    ("kick", "kick: say whose sessions, or which"),
    ("kick --session x", "kick: --session x: who shows the numbers"),
    ("kick --ip 127.0.0", "kick: --ip 127.0.0: that is no IP address"),
    ("who --service smtp", "who: --service smtp: there are imap and pop3"),
    ("who --user", "who: --user: unknown, or without its value"),
    ("who me", "who: me: unknown, or without its value"),
    ("config --plian imap", "config: --plian: unknown, or without"),
    ("give-back --to cyrus a", "give-back: --to cyrus: dovecot and courier"),
    ("give-back", "give-back: name one user, behind the options")])
def test_what_is_wrong_is_said(line, want):
    """Slips get a sentence, and only the usage of the command meant."""
    done = program("restantectl", *line.split())
    said = done.stderr.decode()
    assert done.returncode == 2
    assert want in said, said
    command = want.partition(":")[0]
    if " " not in command and command:
        assert "usage: restantectl [-c file] [--json] %s" % command in said
        assert said.count("\n") == 3, said


def test_help_and_version():
    for argv in ("--help",), ("-h",):
        done = program("restantectl", *argv)
        assert done.returncode == 0 and b"give-back" in done.stdout
    done = program("restantectl", "share", "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(
        b"usage: restantectl [-c file] [--json] share USER")
    done = program("restantectl", "-V")
    assert re.fullmatch(rb"restantectl [0-9.]+\n", done.stdout)


def test_no_server(tmp_path):
    path = tmp_path / "restante.conf"
    path.write_text('run_dir = "%s"\n' % tmp_path)
    done = program("restantectl", "-c", str(path), "who")
    assert done.returncode == 1
    assert b"no server answers at %s/control" % str(tmp_path).encode() in \
        done.stderr


def test_status_forgets_who_has_gone(start):
    """Also when nothing has happened since."""
    s = start()

    def serving():
        return s.ctl("status", "--json")["rows"][0]["login_serving"]

    conns = [socket.create_connection(("127.0.0.1", s.imap_port))
             for _ in range(12)]
    for c in conns:
        assert c.recv(4) == b"* OK"
    for want in (range(6, 13), (0,)):
        end = time.monotonic() + 30
        while serving() not in want:
            assert time.monotonic() < end, serving()
            time.sleep(0.05)
        for c in conns:
            c.close()


def test_who_kick_status(start, form):
    s = start(separate=form == "separate")
    a = s.imap("alice")
    a.ok("SELECT INBOX")
    b = s.imap("bob", tls=True)
    p = s.pop3("bob")
    rows = s.ctl("who", "--json")["rows"]
    assert sorted((r["user"], r["service"]) for r in rows) == [
        ("alice", "imap"), ("bob", "imap"), ("bob", "pop3")]
    assert [r["user"] for r in
            s.ctl("who", "--service", "pop3", "--json")["rows"]] == ["bob"]
    assert "alice" in s.ctl("who")
    moment = r"\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d\b"
    for command in ("who", "status"):
        begun = [datetime.datetime.fromisoformat(m).timestamp()
                 for m in re.findall(moment, s.ctl(command))]
        assert begun == [r["since"] for r in s.ctl(command, "--json")["rows"]
                         if "since" in r]
        assert begun
    status = s.ctl("status", "--json")["rows"]
    assert status[0]["sessions"] == 3
    assert {"logd", "authd", "keyd", "login"} <= {
        r.get("name") for r in status}
    number = next(r["session"] for r in rows if r["user"] == "alice")
    s.ctl("kick", "--session", str(number))
    a.until(rb"^\* BYE")
    assert a.is_closed()
    b.ok("NOOP")
    s.ctl("kick", "bob")
    b.until(rb"^\* BYE")
    # POP3 has no word for it: the connection just ends.
    p.sock.settimeout(10)
    while p.sock.recv(1000):
        pass
    # The master hears of it a moment after the client.
    end = time.monotonic() + 20
    while s.ctl("who", "--json")["rows"] != []:
        assert time.monotonic() < end
        time.sleep(0.02)
    for whom in (["nobody"], ["--session", str(number)]):
        assert "no such session" in s.ctl("kick", *whom, ok=False)
    assert not s.ctl("kick", "nobody", "--json", ok=False)["ok"]


def test_stop(start, form):
    s = start(separate=form == "separate")
    c = s.imap("alice")
    # All has ended when restantectl comes back.
    s.ctl("stop")
    assert s.process.wait(0) == 0
    c.until(rb"^\* BYE")


def test_reload_with_errors_keeps_the_old(start):
    s = start()
    c = s.imap("alice")
    s.settings["imap_port"] = 70000
    s.write()
    said = s.ctl("reload", ok=None)
    assert "imap_port" in said + s.log()
    c.ok("NOOP")
    s.settings.pop("imap_port")
    s.settings["login_greeting"] = "Another greeting."
    s.write()
    s.ctl("reload")
    assert b"Another greeting." in s.imap().greeting
    c.ok("NOOP")


@pytest.mark.parametrize("reuse", [1, 10])
def test_first_client_after_a_reload(start, reuse):
    """No worker of before takes another client once restantectl is back."""
    s = start(settings={"login_reuse": reuse, "login_workers_spare": 8})
    for i in range(6):
        waiting = [s.imap() for _ in range(3)]
        s.settings["login_greeting"] = "Greeting %d." % i
        s.write()
        s.ctl("reload")
        for _ in range(4):
            assert b"Greeting %d." % i in s.imap().greeting
        for c in waiting:
            c.logout()


def test_reload_during_a_reload(start):
    """Each is answered when what it saw in the file is in force."""
    s = start()
    tool = [os.path.join(restante.programs(), "restantectl"), "-c", s.config,
            "reload"]
    user = {"user": s.uid, "group": s.uid, "extra_groups": []} \
        if server.is_root() else {}
    for i in range(3):
        first = subprocess.Popen(tool, **user)
        s.settings["login_greeting"] = "Greeting %d." % i
        s.write()
        s.ctl("reload")
        assert b"Greeting %d." % i in s.imap().greeting
        assert first.wait(20) == 0


@pytest.mark.skipif(not server.is_root(), reason="needs two uids")
def test_another_user_may_not_stop_us(start):
    s = start(separate=True)
    nobody = {"user": 65534, "group": 65534, "extra_groups": []}
    for argv in (("stop",), ("reload",), ("kick", "alice")):
        done = program("restantectl", "-c", s.config, *argv, **nobody)
        assert done.returncode == 1, argv
    s.imap("alice").ok("NOOP")


@pytest.mark.skipif(not server.is_root(), reason="needs two uids")
def test_another_user_may_not_take_all_connections(start):
    s = start(separate=True)
    hold = ("import socket, sys\n"
            "kept = []\n"
            "for _ in range(64):\n"
            "    c = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
            "    c.connect(sys.argv[1])\n"
            "    kept.append(c)\n"
            "print('held', flush=True)\n"
            "sys.stdin.read()\n")
    path = os.path.join(s.dir, "run", "control")
    with subprocess.Popen(
            [sys.executable, "-c", hold, path], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, user=65534, group=65534,
            extra_groups=[]) as p:
        assert p.stdout.readline() == b"held\n"
        s.ctl("status")
        p.stdin.close()
