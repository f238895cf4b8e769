"""Credentials: keys, tokens and passwords, by the formats their issuers document."""

from __future__ import annotations

import math
from collections import Counter

from guardrail.detection.patterns import Rule, Scope


def _entropy(value: str) -> float:
    """Shannon entropy in bits per code point."""
    counts = Counter(value)
    return -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values())


_PLACEHOLDERS = (
    "your",
    "example",
    "changeme",
    "placeholder",
    "xxxx",
    "****",
    "<",
    "${",
    "{{",
    "$(",
)


def _looks_secret(value: str) -> bool | None:
    """False for what documentation writes in place of a secret, and for plain words."""
    lowered = value.lower()
    if any(word in lowered for word in _PLACEHOLDERS):
        return False
    return None if _entropy(value) >= 2.5 else False


_B = r"(?<![A-Za-z0-9_])"
_E = r"(?![A-Za-z0-9_])"

_FORMATS: tuple[tuple[str, str, str], ...] = (
    # entity, name, pattern
    ("API_KEY", "openai-key", rf"{_B}sk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]{{20,200}}"),
    ("API_KEY", "anthropic-key", rf"{_B}sk-ant-[A-Za-z0-9_-]{{20,200}}"),
    ("API_KEY", "aws-access-key-id", rf"{_B}(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{{16}}{_E}"),
    ("API_KEY", "google-api-key", rf"{_B}AIza[A-Za-z0-9_-]{{35}}"),
    ("API_KEY", "stripe-key", rf"{_B}(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{{16,120}}"),
    ("API_KEY", "sendgrid-key", rf"{_B}SG\.[A-Za-z0-9_-]{{16,32}}\.[A-Za-z0-9_-]{{16,64}}"),
    ("API_KEY", "twilio-key", rf"{_B}SK[0-9a-f]{{32}}{_E}"),
    ("API_KEY", "hugging-face-token", rf"{_B}hf_[A-Za-z0-9]{{30,60}}{_E}"),
    ("API_KEY", "npm-token", rf"{_B}npm_[A-Za-z0-9]{{36}}{_E}"),
    ("API_KEY", "pypi-token", rf"{_B}pypi-[A-Za-z0-9_-]{{40,200}}"),
    ("ACCESS_TOKEN", "github-token", rf"{_B}gh[pousr]_[A-Za-z0-9]{{36,255}}"),
    ("ACCESS_TOKEN", "github-fine-grained", rf"{_B}github_pat_[A-Za-z0-9_]{{40,120}}"),
    ("ACCESS_TOKEN", "gitlab-token", rf"{_B}glpat-[A-Za-z0-9_-]{{20,64}}"),
    ("ACCESS_TOKEN", "slack-token", rf"{_B}xox[abeoprs]-[A-Za-z0-9-]{{10,250}}"),
    (
        "ACCESS_TOKEN",
        "slack-webhook",
        r"hooks\.slack\.com/services/[A-Za-z0-9]{6,16}/[A-Za-z0-9]{6,16}/[A-Za-z0-9]{16,32}",
    ),
    (
        "ACCESS_TOKEN",
        "json-web-token",
        rf"{_B}eyJ[A-Za-z0-9_-]{{8,1024}}\.eyJ[A-Za-z0-9_-]{{8,4096}}\.[A-Za-z0-9_-]{{8,1024}}",
    ),
    (
        "PRIVATE_KEY",
        "pem-private-key",
        r"-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----[A-Za-z0-9+/=\s\\:,.-]{0,7000}"
        r"(?:-----END [A-Z ]{0,32}PRIVATE KEY-----)?",
    ),
    (
        "CONNECTION_STRING",
        "url-password",
        rf"{_B}[a-z][a-z0-9+.-]{{1,24}}://[^\s:/@\"']{{1,64}}:([^\s/@\"']{{3,128}})@",
    ),
)

_ASSIGNMENT = (
    r"(?i){before}(?:[a-z0-9]{{1,32}}[_-]){{0,3}}"
    r"(?:api[_-]?key|secret[_-]?key|access[_-]?key|auth[_-]?token|access[_-]?token|secret|token|"
    r"password|passwd|passwort|kennwort|contraseña|pwd)"
    r"[\"'`]{{0,1}}\s{{0,2}}(?::|=|:=|=>)\s{{0,2}}[\"'`]{{0,1}}([^\s\"'`,;<>(){{}}\[\]]{{6,200}})"
)

_SPOKEN = (
    r"(?i)\b(?:password|passwort|kennwort|pin code)\s(?:is|ist|lautet)\s[\"'`]?([^\s\"'`,;]{4,64})"
)


def secret_rules() -> list[Rule]:
    """Gives the rules for credentials; each match is certain enough to stand alone.

    Source: the issuers' published key formats; JSON Web Token: RFC 7519; PEM: RFC 7468.
    """
    formats = [
        Rule(
            entity=entity,
            name=name,
            pattern=pattern,
            score=0.95,
            group=1 if name == "url-password" else 0,
            scope=Scope.ANYWHERE,
        )
        for entity, name, pattern in _FORMATS
    ]
    assigned = Rule(
        entity="SECRET",
        name="assigned-secret",
        pattern=_ASSIGNMENT.format(before=r"(?<![a-z0-9])"),
        group=1,
        score=0.7,
        validate=_looks_secret,
        requires=("key", "secret", "token", "passw", "kennwort", "contraseña", "pwd"),
        scope=Scope.ANYWHERE,
    )
    spoken = Rule(
        entity="PASSWORD",
        name="spoken-password",
        pattern=_SPOKEN,
        group=1,
        score=0.6,
        validate=_looks_secret,
        requires=("passw", "kennwort", "pin code"),
        scope=Scope.ANYWHERE,
    )
    return [*formats, assigned, spoken]
