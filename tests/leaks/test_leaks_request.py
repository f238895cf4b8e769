"""Personal data in every kind of body, disguise and envelope; the app must never read it."""

from __future__ import annotations

import json
from collections.abc import Callable
from time import perf_counter
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from leaks_positions import call, message
from leaks_world import PLANTED, ask, built, chat, tables, usual

from guardrail.errors import ConfigError
from guardrail.transport import GuardrailTransport

BODIES: dict[str, Callable[[str], dict[str, Any]]] = {
    "form value": lambda t: {
        "raw": urlencode({"model": "gpt-4o", "prompt": t}).encode(),
        "content_type": b"application/x-www-form-urlencoded",
    },
    "form name": lambda t: {
        "raw": urlencode({t: "x"}).encode(),
        "content_type": b"application/x-www-form-urlencoded",
    },
    "text": lambda t: {"raw": t.encode(), "content_type": b"text/plain"},
    "markdown": lambda t: {"raw": t.encode(), "content_type": b"text/markdown; charset=utf-8"},
    "json string": lambda t: {"raw": json.dumps(t).encode()},
    "json array": lambda t: {"raw": json.dumps([t]).encode()},
    "query": lambda t: {"body": chat("hello"), "query": urlencode({"q": t}).encode()},
    "query without body": lambda t: {
        "method": "GET",
        "content_type": b"",
        "query": urlencode({"q": t}).encode(),
    },
}


@pytest.mark.parametrize("planted", PLANTED)
@pytest.mark.parametrize("kind", BODIES)
def test_a_value_leaves_in_no_kind_of_body(kind: str, planted: str) -> None:
    value, text = PLANTED[planted]
    seen = ask(**BODIES[kind](text))
    assert not seen.left(value)


@pytest.mark.parametrize("kind", ["text", "markdown", "json string"])
def test_a_body_that_is_one_text_is_protected_rather_than_refused(kind: str) -> None:
    seen = ask(**BODIES[kind]("write to alice@example.com"))
    assert seen.status == 200
    assert b"[EMAIL_1]" in (seen.sent or b"")


# ── disguises ────────────────────────────────────────────────────────────────────────────────────

_TAGS = "".join(chr(0xE0000 + ord(c)) for c in "alice@example.com")
_SPELLED = (
    r'{"mail":"alice\u0040example.com","card":"\u0034111 1111 1111 1111",'
    r'"tel":"\u002B4915112345678","x":1,"x":2}'
)

DISGUISES: dict[str, tuple[str, object]] = {
    "full width": ("４１１１", chat("card ４１１１１１１１１１１１１１１１")),
    "zero width": ("41\u200b11", chat("card 41\u200b11 1111 1111 1111")),
    "escapes in tool result": (r"u0040example.com", chat(_SPELLED)),
    "escaped plus in tool result": (r"4915112345678", chat(_SPELLED)),
    "repeated keys in arguments": (r"u0040example.com", call(arguments=_SPELLED)),
    "italics": ("alice@example.com", chat("write to _alice@example.com_ today")),
    "italic card": ("4111111111111111", chat("pay with _4111111111111111_ now")),
    "dash after": ("alice@example.com", chat("alice@example.com- please")),
    "percent": ("alice%40example.com", chat("see https://crm.test/?m=alice%40example.com")),
    "entity": ("alice&#64;example.com", chat("<a>alice&#64;example.com</a>")),
    "unicode tags": (_TAGS, chat("hello" + _TAGS)),
    "nul between": ("4111\0", chat("card 4111\0001111\0001111\0001111")),
    "joiner between": ("4111\u034f", chat("card 4111\u034f1111\u034f1111\u034f1111")),
    "braille blank between": ("4111\u2800", chat("card 4111\u28001111\u28001111\u28001111")),
    "number where none belongs": ("4111111111111111", chat("hello", seed=4111111111111111)),
    "number as user id": ("12345678", chat("hello", user=12345678)),
    "base64 without a declared field": (
        "YWxpY2VAZXhhbXBsZS5jb20gNDExMSAxMTExIDExMTEgMTExMQ==",
        chat(
            [
                {
                    "type": "input_file",
                    "file_data": "YWxpY2VAZXhhbXBsZS5jb20gNDExMSAxMTExIDExMTEgMTExMQ==",
                }
            ]
        ),
    ),
    "data address without a type": (
        "YWxpY2VAZXhhbXBsZS5jb20",
        chat("hello", x="data:;base64,YWxpY2VAZXhhbXBsZS5jb20="),
    ),
    "data address in content": (
        "YWxpY2VAZXhhbXBsZS5jb20",
        chat("data:text/plain;base64,YWxpY2VAZXhhbXBsZS5jb20="),
    ),
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_disguise_that_a_model_reads_hides_nothing(disguise: str) -> None:
    value, body = DISGUISES[disguise]
    seen = ask(raw=json.dumps(body, ensure_ascii=False).encode())
    at_home = seen.headers.get(b"x-guardrail-treatment") == b"local"
    sent = b"" if at_home else seen.sent or b""
    readable = json.dumps(json.loads(sent), ensure_ascii=False) if sent else ""
    spellings = {value, json.dumps(value, ensure_ascii=False)[1:-1], json.dumps(value)[1:-1]}
    assert not any(spelling in readable for spelling in spellings)


@pytest.mark.parametrize("name", ["Erika_Mustermann", "erika-mustermann", "jane_doe"])
def test_who_speaks_is_somebody(name: str) -> None:
    seen = ask(message(role="user", content="hello", name=name))
    assert seen.status == 200
    assert not seen.left(name)


def test_what_holds_a_field_says_what_it_holds() -> None:
    held = {"meta": {"ssn": {"value": "536904399"}, "password": {"value": "hunter2secret"}}}
    seen = ask(chat("hello", extra=held))
    assert not seen.left("536904399")
    assert not seen.left("hunter2secret")


@pytest.mark.parametrize(
    "content_type", [b"text/plain", b"application/x-www-form-urlencoded", b"text/html"]
)
def test_json_under_another_content_type_is_read_as_an_app_would_read_it(
    content_type: bytes,
) -> None:
    raw = json.dumps(chat("write to alice@example.com")).replace("@", r"\u0040").encode()
    assert not ask(raw=raw, content_type=content_type).reached("alice@example.com")


# ── overlaps of what may leave with what may not ─────────────────────────────────────────────────


@pytest.mark.parametrize("model", ["gpt-4o", "eu-large"])
@pytest.mark.parametrize(
    ("secret", "text"),
    [
        ("Sup3rSecret9", "connect to postgres://admin:Sup3rSecret9@db.example.com/prod"),
        ("Sup3rSecret9", "open https://admin:Sup3rSecret9@example.com now"),
        ("hunter22@example.com", "password=hunter22@example.com"),
    ],
)
def test_a_credential_inside_an_address_is_still_a_credential(
    secret: str, text: str, model: str
) -> None:
    seen = ask(chat(text, model=model), answer=(b'{"a":"[EMAIL_1] [SECRET_1]"}',))
    assert not seen.reached(secret)
    assert secret.encode() not in seen.answer  # nor may it come back: it was no e-mail


# ── which endpoint a request means ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "body",
    [
        chat("write to alice@example.com", model="llama3,gpt-4o"),
        chat("write to alice@example.com", model="llama3\ngpt-4o"),
        chat("write to alice@example.com", model="llama3", fallbacks=["gpt-4o"]),
        chat("write to alice@example.com", model="llama3", Model="gpt-4o"),
    ],
    ids=["comma", "newline", "fallbacks", "other case"],
)
def test_naming_a_local_model_first_does_not_carry_a_second_one_along(body: object) -> None:
    assert not ask(body).reached("alice@example.com")


_ENDPOINTS: dict[str, Any] = tables()["endpoints"]


def test_a_name_that_stays_at_home_may_not_be_served_elsewhere() -> None:
    with pytest.raises(ConfigError, match=r"endpoints\.local\.model: .* also served by"):
        built(endpoints={**_ENDPOINTS, "us": {**_ENDPOINTS["us"], "models": ["*"]}})


@pytest.mark.parametrize(
    "request_",
    [
        {
            "raw": b"model=gpt-4o&prompt=alice@example.com",
            "content_type": b"application/x-www-form-urlencoded",
        },
        {"body": {**chat("alice@example.com"), "model": ["gpt-4o"]}},
        {"body": {"request": chat("alice@example.com")}},
        {"body": {"messages": [{"content": "alice@example.com"}]}, "query": b"model=gpt-4o"},
        {"raw": json.dumps(chat("alice@example.com")).encode(), "content_type": b"text/plain"},
    ],
    ids=["form", "list", "nested", "query", "text"],
)
def test_a_model_named_elsewhere_is_not_taken_for_the_default(request_: dict[str, Any]) -> None:
    at_home = built(middleware={"endpoint": "local"})
    assert not ask(**request_, guarded=at_home).reached("alice@example.com")


@pytest.mark.parametrize(
    "path", ["/health/../v1/chat", "/health/%2e%2e/v1/chat", "/health/..;/v1/chat", "/health//v1"]
)
def test_no_spelling_of_a_path_climbs_out_of_an_unguarded_one(path: str) -> None:
    open_door = built(middleware={"unguarded": ["/health/*"]})
    seen = ask(chat("write to alice@example.com"), path=path, guarded=open_door)
    assert not seen.reached("alice@example.com")


def test_no_message_quotes_a_key_of_the_payload() -> None:
    seen = ask(chat("hello", stream_options={"alice@example.com": "bob@example.com"}))
    assert b"alice" not in seen.answer


# ── the transport, whose every byte leaves ───────────────────────────────────────────────────────


def _leaving(method: str, url: str, **options: Any) -> str:
    """Everything that left, headers and address included."""
    left: list[str] = []

    def upstream(request: httpx.Request) -> httpx.Response:
        left.append(f"{request.url} {list(request.headers.multi_items())} {request.content!r}")
        return httpx.Response(200, json={})

    inner = httpx.MockTransport(upstream)
    with httpx.Client(transport=GuardrailTransport(usual(), inner=inner)) as client:
        client.request(method, url, **options)
    return "".join(left)


@pytest.mark.parametrize("method", ["GET", "DELETE", "POST"])
def test_the_transport_lets_no_value_leave_in_a_path(method: str) -> None:
    assert "alice@" not in _leaving(method, "https://us.test/v1/files/alice@example.com/content")


@pytest.mark.parametrize("header", ["helicone-user-id", "referer", "x-user", "cookie"])
def test_the_transport_lets_no_value_leave_in_a_header(header: str) -> None:
    left = _leaving(
        "POST",
        "https://us.test/v1/chat/completions",
        json=chat("hello"),
        headers={header: "alice@example.com"},
    )
    assert "alice@" not in left


@pytest.mark.parametrize("header", ["authorization", "x-goog-api-key", "cookie", "x-api-key"])
def test_a_diverted_request_takes_no_credential_of_the_cloud_along(header: str) -> None:
    left = _leaving(
        "POST",
        "https://us.test/v1/chat/completions",
        json=chat([{"type": "image_url", "image_url": {"url": "https://x.test/p.png"}}]),
        headers={header: "cloud-credential"},
    )
    assert left.startswith("http://local.test/")
    assert "cloud-credential" not in left


@pytest.mark.parametrize("unit", ["Jane ", "Grace ", "1.", "a1:", "Abcd Efgh ", "Hauptstr. 5 "])
def test_a_request_holds_the_middleware_no_longer_than_its_length_warrants(unit: str) -> None:
    started = perf_counter()
    seen = ask(chat(unit * (40_000 // len(unit))))
    assert seen.status in (200, 503)  # 503 where a busy machine takes too long to detect
    assert perf_counter() - started < 30  # by looking at each finding with each other: minutes
