"""The policies that a command is about: a configuration's, or a folder's alone."""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from guardrail.config import (
    AuditConfig,
    Config,
    VaultsConfig,
    build,
    default_directory,
    load_config,
    ttl_of,
)
from guardrail.policy.loader import PolicyStore, load_policies
from guardrail.regions import load_regions
from guardrail.taxonomy import load_taxonomy

Directory = Annotated[
    Path | None,
    typer.Argument(
        metavar="[DIR]",
        help="A folder with policies/ and regions/, in place of the configuration.",
    ),
]


def policies_of(directory: Path | None, file: Path) -> PolicyStore:
    """The policies of a folder, without apps and endpoints, or else those of a configuration.

    Raises: what `build` and `load_policies` raise.
    """
    return folder_policies(directory) if directory else rehearsed(load_config(file))


def rehearsed(settings: Config) -> PolicyStore:
    """Builds everything beside an audit log and vaults that are thrown away; gives the policies.

    Raises: what `build` raises.
    """
    with tempfile.TemporaryDirectory() as folder:
        audit = AuditConfig(path=Path(folder) / "audit.db")
        beside = {"audit": audit, "vaults": VaultsConfig(ttl=ttl_of(settings.vaults))}
        with closing(build(settings.model_copy(update=beside))) as built:
            return built.deployment.guard.policies


def folder_policies(directory: Path) -> PolicyStore:
    """The policies of a folder, without apps and endpoints.

    Raises: what `load_policies` raises.
    """
    return load_policies(
        directory / "policies",
        regions=load_regions(directory / "regions"),
        taxonomy=load_taxonomy(),
        endpoints=(),
        principals=(),
    )


def tests_of(directory: Path | None, file: Path) -> Path:
    """Where the scenarios of the same policies are.

    Raises: what `load_config` raises.
    """
    if directory:
        return directory / "policies" / "tests"
    return (load_config(file).policies.directory or default_directory("policies")) / "tests"
