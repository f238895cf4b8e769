"""docs/commands.md has every command and every option, and none that does not exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from guardrail.cli import app

TEXT = Path(__file__).parent.parent.joinpath("docs/commands.md").read_text("utf-8")


def commands(group: Any, prefix: str = "guardrail") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", command


COMMANDS = dict(commands(typer.main.get_command(app)))


def documented(command: str) -> set[str]:
    section = TEXT.split(f"\n## `{command}`\n", 1)[1].split("\n## ", 1)[0]
    cells = re.findall(r"^\| ((?:`-[^`]+`(?:, )?)+) \|", section, re.MULTILINE)
    return {option for cell in cells for option in re.findall(r"`([^`]+)`", cell)}


def test_every_command_has_a_heading_and_no_other() -> None:
    assert sorted(re.findall(r"^## `(.+)`$", TEXT, re.MULTILINE)) == sorted(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_documented_and_no_other(command: str) -> None:
    options = {
        name
        for parameter in COMMANDS[command].params
        if parameter.param_type_name == "option" and parameter.name != "help"
        for name in (*parameter.opts, *parameter.secondary_opts)
    }
    assert documented(command) == options
