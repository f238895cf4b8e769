"""What every command shares: where it writes, how it fails, and with which exit code."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from guardrail.config import FILE
from guardrail.errors import ConfigError, Unavailable


class Code(IntEnum):
    """Exit codes of every command; `CODES` says it to people."""

    OK = 0
    FAILED = 1
    USAGE = 2
    INVALID = 3
    UNTESTED = 4
    LOOSER = 5
    UNSIGNED = 6
    EXPIRED = 7
    ROLLED_BACK = 8


CODES = "Exit codes: 0 ok, 1 failed, 2 wrong usage, 3 invalid configuration or policies."
"""The last line of every command's help."""

POLICY_CODES = f"{CODES[:-1]}, 4 scenarios failed, 5 looser."
"""The same for commands about policies."""

SIGNED_CODES = f"{CODES[:-1]}, 6 badly signed or changed, 7 expired, 8 rolled back."
"""The same for verifying signed policies."""

ConfigFile = Annotated[
    Path,
    typer.Option(
        "--config", "-c", metavar="FILE", envvar="GUARDRAIL_CONFIG", help="The configuration."
    ),
]
"""The option by which a command is told its configuration; `DEFAULT` is its default."""

DEFAULT = Path(FILE)

AsJson = Annotated[bool, typer.Option("--json", help="Write one JSON document for a machine.")]


def out() -> Console:
    """Standard output, as it is at this moment; without colour where `NO_COLOR` asks for none."""
    return Console(highlight=False)


def write_json(value: object) -> None:
    """Writes one JSON document to standard output."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def complain(problem: str) -> None:
    """Writes one problem to standard error: what is wrong, where, and how to mend it."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(
        Text.assemble(("error: ", "bold red"), problem)
    )


def fail(problem: str, *, code: Code = Code.FAILED) -> NoReturn:
    """Writes one problem and ends the command."""
    complain(problem)
    raise typer.Exit(code)


@contextmanager
def told(*, as_json: bool = False) -> Iterator[None]:
    """Turns guardrail's errors into lines on standard error and the exit code they stand for.

    `as_json` also writes them to standard output, for who reads a document there.
    """
    try:
        yield
    except (ConfigError, Unavailable) as error:
        invalid = isinstance(error, ConfigError)
        problems = error.problems if isinstance(error, ConfigError) else (str(error),)
        if as_json:
            write_json({"ok": False, "problems": list(problems)})
        for problem in problems:
            complain(problem)
        raise typer.Exit(Code.INVALID if invalid else Code.FAILED) from None


def progress_bar(console: Console, *, hidden: bool = False) -> Progress:
    """A bar for who watches a terminal, gone when it is done."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=hidden or not console.is_terminal,
        transient=True,
    )


def bind(host: str, port: int) -> socket.socket:
    """Gives a socket that listens; ends the command if the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).partition(" (")[0]
        fail(f"cannot listen on {host}, port {port}: {reason}; choose another with --port")
