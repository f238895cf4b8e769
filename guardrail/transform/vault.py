"""The vault of one conversation: placeholder ↔ original, and nothing else.

A vault is personal data (pseudonymisation is reversible by whoever holds it, GDPR art. 4(5)). It is
made per conversation, never shared between conversations, and its repr shows counts only. `vaults`
keeps those that outlive an exchange.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

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
    gives the same bytes in every turn. It begins with `entries`, of one or of several vaults.

    Raises:
        ValueError: two entries give one number to two values, or one value two numbers.
    """

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._lock = threading.Lock()
        self._by_value: dict[tuple[str, str], Entry] = {}
        self._by_token: dict[tuple[str, int], Entry] = {}
        self._counters: dict[str, int] = {}
        for entry in entries:
            by_value = self._by_value.setdefault((entry.word, entry.original), entry)
            by_token = self._by_token.setdefault((entry.word, entry.number), entry)
            if not by_value.number == by_token.number == entry.number or by_value is not by_token:
                raise ValueError("two vaults do not agree")
            self._counters[entry.word] = max(entry.number, self._counters.get(entry.word, 0))

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
