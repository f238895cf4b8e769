from __future__ import annotations

import json
from typing import Any

import pytest

from guardrail.protocols.errors import Told, render_error, render_stream_error


def told(status: int, code: str = "c", *, policies: list[str] | None = None) -> Told:
    long = code != "c"
    return Told(
        status=status,
        code=code,
        message="no" if long else "m",
        exchange="x-1" if long else "e",
        policies=policies or (),
        request=7,
    )


STYLES = [
    "openai", "responses", "anthropic", "google", "ollama", "cohere", "jsonrpc", "problem"
]  # fmt: skip


@pytest.mark.parametrize(
    ("expected", "style", "policies"),
    [
        (
            (
                "application/json",
                {
                    "error": {
                        "message": "no",
                        "type": "guardrail_error",
                        "param": None,
                        "code": "policy_violation",
                        "exchange": "x-1",
                        "policies": ["eu.health"],
                    }
                },
            ),
            "openai",
            ["eu.health"],
        ),
        (
            (
                "application/problem+json",
                {
                    "type": "about:blank",
                    "title": "Forbidden",
                    "status": 403,
                    "detail": "no",
                    "code": "policy_violation",
                    "exchange": "x-1",
                },
            ),
            "problem",
            [],
        ),
    ],
    ids=["openai", "problem"],
)
def test_a_refusal_speaks_the_callers_protocol(
    expected: tuple[str, object], style: str, policies: list[str]
) -> None:
    content_type, body = render_error(style, told(403, "policy_violation", policies=policies))
    assert expected == (content_type, json.loads(body))


@pytest.mark.parametrize("status", [400, 403, 413, 415, 422, 429, 502, 503, 504])
@pytest.mark.parametrize("style", STYLES)
def test_every_status_can_be_rendered(style: str, status: int) -> None:
    _, body = render_error(style, told(status))
    said = json.dumps(json.loads(body))
    assert '"c"' in said.lower()
    assert '"m"' in said
    assert '"e"' in said


@pytest.mark.parametrize("style", STYLES)
def test_the_end_of_a_stream_is_one_line_of_json(style: str) -> None:
    name, data = render_stream_error(style, told(403, "policy_violation"))
    assert b"\n" not in data
    assert "policy_violation" in json.dumps(json.loads(data)).lower()
    names = {"anthropic": "error", "responses": "error", "cohere": "message-end"}
    assert name == names.get(style)


def test_the_sdks_know_the_kind_of_a_refusal() -> None:
    def body(style: str, status: int) -> dict[str, Any]:
        _, raw = render_error(style, told(status))
        return dict(json.loads(raw))

    assert body("anthropic", 403)["error"]["type"] == "permission_error"
    assert body("anthropic", 422)["error"]["type"] == "invalid_request_error"
    assert body("anthropic", 503)["error"]["type"] == "api_error"
    assert body("google", 403)["error"]["status"] == "PERMISSION_DENIED"
    assert body("google", 400)["error"]["status"] == "INVALID_ARGUMENT"
    assert body("google", 502)["error"]["status"] == "INTERNAL"


def test_an_unknown_style_is_an_error() -> None:
    with pytest.raises(KeyError):
        render_error("nonsense", told(400))


def test_a_refusal_of_json_rpc_bears_the_id_of_its_request() -> None:
    _, body = render_error("jsonrpc", told(403))
    assert json.loads(body)["id"] == 7
