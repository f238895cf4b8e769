"""The Model Context Protocol's client and server, with guardrail between them."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import httpx2
import pytest
from pydantic import Field
from servers import leaked, serve, settings
from starlette.types import ASGIApp, Receive, Scope, Send

from clients.conftest import DOORS
from clients.doors import BACK, PROHIBITED, REFUSED, SECRETS, TEXT, TOOL, wanted
from guardrail.asgi.middleware import Guardrail
from guardrail.config import Built, build, load_config
from guardrail.transport import transports

pytestmark = pytest.mark.slow


@dataclass(slots=True, kw_only=True)
class Mail:
    """A server with one tool. `told` is what the tool was told, `headers` those of requests."""

    app: ASGIApp
    told: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    @property
    def received(self) -> bytes:
        """All that reached it."""
        return "\n".join([*self.told, *self.mirrored, repr(self.headers)]).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.headers.append({k.decode(): v.decode() for k, v in scope["headers"]})
        await self.app(scope, receive, send)

    @property
    def mirrored(self) -> list[str]:
        """What the headers say that repeat an argument."""
        found = (headers.get("mcp-param-text", "") for headers in self.headers)
        return [b64decode(text[9:-2]).decode() for text in found if text.startswith("=?base64?")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How a client reaches the server."""

    mail: Mail
    url: str
    options: dict[str, Any]

    @asynccontextmanager
    async def client(self, **headers: str) -> Any:
        """A connected client."""
        streamable = wanted("mcp.client.streamable_http").streamable_http_client
        options = {"trust_env": False, "timeout": 20, "headers": headers, **self.options}
        async with httpx2.AsyncClient(**options) as http:
            transport = streamable(f"{self.url}/mcp", http_client=http)
            async with wanted("mcp").Client(transport) as client:
                yield client


def mail(*, json: bool) -> Mail:
    """The server, that answers in JSON or in events."""
    server = wanted("mcp.server").MCPServer("mail")
    mail = Mail(app=server.streamable_http_app(json_response=json))

    def send_mail(text: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Text"})]) -> str:
        """Sends a mail."""
        mail.told.append(text)
        return f"sent: {text}"

    server.add_tool(send_mail, name=TOOL)
    return mail


@pytest.fixture(params=[False, True], ids=["events", "json"])
def json(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(params=DOORS)
def way(request: pytest.FixtureRequest, json: bool, tmp_path: Path) -> Iterator[Way]:
    server = mail(json=json)
    with ExitStack() as closing:

        def guard(url: str) -> Built:
            config = settings(tmp_path, url, output={"restore_tools": [TOOL]})
            config["endpoints"]["cloud"]["url"] = url
            built = build(load_config(config))
            closing.callback(built.close)
            return built

        if request.param == "middleware":
            app = Guardrail(server, guard("http://127.0.0.1:1"))
            yield Way(mail=server, url=closing.enter_context(serve(app)), options={})
        else:
            url = closing.enter_context(serve(server))
            guarded = transports(httpx2)[1](guard(url))
            yield Way(mail=server, url=url, options={"transport": guarded})


async def test_tool(way: Way) -> None:
    async with way.client() as client:
        tools = await client.list_tools()
        answer = await client.call_tool(TOOL, {"text": TEXT})
    assert [tool.name for tool in tools.tools] == [TOOL]
    assert answer.content[0].text == f"sent: {BACK}"
    assert "[EMAIL_1]" in way.mail.told[0]
    assert way.mail.mirrored == way.mail.told
    assert leaked(way.mail.received, SECRETS) == []


async def test_refused(way: Way) -> None:
    refused = wanted("mcp").MCPError
    message = pytest.RaisesExc(refused, match=REFUSED)
    with pytest.RaisesGroup(message, flatten_subgroups=True):
        async with way.client(**PROHIBITED):
            pass
    assert way.mail.headers == []
