"""`guardrail policy replay`: what other policies would have decided on recorded requests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any, Literal

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from guardrail.audit.stores.sqlite import SqliteStore
from guardrail.cli.policy.rollout import with_folder
from guardrail.cli.stores import rehearsed, written
from guardrail.cli.terminal import (
    DEFAULT,
    AsJson,
    Code,
    ConfigFile,
    fail,
    out,
    progress_bar,
    told,
    write_json,
)
from guardrail.config import load_config
from guardrail.policy.replay import Change, Outcome, Replay
from guardrail.types import AuditEvent

_PAGE = 1000


def replay(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder with the other policies/ and regions/.")
    ],
    file: ConfigFile = DEFAULT,
    last: Annotated[
        int, typer.Option("--last", min=0, help="Only the newest events, so many. 0: all.")
    ] = 0,
    fail_on: Annotated[
        Literal["never", "looser"],
        typer.Option("--fail-on", help="Exit with 5 when a request would have been treated so."),
    ] = "never",
    as_json: AsJson = False,
) -> None:
    """Decide the requests of the audit log again by other policies, and list what would change.

    The log holds no content: what policies were asked is recorded as counts and words, and is put
    to the other set with today's apps and endpoints. Nothing is sent and nothing is recorded.

    Example: **guardrail policy replay edited/ --last 50000**
    """
    with told(as_json=as_json):
        settings = load_config(file)
        policies = rehearsed(with_folder(written(settings), directory))
        path = settings.audit.path
        if not path.exists():
            fail(f"{path}: there is no audit log yet; `guardrail serve` makes it")
        replayed, began = Replay(policies), perf_counter()
        with closing(SqliteStore(path)) as store:
            _run(replayed, store, path, last, quiet=as_json)
    seconds = perf_counter() - began
    if as_json:
        write_json(_document(replayed.outcome, seconds, policies.digest))
    else:
        _show(replayed.outcome, seconds)
    if fail_on == "looser" and any(change.looser for change in replayed.outcome.changes):
        raise typer.Exit(Code.LOOSER)


def _run(replayed: Replay, store: SqliteStore, path: Path, last: int, *, quiet: bool) -> None:
    newest = store.last(1)
    end = newest[0][0] if newest else 0
    start = max(end - last, 0) if last else 0
    with progress_bar(Console(stderr=True), hidden=quiet) as progress:
        task = progress.add_task("replaying", total=end - start)
        for number, event in _events(store, path, start, end):
            replayed.put(event)
            progress.update(task, completed=number - start)


def _events(
    store: SqliteStore, path: Path, start: int, end: int
) -> Iterator[tuple[int, AuditEvent]]:
    while start < end:
        try:
            page = store.read(after=start, limit=min(_PAGE, end - start))
        except ValueError:
            fail(f"{path}: an event is not as it was written; restore the file from a backup")
        if not page:
            return
        yield from page
        start = page[-1][0]


def _document(outcome: Outcome, seconds: float, digest: str) -> dict[str, Any]:
    return {
        "digest": digest,
        "events": outcome.events,
        "questions": outcome.asked,
        "same": outcome.same,
        "changed": outcome.changed,
        "skipped": dict(outcome.skipped),
        "seconds": round(seconds, 3),
        "changes": [
            {
                "app": change.principal,
                "endpoint": change.endpoint,
                "category": change.category,
                "old": change.old.name.lower(),
                "new": change.new.name.lower(),
                "looser": change.looser,
                "policies": change.policies,
                "events": count,
                "example": outcome.examples[change],
            }
            for change, count in outcome.sorted()
        ],
    }


def _show(outcome: Outcome, seconds: float) -> None:
    console = out()
    if outcome.changes:
        console.print(_table(outcome.sorted()))
    rate = outcome.events / seconds if seconds else 0.0
    console.print(
        f"{outcome.events:,} events in {seconds:.1f} s ({rate:,.0f} a second; "
        f"{outcome.asked:,} distinct questions): {outcome.changed:,} would be treated otherwise, "
        f"{outcome.same:,} alike",
        soft_wrap=True,
    )
    for reason, count in sorted(outcome.skipped.items()):
        console.print(f"{count:,} not replayed: {_WHY[reason]}", soft_wrap=True)


_WHY = {
    "undecided": "refused before any policy was asked",
    "unrecorded": "recorded by a release that did not keep what policies were asked",
    "unknown": "of an app or endpoint that the configuration no longer has",
}


def _table(changes: list[tuple[Change, int]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("", "app", "endpoint", "category", "was", "would be", "by", "events"):
        table.add_column(title, overflow="fold", justify="right" if title == "events" else "left")
    for change, count in changes:
        table.add_row(
            "LOOSER" if change.looser else "stricter",
            change.principal,
            change.endpoint,
            change.category,
            change.old.name.lower(),
            change.new.name.lower(),
            ", ".join(change.policies) or "no rule",
            f"{count:,}",
            style="bold red" if change.looser else None,
        )
    return table
