"""One model that speaks the protocols of five providers, and repeats what it was told.

It answers a request that declares tools with a call of the first one, until it is given a result.
What it was told stands in the text of the answer and in the arguments of the call; streamed in
deltas of one to four characters, in bytes that are cut anywhere.
"""

from __future__ import annotations

import base64
import json
import random
import struct
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from servers import Act, Seen, dump, stream_of, whole
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

SIGNATURE = base64.b64encode(random.Random(1).randbytes(300)).decode()
"""What a provider signs a thought with: it must come back as it was."""

VECTOR = (0.25, -0.5, 0.125)
"""What every text is embedded as."""

Json = Mapping[str, Any]
Answer = bytes | dict[str, Any]
"""The bytes of a stream, or a whole answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A request, the last text of its user, and the tool to call ("": none)."""

    asked: Json
    text: str
    tool: str

    @property
    def arguments(self) -> dict[str, str]:
        """What the tool is called with."""
        return {"text": self.text}

    @property
    def model(self) -> str:
        """The model that was asked."""
        return str(self.asked.get("model", "m"))


class BrokenOff(Exception):
    """The model breaks off its answer."""


class StandIn:
    """The model. `seen` are the requests that reached it; `breaks` says that it does not end its
    streams, but breaks them off half-way.
    """

    def __init__(self) -> None:
        self.reset()
        speakers: Mapping[str, Callable[[Told, Request], Answer]] = {
            "/v1/chat/completions": _chat,
            "/v1/responses": _responses,
            "/v1/embeddings": _embeddings,
            "/v1/messages": _messages,
            "/{version}/models/{model}:{call}": _gemini,
            "/api/chat": _ollama,
            "/v2/chat": _cohere,
        }
        self.app = Starlette(
            routes=[
                Route(path, self._endpoint(speak), methods=["POST"])
                for path, speak in speakers.items()
            ]
        )

    def reset(self) -> None:
        """Makes it as good as new."""
        self.seen: list[Seen] = []
        self.breaks = False

    @property
    def received(self) -> bytes:
        """All bytes of all requests."""
        return b"\n".join(seen.everything for seen in self.seen)

    def _endpoint(self, speak: Callable[[Told, Request], Answer]) -> Any:
        async def answer(request: Request) -> Response:
            body = await request.body()
            self.seen.append(
                Seen(
                    method=request.method,
                    path=request.scope["path"],
                    query=request.scope["query_string"],
                    headers=dict(request.headers),
                    body=body,
                )
            )
            said = speak(_told(json.loads(body)), request)
            if isinstance(said, dict):
                return JSONResponse(said)
            lines = request.scope["path"] == "/api/chat"
            return StreamingResponse(
                _cut(said, breaks=self.breaks),
                media_type="application/x-ndjson" if lines else "text/event-stream",
            )

        return answer


# ── reading and framing ──────────────────────────────────────────────────────────────────────────


def _told(asked: Json) -> Told:
    turns = asked.get("messages") or asked.get("contents") or asked.get("input") or ()
    if isinstance(turns, str):
        turns = [{"role": "user", "content": turns}]
    turns = [turn if isinstance(turn, dict) else {"content": turn} for turn in turns]
    said = [
        _text(turn.get("content") or turn.get("parts"))
        for turn in turns
        if turn.get("role", "user") == "user"
    ]
    answered = turns[-1].get("role", "") not in ("", "user") or not _text(
        turns[-1].get("content") or turns[-1].get("parts")
    )
    tools = "" if answered else next(_tools(asked), "")
    return Told(asked=asked, text=next(filter(None, reversed(said)), ""), tool=tools)


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return " ".join(part["text"] for part in content or () if isinstance(part.get("text"), str))


def _tools(asked: Json) -> Iterator[str]:
    for tool in asked.get("tools") or ():
        for declared in tool.get("functionDeclarations") or (tool.get("function", tool),):
            yield declared["name"]


def _pieces(text: str) -> Iterator[str]:
    dice = random.Random(text)
    at = 0
    while at < len(text):
        step = dice.randint(1, 4)
        yield text[at : at + step]
        at += step


async def _cut(data: bytes, *, breaks: bool) -> AsyncIterator[bytes]:
    dice = random.Random(len(data))
    at, end = 0, len(data) // 2 if breaks else len(data)
    while at < end:
        step = dice.randint(1, 50)
        yield data[at : min(end, at + step)]
        at += step
    if breaks:
        raise BrokenOff


def _sse(events: Sequence[Json], *, named: bool = True) -> bytes:
    """A stream of events, each named by its type; or not named, and without a comment, as Google's
    SDK needs it.
    """
    out = b": hello\n\n" if named else b""
    for number, event in enumerate(events):
        end = b"\r\n" if number % 3 == 0 or not named else b"\n"
        if named:
            out += b"event: " + event["type"].encode() + end
        out += b"data: " + dump(event) + end + end
    return out


# ── OpenAI ───────────────────────────────────────────────────────────────────────────────────────


def _chat(told: Told, request: Request) -> Answer:
    act = Act(tool=told.tool, arguments=json.dumps(told.arguments, ensure_ascii=False))
    if told.asked.get("stream"):
        return stream_of(told.asked, told.text, act)
    return whole(told.asked, told.text, act)


def _responses(told: Told, request: Request) -> Answer:
    arguments = json.dumps(told.arguments, ensure_ascii=False)
    part = {"type": "output_text", "annotations": [], "logprobs": []}
    item: dict[str, Any] = {"id": "item_1", "status": "completed"}
    if told.tool:
        item |= {"type": "function_call", "call_id": "call_1", "name": told.tool}
        begun, done = {**item, "arguments": ""}, {**item, "arguments": arguments}
        where = {"item_id": "item_1", "output_index": 0}
        inner = [
            {"type": "response.function_call_arguments.delta", "delta": piece, **where}
            for piece in _pieces(arguments)
        ]
        end = {"arguments": arguments, "name": told.tool}
        inner.append({"type": "response.function_call_arguments.done", **end, **where})
    else:
        item |= {"type": "message", "role": "assistant"}
        begun, done = (
            {**item, "content": []},
            {**item, "content": [{**part, "text": told.text}]},
        )
        where = {"item_id": "item_1", "output_index": 0, "content_index": 0}
        begun_part, done_part = {**part, "text": ""}, {**part, "text": told.text}
        inner = [
            {"type": "response.content_part.added", "part": begun_part, **where},
            *(
                {"type": "response.output_text.delta", "delta": piece, "logprobs": [], **where}
                for piece in _pieces(told.text)
            ),
            {"type": "response.output_text.done", "text": told.text, "logprobs": [], **where},
            {"type": "response.content_part.done", "part": done_part, **where},
        ]
    answer = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": told.model,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": told.asked.get("tools", []),
        "metadata": {},
        "instructions": told.asked.get("instructions"),
    }
    usage = {
        "input_tokens": 1,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 1,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 2,
    }
    begun_answer = {**answer, "status": "in_progress", "output": []}
    done_answer = {**answer, "status": "completed", "output": [done], "usage": usage}
    if not told.asked.get("stream"):
        return done_answer
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun_answer},
        {"type": "response.output_item.added", "output_index": 0, "item": begun},
        *inner,
        {"type": "response.output_item.done", "output_index": 0, "item": done},
        {"type": "response.completed", "response": done_answer},
    ]
    return _sse([{"sequence_number": n, **e} for n, e in enumerate(events)])


def _embeddings(told: Told, request: Request) -> Answer:
    packed = base64.b64encode(struct.pack("<3f", *VECTOR)).decode()
    vector = packed if told.asked.get("encoding_format") == "base64" else list(VECTOR)
    texts = told.asked["input"]
    return {
        "object": "list",
        "model": told.model,
        "data": [
            {"object": "embedding", "index": index, "embedding": vector}
            for index in range(1 if isinstance(texts, str) else len(texts))
        ],
        "usage": {"prompt_tokens": 1, "total_tokens": 1},
    }


# ── Anthropic ────────────────────────────────────────────────────────────────────────────────────


def _messages(told: Told, request: Request) -> Answer:
    blocks: list[dict[str, Any]] = []
    if told.asked.get("thinking", {}).get("type") == "enabled":
        blocks.append({"type": "thinking", "thinking": told.text, "signature": SIGNATURE})
    blocks.append({"type": "text", "text": told.text})
    if told.tool:
        called = {"name": told.tool, "input": told.arguments}
        blocks.append({"type": "tool_use", "id": "toolu_1", **called})
    reason = "tool_use" if told.tool else "end_turn"
    usage = {"input_tokens": 1, "output_tokens": 1}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": told.model}
    if not told.asked.get("stream"):
        end = {"stop_reason": reason, "stop_sequence": None, "usage": usage}
        return {**message, "content": blocks, **end}
    opening: Json = {"content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**message, **opening}},
        {"type": "ping"},
    ]
    for index, block in enumerate(blocks):
        begun, deltas = _anthropic_deltas(block)
        events.append({"type": "content_block_start", "index": index, "content_block": begun})
        events += [{"type": "content_block_delta", "index": index, "delta": d} for d in deltas]
        events.append({"type": "content_block_stop", "index": index})
    closing = {"stop_reason": reason, "stop_sequence": None}
    events.append({"type": "message_delta", "delta": closing, "usage": {"output_tokens": 1}})
    events.append({"type": "message_stop"})
    return _sse(events)


def _anthropic_deltas(block: Json) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    if block["type"] == "tool_use":
        arguments = json.dumps(block["input"], ensure_ascii=False)
        deltas = [{"type": "input_json_delta", "partial_json": p} for p in _pieces(arguments)]
        return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": ""}, *deltas]
    if block["type"] == "thinking":
        deltas = [{"type": "thinking_delta", "thinking": p} for p in _pieces(block["thinking"])]
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
        return {"type": "thinking", "thinking": "", "signature": ""}, deltas
    deltas = [{"type": "text_delta", "text": p} for p in _pieces(block["text"])]
    return {"type": "text", "text": ""}, deltas


# ── Gemini, Ollama, Cohere ───────────────────────────────────────────────────────────────────────


def _gemini(told: Told, request: Request) -> Answer:
    call = {"functionCall": {"name": told.tool, "args": told.arguments}}
    calls = [call] if told.tool else []

    def answer(parts: Sequence[Json], **more: Any) -> dict[str, Any]:
        candidate = {"index": 0, "content": {"role": "model", "parts": list(parts)}, **more}
        return {"candidates": [candidate], "modelVersion": "m", "responseId": "r1"}

    usage = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
    if request.path_params["call"] == "generateContent":
        parts: list[Json] = [{"text": told.text}, *calls]
        return {**answer(parts, finishReason="STOP"), "usageMetadata": usage}
    events = [answer([{"text": piece}]) for piece in _pieces(told.text)]
    events += [answer(calls)] if calls else []
    signed = {"text": "", "thoughtSignature": SIGNATURE}
    events.append({**answer([signed], finishReason="STOP"), "usageMetadata": usage})
    return _sse(events, named=False)


def _ollama(told: Told, request: Request) -> Answer:
    head = {"model": told.model, "created_at": "2026-01-01T00:00:00.123456789Z"}
    end = {"done_reason": "stop", "total_duration": 4883583458, "eval_count": 2}
    calls = [{"function": {"name": told.tool, "arguments": told.arguments}}]

    def message(text: str, *, called: bool) -> dict[str, Any]:
        more = {"tool_calls": calls} if called else {}
        return {"role": "assistant", "content": text, **more}

    if not told.asked.get("stream", True):
        said = message(told.text, called=bool(told.tool))
        return {**head, "message": said, "done": True, **end}
    lines: list[dict[str, Any]] = [
        {**head, "message": message(piece, called=False), "done": False}
        for piece in _pieces(told.text)
    ]
    if told.tool:
        lines.append({**head, "message": message("", called=True), "done": False})
    lines.append({**head, "message": message("", called=False), "done": True, **end})
    return b"".join(dump(line) + b"\n" for line in lines)


def _cohere(told: Told, request: Request) -> Answer:
    arguments = json.dumps(told.arguments, ensure_ascii=False)
    call = {"id": "call_1", "type": "function"}
    usage = {"tokens": {"input_tokens": 1, "output_tokens": 1}}
    reason = "TOOL_CALL" if told.tool else "COMPLETE"
    if not told.asked.get("stream"):
        message: dict[str, Any] = {"role": "assistant"}
        if told.tool:
            function = {"name": told.tool, "arguments": arguments}
            message |= {"tool_plan": told.text, "tool_calls": [{**call, "function": function}]}
        else:
            message["content"] = [{"type": "text", "text": told.text}]
        return {"id": "c1", "finish_reason": reason, "message": message, "usage": usage}

    def event(kind: str, message: Json | None = None, **more: Any) -> dict[str, Any]:
        return {"type": kind, **({"delta": {"message": message}} if message else {}), **more}

    events = [event("message-start", {"role": "assistant", "content": []}, id="c1")]
    if told.tool:
        events += [event("tool-plan-delta", {"tool_plan": piece}) for piece in _pieces(told.text)]
        begun = {**call, "function": {"name": told.tool, "arguments": ""}}
        events.append(event("tool-call-start", {"tool_calls": begun}, index=0))
        events += [
            event("tool-call-delta", {"tool_calls": {"function": {"arguments": piece}}}, index=0)
            for piece in _pieces(arguments)
        ]
        events.append(event("tool-call-end", index=0))
    else:
        begun = {"type": "text", "text": ""}
        events.append(event("content-start", {"content": begun}, index=0))
        events += [
            event("content-delta", {"content": {"text": piece}}, index=0)
            for piece in _pieces(told.text)
        ]
        events.append(event("content-end", index=0))
    events.append({"type": "message-end", "delta": {"finish_reason": reason, "usage": usage}})
    return _sse(events)
