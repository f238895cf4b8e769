"""The vault of one conversation: placeholder ↔ original, and nothing else.

A vault is personal data (pseudonymisation is reversible by whoever holds it, GDPR art. 4(5)). It is
made per conversation, never shared between conversations, and its repr shows counts only.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from guardrail.errors import Refusal
from guardrail.transform.placeholders import MAX_NUMBER


@dataclass(frozen=True, slots=True)
class Entry:
    """One pseudonymised value. `original` is never shown in a repr."""

    entity: str
    word: str
    number: int
    original: str

    def __repr__(self) -> str:
        return f"Entry({self.entity}, {self.word}_{self.number})"


class Vault:
    """Numbers values by first mention and gives them back; safe to use from several threads.

    The same value of the same word keeps its number for the life of the vault, so the same history
    gives the same bytes in every turn.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_value: dict[tuple[str, str], Entry] = {}
        self._by_token: dict[tuple[str, int], Entry] = {}
        self._counters: dict[str, int] = {}

    def allocate(self, *, entity: str, word: str, original: str) -> Entry:
        """Gives the entry of a value, a new number if the value is new.

        Raises:
            Refusal: the conversation holds more than `MAX_NUMBER` values of one word.
        """
        with self._lock:
            entry = self._by_value.get((word, original))
            if entry is None:
                number = self._counters.get(word, 0) + 1
                if number > MAX_NUMBER:
                    raise Refusal(
                        413, "too_many_values", f"more than {MAX_NUMBER} values of one kind"
                    )
                self._counters[word] = number
                entry = Entry(entity, word, number, original)
                self._by_value[word, original] = entry
                self._by_token[word, number] = entry
            return entry

    def entry(self, word: str, number: int) -> Entry | None:
        """The entry behind a placeholder, or None: an unknown placeholder is never guessed."""
        return self._by_token.get((word, number))

    def __iter__(self) -> Iterator[Entry]:
        with self._lock:
            return iter(tuple(self._by_value.values()))

    def __len__(self) -> int:
        return len(self._by_value)

    def __repr__(self) -> str:
        return f"Vault({len(self)} values)"


class Vaults:
    """The vaults of conversations that span several exchanges, each for one principal alone.

    A vault is dropped `idle` after its last use, and the least recently used one beyond `size`.
    Placeholders of a dropped vault stay placeholders: they are never guessed.
    """

    def __init__(self, *, idle: timedelta = timedelta(minutes=30), size: int = 10_000) -> None:
        self._idle = idle
        self._size = size
        self._lock = threading.Lock()
        self._open: OrderedDict[tuple[str, str], tuple[datetime, Vault]] = OrderedDict()

    def open(self, *, principal: str, conversation: str, now: datetime) -> Vault:
        """Gives the vault of a principal's conversation, a new one if there is none."""
        with self._lock:
            used, vault = self._open.pop((principal, conversation), (now, Vault()))
            if now - used >= self._idle:
                vault = Vault()
            self._open[principal, conversation] = (now, vault)
            while len(self._open) > self._size or now - self._oldest() >= self._idle:
                self._open.popitem(last=False)
            return vault

    def _oldest(self) -> datetime:
        return next(iter(self._open.values()))[0]

    def __repr__(self) -> str:
        return f"Vaults({len(self._open)} open)"
