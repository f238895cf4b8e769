"""A protocol's own fields hide nothing, be it in place of a signature or behind a model's name."""

from __future__ import annotations

from typing import Any

import pytest
from leaks_world import ask

MAIL = "alice@example.com"
CHAT_OF_ALICE = {"model": "gpt-4o", "messages": [{"role": "user", "content": MAIL}]}
IMAGE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"


def message(**block: Any) -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": [block]}]}


@pytest.mark.parametrize(
    ("value", "path", "body"),
    [
        pytest.param(
            "4111-1111-1111-1111",
            "/v1/messages",
            message(
                type="thinking",
                thinking="x",
                signature="card-4111-1111-1111-1111-name-Erika-Mustermann-tel-4930901820-end-of-it",
            ),
            id="words in place of a signature",
        ),
        pytest.param(
            "4111111111111111",
            "/v1/messages",
            message(type="thinking", thinking="x", signature=4111111111111111),
            id="a number in place of a signature",
        ),
        pytest.param(
            "15339",
            "/v1/completions",
            {"model": "gpt-4o", "prompt": [15339, 1917, 1]},
            id="a prompt of few token ids",
        ),
        pytest.param(
            MAIL,
            "/v1beta/models/llama3:generateContent",
            {"model": "gpt-4o", "contents": [{"parts": [{"text": MAIL}]}]},
            id="another model in the body than in the address",
        ),
        pytest.param(
            MAIL,
            "/v1beta/models/gpt-4o:generateContent",
            {"contents": [{"parts": [{"text": MAIL}, {"inlineData": {"data": IMAGE}}]}]},
            id="a model in the address that cannot be changed",
        ),
        pytest.param(
            MAIL,
            "/v1/messages/batches",
            {"": "llama3", "requests": [{"params": CHAT_OF_ALICE}]},
            id="a key without a name",
        ),
        pytest.param(
            "4420040004000402",
            "/v1/chat/completions",
            message(type="image_url", image_url={"url": "4420040004000402"}),
            id="a number in place of a link",
        ),
        pytest.param(
            "Schneider",
            "/mcp",
            {
                "jsonrpc": "2.0",
                "method": "x",
                "model": "gpt-4o",
                "params": {"uri": "Angela Schneider called yesterday about her mother"},
            },
            id="prose in place of a link",
        ),
        pytest.param(
            IMAGE,
            "/mcp",
            {
                "jsonrpc": "2.0",
                "method": "x",
                "model": "gpt-4o",
                "params": {"uri": f"data:image/png;base64,{IMAGE}"},
            },
            id="a picture in place of a link",
        ),
    ],
)
def test_a_field_of_a_protocol_hides_nothing(value: str, path: str, body: object) -> None:
    assert not ask(body, path=path).left(value)


def test_a_model_named_in_the_query_carries_no_batch_along() -> None:
    body = {"requests": [{"params": CHAT_OF_ALICE}]}
    assert not ask(body, path="/v1/messages/batches", query=b"model=llama3").left(MAIL)


def test_thinking_with_placeholders_is_given_back() -> None:
    text = "The user [PERSON_1] asks about the weather, so I should look it up first."
    thinking = message(type="thinking", thinking=text, signature="aB9/xyzQ" * 12)
    seen = ask(thinking, path="/v1/messages")
    assert seen.status == 200
    assert seen.reached(text)
