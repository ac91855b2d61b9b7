# SPDX-License-Identifier: ISC
"""IMAP4rev1 as one client sees it, over real sockets and real files."""
import calendar
import re
import time

import pytest

from lib import maildir, server

M = maildir.message


def box(shared, user, n=3, **kw):
    """A session with `n` messages in its selected INBOX."""
    shared.fill(user, n, **kw)
    c = shared.imap(user)
    c.ok("SELECT INBOX")
    return c


def test_greeting_and_logout(shared, user):
    c = shared.imap()
    assert c.greeting.startswith(b"* OK ")
    c.login(user, server.PASSWORD)
    status, _, untagged = c.cmd("LOGOUT")
    assert status == "OK" and untagged[-1].startswith(b"* BYE")
    assert c.is_closed()


def test_capabilities(shared, user):
    c = shared.imap(user)
    have = c.capabilities()
    for name in ("IMAP4rev1", "IDLE", "NAMESPACE", "UIDPLUS", "MOVE",
                 "UNSELECT", "ENABLE", "ID", "SASL-IR", "LITERAL+",
                 "CHILDREN", "ESEARCH", "SPECIAL-USE", "STATUS=SIZE",
                 "COMPRESS=DEFLATE"):
        assert name in have, name


def test_select(shared, user):
    shared.fill(user, 5)
    c = shared.imap(user)
    lines = c.ok("SELECT INBOX")
    text = b"\n".join(lines)
    assert b"* 5 EXISTS" in lines
    assert b"* 5 RECENT" in lines
    assert re.search(rb"\[UIDVALIDITY \d+\]", text)
    assert b"[UIDNEXT 6]" in text
    assert b"[UNSEEN 1]" in text
    assert re.search(rb"\* FLAGS \(.*\\Deleted.*\)", text)
    assert re.search(rb"\[PERMANENTFLAGS \(.*\\\*\)\]", text)
    again = shared.imap(user)
    assert b"* 0 RECENT" in again.ok("SELECT INBOX")


def test_examine_changes_nothing(shared, user):
    shared.fill(user, 1)
    c = shared.imap(user)
    status, text, lines = c.cmd("EXAMINE INBOX")
    assert status == "OK" and text.startswith(b"[READ-ONLY]")
    c.fetch("1 BODY[]")
    assert c.flags()[1] - {"\\Recent"} == set()
    c.no("STORE 1 +FLAGS (\\Seen)")
    d = shared.imap(user)
    assert b"* 1 RECENT" in d.ok("SELECT INBOX")


def test_states(shared, user):
    c = shared.imap(user)
    for command in ("FETCH 1 FLAGS", "STORE 1 FLAGS ()", "SEARCH ALL",
                    "EXPUNGE", "CLOSE", "COPY 1 INBOX", "UNSELECT"):
        c.bad(command)
    c.bad("LOGIN x y")
    c.no("SELECT nowhere")
    c.ok("SELECT INBOX")
    c.no("SELECT nowhere")
    c.bad("FETCH 1 FLAGS")  # a failed SELECT leaves none selected


def test_fetch_items(shared, user):
    text = M(7, body=b"one\r\ntwo\r\n", crlf=True)
    shared.deliver(user, M(7, body=b"one\r\ntwo\r\n"))
    c = shared.imap(user)
    c.ok("SELECT INBOX")
    one = c.fetch("1 (UID RFC822.SIZE FLAGS INTERNALDATE ENVELOPE"
                  " BODYSTRUCTURE)")[1]
    assert b"UID 1" in one
    assert b"RFC822.SIZE %d" % len(text) in one
    assert re.search(rb'INTERNALDATE "[ \d]\d-\w{3}-\d{4} \d\d:\d\d:\d\d'
                     rb' [+-]\d{4}"', one)
    assert (b'ENVELOPE ("Sat, 22 Nov 2025 10:00:07 +0000" "Message 7" '
            b'(("Sender 7" NIL "sender7" "example.org"))') in one
    assert b'"<m7@example.org>")' in one
    assert (b'BODYSTRUCTURE ("text" "plain" ("charset" "us-ascii") NIL NIL'
            b' "7bit" 10 2 NIL NIL NIL NIL)').lower() in one.lower()
    whole = c.fetch("1 BODY.PEEK[]")[1]
    assert whole.endswith(b"BODY[] {%d}\r\n" % len(text) + text + b")")
    assert "\\Seen" not in c.flags()[1]
    assert b"BODY[TEXT] {10}\r\none\r\ntwo\r\n)" in c.fetch("1 BODY[TEXT]")[1]
    assert "\\Seen" in c.flags()[1]
    assert b"BODY[TEXT]<2> {4}\r\ne\r\nt)" in c.fetch("1 BODY[TEXT]<2.4>")[1]
    assert b"BODY[TEXT]<99> " in c.fetch("1 BODY.PEEK[TEXT]<99.4>")[1]
    some = c.fetch("1 BODY.PEEK[HEADER.FIELDS (subject X-None)]")[1]
    assert b"Subject: Message 7\r\n\r\n)" in some
    rest = c.fetch("1 BODY.PEEK[HEADER.FIELDS.NOT (subject from)]")[1]
    assert b"Message-ID" in rest and b"Subject" not in rest
    assert b"BODY[1] {10}" in c.fetch("1 BODY.PEEK[1]")[1]
    assert b"BODY[1.MIME]" in c.fetch("1 BODY.PEEK[1.MIME]")[1]
    for item in ("RFC822", "RFC822.HEADER", "RFC822.TEXT", "ALL", "FAST",
                 "FULL", "BODY"):
        assert c.fetch("1 " + item)[1]
    c.bad("FETCH 1 (NONSENSE)")
    c.bad("FETCH 1 BODY[")
    c.bad("FETCH 0 FLAGS")
    c.bad("FETCH 1:* ()")


def test_fetch_parts(shared, user):
    import os
    data = os.path.join(os.path.dirname(os.path.dirname(__file__)), "data")
    with open(os.path.join(data, "04-forwarded-message.eml"), "rb") as f:
        shared.deliver(user, f.read())
    c = shared.imap(user)
    c.ok("SELECT INBOX")
    structure = c.fetch("1 BODYSTRUCTURE")[1].lower()
    assert b'"message" "rfc822"' in structure
    assert b'"alternative"' in structure
    assert structure.count(b'"inner"') == 1
    part = c.fetch("1 BODY.PEEK[2.HEADER]")[1]
    assert b"Subject: old news" in part
    assert b"Nothing has happened." in c.fetch("1 BODY.PEEK[2.1]")[1]
    assert b"<p>" in c.fetch("1 BODY.PEEK[2.2]")[1]
    assert b"format=flowed" in c.fetch("1 BODY.PEEK[2.1.MIME]")[1]
    assert re.search(rb'BODY\[9\] (NIL|""|\{0\})',
                     c.fetch("1 BODY.PEEK[9]")[1])


def test_store(shared, user):
    c = box(shared, user)
    r = c.ok("STORE 1 +FLAGS (\\Seen \\Flagged)")
    assert b"* 1 FETCH (FLAGS (\\Flagged \\Seen" in r[0] or \
        b"\\Seen" in r[0] and b"\\Flagged" in r[0]
    c.ok("STORE 1 -FLAGS \\Seen")
    assert c.flags()[1] & {"\\Seen", "\\Flagged"} == {"\\Flagged"}
    assert c.ok("STORE 1 FLAGS.SILENT (\\Answered)") == []
    assert c.flags()[1] - {"\\Recent"} == {"\\Answered"}
    c.ok("STORE 1:3 +FLAGS (Blue $Forwarded)")
    flags = c.flags()
    assert all({"Blue", "$Forwarded"} <= flags[i] for i in (1, 2, 3))
    names = sorted(maildir.files(shared.maildir(user)).values())
    # 1: answered and two keywords, kept in the file's name.
    assert names == ["Rab", "ab", "ab"] or names == ["Rba", "ba", "ba"]
    # An unknown system flag may be refused or left out, not kept.
    c.cmd("STORE 1 +FLAGS (\\Nonsense)")
    assert "\\Nonsense" not in c.flags()[1]
    c.bad("STORE 1 FLAGS")


def test_uid_commands(shared, user):
    c = box(shared, user, 4)
    c.ok("STORE 2 +FLAGS (\\Deleted)")
    assert b"* 2 EXPUNGE" in c.ok("EXPUNGE")
    lines = c.ok("UID FETCH 3:* FLAGS")
    assert [x for x in lines if b"UID 3" in x and x.startswith(b"* 2 ")]
    assert [x for x in lines if b"UID 4" in x and x.startswith(b"* 3 ")]
    assert b"* SEARCH 1 3 4" in c.ok("UID SEARCH ALL")
    # A range that ends in * always has the last message in it.
    assert [x for x in c.ok("UID FETCH 99:* FLAGS") if b"UID 4" in x]
    assert c.ok("UID FETCH 2 FLAGS") == []


def left(n, lines):
    """What remains of messages 1 to n after these EXPUNGE responses."""
    have = list(range(1, n + 1))
    for line in lines:
        match = re.match(rb"\* (\d+) EXPUNGE$", line)
        if match:
            del have[int(match.group(1)) - 1]
    return have


def test_expunge_close_unselect(shared, user):
    c = box(shared, user, 4)
    c.ok("STORE 1,3 +FLAGS.SILENT (\\Deleted)")
    assert left(4, c.ok("EXPUNGE")) == [2, 4]
    c.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    c.ok("UNSELECT")
    assert b"* 2 EXISTS" in c.ok("SELECT INBOX")
    assert [x for x in c.ok("CLOSE") if b"EXPUNGE" in x] == []
    assert b"* 1 EXISTS" in c.ok("SELECT INBOX")
    assert len(maildir.files(shared.maildir(user))) == 1


def test_uid_expunge(shared, user):
    c = box(shared, user, 3)
    c.ok("STORE 1:3 +FLAGS.SILENT (\\Deleted)")
    assert left(3, c.ok("UID EXPUNGE 2")) == [1, 3]
    assert b"* SEARCH 1 3" in c.ok("UID SEARCH ALL")


SEARCHES = [
    ("ALL", "1 2 3 4"), ("SEEN", "2"), ("UNSEEN", "1 3 4"),
    ("NOT SEEN", "1 3 4"), ("FLAGGED", "3"), ("DELETED", ""),
    ("OR SEEN FLAGGED", "2 3"), ("(SEEN) (UNFLAGGED)", "2"),
    ("SUBJECT \"message 3\"", "3"), ("FROM sender4", "4"),
    ("BODY kiwi", "4"), ("TEXT KIWI", "4"), ("HEADER Message-ID m2", "2"),
    ("HEADER X-Nope \"\"", ""), ("HEADER Subject \"\"", "1 2 3 4"),
    ("2:3", "2 3"), ("UID 2:*", "2 3 4"), ("*", "4"),
    ("LARGER 5000", "1"), ("SMALLER 5000", "2 3 4"),
    ("SENTON 22-Nov-2025", "1 2 3 4"), ("SENTBEFORE 22-Nov-2025", ""),
    ("SENTSINCE 22-Nov-2025", "1 2 3 4"), ("SINCE 1-Jan-2020", "1 2 3 4"),
    ("BEFORE 1-Jan-2020", ""), ("KEYWORD Green", "1"),
    ("UNKEYWORD Green", "2 3 4"), ("TO reader", "1 2 3 4"), ("CC x", ""),
    ("ANSWERED UNANSWERED", ""),
    ("DRAFT", ""), ("UNDRAFT 4", "4"), ("NOT (OR 1 2)", "3 4"),
]


def test_search(shared, user):
    shared.deliver(user, M(1, size=6000))
    shared.deliver(user, M(2, body="Brot, Käse".encode(), extra=b"").replace(
        b"us-ascii", b"utf-8"))
    shared.deliver(user, M(3))
    shared.deliver(user, M(4, body=b"a kiwi\r\n"))
    c = shared.imap(user)
    c.ok("SELECT INBOX")
    # Delivered within one second: the order is that of the UIDs.
    order = {}
    for seq, r in c.fetch("1:4 BODY.PEEK[HEADER.FIELDS (SUBJECT)]").items():
        order[int(re.search(rb"Message (\d)", r).group(1))] = seq
    if [order[i] for i in (1, 2, 3, 4)] != [1, 2, 3, 4]:
        pytest.skip("delivered in another order")
    c.ok("STORE 2 +FLAGS (\\Seen)")
    c.ok("STORE 3 +FLAGS (\\Flagged)")
    c.ok("STORE 1 +FLAGS (Green)")
    for keys, want in SEARCHES:
        lines = [x for x in c.ok("SEARCH " + keys) if b"SEARCH" in x]
        got = lines[0].decode()
        assert got == ("* SEARCH " + want).strip(), keys
    text = c.no("SEARCH CHARSET KLINGON BODY x")
    assert b"[BADCHARSET" in text
    c.bad("SEARCH NONSENSE")
    c.bad("SEARCH")
    c.bad("SEARCH OR SEEN")
    r = c.ok("SEARCH RETURN (MIN MAX COUNT ALL) UNSEEN")[0]
    for part in (b"ESEARCH (TAG ", b"MIN 1", b"MAX 4", b"COUNT 3",
                 b"ALL 1,3:4"):
        assert part in r, r
    status, _, lines = c.literal("SEARCH CHARSET UTF-8 SUBJECT", b"Message 4")
    assert status == "OK" and b"* SEARCH 4" in lines
    for word in ("käse", "KÄSE"):
        status, _, lines = c.literal("SEARCH CHARSET UTF-8 BODY",
                                     word.encode())
        assert status == "OK" and b"* SEARCH 2" in lines


def test_copy_and_move(shared, user):
    c = box(shared, user, 3)
    assert b"[TRYCREATE]" in c.no("COPY 1 Other")
    c.ok("CREATE Other")
    status, text, _ = c.cmd("COPY 1:2 Other")
    assert status == "OK"
    assert re.match(rb"\[COPYUID \d+ 1:2 1:2\]", text), text
    c.ok("STORE 3 +FLAGS (\\Flagged Word)")
    status, text, lines = c.cmd("MOVE 3 Other")
    assert status == "OK"
    assert any(b"COPYUID" in x for x in lines + [text])
    assert b"* 3 EXPUNGE" in lines
    assert c.ok("STATUS Other (MESSAGES UIDNEXT)") == \
        [b"* STATUS Other (MESSAGES 3 UIDNEXT 4)"]
    c.ok("SELECT Other")
    assert {"\\Flagged", "Word"} <= c.flags()[3]


def test_append(shared, user):
    c = shared.imap(user)
    text = M(1, crlf=True)
    status, answer, _ = c.literal(
        'APPEND INBOX (\\Seen Tag) "01-Feb-2020 03:04:05 +0200"', text)
    assert status == "OK"
    assert re.match(rb"\[APPENDUID \d+ 1\]", answer)
    c.ok("SELECT INBOX")
    r = c.fetch("1 (FLAGS INTERNALDATE BODY.PEEK[])")[1]
    assert text in r and b"\\Seen" in r and b"Tag" in r
    shown = re.search(rb'INTERNALDATE "([^"]+)"', r).group(1).decode()
    when = time.strptime(shown.strip(), "%d-%b-%Y %H:%M:%S %z")
    assert calendar.timegm(when) - when.tm_gmtoff == 1580519045
    # LITERAL+ needs no going back and forth.
    tag = c.tag()
    c.send(tag + b" APPEND INBOX {%d+}\r\n" % len(text) + text + b"\r\n")
    assert c.finish(tag)[0] == "OK"
    assert c.literal("APPEND nowhere", text)[0:2][0] == "NO"
    bad = c.literal("APPEND INBOX (\\Seen) nonsense", b"x")
    assert bad[0] == "BAD"
    assert b"* 2 EXISTS" in c.ok("SELECT INBOX")


def test_append_large(shared, user):
    c = shared.imap(user)
    text = M(1, size=5_000_000, crlf=True)
    c.append("INBOX", text)
    c.ok("SELECT INBOX")
    whole = c.fetch("1 BODY.PEEK[]")[1]
    assert text in whole


def test_mailboxes(shared, user):
    c = shared.imap(user)
    c.ok("CREATE Work")
    c.ok('CREATE "Work/Deep/Deeper"'.replace("/", separator(c)))
    c.ok('CREATE "&ZeVnLIqe-"')
    c.no("CREATE INBOX")
    c.no("CREATE Work")
    names = listed(c, '"" "*"')
    sep = separator(c)
    assert {"INBOX", "Work", sep.join(("Work", "Deep", "Deeper")),
            "&ZeVnLIqe-"} <= set(names)
    assert sep.join(("Work", "Deep", "Deeper")) not in listed(c, '"" "%"')
    assert "Work" in listed(c, '"" "W%"')
    assert "\\HasChildren" in listed(c, '"" "Work"')["Work"]
    c.ok("SUBSCRIBE Work")
    assert lsub(c) == ["Work"]
    c.ok("UNSUBSCRIBE Work")
    assert lsub(c) == []
    c.append("Work", M(1, crlf=True))
    c.ok("RENAME Work Play")
    names = listed(c, '"" "*"')
    assert "Work" not in names and "Play" in names
    assert sep.join(("Play", "Deep", "Deeper")) in names
    assert c.ok("STATUS Play (MESSAGES)") == [b"* STATUS Play (MESSAGES 1)"]
    c.no("RENAME nowhere there")
    c.no("DELETE INBOX")
    c.ok("DELETE &ZeVnLIqe-")
    c.no("DELETE &ZeVnLIqe-")
    assert "&ZeVnLIqe-" not in listed(c, '"" "*"')


def separator(c):
    line = c.ok('LIST "" ""')[0]
    return re.search(rb'"(.)" ', line).group(1).decode()


def listed(c, arguments):
    found = {}
    for line in c.ok("LIST " + arguments):
        match = re.match(rb'\* LIST \(([^)]*)\) (?:"(?:\\?.)"|NIL) "?(.*?)"?$',
                         line)
        found[match.group(2).decode()] = set(match.group(1).decode().split())
    return found


def lsub(c):
    return sorted(re.search(rb'"?([^" ]+)"?$', x).group(1).decode()
                  for x in c.ok('LSUB "" "*"'))


def test_rename_inbox(shared, user):
    shared.fill(user, 2)
    c = shared.imap(user)
    c.ok("RENAME INBOX Old")
    assert c.ok("STATUS Old (MESSAGES)") == [b"* STATUS Old (MESSAGES 2)"]
    assert c.ok("STATUS INBOX (MESSAGES)") == \
        [b"* STATUS INBOX (MESSAGES 0)"]


@pytest.mark.parametrize("name", [
    '"../up"', '"a/../b"', '"/etc"', '"~root"', '"a//b"', '".."',
    '"a\x01b"', '""'])
def test_names_that_lead_out(shared, user, name):
    c = shared.imap(user)
    status, _, _ = c.cmd("CREATE " + name)
    assert status in ("NO", "BAD")
    assert c.ok("NOOP") == []


def test_status(shared, user):
    shared.fill(user, 3)
    c = shared.imap(user)
    line = c.ok("STATUS INBOX (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN"
                " SIZE)")[0]
    for part in (b"MESSAGES 3", b"UIDNEXT 4", b"UNSEEN 3", b"RECENT 3"):
        assert part in line, line
    assert re.search(rb"SIZE \d+", line)
    c.no("STATUS nowhere (MESSAGES)")
    c.bad("STATUS INBOX ()")
    c.bad("STATUS INBOX (NONSENSE)")


def test_idle_tells_of_a_delivery(shared, user):
    c = box(shared, user, 1)
    tag = c.idle()
    shared.deliver(user, M(2))
    c.until(rb"^\* 2 EXISTS")
    status, _, _ = c.done(tag)
    assert status == "OK"


def test_idle_tells_of_flags_and_expunge(shared, user):
    a = box(shared, user, 2)
    b = shared.imap(user)
    b.ok("SELECT INBOX")
    tag = a.idle()
    b.ok("STORE 1 +FLAGS (\\Flagged)")
    a.until(rb"^\* 1 FETCH .*\\Flagged")
    b.ok("STORE 1 +FLAGS (\\Deleted)")
    b.ok("EXPUNGE")
    a.until(rb"^\* 1 EXPUNGE")
    assert a.done(tag)[0] == "OK"


def test_noop_tells_and_fetch_does_not_expunge(shared, user):
    a = box(shared, user, 3)
    b = shared.imap(user)
    b.ok("SELECT INBOX")
    b.ok("STORE 2 +FLAGS (\\Deleted)")
    b.ok("EXPUNGE")
    # RFC 3501 7.4.1: no EXPUNGE during FETCH, STORE or SEARCH.
    for command in ("FETCH 1 FLAGS", "SEARCH ALL", "STORE 1 +FLAGS (\\Seen)"):
        assert not [x for x in a.cmd(command)[2] if b"EXPUNGE" in x]
    assert b"* 2 EXPUNGE" in a.ok("NOOP")
    assert sorted(a.flags()) == [1, 2]


def test_pipelining(shared, user):
    c = box(shared, user, 2)
    tags = [c.start(x) for x in ("NOOP", "FETCH 1 UID", "STATUS INBOX (MESSAGES)",
                                 "SEARCH ALL", "NOOP")]
    answers = []
    while len(answers) < len(tags):
        r = c.response()
        if not r.startswith(b"*"):
            answers.append(r.split(b" ")[:2])
    assert sorted(answers) == sorted([tag, b"OK"] for tag in tags)


def test_behind_idle(shared, user):
    c = box(shared, user, 1)
    c.send(b"x IDLE\r\n")
    assert c.response().startswith(b"+")
    c.send(b"DONE\r\ny NOOP\r\nz FETCH 1 UID\r\n")
    seen = [c.response() for _ in range(4)]
    tagged = [x[:4] for x in seen if x[:1] != b"*"]
    assert tagged[0] == b"x OK"
    assert sorted(tagged[1:]) == [b"y OK", b"z OK"]


def test_literals_in_login_and_names(shared, user):
    c = shared.imap()
    c.send(b"a LOGIN {%d}\r\n" % len(user))
    assert c.response().startswith(b"+")
    c.send(user.encode() + b" {%d}\r\n" % len(server.PASSWORD))
    assert c.response().startswith(b"+")
    c.send(server.PASSWORD.encode() + b"\r\n")
    assert c.finish(b"a")[0] == "OK"
    status, _, _ = c.literal("CREATE", b"in a literal")
    assert status == "OK"
    assert "in a literal" in listed(c, '"" "*"')


def test_bad_lines_do_not_end_the_session(shared, user):
    c = shared.imap(user)
    for line in (b"", b"x", b"x \xff", b"* NOOP", b"x NONSENSE",
                 b"x FETCH", b"x (", b"+ NOOP"):
        c.send(line + b"\r\n")
        answer = c.response()
        assert b"BAD" in answer, (line, answer)
    c.ok("NOOP")


def test_enable_id_namespace(shared, user):
    c = shared.imap(user)
    assert c.ok('ID ("name" "test")')[0].startswith(b"* ID ")
    assert c.ok("ID NIL")[0].startswith(b"* ID ")
    assert c.ok("NAMESPACE")[0].startswith(b'* NAMESPACE (("" "')
    c.ok("ENABLE X-NOTHING")


def test_special_use(shared, user):
    c = shared.imap(user)
    names = listed(c, '"" "*"')
    for folder, flag in (("Sent", "\\Sent"), ("Drafts", "\\Drafts"),
                         ("Trash", "\\Trash"), ("Junk", "\\Junk")):
        c.cmd("CREATE " + folder)
        assert flag in listed(c, '"" "%s"' % folder)[folder], names


def test_compress(shared, user):
    import zlib
    c = box(shared, user, 3)
    c.ok("COMPRESS DEFLATE")
    out = zlib.compressobj(6, zlib.DEFLATED, -15)
    c.send(out.compress(b"z FETCH 1:3 BODY.PEEK[]\r\n") +
           out.flush(zlib.Z_SYNC_FLUSH))
    back = zlib.decompressobj(-15)
    plain = b""
    c.sock.settimeout(10)
    while b"\r\nz OK" not in plain:
        plain += back.decompress(c.sock.recv(65536))
    assert plain.count(b"Subject: Message") == 3


def test_outside_changes(shared, user):
    """mutt and friends rename and remove files under us."""
    import os
    c = box(shared, user, 3)
    path = shared.maildir(user)
    c.ok("NOOP")
    for sub in ("new", "cur"):
        for name in os.listdir(os.path.join(path, sub)):
            base = name.split(":")[0]
            os.rename(os.path.join(path, sub, name),
                      os.path.join(path, "cur", base + ":2,F"))
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        c.ok("NOOP")
        if all("\\Flagged" in f for f in c.flags().values()):
            break
        time.sleep(0.1)
    assert all("\\Flagged" in f for f in c.flags().values())
    names = os.listdir(os.path.join(path, "cur"))
    os.unlink(os.path.join(path, "cur", names[0]))
    seen = []
    deadline = time.monotonic() + 20
    while not seen and time.monotonic() < deadline:
        seen = [x for x in c.ok("NOOP") if b"EXPUNGE" in x]
        time.sleep(0.1)
    assert seen
    assert len(c.flags()) == 2


def test_uids_stay(shared, user):
    """UIDs ascend and are never given twice, also across sessions."""
    c = box(shared, user, 3)
    validity = re.search(rb"UIDVALIDITY (\d+)",
                         b" ".join(c.ok("SELECT INBOX"))).group(1)
    c.ok("STORE 3 +FLAGS (\\Deleted)")
    c.ok("EXPUNGE")
    c.logout()
    shared.deliver(user, M(9))
    c = shared.imap(user)
    lines = b" ".join(c.ok("SELECT INBOX"))
    assert b"UIDVALIDITY " + validity in lines
    assert b"* SEARCH 1 2 4" in c.ok("UID SEARCH ALL")


def test_many_sessions_of_one_user(shared, user):
    shared.fill(user, 2)
    conns = [shared.imap(user) for _ in range(20)]
    for c in conns:
        c.ok("SELECT INBOX")
    tags = [(c, c.idle()) for c in conns]
    shared.deliver(user, M(3))
    for c, tag in tags:
        c.until(rb"\* 3 EXISTS")
        assert c.done(tag)[0] == "OK"


def test_slow_reader_blocks_only_itself(shared, user):
    for i in range(20):
        shared.deliver(user, M(i, size=1_000_000))
    slow = shared.imap(user)
    slow.ok("SELECT INBOX")
    slow.start("FETCH 1:* BODY.PEEK[]")  # and does not read
    time.sleep(0.3)
    quick = shared.imap(user)
    began = time.monotonic()
    quick.ok("SELECT INBOX")
    quick.ok("NOOP")
    assert time.monotonic() - began < 5


def test_imaplib(shared, user):
    import imaplib
    with imaplib.IMAP4("127.0.0.1", shared.imap_port) as c:
        c.login(user, server.PASSWORD)
        c.append("INBOX", "", None, M(1, crlf=True))
        c.select("INBOX")
        kind, data = c.search(None, "ALL")
        assert (kind, data) == ("OK", [b"1"])
        kind, data = c.fetch("1", "(RFC822)")
        assert M(1, crlf=True) == data[0][1]
