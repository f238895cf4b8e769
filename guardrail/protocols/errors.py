"""A refusal in the caller's own protocol.

Source: OpenAI, https://platform.openai.com/docs/guides/error-codes; Anthropic,
https://docs.anthropic.com/en/api/errors; AWS,
https://docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html; Google, https://cloud.google.com/apis/design/errors;
JSON-RPC 2.0, section 5.1; problem details, RFC 9457.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType

from guardrail.protocols.eventstream import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a refusal tells: ids and reasons. `request` is the id that a JSON-RPC request bears."""

    status: int
    code: str
    message: str
    exchange: str
    policies: Sequence[str] = ()
    request: str | int | None = None

    @property
    def listed(self) -> Mapping[str, object]:
        """The policies that decided, where some did."""
        return {"policies": list(self.policies)} if self.policies else {}


Shape = Callable[[Told], Mapping[str, object]]


def _openai(told: Told) -> Mapping[str, object]:
    return {
        "error": {
            "message": told.message,
            "type": "guardrail_error",
            "param": None,
            "code": told.code,
            "exchange": told.exchange,
            **told.listed,
        }
    }


def _problem(told: Told) -> Mapping[str, object]:
    return {
        "type": "about:blank",
        "title": HTTPStatus(told.status).phrase,
        "status": told.status,
        "detail": told.message,
        "code": told.code,
        "exchange": told.exchange,
        **told.listed,
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


def _anthropic(told: Told) -> Mapping[str, object]:
    kind = _ANTHROPIC.get(
        told.status, "invalid_request_error" if told.status < 500 else "api_error"
    )
    return {
        "type": "error",
        "error": {"type": kind, "message": told.message, "code": told.code, **told.listed},
        "request_id": told.exchange,
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


def _google(told: Told) -> Mapping[str, object]:
    detail = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": told.code.upper(),
        "domain": "guardrail",
        "metadata": {
            "exchange": told.exchange,
            **({"policies": ", ".join(told.policies)} if told.policies else {}),
        },
    }
    word = _GOOGLE.get(told.status, "INVALID_ARGUMENT" if told.status < 500 else "INTERNAL")
    return {
        "error": {"code": told.status, "message": told.message, "status": word, "details": [detail]}
    }


def _plain(told: Told) -> Mapping[str, object]:
    """Ollama's `{"error": …}`, with ids beside it."""
    return {"error": told.message, "code": told.code, "exchange": told.exchange, **told.listed}


def _message(told: Told) -> Mapping[str, object]:
    """Cohere's `{"message": …}`, with ids beside it."""
    return {"message": told.message, "code": told.code, "id": told.exchange, **told.listed}


def _jsonrpc(told: Told) -> Mapping[str, object]:
    data = {"code": told.code, "exchange": told.exchange, **told.listed}
    return {
        "jsonrpc": "2.0",
        "id": told.request,
        "error": {"code": -32000, "message": told.message, "data": data},
    }


_AWS = MappingProxyType(
    {
        403: "AccessDeniedException",
        404: "ResourceNotFoundException",
        408: "ModelTimeoutException",
        429: "ThrottlingException",
        502: "ModelErrorException",
        503: "ServiceUnavailableException",
        504: "ModelTimeoutException",
    }
)


def _aws(told: Told) -> Mapping[str, object]:
    """AWS' `{"message": …}`, with ids beside it; what kind of error it is says a header."""
    return {
        "message": told.message,
        "code": told.code,
        "exchange": told.exchange,
        **told.listed,
    }


def error_headers(style: str, told: Told) -> tuple[tuple[bytes, bytes], ...]:
    """Gives the headers by which the clients of a style know an error."""
    if style != "aws":
        return ()
    kind = _AWS.get(
        told.status, "ValidationException" if told.status < 500 else "ModelErrorException"
    )
    return ((b"x-amzn-errortype", kind.encode()), (b"x-amzn-requestid", told.exchange.encode()))


_STYLES: Mapping[str, tuple[str, Shape]] = MappingProxyType(
    {
        "openai": ("application/json", _openai),
        "responses": ("application/json", _openai),
        "realtime": ("application/json", _openai),
        "anthropic": ("application/json", _anthropic),
        "google": ("application/json", _google),
        "ollama": ("application/json", _plain),
        "cohere": ("application/json", _message),
        "aws": ("application/json", _aws),
        "jsonrpc": ("application/json", _jsonrpc),
        "problem": ("application/problem+json", _problem),
    }
)


def render_error(style: str, told: Told) -> tuple[str, bytes]:
    """Gives content type and body of a refusal; ids only, never what was refused."""
    content_type, shape = _STYLES[style]
    return content_type, json.dumps(shape(told)).encode()


def render_stream_error(style: str, told: Told) -> tuple[str | None, bytes]:
    """Gives the name and data of the event that ends a stream that has already begun."""
    name, shape = _EVENTS.get(style, (None, _STYLES[style][1]))
    return name, json.dumps(shape(told)).encode()


def render_message_error(style: str, told: Told) -> Message:
    """Gives the binary message that ends a stream of such messages."""
    content_type, payload = render_error(style, told)
    kind = "modelStreamErrorException" if told.status >= 500 else "validationException"
    headers = (
        (":exception-type", kind),
        (":content-type", content_type),
        (":message-type", "exception"),
    )
    return Message(headers=headers, payload=payload)


def render_frame_error(style: str, told: Told) -> bytes:
    """Gives the event by which a frame of a WebSocket is refused."""
    return json.dumps(_FRAMES.get(style, _realtime)(told)).encode()


def _realtime(told: Told) -> Mapping[str, object]:
    error = {
        "type": "invalid_request_error" if told.status < 500 else "server_error",
        "code": told.code,
        "message": told.message,
        "param": None,
        "event_id": told.request,
        **told.listed,
    }
    return {"type": "error", "event_id": f"event_{told.exchange}", "error": error}


def _responses_frame(told: Told) -> Mapping[str, object]:
    kind = "invalid_request_error" if told.status < 500 else "server_error"
    error = {"type": kind, "code": told.code, "message": told.message, "param": None}
    return {"type": "error", "status": told.status, "error": {**error, **told.listed}}


_FRAMES: Mapping[str, Shape] = MappingProxyType({"responses": _responses_frame})
"""Shape of the event that refuses a frame, where it is not that of OpenAI Realtime."""


def _responses_event(told: Told) -> Mapping[str, object]:
    return {"type": "error", "code": told.code, "message": told.message, "param": None}


def _cohere_event(told: Told) -> Mapping[str, object]:
    """Cohere has no event for errors: a message ends with one."""
    delta = {"error": told.message, "finish_reason": "ERROR"}
    return {"type": "message-end", "id": told.exchange, "delta": delta, "code": told.code}


_EVENTS: Mapping[str, tuple[str, Shape]] = MappingProxyType(
    {
        "responses": ("error", _responses_event),
        "anthropic": ("error", _anthropic),
        "cohere": ("message-end", _cohere_event),
    }
)
"""Name and shape of the event of an error, where it is not the bare body of one."""
