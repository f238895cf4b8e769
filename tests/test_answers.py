"""Answers, bytes in and bytes out: events keep their number, their order and their ends."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from exchange_world import (
    CLOUD,
    DONE,
    NEVER_SHOW_CARDS,
    contents,
    delta,
    guard,
    policies_with,
    usual,
)

from guardrail.answers.events import EventAnswer
from guardrail.answers.whole import TextAnswer, WholeAnswer
from guardrail.errors import Refusal, Unavailable
from guardrail.guard import Blocked, Filter, build_filter
from guardrail.protocols.maps import GENERIC, load_protocols
from guardrail.transform.vault import Vault

OPENAI = load_protocols()["openai.chat"]
CARD = "4111 1111 1111 1111"
MAIL = "alice@example.com"


def outgoing() -> Filter:
    vault = Vault()
    vault.allocate(entity="EMAIL_ADDRESS", word="EMAIL", original=MAIL)
    return build_filter(guard(), usual(), endpoint=CLOUD.endpoint, vault=vault)


def events(*, lines: bool = False) -> EventAnswer:
    return EventAnswer(protocol=GENERIC if lines else OPENAI, outgoing=outgoing(), lines=lines)


def whole(content_type: str = "application/json", limit: int = 9999) -> WholeAnswer:
    return WholeAnswer(content_type=content_type, protocol=OPENAI, outgoing=outgoing(), limit=limit)


# ── events ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(delta("hello") + DONE, id="as models send it"),
        pytest.param(b": ping\n\n" + delta("hi"), id="a comment"),
        pytest.param(b'event: x\nid: 7\nretry: 9\ndata: {"a": 1.0}\n\n', id="other fields"),
        pytest.param(b'data: {"choices": [], "usage": {"total": 123456789}}\n\n', id="usage"),
        pytest.param(b"data: [1, 2]\n\ndata: null\n\ndata: true\n\n", id="other values"),
        pytest.param(b"data: plain words\n\n", id="no JSON"),
        pytest.param(b"data:\n\n", id="empty data"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_events_without_findings_pass_byte_for_byte(stream: bytes) -> None:
    answer = events()
    assert answer.feed(stream) + answer.close() == stream


def test_an_event_is_released_as_soon_as_nothing_can_change_it() -> None:
    answer = events()
    assert answer.feed(delta("so ")) == delta("so ")
    assert answer.feed(delta("EMA")) == b""
    out = answer.feed(delta("IL_1 is it. "))
    assert contents(out + answer.close()) == {0: f"{MAIL} is it. "}


def test_cut_text_comes_out_whole_in_the_first_of_its_events() -> None:
    answer = events()
    out = answer.feed(delta("[EM") + delta("AIL") + delta("_1]") + DONE) + answer.close()
    texts = [contents(event + b"\n\n").get(0) for event in out.split(b"\n\n")[:4]]
    assert texts == [MAIL, "", "", ""]
    assert out.endswith(b"data: [DONE]\n\n")


def test_the_end_of_a_choice_releases_it_before_the_end_of_the_stream() -> None:
    answer = events()
    answer.feed(delta("[EMAIL", choice=0) + delta("[EMAIL", choice=1))
    finish = {"choices": [{"index": 0, "delta": {"content": "_1]"}, "finish_reason": "stop"}]}
    out = answer.feed(f"data: {json.dumps(finish)}\n\n".encode())
    assert contents(out) == {0: MAIL}
    assert contents(answer.close()) == {1: "[EMAIL", 0: ""}


def test_nothing_follows_what_a_rule_refused() -> None:
    answer = events()
    with pytest.raises(Refusal) as caught:
        answer.feed(b'data: {"a": 1, "a": 2}\n\n')
    assert caught.value.code == "upstream_uninspectable"


CHUNK = b'data: {"choices":[{"index":0,%s}]}\n\n'


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(CHUNK % b'"delta":{"refusal":"%s"}', id="refusal"),
        pytest.param(CHUNK % b'"delta":{"reasoning_content":"%s"}', id="reasoning"),
        pytest.param(CHUNK % b'"logprobs":{"content":[{"token":"%s"}]}', id="logprobs"),
        pytest.param(CHUNK % b'"delta":{"tool_calls":[{"function":{"name":"%s"}}]}', id="tool"),
        pytest.param(b'data: {"error":{"message":"%s"}}\n\n', id="error"),
        pytest.param(b'data: {"new":[{"deep":{"x":"%s"}}]}\n\n', id="unknown"),
        pytest.param(b'data: {"%s":1}\n\n', id="key"),
        pytest.param(b'data: "%s"\n\n', id="a string"),
        pytest.param(b"data: %s\n\n", id="text"),
        pytest.param(b"data: see\ndata: %s\n\n", id="text of two lines"),
        pytest.param(b"event: x\ndata: %s\n\n", id="a named event"),
        pytest.param(b": %s\n\n", id="a comment"),
        pytest.param(b"id: %s\ndata: {}\n\n", id="an id"),
        pytest.param(b"event: %s\ndata: {}\n\n", id="a name"),
        pytest.param(b"x-unknown: %s\ndata: {}\n\n", id="a field nobody knows"),
    ],
)
def test_no_part_of_an_event_carries_a_card(event: bytes) -> None:
    answer = events()
    out = answer.feed(event.replace(b"%s", CARD.encode()) + DONE) + answer.close()
    assert CARD.encode() not in out
    assert out.endswith(b"data: [DONE]\n\n")


def test_numbers_of_separate_events_do_not_run_together() -> None:
    answer = events(lines=True)
    line = b'{"created": 1700000000, "done": false}\n'
    assert answer.feed(line) == line
    assert answer.feed(line * 3) + answer.close() == line * 3


def test_times_of_separate_events_do_not_run_together() -> None:
    answer = events(lines=True)
    line = b'{"created_at": "2026-01-01T00:00:00.411111Z", "message": {"content": "a "}}\n'
    assert (answer.feed(line * 5) + answer.close()) == line * 5


# ── streams of protocols that nobody described ───────────────────────────────────────────────────


def unknown(*values: object) -> list[bytes]:
    """What an answer of events that no map names releases, event by event and at its end."""
    answer = events(lines=True)
    lines = [json.dumps(value).encode() + b"\n" for value in values]
    return [*map(answer.feed, lines), answer.close()]


def tgi(index: object, text: str, number: int) -> dict[str, object]:
    token = {"id": 9000 + number, "text": text, "logprob": -0.25 * number, "special": False}
    return {"index": index, "token": token, "generated_text": None}


def lane(name: str, text: str, number: int) -> dict[str, object]:
    return {"t": number * 0.1, "data": {"lane": name, "delta": text}}


def bare(place: int, text: str, number: int) -> dict[str, object]:
    return {"i": place, "s": text} if place else {"s": text}


@pytest.mark.parametrize(
    ("event", "places"),
    [(tgi, (0, 1)), (tgi, (1, 2, 3)), (lane, ("a", "b")), (bare, (0, 1))],
    ids=["two", "three", "named", "one without a number"],
)
@pytest.mark.parametrize("start", ["", "so it is that there are many words and "])
def test_a_card_of_one_of_several_woven_texts_of_an_unknown_protocol_is_masked(
    event: Callable[..., object], places: Sequence[object], start: str
) -> None:
    text = f"{start}{CARD} ok"
    pieces = [text[at : at + 5] for at in range(0, len(text), 5)]
    woven = [
        (place, piece if place == places[0] else " so") for piece in pieces for place in places
    ]
    said = unknown(*(event(place, piece, n) for n, (place, piece) in enumerate(woven)))
    lines = b"".join(said).splitlines()
    assert len(lines) == len(woven)
    own = (line for line, (place, _) in zip(lines, woven, strict=True) if place == places[0])
    read = (re.search(rb'"(?:text|delta|s)": ?"([^"]*)"', line) for line in own)
    assert b"".join(found[1] for found in read if found).decode() == f"{start}[CARD REDACTED] ok"


def test_what_is_masked_in_woven_texts_is_beside_what_is_restored() -> None:
    said = unknown(
        {"i": 0, "s": "[EMAIL_1] has 4111 1111 "},
        {"i": 1, "s": "and "},
        {"i": 0, "s": "1111 1111, [EMAIL_1]."},
    )
    texts = [json.loads(line)["s"] for line in b"".join(said).splitlines()]
    assert texts == [f"{MAIL} has [CARD REDACTED]", "and ", f", {MAIL}."]


def test_masks_that_several_fields_ask_for_stand_side_by_side() -> None:
    said = unknown(
        {"i": 0, "who": "a", "s": "4111 1111 "},
        {"i": 1, "who": "c", "s": "so "},
        {"i": 0, "who": "b", "s": "1111 1111, 5500 0000 "},
        {"i": 0, "who": "c", "s": "and "},
        {"i": 1, "who": "b", "s": "0000 0004 y"},
    )
    texts = [json.loads(line)["s"] for line in b"".join(said).splitlines()]
    assert texts == ["[CARD REDACTED]", "so ", ", [CARD REDACTED]", "and ", " y"]


def test_what_is_looked_at_twice_is_counted_once() -> None:
    rules = outgoing()
    answer = EventAnswer(protocol=GENERIC, outgoing=rules, lines=True)
    for number, text in enumerate((CARD, "x", CARD, "y")):
        answer.feed(json.dumps({"i": number % 2, "s": f"{text} "}).encode() + b"\n")
    answer.close()
    assert rules.masked.total() == 2


@pytest.mark.parametrize(
    "values",
    [
        [tgi(0, f" word{n}", n) for n in range(60)],
        [{"n": n, "text": f" and {n} words"} for n in range(60)],
        [{"kind": "say" if n else "begin", "text": f" a{n} "} for n in range(60)],
        [{"a": f"x{n}", "b": f"{n}y", "c": f"v{n}v"} for n in range(60)],
    ],
    ids=["tokens", "numbers", "kinds", "texts"],
)
def test_a_plain_stream_of_an_unknown_protocol_is_not_held_up(values: list[object]) -> None:
    said = unknown(*values)
    assert b"".join(said) == b"".join(json.dumps(value).encode() + b"\n" for value in values)
    waiting, released = [], 0
    for number, piece in enumerate(said[:-1], 1):
        released += piece.count(b"\n")
        waiting.append(number - released)
    assert max(waiting) <= 40
    assert max(waiting[-20:]) <= 2


# ── plain text ───────────────────────────────────────────────────────────────────────────────────


def test_a_character_cut_in_two_is_not_lost() -> None:
    answer = TextAnswer(outgoing())
    data = "né [EMAIL_1] 😀".encode()
    out = b"".join(answer.feed(data[at : at + 1]) for at in range(len(data))) + answer.close()
    assert out.decode() == f"né {MAIL} 😀"


def test_a_text_that_ends_inside_a_character_ends() -> None:
    answer = TextAnswer(outgoing())
    assert (answer.feed(b"a\xf0\x9f") + answer.close()).decode() == "a\ufffd"


def test_bytes_that_are_no_text_hide_nothing() -> None:
    answer = TextAnswer(outgoing())
    out = answer.feed(b"\xff4111 1111 1111 1111\xff") + answer.close()
    assert b"4111" not in out


# ── whole answers ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("raw", [b"", b" \n", b'{"choices": [ ]}', b'"x"', b"\xef\xbb\xbf{}"])
def test_a_whole_answer_without_findings_passes_byte_for_byte(raw: bytes) -> None:
    answer = whole()
    assert answer.feed(raw) == b""
    assert answer.close() == raw


@pytest.mark.parametrize("size", [10, 11])
def test_a_whole_answer_may_be_as_long_as_its_limit(size: int) -> None:
    answer = whole(limit=10)
    if size > 10:
        with pytest.raises(Refusal, match="too large"):
            answer.feed(b" " * size)
    else:
        assert answer.feed(b" " * size) == b""


@pytest.mark.parametrize(
    ("raw", "content_type"),
    [
        (b"{", "application/json"),
        (b'{"a":1,"a":2}', "application/json"),
        (b"\x89PNG", "image/png"),
        (b"{}", "application/json; charset=utf-16"),
        (b"[" * 1000, "application/json"),
        (b"\xff", "application/json"),
    ],
    ids=str,
)
def test_a_whole_answer_that_cannot_be_read_is_the_endpoints_fault(
    raw: bytes, content_type: str
) -> None:
    answer = whole(content_type)
    answer.feed(raw)
    with pytest.raises(Refusal) as caught:
        answer.close()
    assert (caught.value.status, caught.value.code) == (502, "upstream_uninspectable")
    assert caught.value.__cause__ is None


def test_after_a_failure_a_stream_stays_shut(tmp_path: Path) -> None:
    blocking = guard(policies_with(tmp_path, {"house.cedar": NEVER_SHOW_CARDS}))
    rules = build_filter(blocking, usual(), endpoint=CLOUD.endpoint, vault=Vault())
    answer = TextAnswer(rules)
    with pytest.raises(Blocked):
        answer.feed(f"{CARD} and so on. ".encode())
    with pytest.raises(Unavailable):
        answer.feed(b"more")
    with pytest.raises(Unavailable):
        answer.close()
