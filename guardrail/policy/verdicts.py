"""Verdicts: what the policies said to one question, and a memory of those said before."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import NamedTuple

from guardrail.types import Treatment


class Verdict(NamedTuple):
    """The treatment of one category, the ids of the policies that decided, classes of error."""

    treatment: Treatment
    policies: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()


class Memo:
    """A bounded map that threads may share; the least recently used verdict is forgotten first.

    Keys hold quantised facts, never content.
    """

    __slots__ = ("_lock", "_size", "_verdicts")

    def __init__(self, size: int) -> None:
        self._verdicts: OrderedDict[Hashable, Verdict] = OrderedDict()
        self._lock = Lock()
        self._size = size

    def __len__(self) -> int:
        return len(self._verdicts)

    def get(self, key: Hashable) -> Verdict | None:
        """The verdict kept under a key, or None."""
        with self._lock:
            verdict = self._verdicts.get(key)
            if verdict is not None:
                self._verdicts.move_to_end(key)
            return verdict

    def put(self, key: Hashable, verdict: Verdict) -> None:
        """Keeps a verdict, unless it has errors: what failed once must be asked again."""
        if verdict.errors:
            return
        with self._lock:
            self._verdicts[key] = verdict
            if len(self._verdicts) > self._size:
                self._verdicts.popitem(last=False)
