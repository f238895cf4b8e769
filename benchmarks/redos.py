"""How long text made to be slow takes, and how that grows: every pattern, rule and whole detection.

Each pattern runs over texts of 12,500 to 100,000 characters that repeat what slows a pattern down:
runs of one character, and what the pattern itself begins to match but does not end. The worst text
of each is reported with its time at full length and the exponent of its growth: 1 is linear, 2
quadratic. Exit status 1 says that one grows faster than its length warrants.

    python benchmarks/redos.py [--quick] [--json | --markdown]
"""

from __future__ import annotations

import argparse
import gc
import importlib
import inspect
import json
import math
import pkgutil
import platform
import re
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from statistics import fmean
from time import process_time
from types import FrameType
from typing import Any

import regex
from hostile import UNITS, stretched, units_for
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import guardrail
from guardrail.detection.detector import RuleDetector, build_detector
from guardrail.detection.normalize import readings
from guardrail.detection.patterns import Rule, find
from guardrail.types import TextUnit

SIZES = (12_500, 25_000, 50_000, 100_000)
LIMIT_EXPONENT, LIMIT_MS = 1.3, 50.0
"""Above both, a growth counts as super-linear; below the time, noise looks like growth."""
_PATIENCE = 20.0
"""Seconds that pass until one run is given up; a timer of CPU time makes its clock coarse."""
_LONG_MS = 4_500.0
"""Of one run, after which no longer text is tried."""
_WORST = 3
"""Texts per pattern that are measured at every length; all are measured at the second."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Something that reads text, by name, and the hostile units made for it."""

    name: str
    kind: str
    read: Callable[[str], object]
    units: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The worst text of a subject. `ms` is at full length; `sizes` and `times` in ms are all."""

    name: str
    kind: str
    text: str
    unit: str
    ms: float
    exponent: float
    sizes: tuple[int, ...]
    times: tuple[float, ...]

    @property
    def superlinear(self) -> bool:
        return self.exponent > LIMIT_EXPONENT and self.ms > LIMIT_MS


def subjects() -> Iterator[Subject]:
    """Gives every rule, every pattern of the package, the readings, and whole detection."""
    detector = build_detector(timeout=_PATIENCE)
    for rule in detector.rules:
        units = units_for(rule.pattern)
        yield Subject(f"{rule.name}", "rule", partial(_rule, rule, detector.threshold), units)
        yield Subject(f"{rule.name}", "rule's pattern", partial(_scan, rule.compiled), units)
    yield from _module_patterns()
    yield Subject("readings", "readings", lambda text: list(readings(text)), {})
    yield Subject("detector", "detector", partial(_detect, detector), {})


def _rule(rule: Rule, threshold: float, text: str) -> None:
    find((rule,), text, threshold=threshold, timeout=_PATIENCE)


def _detect(detector: RuleDetector, text: str) -> None:
    fresh = replace(detector)
    fresh.find(TextUnit(pointer="", text=text))


def _scan(pattern: Any, text: str) -> None:
    for _ in pattern.finditer(_as(pattern, text)):
        pass


def _match(pattern: Any, text: str) -> None:
    pattern.match(_as(pattern, text))
    pattern.fullmatch(_as(pattern, text))


def _as(pattern: Any, text: str) -> str | bytes:
    return text.encode() if isinstance(pattern.pattern, bytes) else text


def _module_patterns() -> Iterator[Subject]:
    """Each pattern in a module of the package; one that is only matched is not searched."""
    for found in pkgutil.walk_packages(guardrail.__path__, "guardrail."):
        if found.name.endswith("__main__"):
            continue
        module = importlib.import_module(found.name)
        source = inspect.getsource(module)
        for name, pattern in vars(module).items():
            if isinstance(pattern, re.Pattern | regex.Pattern):
                searched = re.search(
                    rf"\b{name}\.(?:finditer|search|sub|subn|split|findall)\b", source
                )
                plain = pattern.pattern
                yield Subject(
                    f"{found.name}.{name}",
                    "pattern",
                    partial(_scan if searched else _match, pattern),
                    units_for(plain if isinstance(plain, str) else plain.decode("latin-1")),
                )


# --- Measuring ------------------------------------------------------------------------------------


class _TooSlow(Exception):
    pass


@contextmanager
def _patience() -> Iterator[None]:
    def give_up(signum: int, frame: FrameType | None) -> None:
        raise _TooSlow

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, _PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _no_collection() -> Iterator[None]:
    # How many objects the whole process holds is no property of what reads the text.
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def milliseconds(read: Callable[[str], object], text: str, *, runs: int = 1) -> float:
    """CPU time of the quickest run, in ms; what is given up or refused counts as it was then."""
    best = math.inf
    for _ in range(runs):
        gc.collect(1)
        start = process_time()
        try:
            with _patience(), _no_collection():
                read(text)
        except Exception as error:
            if isinstance(error, _TooSlow | TimeoutError):
                return (process_time() - start) * 1000
        best = min(best, (process_time() - start) * 1000)
    return best


def exponent(sizes: Sequence[int], times: Sequence[float]) -> float:
    """The slope of the line through the logarithms, by least squares.

    >>> round(exponent((10, 20, 40), (1.0, 4.0, 16.0)), 6)
    2.0
    """
    xs = [math.log(size) for size in sizes]
    ys = [math.log(max(time, 1e-3)) for time in times]
    x, y = fmean(xs), fmean(ys)
    return sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / sum(
        (a - x) ** 2 for a in xs
    )


def worst(subject: Subject, *, sizes: Sequence[int]) -> Row:
    """Measures a subject with every unit, and the slowest and the fastest growing at all sizes."""
    units = UNITS | subject.units
    first = {
        name: [milliseconds(subject.read, stretched(unit, size)) for size in sizes[:2]]
        for name, unit in units.items()
    }
    slow = sorted(first, key=lambda name: first[name][-1], reverse=True)[:_WORST]
    growing = sorted(
        (name for name in first if first[name][-1] > 0.5),
        key=lambda name: first[name][1] / max(first[name][0], 0.05),
        reverse=True,
    )[:_WORST]
    rows = []
    for name in dict.fromkeys([*slow, *growing]):
        times: list[float] = []
        for size in sizes:
            times.append(milliseconds(subject.read, stretched(units[name], size), runs=2))
            if times[-1] > _LONG_MS:
                break
        measured = sizes[: len(times)]
        grows = exponent(measured, times) if len(times) > 1 else math.inf
        rows.append(
            Row(
                name=subject.name,
                kind=subject.kind,
                text=name,
                unit=units[name],
                ms=times[-1],
                exponent=grows,
                sizes=tuple(measured),
                times=tuple(times),
            )
        )
    return max(rows, key=lambda row: (row.superlinear, row.ms))


# --- Reporting ------------------------------------------------------------------------------------

_KINDS = ("detector", "readings", "rule", "rule's pattern", "pattern")
_SHOWN = 12


def _shown(row: Row) -> tuple[str, ...]:
    unit = row.unit if len(row.unit) <= 40 else row.unit[:37] + "…"
    return (
        row.name,
        row.text,
        json.dumps(unit, ensure_ascii=True),
        f"{row.ms:.1f}",
        f"{row.exponent:.2f}" + (" (!)" if row.superlinear else ""),
    )


_COLUMNS = ("what reads", "slowest text", "repeats", "ms at full length", "exponent")


def markdown(rows: Sequence[Row], size: int) -> str:
    """The report for a document."""
    lines = [
        "# Hostile input",
        "",
        f"CPU time for {size:,} characters of the text that slows each part down most, and the",
        "exponent of its growth with length: 1 is linear, 2 quadratic. Made by",
        f"`benchmarks/redos.py --markdown` with Python {platform.python_version()} and regex",
        f"{regex.__version__} on {platform.machine()}. Of each kind the {_SHOWN} slowest are",
        "shown, and all that are super-linear.",
    ]
    for kind in _KINDS:
        chosen = sorted((r for r in rows if r.kind == kind), key=lambda r: r.ms, reverse=True)
        if not chosen:
            continue
        over = sum(row.superlinear for row in chosen)
        lines += [
            "",
            f"## {kind.capitalize()}: {len(chosen)} measured, {over} super-linear",
            "",
            f"| {' | '.join(_COLUMNS)} |",
            "|---|---|---|---:|---:|",
        ]
        for row in [*chosen[:_SHOWN], *(r for r in chosen[_SHOWN:] if r.superlinear)]:
            cells = [cell.replace("|", "\\|") for cell in _shown(row)]
            cells[0], cells[2] = f"`{cells[0]}`", f"`` {cells[2]} ``"
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _tables(rows: Sequence[Row], console: Console) -> None:
    for kind in _KINDS:
        table = Table(*_COLUMNS, title=kind)
        chosen = sorted((r for r in rows if r.kind == kind), key=lambda r: r.ms, reverse=True)
        for row in [*chosen[:_SHOWN], *(r for r in chosen[_SHOWN:] if r.superlinear)]:
            table.add_row(*_shown(row))
        if chosen:
            console.print(table)


def main() -> int:
    """Runs the benchmark; gives the exit status."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n\n")[0],
        epilog="Exit status 1: something takes more than linear time.",
    )
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print all figures for a program")
    output.add_argument("--markdown", action="store_true", help="print the report for a document")
    parser.add_argument("--quick", action="store_true", help="an eighth of each length")
    parser.add_argument("--only", default="", help="what has this in its name")
    options = parser.parse_args()
    sizes = tuple(size // 8 for size in SIZES) if options.quick else SIZES
    chosen = [subject for subject in subjects() if options.only in subject.name]
    rows = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        for subject in progress.track(chosen, description="Measuring"):
            rows.append(worst(subject, sizes=sizes))
    if options.json:
        print(json.dumps([asdict(row) | {"superlinear": row.superlinear} for row in rows]))
    elif options.markdown:
        print(markdown(rows, sizes[-1]))
    else:
        _tables(rows, Console())
    return 1 if any(row.superlinear for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
