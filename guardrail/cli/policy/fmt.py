"""`guardrail policy fmt`: every file of rules, written in one way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from difflib import unified_diff
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from guardrail.cli.findings import printable
from guardrail.cli.policy.reporting import Places, write_problems
from guardrail.cli.stores import Directory, edited_folders
from guardrail.cli.terminal import DEFAULT, AsJson, Code, ConfigFile, fail, out, told, write_json
from guardrail.policy.cedar import Source
from guardrail.policy.formatting import formatted
from guardrail.problems import Problem

_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


def fmt(
    directory: Directory = None,
    file: ConfigFile = DEFAULT,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 1 if a file would change.")
    ] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Write nothing; show changes.")] = False,
    as_json: AsJson = False,
) -> None:
    """Format the rules as Cedar's formatter does, with comments and blank lines kept.

    What a rule says is compared before and after, so that formatting never changes it.

    Example: **guardrail policy fmt my-gateway --check**
    """
    with told(as_json=as_json):
        policies, _ = edited_folders(directory, file)
    changes: dict[Path, tuple[str, str]] = {}
    problems: list[Problem] = []
    for path, before, after, faults in _formatted(policies):
        problems += faults
        if before != after:
            changes[path] = (before, after)
    if not (check or diff):
        for path, (_, after) in changes.items():
            write(path, after)
    if as_json:
        write_json(
            {
                "ok": not problems and not (check and changes),
                "changed": [path.as_posix() for path in changes],
                "problems": [str(problem) for problem in problems],
                "found": [asdict(problem) for problem in problems],
            }
        )
    else:
        if diff:
            _show_diff(changes)
        verb = "would be formatted" if check or diff else "formatted"
        for path in changes:
            out().print(Text(f"{path}: {verb}"), soft_wrap=True)
        console = Console(stderr=True, highlight=False)
        write_problems(problems, "text", Places(folders={policies.name: policies}), console=console)
    if problems:
        raise typer.Exit(Code.INVALID)
    if check and changes:
        raise typer.Exit(Code.FAILED)


def _formatted(folder: Path) -> Iterator[tuple[Path, str, str, Sequence[Problem]]]:
    """Each file of rules: its text, what the text should be, and why it cannot be formatted."""
    for path in sorted(folder.glob("*.cedar")):
        source = Source(name=f"{folder.name}/{path.name}", text="")
        try:
            text = path.read_bytes().decode()
        except (OSError, UnicodeDecodeError):
            said = "cannot be read as UTF-8; save it so"
            yield path, "", "", [source.whole("unreadable-file", said)]
            continue
        after, problems = formatted(Source(name=source.name, text=text))
        yield path, text, after, problems


def write(path: Path, text: str) -> None:
    """Writes a text in place of a file; ends the command where it cannot be written."""
    try:
        path.write_text(text, "utf-8", newline="\n")
    except OSError as error:
        fail(f"{path}: cannot be written: {error.strerror}; make it writable")


def _show_diff(changes: dict[Path, tuple[str, str]]) -> None:
    console = out()
    for path, (before, after) in changes.items():
        lines = before.splitlines(), after.splitlines()
        name = path.as_posix()
        for line in unified_diff(*lines, name, name, lineterm=""):
            style = _COLOURS.get(line[:1], "")
            console.print(Text(printable(line), style=style), soft_wrap=True)
