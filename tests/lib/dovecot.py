# SPDX-License-Identifier: ISC
"""dovecot.py - Debian's Dovecot, private, on loopback: to compare with."""
import functools
import os
import shutil
import subprocess

from . import certs, server

BINARY = "/usr/sbin/dovecot"


def is_there():
    return os.path.exists(BINARY) and server.is_root()


@functools.lru_cache
def version():
    """(2, 3) or (2, 4): their configurations have little in common."""
    out = subprocess.run([BINARY, "--version"], stdout=subprocess.PIPE,
                         check=True).stdout.decode()
    return tuple(int(x) for x in out.split()[0].split(".")[:2])


# What stands behind a mail location, in words of 2.4.
LOCATION_WORDS = {"LAYOUT": "mailbox_list_layout", "INBOX": "mail_inbox_path",
                  "CONTROL": "mail_control_path", "INDEX": "mail_index_path"}
UIDL_WORDS = [("%%08Xv", "%%{uidvalidity|hex(8)}"),
              ("%%08Xu", "%%{uid|hex(8)}"), ("%%v", "%%{uidvalidity}"),
              ("%%u", "%%{uid}"), ("%%f", "%%{filename}"),
              ("%%g", "%%{guid}")]


def fields_24(extra):
    """userdb fields of 2.4 for "LOCATION word...", as 2.3 has it."""
    location, *words = extra.split(" ")
    driver, path, *parts = location.split(":")
    out = ["userdb_mail_driver=" + driver, "userdb_mail_path=" + path]
    for part in parts:
        name, _, value = part.partition("=")
        if name == "UTF-8":
            out.append("userdb_mailbox_list_utf8=yes")
        else:
            out.append("userdb_%s=%s" % (LOCATION_WORDS[name], value))
    for word in words:
        if word.startswith("userdb_pop3_uidl_format="):
            for old, new in UIDL_WORDS:
                word = word.replace(old, new)
        out.append(word)
    return " ".join(out)


# Lines of 2.3, which come after these in the file, and what 2.4 calls them.
HEAD_24 = """
dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
"""
AUTH_23 = """
disable_plaintext_auth = no
passdb {{
  driver = passwd-file
  args = {d}/passwd
}}
userdb {{
  driver = passwd-file
  args = {d}/passwd
}}
"""
AUTH_24 = """
auth_allow_cleartext = yes
passdb passwd-file {{
  passwd_file_path = {d}/passwd
}}
userdb passwd-file {{
  passwd_file_path = {d}/passwd
}}
"""


class Dovecot(server.Server):
    """`settings` are lines added to dovecot.conf; users have `extra` fields."""

    name = "dovecot"

    def __init__(self, users=("alice", "bob"), tls=False, settings="",
                 extra=None, uids=None, **kw):
        self.uids = uids or {}
        super().__init__(users=users, **kw)
        self.tls = tls
        self.settings = settings
        self.extra = extra or {}
        self.state = server.scratch("dovecot-test.")
        self.log_path = os.path.join(self.state, "log")

    def uid_of(self, user):
        return getattr(self, "uids", {}).get(user, self.uid)

    def write(self):
        with open(os.path.join(self.state, "passwd"), "w") as f:
            for u in self.users:
                extra = self.extra.get(u, "maildir:~/Maildir")
                extra = fields_24(extra) if version() >= (2, 4) else \
                    "userdb_mail=" + extra
                f.write("%s:{PLAIN}%s:%d:%d::%s::%s\n" % (
                    u, server.PASSWORD, self.uid_of(u), self.uid_of(u),
                    self.home(u), extra))
        ssl = "ssl = no\n"
        if self.tls:
            cert, key = certs.make(self.state)
            ssl = "ssl = yes\n" + (
                "ssl_server_cert_file = %s\nssl_server_key_file = %s\n"
                if version() >= (2, 4) else
                "ssl_cert = <%s\nssl_key = <%s\n") % (cert, key)
        with open(os.path.join(self.state, "dovecot.conf"), "w") as f:
            new = version() >= (2, 4)
            f.write((HEAD_24 if new else "") + """
base_dir = {d}/run
state_dir = {d}/state
log_path = {d}/log
listen = 127.0.0.1
protocols = imap pop3
auth_mechanisms = plain login
first_valid_uid = 1000
default_internal_user = dovecot
{auth}
service imap-login {{
  inet_listener imap {{
    port = {i}
  }}
  inet_listener imaps {{
    port = {si}
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {p}
  }}
  inet_listener pop3s {{
    port = {sp}
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
namespace inbox {{
  inbox = yes
}}
{ssl}{more}
""".format(d=self.state, i=self.imap_port, p=self.pop3_port,
           si=self.imaps_port if self.tls else 0,
           sp=self.pop3s_port if self.tls else 0, ssl=ssl,
           auth=(AUTH_24 if new else AUTH_23).format(d=self.state),
           more=self.settings))

    def start(self):
        self.write()
        self.process = subprocess.Popen(
            [BINARY, "-F", "-c", os.path.join(self.state, "dovecot.conf")],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.wait_port(self.imap_port)
        return self

    def remove(self):
        super().remove()
        shutil.rmtree(self.state, ignore_errors=True)

    def complaints(self):
        """Lines of the log that nobody should see (compat-tests 0.5)."""
        return [x for x in self.new_log().splitlines()
                if any(w in x for w in ("Error", "Warning", "Panic",
                                        "Fatal"))]
