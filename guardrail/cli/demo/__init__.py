"""`guardrail demo`: the whole house at work on this machine, checked byte by byte."""

from __future__ import annotations

import tempfile
import threading
import time
from contextlib import nullcontext, suppress
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer

from guardrail.cli.demo.claims import check, check_all
from guardrail.cli.demo.play import SdkMissing, load_sdk, run, world
from guardrail.cli.demo.prompts import PROMPTS
from guardrail.cli.demo.screen import document, show, show_invitation, show_summary
from guardrail.cli.terminal import AsJson, Code, fail, out, told, write_json


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="Exit after the summary; 0 only if nothing leaked.")
    ] = False,
    as_json: AsJson = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The gateway's port; 0 takes a free one.")
    ] = 0,
) -> None:
    """See what guardrail does to real requests, on this machine alone.

    Starts two stand-in models (one local, one "cloud" in the US) and the real gateway, sends
    prompts through the real OpenAI SDK, and shows what each side saw, what the policies said and
    what was recorded. Nothing leaves this machine; no account, key or model is needed.

    Then it stays up for you to try until Ctrl-C; with --once or --json it exits, with 0 only if
    not one planted value leaked.

    Example: **guardrail demo --once**
    """
    try:
        sdk = load_sdk()
    except SdkMissing:
        fail(
            "the demo speaks through the OpenAI SDK, which is not installed; "
            "run: pip install 'guardrail-asgi[demo]'",
            code=Code.USAGE,
        )
    with told(), tempfile.TemporaryDirectory(prefix="guardrail-demo-") as folder:
        holds = _perform(sdk, Path(folder), port=port, as_json=as_json)
        if not (once or as_json):
            _stay(Path(folder), port=port)
    if not holds:
        raise typer.Exit(Code.FAILED)


def _perform(sdk: ModuleType, folder: Path, *, port: int, as_json: bool) -> bool:
    started = time.monotonic()
    console = out()
    waiting = console.is_terminal and not as_json
    with console.status("starting two models and the gateway") if waiting else nullcontext():
        outcomes = run(sdk, folder / "audit.db", port=port)
        claims = [check(outcome) for outcome in outcomes]
        overall = check_all(outcomes, PROMPTS, folder)
    seconds = time.monotonic() - started
    if as_json:
        write_json(document(outcomes, claims, overall, seconds=seconds))
    else:
        for number, outcome in enumerate(outcomes, start=1):
            show(console, number, outcome)
        show_summary(console, outcomes, claims, overall, seconds=seconds)
    return all(claim.holds for one in (*claims, overall) for claim in one)


def _stay(folder: Path, *, port: int) -> None:
    console = out()
    with world(folder / "audit.db", port=port) as here, suppress(KeyboardInterrupt):
        show_invitation(console, here.url)
        threading.Event().wait()
