# SPDX-License-Identifier: ISC
"""Response codes (RFC 5530, RFC 9051 section 7.1, RFC 3501 section 7.1): a table
of what can go wrong, and of what a client is told then. No NO is without one."""
import base64
import gzip
import os
import re
import socket
import subprocess

import pytest
from lib import box as boxes
from lib import maildir, server

MBOX = True
MAILDIR_ALONE = {"test_expunged_by_a_program", "test_too_big"}

LONG = "x" * 1001
NAMES = ("there", "other", "up")

# what is done before, the command, the code, and perhaps how it goes on
NO = [
    ("", "SELECT nowhere", "NONEXISTENT"),
    ("", "EXAMINE nowhere", "NONEXISTENT"),
    ("", "STATUS nowhere (MESSAGES)", "NONEXISTENT"),
    ("", "DELETE nowhere", "NONEXISTENT"),
    ("", "RENAME nowhere new", "NONEXISTENT"),
    ("", "GETQUOTA nowhere", "NONEXISTENT"),
    ("", "CREATE INBOX", "ALREADYEXISTS"),
    ("", "CREATE inbox", "ALREADYEXISTS"),
    ("", "CREATE there", "ALREADYEXISTS"),
    ("", "RENAME there other", "ALREADYEXISTS"),
    ("", "RENAME there INBOX", "ALREADYEXISTS"),
    ("", "RENAME INBOX there", "ALREADYEXISTS"),
    ("", "DELETE INBOX", "CANNOT"),
    ("", "RENAME there there{d}below", "CANNOT"),
    ("", "CREATE a{d}{d}b", "CANNOT"),
    ("", 'CREATE "a\tb"', "CANNOT"),
    ("", 'CREATE "&AOQ"', "CANNOT"),
    ("", 'SELECT ""', "CANNOT"),
    ("", "APPEND there {0+}\r\n", "CANNOT"),
    ("", "CREATE " + LONG, "LIMIT"),
    ("", "SELECT " + LONG, "LIMIT"),
    ("", "STATUS " + LONG + " (MESSAGES)", "LIMIT"),
    ("", "APPEND nowhere {7+}\r\na: b\r\n\n", "TRYCREATE"),
    ("SELECT INBOX", "COPY 1 nowhere", "TRYCREATE"),
    ("SELECT INBOX", "UID COPY 1 nowhere", "TRYCREATE"),
    ("SELECT INBOX", "MOVE 1 nowhere", "TRYCREATE"),
    ("SELECT INBOX", "UID MOVE 1 nowhere", "TRYCREATE"),
    ("EXAMINE INBOX", "STORE 1 FLAGS (\\Seen)", "READ-ONLY"),
    ("EXAMINE INBOX", "EXPUNGE", "READ-ONLY"),
    ("EXAMINE INBOX", "UID EXPUNGE 1", "READ-ONLY"),
    ("EXAMINE INBOX", "MOVE 1 there", "READ-ONLY"),
    ("SELECT INBOX", "SEARCH CHARSET X-NO ALL",
     "BADCHARSET (US-ASCII UTF-8)"),
    ("SELECT INBOX", "SORT (DATE) X-NO ALL", "BADCHARSET (US-ASCII UTF-8)"),
    ("SELECT INBOX", "THREAD REFERENCES X-NO ALL",
     "BADCHARSET (US-ASCII UTF-8)"),
    ("SELECT INBOX", "FETCH 2 BINARY[1]", "UNKNOWN-CTE"),
    ("SELECT INBOX", "FETCH 2 BINARY.SIZE[1]", "UNKNOWN-CTE"),
    ("", "APPEND there {99999999999}", "TOOBIG"),
]

OK = [
    ("", "SELECT INBOX", "READ-WRITE"),
    ("", "EXAMINE INBOX", "READ-ONLY"),
    ("", "CREATE new", r"MAILBOXID \([A-Za-z0-9_-]+\)"),
    ("", "APPEND there {6+}\r\na: b\r\n", r"APPENDUID \d+ 1"),
    ("SELECT INBOX", "COPY 1:2 there", r"COPYUID \d+ 1:2 1:2"),
    ("SELECT INBOX", "UID COPY 2 there", r"COPYUID \d+ 2 1"),
]

UNTAGGED = [
    ("", "SELECT INBOX", [
        r"OK \[UIDVALIDITY \d+\]", r"OK \[UIDNEXT 3\]",
        r"OK \[PERMANENTFLAGS \(.*\\\*\)\]", r"OK \[UNSEEN 1\]",
        r"OK \[HIGHESTMODSEQ \d+\]", r"OK \[MAILBOXID \(.*\)\]"]),
    ("", "EXAMINE INBOX", [r"OK \[PERMANENTFLAGS \(\)\]"]),
    ("SELECT INBOX", "SELECT there", [r"OK \[CLOSED\]"]),
    ("SELECT INBOX", "MOVE 1 there", [r"OK \[COPYUID \d+ 1 1\]"]),
]

# what there is no code for is BAD, and so is what the grammar forbids
BAD = ["NOSUCH", "SELECT", "FETCH 1 FLAGS", "CLOSE", "UID NOOP",
       "LOGIN a b", "AUTHENTICATE PLAIN", "STARTTLS", "ENABLE", "DONE"]


def raw(text, d):
    return text.replace("{d}", d).encode("latin-1")


@pytest.fixture
def c(box):
    box.deliver(maildir.message(1), flags="")
    box.deliver(b"Content-Transfer-Encoding: x-nobody-knows\r\n\r\nx\r\n",
                flags="")
    client = box.connect()
    client.box = box
    client.d = re.search(rb'\) "(.+)" ', client.ok('LIST "" INBOX')[0]
                         ).group(1).decode()
    for name in NAMES:
        client.ok("CREATE " + name)
    return client


def code_of(text):
    match = re.match(rb"\[([^\]]*)\] .", text)
    return match and match.group(1).decode()


def test_no(c):
    for before, command, want in NO:
        if before:
            c.ok(before)
        status, text, _ = c.cmd(raw(command, c.d))
        assert (status, code_of(text)) == ("NO", want), (command, text)
        assert c.ok("NOOP") is not None


def test_ok(c):
    for before, command, want in OK:
        c.ok("DELETE there")
        c.ok("CREATE there")
        if before:
            c.ok(before)
        status, text, _ = c.cmd(raw(command, c.d))
        assert status == "OK" and re.fullmatch(want, code_of(text) or ""), \
            (command, text)


def test_untagged(c):
    for before, command, wanted in UNTAGGED:
        c.cmd("UNSELECT")
        if before:
            c.ok(before)
        got = [r[2:].decode() for r in c.ok(raw(command, c.d))]
        for want in wanted:
            assert len([r for r in got if re.match(want, r)]) == 1, \
                (command, want, got)


def test_bad(c):
    for command in BAD:
        c.bad(command)
    c.ok("NOOP")


def test_capability(c):
    """In the greeting, or in the answer to the login command."""
    if c.box.kind == "tunnel":
        assert c.greeting.startswith(b"* PREAUTH [CAPABILITY IMAP4rev1 ")
    else:
        again = c.box.server.imap()
        _, text, _ = again.cmd("LOGIN %s %s" % (c.box.user, server.PASSWORD))
        assert text.startswith(b"[CAPABILITY IMAP4rev1 ")


def test_modified(c):
    c.ok("SELECT INBOX")
    status, text, _ = c.cmd("STORE 1 (UNCHANGEDSINCE 1) +FLAGS (\\Seen)")
    assert (status, code_of(text)) == ("OK", "MODIFIED 1")


def test_haschildren(c):
    c.ok("CREATE up%sdown" % c.d)
    c.cmd("DELETE up")
    status, text, _ = c.cmd("DELETE up")
    assert (status, code_of(text)) == ("NO", "HASCHILDREN")
    c.ok("DELETE up%sdown" % c.d)


def test_noperm(c):
    """A mailbox that the files' permissions keep from the user."""
    path = c.box.mbox(".other") if c.box.store == "mbox" else \
        c.box.maildir(".other")
    if c.box.uid == 0 or (server.is_root() and c.box.kind == "server" and
                          c.box.uid == os.geteuid()):
        pytest.skip("root reads everything")
    os.chmod(path, 0)
    try:
        # one that has not had it open
        status, text, _ = c.box.connect().cmd("SELECT other")
        assert (status, code_of(text)) == ("NO", "NOPERM")
    finally:
        os.chmod(path, 0o700)


def test_badurl(c):
    status, text, _ = c.cmd(
        'APPEND INBOX CATENATE (URL "/nowhere/;UID=1")')
    assert (status, code_of(text)) == ("NO", "BADURL /nowhere/;UID=1")


def test_expunged_by_a_program(c):
    c.ok("SELECT INBOX")
    for folder in ("cur", "new"):
        for name in os.listdir(c.box.maildir(folder)):
            if len(c.box.files()) == 2:
                os.unlink(os.path.join(c.box.maildir(folder), name))
    for command in ("FETCH 1:2 BODY.PEEK[]", "COPY 1:2 there"):
        status, text, _ = c.cmd(command)
        assert (status, code_of(text)) == ("NO", "EXPUNGEISSUED"), text


def test_too_big(tunnel):
    c = tunnel.connect("append_limit=1000")
    for size in ("{1001}", "{1001+}\r\n" + "x" * 1001):
        status, text, _ = c.cmd("APPEND INBOX " + size)
        assert (status, code_of(text)) == ("NO", "TOOBIG")
    # what is no message has a limit, too
    status, text, _ = c.cmd("CREATE {9999999}")
    assert (status, code_of(text)) == ("BAD", "TOOBIG")


# What can not be read is left out, and the answer says why.
READING = ["FETCH 1:3 BODY.PEEK[]", "SEARCH BODY nowhere",
           "SORT (SUBJECT) UTF-8 ALL", "THREAD REFERENCES UTF-8 ALL",
           "UID ESEARCH IN (personal) BODY nowhere"]


def check_reading(tunnel, code):
    """With nothing known of the messages."""
    c = tunnel.connect("index_dir=none")
    c.ok("SELECT INBOX")
    for command in READING:
        status, text, told = c.cmd(command)
        assert (status, code_of(text)) == ("NO", code), (command, text)
        assert len([r for r in told if b" FETCH " in r]) == \
            (2 if command.startswith("FETCH") else 0)
    c.ok("NOOP")


def test_unreadable(tunnel):
    """One message may not be read, or is damaged."""
    if tunnel.uid == 0:
        pytest.skip("root reads everything")
    paths = [tunnel.deliver(maildir.message(i), flags="S") for i in range(3)]
    tunnel.connect().ok("SELECT INBOX")
    path = paths[1]
    os.chmod(path, 0)
    check_reading(tunnel, "NOPERM")
    os.chmod(path, 0o600)
    with open(path, "wb") as f:
        f.write(gzip.compress(maildir.message(1) + os.urandom(3000))[:-9])
    check_reading(tunnel, "CORRUPTION")


def limit(c, uid, what, most):
    """A limit (setrlimit(2)) for a tunnel's process, by its own user: it may
    also be below what the process has already."""
    kw = {"user": uid, "group": uid, "extra_groups": []} \
        if server.is_root() else {}
    subprocess.run(["prlimit", "--pid", str(c.process.pid),
                    "--%s=%s:" % (what, most)], check=True, cwd="/", **kw)


def test_no_more_descriptors(tunnel):
    """That passes; the session goes on, and what could be done is done."""
    for i in range(3):
        tunnel.deliver(maildir.message(i), flags="S")
    c = tunnel.connect("index_dir=none")
    c.ok("SELECT INBOX")
    limit(c, tunnel.uid, "nofile",
          len(os.listdir("/proc/%d/fd" % c.process.pid)))
    for command in READING[:4] + ["APPEND INBOX {6+}\r\na: b\r\n",
                                  "CREATE new"]:
        status, text, _ = c.cmd(command)
        assert (status, code_of(text)) == ("NO", "UNAVAILABLE"), command
    limit(c, tunnel.uid, "nofile", 100)
    c.ok("SELECT INBOX")
    for command in READING[:4] + ["APPEND INBOX {6+}\r\na: b\r\n"]:
        c.ok(command)


@pytest.mark.parametrize("store", ["maildir", "mbox"])
def test_files_must_be_small(store):
    """ulimit -f: as if the disk were full, and no end of the process."""
    box = boxes.Box("tunnel", store=store)
    try:
        box.fill(1)
        c = box.connect("index_dir=none")
        c.ok("SELECT INBOX")
        before = box.files()
        limit(c, box.uid, "fsize", 10)
        status, text, _ = c.cmd("APPEND INBOX {999+}\r\na: b" + "x" * 995)
        assert (status, code_of(text)) == ("NO", "OVERQUOTA")
        c.ok("NOOP")
        assert box.files() == before
    finally:
        box.close()


def test_bug(tunnel):
    """What nobody has thought of: a socket in the place of a message."""
    paths = [tunnel.deliver(maildir.message(i), flags="S") for i in range(3)]
    c = tunnel.connect("index_dir=none")
    c.ok("SELECT INBOX")
    os.unlink(paths[1])
    with socket.socket(socket.AF_UNIX) as s:
        at = os.open(os.path.dirname(paths[1]), os.O_DIRECTORY)
        s.bind("/proc/self/fd/%d/%s" % (at, os.path.basename(paths[1])))
        os.close(at)
        status, text, told = c.cmd("FETCH 1:3 BODY.PEEK[]")
    assert (status, code_of(text)) == ("NO", "SERVERBUG"), text
    assert len(told) == 2


def plain(authzid, user, password):
    return base64.b64encode(("%s\0%s\0%s" % (authzid, user, password)
                             ).encode()).decode()


def test_login(start):
    """Before the login: RFC 5530 in full."""
    s = start(users=["alice", "bob"], extra={"bob": "nologin"}, settings={
        "auth_failure_delay": 0, "auth_penalty": False,
        "max_sessions_per_user": 1})
    rows = [
        ("LOGIN alice wrong", "AUTHENTICATIONFAILED"),
        ("LOGIN nobody secret", "AUTHENTICATIONFAILED"),
        ("AUTHENTICATE PLAIN " + plain("", "alice", "wrong"),
         "AUTHENTICATIONFAILED"),
        ("AUTHENTICATE PLAIN " + plain("bob", "alice", server.PASSWORD),
         "AUTHORIZATIONFAILED"),
        ("AUTHENTICATE X-NOSUCH", "CANNOT"),
        ("LOGIN bob " + server.PASSWORD, "CONTACTADMIN"),
    ]
    for command, want in rows:
        with s.imap() as c:
            status, text, _ = c.cmd(command)
            assert (status, code_of(text)) == ("NO", want), (command, text)
    first = s.imap("alice", server.PASSWORD)
    with s.imap() as c:
        status, text, _ = c.cmd("LOGIN alice " + server.PASSWORD)
        assert (status, code_of(text)) == ("NO", "LIMIT"), text
    first.ok("NOOP")
    os.rename(s.passwd, s.passwd + ".away")
    with s.imap() as c:
        status, text, _ = c.cmd("LOGIN alice " + server.PASSWORD)
        assert (status, code_of(text)) == ("NO", "UNAVAILABLE"), text


def test_texts_say_what_is_wrong(box):
    """A command that is refused names what it was refused for."""
    c = box.connect()

    def told(command):
        status, text, _ = c.cmd(command)
        assert status == "BAD", text
        return text
    c.ok("SELECT INBOX")
    assert told("COPY 1 Trash") == b"Invalid messageset: the mailbox is empty"
    box.fill(3)
    c.ok("NOOP")
    gone = b"Invalid messageset: the last one is 3"
    for command in ("COPY 9999 Trash", "MOVE 2:4 Trash", "FETCH 4 FLAGS",
                    "STORE 7 +FLAGS (\\Seen)"):
        assert told(command) == gone
    for command in ("COPY x Trash", "COPY 0 Trash", "FETCH 1: FLAGS",
                    "STORE a FLAGS ()", "UID COPY x Trash", "FETCH 0 UID"):
        assert told(command) == b"Not a valid message set"
    assert told("COPY 1") == b"Message set and mailbox name expected"
    bad = b"Unknown or malformed FETCH item: "
    assert told("FETCH 1 NOSUCH") == bad + b"NOSUCH"
    assert told("FETCH 1 (UID FLAGS BODY[x] ENVELOPE)") == bad + b"BODY[x]"
    assert told("FETCH 1 BODY[]<5.0>") == bad + b"BODY[]<5.0>"
    assert told("FETCH 1 (%s)" % ("A" * 5000)) == bad + b"A" * 60 + b"..."
    assert told("FETCH 1 ()") == told("FETCH 1 (UID ())") == \
        b"FETCH items expected"
    assert told("FETCH 1 UID (NOSUCH)") == \
        b"Unknown or malformed FETCH modifier"
