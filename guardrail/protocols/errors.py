"""A refusal in the caller's own protocol.

Source: OpenAI, https://platform.openai.com/docs/guides/error-codes; Anthropic,
https://docs.anthropic.com/en/api/errors; Google, https://cloud.google.com/apis/design/errors;
JSON-RPC 2.0, section 5.1; problem details, RFC 9457.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType

Shape = Callable[[int, str, str, str, Sequence[str]], Mapping[str, object]]


def _openai(
    status: int, code: str, message: str, exchange: str, policies: Sequence[str]
) -> Mapping[str, object]:
    return {
        "error": {
            "message": message,
            "type": "guardrail_error",
            "param": None,
            "code": code,
            "exchange": exchange,
            **_listed(policies),
        }
    }


def _problem(
    status: int, code: str, message: str, exchange: str, policies: Sequence[str]
) -> Mapping[str, object]:
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": message,
        "code": code,
        "exchange": exchange,
        **_listed(policies),
    }


_ANTHROPIC = MappingProxyType(
    {
        400: "invalid_request_error",
        401: "authentication_error",
        403: "permission_error",
        404: "not_found_error",
        413: "request_too_large",
        429: "rate_limit_error",
    }
)


def _anthropic(
    status: int, code: str, message: str, exchange: str, policies: Sequence[str]
) -> Mapping[str, object]:
    kind = _ANTHROPIC.get(status, "invalid_request_error" if status < 500 else "api_error")
    return {
        "type": "error",
        "error": {"type": kind, "message": message, "code": code, **_listed(policies)},
        "request_id": exchange,
    }


_GOOGLE = MappingProxyType(
    {
        401: "UNAUTHENTICATED",
        403: "PERMISSION_DENIED",
        404: "NOT_FOUND",
        429: "RESOURCE_EXHAUSTED",
        503: "UNAVAILABLE",
        504: "DEADLINE_EXCEEDED",
    }
)


def _google(
    status: int, code: str, message: str, exchange: str, policies: Sequence[str]
) -> Mapping[str, object]:
    detail = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": code.upper(),
        "domain": "guardrail",
        "metadata": {
            "exchange": exchange,
            **({"policies": ", ".join(policies)} if policies else {}),
        },
    }
    word = _GOOGLE.get(status, "INVALID_ARGUMENT" if status < 500 else "INTERNAL")
    return {"error": {"code": status, "message": message, "status": word, "details": [detail]}}


def _plain(
    status: int, code: str, message: str, exchange: str, policies: Sequence[str]
) -> Mapping[str, object]:
    """Ollama's `{"error": …}`, with ids beside it."""
    return {"error": message, "code": code, "exchange": exchange, **_listed(policies)}


def _message(
    status: int, code: str, message: str, exchange: str, policies: Sequence[str]
) -> Mapping[str, object]:
    """Cohere's `{"message": …}`, with ids beside it."""
    return {"message": message, "code": code, "id": exchange, **_listed(policies)}


def _jsonrpc(
    status: int, code: str, message: str, exchange: str, policies: Sequence[str]
) -> Mapping[str, object]:
    data = {"code": code, "exchange": exchange, **_listed(policies)}
    return {
        "jsonrpc": "2.0",
        "id": None,
        "error": {"code": -32000, "message": message, "data": data},
    }


def _listed(policies: Sequence[str]) -> Mapping[str, object]:
    return {"policies": list(policies)} if policies else {}


_STYLES: Mapping[str, tuple[str, Shape]] = MappingProxyType(
    {
        "openai": ("application/json", _openai),
        "responses": ("application/json", _openai),
        "anthropic": ("application/json", _anthropic),
        "google": ("application/json", _google),
        "ollama": ("application/json", _plain),
        "cohere": ("application/json", _message),
        "jsonrpc": ("application/json", _jsonrpc),
        "problem": ("application/problem+json", _problem),
    }
)


def render_error(
    style: str,
    *,
    status: int,
    code: str,
    message: str,
    exchange: str,
    policies: Sequence[str] = (),
) -> tuple[str, bytes]:
    """Gives content type and body of a refusal; ids only, never what was refused."""
    content_type, shape = _STYLES[style]
    return content_type, json.dumps(shape(status, code, message, exchange, policies)).encode()


def render_stream_error(
    style: str, *, code: str, message: str, exchange: str
) -> tuple[str | None, bytes]:
    """Gives the name and data of the event that ends a stream that has already begun."""
    name = _EVENTS.get(style)
    if style == "responses":
        said = {"type": name, "code": code, "message": message, "param": None}
        return name, json.dumps(said).encode()
    _, body = render_error(style, status=403, code=code, message=message, exchange=exchange)
    return name, body


_EVENTS: Mapping[str, str] = MappingProxyType({"responses": "error", "anthropic": "error"})
"""What the event of an error is called, where events have names."""
