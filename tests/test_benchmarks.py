"""The benchmark runs and reports; how quick anything is, is no matter of tests."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
_SPREAD = {"p50", "p95"}


def _printed(name: str, *options: str) -> dict[str, Any]:
    run = subprocess.run(
        [sys.executable, str(_BENCHMARKS / name), "--quick", "--json", *options],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    found: dict[str, Any] = json.loads(run.stdout)
    return found


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one quick run prints."""
    return _printed("latency.py", "--folder", str(tmp_path_factory.mktemp("benchmark")))


@pytest.fixture(scope="module")
def detection() -> dict[str, Any]:
    """What one quick run of the detection benchmark prints."""
    return _printed("detection.py")


def test_the_report_names_the_machine_it_was_made_on(report: dict[str, Any]) -> None:
    machine = report["machine"]
    assert {"cpu", "cores", "python", "versions", "load_before", "load_after"} <= machine.keys()
    assert machine["fsyncs_per_s"] > 0


def test_every_comparison_holds_bare_and_guarded_side_by_side(report: dict[str, Any]) -> None:
    rows = report["sockets"] + report["in_process"]
    assert {300, 4000} == {row["characters"] for row in rows}
    for row in rows:
        assert all(row[name].keys() == _SPREAD for name in ("bare", "guarded", "added", "ratio"))


def test_whole_and_streamed_answers_are_timed_over_sockets(report: dict[str, Any]) -> None:
    found = {(row["case"], row["what"]) for row in report["sockets"]}
    assert found == {
        ("new text", "whole answer"),
        ("chat history", "whole answer"),
        *(
            (f"stream, {model} model", what)
            for model in ("fast", "paced")
            for what in ("first byte", "first content", "whole answer", "each further token")
        ),
    }


def test_each_step_of_an_exchange_is_timed(report: dict[str, Any]) -> None:
    steps = {row["step"] for row in report["steps"]}
    assert {"parse", "detect", "decide", "shield", "record durably"} <= steps
    assert {"filter: build", "filter: whole answer", "filter: streamed answer"} <= steps


def test_detection_is_compared_with_presidio(report: dict[str, Any]) -> None:
    assert [row["characters"] for row in report["detection"]] == [300, 4000]
    for row in report["detection"]:
        assert row["guardrail"].keys() == row["presidio"].keys() == _SPREAD


def test_every_aim_stands_beside_what_was_measured(report: dict[str, Any]) -> None:
    assert len(report["aims"]) == 6
    for aim in report["aims"]:
        assert aim["met"] is (aim["measured"] <= aim["limit"])


def test_detection_is_timed_on_new_and_on_known_texts(detection: dict[str, Any]) -> None:
    sizes = [row["tokens"] for row in detection["new"]]
    assert sizes == sorted(sizes[:3]) * 3
    for row in detection["new"]:
        assert all(row[name].keys() == _SPREAD for name in ("guardrail", "presidio", "ratio"))
    for row in detection["known"]:
        assert row["again"]["p50"] < row["first"]["p50"]


def test_detection_misses_nothing_that_presidio_finds_in_prompts(
    detection: dict[str, Any],
) -> None:
    missed = [row["missed"] for row in detection["new"] if row["sides"] == "everything"]
    assert missed == [0, 0, 0]
    assert len(detection["aims"]) == 24
