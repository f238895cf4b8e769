"""docs/policies.md is a walk that anybody can take: each command is run, each output compared.

A block of `console` holds commands after `$ ` with what they print; `…` stands for any text, and
alone on a line for any lines. A block of `diff` is an edit that is made, and one that is named
after a file in its first line is written to it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "policies.md"
_BLOCK = re.compile(r"^```(?P<kind>[\w-]+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"(?://|#) (?P<name>[\w./-]+)\n")


class Step(NamedTuple):
    """A command with the output that the page shows, or a file with its text, or an edit."""

    kind: str
    line: int
    command: str
    output: str


def steps(text: str) -> Iterator[Step]:
    for block in _BLOCK.finditer(text):
        line = text.count("\n", 0, block.start()) + 2
        kind, body = block["kind"], block["text"]
        if kind == "console":
            for shown in re.split(r"^(?=\$ )", body, flags=re.MULTILINE):
                if shown:
                    # A command goes on over lines that end in a backslash.
                    command, _, output = re.sub(r"\\\n\s*", "", shown[2:]).partition("\n")
                    yield Step("run", line, command, output)
                line += shown.count("\n")
        elif kind == "diff":
            yield Step("edit", line, "", body)
        elif _FILE.match(body) and kind in ("cedar", "yaml"):
            yield Step(kind, line, _FILE.match(body)["name"], body)  # type: ignore[index]


def pattern(output: str) -> str:
    """What the page shows, as an expression; trailing blanks do not count."""
    parts = []
    for line in output.rstrip("\n").split("\n") if output else []:
        if line.strip() == "…":
            parts.append(r"(?:.*\n)*?")
        else:
            parts.append(".*".join(map(re.escape, line.rstrip().split("…"))) + r" *\n")
    return "".join(parts)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `guardrail` on the path, and a name for git."""
    folder = tmp_path_factory.mktemp("guide")
    (folder / "bin").mkdir()
    program = folder / "bin" / "guardrail"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m guardrail "$@"\n', "utf-8")
    program.chmod(0o755)
    (folder / "work").mkdir()
    return folder


def environment(home: Path) -> dict[str, str]:
    roles = [f"GIT_{who}_{key}" for who in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GUARDRAIL_")}
    return {
        **kept,
        **dict.fromkeys(roles, "editor"),
        "PATH": f"{home / 'bin'}{os.pathsep}{kept['PATH']}",
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "100",
        "NO_COLOR": "1",
        "OPENAI_API_KEY": "key-0123456789",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "HOME": str(home),
    }


def test_the_walk_can_be_taken(home: Path) -> None:
    folder, last = home / "work", 0
    for step in steps(PAGE.read_text("utf-8")):
        where = f"docs/policies.md:{step.line}"
        if step.kind == "edit":
            done = subprocess.run(
                ["git", "apply", "--unidiff-zero", "-"],
                input=step.output,
                text=True,
                cwd=folder,
                env=environment(home),
                capture_output=True,
                check=False,
            )
            assert done.returncode == 0, f"{where}: {done.stderr}"
        elif step.kind in ("cedar", "yaml"):
            shown = step.output.partition("\n")[2].lstrip("\n")
            file = folder / step.command
            if "…" not in shown and not file.exists():
                file.write_text(step.output, "utf-8")
            else:
                # What the page quotes stands in the file.
                text = file.read_text("utf-8")
                assert re.search(pattern(shown), text), f"{where}: {step.command} reads otherwise"
        else:
            last, folder, output = ran(step.command, last, folder, home)
            said = "\n".join(line.rstrip() for line in output.split("\n"))
            assert re.fullmatch(pattern(step.output), said), f"{where}: $ {step.command}\n{output}"


def ran(command: str, last: int, folder: Path, home: Path) -> tuple[int, Path, str]:
    """Runs one command as if in the shell of the one before: its status, folder and output."""
    after = home / "after"
    script = f"(exit {last})\n{command}\nprintf '%s %s' $? \"$PWD\" > {after}"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=environment(home),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    status, _, where = after.read_text("utf-8").partition(" ")
    return int(status), Path(where), done.stdout


def test_the_recipe_for_pull_requests_uses_commands_that_exist() -> None:
    text = PAGE.read_text("utf-8")
    (recipe,) = [one["text"] for one in _BLOCK.finditer(text) if one["text"].startswith("name: ")]
    job = yaml.safe_load(recipe)["jobs"]["policies"]
    commands = [step["run"] for step in job["steps"] if "run" in step]
    asked = [line for one in commands for line in one.splitlines() if "guardrail policy" in line]
    assert {line.split("guardrail policy ")[1].split()[0] for line in asked} == {
        "lint",
        "fmt",
        "test",
        "matrix",
        "diff",
    }
    for line in asked:
        name = line.split("guardrail policy ")[1].split()[0]
        options = re.findall(r"(?<= )--[\w-]+", line)
        shown = subprocess.run(
            [sys.executable, "-m", "guardrail", "policy", name, "--help"],
            env={**os.environ, "COLUMNS": "200", "PYTHONPATH": str(ROOT)},
            text=True,
            capture_output=True,
            check=True,
        ).stdout
        assert all(option in shown for option in options), line
