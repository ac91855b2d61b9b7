# SPDX-License-Identifier: ISC
"""certs.py - self-signed certificates, made by openssl(1)."""
import os
import subprocess

KINDS = {
    "ecdsa": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"],
    "rsa": ["-newkey", "rsa:2048"],
}


def make(folder, name="localhost", kind="ecdsa", days=30):
    """(certificate file, key file) for `name` and 127.0.0.1."""
    stem = os.path.join(folder, "%s-%s" % (name.replace("*", "_"), kind))
    cert, key = stem + ".crt", stem + ".key"
    subprocess.run(
        ["openssl", "req", "-x509", "-nodes", "-subj", "/CN=" + name,
         "-days", str(days), "-keyout", key, "-out", cert,
         "-addext", "subjectAltName=DNS:%s,IP:127.0.0.1" % name]
        + KINDS[kind], check=True, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL)
    os.chmod(key, 0o600)
    return cert, key
