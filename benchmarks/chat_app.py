"""The app that is measured: an OpenAI-style chat endpoint with a stand-in for the model.

The model `gpt-fast` answers at once. `gpt-paced` takes 50 ms for its first token and 5 ms for each
further one, which is quicker than most models are.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

FIRST_TOKEN_S, NEXT_TOKEN_S = 0.050, 0.005
_TOKEN = 4  # characters


class Message(BaseModel):
    """One turn of a chat."""

    role: str
    content: str


class ChatRequest(BaseModel):
    """What a chat client posts."""

    model: str
    messages: list[Message]
    stream: bool = False


app = FastAPI(openapi_url=None)


@app.post("/v1/chat/completions", response_model=None)
async def chat(request: ChatRequest) -> Response | dict[str, Any]:
    """Answers as the API of OpenAI does, whole or as a stream of events."""
    text = answer(request.messages[-1].content)
    paced = request.model == "gpt-paced"
    if request.stream:
        return StreamingResponse(events(text, paced=paced), media_type="text/event-stream")
    message = {"role": "assistant", "content": text}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1795132800,
        "model": request.model,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
    }


def answer(prompt: str) -> str:
    """What the stand-in says, 100 events long; as models like to do, it repeats the prompt."""
    return (
        "Thank you for the details. If I understand you correctly, this is what it is about: "
        f"{prompt[:168]} … I would suggest to start with the most urgent point, to agree on who "
        "takes care of it, and to write a short summary to everybody who is involved."
    )


async def events(text: str, *, paced: bool) -> AsyncIterator[str]:
    """Gives the answer as server-sent events."""
    if paced:
        await asyncio.sleep(FIRST_TOKEN_S)
    yield _event({"role": "assistant", "content": ""}, None)
    for start in range(0, len(text), _TOKEN):
        yield _event({"content": text[start : start + _TOKEN]}, None)
        if paced:
            await asyncio.sleep(NEXT_TOKEN_S)
    yield _event({}, "stop")
    yield "data: [DONE]\n\n"


def _event(delta: dict[str, str], finish: str | None) -> str:
    chunk = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1795132800,
        "model": "gpt",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    return f"data: {json.dumps(chunk)}\n\n"
