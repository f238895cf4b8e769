"""Which parts of a payload neither the user nor the application wrote: a table of each map.

A row is a path pattern and conditions: `"messages[]" = { role = ["tool"] }` says that everything
in a message is untrusted whose `role` is `tool`; `"documents[]" = {}` that every document is. A
value may end or begin with `*`, which stands for anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from guardrail.protocols.fields import Leaf, Path
from guardrail.protocols.payload import Json

_STEP = re.compile(r"[^.\[\]]+|\[\]")


@dataclass(frozen=True, slots=True)
class Mark:
    """One row: the steps of its pattern, and for each field the values of which it has one.

    A step that is a number is one position of an array.
    """

    steps: tuple[str | int, ...]
    when: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def holds(self, value: Json) -> bool:
        """Whether the conditions hold of a value."""
        if not self.when:
            return True
        return isinstance(value, dict) and all(
            isinstance(said := value.get(name), str)
            and any(fnmatchcase(said, pattern) for pattern in patterns)
            for name, patterns in self.when
        )


def compile_marks(rows: Mapping[str, Any]) -> tuple[Mark, ...]:
    """Gives the rows of an `[untrusted]` table.

    Raises:
        ValueError: a pattern is none, or a condition is not a list of texts.
    """
    return tuple(_mark(pattern, when) for pattern, when in rows.items())


def _mark(pattern: str, when: Any) -> Mark:
    steps = tuple(_STEP.findall(pattern))
    if not steps or "".join(steps) != pattern.replace(".", ""):
        raise ValueError(f"untrusted: {pattern!r} is not a path pattern")
    if not isinstance(when, dict) or not all(
        isinstance(values, list) and values and all(isinstance(value, str) for value in values)
        for values in when.values()
    ):
        raise ValueError(f"untrusted: {pattern!r} needs a table of lists, or {{}}")
    return Mark(steps, tuple((name, tuple(values)) for name, values in when.items()))


def untrusted(value: Json, marks: Sequence[Mark]) -> frozenset[Path]:
    """Gives the paths at which untrusted parts of a payload begin."""
    return frozenset(path for mark in marks for path in _matching(value, mark, 0, ()))


def _matching(value: Json, mark: Mark, at: int, path: Path) -> Iterator[Path]:
    if at == len(mark.steps):
        if mark.holds(value):
            yield path
        return
    step = mark.steps[at]
    if step == "[]":
        for position, inner in enumerate(value if isinstance(value, list) else ()):
            yield from _matching(inner, mark, at + 1, (*path, position))
    elif isinstance(step, int):
        if isinstance(value, list) and step < len(value):
            yield from _matching(value[step], mark, at + 1, (*path, step))
    elif isinstance(value, dict) and step in value:
        yield from _matching(value[step], mark, at + 1, (*path, step))


def marked(found: Iterable[Leaf], roots: frozenset[Path]) -> Iterator[Leaf]:
    """Gives the leaves, those that stand below one of the roots as untrusted."""
    if not roots:
        yield from found
        return
    depths = sorted({len(root) for root in roots})
    for leaf in found:
        below = any(leaf.path[:depth] in roots for depth in depths)
        yield replace(leaf, untrusted=True) if below else leaf
