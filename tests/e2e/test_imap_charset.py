# SPDX-License-Identifier: ISC
"""Charsets of mail inside the confined process: iconv loads a module from
disk for each, which the sandbox must allow."""
import base64

import pytest

WORDS = {
    "iso-2022-jp": "\u65e5\u672c\u8a9e", "shift_jis": "\u65e5\u672c\u8a9e",
    "euc-jp": "\u65e5\u672c\u8a9e", "koi8-r": "\u043f\u0440\u0438\u0432",
    "gb18030": "\u4f60\u597d", "gb2312": "\u4f60\u597d",
    "big5": "\u4e2d\u6587", "euc-kr": "\ud55c\uad6d\uc5b4",
    "windows-1252": "M\u00fcller", "iso-8859-15": "\u20ac uro",
    "iso-8859-8": "\u05e9\u05dc\u05d5\u05dd", "windows-1251": "\u0436\u0443",
    "utf-7": "gr\u00fcn", "utf-16": "gr\u00fcn", "utf-16le": "gr\u00fcn",
    "utf-8": "gr\u00fcn \U0001f600",
}


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable", "8bit"])
def test_search_in_every_charset(box, encoding):
    names = []
    for i, (charset, word) in enumerate(WORDS.items()):
        if encoding != "base64" and charset.startswith("utf-16"):
            continue
        raw = ("before %s after\n" % word).encode(charset)
        if encoding == "base64":
            body = base64.encodebytes(raw)
        elif encoding == "8bit":
            body = raw
        else:
            body = b"".join(b"=%02X" % c for c in raw)
        subject = base64.b64encode(word.encode(charset))
        box.deliver(b"Subject: =?%s?b?%s?=\nContent-Type: text/plain; "
                    b"charset=\"%s\"\nContent-Transfer-Encoding: %s\n\n%s\n" %
                    (charset.encode(), subject, charset.upper().encode(),
                     encoding.encode(), body),
                    flags="", name="%d.%d.h" % (1600000000 + i, i))
        names.append(charset)
    c = box.connect()
    c.ok("SELECT INBOX")
    for i, charset in enumerate(names):
        for text in (WORDS[charset], WORDS[charset].upper()):
            for key in ("BODY", "TEXT", "SUBJECT", "HEADER SUBJECT"):
                status, _, lines = c.literal(
                    "SEARCH CHARSET UTF-8 " + key, text.encode())
                assert status == "OK"
                assert b"%d" % (i + 1) in lines[0].split(), \
                    (charset, key, text, lines)
