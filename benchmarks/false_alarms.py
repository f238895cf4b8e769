"""How often guardrail finds what is nobody's, per 1,000 tokens, in text without personal data.

Code is the source of the installed packages named below, docs are the Markdown, reStructuredText
and long descriptions that installed packages carry, both without lines that name contributors or
hold links, and without packages about names and numbers of people. Logs are the installers' own,
prompts are 200 of our own in eight languages. People whom docs and examples name all the same are
counted apart; `--list` shows each finding.

    python benchmarks/false_alarms.py [--list ENTITY] [--json | --markdown]
"""

from __future__ import annotations

import argparse
import json
import random
import re
import site
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

from rich.console import Console
from rich.progress import Progress

from guardrail.detection.detector import build_detector
from guardrail.evaluation import tokens
from guardrail.types import TextUnit

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("httpx", "h11", "starlette", "anyio", "click", "rich", "typer", "pydantic", "fastapi")
_SIGNED = re.compile(
    r"(?i)author|copyright|maintain|credit|thank|contribut|sponsor|license|©|\bby [A-Z]|@\w"
    r"|#\d{2,}|https?://"
)
_LEFT_OUT = re.compile(r"(?i)faker|stdnum|[/-]ray\b|pyspark|pandas|py4j")
"""Packages about names and numbers of people, and those that only tests of tables install."""
_PEOPLE = frozenset(
    "Alex Andrew Albert Daniel Ionel Hugo Bertrand Chris Stefan Cory Ross James Michael Matt Shaw "
    "Julian John Doe Winston Eric Richard Wagner Magnus Ludwig Bond Montoya Inigo George Skywalker "
    "Kevin Mark Summerfield Adam Camila Jane Samuel Rick Morty alice bob Alice Bob Ned Batchelder "
    "Holger Jason Jo Tarzan Juanjo Pierre Vladimir Thufir Harkonnen Hawat Summer Martelli Firing "
    "Jonsson Benfield Luke Leia Travis Guido Armin Sebastián Ramírez Samuel Colvin Will McGugan "
    "Deadpond Spider Tiangolo Ronacher Christie Encode Nathaniel Smith Frank Sam Anna Ana".split()
)
"""People and characters whom the corpora name, read by hand: to find them is right."""
_WORD = re.compile(r"\w+")
_CHUNK = 2_000
_LIMIT = 100_000


def code(folder: Path) -> Iterator[str]:
    """Python source, without lines on people."""
    for package in PACKAGES:
        for path in sorted((folder / package).rglob("*.py")):
            lines = path.read_text("utf-8", errors="ignore").splitlines()
            yield "\n".join(line for line in lines if not _SIGNED.search(line))


def docs(folder: Path) -> Iterator[str]:
    """Documentation that packages install, without lines on people."""
    paths = [*folder.rglob("*.md"), *folder.rglob("*.rst"), *folder.glob("*.dist-info/METADATA")]
    for path in sorted(paths):
        if _LEFT_OUT.search(str(path)):
            continue
        text = path.read_text("utf-8", errors="ignore")
        if path.name == "METADATA":
            text = text.partition("\n\n")[2]
        yield "\n".join(line for line in text.splitlines() if not _SIGNED.search(line))


def logs(folder: Path) -> Iterator[str]:
    """What installers wrote."""
    for path in (
        ROOT / ".venv" / "install.log",
        Path("/var/log/dpkg.log"),
        Path("/var/log/apt/term.log"),
    ):
        if path.is_file():
            yield path.read_text("utf-8", errors="ignore")


def prompts(folder: Path) -> Iterator[str]:
    """Our own harmless prompts, a text each."""
    yield from (ROOT / "tests" / "data" / "harmless_prompts.txt").read_text("utf-8").splitlines()


class Rates(TypedDict):
    """How many tokens were read, and how often each entity was found in them."""

    tokens: int
    findings: dict[str, int]


CORPORA = {"code": code, "docs": docs, "logs": logs, "prompts": prompts}


def chunks(text: str) -> Iterator[str]:
    """A text in pieces of about 2,000 characters that end with a line."""
    piece, size = [], 0
    for line in text.splitlines(keepends=True):
        piece.append(line[:_CHUNK])
        size += len(line)
        if size >= _CHUNK:
            yield "".join(piece)
            piece, size = [], 0
    yield "".join(piece)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--list", metavar="ENTITY", help="show what was found of it")
    parser.add_argument("--recall", default="balanced", help="precise, balanced or strict")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--json", action="store_true")
    group.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    detector = build_detector(recall=options.recall)
    folder = Path(site.getsitepackages()[0])
    rows: dict[str, Rates] = {}
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        for name, corpus in progress.track(CORPORA.items(), description="corpora"):
            pieces = [piece for text in corpus(folder) for piece in chunks(text) if piece.strip()]
            random.Random(7).shuffle(pieces)
            count, found = 0, Counter[str]()
            for piece in pieces:
                count += len(tokens(piece))
                for finding in detector.detect(TextUnit(pointer="", text=piece)):
                    value = piece[finding.span.start : finding.span.end]
                    if finding.entity == "PERSON" and not _PEOPLE.isdisjoint(_WORD.findall(value)):
                        found["(people who are named)"] += 1
                        continue
                    found[finding.entity] += 1
                    if finding.entity == options.list:
                        span = finding.span
                        print(name, repr(piece[max(0, span.start - 30) : span.end + 20]),
                              repr(piece[span.start : span.end]), finding.recognizer)  # fmt: skip
                if count > _LIMIT:
                    break
            rows[name] = {"tokens": count, "findings": dict(found.most_common())}
    if options.json:
        print(json.dumps(rows, indent=1))
        return 0
    entities = [
        e for e, _ in sum((Counter(r["findings"]) for r in rows.values()), Counter()).most_common()
    ]
    print(
        "| entity | " + " | ".join(f"{n} ({r['tokens']:,} tokens)" for n, r in rows.items()) + " |"
    )
    print("| --- |" + " ---: |" * len(rows))
    for entity in entities:
        rates = [1000 * r["findings"].get(entity, 0) / max(1, r["tokens"]) for r in rows.values()]
        print(
            f"| {entity} | " + " | ".join(f"{rate:.2f}" if rate else "–" for rate in rates) + " |"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
