from __future__ import annotations

import json

import pytest

from guardrail.protocols.errors import render_error, render_stream_error


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
    content_type, body = render_error(
        style,
        status=403,
        code="policy_violation",
        message="no",
        exchange="x-1",
        policies=policies,
    )
    assert expected == (content_type, json.loads(body))


@pytest.mark.parametrize("status", [400, 403, 413, 415, 422, 429, 502, 503, 504])
@pytest.mark.parametrize("style", ["openai", "problem"])
def test_every_status_can_be_rendered(style: str, status: int) -> None:
    _, body = render_error(style, status=status, code="c", message="m", exchange="e")
    assert b'"code": "c"' in body


@pytest.mark.parametrize("style", ["openai", "problem"])
def test_the_end_of_a_stream_is_one_line_of_json(style: str) -> None:
    data = render_stream_error(style, code="policy_violation", message="no", exchange="x-1")
    assert b"\n" not in data
    assert "policy_violation" in json.dumps(json.loads(data))


def test_an_unknown_style_is_an_error() -> None:
    with pytest.raises(KeyError):
        render_error("nonsense", status=400, code="c", message="m", exchange="e")
