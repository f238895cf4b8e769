"""The command line: thin commands over the same objects that the shells use."""

from __future__ import annotations

import io
import sys
from importlib import metadata
from typing import Annotated

import typer

from guardrail.cli import audit, demo, entities, evaluate, known, redact, scan, serve, settings
from guardrail.cli.policy import policy
from guardrail.cli.terminal import CODES

app = typer.Typer(
    name="guardrail",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
    pretty_exceptions_show_locals=False,
    epilog=CODES,
)
"""Every command, as `guardrail` and `python -m guardrail` run it."""


def _version() -> str:
    return f"guardrail {metadata.version('guardrail-asgi')}"


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(_version())
        raise typer.Exit


@app.callback()
def guardrail(
    _wanted: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Privacy and policy enforcement for LLM traffic.

    See it at work:   **guardrail demo**

    Set it up:        **guardrail init**, then **guardrail serve**

    Use it on files:  **guardrail scan**, **guardrail redact**
    """


@app.command(epilog=CODES)
def version() -> None:
    """Show the version."""
    typer.echo(_version())


app.command("init", epilog=CODES)(settings.init)
app.command("serve", epilog=CODES)(serve.serve)
app.command("demo", epilog=CODES)(demo.demo)
app.command("scan", epilog=scan.CODES)(scan.scan)
app.command("redact", epilog=CODES)(redact.redact)
app.command("entities", epilog=CODES)(entities.entities)
app.command("evaluate", epilog=CODES)(evaluate.evaluate)
app.add_typer(settings.config, name="config")
app.add_typer(policy, name="policy")
app.add_typer(audit.audit, name="audit")
app.add_typer(known.known, name="known")


def main() -> None:
    """Runs the command that the process's arguments say."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # an umlaut must not fail on an ASCII terminal
            stream.reconfigure(errors="replace")
    app(prog_name="guardrail")
