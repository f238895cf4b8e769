"""Nothing personal in any log, header, error or file, whatever happens to a request."""

from __future__ import annotations

import http.client
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import pytest
from apps import support_app
from servers import (
    CARD,
    EMAIL,
    IBAN,
    KEY,
    NAME,
    PLANTED,
    PROMPT,
    SSN,
    Act,
    Model,
    eventually,
    forms,
    free_port,
    recorded,
    serve,
    settings,
    user,
)

from guardrail.asgi.gateway import Gateway
from guardrail.asgi.middleware import Guardrail
from guardrail.config import build, load_config

SECRET = "Zq8LkT2vYwXn5RbC7dFhJ3mP"
VALUES = (*PLANTED, "Jörg", SSN, CARD, CARD.replace(" ", ""), SECRET, "Mustermann", "901820")

PERSONAL = f"{PROMPT} SSN {SSN}, card {CARD}, key {KEY}"


@pytest.fixture(scope="module")
def house(folder: Path) -> Iterator[tuple[str, str, Model]]:
    model = Model()
    with ExitStack() as stack:
        upstream = stack.enter_context(serve(model))
        config = settings(folder, upstream, limits={"request_bytes": 20_000})
        config["endpoints"] |= {
            "down": {**config["endpoints"]["cloud"], "models": ["down-*"]}
            | {"url": f"http://127.0.0.1:{free_port()}/v1"},
            "slow": {**config["endpoints"]["cloud"], "models": ["slow-*"], "timeout_s": 0.1},
        }
        built = build(load_config(config))
        stack.callback(built.close)
        gateway = stack.enter_context(serve(Gateway(built)))
        middleware = stack.enter_context(serve(Guardrail(support_app(upstream), built)))
        yield gateway, middleware, model


def exchange(url: str, method: str, path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """Status, headers and body of the answer, a line each; by a client that logs nothing."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=20)
    try:
        connection.request(method, path, body, {"content-type": "application/json", **headers})
        answer = connection.getresponse()
        head = f"{answer.status} {answer.reason}\n{answer.getheaders()}\n".encode()
        return head + answer.read()
    except http.client.HTTPException as error:
        return repr(error).encode()
    finally:
        connection.close()


def chat(model: str = "gpt-4o", more: Mapping[str, object] | None = None) -> bytes:
    return json.dumps({"model": model, "messages": user(PERSONAL), **(more or {})}).encode()


QUERY = f"?q={quote(PERSONAL)}"
CHAT = "/v1/chat/completions"
TOO_SLOW = ("POST", CHAT, chat("slow-1"), dict[str, str](), Act(stall=True))
REQUESTS: list[tuple[str, str, bytes, dict[str, str], Act]] = [
    ("POST", CHAT, chat(), {}, Act()),
    ("POST", CHAT, chat(more={"stream": True}), {}, Act(cut=3)),
    ("POST", CHAT + QUERY, chat(), {}, Act()),
    ("POST", CHAT, chat(), {"content-encoding": "gzip"}, Act()),
    ("POST", CHAT, chat()[:-5], {}, Act()),
    ("POST", CHAT, chat() + b"\xff", {}, Act()),
    ("POST", CHAT, chat("down-1"), {}, Act()),
    ("POST", CHAT, chat(EMAIL), {}, Act()),
    ("POST", CHAT, chat(more={"temperature": PERSONAL, "role": NAME}), {}, Act()),
    ("POST", CHAT, chat(more={"tool_choice": EMAIL}), {}, Act()),
    ("POST", CHAT, chat(more={EMAIL: 1, f"x{EMAIL}": 2}), {}, Act()),
    ("POST", CHAT, chat(more={"stream": True}), {}, Act(breaks=700)),
    ("POST", CHAT, chat(), {}, Act(status=500)),
    ("POST", CHAT, chat(), {}, Act(raw=b'{"' + PERSONAL.encode(), content_type="text/json")),
    ("POST", CHAT, chat(), {}, Act(gzip=True, raw=PERSONAL.encode(), content_type="image/png")),
    ("POST", CHAT, b"x" * 30_000, {}, Act()),
    ("POST", CHAT, chat(), {"content-type": f"text/x; charset={SECRET}"}, Act()),
    ("POST", CHAT, chat(), {"x-guardrail-purpose": EMAIL}, Act()),
    ("POST", CHAT, chat(), {f"x-guardrail-{SECRET}": "1"}, Act()),
    ("POST", CHAT, chat(), {"x-guardrail-conversation": IBAN}, Act()),
    ("POST", CHAT, chat(), {"x-guardrail-purpose": "social-scoring"}, Act()),
    ("POST", CHAT, chat(), {"authorization": f"Bearer {KEY}"}, Act()),
    ("POST", "/chat", json.dumps({"question": PERSONAL}).encode(), {}, Act()),
    ("POST", "/chat", json.dumps({"question": PERSONAL, "x": {}}).encode(), {}, Act(status=500)),
    ("POST", "/stream/sse", json.dumps({"question": PERSONAL}).encode(), {}, Act()),
    ("POST", "/fail", json.dumps({"question": PERSONAL}).encode(), {}, Act()),
    ("POST", "/fail-midway", json.dumps({"question": PERSONAL}).encode(), {}, Act()),
    ("GET", "/ask" + QUERY.replace("?q", "?question"), b"", {}, Act()),
]


def test_nothing_personal_is_logged_or_kept(
    house: tuple[str, str, Model], folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gateway, middleware, model = house
    for logger in ("", "uvicorn.error", "uvicorn.asgi"):
        caplog.set_level(logging.DEBUG, logger=logger)
    for url, requests in ((gateway, [TOO_SLOW, *REQUESTS]), (middleware, REQUESTS)):
        for method, path, body, headers, act in requests:
            model.act = act
            exchange(url, method, path, body, headers)
    assert eventually(lambda: recorded(folder / "audit.db")[-1].kind == "egress.outcome")
    formatter = logging.Formatter()
    # The access log is the server's own: it shows what the client put into the address.
    lines = [
        f"{formatter.format(record)} {record.args!r}"
        for record in caplog.records
        if record.name != "uvicorn.access"
    ]
    assert len(recorded(folder / "audit.db")) > len(REQUESTS)
    assert [line for line in lines if holds(line.encode())] == []
    assert [file.name for file in folder.iterdir() if holds(file.read_bytes())] == []
    assert {"httpx", "uvicorn.error"} <= {record.name for record in caplog.records}


@pytest.mark.parametrize("number", range(len(REQUESTS)))
@pytest.mark.parametrize("door", [0, 1], ids=["gateway", "middleware"])
def test_no_answer_tells_what_the_user_did_not_say_and_no_refusal_quotes_what_he_said(
    house: tuple[str, str, Model], number: int, door: int
) -> None:
    method, path, body, headers, act = REQUESTS[number]
    gateway, middleware, model = house
    model.act = act
    answer = exchange((gateway, middleware)[door], method, path, body, headers)
    _status, _, rest = answer.partition(b"\n")
    names, _, content = rest.partition(b"\n")
    assert not holds(names)
    assert not holds(content, (CARD, SECRET))
    if b"x-guardrail-code" in names:
        assert not holds(content)


def holds(data: bytes, values: tuple[str, ...] = VALUES) -> list[str]:
    return [
        value
        for value in values
        if any(form in data for form in (*forms(value), quote(value).encode()))
    ]
