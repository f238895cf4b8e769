"""The benchmark of hostile input measures growth, and says by its exit status what it found."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "benchmarks"
QUADRATIC = """
import re
from functools import partial
from hostile import UNITS
from redos import Subject, worst

row = worst(
    Subject("blanks", "pattern", partial(re.compile(r"\\s*x").search), UNITS),
    sizes=(2_000, 4_000, 8_000, 16_000),
)
print(row.exponent, row.text, row.superlinear)
"""
AMBIGUOUS = """
import sys
from functools import partial
from importlib import import_module

from hostile import UNITS, units_for
from redos import Subject, _scan, worst

engine, pattern = sys.argv[1:]
scan = partial(_scan, import_module(engine).compile(pattern))
subject = Subject("number", "pattern", scan, UNITS | units_for(pattern))
row = worst(subject, sizes=(1_000, 2_000, 4_000, 8_000))
print(row.refused, row.text, row.ms, row.exponent, sep="|")
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


@pytest.mark.parametrize(
    ("engine", "ambiguous", "plain"),
    [
        pytest.param(
            "regex",
            r"(?<!\w)(?i:[A-Z]{0,5}-?\d(?: ?\d|-?[A-Z\d]){4,14})(?!\w)",
            r"(?<!\w)(?i:[A-Z]{0,5}-?\d(?: ?\d|-?[A-Z]|-\d){4,14})(?!\w)",
            id="a-digit-in-two-ways",
        ),
        pytest.param(
            "re",
            r"(?<!\w)" + r"\d{1,3}[- ]?" * 10 + r"\d(?!\w)",
            r"(?<!\w)" + r"\d{3}[- ]?" * 10 + r"\d(?!\w)",
            id="groups-of-any-length",
        ),
        pytest.param(
            "regex",
            r"(?<!\w)AB[.:](?:\d[ ]?|[A-Z\d]){8,16}(?!\w)",
            r"(?<!\w)AB[.:](?:\d[ ]?|[A-Z]){8,16}(?!\w)",
            id="behind-a-beginning-of-its-own",
        ),
        pytest.param(
            "regex",
            r"(?<!\w)(?:xoxb-[a-z]+-)?(?:[a-f]|[a-z]){16}(?!\w)",
            r"(?<!\w)(?:xoxb-[a-z]+-)?[a-z]{16}(?!\w)",
            id="small-letters",
        ),
    ],
)
def test_a_pattern_that_reads_a_number_in_many_ways_is_told(
    engine: str, ambiguous: str, plain: str
) -> None:
    told, spared = (run("-c", AMBIGUOUS, engine, pattern) for pattern in (ambiguous, plain))
    assert told.stdout.startswith("True|"), told.stdout + told.stderr
    assert spared.stdout.startswith("False|"), spared.stdout + spared.stderr


def test_the_report_names_the_worst_text_of_each_rule() -> None:
    done = run("redos.py", "--quick", "--json", "--only", "national")
    rows = json.loads(done.stdout)
    assert done.returncode == any(row["superlinear"] or row["slow"] for row in rows), done.stderr
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
