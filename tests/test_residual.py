"""What the benchmark of residual risk counts, and that it runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from residual import Bin, Figures, Guess, Text, auroc, drawing, markdown, measure, reliability

from guardrail.detection.engine import RuleDetector
from guardrail.detection.names import Doubt
from guardrail.evaluation import Mention, Sample
from guardrail.types import Finding, Span, TextUnit

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "residual.py"


class Names:
    """Finds `Ada` and doubts every capital, a quarter."""

    entities = frozenset({"PERSON"})

    def find(self, unit: TextUnit) -> list[Finding]:
        return self.examine(unit)[0]

    def examine(self, unit: TextUnit) -> tuple[list[Finding], list[Doubt]]:
        at = unit.text.find("Ada")
        found = Finding(entity="PERSON", span=Span(at, at + 3), score=0.9, recognizer="names")
        capitals = [at for at, letter in enumerate(unit.text) if letter.isupper()]
        return [found] if at >= 0 else [], [Doubt(Span(at, at + 1), 0.25) for at in capitals]


@pytest.mark.parametrize(
    ("with_miss", "without", "expected"),
    [
        ([0.9, 0.5], [0.1, 0.5], 0.875),
        ([1, 2], [0, 0.5], 1.0),
        ([0], [1, 1], 0.0),
        ([1, 1], [1], 0.5),
        ([], [1], None),
        ([1], [], None),
    ],
)
def test_the_area_under_the_curve_counts_pairs_in_order(
    with_miss: list[float], without: list[float], expected: float | None
) -> None:
    assert auroc(with_miss, without) == expected


def test_guesses_fall_into_ten_bins_and_empty_ones_are_left_out() -> None:
    told = reliability([Guess(0.0625, False), Guess(0.03125, True), Guess(1.0, True)])
    assert told == [Bin(0.046875, 0.5, 2), Bin(1.0, 1.0, 1)]


def test_misses_and_doubts_are_set_against_what_is_labelled() -> None:
    samples = [
        Sample("Ada met Bob.", (Mention(0, 3, "PERSON"), Mention(8, 11, "PERSON"))),
        Sample("Acme and Ada", (Mention(0, 4, "ORGANIZATION"), Mention(9, 12, "PERSON"))),
        Sample("nobody", ()),
    ]
    figures = measure(RuleDetector(rules=(), recognizers=(Names(),)), "three", samples)
    assert figures.texts == [Text(0.25, 1), Text(0.25, 0), Text(0.0, 0)]
    assert figures.guesses == [Guess(0.25, True), Guess(0.25, False)]
    assert figures.auroc == 0.75
    assert figures.error == 0.25
    assert [figures.below(limit) for limit in (0, 24, 25)] == [(1, 0), (1, 0), (3, 1)]
    assert "| three | 3 | 1 | 1 | 0 | 0.750 | 0.2500 |" in markdown([figures])


def test_the_drawing_is_well_formed_and_shows_bins_of_enough_tokens() -> None:
    guesses = [*[Guess(0.05, False)] * 10, *[Guess(0.95, True)] * 9]
    drawn = ElementTree.fromstring(drawing([Figures(name="one", texts=[], guesses=guesses)]))
    dots = drawn.findall("{http://www.w3.org/2000/svg}circle")
    assert len(dots) == 2  # one bin, and the key


def test_a_set_is_measured_with_the_built_in_model(tmp_path: Path) -> None:
    folder = tmp_path / "eval" / "one"
    folder.mkdir(parents=True)
    line = {"text": "Maria Delgado lives in Leeds.", "spans": [[0, 13, "PERSON"]]}
    (folder / "one.jsonl").write_text(json.dumps(line))
    svg = tmp_path / "r.svg"
    run = subprocess.run(
        [sys.executable, SCRIPT, "--data", tmp_path, "--set", "one", "--json", "--svg", svg],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    (told,) = json.loads(run.stdout)["sets"]
    assert (told["set"], told["texts"], told["texts_with_a_miss"]) == ("one", 1, 0)
    assert svg.read_text().startswith("<svg")
