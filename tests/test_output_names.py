"""Names that policy forbids to show are masked in answers, whole and streamed, however cut."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import anyio
import pytest
from exchange_world import (
    CHAT,
    CLOUD,
    DONE,
    ENDED,
    JSON,
    NDJSON,
    NOW,
    SSE,
    Story,
    ask,
    completion,
    contents,
    delta,
    deployment,
    guard,
    open_exchange,
    policies_with,
    post,
    started,
    tell,
    usual,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.config import build, load_config
from guardrail.detection.detector import RuleDetector, build_detector
from guardrail.detection.known.building import ListBuilder
from guardrail.detection.known.keys import key_of
from guardrail.detection.known.spelling import Spelling
from guardrail.detection.selection import Selection
from guardrail.errors import ConfigError, Refusal
from guardrail.exchange import ChunkReceived, Door, Emit, Exchange, RequestReceived
from guardrail.guard import Filter, Guard, build_filter, unenforced
from guardrail.live import Live
from guardrail.opening import advance_async
from guardrail.protocols.eventstream import Message, MessageFramer, dump_message
from guardrail.protocols.streams import EVENTS
from guardrail.transform.vault import Vault
from guardrail.types import Finding, Span, TextUnit

NAME = "Erika Mustermann"
HIDDEN = """
@id("house.{category}.hidden") @title("Answers do not show it") @reason("Test.")
forbid (principal, action == Action::"showClear", resource)
when {{ context.category in Category::"{category}" }};
"""
BLOCKED = """
@id("house.name.blocked") @title("Answers with names are blocked") @reason("Test.")
forbid (principal, action in Action::"output", resource)
when { context.category in Category::"name" };
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return policies_with(
        tmp_path_factory.mktemp("hidden"), {"house.cedar": HIDDEN.format(category="name")}
    )


@pytest.fixture(scope="module")
def hiding(folder: Path) -> Guard:
    """The shipped policies, and one more: answers show no names."""
    return guard(folder)


def filter_of(one: Guard, vault: Vault | None = None) -> Filter:
    return build_filter(one, usual(), endpoint=CLOUD.endpoint, vault=vault or Vault())


def answered(one: Guard, *body: bytes, kind: tuple[bytes, bytes] = JSON, path: str = CHAT) -> Story:
    request = ask("Who is it?") if path == CHAT else post(REQUESTS[path], path=path)
    exchange = open_exchange(deployment(guard=one))
    return tell(exchange, request, started(kind), *map(ChunkReceived, body), ENDED)


REQUESTS = {
    "/v1/messages": json.dumps(
        {"model": "gpt-4o", "max_tokens": 9, "messages": [{"role": "user", "content": "Who?"}]}
    ).encode(),
    "/api/chat": json.dumps(
        {"model": "gpt-4o", "messages": [{"role": "user", "content": "Who?"}]}
    ).encode(),
}

ANSWER = f"That is Dr. {NAME} from accounting. She told you so."
MASKED = "That is Dr. [PERSON REDACTED] from accounting. She told you so."


def words(text: str) -> list[str]:
    return [text[at : at + 5] for at in range(0, len(text), 5)]


def anthropic() -> bytes:
    events: list[tuple[str, object]] = [
        ("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}),
        *(
            ("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": text}})
            for text in words(ANSWER)
        ),
        ("content_block_stop", {"index": 0}),
        ("message_stop", {}),
    ]
    return b"".join(
        f"event: {name}\ndata: {json.dumps({'type': name, **value})}\n\n".encode()  # type: ignore[dict-item]
        for name, value in events
    )


def ollama() -> bytes:
    lines = [{"message": {"role": "assistant", "content": text}} for text in words(ANSWER)]
    return b"".join(
        json.dumps({"model": "m", **line, "done": False}).encode() + b"\n" for line in lines
    ) + (b'{"model": "m", "done": true}\n')


def tool_call() -> bytes:
    arguments = json.dumps({"to": NAME, "say": f"Ask {NAME}! How are you?", "n": 12345})
    deltas: list[dict[str, object]] = [
        {"index": 0, "id": "call_1", "function": {"name": "send", "arguments": ""}},
        *({"index": 0, "function": {"arguments": text}} for text in words(arguments)),
    ]
    return b"".join(
        b"data: "
        + json.dumps({"choices": [{"index": 0, "delta": {"tool_calls": [one]}}]}).encode()
        + b"\n\n"
        for one in deltas
    )


def from_chat(raw: bytes) -> str:
    return contents(raw)[0]


def from_anthropic(raw: bytes) -> str:
    data = [json.loads(line[6:]) for line in raw.splitlines() if line.startswith(b"data: ")]
    return "".join(d["delta"]["text"] for d in data if d["type"] == "content_block_delta")


def from_ollama(raw: bytes) -> str:
    lines = [json.loads(line) for line in raw.split(b"\n") if line]
    return "".join(line.get("message", {}).get("content", "") for line in lines)


def from_tool(raw: bytes) -> str:
    said = []
    for line in raw.decode().splitlines():
        if line.startswith("data: {"):
            for call in json.loads(line[6:])["choices"][0]["delta"].get("tool_calls", ()):
                said.append(call["function"].get("arguments", ""))
    return "".join(said)


STREAMS: dict[str, tuple[bytes, tuple[bytes, bytes], str, Callable[[bytes], str], str]] = {
    "chat": (b"".join(map(delta, words(ANSWER))) + DONE, SSE, CHAT, from_chat, MASKED),
    "anthropic": (anthropic(), SSE, "/v1/messages", from_anthropic, MASKED),
    "ollama": (ollama(), NDJSON, "/api/chat", from_ollama, MASKED),
    "text": (ANSWER.encode(), (b"content-type", b"text/plain"), CHAT, bytes.decode, MASKED),
    "tool arguments": (
        tool_call() + DONE,
        SSE,
        CHAT,
        from_tool,
        json.dumps(
            {
                "to": "[PERSON REDACTED]",
                "say": "Ask [PERSON REDACTED]! How are you?",
                "n": 12345,
            }
        ),
    ),
}


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_a_streamed_answer_shows_no_name_however_it_is_cut(
    hiding: Guard, stream: tuple[bytes, tuple[bytes, bytes], str, Callable[[bytes], str], str]
) -> None:
    raw, kind, path, read, shown = stream
    whole = answered(hiding, raw, kind=kind, path=path).answer
    assert read(whole) == shown
    assert b"Mustermann" not in whole
    for at in range(1, len(raw), 1 if path == CHAT and kind != SSE else 23):
        assert answered(hiding, raw[:at], raw[at:], kind=kind, path=path).answer == whole
    single = [raw[at : at + 1] for at in range(len(raw))]
    assert answered(hiding, *single, kind=kind, path=path).answer == whole


def test_a_whole_answer_shows_no_name_and_says_how_many(hiding: Guard) -> None:
    story = answered(hiding, completion(f"It is {NAME}. Ask Angela Merkel in Berlin, not IBM."))
    assert story.text == "It is [PERSON REDACTED]. Ask [PERSON REDACTED] in Berlin, not IBM."
    assert story.records[-1].counts == {"PERSON": 2}


@pytest.mark.parametrize(
    "value",
    [{"to": NAME}, {"said": [f"I met {NAME} yesterday."]}, {NAME: 1}],
    ids=["value", "sentence", "key"],
)
def test_a_whole_answer_calls_no_tool_with_a_name(hiding: Guard, value: object) -> None:
    call = {
        "id": "c",
        "type": "function",
        "function": {"name": "f", "arguments": json.dumps(value)},
    }
    story = answered(hiding, completion("", tool_calls=[call]))
    assert b"Mustermann" not in story.answer
    assert b"PERSON REDACTED" in story.answer


def test_whatever_a_sentence_shows_is_masked_where_policy_says_so(tmp_path: Path) -> None:
    cedar = "".join(HIDDEN.format(category=one) for one in ("religion", "location", "health"))
    one = filter_of(guard(policies_with(tmp_path, {"house.cedar": cedar})))
    said = "She is Catholic and lives in Berlin. My mother has cancer. Erika is fine, 12345.67 too."
    shown = one.transform(said, tool=None)
    for value in ("Catholic", "Berlin", "cancer"):
        assert value not in shown
    assert shown.endswith("Erika is fine, 12345.67 too.")
    stream = one.transformer(tool=None)
    assert "".join(map(stream.feed, said)) + stream.flush() == shown


def test_by_default_the_one_who_asked_reads_names_at_once() -> None:
    default = filter_of(guard())
    assert not default.slow
    stream = default.transformer(tool=None)
    out = [stream.feed(word) for word in ("It is ", "Erika ", "Mustermann ", "from ")]
    assert all(out)
    assert stream.held == 0
    story = answered(guard(), completion(ANSWER))
    assert story.text == ANSWER


def test_what_is_restored_is_not_masked_and_a_placeholder_is_not_destroyed(hiding: Guard) -> None:
    vault = Vault()
    for value in (NAME, "Ada Lovelace"):
        vault.allocate(entity="PERSON", word="PERSON", original=value)
    one = filter_of(hiding, vault)
    said = "[PERSON_1] met Frau [PERSON_2] Schmidt and [PERSON_7] in Rome. Angela Merkel did not."
    shown = (
        f"{NAME} met Frau Ada Lovelace [PERSON REDACTED] and [PERSON_7] in Rome. "
        "[PERSON REDACTED] did not."
    )
    assert one.transform(said, tool=None) == shown
    # A tool outside of the trust boundary gets placeholders.
    assert one.transform("Ask [PERSON_1] now.", tool="mail") == "Ask [PERSON_1] now."
    for size in range(1, len(said)):
        stream = one.transformer(tool=None)
        chunks = [stream.feed(said[at : at + size]) for at in range(0, len(said), size)]
        assert "".join(chunks) + stream.flush() == shown


@lru_cache(maxsize=1)
def fixed(folder: Path) -> Filter:
    return filter_of(guard(folder))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                *(NAME, "Dr. Ada King", "Angela", "[PERSON_1]", "erika@example.com", "is here"),
                *(". ", " ", "\n", "! ", ", ", "“", "4111 1111 1111 1111", "my name is "),
            ]
        ),
        max_size=12,
    ).map("".join),
    st.integers(1, 9),
)
def test_any_answer_is_the_same_however_it_is_cut(folder: Path, text: str, size: int) -> None:
    whole = fixed(folder).transform(text, tool=None)
    stream = fixed(folder).transformer(tool=None)
    out = "".join([stream.feed(text[at : at + size]) for at in range(0, len(text), size)])
    assert out + stream.flush() == whole


def test_what_is_held_is_released_at_the_end_of_a_sentence(hiding: Guard) -> None:
    exchange = open_exchange(deployment(guard=hiding))
    tell(exchange, ask("Who?"), started(SSE))
    shown = [
        tell(exchange, ChunkReceived(delta(text))).answer
        for text in ("It is ", NAME, " from accounting. ", "She", " is")
    ]
    assert [bool(out) for out in shown] == [False, False, False, True, False]
    assert contents(shown[3])[0] == "It is [PERSON REDACTED] from accounting. "


def test_a_sentence_without_end_is_not_held_for_ever(hiding: Guard) -> None:
    stream = filter_of(hiding).transformer(tool=None)
    for _ in range(1000):
        stream.feed("and so on ")
        assert stream.held <= 400


def test_how_long_a_sentence_is_held_can_be_said(hiding: Guard) -> None:
    stream = filter_of(replace(hiding, hold=256)).transformer(tool=None)
    stream.feed("and so on " * 30)
    assert 0 < stream.held <= 256


def test_policy_may_let_nobody_see_a_name(tmp_path: Path) -> None:
    blocking = guard(policies_with(tmp_path, {"house.cedar": BLOCKED}))
    story = answered(blocking, completion(ANSWER))
    assert story.lines[-1].startswith("reply 403 answer_blocked")
    story = answered(blocking, *map(delta, words(ANSWER)), kind=SSE)
    assert b"Erika" not in story.answer
    assert b"name data, which policy blocks" in story.answer


# ── what counts for an app ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("selection", "shown"),
    [
        pytest.param(Selection(threshold=0.4), MASKED, id="all"),
        pytest.param(
            Selection(threshold=0.4, exclude=frozenset({"PERSON", "ORGANIZATION"})),
            ANSWER,
            id="excluded",
        ),
        pytest.param(Selection(threshold=0.4, only=frozenset({"URL"})), ANSWER, id="not listed"),
        pytest.param(Selection(threshold=0.4, thresholds={"PERSON": 1.0}), ANSWER, id="unsure"),
    ],
)
def test_what_does_not_count_for_an_app_is_shown(
    hiding: Guard, selection: Selection, shown: str
) -> None:
    detector = replace(hiding.detector, selections={"crm": selection})  # type: ignore[type-var]
    one = filter_of(replace(hiding, detector=detector))
    assert one.transform(ANSWER, tool=None) == shown
    assert one.slow is ("PERSON" not in selection.exclude and not selection.only)


# ── when names cannot be found ───────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Dead:
    """A recognizer of names whose model is gone, with the text in its error."""

    entities: frozenset[str] = frozenset({"PERSON"})
    by_sentence: bool = True

    def find(self, unit: TextUnit) -> Sequence[Finding]:
        if NAME in unit.text:
            raise RuntimeError(unit.text)
        return ()


def with_recognizer(one: Guard, recognizer: Any, *, holds_answers: bool = False) -> Guard:
    detector = RuleDetector(rules=(), recognizers=(recognizer,))
    return replace(one, detector=detector, holds_answers=holds_answers)


def test_an_answer_whose_names_cannot_be_found_ends(hiding: Guard) -> None:
    dead = with_recognizer(hiding, Dead())
    exchange = open_exchange(deployment(guard=dead))
    tell(exchange, ask("the weather"), started(SSE))
    story = tell(exchange, ChunkReceived(delta("It rains. ") + delta("Yes")))
    assert contents(story.answer) == {0: "It rains. "}
    story = tell(exchange, ChunkReceived(delta(f", {NAME}.\nSo")))
    assert b"Erika" not in story.answer
    assert b"guardrail_unavailable" in story.answer
    assert story.records[-1].errors == ("DetectorUnavailable",)
    whole = tell(
        open_exchange(deployment(guard=dead)),
        ask("the weather"),
        started(),
        ChunkReceived(completion(ANSWER)),
        ENDED,
    )
    assert whole.lines[-1].startswith("reply 503 guardrail_unavailable")


# ── what only a whole text shows ─────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Last:
    """A recognizer that has to have read the whole text: its last word is somebody."""

    entities: frozenset[str] = frozenset({"PERSON"})

    def find(self, unit: TextUnit) -> Sequence[Finding]:
        start = unit.text.rfind(" ") + 1
        span = Span(start, len(unit.text))
        known = unit.text.startswith("Ask. ") and unit.text.endswith(" Kim")
        return [Finding(entity="PERSON", span=span, score=1.0, recognizer="last")] if known else []


def test_what_needs_whole_texts_is_not_skipped_on_a_stream(hiding: Guard) -> None:
    one = with_recognizer(hiding, Last())
    story = answered(one, delta("Ask. Then ask Kim"), DONE, kind=SSE)
    assert story.lines[1].startswith("reply 403 answer_not_streamable, close aborted")
    assert b"name data" in story.reply.body
    assert answered(one, completion("Ask. Then ask Kim")).text == "Ask. Then ask [PERSON REDACTED]"
    assert unenforced(one, usual(), endpoint=CLOUD.endpoint) == {"name": ("PERSON",)}
    assert not unenforced(with_recognizer(guard(), Last()), usual(), endpoint=CLOUD.endpoint)


AWS = (b"content-type", b"application/vnd.amazon.eventstream")
CONVERSE = "/model/gpt-4o/converse-stream"
GEMINI = "/v1beta/models/gpt-4o:streamGenerateContent"
TOLD = "Ask. Then ask Kim"
UNTOLD = "Ask. Then ask [PERSON REDACTED]"


def bedrock() -> bytes:
    def message(kind: str, payload: object) -> bytes:
        headers = ((":event-type", kind), (":content-type", JSON[1].decode()))
        return dump_message(Message(headers=headers, payload=json.dumps(payload).encode()))

    return b"".join(
        [
            *(
                message("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": text}})
                for text in words(TOLD)
            ),
            message("contentBlockStop", {"contentBlockIndex": 0}),
            message("messageStop", {"stopReason": "end_turn"}),
        ]
    )


def from_bedrock(raw: bytes) -> str:
    said = [json.loads(one.payload) for one in MessageFramer().feed(raw)]
    return "".join(one["delta"]["text"] for one in said if "delta" in one)


def gemini() -> bytes:
    chunks = [
        {"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": text}]}}]}
        for text in words(TOLD)
    ]
    return json.dumps(chunks).encode()


def from_gemini(raw: bytes) -> str:
    parts = [chunk["candidates"][0]["content"]["parts"][0] for chunk in json.loads(raw)]
    return "".join(part["text"] for part in parts)


def lines() -> bytes:
    return b"".join(
        json.dumps({"message": {"role": "assistant", "content": text}, "done": False}).encode()
        + b"\n"
        for text in words(TOLD)
    )


KINDS: dict[str, tuple[bytes, tuple[bytes, bytes], str, Callable[[bytes], str]]] = {
    "server-sent events": (b"".join(map(delta, words(TOLD))) + DONE, SSE, CHAT, from_chat),
    "JSON lines": (lines(), NDJSON, "/api/chat", from_ollama),
    "messages of AWS": (bedrock(), AWS, CONVERSE, from_bedrock),
    "plain text": (TOLD.encode(), (b"content-type", b"text/plain"), CHAT, bytes.decode),
}
REQUESTS[CONVERSE] = b'{"messages": [{"role": "user", "content": [{"text": "Who?"}]}]}'
REQUESTS[GEMINI] = b'{"contents": [{"role": "user", "parts": [{"text": "Who?"}]}]}'


@pytest.mark.parametrize("name", KINDS)
def test_no_kind_of_stream_begins_that_cannot_be_masked(name: str, hiding: Guard) -> None:
    raw, kind, path, read = KINDS[name]
    story = answered(with_recognizer(hiding, Last()), raw, kind=kind, path=path)
    assert story.lines[1].startswith("reply 403 answer_not_streamable, close aborted")
    assert f"not in {name}; ask without streaming" in story.reply.body.decode()
    assert "Kim" not in story.reply.body.decode()
    held = with_recognizer(hiding, Last(), holds_answers=True)
    assert read(answered(held, raw, kind=kind, path=path).answer) == UNTOLD


def test_lines_that_do_not_say_so_are_lines_all_the_same(hiding: Guard) -> None:
    exchange = open_exchange(
        deployment(guard=with_recognizer(hiding, Last())),
        door=Door.TRANSPORT,
        target=CLOUD,
    )
    request = RequestReceived(method="GET", path="/v1/files/file-1/content")
    kind = (b"content-type", b"application/octet-stream")
    story = tell(exchange, request, started(kind), ChunkReceived(b'{"a": "Ask. Then ask Kim"}\n'))
    assert any(line.startswith("reply 403 answer_not_streamable") for line in story.lines)


def test_an_array_is_read_whole_however_it_comes(hiding: Guard) -> None:
    raw = gemini()
    one = with_recognizer(hiding, Last())
    for at in (0, 7, len(raw) // 2):
        answer = answered(one, raw[:at], raw[at:], path=GEMINI).answer
        assert from_gemini(answer) == UNTOLD


def test_who_speaks_to_the_model_may_make_policy_mask(tmp_path: Path) -> None:
    rule = HIDDEN.format(category="name").replace("when {", "when { context.injected &&")
    one = with_recognizer(guard(policies_with(tmp_path, {"house.cedar": rule})), Last())
    assert not unenforced(one, usual(), endpoint=CLOUD.endpoint)
    assert unenforced(one, usual(), endpoint=CLOUD.endpoint, injected=True) == {"name": ("PERSON",)}
    outgoing = build_filter(one, usual(), endpoint=CLOUD.endpoint, vault=Vault(), injected=True)
    with pytest.raises(Refusal, match="name data"):
        outgoing.check(EVENTS)


def test_what_needs_whole_texts_is_held_where_that_is_wanted(hiding: Guard) -> None:
    one = with_recognizer(hiding, Last(), holds_answers=True)
    exchange = open_exchange(deployment(guard=one))
    tell(exchange, ask("x"), started(SSE))
    assert not tell(exchange, ChunkReceived(delta("Ask. Then ask") + delta(" Kim"))).answer
    story = tell(exchange, ChunkReceived(DONE), ENDED)
    assert contents(story.answer)[0] == "Ask. Then ask [PERSON REDACTED]"


ENDLESS = """
supported_languages: [en]
recognizers:
  - name: key
    supported_entity: API_KEY
    patterns:
      - {name: number, regex: 'ACME-[0-9]+', score: 0.9}
"""


def config(
    folder: Path, *, sockets: dict[str, list[str]] | None = None, **output: object
) -> dict[str, object]:
    path = folder / "own.yaml"
    path.write_text(ENDLESS)
    return {
        "apps": {"default": {"establishment": "DE", "origin": "DE"}},
        "endpoints": {"cloud": {"provider": "x", "location": "DE", "models": ["m"]}},
        "detection": {"recognizers": [str(path)], "names": ["blank:en"]},
        "audit": {"path": str(folder / "audit.db")},
        "output": output,
        "middleware": {"websockets": sockets or {}},
    }


def test_a_route_whose_answers_cannot_be_masked_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        build(load_config(config(tmp_path)))
    (problem,) = caught.value.problems
    assert problem.startswith("endpoints.cloud: policy masks 'secret' in answers to app 'default'")
    assert "API_KEY" in problem
    assert 'output.streams = "buffer"' in problem
    build(load_config(config(tmp_path, streams="buffer"))).close()
    bounded = config(tmp_path)
    (tmp_path / "own.yaml").write_text(ENDLESS.replace("+", "{1,20}"))
    build(load_config(bounded)).close()


@pytest.mark.parametrize(
    "name",
    [
        *KINDS,
        *("frames of the WebSocket /v1/realtime", "frames of the WebSocket /v1/responses"),
        "frames of the WebSocket /ws/chat",
    ],
)
def test_the_refusal_to_start_names_every_kind_of_stream(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        build(load_config(config(tmp_path, sockets={"/ws/chat": ["end"]})))
    (problem,) = caught.value.problems
    named, mend = problem.split(" streams as ")[1].split("; ")
    assert name in named.split(", ")
    assert "in answers to app 'default' (base.secret), and API_KEY can only" in problem
    assert mend.startswith("give the pattern a finite width")


def test_what_is_held_needs_an_end(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        build(
            load_config(config(tmp_path, sockets={"/ws/chat": [], "/ws": ["x"]}, streams="buffer"))
        )
    (problem,) = caught.value.problems
    assert "streams as frames of the WebSocket /ws/chat; " in problem
    assert problem.endswith("list what ends an answer there in middleware.websockets")
    ended = config(tmp_path, sockets={"/ws/chat": ["end"]}, streams="buffer")
    build(load_config(ended)).close()


def test_what_policy_masks_only_once_somebody_speaks_to_the_model_counts(tmp_path: Path) -> None:
    rule = HIDDEN.format(category="location").replace("when {", "when { context.injected &&")
    policies = policies_with(tmp_path, {"house.cedar": rule})
    tables = {**config(tmp_path), "policies": {"directory": str(policies), "reload_s": 0}}
    (tmp_path / "own.yaml").write_text(ENDLESS.replace("API_KEY", "LOCATION"))
    with pytest.raises(ConfigError) as caught:
        build(load_config(tables))
    (problem,) = caught.value.problems
    assert "masks 'location' in answers to app 'default' (house.location.hidden)" in problem


def test_known_people_are_masked_in_answers(tmp_path: Path, hiding: Guard) -> None:
    secret = "s" * 32
    path = tmp_path / "people.known"
    builder = ListBuilder(key_of(secret), Spelling(region="DE"))
    builder.add("PERSON", "Quux Zorblat")
    builder.add("CREDIT_CARD", "QX-7712-Z")  # which the shipped policies never show
    builder.write(path, now=NOW)
    detector = build_detector(names=["blank:en"], known=[path], known_key=secret)
    said = "Ask Zorblat, Quux, of QX-7712-Z. Bye"
    for one, shown in (
        (hiding, "Ask [PERSON REDACTED], of [CARD REDACTED]. Bye"),
        (guard(), "Ask Zorblat, Quux, of [CARD REDACTED]. Bye"),
    ):
        outgoing = filter_of(replace(one, detector=detector))
        assert outgoing.transform(said, tool=None) == shown
        stream = outgoing.transformer(tool=None)
        assert "".join(map(stream.feed, said)) + stream.flush() == shown


# ── off the event loop ───────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Watching:
    """Finds nothing, and remembers on which threads."""

    seen: list[int]
    entities: frozenset[str] = frozenset({"PERSON"})
    by_sentence: bool = True

    def find(self, unit: TextUnit) -> Sequence[Finding]:
        self.seen.append(threading.get_ident())
        return ()


@dataclass(frozen=True)
class World:
    """What `advance_async` asks of what was built."""

    live: Live


def test_names_are_looked_for_on_another_thread(hiding: Guard) -> None:
    watching = Watching([])
    deployed = deployment(guard=with_recognizer(hiding, watching))
    exchange = open_exchange(deployed)
    tell(exchange, ask("x"), started(SSE))
    watching.seen.clear()

    async def run(exchange: Exchange) -> bytes:
        commands = []
        for event in (ChunkReceived(delta("One. Two. Three")), ChunkReceived(DONE), ENDED):
            commands += await advance_async(World(Live(deployed)), exchange, event)  # type: ignore[arg-type]
        return b"".join(c.data for c in commands if isinstance(c, Emit))

    assert contents(anyio.run(run, exchange))[0] == "One. Two. Three"
    assert len(watching.seen) == 3
    assert threading.get_ident() not in watching.seen
