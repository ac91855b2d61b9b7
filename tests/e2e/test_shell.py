# SPDX-License-Identifier: ISC
"""imapd and pop3d by hand: one session on standard input and output, with the
settings of the configuration."""
import os
import subprocess

import pytest

from lib import maildir, restante


def run(program, text, home, *args):
    p = subprocess.run(
        [os.path.join(restante.BUILD, "bin", program), *args],
        input=text.replace(b"\n", b"\r\n"), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, timeout=20, check=False,
        env={"HOME": str(home), "USER": "hand"})
    return p.returncode, p.stdout, p.stderr


@pytest.fixture
def home(tmp_path):
    """Two places: one message in Maildir, two in Other."""
    for name, n in (("Maildir", 1), ("Other", 2)):
        maildir.create(str(tmp_path / name))
        for i in range(n):
            maildir.deliver(str(tmp_path / name), maildir.message(i))
    (tmp_path / "conf").write_text(
        "mail_location = maildir:~/Other\n")
    (tmp_path / "empty").write_text("")
    return tmp_path


def test_finds_the_mail(home):
    rc, out, _ = run("pop3d", b"STAT\nQUIT\n", home, "-c",
                     str(home / "empty"))
    assert rc == 0 and b"+OK 1 " in out
    rc, out, _ = run("imapd", b"a SELECT INBOX\nb LOGOUT\n", home, "-c",
                     str(home / "empty"))
    assert rc == 0 and out.startswith(b"* PREAUTH ")
    assert b"* 1 EXISTS" in out


@pytest.mark.parametrize("program", ["pop3d", "imapd"])
def test_settings(home, program):
    text, one, two = {
        "pop3d": (b"QUIT\n", b"+OK 1 message", b"+OK 2 messages"),
        "imapd": (b"a SELECT INBOX\nb LOGOUT\n", b"* 1 EXISTS",
                  b"* 2 EXISTS"),
    }[program]
    conf = str(home / "conf")
    assert two in run(program, text, home, "-c", conf)[1]
    # The command line goes before the file.
    assert one in run(program, text, home, "-c", conf, "-o",
                      "mail_location=maildir:~/Maildir")[1]
    assert one in run(program, text, home, "-c", conf,
                      "maildir:~/Maildir")[1]


@pytest.mark.parametrize("value, answer, warned", [
    ("1K", b"a NO [TOOBIG] ", False), ("1 m", b"+ ", False),
    ("2000", b"+ ", False), ("1w", b"+ ", True), ("", b"+ ", False)])
def test_units_of_options(home, value, answer, warned):
    """-o takes what the file does; what is no size leaves the default."""
    rc, out, err = run("imapd", b"a APPEND INBOX {1500}\n", home,
                       "-o", "append_limit=" + value)
    assert out.splitlines()[1].startswith(answer), out
    assert (b"append_limit=1w" in err) == warned, err


@pytest.mark.parametrize("program", ["pop3d", "imapd"])
def test_a_broken_configuration_opens_nothing(home, program):
    (home / "bad").write_text("mail_lcation = maildir:~/Other\n")
    rc, out, err = run(program, b"a LOGOUT\n", home, "-c", str(home / "bad"))
    assert rc == 1 and out == b""
    assert b"mail_location" in err  # the suggestion


@pytest.mark.parametrize("program", ["pop3d", "imapd"])
def test_usage(home, program):
    rc, out, err = run(program, b"", home, "-x")
    assert rc == 64 and out == b"" and b"usage: " in err
    assert run(program, b"", home, "one", "two")[0] == 64
    rc, _, err = run(program, b"", home, "-o", "nonsense")
    assert rc == 1 and b"nonsense" in err


@pytest.mark.parametrize("program", ["pop3d", "imapd"])
def test_end_of_input(home, program):
    rc, out, _ = run(program, b"", home)
    assert rc == 0
    assert out.startswith(b"+OK" if program == "pop3d" else b"* PREAUTH")


@pytest.mark.parametrize("program", ["pop3d", "imapd"])
def test_term(home, program):
    with subprocess.Popen(
            [os.path.join(restante.BUILD, "bin", program)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={"HOME": str(home), "USER": "hand"}) as p:
        assert p.stdout.readline()
        p.terminate()
        rest = p.stdout.read()
        assert b"BYE" in rest or b"-ERR" in rest
        assert p.wait(10) == 0


@pytest.mark.parametrize("program", ["pop3d", "imapd"])
def test_silence(home, program):
    """POP3 closes without a word (RFC 1939 section 3), IMAP says BYE."""
    with subprocess.Popen(
            [os.path.join(restante.BUILD, "bin", program),
             "-o", "pop3_idle_timeout=1", "-o", "imap_idle_timeout=1"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={"HOME": str(home), "USER": "hand"}) as p:
        assert p.stdout.readline()
        rest = p.stdout.read()
        assert (rest == b"") if program == "pop3d" else (b"* BYE" in rest)
        assert p.wait(10) == 0
