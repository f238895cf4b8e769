"""`guardrail audit`: reading the audit log."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.table import Table

from guardrail.audit.event import encode
from guardrail.audit.stores.sqlite import SqliteStore
from guardrail.cli.terminal import CODES, DEFAULT, AsJson, ConfigFile, fail, out, told, write_json
from guardrail.config import load_config
from guardrail.types import AuditEvent

audit = typer.Typer(
    no_args_is_help=True, rich_markup_mode="markdown", epilog=CODES, help="Read the audit log."
)


@audit.callback()
def _audit() -> None:
    """Read the audit log."""


@audit.command("tail", epilog=CODES)
def tail(
    file: ConfigFile = DEFAULT,
    count: Annotated[
        int, typer.Option("-n", "--count", min=1, max=10_000, help="How many events.")
    ] = 20,
    as_json: AsJson = False,
) -> None:
    """Show the last events of the audit log, oldest first.

    Events hold counts, categories, endpoints and policies, and never text.

    Example: **guardrail audit tail -n 50**
    """
    with told(as_json=as_json):
        path = load_config(file).audit.path
        if not path.exists():
            fail(f"{path}: there is no audit log yet; `guardrail serve` makes it")
        events = _last(path, count)
    if as_json:
        write_json([{"seq": number, **json.loads(encode(event))} for number, event in events])
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for title in ("seq", "time (UTC)", "event"):
        table.add_column(title, no_wrap=True)
    for title in ("app", "endpoint", "treatment", "found", "status"):
        table.add_column(title, overflow="fold")
    for number, event in events:
        table.add_row(str(number), *_row(event))
    out().print(table)


def _last(path: Path, count: int) -> list[tuple[int, AuditEvent]]:
    with closing(SqliteStore(path)) as store:
        try:
            return store.last(count)
        except ValueError:
            fail(f"{path}: an event is not as it was written; restore the file from a backup")


def _row(event: AuditEvent) -> tuple[str, ...]:
    where = f"{event.endpoint} ({event.location})" if event.location else "-"
    status = " ".join(filter(None, (str(event.status or ""), event.code)))
    return (
        f"{event.at:%m-%d %H:%M:%S}",
        event.kind.rpartition(".")[2],
        event.principal,
        where,
        event.treatment or "-",
        _counts(event.counts),
        status,
    )


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{entity} {count}" for entity, count in counts.items()) or "-"
