"""Prints where personal data leaks: every place of a request and of an answer, by protocol.

Puts planted values (e-mail, card, telephone, IBAN, SSN, name, API key) through the ASGI middleware
to an app that keeps what it gets and answers what a model would. Reaches nothing but this process.

Exit codes: 0 nothing leaked, 1 something leaked or came out wrong, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from leaks_table import STEPS, Report, Row, measure, summary, tables
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

ROOT = Path(__file__).parent.parent.parent
PAGES = ((ROOT / "README.md", summary), (ROOT / "docs" / "leaks.md", tables))
BEGIN, END = "<!-- leaks -->\n", "\n<!-- end -->"


def main(arguments: Sequence[str], *, measured: Callable[[], Report]) -> int:
    """Writes what was measured, as the arguments ask for; gives the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/leaks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON document")
    form.add_argument("--markdown", action="store_true", help="the tables of docs/leaks.md")
    form.add_argument("--write", action="store_true", help="put them into docs/leaks.md, README.md")
    options = parser.parse_args(arguments)
    report = measured()
    if options.json:
        print(json.dumps(report.document(), indent=1))
    elif options.markdown:
        print(tables(report))
    elif options.write:
        for page, told in PAGES:
            page.write_text(filled(page.read_text("utf-8"), told(report)), "utf-8")
    else:
        _print(report)
    return 1 if report.bad else 0


def filled(page: str, text: str) -> str:
    """Gives a page with `text` between its marks."""
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    return f"{head}{begin}{text}{end}{tail}"


def measure_apart() -> Report:
    """Measures with a bar for who watches, and leaves no audit log or policy behind."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with (
        tempfile.TemporaryDirectory() as folder,
        Progress(
            *columns, console=console, disable=not console.is_terminal, transient=True
        ) as progress,
    ):
        tempfile.tempdir = folder
        task = progress.add_task("places", total=STEPS)
        return measure(lambda: progress.advance(task))


def _print(report: Report) -> None:
    console = Console(highlight=False)
    for title, rows in (("requests", report.requests), ("answers", report.answers)):
        table = Table(title=title, title_justify="left")
        table.add_column("where")
        table.add_column("what")
        table.add_column("came of it")
        for row in rows:
            table.add_row(row.protocol, row.name, _verdict(row))
        console.print(table)
    bad = len(report.bad)
    console.print(
        Text(f"✘ {bad} leak or come out wrong", "bold red")
        if bad
        else Text(
            f"✔ nothing leaked in {len(report.requests) + len(report.answers)} places", "green"
        )
    )


def _verdict(row: Row) -> Text:
    return Text(" / ".join(dict.fromkeys(row.verdicts)), "bold red" if row.is_bad else "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], measured=measure_apart))
