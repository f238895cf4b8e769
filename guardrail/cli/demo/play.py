"""Runs the demo: two stand-in models, the real gateway, real sockets and the real OpenAI SDK."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from guardrail.asgi.gateway import Gateway
from guardrail.audit.stores.sqlite import SqliteStore
from guardrail.cli.demo.prompts import CLOUD_MODEL, PROMPTS, Prompt, configuration, key
from guardrail.cli.demo.standins import Seen, StandIn, listening
from guardrail.config import build, load_config
from guardrail.types import AuditEvent, Reason

_HEADER = "x-guardrail-exchange"
_SETTINGS = "GUARDRAIL_"


class SdkMissing(Exception):
    """The `openai` package, through which the demo speaks, is not installed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What is up and running: the gateway's base URL, and what stands behind it."""

    url: str
    cloud: StandIn
    local: StandIn
    reasons: Mapping[str, Reason]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one prompt: what each side saw, what the user got, what was recorded.

    `reasons` are the policies that decided, in the order of the audit event.
    """

    prompt: Prompt
    status: int
    answer: str
    cloud: tuple[Seen, ...]
    local: tuple[Seen, ...]
    events: tuple[AuditEvent, ...]
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class _Said:
    status: int
    text: str
    exchange: str


def load_sdk() -> ModuleType:
    """Gives the `openai` package, of whichever version is installed.

    Raises:
        SdkMissing: there is none.
    """
    try:
        return importlib.import_module("openai")
    except ImportError:
        raise SdkMissing from None


@contextmanager
def world(audit: Path, *, port: int = 0) -> Iterator[World]:
    """Starts the stand-ins and the gateway; stops them, and closes the audit log, at the end."""
    cloud, local = StandIn(), StandIn()
    with listening(cloud.app) as cloud_url, listening(local.app) as local_url:
        with _own_settings():
            config = load_config(configuration(cloud=cloud_url, local=local_url, audit=audit))
        with closing(build(config)) as built, listening(Gateway(built), port=port) as url:
            reasons = built.deployment.guard.policies.reasons
            yield World(url=url, cloud=cloud, local=local, reasons=reasons)


@contextmanager
def _own_settings() -> Iterator[None]:
    """Keeps the settings of a real deployment, which the environment may hold, out of the demo."""
    held = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(_SETTINGS)}
    try:
        yield
    finally:
        os.environ.update(held)


def run(sdk: ModuleType, audit: Path, *, port: int = 0) -> list[Outcome]:
    """Sends every prompt and gives what came of each, once everything has stopped."""
    said: list[tuple[Prompt, _Said, tuple[Seen, ...], tuple[Seen, ...]]] = []
    with world(audit, port=port) as here:
        for prompt in PROMPTS:
            cloud_before, local_before = len(here.cloud.seen), len(here.local.seen)
            heard = _ask(sdk, here.url, prompt)
            cloud, local = here.cloud.seen[cloud_before:], here.local.seen[local_before:]
            said.append((prompt, heard, tuple(cloud), tuple(local)))
        reasons = here.reasons
    # The last event of a stream is recorded after its last byte, so the log is read at the end.
    with closing(SqliteStore(audit)) as store:
        recorded = [event for _, event in store.read(limit=1000)]
    outcomes = []
    for prompt, heard, cloud_saw, local_saw in said:
        events = tuple(event for event in recorded if event.exchange == heard.exchange)
        decided = events[0].policies if events else ()
        outcomes.append(
            Outcome(
                prompt=prompt,
                status=heard.status,
                answer=heard.text,
                cloud=cloud_saw,
                local=local_saw,
                events=events,
                reasons=tuple(reasons[policy] for policy in decided),
            )
        )
    return outcomes


def _ask(sdk: ModuleType, url: str, prompt: Prompt) -> _Said:
    # A proxy of the environment is for the way out, and nothing here goes out.
    http = sdk.DefaultHttpxClient(trust_env=False)
    with sdk.OpenAI(
        base_url=url, api_key=key(prompt.app), max_retries=0, timeout=20.0, http_client=http
    ) as client:
        try:
            response = client.chat.completions.with_raw_response.create(
                model=CLOUD_MODEL,
                messages=[{"role": "user", "content": prompt.content}],
                stream=prompt.streamed,
                extra_headers=dict(prompt.headers),
            )
            answer: Any = response.parse()
            text = _joined(answer) if prompt.streamed else answer.choices[0].message.content
            return _Said(response.status_code, text, response.headers.get(_HEADER, ""))
        except sdk.APIStatusError as error:
            failed = error.response
            return _Said(error.status_code, failed.text, failed.headers.get(_HEADER, ""))
        except sdk.APIError as error:  # no answer, or one that breaks off
            return _Said(0, type(error).__name__, "")


def _joined(chunks: Any) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
