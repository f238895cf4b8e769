"""What deciding costs: loading policies, asking one question, deciding a request, and replaying.

Processor time, since other programs disturb it least. A question is one action about one category
put to one law; cold is without the memory of verdicts. A request holds three categories. Growth is
measured with overlays of more and more rules, each of which every law then has.

    python benchmarks/policies.py [--quick] [--json | --markdown]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from statistics import median
from time import perf_counter, process_time
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from guardrail.policy.cedar import ask
from guardrail.policy.ladder import decide
from guardrail.policy.loader import PolicyStore, load_policies
from guardrail.policy.questions import case, facts, request
from guardrail.policy.replay import Replay
from guardrail.policy.verdicts import Memory
from guardrail.policy.vocabulary import AGES, COUNTS, RESIDUALS, SEND
from guardrail.regions import load_regions
from guardrail.taxonomy import PERSONAL, load_taxonomy
from guardrail.types import (
    AuditEvent,
    Category,
    Endpoint,
    Evidence,
    Principal,
    RequestContext,
)

ROOT = Path(__file__).parent.parent
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
LOCAL = Endpoint(id="local", provider="own", location="DE", local=True)
ENDPOINTS = (
    LOCAL,
    Endpoint(id="paris", provider="a", location="FR", agreements=frozenset({"DPA"})),
    Endpoint(id="iowa", provider="b", location="US", agreements=frozenset({"DPA", "DPF"})),
    Endpoint(id="tokyo", provider="c", location="JP", agreements=frozenset({"DPA", "SCC"})),
)
APP = Principal(id="app", establishment="DE")
ABROAD = Principal(id="abroad", establishment="US")
FOUND = {Category(name): Evidence(count=2, score=0.85) for name in ("name", "contact", "health")}
EVENTS = 50_000


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement, beside the aim where there is one."""

    what: str
    laws: int
    policies: int
    value: float
    unit: str
    aim: float | None = None

    @property
    def met(self) -> str:
        """Whether the aim is met, as a word."""
        return "" if self.aim is None else "yes" if self.value <= self.aim else "no"


@contextmanager
def folder(laws: int | None, extra: int = 0) -> Iterator[Path]:
    """A folder with so many of the shipped laws, `eu` first, and an overlay of so many rules."""
    with tempfile.TemporaryDirectory() as made:
        base = Path(made)
        for name in ("policies", "regions"):
            shutil.copytree(ROOT / name, base / name, ignore=shutil.ignore_patterns("tests"))
        shipped = sorted((base / "regions").glob("*.toml"), key=lambda one: (one.stem != "eu", one))
        # The others' adequacy lists may name places that only another region declares.
        for file in shipped[laws:] if laws else []:
            (base / "policies" / f"{file.stem}.cedar").unlink()
            file.unlink()
        overlay = base / "policies" / "zz-growth.cedar"
        if extra:
            overlay.write_text("\n".join(_rule(number) for number in range(extra)))
        yield base


def _rule(number: int) -> str:
    """A rule that never applies and must be looked at each time."""
    return (
        f'@id("growth.{number}") @title("t") forbid (principal, action == Action::"sendClear", '
        f'resource) when {{ context.category == Category::"vehicle" && context.count >= 1000 && '
        f'context.purpose == Purpose::"research" && context.confidence < 10 }};'
    )


def load(base: Path) -> PolicyStore:
    """The policies of a folder with this benchmark's apps and endpoints."""
    return load_policies(
        base / "policies",
        regions=load_regions(base / "regions"),
        taxonomy=load_taxonomy(),
        endpoints=ENDPOINTS,
        principals=(APP, ABROAD),
    )


def context(principal: Principal = APP, origin: str = "DE") -> RequestContext:
    """Who asks, as most requests do."""
    return RequestContext(
        exchange="e",
        principal=principal,
        purpose="support",
        basis="contract",
        origin=origin,
        conversation="c",
        now=NOW,
    )


def timed(step: Callable[[], object], *, rounds: int, repeat: int) -> float:
    """Processor time of one step in microseconds: the median of several rounds, after one more."""
    step()
    taken = []
    for _ in range(rounds):
        begun = process_time()
        for _ in range(repeat):
            step()
        taken.append((process_time() - begun) / repeat * 1e6)
    return median(taken)


def measure(store: PolicyStore, *, rounds: int, repeat: int) -> Iterator[Row]:
    """What questions and requests cost with one set of policies."""
    laws, policies = len(store.regions.ids), len(store.reasons)
    asked = case(context(), Category("health"), Evidence(), origin="DE", residual=0.0)

    def row(what: str, step: Callable[[], object], aim: float | None = None) -> Row:
        return Row(what, laws, policies, timed(step, rounds=rounds, repeat=repeat), "µs", aim)

    def question() -> None:
        for action in SEND:
            policies, mentions = store.sets["eu"][action]
            told = facts(asked, only=mentions)
            ask(
                request(principal="app", action=action, endpoint="iowa", context=told),
                policies=policies,
                entities=store.entities,
                schema=None,
            )

    whole = row("", question)
    yield replace(whole, what="one question, cold", value=whole.value / len(SEND), aim=60)
    known = replace(store, memo=Memory(8192))

    def request_of(where: PolicyStore, asked: RequestContext) -> Callable[[], object]:
        return lambda: decide(where, asked, FOUND, endpoint=ENDPOINTS[2], local=LOCAL, residual=0.0)

    yield row("a request of three categories, cold", lambda: request_of(_cold(store), context())())
    yield row("the same, remembered", request_of(known, context()), 20)
    both = context(ABROAD)
    yield row("under two laws, cold", lambda: request_of(_cold(store), both)())
    yield row("the same, remembered", request_of(known, both), 20)


def _cold(store: PolicyStore) -> PolicyStore:
    """The same policies without a memory of verdicts."""
    return replace(store, memo=Memory(0))


def loading(base: Path, rounds: int) -> Row:
    """What it costs to read, check and prove a folder of policies."""
    taken = []
    for _ in range(rounds):
        begun = process_time()
        store = load(base)
        taken.append((process_time() - begun) * 1e3)
    return Row(
        "load, check and self-test",
        len(store.regions.ids),
        len(store.reasons),
        median(taken),
        "ms",
        500,
    )


def events(store: PolicyStore, count: int) -> Iterator[AuditEvent]:
    """Recorded decisions, as varied as those of many apps."""
    chance = Random(11)
    for number in range(count):
        principal = chance.choice((APP, ABROAD))
        origin = chance.choice(("DE", "FR", "US-CA", "GB", "JP"))
        endpoint = chance.choice(ENDPOINTS[1:])
        names = chance.sample(PERSONAL, chance.randint(1, 3))
        facts_of: dict[str, Any] = {
            "purpose": chance.choice(("general", "support", "hr", "marketing")),
            "basis": chance.choice(("contract", "consent", "none")),
            "consents": chance.choice(((), ("explicit",), ("parental",))),
            "filings": chance.choice(((), ("TIA",))),
            "age": chance.choice((None, None, *AGES)),
            "residual": chance.choice(RESIDUALS[:5]),
        }
        found = {
            name: Evidence(count=chance.choice(COUNTS), score=chance.choice((0.6, 0.8, 1.0)))
            for name in names
        }
        asked = replace(
            context(principal, origin),
            purpose=facts_of["purpose"],
            basis=facts_of["basis"],
            consents=frozenset(facts_of["consents"]),
            filings=frozenset(facts_of["filings"]),
            age=facts_of["age"],
        )
        decision = decide(
            store, asked, found, endpoint=endpoint, local=LOCAL, residual=facts_of["residual"] / 100
        )
        yield AuditEvent(
            id=f"{number:032x}",
            kind="egress.decision",
            at=NOW + timedelta(seconds=number),
            exchange="e",
            principal=principal.id,
            origin=origin,
            treatments={str(c): one.name.lower() for c, one in decision.treatments.items()},
            found={str(name): one.count for name, one in found.items()},
            confidences={str(name): round(one.score * 100) for name, one in found.items()},
            judged=(endpoint.id,),
            local="local",
            **facts_of,
        )


def replaying(
    store: PolicyStore, other: PolicyStore, count: int
) -> tuple[list[Row], dict[str, Any]]:
    """How long it takes to decide recorded requests again by other policies, and what changes."""
    recorded = list(events(store, count))
    laws, policies = len(store.regions.ids), len(other.reasons)
    again, begun = Replay(other), perf_counter()
    for event in recorded:
        again.put(event)
    seconds = perf_counter() - begun
    outcome = again.outcome
    changes = {
        "events": outcome.events,
        "questions": outcome.asked,
        "changed": outcome.changed,
        "changes": [
            f"{'LOOSER' if one.looser else 'stricter'}: {one.principal} → {one.endpoint}, "
            f"{one.category}: {one.old.name.lower()} → {one.new.name.lower()}: {number:,}"
            for one, number in outcome.sorted()[:12]
        ],
    }
    rows = [
        Row(f"replay of {count:,} events", laws, policies, seconds, "s"),
        Row("events decided again", laws, policies, count / seconds, "a second"),
    ]
    return rows, changes


def run(*, quick: bool) -> tuple[list[Row], dict[str, Any]]:
    """Every measurement."""
    rounds, repeat = (1, 20) if quick else (9, 400)
    rows: list[Row] = []
    every = len(list((ROOT / "regions").glob("*.toml")))
    sizes = [one for one in (1, 5) if one < every]
    extras = (100,) if quick else (100, 300, 1000)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("measuring", total=len(sizes) + len(extras) + 2)
        for laws in (*sizes, None):
            with folder(laws) as base:
                rows.append(loading(base, 1 if quick else 3))
                rows += measure(load(base), rounds=rounds, repeat=repeat)
            progress.advance(task)
        for extra in extras:
            with folder(None, extra) as base:
                store = load(base)
                only = next(measure(store, rounds=rounds, repeat=repeat // 4 or 1))
                rows.append(replace(only, what=f"one question, {extra} rules more", aim=None))
            progress.advance(task)
        with folder(None) as base:
            store = load(base)
            eu = base / "policies" / "eu.cedar"
            text = eu.read_text()
            assert 'context.category in Category::"criminal"' in text
            eu.write_text(text.replace('context.category in Category::"criminal"', "false", 1))
            more, changes = replaying(store, load(base), EVENTS // 50 if quick else EVENTS)
            rows += more
    return rows, changes


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2),
    }


def lines(rows: Sequence[Row]) -> list[list[str]]:
    """The rows as text."""
    return [
        [
            row.what,
            f"{row.laws}",
            f"{row.policies:,}",
            f"{row.value:,.1f} {row.unit}",
            "" if row.aim is None else f"{row.aim:g}",
            row.met,
        ]
        for row in rows
    ]


TITLES = ("what", "laws", "policies", "took", "aim", "met")


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few runs of each, to see it work")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--markdown", action="store_true", help="print Markdown")
    chosen = parser.parse_args()
    rows, changes = run(quick=chosen.quick)
    if chosen.json:
        print(
            json.dumps(
                {"machine": machine(), "rows": [asdict(one) for one in rows], "replay": changes}
            )
        )
    elif chosen.markdown:
        told = machine()
        print(
            f"Measured on {told['date']}: {told['cpu']}, {told['cores']} cores, "
            f"Python {told['python']}.\n"
        )
        print(f"| {' | '.join(TITLES)} |\n|{'---|' * len(TITLES)}")
        for line in lines(rows):
            print(f"| {' | '.join(line)} |")
    else:
        table = Table(*TITLES)
        for line in lines(rows):
            table.add_row(*line)
        Console().print(table)
        print(json.dumps(changes, indent=2, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
