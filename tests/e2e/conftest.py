# SPDX-License-Identifier: ISC
"""Fixtures of the end-to-end tests. A server is started for a whole file of
tests where they can share it; a test that changes settings starts its own."""
import os
import pathlib
import shutil
import sys
import time

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
# pylint: disable=wrong-import-position
from lib import box as boxes  # noqa: E402
from lib import dovecot, maildir, restante, server  # noqa: E402


# These look at memory, limits or timing, which a sanitizer changes.
NOT_SANITIZED = {
    "test_memory_stays", "test_key_is_in_keyd_alone", "test_confinement",
}


def on_mbox(item):
    """A test with a `box` on mbox: only where its file asks for it."""
    params = item.callspec.params if hasattr(item, "callspec") else {}
    return params.get("box") == "mbox" and (
        not getattr(item.module, "MBOX", False) or
        item.originalname in getattr(item.module, "MAILDIR_ALONE", ()))


def pytest_collection_modifyitems(config, items):
    out = [item for item in items if on_mbox(item)]
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if item not in set(out)]
    for item in items:
        if restante.SANITIZED and item.originalname in NOT_SANITIZED:
            item.add_marker(pytest.mark.skip("not below a sanitizer"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport():
    """A failure is told with what the servers have said last."""
    report = (yield).get_result()
    if report.failed:
        for s in server.with_logs(time.time() - report.duration - 1):
            report.sections.append(("log of %s" % s.dir, tail(s.log(), 40)))


def tail(text, n):
    """Its last n lines, none of them endless."""
    return "\n".join(line[:400] for line in text.splitlines()[-n:])


def digest(report):
    """A failure in some 40 lines: where, the assertion, ends of the logs."""
    said = report.longreprtext.splitlines()
    wrong = [x for x in said if x.startswith("E ")][:12] + said[-1:]
    lines = ["FAILED %s (%s, %.1f s)" % (report.nodeid, report.when,
                                         report.duration)]
    lines += [x[:400] for x in (wrong if len(wrong) > 1 else said[-12:])]
    for name, text in report.sections:
        if name.startswith("log of ") or "stderr" in name:
            lines += ["-- " + name, tail(text, 12)]
    return "\n".join(lines) + "\n"


failed = {}


def pytest_runtest_logreport(report):
    if report.failed and report.nodeid not in failed:
        failed[report.nodeid] = digest(report)


def pytest_sessionfinish(session):
    restante.unstage()
    # For tests/e2e/run. (The workers of xdist report to one process.)
    path = os.environ.get("RESTANTE_FAILED")
    if path and not hasattr(session.config, "workerinput"):
        for end, lines in (("", (n + "\n" for n in failed)),
                           (".told", failed.values())):
            with open(path + end, "w", encoding="utf-8",
                      errors="backslashreplace") as f:
                f.writelines(lines)


# To see that a test asks for what is right, it can be run against Dovecot.
REFERENCE = os.environ.get("RESTANTE_E2E_SERVER") == "dovecot"


@pytest.fixture(scope="session", autouse=True)
def built():
    assert REFERENCE or os.path.exists(os.path.join(restante.BUILD, "bin", "restanted")), \
        "run make first (RESTANTE_BUILD=%s)" % restante.BUILD


@pytest.fixture(scope="module", params=["plain", "separate"])
def form(request):
    """Both ways to run: one uid for all, and full privilege separation."""
    if request.param == "separate" and not server.is_root():
        pytest.skip("needs root")
    if request.param == "separate" and REFERENCE:
        pytest.skip("only one way to run Dovecot")
    return request.param


@pytest.fixture(scope="module")
def shared(form):
    """A server for all tests of a file; each takes a user of its own."""
    users = ["u%d" % i for i in range(1, 61)]
    if REFERENCE:
        yield from server.serving(dovecot.Dovecot(users=users, tls=True))
    else:
        yield from server.serving(restante.Restante(
            users=users, separate=form == "separate"))


@pytest.fixture
def user(shared):
    """A user of `shared` that no other test has, with an empty mailbox."""
    used = getattr(shared, "used", 0)
    shared.used = used + 1
    yield shared.users[used]
    shared.close_all()


@pytest.fixture
def start():
    """start(users=..., settings=..., more=...): a server for one test."""
    yield from server.starting(restante.Restante)


@pytest.fixture
def start_dovecot():
    if not dovecot.is_there():
        pytest.skip("needs root and Debian's Dovecot")
    yield from server.starting(dovecot.Dovecot)


class BoxServer(restante.Restante):
    """With so many users that the Maildirs are made as they are needed."""

    def make_home(self, user):
        os.mkdir(self.home(user))
        self.own(self.home(user), user)

    def maildir(self, user="alice", folder=""):
        top = super().maildir(user)
        if not os.path.isdir(top):
            maildir.create(top, self.uid_of(user))
        return super().maildir(user, folder)


@pytest.fixture(scope="session")
def box_server():
    """One server for all tests with a `box`; each takes a user of its own."""
    yield from server.serving(BoxServer(
        users=["b%d" % i for i in range(1, 2001)]))


@pytest.fixture(params=["tunnel", "server", "mbox"])
def box(request):
    """A user with an empty mailbox, reached in each of the two ways; in a file
    that says MBOX = True also on mbox, but for the tests of MAILDIR_ALONE."""
    if request.param == "tunnel":
        b = boxes.Box("tunnel")
    elif request.param == "mbox":
        b = boxes.Box("tunnel", store="mbox")
    else:
        s = request.getfixturevalue("box_server")
        used = s.used = getattr(s, "used", -1) + 1
        b = boxes.Box("server", s.users[used], s)
    yield b
    b.close()


@pytest.fixture
def tunnel():
    """As `box`, by tunnel only: for what does not concern the server."""
    b = boxes.Box("tunnel")
    yield b
    b.close()


@pytest.fixture
def place():
    """A home of its own for a client program."""
    path = pathlib.Path(server.scratch("restante-client."))
    (path / "home").mkdir()
    yield path
    shutil.rmtree(path, ignore_errors=True)
