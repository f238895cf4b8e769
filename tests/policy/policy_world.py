"""The applications and endpoints that the policy tests ask about, and the shipped files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from guardrail.policy.ladder import decide
from guardrail.policy.loader import PolicyStore, load_policies
from guardrail.regions import Regions, load_regions
from guardrail.taxonomy import load_taxonomy
from guardrail.types import (
    Category,
    Decision,
    Endpoint,
    Evidence,
    Principal,
    RequestContext,
    Treatment,
)

ROOT = Path(__file__).parents[2]
POLICIES = ROOT / "policies"
REGIONS: Regions = load_regions(ROOT / "regions")

CLEAR, PSEUDONYMISED, REDACTED, LOCAL, BLOCKED = Treatment


def endpoint(name: str, location: str, *agreements: str) -> Endpoint:
    return Endpoint(id=name, provider="anyone", location=location, agreements=frozenset(agreements))


HOME = Endpoint(id="home", provider="own", location="DE", local=True)
ENDPOINTS = (
    HOME,
    endpoint("fr", "FR", "DPA", "BAA"),
    endpoint("fr-bare", "FR"),
    endpoint("gb", "GB", "DPA"),
    endpoint("jp", "JP", "DPA"),
    endpoint("us", "US", "DPA"),
    endpoint("us-dpf", "US", "DPA", "DPF", "UK-DPF", "BAA"),
    endpoint("us-scc", "US", "DPA", "SCC", "IDTA"),
    endpoint("cn", "CN", "DPA"),
    endpoint("hk", "HK", "DPA"),
    replace(endpoint("trains", "US", "DPA", "DPF", "UK-DPF"), trains_on_data=True),
    replace(endpoint("trains-fr", "FR", "DPA"), trains_on_data=True),
)
AT: Mapping[str, Endpoint] = {one.id: one for one in ENDPOINTS}

PRINCIPALS = (
    Principal(id="crm", establishment="DE"),
    Principal(id="shop", establishment="GB"),
    Principal(id="store", establishment="US"),
    Principal(id="clinic", establishment="US", sector="health"),
    Principal(id="bank", establishment="US", sector="finance"),
    Principal(id="court", establishment="DE", sector="public"),
    Principal(id="magistrate", establishment="GB", sector="public"),
    Principal(id="tienda", establishment="MX"),
)
WHO: Mapping[str, Principal] = {one.id: one for one in PRINCIPALS}


def load(
    directory: Path = POLICIES,
    *,
    regions: Regions = REGIONS,
    endpoints: Sequence[Endpoint] = ENDPOINTS,
    principals: Sequence[Principal] = PRINCIPALS,
) -> PolicyStore:
    return load_policies(
        directory,
        regions=regions,
        taxonomy=load_taxonomy(),
        endpoints=endpoints,
        principals=principals,
    )


def context(who: str = "crm", **facts: object) -> RequestContext:
    usual = RequestContext(
        exchange="e",
        principal=WHO[who],
        purpose="support",
        basis="contract",
        origin={"GB": "GB", "US": "US-NY", "MX": "MX"}.get(WHO[who].establishment, "DE"),
        conversation="c",
        now=datetime(2026, 1, 1, tzinfo=UTC),
    )
    return replace(usual, **facts)  # type: ignore[arg-type]  # a table of facts is untyped


def found(categories: str) -> dict[Category, Evidence]:
    return {Category(name): Evidence() for name in categories.split()}


def at(
    store: PolicyStore,
    where: str,
    categories: str,
    asked: RequestContext | None = None,
    *,
    residual: float | None = 0.0,
) -> Decision:
    return decide(
        store,
        asked or context(),
        found(categories),
        endpoint=AT[where],
        local=AT["home"],
        residual=residual,
    )


def copy_policies(target: Path, changes: Mapping[str, str | None]) -> Path:
    """The shipped files, with some replaced or added, or left out where None."""
    directory = target / "policies"
    directory.mkdir()
    texts: dict[str, str | None] = {
        file.name: file.read_text() for file in POLICIES.iterdir() if file.is_file()
    }
    for name, text in {**texts, **changes}.items():
        if text is not None:
            (directory / name).write_text(text)
    return directory


STORE = load()
