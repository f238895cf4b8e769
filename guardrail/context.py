"""Who is asking, from where, and why (the PIP): an app's settings, narrowed by trusted headers.

A caller that is not trusted cannot say anything about its own request: facts that policies judge
come from the configuration alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from guardrail.errors import Refusal
from guardrail.types import Principal, RequestContext

PREFIX = "x-guardrail-"
"""Headers that speak to guardrail; none of them is ever forwarded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """One calling application: the principal, and the facts that hold unless a header says more.

    `trust_headers`: the app itself, not its users, sets the `x-guardrail-*` headers.
    """

    principal: Principal
    purpose: str
    basis: str
    origin: str
    consents: frozenset[str] = frozenset()
    filings: frozenset[str] = frozenset()
    trust_headers: bool = False


_CONVERSATION = re.compile(r"[A-Za-z0-9_-]{8,128}")
_ORIGIN = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?")
_KNOWN = frozenset({"purpose", "basis", "origin", "consents", "filings", "age", "conversation"})


def derive_context(
    app: App,
    *,
    headers: Iterable[tuple[str, str]],
    vocabulary: Mapping[str, frozenset[str]],
    exchange: str,
    now: datetime,
) -> RequestContext:
    """Gives the context of one request.

    `headers` are pairs with lower-case names; `vocabulary` lists the words of `purpose`, `basis`,
    `consent` and `filing`. Without a conversation header every exchange is its own conversation.

    Raises:
        Refusal: 400 `untrusted_header` or `invalid_header`; the message names the header and the
            words it may hold, never what it held.
    """
    pairs = [(k.removeprefix(PREFIX), v) for k, v in headers if k.startswith(PREFIX)]
    said = dict(pairs)
    if said and not app.trust_headers:
        name = min(said)
        raise Refusal(
            400,
            "untrusted_header",
            f"the header {PREFIX}{name if name in _KNOWN else '…'} is accepted only from an app "
            "with trust_headers = true",
        )
    if said.keys() - _KNOWN:
        allowed = ", ".join(PREFIX + name for name in sorted(_KNOWN))
        raise Refusal(400, "invalid_header", f"unknown header; guardrail reads {allowed}")
    if len(said) < len(pairs):
        raise Refusal(400, "ambiguous_header", f"an {PREFIX}… header came twice")
    return RequestContext(
        exchange=exchange,
        principal=app.principal,
        purpose=_word(said, "purpose", vocabulary["purpose"], app.purpose),
        basis=_word(said, "basis", vocabulary["basis"], app.basis),
        origin=_matching(said, "origin", _ORIGIN, "an ISO 3166 code such as DE", app.origin),
        consents=_words(said, "consents", vocabulary["consent"], app.consents),
        filings=_words(said, "filings", vocabulary["filing"], app.filings),
        age=_age(said),
        conversation=_matching(
            said, "conversation", _CONVERSATION, "8 to 128 of A-Z a-z 0-9 _ -", exchange
        ),
        now=now,
    )


def _matching(
    said: Mapping[str, str], name: str, form: re.Pattern[str], expected: str, default: str
) -> str:
    value = said.get(name, default)
    if name in said and not form.fullmatch(value):
        raise Refusal(400, "invalid_header", f"{PREFIX}{name} must be {expected}")
    return value


def _word(said: Mapping[str, str], name: str, words: frozenset[str], default: str) -> str:
    value = said.get(name, default)
    if value not in words:
        raise _not_one_of(name, words)
    return value


def _words(
    said: Mapping[str, str], name: str, words: frozenset[str], default: frozenset[str]
) -> frozenset[str]:
    if name not in said:
        return default
    values = frozenset(filter(None, (value.strip() for value in said[name].split(","))))
    if values - words:
        raise _not_one_of(name, words)
    return values


def _not_one_of(name: str, words: frozenset[str]) -> Refusal:
    return Refusal(
        400, "invalid_header", f"{PREFIX}{name} must be one of: {', '.join(sorted(words))}"
    )


def _age(said: Mapping[str, str]) -> int | None:
    if "age" not in said:
        return None
    if not (said["age"].isascii() and said["age"].isdigit() and len(said["age"]) <= 3):
        raise Refusal(400, "invalid_header", f"{PREFIX}age must be a whole number of years")
    return int(said["age"])
