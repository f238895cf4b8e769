"""Verdicts: what the policies said to one question, and a memory of those said before."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Generic, NamedTuple, TypeVar

from guardrail.types import Decision, Treatment


class Verdict(NamedTuple):
    """The treatment of one category, the ids of the policies that decided, classes of error."""

    treatment: Treatment
    policies: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()


Said = TypeVar("Said", Verdict, Decision)


class Memo(Generic[Said]):
    """A bounded map that threads may share; what was least recently used is forgotten first.

    Keys hold quantised facts, never content.
    """

    __slots__ = ("_lock", "_said", "_size")

    def __init__(self, size: int) -> None:
        self._said: OrderedDict[Hashable, Said] = OrderedDict()
        self._lock = Lock()
        self._size = size

    def __len__(self) -> int:
        return len(self._said)

    def get(self, key: Hashable) -> Said | None:
        """What is kept under a key, or None."""
        with self._lock:
            said = self._said.get(key)
            if said is not None:
                self._said.move_to_end(key)
            return said

    def put(self, key: Hashable, said: Said) -> None:
        """Keeps what was said, unless it has errors: what failed once must be asked again."""
        if said.errors:
            return
        with self._lock:
            self._said[key] = said
            if len(self._said) > self._size:
                self._said.popitem(last=False)


class Memory:
    """The verdicts on categories and the decisions on requests of one set of policies."""

    __slots__ = ("decisions", "verdicts")

    def __init__(self, size: int) -> None:
        self.verdicts: Memo[Verdict] = Memo(size)
        self.decisions: Memo[Decision] = Memo(size)
