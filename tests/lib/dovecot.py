# SPDX-License-Identifier: ISC
"""dovecot.py - Debian's Dovecot, private, on loopback: to compare with."""
import os
import shutil
import subprocess

from . import certs, server

BINARY = "/usr/sbin/dovecot"


def is_there():
    return os.path.exists(BINARY) and server.is_root()


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
                f.write("%s:{PLAIN}%s:%d:%d::%s::userdb_mail=%s\n" % (
                    u, server.PASSWORD, self.uid_of(u), self.uid_of(u),
                    self.home(u),
                    self.extra.get(u, "maildir:~/Maildir")))
        ssl = "ssl = no\n"
        if self.tls:
            cert, key = certs.make(self.state)
            ssl = "ssl = yes\nssl_cert = <%s\nssl_key = <%s\n" % (cert, key)
        with open(os.path.join(self.state, "dovecot.conf"), "w") as f:
            f.write("""
base_dir = {d}/run
state_dir = {d}/state
log_path = {d}/log
listen = 127.0.0.1
protocols = imap pop3
disable_plaintext_auth = no
auth_mechanisms = plain login
first_valid_uid = 1000
default_internal_user = dovecot
passdb {{
  driver = passwd-file
  args = {d}/passwd
}}
userdb {{
  driver = passwd-file
  args = {d}/passwd
}}
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
