"""`guardrail policy lint`: what is wrong with the policies that Cedar's validator cannot see."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from guardrail.cli.policy.reporting import Format, Places, chosen, write_problems
from guardrail.cli.stores import Directory, draft_of, folders_of, located
from guardrail.cli.terminal import DEFAULT, AsJson, Code, ConfigFile, out
from guardrail.errors import ConfigError
from guardrail.policy.review import review
from guardrail.problems import Problem


def lint(
    directory: Directory = None,
    file: ConfigFile = DEFAULT,
    output: Format = "text",
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 on warnings.")] = False,
    as_json: AsJson = False,
) -> None:
    """Review the policies: all that `check` finds, and what people should know beside it.

    Missing reasons and citations, exceptions that end, profiles that nobody reviewed, facts that
    this deployment never supplies. A comment `// guardrail: ignore CODE reason` on the line before
    a rule silences one kind for it.

    Example: **guardrail policy lint my-gateway --format github**
    """
    form = chosen(output, as_json)
    configuration = None if directory else file
    folders: tuple[Path, ...] = ()
    try:
        folders = folders_of(directory, file)
        problems = _found(directory, file)
    except ConfigError as error:
        problems = list(error.details)
    if configuration:
        problems = located(problems, file)
    places = Places(
        folders={folder.name: folder for folder in folders}, configuration=configuration
    )
    write_problems(problems, form, places, console=out())
    counts = Counter[str](problem.severity for problem in problems)
    if form == "text":
        _conclude(counts)
    if counts["error"]:
        raise typer.Exit(Code.INVALID)
    if counts["warning"] and strict:
        raise typer.Exit(Code.FAILED)


def _found(directory: Path | None, file: Path) -> list[Problem]:
    draft, regions, lacking = draft_of(directory, file)
    return review(draft, regions=regions, today=datetime.now(UTC).date(), lacking=lacking)


def _conclude(counts: Counter[str]) -> None:
    if not counts:
        out().print(Text.assemble(("ok", "bold green"), ": no errors, no warnings"))
        return
    said = (f"{number} {name}{'s' * (number != 1)}" for name, number in sorted(counts.items()))
    out().print(", ".join(said))
