"""The policies that a command is about: a configuration's, or a folder's alone."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from guardrail.cli.terminal import DEFAULT
from guardrail.config import (
    AuditConfig,
    Config,
    VaultsConfig,
    build,
    default_directory,
    drafted,
    lacking,
    load_config,
    populated_policies,
    ttl_of,
)
from guardrail.errors import ConfigError
from guardrail.policy.facts import Need
from guardrail.policy.loader import (
    Draft,
    PolicyStore,
    draft_policies,
    load_policies,
    populated,
)
from guardrail.policy.scenarios import LOCAL, WORLD, load_world
from guardrail.problems import Problem, placed
from guardrail.regions import Regions, load_regions
from guardrail.taxonomy import load_taxonomy
from guardrail.types import Endpoint

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
    return folder_policies(directory) if directory else rehearsed(written(load_config(file)))


def written(settings: Config) -> Config:
    """The configuration for who writes policies: as they stand there, signed or not."""
    policies = settings.policies.model_copy(update={"verify_key": ()})
    return settings.model_copy(update={"policies": policies})


def folders_of(directory: Path | None, file: Path) -> tuple[Path, Path]:
    """The folders of policies and of regions that `policies_of` reads.

    Raises: what `load_config` raises.
    """
    if directory:
        return directory / "policies", directory / "regions"
    settings = load_config(file)
    return (
        settings.policies.directory or default_directory("policies"),
        settings.regions.directory or default_directory("regions"),
    )


def located(problems: Sequence[Problem], file: Path) -> list[Problem]:
    """Problems, those of the configuration with their place in its file."""
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return list(problems)
    return [placed(one, file.name, text) for one in problems]


def edited_folders(directory: Path | None, file: Path) -> tuple[Path, Path]:
    """The folders of policies and of regions that a command may write to.

    Raises:
        ConfigError: the policies would be those that guardrail ships, or there is no such folder.
    """
    policies, regions = folders_of(directory, file)
    if not directory and policies == default_directory("policies"):
        raise ConfigError(
            [f"{file}: names no policies of its own; `guardrail init` copies those it ships"]
        )
    if not policies.is_dir():
        raise ConfigError([f"{policies}: no such folder; name one with policies/ and regions/"])
    return policies, regions


def draft_of(directory: Path | None, file: Path) -> tuple[Draft, Regions, frozenset[Need]]:
    """The policies as they are written, the regions, and what a configuration lacks for facts.

    Raises: what `load_config`, `load_regions` and `drafted` raise.
    """
    if not directory:
        settings = load_config(file)
        return *drafted(settings), lacking(settings)
    regions = load_regions(directory / "regions")
    draft = draft_policies(
        directory / "policies",
        regions=regions,
        taxonomy=load_taxonomy(),
        endpoints=(),
        principals=(),
    )
    return draft, regions, frozenset()


def rehearsed(settings: Config) -> PolicyStore:
    """Builds everything beside an audit log and vaults that are thrown away; gives the policies.

    Of signed policies it is not noted that they are in force.

    Raises: what `build` raises.
    """
    with tempfile.TemporaryDirectory() as folder:
        audit = AuditConfig(path=Path(folder) / "audit.db")
        beside = {"audit": audit, "vaults": VaultsConfig(ttl=ttl_of(settings.vaults))}
        with closing(build(settings.model_copy(update=beside), adopt=False)) as built:
            return built.deployment.guard.policies


def folder_policies(directory: Path) -> PolicyStore:
    """The policies of a folder, without apps and endpoints.

    Raises: what `load_policies` raises.
    """
    return _unpeopled(directory / "policies", directory / "regions")


def _unpeopled(policies: Path, regions: Path) -> PolicyStore:
    return load_policies(
        policies,
        regions=load_regions(regions),
        taxonomy=load_taxonomy(),
        endpoints=(),
        principals=(),
    )


def peopled(*folders: tuple[Path, Path], file: Path | None) -> list[PolicyStore]:
    """The policies of pairs of folders, policies/ and regions/, with the same apps and endpoints.

    Those of the configuration; where `file` is None, or the usual one and missing, those of which
    scenarios speak in the last folder that has some, and a local endpoint where its first law
    applies.

    Raises: what `load_config`, `load_policies` and `load_world` raise.
    """
    if file is not None and (file != DEFAULT or file.exists()):
        settings = load_config(file)
        return [populated_policies(settings, *one) for one in folders]
    stores = [_unpeopled(*one) for one in folders]
    tests = [policies / "tests" for policies, _ in folders]
    named = [one for one in tests if (one / WORLD).exists()]
    world = load_world((named or tests)[-1], stores[-1])
    home = next(iter(stores[-1].regions.regions.values())).jurisdictions[0]
    local = Endpoint(id=LOCAL, provider="own", location=home, local=True)
    return [
        populated(
            store,
            endpoints=[*world.endpoints.values(), local],
            principals=[replace(app, establishment=home) for app in world.apps.values()],
        )
        for store in stores
    ]


def tests_of(directory: Path | None, file: Path) -> Path:
    """Where the scenarios of the same policies are.

    Raises: what `load_config` raises.
    """
    if directory:
        return directory / "policies" / "tests"
    return (load_config(file).policies.directory or default_directory("policies")) / "tests"
