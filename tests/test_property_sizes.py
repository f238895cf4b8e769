"""The count of cases that `scripts/properties` prints is one of cases that were run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import property_sizes

CONFTEST = """
import pytest
from property_sizes import Tally

def pytest_configure(config):
    config.addinivalue_line("markers", "property_of(subject): a property")
    config.pluginmanager.register(Tally(30))
"""
PROPERTIES = """
from hypothesis import given, reject
from hypothesis import strategies as st
from property_sizes import property_of

@property_of("numbers", cases=150)
@given(st.integers())
def test_plenty(number): pass

@property_of("numbers", cases=150)
@given(st.booleans())
def test_two(choice): pass

@property_of("numbers", cases=150)
@given(st.integers(0, 10_000))
def test_half(number):
    if number % 2:
        reject()

@given(st.integers())
def test_of_no_subject(number): pass
"""


def tried(folder: Path, names: str) -> tuple[int, list[str]]:
    """The exit code of a run of these properties, and the rows of its table without the time."""
    (folder / "conftest.py").write_text(CONFTEST, "utf-8")
    (folder / "test_some.py").write_text(PROPERTIES, "utf-8")
    tests = str(Path(property_sizes.__file__).parent)
    path = os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-k", names, "test_some.py"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        encoding="utf-8",
    )
    _, _, table = done.stdout.partition("cases seconds")
    line = r"^(numbers) +(\S+(?: \S+)?) {2,}([0-9,]+) +[0-9]+ *(.*)$"
    rows = re.findall(line, table, re.M)
    return done.returncode, [" ".join(row).rstrip() for row in rows]


def test_cases_are_counted_and_too_few_of_them_fail_the_run(tmp_path: Path) -> None:
    assert tried(tmp_path, "test") == (
        1,
        [
            "numbers plenty 150 ok",
            "numbers two 2 TOO FEW",
            "numbers half 150 ok",
            "numbers all 3 302",
        ],
    )
    assert tried(tmp_path, "plenty")[0] == 0
