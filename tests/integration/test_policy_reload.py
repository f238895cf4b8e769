"""Policies are edited while two processes serve: nothing fails, and all agree within seconds."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import httpx
import pytest
from servers import free_port

from guardrail.audit.stores.sqlite import SqliteStore
from guardrail.config import build, load_config

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
EDITS, BROKEN, RATE, WORKERS = 50, 10, 200, 2
WITHIN_S = 5.0
APP = """
from pathlib import Path
from fastapi import FastAPI, Request
from guardrail.asgi.middleware import Guardrail
import os

inner = FastAPI()

@inner.post("/v1/chat/completions")
async def chat(request: Request):
    said = (await request.json())["messages"][-1]["content"]
    return {"choices": [{"index": 0, "message": {"role": "assistant", "content": said}}]}

guarded = Guardrail(inner, Path(__file__).with_name("guardrail.toml"))

async def app(scope, receive, send):
    if scope["type"] == "http" and scope["path"] == "/digest":
        now = guarded._built.live.now
        body = f"{os.getpid()} {now.stable.guard.policies.digest} {len(now.problems)}".encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
    else:
        await guarded(scope, receive, send)
"""
CONFIG = """
[apps.crm]
establishment = "DE"
origin = "DE"
basis = "contract"

[endpoints.paris]
provider = "p"
location = "FR"
agreements = ["DPA"]
models = ["gpt-*"]

[endpoints.local]
provider = "own"
location = "DE"
local = true
models = ["llama*"]
model = "llama3"

[detection]
names = []

[policies]
directory = "policies"
reload_s = 0.1

[regions]
directory = "regions"

[audit]
path = "audit.db"

[middleware]
app = "crm"
"""
RULE = """@id("acme.{number}") @title("t")
forbid (principal, action == Action::"sendClear", resource)
when {{ context.category == Category::"contact" }};
"""


@dataclass
class Seen:
    """What came of the requests."""

    statuses: Counter[int] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for name in ("policies", "regions"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("tests"))
    (tmp_path / "guardrail.toml").write_text(CONFIG)
    (tmp_path / "served.py").write_text(APP)
    return tmp_path


@pytest.fixture
def port(home: Path) -> Iterator[int]:
    number = free_port()
    command = [sys.executable, "-m", "uvicorn", "served:app", "--port", str(number)]
    # A connection that is closed for idleness just when it is used again is no failure of ours.
    command += ["--workers", str(WORKERS), "--log-level", "warning", "--timeout-keep-alive", "99"]
    environment = {**os.environ, "PYTHONPATH": f"{home}:{ROOT}", "OPENBLAS_NUM_THREADS": "1"}
    server = subprocess.Popen(command, cwd=home, env=environment, start_new_session=True)
    try:
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            try:
                httpx.get(f"http://127.0.0.1:{number}/digest", timeout=2)
                break
            except httpx.HTTPError:
                time.sleep(0.3)
        yield number
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def expected(home: Path) -> str:
    """The digest that sound policies on the disk have."""
    built = build(load_config(home / "guardrail.toml"))
    built.close()
    return built.deployment.guard.policies.digest


async def digests(client: httpx.AsyncClient) -> dict[str, tuple[str, int]]:
    """What each process has in force; asked until every process has answered."""
    found: dict[str, tuple[str, int]] = {}
    for _ in range(200):
        answer = await client.get("/digest", headers={"connection": "close"})
        pid, digest, problems = answer.text.split()
        found[pid] = digest, int(problems)
        if len(found) == WORKERS:
            return found
    return found


async def ask(client: httpx.AsyncClient, seen: Seen) -> None:
    body = {"model": "gpt-x", "messages": [{"role": "user", "content": "mail bob@example.com"}]}
    answer = await client.post("/v1/chat/completions", json=body)
    seen.statuses[answer.status_code] += 1
    if answer.status_code == 200:
        seen.answers[answer.json()["choices"][0]["message"]["content"]] += 1


async def load(client: httpx.AsyncClient, seen: Seen, done: anyio.Event) -> None:
    """Requests at a steady rate, whether or not the ones before have been answered."""
    begun, sent = time.monotonic(), 0
    async with anyio.create_task_group() as group:
        while not done.is_set():
            answered = sum(seen.statuses.values())
            while sent < (time.monotonic() - begun) * RATE and sent - answered < 400:
                group.start_soon(ask, client, seen)
                sent += 1
            await anyio.sleep(0.01)


async def edit(home: Path) -> None:
    """Edits one after another, of which some are broken."""
    for number in range(EDITS):
        broken = number % (EDITS // BROKEN) == 2
        text = RULE.format(number=number)
        (home / "policies" / "acme.cedar").write_text("forbid oops" if broken else text)
        await anyio.sleep(1.5)


async def run(home: Path, port: int) -> tuple[Seen, list[str]]:
    seen, done, notes = Seen(), anyio.Event(), []
    limits = httpx.Limits(max_connections=64)
    url = f"http://127.0.0.1:{port}"
    begun = time.monotonic()
    async with (
        httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as client,
        httpx.AsyncClient(base_url=url, timeout=60) as asker,
        anyio.create_task_group() as group,
    ):
        group.start_soon(load, client, seen, done)
        await edit(home)
        await anyio.sleep(WITHIN_S)
        good = {digest for digest, _ in (await digests(asker)).values()}
        (home / "policies" / "acme.cedar").write_text("forbid oops")
        await anyio.sleep(WITHIN_S)
        kept = await digests(asker)
        assert set(kept.values()) == {(*good, 1)}
        (home / "policies" / "acme.cedar").write_text(RULE.format(number=99))
        written = time.monotonic()
        while not _agree(agreed := set((await digests(asker)).values()), good):
            assert time.monotonic() - written < WITHIN_S, agreed
            await anyio.sleep(0.1)
        notes.append(f"all processes agree {time.monotonic() - written:.1f} s after an edit")
        done.set()
    assert agreed == {(expected(home), 0)}
    requests = sum(seen.statuses.values())
    notes.append(f"{requests} requests, {requests / (time.monotonic() - begun):.0f} a second")
    return seen, notes


def _agree(found: set[tuple[str, int]], before: set[str]) -> bool:
    """Whether every process has one new set of policies in force, and nothing against it."""
    return len(found) == 1 and all(d not in before and not problems for d, problems in found)


def test_nothing_fails_while_policies_change(home: Path, port: int) -> None:
    seen, notes = anyio.run(run, home, port)
    assert set(seen.statuses) == {200}
    # Before the first edit the address went in clear, and then as a placeholder that was restored.
    assert set(seen.answers) == {"mail bob@example.com"}
    with closing(SqliteStore(home / "audit.db")) as store:
        events = [event for _, event in store.read(limit=10**6) if event.kind == "egress.decision"]
    marks: dict[str, set[frozenset[str]]] = defaultdict(set)
    for event in events:
        own = frozenset(one for one in event.policies if one.startswith("acme."))
        marks[event.policy_digest].add(own)
    assert all(len(found) == 1 for found in marks.values()), "a decision of two sets of policies"
    sound = EDITS - BROKEN
    assert len(marks) > sound // 2, "most sound edits were in force for a while"
    print(*notes, f"{len(marks)} sets of policies decided {len(events)} requests", sep="\n")
