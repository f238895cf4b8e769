"""What the demo claims, checked against bytes: a claim that cannot be checked is not made."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import quote, quote_plus

from guardrail.audit.event import encode
from guardrail.cli.demo.play import Outcome
from guardrail.cli.demo.prompts import Prompt


class About(StrEnum):
    """What a claim is about: the columns of the summary."""

    ROUTED = "routed"
    KEPT = "no leak"
    RESTORED = "restored"
    MASKED = "masked"
    RECORDED = "audited"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One claim and whether it holds. `what` quotes no value."""

    about: About
    what: str
    holds: bool


def forms(value: str) -> set[bytes]:
    """The ways in which a value may stand in bytes: as it is, JSON-escaped, percent-encoded."""
    written = {
        value,
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        quote(value, safe=""),
        quote(value),
        quote_plus(value),
    }
    return {form.lower().encode() for form in written}


_FILLER = re.compile(rb"[^0-9a-z]+")
_LEAST = 8  # shorter runs of letters and digits arise by chance


def occurs(value: str, data: bytes) -> bool:
    """Whether a value stands in bytes in any form, whatever its case, spaces and punctuation."""
    lowered = data.lower()
    if any(form in lowered for form in forms(value)):
        return True
    bare = _FILLER.sub(b"", value.lower().encode())
    return len(bare) >= _LEAST and bare in _FILLER.sub(b"", lowered)


def _count(values: Iterable[str], data: bytes) -> int:
    return sum(occurs(value, data) for value in values)


def check(outcome: Outcome) -> list[Claim]:
    """Gives every claim about one outcome."""
    return [*_routed(outcome), *_kept(outcome), *_answered(outcome), *_recorded(outcome)]


_ARRIVALS = {"cloud": (1, 0), "local": (0, 1), "nobody": (0, 0)}


def _routed(outcome: Outcome) -> Iterator[Claim]:
    prompt = outcome.prompt
    arrived = (len(outcome.cloud), len(outcome.local))
    yield Claim(
        about=About.ROUTED,
        what=f"the request reached {prompt.goes_to} and no other",
        holds=arrived == _ARRIVALS[prompt.goes_to],
    )
    sent = [{"role": "user", "content": prompt.content}]
    unchanged = [*outcome.local, *(outcome.cloud if not prompt.planted else ())]
    if prompt.goes_to == "local" or not prompt.planted:
        yield Claim(
            about=About.ROUTED,
            what="the request arrived as it was written",
            holds=bool(unchanged) and all(seen.messages == sent for seen in unchanged),
        )
    if prompt.cited:
        named = all(citation in outcome.answer for citation in prompt.cited)
        yield Claim(
            about=About.ROUTED,
            what="the refusal is a 403 that names policy and article",
            holds=outcome.status == 403 and named,
        )


def _kept(outcome: Outcome) -> Iterator[Claim]:
    planted = outcome.prompt.planted
    if not planted:
        return
    leaked = sum(_count(planted, seen.wire) for seen in outcome.cloud)
    yield Claim(
        about=About.KEPT,
        what=f"none of {len(planted)} planted values is in the bytes that the cloud received",
        holds=leaked == 0,
    )


def _answered(outcome: Outcome) -> Iterator[Claim]:
    prompt = outcome.prompt
    if prompt.restored:
        restored = sum(value in outcome.answer for value in prompt.restored)
        yield Claim(
            about=About.RESTORED,
            what=f"{restored} of {len(prompt.restored)} originals are back in the answer",
            holds=restored == len(prompt.restored),
        )
    if prompt.unsaid:
        said = all(value in seen.said for seen in outcome.cloud for value in prompt.unsaid)
        shown = _count(prompt.unsaid, outcome.answer.encode())
        yield Claim(
            about=About.MASKED,
            what=f"the model said {len(prompt.unsaid)} secrets and the user sees none",
            holds=bool(outcome.cloud) and said and shown == 0,
        )


_KINDS = {
    "cloud": ("egress.decision", "egress.outcome"),
    "local": ("egress.decision", "egress.outcome"),
    "nobody": ("request.refused",),
}


def _recorded(outcome: Outcome) -> Iterator[Claim]:
    prompt = outcome.prompt
    kinds = tuple(event.kind for event in outcome.events)
    clean = all(event.code == "" for event in outcome.events) or prompt.goes_to == "nobody"
    yield Claim(
        about=About.RECORDED,
        what=f"the audit log holds {' and '.join(_KINDS[prompt.goes_to])}",
        holds=kinds == _KINDS[prompt.goes_to] and clean,
    )
    data = b"\n".join(map(encode, outcome.events))
    yield Claim(
        about=About.RECORDED,
        what="no planted value is in these events",
        holds=_count((*prompt.planted, *prompt.unsaid), data) == 0,
    )


def check_all(outcomes: Sequence[Outcome], prompts: Sequence[Prompt], folder: Path) -> list[Claim]:
    """Gives the claims about the demo as a whole; `folder` holds the closed audit log's files."""
    planted = [value for prompt in prompts for value in prompt.planted]
    unsaid = [value for prompt in prompts for value in prompt.unsaid]
    seen = [seen.wire for outcome in outcomes for seen in outcome.cloud]
    files = [file.read_bytes() for file in sorted(folder.iterdir())]
    return [
        Claim(
            about=About.KEPT,
            what=(
                f"all {sum(map(len, seen))} bytes that the cloud received hold none of "
                f"{len(planted)} planted values"
            ),
            holds=len(outcomes) == len(prompts) and not _count(planted, b"\n".join(seen)),
        ),
        Claim(
            about=About.RECORDED,
            what=(
                f"all {sum(map(len, files))} bytes of the audit log's files hold none of "
                f"{len(planted) + len(unsaid)} values"
            ),
            holds=any(files) and not sum(_count([*planted, *unsaid], file) for file in files),
        ),
    ]
