"""Rollouts: a stable share of conversations, a way forward and a way back, and no broken file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from guardrail.errors import ConfigError
from guardrail.policy.rollout import Folder, Rollout, read_rollout, write_rollout

NEW = Folder(path="/srv/new", digest="ab" * 32)
NEWER = Folder(path="/srv/newer", digest="cd" * 32)
CONVERSATIONS = [f"conversation-{number}" for number in range(4000)]


@pytest.mark.parametrize("share", [0, 1, 10, 50, 99, 100])
def test_a_share_of_conversations_tries_the_candidate(share: int) -> None:
    rollout = Rollout().start(NEW, share)
    tried = [one for one in CONVERSATIONS if rollout.tries(one)]
    assert abs(len(tried) / len(CONVERSATIONS) * 100 - share) < 2.5
    assert tried == [one for one in CONVERSATIONS if rollout.tries(one)]


def test_who_tries_a_little_tries_more_too_and_candidates_differ() -> None:
    few, many = Rollout().start(NEW, 10), Rollout().start(NEW, 40)
    tried = {one for one in CONVERSATIONS if few.tries(one)}
    assert tried < {one for one in CONVERSATIONS if many.tries(one)}
    other = Rollout().start(NEWER, 10)
    assert tried != {one for one in CONVERSATIONS if other.tries(one)}


def test_without_a_candidate_nobody_tries_one() -> None:
    assert not any(map(Rollout().tries, CONVERSATIONS))


def test_forward_and_back() -> None:
    first = Rollout().start(NEW, 10).promote()
    assert (first.stable, first.candidate, first.previous) == (NEW, None, None)
    second = first.start(NEWER, 10).promote()
    assert (second.stable, second.previous) == (NEWER, NEW)
    assert second.rollback() == Rollout(stable=NEW)
    assert first.rollback() == Rollout()
    assert Rollout().start(NEW, 10).rollback() == Rollout()


def test_what_cannot_be_done_is_told() -> None:
    with pytest.raises(ConfigError, match="no candidate"):
        Rollout().promote()
    with pytest.raises(ConfigError, match="nothing to go back to"):
        Rollout(stable=NEW).rollback()


def test_a_file_gives_what_was_written(tmp_path: Path) -> None:
    file = tmp_path / "rollout.json"
    assert read_rollout(file) == Rollout()
    for rollout in (Rollout().start(NEW, 7), Rollout().start(NEW, 7).promote(), Rollout()):
        write_rollout(file, rollout)
        assert read_rollout(file) == rollout
    assert [one.name for one in tmp_path.iterdir()] == ["rollout.json"]


@pytest.mark.parametrize(
    "changes",
    [
        {"share": 101},
        {"share": -1},
        {"share": True},
        {"share": "10"},
        {"stable": {"path": 1, "digest": "x"}},
        {"candidate": {"path": "x"}},
        {"promoted": 1},
    ],
    ids=str,
)
def test_a_file_that_is_none_of_ours_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    file = tmp_path / "rollout.json"
    write_rollout(file, Rollout().start(NEW, 7))
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    with pytest.raises(ConfigError, match="not written by"):
        read_rollout(file)


@pytest.mark.parametrize("content", ["", "[]", "null", "{", "[" * 50_000, " " * (1 << 17)])
def test_a_file_that_is_no_document_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "rollout.json"
    file.write_text(content)
    with pytest.raises(ConfigError, match="not written by"):
        read_rollout(file)


def test_a_file_that_cannot_be_written_leaves_what_was(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        write_rollout(tmp_path / "gone" / "rollout.json", Rollout())
