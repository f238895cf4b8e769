"""Every place of a request where text can hide, by protocol, and how four peers fared there."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import quote

from leaks_world import chat

PEERS = ("LiteLLM presidio", "LiteLLM content filter", "LLM-Shield-Proxy", "PrivAiTe light")

PATHS: Mapping[str, str] = MappingProxyType(
    {
        "chat": "/v1/chat/completions",
        "completions": "/v1/completions",
        "embeddings": "/v1/embeddings",
        "responses": "/v1/responses",
        "messages": "/v1/messages",
        "speech": "/v1/audio/speech",
        "images": "/v1/images/generations",
        "batches": "/v1/batches",
        "other": "/v1/anything",
    }
)
"""Where each protocol is spoken."""

Body = Callable[[str], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """One place of one protocol; `body` puts a text there.

    `peers` says what became of it at each of `PEERS`: `ok`, `LEAK`, or a refusal in words; nothing
    where they were not measured.
    """

    protocol: str
    name: str
    body: Body
    peers: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """What tests and reports call it."""
        return f"{self.protocol}: {self.name}"

    @property
    def path(self) -> str:
        """Where its body is posted."""
        return PATHS[self.protocol]


def message(**fields: object) -> dict[str, object]:
    """A chat whose second message has these fields."""
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}, fields]}


def call(**function: object) -> dict[str, object]:
    """A chat whose second message calls a tool."""
    called = {"id": "call_1", "type": "function", "function": {"name": "look_up", **function}}
    return message(role="assistant", content=None, tool_calls=[called])


def _tool(**function: object) -> dict[str, object]:
    return chat("hello", tools=[{"type": "function", "function": {"name": "f", **function}}])


def _formatted(**schema: object) -> dict[str, object]:
    format_ = {"type": "json_schema", "json_schema": {"name": "n", **schema}}
    return chat("hello", response_format=format_)


def _completion(prompt: object, **fields: object) -> dict[str, object]:
    return {"model": "gpt-4o", "prompt": prompt, **fields}


def _responses(input_: object, **fields: object) -> dict[str, object]:
    return {"model": "gpt-4o", "input": input_, **fields}


def _speech(**fields: object) -> dict[str, object]:
    return {"model": "gpt-4o", "input": "hello", "voice": "alloy", **fields}


def _item(**fields: object) -> dict[str, object]:
    return _responses([{"role": "user", "content": "hello"}, fields])


def _messages(content: object, **fields: object) -> dict[str, object]:
    spoken = [{"role": "user", "content": content}]
    return {"model": "gpt-4o", "max_tokens": 64, "messages": spoken, **fields}


def _block(role: str, **block: object) -> dict[str, object]:
    return _messages("hello", messages=[{"role": role, "content": [block]}])


def _note(text: str) -> str:
    return json.dumps({"note": text})


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _wide(text: str) -> str:
    """Letters, digits and signs in their full-width forms."""
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


def _invisible(text: str) -> str:
    """A zero-width space after every character that is no blank."""
    return "".join(c if c == " " else c + "\u200b" for c in text)


_FINE = "ok ok ok ok"
_UNSEEN = "LEAK LEAK ok ok"
_UNSEEN_BUT_HELD = "LEAK LEAK ok refused"
_ALL = "LEAK LEAK LEAK LEAK"

_ROWS: Mapping[str, Mapping[str, tuple[Body, str]]] = {
    # protocol: name: (body, what the peers do: LiteLLM presidio, its filter, Shield, PrivAiTe)
    "chat": {
        "user": (chat, _FINE),
        "system": (lambda t: message(role="system", content=t), _FINE),
        "assistant": (lambda t: message(role="assistant", content=t), _FINE),
        "text part": (lambda t: chat([{"type": "text", "text": t}]), _FINE),
        "tool result": (
            lambda t: message(role="tool", tool_call_id="call_1", content=t),
            _FINE,
        ),
        "tool result, parts": (
            lambda t: message(
                role="tool", tool_call_id="call_1", content=[{"type": "text", "text": t}]
            ),
            _FINE,
        ),
        "tool result, JSON": (
            lambda t: message(role="tool", tool_call_id="call_1", content=_note(t)),
            _FINE,
        ),
        "tool arguments": (lambda t: call(arguments=_note(t)), "LEAK ok ok ok"),
        "function_call arguments": (
            lambda t: message(role="assistant", function_call={"name": "f", "arguments": _note(t)}),
            _UNSEEN,
        ),
        "tool description and default": (
            lambda t: _tool(description=t, parameters={"properties": {"a": {"default": t}}}),
            "LEAK LEAK ok fails",
        ),
        "message name and user id": (
            lambda t: {**message(role="user", content="hello", name=t), "user": t},
            "LEAK LEAK ok LEAK",
        ),
        "prediction": (
            lambda t: chat("hello", prediction={"type": "content", "content": t}),
            _UNSEEN,
        ),
        "response_format schema": (
            lambda t: _formatted(schema={"description": t}),
            "LEAK LEAK ok LEAK",
        ),
        "image address": (
            lambda t: chat(
                [{"type": "image_url", "image_url": {"url": f"https://x.test/?q={quote(t)}"}}]
            ),
            _ALL,
        ),
        "base64 text file": (
            lambda t: chat(
                [
                    {
                        "type": "file",
                        "file": {
                            "filename": "note.txt",
                            "file_data": "data:text/plain;base64," + _encoded(t),
                        },
                    }
                ]
            ),
            _ALL,
        ),
        "full-width": (lambda t: chat(_wide(t)), "LEAK LEAK ok LEAK"),
        "zero-width": (lambda t: chat(_invisible(t)), _UNSEEN),
        "extra_body messages": (lambda t: chat("hello", extra_body=chat(t)), _UNSEEN_BUT_HELD),
        "extra_body field": (lambda t: chat("hello", extra_body={"x": t}), _UNSEEN_BUT_HELD),
        "unknown field": (lambda t: chat("hello", note=t), _UNSEEN_BUT_HELD),
        "stop": (lambda t: chat("hello", stop=["x", t]), "LEAK LEAK ok LEAK"),
        "reasoning": (
            lambda t: message(role="assistant", content="", reasoning_content=t),
            _UNSEEN,
        ),
        "guardrails switched off": (lambda t: chat(t, guardrails=[]), "ok ok ok refused"),
        "global guardrails switched off": (
            lambda t: chat(
                t,
                disable_global_guardrails=True,
                metadata={"disable_global_guardrails": True},
            ),
            "ok ok ok refused",
        ),
        "message name": (lambda t: message(role="user", content="hello", name=t), ""),
        "user id": (lambda t: chat("hello", user=t), ""),
        "tool description": (lambda t: _tool(description=t), ""),
        "schema default": (
            lambda t: _tool(parameters={"properties": {"a": {"default": t}}}),
            "",
        ),
        "developer": (lambda t: message(role="developer", content=t), ""),
        "unknown role": (lambda t: message(role="critic", content=t), ""),
        "unknown part": (lambda t: chat([{"type": "note", "note": {"body": t}}]), ""),
        "refusal": (lambda t: message(role="assistant", refusal=t), ""),
        "refusal part": (
            lambda t: message(role="assistant", content=[{"type": "refusal", "refusal": t}]),
            "",
        ),
        "tool arguments, list": (lambda t: call(arguments=json.dumps({"notes": [[t]]})), ""),
        "tool arguments, key": (lambda t: call(arguments=json.dumps({t: 1})), ""),
        "tool arguments, no JSON": (lambda t: call(arguments=t), ""),
        "tool arguments, cut": (lambda t: call(arguments=_note(t)[:-1]), ""),
        "custom tool input": (
            lambda t: message(
                role="assistant",
                tool_calls=[{"id": "c", "type": "custom", "custom": {"name": "n", "input": t}}],
            ),
            "",
        ),
        "schema description": (
            lambda t: _tool(parameters={"properties": {"a": {"description": t}}}),
            "",
        ),
        "schema enum": (lambda t: _tool(parameters={"properties": {"a": {"enum": ["x", t]}}}), ""),
        "schema property": (
            lambda t: _tool(parameters={"properties": {t: {"type": "string"}}}),
            "",
        ),
        "functions": (lambda t: chat("hello", functions=[{"name": "f", "description": t}]), ""),
        "response_format description": (lambda t: _formatted(description=t), ""),
        "prediction, parts": (
            lambda t: chat(
                "hello", prediction={"type": "content", "content": [{"type": "text", "text": t}]}
            ),
            "",
        ),
        "stop, one": (lambda t: chat("hello", stop=t), ""),
        "metadata value": (lambda t: chat("hello", metadata={"note": t}), ""),
        "metadata key": (lambda t: chat("hello", metadata={t: "x"}), ""),
        "user id, list": (lambda t: chat("hello", user=[t]), ""),
        "safety identifier": (lambda t: chat("hello", safety_identifier=t), ""),
        "cache key": (lambda t: chat("hello", prompt_cache_key=t), ""),
        "location": (
            lambda t: chat(
                "hello", web_search_options={"user_location": {"approximate": {"city": t}}}
            ),
            "",
        ),
        "logit bias": (lambda t: chat("hello", logit_bias={t: 1}), ""),
        "stream options": (lambda t: chat("hello", stream_options={"x": t}), ""),
        "seed": (lambda t: chat("hello", seed=t), ""),
        "tool choice": (lambda t: chat("hello", tool_choice={"type": "function", "x": t}), ""),
        "unknown object": (lambda t: chat("hello", extra={"deep": [{"er": t}]}), ""),
        "unknown key": (lambda t: {**chat("hello"), t: True}, ""),
        "file name": (
            lambda t: chat([{"type": "file", "file": {"filename": t, "file_data": "x"}}]),
            "",
        ),
        "prompt of another protocol": (lambda t: {"model": "gpt-4o", "prompt": [t]}, ""),
        "input of another protocol": (lambda t: {"model": "gpt-4o", "input": {"a": {"b": t}}}, ""),
        "system of another protocol": (
            lambda t: {"model": "gpt-4o", "system": t, "messages": []},
            "",
        ),
        "tool input of another protocol": (
            lambda t: message(
                role="assistant", content=[{"type": "tool_use", "name": "f", "input": {"note": t}}]
            ),
            "",
        ),
    },
    "completions": {
        "prompt": (_completion, _FINE),
        "prompt, list": (lambda t: _completion([t]), _FINE),
        "suffix": (lambda t: _completion("hello", suffix=t), ""),
        "user id": (lambda t: _completion("hello", user=t), ""),
        "stop": (lambda t: _completion("hello", stop=[t]), ""),
    },
    "embeddings": {
        "input": (_responses, _FINE),
        "input, list": (lambda t: _responses(["hello", t]), _FINE),
        "user id": (lambda t: _responses("hello", user=t), ""),
    },
    "responses": {
        "input": (_responses, _FINE),
        "input, list": (lambda t: _responses([{"role": "user", "content": t}]), _FINE),
        "input, parts": (
            lambda t: _responses(
                [{"role": "user", "content": [{"type": "input_text", "text": t}]}]
            ),
            _FINE,
        ),
        "instructions": (lambda t: _responses("hello", instructions=t), "ok ok ok LEAK"),
        "function_call arguments": (
            lambda t: _item(type="function_call", call_id="c", name="f", arguments=_note(t)),
            _UNSEEN,
        ),
        "function_call_output": (
            lambda t: _item(type="function_call_output", call_id="c", output=t),
            _UNSEEN,
        ),
        "function_call_output, JSON": (
            lambda t: _item(type="function_call_output", call_id="c", output=_note(t)),
            "",
        ),
        "output_text": (
            lambda t: _responses(
                [{"role": "assistant", "content": [{"type": "output_text", "text": t}]}]
            ),
            "",
        ),
        "reasoning summary": (
            lambda t: _item(type="reasoning", summary=[{"type": "summary_text", "text": t}]),
            "",
        ),
        "prompt variable": (
            lambda t: _responses("hello", prompt={"id": "p", "variables": {"who": t}}),
            "",
        ),
        "tool description": (
            lambda t: _responses(
                "hello", tools=[{"type": "function", "name": "f", "description": t}]
            ),
            "",
        ),
        "metadata value": (lambda t: _responses("hello", metadata={"note": t}), ""),
        "user id": (lambda t: _responses("hello", user=t), ""),
        "unknown item": (lambda t: _item(type="note", note={"body": t}), ""),
        "unknown field": (lambda t: _responses("hello", note=t), ""),
    },
    "messages": {
        "text": (_messages, _FINE),
        "text block": (lambda t: _block("user", type="text", text=t), _FINE),
        "tool_result": (
            lambda t: _block("user", type="tool_result", tool_use_id="c", content=t),
            _FINE,
        ),
        "tool_result, blocks": (
            lambda t: _block(
                "user",
                type="tool_result",
                tool_use_id="c",
                content=[{"type": "text", "text": t}],
            ),
            _FINE,
        ),
        "system": (lambda t: _messages("hello", system=t), "ok ok ok LEAK"),
        "system blocks": (
            lambda t: _messages("hello", system=[{"type": "text", "text": t}]),
            "",
        ),
        "tool_use input": (
            lambda t: _block("assistant", type="tool_use", id="c", name="f", input={"note": t}),
            "LEAK ok ok ok",
        ),
        "document, text": (
            lambda t: _block(
                "user",
                type="document",
                source={"type": "text", "media_type": "text/plain", "data": t},
            ),
            _UNSEEN,
        ),
        "document, base64": (
            lambda t: _block(
                "user",
                type="document",
                source={"type": "base64", "media_type": "text/plain", "data": _encoded(t)},
            ),
            "",
        ),
        "document, gzip": (
            lambda t: _block(
                "user",
                type="document",
                source={
                    "type": "base64",
                    "media_type": "text/plain",
                    "data": base64.b64encode(gzip.compress(t.encode(), mtime=0)).decode(),
                },
            ),
            "",
        ),
        "document, UTF-16": (
            lambda t: _block(
                "user",
                type="document",
                source={
                    "type": "base64",
                    "media_type": "text/plain",
                    "data": base64.b64encode(("\ufeff" + t).encode("utf-16-le")).decode(),
                },
            ),
            "",
        ),
        "document title": (
            lambda t: _block(
                "user",
                type="document",
                title=t,
                source={"type": "text", "media_type": "text/plain", "data": "hello"},
            ),
            "",
        ),
        "thinking": (
            lambda t: _block("assistant", type="thinking", thinking=t, signature="c2ln"),
            "",
        ),
        "tool description": (
            lambda t: _messages(
                "hello", tools=[{"name": "f", "description": t, "input_schema": {}}]
            ),
            "",
        ),
        "stop sequence": (lambda t: _messages("hello", stop_sequences=[t]), ""),
        "user id": (lambda t: _messages("hello", metadata={"user_id": t}), ""),
        "unknown block": (lambda t: _block("user", type="note", note={"body": t}), ""),
        "unknown field": (lambda t: _messages("hello", note=t), ""),
    },
    "speech": {
        "input": (lambda t: _speech(input=t), ""),
        "instructions": (lambda t: _speech(instructions=t), ""),
        "voice": (lambda t: _speech(voice=t), ""),
    },
    "images": {
        "prompt": (_completion, ""),
        "user id": (lambda t: _completion("hello", user=t), ""),
        "text in base64 for a size": (lambda t: _completion("hello", size=_encoded(t)), ""),
        "unknown field": (lambda t: _completion("hello", note=t), ""),
    },
    "batches": {
        "metadata value": (lambda t: {"model": "gpt-4o", "metadata": {"note": t}}, ""),
        "metadata key": (lambda t: {"model": "gpt-4o", "metadata": {t: "x"}}, ""),
        "file id": (lambda t: {"model": "gpt-4o", "input_file_id": t}, ""),
    },
    "other": {
        "text in a list": (lambda t: [t], ""),
        "text alone": (lambda t: t, ""),
        "nested": (lambda t: {"model": "gpt-4o", "a": {"b": [{"c": t}]}}, ""),
        "key": (lambda t: {"model": "gpt-4o", t: 1}, ""),
    },
}

POSITIONS: Mapping[str, Position] = MappingProxyType(
    {
        position.id: position
        for position in (
            Position(protocol=protocol, name=name, body=body, peers=tuple(peers.split()))
            for protocol, rows in _ROWS.items()
            for name, (body, peers) in rows.items()
        )
    }
)
"""By id, in the order in which they are reported."""
