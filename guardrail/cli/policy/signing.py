"""`guardrail policy keygen`, `sign` and `verify`: who may say which policies are in force."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from guardrail.cli.policy.rollout import with_folder
from guardrail.cli.stores import Directory, folders_of, rehearsed, written
from guardrail.cli.terminal import (
    DEFAULT,
    AsJson,
    Code,
    ConfigFile,
    complain,
    fail,
    out,
    progress_bar,
    told,
    write_json,
)
from guardrail.config import duration, load_config
from guardrail.errors import ConfigError
from guardrail.files import Held, Unfit, read_file, write_whole
from guardrail.live import utc_now
from guardrail.policy.loader import PolicyStore, load_policies, policies_digest
from guardrail.policy.scenarios import load_scenarios
from guardrail.policy.serials import read_highest
from guardrail.policy.signing import (
    MANIFEST,
    MAX_SERIAL,
    SIGNATURE,
    Manifest,
    Signed,
    check_digest,
    check_expiry,
    check_succession,
    hashes,
    held,
    key_id,
    new_key,
    read_manifest,
    read_private_key,
    read_public_keys,
    root_of,
    sign,
    verify,
)
from guardrail.policy.trials import Stage
from guardrail.problems import Problem
from guardrail.regions import load_regions
from guardrail.taxonomy import load_taxonomy

LONGEST = timedelta(days=3660)
"""A signature holds for ten years at most."""

_OUTCOMES: Mapping[str, tuple[str, Code]] = {
    "expired": ("expired", Code.EXPIRED),
    "rolled-back": ("rolled back", Code.ROLLED_BACK),
}
"""What a problem's code makes of a set; every other makes it badly signed."""


def keygen(
    name: Annotated[
        Path,
        typer.Argument(metavar="[NAME]", help="Where the keys go: NAME.key.pem, NAME.pub.pem."),
    ] = Path("policy"),
    as_json: AsJson = False,
) -> None:
    """Make a pair of keys: one that signs policies, one by which their signatures are verified.

    The private key stays with who signs; only its owner may read the file. Overwrites nothing.

    Example: **guardrail policy keygen compliance**
    """
    private, public = (name.with_name(f"{name.name}.{kind}.pem") for kind in ("key", "pub"))
    with told(as_json=as_json):
        for file in (private, public):
            if file.exists() or file.is_symlink():
                raise ConfigError([f"{file}: exists; name the keys otherwise, or move it away"])
        secret, shown = new_key()
        _create(private, secret, mode=0o600)
        try:
            _create(public, shown, mode=0o644)
        except ConfigError:
            private.unlink()
            raise
        (identity,) = read_public_keys([public])
    _show({"key": identity, "private": str(private), "public": str(public)}, as_json=as_json)


def _create(file: Path, content: bytes, *, mode: int) -> None:
    """Writes a file that did not exist."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(descriptor)
    except OSError as error:
        raise ConfigError([f"{file}: cannot be written: {error.strerror}"]) from None


def sign_set(
    key: Annotated[
        Path, typer.Option("--key", metavar="FILE", help="The private key, as `keygen` writes it.")
    ],
    directory: Directory = None,
    serial: Annotated[
        int | None,
        typer.Option(
            "--serial",
            min=1,
            max=MAX_SERIAL,
            help="A number that grows from set to set; by default the one before, plus one.",
        ),
    ] = None,
    expires: Annotated[
        str, typer.Option("--expires", metavar="TIME", help="For how long it holds: 12h, 90d, 26w.")
    ] = "90d",
    no_test: Annotated[
        bool, typer.Option("--no-test", help="Do not try the scenarios of policies/tests.")
    ] = False,
    file: ConfigFile = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Sign a set of policies: every file of policies/ and regions/, a serial, and until when.

    Writes manifest.json and manifest.sig beside the two folders. A set that does not pass check,
    or its scenarios, is not signed. What is signed is what was checked: change nothing meanwhile.

    Example: **guardrail policy sign my-gateway --key compliance.key.pem**

    Example: **guardrail policy sign --key compliance.key.pem --expires 30d**
    """
    lasting = _lasting(expires)
    with told(as_json=as_json):
        root = _root(directory, file)
        signer = read_private_key(key)
        tree = held(root)
        store = _checked(tree, root, directory, file)
        if not no_test:
            _try_scenarios(tree, store, as_json=as_json)
        issued = utc_now().replace(microsecond=0)
        manifest = Manifest(
            serial=_serial(root, serial, store.digest),
            digest=store.digest,
            issued_at=issued,
            expires_at=issued + lasting,
            files=hashes(tree),
        )
        content, signature = manifest.content(), sign(manifest, signer)
        try:
            write_whole(root / MANIFEST, content, mode=0o644)
            write_whole(root / SIGNATURE, signature, mode=0o644)
        except OSError as error:
            raise ConfigError([f"{root}: cannot be written: {error.strerror}"]) from None
    signed = Signed(
        serial=manifest.serial,
        digest=manifest.digest,
        key=key_id(signer.public_key()),
        issued_at=manifest.issued_at,
        expires_at=manifest.expires_at,
    )
    rows = {**_rows(signed, at=issued), "files": len(manifest.files)}
    _show({"ok": True, "state": "good", **rows}, as_json=as_json)


def _lasting(text: str) -> timedelta:
    try:
        lasting: timedelta = duration(text)
    except ValueError as error:
        fail(f"--expires: {error}", code=Code.USAGE)
    if lasting > LONGEST:
        fail("--expires: ten years at most; sign again before then", code=Code.USAGE)
    return lasting


def _root(directory: Path | None, file: Path) -> Path:
    return root_of(*folders_of(directory, file))


def _checked(tree: Held, root: Path, directory: Path | None, file: Path) -> PolicyStore:
    """The policies, as `guardrail policy check` checks them, and exactly as they are held."""
    policies, regions = tree / "policies", load_regions(tree / "regions")
    if directory:
        return load_policies(
            policies, regions=regions, taxonomy=load_taxonomy(), endpoints=(), principals=()
        )
    store = rehearsed(with_folder(written(load_config(file)), root))
    if store.digest != policies_digest(policies, regions):
        raise ConfigError([f"{root}: changed while it was checked; sign it once it is at rest"])
    return store


def _try_scenarios(tree: Held, store: PolicyStore, *, as_json: bool) -> None:
    """Ends the command if the policies do not decide what the scenarios expect."""
    tests = tree / "policies" / "tests"
    if not tests.is_dir():
        raise ConfigError(["policies/tests: no scenarios; write some, or sign with --no-test"])
    world, scenarios = load_scenarios(tests, store)
    stage = Stage(store, world)
    with progress_bar(Console(stderr=True), hidden=as_json) as progress:
        trials = [stage.trial(one) for one in progress.track(scenarios, description="trying")]
    problems = [
        f"{one.scenario.place}: not what the policies decide: {one.scenario.title}"
        for one in trials
        if not one.passed
    ]
    if problems:
        if as_json:
            write_json({"ok": False, "problems": problems})
        for problem in problems:
            complain(problem)
        fail("not signed; `guardrail policy test` explains it", code=Code.UNTESTED)


def _serial(root: Path, serial: int | None, digest: str) -> int:
    """The serial to sign with: that which was asked for, if the one before lets it."""
    try:
        before = read_manifest(read_file(root, MANIFEST))
    except Unfit:
        if (root / MANIFEST).exists():
            raise ConfigError([f"{root / MANIFEST}: cannot be read; remove it"]) from None
        return serial or 1
    if serial is None:
        return before.serial + 1
    if serial < before.serial or (serial == before.serial and digest != before.digest):
        fail(
            f"--serial: {before.serial} was signed before; use a higher one, or remove {MANIFEST} "
            "to begin anew",
            code=Code.USAGE,
        )
    return serial


def verify_set(
    directory: Directory = None,
    keys: Annotated[
        list[Path] | None,
        typer.Option(
            "--key",
            metavar="FILE",
            help="A public key that may sign; may be repeated. By default the configuration's.",
        ),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(
            "--state",
            metavar="FILE",
            help="Where the highest serial in force is kept. By default as the configuration says, "
            "if it says who may sign.",
        ),
    ] = None,
    file: ConfigFile = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Verify a signed set: by whom it is signed, whether it is unchanged, and until when it holds.

    Nothing is written: the serial of what is verified is not taken to be in force.

    Example: **guardrail policy verify my-gateway --key compliance.pub.pem**

    Example: **guardrail policy verify --config /etc/guardrail.toml --json**
    """
    with told(as_json=as_json):
        root = _root(directory, file)
        if not keys:
            settings = load_config(file).policies
            keys, state = list(settings.verify_key), state or settings.state
        if not keys:
            fail("no key: say --key FILE, or set policies.verify_key", code=Code.USAGE)
        known = read_public_keys(keys)
        highest = read_highest(state) if state else None
    at = utc_now()
    signed, problems = _judged(root, known, highest, at)
    outcome, code = "good", Code.OK
    if problems:
        outcome, code = _OUTCOMES.get(problems[0].code, ("bad", Code.UNSIGNED))
    rows = _rows(signed, at=at) if signed else {}
    said: dict[str, Any] = {"ok": not problems, "state": outcome, **rows}
    if as_json:
        said["problems"] = [str(one) for one in problems]
    _show(said, as_json=as_json)
    for problem in problems:
        complain(str(problem))
    raise typer.Exit(code)


def _judged(
    root: Path, keys: Mapping[str, Any], highest: tuple[int, str] | None, at: datetime
) -> tuple[Signed | None, list[Problem]]:
    """What is signed, if it is well signed, and everything that keeps it from being in force."""
    try:
        tree, signed = verify(root, keys)
        check_digest(signed, policies_digest(tree / "policies", load_regions(tree / "regions")))
    except ConfigError as error:
        return None, list(error.details)
    problems: list[Problem] = []
    try:
        if highest:
            check_succession(signed, highest)
    except ConfigError as error:
        problems += error.details
    try:
        check_expiry(signed, at)
    except ConfigError as error:
        problems += error.details
    return signed, problems


def _rows(signed: Signed, *, at: datetime) -> dict[str, Any]:
    return {
        "serial": signed.serial,
        "digest": signed.digest,
        "key": signed.key,
        "issued_at": signed.issued_at.isoformat(),
        "expires_at": signed.expires_at.isoformat(),
        "days_left": signed.days_left(at),
    }


def _show(rows: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        write_json(dict(rows))
        return
    for name, value in rows.items():
        if name != "ok":
            label = f"{name.replace('_', ' '):<12}"
            out().print(Text.assemble((label, "bold"), str(value)), soft_wrap=True)
