"""Requests that their sender signed over the body: whoever changes one breaks its signature.

A receiver would refuse such a request, or take it for forged, and no proxy can sign it anew. So it
leaves as it came, with all that the signature covers, or not at all.

Source: AWS Signature Version 4,
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html;
HTTP message signatures and digests, RFC 9421 and RFC 9530; Standard Webhooks,
https://www.standardwebhooks.com; GitHub, `X-Hub-Signature-256`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

Headers = tuple[tuple[bytes, bytes], ...]

_OF_THE_BODY = frozenset(
    b"content-encoding content-md5 digest content-digest repr-digest accept-encoding".split()
)
"""Headers that a signature may cover, and that would be replaced if the body were."""

_DIGESTS = frozenset({b"digest", b"content-digest", b"repr-digest"})
_SIGNATURE = re.compile(rb"(?:^|-)(?:signature|hmac)(?:-|$)")
"""`x-hub-signature-256`, `stripe-signature`, `webhook-signature`, `x-shopify-hmac-sha256`, …"""
_SCHEME = re.compile(rb"\s*(?:aws4-|signature\s|[\w-]*hmac)", re.IGNORECASE)
_AWS = re.compile(rb"\s*aws4-", re.IGNORECASE)
_AWS_QUERY = re.compile(rb"(?:^|&)x-amz-signature=", re.IGNORECASE)
_COVERED = re.compile(rb"signedheaders\s*=\s*([a-z0-9;-]{1,4096})", re.IGNORECASE)
_NEVER_PASSED = frozenset(b"range if-range if-none-match if-modified-since".split())
_OWN = b"x-guardrail-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """That a request is signed: `headers` have to stay as they came; `aws`: by AWS' own scheme.

    One that `breaks` covers a header that goes no further, whatever is in the request.
    """

    headers: frozenset[bytes]
    aws: bool
    breaks: bool


def seal_of(headers: Headers, *, query: bytes) -> Seal | None:
    """Gives how a request is signed, None if it is not; header names are lower-case."""
    names = frozenset(name for name, _ in headers)
    said = b",".join(value for name, value in headers if name == b"authorization")
    aws = bool(_AWS.match(said) or b"x-amz-content-sha256" in names or _AWS_QUERY.search(query))
    signed = aws or _SCHEME.match(said) or names & _DIGESTS or any(map(_SIGNATURE.search, names))
    if not signed:
        return None
    listed = _COVERED.search(said)
    covered = frozenset(listed[1].lower().split(b";")) if listed else frozenset()
    return Seal(
        headers=(covered & _OF_THE_BODY) | (names & _OF_THE_BODY - {b"accept-encoding"}),
        aws=aws,
        breaks=any(name in _NEVER_PASSED or name.startswith(_OWN) for name in covered),
    )
