"""Signing: who may say which policies are in force, and that they are neither changed nor old.

A signed set is a folder with `policies/`, `regions/`, `manifest.json` and `manifest.sig`. The
manifest names every file of both folders by its SHA-256, and has a serial that grows and a time
after which it holds no more. The signature (Ed25519, RFC 8032) is over its exact bytes. What is
verified is held in memory, and that is what is loaded.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from guardrail.errors import ConfigError
from guardrail.files import Held, Unfit, hold, read_file
from guardrail.problems import Problem

FOLDERS = ("policies", "regions")
MANIFEST = "manifest.json"
SIGNATURE = "manifest.sig"

FORMAT = 1
MAX_SERIAL = (1 << 53) - 1
"""Serials are exact in every reader of JSON."""

WARNED = timedelta(days=14)
"""For so long before a set expires, whoever looks is warned."""

_CONTEXT = b"guardrail policy manifest 1\0"
"""Signed before the manifest, so that a signature given for something else is none of a manifest's.

The same key may sign other things, if each has a context of its own.
"""

_SIGNATURE = re.compile(rb"ed25519 ([0-9a-f]{16}) ([0-9a-f]{128})\n")
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What a signature says of a set of policies, and which key says it.

    `digest` is that of the policies, as the loader computes it; times are UTC, to the second.
    """

    serial: int
    digest: str
    key: str
    issued_at: datetime
    expires_at: datetime

    def expired(self, at: datetime) -> bool:
        """Whether it holds no more; a time without a zone is past every other."""
        return at.tzinfo is None or at >= self.expires_at

    def expiring(self, at: datetime) -> bool:
        """Whether it soon will not hold, or does not already."""
        return at >= self.expires_at - WARNED

    def days_left(self, at: datetime) -> int:
        """Whole days until it expires; below zero from then on."""
        return (self.expires_at - at) // timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What is signed. `files` has the SHA-256 (hex) of each file by its path in the folder."""

    serial: int
    digest: str
    issued_at: datetime
    expires_at: datetime
    files: Mapping[str, str] = field(repr=False)

    def content(self) -> bytes:
        """The bytes of manifest.json."""
        said = {
            "format": FORMAT,
            "serial": self.serial,
            "issued_at": self.issued_at.astimezone(UTC).strftime(_TIME),
            "expires_at": self.expires_at.astimezone(UTC).strftime(_TIME),
            "digest": self.digest,
            "files": dict(sorted(self.files.items())),
        }
        return json.dumps(said, indent=2, ensure_ascii=False).encode() + b"\n"


def read_manifest(content: bytes) -> Manifest:
    """What the bytes of a manifest say, whoever wrote them.

    Raises:
        ConfigError: they are no manifest.
    """
    try:
        told = json.loads(content)
        form, serial, digest, files = (told[k] for k in ("format", "serial", "digest", "files"))
        if form != FORMAT or type(serial) is not int or not 1 <= serial <= MAX_SERIAL:
            raise ValueError
        if len(told) != 6 or not all(map(_SHA256.fullmatch, (digest, *files.values()))):
            raise ValueError
        return Manifest(
            serial=serial,
            digest=digest,
            issued_at=_time(told["issued_at"]),
            expires_at=_time(told["expires_at"]),
            files=MappingProxyType(dict(files)),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        said = "not a manifest that this version knows; sign again with `guardrail policy sign`"
        raise _untrusted(MANIFEST, "bad-manifest", said) from None


def _time(text: str) -> datetime:
    return datetime.strptime(text, _TIME).replace(tzinfo=UTC)


def hashes(tree: Held) -> Mapping[str, str]:
    """The SHA-256 (hex) of each file, by its path, sorted."""
    return {name: hashlib.sha256(tree.files[name]).hexdigest() for name in sorted(tree.files)}


def differences(manifest: Manifest, tree: Held) -> tuple[Problem, ...]:
    """Every file that is not what was signed, was not signed, or is missing."""
    found, told = hashes(tree), manifest.files
    mend = "restore it, or sign again"
    return tuple(
        Problem(file=name, code=code, message=message)
        for name in sorted({*found, *told})
        if found.get(name) != told.get(name)
        for code, message in [
            ("extra-file", "was not signed; remove it, or sign again")
            if name not in told
            else ("missing-file", f"was signed and is not there; {mend}")
            if name not in found
            else ("changed-file", f"changed since it was signed; {mend}")
        ]
    )


def root_of(policies: Path, regions: Path) -> Path:
    """The folder of a signed set, by its folders of policies and regions.

    Raises:
        ConfigError: they are not named so, or not in one folder.
    """
    if (policies.name, regions.name) != FOLDERS or policies.parent != regions.parent:
        raise ConfigError(
            [
                "policies.directory: what is signed stands in one folder with policies/, regions/ "
                f"and {MANIFEST}; name the two folders so, in policies.directory and "
                "regions.directory"
            ]
        )
    return policies.parent


def held(root: Path) -> Held:
    """All files of policies/ and regions/ in a folder.

    Raises:
        ConfigError: a file cannot be taken up: it is a link, no file, too large or unreadable.
    """
    try:
        return hold(root, FOLDERS)
    except Unfit as error:
        raise _untrusted(error.file, "unfit-file", error.why) from None


def sign(manifest: Manifest, key: Ed25519PrivateKey) -> bytes:
    """The bytes of manifest.sig: one line with the key's id and the signature, in hex."""
    signature = key.sign(_CONTEXT + manifest.content()).hex()
    return f"ed25519 {key_id(key.public_key())} {signature}\n".encode()


def verify(root: Path, keys: Mapping[str, Ed25519PublicKey]) -> tuple[Held, Signed]:
    """Reads a signed folder, each file once; gives what was read, and what is signed of it.

    `keys` are those that may sign, by id. Whether the set has expired, and whether a later one was
    in force, is for the caller to ask.

    Raises:
        ConfigError: it is not signed by one of the keys, or is not what was signed; each file that
            differs is named.
    """
    try:
        content, signature = (read_file(root, name) for name in (MANIFEST, SIGNATURE))
    except Unfit as error:
        said = f"{error.why}; `guardrail policy sign` writes it"
        raise _untrusted(error.file, "unsigned", said) from None
    signer = _signer(content, signature, keys)
    manifest = read_manifest(content)
    tree = held(root)
    problems = differences(manifest, tree)
    if problems:
        raise ConfigError(problems)
    signed = Signed(
        serial=manifest.serial,
        digest=manifest.digest,
        key=signer,
        issued_at=manifest.issued_at,
        expires_at=manifest.expires_at,
    )
    return tree, signed


def _signer(content: bytes, signature: bytes, keys: Mapping[str, Ed25519PublicKey]) -> str:
    """The id of the key that signed; whatever is not exactly what `sign` writes is refused."""
    line = _SIGNATURE.fullmatch(signature)
    if line is None:
        raise _untrusted(SIGNATURE, "bad-signature", "not a signature; restore it, or sign again")
    signer = line[1].decode()
    if signer not in keys:
        raise _untrusted(
            SIGNATURE,
            "unknown-key",
            f"signed by the key {signer}, and {', '.join(keys)} may sign; sign again with one of "
            "these, or name its public key in policies.verify_key",
        )
    try:
        keys[signer].verify(bytes.fromhex(line[2].decode()), _CONTEXT + content)
    except InvalidSignature:
        said = f"not what the key {signer} signed; restore both files, or sign again"
        raise _untrusted(MANIFEST, "bad-signature", said) from None
    return signer


def check_digest(signed: Signed, digest: str) -> None:
    """Refuses a set whose policies are not those that its manifest speaks of.

    Raises:
        ConfigError: another version of guardrail computed the digest, or another program did.
    """
    if signed.digest != digest:
        said = "the digest is not that of these policies; sign again with this version of guardrail"
        raise _untrusted(MANIFEST, "bad-manifest", said)


def check_expiry(signed: Signed, at: datetime) -> None:
    """Refuses a set that holds no more.

    Raises:
        ConfigError: it has expired.
    """
    if signed.expired(at):
        raise ConfigError([expiry(signed)])


def expiry(signed: Signed) -> Problem:
    """The problem of a set that has expired."""
    return Problem(
        file=MANIFEST,
        code="expired",
        message=f"serial {signed.serial} expired at {signed.expires_at:{_TIME}}; review the "
        "policies and sign them again with `guardrail policy sign`",
    )


def check_succession(signed: Signed, before: tuple[int, str]) -> None:
    """Refuses a set that is older than one before it, by serial and digest.

    Raises:
        ConfigError: its serial is lower, or is the same and the policies are others.
    """
    serial, digest = before
    mend = f"sign it with a serial above {serial}: `guardrail policy sign --serial {serial + 1}`"
    if signed.serial < serial:
        said = f"serial {signed.serial} is lower than {serial}, which was in force; {mend}"
        raise _untrusted(MANIFEST, "rolled-back", said)
    if signed.serial == serial and signed.digest != digest:
        said = f"serial {serial} is taken by other policies, which were in force; {mend}"
        raise _untrusted(MANIFEST, "rolled-back", said)


def new_key() -> tuple[bytes, bytes]:
    """A fresh private key (PEM, PKCS #8) and its public key (PEM)."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def key_id(key: Ed25519PublicKey) -> str:
    """What a key is called: the first 8 bytes of the SHA-256 of its 32 bytes, in hex."""
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:16]


def read_private_key(file: Path) -> Ed25519PrivateKey:
    """The private key of a PEM file.

    Raises:
        ConfigError: it cannot be read, or holds no Ed25519 private key.
    """
    mend = "name the file that `guardrail policy keygen` calls the private key"
    try:
        key = load_pem_private_key(_key_file(file), password=None)
    except TypeError:
        raise ConfigError([f"{file}: protected by a passphrase; take it off first"]) from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError([f"{file}: not a private key in PEM; {mend}"]) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError([f"{file}: not an Ed25519 key; {mend}"])
    return key


def read_public_keys(files: Sequence[Path]) -> Mapping[str, Ed25519PublicKey]:
    """The public keys of PEM files, by id.

    Raises:
        ConfigError: a file cannot be read, or holds no Ed25519 public key.
    """
    keys, problems = dict[str, Ed25519PublicKey](), list[str]()
    mend = "name the file that `guardrail policy keygen` calls the public key"
    for file in files:
        try:
            content = _key_file(file)
            if b"PRIVATE KEY" in content:
                raise ConfigError([f"{file}: a private key; keep it away from here, and {mend}"])
            key = load_pem_public_key(content)
            if not isinstance(key, Ed25519PublicKey):
                raise ValueError
            keys[key_id(key)] = key
        except ConfigError as error:
            problems += error.problems
        except (ValueError, UnsupportedAlgorithm):
            problems.append(f"{file}: not an Ed25519 public key in PEM; {mend}")
    if problems:
        raise ConfigError(problems)
    return MappingProxyType(keys)


def _key_file(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(1 << 16)
    except OSError as error:
        raise ConfigError([f"{file}: cannot be read: {error.strerror}"]) from None


def _untrusted(file: str, code: str, message: str) -> ConfigError:
    return ConfigError([Problem(file=file, code=code, message=message)])
