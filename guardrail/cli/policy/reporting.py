"""Problems of policies as people and machines read them: text, JSON, SARIF, GitHub annotations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from guardrail.cli.findings import printable
from guardrail.cli.terminal import Code, fail, write_json
from guardrail.policy.problems import KINDS
from guardrail.problems import Problem

Format = Annotated[
    Literal["text", "json", "sarif", "github"],
    typer.Option(
        "--format",
        help="How problems are written: for people, as JSON, as SARIF 2.1.0, or as annotations "
        "of a pull request on GitHub.",
    ),
]
"""The option by which a command is told how to write problems; `text` is its default."""

_STYLES = {"error": "bold red", "warning": "bold yellow"}
_WIDTH = 160
_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_HOME = "https://github.com/guardrail-asgi/guardrail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where the files that problems name lie: each folder by its name, and the configuration."""

    folders: Mapping[str, Path]
    configuration: Path | None = None

    def path(self, problem: Problem) -> Path | None:
        """The file of a problem; None where there is none."""
        if self.configuration and problem.file == self.configuration.name:
            return self.configuration
        folder, _, name = problem.file.partition("/")
        if name and folder in self.folders:
            return self.folders[folder] / name
        return None if problem.file else self.configuration

    def shown(self, problem: Problem) -> str:
        """The file, relative to the working folder where it lies in it; empty where none is."""
        path = self.path(problem)
        if path is None:
            return problem.file
        here = Path.cwd().resolve()
        path = path.resolve()
        return path.relative_to(here).as_posix() if path.is_relative_to(here) else path.as_posix()

    def uri(self, problem: Problem) -> str:
        """The same as a URI."""
        shown = self.shown(problem)
        return Path(shown).as_uri() if shown.startswith("/") else quote(shown)


def chosen(output: str, as_json: bool) -> str:
    """The format that two options ask for; ends the command where they contradict each other."""
    if as_json and output not in ("text", "json"):
        fail(f"--json and --format {output}: give one", code=Code.USAGE)
    return "json" if as_json else output


def write_problems(
    problems: Sequence[Problem], output: str, places: Places, *, console: Console
) -> None:
    """Writes problems in a format; text goes to the console, the rest to standard output."""
    if output == "json":
        write_json(document(problems))
    elif output == "sarif":
        write_json(sarif(problems, places))
    elif output == "github":
        for problem in problems:
            typer.echo(annotation(problem, places))
    else:
        for problem in problems:
            for line in _text(problem, places):
                console.print(line, soft_wrap=True)


def document(problems: Sequence[Problem]) -> dict[str, Any]:
    """Problems as one JSON document: `problems` are the lines, `found` the same as data."""
    return {
        "ok": not problems,
        "problems": [str(problem) for problem in problems],
        "found": [asdict(problem) for problem in problems],
    }


# ---- text


def _text(problem: Problem, places: Places) -> Iterator[Text]:
    yield Text.assemble(
        (f"{problem.severity}: ", _STYLES[problem.severity]),
        printable(str(problem)),
        (f" ({problem.code})", "dim"),
    )
    path = places.path(problem)
    line = _line(path, problem.line) if path and problem.line else None
    if line is not None and problem.column:
        # A window around the place, so that a line of any length is one line here.
        start = max(problem.column - _WIDTH // 2, 0) if len(line) > _WIDTH else 0
        margin = f"{problem.line:>5} | "
        shown = "".join(letter if letter.isprintable() else "·" for letter in line)
        yield Text.assemble((margin, "dim"), shown[start : start + _WIDTH])
        blank = " " * cell_len(shown[start : problem.column - 1])  # some letters are two wide
        yield Text.assemble(
            (" " * (len(margin) - 2) + "| ", "dim"), blank, ("^", _STYLES[problem.severity])
        )


def _line(path: Path, number: int) -> str | None:
    try:
        lines = path.read_text("utf-8", errors="replace").split("\n")
    except OSError:
        return None
    return lines[number - 1].replace("\t", " ") if number <= len(lines) else None


# ---- GitHub


def annotation(problem: Problem, places: Places) -> str:
    """A problem as a workflow command of GitHub Actions.

    Source: https://docs.github.com/actions/reference/workflow-commands-for-github-actions
    """
    values = {
        "file": places.shown(problem),
        "line": str(problem.line or ""),
        "col": str(problem.column or ""),
        "title": problem.code,
    }
    properties = ",".join(f"{name}={_property(value)}" for name, value in values.items() if value)
    rule = f"[{problem.rule}] " if problem.rule else ""
    return f"::{problem.severity} {properties}::{_data(rule + problem.message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


# ---- SARIF


def sarif(problems: Sequence[Problem], places: Places) -> dict[str, Any]:
    """Problems as a SARIF log with every kind of problem as a rule.

    Source: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
    """
    order = {code: number for number, code in enumerate(KINDS)}
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "guardrail",
                        "version": metadata.version("guardrail-asgi"),
                        "informationUri": _HOME,
                        "rules": [
                            {
                                "id": code,
                                "shortDescription": {"text": kind.about},
                                "helpUri": f"{_HOME}/blob/main/docs/policy-problems.md",
                                "defaultConfiguration": {"level": kind.severity},
                                "properties": {"stopsLoading": kind.stops},
                            }
                            for code, kind in KINDS.items()
                        ],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": [_result(problem, order, places) for problem in problems],
            }
        ],
    }


def _result(problem: Problem, order: Mapping[str, int], places: Places) -> dict[str, Any]:
    region = {"startLine": problem.line, "startColumn": problem.column}
    uri = places.uri(problem)
    location: dict[str, Any] = {}
    if uri:
        location["physicalLocation"] = {
            "artifactLocation": {"uri": uri},
            **({"region": {key: n for key, n in region.items() if n}} if problem.line else {}),
        }
    if problem.rule:
        location["logicalLocations"] = [{"name": problem.rule, "kind": "member"}]
    return {
        "ruleId": problem.code,
        "ruleIndex": order[problem.code],
        "level": problem.severity,
        "message": {"text": problem.message},
        **({"locations": [location]} if location else {}),
    }
