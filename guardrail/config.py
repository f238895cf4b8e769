"""guardrail.toml → a frozen `Config` → built objects: filled, checked as a whole, then built.

Environment variables override the file: `GUARDRAIL_AUDIT__PATH` is `audit.path`. A secret may be
written as `env:NAME` or `file:/PATH`, which is read when the configuration is loaded.
"""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib import resources
from itertools import chain, product
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    HttpUrl,
    SecretStr,
    StringConstraints,
    ValidationError,
)
from pydantic_core import PydanticCustomError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from guardrail.audit.log import AuditLog
from guardrail.audit.stores.sqlite import SqliteStore
from guardrail.context import App, derive_context
from guardrail.detection.detector import NAMES, TIMEOUT, RuleDetector, build_detector
from guardrail.detection.lists import read_list
from guardrail.detection.selection import Preferences
from guardrail.errors import ConfigError
from guardrail.exchange import Deployment, Limits
from guardrail.extraction.reader import build_reader
from guardrail.files import Entry
from guardrail.guard import Guard, build_guard, holds_on_streams, unenforced
from guardrail.live import Folders, Live, utc_now
from guardrail.policy.facts import Need
from guardrail.policy.ladder import decide_output
from guardrail.policy.loader import Draft, PolicyStore, draft_policies, load_policies
from guardrail.policy.obligations import retention
from guardrail.policy.scenarios import load_scenarios
from guardrail.policy.serials import Trust
from guardrail.policy.signing import read_public_keys
from guardrail.policy.trials import Stage
from guardrail.protocols.headers import DEFAULT_HEADERS, HeaderNames
from guardrail.protocols.maps import sockets_of
from guardrail.protocols.streams import STREAMS, socket_at
from guardrail.regions import Regions, load_regions
from guardrail.routing.routes import Route
from guardrail.taxonomy import Taxonomy, load_taxonomy
from guardrail.transform.sentences import HOLD, OVERLAP
from guardrail.transform.stores.postgres import PostgresVaults
from guardrail.transform.stores.sqlite import SqliteVaults
from guardrail.transform.vaults import Store, Vaults
from guardrail.types import Endpoint, Principal, TextUnit

FILE = "guardrail.toml"
"""The configuration's name where none is given."""

Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$")]


def _one_place(text: str) -> str:
    if re.fullmatch(r"[A-Z]{2}(-[A-Z0-9]{1,3})?", text):
        return text
    raise PydanticCustomError(
        "place",
        "not one place; write one ISO 3166-1 code such as DE, or ISO 3166-2 such as US-CA. A model "
        "that is routed to several places is several endpoints",
    )


Place = Annotated[str, AfterValidator(_one_place)]


def _from_environment(secret: SecretStr) -> SecretStr:
    value = secret.get_secret_value()
    if value.startswith("file:"):
        return _from_file(Path(value.removeprefix("file:")))
    if not value.startswith("env:"):
        return secret
    name = value.removeprefix("env:")
    if name not in os.environ:
        raise ValueError(f"the environment variable {name} is not set")
    return SecretStr(os.environ[name])


def _from_file(path: Path) -> SecretStr:
    if not path.is_absolute():
        raise ValueError("write the file of a secret as file:/an/absolute/path")
    try:
        return SecretStr(path.read_text("utf-8").rstrip("\r\n"))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ValueError(f"the file {path} cannot be read: {why}") from None


Secret = Annotated[SecretStr, AfterValidator(_from_environment)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Score = Annotated[float, Field(gt=0, le=1)]


class AppDetectionConfig(_Table):
    """`[apps.<id>.detection]`: what of all that is found counts for one app.

    `exclude`, `allow` and `deny` add to those of `[detection]`; `only`, unless empty, lists the
    entities that count.
    """

    threshold: Score | None = None
    thresholds: Mapping[str, Score] = Field(default_factory=dict)
    exclude: frozenset[str] = frozenset()
    only: frozenset[str] = frozenset()
    allow: tuple[str, ...] = Field(default=(), repr=False)
    allow_files: tuple[Path, ...] = ()
    deny: Mapping[str, tuple[str, ...]] = Field(default_factory=dict, repr=False)
    deny_files: Mapping[str, Path] = Field(default_factory=dict)


class AppConfig(_Table):
    """`[apps.<id>]`: a calling application and what holds for its requests.

    `key` is what it presents to the gateway. `establishment` is where its controller is
    established, `origin` where its data subjects are (ISO 3166).
    """

    key: Secret | None = None
    tenant: Id = "default"
    sector: str = "general"
    high_risk: bool = False
    critical_infrastructure: bool = False
    establishment: Place
    origin: Place
    purpose: str = "general"
    basis: str = "none"
    consents: frozenset[str] = frozenset()
    filings: frozenset[str] = frozenset()
    trust_headers: bool = False
    detection: AppDetectionConfig = AppDetectionConfig()


class EndpointConfig(_Table):
    """`[endpoints.<id>]`: a model endpoint, with exactly one processing location (ISO 3166).

    `url` is the base URL that precedes `/chat/completions`. `models` are the names it serves
    (`gpt-*`), `model` is what a request meant for another endpoint is renamed to.
    """

    url: HttpUrl | None = None
    api_key: Secret | None = None
    provider: Id
    location: Place
    local: bool = False
    agreements: frozenset[str] = frozenset()
    zero_retention: bool = False
    trains_on_data: bool = False
    controlled_by: Place | None = None
    sovereignty: int = Field(default=0, ge=0, le=4)
    cost: float = Field(default=0.0, ge=0)
    models: tuple[str, ...] = Field(min_length=1)
    model: str = ""
    timeout_s: float = Field(default=120.0, gt=0)


ROLLOUT = "guardrail-rollout.json"
"""The file beside the configuration in which a rollout is kept."""

STATE = "policy-state.json"
"""The file beside the configuration in which the highest serial of signed policies is kept."""


def _one_or_several(value: Any) -> Any:
    return [value] if isinstance(value, str | Path) else value


class PoliciesConfig(_Table):
    """`[policies]`: the folder of the rules; the shipped one where none is named.

    `reload_s` is how many seconds pass between two looks at the files, 0 for never. `shadow` is a
    folder with policies/ and regions/ that are asked beside those in force and decide nothing.
    `rollout` is the file in which `guardrail policy rollout` says what is in force; without one it
    is guardrail-rollout.json beside the configuration's file. `verify_key` lists the public keys
    one of which must have signed the policies; `state` is the file with the highest serial that was
    in force; without one it is policy-state.json beside the configuration's file.
    """

    directory: Path | None = None
    reload_s: float = Field(default=1.0, ge=0, le=3600)
    shadow: Path | None = None
    rollout: Path | None = None
    verify_key: Annotated[tuple[Path, ...], BeforeValidator(_one_or_several)] = Field(
        default=(), min_length=1
    )
    state: Path | None = None


class RegionsConfig(_Table):
    """`[regions]`: the folder of the profiles of law; the shipped one where none is named."""

    directory: Path | None = None


class DetectionConfig(_Table):
    """`[detection]`: what finds personal data, and what of it counts.

    `names` lists who finds names, `recognizers` files of rules, `known`
    lists of known people, built with `known_key`. `threshold` is the least score in
    [0, 1] that counts, `timeout_s` is for all texts of a request, `exclude` lists entities not to
    look for, `include` optional ones to look for, `entities` adds `{ENTITY = "category"}` rows to
    the taxonomy. `allow` lists texts that are no findings, `deny` texts that are.
    """

    names: tuple[str, ...] = NAMES
    languages: tuple[Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")], ...] = ()
    recall: Literal["precise", "balanced", "strict"] = "balanced"
    labels: Mapping[str, str] = Field(default_factory=dict)
    organizations: Literal["off", "review", "on"] = "review"
    allow_download: bool = False
    recognizers: tuple[Path, ...] = ()
    known: tuple[Path, ...] = ()
    known_key: Secret | None = None
    threshold: Score = 0.4
    thresholds: Mapping[str, Score] = Field(default_factory=dict)
    timeout_s: float = Field(default=TIMEOUT, gt=0)
    exclude: frozenset[str] = frozenset()
    include: frozenset[str] = frozenset()
    entities: Mapping[str, str] = Field(default_factory=dict)
    allow: tuple[str, ...] = Field(default=(), repr=False)
    allow_files: tuple[Path, ...] = ()
    deny: Mapping[str, tuple[str, ...]] = Field(default_factory=dict, repr=False)
    deny_files: Mapping[str, Path] = Field(default_factory=dict)


class MediaConfig(_Table):
    """`[media]`: whether PDF and office documents are read, and pictures by text recognition.

    `pages` is the most a PDF may have, `timeout_s` what reading one file may take.
    """

    documents: bool = False
    ocr: bool = False
    pages: int = Field(default=200, gt=0, le=10_000)
    timeout_s: float = Field(default=10.0, gt=0, le=600)


class AuditConfig(_Table):
    """`[audit]`: where events are kept, and how long an event may take to become durable."""

    path: Path = Path("guardrail-audit.db")
    timeout_s: float = Field(default=2.0, gt=0)


class LimitsConfig(_Table):
    """`[limits]`: bytes of a request and of an answer that is held, seconds to read a request.

    `inflight_bytes` is what all requests at once may hold; one more is told to come again.
    A WebSocket is closed after `socket_idle_s` without a frame, and once open for `socket_open_s`.
    """

    request_bytes: int = Field(default=8 * 2**20, gt=0)
    answer_bytes: int = Field(default=32 * 2**20, gt=0)
    inflight_bytes: int = Field(default=256 * 2**20, gt=0)
    read_timeout_s: float = Field(default=30.0, gt=0)
    socket_idle_s: float = Field(default=600.0, gt=0)
    socket_open_s: float = Field(default=7200.0, gt=0)


class MiddlewareConfig(_Table):
    """`[middleware]`: the wrapped app. `app` names its table under `[apps]`.

    `unguarded` lists paths that carry no model traffic; one that ends in `/*` covers all below.
    `endpoint` is where requests go that name no model. `headers` names the headers of requests to
    models that are treated with the body, in the transport too; a final `*` stands for any rest.
    `websockets` adds paths whose WebSockets are inspected, each with what ends an answer there:
    values of `type`, or whole messages.
    """

    app: Id = "default"
    unguarded: tuple[str, ...] = ()
    websockets: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    endpoint: str = ""
    headers: tuple[str, ...] = DEFAULT_HEADERS


class GatewayConfig(_Table):
    """`[gateway]`: where `guardrail serve` listens. Off loopback, every app needs a key."""

    host: str = "127.0.0.1"
    port: int = Field(default=8750, ge=0, le=65535)


class OutputConfig(_Table):
    """`[output]`: how answers are filtered.

    `restore_tools` are tools inside the trust boundary, whose arguments policy may let be restored.
    `hold` is how many code points of a sentence an answer waits for at most, where policy masks
    what is found by sentences. `streams` says what becomes of an answer that streams where policy
    masks what only a whole text shows: `refuse` does not start, `buffer` holds it to its end.
    """

    restore_tools: frozenset[str] = frozenset()
    hold: int = Field(default=HOLD, ge=4 * OVERLAP, le=8192)
    streams: Literal["refuse", "buffer"] = "refuse"


class PseudonymsConfig(_Table):
    """`[pseudonyms]`: the secret behind digests of user ids; a new one each start if not given."""

    key: Secret | None = None


_DURATION = re.compile(r"([1-9][0-9]{0,5})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def duration(value: Any) -> Any:
    """The time that a text such as 90s, 30m, 12h, 30d or 4w means; raises ValueError."""
    if isinstance(value, timedelta) and value > timedelta():
        return value
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("write a number and a unit: 90s, 30m, 12h, 30d, 4w")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


Duration = Annotated[timedelta, BeforeValidator(duration)]


class VaultsConfig(_Table):
    """`[vaults]`: where the placeholders of conversations are kept that outlive an exchange.

    `store` is `memory`, `sqlite:PATH` or a `postgresql://` URL. `ttl` is how long, since they were
    last added to; `key` is the secret that seals them, `old_keys` those that sealed them before.
    """

    store: Secret | None = None
    ttl: Duration | None = None
    key: Secret | None = None
    old_keys: tuple[Secret, ...] = ()


class Config(BaseSettings):
    """The whole configuration; see each table's class."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix="GUARDRAIL_",
        env_nested_delimiter="__",
    )

    apps: Mapping[Id, AppConfig] = Field(min_length=1)
    endpoints: Mapping[Id, EndpointConfig] = Field(min_length=1)
    policies: PoliciesConfig = PoliciesConfig()
    regions: RegionsConfig = RegionsConfig()
    detection: DetectionConfig = DetectionConfig()
    media: MediaConfig = MediaConfig()
    audit: AuditConfig = AuditConfig()
    limits: LimitsConfig = LimitsConfig()
    middleware: MiddlewareConfig = MiddlewareConfig()
    gateway: GatewayConfig = GatewayConfig()
    output: OutputConfig = OutputConfig()
    pseudonyms: PseudonymsConfig = PseudonymsConfig()
    vaults: VaultsConfig = VaultsConfig()

    _reads_environment: ClassVar[bool] = False

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is given, and before it the environment, where it was given by a file."""
        return (env_settings, init_settings) if cls._reads_environment else (init_settings,)


class _FromFile(Config):
    _reads_environment = True


def load_config(source: Path | str | Mapping[str, Any]) -> Config:
    """Gives the configuration of a file, or of a mapping of the same shape.

    Relative paths are taken from the file's folder. The environment overrides a file, and never a
    mapping.

    Raises:
        ConfigError: every problem at once, one line each: `endpoints.cloud.location: …`.
    """
    if isinstance(source, Mapping):
        tables, base, kind = dict(source), Path(), Config
    else:
        path, kind = Path(source), _FromFile
        base = path.parent
        try:
            tables = tomllib.loads(path.read_text("utf-8"))
        except OSError as error:
            raise ConfigError(
                [f"{path}: {error.strerror}; `guardrail init` writes a first one"]
            ) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError([f"{path}: not valid TOML: {error}"]) from None
    config: Config | None = None
    problems: list[str] = []
    try:
        config = kind(**tables)
    except ValidationError as error:
        problems = list(_problems(error))
    except SettingsError as error:
        name = next(iter(re.findall(r'field "(\w+)"', str(error))), "environment")
        problems = [f"{name}: the environment variable GUARDRAIL_{name.upper()} is not valid JSON"]
    if config is not None:
        problems = list(_inconsistencies(config))
        if not problems:
            return _anchored(config, base)
    raise ConfigError(problems)


def _problems(error: ValidationError) -> Iterator[str]:
    for problem in error.errors(include_url=False, include_input=False):
        path = ".".join(str(step) for step in problem["loc"]) or "guardrail.toml"
        yield f"{path}: {_HINTS.get(problem['type'], problem['msg'])}"


_HINTS = {
    "extra_forbidden": "there is no such setting; look for a misspelling",
    "missing": "this setting is required",
}


def _inconsistencies(config: Config) -> Iterator[str]:
    for name, endpoint in config.endpoints.items():
        if endpoint.local and not endpoint.model:
            yield f"endpoints.{name}.model: say which model a request that stays local is sent to"
        others = (n for n, o in config.endpoints.items() if endpoint.local and not o.local)
        for other in others:
            if _route(other, config.endpoints[other]).serves(endpoint.model):
                yield (
                    f"endpoints.{name}.model: {endpoint.model!r} is also served by "
                    f"endpoints.{other}; a name that stays local must be local only"
                )
    app = config.middleware.app
    if "middleware" in config.model_fields_set and app not in config.apps:
        yield f"middleware.app: there is no [apps.{app}]"
    endpoint_id = config.middleware.endpoint
    if endpoint_id and endpoint_id not in config.endpoints:
        yield f"middleware.endpoint: there is no [endpoints.{endpoint_id}]"
    yield from _vault_problems(config.vaults)
    try:
        HeaderNames(config.middleware.headers)
    except ValueError as error:
        yield f"middleware.headers: {error}"
    if config.limits.inflight_bytes < config.limits.request_bytes:
        yield "limits.inflight_bytes: less than limits.request_bytes, so a large request never fits"
    keys = [a.key.get_secret_value() for a in config.apps.values() if a.key is not None]
    if len(set(keys)) < len(keys):
        yield "apps: two apps share one key"
    for name, one in config.apps.items():
        if one.key is not None and len(one.key.get_secret_value()) < 16:
            yield f"apps.{name}.key: use at least 16 characters"
        if one.key is None and not _is_loopback(config.gateway.host):
            yield f"apps.{name}.key: required, since gateway.host is not a loopback address"
    if len(config.apps) > 1 and len(keys) + 1 < len(config.apps):
        yield "apps: with several apps, at most one may do without a key"


def _vault_problems(vaults: VaultsConfig) -> Iterator[str]:
    kind, _, rest = _store_of(vaults).partition(":")
    durable = kind in ("sqlite", "postgresql", "postgres")
    if not (durable and rest) and (kind, rest) != ("memory", ""):
        yield "vaults.store: must be memory, sqlite:PATH or postgresql://…"
    if durable and vaults.key is None:
        yield "vaults.key: required, since what is kept outlives the process; env:NAME names one"
    for name, key in (("key", vaults.key), *(("old_keys", key) for key in vaults.old_keys)):
        if key is not None and len(key.get_secret_value()) < 32:
            yield f"vaults.{name}: use at least 32 characters, made at random"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _anchored(config: Config, base: Path) -> Config:
    def anchor(path: Path | None) -> Path | None:
        return path if path is None or path.is_absolute() else base / path

    def settled(table: DetectionConfig | AppDetectionConfig) -> Any:
        lists: dict[str, Any] = {
            "allow_files": tuple(base / path for path in table.allow_files),
            "deny_files": {entity: base / path for entity, path in table.deny_files.items()},
        }
        if isinstance(table, DetectionConfig):
            lists["recognizers"] = tuple(base / path for path in table.recognizers)
            lists["known"] = tuple(base / path for path in table.known)
            lists["names"] = tuple(_model_at(base, name) for name in table.names)
        return table.model_copy(update=lists)

    return config.model_copy(
        update={
            "apps": {
                name: app.model_copy(update={"detection": settled(app.detection)})
                for name, app in config.apps.items()
            },
            "detection": settled(config.detection),
            "policies": config.policies.model_copy(
                update={
                    "directory": anchor(config.policies.directory),
                    "shadow": anchor(config.policies.shadow),
                    "rollout": anchor(config.policies.rollout or Path(ROLLOUT)),
                    "verify_key": tuple(base / key for key in config.policies.verify_key),
                    "state": anchor(config.policies.state or Path(STATE)),
                }
            ),
            "regions": RegionsConfig(directory=anchor(config.regions.directory)),
            "vaults": config.vaults.model_copy(update={"store": _store_at(base, config.vaults)}),
            "audit": config.audit.model_copy(update={"path": anchor(config.audit.path)}),
        }
    )


def _store_of(vaults: VaultsConfig) -> str:
    return vaults.store.get_secret_value() if vaults.store else "memory"


def _store_at(base: Path, vaults: VaultsConfig) -> SecretStr | None:
    kind, _, rest = _store_of(vaults).partition(":")
    return SecretStr(f"sqlite:{base / rest}") if kind == "sqlite" else vaults.store


def _model_at(base: Path, name: str) -> str:
    """The name with the path of its model's folder, where it names one."""
    kind, _, rest = name.partition(":")
    is_folder = kind in ("spacy", "hf", "gliner") and rest and (base / rest).is_dir()
    return f"{kind}:{base / rest}" if is_folder else name


def default_directory(name: str) -> Path:
    """Gives the shipped `policies` or `regions`: inside the wheel, or beside the package."""
    package = Path(str(resources.files("guardrail")))
    shipped = package / "defaults" / name
    return shipped if shipped.is_dir() else package.parent / name


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """How an endpoint is reached. The key is never shown in a repr."""

    url: str
    key: SecretStr | None
    timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """Everything a shell needs. Audit log and vaults are open; `close` them when done.

    `live` gives each exchange the deployment that decides it; `deployment` is the one at the start,
    whose routes, limits and detectors do not change.
    """

    config: Config
    deployment: Deployment
    live: Live
    audit: AuditLog
    vaults: Vaults
    apps: Mapping[str, App]
    upstreams: Mapping[str, Upstream]

    def close(self) -> None:
        """Writes what the audit log still holds, and closes it and the vaults."""
        self.live.close()
        self.audit.close()
        self.vaults.close()


def drafted(config: Config) -> tuple[Draft, Regions]:
    """Gives the policies of a configuration as they are written, and the regions they speak of.

    Raises:
        ConfigError: the regions cannot be loaded, or `[detection]` adds what it may not.
    """
    regions = load_regions(config.regions.directory or default_directory("regions"))
    draft = draft_policies(
        config.policies.directory or default_directory("policies"),
        regions=regions,
        taxonomy=configured_taxonomy(config.detection),
        endpoints=[_route(name, one).endpoint for name, one in config.endpoints.items()],
        principals=[_app(name, one).principal for name, one in config.apps.items()],
    )
    return draft, regions


def populated_policies(config: Config, policies: Path, regions: Path) -> PolicyStore:
    """Gives the policies of two folders, with the apps and endpoints of a configuration.

    Raises: what `load_regions` and `load_policies` raise.
    """
    return load_policies(
        policies,
        regions=load_regions(regions),
        taxonomy=configured_taxonomy(config.detection),
        endpoints=[_route(name, one).endpoint for name, one in config.endpoints.items()],
        principals=[_app(name, one).principal for name, one in config.apps.items()],
    )


def lacking(config: Config) -> frozenset[Need]:
    """Gives what the configuration lacks to supply every fact that policies may ask for."""
    needs: list[tuple[Need, bool]] = [
        ("trusted-headers", any(app.trust_headers for app in config.apps.values())),
        ("names-model", "builtin" in config.detection.names),
    ]
    return frozenset(need for need, met in needs if not met)


def trust_of(config: PoliciesConfig) -> Trust | None:
    """Gives who may sign policies; None where they need not be signed.

    Raises:
        ConfigError: a key cannot be read.
    """
    if not config.verify_key:
        return None
    return Trust(keys=read_public_keys(config.verify_key), state=config.state or Path(STATE))


def build(config: Config, *, clock: Callable[[], datetime] = utc_now, adopt: bool = True) -> Built:
    """Gives the objects a configuration describes, self-tested and ready to decide.

    `clock` is what the signatures of policies expire by. Without `adopt` nothing is noted of the
    policies being in force, as where they are tried only.

    Raises:
        ConfigError: policies, regions, endpoints or detectors do not fit together.
        PolicyUnavailable: the policy engine fails its self-test.
        AuditUnavailable: the audit log cannot be opened for writing.
        VaultUnavailable: the store of vaults cannot be opened.
    """
    taxonomy = configured_taxonomy(config.detection)
    routes = tuple(_route(name, one) for name, one in config.endpoints.items())
    apps = {name: _app(name, one) for name, one in config.apps.items()}

    def policies_of(directory: Entry, regions: Entry) -> PolicyStore:
        store = load_policies(
            directory,
            regions=load_regions(regions),
            taxonomy=taxonomy,
            endpoints=[route.endpoint for route in routes],
            principals=[app.principal for app in apps.values()],
        )
        _check_words(config, store.vocabulary)
        _check_ttl(config.vaults, store, apps)
        return store

    folders = Folders(
        policies=config.policies.directory or default_directory("policies"),
        regions=config.regions.directory or default_directory("regions"),
        rollout=config.policies.rollout,
        shadow=config.policies.shadow,
        load=policies_of,
        trust=trust_of(config.policies),
        clock=clock,
    )
    loaded = folders.read()
    if loaded.problems:
        raise ConfigError(loaded.problems)
    detector = configured_detector(config.detection, taxonomy=taxonomy, apps=config.apps)
    # The first text is slow: libraries load their tables then. Better now than for a caller.
    detector.find(TextUnit(pointer="", text="first.last@example.com, +49 30 901820, 4111 1111"))
    key = config.pseudonyms.key
    guard = build_guard(
        detector=detector,
        policies=loaded.stable,
        shadow=loaded.shadow,
        taxonomy=taxonomy,
        key=key.get_secret_value().encode() if key else secrets.token_bytes(32),
        restore_tools=config.output.restore_tools,
        hold=config.output.hold,
        holds_answers=config.output.streams == "buffer",
        reader=build_reader(**config.media.model_dump()),
    )
    for store in filter(None, (loaded.stable, loaded.candidate)):
        _check_output(config, replace(guard, policies=store), routes, apps)
    deployment = Deployment(
        guard=guard,
        routes=routes,
        destination=config.middleware.endpoint,
        headers=HeaderNames(config.middleware.headers),
        limits=Limits(request=config.limits.request_bytes, answer=config.limits.answer_bytes),
    )

    def served(directory: Entry, regions: Entry) -> PolicyStore:
        store = policies_of(directory, regions)
        _check_output(config, replace(guard, policies=store), routes, apps)
        _check_scenarios(directory / "tests", store)
        return store

    vaults = configured_vaults(config.vaults)
    try:
        audit = AuditLog(SqliteStore(config.audit.path), timeout_s=config.audit.timeout_s)
    except BaseException:
        vaults.close()
        raise
    try:
        if adopt:
            folders.adopt(loaded)
    except BaseException:
        audit.close()
        vaults.close()
        raise
    live = Live(deployment, replace(folders, load=served), loaded, every=config.policies.reload_s)
    return Built(
        config=config,
        deployment=deployment,
        live=live,
        audit=audit,
        vaults=vaults,
        apps=apps,
        upstreams={
            name: Upstream(
                url=str(one.url).rstrip("/") if one.url else "",
                key=one.api_key,
                timeout_s=one.timeout_s,
            )
            for name, one in config.endpoints.items()
        },
    )


def _check_output(
    config: Config, guard: Guard, routes: Iterable[Route], apps: Mapping[str, App]
) -> None:
    """Refuses routes whose answers could not be masked, as policy wants it, while they stream."""
    vocabulary = guard.policies.vocabulary
    now = datetime.now(UTC)
    spoken = sockets_of(config.middleware.websockets)
    sockets = tuple(socket_at(path, protocol) for path, protocol in spoken.items())
    problems = []
    for name, app in apps.items():
        streams = (*STREAMS, *(sockets if name == config.middleware.app else ()))
        kinds = [s.name for s in streams if not (guard.holds_answers and s.ends)]
        if not kinds:
            continue
        context = derive_context(app, headers=(), vocabulary=vocabulary, exchange="start", now=now)
        for route, injected in product(routes, (False, True)):
            endpoint = route.endpoint
            missed = unenforced(guard, context, endpoint=endpoint, injected=injected)
            known = unenforced(guard, context, endpoint=endpoint) if injected else {}
            for category in (one for one in missed if one not in known):
                _, reasons = decide_output(
                    guard.policies, context, category, endpoint=endpoint, injected=injected
                )
                rules = ", ".join(one.policy for one in reasons if one.effect == "forbid")
                problems.append(
                    f"endpoints.{endpoint.id}: policy masks {category!r} in answers to app "
                    f"{name!r} ({rules or 'no rule permits showClear'}), and "
                    f"{', '.join(missed[category])} can only be found in whole texts, not while "
                    f"an answer streams as {', '.join(kinds)}; give the pattern a finite width, "
                    f"exclude the entity, permit showClear, or {_MENDS[guard.holds_answers]}"
                )
    if problems:
        raise ConfigError(problems)


_MENDS = {
    False: 'hold such answers to their end with output.streams = "buffer"',
    True: "list what ends an answer there in middleware.websockets",
}
"""What helps where answers must not stream, and where they are held but nothing ends them."""


def _check_ttl(config: VaultsConfig, policies: PolicyStore, apps: Mapping[str, App]) -> None:
    """Refuses to keep originals of placeholders for longer than policy permits for each app."""
    ttl, problems = ttl_of(config), []
    for name, app in apps.items():
        limit = retention(
            policies,
            "vault",
            principal=app.principal.id,
            origin=app.origin,
            purpose=app.purpose,
            basis=app.basis,
        ).limit
        if ttl > timedelta(days=limit):
            allowed = f"more than {limit} days" if limit >= 0 else "at all"
            problems.append(
                f"vaults.ttl: policy does not let originals of app {name!r} be kept {allowed}; "
                "shorten it, or change the rules of `retain`"
            )
    if problems:
        raise ConfigError(problems)


def _check_scenarios(tests: Entry, store: PolicyStore) -> None:
    """Refuses policies that do not decide what the scenarios beside them expect."""
    if not tests.is_dir():
        return
    world, scenarios = load_scenarios(tests, store)
    stage = Stage(store, world)
    problems = [
        f"{scenario.place}: not what the policies decide: {scenario.title}; "
        "`guardrail policy test` explains it"
        for scenario in scenarios
        if not stage.trial(scenario).passed
    ]
    if problems:
        raise ConfigError(problems)


def ttl_of(config: VaultsConfig) -> timedelta:
    """How long vaults are kept, since they were last added to."""
    in_memory = _store_of(config) == "memory"
    return config.ttl or (timedelta(minutes=30) if in_memory else timedelta(days=30))


def configured_vaults(config: VaultsConfig) -> Vaults:
    """Gives the vaults that `[vaults]` describes.

    Raises:
        ConfigError: the store is something else, or needs what is not installed.
        VaultUnavailable: the store cannot be opened.
    """
    url = _store_of(config)
    kind, _, rest = url.partition(":")
    store: Store | None = None
    if kind != "memory":
        store = SqliteVaults(rest) if kind == "sqlite" else PostgresVaults(url)
    keys = [key.get_secret_value().encode() for key in (config.key, *config.old_keys) if key]
    return Vaults(store, keys=keys, ttl=ttl_of(config))


def configured_taxonomy(found: DetectionConfig) -> Taxonomy:
    """Gives the taxonomy, with the rows that `[detection]` adds to it.

    Raises:
        ConfigError: a row is wrong.
    """
    try:
        return load_taxonomy(found.entities)
    except ValueError as error:
        raise ConfigError([f"detection.entities: {error}"]) from None


def configured_detector(
    found: DetectionConfig, *, taxonomy: Taxonomy, apps: Mapping[str, AppConfig] | None = None
) -> RuleDetector:
    """Gives the detector that `[detection]` describes, and what of it counts for each app.

    Raises:
        ConfigError: as `build_detector` does.
    """
    general = _preferences("detection", found)
    return build_detector(
        names=found.names,
        languages=found.languages,
        recall=found.recall,
        labels=found.labels,
        organizations=found.organizations,
        allow_download=found.allow_download,
        recognizers=found.recognizers,
        known=found.known,
        known_key=found.known_key.get_secret_value() if found.known_key else "",
        threshold=found.threshold,
        thresholds=general.thresholds,
        timeout=found.timeout_s,
        exclude=general.exclude,
        include=found.include,
        allow=general.allow,
        deny=general.deny,
        apps={
            name: _preferences(f"apps.{name}.detection", app.detection)
            for name, app in (apps or {}).items()
            if app.detection != AppDetectionConfig()
        },
        taxonomy=taxonomy,
        streams=holds_on_streams,
    )


def _preferences(table: str, config: DetectionConfig | AppDetectionConfig) -> Preferences:
    allowed = [read_list(path, setting=f"{table}.allow_files") for path in config.allow_files]
    denied = dict(config.deny)
    for entity, path in config.deny_files.items():
        listed = read_list(path, setting=f"{table}.deny_files.{entity}")
        denied[entity] = (*denied.get(entity, ()), *listed)
    return Preferences(
        threshold=config.threshold,
        thresholds=config.thresholds,
        exclude=config.exclude,
        only=config.only if isinstance(config, AppDetectionConfig) else frozenset(),
        allow=(*config.allow, *chain.from_iterable(allowed)),
        deny=denied,
    )


def _route(name: str, config: EndpointConfig) -> Route:
    endpoint = Endpoint(
        id=name,
        provider=config.provider,
        location=config.location,
        local=config.local,
        agreements=config.agreements,
        zero_retention=config.zero_retention,
        trains_on_data=config.trains_on_data,
        controlled_by=config.controlled_by or "",
        sovereignty=config.sovereignty,
        cost=config.cost,
    )
    return Route(endpoint=endpoint, models=config.models, model=config.model)


def _app(name: str, config: AppConfig) -> App:
    principal = Principal(
        id=name,
        tenant=config.tenant,
        sector=config.sector,
        high_risk=config.high_risk,
        critical_infrastructure=config.critical_infrastructure,
        establishment=config.establishment,
    )
    return App(
        principal=principal,
        purpose=config.purpose,
        basis=config.basis,
        origin=config.origin,
        consents=config.consents,
        filings=config.filings,
        trust_headers=config.trust_headers,
    )


def _check_words(config: Config, vocabulary: Mapping[str, frozenset[str]]) -> None:
    problems = [
        f"apps.{name}.{setting}: {value!r} is not one of {', '.join(sorted(vocabulary[kind]))}"
        for name, app in config.apps.items()
        for setting, kind, values in (
            ("purpose", "purpose", {app.purpose}),
            ("basis", "basis", {app.basis}),
            ("consents", "consent", app.consents),
            ("filings", "filing", app.filings),
        )
        for value in sorted(values - vocabulary[kind])
    ]
    if problems:
        raise ConfigError(problems)
