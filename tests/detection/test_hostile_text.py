"""Long text made to be slow takes no longer than its length warrants."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from guardrail.detection.detector import build_detector
from guardrail.types import TextUnit

detector, size = build_detector(), int(sys.argv[1])
for unit in sys.argv[2:]:
    detector.detect(TextUnit(pointer="", text=(unit * (size // len(unit) + 1))[:size]))
"""
HOSTILE = {
    "letters": "a",
    "capitals": "Aa ",
    "digits": "1234567890",
    "dots": "a.a.",
    "at signs": "@",
    "almost addresses": "a@b.",
    "brackets": "(",
    "spaced digits": "1 1 ",
    "zeros": "00 ",
    "almost telephone numbers": "030 12 ",
    "almost cards": "4111 1111 1111 1112 ",
    "almost tokens": "eyJhbGciOiJIUzI1NiIs.",
    "keys without end": "-----BEGIN PRIVATE KEY-----\n" + "A" * 64 + "\n",
    "colons": "a1:",
    "titles": "Dr. ",
    "zero-width": "1\u200b",
}


def read(*units: str, size: int) -> None:
    # A process of its own, because what hangs in an extension cannot be stopped from Python.
    subprocess.run(
        [sys.executable, "-c", PROGRAM, str(size), *units],
        cwd=Path(__file__).parents[2],
        check=True,
        timeout=60,
    )


def test_hostile_text_is_read_in_time() -> None:
    read(*HOSTILE.values(), size=8_000)


@pytest.mark.slow
@pytest.mark.parametrize("unit", HOSTILE.values(), ids=HOSTILE.keys())
def test_long_hostile_text_is_read_in_time(unit: str) -> None:
    read(unit, size=200_000)
