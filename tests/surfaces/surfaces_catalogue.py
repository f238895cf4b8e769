"""The catalogue of surfaces: every place of every known API where a string can stand.

One TSV a protocol, one section an operation and direction. A path names keys; `[]` stands for any
element of an array, `*` for any key, and `<type=text>` for the variant that has this field.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

FOLDER = Path(__file__).parent / "catalogue"

TEXT, WORD, BYTES, ANY, KEY, INTEGERS = "text word bytes any key integers".split()
"""Kinds of a place: free text, a word from a closed list, base64 or a file, any JSON, the keys of
an object with free keys, an array of whole numbers (token ids hold text)."""

Steps: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True, order=True)
class Section:
    """One direction of one operation: `request`, `response` or `event` of a stream."""

    direction: str
    operation: str
    form: bool = False

    def __str__(self) -> str:
        return f"{self.direction} {self.operation}{' form' if self.form else ''}"


@dataclass(slots=True)
class Place:
    """What may stand at a path and below it. `again` says how many steps up it all begins anew."""

    kinds: set[str] = field(default_factory=set)
    again: set[int] = field(default_factory=set)
    below: dict[str, Place] = field(default_factory=dict)

    def at(self, step: str) -> Place:
        """The place one step further, made if need be."""
        return self.below.setdefault(step, Place())

    def add(self, other: Place) -> None:
        """Takes in all that may stand at another place."""
        self.kinds |= other.kinds
        self.again |= other.again
        for step, place in other.below.items():
            self.at(step).add(place)


Protocol: TypeAlias = dict[Section, Place]
Catalogue: TypeAlias = dict[str, Protocol]


@dataclass(frozen=True, slots=True, order=True)
class Surface:
    """One path of a section, with all its variants, and the kind of string that stands there."""

    steps: Steps
    kind: str

    def __str__(self) -> str:
        return spell(self.steps)


def surfaces(root: Place) -> Iterator[Surface]:
    """Gives every path of a section; what begins anew is not entered a second time."""
    yield from _surfaces(root, ())


def _surfaces(place: Place, steps: Steps) -> Iterator[Surface]:
    for kind in sorted(place.kinds):
        yield Surface(steps, kind)
    for step, below in sorted(place.below.items()):
        if is_variant(step):
            yield Surface((*steps, step, variant(step)[0]), WORD)
        yield from _surfaces(below, (*steps, step))


def is_variant(step: str) -> bool:
    """Whether a step is a choice among objects rather than a way into one."""
    return step.startswith("<")


def variant(step: str) -> tuple[str, str]:
    """The field that tells a variant, and what it holds.

    >>> variant("<type=text>")
    ('type', 'text')
    """
    name, _, word = step[1:-1].partition("=")
    return name, word


def spell(steps: Steps) -> str:
    """A path as it is written in the catalogue.

    >>> spell(("messages", "[]", "<role=user>", "content"))
    'messages[]<role=user>.content'
    """
    written = ""
    for step in steps:
        written += step if step == "[]" or is_variant(step) else f".{_escaped(step)}"
    return written.removeprefix(".")


_STEP = re.compile(r"\[\]|<[^>]*>|(?:\\.|[^.\[<\\])+")


def parse_steps(written: str) -> Steps:
    """The steps of a path as it is written in the catalogue."""
    return tuple(
        step if step == "[]" or is_variant(step) else re.sub(r"\\(.)", r"\1", step)
        for step in _STEP.findall(written)
    )


def _escaped(step: str) -> str:
    return re.sub(r"([.\[<\\])", r"\\\1", step)


# ── files ────────────────────────────────────────────────────────────────────────────────────────

_WORTH_A_REFERENCE = 4
"""Rows from which a part that stands elsewhere, too, is written once."""


def write_protocol(protocol: Protocol) -> str:
    """Gives the text of a protocol's file."""
    return "\n".join(_lines(protocol)) + "\n"


def _lines(protocol: Protocol) -> Iterator[str]:
    for section, root in sorted(protocol.items()):
        yield f"# {section}"
        yield from _rows(root, (), {})


def _rows(place: Place, steps: Steps, written: dict[object, Steps]) -> Iterator[str]:
    shape = _shape(place)
    rows = sum(1 for _ in _surfaces(place, ()))
    if rows >= _WORTH_A_REFERENCE and shape in written:
        yield f"{spell(steps)}\t= {spell(written[shape])}"
        return
    written[shape] = steps
    kinds = sorted(place.kinds) + [f"^{spell(steps[:-up])}" for up in sorted(place.again)]
    if kinds:
        yield f"{spell(steps)}\t{' '.join(kinds)}"
    elif steps and not place.below:
        yield f"{spell(steps)}\t-"
    for step, below in sorted(place.below.items()):
        yield from _rows(below, (*steps, step), written)


def _shape(place: Place) -> object:
    below = tuple((step, _shape(inner)) for step, inner in sorted(place.below.items()))
    return frozenset(place.kinds), frozenset(place.again), below


def read_protocol(text: str) -> Protocol:
    """Gives what `write_protocol` wrote."""
    protocol: Protocol = {}
    root = Place()
    for line in text.splitlines():
        if line.startswith("# "):
            direction, operation, *form = line[2:].split(" ")
            root = protocol[Section(direction, operation, bool(form))] = Place()
            continue
        written, _, said = line.partition("\t")
        steps = parse_steps(written)
        if said.startswith("= "):
            _find(root, steps[:-1]).below[steps[-1]] = _find(root, parse_steps(said[2:]))
            continue
        place = _find(root, steps)
        for kind in said.split(" "):
            if kind.startswith("^"):
                place.again.add(len(steps) - len(parse_steps(kind[1:])))
            elif kind != "-":
                place.kinds.add(kind)
    return protocol


def _find(place: Place, steps: Steps) -> Place:
    for step in steps:
        place = place.at(step)
    return place


def load_catalogue(folder: Path = FOLDER) -> Catalogue:
    """Gives the kept catalogue, by protocol."""
    return {file.stem: read_protocol(file.read_text("utf-8")) for file in sorted(folder.iterdir())}


# ── drift ────────────────────────────────────────────────────────────────────────────────────────


def drift(kept: Mapping[Section, Place], found: Mapping[Section, Place]) -> list[str]:
    """Gives a line for each path that appeared (`+`) or vanished (`-`), by section."""
    before, after = _spelled(kept), _spelled(found)
    lines = []
    for section in sorted({*kept, *found}):
        old, new = before.get(section, set()), after.get(section, set())
        lines += [f"+ {section}: {path}" for path in sorted(new - old)]
        lines += [f"- {section}: {path}" for path in sorted(old - new)]
    return lines


def _spelled(sections: Mapping[Section, Place]) -> dict[Section, set[str]]:
    return {
        section: {f"{surface} ({surface.kind})" for surface in surfaces(root)}
        for section, root in sections.items()
    }


def count(sections: Iterable[Place]) -> int:
    """How many paths sections have."""
    return sum(1 for root in sections for _ in surfaces(root))
