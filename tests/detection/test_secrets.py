"""Credentials, and what only looks like them."""

from __future__ import annotations

import pytest
from detection_world import found, overlapping

_A36 = "a1B2c3D4e5F6" * 3
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.SflKxwRJSMeKKF2QT4fwpMeJf36POk6y"

TOKENS = {
    "openai": ("API_KEY", f"sk-proj-{_A36}"),
    "anthropic": ("API_KEY", f"sk-ant-api03-{_A36}"),
    "aws": ("API_KEY", "AKIAIOSFODNN7ABCDEFG"),
    "google": ("API_KEY", "AIza" + _A36[:35]),
    "stripe": ("API_KEY", "sk_live_" + _A36[:24]),
    "sendgrid": ("API_KEY", f"SG.{_A36[:22]}.{_A36}"),
    "twilio": ("API_KEY", "SK" + "0123456789abcdef" * 2),
    "hugging face": ("API_KEY", "hf_" + _A36[:34]),
    "npm": ("API_KEY", "npm_" + _A36),
    "pypi": ("API_KEY", "pypi-" + _A36 * 2),
    "github": ("ACCESS_TOKEN", "ghp_" + _A36),
    "github fine-grained": ("ACCESS_TOKEN", "github_pat_" + _A36 + "_" + _A36[:20]),
    "gitlab": ("ACCESS_TOKEN", "glpat-" + _A36[:20]),
    "slack": ("ACCESS_TOKEN", "xoxb-123456789012-" + _A36[:24]),
    "jwt": ("ACCESS_TOKEN", JWT),
}


@pytest.mark.parametrize(("entity", "token"), TOKENS.values(), ids=TOKENS.keys())
@pytest.mark.parametrize(
    "around",
    ["{}", 'use "{}" here', "token={}", "Authorization: Bearer {}\r\n", "https://x.org/?k={}&a"],
)
def test_a_token_is_found_whole(around: str, entity: str, token: str) -> None:
    text = around.format(token)
    assert token in [value for _, value in found(text)]
    assert {"API_KEY", "ACCESS_TOKEN", "SECRET", "URL"} >= {entity for entity, _ in found(text)}
    assert [(entity, token)] == found(f"see {token}")


def test_a_webhook_is_found() -> None:
    url = "hooks.slack.com/services/T00000000/B00000000/" + _A36[:24]
    assert [("URL", "https://"), ("ACCESS_TOKEN", url)] == found(f"https://{url}")


@pytest.mark.parametrize("newline", ["\n", "\\n", "\r\n"])
@pytest.mark.parametrize("end", ["-----END RSA PRIVATE KEY-----", ""], ids=["whole", "cut"])
def test_a_private_key_is_found_whole_even_when_it_is_cut(end: str, newline: str) -> None:
    lines = ("-----BEGIN RSA PRIVATE KEY-----", *["MIIEpAIBAAKCAQEA" * 4] * 20, end)
    key = newline.join(filter(None, lines))
    assert [("PRIVATE_KEY", key)] == found(f"key: {key}")


@pytest.mark.parametrize(
    "text",
    [
        "postgres://bob:{}@db.example.org:5432/x",
        "mongodb+srv://bob:{}@cluster.example.net",
        "amqp://bob:{}@localhost:5672",
        "redis://:{}@localhost:6379",
    ],
)
def test_the_password_in_an_address_is_a_secret(text: str) -> None:
    assert ("CONNECTION_STRING", "hunter22x") in overlapping(text.format("hunter22x"))


def test_a_password_that_reads_like_an_address_is_a_secret_too() -> None:
    assert overlapping("password=hunter22@example.com") == [
        ("EMAIL_ADDRESS", "hunter22@example.com"),
        ("SECRET", "hunter22@example.com"),
    ]


ASSIGNED = [
    ("hunter22", "password={}"),
    ("c0rrect-horse", "PASSWORD: '{}'"),
    ("9f8e7d6c5b4a39281706", '"api_key": "{}"'),
    ("wJalrXUtnFEMI/K7MDENG/bPxRfiCYzz12345678", "AWS_SECRET_ACCESS_KEY={}"),
    ("Tr0ub4dor&3", "export DB_PASSWORD={}"),
    ("9f8e7d6c5b4a39281706", "x-api-key: {}"),
    ("abcDEF123456ghiJKL", "client_secret={}"),
    ("abcd1234efgh5678", "apiKey: '{}'"),
    ("abcd1234efgh", "dbPassword = '{}'"),
    ("abcdef123456", 'secret := "{}"'),
    ("abcdef123456", "token => '{}'"),
    ("Passw0rd!", "spring.datasource.password={}"),
    ("Geheim123", "kennwort: {}"),
    ("Sommer2024!", '{{"password": "{}"}}'),
    ("abcdefghijklmnop123456", "Authorization: Bearer {}"),
    ("dXNlcjpwYXNzd29yZA==", "Authorization: Basic {}"),
]


@pytest.mark.parametrize(("value", "around"), ASSIGNED, ids=[a.format(v) for v, a in ASSIGNED])
def test_an_assigned_secret_is_found(value: str, around: str) -> None:
    assert [value] == [found_value for _, found_value in found(around.format(value))]


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("hunter2", "my password is hunter2"),
        ("geheim123", "mein Passwort lautet geheim123"),
        ("geheim123", "Das Kennwort ist geheim123."),
    ],
)
def test_a_spoken_password_is_found(word: str, text: str) -> None:
    assert any(entity == "PASSWORD" and value.rstrip(".") == word for entity, value in found(text))


@pytest.mark.parametrize("pointer", ["/password", "/credentials/api_key", "/clientSecret"])
def test_the_value_of_a_field_that_holds_secrets_is_found(pointer: str) -> None:
    assert found("9f8e7d6c5b4a39281706", pointer=pointer) != []


@pytest.mark.parametrize(
    "text",
    [
        "password=<your-password>",
        'api_key = "YOUR_API_KEY"',
        "API_KEY=${API_KEY}",
        "token: {{ token }}",
        "password: ********",
        "password: xxxxxxxx",
        "token: str",
        "max_tokens: 1024",
        "tokens = 123456",
        "password=None",
        "the secret is out",
        "The password is wrong",
        "password is required",
        "public key: see below",
        "sk-learn is a library",
        "primary_key=True",
        "token_type: bearer",
        "foreign_key: customer_id",
        "pip install tokenizers==0.15.0",
        "token = get_token()",
        "secret = os.environ['SECRET']",
        "commit 3f786850e387550fdab836ed7e6dc881de23001b",
        "550e8400-e29b-41d4-a716-446655440000",
        '"integrity": "sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKH=="',
        "-----BEGIN CERTIFICATE-----\nMIIEpAIBAAKCAQEA\n-----END CERTIFICATE-----",
        "ghp_short",
        "AKIA",
    ],
)
def test_what_only_looks_like_a_secret_is_not_one(text: str) -> None:
    assert found(text) == []
