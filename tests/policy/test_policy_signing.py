"""Signing: what is not exactly what a known key signed is refused, and each file is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guardrail.errors import ConfigError
from guardrail.policy.signing import (
    MANIFEST,
    SIGNATURE,
    Manifest,
    Signed,
    check_digest,
    check_expiry,
    check_succession,
    differences,
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

ISSUED = datetime(2026, 12, 1, tzinfo=UTC)
EXPIRES = ISSUED + timedelta(days=90)
DIGEST = "ab" * 32
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))
KEYS = {key_id(KEY.public_key()): KEY.public_key()}
FILES = {
    "policies/00-base.cedar": "permit (principal, action, resource);\n",
    "policies/tests/eu.yaml": "- {title: t}\n",
    "policies/vocabulary.toml": "",
    "regions/eu.toml": 'id = "eu"\n',
}


def signed_folder(root: Path, key: Ed25519PrivateKey = KEY) -> Path:
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    manifest = Manifest(
        serial=7, digest=DIGEST, issued_at=ISSUED, expires_at=EXPIRES, files=hashes(held(root))
    )
    (root / MANIFEST).write_bytes(manifest.content())
    (root / SIGNATURE).write_bytes(sign(manifest, key))
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return signed_folder(tmp_path / "set")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return signed_folder(tmp_path_factory.mktemp("set"))


def problems(root: Path) -> list[tuple[str, str]]:
    with pytest.raises(ConfigError) as caught:
        verify(root, KEYS)
    return [(one.file, one.code) for one in caught.value.details]


def test_what_was_signed_is_verified_and_held(root: Path) -> None:
    tree, signed = verify(root, KEYS)
    assert signed == Signed(
        serial=7, digest=DIGEST, key=next(iter(KEYS)), issued_at=ISSUED, expires_at=EXPIRES
    )
    assert {name: content.decode() for name, content in tree.files.items()} == FILES


def test_a_manifest_says_what_it_holds_in_order(root: Path) -> None:
    said = json.loads((root / MANIFEST).read_bytes())
    assert list(said["files"]) == sorted(FILES)
    assert (said["format"], said["serial"], said["digest"]) == (1, 7, DIGEST)
    assert (said["issued_at"], said["expires_at"]) == (
        "2026-12-01T00:00:00Z",
        "2027-03-01T00:00:00Z",
    )
    assert read_manifest((root / MANIFEST).read_bytes()).content() == (root / MANIFEST).read_bytes()


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_bit_that_is_flipped_is_noticed(shared: Path, data: st.DataObject) -> None:
    files = [one for one in shared.rglob("*") if one.is_file() and one.stat().st_size]
    file = data.draw(st.sampled_from(sorted(files)))
    before = file.read_bytes()
    at = data.draw(st.integers(0, len(before) - 1))
    flipped = before[at] ^ data.draw(st.integers(1, 255))
    file.write_bytes(before[:at] + bytes([flipped]) + before[at + 1 :])
    try:
        with pytest.raises(ConfigError):
            verify(shared, KEYS)
    finally:
        file.write_bytes(before)
    verify(shared, KEYS)


def test_every_byte_of_manifest_and_signature_counts(shared: Path) -> None:
    for name in (MANIFEST, SIGNATURE):
        before = (shared / name).read_bytes()
        for at in range(len(before)):
            for mask in (0x01, 0x20, 0x80):
                (shared / name).write_bytes(
                    before[:at] + bytes([before[at] ^ mask]) + before[at + 1 :]
                )
                with pytest.raises(ConfigError):
                    verify(shared, KEYS)
        for changed in (before + b"\n", b" " + before, before.rstrip(b"\n"), before * 2, b""):
            (shared / name).write_bytes(changed)
            with pytest.raises(ConfigError):
                verify(shared, KEYS)
        (shared / name).write_bytes(before)


def test_changed_missing_and_extra_files_are_each_named(root: Path) -> None:
    (root / "policies" / "00-base.cedar").write_text("forbid (principal, action, resource);\n")
    (root / "policies" / "tests" / "eu.yaml").unlink()
    (root / "regions" / "us.toml").touch()
    (root / "policies" / ".hidden").touch()
    assert problems(root) == [
        ("policies/.hidden", "extra-file"),
        ("policies/00-base.cedar", "changed-file"),
        ("policies/tests/eu.yaml", "missing-file"),
        ("regions/us.toml", "extra-file"),
    ]


def test_a_file_that_takes_anothers_name_is_noticed(root: Path) -> None:
    base, words = root / "policies/00-base.cedar", root / "policies/vocabulary.toml"
    base.rename(root / "aside")
    words.rename(base)
    (root / "aside").rename(words)
    assert [file for file, _ in problems(root)] == [
        "policies/00-base.cedar",
        "policies/vocabulary.toml",
    ]


def test_nothing_differs_in_what_is_the_same(root: Path) -> None:
    manifest = read_manifest((root / MANIFEST).read_bytes())
    assert differences(manifest, held(root)) == ()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda root: (root / MANIFEST).unlink(), "unsigned"),
        (lambda root: (root / SIGNATURE).unlink(), "unsigned"),
        (lambda root: (root / SIGNATURE).write_text("{}"), "bad-signature"),
        (lambda root: shutil.rmtree(root / "regions"), "unfit-file"),
        (lambda root: (root / "policies" / "a").symlink_to("/etc/hosts"), "unfit-file"),
    ],
    ids=["no manifest", "no signature", "no line", "no regions", "link out"],
)
def test_what_lacks_something_is_refused(
    root: Path, change: Callable[[Path], object], code: str
) -> None:
    change(root)
    ((_, found),) = problems(root)
    assert found == code


def test_only_known_keys_may_sign(tmp_path: Path) -> None:
    root = signed_folder(tmp_path / "set", OTHER)
    assert problems(root) == [(SIGNATURE, "unknown-key")]
    other = {key_id(OTHER.public_key()): OTHER.public_key()}
    assert verify(root, {**KEYS, **other})[1].key == next(iter(other))
    # Who calls himself by the id of a key has not signed with it.
    line = (root / SIGNATURE).read_bytes().split()
    line[1] = next(iter(KEYS)).encode()
    (root / SIGNATURE).write_bytes(b" ".join(line) + b"\n")
    assert problems(root) == [(MANIFEST, "bad-signature")]


def test_a_signature_without_its_context_is_none(root: Path) -> None:
    bare = KEY.sign((root / MANIFEST).read_bytes()).hex()
    (root / SIGNATURE).write_text(f"ed25519 {next(iter(KEYS))} {bare}\n")
    assert problems(root) == [(MANIFEST, "bad-signature")]


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 2},
        {"serial": 0},
        {"serial": "7"},
        {"serial": True},
        {"serial": 1 << 53},
        {"digest": "x"},
        {"expires_at": "2027-03-01"},
        {"expires_at": None},
        {"files": []},
        {"files": {"policies/a": 1}},
        {"more": 1},
    ],
    ids=str,
)
def test_a_manifest_of_another_shape_is_refused(root: Path, changes: dict[str, object]) -> None:
    said = json.loads((root / MANIFEST).read_bytes())
    with pytest.raises(ConfigError, match=r"manifest\.json: not a manifest"):
        read_manifest(json.dumps({**said, **changes}).encode())


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"{}", b"\xff", b"[" * 100_000])
def test_what_is_no_manifest_is_refused(content: bytes) -> None:
    with pytest.raises(ConfigError, match="not a manifest"):
        read_manifest(content)


def signed_with(serial: int, digest: str = DIGEST) -> Signed:
    return Signed(serial=serial, digest=digest, key="k", issued_at=ISSUED, expires_at=EXPIRES)


def test_a_set_expires_at_its_time_and_is_warned_of_for_two_weeks() -> None:
    signed, second = signed_with(7), timedelta(seconds=1)
    assert not signed.expired(EXPIRES - second)
    assert signed.expired(EXPIRES)
    assert signed.expired(ISSUED.replace(tzinfo=None))
    assert not signed.expiring(EXPIRES - timedelta(days=14) - second)
    assert signed.expiring(EXPIRES - timedelta(days=14))
    assert [signed.days_left(at) for at in (ISSUED, EXPIRES - second, EXPIRES + second)] == [
        90,
        0,
        -1,
    ]
    check_expiry(signed, EXPIRES - second)
    with pytest.raises(ConfigError, match="serial 7 expired at 2027-03-01T00:00:00Z"):
        check_expiry(signed, EXPIRES)


def test_serials_only_grow() -> None:
    check_succession(signed_with(7), (6, "cd" * 32))
    check_succession(signed_with(7), (7, DIGEST))
    with pytest.raises(ConfigError, match="serial 7 is taken by other policies"):
        check_succession(signed_with(7), (7, "cd" * 32))
    with pytest.raises(ConfigError, match=r"serial 7 is lower than 8.*--serial 9"):
        check_succession(signed_with(7), (8, DIGEST))


def test_another_digest_is_refused() -> None:
    check_digest(signed_with(7), DIGEST)
    with pytest.raises(ConfigError, match="sign again with this version"):
        check_digest(signed_with(7), "cd" * 32)


def test_the_two_folders_stand_together(tmp_path: Path) -> None:
    assert root_of(tmp_path / "policies", tmp_path / "regions") == tmp_path
    for pair in (("rules", "regions"), ("policies", "laws"), ("a/policies", "b/regions")):
        with pytest.raises(ConfigError, match="in one folder"):
            root_of(*(tmp_path / one for one in pair))


def test_keys_are_written_and_read(tmp_path: Path) -> None:
    private, public = new_key()
    (tmp_path / "private").write_bytes(private)
    (tmp_path / "public").write_bytes(public)
    key = read_private_key(tmp_path / "private")
    assert private.startswith(b"-----BEGIN PRIVATE KEY-----")
    keys = read_public_keys([tmp_path / "public"])
    assert list(keys) == [key_id(key.public_key())]
    assert new_key() != new_key()


def test_what_is_no_key_is_told_without_a_word_of_it(tmp_path: Path) -> None:
    private, public = new_key()
    (tmp_path / "private").write_bytes(private)
    (tmp_path / "public").write_bytes(public)
    (tmp_path / "none").write_text("secret")
    with pytest.raises(ConfigError) as caught:
        read_public_keys([tmp_path / one for one in ("private", "none", "gone", "public")])
    assert len(caught.value.problems) == 3
    assert "a private key; keep it away" in caught.value.problems[0]
    assert "not an Ed25519 public key" in caught.value.problems[1]
    assert "cannot be read" in caught.value.problems[2]
    said = str(caught.value)
    assert "secret" not in said
    assert private.decode().splitlines()[1] not in said
    for name in ("public", "none", "gone"):
        with pytest.raises(ConfigError):
            read_private_key(tmp_path / name)
