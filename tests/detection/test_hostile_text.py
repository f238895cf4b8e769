"""Long text made to be slow takes no longer than its length warrants.

The texts are those that `benchmarks/redos.py` measures with; here the detector's own limit of two
seconds is what must not be reached.
"""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
from pathlib import Path

sys.path.insert(0, str(Path.cwd() / "benchmarks"))
from hostile import UNITS, stretched, units_for
from guardrail.detection.detector import build_detector
from guardrail.detection.patterns import find
from guardrail.types import TextUnit

size, what = int(sys.argv[1]), sys.argv[2]
detector = build_detector(names=["blank:en"])
if what == "detector":
    chosen = sys.argv[3:] or UNITS
    for name in chosen:
        print(name, file=sys.stderr)
        detector.detect(TextUnit(pointer="", text=stretched(UNITS[name], size)))
else:
    for rule in detector.rules:
        for name, unit in units_for(rule.pattern).items():
            print(rule.name, name, file=sys.stderr)
            find((rule,), stretched(unit, size), threshold=detector.threshold, timeout=2.0)
"""


def run(size: int, *what: str) -> None:
    # A process of its own, because what hangs in an extension cannot be stopped from Python.
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(size), *what],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


NAMES: list[str] = list(runpy.run_path(str(ROOT / "benchmarks" / "hostile.py"))["UNITS"])


def test_hostile_text_is_read_in_time() -> None:
    run(4_000, "detector")


def test_each_rule_reads_in_time_what_it_begins_to_match() -> None:
    run(2_000, "rules")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_long_hostile_text_is_read_in_time(name: str) -> None:
    run(100_000, "detector", name)
