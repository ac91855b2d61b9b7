# SPDX-License-Identifier: ISC
"""The bench itself: its table makes sense, and a few of its rows run."""
import json
import os
import subprocess
import sys

import pytest

from lib import restante, server

BENCH = os.path.join(restante.TOP, "tests", "bench")


@pytest.fixture(scope="module")
def table():
    sys.path.insert(0, BENCH)
    try:
        import table as module
        yield module
    finally:
        sys.path.remove(BENCH)


def test_table(table):
    names = [row.name for row in table.ROWS]
    assert len(set(names)) == len(names)
    assert table.ROWS[0].run is not None
    for row in table.ROWS:
        assert row.largest in (100000, 1000000)
        # What is measured for its growth alone has no target when small.
        if row.sized and row.target and not isinstance(row.target[1], dict):
            assert row.target_for(1000) is None
            assert row.target_for(10000) == row.target


def test_targets_by_size(table):
    row, = [r for r in table.ROWS if r.name == "SELECT, unchanged"]
    assert row.target_for(1000) is None
    assert row.target_for(10000) == ("ratio", 1 / 4)
    assert row.target_for(99999) == ("ratio", 1 / 4)
    assert row.target_for(100000) == ("ratio", 1 / 20)
    assert row.target_for(1000000) == ("ratio", 1 / 100)


@pytest.mark.skipif(not server.is_root() or restante.SANITIZED,
                    reason="needs root, and times of the program as it is")
def test_runs(tmp_path):
    out = str(tmp_path / "figures")
    run = subprocess.run(
        [sys.executable, os.path.join(BENCH, "bench.py"), "--quick",
         "--servers", "restante", "--store", "maildir", "--json", out,
         "--only", "login again,FETCH 1:* FLAGS,one delivery"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120,
        env={**os.environ, "RESTANTE_BUILD": restante.BUILD})
    assert run.returncode == 0, run
    assert b"failed" not in run.stderr, run.stderr
    with open(out) as f:
        found = json.load(f)
    assert found["login again"]["null"]["restante"]["cpu_ms"] > 0
    for name in ("FETCH 1:* FLAGS", "SELECT, one delivery"):
        assert set(found[name]) == {"100", "300"}
        for figures in found[name].values():
            assert figures["restante"]["cpu_ms"] > 0, (name, figures)
