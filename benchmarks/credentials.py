"""How often the rules for credentials cry wolf, counted over the source of public packages.

Each package is downloaded with pip, unpacked and read file by file; a path is read as it is. What
is found is printed per rule, with `--list` each one by file and line. Nothing of a package runs.

    python benchmarks/credentials.py [PACKAGE | PATH ...] [--list] [--json] [--markdown]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

import guardrail
from guardrail.detection.patterns import find
from guardrail.detection.secrets import secret_catalogue, secret_rules

PACKAGES = ("django", "sympy", "pandas")
TEXT = frozenset(
    ".cfg .conf .css .csv .env .h .html .ini .js .json .md .po .ps1 .py .pyi .pyx .rst .sh .sql "
    ".toml .txt .xml .yaml .yml".split()
)
_ENOUGH = 2_000_000
"""Characters of a file that are read: data beyond it is more of the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """Where a rule found something, and what."""

    rule: str
    file: str
    line: int
    value: str


@dataclass(slots=True, kw_only=True)
class Count:
    """What was read of one package, and found in it."""

    package: str
    files: int = 0
    lines: int = 0
    characters: int = 0
    seconds: float = 0.0
    alarms: list[Alarm] = field(default_factory=list)


def fetch(package: str, folder: Path) -> Path:
    """Gives the folder with the unpacked newest release of a package."""
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder)]
    subprocess.run([*command, package], check=True)
    archive = next(path for path in folder.iterdir() if path.is_file())
    unpacked = folder / "unpacked"
    if archive.suffix in {".whl", ".zip"}:
        with zipfile.ZipFile(archive) as wheel:
            wheel.extractall(unpacked)
    else:
        with tarfile.open(archive) as source:
            source.extractall(unpacked, filter="data")
    return unpacked


def texts(place: Path, *, without: str = "") -> Iterator[tuple[str, str]]:
    """Gives the name and the text of each file of text, not of those in a folder `without`."""
    for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
        if path.is_file() and path.suffix in TEXT and path.parent.name != without:
            yield str(path.relative_to(place)), path.read_text("utf-8", "replace")[:_ENOUGH]


def read(package: str, place: Path, *, quiet: bool, without: str = "") -> Count:
    """Gives what is found in every file of a place but those in a folder `without`."""
    count, rules = Count(package=package), secret_rules()
    files = list(texts(place, without=without))
    console = Console(stderr=True, quiet=quiet)
    for name, text in track(files, description=package, console=console, transient=True):
        start = time.perf_counter()
        found = find(rules, text, threshold=0.4, timeout=60)
        count.seconds += time.perf_counter() - start
        count.files += 1
        count.lines += text.count("\n") + 1
        count.characters += len(text)
        for finding in found:
            span = finding.span
            count.alarms.append(
                Alarm(
                    rule=finding.recognizer,
                    file=name,
                    line=text.count("\n", 0, span.start) + 1,
                    value=text[span.start : span.end],
                )
            )
    return count


def show(counts: Sequence[Count], *, every: bool) -> None:
    """Prints a table of the packages, one of the rules, and each alarm if asked to."""
    console = Console()
    table = Table("package", "files", "lines", "million characters", "seconds", "alarms")
    for count in counts:
        size = f"{count.characters / 1e6:.1f}"
        row = (count.files, count.lines, size, f"{count.seconds:.1f}", len(count.alarms))
        table.add_row(count.package, *map(str, row))
    console.print(table)
    rules = Counter(alarm.rule for count in counts for alarm in count.alarms)
    for rule, number in rules.most_common():
        console.print(f"{number:6}  {rule}")
    for count in counts if every else ():
        for alarm in count.alarms:
            where = f"{count.package} {alarm.file}:{alarm.line}"
            print(f"{alarm.rule}\t{where}\t{alarm.value[:100]!r}")


def page(counts: Sequence[Count]) -> str:
    """Gives what docs/secrets.md says: what is found, and how often it is found in vain."""
    shipped = Path(guardrail.__file__).parent
    lines = [
        "# Secrets",
        "",
        "What issuers and standards describe is found by its form; what has no form of its own",
        "where its service or its purpose is named. Each row names the page that describes it.",
        "This page is written by `python benchmarks/credentials.py --markdown`.",
        "",
        "## False alarms",
        "",
        "Counted over the source of public packages, of the kinds of files that hold text. The",
        "project's own source is counted without the demo, which plants secrets to be found.",
        "",
        "| source | files | lines | million characters | alarms |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for count in counts:
        own = "guardrail, without its demo" if Path(count.package) == shipped else count.package
        size = f"{count.characters / 1e6:.1f}"
        lines.append(f"| {own} | {count.files} | {count.lines} | {size} | {len(count.alarms)} |")
    lines += ["", "## What is found", "", "| entity | of | described at |", "| --- | --- | --- |"]
    for entity, name, source in secret_catalogue():
        lines.append(f"| `{entity}` | {name} | <{source}> |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Reads the packages or paths that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("places", nargs="*", default=PACKAGES, metavar="PACKAGE | PATH")
    parser.add_argument("--list", action="store_true", help="print every alarm")
    parser.add_argument("--markdown", action="store_true", help="print docs/secrets.md")
    parser.add_argument("--json", action="store_true", help="print everything for a program")
    asked = parser.parse_args()
    quiet = asked.json or asked.markdown or not sys.stderr.isatty()
    counts = []
    for place in asked.places:
        if Path(place).exists():
            counts.append(read(place, Path(place), quiet=quiet))
            continue
        with tempfile.TemporaryDirectory() as folder:
            counts.append(read(place, fetch(place, Path(folder)), quiet=quiet))
    if asked.json:
        print(json.dumps([asdict(count) for count in counts], indent=2))
    elif asked.markdown:
        own = Path(guardrail.__file__).parent
        counts.append(read(str(own), own, quiet=quiet, without="demo"))
        print(page(counts), end="")
    else:
        show(counts, every=asked.list)


if __name__ == "__main__":
    main()
