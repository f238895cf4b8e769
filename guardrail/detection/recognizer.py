"""What a recognizer is: it finds entities in texts, and says which."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, runtime_checkable

from guardrail.detection.names import Doubt
from guardrail.types import Finding, TextUnit


class Recognizer(Protocol):
    """Finds entities in one unit of text; spans may overlap and come in any order."""

    @property
    def entities(self) -> frozenset[str]:
        """Every entity it may find."""
        ...

    def find(self, unit: TextUnit) -> Iterable[Finding]:
        """Gives what it finds in `unit.text`."""
        ...


@runtime_checkable
class BatchRecognizer(Recognizer, Protocol):
    """A recognizer that reads several units faster at once than one by one."""

    def find_all(self, units: Sequence[TextUnit]) -> Sequence[Iterable[Finding]]:
        """Gives what it finds in each unit, in their order."""
        ...


@runtime_checkable
class DoubtingRecognizer(Recognizer, Protocol):
    """A recognizer that can tell how probably it misses a name, and where."""

    def examine(self, unit: TextUnit) -> tuple[Sequence[Finding], Sequence[Doubt]]:
        """Gives what it finds, and every place where a name may begin, found or not."""
        ...


LIGHT = 64 * 1024
"""Code points that rules read quickly enough for an event loop; a thread costs more than that."""


def light(recognizer: Recognizer) -> int:
    """How many code points of a request a recognizer reads quickly enough for an event loop.

    That is what its attribute `light` says, where it has one: 0 for one that waits for a model.
    """
    return int(getattr(recognizer, "light", LIGHT))


def reads_sentences(recognizer: Recognizer) -> bool:
    """Whether a sentence, behind the one before it, is enough for a recognizer to find by.

    That is what its attribute `by_sentence` says; one that does not say so needs whole texts.
    """
    return bool(getattr(recognizer, "by_sentence", False))


def find_all(recognizer: Recognizer, units: Sequence[TextUnit]) -> Sequence[Iterable[Finding]]:
    """Gives what a recognizer finds in each unit, in one go where it can.

    Raises:
        ValueError: it answered for more or fewer units than it was asked about.
    """
    together = getattr(recognizer, "find_all", None)
    if together is None:
        return [recognizer.find(unit) for unit in units]
    found: Sequence[Iterable[Finding]] = together(units)
    if len(found) != len(units):
        raise ValueError("a recognizer answered for other units than it was asked about")
    return found


def examine_all(
    recognizer: Recognizer, units: Sequence[TextUnit]
) -> Sequence[tuple[Iterable[Finding], Sequence[Doubt]]]:
    """Gives what a recognizer finds in each unit, and its doubts where it can tell them.

    Raises:
        ValueError: as `find_all` does.
    """
    examine = getattr(recognizer, "examine", None)  # as isinstance asks, many times as fast
    if examine is not None:
        return [examine(unit) for unit in units]
    return [(found, ()) for found in find_all(recognizer, units)]
