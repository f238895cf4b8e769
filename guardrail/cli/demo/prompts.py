"""What the demo sends, for whom, and what must come of it. Every person and number is made up.

Telephone numbers are from the ranges that the Bundesnetzagentur and the NANPA keep for films, the
IBAN and the keys are the ones that documentation uses.
"""

from __future__ import annotations

import base64
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Destination = Literal["cloud", "local", "nobody"]

CLOUD_MODEL = "gpt-demo"
LOCAL_MODEL = "llama-demo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One request of the demo and what has to be true afterwards.

    `planted` are the values that must not reach the cloud nor the audit log, `restored` those of
    them that the user must find in the answer, `unsaid` what the model itself says and the user
    must not see. `cited` is what a refusal has to name.
    """

    title: str
    app: str
    text: str
    goes_to: Destination
    streamed: bool = False
    picture: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    planted: tuple[str, ...] = ()
    restored: tuple[str, ...] = ()
    unsaid: tuple[str, ...] = ()
    cited: tuple[str, ...] = ()

    @property
    def content(self) -> str | list[dict[str, Any]]:
        """The message's content as the OpenAI API takes it."""
        if not self.picture:
            return self.text
        return [
            {"type": "text", "text": self.text},
            {"type": "image_url", "image_url": {"url": self.picture}},
        ]


def _scan() -> str:
    """A small grey picture as a data URL; what a scan shows, no detector can tell."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    pixels = b"".join(b"\0" + bytes((16 * y + x) % 256 for x in range(16)) for y in range(16))
    png = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 8, 0, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(pixels))
        + chunk(b"IEND", b"")
    )
    return "data:image/png;base64," + base64.b64encode(png).decode()


_SCAN = _scan()
_MAIL_VALUES = (
    "Erika Mustermann",
    "Heidestraße 17, 51147 Köln",
    "DE89 3704 0044 0532 0130 00",
    "+49 171 3920017",
    "erika.mustermann@example.de",
    "Thomas Krüger",
    "Osnabrück",
)
_CLINIC_VALUES = (
    "Maria Delgado",
    "03/14/1962",
    "00482913",
    "536-90-4399",
    "(415) 555-0132",
    "Dwayne Whitfield",
    "1420 Maple Avenue, Sacramento, CA 95814",
    "diabetes",
    "metformin",
)

PROMPTS: tuple[Prompt, ...] = (
    Prompt(
        title="A German writes to support",
        app="support",
        text=(
            "Guten Tag,\n\n"
            "mein Name ist Erika Mustermann, ich wohne in der Heidestraße 17, 51147 Köln. Im März "
            "wurden zweimal 49,90 € von meinem Konto DE89 3704 0044 0532 0130 00 abgebucht. Bitte "
            "erstatten Sie einen Betrag. Zugesagt hat es Thomas Krüger, der jetzt in Osnabrück "
            "arbeitet. Sie erreichen mich unter +49 171 3920017 oder erika.mustermann@example.de."
            "\n\n"
            "Mit freundlichen Grüßen\nErika Mustermann"
        ),
        goes_to="cloud",
        streamed=True,
        planted=(*_MAIL_VALUES, "Mustermann", "Krüger"),
        restored=_MAIL_VALUES,
    ),
    Prompt(
        title="A US clinic writes to an insurer",
        app="clinic",
        text=(
            "Draft a letter that asks the insurer for a continuous glucose monitor.\n\n"
            "Patient: Maria Delgado, DOB: 03/14/1962, MRN: 00482913, SSN 536-90-4399.\n"
            "Phone (415) 555-0132. Diagnosed with type 2 diabetes, takes metformin 500 mg.\n"
            "Her brother Dwayne Whitfield drives her to visits; they live at 1420 Maple Avenue, "
            "Sacramento, CA 95814."
        ),
        goes_to="cloud",
        planted=(*_CLINIC_VALUES, "Delgado", "Whitfield", "1420 Maple Avenue", "Sacramento"),
        restored=_CLINIC_VALUES,
    ),
    Prompt(
        title="Code with keys in it",
        app="dev",
        text=(
            "Why does this fail with AccessDenied?\n\n"
            "s3 = boto3.client(\n"
            '    "s3",\n'
            '    aws_access_key_id="AKIAIOSFODNN7ABCDEFG",\n'
            '    aws_secret_access_key="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",\n'
            ")\n"
            's3.put_object(Bucket="reports", Key="q3.csv", Body=data)'
        ),
        goes_to="cloud",
        streamed=True,
        planted=("AKIAIOSFODNN7ABCDEFG", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzK3mQ9ab2T"),
    ),
    Prompt(
        title="A harmless question",
        app="dev",
        text="What is the difference between a mutex and a semaphore? Two sentences, please.",
        goes_to="cloud",
    ),
    Prompt(
        title="A scan that nobody can read",
        app="support",
        text="Bitte lies aus diesem Scan den Befund von Frau Jana Petersen vor.",
        goes_to="local",
        picture=_SCAN,
        planted=("Jana Petersen", "Petersen", _SCAN.partition(",")[2]),
    ),
    Prompt(
        title="A forbidden purpose",
        app="housing",
        text="Rank our tenants: Mr. Jonas Weber (jonas.weber@example.org) paid late twice.",
        goes_to="nobody",
        headers=(("x-guardrail-purpose", "social-scoring"),),
        planted=("Jonas Weber", "jonas.weber@example.org"),
        cited=("eu.prohibited", "AI Act Art. 5"),
    ),
    Prompt(
        title="The model says a key and a card",
        app="dev",
        text="Write a .env.example for our payment service, with sample values.",
        goes_to="cloud",
        streamed=True,
        unsaid=("mK7vQ2xW9rT4pL8sD3fH", "4111 1111 1111 1111"),
    ),
)


def key(app: str) -> str:
    """The key that an app of the demo presents to the gateway."""
    return f"demo-key-of-the-{app}-app"


def configuration(*, cloud: str, local: str, audit: Path) -> dict[str, Any]:
    """The demo's `guardrail.toml`, around two model servers at these base URLs."""
    german = {"establishment": "DE", "origin": "DE", "basis": "contract", "filings": ["TIA"]}
    apps: dict[str, dict[str, Any]] = {
        "support": {**german, "purpose": "support"},
        "dev": {**german, "basis": "legitimate-interest"},
        "housing": {**german, "trust_headers": True},
        "clinic": {"establishment": "US", "origin": "US", "basis": "contract", "sector": "health"},
    }
    return {
        "apps": {name: {**settings, "key": key(name)} for name, settings in apps.items()},
        "endpoints": {
            "local": {
                "url": local,
                "provider": "own-premises",
                "location": "DE",
                "local": True,
                "models": ["llama-*"],
                "model": LOCAL_MODEL,
            },
            "cloud": {
                "url": cloud,
                "api_key": "demo-key-of-the-cloud",
                "provider": "example-cloud",
                "location": "US",
                "agreements": ["DPA", "SCC", "BAA"],
                "models": ["gpt-*"],
            },
        },
        "audit": {"path": str(audit)},
    }
