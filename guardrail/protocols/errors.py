"""A refusal in the caller's own protocol.

Source: OpenAI error objects, https://platform.openai.com/docs/guides/error-codes; problem details,
RFC 9457.
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
    extra = {"policies": list(policies)} if policies else {}
    return {
        "error": {
            "message": message,
            "type": "guardrail_error",
            "param": None,
            "code": code,
            "exchange": exchange,
            **extra,
        }
    }


def _problem(
    status: int, code: str, message: str, exchange: str, policies: Sequence[str]
) -> Mapping[str, object]:
    extra = {"policies": list(policies)} if policies else {}
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": message,
        "code": code,
        "exchange": exchange,
        **extra,
    }


_STYLES: Mapping[str, tuple[str, Shape]] = MappingProxyType(
    {
        "openai": ("application/json", _openai),
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


def render_stream_error(style: str, *, code: str, message: str, exchange: str) -> bytes:
    """Gives the data of the event that ends a stream that has already begun."""
    _, body = render_error(style, status=403, code=code, message=message, exchange=exchange)
    return body
