"""guardrail.toml: what is wrong with it is told by path, all at once, and secrets stay secret."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from guardrail.config import (
    FILE,
    Built,
    Config,
    Upstream,
    build,
    configured_vaults,
    default_directory,
    load_config,
)
from guardrail.detection.detector import RuleDetector
from guardrail.errors import AuditUnavailable, ConfigError
from guardrail.types import TextUnit

KEY = "planted-key-0123456789"
MINIMAL: dict[str, Any] = {
    "apps": {"default": {"establishment": "DE", "origin": "DE"}},
    "endpoints": {"cloud": {"provider": "example", "location": "US", "models": ["gpt-*"]}},
}


def tables(**changes: object) -> dict[str, Any]:
    """The least configuration; `changes` maps `a__b__c` to a value, None removes."""
    found: dict[str, Any] = copy.deepcopy(MINIMAL)
    for path, value in changes.items():
        *steps, last = path.split("__")
        table = found
        for step in steps:
            table = table.setdefault(step, {})
        if value is None:
            del table[last]
        else:
            table[last] = value
    return found


def problems(source: Path | str | dict[str, Any]) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load_config(source)
    assert str(caught.value) == "\n".join(caught.value.problems)
    assert caught.value.__cause__ is None
    return caught.value.problems


def test_the_least_configuration_has_safe_defaults() -> None:
    config = load_config(MINIMAL)
    assert config.apps["default"].trust_headers is False
    assert config.apps["default"].basis == "none"
    assert config.endpoints["cloud"].agreements == frozenset()
    assert config.gateway.host == "127.0.0.1"
    assert config.middleware.unguarded == ()
    assert config.output.restore_tools == frozenset()
    assert config.detection.exclude == frozenset()
    assert config.limits.request_bytes > 0


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"apps": {}}, "apps: "),
        ({"apps": None}, "apps: this setting is required"),
        ({"endpoints": None}, "endpoints: this setting is required"),
        ({"endpoints": {}}, "endpoints: "),
        ({"nonsense": 1}, "nonsense: there is no such setting"),
        ({"audit__pth": "x"}, "audit.pth: there is no such setting"),
        ({"apps__default__orign": "DE"}, "apps.default.orign: there is no such setting"),
        ({"apps__default__origin": None}, "apps.default.origin: this setting is required"),
        ({"apps__default__origin": "Germany"}, "apps.default.origin: "),
        ({"apps__default__origin": "de"}, "apps.default.origin: "),
        ({"apps__default__establishment": None}, "apps.default.establishment: this setting"),
        ({"apps__default__trust_headers": "perhaps"}, "apps.default.trust_headers: "),
        ({"apps__default__key": "short"}, "apps.default.key: use at least 16 characters"),
        ({"apps__default__key": 7}, "apps.default.key: "),
        ({"apps__default__tenant": "a b"}, "apps.default.tenant: "),
        ({"endpoints__cloud__location": None}, "endpoints.cloud.location: this setting"),
        ({"endpoints__cloud__location": "everywhere"}, "endpoints.cloud.location: "),
        ({"endpoints__cloud__location": ["US", "DE"]}, "endpoints.cloud.location: "),
        ({"endpoints__cloud__models": []}, "endpoints.cloud.models: "),
        ({"endpoints__cloud__models": "gpt"}, "endpoints.cloud.models: "),
        ({"endpoints__cloud__url": "no url"}, "endpoints.cloud.url: "),
        ({"endpoints__cloud__url": "file:///etc/passwd"}, "endpoints.cloud.url: "),
        ({"endpoints__cloud__cost": -1}, "endpoints.cloud.cost: "),
        ({"endpoints__cloud__timeout_s": 0}, "endpoints.cloud.timeout_s: "),
        ({"endpoints__cloud__local": True}, "endpoints.cloud.model: say which model"),
        ({"detection__threshold": 0}, "detection.threshold: "),
        ({"detection__threshold": 1.1}, "detection.threshold: "),
        ({"detection__timeout_s": 0}, "detection.timeout_s: "),
        ({"detection__thresholds": {"PERSON": 0}}, "detection.thresholds.PERSON: "),
        ({"detection__recall": "most"}, "detection.recall: "),
        ({"detection__organizations": True}, "detection.organizations: "),
        ({"detection__languages": ["english"]}, "detection.languages.0: "),
        ({"detection__pipeline": "blank:en"}, "detection.pipeline: there is no such setting"),
        ({"apps__default__detection": {"names": []}}, "apps.default.detection.names: there is no"),
        ({"audit__timeout_s": -1}, "audit.timeout_s: "),
        ({"limits__request_bytes": 0}, "limits.request_bytes: "),
        ({"limits__answer_bytes": "many"}, "limits.answer_bytes: "),
        ({"limits__read_timeout_s": 0}, "limits.read_timeout_s: "),
        ({"limits__inflight_bytes": 1000}, "limits.inflight_bytes: less than limits.request_bytes"),
        ({"middleware__headers": ["X-User"]}, "middleware.headers: 'X-User' is no header name"),
        ({"middleware__headers": ["x-*-user"]}, "middleware.headers: 'x-*-user' is no header name"),
        ({"gateway__port": 65536}, "gateway.port: "),
        ({"middleware__app": "nobody"}, "middleware.app: there is no [apps.nobody]"),
        ({"middleware__endpoint": "x"}, "middleware.endpoint: there is no [endpoints.x]"),
        ({"gateway__host": "0.0.0.0"}, "apps.default.key: required, since gateway.host"),
        ({"gateway__host": "::"}, "apps.default.key: required, since gateway.host"),
        ({"gateway__host": "example.com"}, "apps.default.key: required, since gateway.host"),
        ({"gateway__host": ""}, "apps.default.key: required, since gateway.host"),
        ({"apps__default__key": "env:NOT_SET_ANYWHERE"}, "apps.default.key: "),
        ({"policies__directory": 7}, "policies.directory: "),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_is_wrong_is_told_by_its_path(changes: dict[str, Any], problem: str) -> None:
    (told,) = problems(tables(**changes))
    assert told.startswith(problem)
    assert "\n" not in told


def test_every_problem_is_told_at_once() -> None:
    told = problems(
        tables(
            nonsense=1,
            apps__default__origin="x",
            endpoints__cloud__cost=-1,
            limits__request_bytes=0,
        )
    )
    assert [line.partition(":")[0] for line in told] == [
        "apps.default.origin",
        "endpoints.cloud.cost",
        "limits.request_bytes",
        "nonsense",
    ]


def test_an_app_cannot_have_any_name() -> None:
    found = tables()
    found["apps"]["a b"] = found["apps"]["default"]
    assert problems(found)


# ── files ────────────────────────────────────────────────────────────────────────────────────────

TOML = """
[apps.default]
establishment = "DE"
origin = "DE"
[endpoints.cloud]
provider = "example"
location = "US"
models = ["gpt-*"]
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str | bytes], Path]:
    def write(content: str | bytes) -> Path:
        file = tmp_path / FILE
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    return write


def test_a_file_is_a_mapping_of_the_same_shape(write: Callable[[str], Path]) -> None:
    config = load_config(write(TOML))
    assert config.apps == load_config(MINIMAL).apps
    assert load_config(str(write(TOML))) == config


def test_relative_paths_begin_at_the_file(write: Callable[[str], Path], tmp_path: Path) -> None:
    more = '[audit]\npath = "log/a.db"\n[policies]\ndirectory = "p"\n[regions]\ndirectory = "/r"\n'
    config = load_config(write(TOML + more))
    assert config.audit.path == tmp_path / "log/a.db"
    assert config.policies.directory == tmp_path / "p"
    assert config.regions.directory == Path("/r")


def test_relative_paths_of_detection_begin_at_the_file(
    write: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "model").mkdir()
    detection = (
        'names = ["spacy:model", "spacy:package", "hf:owner/name", "blank:en"]\n'
        'recognizers = ["own.yaml"]\nallow_files = ["allow.txt", "/a.txt"]\n'
        '[detection.deny_files]\nPERSON = "names.txt"\n'
        '[apps.default.detection]\nallow_files = ["own.txt"]\n'
    )
    config = load_config(write(f"{TOML}\n[detection]\n{detection}"))
    found = config.detection
    own = f"spacy:{tmp_path / 'model'}"
    assert found.names == (own, "spacy:package", "hf:owner/name", "blank:en")
    assert found.recognizers == (tmp_path / "own.yaml",)
    assert found.allow_files == (tmp_path / "allow.txt", Path("/a.txt"))
    assert found.deny_files == {"PERSON": tmp_path / "names.txt"}
    assert config.apps["default"].detection.allow_files == (tmp_path / "own.txt",)


def test_what_detection_is_told_reaches_the_detector(folder: Path) -> None:
    (folder / "own.yaml").write_text(
        "recognizers: [{name: n, supported_entity: STAFF_NUMBER, "
        "patterns: [{name: p, regex: 'S-[0-9]{6}', score: 0.9}]}]",
        "utf-8",
    )
    (folder / "names.txt").write_text("# ours\nJo Doe\n", "utf-8")
    config = load_config(
        tables(
            audit__path=str(folder / "audit-of-detection.db"),
            detection={
                "names": ["blank:en"],
                "entities": {"STAFF_NUMBER": "national-id"},
                "recognizers": [str(folder / "own.yaml")],
                "deny": {"PERSON": ["Zoe Roe"]},
                "deny_files": {"PERSON": str(folder / "names.txt")},
                "timeout_s": 7,
            },
            apps__default__detection={"allow_files": [str(folder / "names.txt")]},
        )
    )
    with closing(build(config)) as built:
        detector = built.deployment.guard.detector
        unit = TextUnit(pointer="", text="Jo Doe, Zoe Roe, S-204711")
        own, others = (detector.find_all([unit], app=app)[0] for app in ("default", "other"))
    assert [f.entity for f in own] == ["PERSON", "STAFF_NUMBER"]
    assert [f.entity for f in others] == ["PERSON", "PERSON", "STAFF_NUMBER"]
    assert isinstance(detector, RuleDetector)
    assert detector.timeout == 7
    assert "Zoe" not in repr(built)


def test_a_default_path_begins_at_the_file_too(
    write: Callable[[str], Path], tmp_path: Path
) -> None:
    config = load_config(write(TOML))
    assert config.audit.path == tmp_path / "guardrail-audit.db"
    assert config.policies.directory is None


def test_a_missing_file_is_told_with_the_way_out(tmp_path: Path) -> None:
    (told,) = problems(tmp_path / "nowhere.toml")
    assert "nowhere.toml: No such file" in told
    assert "guardrail init" in told


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (told,) = problems(tmp_path)
    assert "Is a directory" in told


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(f'key = "{KEY}', id="unterminated"),
        pytest.param(f"{KEY} {KEY}", id="no value"),
        pytest.param(f'a = "{KEY}"\na = "{KEY}"', id="a key twice"),
        pytest.param(b'a = "planted \xff"', id="not UTF-8"),
        pytest.param("\ufeffa = 1", id="byte order mark"),
        pytest.param(f"[apps.{KEY}\n", id="broken table"),
        pytest.param(f'[a]\nb = "{KEY}\\q"', id="bad escape"),
    ],
)
def test_a_syntax_error_is_told_by_its_place_without_quoting_secrets(
    content: str | bytes, write: Callable[[str | bytes], Path]
) -> None:
    (told,) = problems(write(content))
    assert f"{FILE}: not valid TOML: " in told
    assert "planted" not in told.replace(str(write("")), "")


@pytest.mark.parametrize(
    "changes",
    [
        {"apps__default__key": [KEY]},
        {"apps__default__key": {"value": KEY}},
        {"endpoints__cloud__api_key": [KEY]},
        {"endpoints__cloud__url": f"https://u:{KEY}@[x/"},
        {"pseudonyms__key": 1, "apps__default__key": KEY},
    ],
    ids=str,
)
def test_a_problem_does_not_quote_what_it_is_about(changes: dict[str, Any]) -> None:
    assert not any("planted" in line for line in problems(tables(**changes)))


# ── the environment ──────────────────────────────────────────────────────────────────────────────


def test_the_environment_comes_before_the_file(
    monkeypatch: pytest.MonkeyPatch, write: Callable[[str], Path]
) -> None:
    monkeypatch.setenv("GUARDRAIL_AUDIT__PATH", "/elsewhere/a.db")
    monkeypatch.setenv("GUARDRAIL_APPS__DEFAULT__ORIGIN", "FR")
    monkeypatch.setenv("GUARDRAIL_LIMITS__REQUEST_BYTES", "1234")
    config = load_config(write(TOML + '[audit]\npath = "a.db"\ntimeout_s = 7\n'))
    assert config.audit.path == Path("/elsewhere/a.db")
    assert config.audit.timeout_s == 7
    assert config.apps["default"].origin == "FR"
    assert config.apps["default"].establishment == "DE"
    assert config.limits.request_bytes == 1234


@pytest.mark.parametrize(
    ("name", "value", "path"),
    [
        ("GUARDRAIL_LIMITS__REQUEST_BYTES", "planted", "limits.request_bytes"),
        ("GUARDRAIL_AUDIT__NONSENSE", "planted", "audit.nonsense"),
        ("GUARDRAIL_GATEWAY__PORT", "99999", "gateway.port"),
        ("GUARDRAIL_AUDIT", "planted{", "audit"),
        ("GUARDRAIL_APPS", "[planted", "apps"),
        ("GUARDRAIL_APPS__DEFAULT__FILINGS", "planted", "apps.default.filings"),
    ],
)
def test_what_is_wrong_in_the_environment_is_told_by_its_path(
    name: str,
    value: str,
    path: str,
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[[str], Path],
) -> None:
    monkeypatch.setenv(name, value)
    (told,) = problems(write(TOML))
    assert path in told
    assert "planted" not in told


def test_the_environment_does_not_change_a_mapping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUARDRAIL_AUDIT__PATH", "/elsewhere/a.db")
    assert load_config(MINIMAL).audit.path == Path("guardrail-audit.db")


def test_an_environment_of_others_is_not_ours(
    monkeypatch: pytest.MonkeyPatch, write: Callable[[str], Path]
) -> None:
    monkeypatch.setenv("AUDIT__PATH", "/elsewhere")
    monkeypatch.setenv("APPS", "{}")
    assert load_config(write(TOML)).audit.path.name == "guardrail-audit.db"


def test_a_secret_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRM_KEY", KEY)
    config = load_config(tables(apps__default__key="env:CRM_KEY"))
    key = config.apps["default"].key
    assert key is not None
    assert key.get_secret_value() == KEY


@pytest.mark.parametrize("value", ["", "short"])
def test_a_secret_from_the_environment_is_checked_like_any(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRM_KEY", value)
    (told,) = problems(tables(apps__default__key="env:CRM_KEY"))
    assert told == "apps.default.key: use at least 16 characters"


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_an_empty_key_opens_no_gateway(host: str) -> None:
    told = problems(tables(gateway__host=host, apps__default__key=""))
    assert told[0].startswith("apps.default.key: ")


def test_a_secret_that_is_not_set_is_told_by_its_name() -> None:
    (told,) = problems(tables(endpoints__cloud__api_key="env:CLOUD_KEY"))
    assert told.startswith("endpoints.cloud.api_key: ")
    assert "CLOUD_KEY is not set" in told


# ── secrets ──────────────────────────────────────────────────────────────────────────────────────


def with_secrets() -> Config:
    return load_config(
        tables(
            apps__default__key=KEY,
            endpoints__cloud__api_key=f"sk-{KEY}",
            pseudonyms__key=f"p-{KEY}",
        )
    )


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        lambda config: repr(config.model_dump()),
        lambda config: repr(config.model_dump(mode="json")),
        lambda config: config.model_dump_json(),
        lambda config: repr(dict(config)),
        lambda config: f"{config.apps['default']} {config.endpoints['cloud']}",
        lambda config: json.dumps(config.model_dump(), default=str),
        lambda config: repr(config.model_copy(deep=True)),
    ],
    ids="repr str dump dump-json json dict f-string default copy".split(),
)
def test_no_secret_is_shown(show: Callable[[Config], str]) -> None:
    assert "planted" not in show(with_secrets())


def test_a_configuration_does_not_change() -> None:
    config = load_config(MINIMAL)
    with pytest.raises(ValueError, match="frozen"):
        config.audit = config.audit
    with pytest.raises(ValueError, match="frozen"):
        config.audit.path = Path("x")


# ── apps and keys ────────────────────────────────────────────────────────────────────────────────


def apps(**keys: str | None) -> dict[str, Any]:
    one = {"establishment": "DE", "origin": "DE"}
    return {name: {**one, **({"key": key} if key else {})} for name, key in keys.items()}


def test_several_apps_are_told_apart_by_their_keys() -> None:
    told = problems(tables(apps=apps(a=None, b=None)))
    assert told == ("apps: with several apps, at most one may do without a key",)
    assert problems(tables(apps=apps(a=None, b=None, c=KEY))) == told
    assert len(load_config(tables(apps=apps(a=None, b=KEY, c=f"{KEY}2"))).apps) == 3


def test_no_two_apps_share_a_key() -> None:
    told = problems(tables(apps=apps(a=KEY, b=KEY)))
    assert told == ("apps: two apps share one key",)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_on_loopback_a_gateway_may_do_without_keys(host: str) -> None:
    assert load_config(tables(gateway__host=host)).gateway.host == host


def test_off_loopback_every_app_needs_a_key() -> None:
    assert load_config(tables(gateway__host="0.0.0.0", apps=apps(a=KEY)))
    told = problems(tables(gateway__host="0.0.0.0", apps=apps(a=KEY, b=None)))
    assert [line.partition(":")[0] for line in told] == ["apps.b.key"]


def test_the_middleware_may_name_any_app() -> None:
    config = load_config(tables(apps=apps(crm=None), middleware__app="crm"))
    assert config.middleware.app == "crm"


# ── building ─────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def built(folder: Path) -> Any:
    made = build(
        load_config(
            tables(
                audit__path=str(folder / "a.db"),
                apps__default__key=KEY,
                endpoints__cloud__api_key=KEY,
                endpoints__cloud__url="https://api.example/v1/",
                pseudonyms__key=KEY,
            )
        )
    )
    yield made
    made.close()


def test_a_configuration_becomes_what_a_shell_needs(built: Built) -> None:
    assert list(built.apps) == ["default"]
    assert built.apps["default"].principal.establishment == "DE"
    assert [route.endpoint.id for route in built.deployment.routes] == ["cloud"]
    assert built.upstreams["cloud"].url == "https://api.example/v1"
    assert built.audit.healthy


def test_what_is_built_shows_no_secret(built: Built) -> None:
    for shown in (built, built.deployment, built.upstreams, built.config, built.apps):
        assert "planted" not in repr(shown)
    assert isinstance(built.upstreams["cloud"], Upstream)


def test_a_given_key_makes_digests_that_outlive_a_restart(built: Built) -> None:
    assert built.deployment.guard.key == KEY.encode()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"apps__default__purpose": "planned"}, "apps.default.purpose: 'planned' is not one of"),
        ({"apps__default__basis": "planned"}, "apps.default.basis: 'planned' is not one of"),
        ({"apps__default__consents": ["planned"]}, "apps.default.consents: 'planned'"),
        ({"apps__default__filings": ["planned"]}, "apps.default.filings: 'planned'"),
        ({"apps__default__sector": "planned"}, "planned"),
        ({"apps__default__establishment": "ZZ"}, "ZZ"),
        ({"endpoints__cloud__location": "ZZ"}, "ZZ"),
        ({"endpoints__cloud__agreements": ["planned"]}, "planned"),
        ({"detection__exclude": ["PLANNED"]}, "detection.exclude: nothing finds 'PLANNED'"),
        ({"detection__entities": {"X": "planned"}}, "detection.entities: X: no category"),
        ({"detection__entities": {"x y": "health"}}, "detection.entities: 'x y'"),
        ({"detection__names": ["spacy:no_such_model"]}, "detection.names[0]"),
        ({"detection__recognizers": ["/nowhere.yaml"]}, "detection.recognizers: /nowhere.yaml"),
        ({"detection__thresholds": {"PERSN": 0.5}}, "detection.thresholds: nothing finds"),
        ({"detection__allow": ["re:["]}, "detection.allow: entry 1"),
        ({"detection__allow_files": ["/nowhere.txt"]}, "detection.allow_files: /nowhere.txt"),
        ({"detection__deny": {"PERSN": ["x"]}}, "detection.entities: 'PERSN' can be found"),
        ({"detection__deny_files": {"PERSON": "/no.txt"}}, "detection.deny_files.PERSON: /no.txt"),
        (
            {"detection__names": ["blank:en"], "detection__organizations": "on"},
            "detection.organizations: no recognizer",
        ),
        (
            {"apps__default__detection": {"only": ["PERSN"]}},
            "apps.default.detection.only: nothing finds 'PERSN' (did you mean 'PERSON'?)",
        ),
        ({"policies__directory": "/nowhere"}, "cannot be read"),
        ({"regions__directory": "/nowhere"}, "nowhere"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_does_not_fit_together_does_not_start(
    changes: dict[str, Any], problem: str, folder: Path
) -> None:
    audit = folder / "never.db"
    config = load_config(tables(audit__path=str(audit), **changes))
    with pytest.raises(ConfigError) as caught:
        build(config)
    assert problem in str(caught.value)
    assert not audit.exists()


def test_an_audit_log_that_cannot_be_opened_does_not_start(folder: Path) -> None:
    config = load_config(tables(audit__path=str(folder / "missing" / "folder" / "a.db")))
    with pytest.raises(AuditUnavailable):
        build(config)


def test_what_is_shipped_is_found() -> None:
    assert (default_directory("policies") / "00-base.cedar").is_file()
    assert default_directory("regions").is_dir()


# ── vaults ───────────────────────────────────────────────────────────────────────────────────────

LONG = "planted-key-0123456789-0123456789"


@pytest.mark.parametrize(
    ("vaults", "told"),
    [
        ({"store": "redis://x"}, "vaults.store: must be memory, sqlite:PATH or postgresql://…"),
        (
            {"store": "sqlite:", "key": LONG},
            "vaults.store: must be memory, sqlite:PATH or postgresql://…",
        ),
        ({"store": "memory:x"}, "vaults.store: must be memory, sqlite:PATH or postgresql://…"),
        ({"store": "sqlite:v.db"}, "vaults.key: required, since what is kept outlives the process"),
        ({"key": "planted-short"}, "vaults.key: use at least 32 characters, made at random"),
        ({"old_keys": ["planted"]}, "vaults.old_keys: use at least 32 characters, made at random"),
        ({"ttl": "30"}, "vaults.ttl: Value error, write a number and a unit: 90s, 30m, 12h"),
        ({"ttl": "0d"}, "vaults.ttl: Value error, write a number and a unit: 90s, 30m, 12h"),
        ({"ttl": -1}, "vaults.ttl: Value error, write a number and a unit: 90s, 30m, 12h"),
        ({"key": "file:v.key"}, "vaults.key: Value error, write the file of a secret as file:/an"),
        ({"key": "file:/no/key"}, "vaults.key: Value error, the file /no/key cannot be read: No"),
    ],
)
def test_what_is_wrong_with_the_vaults_is_told(vaults: dict[str, Any], told: str) -> None:
    (problem,) = problems(tables(vaults=vaults))
    assert problem.startswith(told)
    assert "planted" not in problem


def test_vaults_outlive_the_process_in_a_file_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(LONG + "\n")
    vaults = {"store": "sqlite:v.db", "ttl": "2w", "key": f"file:{tmp_path / 'key'}"}
    lines = [
        "[vaults]",
        *(f"{name} = {json.dumps(value)}" for name, value in vaults.items()),
        f"[audit]\npath = {json.dumps(str(tmp_path / 'a.db'))}",
        '[apps.default]\nestablishment = "DE"\norigin = "DE"',
        '[endpoints.cloud]\nprovider = "x"\nlocation = "US"\nmodels = ["gpt-*"]',
    ]
    (tmp_path / FILE).write_text("\n".join(lines))
    config = load_config(tmp_path / FILE)
    assert config.vaults.key
    assert config.vaults.key.get_secret_value() == LONG
    assert config.vaults.ttl == timedelta(days=14)
    assert LONG not in repr(config)
    said, now = [b"d" * 32], datetime(2026, 1, 1, tzinfo=UTC)
    with closing(build(config)) as built:
        crm = built.apps["default"].principal
        built.vaults.put(crm, [], endpoint="cloud", said=said, now=now)
    assert (tmp_path / "v.db").exists()
    with closing(configured_vaults(config.vaults)) as vaults_again:
        assert vaults_again.recalls(crm, "cloud", said[0], now=now + timedelta(days=13))
