# SPDX-License-Identifier: ISC
"""METADATA, METADATA-SERVER (RFC 5464) and LIST-METADATA (RFC 9590)."""
import glob
import os
import re
import signal
import time

import pytest

from lib import box as boxes
from lib import maildir, restante, server

MBOX = True
COLOR = "/shared/vendor/cmu/cyrus-imapd/color"


def untagged(c, command):
    status, text, lines = c.cmd(command)
    assert status == "OK", (command, text)
    return lines


def metadata(c, command):
    """{mailbox: {entry: value}} of the METADATA responses."""
    found = {}
    for r in untagged(c, command):
        m = re.match(rb'\* METADATA ("[^"]*"|\S+) (.*)$', r, re.S)
        if not m:
            continue
        inner = m.group(2)
        assert inner.startswith(b"(") and inner.endswith(b")"), r
        values = found.setdefault(m.group(1).strip(b'"').decode(), {})
        for e in re.finditer(rb'"?(/[^" )]+)"? (?:(NIL)|"((?:\\.|[^"\\])*)"|'
                             rb"~?\{(\d+)\}\r\n)", inner):
            if e.group(4):
                value = inner[e.end():e.end() + int(e.group(4))]
            elif e.group(2):
                value = None
            else:
                value = re.sub(rb"\\(.)", rb"\1", e.group(3))
            values[e.group(1).decode()] = value
    return found


def code(c, command):
    status, text, _ = c.cmd(command)
    assert status == "NO", (command, status, text)
    return re.match(rb"\[([^\]]*)\]", text).group(1).decode()


def test_announced(box):
    caps = box.connect().capabilities()
    assert {"METADATA", "METADATA-SERVER", "LIST-METADATA"} <= caps


def test_examples(box):
    """RFC 5464 sections 4.2 to 4.4."""
    c = box.connect("mail_server_comment=Shared comment",
                    "mail_server_admin=mailto:joe@example.org") \
        if box.kind == "tunnel" else box.connect()
    if box.kind == "tunnel":
        assert metadata(c, 'GETMETADATA "" /shared/comment') == \
            {"": {"/shared/comment": b"Shared comment"}}
        assert metadata(c, 'GETMETADATA "" /shared/admin') == \
            {"": {"/shared/admin": b"mailto:joe@example.org"}}
    status, _, _ = c.literal(
        "SETMETADATA INBOX (/private/comment",
        b"My new comment across\r\ntwo lines.\r\n", b")")
    assert status == "OK"
    assert metadata(c, 'GETMETADATA "INBOX" /private/comment') == {
        "INBOX": {"/private/comment":
                  b"My new comment across\r\ntwo lines.\r\n"}}
    c.ok("SETMETADATA INBOX (/private/comment NIL)")
    assert metadata(c, "GETMETADATA INBOX /private/comment") == {
        "INBOX": {"/private/comment": None}}
    c.ok('SETMETADATA INBOX (/private/comment "My new comment" '
         '/shared/comment "This one is for you!")')
    want = {"INBOX": {"/private/comment": b"My new comment",
                      "/shared/comment": b"This one is for you!"}}
    assert metadata(c, 'GETMETADATA "INBOX" (/shared/comment '
                       "/private/comment)") == want
    # As in section 4.4.1, without parentheses.
    assert metadata(c, 'GETMETADATA "INBOX" /private/comment '
                       "/shared/comment") == want
    c.ok('SETMETADATA INBOX (/private/filters/values/small "SMALLER 5000" '
         '/private/filters/values/boss "FROM \\"boss@example.com\\"" '
         '/private/filters/values/a/b "deep" /private/filtersnot "no")')
    values = {"/private/filters/values/small": b"SMALLER 5000",
              "/private/filters/values/boss": b'FROM "boss@example.com"'}
    # Options behind the mailbox, as the example has them, or before it.
    for command in ('GETMETADATA "INBOX" (DEPTH 1) '
                    "(/private/filters/values)",
                    'GETMETADATA (DEPTH 1) INBOX /private/filters/values'):
        assert metadata(c, command) == {"INBOX": values}
    deep = dict(values)
    deep["/private/filters/values/a/b"] = b"deep"
    assert metadata(c, "GETMETADATA (DEPTH infinity) INBOX "
                       "/private/filters")["INBOX"] == deep
    assert metadata(c, "GETMETADATA (DEPTH 0) INBOX "
                       "/private/filters/values")["INBOX"] == \
        {"/private/filters/values": None}


def test_maxsize(box):
    c = box.connect()
    c.literal("SETMETADATA INBOX (/private/comment \"My own comment\" "
              "/shared/comment", b"x" * 2199, b")")
    for options in ('INBOX (MAXSIZE 1024)', '(MAXSIZE 1024) INBOX'):
        _, text, lines = c.cmd(
            "GETMETADATA %s (/shared/comment /private/comment)" % options)
        assert text.startswith(b"[METADATA LONGENTRIES 2199]")
        assert lines == [
            b'* METADATA INBOX (/private/comment "My own comment")']
    # As large as allowed is not larger.
    _, text, lines = c.cmd("GETMETADATA (MAXSIZE 2199 DEPTH infinity) INBOX "
                           "(/shared /private)")
    assert b"LONGENTRIES" not in text
    assert len(lines) == 1 and b"x" * 2199 in lines[0]


def test_server(box):
    c = box.connect()
    c.ok('SETMETADATA "" (/private/vendor/x/y "mine")')
    assert metadata(c, 'GETMETADATA "" (/private/vendor/x/y /shared/comment '
                       "/shared/admin)")[""] == {
        "/private/vendor/x/y": b"mine", "/shared/comment": None,
        "/shared/admin": None}
    # The administrator's, and one that cannot be set costs all.
    for entry in ("/shared/comment", "/shared/admin", "/shared/vendor/x/y"):
        assert code(c, 'SETMETADATA "" (/private/vendor/x/y "new" %s "x")'
                    % entry) == "NOPERM"
    assert metadata(c, 'GETMETADATA "" /private/vendor/x/y')[""] == {
        "/private/vendor/x/y": b"mine"}


def test_names_with_blanks(box):
    """RFC 5464 section 3.2 forbids octets up to 0x19 only."""
    c = box.connect()
    name = b'"/private/ a b 7 "'
    c.ok(b"SETMETADATA INBOX (" + name + b' "one two" /private/c "12")')
    d = box.connect()
    assert d.ok(b"GETMETADATA INBOX (" + name + b" /private/c)") == [
        b"* METADATA INBOX (" + name + b' "one two" /private/c "12")']
    d.ok(b"SETMETADATA INBOX (" + name + b" NIL)")
    assert b"one" not in b"".join(c.ok(
        "GETMETADATA (DEPTH infinity) INBOX /private"))


def test_bad(box):
    c = box.connect()
    for command in (
            "GETMETADATA", "GETMETADATA INBOX", "GETMETADATA INBOX ()",
            "GETMETADATA INBOX comment", "GETMETADATA INBOX /comment",
            'GETMETADATA INBOX "/private/a*"', 'GETMETADATA INBOX "/private/%"',
            "GETMETADATA INBOX /private//x", "GETMETADATA INBOX /private/x/",
            b'GETMETADATA INBOX "/private/\xc3\xa4"',
            "GETMETADATA (DEPTH 2) INBOX /private",
            "GETMETADATA (MAXSIZE) INBOX /private",
            "GETMETADATA (OTHER) INBOX /private",
            "GETMETADATA (DEPTH 1) INBOX (/private) /shared",
            "SETMETADATA INBOX", "SETMETADATA INBOX ()",
            'SETMETADATA INBOX /private/comment "x"',
            "SETMETADATA INBOX (/private/comment)",
            "SETMETADATA INBOX (/private/comment x)",
            'SETMETADATA INBOX (/private "x")',
            'SETMETADATA INBOX (/shared/vendor/x "x")',
            'SETMETADATA INBOX (comment "x")'):
        c.bad(command)
    for command in ("GETMETADATA Nowhere /private/comment",
                    'SETMETADATA Nowhere (/private/comment "x")'):
        assert code(c, command) == "NONEXISTENT"
    assert metadata(c, "GETMETADATA (DEPTH infinity) INBOX "
                       "(/private /shared)") == {}


def test_names_have_no_case(box):
    c = box.connect()
    c.ok('SETMETADATA INBOX (/Private/Comment "x")')
    assert metadata(c, "GETMETADATA INBOX /PRIVATE/COMMENT")["INBOX"] == {
        "/PRIVATE/COMMENT": b"x"}
    c.ok('SETMETADATA INBOX (/private/COMMENT "y")')
    assert metadata(c, "GETMETADATA (DEPTH infinity) INBOX /private") == {
        "INBOX": {"/private/COMMENT": b"y"}}


def test_binary(box):
    """literal8: any bytes, NUL too (value = nstring / literal8)."""
    c = box.connect()
    value = bytes(range(256))
    c.send(b"x SETMETADATA INBOX (/private/comment ~{%d+}\r\n%s)\r\n" %
           (len(value), value))
    assert c.until(rb"^x ")[-1].startswith(b"x OK")
    line, = [r for r in untagged(c, "GETMETADATA INBOX /private/comment")]
    assert b"~{256}\r\n" + value in line
    c.literal("SETMETADATA INBOX (/private/comment",
              "grüße".encode(), b")")
    line, = untagged(c, "GETMETADATA INBOX /private/comment")
    assert "{7}\r\ngrüße".encode() in line
    c.ok('SETMETADATA INBOX (/private/comment "")')
    assert metadata(c, "GETMETADATA INBOX /private/comment")["INBOX"] == {
        "/private/comment": b""}


def test_limits(box):
    """At least 1024 bytes and 10 entries must be taken; more is refused with
    the RFC's codes, and then nothing is changed."""
    c = box.connect()
    most = 64 * 1024
    status, _, _ = c.literal("SETMETADATA INBOX (/private/comment",
                             b"a" * most, b")")
    assert status == "OK"
    status, text, _ = c.literal(
        'SETMETADATA INBOX (/shared/comment "new" /private/comment',
        b"a" * (most + 1), b")")
    assert status == "NO" and \
        text.startswith(b"[METADATA MAXSIZE %d]" % most)
    assert metadata(c, "GETMETADATA INBOX /shared/comment")["INBOX"] == {
        "/shared/comment": None}
    c.ok("SETMETADATA INBOX (%s)" % " ".join(
        "/private/x/%d x" % i if 0 else '/private/x/%d "x"' % i
        for i in range(499)))
    assert code(c, 'SETMETADATA INBOX (/private/x/0 "new" /private/more "x")'
                ) == "METADATA TOOMANY"
    got = metadata(c, "GETMETADATA (DEPTH 1) INBOX /private/x")["INBOX"]
    assert len(got) == 499 and got["/private/x/0"] == b"x"
    # Something has to go first; in one command is enough.
    c.ok('SETMETADATA INBOX (/private/x/0 NIL /private/more "x")')


def test_life(box):
    """RENAME takes them along, of INBOX copies them; DELETE forgets them."""
    c = box.connect()
    sep = "/" if box.store == "mbox" else "."
    c.ok("CREATE a")
    c.ok("CREATE a%sb" % sep)
    for name in ("INBOX", "a", "a%sb" % sep):
        c.ok('SETMETADATA "%s" (/private/comment "p %s" /shared/comment "s")'
             % (name, name))

    def comment(name):
        return metadata(c, 'GETMETADATA "%s" (/private/comment '
                           "/shared/comment)" % name).popitem()[1]

    both = {"/private/comment": b"p a", "/shared/comment": b"s"}
    assert comment("a") == both
    c.ok("RENAME a z")
    assert comment("z") == both
    assert comment("z%sb" % sep)["/private/comment"] == \
        ("p a%sb" % sep).encode()
    c.ok("CREATE a")
    nothing = {"/private/comment": None, "/shared/comment": None}
    assert comment("a") == nothing
    c.ok("DELETE z%sb" % sep)
    c.ok("DELETE z")
    c.ok("CREATE z")
    assert comment("z") == nothing
    c.ok("RENAME INBOX old")
    for name in ("INBOX", "old"):
        assert comment(name)["/private/comment"] == b"p INBOX"
    # It is all on disk: another process has it.
    c.close()
    c = box.connect()
    assert comment("old")["/shared/comment"] == b"s"


def test_names_of_mailboxes(box):
    c = box.connect()
    c.ok("CREATE Entw&APw-rfe2")
    c.ok('SETMETADATA Entw&APw-rfe2 (/private/comment "x")')
    line, = untagged(c, "GETMETADATA Entw&APw-rfe2 /private/comment")
    assert line == b'* METADATA Entw&APw-rfe2 (/private/comment "x")'


# ---- changes by others --------------------------------------------------------

def test_unsolicited(box):
    """RFC 5464 section 4.4.2: names alone, after ENABLE alone."""
    a, b, quiet = box.connect(), box.connect(), box.connect()
    assert untagged(b, "ENABLE METADATA") == [b"* ENABLED METADATA"]
    for c in (a, b, quiet):
        c.ok("SELECT INBOX")
        c.ok("NOOP")
    a.ok('SETMETADATA INBOX (/private/comment "x" /shared/comment "y")')
    end = time.monotonic() + 10
    told = set()
    while time.monotonic() < end and len(told) < 2:
        for r in untagged(b, "NOOP"):
            m = re.match(rb"\* METADATA INBOX (/.*)", r)
            told |= set(m.group(1).split()) if m else set()
        time.sleep(0.05)
    assert told == {b"/private/comment", b"/shared/comment"}
    assert not any(b"METADATA" in r for r in untagged(quiet, "NOOP"))
    # Told once; one's own changes are no news.
    b.ok('SETMETADATA INBOX (/private/comment "z")')
    time.sleep(1.1)
    assert not any(b"METADATA" in r for r in untagged(b, "NOOP"))


def test_idle(box_server):
    """Sessions of one process hear of it at once, of any mailbox."""
    used = box_server.used = getattr(box_server, "used", -1) + 1
    x = boxes.Box("server", box_server.users[used], box_server)
    a, b, srv = x.connect(), x.connect(), x.connect()
    assert untagged(b, "ENABLE METADATA METADATA-SERVER")[0].split()[2:] == \
        [b"METADATA", b"METADATA-SERVER"]
    srv.ok("ENABLE METADATA-SERVER")
    a.ok("CREATE other")
    tag = b.idle()
    a.ok('SETMETADATA other (/private/comment "x")')
    assert b.until(rb"METADATA")[-1] == b"* METADATA other /private/comment"
    a.ok('SETMETADATA "" (/private/vendor/a/b "x")')
    assert b.until(rb"METADATA")[-1] == b'* METADATA "" /private/vendor/a/b'
    b.done(tag)
    assert untagged(srv, "NOOP") == [b'* METADATA "" /private/vendor/a/b']
    x.close()


def test_other_processes(tunnel):
    """Of the mailboxes that it has asked about, a session hears what another
    process changes, in the middle of IDLE, too."""
    a, b = tunnel.connect(), tunnel.connect()
    a.ok("CREATE other")
    a.ok('SETMETADATA other (/private/comment "old" /shared/comment "x")')
    b.ok("ENABLE METADATA METADATA-SERVER")
    b.ok("GETMETADATA other /private/comment")
    b.ok('GETMETADATA "" /private/vendor/a/b')
    tag = b.idle()
    a.ok('SETMETADATA other (/private/comment "new" /shared/comment "x")')
    assert b.until(rb"METADATA")[-1] == b"* METADATA other /private/comment"
    a.ok('SETMETADATA other (/shared/comment NIL)')
    assert b.until(rb"METADATA")[-1] == b"* METADATA other /shared/comment"
    a.ok('SETMETADATA "" (/private/vendor/a/b "x")')
    assert b.until(rb"METADATA")[-1] == b'* METADATA "" /private/vendor/a/b'
    b.done(tag)
    # One's own changes are none.
    b.ok('SETMETADATA other (/private/comment "mine")')
    time.sleep(0.1)
    assert not any(b"METADATA" in r for r in untagged(b, "NOOP"))


def test_notify(box_server):
    """RFC 5465 sections 5.6 and 5.7: as asked for, without ENABLE."""
    used = box_server.used = getattr(box_server, "used", -1) + 1
    x = boxes.Box("server", box_server.users[used], box_server)
    a, b = x.connect(), x.connect()
    a.ok("CREATE other")
    a.ok("CREATE more")
    b.ok("NOTIFY SET (mailboxes other (MailboxMetadataChange)) "
         "(personal (ServerMetadataChange))")
    a.ok('SETMETADATA more (/private/comment "x")')
    a.ok('SETMETADATA other (/private/comment "x")')
    assert b.response() == b"* METADATA other /private/comment"
    a.ok('SETMETADATA "" (/private/vendor/a/b "x")')
    assert b.response() == b'* METADATA "" /private/vendor/a/b'
    x.close()


def test_outside_edit(tunnel):
    """A file that another program changes is read as it is."""
    c = tunnel.connect()
    c.ok("ENABLE METADATA")
    c.ok("SELECT INBOX")
    c.ok('SETMETADATA INBOX (/shared/comment "x")')
    c.ok("NOOP")
    path = os.path.join(tunnel.maildir(), "restante-metadata")
    with open(path, "rb") as f:
        text = f.read()
    assert text == b"restante-metadata 1\n/shared/comment 1\nx\n"
    time.sleep(1.1)
    with open(path + ".new", "wb") as f:
        f.write(text + b"/shared/more 2\nab\n/shared/broken")
    os.rename(path + ".new", path)
    os.chown(path, tunnel.uid, tunnel.uid)
    assert b"* METADATA INBOX /shared/more" in untagged(c, "NOOP")
    assert metadata(c, "GETMETADATA (DEPTH 1) INBOX /shared")["INBOX"] == {
        "/shared/comment": b"x", "/shared/more": b"ab"}
    # What is damaged is warned of, and mended by the next change.
    c.ok('SETMETADATA INBOX (/shared/comment "y")')
    with open(path, "rb") as f:
        assert f.read() == (b"restante-metadata 1\n/shared/comment 1\ny\n"
                            b"/shared/more 2\nab\n")


def test_files(tunnel):
    """Private ones are the owner's; without entries there is no file."""
    c = tunnel.connect()
    c.ok('SETMETADATA INBOX (/private/comment "x" /shared/comment "y")')
    private = os.path.join(tunnel.maildir(), "restante-private")
    assert os.stat(private).st_mode & 0o777 == 0o600
    c.ok("SETMETADATA INBOX (/private/comment NIL /shared/comment NIL)")
    assert glob.glob(os.path.join(tunnel.maildir(), "restante-*")) == []
    # They are no mailboxes, and mail is not looked for in them.
    c.ok('SETMETADATA INBOX (/private/comment "x")')
    assert not any(b"restante" in r for r in untagged(c, 'LIST "" *'))
    tunnel.fill(1)
    assert b"* 1 EXISTS" in untagged(c, "SELECT INBOX")


def test_killed(tunnel):
    """Killed at any moment, a value is the old or the new one."""
    values = [b"a" * 60000, b"b" * 60000]
    c = tunnel.connect()
    c.literal("SETMETADATA INBOX (/private/comment", values[0], b")")
    for i in range(6):
        c = tunnel.connect()
        tag = c.tag()
        c.send(tag + b" SETMETADATA INBOX (/private/comment {60000+}\r\n" +
               values[1 - i % 2] + b")\r\n")
        time.sleep(0.0015 * i)
        c.process.send_signal(signal.SIGKILL)
        c.process.wait()
        d = tunnel.connect()
        got = metadata(d, "GETMETADATA INBOX /private/comment")
        assert got["INBOX"]["/private/comment"] in values
        d.close()
        # What a dead process has locked is free at once.
        e = tunnel.connect()
        e.literal("SETMETADATA INBOX (/private/comment",
                  values[i % 2], b")")
        e.close()


# ---- LIST-METADATA ------------------------------------------------------------

def test_list_examples(box):
    """RFC 9590 section 4."""
    c = box.connect()
    sep = "/" if box.store == "mbox" else "."
    c.ok("CREATE foo")
    c.ok("CREATE foo%ssub" % sep)
    c.ok("CREATE bar%ssub" % sep)
    c.ok("SUBSCRIBE INBOX")
    c.ok("SUBSCRIBE foo%ssub" % sep)
    c.ok('SETMETADATA INBOX ("%s" "#b71c1c")' % COLOR)
    lines = untagged(c, 'LIST "" %% RETURN (METADATA ("%s"))' % COLOR)
    names = [r.split()[-1] for r in lines if r.startswith(b"* LIST")]
    assert {b"INBOX", b"foo", b"bar"} <= set(names)
    at = [i for i, r in enumerate(lines) if r.endswith(b" INBOX")][0]
    assert lines[at + 1] == \
        b'* METADATA INBOX (%s "#b71c1c")' % COLOR.encode()
    got = metadata(c, 'LIST "" %% RETURN (METADATA ("%s"))' % COLOR)
    assert got["INBOX"] == {COLOR: b"#b71c1c"}
    assert got["foo"] == {COLOR: None}
    if box.store != "mbox":
        assert "bar" not in got  # a level alone
    lines = untagged(c, 'LIST (SUBSCRIBED RECURSIVEMATCH) "" %% RETURN '
                        '(METADATA ("%s"))' % COLOR)
    assert not any(r.startswith(b"* METADATA foo") for r in lines)
    assert any(b"CHILDINFO" in r for r in lines)
    assert any(r.startswith(b"* METADATA INBOX") for r in lines)
    # With STATUS, in one answer.
    lines = untagged(c, 'LIST "" foo RETURN (METADATA (%s) STATUS '
                        "(MESSAGES))" % COLOR)
    assert [r.split()[1] for r in lines] == [b"LIST", b"METADATA", b"STATUS"]
    for bad in ("METADATA", "METADATA ()", "METADATA (x)"):
        c.bad('LIST "" %% RETURN (%s)' % bad)


# ---- mail that others read ----------------------------------------------------

def test_others(start):
    """Shared is one for all, private is each one's own."""
    if not server.is_root():
        pytest.skip("needs root")
    s = restante.Restante(separate=True)
    public = os.path.join(s.dir, "public")
    maildir.create(public)
    s.settings["public_location"] = "maildir:%s:LAYOUT=fs" % public
    folder = maildir.create(os.path.join(public, "news"))
    for root, _, _ in os.walk(public):
        os.chmod(root, 0o777)
    try:
        s.start()
        a, b = s.imap("alice"), s.imap("bob")
        name = "#public/news"
        a.ok('SETMETADATA "%s" (/shared/comment "ours" /private/comment "a")'
             % name)
        b.ok('SETMETADATA "%s" (/private/comment "b")' % name)
        for c, mine in ((a, b"a"), (b, b"b")):
            assert metadata(c, 'GETMETADATA "%s" (/shared/comment '
                               "/private/comment)" % name)[name] == {
                "/shared/comment": b"ours", "/private/comment": mine}
        assert sorted(x for x in os.listdir(folder)
                      if x.startswith("restante")) == ["restante-metadata"]
        # Who may not write there keeps his own all the same.
        for root, _, _ in os.walk(public):
            os.chmod(root, 0o755)
        assert code(b, 'SETMETADATA "%s" (/shared/comment "x")' % name) == \
            "NOPERM"
        b.ok('SETMETADATA "%s" (/private/comment "b2")' % name)
    finally:
        s.stop()
        s.remove()
    del start
