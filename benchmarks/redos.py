"""How long text made to be slow takes, and how that grows: every pattern, rule and whole detection.

Each pattern runs over texts of 12,500 to 100,000 characters that repeat what slows a pattern down:
runs of one character, what the pattern itself begins to match but does not end, and what is just
too long for it. The worst text of each is reported with its time at full length and the exponent of
its growth: 1 is linear, 2 quadratic. Exit status 1 says that one grows faster than its length
warrants, or that one reads the same characters in so many ways that it is too slow at any length.

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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache, partial
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
from guardrail.detection.patterns import Rule, clues_in, find
from guardrail.detection.windows import Look, Near, Windows
from guardrail.types import TextUnit

SIZES = (12_500, 25_000, 50_000, 100_000)
LIMIT_EXPONENT, LIMIT_MS = 1.3, 50.0
"""Above both, a growth counts as super-linear; below the time, noise looks like growth."""
_PATTERN_MS = 500.0
"""What a pattern alone may take for 100,000 characters, however it grows."""
_PATIENCE = 10.0
"""Seconds that pass until one run is given up; a timer of CPU time makes its clock coarse."""
_LONG_MS = 4_500.0
"""Of one run, after which no other text is tried."""
_FASTEST = 3
"""Texts per subject that are measured at every length for how they grow from the first to the
second, at which all are measured; so is the slowest."""
_NOTICED_MS, _GROWS = 0.5, 2.2
"""At the second length, what is quicker or grows less from the first is not among the growing."""
_SURE = 2
"""Runs more of what looks too slow, of which the quickest counts."""
_AGAIN = 2
"""Times that a refused subject is measured as a whole again; it counts if it is each time."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Something that reads text, by name, and the hostile units made for it."""

    name: str
    kind: str
    read: Callable[[str], object]
    units: Mapping[str, str]


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

    @property
    def slow(self) -> bool:
        """More than a constant of it warrants; so is what was given up before its full length."""
        alone = _PATTERN_MS * self.sizes[-1] / SIZES[-1]
        return self.ms > (alone if self.kind.endswith("pattern") else _LONG_MS)

    @property
    def refused(self) -> bool:
        return self.superlinear or self.slow


def subjects(only: str = "") -> Iterator[Subject]:
    """Gives every pattern and rule, what says where rules look, the readings, whole detection.

    Only what has `only` in its name. A pattern that rules share is measured once.
    """
    for subject in _all(build_detector(timeout=_PATIENCE), only):
        if only in subject.name:
            yield subject


def _all(detector: RuleDetector, only: str) -> Iterator[Subject]:
    known = set()
    for rule in detector.rules:
        if only not in rule.name:
            continue
        own = units_for(rule.pattern)
        if (rule.pattern, rule.flags) not in known:
            known.add((rule.pattern, rule.flags))
            scan = partial(_scan, rule.compiled)
            yield Subject(rule.name, "rule's pattern", scan, UNITS | own)
        read = partial(_rule, rule, detector.threshold, _opening(rule))
        yield Subject(rule.name, "rule", read, _reaching(rule, own))
    yield from _module_patterns()
    for name, look in _looks(detector.rules):
        yield Subject(name, "windows", partial(_windows, look), UNITS)
    yield Subject("clues", "windows", clues_in, UNITS)
    yield Subject("readings", "readings", lambda text: list(readings(text)), UNITS)
    yield Subject("detector", "detector", partial(_detect, detector), UNITS)


def _opening(rule: Rule) -> str:
    """What a text has to hold for a rule to run on it at all."""
    held = (min(rule.words, default=""), *rule.context[:1], *rule.requires[:1])
    return " ".join(filter(None, held)) + "\n"


def _reaching(rule: Rule, own: Mapping[str, str]) -> dict[str, str]:
    """The units in which a rule finds something to judge, or any where there is none.

    In any other it does no more than its pattern and its windows do, which are measured by
    themselves.
    """
    every = {**UNITS, **own}
    if rule.context and own:
        every["beside its word"] = f"{rule.context[0]} {next(iter(own.values()))}"
    reaching = {n: unit for n, unit in every.items() if _found(rule, stretched(unit, 500))}
    return reaching or every


def _found(rule: Rule, text: str) -> bool:
    try:
        return rule.compiled.search(text, timeout=0.1) is not None
    except TimeoutError:
        return True


def _looks(rules: Iterable[Rule]) -> Iterator[tuple[str, Look]]:
    """Each way to work out windows, once, with the most that one of it asks for."""
    looks: dict[Near, Look] = {}
    for look in {rule.made.look: None for rule in rules}:
        most = looks.setdefault(look.near, look)
        if (look.digits, len(look.signs)) > (most.digits, len(most.signs)):
            looks[look.near] = look
    for near, look in looks.items():
        yield f"{near.scope.name} {near.left} {'unbroken' if near.unbroken else near.right}", look


def _windows(look: Look, text: str) -> None:
    Windows(text).of(look)


def _rule(rule: Rule, threshold: float, opening: str, text: str) -> None:
    find((rule,), opening + text, threshold=threshold, timeout=_PATIENCE)


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
    """Each pattern in a module of the package; one that it only matches is not searched."""
    for found in pkgutil.walk_packages(guardrail.__path__, "guardrail."):
        if found.name.endswith("__main__"):
            continue
        module = importlib.import_module(found.name)
        source = inspect.getsource(module)
        for name, value in vars(module).items():
            uses = len(re.findall(rf"\b{name}\b(?! = )", source))
            matched = len(re.findall(rf"\b{name}\.(?:match|fullmatch)\b", source))
            searched = uses > matched or not matched
            for key, pattern in _patterns_in(value):
                plain = pattern.pattern
                yield Subject(
                    f"{found.name}.{name}{key}",
                    "pattern",
                    partial(_scan if searched else _match, pattern),
                    UNITS | units_for(plain if isinstance(plain, str) else plain.decode("latin-1")),
                )


_PATTERNS = re.Pattern, regex.Pattern


def _patterns_in(value: object) -> Iterator[tuple[str, Any]]:
    """A pattern, or those of a table; by what stands behind the name for each."""
    if isinstance(value, _PATTERNS):
        yield "", value
    elif isinstance(value, Mapping | list | tuple):
        rows = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, row in rows:
            for inner, pattern in _patterns_in(row):
                yield f"[{key}]{inner}", pattern


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
    # How many objects the whole process holds is no property of what reads the text. What a run
    # leaves in cycles is little; it is collected after each subject.
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def milliseconds(read: Callable[[str], object], text: str, *, runs: int = 1) -> float:
    """CPU time of the quickest run, in ms; what is given up or refused counts as it was then."""
    best = math.inf
    for _ in range(runs):
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


_stretched = lru_cache(maxsize=512)(stretched)


@dataclass(slots=True)
class _Measured:
    """The times of one subject on one unit, each length once, in ms."""

    subject: Subject
    text: str
    sizes: Sequence[int]
    times: dict[int, float] = field(default_factory=dict)

    def at(self, size: int) -> float:
        if size not in self.times:
            self.again(size, runs=1)
        return self.times[size]

    def again(self, size: int, *, runs: int) -> None:
        text = _stretched(self.subject.units[self.text], size)
        ms = milliseconds(self.subject.read, text, runs=runs)
        self.times[size] = min(ms, self.times.get(size, math.inf))

    @property
    def growth(self) -> float:
        first, second = self.sizes[:2]
        return self.at(second) / max(self.at(first), 0.05)

    def row(self) -> Row:
        """Measures what is missing, and what looks too slow better."""
        row = self._row()
        if row.refused and row.times[-1] <= _LONG_MS:
            for size in row.sizes:
                self.again(size, runs=_SURE)
            row = self._row()
        return row

    def _row(self) -> Row:
        sizes: list[int] = []
        for size in self.sizes:
            sizes.append(size)
            if self.at(size) > _LONG_MS:
                break
        times = [self.times[size] for size in sizes]
        return Row(
            name=self.subject.name,
            kind=self.subject.kind,
            text=self.text,
            unit=self.subject.units[self.text],
            ms=times[-1],
            exponent=exponent(sizes, times) if len(times) > 1 else math.inf,
            sizes=tuple(sizes),
            times=tuple(times),
        )


def worst(subject: Subject, *, sizes: Sequence[int]) -> Row:
    """Measures a subject with every unit, and the slowest and the fastest growing at all sizes."""
    second = sizes[1]
    measured = []
    for text in subject.units:
        one = _Measured(subject, text, sizes)
        if one.at(second) > _LONG_MS:
            return one.row()
        measured.append(one)
    gc.collect()
    measured.sort(key=lambda one: one.at(second), reverse=True)
    noticed = [one for one in measured if one.at(second) > _NOTICED_MS]
    growing = sorted(noticed, key=lambda one: one.growth, reverse=True)[:_FASTEST]
    chosen = [measured[0], *(one for one in growing if one.growth > _GROWS)]
    rows = [one.row() for one in {one.text: one for one in chosen}.values()]
    return max(rows, key=lambda row: (row.refused, row.ms))


def confirmed(subject: Subject, *, sizes: Sequence[int]) -> Row:
    """What `worst` says; one that it refuses is measured anew: the machine may be busy."""
    row = worst(subject, sizes=sizes)
    for _ in range(_AGAIN if row.refused else 0):
        row = min(row, worst(subject, sizes=sizes), key=lambda one: (one.refused, one.ms))
    return row


# --- Reporting ------------------------------------------------------------------------------------

_KINDS = ("detector", "readings", "windows", "rule", "rule's pattern", "pattern")
_SHOWN = 12


def _shown(row: Row) -> tuple[str, ...]:
    unit = row.unit if len(row.unit) <= 40 else row.unit[:37] + "…"
    return (
        row.name,
        row.text,
        json.dumps(unit, ensure_ascii=True),
        f"{row.ms:.1f}",
        f"{row.exponent:.2f}" + (" (!)" if row.refused else ""),
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
        f"{regex.__version__} on {platform.machine()}. Super-linear is what grows by more than",
        f"{LIMIT_EXPONENT} and takes more than {LIMIT_MS:.0f} ms; too slow is a pattern that takes",
        f"more than {_PATTERN_MS:,.0f} ms, or anything that takes more than {_LONG_MS:,.0f} ms. Of",
        f"each kind the {_SHOWN} slowest are shown, and all that are either, with (!).",
    ]
    for kind in _KINDS:
        chosen = sorted((r for r in rows if r.kind == kind), key=lambda r: r.ms, reverse=True)
        if not chosen:
            continue
        over = sum(row.superlinear for row in chosen)
        slow = sum(row.slow for row in chosen)
        lines += [
            "",
            f"## {kind.capitalize()}: {len(chosen)} measured, {over} super-linear, {slow} too slow",
            "",
            f"| {' | '.join(_COLUMNS)} |",
            "|---|---|---|---:|---:|",
        ]
        for row in [*chosen[:_SHOWN], *(r for r in chosen[_SHOWN:] if r.refused)]:
            cells = [cell.replace("|", "\\|") for cell in _shown(row)]
            cells[0], cells[2] = f"`{cells[0]}`", f"`` {cells[2]} ``"
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _tables(rows: Sequence[Row], console: Console) -> None:
    for kind in _KINDS:
        table = Table(*_COLUMNS, title=kind)
        chosen = sorted((r for r in rows if r.kind == kind), key=lambda r: r.ms, reverse=True)
        for row in [*chosen[:_SHOWN], *(r for r in chosen[_SHOWN:] if r.refused)]:
            table.add_row(*_shown(row))
        if chosen:
            console.print(table)


def main() -> int:
    """Runs the benchmark; gives the exit status."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n\n")[0],
        epilog="Exit status 1: something takes more than linear time, or is too slow.",
    )
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print all figures for a program")
    output.add_argument("--markdown", action="store_true", help="print the report for a document")
    parser.add_argument("--quick", action="store_true", help="an eighth of each length")
    parser.add_argument("--only", default="", help="what has this in its name")
    options = parser.parse_args()
    sizes = tuple(size // 8 for size in SIZES) if options.quick else SIZES
    chosen = list(subjects(options.only))
    rows = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        for subject in progress.track(chosen, description="Measuring"):
            rows.append(confirmed(subject, sizes=sizes))
    if options.json:
        print(json.dumps([_plain(row) for row in rows]))
    elif options.markdown:
        print(markdown(rows, sizes[-1]))
    else:
        _tables(rows, Console())
    return 1 if any(row.refused for row in rows) else 0


def _plain(row: Row) -> dict[str, object]:
    return asdict(row) | {"superlinear": row.superlinear, "slow": row.slow}


if __name__ == "__main__":
    sys.exit(main())
