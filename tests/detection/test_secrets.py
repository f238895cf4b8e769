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


_BASE64 = "mDMEZfK3xRYJKwYBBAHaRw8BAQdA" * 12
_HEX64 = "9f8e7d6c5b4a39281706" * 3 + "ab12"
PGP = (
    "-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: GnuPG v2\n\n"
    f"{_BASE64}\n=Ab3x\n-----END PGP PRIVATE KEY BLOCK-----"
)
PUTTY = (
    "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\nComment: bob@host\nPublic-Lines: 2\n"
    f"{_BASE64}\nPrivate-Lines: 1\n{_BASE64[:64]}\nPrivate-MAC: {_HEX64}"
)
SEED = "witch collapse practice feed shame open despair creek road again ice least"
_COOKIE = "k3v9s8d7f6g5h4j3k2l1q0w9e8r7t6y5"

WRITTEN = {
    # how it is written: entity, value, around
    "PGP": ("PRIVATE_KEY", PGP, "{}"),
    "PuTTY": ("PRIVATE_KEY", PUTTY, "{}"),
    "bcrypt": (
        "PASSWORD",
        "$2b$12$" + "KIXQ8e9Zr1pT0u5vW3yA.e" + "Jd7LmN2sHfGq4BoCxVtRiYkPwUl6zEa",
        "hash: {}",
    ),
    "argon2": (
        "PASSWORD",
        "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHRzYWx0$RdescudvJCsgt3ub+b6dWRWJTmMbObQyVsPO5a9sPhE",
        "{}",
    ),
    "sha512crypt": (
        "PASSWORD",
        "$6$" + "Qm9iV2FzSGVyZQ$" + "k3v9s8d7f6g5h4j3k2l1q0w9e8r7t6y5" * 2,
        "bob:{}:19000:0",
    ),
    "yescrypt": (
        "PASSWORD",
        "$y$j9T$" + "Qm9iV2FzSGVyZQ$" + "k3v9s8d7f6g5h4j3k2l1q0w9e8r7t6y5",
        "bob:{}:19000:0",
    ),
    "LDAP": ("PASSWORD", "{SSHA}" + "W6ph5Mm5Pz8GgiULbPgzG37mj9gQx7Zp", "userPassword: {}"),
    "LDAP, SHA-256": (
        "PASSWORD",
        "{SHA256}" + "W6ph5Mm5Pz8GgiULbPgzG37mj9gQx7ZpAb3",
        "userPassword: {}",
    ),
    "Django": (
        "PASSWORD",
        "pbkdf2_sha256$870000$a1B2c3D4e5F6$W6ph5Mm5Pz8GgiULbPgzG37mj9gQx7ZpAb3xY9kLmNo=",
        "{}",
    ),
    "netrc": ("PASSWORD", "hunter22x", "machine example.org\n  login bob\n  password {}"),
    "SQL": ("PASSWORD", "hunter22x!", "CREATE USER bob IDENTIFIED BY '{}';"),
    "SQL, PostgreSQL": ("PASSWORD", "hunter22x!", "alter role bob with encrypted password '{}'"),
    "XML": ("PASSWORD", "hunter22x", "<server><password>{}</password></server>"),
    "curl": ("PASSWORD", "hunter22x", "curl -s -u bob:{} https://example.org"),
    "flag": ("PASSWORD", "hunter22x", "deploy --host db --password {} --force"),
    "flag with an equals sign": ("PASSWORD", "hunter22x", "deploy --password={}"),
    "MySQL": ("PASSWORD", "hunter22x", "mysql -u root -p{} shop"),
    "sshpass": ("PASSWORD", "hunter22x", "sshpass -p {} ssh bob@host"),
    "Docker": ("PASSWORD", "hunter22x", "docker login -u bob -p {} registry.example.org"),
    "Redis": ("PASSWORD", "hunter22x", "redis-cli -h cache -a {} ping"),
    "cookie": ("ACCESS_TOKEN", _COOKIE, "Cookie: theme=dark; sessionid={}; lang=de"),
    "PHP": ("ACCESS_TOKEN", _COOKIE, "Set-Cookie: PHPSESSID={}; path=/"),
    "seed phrase": ("SECRET", SEED, "my seed phrase is: {}."),
    "mnemonic": ("SECRET", SEED, "mnemonic: {}"),
    "a key's id of Google": ("PRIVATE_KEY", _HEX64[:40], '"private_key_id": "{}"'),
    "ADO.NET": ("CONNECTION_STRING", "hunter22x", "Server=db;User Id=bob;Password={};Encrypt=true"),
    "JDBC": ("CONNECTION_STRING", "hunter22x", "jdbc:postgresql://db/shop?user=bob&password={}"),
    "Oracle": ("CONNECTION_STRING", "hunter22x", "jdbc:oracle:thin:bob/{}@db:1521:shop"),
    "a numbered Portuguese variable": ("SECRET", "hunter22x!", "senha2 = {}"),
    "a numbered French variable": ("SECRET", "hunter22x!", "mdp1: {}"),
    "English": ("PASSWORD", "hunter22x", "The password for the router is {}, as always."),
    "English, of two": ("PASSWORD", "hunter22x", "his pin code: {}"),
    "German": ("PASSWORD", "geheim123", "Das Passwort für den Server lautet {}"),
    "French": ("PASSWORD", "secret123", "le mot de passe est {}"),
    "Spanish": ("PASSWORD", "secreto123", "la contraseña es {}"),
    "Italian": ("PASSWORD", "segreto123", "la parola d'ordine è {}"),
    "Portuguese": ("PASSWORD", "segredo123", "a senha é {}"),
    "Dutch": ("PASSWORD", "geheim123", "het wachtwoord is {}"),
    "Polish": ("PASSWORD", "tajne1234", "hasło to {}"),
    "Swedish": ("PASSWORD", "hemligt123", "lösenordet är {}"),
}


@pytest.mark.parametrize(("entity", "value", "around"), WRITTEN.values(), ids=WRITTEN.keys())
def test_what_is_written_down_as_secret_is_found(entity: str, value: str, around: str) -> None:
    assert (entity, value) in overlapping(around.replace("{}", value))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("The password is required.", id="what is said of one"),
        pytest.param("das Passwort ist falsch", id="what is said of one in German"),
        pytest.param("the mot de passe est obligatoire", id="what is said of one in French"),
        pytest.param("run it with --password and --token", id="a flag alone"),
        pytest.param("deploy --password <password>", id="a stand-in for a flag"),
        pytest.param("<password>secret</password>", id="an element's own word"),
        pytest.param("CREATE USER bob IDENTIFIED BY 'password'", id="an example of SQL"),
        pytest.param("Cookie: sessionid=...", id="a cookie left out"),
        pytest.param("machine learning login page", id="words of a netrc"),
        pytest.param("the seed is: a number that starts the generator", id="another seed"),
        pytest.param("-----BEGIN PGP PUBLIC KEY BLOCK-----", id="a public key"),
        pytest.param("it costs $1$ or $5$", id="a dollar sign"),
    ],
)
def test_what_is_said_of_secrets_is_not_one(text: str) -> None:
    assert {"PASSWORD", "SECRET", "PRIVATE_KEY", "ACCESS_TOKEN"}.isdisjoint(
        entity for entity, _ in overlapping(text)
    )


def test_a_long_password_of_words_is_found_whole() -> None:
    value = " ".join(["unforgettablemountain4"] * 5)
    assert ("SECRET", value) in overlapping(f'password = "{value}"')


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
