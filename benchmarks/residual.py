"""How well guardrail knows what it has missed, on texts that people have labelled.

For each text the expected number of names that were not found is set against whether a labelled
person or place is in truth not found; and each chance that a name begins somewhere is set against
how often one does.

    python benchmarks/residual.py --data FOLDER [--set NAME] [--most N] [--json] [--svg FILE]

`FOLDER` is as for `evaluation.py`, whose sets these are.
"""

from __future__ import annotations

import argparse
import json
import sys
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from evaluation import sets
from rich.console import Console
from rich.progress import Progress

from guardrail.detection.detector import RuleDetector, build_detector
from guardrail.evaluation import Sample
from guardrail.types import Finding, TextUnit

SETS = ("uner_ewt_test", "presidio_synth_v2", "germeval_test", "ancora_es_test")
"""What is measured unless `--set` says otherwise."""

LIMITS = (0, 5, 10, 25, 50, 100)
"""Hundredths of a name at which a policy may draw its line."""

BINS = 10
_NAMED = frozenset({"PERSON", "LOCATION"})


class Guess(NamedTuple):
    """A chance that a name begins at a token that no finding covers, and whether one does."""

    chance: float
    true: bool


@dataclass(frozen=True, slots=True)
class Text:
    """One text: how many names are expected to be missed in it, and how many labelled ones are."""

    expected: float
    missed: int


class Bin(NamedTuple):
    """The guesses of one tenth of [0, 1]: what was said, what came true, how many tokens."""

    predicted: float
    observed: float
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What is measured on one set."""

    name: str
    texts: Sequence[Text] = field(repr=False)
    guesses: Sequence[Guess] = field(repr=False)

    @property
    def auroc(self) -> float | None:
        """How probably a text with a miss has a greater residual than one without."""
        return auroc(
            [one.expected for one in self.texts if one.missed],
            [one.expected for one in self.texts if not one.missed],
        )

    @property
    def bins(self) -> list[Bin]:
        """The reliability table."""
        return reliability(self.guesses)

    @property
    def error(self) -> float:
        """The expected calibration error, in [0, 1]."""
        bins = self.bins
        total = sum(one.tokens for one in bins)
        gaps = (abs(one.predicted - one.observed) * one.tokens for one in bins)
        return sum(gaps) / total if total else 0.0

    def below(self, limit: int) -> tuple[int, int]:
        """How many texts have a residual of at most `limit` hundredths; in how many is a miss."""
        some = [one for one in self.texts if one.expected * 100 <= limit]
        return len(some), sum(one.missed > 0 for one in some)

    def document(self) -> dict[str, Any]:
        """As a value of JSON."""
        return {
            "set": self.name,
            "texts": len(self.texts),
            "texts_with_a_miss": sum(one.missed > 0 for one in self.texts),
            "missed": sum(one.missed for one in self.texts),
            "expected": sum(one.expected for one in self.texts),
            "auroc": self.auroc,
            "calibration_error": self.error,
            "bins": [one._asdict() for one in self.bins],
            "limits": {
                limit: dict(zip(("texts", "with_a_miss"), self.below(limit), strict=True))
                for limit in LIMITS
            },
        }


def auroc(with_miss: Sequence[float], without: Sequence[float]) -> float | None:
    """Area under the ROC curve by ranks (Mann and Whitney 1947); ties count half.

    >>> auroc([0.9, 0.5], [0.1, 0.5])
    0.875
    """
    if not with_miss or not without:
        return None
    ordered = sorted(without)
    wins = 0.0
    for value in with_miss:
        below, upto = bisect_left(ordered, value), len(ordered)
        same = bisect_left(ordered, True, below, upto, key=lambda other: other > value) - below
        wins += below + same / 2
    return wins / (len(with_miss) * len(without))


def reliability(guesses: Iterable[Guess]) -> list[Bin]:
    """The guesses in ten bins of equal width; those without any are left out."""
    bins: list[list[Guess]] = [[] for _ in range(BINS)]
    for guess in guesses:
        bins[min(int(guess.chance * BINS), BINS - 1)].append(guess)
    return [
        Bin(
            sum(one.chance for one in some) / len(some),
            sum(one.true for one in some) / len(some),
            len(some),
        )
        for some in bins
        if some
    ]


def measure(detector: RuleDetector, name: str, samples: Iterable[Sample]) -> Figures:
    """Reads every text of a set."""
    texts: list[Text] = []
    guesses: list[Guess] = []
    for sample in samples:
        units = [TextUnit(pointer="", text=sample.text)]
        (found,) = detector.find_all(units)
        (doubts,) = detector.doubts(units)
        starts = {span.start for span in sample.spans if span.entity in _NAMED}
        guesses += (Guess(one.chance, one.span.start in starts) for one in doubts)
        texts.append(Text(sum(one.chance for one in doubts), _misses(sample, found)))
    return Figures(name=name, texts=texts, guesses=guesses)


def _misses(sample: Sample, found: Sequence[Finding]) -> int:
    """Labelled people and places of which no code point is in a finding."""
    return sum(
        not any(one.span.start < span.end and span.start < one.span.end for one in found)
        for span in sample.spans
        if span.entity in _NAMED
    )


# ── showing ──────────────────────────────────────────────────────────────────────────────────────


def markdown(figures: Sequence[Figures]) -> str:
    """The tables of `docs/residual-risk.md`."""
    lines = [
        "| set | texts | with a miss | names missed | expected | AUROC | calibration error |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for one in figures:
        told = one.document()
        area = "–" if one.auroc is None else f"{one.auroc:.3f}"
        lines.append(
            f"| {one.name} | {told['texts']:,} | {told['texts_with_a_miss']:,} "
            f"| {told['missed']:,} | {told['expected']:,.0f} | {area} | {one.error:.4f} |"
        )
    lines += ["", "| set |" + "".join(f" ≤ {limit} |" for limit in LIMITS) + " any |"]
    lines.append("| --- |" + " ---: |" * (len(LIMITS) + 1))
    for one in figures:
        cells = []
        for count, missed in [*map(one.below, LIMITS), one.below(sys.maxsize)]:
            share = 100 * count / len(one.texts)
            cells.append(f" {share:.0f} %, {100 * missed / count if count else 0:.1f} % |")
        lines.append(f"| {one.name} |" + "".join(cells))
    for one in figures:
        lines += ["", f"**{one.name}**", "", "| said | came true | tokens |"]
        lines += ["| ---: | ---: | ---: |"]
        lines += [f"| {b.predicted:.3f} | {b.observed:.3f} | {b.tokens:,} |" for b in one.bins]
    return "\n".join(lines)


_SIDE, _LEFT, _TOP, _KEY = 300, 62, 20, 190
_ENOUGH = 10
"""Tokens that a bin needs to be drawn: fewer say nothing."""
_COLOURS = ("#0d9488", "#ea580c", "#8b5cf6", "#e11d48", "#2563eb", "#65a30d")
_DARK = (
    "@media(prefers-color-scheme:dark){text{fill:#e5e7eb}.line{stroke:#9ca3af}.paper{fill:#0d1117}}"
)
_TEXT = 'font-family="system-ui,sans-serif" font-size="13" fill="#1f2937"'


def drawing(figures: Sequence[Figures]) -> str:
    """What was said against what came true, as SVG; a dot's size tells how many tokens it is."""
    drawn = [(one.name, [b for b in one.bins if b.tokens >= _ENOUGH]) for one in figures]
    shares = (share for _, bins in drawn for b in bins for share in (b.predicted, b.observed))
    scale = 0.5 if max(shares, default=1) <= 0.5 else 1.0

    def x(share: float) -> float:
        return round(_LEFT + _SIDE * share / scale, 1)

    def y(share: float) -> float:
        return round(_TOP + _SIDE * (1 - share / scale), 1)

    def text(said: str, left: float, top: float, anchor: str) -> str:
        return f'<text x="{left}" y="{top}" text-anchor="{anchor}" {_TEXT}>{said}</text>'

    width, height = _LEFT + _SIDE + _KEY, _TOP + _SIDE + 56
    line = 'class="line" fill="none" stroke="#6b7280"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img">',
        "<title>Chances that a name was missed, and how often one was</title>",
        f"<style>{_DARK}</style>",
        f'<rect class="paper" fill="#ffffff" width="{width}" height="{height}" rx="8"/>',
        f'<path {line} d="M{x(0)} {y(scale)}V{y(0)}H{x(scale)}"/>',
        f'<path {line} stroke-dasharray="4 4" d="M{x(0)} {y(0)}L{x(scale)} {y(scale)}"/>',
    ]
    for share in (scale * step / 5 for step in range(6)):
        parts.append(text(f"{share:g}", x(share), y(0) + 20, "middle"))
        parts.append(text(f"{share:g}", x(0) - 8, y(share) + 4, "end"))
    parts.append(text("chance said", x(scale / 2), y(0) + 44, "middle"))
    parts.append(
        f'<text transform="translate(16 {y(scale / 2)}) rotate(-90)" text-anchor="middle" {_TEXT}>'
        "share that came true</text>"
    )
    for number, (name, bins) in enumerate(drawn):
        colour = _COLOURS[number % len(_COLOURS)]
        points = " ".join(f"{x(b.predicted)},{y(b.observed)}" for b in bins)
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        for b in bins:
            radius = min(9.0, round(2 + b.tokens**0.25, 1))
            parts.append(
                f'<circle cx="{x(b.predicted)}" cy="{y(b.observed)}" r="{radius}" '
                f'fill="{colour}" fill-opacity="0.75"/>'
            )
        at = _TOP + 14 + 24 * number
        parts.append(f'<circle cx="{_LEFT + _SIDE + 26}" cy="{at}" r="5" fill="{colour}"/>')
        parts.append(text(name, _LEFT + _SIDE + 38, at + 4, "start"))
    return "\n".join([*parts, "</svg>", ""])


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with eval/ and train*/")
    parser.add_argument("--set", action="append", default=[], help="another set; repeatable")
    parser.add_argument("--recall", default="balanced", help="precise, balanced or strict")
    parser.add_argument("--svg", type=Path, help="draw the reliability here")
    parser.add_argument("--most", type=int, help="no more texts than this of each set")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_true", help="tables, which is the default")
    form.add_argument("--json", action="store_true", help="one JSON document")
    options = parser.parse_args()
    detector = build_detector(names=["builtin"], recall=options.recall)
    wanted = options.set or SETS
    chosen: dict[str, list[Sample]] = {}
    for name, samples in sets(options.data):
        if name in wanted:
            chosen[name] = samples[: options.most]
        if len(chosen) == len(set(wanted)):
            break
    missing = [name for name in wanted if name not in chosen]
    if missing:
        parser.error(f"no such set: {', '.join(missing)}")
    figures = []
    console = Console(stderr=True)
    with Progress(console=console, disable=not sys.stderr.isatty()) as progress:
        for name in progress.track(wanted, description="sets"):
            figures.append(measure(detector, name, chosen[name]))
    if options.svg:
        options.svg.write_text(drawing(figures), "utf-8")
    if options.json:
        told = {"recall": options.recall, "sets": [one.document() for one in figures]}
        print(json.dumps(told, indent=1))
    else:
        print(markdown(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
