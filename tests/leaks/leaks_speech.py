"""What models answer in each protocol: one field of an answer, whole and cut over events."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from types import MappingProxyType
from typing import Any

from leaks_positions import PATHS
from leaks_world import JSON, SSE, Pairs

Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """One field of an answer; `says` puts a text there, `events` the pieces of one.

    `whole` and `piece` are where a client reads it. `tool` says that the text is the JSON of a
    tool's arguments, `signed` that the provider signs it, so that nothing can be put back into it.
    """

    protocol: str
    field: str = "text"
    tool: bool = False
    signed: bool = False
    says: Callable[[str], object]
    events: Callable[[list[str]], Iterator[dict[str, object]]]
    whole: Place
    piece: Place

    @property
    def id(self) -> str:
        """What tests and reports call it."""
        return f"{self.protocol}: {self.field}"

    @property
    def path(self) -> str:
        """Where it is asked for."""
        return PATHS[self.protocol]

    def answer(self, text: str, *, size: int, beside: str = "") -> Iterator[bytes]:
        """Gives the bytes of an answer that says `text`, in pieces of `size`; 0: as a whole.

        Events of a second output, which says `beside`, come between those of the first.
        """
        if not size:
            yield json.dumps(self.says(text)).encode()
            return
        first, second = (list(self.events(_cut(said, size))) for said in (text, beside))
        woven = _woven(first, map(_moved, second)) if beside else first
        for event in woven:
            kind = f"event: {event['type']}\n" if "type" in event else ""
            yield f"{kind}data: {json.dumps(event)}\n\n".encode()
        if self.protocol in ("chat", "completions"):
            yield b"data: [DONE]\n\n"

    def heard(self, answer: bytes, *, size: int) -> str:
        """Gives the text that a client reads in the first output of an answer."""
        if not size:
            return _text(json.loads(answer), self.whole)
        lines = answer.decode().splitlines()
        events = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
        return "".join(_text(event, self.piece) for event in events if not _is_moved(event))


def headers(size: int) -> Pairs:
    """Gives the headers of an answer in pieces of `size`, or of a whole one."""
    return ((b"content-type", SSE if size else JSON),)


def _cut(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


_NUMBERS = frozenset({"index", "output_index"})
_IDS = frozenset({"id", "item_id", "call_id"})
_ENDS = frozenset({"message_delta", "message_stop", "response.completed"})
_ONCE = _ENDS | {"message_start"}
"""Kinds of events that speak of the whole answer, at its end or at all."""


def _woven(
    first: Iterable[dict[str, object]], second: Iterable[dict[str, object]]
) -> Iterator[dict[str, object]]:
    first = list(first)
    body = [event for event in first if event.get("type") not in _ENDS]
    other = [event for event in second if event.get("type") not in _ONCE]
    for pair in zip_longest(body, other):
        yield from (event for event in pair if event is not None)
    yield from (event for event in first if event.get("type") in _ENDS)


def _moved(event: Any) -> Any:
    """The event as it would be of the second output."""
    if isinstance(event, list):
        return list(map(_moved, event))
    if not isinstance(event, dict):
        return event
    return {
        key: 1 if key in _NUMBERS else f"{value}_2" if key in _IDS else _moved(value)
        for key, value in event.items()
    }


def _is_moved(event: Any) -> bool:
    if isinstance(event, list):
        return any(map(_is_moved, event))
    return isinstance(event, dict) and any(
        (key in _NUMBERS and value == 1) or _is_moved(value) for key, value in event.items()
    )


def _text(value: Any, place: Place) -> str:
    for step in place:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return ""
    return value if isinstance(value, str) else json.dumps(value)


def _choice(**fields: object) -> dict[str, object]:
    return {"id": "x", "choices": [{"index": 0, **fields}]}


def _reasoned(pieces: Iterable[str]) -> Iterator[dict[str, object]]:
    for piece in pieces:
        yield _choice(delta={"reasoning_content": piece}, finish_reason=None)
    yield from _chat_text(["ok"])


def _legacy(pieces: Iterable[str]) -> Iterator[dict[str, object]]:
    yield _choice(delta={"function_call": {"name": "send", "arguments": ""}}, finish_reason=None)
    for piece in pieces:
        yield _choice(delta={"function_call": {"arguments": piece}}, finish_reason=None)
    yield _choice(delta={}, finish_reason="function_call")


def _call(arguments: str, **more: object) -> dict[str, object]:
    return {
        "tool_calls": [{"index": 0, **more, "function": {"name": "send", "arguments": arguments}}]
    }


def _chat_text(pieces: Iterable[str]) -> Iterator[dict[str, object]]:
    yield _choice(delta={"role": "assistant", "content": ""}, finish_reason=None)
    for piece in pieces:
        yield _choice(delta={"content": piece}, finish_reason=None)
    yield _choice(delta={}, finish_reason="stop")


def _chat_call(pieces: Iterable[str]) -> Iterator[dict[str, object]]:
    yield _choice(delta=_call("", id="call_1", type="function"), finish_reason=None)
    for piece in pieces:
        call = {"index": 0, "function": {"arguments": piece}}
        yield _choice(delta={"tool_calls": [call]}, finish_reason=None)
    yield _choice(delta={}, finish_reason="tool_calls")


def _completion(pieces: Iterable[str]) -> Iterator[dict[str, object]]:
    for piece in pieces:
        yield _choice(text=piece, finish_reason=None)
    yield _choice(text="", finish_reason="stop")


def _response(item: object) -> dict[str, object]:
    return {"id": "resp_1", "object": "response", "status": "completed", "output": [item]}


def _spoken(text: str) -> dict[str, object]:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "id": "msg_1", "role": "assistant", "content": content}


def _called(arguments: str) -> dict[str, object]:
    call = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "send"}
    return {**call, "arguments": arguments}


def _response_text(pieces: list[str]) -> Iterator[dict[str, object]]:
    at: dict[str, object] = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    text = "".join(pieces)
    yield {"type": "response.output_item.added", "output_index": 0, "item": _spoken("")}
    for piece in pieces:
        yield {"type": "response.output_text.delta", **at, "delta": piece}
    yield {"type": "response.output_text.done", **at, "text": text}
    yield {"type": "response.output_item.done", "output_index": 0, "item": _spoken(text)}
    yield {"type": "response.completed", "response": _response(_spoken(text))}


def _response_call(pieces: list[str]) -> Iterator[dict[str, object]]:
    at: dict[str, object] = {"item_id": "fc_1", "output_index": 0}
    text = "".join(pieces)
    yield {"type": "response.output_item.added", "output_index": 0, "item": _called("")}
    for piece in pieces:
        yield {"type": "response.function_call_arguments.delta", **at, "delta": piece}
    yield {"type": "response.function_call_arguments.done", **at, "name": "send", "arguments": text}
    yield {"type": "response.output_item.done", "output_index": 0, "item": _called(text)}
    yield {"type": "response.completed", "response": _response(_called(text))}


def _summary(text: str) -> dict[str, object]:
    return {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": text}]}


def _response_summary(pieces: list[str]) -> Iterator[dict[str, object]]:
    at: dict[str, object] = {"item_id": "rs_1", "output_index": 0, "summary_index": 0}
    text = "".join(pieces)
    for piece in pieces:
        yield {"type": "response.reasoning_summary_text.delta", **at, "delta": piece}
    yield {"type": "response.reasoning_summary_text.done", **at, "text": text}
    yield {"type": "response.output_item.done", "output_index": 0, "item": _summary(text)}
    yield {"type": "response.completed", "response": _response(_summary(text))}


def _message(block: object) -> dict[str, object]:
    return {"id": "msg_1", "type": "message", "role": "assistant", "content": [block]}


def _blocks(
    start: dict[str, object], deltas: Iterable[dict[str, object]], stop: str
) -> Iterator[dict[str, object]]:
    yield {"type": "message_start", "message": {**_message(start), "content": []}}
    yield {"type": "content_block_start", "index": 0, "content_block": start}
    for delta in deltas:
        yield {"type": "content_block_delta", "index": 0, "delta": delta}
    yield {"type": "content_block_stop", "index": 0}
    yield {"type": "message_delta", "delta": {"stop_reason": stop}}
    yield {"type": "message_stop"}


def _message_text(pieces: Iterable[str]) -> Iterator[dict[str, object]]:
    deltas: list[dict[str, object]] = [{"type": "text_delta", "text": piece} for piece in pieces]
    return _blocks({"type": "text", "text": ""}, deltas, "end_turn")


def _message_call(pieces: Iterable[str]) -> Iterator[dict[str, object]]:
    start: dict[str, object] = {"type": "tool_use", "id": "toolu_1", "name": "send", "input": {}}
    deltas: list[dict[str, object]] = [
        {"type": "input_json_delta", "partial_json": piece} for piece in pieces
    ]
    return _blocks(start, deltas, "tool_use")


def _message_thought(pieces: Iterable[str]) -> Iterator[dict[str, object]]:
    deltas: list[dict[str, object]] = [
        {"type": "thinking_delta", "thinking": piece} for piece in pieces
    ]
    return _blocks({"type": "thinking", "thinking": "", "signature": ""}, deltas, "end_turn")


_CALL: Place = ("tool_calls", 0, "function", "arguments")

VOICES: Mapping[str, Voice] = MappingProxyType(
    {
        voice.id: voice
        for voice in (
            Voice(
                protocol="chat",
                says=lambda t: _choice(
                    message={"role": "assistant", "content": t}, finish_reason="stop"
                ),
                events=_chat_text,
                whole=("choices", 0, "message", "content"),
                piece=("choices", 0, "delta", "content"),
            ),
            Voice(
                protocol="chat",
                field="tool arguments",
                tool=True,
                says=lambda t: _choice(
                    message={"role": "assistant", **_call(t, id="call_1", type="function")},
                    finish_reason="tool_calls",
                ),
                events=_chat_call,
                whole=("choices", 0, "message", *_CALL),
                piece=("choices", 0, "delta", *_CALL),
            ),
            Voice(
                protocol="chat",
                field="reasoning",
                says=lambda t: _choice(
                    message={"role": "assistant", "content": "ok", "reasoning_content": t},
                    finish_reason="stop",
                ),
                events=_reasoned,
                whole=("choices", 0, "message", "reasoning_content"),
                piece=("choices", 0, "delta", "reasoning_content"),
            ),
            Voice(
                protocol="chat",
                field="function_call arguments",
                tool=True,
                says=lambda t: _choice(
                    message={
                        "role": "assistant",
                        "function_call": {"name": "send", "arguments": t},
                    },
                    finish_reason="function_call",
                ),
                events=_legacy,
                whole=("choices", 0, "message", "function_call", "arguments"),
                piece=("choices", 0, "delta", "function_call", "arguments"),
            ),
            Voice(
                protocol="completions",
                says=lambda t: _choice(text=t, finish_reason="stop"),
                events=_completion,
                whole=("choices", 0, "text"),
                piece=("choices", 0, "text"),
            ),
            Voice(
                protocol="responses",
                says=lambda t: _response(_spoken(t)),
                events=_response_text,
                whole=("output", 0, "content", 0, "text"),
                piece=("delta",),
            ),
            Voice(
                protocol="responses",
                field="tool arguments",
                tool=True,
                says=lambda t: _response(_called(t)),
                events=_response_call,
                whole=("output", 0, "arguments"),
                piece=("delta",),
            ),
            Voice(
                protocol="responses",
                field="reasoning summary",
                says=lambda t: _response(_summary(t)),
                events=_response_summary,
                whole=("output", 0, "summary", 0, "text"),
                piece=("delta",),
            ),
            Voice(
                protocol="messages",
                says=lambda t: _message({"type": "text", "text": t}),
                events=_message_text,
                whole=("content", 0, "text"),
                piece=("delta", "text"),
            ),
            Voice(
                protocol="messages",
                field="tool arguments",
                tool=True,
                says=lambda t: _message(
                    {"type": "tool_use", "id": "toolu_1", "name": "send", "input": json.loads(t)}
                ),
                events=_message_call,
                whole=("content", 0, "input"),
                piece=("delta", "partial_json"),
            ),
            Voice(
                protocol="messages",
                field="thinking",
                signed=True,
                says=lambda t: _message({"type": "thinking", "thinking": t, "signature": ""}),
                events=_message_thought,
                whole=("content", 0, "thinking"),
                piece=("delta", "thinking"),
            ),
        )
    }
)
"""By id, in the order in which they are reported."""
