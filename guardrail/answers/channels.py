"""Texts that come in parts, and the events that carry them: edits are put where they belong."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from guardrail.protocols.fields import Path, locate, rewrite
from guardrail.protocols.payload import Json, JsonNumber
from guardrail.transform.fragments import TextTransformer
from guardrail.transform.stream import Edit

Changes = dict[Path, str | JsonNumber | None]


@dataclass(slots=True)
class Event:
    """A framed event that waits until all its strings are decided."""

    payload: Json
    render: Callable[[Json], bytes]
    raw: bytes
    undecided: int = 0
    changes: Changes = field(default_factory=dict)
    edits: dict[Path, list[Edit]] = field(default_factory=dict)
    woven: dict[Path, list[Edit]] = field(default_factory=dict)  # of texts that come in turns

    def encode(self) -> bytes:
        """The event's bytes: as they came where nothing changed."""
        return self.render(self.rewritten()) if self.changes or self.woven else self.raw

    def rewritten(self) -> Json:
        """The payload with every change in it."""
        for path, edits in self.woven.items():
            text = locate(self.payload, path)
            assert isinstance(text, str)
            self.changes[path] = _applied(_united(self.edits.get(path, []), edits), text)
        return rewrite(self.payload, self.changes)


def _applied(edits: Iterable[Edit], text: str) -> str:
    pieces: list[str] = []
    at = 0
    for edit in edits:
        pieces += text[at : edit.start], edit.text
        at = edit.end
    return "".join((*pieces, text[at:]))


def _united(first: Iterable[Edit], second: Iterable[Edit]) -> list[Edit]:
    """The edits of both; where they overlap, all of it makes way for what either puts there."""
    edits: list[Edit] = []
    for edit in sorted((*first, *second)):
        if edits and edit.start < edits[-1].end:
            last = edits.pop()
            new = edit.text if edit.text != last.text else ""
            edit = Edit(last.start, max(last.end, edit.end), last.text + new)
        edits.append(edit)
    return edits


def _add(edits: list[Edit], edit: Edit) -> None:
    """Adds an edit; where it only goes on removing, to the last one."""
    if edits and not edit.text and edits[-1].end == edit.start:
        edit = edits.pop()._replace(end=edit.end)
    edits.append(edit)


@dataclass(slots=True)
class _Slot:
    """One string of one event, where it stands in its channel, and what happens to it."""

    event: Event
    path: Path
    original: str = field(repr=False)
    begin: int
    woven: bool
    edits: list[Edit] = field(default_factory=list, repr=False)

    @property
    def end(self) -> int:
        return self.begin + len(self.original)

    def edit(self, edit: Edit, text: str) -> None:
        start, end = max(edit.start, self.begin), min(edit.end, self.end)
        _add(self.edits, Edit(start - self.begin, end - self.begin, text))

    def close(self) -> None:
        """Hands what is decided to the event."""
        self.event.undecided -= 1
        if self.edits and self.woven:
            before = self.event.woven.get(self.path, ())
            self.event.woven[self.path] = _united(before, self.edits)
        elif self.edits:
            self.event.edits[self.path] = self.edits
            text = _applied(self.edits, self.original)
            if text != self.original:
                self.event.changes[self.path] = text


class Channel:
    """Strings that are read as one text, joined, filtered and handed back to their events.

    What is left as it is stays in its string; a replacement stands where what it replaces began.
    So what becomes of a string is the same however the text is cut into others.
    """

    def __init__(
        self,
        transformer: TextTransformer,
        *,
        counts_input: bool = True,
        keeps: bool = False,
        is_read: bool = True,
    ) -> None:
        self.is_read = is_read
        self._transformer = transformer
        self._counts_input = counts_input
        self._text: list[str] | None = [] if keeps else None
        self._slots: deque[_Slot] = deque()
        self._fed = 0
        self._decided = 0
        self._waiting = ""  # what is not decided
        self._out = ""
        self._edits: list[Edit] = []  # of what is not decided
        self._made: list[Edit] = []
        self._asked: list[Asked] = []

    @property
    def fed(self) -> int:
        """How many code points came in so far."""
        return self._fed

    @property
    def waiting(self) -> Iterator[tuple[Event, Path, str]]:
        """The strings that are not decided, or not to their end."""
        return ((slot.event, slot.path, slot.original) for slot in self._slots)

    def feed(self, event: Event, path: Path, text: str, *, woven: bool = False) -> None:
        """Takes the next part of the text, which stands at a path of an event."""
        slot = _Slot(event, path, text, self._fed, woven)
        self._slots.append(slot)
        event.undecided += 1
        self._fed += len(text)
        self._waiting += text
        if self._text is not None:
            self._text.append(text)
        self._take(self._transformer.feed(text))
        held = self._transformer.held
        if self._counts_input or not held:
            self._settle(self._fed - held)

    def flush(self) -> None:
        """Ends the text: all of it is decided now."""
        self._take(self._transformer.flush())
        self._settle(self._fed)
        for asked in self._asked:
            self._tell(asked)
        self._asked = []

    def ask(self, asked: Asked) -> None:
        """Writes where a place of the text has moved to into its event, once that is known."""
        asked.event.undecided += 1
        self._asked.append(asked)
        self._tell_decided()

    def _tell_decided(self) -> None:
        for asked in [asked for asked in self._asked if self._place(asked) <= self._decided]:
            self._asked.remove(asked)
            self._tell(asked)

    def _tell(self, asked: Asked) -> None:
        at = self._place(asked)
        measure = len if not asked.in_bytes else _bytes
        moved = self._moved(at, asked, measure) - self._moved(asked.base, asked, measure, end=True)
        asked.event.undecided -= 1
        if moved != asked.at:
            asked.event.changes.setdefault(asked.path, JsonNumber(str(max(0, moved))))

    def _place(self, asked: Asked) -> int:
        """The place in code points from the beginning of the channel."""
        if not asked.in_bytes or self._text is None:
            return asked.base + asked.at
        text = "".join(self._text)[asked.base :]
        rest = text.encode("utf-8", "surrogatepass")[: asked.at]
        return asked.base + len(rest.decode("utf-8", "ignore")) + max(0, asked.at - len(rest))

    def _moved(
        self, at: int, asked: Asked, measure: Callable[[str], int], *, end: bool | None = None
    ) -> int:
        """A place in the text as it was, in the text as it has become."""
        text = "".join(self._text or ())[:at] if asked.in_bytes else ""
        moved = at + (measure(text) - len(text))
        for edit in self._made:
            old = text[edit.start : edit.end]
            if edit.end <= at:
                moved += measure(edit.text) - (measure(old) if text else edit.end - edit.start)
            elif edit.start < at:
                moved -= measure(old) if text else at - edit.start
                moved += measure(edit.text) if (asked.is_end if end is None else end) else 0
        return moved

    def _take(self, out: str) -> None:
        self._out += out
        self._edits += getattr(self._transformer, "edits", ())

    def _settle(self, decided: int) -> None:
        """Hands the decided text to the strings it came from."""
        begin, self._decided = self._decided, decided
        before, self._waiting = self._waiting[: decided - begin], self._waiting[decided - begin :]
        out, self._out = self._out, ""
        edits, self._edits = self._edits, []
        if not hasattr(self._transformer, "edits") and out != before:
            edits = [_difference(before, out, begin)]
        slots, number = list(self._slots) if decided > begin else [], 0
        for edit in edits:
            _add(self._made, edit)
            while number < len(slots) - 1 and slots[number].end <= edit.start:
                number += 1
            text = edit.text
            for slot in slots[number:]:
                slot.edit(edit, text)
                text = ""
                if slot.end >= edit.end:
                    break
        while self._slots and self._slots[0].end <= decided:
            self._slots.popleft().close()
        if self._asked:
            self._tell_decided()


@dataclass(frozen=True, slots=True)
class Asked:
    """A number that says where something stands in a part of a channel, which begins at `base`."""

    event: Event
    path: Path
    at: int
    base: int
    is_end: bool
    in_bytes: bool


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


Where = tuple[Channel, int]
"""A channel and where in it a text begins."""


def _difference(before: str, after: str, begin: int) -> Edit:
    """The one edit that makes `after` of a text that stands at `begin`."""
    width = min(len(before), len(after))
    head = next((n for n in range(width) if before[n] != after[n]), width)
    rest = width - head
    tail = next((n for n in range(rest) if before[-1 - n] != after[-1 - n]), rest)
    new = after[head : len(after) - tail]
    return Edit(begin + head, begin + len(before) - tail, new)
