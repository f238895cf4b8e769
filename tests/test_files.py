"""Folders on the disk and in memory are read alike; files are written whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from guardrail.files import MAX_BYTES, MAX_FILES, Held, Unfit, hold, read_file, write_whole
from guardrail.regions import load_regions

ROOT = Path(__file__).parents[1]


def test_what_is_held_reads_like_the_disk() -> None:
    tree = hold(ROOT, ("policies", "regions"))
    for folder in ("policies", "regions", "policies/tests"):
        place, there = tree, ROOT
        for part in folder.split("/"):
            place, there = place / part, there / part
        assert place.is_dir()
        assert place.name == there.name
        for pattern in ("*.cedar", "*.toml", "*.yaml"):
            found = {one.name: one.open("rb").read() for one in place.glob(pattern)}
            assert found == {one.name: one.read_bytes() for one in there.glob(pattern)}
    assert load_regions(tree / "regions") == load_regions(ROOT / "regions")


def test_what_is_not_held_is_not_there() -> None:
    tree = Held({"a/b.txt": b""})
    assert not (tree / "b").is_dir()
    assert not (tree / "a" / "b.txt").is_dir()
    assert list((tree / "b").glob("*")) == []
    with pytest.raises(FileNotFoundError):
        (tree / "a" / "c.txt").open("rb")
    assert (tree / "a" / "b.txt").stem == "b"


def test_a_later_change_does_not_reach_what_is_held(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one").write_text("before")
    tree = hold(tmp_path, ["a"])
    (tmp_path / "a" / "one").write_text("after")
    assert (tree / "a" / "one").open("rb").read() == b"before"


@pytest.mark.parametrize("outward", [True, False], ids=["out", "within"])
@pytest.mark.parametrize("folder", [True, False], ids=["folder", "file"])
def test_links_are_refused(tmp_path: Path, outward: bool, folder: bool) -> None:
    root = tmp_path / "set"
    (root / "a" / "inner").mkdir(parents=True)
    (root / "a" / "inner" / "one").write_text("x")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "one").write_text("x")
    target = (tmp_path / "out") if outward else (root / "a" / "inner")
    (root / "a" / "link").symlink_to(target if folder else target / "one")
    with pytest.raises(Unfit) as caught:
        hold(root, ["a"])
    assert (caught.value.file, caught.value.why) == (
        "a/link",
        "a link; put the file itself there",
    )


def test_a_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a").symlink_to(tmp_path / "out")
    with pytest.raises(Unfit, match="a link"):
        hold(tmp_path / "set", ["a"])


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    os.mkfifo(tmp_path / "a" / "pipe")
    with pytest.raises(Unfit, match="no file"):
        hold(tmp_path, ["a"])


def test_what_is_too_large_or_too_much_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    file = tmp_path / "a" / "one"
    file.write_bytes(b"x" * MAX_BYTES)
    assert len(read_file(tmp_path, "a/one")) == MAX_BYTES
    file.write_bytes(b"x" * (MAX_BYTES + 1))
    with pytest.raises(Unfit, match="larger than 1 MiB"):
        hold(tmp_path, ["a"])
    file.unlink()
    for number in range(MAX_FILES + 1):
        (tmp_path / "a" / f"{number}").touch()
    with pytest.raises(Unfit, match="more than"):
        hold(tmp_path, ["a"])


@pytest.mark.parametrize("name", [b"\xff", b"a\nb", "a\u202eb".encode()])
def test_a_name_that_cannot_be_shown_is_refused(tmp_path: Path, name: bytes) -> None:
    (tmp_path / "a").mkdir()
    with open(os.fsencode(tmp_path / "a") + b"/" + name, "w"):
        pass
    with pytest.raises(Unfit) as caught:
        hold(tmp_path, ["a"])
    assert caught.value.file.isprintable()


def test_a_folder_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unfit, match="cannot be read: No such file"):
        hold(tmp_path, ["a"])


def test_a_file_is_written_whole_with_its_mode(tmp_path: Path) -> None:
    file = tmp_path / "one"
    for mode, content in ((0o600, b"a"), (0o644, b"b")):
        write_whole(file, content, mode=mode)
        assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (content, mode)
    assert [one.name for one in tmp_path.iterdir()] == ["one"]


def test_a_write_that_fails_leaves_what_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "one"
    write_whole(file, b"before")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(file, b"after")
    assert file.read_bytes() == b"before"
    assert [one.name for one in tmp_path.iterdir()] == ["one"]
