"""Streams that no map knows: parts that may be one text are read as one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from guardrail.answers.channels import Channel, Event
from guardrail.answers.leaves import LONG_NUMBER
from guardrail.answers.payloads import plain_text
from guardrail.guard import Filter
from guardrail.protocols.fields import Action, Leaf, Path
from guardrail.protocols.payload import Json


class Weave:
    """Texts that a stream sends in turns, told apart by fields that no map names.

    Any small number or word beside a text may say which of several texts it belongs to. So each
    field that takes turns between few values is held to be one that does: the strings beside each
    of its values are filtered as one text, too, and what is found in them only so is masked. What
    is not gone on with for a while is held to have ended.
    """

    def __init__(self, outgoing: Filter) -> None:
        self._filter = outgoing
        self._seen: dict[Path, dict[str, Channel | None] | None] = {}  # field → value → its text
        self._last: dict[tuple[Path, str], int] = {}
        self._count = 0

    def feed(self, event: Event, leaf: Leaf, fields: Mapping[Path, str], before: Channel) -> None:
        """Takes the next string; `before` joins all those before it, whatever they belong to."""
        for path in {**self._seen, **fields} if len(self._seen) < MAX_FIELDS else dict(self._seen):
            said = fields.get(path, "")
            first: dict[str, Channel | None] = {} if self._count == 0 else {"": None}
            seen = self._seen.setdefault(path, first)
            if seen is None or path == leaf.path:
                continue
            if said not in seen and len(seen) == 1:
                # Until now there was one text, and what was said of it stands before this string.
                (other,) = seen
                seen[other], self._last[path, other] = self._channel(leaf), self._count
                for slot in before.waiting:
                    self._go_on(seen, path, other, *slot)
            seen.setdefault(said, None)
            if len(seen) > _TURNS:
                self._leave(path)
            elif len(seen) > 1:
                self._speak(seen, path, said, event, leaf)
        self._count += 1

    def _speak(
        self,
        seen: dict[str, Channel | None],
        path: Path,
        said: str,
        event: Event,
        leaf: Leaf,
    ) -> None:
        seen[said] = seen[said] or self._channel(leaf)
        self._go_on(seen, path, said, event, leaf.path, leaf.text)
        for value in list(seen):
            if seen[value] and self._last[path, value] < self._count - _PAUSE:
                self._flush(seen, value)

    def _go_on(
        self,
        seen: Mapping[str, Channel | None],
        path: Path,
        said: str,
        event: Event,
        place: Path,
        text: str,
    ) -> None:
        self._last[path, said] = self._count
        channel = seen[said]
        assert channel is not None
        with _uncounted(self._filter):
            channel.feed(event, place, text, woven=True)

    def _channel(self, leaf: Leaf) -> Channel:
        sink = None if leaf.action is Action.TEXT else ""
        return Channel(self._filter.transformer(tool=sink, restoring=False))

    def _leave(self, path: Path) -> None:
        """A field with many values, such as a text or a time, tells no texts apart."""
        seen, self._seen[path] = self._seen[path], None
        for value in seen or ():
            self._flush(seen or {}, value)

    def _flush(self, seen: dict[str, Channel | None], value: str) -> None:
        channel, seen[value] = seen[value], None
        if channel is not None:
            with _uncounted(self._filter):
                channel.flush()

    def flush(self) -> None:
        """Ends every text that was begun."""
        for path in self._seen:
            self._leave(path)


_TURNS = 8
"""Values of a field beyond which it is no number of a text."""


_PAUSE = 32
"""Strings that may come between two of one text."""


MAX_FIELDS = 64
"""Fields beside a text that may say which one it is."""


_WORD = re.compile(r"[\w.:/@+-]{1,64}")


def named_fields(payload: Json, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """The small numbers and the words of a payload."""
    if isinstance(payload, dict | list):
        inside = payload.items() if isinstance(payload, dict) else enumerate(payload)
        for step, inner in inside:
            yield from named_fields(inner, (*path, step))
    else:
        said = plain_text(payload)
        if _WORD.fullmatch(said) and (isinstance(payload, str) or len(said) < LONG_NUMBER):
            yield path, said


@contextmanager
def _uncounted(outgoing: Filter) -> Iterator[None]:
    """Counts nothing as masked meanwhile: what is looked at twice is masked once."""
    counts = dict(outgoing.masked)
    try:
        yield
    finally:
        outgoing.masked.clear()
        outgoing.masked.update(counts)
