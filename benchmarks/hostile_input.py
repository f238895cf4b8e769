"""What hostile requests and answers cost the whole middleware, beside harmless ones of their size.

Each case is one request through the middleware, in a process of its own: what came of it, the CPU
time it took, and by how much the process grew. Two bounds hold for each: CPU time as a multiple of
what a harmless text of the same size takes, and memory as a multiple of its size and a fixed part.
Exit status 1 says that a case went over one, or ended in another way than it must.

    python benchmarks/hostile_input.py [--quick] [--only TEXT] [--json | --markdown]
"""

from __future__ import annotations

import argparse
import gzip
import json
import logging
import multiprocessing
import platform
import resource
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import repeat
from multiprocessing.connection import Connection
from pathlib import Path
from time import process_time
from typing import Any

import anyio
from hostile import UNITS, stretched
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from starlette.types import Message, Receive, Scope, Send

from guardrail.asgi.middleware import Guardrail
from guardrail.audit.log import AuditLog
from guardrail.audit.stores.sqlite import SqliteStore
from guardrail.config import Built, build, load_config

RUN = 20_000
"""Characters of a run of something."""
MIB = 2**20
LIMIT = 8 * MIB
"""Bytes of a request that are read: the default of `limits.request_bytes`."""
PATIENCE = 600.0
"""Seconds that pass until a case is given up."""
_PROSE = (
    "Please summarise the minutes of our meeting. We talked about the budget for the next quarter "
    "and agreed that the report is due on Friday. The supplier will deliver the new parts soon. "
)
_HEADERS = [(b"content-type", b"application/json"), (b"host", b"localhost")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One request, and what its app answers; both are made in the process that measures.

    `outcome` holds the statuses that are allowed. `size` is that of the harmless text it is
    compared with, `times` how often its CPU time it may take; `memory` is the allowed growth in
    MiB.
    """

    name: str
    body: Callable[[], Iterable[bytes]] = field(repr=False)
    answer: Callable[[], Iterable[bytes]] = field(default=lambda: (b"{}",), repr=False)
    streamed: bool = False
    headers: tuple[tuple[bytes, bytes], ...] = ()
    outcome: frozenset[str] = frozenset({"200"})
    size: int = RUN
    times: float = 8.0
    memory: float = 48.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What came of a case. `ms` is CPU time, `grown` the growth of the process in MiB."""

    name: str
    bytes: int
    outcome: str
    ms: float
    harmless_ms: float
    grown: float
    times: float
    memory: float
    allowed: tuple[str, ...]

    @property
    def ratio(self) -> float:
        """How often the CPU time of a harmless text of the same size it took."""
        return self.ms / max(self.harmless_ms, 1.0)

    @property
    def faults(self) -> tuple[str, ...]:
        """Which bounds it is over."""
        found = []
        if self.outcome not in self.allowed:
            found.append("outcome")
        if self.ratio > self.times:
            found.append("time")
        if self.grown > self.memory:
            found.append("memory")
        return tuple(found)


# ── cases ────────────────────────────────────────────────────────────────────────────────────────


def _chat(text: str, **more: Any) -> bytes:
    message = {"role": "user", "content": text}
    return json.dumps({"model": "gpt-5", "messages": [message], **more}).encode()


def _asked(text: str, **more: Any) -> Iterator[bytes]:
    yield _chat(text, **more)


def _event(delta: dict[str, Any]) -> bytes:
    value = {"id": "x", "choices": [{"index": 0, "delta": delta}]}
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def _said(text: str, *, step: int = 5) -> Iterator[bytes]:
    for at in range(0, len(text), step):
        yield _event({"content": text[at : at + step]})
    yield b"data: [DONE]\n\n"


def _called(text: str) -> Iterator[bytes]:
    yield _event({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": '{"a":"'}}]})
    for at in range(0, len(text), 5):
        piece = json.dumps(text[at : at + 5])[1:-1]
        yield _event({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
    yield b"data: [DONE]\n\n"


def _ended(choices: int) -> Iterator[bytes]:
    for number in range(choices):
        choice = {"index": number, "delta": {"content": "so"}, "finish_reason": "stop"}
        yield b"data: " + json.dumps({"id": "x", "choices": [choice]}).encode() + b"\n\n"
    yield b"data: [DONE]\n\n"


def _chunks(unit: bytes, size: int) -> Iterator[bytes]:
    yield from repeat(unit * (65_536 // len(unit)), size // 65_536)


def _bomb() -> Iterator[bytes]:
    yield gzip.compress(bytes(200 * MIB), 9)


def _nested() -> str:
    """JSON in a string in JSON in a string, as deep as doubling backslashes allow."""
    text = "alice@example.com"
    while len(text) < 40_000:
        text = json.dumps({"a": text})
    return text


def _deep(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


def _form(parts: int) -> bytes:
    one = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nhello\r\n'
    return one * parts + b"--b--\r\n"


_MULTIPART = ((b"content-type", b"multipart/form-data; boundary=b"),)
_URLENCODED = ((b"content-type", b"application/x-www-form-urlencoded"),)
_GZIP = ((b"content-encoding", b"gzip"),)
_RUNS = {
    "a": "a",
    "a.a.": "a.a.",
    "digits": UNITS["digits"],
    "[[": "[[",
    "letters and digits": "a1",
    "almost addresses": "a@b.",
    "almost cards": "4111 1111 1111 1112 ",
    "brackets of placeholders": "[EMAIL_",
    "backslashes": "\\",
    "blanks": " ",
    "newlines": "\n",
    "marks": "a\u0301\u0327",
}


def cases(*, quick: bool = False) -> list[Case]:
    """Every case; `quick` gives a tenth of the runs, and of the large bodies."""
    run = RUN // 10 if quick else RUN
    part = 10 if quick else 1
    mib = MIB // part
    large = partial(Case, size=mib, times=4.0, memory=64.0)
    stream = partial(Case, body=partial(_asked, "hi", stream=True), streamed=True, size=run)
    refused = frozenset({"413 body_too_large"})
    mails = [f"user{n}@example.com" for n in range(run // 20)]
    found = [
        Case(
            name=f"request: {name}",
            body=partial(_asked, stretched(unit, run)),
            outcome=frozenset({"200", "403 policy_violation"}),
            size=run,
            times=15.0,
        )
        for name, unit in _RUNS.items()
    ]
    found += [
        stream(
            name=f"answer in 5-character events: {name}",
            answer=partial(_said, stretched(unit, run)),
        )
        for name, unit in _RUNS.items()
    ]
    found += [
        stream(
            name="answer in 5-character events: tool arguments",
            answer=partial(_called, stretched("a.a.", run)),
        ),
        stream(
            name="answer in events of one character",
            answer=partial(_said, stretched(_PROSE, run), step=1),
        ),
        stream(name="answer: choices, each of them ended", answer=partial(_ended, run // 5)),
        stream(
            name="answer: an event that does not end, 3 MiB",
            answer=lambda: (b'data: {"choices":[{"delta":{"content":"', *_chunks(b"a ", 3 * MIB)),
            outcome=frozenset({"200 upstream_uninspectable"}),
        ),
        stream(name="answer: comments only, 1 MiB", answer=lambda: _chunks(b": ping\n\n", MIB)),
        stream(
            name="answer: placeholders nobody gave",
            answer=partial(_said, stretched("[EMAIL_7] ", run)),
        ),
        Case(
            name="answer: 100 MiB of JSON",
            body=partial(_asked, "hi"),
            answer=lambda: (b'{"a":"', *_chunks(b"a ", 100 * MIB)),
            outcome=frozenset({"502 upstream_too_large"}),
            size=run,
        ),
        large(
            name="request: 100 MB, announced",
            body=lambda: _chunks(b"a ", 100 * MIB),
            headers=((b"content-length", b"104857600"),),
            outcome=frozenset({"413 body_too_large"}),
            memory=8.0,
        ),
        large(
            name="request: 100 MB, not announced",
            body=lambda: _chunks(b"a ", 100 * MIB),
            outcome=frozenset({"413 body_too_large"}),
            memory=8.0,
        ),
        large(
            name="request: a gzip bomb, 200 KiB of 200 MiB",
            body=_bomb,
            headers=_GZIP,
            outcome=frozenset({"413 body_too_large"}),
        ),
        large(
            name="request: 100,000 times [",
            body=lambda: (b"[" * 100_000,),
            outcome=frozenset({"400 json_too_deep"}),
        ),
        large(
            name="request: 8 MiB of [",
            body=lambda: _chunks(b"[", LIMIT),
            outcome=frozenset({"400 json_too_deep"}),
        ),
        large(
            name="request: 100,000 objects in one another",
            body=lambda: (_deep(100_000),),
            outcome=frozenset({"400 json_too_deep"}),
        ),
        large(
            name="request: a number of a million digits",
            body=lambda: (b'{"a":' + b"7" * 1_000_000 + b"}",),
            outcome=frozenset({"400 invalid_json"}),
        ),
        Case(
            name="request: JSON in strings in JSON",
            body=lambda: _asked("hi", metadata={"a": _nested()}),
            size=2 * run,
            times=15.0,
        ),
        Case(
            name=f"request: {len(mails):,} mail addresses in one text",
            body=lambda: _asked(" ".join(mails)),
            size=run,
            times=30.0,
        ),
        Case(
            name=f"request: {len(mails):,} mail addresses, one a string",
            body=lambda: (json.dumps({"model": "gpt-5", "messages": [], "a": mails}).encode(),),
            size=run,
            times=30.0,
        ),
        large(
            name="request: 8 MiB of keys",
            body=lambda: (json.dumps({f"{n}": 1 for n in range(600_000 // part)}).encode(),),
            outcome=refused,
            memory=512.0,
        ),
        large(
            name="request: 8 MiB of short strings",
            body=lambda: (b"[" + b'"a",' * (LIMIT // 4 // part - 4) + b"1]",),
            outcome=refused,
            memory=512.0,
        ),
        large(
            name="request: 8 MiB of digits and commas",
            body=lambda: (b'["a",' + b"1," * (LIMIT // 2 // part - 8) + b"1]",),
            memory=512.0,
        ),
        large(
            name="request: 8 MiB of numbers",
            body=lambda: (
                b'["a",' + b",".join(b"%d" % n for n in range(1, 1_100_000 // part)) + b"]",
            ),
            outcome=refused,
            memory=512.0,
        ),
        large(
            name="request: 8 MiB of empty objects",
            body=lambda: (b"[" + b"{}," * (LIMIT // 3 // part - 4) + b"{}]",),
            memory=512.0,
        ),
        large(
            name="request: 8 MiB of one word",
            body=lambda: _asked("a" * (LIMIT // part - 200)),
            outcome=frozenset({"403 policy_violation"}),
            memory=96.0,
        ),
        large(
            name="request: a form of 100,000 parts",
            body=lambda: (_form(100_000),),
            headers=_MULTIPART,
            outcome=frozenset({"413 body_too_large"}),
        ),
        large(
            name="request: a form of one unfinished part",
            body=lambda: (b"--b\r\n" + b"a: b\r\n" * 100_000,),
            headers=_MULTIPART,
            outcome=frozenset({"400 invalid_form"}),
        ),
        large(
            name="request: 100,000 URL-encoded fields",
            body=lambda: (b"&".join([b"a=b"] * 100_000),),
            headers=_URLENCODED,
            outcome=frozenset({"400 invalid_form"}),
        ),
    ]
    return found


# ── measuring ────────────────────────────────────────────────────────────────────────────────────


def _harmless(size: int) -> Case:
    return Case(name="harmless", body=partial(_asked, stretched(_PROSE, size)))


def _harmless_stream(size: int) -> Case:
    return Case(
        name="harmless",
        body=partial(_asked, "hi", stream=True),
        answer=partial(_said, stretched(_PROSE, size)),
        streamed=True,
    )


def _kib() -> int:
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most // 1024 if sys.platform == "darwin" else most


async def _ask(app: Guardrail, case: Case, parts: Iterator[bytes]) -> tuple[str, int]:
    """The status and code of an answer, and how many bytes were asked."""
    read = 0
    code = status = ""
    tail = b""

    async def receive() -> Message:
        nonlocal read
        part = next(parts, None)
        if part is None:
            return {"type": "http.request", "body": b"", "more_body": False}
        read += len(part)
        return {"type": "http.request", "body": part, "more_body": True}

    async def send(message: Message) -> None:
        nonlocal status, code, tail
        if message["type"] == "http.response.start":
            status = str(message["status"])
            code = dict(message["headers"]).get(b"x-guardrail-code", b"").decode()
        else:
            tail = (tail + message["body"])[-2000:]

    given = dict(case.headers)
    headers = [*((k, v) for k, v in _HEADERS if k not in given), *case.headers]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": "/v1/chat/completions",
        "raw_path": b"/v1/chat/completions",
        "query_string": b"",
        "headers": headers,
    }
    await app(scope, receive, send)
    if not code and case.streamed and b"upstream_uninspectable" in tail:
        code = "upstream_uninspectable"
    return f"{status} {code}".strip(), read


def _measure(built: Built, case: Case, folder: str, told: Connection) -> None:
    """Runs in a process of its own."""
    logging.disable()
    answered = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal answered
        while (await receive()).get("more_body"):
            pass
        kind = b"text/event-stream" if case.streamed else b"application/json"
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]}
        )
        for part in case.answer():
            answered += len(part)
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    audit = AuditLog(SqliteStore(Path(folder) / "audit.db"), timeout_s=20)
    guarded = Guardrail(app, replace(built, audit=audit))

    async def run() -> None:
        for warm in (_harmless(200), _harmless_stream(200)):
            await _ask(guarded, warm, iter(warm.body()))
        answered_before = answered
        parts = iter(list(case.body()))  # what the server reads is not ours to pay for
        before, since = _kib(), process_time()
        outcome, read = await _ask(guarded, case, parts)
        taken = process_time() - since
        told.send((outcome, max(read, answered - answered_before), taken * 1e3, _kib() - before))

    anyio.run(run)
    audit.close()


def measured(built: Built, case: Case) -> tuple[str, int, float, float]:
    """Outcome, bytes, CPU time in ms, and growth in MiB of one case in a process of its own."""
    forks = multiprocessing.get_context("fork")
    ours, theirs = forks.Pipe(duplex=False)
    with tempfile.TemporaryDirectory() as folder:
        process = forks.Process(target=_measure, args=(built, case, folder, theirs))
        process.start()
        theirs.close()
        try:
            if not ours.poll(PATIENCE):
                return "no end", 0, PATIENCE * 1e3, 0.0
            outcome, size, ms, kib = ours.recv()
        except EOFError:
            return "crashed", 0, 0.0, 0.0
        finally:
            process.join(5)
            process.kill()
    return outcome, size, ms, kib / 1024


def rows(built: Built, chosen: Iterable[Case]) -> Iterator[Row]:
    """What came of each case."""
    known: dict[tuple[int, bool], float] = {}
    for case in chosen:
        key = case.size, case.streamed
        if key not in known:
            harmless = (_harmless_stream if case.streamed else _harmless)(case.size)
            known[key] = measured(built, harmless)[2]
        outcome, size, ms, grown = measured(built, case)
        yield Row(
            name=case.name,
            bytes=size,
            outcome=outcome,
            ms=ms,
            harmless_ms=known[key],
            grown=grown,
            times=case.times,
            memory=case.memory,
            allowed=tuple(sorted(case.outcome)),
        )


def world(folder: Path) -> Built:
    """The middleware's parts under the default limits, with one cloud model and time to read."""
    built = build(
        load_config(
            {
                "apps": {
                    "default": {
                        "establishment": "DE",
                        "origin": "DE",
                        "basis": "contract",
                        "purpose": "support",
                        "filings": ["TIA"],
                    }
                },
                "endpoints": {
                    "cloud": {
                        "provider": "example",
                        "location": "US",
                        "agreements": ["DPA", "SCC"],
                        "models": ["gpt-*"],
                    }
                },
                "audit": {"path": str(folder / "audit.db")},
                "detection": {"timeout_s": 600},  # which would cut what is to be measured
            }
        )
    )
    built.close()  # a log is opened anew in each process
    return built


# ── reporting ────────────────────────────────────────────────────────────────────────────────────

_COLUMNS = ("input", "bytes", "outcome", "CPU ms", "times a harmless one", "grown by MiB")


def _shown(row: Row) -> tuple[str, ...]:
    over = f" (!{', '.join(row.faults)})" if row.faults else ""
    return (
        row.name,
        f"{row.bytes:,}",
        row.outcome,
        f"{row.ms:,.0f}",
        f"{row.ratio:.1f} of {row.times:g}",
        f"{row.grown:.0f} of {row.memory:g}{over}",
    )


def markdown(found: Sequence[Row]) -> str:
    """The report for a document."""
    lines = [
        "## Whole requests and answers",
        "",
        "One request each through the whole middleware, in a process of its own, with the default",
        "limits of size and without one of time. CPU time is compared with that of harmless prose",
        "of the same size, or of 1 MiB for what is larger; memory is the growth of the process;",
        "behind *of* stands the bound. Made by",
        f"`benchmarks/hostile_input.py --markdown` with Python {platform.python_version()} on",
        f"{platform.machine()}.",
        "",
        f"| {' | '.join(_COLUMNS)} |",
        "|---|---:|---|---:|---:|---:|",
    ]
    for row in found:
        cells = list(_shown(row))
        cells[0] = "`" + cells[0].replace("|", "\\|") + "`"
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Runs the cases; gives the exit status."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n\n")[0],
        epilog="Exit status 1: a case is over its bound, or ends in another way than it must.",
    )
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print all figures for a program")
    output.add_argument("--markdown", action="store_true", help="print the report for a document")
    parser.add_argument("--quick", action="store_true", help="a tenth of each length")
    parser.add_argument("--verbose", action="store_true", help="tell of each case when it ends")
    parser.add_argument("--only", default="", help="cases that have this in their name")
    options = parser.parse_args()
    chosen = [case for case in cases(quick=options.quick) if options.only in case.name]
    with tempfile.TemporaryDirectory() as folder:
        built = world(Path(folder))
        with Progress(console=Console(stderr=True), transient=True) as progress:
            found = []
            for row in rows(built, progress.track(chosen, description="Measuring")):
                found.append(row)
                if options.verbose:
                    print("  ".join(_shown(row)), file=sys.stderr, flush=True)
    if options.json:
        print(json.dumps([asdict(row) | {"faults": row.faults} for row in found]))
    elif options.markdown:
        print(markdown(found))
    else:
        table = Table(*_COLUMNS)
        for row in found:
            table.add_row(*_shown(row))
        Console(width=140).print(table)
    return 1 if any(row.faults for row in found) else 0


if __name__ == "__main__":
    sys.exit(main())
