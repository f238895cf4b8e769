"""The benchmark of known people runs and reports; how quick anything is, is no matter of tests."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).parent.parent / "benchmarks" / "known.py"


@pytest.mark.slow
def test_a_small_list_is_built_loaded_and_looked_up_in(tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(_SCRIPT),
        "--json",
        "--entries",
        "40000",
        "--folder",
        str(tmp_path),
    ]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    assert report["values"] == 40_000
    assert report["ten_hits"]["findings_per_text"] >= 10 > report["no_hits"]["findings_per_text"]
    assert list(tmp_path.iterdir()) == []
