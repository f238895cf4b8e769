"""The benchmark of hostile input measures growth, and says by its exit status what it found."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "benchmarks"
QUADRATIC = """
import re
from functools import partial
from redos import Subject, worst

row = worst(
    Subject("blanks", "pattern", partial(re.compile(r"\\s*x").search), {}),
    sizes=(2_000, 4_000, 8_000, 16_000),
)
print(row.exponent, row.text, row.superlinear)
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_quadratic_pattern_is_told_by_its_growth() -> None:
    done = run("-c", QUADRATIC)
    assert done.returncode == 0, done.stderr
    growth, text, superlinear = (
        done.stdout.split(maxsplit=1)[0],
        *done.stdout.rsplit(maxsplit=2)[-2:],
    )
    assert float(growth) > 1.6
    assert (text, superlinear) in {("spaces", "True"), ("lines", "True"), ("tabs", "True")}


def test_the_report_names_the_worst_text_of_each_rule() -> None:
    done = run("redos.py", "--quick", "--json", "--only", "national")
    rows = json.loads(done.stdout)
    assert done.returncode == any(row["superlinear"] for row in rows), done.stderr
    assert {"rule", "rule's pattern", "pattern"} == {row["kind"] for row in rows}
    for row in rows:
        assert len(row["times"]) == len(row["sizes"]) == 4
        assert row["ms"] == row["times"][-1]
        assert row["unit"]


def test_a_document_holds_one_table_for_each_kind() -> None:
    done = run("redos.py", "--quick", "--markdown", "--only", "phone-bare")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("| what reads |") == 2
    assert "`phone-bare`" in done.stdout


def test_help_says_what_the_exit_status_means() -> None:
    assert "Exit status 1" in run("redos.py", "--help").stdout
