"""Where documents are meant to go: the judge of a `Redactor`, by configuration or by place."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from guardrail.config import AuditConfig, Config, build, default_directory
from guardrail.context import App, derive_context
from guardrail.errors import ConfigError, Refusal
from guardrail.policy.loader import PolicyStore, load_policies, selftest
from guardrail.redaction import Destination
from guardrail.regions import load_regions
from guardrail.taxonomy import Taxonomy
from guardrail.types import Endpoint, Principal, RequestContext


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """Facts about documents and where they go, for policies that no configuration surrounds.

    `origin` is where the people are whom they are about: an ISO 3166 code, a group such as `EU`,
    or the id of a region file. `location` is where the endpoint processes.
    """

    origin: str
    location: str
    purpose: str = "general"
    basis: str = "none"
    sector: str = "general"
    agreements: frozenset[str] = frozenset()
    filings: frozenset[str] = frozenset()
    consents: frozenset[str] = frozenset()
    zero_retention: bool = False
    trains_on_data: bool = False


def configured_destination(
    config: Config, *, endpoint: str, app: str = "", at: datetime
) -> Destination:
    """Gives the judge that a configuration's gateway would be for one of its endpoints.

    `app` names who sends; it may be empty where there is one app only. `at` is the time that
    policies judge by.

    Raises:
        ConfigError: there is no such app or endpoint, or the configuration does not fit together.
        PolicyUnavailable: the policy engine fails its self-test.
    """
    with tempfile.TemporaryDirectory() as folder:  # what is treated here is recorded nowhere
        audit = AuditConfig(path=Path(folder) / "audit.db")
        with closing(build(config.model_copy(update={"audit": audit}), adopt=False)) as built:
            apps, policies = built.apps, built.deployment.guard.policies
            endpoints = {route.endpoint.id: route.endpoint for route in built.deployment.routes}
    if endpoint not in endpoints:
        raise ConfigError([f"endpoints.{endpoint}: there is none; use {', '.join(endpoints)}"])
    return Destination(
        policies=policies,
        context=_context(policies, _sender(apps, app), at),
        endpoint=endpoints[endpoint],
        local=next((one for one in endpoints.values() if one.local), None),
    )


def _sender(apps: Mapping[str, App], name: str) -> App:
    if name in apps:
        return apps[name]
    if not name and len(apps) == 1:
        return next(iter(apps.values()))
    raise ConfigError([f"apps.{name or '<id>'}: say which app sends: {', '.join(apps)}"])


def destination(
    journey: Journey, *, taxonomy: Taxonomy, at: datetime, directory: Path | None = None
) -> Destination:
    """Gives the judge of documents on a journey, by the policies of a folder.

    `directory` holds `policies/` and `regions/`; without it the shipped ones count. The controller
    is taken to be established where the people are.

    Raises:
        ConfigError: policies, regions and places do not fit together, or a word is none of theirs.
        PolicyUnavailable: the policy engine fails its self-test.
    """
    regions = load_regions(_folder(directory, "regions"))
    region = regions.regions.get(journey.origin.lower())
    origin = region.jurisdictions[0] if region else journey.origin
    principal = Principal(id="sender", sector=journey.sector, establishment=origin)
    endpoint = Endpoint(
        id="destination",
        provider="provider",
        location=journey.location,
        agreements=journey.agreements,
        zero_retention=journey.zero_retention,
        trains_on_data=journey.trains_on_data,
    )
    local = Endpoint(id="local", provider="local", location=origin, local=True)
    policies = load_policies(
        _folder(directory, "policies"),
        regions=regions,
        taxonomy=taxonomy,
        endpoints=(endpoint, local),
        principals=(principal,),
    )
    selftest(policies)
    sender = App(
        principal=principal,
        purpose=journey.purpose,
        basis=journey.basis,
        origin=origin,
        consents=journey.consents,
        filings=journey.filings,
    )
    _check_words(sender, policies)
    return Destination(
        policies=policies, context=_context(policies, sender, at), endpoint=endpoint, local=local
    )


def _folder(directory: Path | None, name: str) -> Path:
    return directory / name if directory else default_directory(name)


def _check_words(sender: App, policies: PolicyStore) -> None:
    problems = [
        f"{name}: {value!r} is not one of {', '.join(sorted(policies.vocabulary[name]))}"
        for name, values in (
            ("purpose", {sender.purpose}),
            ("basis", {sender.basis}),
            ("consent", sender.consents),
            ("filing", sender.filings),
        )
        for value in sorted(values - policies.vocabulary[name])
    ]
    if problems:
        raise ConfigError(problems)


def _context(policies: PolicyStore, sender: App, at: datetime) -> RequestContext:
    try:
        return derive_context(
            sender, headers=(), vocabulary=policies.vocabulary, exchange="document", now=at
        )
    except Refusal as refusal:
        raise ConfigError([f"apps.{sender.principal.id}: {refusal.message}"]) from None
