# SPDX-License-Identifier: ISC
"""pop3_store.py - a server whose users' mail is in Maildirs or in mbox files,
for tests of POP3, which should see no difference."""
import os

from . import maildir, mbox, restante


def start(store, users=12, extra=None, **settings):
    if store == "mbox":
        settings["mail_location"] = "mbox:~/mail:INBOX=~/inbox"
    settings.setdefault("auth_failure_delay", 0)
    s = restante.Restante(users=["p%d" % i for i in range(users)],
                          settings=settings, extra=extra)
    s.store = store
    s.used = 0
    for user in s.users:
        path = os.path.join(s.home(user), "mail")
        os.mkdir(path)
        s.own(path, user)
    return s


def new_user(s):
    s.used += 1
    return s.users[s.used - 1]


def path(s, user, folder=""):
    if s.store == "mbox":
        return os.path.join(s.home(user), "mail", folder) if folder else \
            os.path.join(s.home(user), "inbox")
    return s.maildir(user, "." + folder if folder else "")


def deliver(s, user, message, folder="", **kw):
    message = message.replace(b"\r\n", b"\n")
    where = path(s, user, folder)
    if s.store == "mbox":
        return mbox.deliver(where, message, owner=s.uid_of(user), **kw)
    if not os.path.isdir(where):
        maildir.create(where, s.uid_of(user))
    return maildir.deliver(where, message, owner=s.uid_of(user), **kw)


def count(s, user, folder=""):
    where = path(s, user, folder)
    return len(mbox.messages(where) if s.store == "mbox"
               else maildir.files(where))
