"""`guardrail policy check`: whether the policies may be loaded, and what is in them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from guardrail.cli.policy.reporting import Format, Places, chosen, document, write_problems
from guardrail.cli.stores import Directory, folders_of, located, policies_of
from guardrail.cli.terminal import DEFAULT, AsJson, Code, ConfigFile, out, told, write_json
from guardrail.errors import ConfigError
from guardrail.policy.loader import PolicyStore


def check(
    directory: Directory = None,
    file: ConfigFile = DEFAULT,
    output: Format = "text",
    as_json: AsJson = False,
) -> None:
    """Check the policies: grammar, types, names, duplicates; each problem with file, line, column.

    With a configuration, the policies are also checked against its apps and endpoints.

    Example: **guardrail policy check my-gateway**
    """
    form = chosen(output, as_json)
    configuration = None if directory else file
    folders: tuple[Path, ...] = ()
    with told(as_json=form == "json"):
        try:
            folders = folders_of(directory, file)
            policies = policies_of(directory, file)
        except ConfigError as error:
            places = Places(
                folders={folder.name: folder for folder in folders}, configuration=configuration
            )
            console = Console(stderr=True, highlight=False)
            problems = located(error.details, file) if configuration else error.details
            write_problems(problems, form, places, console=console)
            raise typer.Exit(Code.INVALID) from None
    _show(policies, form)


def _show(policies: PolicyStore, form: str) -> None:
    laws = _laws(policies)
    if form == "json":
        write_json({**document(()), "digest": policies.digest, "laws": laws})
        return
    if form != "text":
        write_problems((), form, Places(folders={}), console=out())
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("file", no_wrap=True)
    table.add_column("permit", justify="right")
    table.add_column("forbid", justify="right")
    table.add_column("applies to")
    table.add_column("reviewed", no_wrap=True)
    for law in laws:
        counts = (str(law["permit"]), str(law["forbid"]))
        table.add_row(law["file"], *counts, law["applies_to"], law["last_reviewed"])
    console = out()
    console.print(table)
    console.print(Text.assemble(("ok ", "bold green"), f"digest {policies.digest}"), soft_wrap=True)


def _laws(policies: PolicyStore) -> list[dict[str, Any]]:
    """One row per policy file, in the order of its name."""
    effects: dict[str, Counter[str]] = {}
    for reason in policies.reasons.values():
        effects.setdefault(reason.place.partition(":")[0], Counter())[reason.effect] += 1
    rows = []
    for file, count in sorted(effects.items()):
        region = policies.regions.regions.get(Path(file).stem)
        rows.append(
            {
                "file": file,
                "permit": count["permit"],
                "forbid": count["forbid"],
                "applies_to": region.name if region else "everywhere",
                "last_reviewed": region.last_reviewed.isoformat() if region else "",
            }
        )
    return rows
