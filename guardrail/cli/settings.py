"""`guardrail init` and `config`: making a configuration, showing it, and checking it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from guardrail.cli.stores import rehearsed
from guardrail.cli.terminal import CODES, DEFAULT, AsJson, ConfigFile, fail, out, told, write_json
from guardrail.config import FILE, Config, default_directory, load_config

config = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    epilog=CODES,
    help="Show and check the configuration.",
)

_FOLDERS = ("policies", "regions")


# ── init ─────────────────────────────────────────────────────────────────────────────────────────


def init(
    directory: Annotated[Path, typer.Argument(help="Where to write; made if missing.")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is there.")] = False,
) -> None:
    """Write a first configuration, with the policies and regions that guardrail ships.

    Writes guardrail.toml, policies/ and regions/. Overwrites nothing unless told to with --force.

    Example: **guardrail init my-gateway**
    """
    taken = [name for name in (FILE, *_FOLDERS) if (directory / name).exists()]
    if taken and not force:
        fail(f"{directory}: {', '.join(taken)} exist already; --force overwrites them")
    template = resources.files("guardrail.cli") / "templates" / FILE
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name in _FOLDERS:
            shutil.copytree(default_directory(name), directory / name, dirs_exist_ok=True)
        (directory / FILE).write_text(template.read_text("utf-8"), "utf-8")
    except (OSError, shutil.Error) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        fail(f"{directory}: cannot be written: {reason}; choose another folder")
    console = out()
    console.print(f"Wrote {FILE}, policies/ and regions/ to {directory}.", markup=False)
    file = directory / FILE
    option = "" if file == DEFAULT else f" --config {file}"
    console.print("\nNext:", style="bold")
    for number, (step, command) in enumerate(
        (
            ("say who asks and where models are", f"edit {file}"),
            ("see whether all fits together", f"guardrail config check{option}"),
            ("start the gateway", f"guardrail serve{option}"),
            ("point your application at it", "OPENAI_BASE_URL=http://127.0.0.1:8750/v1"),
        ),
        start=1,
    ):
        console.print(Text(f"  {number}. {step}:\n     {command}"), soft_wrap=True)


# ── config ───────────────────────────────────────────────────────────────────────────────────────


@config.command("show", epilog=CODES)
def show_config(file: ConfigFile = DEFAULT, as_json: AsJson = False) -> None:
    """Show the configuration as it takes effect: file, environment and defaults; secrets masked.

    Example: **guardrail config show --config my-gateway/guardrail.toml**
    """
    with told():
        settings = _masked(load_config(file))
    if as_json:
        write_json(settings)
        return
    for path, value in _flat(settings):
        typer.echo(f"{path} = {json.dumps(value, ensure_ascii=False)}")


@config.command("check", epilog=CODES)
def check_config(file: ConfigFile = DEFAULT, as_json: AsJson = False) -> None:
    """Check that the configuration, its policies and its regions fit together.

    Lists problems by the path of the setting; nothing is started and nothing is written.

    Example: **guardrail config check**
    """
    with told(as_json=as_json):
        settings = load_config(file)
        policies = rehearsed(settings)
    if as_json:
        write_json({"ok": True, "apps": list(settings.apps), "endpoints": list(settings.endpoints)})
        return
    out().print(
        Text.assemble(
            ("ok ", "bold green"),
            f"{file}: {len(settings.apps)} apps, {len(settings.endpoints)} endpoints, "
            f"{len(policies.reasons)} policies, regions {', '.join(policies.regions.ids)}",
        ),
        soft_wrap=True,
    )


def _masked(settings: Config) -> dict[str, Any]:
    """The settings as JSON values; pydantic masks secrets, and passwords in addresses go here."""
    shown: dict[str, Any] = settings.model_dump(mode="json")
    for name, endpoint in settings.endpoints.items():
        url = endpoint.url
        if url and (url.username or url.password):
            credentials = str(url).partition("://")[2].rpartition("@")[0]
            shown["endpoints"][name]["url"] = str(url).replace(credentials, "**********", 1)
    return shown


def _flat(value: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, inner in value.items():
        if isinstance(inner, dict) and inner:
            yield from _flat(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", inner
