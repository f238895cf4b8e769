"""Stand-in model servers: they record the bytes they see, and answer from nothing else.

They speak the OpenAI chat API, whole and streamed. A stream is cut where it hurts most: inside
words, inside placeholders, inside UTF-8 sequences and between `data:` and what it announces.
"""

from __future__ import annotations

import itertools
import json
import re
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from guardrail.cli.terminal import bind


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One request as it arrived: everything on the wire, and the body alone; what was answered."""

    wire: bytes = field(repr=False)
    body: bytes = field(repr=False)
    said: str = field(repr=False)

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The messages of the request."""
        messages: list[dict[str, Any]] = json.loads(self.body)["messages"]
        return messages


class StandIn:
    """A model server that keeps everything it was sent in `seen`, oldest first."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        route = Route("/v1/chat/completions", self._complete, methods=["POST"])
        self.app = Starlette(routes=[route])

    async def _complete(self, request: Request) -> Response:
        body = await request.body()
        asked = json.loads(body)
        said = answer(asked["messages"])
        head = f"{request.method} {unquote(str(request.url))} {request.url}\n".encode()
        headers = b"\n".join(b": ".join(header) for header in request.headers.raw)
        self.seen.append(Seen(wire=head + headers + b"\n\n" + body, body=body, said=said))
        if asked.get("stream"):
            return StreamingResponse(_stream(asked["model"], said), media_type="text/event-stream")
        message = {"role": "assistant", "content": said}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return JSONResponse(_envelope(asked["model"], "chat.completion", choice))


def _envelope(model: str, kind: str, choice: dict[str, Any]) -> dict[str, Any]:
    return {"id": "demo", "object": kind, "created": 0, "model": model, "choices": [choice]}


async def _stream(model: str, said: str) -> AsyncIterator[bytes]:
    for piece in _cut(_events(model, said).encode(), 7, 1, 64, 3, 150, 2):
        yield piece


def _events(model: str, said: str) -> str:
    deltas: list[dict[str, str]] = [{"role": "assistant", "content": ""}]
    deltas += ({"content": piece} for piece in re.findall(r"(?s).{1,3}", said))
    choices: list[dict[str, Any]] = [
        {"index": 0, "delta": delta, "finish_reason": None} for delta in deltas
    ]
    choices.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    events = [
        json.dumps(_envelope(model, "chat.completion.chunk", choice), ensure_ascii=False)
        for choice in choices
    ]
    return "".join(f"data: {event}\n\n" for event in (*events, "[DONE]"))


def _cut(whole: bytes, *sizes: int) -> Iterator[bytes]:
    start = 0
    for size in itertools.cycle(sizes):
        if start >= len(whole):
            return
        yield whole[start : start + size]
        start += size


# ── what a small model might say, from what it sees ──────────────────────────────────────────────

_PLACEHOLDER = re.compile(r"\[([A-Z]+)(?:_[A-Z]+)*_\d+\]")
_REMOVED = re.compile(r"\[[A-Z_]+ REDACTED\]")

_GERMAN = {
    "PERSON": "Name",
    "ADDRESS": "Anschrift",
    "IBAN": "Konto",
    "PHONE": "Telefon",
    "EMAIL": "E-Mail",
}
_ENGLISH = {
    "PERSON": "Name",
    "BIRTHDATE": "Date of birth",
    "RECORD": "Record",
    "SSN": "SSN",
    "PHONE": "Phone",
    "HEALTH": "Diagnosis",
    "MEDICATION": "Medication",
    "EMAIL": "E-mail",
}
_SAMPLE = """\
PAYMENT_PROVIDER=stripe
PAYMENT_API_KEY=mK7vQ2xW9rT4pL8sD3fH
TEST_CARD=4111 1111 1111 1111
CURRENCY=EUR"""


def answer(messages: list[dict[str, Any]]) -> str:
    """Gives a plausible answer to the last message, quoting every placeholder that it holds."""
    content = messages[-1]["content"]
    parts: list[dict[str, Any]] = (
        [{"type": "text", "text": content}] if isinstance(content, str) else content
    )
    text = "\n".join(part["text"] for part in parts if part["type"] == "text")
    pictures = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    german = re.search(r"\b(?:ich|bitte|der|und)\b", text, re.IGNORECASE) is not None
    found = {match[0]: match[1] for match in _PLACEHOLDER.finditer(text)}
    if pictures:
        return _about_pictures(pictures, german=german)
    if ".env" in text:
        return f"Here is a sample to start from:\n\n{_SAMPLE}"
    if found:
        return _letter(found, text, german=german)
    if removed := _REMOVED.findall(text):
        return (
            f"I see {' and '.join(removed)} in place of your credentials, so I cannot tell whether "
            "they are valid. AccessDenied on put_object mostly means that the key's policy lacks "
            "s3:PutObject on this bucket; check that first."
        )
    if "mutex" in text:
        return (
            "A mutex lets one thread at a time into a critical section, and the thread that locked "
            "it unlocks it. A semaphore counts: it lets up to n threads in, and any thread may "
            "release it."
        )
    return f"I read {len(text.split())} words. What would you like to know about them?"


def _letter(found: dict[str, str], text: str, *, german: bool) -> str:
    words = _GERMAN if german else _ENGLISH
    first = next(iter(found))
    rows = "\n".join(
        f"  {words.get(word, word.title())}: {placeholder}" for placeholder, word in found.items()
    )
    if german:
        return (
            f"Guten Tag {first},\n\nvielen Dank für Ihre Nachricht. Wir kümmern uns darum und "
            f"haben aufgenommen:\n{rows}\n\nMit freundlichen Grüßen\nIhr Kundenservice"
        )
    wish = re.search(r"asks? the insurer for (.{1,80}?)\.", text)
    opening = (
        f"To whom it may concern,\n\nplease approve {wish[1]} for {first}."
        if wish
        else f"Dear {first},\n\nthank you for your message."
    )
    return f"{opening} For the record:\n{rows}\n\nSincerely"


def _about_pictures(urls: list[str], *, german: bool) -> str:
    kind, _, data = urls[0].removeprefix("data:").partition(";base64,")
    size = len(data) * 3 // 4
    if german:
        return f"Ich habe ein Bild erhalten ({kind}, {size} Bytes). Es ist grau und ohne Schrift."
    return f"I received a picture ({kind}, {size} bytes). It is grey and holds no writing."


# ── serving on loopback ──────────────────────────────────────────────────────────────────────────


@contextmanager
def listening(app: ASGIApp, *, port: int = 0) -> Iterator[str]:
    """Serves an app on a loopback port in a thread; gives its base URL."""
    with bind("127.0.0.1", port) as listener:
        # The socket listens already, so a client may connect before the server looks.
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        server = uvicorn.Server(
            uvicorn.Config(app, log_config=None, log_level="critical", access_log=False)
        )
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            yield address
        finally:
            server.should_exit = True
            thread.join(timeout=10)
