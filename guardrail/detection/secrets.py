"""Credentials: keys, tokens and passwords, by the formats their issuers document."""

from __future__ import annotations

import math
from collections import Counter

from guardrail.detection.patterns import Rule, Scope, Validator


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
    lowered = value.partition("@")[0].lower()
    if any(word in lowered for word in _PLACEHOLDERS):
        return False
    return None if _entropy(value) >= 2.5 else False


_B = r"(?<![A-Za-z0-9])"
_E = r"(?![A-Za-z0-9])"

_FORMATS: tuple[tuple[str, str, str, str], ...] = (
    # entity, name, strings of which a text must hold one, pattern
    ("API_KEY", "openai-key", "sk-", rf"{_B}sk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]{{20,4096}}"),
    ("API_KEY", "anthropic-key", "sk-ant-", rf"{_B}sk-ant-[A-Za-z0-9_-]{{20,4096}}"),
    (
        "API_KEY",
        "aws-access-key-id",
        "akia asia abia acca",
        rf"{_B}(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{{16}}{_E}",
    ),
    ("API_KEY", "google-api-key", "aiza", rf"{_B}AIza[A-Za-z0-9_-]{{35}}"),
    (
        "API_KEY",
        "stripe-key",
        "_live_ _test_",
        rf"{_B}(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{{16,120}}",
    ),
    ("API_KEY", "sendgrid-key", "sg.", rf"{_B}SG\.[A-Za-z0-9_-]{{16,32}}\.[A-Za-z0-9_-]{{16,64}}"),
    ("API_KEY", "twilio-key", "sk", rf"{_B}SK[0-9a-f]{{32}}{_E}"),
    ("API_KEY", "hugging-face-token", "hf_", rf"{_B}hf_[A-Za-z0-9]{{30,60}}{_E}"),
    ("API_KEY", "npm-token", "npm_", rf"{_B}npm_[A-Za-z0-9]{{36}}{_E}"),
    ("API_KEY", "pypi-token", "pypi-", rf"{_B}pypi-[A-Za-z0-9_-]{{40,200}}"),
    (
        "ACCESS_TOKEN",
        "github-token",
        "ghp_ gho_ ghu_ ghs_ ghr_",
        rf"{_B}gh[pousr]_[A-Za-z0-9]{{36,255}}",
    ),
    (
        "ACCESS_TOKEN",
        "github-fine-grained",
        "github_pat_",
        rf"{_B}github_pat_[A-Za-z0-9_]{{40,120}}",
    ),
    ("ACCESS_TOKEN", "gitlab-token", "glpat-", rf"{_B}glpat-[A-Za-z0-9_-]{{20,64}}"),
    ("ACCESS_TOKEN", "slack-token", "xox", rf"{_B}xox[abeoprs]-[A-Za-z0-9-]{{10,250}}"),
    (
        "ACCESS_TOKEN",
        "slack-webhook",
        "hooks.slack.com",
        r"hooks\.slack\.com/services/[A-Za-z0-9]{6,16}/[A-Za-z0-9]{6,16}/[A-Za-z0-9]{16,32}",
    ),
    (
        "ACCESS_TOKEN",
        "json-web-token",
        "eyj",
        rf"{_B}eyJ[A-Za-z0-9_-]{{8,1024}}\.eyJ[A-Za-z0-9_-]{{8,5500}}\.[A-Za-z0-9_-]{{8,1400}}",
    ),
    (
        "PRIVATE_KEY",
        "pem-private-key",
        "private_key",
        r"-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----[A-Za-z0-9+/=\s\\:,.-]{0,7000}"
        r"(?:-----END [A-Z ]{0,32}PRIVATE KEY-----)?",
    ),
    (
        "CONNECTION_STRING",
        "url-password",
        "://",
        rf"{_B}[a-z][a-z0-9+.-]{{1,24}}://[^\s:/@\"']{{0,64}}:([^\s/@\"']{{3,128}})@",
    ),
)

_ASSIGNED = (
    # A name begins at a word's beginning, or at a capital within one: `db_password`, `dbPassword`.
    r"(?:(?<![A-Za-z0-9])|(?<=[a-z0-9])(?=[A-Z]))"
    r"(?i:api[ _-]?key|secret[ _-]?key|access[ _-]?key|auth[ _-]?token|access[ _-]?token|secret|"
    r"token|password|passwd|passwort|kennwort|contraseña|pwd)"
    r"[\"'`]{0,1}\s{0,2}(?::|=|:=|=>)\s{0,2}[\"'`]{0,1}"
    r"(?![A-Za-z_][\w.]{0,64}[(\[])([^\s\"'`,;<>(){}\[\]]{6,200})"
)
_AUTHORIZED = (
    r"(?i)(?<![a-z0-9])authorization[\"'`]{0,2}\s{0,2}[:=]\s{0,2}[\"'`]{0,1}"
    r"(?:bearer|basic|token)\s{1,2}([a-z0-9._~+/=-]{8,7000})"
)
_SPOKEN = (
    r"(?i)\b(?:password|passwort|kennwort|pin code)\s(?:is|ist|lautet)\s[\"'`]?([^\s\"'`,;]{4,64})"
)
_NO_PASSWORDS = frozenset(
    (
        "required wrong incorrect correct invalid valid missing empty expired weak strong stored "
        "hashed encrypted never always needed optional mandatory case-sensitive what where that "
        "this the your unknown different changed reset being used sent secure safe unsafe too only "
        "also still just very falsch richtig ungültig gültig erforderlich abgelaufen leer nicht "
        "notwendig zu sehr unbekannt unsicher sicher verschlüsselt gespeichert eine ein das"
    ).split()
)


def _looks_spoken(value: str) -> bool | None:
    """False also for what people say of passwords: `the password is required`."""
    return False if value.lower().rstrip(".!?:)") in _NO_PASSWORDS else _looks_secret(value)


_NAMED: tuple[tuple[str, str, str, float, Scope, Validator, tuple[str, ...]], ...] = (
    # entity, name, pattern, score, scope, validate, requires
    (
        "SECRET",
        "assigned-secret",
        _ASSIGNED,
        0.7,
        Scope.LABEL,
        _looks_secret,
        ("key", "secret", "token", "passw", "kennwort", "contraseña", "pwd"),
    ),
    ("SECRET", "authorization", _AUTHORIZED, 0.9, Scope.LABEL, _looks_secret, ("authorization",)),
    (
        "PASSWORD",
        "spoken-password",
        _SPOKEN,
        0.6,
        Scope.ANYWHERE,
        _looks_spoken,
        ("passw", "kennwort", "pin code"),
    ),
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
            requires=tuple(requires.split()),
            scope=Scope.ANYWHERE,
        )
        for entity, name, requires, pattern in _FORMATS
    ]
    named = [
        Rule(
            entity=entity,
            name=name,
            pattern=pattern,
            group=1,
            score=score,
            validate=validate,
            requires=requires,
            scope=scope,
        )
        for entity, name, pattern, score, scope, validate, requires in _NAMED
    ]
    return [*formats, *named]
