"""Small questions about the payload of an event."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from guardrail.errors import Refusal
from guardrail.protocols.fields import Path, Step, locate
from guardrail.protocols.payload import Json, JsonNumber, parse_json


def path_pattern(path: Path) -> str:
    """A path as maps write it."""
    steps = ("[]" if isinstance(step, int) else f".{step}" for step in path)
    return "".join(steps).removeprefix(".")


def value_at(payload: Json, dotted: str) -> Json:
    """The value at a dotted path of names; None where there is none."""
    for name in dotted.split("."):
        payload = payload.get(name) if isinstance(payload, dict) else None
    return payload


def plain_text(value: Json) -> str:
    """A string or a number as text; empty for anything else."""
    if isinstance(value, JsonNumber):
        whole, _, rest = value.lexeme.partition(".")
        return value.lexeme if rest.strip("0") else whole  # 0.0 is the index 0, too
    return value if isinstance(value, str) else ""


def no_text(payload: Json) -> bytes:
    """Renders an event that holds no text, which never has to be."""
    raise AssertionError("an event without text has nothing to change")


def read_payload(data: str) -> tuple[Json, bool]:
    """The payload of an event, and whether it is JSON.

    A bare number or word is text as it stands: a stream of text may be cut into such pieces.
    """
    try:
        value = parse_json(data.encode())
    except Refusal as refusal:
        if refusal.code != "invalid_json":
            raise Refusal(502, "upstream_uninspectable", refusal.message) from None
        return data, False
    return (value, True) if isinstance(value, str | dict | list) else (data, False)


def stable_path(payload: Json, path: Path) -> Path:
    """The path with array positions replaced by the `index` their elements carry.

    One event may hold only the second of three choices: its position is 0, its index is 1.
    """
    stable: list[str | int | Step] = []
    for step in path:
        if isinstance(payload, list) and isinstance(step, int):
            payload = payload[step] if step < len(payload) else None
            index = payload.get("index") if isinstance(payload, dict) else None
            stable.append(int(index.lexeme) if isinstance(index, JsonNumber) else step)
        else:
            payload = locate(payload, (step,))
            stable.append(step)
    return tuple(stable)


def finished_paths(payload: Json, fields: Iterable[str]) -> Iterator[Path]:
    """Paths below which an event says that nothing more will come (`choices[].finish_reason`)."""
    for finish in fields if isinstance(payload, dict) else ():
        holder, _, name = finish.rpartition("[].")
        if not holder:
            if value_at(payload, name):
                yield ()
            continue
        elements = value_at(payload, holder)
        for position, element in enumerate(elements if isinstance(elements, list) else []):
            if isinstance(element, dict) and element.get(name):
                yield stable_path(payload, (*holder.split("."), position))
