r"""Text that streams, read by what cannot judge single characters: a sentence at a time, or whole.

What finds names needs a sentence, so the result for a text is by definition that for its sentences,
one by one, each read behind the one before it. How a text is parted depends on the text alone,
never on how it was cut; hence what is found in a stream is what is found in the whole text.

A sentence ends behind a line, behind `.`, `!`, `?` or `…`, what closes around it and white space,
and behind `。`, `！` or `？` and what closes around it. None ends at an initial, a title or the
like (`J. Smith`, `Dr. Smith`), nor where it goes on with a small letter or a digit (`Str. 5`).

A sentence that gets too long is read as far as it is there. All of it is released but the last
part, from which on it is read again, and what is found to reach into that part waits for it. So
what is longer than that part may be found in two pieces, or the second of them alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import regex

from guardrail.errors import Refusal

HOLD = 400
"""Code points of a sentence that are held at most, while its end is not there."""
OVERLAP = 64
"""Code points at the end of a part of a sentence that are read again with what follows."""

_CLOSING = r"\"'”’»)\]*_`"
_CLOSING_WIDE = r"\"'”’」』）】)\]*"
_UNENDED = (
    r"\p{Lu}|[Dd]ra?|[Pp]rof|Mrs?|Ms|Mx|Mme|Mlle|Messrs|Hr|Hrn|Fr|Frl|Sra?|Srta|Ste?|Sig|Ing|"
    r"Dipl|Jr|Rev|Hon|Gen|Col|Capt|Lt|Sgt|geb|Co|Nr|No|Ave|Blvd|Rd|Mt|Ft"
)
_END = regex.compile(
    rf"(?:(?<!(?<![^\W_])(?:{_UNENDED}))\.|[!?…؟।۔])[{_CLOSING}]*+\s(?=[^\p{{Ll}}\p{{Nd}}])"
    rf"|[。！？｡][{_CLOSING_WIDE}]*+(?=[\s\S])"
    r"|\n"
)

_LAST_SPACE = regex.compile(r"(?r)\s")


@dataclass(frozen=True, slots=True)
class Spot:
    """Where something stands in a text. Without an `entity` it is what must not be cut."""

    start: int
    end: int
    entity: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What takes the place of a part of the stream, in offsets from its start."""

    start: int
    end: int
    name: str
    replacement: str = field(repr=False)


Look = Callable[[str], Sequence[Spot]]
"""Gives what stands in a text, sorted and disjoint."""
Replace = Callable[[str, str], str]
"""Gives what takes the place of an entity's text; called once for each that is found."""


class Reader(Protocol):
    """Finds things in one stream of text; it holds state and belongs to one stream."""

    @property
    def decided(self) -> int:
        """The offset in the stream before which everything was found."""
        ...

    def feed(self, chunk: str, /) -> Iterable[Found]:
        """Takes the next chunk and gives what is found, in order."""
        ...

    def flush(self) -> Iterable[Found]:
        """Ends the stream and gives the rest; the next one starts anew."""
        ...


class Sentences:
    """Reads a stream by sentences, of which each is looked at behind the one before it.

    >>> def look(text):
    ...     return [Spot(m.start(), m.end(), "PERSON") for m in regex.finditer("Erika", text)]
    >>> stream = Sentences(look, lambda entity, text: f"[{entity}]")
    >>> for chunk in ("Hi Er", "ika. So"):
    ...     print(stream.feed(chunk), stream.decided)
    [] 0
    [Found(start=3, end=8, name='PERSON')] 10
    """

    def __init__(
        self, look: Look, put: Replace, *, hold: int = HOLD, overlap: int = OVERLAP
    ) -> None:
        self._look = look
        self._put = put
        self._hold = hold
        self._keep = hold - overlap
        self._begin()

    def _begin(self) -> None:
        self._open = ""  # the sentence that has not ended
        self._before = ""  # what stands before it
        self._decided = 0

    @property
    def decided(self) -> int:
        """Where the sentence begins that has not ended."""
        return self._decided

    def feed(self, chunk: str) -> list[Found]:
        """Takes the next chunk and gives what stands in the sentences that it ends."""
        text, found, at = self._open + chunk, list[Found](), 0
        while True:
            # One more than is held: it tells whether a sentence ends with the last of those.
            piece = text[at : at + self._hold + 1]
            end = _END.search(piece)
            if end and end.end() <= self._hold:
                piece = piece[: end.end()]
                spots = self._spots(piece)
            elif len(piece) > self._hold:
                spots = self._spots(piece[:-1])
                piece = piece[: self._until(piece[:-1], spots)]
            else:
                self._open = piece
                return found
            found += self._settle(piece, spots)
            at += len(piece)

    def flush(self) -> list[Found]:
        """Gives what stands in the sentence that did not end, and starts anew."""
        found = self._settle(self._open, self._spots(self._open))
        self._begin()
        return found

    def _spots(self, text: str) -> list[Spot]:
        if not text or text.isspace():
            return []
        begin = len(self._before)
        return [
            replace(spot, start=max(spot.start - begin, 0), end=spot.end - begin)
            for spot in self._look(self._before + text)
            if spot.end > begin
        ]

    def _until(self, text: str, spots: Iterable[Spot]) -> int:
        """How much of a sentence that is too long is released: up to a space, and to no spot's."""
        space = _LAST_SPACE.search(text, 0, self._keep)
        until = space.end() if space else self._keep
        across = next((spot for spot in spots if spot.start < until < spot.end), None)
        return (across.start or across.end) if across else until

    def _settle(self, text: str, spots: Iterable[Spot]) -> list[Found]:
        begin, self._decided = self._decided, self._decided + len(text)
        self._before = text if text and not text.isspace() else self._before + text
        self._before = self._before[-self._hold :]
        return [
            _found(text, spot, begin, self._put)
            for spot in spots
            if spot.entity and spot.end <= len(text)
        ]


class Texts:
    """Reads a stream that has ended; until then nothing is decided.

    More than `most` code points raise Refusal (502).
    """

    def __init__(self, look: Look, put: Replace, *, most: int) -> None:
        self._look = look
        self._put = put
        self._most = most
        self._chunks: list[str] = []
        self._size = 0

    @property
    def decided(self) -> int:
        """The beginning."""
        return 0

    def feed(self, chunk: str) -> list[Found]:
        """Keeps the chunk and gives nothing."""
        self._size += len(chunk)
        if self._size > self._most:
            raise Refusal(502, "upstream_too_large", "the answer is too large to be held")
        self._chunks.append(chunk)
        return []

    def flush(self) -> list[Found]:
        """Gives what stands in the whole text, and starts anew."""
        text = "".join(self._chunks)
        self._chunks.clear()
        self._size = 0
        spots = self._look(text) if text else ()
        return [_found(text, spot, 0, self._put) for spot in spots if spot.entity]


def _found(text: str, spot: Spot, begin: int, put: Replace) -> Found:
    replacement = put(spot.entity, text[spot.start : spot.end])
    return Found(begin + spot.start, begin + spot.end, spot.entity, replacement)
