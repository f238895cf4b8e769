"""Files, pictures, sound and documents, through a whole exchange."""

from __future__ import annotations

import base64
import gzip
import importlib.util
import json
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from documents_world import docx, paragraphs, pdf
from exchange_world import (
    CLOUD,
    CRM,
    ENDED,
    HOME,
    JSON,
    POLICIES,
    REGIONS,
    SSE,
    chat,
    deployment,
    detector,
    open_exchange,
    policies_with,
    post,
    started,
    tell,
)

from guardrail.exchange import ChunkReceived, Deployment, Door, Headers, RequestReceived
from guardrail.extraction.formats import Bounds
from guardrail.extraction.reader import DocumentReader
from guardrail.guard import build_guard
from guardrail.policy.loader import load_policies
from guardrail.taxonomy import load_taxonomy

WHO = "alice@example.com"
SAID = f"write to {WHO} today"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
ROUTES = (HOME, CLOUD)


def encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def form(*parts: tuple[str, bytes], boundary: str = "x") -> bytes:
    """A form of named parts; a name with a dot in it is a file's, too."""
    lines = []
    for name, data in parts:
        field, _, filename = name.partition("=")
        head = f'form-data; name="{field}"' + (f'; filename="{filename}"' if filename else "")
        lines.append(f"--{boundary}\r\nContent-Disposition: {head}\r\n\r\n".encode() + data)
    return b"\r\n".join([*lines, f"--{boundary}--".encode(), b""])


FORM = (b"content-type", b"multipart/form-data; boundary=x")


@lru_cache(maxsize=4)
def reading(policies: Path = POLICIES, *, read: bool = True) -> Deployment:
    """A deployment that reads documents, or does not."""
    taxonomy = load_taxonomy()
    store = load_policies(
        policies,
        regions=REGIONS,
        taxonomy=taxonomy,
        endpoints=[route.endpoint for route in ROUTES],
        principals=[CRM],
    )
    guard = build_guard(
        detector=detector(),
        policies=store,
        taxonomy=taxonomy,
        key=b"k" * 32,
        reader=DocumentReader(Bounds(), timeout_s=60) if read else None,
    )
    return deployment(guard=guard, routes=ROUTES)


def sent(
    body: bytes, *, path: str, headers: Headers = (JSON,), deployed: Deployment | None = None
) -> bytes | str:
    """What leaves for the cloud, or why nothing does."""
    one = open_exchange(deployed or deployment(routes=(CLOUD,)), door=Door.TRANSPORT, target=CLOUD)
    story = tell(one, post(body, path=path, headers=headers))
    if story.forwards:
        (forward,) = story.forwards
        assert forward.route is not None
        return forward.body if forward.route is CLOUD else "local"
    return dict(story.reply.headers)[b"x-guardrail-code"].decode()


# ── what hides where none expects it ─────────────────────────────────────────────────────────────


def thinking(**block: str) -> bytes:
    message = {"role": "assistant", "content": [block]}
    return json.dumps({"model": "gpt-4o", "messages": [message], "max_tokens": 9}).encode()


SIGNATURE = "q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k="
HIDDEN = {
    "a picture for a signature": thinking(type="thinking", thinking="x", signature=encoded(PNG)),
    "packed noise for a signature": thinking(
        type="thinking", thinking="x", signature=encoded(gzip.compress(PNG * 9))
    ),
    "a picture for what is redacted": thinking(type="redacted_thinking", data=encoded(PNG)),
    "a picture in a block of its own": thinking(type="image", data=encoded(PNG)),
    "sound in a block of no kind": thinking(type="sound", data=encoded(bytes(range(256)) * 3)),
    "a picture as a fingerprint": chat("hello", service_tier=encoded(PNG)),
    "a picture as a model's id": chat("hello", metadata={"note": encoded(PNG)}),
}


@pytest.mark.parametrize("body", HIDDEN.values(), ids=HIDDEN.keys())
def test_nothing_that_cannot_be_read_leaves_as_something_else(body: bytes) -> None:
    path = "/v1/chat/completions" if b"service_tier" in body or b"note" in body else "/v1/messages"
    assert sent(body, path=path) == "policy_violation"


def test_packed_text_for_a_signature_is_read() -> None:
    packed = encoded(gzip.compress(SAID.encode() * 9, mtime=0))
    out = sent(thinking(type="thinking", thinking="x", signature=packed), path="/v1/messages")
    assert isinstance(out, bytes)
    said = json.loads(out)["messages"][0]["content"][0]["signature"]
    assert gzip.decompress(base64.b64decode(said)).count(b"[EMAIL_1]") == 9


def test_a_signature_leaves_as_it_came() -> None:
    body = thinking(type="thinking", thinking="hm", signature=SIGNATURE)
    assert sent(body, path="/v1/messages") == body
    body = thinking(type="redacted_thinking", data=SIGNATURE)
    assert sent(body, path="/v1/messages") == body


# ── files ────────────────────────────────────────────────────────────────────────────────────────

LINES = {
    # kind of request: (a line, what leaves of it)
    "chat": (
        {
            "custom_id": "r-1",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": "gpt-5", "messages": [{"role": "user", "content": SAID}]},
        },
        "/body/messages/0/content",
    ),
    "responses": (
        {"custom_id": "r-2", "method": "POST", "url": "/v1/responses", "body": {"input": SAID}},
        "/body/input",
    ),
    "embeddings": (
        {"custom_id": "r-3", "method": "POST", "url": "/v1/embeddings", "body": {"input": [SAID]}},
        "/body/input/0",
    ),
    "fine-tuning": ({"messages": [{"role": "user", "content": SAID}]}, "/messages/0/content"),
    "arguments": (
        {
            "url": "/v1/chat/completions",
            "body": {
                "messages": [{"tool_calls": [{"function": {"arguments": json.dumps({"to": WHO})}}]}]
            },
        },
        "/body/messages/0/tool_calls/0/function/arguments",
    ),
}


def at(value: Any, pointer: str) -> Any:
    for step in pointer.split("/")[1:]:
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value


@pytest.mark.parametrize("kind", LINES)
@pytest.mark.parametrize("purpose", [b"batch", b"fine-tune", b"user_data"])
def test_each_line_of_a_file_of_requests_is_treated_as_a_request(kind: str, purpose: bytes) -> None:
    line, pointer = LINES[kind]
    untouched = b'{ "url": "/v1/chat/completions",  "body": {"messages": []}}'
    file = untouched + b"\n" + json.dumps(line).encode() + b"\n\n"
    body = form(("purpose", purpose), ("file=requests.jsonl", file))
    out = sent(body, path="/v1/files", headers=(FORM,))
    assert isinstance(out, bytes)
    assert WHO.encode() not in out
    first, second = out.split(b"\r\n\r\n")[2].split(b"\r\n--x")[0].splitlines()
    assert first == untouched
    said = at(json.loads(second), pointer)
    assert "[EMAIL_1]" in said
    if kind == "arguments":
        assert json.loads(said) == {"to": "[EMAIL_1]"}


def test_a_user_id_in_a_line_is_replaced_as_the_requests_map_says() -> None:
    line = {"url": "/v1/chat/completions", "body": {"messages": [], "user": "jo-4711"}}
    body = form(("file=x.jsonl", json.dumps(line).encode()), ("purpose", b"batch"))
    out = sent(body, path="/v1/files", headers=(FORM,))
    assert isinstance(out, bytes)
    assert b"jo-4711" not in out
    assert b'"user":"user-' in out


@pytest.mark.parametrize("line", [b"{", b"[]", b'"x"', b'{"a":1,"a":2}', b"\xff", PNG])
def test_a_batch_that_is_none_is_refused_and_says_which_line(line: bytes) -> None:
    body = form(("purpose", b"batch"), ("file=x.jsonl", b'{"url": "/v1/responses"}\n' + line))
    one = open_exchange(deployment(routes=(CLOUD,)), door=Door.TRANSPORT, target=CLOUD)
    story = tell(one, post(body, path="/v1/files", headers=(FORM,)))
    assert story.reply.status == 400
    assert b"line 2 of the file" in story.reply.body or line == PNG
    assert story.forwards == []


FILES: dict[str, tuple[bytes, bytes | str]] = {
    # content: what leaves of it
    "text": (SAID.encode(), b"write to [EMAIL_1] today"),
    "CSV": (f"name,mail\nx,{WHO}\n".encode(), b"name,mail\nx,[EMAIL_1]\n"),
    "JSON": (json.dumps({"mail": WHO}).encode(), b'{"mail": "[EMAIL_1]"}'),
    "HTML": (b"<p>alice&#64;example.com</p>", b"<p>[EMAIL_1]</p>"),
    "UTF-16": (
        ("\ufeff" + SAID).encode("utf-16-le"),
        "\ufeffwrite to [EMAIL_1] today".encode("utf-16-le"),
    ),
    "gzip": (gzip.compress(SAID.encode()), gzip.compress(b"write to [EMAIL_1] today", mtime=0)),
    "no JSON lines": (b"{not json " + SAID.encode(), b"{not json write to [EMAIL_1] today"),
    "a picture": (PNG, "policy_violation"),
}


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("path", ["/v1/files", "/v1/anything"])
def test_a_file_is_read_where_it_is_text(kind: str, path: str) -> None:
    content, expected = FILES[kind]
    name = "file=x.jsonl" if kind == "no JSON lines" else "file=x.txt"
    out = sent(form(("purpose", b"user_data"), (name, content)), path=path, headers=(FORM,))
    assert (
        expected in out
        if isinstance(expected, bytes) and isinstance(out, bytes)
        else (out == expected)
    )


def test_a_slice_of_a_file_cannot_be_inspected_whatever_it_holds() -> None:
    body = form(("data=part", b"half a name"))
    assert sent(body, path="/v1/uploads/upload_1/parts", headers=(FORM,)) == "policy_violation"


@pytest.mark.parametrize("file", [f"{WHO}.txt", f"to {WHO}, in haste.png"])
def test_a_file_name_is_inspected(file: str) -> None:
    out = sent(form((f"file={file}", b"hello")), path="/v1/files", headers=(FORM,))
    assert isinstance(out, bytes)
    assert WHO.encode() not in out


BATCH = {
    "id": "batch_req_1",
    "custom_id": "r-1",
    "response": {
        "status_code": 200,
        "request_id": "q",
        "body": {
            "object": "chat.completion",
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": "card 4111111111111111"}}
            ],
        },
    },
    "error": None,
}


@pytest.mark.parametrize("typed", [b"application/octet-stream", b"application/jsonl", b""])
def test_the_answers_of_a_batch_are_filtered_line_by_line(typed: bytes) -> None:
    one = open_exchange(deployment(routes=(CLOUD,)), door=Door.TRANSPORT, target=CLOUD)
    story = tell(
        one,
        post(b"", path="/v1/files/file-1/content", method="GET", headers=()),
        started((b"content-type", typed)),
        ChunkReceived(json.dumps(BATCH).encode() + b"\n" + json.dumps(BATCH).encode()),
        ENDED,
    )
    lines = [json.loads(line) for line in story.answer.splitlines()]
    assert len(lines) == 2
    said = lines[0]["response"]["body"]["choices"][0]["message"]["content"]
    assert said == "card [CARD REDACTED]"
    assert lines[0]["custom_id"] == "r-1"


# ── sound and pictures ───────────────────────────────────────────────────────────────────────────


def answered(
    body: bytes, *chunks: bytes, path: str, typed: bytes, headers: Headers = (JSON,)
) -> bytes:
    """The bytes that the client gets."""
    one = open_exchange(deployment(routes=(CLOUD,)), door=Door.TRANSPORT, target=CLOUD)
    story = tell(
        one,
        post(body, path=path, headers=headers),
        started((b"content-type", typed)),
        *map(ChunkReceived, chunks),
        ENDED,
    )
    assert story.forwards, story.lines
    return story.answer


SPEAK = json.dumps({"model": "gpt-4o", "input": f"say {WHO}", "voice": "alloy"}).encode()
DRAW = json.dumps({"model": "gpt-4o", "prompt": f"draw {WHO}", "size": "1024x1024"}).encode()


def test_what_is_to_be_said_or_drawn_is_treated_and_what_comes_back_passes() -> None:
    for body, path, typed in (
        (SPEAK, "/v1/audio/speech", b"audio/mpeg"),
        (DRAW, "/v1/images/generations", b"image/png"),
    ):
        out = sent(body, path=path)
        assert isinstance(out, bytes)
        assert WHO.encode() not in out
        assert answered(body, PNG, path=path, typed=typed) == PNG


def test_a_picture_that_a_chat_did_not_ask_for_does_not_pass() -> None:
    one = open_exchange(deployment(routes=(CLOUD,)), door=Door.TRANSPORT, target=CLOUD)
    story = tell(one, post(chat(SAID)), started((b"content-type", b"image/png")))
    story = tell(one, ChunkReceived(PNG), ENDED)
    assert story.reply.status == 502


def test_a_picture_in_an_answer_passes_and_the_words_beside_it_are_filtered() -> None:
    body = {"data": [{"b64_json": encoded(PNG), "revised_prompt": "card 4111 1111 1111 1111"}]}
    out = answered(DRAW, json.dumps(body).encode(), path="/v1/images/generations", typed=JSON[1])
    (data,) = json.loads(out)["data"]
    assert data == {"b64_json": encoded(PNG), "revised_prompt": "card [CARD REDACTED]"}


def test_pictures_that_are_streamed_pass() -> None:
    event = {
        "type": "image_generation.partial_image",
        "partial_image_index": 0,
        "b64_json": encoded(PNG),
    }
    frames = f"data: {json.dumps(event)}\n\n".encode() * 2
    assert answered(DRAW, frames, path="/v1/images/generations", typed=SSE[1]) == frames


ASKED = form(("model", b"whisper-1"), ("prompt", b"x"), ("file=a.txt", b"a text, for once"))


def heard(answer: object, typed: bytes = JSON[1]) -> bytes:
    raw = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    path = "/v1/audio/transcriptions"
    return answered(ASKED, raw, path=path, typed=typed, headers=(FORM,))


CARD = "4111 1111 1111 1111"


@pytest.mark.parametrize(
    "typed", [b"text/plain; charset=utf-8", b"text/vtt", b"application/x-subrip"]
)
def test_a_transcript_in_text_is_filtered(typed: bytes) -> None:
    said = f"1\n00:00:01,000 --> 00:00:02,000\nmy card is {CARD}\n".encode()
    out = heard(said, typed)
    assert out == said.replace(CARD.encode(), b"[CARD REDACTED]")


def test_a_transcript_is_filtered_and_does_not_restate_what_is_masked() -> None:
    words = [{"word": word, "start": 0.5} for word in CARD.split()]
    segment = {"id": 0, "text": CARD, "tokens": [1, 2, 3]}
    out = json.loads(heard({"text": CARD, "words": words, "segments": [segment]}))
    assert out["text"] == out["segments"][0]["text"] == "[CARD REDACTED]"
    assert [word["word"] for word in out["words"]] == [None] * 4
    assert out["segments"][0]["tokens"] is None


def test_the_words_of_a_harmless_transcript_stay() -> None:
    words = [{"word": "hello", "start": 0.5}, {"word": "there", "start": 1.5}]
    answer = {"text": "hello there", "words": words}
    assert json.loads(heard(answer)) == answer


def test_a_transcript_that_is_streamed_is_filtered_over_its_pieces() -> None:
    events = [
        {"type": "transcript.text.delta", "delta": piece} for piece in ("4111 1111 ", CARD[10:])
    ]
    events.append({"type": "transcript.text.done", "text": CARD})
    frames = b"".join(f"data: {json.dumps(event)}\n\n".encode() for event in events)
    out = heard(frames, SSE[1])
    assert b"1111" not in out
    assert out.count(b"[CARD REDACTED]") == 2


# ── documents ────────────────────────────────────────────────────────────────────────────────────


def with_file(raw: bytes, text: str = "hello") -> bytes:
    file = {"filename": "a.pdf", "file_data": "data:application/pdf;base64," + encoded(raw)}
    return chat([{"type": "file", "file": file}, {"type": "text", "text": text}])  # type: ignore[arg-type]  # parts


def with_source(raw: bytes) -> bytes:
    source = {"type": "base64", "media_type": "application/pdf", "data": encoded(raw)}
    content = [{"type": "document", "source": source}]
    message = {"role": "user", "content": content}
    return json.dumps({"model": "gpt-4o", "max_tokens": 9, "messages": [message]}).encode()


def with_result(raw: bytes) -> bytes:
    source = {"type": "base64", "media_type": "application/pdf", "data": encoded(raw)}
    result = {
        "type": "tool_result",
        "tool_use_id": "c",
        "content": [{"type": "document", "source": source}],
    }
    message = {"role": "user", "content": [result]}
    return json.dumps({"model": "gpt-4o", "max_tokens": 9, "messages": [message]}).encode()


CARRIERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "chat": ("/v1/chat/completions", with_file),
    "messages": ("/v1/messages", with_source),
    "tool result": ("/v1/messages", with_result),
}
HARMLESS = docx(paragraphs(("the weather is fine",)))
PERSONAL = docx(paragraphs((SAID,)))
needs_pypdf = pytest.mark.skipif(
    importlib.util.find_spec("pypdf") is None, reason="pypdf is not installed"
)


@pytest.mark.parametrize("carrier", CARRIERS)
def test_a_document_without_personal_data_leaves_as_it_is(carrier: str) -> None:
    path, carry = CARRIERS[carrier]
    body = carry(HARMLESS)
    assert sent(body, path=path, deployed=reading()) == body


@pytest.mark.parametrize("carrier", CARRIERS)
def test_a_document_with_personal_data_stays_local(carrier: str) -> None:
    path, carry = CARRIERS[carrier]
    assert sent(carry(PERSONAL), path=path, deployed=reading()) == "local"


@pytest.mark.parametrize("carrier", CARRIERS)
def test_without_a_reader_every_document_stays_local(carrier: str) -> None:
    path, carry = CARRIERS[carrier]
    assert sent(carry(HARMLESS), path=path, deployed=reading(read=False)) == "local"


@needs_pypdf
def test_a_pdf_is_read_as_well() -> None:
    path, carry = CARRIERS["chat"]
    harmless = carry(pdf("the weather is fine"))
    assert sent(harmless, path=path, deployed=reading()) == harmless
    assert sent(carry(pdf(SAID)), path=path, deployed=reading()) == "local"
    assert sent(carry(pdf("fine") + b"%%EOF"), path=path, deployed=reading()) == "local"


def test_a_document_is_recorded_as_one_with_what_is_in_it() -> None:
    one = open_exchange(reading(), door=Door.TRANSPORT, target=CLOUD)
    story = tell(one, post(with_file(PERSONAL)))
    counts = story.records[0].counts
    assert (counts["READ_DOCUMENT"], counts["EMAIL_ADDRESS"]) == (1, 1)
    assert "MEDIA" not in counts


def test_what_a_document_holds_decides_for_its_category_alone() -> None:
    body = with_file(HARMLESS, text=SAID)
    out = sent(body, path="/v1/chat/completions", deployed=reading())
    assert isinstance(out, bytes)
    assert encoded(HARMLESS).encode() in out
    assert b"[EMAIL_1]" in out


def test_what_the_text_beside_a_document_hides_does_not_leave_in_it() -> None:
    body = with_file(
        docx(paragraphs(("ask Quaxelberg for it",))), text="My name is Erika Quaxelberg."
    )
    out = sent(body, path="/v1/chat/completions", deployed=reading())
    assert out in ("local", "personal_data_in_structure")


def test_a_policy_may_keep_documents_that_were_read(tmp_path: Path) -> None:
    rule = """@id("house.no-documents") @title("None leave") @reason("Test.")
    forbid (principal, action in Action::"send", resource)
    when { context.category in Category::"document" };"""
    strict = reading(policies_with(tmp_path, {"house.cedar": rule}))
    assert sent(with_file(HARMLESS), path="/v1/chat/completions", deployed=strict) == "local"


def test_a_document_that_a_form_uploads_is_read() -> None:
    body = form(("purpose", b"user_data"), ("file=report.docx", HARMLESS))
    assert sent(body, path="/v1/files", headers=(FORM,), deployed=reading()) == body
    body = form(("purpose", b"user_data"), ("file=report.docx", PERSONAL))
    one = open_exchange(reading(), door=Door.TRANSPORT, target=CLOUD)
    story = tell(one, post(body, path="/v1/files", headers=(FORM,)))
    assert dict(story.reply.headers)[b"x-guardrail-code"] == b"no_permitted_route"
    assert b"cannot be read or changed" in story.reply.body


# ── links ────────────────────────────────────────────────────────────────────────────────────────

LINKS = {
    "in its path": "https://x.test/of/alice@example.com/now",
    "in its path, percent-encoded": "https://x.test/of/alice%40example.com/now",
    "in its query": "https://x.test/?who=alice@example.com&n=1",
    "in its query, percent-encoded": "https://x.test/?who=%61lice%40example%2Ecom&n=1",
    "in its query, encoded twice": "https://x.test/?who=alice%2540example.com",
    "in its fragment": "https://x.test/#alice%40example.com",
    "as its user": "https://alice%40example.com:pw@x.test/",
    "in base64": "https://x.test/?q=" + encoded(SAID.encode()).rstrip("="),
}


@pytest.mark.parametrize("link", LINKS.values(), ids=LINKS.keys())
def test_an_address_is_inspected_as_it_is_written_and_decoded(link: str) -> None:
    tool = {"type": "mcp", "server_label": "x", "server_url": link}
    body = json.dumps({"model": "gpt-4o", "input": "hello", "tools": [tool]}).encode()
    out = sent(body, path="/v1/responses")
    if isinstance(out, bytes):
        left = json.loads(out)["tools"][0]["server_url"]
        assert not re.search(r"alice|%61lice", left)
        assert "d3JpdGUgdG8" not in left
        assert left.startswith("https://")
    else:
        assert out == "personal_data_in_structure"


@pytest.mark.parametrize("link", LINKS.values(), ids=LINKS.keys())
def test_an_address_of_a_picture_leaves_for_no_cloud(link: str) -> None:
    part = {"type": "image_url", "image_url": {"url": link}}
    assert sent(chat([part]), path="/v1/chat/completions") == "policy_violation"  # type: ignore[arg-type]  # parts


@pytest.mark.parametrize("form", ["multipart", "urlencoded"])
def test_a_form_does_not_say_where_it_goes(form: str) -> None:
    if form == "multipart":
        head = b'--x\r\ncontent-disposition: form-data; name="'
        fields = ((b"model", b"gpt-4o"), (b"api_base", b"https://evil.example"))
        body = b"".join(head + name + b'"\r\n\r\n' + said + b"\r\n" for name, said in fields)
        body, kind = body + b"--x--\r\n", b"multipart/form-data; boundary=x"
    else:
        body = b"model=gpt-4o&api_base=https%3A%2F%2Fevil.example"
        kind = b"application/x-www-form-urlencoded"
    event = RequestReceived(
        path="/v1/audio/transcriptions", headers=((b"content-type", kind),), body=body
    )
    story = tell(open_exchange(door=Door.MIDDLEWARE), event)
    assert story.forwards == []
    assert story.records[-1].code == "endpoint_in_request"
