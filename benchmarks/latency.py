"""How much time guardrail adds to an app's answers, measured beside the same app without it.

Both apps run at once, each in a process of its own, and are asked in turn over real sockets with
the same requests, so that whatever else the machine does falls on both. Further parts of the run:
the same without sockets, what each step of an exchange takes, and Presidio's own analyzer on the
same texts. Nothing leaves the machine.

    python benchmarks/latency.py [--quick] [--json | --markdown] [--folder FOLDER]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import chat_app
import httpx
from analyzer import presidio_engine
from prompts import history, prompt
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from starlette.types import ASGIApp, Message, Scope

from guardrail.answers.events import EventAnswer
from guardrail.answers.whole import WholeAnswer
from guardrail.asgi.middleware import Guardrail
from guardrail.audit.event import event_id
from guardrail.config import Built, build, load_config
from guardrail.guard import build_filter, inspect, judge, shield
from guardrail.protocols.bodies import read_body
from guardrail.protocols.fields import leaves
from guardrail.protocols.maps import load_protocols
from guardrail.routing.routes import local_route, serving
from guardrail.spans import resolve
from guardrail.transform.vault import Vault
from guardrail.types import AuditEvent, Kind, RequestContext, TextUnit

PATH = "/v1/chat/completions"
SIZES = (300, 4000)
_HERE = Path(__file__).parent
_CONVERSATION_TURNS = 10

CONFIG = """
[apps.default]
establishment = "DE"
origin = "DE"
purpose = "support"
basis = "contract"
filings = ["TIA"]
trust_headers = true

[endpoints.local]
provider = "ollama"
location = "DE"
local = true
models = ["llama*"]
model = "llama3"

[endpoints.cloud]
url = "https://model.example/v1"
provider = "example"
location = "US"
agreements = ["DPA", "SCC"]
models = ["gpt-*"]

[audit]
path = "{name}.db"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """How often each thing is measured; what is measured first is thrown away."""

    warm_up: int
    whole: int
    fast_stream: int
    paced_stream: int
    in_process: int
    steps: int
    presidio: int


FULL = Runs(
    warm_up=20,
    whole=200,
    fast_stream=60,
    paced_stream=15,
    in_process=200,
    steps=100,
    presidio=40,
)
QUICK = Runs(warm_up=3, whole=10, fast_stream=4, paced_stream=2, in_process=10, steps=5, presidio=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The middle and the slow end of some durations, in milliseconds."""

    p50: float
    p95: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One thing measured without guardrail and with it; `ratio` is guarded to bare."""

    case: str
    characters: int
    what: str
    bare: Spread
    guarded: Spread
    added: Spread
    ratio: Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """How long one step of an exchange takes by itself."""

    step: str
    characters: int
    took: Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """What the project wants to stay within, and whether this run does."""

    aim: str
    limit: float
    measured: float
    met: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is sent to both apps. `conversation` is "" for one that stands alone."""

    body: bytes
    conversation: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """The headers besides those that tell the length and the host."""
        said = {"x-guardrail-conversation": self.conversation} if self.conversation else {}
        return {"content-type": "application/json", **said}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One kind of request: `request` gives the number-th of it."""

    name: str
    characters: int
    runs: int
    stream: bool
    request: Callable[[int], Request]


Durations = dict[str, list[float]]
"""What was timed → seconds, one for each run."""


# ── requests ─────────────────────────────────────────────────────────────────────────────────────


def cases(runs: Runs) -> list[Case]:
    """Gives every kind of request that goes over sockets."""
    return [
        Case(
            name=name,
            characters=characters,
            runs=count,
            stream=stream,
            request=partial(kind, characters, model, stream),
        )
        for name, kind, model, stream, count in (
            ("new text", _new_text, "gpt-fast", False, runs.whole),
            ("chat history", _history, "gpt-fast", False, runs.whole),
            ("stream, fast model", _new_text, "gpt-fast", True, runs.fast_stream),
            ("stream, paced model", _new_text, "gpt-paced", True, runs.paced_stream),
        )
        for characters in SIZES
    ]


def _new_text(characters: int, model: str, stream: bool, number: int) -> Request:
    text = prompt(characters, seed=f"{model}/{stream}/{characters}/{number}")
    return Request(body=_body(model, stream, [{"role": "user", "content": text}]))


def _history(characters: int, model: str, stream: bool, number: int) -> Request:
    """Nine tenths have been said before; a conversation goes on for ten requests."""
    new = characters // 10
    conversation = number // _CONVERSATION_TURNS
    earlier = history(characters - new, seed=f"history/{characters}/{conversation}")
    text = prompt(new, seed=f"{model}/{characters}/{number}")
    return Request(
        body=_body(model, stream, [*earlier, {"role": "user", "content": text}]),
        conversation=f"benchmark-{characters}-{conversation + 1:06d}",
    )


def _body(model: str, stream: bool, messages: list[dict[str, str]]) -> bytes:
    return json.dumps({"model": model, "messages": messages, "stream": stream}).encode()


# ── over sockets ─────────────────────────────────────────────────────────────────────────────────


@contextmanager
def serving_apps(folder: Path) -> Iterator[dict[str, str]]:
    """Serves the bare and the guarded app, each in a process of its own; gives their addresses."""
    config = folder / "served.toml"
    config.write_text(CONFIG.format(name="served"), "utf-8")
    addresses = {}
    with ExitStack() as running:
        for name, module in (("bare", "chat_app:app"), ("guarded", "guarded_app:app")):
            # Whoever connects before the app is up waits in the queue of this socket.
            listener = running.enter_context(socket.create_server(("127.0.0.1", 0)))
            process = subprocess.Popen(
                [sys.executable, str(_HERE / "serve.py"), module, str(listener.fileno())],
                pass_fds=[listener.fileno()],
                env={**os.environ, "BENCHMARK_CONFIG": str(config)},
            )
            running.callback(process.wait, timeout=20)
            running.callback(process.terminate)
            addresses[name] = f"http://127.0.0.1:{listener.getsockname()[1]}{PATH}"
        yield addresses


def ask(client: httpx.Client, address: str, request: Request, *, stream: bool) -> Durations:
    """Sends one request and gives how long it took to its marks, in seconds."""
    marks: Durations = {}
    start = time.perf_counter()
    events = 0
    with client.stream("POST", address, content=request.body, headers=request.headers) as response:
        for chunk in response.iter_raw():
            now = time.perf_counter() - start
            if stream and not marks:
                marks["first byte"] = [now]
            if stream and "first content" not in marks and _has_content(chunk):
                marks["first content"] = [now]
            events += chunk.count(b"data: {")
    whole = time.perf_counter() - start
    marks["whole answer"] = [whole]
    if stream:
        marks["each further token"] = [(whole - marks["first byte"][0]) / (events - 1)]
    if response.status_code != 200:
        raise RuntimeError(f"the app answered with status {response.status_code}")
    return marks


def _has_content(chunk: bytes) -> bool:
    return any(
        json.loads(event.removeprefix(b"data: "))["choices"][0]["delta"].get("content")
        for event in chunk.split(b"\n\n")
        if event.startswith(b"data: {")
    )


def compare_over_sockets(
    addresses: dict[str, str], runs: Runs, *, advance: Callable[[], None]
) -> list[Comparison]:
    """Asks both apps in turn with the same requests; who comes first changes each time."""
    found: list[Comparison] = []
    with httpx.Client(timeout=60, trust_env=False) as client:
        for case in cases(runs):
            taken: dict[str, Durations] = {"bare": {}, "guarded": {}}
            for number in range(-min(runs.warm_up, case.runs // 3), case.runs):
                request = case.request(number)
                for name in ("bare", "guarded") if number % 2 else ("guarded", "bare"):
                    marks = ask(client, addresses[name], request, stream=case.stream)
                    if number >= 0:
                        _add(taken[name], marks)
                advance()
            found += _compared(case.name, case.characters, taken)
    return found


def _add(durations: Durations, more: Durations) -> None:
    for name, values in more.items():
        durations.setdefault(name, []).extend(values)


def _compared(name: str, characters: int, taken: dict[str, Durations]) -> list[Comparison]:
    compared = []
    for what, bare_s in taken["bare"].items():
        bare, guarded = spread(bare_s), spread(taken["guarded"][what])
        compared.append(
            Comparison(
                case=name,
                characters=characters,
                what=what,
                bare=bare,
                guarded=guarded,
                added=Spread(
                    p50=round(guarded.p50 - bare.p50, 3), p95=round(guarded.p95 - bare.p95, 3)
                ),
                ratio=Spread(
                    p50=round(guarded.p50 / bare.p50, 3), p95=round(guarded.p95 / bare.p95, 3)
                ),
            )
        )
    return compared


def spread(seconds: Sequence[float]) -> Spread:
    """Gives the 50th and 95th percentile (nearest rank) in milliseconds."""
    ranked = sorted(seconds)
    at = [ranked[min(len(ranked) - 1, len(ranked) * rank // 100)] for rank in (50, 95)]
    return Spread(p50=round(at[0] * 1e3, 3), p95=round(at[1] * 1e3, 3))


# ── in this process ──────────────────────────────────────────────────────────────────────────────


async def compare_in_process(
    built: Built, runs: Runs, *, advance: Callable[[], None]
) -> list[Comparison]:
    """Calls both apps in this process, without sockets; besides the time that passes, CPU time."""
    apps: dict[str, ASGIApp] = {"bare": chat_app.app, "guarded": Guardrail(chat_app.app, built)}
    found: list[Comparison] = []
    for case in cases(runs)[:4]:
        taken: dict[str, Durations] = {"bare": {}, "guarded": {}}
        for number in range(-runs.warm_up, runs.in_process):
            request = case.request(number)
            for name in ("bare", "guarded") if number % 2 else ("guarded", "bare"):
                wall, cpu = time.perf_counter(), time.process_time()
                await _call(apps[name], request)
                wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
                if number >= 0:
                    _add(taken[name], {"whole answer": [wall], "CPU time": [cpu]})
            advance()
        found += _compared(case.name, case.characters, taken)
    return found


async def _call(app: ASGIApp, request: Request) -> None:
    headers = [(name.encode(), value.encode()) for name, value in request.headers.items()]
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": PATH,
        "raw_path": PATH.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [*headers, (b"content-length", str(len(request.body)).encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    status = []

    async def receive() -> Message:
        return {"type": "http.request", "body": request.body, "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            status.append(message["status"])

    await app(scope, receive, send)
    if status != [200]:
        raise RuntimeError(f"the app answered with status {status}")


async def time_steps(built: Built, runs: Runs, *, advance: Callable[[], None]) -> list[Step]:
    """Times each step of an exchange by itself, on new texts."""
    found = []
    for characters in SIZES:
        taken: Durations = {}
        for number in range(-min(runs.warm_up, 5), runs.steps):
            marks = await _steps(built, characters, number)
            if number >= 0:
                _add(taken, {name: [seconds] for name, seconds in marks.items()})
            advance()
        found += [
            Step(step=name, characters=characters, took=spread(seconds))
            for name, seconds in taken.items()
        ]
    return found


async def _steps(built: Built, characters: int, number: int) -> dict[str, float]:
    guard, routes = built.deployment.guard, built.deployment.routes
    protocol = load_protocols()["openai.chat"]
    local = local_route(routes)
    (cloud,) = serving(routes, "gpt-steps")
    at = datetime.now(UTC)
    app = built.apps["default"]
    context = RequestContext(
        exchange=event_id(at, os.urandom(10)),
        principal=app.principal,
        purpose=app.purpose,
        basis=app.basis,
        origin=app.origin,
        filings=app.filings,
        conversation="benchmark-steps",
        now=at,
    )
    vault = Vault()
    raw = _new_text(characters, "gpt-steps", False, number).body
    text: str = json.loads(raw)["messages"][0]["content"]
    marks: dict[str, float] = {}

    @contextmanager
    def timed(step: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        marks[step] = time.perf_counter() - start

    with timed("parse"):
        body = read_body(raw, content_type="application/json")
        tuple(leaves(body.payload, protocol.request))
    with timed("detect"):
        unit = TextUnit(pointer="/messages/0/content", text=text, kind=Kind.PROSE)
        guard.detector.find_all([unit], app="default")
    inspection = inspect(guard, [(body, protocol)], vault=vault, app="default")
    with timed("decide"):
        decision = judge(
            guard,
            context,
            inspection,
            endpoint=cloud.endpoint,
            local=local.endpoint if local else None,
        )
    with timed("shield"):
        (protected,) = shield(guard, inspection, decision, vault=vault)
    with timed("record durably"):
        await built.audit.record(
            AuditEvent(
                id=event_id(at, os.urandom(10)),
                kind="egress.decision",
                at=at,
                exchange=context.exchange,
                principal=app.principal.id,
                endpoint=cloud.endpoint.id,
                counts=inspection.counts,
                policies=decision.policies,
                policy_digest=decision.digest,
            )
        )
    answer = chat_app.answer(json.loads(protected)["messages"][0]["content"])
    message = {"choices": [{"index": 0, "message": {"role": "assistant", "content": answer}}]}
    with timed("filter: build"):
        outgoing = build_filter(guard, context, endpoint=cloud.endpoint, vault=vault)
    with timed("filter: whole answer"):
        whole = WholeAnswer(
            content_type="application/json",
            protocol=protocol,
            outgoing=outgoing,
            limit=built.deployment.limits.answer,
        )
        whole.feed(json.dumps(message).encode())
        whole.close()
    events = [event.encode() async for event in chat_app.events(answer, paced=False)]
    with timed("filter: streamed answer"):
        streamed = EventAnswer(protocol=protocol, outgoing=outgoing)
        for event in events:
            streamed.feed(event)
        streamed.close()
    marks["filter: each event"] = marks["filter: streamed answer"] / len(events)
    return marks


# ── Presidio ─────────────────────────────────────────────────────────────────────────────────────


def compare_detection(
    built: Built, runs: Runs, *, advance: Callable[[], None]
) -> list[dict[str, Any]]:
    """Detection alone, by guardrail and by Presidio, in turn on the same texts."""
    analyzer, detector = presidio_engine(), built.deployment.guard.detector
    found = []
    for characters in SIZES:
        ours, theirs = [], []
        for number in range(-2, runs.presidio):
            text = prompt(characters, seed=f"presidio/{characters}/{number}")
            start = time.perf_counter()
            unit = TextUnit(pointer="/content", text=text, kind=Kind.PROSE)
            resolve(*detector.find_all([unit], app="default"))
            middle = time.perf_counter()
            analyzer.analyze(text, language="en")
            end = time.perf_counter()
            if number >= 0:
                ours.append(middle - start)
                theirs.append(end - middle)
            advance()
        found.append(
            {
                "characters": characters,
                "guardrail": asdict(spread(ours)),
                "presidio": asdict(spread(theirs)),
            }
        )
    return found


# ── the machine ──────────────────────────────────────────────────────────────────────────────────


def describe_machine(folder: Path) -> dict[str, Any]:
    """Gives what the numbers depend on; the disk is measured, since each exchange waits for it."""
    commits = _commits(folder)
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "cpu": cpu(),
        "cores": os.cpu_count(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "versions": {
            name: version(name)
            for name in (
                *("guardrail-asgi", "starlette", "fastapi", "uvicorn", "httpx", "cedarpy", "regex"),
                *("presidio-analyzer", "spacy"),
            )
        },
        "load_before": round(os.getloadavg()[0], 2),
        "fsync_ms": asdict(spread(commits)),
        "fsyncs_per_s": round(len(commits) / sum(commits)),
    }


def _commits(folder: Path) -> list[float]:
    """Seconds that it takes to write one page and have it on the disk."""
    taken = []
    with (folder / "fsync").open("wb", buffering=0) as file:
        for _ in range(200):
            start = time.perf_counter()
            file.write(bytes(4096))
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - start)
            if sum(taken) > 1:
                break
    return taken


def cpu() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text("utf-8").splitlines() if cpuinfo.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


# ── the report ───────────────────────────────────────────────────────────────────────────────────


def aims(sockets: Sequence[Comparison]) -> list[Aim]:
    """Gives the project's aims beside what was measured over sockets."""
    found = []
    for characters, limit in zip(SIZES, (2.0, 6.0), strict=True):
        measured = _only(sockets, "new text", characters, "whole answer").added.p50
        aim = f"added to a request of {characters} characters, p50, ms"
        found.append(Aim(aim=aim, limit=limit, measured=measured, met=measured <= limit))
    for characters in SIZES:
        measured = _only(sockets, "stream, paced model", characters, "first byte").ratio.p50
        aim = f"first streamed byte at {characters} characters, guarded to bare, p50"
        found.append(Aim(aim=aim, limit=1.2, measured=measured, met=measured <= 1.2))
    for characters in SIZES:
        measured = _only(sockets, "stream, paced model", characters, "each further token").ratio.p50
        aim = f"each further token at {characters} characters, guarded to bare, p50"
        found.append(Aim(aim=aim, limit=1.2, measured=measured, met=measured <= 1.2))
    return found


def _only(rows: Sequence[Comparison], case: str, characters: int, what: str) -> Comparison:
    (row,) = (r for r in rows if (r.case, r.characters, r.what) == (case, characters, what))
    return row


Tables = list[tuple[str, list[str], list[list[str]]]]
"""Title, head, and rows."""


def tables(report: dict[str, Any]) -> Tables:
    """Gives the report as people read it."""
    compared = ["Case", "Characters", "What", "bare", "guarded", "added", "ratio"]
    return [
        (
            "Over sockets (ms)",
            compared,
            [_compared_row(row) for row in report["sockets"]],
        ),
        (
            "In one process, without sockets (ms)",
            compared,
            [_compared_row(row) for row in report["in_process"]],
        ),
        (
            "Steps of an exchange by themselves (ms)",
            ["Step", "Characters", "took"],
            [[s["step"], str(s["characters"]), cell(s["took"])] for s in report["steps"]],
        ),
        (
            "Detection alone (ms)",
            ["Characters", "guardrail", "Presidio"],
            [
                [str(row["characters"]), cell(row["guardrail"]), cell(row["presidio"])]
                for row in report["detection"]
            ],
        ),
        (
            "Aims",
            ["Aim", "Limit", "Measured", "Met"],
            [
                [a["aim"], f"{a['limit']:g}", f"{a['measured']:.2f}", "yes" if a["met"] else "no"]
                for a in report["aims"]
            ],
        ),
    ]


def _compared_row(row: dict[str, Any]) -> list[str]:
    numbers = [cell(row[name]) for name in ("bare", "guarded", "added", "ratio")]
    return [row["case"], str(row["characters"]), row["what"], *numbers]


def cell(spread: dict[str, float]) -> str:
    return f"{spread['p50']:.2f} / {spread['p95']:.2f}"


def machine_lines(machine: dict[str, Any]) -> list[str]:
    """Gives the machine in a few lines."""
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    return [
        f"{machine['date']}, {machine['cpu']}, {machine['cores']} cores, {machine['system']}",
        f"Python {machine['python']}; {versions}",
        f"load {machine['load_before']} before and {machine['load_after']} after the run; "
        f"fsync of a page: {machine['fsync_ms']['p50']:.2f} ms p50, "
        f"{machine['fsync_ms']['p95']:.2f} ms p95, {machine['fsyncs_per_s']} a second",
        "every cell: 50th / 95th percentile; added and ratio compare the percentiles",
    ]


def as_markdown(lines: Sequence[str], tables: Tables) -> str:
    """Gives a report as Markdown: lines about the machine, then tables."""
    parts = ["\n".join(f"- {line}" for line in lines)]
    for title, head, rows in tables:
        body = [head, ["---"] * len(head), *rows]
        parts.append(f"## {title}\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in body))
    return "\n\n".join(parts) + "\n"


def show(lines: Sequence[str], tables: Tables) -> None:
    """Prints a report to a terminal."""
    console = Console()
    for line in lines:
        console.print(line, highlight=False)
    for title, head, rows in tables:
        table = Table(*head, title=title, title_justify="left")
        for row in rows:
            table.add_row(*row)
        console.print(table)


def measure(runs: Runs, folder: Path) -> dict[str, Any]:
    """Runs everything and gives the report."""
    machine = describe_machine(folder)
    config = folder / "in-process.toml"
    config.write_text(CONFIG.format(name="in-process"), "utf-8")
    asked = sum(case.runs + min(runs.warm_up, case.runs // 3) for case in cases(runs))
    called = 4 * (runs.warm_up + runs.in_process)
    analysed = 2 * (runs.steps + min(runs.warm_up, 5) + runs.presidio + 2)
    with ExitStack() as running:
        progress = running.enter_context(Progress(console=Console(stderr=True), transient=True))
        advance = partial(
            progress.advance, progress.add_task("measuring", total=asked + called + analysed)
        )
        with serving_apps(folder) as addresses:
            sockets = compare_over_sockets(addresses, runs, advance=advance)
        built = build(load_config(config))
        running.callback(built.close)
        in_process = asyncio.run(compare_in_process(built, runs, advance=advance))
        steps = asyncio.run(time_steps(built, runs, advance=advance))
        detection = compare_detection(built, runs, advance=advance)
    return {
        "machine": {**machine, "load_after": round(os.getloadavg()[0], 2)},
        "runs": asdict(runs),
        "sockets": [asdict(row) for row in sockets],
        "in_process": [asdict(row) for row in in_process],
        "steps": [asdict(row) for row in steps],
        "detection": detection,
        "aims": [asdict(aim) for aim in aims(sockets)],
    }


def main() -> None:
    """Reads the command line, measures and reports."""
    parser = argparse.ArgumentParser(description="How much time guardrail adds to an app's answers")
    parser.add_argument("--quick", action="store_true", help="a few runs of each, to see it work")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--markdown", action="store_true", help="print Markdown")
    parser.add_argument("--folder", help="where the audit log is written; its disk counts")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        report = measure(QUICK if options.quick else FULL, Path(folder))
    if options.json:
        print(json.dumps(report, indent=2))
    elif options.markdown:
        print(as_markdown(machine_lines(report["machine"]), tables(report)), end="")
    else:
        show(machine_lines(report["machine"]), tables(report))


if __name__ == "__main__":
    main()
