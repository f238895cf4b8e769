"""`guardrail scan`: what is personal in files, folders and standard input."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from guardrail.cli.detecting import (
    Detecting,
    MaybeConfig,
    Only,
    RecallOf,
    Threshold,
    Without,
    load_finder,
)
from guardrail.cli.findings import Scanned, scan_document, scan_input
from guardrail.cli.inputs import STDIN, Binary, Input, decode, inputs
from guardrail.cli.outputs import replacing
from guardrail.cli.report import Totals, html, plain, show, summary
from guardrail.cli.terminal import Code, complain, fail, out, progress_bar, told
from guardrail.documents import Format, open_document
from guardrail.redaction import Finder
from guardrail.taxonomy import Taxonomy

CODES = (
    "Exit codes: 0 nothing found, 1 something found, 2 wrong usage or an input could not be "
    "inspected, 3 invalid configuration."
)

Files = Annotated[
    list[str] | None,
    typer.Argument(metavar="FILES…", help="Files and folders; - is standard input."),
]
JsonLines = Annotated[
    bool,
    typer.Option("--jsonl", help="Read JSON lines.", rich_help_panel="What to read"),
]
FormatOf = Annotated[
    Format | None,
    typer.Option(
        "--format",
        help="How to read every input; by default the end of its name says it.",
        rich_help_panel="What to read",
    ),
]
Include = Annotated[
    list[str] | None,
    typer.Option(
        metavar="GLOB",
        help="In folders, read only what fits, such as '*.md'; may be repeated.",
        rich_help_panel="What to read",
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        metavar="GLOB",
        help="In folders, do not read what fits, such as 'data/*'; may be repeated.",
        rich_help_panel="What to read",
    ),
]
Jobs = Annotated[
    int,
    typer.Option(
        min=0,
        max=256,
        help="Processes that share many files; 0 takes every core where there is enough to do.",
    ),
]


def scan(
    files: Files = None,
    jsonl: JsonLines = False,
    form: FormatOf = None,
    include: Include = None,
    exclude: Exclude = None,
    config: MaybeConfig = None,
    threshold: Threshold = None,
    recall: RecallOf = None,
    entity: Only = None,
    without: Without = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write one line of JSON for each input; never text.")
    ] = False,
    page: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write a report with text as one HTML page."),
    ] = None,
    text: Annotated[
        bool | None,
        typer.Option(
            "--text/--no-text",
            help="Show the text around findings; by default only in a terminal.",
        ),
    ] = None,
    jobs: Jobs = 0,
) -> None:
    """Find what is personal in files, folders or standard input. Nothing leaves this machine.

    Reads text, JSON, JSON lines and CSV. In a terminal it shows every finding in its line; anywhere
    else it writes where each one is and never the text itself, so that no log keeps it. Folders are
    read with all below them, but for binary files, links, and folders such as .git.

    In --json, `start` and `end` count code points of the text, or of the string or cell that
    `pointer` (RFC 6901) names; `line` and `column` count from 1. Standard input with --jsonl or
    --format lines is answered line by line, as it comes.

    Example: **guardrail scan notes.txt data/ --exclude '*.lock' --html report.html**

    Example: **tail -f app.log | guardrail scan --format lines --json -**
    """
    paths = files or ([] if sys.stdin.isatty() else [STDIN])
    if not paths:
        fail("say what to scan: files, folders, or - for standard input", code=Code.USAGE)
    form = Format.JSONL if jsonl else form
    asked = Detecting(config, threshold, tuple(entity or ()), tuple(without or ()), recall)
    console = out()
    shown = not as_json and (console.is_terminal if text is None else text)
    with told():
        _, taxonomy = _equipment(asked)
        found = listed(paths, form, include or (), exclude or ())
        totals, kept = Totals(), []
        watched = console if console.is_terminal and not as_json else Console(stderr=True)
        excerpts = shown or page is not None
        for one in _scanned(found, asked, excerpts=excerpts, jobs=jobs, console=watched):
            totals.add(one)
            if page:
                kept.append(one)
            if one.problem:
                complain(f"{one.path}: {one.problem}")
            if as_json and not one.skipped:
                print(json.dumps(one.document(), ensure_ascii=False), flush=True)
            elif not as_json and one.hits:
                _write(console, one, taxonomy, text=shown)
    if page:
        _save(page, html(kept, totals, taxonomy))
    if console.is_terminal and not as_json:
        summary(console, totals, taxonomy)
    elif not as_json:
        Console(stderr=True, highlight=False).print(totals.sentence(), soft_wrap=True)
    if totals.problems:
        raise typer.Exit(Code.USAGE)
    raise typer.Exit(Code.FAILED if totals.findings else Code.OK)


def listed(
    paths: Sequence[str], form: Format | None, include: Sequence[str], exclude: Sequence[str]
) -> list[Input]:
    """Gives all inputs, or ends the command where one cannot be had."""
    try:
        return list(inputs(paths, form=form, include=include, exclude=exclude))
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}", code=Code.USAGE)


def _write(console: Console, one: Scanned, taxonomy: Taxonomy, *, text: bool) -> None:
    if text:
        show(console, one, taxonomy)
        return
    for line in plain(one):
        print(line)


def _save(page: Path, document: str) -> None:
    """Writes a report that only its owner may read, for it holds what was found."""
    try:
        # A new file takes the place of an old one, whoever may read that.
        with replacing(page) as path:
            path.write_bytes(document.encode("utf-8", "replace"))
    except OSError as error:
        fail(f"{page}: cannot be written: {error.strerror}", code=Code.USAGE)


# ── many files ───────────────────────────────────────────────────────────────────────────────────

_WORTH_IT = 1 << 19
"""Bytes from which starting more processes takes less time than it saves."""
_CHUNK = 8
"""Files that a process is given at a time, at most."""


def _scanned(
    found: Sequence[Input], asked: Detecting, *, excerpts: bool, jobs: int, console: Console
) -> Iterator[Scanned]:
    """Scans inputs in their order, by as many processes as it takes."""
    if len(found) == 1 and found[0].path == STDIN and found[0].format in _STREAMED:
        yield from _stream(found[0].format, *_equipment(asked), excerpts=excerpts)
        return
    processes = jobs or (cores() if _size(found) >= _WORTH_IT else 1)
    processes = min(processes, len(found))
    with ExitStack() as stack:
        progress = stack.enter_context(progress_bar(console, hidden=len(found) < 2))
        task = progress.add_task("scanning", total=len(found))
        for one in _in_order(found, asked, excerpts, processes, stack):
            progress.advance(task)
            yield one


def _in_order(
    found: Sequence[Input], asked: Detecting, excerpts: bool, processes: int, stack: ExitStack
) -> Iterable[Scanned]:
    work = partial(_scan_chunk, asked, excerpts)
    if processes > 1:
        size = chunk(len(found), processes)
        chunks = [found[at : at + size] for at in range(0, len(found), size)]
        # Not by forking: a fork of a process with threads can stand still for ever.
        context = multiprocessing.get_context("spawn")
        pool = stack.enter_context(ProcessPoolExecutor(processes, mp_context=context))
        for results in pool.map(work, chunks):
            yield from results
        return
    for one in found:
        yield from work([one])


def chunk(files: int, processes: int) -> int:
    """How many files a process is given at a time: few enough that all have some to the end."""
    return max(1, min(_CHUNK, files // (4 * processes)))


def _scan_chunk(asked: Detecting, excerpts: bool, chunk: Sequence[Input]) -> list[Scanned]:
    detector, taxonomy = _equipment(asked)
    return [
        scan_input(one, detector=detector, taxonomy=taxonomy, excerpts=excerpts) for one in chunk
    ]


@cache
def _equipment(asked: Detecting) -> tuple[Finder, Taxonomy]:
    """The detector of this process, made once."""
    return load_finder(asked)


def cores() -> int:
    """How many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _size(found: Iterable[Input]) -> int:
    size = 0
    for one in found:
        if one.path != STDIN and size < _WORTH_IT:
            try:
                size += os.stat(one.path).st_size
            except OSError:
                continue  # said when it is read
    return size


# ── line by line ─────────────────────────────────────────────────────────────────────────────────

_STREAMED = frozenset({Format.LINES, Format.JSONL})


def _stream(
    form: Format, detector: Finder, taxonomy: Taxonomy, *, excerpts: bool
) -> Iterator[Scanned]:
    """Scans each line of standard input when it has come; lines are numbered from 1."""
    for number, raw in enumerate(sys.stdin.buffer, start=1):
        line = _decoded(raw.rstrip(b"\r\n"))
        if line.strip():
            yield scan_document(
                open_document(line, form),
                path=STDIN,
                detector=detector,
                taxonomy=taxonomy,
                excerpts=excerpts,
                first_line=number,
            )


def _decoded(line: bytes) -> str:
    try:
        return decode(line)[0]
    except (Binary, OSError):  # one odd line must not end a stream
        return line.decode("latin-1")
