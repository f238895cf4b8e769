"""How the demo looks: each exchange side by side, then the summary; or one JSON document."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from guardrail.audit.event import encode
from guardrail.cli.demo.claims import About, Claim
from guardrail.cli.demo.play import Outcome
from guardrail.cli.demo.prompts import CLOUD_MODEL, key
from guardrail.cli.demo.standins import Seen
from guardrail.types import AuditEvent, Reason

_WIDEST = 160
_COLUMN = 38
"""Columns of the terminal: at most so many are used, and so many each text wants."""

_STYLES = {
    "clear": "bold green",
    "pseudonymised": "bold cyan",
    "redacted": "bold yellow",
    "local": "bold magenta",
    "blocked": "bold red",
}
_PLACEHOLDER = r"\[[A-Z][A-Z_]*_\d+\]"
_REMOVED = r"\[[A-Z][A-Z_]* REDACTED\]"
_PICTURE = re.compile(r"data:([a-z/]+);base64,([A-Za-z0-9+/=]{40,})")

_Side = tuple[str, str, Text]
"""Title, style and text of one side of an exchange."""


def show(console: Console, number: int, outcome: Outcome) -> None:
    """Writes one exchange: what each side saw, what was found, decided and recorded."""
    width = min(console.width, _WIDEST)
    title = Text.assemble((f" {number} ", "bold reverse"), (f" {outcome.prompt.title} ", "bold"))
    console.print()
    console.print(Rule(title, align="left", style="dim"), width=width)
    for row in _rows(_sides(outcome), width // _COLUMN):
        console.print(_beside(row), width=width)
    console.print(Padding(_facts(outcome), (0, 1)), width=width)


def _sides(outcome: Outcome) -> list[_Side]:
    prompt = outcome.prompt
    personal = (*prompt.planted, *prompt.unsaid)
    sides = [("the user wrote", "bold", _marked(_plain(prompt.content), personal, "bold red"))]
    for seen in outcome.cloud:
        sides.append(
            ("the cloud in the US saw", "bold cyan", _marked(_last(seen), personal, "bold red"))
        )
        if prompt.unsaid:
            said = _marked(seen.said, personal, "bold red")
            sides.append(("the model said", "bold yellow", said))
    for seen in outcome.local:
        text = _marked(_last(seen), personal, "bold red")
        sides.append(("the local model saw", "bold magenta", text))
    if not (outcome.cloud or outcome.local):
        sides.append(("no model saw it", "bold red", Text("nothing", "dim")))
    return [*sides, _answer(outcome)]


def _answer(outcome: Outcome) -> _Side:
    if outcome.status == 200:
        text = _marked(outcome.answer, outcome.prompt.restored, "bold green")
        return ("the user got", "bold green", text)
    try:
        error = json.loads(outcome.answer)["error"]
    except (ValueError, KeyError, TypeError):
        return ("the user got", "bold red", Text(outcome.answer))
    text = Text.assemble((f"{outcome.status} {error['code']}\n", "bold red"), error["message"])
    return ("the user got", "bold red", text)


def _plain(content: str | list[dict[str, Any]]) -> str:
    if isinstance(content, str):
        return content
    return "\n\n".join(part.get("text") or part["image_url"]["url"] for part in content)


def _last(seen: Seen) -> str:
    return _plain(seen.messages[-1]["content"])


def _marked(text: str, values: Iterable[str], style: str) -> Text:
    """The text with values, placeholders and masks in colour; pictures are shortened."""
    marked = Text(_PICTURE.sub(lambda m: f"‹{m[1]}, {len(m[2]) * 3 // 4} bytes›", text))
    marked.highlight_regex(_PLACEHOLDER, "bold cyan")
    marked.highlight_regex(_REMOVED, "bold yellow")
    longest_first = sorted(values, key=len, reverse=True)
    if longest_first:
        marked.highlight_regex("|".join(map(re.escape, longest_first)), style)
    return marked


def _rows(sides: Sequence[_Side], fit: int) -> Iterable[Sequence[_Side]]:
    """As many sides in a row as fit; two where not all of them do."""
    per_row = len(sides) if len(sides) <= fit else max(1, min(2, fit))
    return (sides[start : start + per_row] for start in range(0, len(sides), per_row))


def _beside(sides: Sequence[_Side]) -> Table:
    table = Table(box=box.ROUNDED, expand=True, border_style="dim")
    for title, style, _ in sides:
        table.add_column(title, header_style=style, ratio=1, overflow="fold")
    table.add_row(*(text for _, _, text in sides))
    return table


# ── what was found, decided and recorded ─────────────────────────────────────────────────────────


def _facts(outcome: Outcome) -> Table:
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column()
    for event in outcome.events[:1]:
        facts.add_row("asked", _circumstances(outcome, event))
        facts.add_row("found", _counts(event.counts) if event.counts else Text("nothing", "green"))
        facts.add_row("decided", _treatments(event.treatments))
    for reason in sorted(outcome.reasons, key=lambda one: one.effect != "forbid"):
        facts.add_row("", _reason(reason))
    for event in outcome.events:
        facts.add_row("recorded", _event(event))
    return facts


def _circumstances(outcome: Outcome, event: AuditEvent) -> Text:
    how = "streamed" if outcome.prompt.streamed else "whole"
    law = f"law {', '.join(event.regions)}" if event.regions else "no law"
    facts = (f"purpose {event.purpose}", f"basis {event.basis}", law, how)
    return Text.assemble((event.principal, "bold"), f" in {event.origin}, {', '.join(facts)}")


def _counts(counts: Mapping[str, int]) -> Text:
    return Text(", ").join(
        Text.assemble((entity, "bold"), f" × {count}" if count > 1 else "")
        for entity, count in counts.items()
    )


def _treatments(treatments: Mapping[str, str]) -> Text:
    by_treatment: dict[str, list[str]] = {}
    for category, treatment in treatments.items():
        by_treatment.setdefault(treatment, []).append(category)
    return Text("; ").join(
        Text.assemble(", ".join(categories), " → ", (treatment, _STYLES.get(treatment, "bold")))
        for treatment, categories in by_treatment.items()
    )


def _reason(reason: Reason) -> Text:
    sign = ("✔ ", "green") if reason.effect == "permit" else ("✘ ", "red")
    text = Text.assemble(sign, (reason.policy, "bold"), "  ", reason.title)
    return text.append(f"  {reason.citation}", "dim") if reason.citation else text


def _event(event: AuditEvent) -> Text:
    where = f"{event.endpoint} ({event.location})" if event.location else "nowhere"
    decided = event.kind == "egress.decision"
    text = Text.assemble((event.kind, "bold"), f"  {event.principal} → {where}")
    text.append(f"  {event.treatment if decided else event.status}")
    if event.kind == "egress.outcome" and event.counts:
        text.append("  masked ").append_text(_counts(event.counts))
    return text.append(f"  {event.id[:13]}…", "dim")


# ── the summary ──────────────────────────────────────────────────────────────────────────────────


def show_summary(
    console: Console,
    outcomes: Sequence[Outcome],
    claims: Sequence[Sequence[Claim]],
    overall: Sequence[Claim],
    *,
    seconds: float,
) -> None:
    """Writes a check mark per claim, what does not hold, and the verdict."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("checked against the bytes", no_wrap=True, header_style="bold")
    for about in About:
        table.add_column(about.value, justify="center", min_width=len(about), header_style="bold")
    for number, (outcome, own) in enumerate(zip(outcomes, claims, strict=True), start=1):
        marks = [_mark([claim for claim in own if claim.about is about]) for about in About]
        table.add_row(f"{number}  {outcome.prompt.title}", *marks)
    console.print(table)
    for claim in overall:
        console.print(Text.assemble(_mark([claim]), " ", claim.what))
    everything = [claim for one in (*claims, overall) for claim in one]
    broken = [claim for claim in everything if not claim.holds]
    for claim in broken:
        console.print(Text.assemble(("✘ does not hold: ", "bold red"), claim.what))
    verdict = (
        Text(f"{len(broken)} of {len(everything)} claims do not hold.", "bold red")
        if broken
        else Text(f"All {len(everything)} claims hold: nothing leaked.", "bold green")
    )
    console.print()
    console.print(verdict.append(f"  {seconds:.1f} s", "dim"))


def _mark(claims: Sequence[Claim]) -> Text:
    if not claims:
        return Text("·", "dim")
    return Text("✔", "bold green") if all(c.holds for c in claims) else Text("✘", "bold red")


def show_invitation(console: Console, url: str) -> None:
    """Writes a command by which people can try the running gateway themselves."""
    message = {"role": "user", "content": "I am Dr. Ada Byron, write to ada@example.org."}
    body = json.dumps({"model": CLOUD_MODEL, "messages": [message]})
    command = (
        f"curl -s {url}/chat/completions \\\n"
        f"  -H 'authorization: Bearer {key('support')}' \\\n"
        f"  -H 'content-type: application/json' \\\n"
        f"  -d '{body}'"
    )
    console.print()
    console.print(Text("Try it; Ctrl-C ends the demo:", "bold"))
    console.print()
    console.print(Text(command), soft_wrap=True)


# ── for machines ─────────────────────────────────────────────────────────────────────────────────


def document(
    outcomes: Sequence[Outcome],
    claims: Sequence[Sequence[Claim]],
    overall: Sequence[Claim],
    *,
    seconds: float,
) -> dict[str, Any]:
    """Gives all of it as JSON values; what it quotes are the demo's own, made-up, prompts."""
    everything = [claim for one in (*claims, overall) for claim in one]
    return {
        "ok": all(claim.holds for claim in everything),
        "seconds": round(seconds, 2),
        "exchanges": [_exchange(*one) for one in zip(outcomes, claims, strict=True)],
        "claims": [_claim(claim) for claim in overall],
    }


def _exchange(outcome: Outcome, claims: Sequence[Claim]) -> dict[str, Any]:
    prompt = outcome.prompt
    return {
        "title": prompt.title,
        "app": prompt.app,
        "streamed": prompt.streamed,
        "sent": prompt.content,
        "planted": list(prompt.planted),
        "status": outcome.status,
        "policies": [
            {"id": r.policy, "effect": r.effect, "title": r.title, "citation": r.citation}
            for r in outcome.reasons
        ],
        "cloud": [json.loads(seen.body) for seen in outcome.cloud],
        "local": [json.loads(seen.body) for seen in outcome.local],
        "answer": outcome.answer,
        "events": [json.loads(encode(event)) for event in outcome.events],
        "claims": [_claim(claim) for claim in claims],
    }


def _claim(claim: Claim) -> dict[str, Any]:
    return {"about": claim.about.value, "claim": claim.what, "ok": claim.holds}
