"""What becomes of a text in one place of a request, and of what a model says: one word for each."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from pathlib import Path
from shutil import copytree
from tempfile import mkdtemp
from types import MappingProxyType
from typing import Any

from leaks_oracle import shows
from leaks_positions import POSITIONS, Position
from leaks_speech import VOICES, Voice, headers
from leaks_world import CHAT, PLANTED, Seen, ask, built, pass_through, usual

from guardrail.config import Built, default_directory
from guardrail.detection.engine import RuleDetector
from guardrail.errors import DetectorUnavailable
from guardrail.live import Live
from guardrail.types import Finding, TextUnit

PIECE = 5
"""Characters of each event of a streamed answer; 0 stands for a whole answer."""

FINE = "ok"
LEAK = "LEAK"
WRONG = "WRONG"
LOCAL = "local"
"""Verdicts, worst last but one; a refusal is `refused` and its status."""


def is_bad(verdict: str) -> bool:
    """Whether somebody would have to mend something."""
    return verdict in (LEAK, WRONG)


# ── requests ─────────────────────────────────────────────────────────────────────────────────────


@cache
def try_position(position: Position, planted: str) -> str:
    """Gives what becomes of a planted value in a position; tried once."""
    value, text = PLANTED[planted]
    seen = ask(position.body(text), path=position.path)
    return judge_request(seen, value)


def judge_request(seen: Seen, value: str) -> str:
    """Gives what became of a value: whether the app got it, and for which model."""
    if seen.sent is None:
        return f"refused {seen.status}" if 400 <= seen.status < 600 else WRONG
    if seen.headers.get(b"x-guardrail-treatment") == b"local":
        return LOCAL if json.loads(seen.sent)["model"] == "llama3" else LEAK
    if seen.reached(value):
        return LEAK
    return FINE if seen.status == 200 else WRONG


def worst(verdicts: Iterable[str]) -> str:
    """Gives one word for several: what is bad if anything is, else all that happened."""
    found = set(verdicts)
    bad = [verdict for verdict in (LEAK, WRONG) if verdict in found]
    return bad[0] if bad else ", ".join(sorted(found))


# ── answers ──────────────────────────────────────────────────────────────────────────────────────

_MASK_ALL = """
@id("house.mask") @title("Answers show nothing personal in clear") @reason("House rule.")
forbid (principal, action == Action::"showClear", resource)
unless { context.category in Category::"none" };
"""


@lru_cache(maxsize=1)
def masking() -> Built:
    """The usual deployment with one rule more: whatever a rule finds in an answer is masked."""
    folder = Path(mkdtemp()) / "policies"
    copytree(default_directory("policies"), folder)
    folder.joinpath("house.cedar").write_text(_MASK_ALL, encoding="utf-8")
    return built(policies={"directory": str(folder)})


@lru_cache(maxsize=1)
def trusting() -> Built:
    """The usual deployment, where the tool `send` is its own."""
    return built(output={"restore_tools": ["send"]})


@lru_cache(maxsize=1)
def broken() -> Built:
    """The usual deployment, where somebody's recognizer fails on every text."""
    found = usual()
    guard = replace(
        found.deployment.guard, detector=RuleDetector(rules=(), recognizers=[_Broken()])
    )
    deployment = replace(found.deployment, guard=guard)
    return replace(found, deployment=deployment, live=Live(deployment))


class _Broken:
    entities = frozenset({"PERSON"})

    def find(self, unit: TextUnit) -> list[Finding]:
        raise DetectorUnavailable("the model server answered 500")


_ASKED = {"chat": "user", "completions": "prompt", "responses": "input", "messages": "text"}
"""Where a prompt stands in each protocol."""
_TOKEN = re.compile(r"\[[A-Z]+_[0-9]+\]")


_FILLER = "lorem ipsum dolor sit amet, consectetur adipisci elit"


def talk(
    voice: Voice,
    prompt: str,
    says: Callable[[str], str],
    *,
    size: int,
    woven: bool = False,
    guarded: Built | None = None,
) -> Seen:
    """Asks with `prompt`; the model makes what it says of the body that reached it.

    `woven`: it streams another output between the pieces of this one.
    """
    beside = (json.dumps({"x": _FILLER}) if voice.tool else _FILLER) if woven else ""
    position = POSITIONS[f"{voice.protocol}: {_ASKED[voice.protocol]}"]
    body = position.body(prompt)
    assert isinstance(body, dict)
    return ask(
        {**body, "stream": bool(size)},
        path=voice.path,
        answer=lambda sent: voice.answer(says(sent.decode()), size=size, beside=beside),
        answer_headers=headers(size),
        guarded=guarded,
    )


_SHOWN_BY_DEFAULT = frozenset({"email", "phone", "iban", "name"})
"""What shipped policies let the one who asked read in an answer."""

_NEVER_SHOWN = ("card", "key")
_SAID = {"name": "Then Erika Mustermann called her. That was all."}
"""What a model says instead of what a user does: no word before the name gives it away."""


def try_new(voice: Voice, *, size: int, prompt: str = "hello", woven: bool = False) -> str:
    """Gives whether data that the model made up, and policy masks, reaches the client."""
    cases = [(usual(), name) for name in _NEVER_SHOWN]
    cases += [(masking(), name) for name in (*_NEVER_SHOWN, *sorted(_SHOWN_BY_DEFAULT))]

    def one(guarded: Built, name: str) -> str:
        value, text = PLANTED[name]
        text = _SAID.get(name, text)
        said = json.dumps({"note": text}) if voice.tool else text
        seen = talk(voice, prompt, lambda _: said, size=size, woven=woven, guarded=guarded)
        if seen.status != 200:
            return f"refused {seen.status}"
        heard = voice.heard(seen.answer, size=size)
        if shows(value, seen.answer, heard):
            return LEAK
        return FINE if "REDACTED]" in heard and seen.ended else WRONG

    return worst(one(guarded, name) for guarded, name in cases)


_OWN = "write to alice@example.com and ring +49 30 901820"


def _quoting(voice: Voice) -> Callable[[str], str]:
    def says(sent: str) -> str:
        tokens = sorted(set(_TOKEN.findall(sent)))
        return json.dumps({"to": tokens}) if voice.tool else f"Done: {' and '.join(tokens)}."

    return says


def try_own(voice: Voice, *, size: int, woven: bool = False) -> str:
    """Gives whether the caller's own values come back in what the model says."""
    seen = talk(voice, _OWN, _quoting(voice), size=size, woven=woven, guarded=trusting())
    heard = voice.heard(seen.answer, size=size)
    if shows("alice@example.com", seen.sent or b""):
        return LEAK
    own = ["alice@example.com", "+49 30 901820"]
    if voice.tool:
        return FINE if json.loads(heard) == {"to": own} else WRONG
    return FINE if heard == f"Done: {' and '.join(own)}." else WRONG


def try_foreign_tool(voice: Voice, *, size: int) -> str:
    """Gives whether a tool that nobody declared gets the caller's own values."""
    seen = talk(voice, _OWN, _quoting(voice), size=size)
    heard = voice.heard(seen.answer, size=size)
    if shows("alice@example.com", seen.answer, heard):
        return LEAK
    return FINE if "[EMAIL_1]" in heard else WRONG


# ── placeholders, people and failures ────────────────────────────────────────────────────────────


def _chat(*contents: str) -> dict[str, Any]:
    spoken = [{"role": "user", "content": content} for content in contents]
    return {"model": "gpt-4o", "messages": spoken}


def _repeat(*contents: str, message: int, size: int, **options: Any) -> tuple[Seen, str]:
    """The model says one message of the request again, as it got it."""
    voice = VOICES["chat: text"]

    def says(sent: bytes) -> Iterator[bytes]:
        content: str = json.loads(sent)["messages"][message]["content"]
        return voice.answer(content, size=size)

    seen = ask(_chat(*contents), answer=says, answer_headers=headers(size), **options)
    return seen, voice.heard(seen.answer, size=size)


def try_two_people(*, size: int) -> str:
    """Gives whether the one of two people is named whom the model quotes."""
    seen, heard = _repeat("I am anna@example.com", "and zoe@example.com", message=0, size=size)
    if shows("anna@example.com", seen.sent or b""):
        return LEAK
    return {"I am anna@example.com": FINE}.get(heard, LEAK if "zoe@" in heard else WRONG)


def try_same_twice(*, size: int) -> str:
    """Gives whether one value has one placeholder."""
    seen, heard = _repeat("from al@example.com to al@example.com", message=0, size=size)
    tokens = _TOKEN.findall((seen.sent or b"").decode())
    right = len(tokens) == 2 and len(set(tokens)) == 1
    return FINE if right and heard == "from al@example.com to al@example.com" else WRONG


def try_literal(*, size: int) -> str:
    """Gives whether what looks like a placeholder, typed by somebody, stays what it is."""
    typed = "print [EMAIL_1] and <EMAIL_ADDRESS_1>"
    _, heard = _repeat("I am anna@example.com", typed, message=1, size=size)
    return FINE if heard == typed else LEAK if "anna" in heard else WRONG


_MANGLED = (r"\[EMAIL\_1\]", "[email_1]", "[Email 1]", "<EMAIL_1>", "&lt;EMAIL_1&gt;", "EMAIL_1")


def try_mangled(*, size: int) -> str:
    """Gives whether a placeholder that the model escaped or re-cased is still restored."""
    voice = VOICES["chat: text"]

    def one(token: str) -> str:
        seen = talk(voice, "I am anna@example.com", lambda _: f"to {token}!", size=size)
        heard = voice.heard(seen.answer, size=size)
        return FINE if heard == "to anna@example.com!" else WRONG

    return worst(map(one, _MANGLED))


def try_many(*, size: int, most: int = 200) -> str:
    """Gives whether each of 200 callers at once gets their own value, and nobody else's."""
    voice = VOICES["chat: text"]

    async def one(number: int) -> str:
        own = f"caller{number}@example.com"
        seen = await pass_through(
            _chat(f"write to {own}"),
            answer=lambda sent: voice.answer("to " + _TOKEN.findall(sent.decode())[0], size=size),
            answer_headers=headers(size),
        )
        if shows(own, seen.sent or b""):
            return LEAK
        heard = voice.heard(seen.answer, size=size)
        return {f"to {own}": FINE}.get(heard, LEAK if "@" in heard else WRONG)

    async def all_() -> list[str]:
        return await asyncio.gather(*map(one, range(most)))

    return worst(asyncio.run(all_()))


def try_dead_detector(*, size: int) -> str:
    """Gives whether anything leaves while a recognizer fails."""
    seen = ask(_chat("write to alice@example.com"), guarded=broken())
    return judge_request(seen, "alice@example.com")


_OFF: tuple[Mapping[str, Any], ...] = (
    {"body": {**_chat("write to alice@example.com"), "guardrails": []}},
    {"body": {**_chat("write to alice@example.com"), "disable_global_guardrails": True}},
    {"headers": ((b"x-guardrail-consents", b"explicit"),)},
    {"headers": ((b"x-guardrail-treatment", b"local"),)},
    {"headers": ((b"x-litellm-disable-guardrails", b"true"),)},
    {"query": b"guardrails=off"},
    {"path": CHAT + "/"},
    {"path": "/health/.." + CHAT},
    {"content_type": b"text/plain"},
    {"content_type": b"application/octet-stream"},
    {"method": "GET"},
)
"""What a caller may try so that the guard looks away."""


def try_off(*, size: int) -> str:
    """Gives whether a caller can switch the guard off."""
    plain = {"body": _chat("write to alice@example.com")}
    seen = [ask(**{**plain, **options}) for options in _OFF]
    return worst(judge_request(one, "alice@example.com") for one in seen)


# ── the table ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One question about an answer. `run` takes `size`, and gives a verdict.

    `peers` says what became of it at each peer, in words; nothing where they were not measured.
    """

    voice: Voice
    name: str
    run: Callable[..., str]
    peers: tuple[str, ...] = ()
    sizes: tuple[int, ...] = (0, PIECE)

    @property
    def id(self) -> str:
        """What tests and reports call it."""
        return f"{self.voice.id}: {self.name}"


NEW = "new data, harmless prompt"
NEW_BESIDE = "new data, personal prompt"
NEW_WOVEN = "new data, woven"
BACK = "own value restored"
BACK_WOVEN = "own value restored, woven"
FOREIGN = "own value, a tool not declared"

_SPOKEN: Mapping[tuple[str, str], tuple[str, ...]] = {
    # at the peers, whole / streamed
    (NEW, "chat: text"): (
        "ok / ok, one chunk (scope both)",
        "ok / ok",
        "ok (switched on) / LEAK",
        "LEAK / LEAK",
    ),
    (NEW_BESIDE, "chat: text"): (
        "ok / ok, one chunk (scope both)",
        "ok / ok",
        "ok (switched on) / LEAK (card)",
        "LEAK / LEAK",
    ),
    (NEW, "chat: tool arguments"): (
        "LEAK / ok (scope both)",
        "ok / LEAK",
        "ok (switched on) / LEAK",
        "LEAK / LEAK",
    ),
    (NEW_BESIDE, "chat: tool arguments"): (
        "LEAK / ok (scope both)",
        "ok / LEAK",
        "ok (switched on) / LEAK (card)",
        "LEAK / LEAK",
    ),
    (BACK, "chat: text"): ("ok (scope input)", "one-way", "ok / ok", "ok / ok"),
    (BACK, "chat: tool arguments"): ("WRONG / ok", "one-way", "ok / ok", "ok / ok"),
}


@cache
def try_probe(probe: Probe, size: int) -> str:
    """Gives a probe's verdict on a whole answer (0) or one in pieces; tried once."""
    return probe.run(size=size)


def _probes() -> Iterator[Probe]:
    for voice in VOICES.values():
        runs: dict[str, Callable[..., str]] = {
            NEW: partial(try_new, voice),
            NEW_BESIDE: partial(try_new, voice, prompt="write to bob@example.org"),
            NEW_WOVEN: partial(try_new, voice, woven=True),
        }
        if not voice.signed:
            runs[BACK] = partial(try_own, voice)
            runs[BACK_WOVEN] = partial(try_own, voice, woven=True)
        if voice.tool:
            runs[FOREIGN] = partial(try_foreign_tool, voice)
        for name, run in runs.items():
            peers = _SPOKEN.get((name, voice.id), ())
            yield Probe(
                voice=voice,
                name=name,
                run=run,
                peers=peers,
                sizes=_STREAMED if name in (NEW_WOVEN, BACK_WOVEN) else _BOTH,
            )
    for name, (run, peers, sizes) in _SINGLE.items():
        yield Probe(voice=VOICES["chat: text"], name=name, run=run, peers=peers, sizes=sizes)


_BOTH = (0, PIECE)
_ONCE = (0,)
_STREAMED = (PIECE,)
_SINGLE: Mapping[str, tuple[Callable[..., str], tuple[str, ...], tuple[int, ...]]] = {
    # name: (run, the peers, sizes)
    "two e-mails in two messages, the first quoted": (
        try_two_people,
        ("WRONG person", "one-way", "ok", "ok"),
        _BOTH,
    ),
    "one value twice: one placeholder": (
        try_same_twice,
        ("WRONG (two)", "one-way", "ok", "ok"),
        _BOTH,
    ),
    "a placeholder typed by the user": (
        try_literal,
        ("LEAK (another's e-mail)", "ok", "ok", "ok"),
        _BOTH,
    ),
    "a placeholder that the model escapes or re-cases": (
        try_mangled,
        ("WRONG (not restored)", "one-way", "ok", "WRONG (not restored)"),
        _BOTH,
    ),
    "200 callers at once, each with an e-mail": (
        try_many,
        ("ok", "one-way", "ok", "ok"),
        _BOTH,
    ),
    "a detector that fails": (
        try_dead_detector,
        ("LEAK (basic configuration)", "in process", "in process", "in process"),
        _ONCE,
    ),
    "a caller who tries to switch the guard off": (
        try_off,
        ("ok", "ok", "ok", "refused"),
        _ONCE,
    ),
}

PROBES: Mapping[str, Probe] = MappingProxyType({probe.id: probe for probe in _probes()})
"""By id, in the order in which they are reported."""
