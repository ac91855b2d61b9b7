# SPDX-License-Identifier: ISC
"""namespace.py - runs a test file once more in private mount and network
namespaces, with an overlay over /etc and accounts of its own: real root, real
PAM, the usual ports, and nothing on the host changes."""
import os
import re
import subprocess
import sys

import pytest

INSIDE = os.environ.get("RESTANTE_TEST_NAMESPACE")

inner = pytest.mark.skipif(not INSIDE, reason="runs in a namespace")

BEGIN = r"""
set -e
mount --make-rprivate /
T=$(mktemp -d /tmp/restante-ns.XXXXXX)
trap 'cd /; umount -l /etc; umount -l $T; rmdir $T' EXIT
mount -t tmpfs tmpfs $T
chmod 755 $T
mkdir $T/up $T/wk $T/home $T/spool
mount -t overlay overlay -o lowerdir=/etc,upperdir=$T/up,workdir=$T/wk /etc
ip link set lo up
for u in login key auth pass spool log; do
    useradd --system -M -d /nonexistent -s /usr/sbin/nologin _restante-$u
done
"""
END = r"""
export RESTANTE_TEST_NAMESPACE=$T
set +e
"$@"
exit $?
"""


def can():
    """Do we have what it takes?"""
    if os.geteuid() != 0:
        return False
    try:
        subprocess.run(
            ["unshare", "-m", "-n", "sh", "-c",
             "mount --make-rprivate / && ip link set lo up"],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def run(path, setup, *more):
    """Runs pytest on `path` inside, after the shell lines of `setup`."""
    before = os.stat("/etc/passwd")
    done = subprocess.run(
        ["unshare", "-m", "-n", "sh", "-c", BEGIN + setup + END, "sh",
         sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
         os.path.abspath(path), *more],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        # (what fails inside is not the outer run's to list)
        env={k: v for k, v in os.environ.items() if k != "RESTANTE_FAILED"},
        timeout=900)
    said = done.stdout.decode()
    assert done.returncode == 0, said
    assert re.search(r"\b[1-9]\d* passed", said), said  # not all skipped
    assert not re.search(r"umount:|rmdir:", said), said  # nothing is left
    after = os.stat("/etc/passwd")
    assert (before.st_ino, before.st_mtime_ns) == (
        after.st_ino, after.st_mtime_ns)


def outer(path, setup, needs=lambda: True):
    """The test of a file that runs its `inner` ones."""
    @pytest.mark.skipif(bool(INSIDE), reason="this is the inner run")
    def test_in_namespaces():
        if not can() or not needs():
            pytest.skip("no namespaces, or not all programs, here")
        run(path, setup)
    return test_in_namespaces
