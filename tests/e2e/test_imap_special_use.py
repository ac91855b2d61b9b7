# SPDX-License-Identifier: ISC
"""SPECIAL-USE and CREATE-SPECIAL-USE (RFC 6154): what is asked for, what names
say, and that no second mailbox is made for a use that one has."""
import re

import pytest

MBOX = True
USES = (b"\\Drafts", b"\\Sent", b"\\Trash", b"\\Junk", b"\\Archive")


def special(c):
    """{mailbox: set of uses}"""
    found = {}
    status, text, lines = c.cmd('LIST (SPECIAL-USE) "" "*"')
    assert status == "OK", text
    for r in lines:
        m = re.match(rb'\* LIST \(([^)]*)\) \S+ (.*)', r)
        uses = {x for x in m.group(1).split() if x in USES}
        assert uses, r
        found[m.group(2).strip(b'"').decode()] = \
            {x[1:].decode() for x in uses}
    return found


def holder(c, use):
    """The one mailbox of a use."""
    name, = [n for n, uses in special(c).items() if use in uses]
    return name


def use_of(c, mailbox):
    _, _, lines = c.cmd('GETMETADATA "%s" /private/specialuse' % mailbox)
    line, = lines
    return re.search(rb"/private/specialuse (.*)\)$", line).group(1)


def code(c, command):
    status, text, _ = c.cmd(command)
    assert status == "NO", (command, status, text)
    return re.match(rb"\[([^\] ]*)", text).group(1).decode()


def test_announced(box):
    assert {"SPECIAL-USE", "CREATE-SPECIAL-USE"} <= \
        box.connect().capabilities()


def test_create_examples(box):
    """RFC 6154 section 5.3."""
    c = box.connect()
    c.ok("CREATE MySpecial (USE (\\Drafts \\Sent))")
    assert special(c)["MySpecial"] == {"Drafts", "Sent"}
    assert holder(c, "Drafts") == holder(c, "Sent") == "MySpecial"
    assert code(c, "CREATE Everything (USE (\\All))") == "USEATTR"
    _, _, lines = c.cmd('LIST "" Everything')
    assert lines == []
    # An empty list is none; names of uses have no case.
    c.ok("CREATE plain (USE ())")
    assert "plain" not in special(c)
    c.ok("CREATE bin (USE (\\TRASH))")
    assert holder(c, "Trash") == "bin"
    # It lasts.
    c.close()
    c = box.connect()
    assert holder(c, "Trash") == "bin"


def test_important(box):
    """RFC 8457: only a mailbox that was given it has it; none is made."""
    c = box.connect()
    assert not any(b"\\Important" in r for r in c.ok('LIST "" *'))
    c.ok("CREATE Important")
    assert not any(b"\\Important" in r for r in c.ok('LIST "" *'))
    c.ok("CREATE Urgent (USE (\\Important))")
    assert [r for r in c.ok('LIST (SPECIAL-USE) "" *')
            if b"\\Important" in r and r.endswith(b"Urgent")]


def test_create_refused(box):
    c = box.connect()
    for use in ("\\Flagged", "\\Nonsense", "\\Sent \\All"):
        assert code(c, "CREATE x (USE (%s))" % use) == "USEATTR"
    for bad in ("CREATE x (USE)", "CREATE x (USE \\Sent)", "CREATE x ()",
                "CREATE x (OTHER (\\Sent))", 'CREATE x (USE ("Sent"))',
                "CREATE x (USE (\\Sent)) y", "CREATE (USE (\\Sent))"):
        c.bad(bad)
    assert c.cmd('LIST "" x')[2] == []
    c.ok("CREATE x")
    assert code(c, "CREATE x (USE (\\Sent))") == "ALREADYEXISTS"
    assert holder(c, "Sent") == "Sent"


def test_metadata_example(box):
    """RFC 6154 section 5.4."""
    c = box.connect()
    c.ok("CREATE SentMail (USE (\\Sent))")
    c.ok("CREATE MyDrafts (USE (\\Drafts))")
    c.ok("CREATE SavedDrafts")
    assert use_of(c, "MyDrafts") == b'"\\\\Drafts"'
    c.ok('SETMETADATA SavedDrafts (/private/specialuse "\\\\Drafts")')
    # MyDrafts changes automatically.
    assert use_of(c, "MyDrafts") == b"NIL"
    assert holder(c, "Drafts") == "SavedDrafts"
    c.ok("SETMETADATA SentMail (/private/specialuse NIL)")
    got = special(c)
    assert "SentMail" not in got and "MyDrafts" not in got
    assert got["SavedDrafts"] == {"Drafts"}


def test_metadata_is_checked(box):
    """It must not blindly be accepted."""
    c = box.connect()
    c.ok("CREATE x")
    for value in ("\\\\All", "Sent", "\\\\Sent \\\\All", "nonsense"):
        assert code(c, 'SETMETADATA x (/private/specialuse "%s" '
                    '/private/comment "y")' % value) == "USEATTR"
    assert code(c, 'SETMETADATA INBOX (/private/specialuse "\\\\Sent")') == \
        "USEATTR"
    assert b"NIL" in c.ok("GETMETADATA x /private/comment")[0]
    assert use_of(c, "INBOX") == b"NIL"


def test_others_are_told(box):
    a, b = box.connect(), box.connect()
    if box.kind != "server":
        pytest.skip("one process")
    b.ok("ENABLE METADATA")
    a.ok("CREATE one (USE (\\Junk))")
    a.ok("CREATE two (USE (\\Junk))")
    told = b"".join(b.ok("NOOP"))
    assert b"METADATA one /private/specialuse" in told
    assert b"METADATA two /private/specialuse" in told


def test_rename_delete(box):
    c = box.connect()
    sep = "/" if box.store == "mbox" else "."
    c.ok("CREATE top%smine (USE (\\Archive))" % sep)
    c.ok("RENAME top up")
    assert holder(c, "Archive") == "up%smine" % sep
    c.ok("RENAME up%smine other" % sep)
    assert holder(c, "Archive") == "other"
    c.ok("DELETE other")
    assert holder(c, "Archive") == "Archive"
    # A new one of that name has not got it.
    c.ok("CREATE other")
    assert holder(c, "Archive") == "Archive"


@pytest.mark.parametrize("name,use", [
    ("Gesendet", "Sent"), ("Envoy&AOk-s", "Sent"), ("Sent Items", "Sent"),
    ("Sent Messages", "Sent"), ("Wys&AUI-ane", "Sent"),
    ("&kAFP4W4IMH8-", "Sent"), ("Papierkorb", "Trash"),
    ("Deleted Items", "Trash"), ("Cestino", "Trash"),
    ("&BBoEPgRABDcEOAQ9BDA-", "Trash"), ("Spam", "Junk"),
    ("Skr&AOQ-ppost", "Junk"), ("Entw&APw-rfe", "Drafts"),
    ("Borradores", "Drafts"), ("Archief", "Archive")])
def test_adopted(tunnel, name, use):
    """What a user has from other programs has the use: there is no second."""
    c = tunnel.connect()
    c.ok('CREATE "%s"' % name)
    assert holder(c, use) == name
    default = special(c)
    assert use not in default
    assert use_of(c, name) == b'"\\\\%s"' % use.encode()
    # Nor is one made when a client asks for it by its default name.
    status, _, _ = c.cmd("SELECT " + use)
    assert status == "NO"
    assert holder(c, use) == name
    # Who really wants one makes it, and then it has the use.
    c.ok("CREATE " + use)
    assert holder(c, use) == use
    # And may say otherwise.
    c.ok('SETMETADATA "%s" (/private/specialuse "\\\\%s")' % (name, use))
    assert holder(c, use) == name


def test_adopted_on_mbox(box):
    c = box.connect()
    c.ok("CREATE Papierkorb")
    assert holder(c, "Trash") == "Papierkorb"
    assert c.cmd("SELECT Trash")[0] == "NO"
    assert c.cmd("SELECT Sent")[0] == "OK"


def test_name_told_to_have_none(box):
    c = box.connect()
    c.ok("CREATE Gesendet")
    c.ok("SETMETADATA Gesendet (/private/specialuse NIL)")
    assert use_of(c, "Gesendet") == b"NIL"
    assert holder(c, "Sent") == "Sent"
    c.ok('SETMETADATA Gesendet (/private/specialuse "\\\\Sent")')
    assert holder(c, "Sent") == "Gesendet"


def test_on_first_use(box):
    """What LIST shows can be annotated, before it is there."""
    c = box.connect()
    assert use_of(c, "Trash") == b'"\\\\Trash"'
    assert c.ok("GETMETADATA Trash /shared/comment") == [
        b"* METADATA Trash (/shared/comment NIL)"]
    c.ok('SETMETADATA Junk (/private/comment "x")')
    assert c.ok("GETMETADATA Junk /private/comment") == [
        b'* METADATA Junk (/private/comment "x")']
    assert holder(c, "Junk") == "Junk"
