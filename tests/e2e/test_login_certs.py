# SPDX-License-Identifier: ISC
"""The certificates of login: by name and kind, changed, expired, bad; what OCSP
says of them; and that their keys are in keyd alone."""
import os
import re
import shutil
import signal
import ssl
import subprocess
import time

import pytest
from lib import certs, restante, server
from test_login import PW, context, imaps


def subject(s, name=None, ctx=None):
    c = imaps(s, ctx or context(), name=name)
    der = c.sock.getpeercert(True)
    text = subprocess.run(
        ["openssl", "x509", "-inform", "DER", "-noout", "-subject", "-text"],
        input=der, stdout=subprocess.PIPE, check=True).stdout.decode()
    c.close()
    name = re.search(r"CN ?= ?(\S+)", text).group(1)
    kind = "rsa" if "rsaEncryption" in text else "ecdsa"
    return name, kind


def test_certificate_by_name_and_kind(start, tmp_path):
    made = [certs.make(str(tmp_path), "one.example", "ecdsa"),
            certs.make(str(tmp_path), "one.example", "rsa"),
            certs.make(str(tmp_path), "two.example", "ecdsa")]
    for pair in made:
        for path in pair:
            os.chmod(path, 0o644)
    shutil.copytree(tmp_path, "/tmp/restante-certs.%d" % os.getpid())
    folder = "/tmp/restante-certs.%d" % os.getpid()
    os.chmod(folder, 0o755)
    try:
        made = [[os.path.join(folder, os.path.basename(p)) for p in pair]
                for pair in made]
        s = start(settings={"tls_cert": [c for c, _ in made],
                            "tls_key": [k for _, k in made]})
        assert subject(s) == ("one.example", "ecdsa")
        assert subject(s, "one.example") == ("one.example", "ecdsa")
        assert subject(s, "two.example") == ("two.example", "ecdsa")
        assert subject(s, "three.example") == ("one.example", "ecdsa")
        rsa = context(ssl.TLSVersion.TLSv1_2, "ECDHE-RSA-AES128-GCM-SHA256")
        assert subject(s, "one.example", rsa) == ("one.example", "rsa")
        c = imaps(s, rsa, "one.example")
        c.login("alice", PW)
        c.ok("SELECT INBOX")
    finally:
        shutil.rmtree(folder)


def replace(s, cert, key):
    """New files in the place of the old ones, owned as they were."""
    s.imap().ok("NOOP")  # it has started
    for new, old in ((cert, s.cert), (key, s.key)):
        st = os.stat(old)
        if server.is_root():
            os.chown(new, st.st_uid, st.st_gid)
        os.rename(new, old)


def test_new_certificate(start, tmp_path):
    s = start()
    c = imaps(s, context())
    c.login("alice", PW)
    assert subject(s)[0] == "localhost"
    replace(s, *certs.make(s.dir, "new.example"))
    s.ctl("reload")
    assert subject(s)[0] == "new.example"
    c.ok("NOOP")  # the old session goes on
    c = imaps(s, context())
    c.login("bob", PW)
    c.ok("NOOP")


def expire(cert):
    """Newer openssl(1) makes none that has expired; nobody here looks at
    the signature."""
    with open(cert) as f:
        der = ssl.PEM_cert_to_DER_cert(f.read())
    times = list(re.finditer(rb"\x17\x0d(\d{12}Z)", der))
    assert len(times) == 2  # notBefore, notAfter
    stamp = time.strftime("%y%m%d%H%M%SZ", time.gmtime(time.time() - 86400))
    at = times[1].start(1)
    with open(cert, "w") as f:
        f.write(ssl.DER_cert_to_PEM_cert(
            der[:at] + stamp.encode() + der[at + len(stamp):]))


def test_expired_certificate(start):
    """Loud in the log, at start and at reload alike, but no reason to refuse
    whatever else has changed."""
    s = start()
    assert "expire" not in s.log()
    cert, key = certs.make(s.dir, "old.example")
    expire(cert)
    replace(s, cert, key)
    s.settings["login_greeting"] = "Another greeting."
    s.write()
    s.new_log()
    s.ctl("reload")
    loud = r'error.*certificate has expired.*file=<%s> since=2.*cure=' % s.cert
    assert re.search(loud, s.new_log()), s.log()
    assert b"Another greeting." in s.imap().greeting
    assert subject(s)[0] == "old.example"
    s.stop()
    s.start()
    imaps(s, context()).login("alice", PW)
    assert re.search(loud, s.new_log()), s.log()
    cert, key = certs.make(s.dir, "soon.example", days=3)
    replace(s, cert, key)
    s.ctl("reload")
    assert re.search(r"certificate expires soon.*at=2", s.new_log())


@pytest.mark.parametrize("fault", ["nonsense", "foreign key", "missing"])
def test_bad_certificate_changes_nothing(start, fault):
    s = start()
    cert, key = certs.make(s.dir, "bad.example")
    words = {"nonsense": s.cert, "foreign key": "does not belong",
             "missing": s.key}
    if fault == "nonsense":
        with open(cert, "w") as f:
            f.write("nonsense\n")
    elif fault == "foreign key":
        shutil.copy2(s.key, key)
    replace(s, cert, key)
    if fault == "missing":
        os.unlink(s.key)
    os.kill(s.pid(), signal.SIGHUP)
    s.wait_log("reload failed, the old configuration stays")
    assert words[fault] in s.log()
    assert subject(s)[0] == "localhost"
    c = imaps(s, context())
    c.login("alice", PW)
    c.ok("NOOP")


def ocsp_response(s):
    """A response for the server's certificate, signed by its own key."""
    index = os.path.join(s.dir, "ocsp")
    text = subprocess.run(
        ["openssl", "x509", "-in", s.cert, "-noout", "-serial"],
        stdout=subprocess.PIPE, check=True).stdout.decode()
    with open(index, "w") as f:
        f.write("V\t350101000000Z\t\t%s\tunknown\t/CN=localhost\n" %
                text.strip().split("=")[1])
    request, response = index + ".req", index + ".resp"
    subprocess.run(["openssl", "ocsp", "-issuer", s.cert, "-cert", s.cert,
                    "-reqout", request], check=True)
    subprocess.run(["openssl", "ocsp", "-index", index, "-CA", s.cert,
                    "-rsigner", s.cert, "-rkey", s.key, "-reqin", request,
                    "-respout", response, "-ndays", "3"], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return response


def stapled(s):
    out = subprocess.run(
        ["openssl", "s_client", "-status", "-connect",
         "127.0.0.1:%d" % s.imaps_port], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20).stdout
    assert b"OCSP response" in out
    return b"OCSP Response Status: successful" in out


def test_ocsp_response_is_stapled(start):
    s = start()
    s.imap("alice").ok("NOOP")
    assert not stapled(s)
    s.settings["tls_ocsp"] = [ocsp_response(s)]
    os.chmod(s.settings["tls_ocsp"][0], 0o644)
    s.write()
    s.ctl("reload")
    assert stapled(s)
    imaps(s, context()).login("alice", PW)


def valid_until(path, seconds):
    """Changes the response's nextUpdate; nobody on our side looks at its
    signature."""
    with open(path, "rb") as f:
        data = f.read()
    times = list(re.finditer(rb"\x18\x0f(\d{14}Z)", data))
    assert len(times) == 3  # producedAt, thisUpdate, nextUpdate
    stamp = time.strftime("%Y%m%d%H%M%SZ",
                          time.gmtime(time.time() + seconds)).encode()
    at = times[2].start(1)
    with open(path, "wb") as f:
        f.write(data[:at] + stamp + data[at + len(stamp):])


@pytest.mark.parametrize("fault", ["nonsense", "expired", "foreign", "empty",
                                   "missing"])
def test_bad_ocsp_response_costs_stapling_alone(start, fault):
    s = start()
    s.imap("alice").ok("NOOP")
    path = ocsp_response(s)
    if fault == "nonsense":
        with open(path, "w") as f:
            f.write("nonsense\n")
    elif fault == "expired":
        valid_until(path, -60)
    elif fault == "foreign":
        replace(s, *certs.make(s.dir, "other.example"))
    elif fault == "empty":
        open(path, "w").close()
    elif fault == "missing":
        os.unlink(path)
    if fault != "missing":
        os.chmod(path, 0o644)
    s.settings["tls_ocsp"] = [path]
    s.write()
    s.new_log()
    s.ctl("reload")
    assert re.search(r"warn.*OCSP response.*(%s|%s)" % (s.cert, path),
                     s.new_log()), s.log()
    assert not stapled(s)
    imaps(s, context()).login("alice", PW)
    # and at start
    s.stop()
    s.start()
    assert not stapled(s)


def test_ocsp_response_expires_meanwhile(start):
    s = start()
    path = s.settings["tls_ocsp"] = [ocsp_response(s)]
    valid_until(path[0], 4)
    os.chmod(path[0], 0o644)
    s.write()
    s.ctl("reload")
    assert stapled(s)
    end = time.monotonic() + 20
    while stapled(s):
        assert time.monotonic() < end
        time.sleep(0.3)
    imaps(s, context()).login("alice", PW)


def key_numbers(path):
    """The private number of an EC key, as it lies in memory: in its file's
    order, and limb by limb."""
    text = subprocess.run(["openssl", "pkey", "-in", path, "-noout", "-text"],
                          stdout=subprocess.PIPE, check=True).stdout.decode()
    hexed = re.search(r"priv:\n([0-9a-f:\s]+)pub:", text).group(1)
    big = bytes.fromhex(re.sub(r"[:\s]", "", hexed))[-32:]
    return [big, big[::-1]]


def memory_has(pid, needles):
    with open("/proc/%d/maps" % pid) as f:
        areas = [m.groups() for m in re.finditer(
            r"^(\w+)-(\w+) rw", f.read(), re.M)]
    with open("/proc/%d/mem" % pid, "rb", 0) as f:
        for start_, end in areas:
            f.seek(int(start_, 16))
            try:
                data = f.read(int(end, 16) - int(start_, 16))
            except OSError:
                continue
            if any(n in data for n in needles):
                return True
    return False


@pytest.mark.skipif(not server.is_root(), reason="needs root")
@pytest.mark.skipif(restante.SANITIZED, reason="terabytes of shadow")
def test_key_is_in_keyd_alone(start):
    s = start(separate=True)
    c = imaps(s, context())
    c.login("alice", PW)
    idle = imaps(s, context())
    needles = key_numbers(s.key)
    with open(s.key, "rb") as f:
        text = f.read().splitlines()[1:-1]
    assert text and len(text[0]) > 40
    assert not any(memory_has(pid, text) for pid in s.pids("keyd"))
    found = {name: [memory_has(pid, needles) for pid in s.pids(name)]
             for name in ("keyd", "login", "imapd", "authd", "restanted")}
    assert found["keyd"] == [True]
    assert not any(found["login"]) and len(found["login"]) > 2
    assert found["imapd"] == [False]
    assert not any(found["authd"] + found["restanted"])
    idle.close()
