"""Many users at the same time: each gets its own values back, and nobody else's."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from apps import support_app
from servers import Act, Model, leaked, serve, settings

from guardrail.asgi.gateway import Gateway
from guardrail.asgi.middleware import Guardrail
from guardrail.config import build, load_config
from guardrail.transport import AsyncGuardrailTransport


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """The addresses of one deployment's doors, and a client that goes through the third."""

    urls: dict[str, str]
    inside: httpx.AsyncBaseTransport
    model: Model


@pytest.fixture(scope="module")
def doors(folder: Path) -> Iterator[Doors]:
    model = Model()
    model.act = Act(cut=400)
    with ExitStack() as stack:
        upstream = stack.enter_context(serve(model))
        built = build(load_config(settings(folder, upstream)))
        stack.callback(built.close)
        urls = {
            "gateway": stack.enter_context(serve(Gateway(built))),
            "middleware": stack.enter_context(serve(Guardrail(support_app(upstream), built))),
            "transport": upstream,
        }
        yield Doors(urls=urls, inside=AsyncGuardrailTransport(built), model=model)


ISSUE = re.compile(rb"rger #(\d{1,4})!")


def text_of(number: int) -> str:
    return f"I am person{number}@example.com, call +49 30 9018{number:04d}, Ärger #{number}!"


def more_of(number: int) -> str:
    return f"again person{number}@example.com, and x{number}@example.com"


async def say(http: httpx.AsyncClient, text: str, *, streamed: bool, conversation: str = "") -> str:
    headers = {"x-guardrail-conversation": conversation} if conversation else {}
    body: dict[str, Any] = {
        "model": "gpt-4o",
        "stream": streamed,
        "messages": [{"role": "user", "content": text}],
    }
    answer = await http.post("/v1/chat/completions", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    if not streamed:
        content: str = answer.json()["choices"][0]["message"]["content"]
        return content
    events = [json.loads(x[6:]) for x in answer.text.splitlines() if x.startswith("data: {")]
    return "".join(c["delta"].get("content") or "" for e in events for c in e["choices"])


def client(doors: Doors, door: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=doors.urls[door],
        timeout=60,
        trust_env=False,
        transport=doors.inside if door == "transport" else None,
        limits=httpx.Limits(max_connections=200),
    )


@pytest.mark.parametrize(
    ("door", "count"),
    [
        pytest.param("gateway", 200, id="gateway"),
        pytest.param("middleware", 200, id="middleware"),
        pytest.param("transport", 60, id="transport"),
        pytest.param("gateway", 1000, id="gateway-long", marks=pytest.mark.slow),
        pytest.param("middleware", 1000, id="middleware-long", marks=pytest.mark.slow),
    ],
)
async def test_concurrent_users_get_exactly_their_own_values(
    doors: Doors, door: str, count: int
) -> None:
    doors.model.seen.clear()
    said: dict[int, str] = {}
    at_once = anyio.CapacityLimiter(200)
    async with client(doors, door) as http, anyio.create_task_group() as group:

        async def one(number: int) -> None:
            async with at_once:
                said[number] = await say(http, text_of(number), streamed=number % 2 == 0)

        for number in range(count):
            group.start_soon(one, number)
    assert said == {number: text_of(number) for number in range(count)}
    bodies = [seen.body for seen in doors.model.seen if seen.body]
    numbers = Counter(int(match[1]) for body in bodies if (match := ISSUE.search(body)))
    assert set(numbers) == set(range(count))
    assert {number: times for number, times in numbers.items() if times != 1} == {}
    assert not any(b"@example.com" in body for body in bodies)


@pytest.mark.parametrize("door", ["gateway", "middleware"])
async def test_conversations_of_one_app_share_nothing(doors: Doors, door: str) -> None:
    """Each conversation speaks twice; the second turn asks for the first one's placeholder."""
    said: dict[int, list[str]] = {}
    async with client(doors, door) as http, anyio.create_task_group() as group:

        async def one(number: int) -> None:
            conversation = f"{door}-conversation-{number}"
            texts = [
                text_of(number),
                f"again person{number}@example.com, and x{number}@example.com",
            ]
            said[number] = [
                await say(http, text, streamed=turn == number % 2, conversation=conversation)
                for turn, text in enumerate(texts)
            ]

        for number in range(40):
            group.start_soon(one, number)
    assert said == {number: [text_of(number), more_of(number)] for number in range(40)}


async def test_an_old_placeholder_means_nothing_in_another_conversation(doors: Doors) -> None:
    async with client(doors, "gateway") as http:
        await say(http, text_of(1), streamed=False, conversation="conversation-a")
        doors.model.act = Act(say="was it [EMAIL_1], EMAIL_1 or [PHONE_1]?")
        for conversation in ("", "conversation-b"):
            said = await say(http, "hello", streamed=True, conversation=conversation)
            assert said == "was it [EMAIL_1], EMAIL_1 or [PHONE_1]?"
        said = await say(http, "hello", streamed=True, conversation="conversation-a")
        doors.model.act = Act(cut=400)
    assert "person1@example.com" in said
    assert leaked(said.encode(), ("person2@example.com",)) == []
