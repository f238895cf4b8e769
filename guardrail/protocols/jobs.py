"""Files of requests, one a line: each line is read with the map of the API that it is meant for.

Source: https://platform.openai.com/docs/api-reference/batch/request-input
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace

from guardrail.errors import Refusal
from guardrail.protocols.bodies import Body
from guardrail.protocols.fields import Action, FieldMap
from guardrail.protocols.maps import Protocol, protocol_of
from guardrail.protocols.payload import Json, dump_json, parse_json

_PURPOSES = ("batch", "fine-tune", "evals")
"""What files are for whose lines must be requests."""


def read_job(body: Body, protocol: Protocol) -> tuple[Body, Protocol]:
    """Gives a form with the requests in its file opened, and a protocol that maps each of them.

    A body without such a file is given as it is.

    Raises:
        Refusal: 400 for a file for batches or fine-tuning with a line that is no JSON object.
    """
    parts = body.payload
    if not protocol.requests or not isinstance(parts, list):
        return body, protocol
    strict = any(isinstance(part, dict) and part.get("purpose") in _PURPOSES for part in parts)
    maps: dict[str, FieldMap] = {}
    raws: dict[str, bytes] = {}
    opened = [_opened(part, protocol.requests, maps, raws, strict=strict) for part in parts]
    if not maps:
        return body, protocol

    def encode(value: Json) -> bytes:
        new = value if isinstance(value, list) else []
        return body.encode(
            [
                old if one is mine else _closed(one, mine, protocol.requests, raws)
                for one, mine, old in zip(new, opened, parts, strict=True)
            ]
        )

    form = protocol.request.elements or FieldMap()
    file = form.children.get(protocol.requests, FieldMap())
    lines = FieldMap(children=maps)
    file = replace(file, children={**file.children, "lines": lines})
    form = replace(form, children={**form.children, protocol.requests: file})
    marks = tuple(
        replace(mark, steps=(position, protocol.requests, "lines", *steps, *mark.steps))
        for position, part in enumerate(opened)
        for steps, spoken in _spoken_in(part, protocol.requests)
        for mark in spoken.untrusted
    )
    return (
        Body(payload=opened, raw=body.raw, encode=encode),
        replace(
            protocol,
            request=replace(protocol.request, elements=form),
            untrusted=(*protocol.untrusted, *marks),
        ),
    )


def _spoken_in(part: Json, name: str) -> Iterator[tuple[tuple[str, ...], Protocol]]:
    """What each line of a part speaks, and where in `lines` that stands."""
    file = part.get(name) if isinstance(part, dict) else None
    lines = file.get("lines") if isinstance(file, dict) else None
    for number, line in lines.items() if isinstance(lines, dict) else ():
        if isinstance(line, dict) and isinstance(url := line.get("url"), str):
            yield (number, "body"), protocol_of(line.get("body"), url)
        else:
            yield (number,), protocol_of(line, "")


def _opened(
    part: Json, name: str, maps: dict[str, FieldMap], raws: dict[str, bytes], *, strict: bool
) -> Json:
    """A part with its file's lines in place of its content; `maps` and `raws` take up each line."""
    file = part.get(name) if isinstance(part, dict) else None
    if not isinstance(file, dict):
        return part
    if not strict and not str(file.get("filename", "")).lower().endswith(".jsonl"):
        return part
    raw = base64.b64decode(str(file["content"]).partition(",")[2])
    lines: dict[str, Json] = {}
    try:
        for number, line, value in _lines(raw, len(raws)):
            lines[number] = value
            raws[number] = line
            maps[number] = _map_of(value)
    except Refusal as refusal:
        if strict:
            at = len(lines) + 1
            message = f"line {at} of the file cannot be read: {refusal.message}"
            raise Refusal(refusal.status, refusal.code, message) from None
        for number in lines:
            del maps[number], raws[number]
        return part
    rest = {key: value for key, value in file.items() if key != "content"}
    return {name: {**rest, "lines": lines}} if lines else part


def _lines(raw: bytes, before: int) -> Iterator[tuple[str, bytes, dict[str, Json]]]:
    for number, line in enumerate(filter(bytes.strip, raw.split(b"\n")), before + 1):
        value = parse_json(line)
        if not isinstance(value, dict):
            raise Refusal(400, "invalid_json", "it is no JSON object")
        yield str(number), line, value


def _map_of(line: dict[str, Json]) -> FieldMap:
    url, body = line.get("url"), line.get("body")
    if not isinstance(url, str):
        return protocol_of(line, "").request
    return FieldMap(
        children={
            "custom_id": FieldMap(action=Action.IDENTIFIER),
            "method": FieldMap(action=Action.STRUCTURE),
            "url": FieldMap(action=Action.STRUCTURE),
            "body": protocol_of(body, url).request,
        }
    )


def _closed(new: Json, old: Json, name: str, raws: dict[str, bytes]) -> Json:
    """A part with its file's content again; lines that nothing changed are as they were."""
    file = new.get(name) if isinstance(new, dict) else None
    before = old.get(name) if isinstance(old, dict) else None
    if not isinstance(file, dict) or not isinstance(before, dict):
        return new
    lines, were = file.get("lines"), before.get("lines")
    if not isinstance(lines, dict) or not isinstance(were, dict):
        return new
    written = (
        raws[number] if line is were[number] else dump_json(line).encode()
        for number, line in lines.items()
    )
    content = base64.b64encode(b"\n".join(written) + b"\n").decode()
    rest = {key: value for key, value in file.items() if key != "lines"}
    return {name: {**rest, "content": f"data:application/octet-stream;base64,{content}"}}
