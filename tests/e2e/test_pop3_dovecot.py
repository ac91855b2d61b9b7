# SPDX-License-Identifier: ISC
"""POP3's unique ids, sizes and order beside Debian's Dovecot on the same
Maildirs (compat-tests.md section 8)."""
import re

import pytest
from lib import agree
from lib.agree import msg

V = 1795300464
GUID = "620a5138f51b026bb745000083ecc375"
BASES = ["17953009%d8.M938808P31792.mx1,S=127,W=134" % i for i in range(3)]
# Fields of the users in both passwd-files; "%" is doubled there.
FORMATS = {
    "default": "",
    "vu": " userdb_pop3_uidl_format=%%v-%%u",
    "u": " userdb_pop3_uidl_format=%%u",
    "f": " userdb_pop3_uidl_format=%%f",
    "g": " userdb_pop3_uidl_format=%%g",
    "uw": " userdb_pop3_uidl_format=%%08Xv%%08Xu",
    "old": " userdb_pop3_uidl_format=%%v.%%u",
    "xuidl": " userdb_pop3_reuse_xuidl=yes",
}
WANT = {
    "default": ["000000%02x6b021c70" % u for u in (13, 14, 15)],
    "vu": ["%d-%d" % (V, u) for u in (13, 14, 15)],
    "u": ["13", "14", "15"],
    "f": BASES,
    "g": [BASES[0], "other-guid", BASES[2]],
    "uw": ["6b021c70000000%02x" % u for u in (13, 14, 15)],
    "old": ["%d.%d" % (V, u) for u in (13, 14, 15)],
    "xuidl": ["0000000d6b021c70", 'abc"def', "0000000f6b021c70"],
}


@pytest.fixture(scope="module")
def pair():
    # p3: only ours has another form; what it gave must stay with a default one.
    yield from agree.serving(
        [f + n for f in FORMATS for n in "12"] + ["p3", "p4", "p5"],
        extra={f + n: "maildir:~/Maildir" + FORMATS[f]
               for f in FORMATS for n in "12"},
        ours={"p3": "userdb_mail=maildir:~/Maildir "
                    "userdb_pop3_uidl_format=%%f"})


def fill(box):
    box.write("dovecot-uidlist",
              "3 V%d N16 G%s\n13 :%s\n14 Gother-guid :%s\n15 :%s\n"
              % ((V, GUID) + tuple(BASES)))
    for i, base in enumerate(BASES):
        text = msg(i + 1)
        if i == 1:  # the same number of bytes
            text = text.replace(b"hello", b"h").replace(
                b"Subject: msg 2", b'X-UIDL: abc"def')
            text += b"x" * (126 - len(text)) + b"\n"
        box.write("cur/%s:2," % base, text, when=1772445600)


def uidls(box, which):
    c = getattr(box.pair, which).pop3(box.user)
    found = [x.split(b" ", 1)[1].decode() for x in agree.multi(c, "UIDL")]
    c.send("QUIT\r\n")
    assert c.line().startswith(b"+OK")
    c.close()
    return found


@pytest.mark.parametrize("form,first", [(f, "1") for f in FORMATS] +
                         [(f, "2") for f in ("default", "f", "xuidl")])
def test_p1_forms(pair, form, first):
    """Whoever comes first, both give these ids."""
    box = pair.box(form + first)
    fill(box)
    order = ("ours", "dovecot", "ours")
    for which in order if first == "1" else order[1:] + ("dovecot",):
        assert uidls(box, which) == WANT[form], which
    box.quiet()
    # P3: written down where a default server would say something else.
    text = box.read("dovecot-uidlist")
    for uid, base, uidl, usual in zip(
            (13, 14, 15), BASES, WANT[form], WANT["default"]):
        line = re.search(r"^%d (.*):%s$" % (uid, re.escape(base)), text,
                         re.M).group(1)
        assert ("P" + uidl in line.split()) == (uidl != usual), line


def test_p2_p3_kept_ids_win(pair):
    box = pair.box("p3")
    fill(box)
    assert uidls(box, "ours") == BASES
    # Dovecot has the default form there and goes on with them.
    assert uidls(box, "dovecot") == BASES
    box.write("cur/1795301000.M1P1.mx1,S=127,W=134:2,", msg(4))
    assert uidls(box, "dovecot")[3] == "000000106b021c70"
    box.quiet()


def test_p5_order(pair):
    box = pair.box("p5")
    fill(box)
    text = box.read("dovecot-uidlist")
    box.write("dovecot-uidlist", text.replace(
        "\n13 :", "\n13 O3 :").replace("\n15 :", "\n15 Pten O2 :"))
    assert uidls(box, "ours") == uidls(box, "dovecot") == \
        ["ten", "0000000d6b021c70", "0000000e6b021c70"]
    box.quiet()


def test_p4_sizes(pair):
    """LIST says how many bytes RETR sends, for every kind of line end."""
    box = pair.box("p4")
    head = b"Subject: x\nFrom: a@example.org\n"
    texts = [head + b"\na\nb\n", (head + b"\na\nb\n").replace(b"\n", b"\r\n"),
             head + b"\r\na\nb\r\nc\rd\n", head + b"\nno end", head,
             head + b"\n.\n..dots\n.", head + b"\n" + b"y" * 5000,
             head + b"\n\r", b"\n", b"x"]
    for i, t in enumerate(texts):
        box.write("cur/17953010%02d.M1P1.mx1:2," % i, t, when=1772445600)
    seen = {}
    for which in ("ours", "dovecot"):
        c = getattr(pair, which).pop3(box.user)
        sizes = [int(x.split()[1]) for x in agree.multi(c, "LIST")]
        for i, size in enumerate(sizes, 1):
            lines = agree.multi(c, "RETR %d" % i)
            body = b"".join((x[1:] if x.startswith(b".") else x) + b"\r\n"
                            for x in lines)
            # Without a line end at its end the message gets one when sent.
            assert len(body) - size in (0, 1, 2), (which, i)
            if texts[i - 1].endswith(b"\n"):
                assert len(body) == size, (which, i)
        seen[which] = sizes
        c.close()
    assert seen["ours"] == seen["dovecot"]
    box.quiet()
