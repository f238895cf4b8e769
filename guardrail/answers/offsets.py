"""Offsets of citations, which move with the text that they point into."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from guardrail.answers.channels import Asked, Event, Where
from guardrail.answers.payloads import plain_text
from guardrail.protocols.fields import Path, Step
from guardrail.protocols.maps import Offsets, Protocol
from guardrail.protocols.payload import Json, JsonNumber


def move_offsets(
    event: Event,
    protocol: Protocol,
    find: Callable[[Path, Offsets, dict[str, Json]], Where | None],
) -> None:
    """Lets the numbers of an event that point into a text move with it; null if none is known."""
    for row in protocol.offsets:
        for holder, held in _objects(event.payload, row.at):
            where = find(_text_path(row, holder, held), row, held)
            for name in row.numbers:
                number = held.get(name)
                if not isinstance(number, JsonNumber):
                    continue
                path = (*holder, name)
                if where is None or not number.lexeme.isdecimal() or len(number.lexeme) > 9:
                    event.changes[path] = None
                    continue
                is_end = name == row.numbers[1]
                channel, base = where
                at = int(number.lexeme)
                channel.ask(Asked(event, path, at, base, is_end, row.in_bytes))


def _text_path(row: Offsets, holder: Path, held: dict[str, Json]) -> Path:
    """The path of the text that the numbers of an object point into."""
    positions = (step for step in holder if isinstance(step, int))
    path: list[str | int | Step] = []
    for step in row.of:
        if step == "[]":
            path.append(next(positions, 0))
        elif step.startswith("["):
            path.append(as_index(held.get(step[1:-1])))
        else:
            path.append(step)
    return tuple(path)


def as_index(value: Json) -> int:
    """A value as a position in a list; 0 for what is none."""
    said = plain_text(value)
    return int(said) if said.isdecimal() and len(said) < 10 else 0


def _objects(
    payload: Json, steps: tuple[str, ...], path: Path = ()
) -> Iterator[tuple[Path, dict[str, Json]]]:
    """The objects that a pattern leads to, with their paths."""
    if not steps:
        if isinstance(payload, dict):
            yield path, payload
    elif steps[0] == "[]":
        for position, inner in enumerate(payload if isinstance(payload, list) else ()):
            yield from _objects(inner, steps[1:], (*path, position))
    elif isinstance(payload, dict) and steps[0] in payload:
        yield from _objects(payload[steps[0]], steps[1:], (*path, steps[0]))
