"""What was found, drawn: highlighted in a terminal, as plain lines, or as one HTML page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import NamedTuple

import jinja2
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from guardrail.cli.findings import Excerpt, Scanned, printable
from guardrail.taxonomy import Taxonomy

_STYLES = tuple(
    f"black on {colour}"
    for colour in (
        "cyan bright_yellow bright_green bright_magenta bright_blue bright_red bright_cyan yellow "
        "green magenta orange3"
    ).split()
)


@dataclass(slots=True)
class Totals:
    """Sums over inputs, of which none is kept."""

    inputs: int = 0
    skipped: int = 0
    problems: int = 0
    with_findings: int = 0
    findings: Counter[str] = field(default_factory=Counter)
    places: Counter[str] = field(default_factory=Counter)

    def add(self, scanned: Scanned) -> None:
        """Adds one input."""
        self.inputs += not scanned.skipped
        self.skipped += scanned.skipped
        self.problems += bool(scanned.problem)
        counts = scanned.counts()
        self.with_findings += bool(counts)
        self.findings.update(counts)
        self.places.update(counts.keys())

    def sentence(self) -> str:
        """What people want to know first."""
        parts = [
            f"{counted(self.findings.total(), 'finding')} in {self.with_findings} of "
            f"{counted(self.inputs, 'input')}"
        ]
        if self.skipped:
            parts.append(f"{counted(self.skipped, 'binary file')} skipped")
        if self.problems:
            parts.append(f"{counted(self.problems, 'input')} not inspected")
        return "; ".join(parts)


def counted(count: int, what: str) -> str:
    """`1 file`, `2 files`."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def style(entity: str, taxonomy: Taxonomy) -> str:
    """The colours of an entity: the same in every run."""
    return _STYLES[_rank(entity, taxonomy) % len(_STYLES)]


def _rank(entity: str, taxonomy: Taxonomy) -> int:
    return list(taxonomy.categories).index(entity) if entity in taxonomy.categories else 0


def show(console: Console, scanned: Scanned, taxonomy: Taxonomy) -> None:
    """Draws one input's excerpts, what was found in them highlighted and named."""
    console.print(Text(printable(scanned.path), style="bold underline"), soft_wrap=True)
    for excerpt in scanned.excerpts:
        where = f"{excerpt.line:>6} "
        pointer = f"{printable(excerpt.pointer)}  " if excerpt.pointer else ""
        console.print(
            Text.assemble((where, "dim"), (pointer, "dim"), _highlighted(excerpt, taxonomy)),
            soft_wrap=True,
        )
    console.print()


def _highlighted(excerpt: Excerpt, taxonomy: Taxonomy) -> Text:
    line = Text()
    for text, entity in _segments(excerpt):
        if entity:
            line.append(text, style=style(entity, taxonomy))
            line.append(f" {entity}", style="bold dim")
        else:
            line.append(text)
    return line


def _segments(excerpt: Excerpt) -> Iterator[tuple[str, str]]:
    """(text, entity) of each part of an excerpt; no entity where nothing was found."""
    at = 0
    for start, end, entity in excerpt.marks:
        if start > at:
            yield excerpt.text[at:start], ""
        yield excerpt.text[start:end], entity
        at = end
    if at < len(excerpt.text):
        yield excerpt.text[at:], ""


def plain(scanned: Scanned) -> Iterator[str]:
    """One line for each finding, without text: `path:line:column: ENTITY …`, as compilers do."""
    for hit in scanned.hits:
        pointer = f" at {printable(hit.pointer)}" if hit.pointer else ""
        yield (
            f"{printable(scanned.path)}:{hit.line}:{hit.column}: {hit.entity} ({hit.category}) "
            f"{hit.score:.2f} {hit.recognizer}{pointer}"
        )


def summary(console: Console, totals: Totals, taxonomy: Taxonomy) -> None:
    """Draws what was found in all inputs, the most frequent first."""
    if totals.findings:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("entity", no_wrap=True)
        table.add_column("category", no_wrap=True)
        table.add_column("findings", justify="right")
        table.add_column("inputs", justify="right")
        for entity, count in _sorted(totals.findings):
            name = Text(f" {entity} ", style=style(entity, taxonomy))
            category = taxonomy.category(entity)
            table.add_row(name, category, str(count), str(totals.places[entity]))
        console.print(table)
    console.print(totals.sentence(), style="bold")


def _sorted(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


# ── HTML ─────────────────────────────────────────────────────────────────────────────────────────


class _Row(NamedTuple):
    entity: str
    category: str
    findings: int
    inputs: int
    hue: int


class _Line(NamedTuple):
    number: int
    pointer: str
    segments: list[tuple[str, str, int]]


def html(scanned: Sequence[Scanned], totals: Totals, taxonomy: Taxonomy) -> str:
    """Gives one page that needs nothing else: no script, no font, no address to fetch from."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = resources.files("guardrail.cli") / "templates" / "scan.html"
    rows = [
        _Row(
            entity, taxonomy.category(entity), count, totals.places[entity], _hue(entity, taxonomy)
        )
        for entity, count in _sorted(totals.findings)
    ]
    return environment.from_string(template.read_text("utf-8")).render(
        sentence=totals.sentence(),
        rows=rows,
        inputs=[
            (printable(one.path), one.problem, list(_lines(one.excerpts, taxonomy)))
            for one in scanned
            if one.excerpts or one.problem
        ],
    )


def _lines(excerpts: Iterable[Excerpt], taxonomy: Taxonomy) -> Iterator[_Line]:
    for one in excerpts:
        segments = [(text, name, _hue(name, taxonomy)) for text, name in _segments(one)]
        yield _Line(one.line, printable(one.pointer), segments)


def _hue(entity: str, taxonomy: Taxonomy) -> int:
    """Degrees on the colour wheel; neighbours in the taxonomy are far apart."""
    return _rank(entity, taxonomy) * 137 % 360
