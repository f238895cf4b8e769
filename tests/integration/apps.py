"""The application that the middleware is put around: its own routes, in its own formats."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlencode

import anyio
import httpx
from fastapi import FastAPI, Request
from starlette.background import BackgroundTask
from starlette.responses import (
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)


class AppFailed(Exception):
    """What the application's own code raises."""


def support_app(upstream: str) -> FastAPI:
    """An application that talks to the model at `upstream`. `app.state.log` tells what it did."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.log.append("started")
        async with httpx.AsyncClient(base_url=upstream, trust_env=False, timeout=20) as client:
            app.state.model = client
            yield
        app.state.log.append("stopped")

    app = FastAPI(lifespan=lifespan)
    app.state.log = []

    async def complete(text: str) -> str:
        asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}
        answer = await app.state.model.post("/v1/chat/completions", json=asked)
        said: str = answer.json()["choices"][0]["message"]["content"]
        return said

    @app.post("/v1/chat/completions")
    async def forward(request: Request) -> Response:
        outgoing = app.state.model.build_request(
            "POST",
            "/v1/chat/completions",
            content=await request.body(),
            headers={"content-type": "application/json"},
        )
        answer = await app.state.model.send(outgoing, stream=True)

        async def body() -> AsyncIterator[bytes]:
            try:
                async for chunk in answer.aiter_raw():
                    yield chunk
            finally:
                app.state.log.append("left")
                with anyio.CancelScope(shield=True):
                    await answer.aclose()

        kept = ("content-type", "content-encoding")
        headers = {k: v for k, v in answer.headers.items() if k in kept}
        return StreamingResponse(body(), status_code=answer.status_code, headers=headers)

    @app.post("/chat")
    async def chat(request: Request) -> dict[str, str]:
        return {"answer": await complete((await request.json())["question"])}

    @app.get("/ask")
    async def ask(question: str) -> dict[str, str]:
        return {"answer": await complete(question)}

    @app.get("/ask/{question}")
    async def ask_by_path(question: str) -> dict[str, str]:
        return {"answer": await complete(question)}

    @app.post("/form")
    async def form(request: Request) -> Response:
        fields = parse_qs((await request.body()).decode())
        answer = urlencode({"answer": await complete(fields["question"][0])})
        return Response(answer, media_type="application/x-www-form-urlencoded")

    @app.post("/text")
    async def text(request: Request) -> Response:
        return PlainTextResponse(await complete((await request.body()).decode()))

    @app.post("/stream/{form}")
    async def stream(form: str, request: Request) -> Response:
        said = await complete((await request.json())["question"])
        pieces = [said[i : i + 3] for i in range(0, len(said), 3)]

        async def body() -> AsyncIterator[str]:
            for piece in pieces:
                yield {
                    "sse": f"event: token\ndata: {json.dumps({'token': piece})}\n\n",
                    "words": f"data: {piece}\n\n",
                    "ndjson": json.dumps({"token": piece}) + "\n",
                    "text": piece,
                }[form]

        media = {"ndjson": "application/x-ndjson", "text": "text/plain"}
        return StreamingResponse(body(), media_type=media.get(form, "text/event-stream"))

    @app.post("/keep")
    async def keep(request: Request) -> dict[str, int]:
        app.state.log.append(await request.body())
        return {"kept": 1}

    @app.post("/plain/echo")
    async def echo(request: Request) -> Response:
        return Response(await request.body(), media_type="application/octet-stream")

    @app.get("/scope")
    async def scope(request: Request) -> dict[str, Any]:
        return {
            "extensions": sorted(request.scope.get("extensions") or {}),
            "headers": sorted({name.decode() for name, _ in request.scope["headers"]}),
        }

    @app.api_route("/empty", methods=["GET", "HEAD", "POST"])
    async def empty() -> Response:
        return Response(status_code=204)

    @app.api_route("/page", methods=["GET", "HEAD"])
    async def page() -> Response:
        return PlainTextResponse("a page")

    @app.get("/away")
    async def away() -> Response:
        return RedirectResponse("/page")

    @app.post("/later")
    async def later() -> Response:
        done = BackgroundTask(app.state.log.append, "background")
        return JSONResponse({"ok": True}, background=done)

    @app.post("/fail")
    async def fail() -> Response:
        raise AppFailed("the application's own error")

    @app.post("/fail-midway")
    async def fail_midway() -> Response:
        async def body() -> AsyncIterator[str]:
            yield "half an answer "
            raise AppFailed("midway")

        return StreamingResponse(body(), media_type="text/plain")

    return app
