"""Plants a canary in each surface of the catalogue and looks for it in what comes out.

A canary is an address that nobody else could have written, one a surface. Many travel in one
payload. Where a payload is refused, its halves are sent instead, until one canary is refused alone:
so one refusal hides nothing else.
"""

from __future__ import annotations

import base64
import json
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from exchange_world import (
    CLOUD,
    ENDED,
    JSON,
    NDJSON,
    POLICIES,
    SSE,
    deployment,
    guard,
    open_exchange,
    policies_with,
    post,
    started,
    tell,
)
from surfaces_catalogue import (
    ANY,
    BYTES,
    INTEGERS,
    KEY,
    Place,
    Section,
    Steps,
    Surface,
    is_variant,
    surfaces,
    variant,
)

from guardrail.exchange import ChunkReceived, Deployment, Door, Exchange, Reply, RequestReceived
from guardrail.protocols.maps import GENERIC, load_protocols
from guardrail.routing.routes import Route
from guardrail.transform.vault import Vault

_CANARY = re.compile(rb"canary(\d+)x")
Shape: TypeAlias = Callable[[str], str]


def plain(canary: str) -> str:
    """A string that is the canary and nothing else."""
    return canary


def spaced(canary: str) -> str:
    """A string that others may be joined to."""
    return f" {canary} "


def inside(canary: str) -> str:
    """A string that is JSON which holds the canary."""
    return json.dumps({"note": canary})


def whole(steps: Steps) -> Steps:
    """A path with every variant on the way."""
    return steps


def wire(steps: Steps) -> Steps:
    """A path without variants, as a protocol map spells it."""
    return tuple(step for step in steps if not is_variant(step))


def nearest(steps: Steps) -> Steps:
    """A path without variants, and its last one: maps know kinds of events."""
    return (*wire(steps), *[step for step in steps if is_variant(step)][-1:])


@dataclass(frozen=True, slots=True)
class Plant:
    """A canary: where it is planted, as what, and what gives it away."""

    surface: Surface
    steps: Steps
    value: object
    needle: bytes


def plant(
    root: Place,
    *,
    shape: Shape = plain,
    direction: str = "request",
    alike: Callable[[Steps], Steps] = whole,
) -> list[Plant]:
    """Gives a canary for each surface of a section, and for each way to hold one there.

    Paths that are `alike` share one.
    """
    plants: list[Plant] = []
    done: set[tuple[Steps, _Sow]] = set()
    for surface in surfaces(root):
        for sow in _ways(surface.kind, direction):
            key = (alike(surface.steps), sow)
            if key not in done:
                done.add(key)
                plants.append(sow(surface, f"canary{len(plants)}x", shape))
    return plants


def _address(name: str) -> str:
    return f"{name}@example.com"


def _sow_text(surface: Surface, name: str, shape: Shape) -> Plant:
    return Plant(surface, surface.steps, shape(_address(name)), name.encode())


def _sow_key(surface: Surface, name: str, shape: Shape) -> Plant:
    return Plant(surface, (*surface.steps, _address(name)), True, name.encode())


def _sow_deep(surface: Surface, name: str, shape: Shape) -> Plant:
    steps = (*surface.steps, "deep", "[]", "note")
    return Plant(surface, steps, shape(_address(name)), name.encode())


def _sow_base64(surface: Surface, name: str, shape: Shape) -> Plant:
    value = base64.b64encode(f"write to {_address(name)} today".encode()).decode()
    return Plant(surface, surface.steps, value, value.encode())


def _sow_integers(surface: Surface, name: str, shape: Shape) -> Plant:
    tokens = [100 + int(digit) for digit in name[6:-1].zfill(9)]
    return Plant(surface, surface.steps, tokens, ",".join(map(str, tokens)).encode())


_Sow: TypeAlias = Callable[[Surface, str, Shape], Plant]


def _ways(kind: str, direction: str) -> tuple[_Sow, ...]:
    known = _WAYS if direction == "request" else _WAYS_OF_ANSWERS
    return known.get(kind, (_sow_text,))


_WAYS: Mapping[str, tuple[_Sow, ...]] = {
    KEY: (_sow_key,),
    ANY: (_sow_text, _sow_key, _sow_deep),
    BYTES: (_sow_text, _sow_base64),
    INTEGERS: (_sow_integers,),
}
_WAYS_OF_ANSWERS: Mapping[str, tuple[_Sow, ...]] = {
    **_WAYS,
    BYTES: (_sow_text,),  # what a model encoded is not read
    INTEGERS: (),  # an answer's numbers are the model's own
}


# ── payloads ─────────────────────────────────────────────────────────────────────────────────────

Payload: TypeAlias = dict[str, Any]


def payloads(plants: Iterable[Plant]) -> list[Payload]:
    """Gives as few payloads as hold all plants, each in an object of its variant."""
    grown: list[Payload] = []
    for one in plants:
        if not any(_join(payload, one.steps, one.value) for payload in grown):
            grown.append(_grow(one.steps, one.value))
    return grown


def write(plants: Iterable[Plant]) -> list[bytes]:
    """Gives the JSON of as few payloads as hold all plants, as `Plant.needle` is written."""
    return [json.dumps(payload, separators=(",", ":")).encode() for payload in payloads(plants)]


def _grow(steps: Steps, value: object) -> Any:
    """The least that has a value at these steps."""
    if not steps:
        return value
    step, rest = steps[0], steps[1:]
    if step == "[]":
        return [_grow(rest, value)]
    if is_variant(step):
        name, words = variant(step)
        return {name: words.split("|")[0]} | (_grow(rest, value) if rest else {})
    return {_key(step): _grow(rest, value)}


def _key(step: str) -> str:
    return "any" if step == "*" else step


def _join(value: Any, steps: Steps, new: object) -> bool:
    """Puts a value into what has grown; False where something else stands in its way."""
    if not steps:
        return False
    step, rest = steps[0], steps[1:]
    if step == "[]":
        if not isinstance(value, list):
            return False
        if not any(_join(element, rest, new) for element in value):
            value.append(_grow(rest, new))
        return True
    if not isinstance(value, dict):
        return False
    if is_variant(step):
        name, words = variant(step)
        if rest == (name,) or value.get(name) != words.split("|")[0]:
            return False  # a variant's own field, planted, makes an object of no variant
        return _join(value, rest, new)
    key = _key(step)
    if key in value:
        return _join(value[key], rest, new)
    value[key] = _grow(rest, new)
    return True


_BOUNDARY = "a-form-of-canaries"


def form(plants: Iterable[Plant]) -> bytes:
    """Gives a multipart form that holds all plants; bytes are a file."""
    parts = []
    for one in plants:
        name = _form_name(one.steps)
        if isinstance(one.value, list):
            parts += [(f'name="{name}[]"', str(item)) for item in one.value]
        elif one.surface.kind == BYTES and one.value is not True:
            parts.append((f'name="{name}"; filename="a.bin"', str(one.value)))
        else:
            parts.append((f'name="{name}"', str(one.value)))
    lines = [
        f"--{_BOUNDARY}\r\nContent-Disposition: form-data; {head}\r\n\r\n{text}\r\n"
        for head, text in parts
    ]
    return "".join([*lines, f"--{_BOUNDARY}--\r\n"]).encode()


def _form_name(steps: Steps) -> str:
    """How a form names a field inside a field: `chunking_strategy[type]`."""
    first, *rest = [_key(step) for step in steps if not is_variant(step)]
    return first + "".join("[]" if step == "[]" else f"[{step}]" for step in rest)


# ── what becomes of them ─────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a payload went nowhere."""

    reason: str


@dataclass(slots=True, kw_only=True)
class Fate:
    """What became of a section's canaries."""

    planted: int = 0
    sent: int = 0
    survivors: list[Plant] = field(default_factory=list)
    refused: list[tuple[Plant, str]] = field(default_factory=list)


Send: TypeAlias = Callable[[Sequence[Plant]], "bytes | Refused"]


def release(plants: Sequence[Plant], send: Send) -> Fate:
    """Sends plants, at best all at once, and gives what became of each."""
    fate = Fate(planted=len(plants))
    waiting = [plants] if plants else []
    while waiting:
        flock = waiting.pop()
        fate.sent += 1
        out = send(flock)
        if not isinstance(out, Refused):
            fate.survivors += _survivors(flock, out)
        elif len(flock) == 1:
            fate.refused.append((flock[0], out.reason))
        else:
            half = len(flock) // 2
            waiting += [flock[half:], flock[:half]]
    return fate


def _survivors(plants: Sequence[Plant], out: bytes) -> Iterator[Plant]:
    seen = {match[0] for match in _CANARY.finditer(out)}
    for one in plants:
        named = _CANARY.fullmatch(one.needle)
        if one.needle in (seen if named else out):
            yield one


# ── requests ─────────────────────────────────────────────────────────────────────────────────────


def guarded(policies: Path = POLICIES, *, route: Route = CLOUD) -> Deployment:
    """A deployment with one endpoint: in the cloud, what is not protected has to be refused."""
    return deployment(routes=(route,), guard=guard(policies, (route,)))


def ask(deployed: Deployment, section: Section, plants: Sequence[Plant]) -> bytes | Refused:
    """The bytes that leave for the endpoint, of all the payloads that hold these plants."""
    if section.form:
        typed = (b"content-type", f"multipart/form-data; boundary={_BOUNDARY}".encode())
        bodies = [form(plants)]
    else:
        typed = JSON
        bodies = write(plants)
    out = b""
    for body in bodies:
        story = tell(_exchange(deployed), post(body, path=section.operation, headers=(typed,)))
        if not story.forwards:
            return Refused(_reason(story.reply, story.records[-1].counts))
        out += story.forwarded
    return out


def _exchange(deployed: Deployment, *, known: Iterable[str] = ()) -> Exchange:
    vault = Vault()
    for original in known:
        vault.allocate(entity="EMAIL_ADDRESS", word="EMAIL", original=original)
    return open_exchange(deployed, door=Door.TRANSPORT, target=deployed.routes[0], vault=vault)


_UNREADABLE = {"MEDIA": "media", "REMOTE_REFERENCE": "reference", "TOKENS": "tokens"}


def _reason(reply: Reply, counts: Mapping[str, int]) -> str:
    code = dict(reply.headers)[b"x-guardrail-code"].decode()
    if code == "personal_data_in_structure":
        return "structure"
    return next((_UNREADABLE[entity] for entity in counts if entity in _UNREADABLE), code)


# ── answers ──────────────────────────────────────────────────────────────────────────────────────

HIDE = """
@id("house.contact.hidden") @title("Answers show no address") @reason("Test.")
forbid (principal, action == Action::"showClear", resource)
when { context.category in Category::"contact" };
"""


def hiding(folder: Path) -> Deployment:
    """A deployment whose answers show no address to anybody."""
    return guarded(policies_with(folder, {"house.cedar": HIDE}))


def answer(
    deployed: Deployment,
    protocol: str,
    section: Section,
    plants: Sequence[Plant],
    *,
    known: Sequence[str] = (),
) -> bytes | Refused:
    """The bytes that a client gets of an answer, or of a stream of events, with these plants.

    `known` are addresses that the conversation has placeholders for.
    """
    bodies = write(plants)
    if section.direction == "event":
        typed, framed = _framed(protocol, bodies)
        return _answered(deployed, protocol, section, typed, framed, known=known)
    out = b""
    for body in bodies:
        got = _answered(deployed, protocol, section, JSON, [body], known=known)
        if isinstance(got, Refused):
            return got
        out += got
    return out


def answer_cut(
    deployed: Deployment, protocol: str, section: Section, plants: Sequence[Plant], *, after: int
) -> bytes | Refused:
    """What a client puts together of events that each hold a part of their canaries.

    Each canary is cut so many characters after its `@`.
    """
    heads, tails = zip(*(_cut(one, after) for one in plants), strict=True)
    events = [event for pair in zip(write(heads), write(tails), strict=True) for event in pair]
    typed, framed = _framed(protocol, events)
    got = _answered(deployed, protocol, section, typed, framed)
    if isinstance(got, Refused):
        return got
    read = [json.loads(line.removeprefix(b"data: ")) for line in got.splitlines() if line]
    joined = [
        head.get(path, "") + tail.get(path, "")
        for head, tail in zip(map(_texts, read[::2]), map(_texts, read[1::2]), strict=True)
        for path in {*head, *tail}
    ]
    return "\n".join(joined).encode()


def _cut(one: Plant, after: int) -> tuple[Plant, Plant]:
    value = str(one.value)
    at = value.index("@") + after
    return replace(one, value=value[:at]), replace(one, value=value[at:])


def _texts(payload: object, path: tuple[str | int, ...] = ()) -> dict[tuple[str | int, ...], str]:
    if isinstance(payload, str):
        return {path: payload}
    inner: Iterable[tuple[str | int, object]] = (
        payload.items()
        if isinstance(payload, dict)
        else enumerate(payload)
        if isinstance(payload, list)
        else ()
    )
    return {p: text for key, value in inner for p, text in _texts(value, (*path, key)).items()}


def _framed(protocol: str, events: Iterable[bytes]) -> tuple[tuple[bytes, bytes], list[bytes]]:
    """How a protocol streams: the header that says so, and the events' bytes."""
    if protocol.startswith(_LINES):
        return NDJSON, [event + b"\n" for event in events]
    return SSE, [b"data: " + event + b"\n\n" for event in events]


_LINES = ("ollama.", "anthropic.batches")
"""Protocols that stream one JSON value a line."""


def _answered(
    deployed: Deployment,
    protocol: str,
    section: Section,
    typed: tuple[bytes, bytes],
    chunks: Sequence[bytes],
    *,
    known: Sequence[str] = (),
) -> bytes | Refused:
    exchange = _exchange(deployed, known=known)
    story = tell(exchange, _greeting(protocol, section), started(typed))
    assert story.forwards, story.lines
    story = tell(exchange, *map(ChunkReceived, chunks), ENDED)
    codes = [record.code for record in story.records if record.code]
    return Refused(codes[0]) if codes else story.answer


def _greeting(protocol: str, section: Section) -> RequestReceived:
    """A request of a protocol in which there is nothing personal."""
    known = load_protocols().get(protocol)
    body = {"model": "gpt-5"} | dict.fromkeys(known.shape if known else (), "hello")
    return post(json.dumps(body).encode(), path=section.operation)


def is_mapped(protocol: str, section: Section) -> bool:
    """Whether a protocol map, and not the generic one, reads an operation."""
    story = tell(_exchange(guarded()), _greeting(protocol, section))
    return story.records[0].protocol != GENERIC.name


ORIGINAL = "alice@example.org"
"""What a user said, and a placeholder stands for."""


def named(canary: str) -> str:
    """A string in which a model names the user's address."""
    return f" {canary} [EMAIL_1] "


def named_inside(canary: str) -> str:
    """The same, in a string that is JSON."""
    return json.dumps({"note": named(canary)})


def restored(
    deployed: Deployment, protocol: str, section: Section, plants: Sequence[Plant]
) -> Fate:
    """What becomes of plants that name an original: one survives where the original is put back."""

    def send(flock: Sequence[Plant]) -> bytes | Refused:
        got = answer(deployed, protocol, section, flock, known=(ORIGINAL,))
        return got if isinstance(got, Refused) else b" ".join(_PUT_BACK.findall(got))

    return release(plants, send)


_PUT_BACK = re.compile(rb"canary\d+x(?=@example\.com " + ORIGINAL.encode() + rb")")


def follow(
    deployed: Deployment,
    protocol: str,
    section: Section,
    root: Place,
    *,
    shape: Shape = plain,
    alike: Callable[[Steps], Steps] | None = None,
) -> Fate:
    """What becomes of the canaries of a section: one for all places that its map reads alike."""
    usual = nearest if section.direction == "event" else wire
    plants = plant(root, shape=shape, direction=section.direction, alike=alike or usual)
    if section.direction == "request":
        return release(plants, partial(ask, deployed, section))
    return release(plants, partial(answer, deployed, protocol, section))


# ── what was reviewed ────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewed:
    """A surface whose canary may come out, and why; `*` in a path stands for anything."""

    protocol: str
    direction: str
    path: str
    reason: str

    def covers(self, protocol: str, section: Section, surface: Surface) -> bool:
        """Whether this row speaks of a surface."""
        pattern = re.escape(self.path).replace(r"\*", ".*")
        return (self.protocol, self.direction) == (protocol, section.direction) and (
            re.fullmatch(pattern, str(surface)) is not None
        )


def load_reviewed(file: Path = Path(__file__).parent / "survivors.toml") -> tuple[Reviewed, ...]:
    """Gives the reviewed survivors."""
    rows = tomllib.loads(file.read_text("utf-8")).get("survivor", [])
    return tuple(Reviewed(**row) for row in rows)
