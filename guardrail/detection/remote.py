"""A Presidio analyzer reached over HTTP. Every text is sent to it in clear: it must be your own.

Source: https://microsoft.github.io/presidio/api-docs/api-docs.html (`/analyze`,
`/supportedentities`). Offsets are Python's, in code points, like ours.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar

import httpx

from guardrail.detection.labels import BY_NATURE, PRESIDIO
from guardrail.errors import ConfigError
from guardrail.types import Finding, Kind, Span, TextUnit


@dataclass(frozen=True, slots=True, kw_only=True)
class PresidioRecognizer:
    """Finds what a Presidio analyzer finds, in one call per language for all units.

    `labels` maps its entities to ours, `timeout` is in seconds.
    """

    url: str
    languages: tuple[str, ...]
    labels: Mapping[str, str]
    timeout: float
    verify: ssl.SSLContext = field(default_factory=ssl.create_default_context, repr=False)
    light: int = 0
    by_sentence: ClassVar[bool] = True

    @property
    def entities(self) -> frozenset[str]:
        """What the analyzer said it finds, as we call it."""
        return frozenset(self.labels.values())

    @property
    def name(self) -> str:
        """How its findings name it."""
        return "presidio"

    def find(self, unit: TextUnit) -> list[Finding]:
        """Gives what the analyzer finds, in offsets of the unit's text."""
        return self.find_all([unit])[0]

    def find_all(self, units: Sequence[TextUnit]) -> list[list[Finding]]:
        """Gives what the analyzer finds in each unit.

        Raises:
            httpx.HTTPError: it did not answer, or with an error.
            ValueError: its answer is not one.
        """
        found: list[list[Finding]] = [[] for _ in units]
        asked = [(at, unit) for at, unit in enumerate(units) if unit.text]
        for language in self.languages if asked else ():
            body = {
                "text": [unit.text for _, unit in asked],
                "language": language,
                "entities": sorted(self.labels),
            }
            answers = self.ask("POST", "/analyze", json=body)
            if not isinstance(answers, list):
                raise ValueError("the analyzer's answer is not a list")
            for (at, unit), answer in zip(asked, answers, strict=True):
                found[at] += [
                    finding
                    for finding in map(self._finding, answer, [len(unit.text)] * len(answer))
                    if unit.kind is Kind.PROSE or finding.entity not in BY_NATURE
                ]
        return found

    def ask(self, method: str, path: str, **request: Any) -> Any:
        """Gives the analyzer's answer to one request.

        Raises:
            httpx.HTTPError: it did not answer, or with an error.
            ValueError: its answer is not JSON.
        """
        with httpx.Client(
            trust_env=False, follow_redirects=False, timeout=self.timeout, verify=self.verify
        ) as client:
            answer = client.request(method, self.url + path, **request)
            answer.raise_for_status()
            return answer.json()

    def _finding(self, said: Any, length: int) -> Finding:
        entity, score = self.labels[said["entity_type"]], float(said["score"])
        start, end = said["start"], said["end"]
        if not (isinstance(start, int) and isinstance(end, int) and 0 <= start < end <= length):
            raise ValueError("the analyzer found what lies outside of the text")
        if not 0 <= score <= 1:
            raise ValueError("the analyzer gave a score outside of [0, 1]")
        return Finding(entity=entity, span=Span(start, end), score=score, recognizer=self.name)


def load_presidio(
    url: str, *, languages: tuple[str, ...], labels: Mapping[str, str], timeout: float
) -> PresidioRecognizer:
    """Gives the recognizer over the analyzer at an address, which has to answer now.

    Raises:
        ConfigError: the address is not one, or no analyzer answers there in these languages.
    """
    try:
        address = httpx.URL(url)
    except httpx.InvalidURL:
        address = httpx.URL("")
    extra = address.userinfo or address.query or address.fragment
    if extra or address.scheme not in ("http", "https") or not address.host:
        raise ConfigError(["write the address as presidio:http://host:port"])
    recognizer = PresidioRecognizer(
        url=url.rstrip("/"), languages=languages, labels=MappingProxyType({}), timeout=timeout
    )
    known = {**PRESIDIO, **labels}
    meant: dict[str, str] = {}
    try:
        for language in languages:
            said = recognizer.ask("GET", "/supportedentities", params={"language": language})
            for entity in said:
                if ours := known.get(entity, str(entity)):
                    meant[str(entity)] = ours
        ready = PresidioRecognizer(
            url=recognizer.url,
            languages=languages,
            labels=MappingProxyType(meant),
            timeout=timeout,
            verify=recognizer.verify,
        )
        ready.find_all([TextUnit(pointer="", text="x"), TextUnit(pointer="", text="y")])
    except (httpx.HTTPError, ValueError, TypeError, KeyError) as error:
        raise ConfigError(
            [
                f"no Presidio analyzer answers at {address.host}:{address.port or ''} for "
                f"{', '.join(languages)} ({type(error).__name__}); start it, set "
                "detection.languages to what it speaks, and use a version whose /analyze takes a "
                "list of texts"
            ]
        ) from None
    return ready
