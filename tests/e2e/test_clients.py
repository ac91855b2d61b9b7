# SPDX-License-Identifier: ISC
"""Real programs from Debian against the real server. A program that is not
installed is skipped; ./quickstart check installs them all."""
import os
import re
import time

import pytest

from lib import maildir, programs, server
from lib.programs import Terminal, needs, run, to_user, write

M = maildir.message


# ---- mbsync ------------------------------------------------------------------

def mbsync(shared, user, place, tls=False, **kw):
    programs.mbsync(place, shared.imaps_port if tls else shared.imap_port,
                    user, tls=tls, **kw)


@needs("mbsync")
def test_mbsync_both_ways(shared, user, place):
    shared.fill(user, 10)
    mbsync(shared, user, place)
    near = str(place / "near" / "INBOX")
    assert len(maildir.files(near)) == 10
    # Flags there, a new message there, a new folder there, one removed here.
    for sub, name in [(sub, name) for sub in ("cur", "new")
                      for name in os.listdir(near + "/" + sub)]:
        with open(near + "/%s/%s" % (sub, name), "rb") as f:
            if b"Subject: Message 3\n" in f.read().replace(b"\r", b""):
                os.rename(near + "/%s/%s" % (sub, name),
                          near + "/cur/%s:2,FS" % name.split(":")[0])
    maildir.deliver(near, M(77), flags="S")
    maildir.create(str(place / "near" / "Fresh"))
    maildir.deliver(str(place / "near" / "Fresh"), M(78), flags="")
    c = shared.imap(user)
    c.ok("SELECT INBOX")
    seq = re.search(rb"\* SEARCH (\d+)", c.ok(
        'SEARCH SUBJECT "Message 10"')[0]).group(1).decode()
    c.ok("STORE %s +FLAGS (\\Deleted)" % seq)
    c.ok("EXPUNGE")
    mbsync(shared, user, place)
    c.ok("NOOP")
    flags = list(c.flags().values())
    assert len(flags) == 10
    assert sum("\\Flagged" in f for f in flags) == 1
    assert c.ok("STATUS Fresh (MESSAGES)") == [b"* STATUS Fresh (MESSAGES 1)"]
    assert len(maildir.files(near)) == 10
    # Once more: nothing to do, and nothing done.
    before = maildir.files(near)
    mbsync(shared, user, place)
    assert maildir.files(near) == before
    c.ok("NOOP")
    assert len(c.flags()) == 10


@needs("mbsync")
def test_mbsync_tls(shared, user, place):
    shared.fill(user, 3)
    mbsync(shared, user, place, tls=True, mechs="*",
           more="CertificateFile %s" % shared.cert
           if getattr(shared, "cert", None) else
           "CertificateFile %s/localhost-ecdsa.crt" % shared.state)
    assert len(maildir.files(str(place / "near" / "INBOX"))) == 3


# ---- offlineimap ---------------------------------------------------------------

@needs("offlineimap")
def test_offlineimap(shared, user, place):
    shared.fill(user, 5)
    rc = write(place / "offlineimaprc", """
[general]
accounts = a
metadata = {d}/meta
[Account a]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = {d}/near
[Repository far]
type = IMAP
remotehost = 127.0.0.1
remoteport = {port}
remoteuser = {user}
remotepass = {password}
ssl = no
starttls = no
""".format(d=place, port=shared.imap_port, user=user,
           password=server.PASSWORD))
    run(["offlineimap", "-c", rc, "-o", "-1", "-u", "basic"], place)
    near = str(place / "near" / "INBOX")
    assert len(maildir.files(near)) == 5
    maildir.deliver(near, M(50), flags="S")
    run(["offlineimap", "-c", rc, "-o", "-1", "-u", "basic"], place)
    c = shared.imap(user)
    assert b"* 6 EXISTS" in c.ok("SELECT INBOX")
    c.ok("STORE 1 +FLAGS (\\Deleted)")
    c.ok("EXPUNGE")
    run(["offlineimap", "-c", rc, "-o", "-1", "-u", "basic"], place)
    assert len(maildir.files(near)) == 5


# ---- POP3 fetchers -----------------------------------------------------------

@needs("fetchmail")
@pytest.mark.parametrize("proto", ["pop3", "imap"])
def test_fetchmail(shared, user, place, proto):
    shared.fill(user, 4)
    out = place / "out"
    rc = write(place / "fetchmailrc", """
set no bouncemail
poll 127.0.0.1 protocol {proto} service {port} uidl
  username "{user}" password "{password}" ssl "no" sslproto ""
  mda "cat >>{out}" {more}
""".replace('ssl "no" ', "").format(
        proto=proto, user=user, password=server.PASSWORD, out=out,
        port=shared.pop3_port if proto == "pop3" else shared.imap_port,
        more="nokeep fetchall").replace(
            " uidl", " uidl" if proto == "pop3" else ""))
    run(["fetchmail", "-f", rc, "-d0", "--nosyslog", "--invisible", "-i",
         str(place / "ids"), "--pidfile", str(place / "pid")], place)
    assert out.read_text().count("Subject: Message") == 4
    assert maildir.files(shared.maildir(user)) == {}


@needs("mpop")
@pytest.mark.parametrize("tls", [False, True])
def test_mpop(shared, user, place, tls):
    shared.fill(user, 4)
    box = place / "box"
    maildir.create(str(box))
    rc = write(place / "mpoprc", """
account a
host 127.0.0.1
port {port}
user {user}
password {password}
tls {tls}
{more}
delivery maildir {box}
uidls_file {d}/uidls
keep on
auth user
""".format(port=shared.pop3s_port if tls else shared.pop3_port, user=user,
           password=server.PASSWORD, tls="on" if tls else "off",
           more="tls_starttls off\ntls_certcheck off" if tls else "",
           box=box, d=place))
    run(["mpop", "-C", rc, "a"], place)
    assert len(maildir.files(str(box))) == 4
    shared.deliver(user, M(9))
    run(["mpop", "-C", rc, "a"], place)  # only the new one, by its UIDL
    assert len(maildir.files(str(box))) == 5


@needs("getmail")
@pytest.mark.parametrize("kind", ["SimplePOP3Retriever",
                                  "SimplePOP3SSLRetriever",
                                  "SimpleIMAPRetriever"])
def test_getmail(shared, user, place, kind):
    shared.fill(user, 3)
    box = place / "box"
    maildir.create(str(box))
    port = {"SimplePOP3Retriever": shared.pop3_port,
            "SimplePOP3SSLRetriever": shared.pop3s_port,
            "SimpleIMAPRetriever": shared.imap_port}[kind]
    write(place / "getmailrc", """
[retriever]
type = {kind}
server = 127.0.0.1
port = {port}
username = {user}
password = {password}
[destination]
type = Maildir
path = {box}/
user = root
[options]
read_all = false
delivered_to = false
received = false
""".format(kind=kind, port=port, user=user, password=server.PASSWORD,
           box=box).replace("user = root\n", ""))
    for _ in range(2):
        run(["getmail", "--getmaildir", str(place), "--rcfile", "getmailrc"],
            place, **to_user(place))
    assert len(maildir.files(str(box))) == 3


# ---- curl ------------------------------------------------------------------------

@needs("curl")
@pytest.mark.parametrize("tls", ["", "s", "starttls"])
def test_curl_imap(shared, user, place, tls):
    shared.fill(user, 2)
    base = "imap%s://127.0.0.1:%d/" % (
        "s" if tls == "s" else "",
        shared.imaps_port if tls == "s" else shared.imap_port)
    curl = ["curl", "-sS", "-k", "--max-time", "20", "--user",
            "%s:%s" % (user, server.PASSWORD)]
    if tls == "starttls":
        curl.append("--ssl-reqd")
    text = run(curl + [base + "INBOX;MAILINDEX=1"], place)
    assert "Subject: Message" in text
    up = write(place / "up", M(5, crlf=True).decode())
    run(curl + ["-T", up, base + "INBOX"], place)
    assert "EXISTS" in run(curl + [base, "-X", "EXAMINE INBOX"], place)
    assert "3" in run(curl + [base + "INBOX?ALL"], place)


@needs("curl")
@pytest.mark.parametrize("tls", ["", "s", "starttls"])
def test_curl_pop3(shared, user, place, tls):
    shared.fill(user, 2)
    base = "pop3%s://127.0.0.1:%d/" % (
        "s" if tls == "s" else "",
        shared.pop3s_port if tls == "s" else shared.pop3_port)
    curl = ["curl", "-sS", "-k", "--max-time", "20", "--user",
            "%s:%s" % (user, server.PASSWORD)]
    if tls == "starttls":
        curl.append("--ssl-reqd")
    assert len(run(curl + [base], place).split("\n")) >= 2
    assert "Subject: Message" in run(curl + [base + "1"], place)


# ---- mutt, in a terminal -----------------------------------------------------------

@needs("mutt")
@needs("tmux")
@pytest.mark.parametrize("tls", [False, True])
def test_mutt(shared, user, place, tls):
    shared.fill(user, 3)
    cert = getattr(shared, "cert", None) or \
        os.path.join(getattr(shared, "state", ""), "localhost-ecdsa.crt")
    write(place / "muttrc", """
set imap_user="{user}" imap_pass="{password}"
set folder="imap{s}://127.0.0.1:{port}/" spoolfile="+INBOX"
set ssl_starttls=no ssl_force_tls={force} ssl_verify_host=no
set ssl_verify_dates=no certificate_file={cert}
set sort=subject mail_check=1 timeout=1 delete=yes quit=yes move=no
set imap_idle=yes confirmappend=no edit_headers=no
""".format(user=user, password=server.PASSWORD, s="s" if tls else "",
           port=shared.imaps_port if tls else shared.imap_port,
           force="yes" if tls else "no", cert=cert))
    t = Terminal(place, ["mutt", "-F", str(place / "muttrc")])
    try:
        t.wait(r"Message 1(.|\n)*Message 2(.|\n)*Message 3")
        t.keys("Enter")
        t.wait(r"Hello\.")
        t.keys("i")
        shared.deliver(user, M(4))
        t.wait(r"Message 4")
        t.keys("F")       # flag
        t.keys("j", "d")  # next, delete
        t.keys("$")
        time.sleep(0.5)
        c = shared.imap(user)
        end = time.monotonic() + 10
        while time.monotonic() < end:
            lines = c.ok("SELECT INBOX")
            if b"* 3 EXISTS" in lines:
                break
            time.sleep(0.2)
        assert b"* 3 EXISTS" in lines
        assert sum("\\Flagged" in f for f in c.flags().values()) == 1
        t.keys("q")
    finally:
        t.close()
