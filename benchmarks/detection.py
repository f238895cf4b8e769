"""How long guardrail takes to find what is personal in a text, beside Presidio's own engine.

Both read the same texts in turn, in one process on one core, with the same recognizers; what is
counted is the time of the thread, so that whatever else the machine does falls on neither. All
rules are compiled before, as in a process that has read some thousand texts. Nothing leaves the
machine, and nothing is looked up.

    python benchmarks/detection.py [--quick] [--json | --markdown]

Names are found by the shipped English model: by guardrail's own runtime on one side, and on the
other by the same weights in spaCy's ordinary one (`twin.py`), which is how Presidio runs a model.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before numpy is loaded

import spacy
from analyzer import presidio_engine
from latency import Aim, Spread, Tables, as_markdown, cell, cpu, show, spread
from presidio_analyzer import AnalyzerEngine
from prompts import history, prompt
from twin import twin

from guardrail.detection.detector import RuleDetector, build_detector
from guardrail.detection.patterns import Rule, RuleSet
from guardrail.detection.presidio import RECOGNIZERS
from guardrail.spans import resolve
from guardrail.types import TextUnit

SIZES = {100: 510, 500: 2540, 2000: 10_150}
"""spaCy's tokens, about → characters."""
MESSAGES = 40
_RATIO = {"patterns": 4.0, "patterns and names": 3.0, "everything": 1.0}
_LIMIT_MS = 5.0
_LEFT_TO_US = {"URL", "PERSON", "LOCATION", "ORGANIZATION"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """Guardrail's detector and Presidio's engine, with or without a trained pipeline."""

    name: str
    ours: RuleDetector
    theirs: AnalyzerEngine


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Texts of one size, read by both for the first time; `ratio` is Presidio to guardrail.

    `tokens` is their mean. `missed` counts what Presidio found and guardrail did not, not even as
    something else; addresses of pages and names apart: of what the same model says, guardrail drops
    words of code and uncertain ones without a capital. Postal codes are rules of places with us,
    at work in `everything` alone.
    """

    sides: str
    tokens: int
    guardrail: Spread
    presidio: Spread
    ratio: Spread
    missed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cached:
    """A conversation of which all messages but the last were read before.

    `first` is how long these took when they were new, `again` how long they take when they come
    again with the last one; `presidio` how long it takes for them each time.
    """

    sides: str
    messages: int
    first: Spread
    again: Spread
    presidio: Spread
    share: float


def both_sides() -> Iterator[Sides]:
    """Gives what is compared: the same patterns, those with the names model, and all we look for.

    Presidio's engine has the same recognizers each time; against `everything` it looks for a part.
    """
    everything = build_detector(languages=("en",), organizations="on")
    names = tuple(one for one in everything.recognizers if "PERSON" in one.entities)
    same = RuleSet(rule for rule in everything.rules if _is_presidios(rule))
    yield Sides(
        name="patterns", ours=replace(everything, rules=same, recognizers=()),
        theirs=presidio_engine(),
    )  # fmt: skip
    yield Sides(
        name="patterns and names", ours=replace(everything, rules=same, recognizers=names),
        theirs=presidio_engine(twin()),
    )  # fmt: skip
    yield Sides(name="everything", ours=everything, theirs=presidio_engine(twin()))


def _is_presidios(rule: Rule) -> bool:
    """Whether it is one of Presidio's, or finds what Presidio's recognizers of these names do."""
    return rule.name.partition(":")[0] in RECOGNIZERS or rule.entity in {
        "EMAIL_ADDRESS", "PHONE_NUMBER", "URL", "CRYPTO", "UUID", "IP_ADDRESS"
    }  # fmt: skip


def _seconds(work: Callable[[], object]) -> float:
    start = time.thread_time()
    work()
    return time.thread_time() - start


def _unit(text: str) -> TextUnit:
    return TextUnit(pointer="/messages/0/content", text=text)


def read_new(sides: Sides, tokens: int, runs: int) -> Row:
    """Both read new texts of a size in turn; who comes first changes each time."""
    count = spacy.blank("en").tokenizer
    ours: list[float] = []
    theirs: list[float] = []
    total = missed = 0
    for number in range(-min(5, runs), runs):
        text = prompt(SIZES[tokens], seed=f"detection/{tokens}/{number}")

        def guardrail(text: str = text) -> None:
            resolve(sides.ours.find(_unit(text)))

        def presidio(text: str = text) -> None:
            sides.theirs.analyze(text, language="en", score_threshold=sides.ours.threshold)

        order = (guardrail, presidio) if number % 2 else (presidio, guardrail)
        taken = {work: _seconds(work) for work in order}
        if number >= 0:
            ours.append(taken[guardrail])
            theirs.append(taken[presidio])
            total += len(count(text))
            missed += _missed(sides, text)
    return Row(
        sides=sides.name,
        tokens=round(total / runs),
        guardrail=spread(ours),
        presidio=spread(theirs),
        ratio=_ratio(spread(theirs), spread(ours)),
        missed=missed,
    )


def _missed(sides: Sides, text: str) -> int:
    ours = [finding.span for finding in sides.ours.find(_unit(text))]
    theirs = sides.theirs.analyze(text, language="en", score_threshold=sides.ours.threshold)
    return sum(
        not any(span.start <= found.start and found.end <= span.end for span in ours)
        for found in theirs
        if found.entity_type not in _LEFT_TO_US
    )


def _ratio(one: Spread, other: Spread) -> Spread:
    return Spread(p50=round(one.p50 / other.p50, 2), p95=round(one.p95 / other.p95, 2))


def read_again(sides: Sides, runs: int) -> Cached:
    """Reads conversations whose earlier messages are known, as a chat sends them each turn."""
    first, again, presidio = [], [], []
    for number in range(-1, runs):
        seed = f"conversation/{number}"
        messages = history(SIZES[100] * MESSAGES, seed=seed, turns=MESSAGES)
        units = [_unit(message["content"]) for message in messages[:-1]]
        detector = replace(sides.ours)  # with a cache of its own
        new = _seconds(lambda: detector.find_all(units))  # noqa: B023  # at once
        known = min(_seconds(lambda: detector.find_all(units)) for _ in range(5))  # noqa: B023
        theirs = _seconds(
            lambda: [sides.theirs.analyze(unit.text, language="en") for unit in units]  # noqa: B023
        )
        if number >= 0:
            first.append(new)
            again.append(known)
            presidio.append(theirs)
    return Cached(
        sides=sides.name,
        messages=MESSAGES - 1,
        first=spread(first),
        again=spread(again),
        presidio=spread(presidio),
        share=round(sum(again) / sum(first), 5),
    )


def aims(rows: Sequence[Row], cached: Sequence[Cached]) -> Iterator[Aim]:
    """Gives the project's aims beside what was measured."""
    for row in rows:
        limit = _RATIO[row.sides]
        aim = f"times as fast as Presidio, {row.sides}, {row.tokens} tokens, p50, at least"
        yield Aim(aim=aim, limit=limit, measured=row.ratio.p50, met=row.ratio.p50 >= limit)
        each = row.guardrail.p50 * 100 / row.tokens
        aim = f"ms for 100 tokens, {row.sides}, {row.tokens} tokens, p50, at most"
        yield Aim(aim=aim, limit=_LIMIT_MS, measured=round(each, 2), met=each <= _LIMIT_MS)
        if row.sides == "everything":
            aim = f"found by Presidio alone, {row.sides}, {row.tokens} tokens, at most"
            yield Aim(aim=aim, limit=0, measured=row.missed, met=not row.missed)
    for known in cached:
        percent = known.share * 100
        aim = f"% of the first time, messages that are known, {known.sides}, at most"
        yield Aim(aim=aim, limit=1, measured=round(percent, 2), met=percent <= 1)


def measure(sides: Sequence[Sides], runs: int) -> dict[str, Any]:
    """Runs everything and gives the report."""
    # What is loaded by now stays: neither side shall pay for looking through it for garbage.
    for each in sides:
        for rule in each.ours.rules:
            rule.compiled  # noqa: B018  # as in a process that has read some thousand texts
    gc.collect()
    gc.freeze()
    before = os.getloadavg()[0]
    rows = [
        read_new(each, tokens, max(2, runs if tokens < 2000 else runs // 2))
        for each in sides
        for tokens in SIZES
    ]
    cached = [read_again(each, max(1, runs // 20)) for each in sides]
    gc.unfreeze()
    return {
        "machine": {
            "date": datetime.now(UTC).strftime("%Y-%m-%d"),
            "cpu": cpu(),
            "cores": os.cpu_count(),
            "system": platform.platform(terse=True),
            "python": platform.python_version(),
            "versions": {name: version(name) for name in ("presidio-analyzer", "spacy", "regex")},
            "load_before": round(before, 2),
            "load_after": round(os.getloadavg()[0], 2),
        },
        "rules": len(sides[0].ours.rules),
        "runs": runs,
        "new": [asdict(row) for row in rows],
        "known": [asdict(row) for row in cached],
        "aims": [asdict(aim) for aim in aims(rows, cached)],
    }


def machine_lines(report: dict[str, Any]) -> list[str]:
    """Gives the machine, and what was run on it, in a few lines."""
    machine = report["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    return [
        f"{machine['date']}, {machine['cpu']}, {machine['cores']} cores, {machine['system']}",
        f"Python {machine['python']}; {versions}; {report['rules']} rules",
        f"load {machine['load_before']} before and {machine['load_after']} after the run; "
        "milliseconds of one thread's time, 50th / 95th percentile",
    ]


def tables(report: dict[str, Any]) -> Tables:
    """Gives the report as people read it."""
    return [
        (
            "New texts (ms)",
            ["What", "Tokens", "guardrail", "Presidio", "ratio", "missed"],
            [
                [
                    *(row["sides"], str(row["tokens"])),
                    *(cell(row[name]) for name in ("guardrail", "presidio", "ratio")),
                    str(row["missed"]),
                ]
                for row in report["new"]
            ],
        ),
        (
            "A conversation read before (ms)",
            ["What", "Messages", "first time", "again", "share", "Presidio, each time"],
            [
                [
                    *(row["sides"], str(row["messages"]), cell(row["first"]), cell(row["again"])),
                    *(f"{row['share']:.2%}", cell(row["presidio"])),
                ]
                for row in report["known"]
            ],
        ),
        (
            "Aims",
            ["Aim", "Limit", "Measured", "Met"],
            [
                [a["aim"], f"{a['limit']:g}", f"{a['measured']:g}", "yes" if a["met"] else "no"]
                for a in report["aims"]
            ],
        ),
    ]


def main() -> None:
    """Reads the command line, measures and reports."""
    parser = argparse.ArgumentParser(description="How long guardrail and Presidio take to find")
    parser.add_argument("--quick", action="store_true", help="a few runs of each, to see it work")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--markdown", action="store_true", help="print Markdown")
    options = parser.parse_args()
    sides = list(both_sides())
    report = measure(sides, 3 if options.quick else 100)
    if options.json:
        print(json.dumps(report, indent=2))
    elif options.markdown:
        print(as_markdown(machine_lines(report), tables(report)), end="")
    else:
        show(machine_lines(report), tables(report))


if __name__ == "__main__":
    main()
