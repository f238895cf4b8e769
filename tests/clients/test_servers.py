"""The middleware under other servers, and around apps of other frameworks."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import httpx
import openai
import pytest
from fastapi import FastAPI, Request
from servers import SDK_HTTP, free_port, leaked, serve, user
from starlette.types import ASGIApp

from clients.doors import BACK, PROHIBITED, REFUSED, SECRETS, TEXT, wanted
from clients.stand_in import StandIn
from guardrail.asgi.middleware import Guardrail
from guardrail.config import Built

pytestmark = pytest.mark.slow

Complete = Callable[[str], Awaitable[str]]
"""What asks the model a question."""


def reachable(port: int) -> str:
    """The address of a server, once it listens."""
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            threading.Event().wait(0.05)
        else:
            return f"http://127.0.0.1:{port}"
    raise AssertionError("nobody listens")


Waiting = Callable[[], Awaitable[None]]
"""What returns once a server has to stop."""

Serving = Callable[[ASGIApp, int, Waiting], Awaitable[None]]


async def hypercorn(app: ASGIApp, port: int, until_over: Waiting) -> None:
    """Serves an app with Hypercorn."""
    config = wanted("hypercorn.config").Config()
    config.bind = [f"127.0.0.1:{port}"]
    await wanted("hypercorn.asyncio").serve(app, config, shutdown_trigger=until_over)


async def granian(app: ASGIApp, port: int, until_over: Waiting) -> None:
    """Serves an app with Granian."""
    interface = wanted("granian.constants").Interfaces.ASGI
    server = wanted("granian.server.embed").Server(
        app, address="127.0.0.1", port=port, interface=interface, log_enabled=False
    )
    async with anyio.create_task_group() as group:
        group.start_soon(server.serve)
        await until_over()
        server.stop()


SERVERS = {"hypercorn": hypercorn, "granian": granian}


@contextmanager
def served_by(name: str, app: ASGIApp) -> Iterator[str]:
    """Gives the address under which a server serves an app on a thread of its own."""
    wanted(name)
    port, over = free_port(), threading.Event()

    async def until_over() -> None:
        await anyio.to_thread.run_sync(over.wait, abandon_on_cancel=True)

    thread = threading.Thread(
        target=anyio.run, args=(SERVERS[name], app, port, until_over), daemon=True
    )
    thread.start()
    try:
        yield reachable(port)
    finally:
        over.set()
        thread.join(20)
        assert not thread.is_alive()


@pytest.mark.parametrize("server", SERVERS)
def test_server(server: str, stand_in: tuple[StandIn, str], built: Built) -> None:
    model, _ = stand_in
    model.reset()
    with (
        served_by(server, Guardrail(model.app, built)) as url,
        SDK_HTTP.Client(trust_env=False) as http,
        openai.OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0, http_client=http) as client,
    ):
        answer = client.chat.completions.create(model="gpt-4o", messages=user(TEXT))
        stream = client.chat.completions.create(model="gpt-4o", messages=user(TEXT), stream=True)
        streamed = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
        with pytest.raises(openai.PermissionDeniedError, match=REFUSED):
            client.chat.completions.create(
                model="gpt-4o", messages=user(TEXT), extra_headers=PROHIBITED
            )
    assert (answer.choices[0].message.content, streamed) == (BACK, BACK)
    assert len(model.seen) == 2
    assert leaked(model.received, SECRETS) == []


# ── frameworks ───────────────────────────────────────────────────────────────────────────────────


def fastapi_app(complete: Complete) -> ASGIApp:
    app = FastAPI()

    @app.post("/ask")
    async def ask(request: Request) -> dict[str, str]:
        return {"answer": await complete((await request.json())["question"])}

    return app


def litestar_app(complete: Complete) -> ASGIApp:
    litestar = wanted("litestar")

    async def ask(request: Any) -> dict[str, str]:
        return {"answer": await complete((await request.json())["question"])}

    ask.__annotations__["request"] = litestar.Request
    app: ASGIApp = litestar.Litestar([litestar.post("/ask")(ask)])
    return app


def quart_app(complete: Complete) -> ASGIApp:
    quart = wanted("quart")
    app = quart.Quart("asking")

    async def ask() -> dict[str, str]:
        return {"answer": await complete((await quart.request.get_json())["question"])}

    app.add_url_rule("/ask", view_func=ask, methods=["POST"])
    asgi: ASGIApp = app
    return asgi


def django_app(complete: Complete) -> ASGIApp:
    settings = wanted("django.conf").settings
    if not settings.configured:
        settings.configure(ROOT_URLCONF=(), ALLOWED_HOSTS=["*"], SECRET_KEY="k", MIDDLEWARE=[])
        wanted("django").setup()
    http = wanted("django.http")

    async def ask(request: Any) -> Any:
        return http.JsonResponse({"answer": await complete(json.loads(request.body)["question"])})

    settings.ROOT_URLCONF = (wanted("django.urls").path("ask", ask),)
    app: ASGIApp = wanted("django.core.asgi").get_asgi_application()
    return app


FRAMEWORKS = {
    "fastapi": fastapi_app,
    "litestar": litestar_app,
    "quart": quart_app,
    "django": django_app,
}


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_framework(framework: str, stand_in: tuple[StandIn, str], built: Built) -> None:
    model, upstream = stand_in
    model.reset()

    async def complete(question: str) -> str:
        async with httpx.AsyncClient(trust_env=False) as http:
            asked = {"model": "gpt-4o", "messages": user(question)}
            answer = await http.post(f"{upstream}/v1/chat/completions", json=asked)
        said: str = answer.json()["choices"][0]["message"]["content"]
        return said

    app = Guardrail(FRAMEWORKS[framework](complete), built)
    with serve(app) as url, httpx.Client(trust_env=False) as http:
        answer = http.post(f"{url}/ask", json={"question": TEXT})
        refused = http.post(f"{url}/ask", json={"question": TEXT}, headers=PROHIBITED)
    assert answer.json() == {"answer": BACK}
    assert (refused.status_code, len(model.seen)) == (403, 1)
    assert leaked(model.received, SECRETS) == []
