"""`guardrail evaluate`: how well detection does on labelled texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from guardrail.cli.detecting import (
    Detecting,
    MaybeConfig,
    RecallOf,
    Threshold,
    Without,
    load_finder,
)
from guardrail.cli.findings import printable
from guardrail.cli.terminal import Code, complain, fail, out, progress_bar, told, write_json
from guardrail.evaluation import Mistake, Report, Row, Sample, Score, lowered, parse_samples
from guardrail.evaluation import evaluate as count
from guardrail.redaction import Finder
from guardrail.spans import resolve
from guardrail.types import Finding, TextUnit

_WAYS = ("strict", "token", "overlap")


def evaluate(
    data: Annotated[
        list[Path], typer.Argument(metavar="DATA…", help="Labelled texts: JSON lines or a list.")
    ],
    config: MaybeConfig = None,
    threshold: Threshold = None,
    recall: RecallOf = None,
    without: Without = None,
    entity: Annotated[
        list[str] | None,
        typer.Option(metavar="ENTITY", help="Count only this entity; may be repeated."),
    ] = None,
    renamed: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="NAME=ENTITY",
            help="Count a label or entity as another: --map WARD=LOCATION; may be repeated.",
        ),
    ] = None,
    everything: Annotated[
        bool,
        typer.Option("--all", help="Count findings of entities that a set never labels as alarms."),
    ] = False,
    lower: Annotated[
        bool, typer.Option("--lower", help="Evaluate the same texts in lower case as well.")
    ] = False,
    examples: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="Show N mistakes of each kind, with their text."),
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON document.")] = False,
) -> None:
    """Measure detection on labelled texts: precision, recall, F1 and F2 of each entity.

    A set is JSON lines `{"text": "…", "spans": [[0, 3, "PERSON"], …]}`, or the JSON list that
    presidio-research writes. Offsets count code points.

    `strict` asks for the very span and entity. `token` counts words (runs of letters and digits;
    punctuation is none). `overlap` matches spans that share at least half of what they cover. Rows
    named `any` ask only whether something was found, whatever it was called.

    F2 counts recall twice as much as precision: a miss leaks, an alarm annoys. A set's names are
    translated (PER is PERSON); a STREET_ADDRESS counts as LOCATION where a set labels no addresses.

    Example: **guardrail evaluate labelled.jsonl --lower --examples 5**
    """
    mapping = dict(map(_pair, renamed or ()))
    asked = Detecting(config, threshold, (), tuple(without or ()), recall)
    with told(as_json=as_json):
        sets = [(str(path), _load(path)) for path in data]
        detector, _ = load_finder(asked)
        if lower:
            sets = [
                each
                for name, samples in sets
                for each in ((name, samples), (f"{name}, lower case", [*map(lowered, samples)]))
            ]
        documents = []
        for name, samples in sets:
            report = count(
                samples,
                _found(detector, samples, name),
                mapping=mapping,
                entities=entity or (),
                others="count" if everything else "ignore",
            )
            if as_json:
                documents.append({"set": name, **_document(report)})
            else:
                _show(out(), name, report)
                _show_mistakes(out(), samples, report.mistakes, examples)
    if as_json:
        write_json(documents)


def _pair(renamed: str) -> tuple[str, str]:
    name, equals, entity = renamed.partition("=")
    if not (name and equals and entity):
        fail("--map: write NAME=ENTITY, such as WARD=LOCATION", code=Code.USAGE)
    return name, entity


def _load(path: Path) -> list[Sample]:
    try:
        samples = parse_samples(path.read_text("utf-8-sig"))
    except UnicodeDecodeError:
        fail(f"{path}: is not UTF-8", code=Code.USAGE)
    except OSError as error:
        fail(f"{path}: {error.strerror}", code=Code.USAGE)
    except ValueError as error:
        fail(f"{path}: {error}", code=Code.USAGE)
    if not samples:
        complain(f"{path}: holds no samples")
    return samples


def _found(detector: Finder, samples: Sequence[Sample], name: str) -> Iterator[Sequence[Finding]]:
    with progress_bar(Console(stderr=True)) as progress:
        for sample in progress.track(samples, description=Path(name).name):
            yield resolve(detector.find(TextUnit(pointer="", text=sample.text)))


# ── for machines ─────────────────────────────────────────────────────────────────────────────────


def _document(report: Report) -> dict[str, Any]:
    return {
        "samples": report.samples,
        "tokens": report.tokens,
        "entities": {row.entity: _row(row) for row in report.rows},
        "total": _row(report.total),
        "any": {
            "token": _score(report.any_token),
            "overlap": _score(report.any_overlap),
            "overlap_0.9": _score(report.any_exact),
        },
        "ignored": dict(report.ignored),
        "confusion": [
            {"labelled": labelled, "found": found, "tokens": tokens}
            for (labelled, found), tokens in report.confusion.items()
            if labelled != found
        ],
    }


def _row(row: Row) -> dict[str, Any]:
    scores = {way: _score(getattr(row, way)) for way in _WAYS}
    return {"labelled": row.labelled, "found": row.found, **scores}


def _score(score: Score) -> dict[str, Any]:
    return {
        "hits": score.hits,
        "alarms": score.alarms,
        "misses": score.misses,
        **{name: round(getattr(score, name), 6) for name in ("precision", "recall", "f1", "f2")},
    }


# ── for people ───────────────────────────────────────────────────────────────────────────────────


def _show(console: Console, name: str, report: Report) -> None:
    table = Table(
        title=Text(f"{name}: {report.samples} texts, {report.tokens} words"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    table.add_column("entity", no_wrap=True)
    for title in ("labelled", "found"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("counted", no_wrap=True, min_width=10)
    for title in ("P", "R", "F1", "F2"):
        table.add_column(title, justify="right", no_wrap=True, min_width=5)
    for row in (*report.rows, report.total):
        for way in _WAYS:
            first = (
                (row.entity, str(row.labelled), str(row.found)) if way == _WAYS[0] else ("",) * 3
            )
            table.add_row(*first, way, *_figures(getattr(row, way)))
        table.add_section()
    for number, (way, score) in enumerate(
        (
            ("token", report.any_token),
            ("overlap", report.any_overlap),
            ("overlap .9", report.any_exact),
        )
    ):
        table.add_row("" if number else "any", "", "", way, *_figures(score))
    console.print(table)
    if report.ignored:
        ignored = ", ".join(f"{entity} {number}" for entity, number in report.ignored.items())
        console.print(Text(f"not judged, for the set has no such label: {ignored}"))
    confused = [
        (tokens, labelled, found)
        for (labelled, found), tokens in report.confusion.items()
        if labelled and found and labelled != found
    ]
    for tokens, labelled, found in sorted(confused, reverse=True)[:5]:
        console.print(Text(f"{tokens} words of {labelled} were found as {found}"))


def _figures(score: Score) -> tuple[str, ...]:
    nothing = {
        "precision": not score.hits + score.alarms,
        "recall": not score.hits + score.misses,
    }
    return tuple(
        "-" if nothing.get(name) else f"{100 * getattr(score, name):.1f}"
        for name in ("precision", "recall", "f1", "f2")
    )


_AROUND = 40


def _show_mistakes(
    console: Console, samples: Sequence[Sample], mistakes: Sequence[Mistake], examples: int
) -> None:
    shown: dict[tuple[str, str, str], int] = {}
    for one in mistakes:
        kind = (one.fault.value, one.labelled, one.found)
        shown[kind] = shown.get(kind, 0) + 1
        if shown[kind] > examples:
            continue
        text, (start, end) = samples[one.sample].text, (one.span.start, one.span.end)
        console.print(
            Text.assemble(
                (f"{one.fault.value} ", "bold"),
                " for ".join(filter(None, (one.found, one.labelled))),
                f" in text {one.sample + 1}: …",
                printable(text[max(0, start - _AROUND) : start]),
                (f"⟦{printable(text[start:end])}⟧", "bold red"),
                printable(text[end : end + _AROUND]),
                "…",
            ),
            soft_wrap=True,
        )
