"""`guardrail policy rollout`: a share of conversations tries other policies first."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from guardrail.cli.stores import rehearsed
from guardrail.cli.terminal import (
    DEFAULT,
    POLICY_CODES,
    AsJson,
    Code,
    ConfigFile,
    fail,
    out,
    told,
    write_json,
)
from guardrail.config import Config, RegionsConfig, load_config
from guardrail.policy.rollout import Folder, Rollout, read_rollout, write_rollout

rollout = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    epilog=POLICY_CODES,
    help="Let a share of conversations try other policies, then all, or none.",
)


@rollout.command("start", epilog=POLICY_CODES)
def start(
    directory: Annotated[
        Path, typer.Argument(metavar="NEW", help="A folder with the other policies/ and regions/.")
    ],
    share: Annotated[
        int, typer.Option("--share", min=0, max=100, help="Of a hundred conversations, so many.")
    ] = 10,
    file: ConfigFile = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Let a share of conversations be decided by other policies.

    They are checked first, with the apps and endpoints of the configuration, and are in force
    within seconds in every process. They must stay as they are: a changed folder is used no more.
    Where policies must be signed, these must be, too, with a serial not below what is in force.

    Example: **guardrail policy rollout start edited/ --share 10**
    """
    with told(as_json=as_json):
        settings = load_config(file)
        policies = rehearsed(with_folder(settings, directory.resolve()))
        path = _path(settings)
        now = read_rollout(path).start(
            Folder(path=str(directory.resolve()), digest=policies.digest), share
        )
        _taken(settings, now)
        write_rollout(path, now)
    _show(now, as_json=as_json)


@rollout.command("status", epilog=POLICY_CODES)
def status(file: ConfigFile = DEFAULT, as_json: AsJson = False) -> None:
    """Show what is in force, and what a share of conversations tries.

    Example: **guardrail policy rollout status**
    """
    with told(as_json=as_json):
        now = read_rollout(_path(load_config(file)))
    _show(now, as_json=as_json)


@rollout.command("promote", epilog=POLICY_CODES)
def promote(file: ConfigFile = DEFAULT, as_json: AsJson = False) -> None:
    """Let the candidate decide everything. There is a way back: rollback.

    Example: **guardrail policy rollout promote**
    """
    with told(as_json=as_json):
        settings = load_config(file)
        path = _path(settings)
        before = read_rollout(path)
        now = before.promote()
        _same(settings, before)
        write_rollout(path, now)
    _show(now, as_json=as_json)


@rollout.command("rollback", epilog=POLICY_CODES)
def rollback(file: ConfigFile = DEFAULT, as_json: AsJson = False) -> None:
    """Drop the candidate; without one, go back to what was in force before.

    Signed policies that are older than what was in force must be signed again first.

    Example: **guardrail policy rollout rollback**
    """
    with told(as_json=as_json):
        settings = load_config(file)
        path = _path(settings)
        before = read_rollout(path)
        now = before.rollback()
        if now.stable != before.stable:  # a candidate can always be dropped
            _taken(settings, now)
        write_rollout(path, now)
    _show(now, as_json=as_json)


def with_folder(settings: Config, directory: Path) -> Config:
    """The configuration with the policies and regions of another folder, and no rollout."""
    if not (directory / "policies").is_dir():
        fail(f"{directory}: no folder policies/ in it", code=Code.INVALID)
    named: dict[str, object] = {
        "policies": settings.policies.model_copy(
            update={"directory": directory / "policies", "shadow": None, "rollout": None}
        ),
        "regions": RegionsConfig(directory=directory / "regions"),
    }
    return settings.model_copy(update=named)


def _same(settings: Config, before: Rollout) -> None:
    """Refuses to promote what is no longer what a share of conversations tried."""
    candidate = before.candidate
    assert candidate is not None
    if rehearsed(with_folder(settings, Path(candidate.path))).digest != candidate.digest:
        fail(
            f"{candidate.path}: not what the rollout began with; start it again",
            code=Code.INVALID,
        )


def _taken(settings: Config, rollout: Rollout) -> None:
    """Refuses a rollout of signed policies that those who serve would refuse."""
    if not settings.policies.verify_key:
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rollout.json"
        write_rollout(path, rollout)
        policies = settings.policies.model_copy(update={"rollout": path, "shadow": None})
        rehearsed(settings.model_copy(update={"policies": policies}))


def _path(settings: Config) -> Path:
    path = settings.policies.rollout
    assert path is not None  # a configuration that was read from a file has one
    return path


def _show(now: Rollout, *, as_json: bool) -> None:
    rows: dict[str, Any] = {
        "stable": _said(now.stable, "the configuration's folders"),
        "candidate": _said(now.candidate, None),
        "share": now.share,
        "previous": _said(now.previous, "the configuration's folders") if now.promoted else None,
    }
    if as_json:
        write_json(rows)
        return
    for name, value in rows.items():
        shown = f"{value} %" if name == "share" else value or "none"
        out().print(Text.assemble((f"{name:<10}", "bold"), str(shown)), soft_wrap=True)


def _said(folder: Folder | None, otherwise: str | None) -> str | None:
    return f"{folder.path} ({folder.digest[:12]})" if folder else otherwise
