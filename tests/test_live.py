"""Policies change between exchanges: what is sound comes into force, what is not does not."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from guardrail.config import Built, Config, build, load_config
from guardrail.errors import ConfigError
from guardrail.exchange import Door, RequestRefused
from guardrail.guard import inspect, judge
from guardrail.live import Live
from guardrail.opening import now, open_exchange, prove_thread
from guardrail.policy.rollout import Folder, Rollout, write_rollout
from guardrail.protocols.bodies import read_body
from guardrail.protocols.maps import GENERIC
from guardrail.transform.vault import Vault
from guardrail.types import Decision, RequestContext, Treatment

ROOT = Path(__file__).parents[1]
STOP = """@id("acme.stop") @title("t")
forbid (principal, action in Action::"send", resource)
when { context.category in Category::"personal" };
"""
MAIL = b'{"text": "write to bob@example.com"}'


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    for name in ("policies", "regions"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("tests"))
    shutil.copytree(tmp_path / "policies", tmp_path / "new" / "policies")
    shutil.copytree(tmp_path / "regions", tmp_path / "new" / "regions")
    (tmp_path / "new" / "policies" / "acme.cedar").write_text(STOP)
    return tmp_path


def configured(folders: Path, **policies: Any) -> Config:
    return load_config(
        {
            "apps": {"crm": {"establishment": "DE", "origin": "DE", "basis": "contract"}},
            "endpoints": {
                "local": {
                    "provider": "own",
                    "location": "DE",
                    "local": True,
                    "models": ["l"],
                    "model": "l",
                },
                "paris": {
                    "provider": "p",
                    "location": "FR",
                    "agreements": ["DPA"],
                    "models": ["p"],
                },
            },
            "policies": {
                "directory": str(folders / "policies"),
                "rollout": str(folders / "rollout.json"),
                "reload_s": 0,
                **policies,
            },
            "regions": {"directory": str(folders / "regions")},
            "detection": {"names": []},
            "audit": {"path": str(folders / "audit.db")},
            "middleware": {"app": "crm"},
        }
    )


@pytest.fixture
def built(folders: Path) -> Iterator[Built]:
    with closing(build(configured(folders))) as made:
        yield made


def asked(built: Built, conversation: str = "c") -> Decision:
    """What policy in force lets happen to a mail address on its way to Paris."""
    deployment = built.live.deployment(conversation)
    guard = deployment.guard
    local, paris = (route.endpoint for route in deployment.routes)
    body = read_body(MAIL, content_type="application/json")
    found = inspect(guard, [(body, GENERIC)], vault=Vault(), app="crm")
    context = RequestContext(
        exchange="e",
        principal=built.apps["crm"].principal,
        purpose="general",
        basis="contract",
        origin="DE",
        conversation=conversation,
        now=now(),
    )
    return judge(guard, context, found, endpoint=paris, local=local)


def looked(live: Live, times: int = 2) -> None:
    for _ in range(times):
        live.look()


def test_a_sound_edit_comes_into_force_once_it_is_at_rest(built: Built, folders: Path) -> None:
    before = built.live.now
    assert asked(built).treatment is Treatment.CLEAR
    (folders / "policies" / "acme.cedar").write_text(STOP)
    built.live.look()
    assert built.live.now is before  # somebody may be writing still
    built.live.look()
    assert asked(built).treatment is Treatment.LOCAL
    now = built.live.now
    assert now.stable.guard.policies.digest != before.stable.guard.policies.digest
    assert now.problems == ()
    (folders / "policies" / "acme.cedar").unlink()
    looked(built.live)
    assert built.live.now.stable.guard.policies.digest == before.stable.guard.policies.digest


def test_a_new_word_may_be_said_once_it_is_in_force(built: Built, folders: Path) -> None:
    app = replace(built.apps["crm"], trust_headers=True)

    def refused() -> RequestRefused | None:
        headers = ((b"x-guardrail-purpose", b"outreach"),)
        return open_exchange(built, door=Door.MIDDLEWARE, app=app, headers=headers)[1]

    first = refused()
    assert first is not None
    assert first.code == "invalid_header"
    words = folders / "policies" / "vocabulary.toml"
    text = words.read_text("utf-8")
    words.write_text(text.replace("[purpose]\n", '[purpose]\noutreach = "letters"\n'), "utf-8")
    looked(built.live)
    assert refused() is None


def test_what_moves_still_waits(built: Built, folders: Path) -> None:
    before = built.live.now
    for number in range(4):
        (folders / "policies" / "acme.cedar").write_text(STOP + "// " + "x" * number)
        built.live.look()
        assert built.live.now is before
    built.live.look()
    assert asked(built).treatment is Treatment.LOCAL


@pytest.mark.parametrize(
    "text",
    [
        "forbid principal;",
        STOP.replace("acme.stop", "eu.home"),
        STOP.replace("personal", "persnal"),
        "// nothing\n",
        "(" * 5000,
    ],
    ids=["syntax", "taken id", "misspelt", "empty", "deep"],
)
def test_a_broken_edit_changes_nothing_and_is_told(
    built: Built, folders: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = built.live.now.stable
    with caplog.at_level(logging.WARNING):
        (folders / "policies" / "acme.cedar").write_text(text)
        looked(built.live)
    assert built.live.now.stable is before
    assert built.live.now.problems
    (record,) = caplog.records
    assert "policies/acme.cedar" in record.getMessage()
    assert "persnal" not in record.getMessage()
    looked(built.live, 3)
    assert len(caplog.records) == 1  # it is told once
    (folders / "policies" / "acme.cedar").write_text(STOP)
    looked(built.live)
    assert built.live.now.problems == ()
    assert asked(built).treatment is Treatment.LOCAL


def test_an_edit_that_breaks_a_scenario_changes_nothing(built: Built, folders: Path) -> None:
    before = built.live.now.stable
    tests = folders / "policies" / "tests"
    tests.mkdir()
    (tests / "world.yaml").write_text(
        "apps: {general: {}}\nendpoints: {fr: {location: FR, agreements: [DPA]}}"
    )
    (tests / "eu.yaml").write_text(
        "- {title: mail stays in the EEA in clear, endpoint: fr, expect: {contact: clear}}"
    )
    (folders / "policies" / "acme.cedar").write_text(STOP)
    looked(built.live)
    assert built.live.now.stable is before
    (problem,) = built.live.now.problems
    assert problem.startswith("policies/tests/eu.yaml:1: not what the policies decide")
    (tests / "eu.yaml").write_text("- {title: it stays, endpoint: fr, expect: {contact: local}}")
    looked(built.live)
    assert asked(built).treatment is Treatment.LOCAL


def test_what_is_gone_changes_nothing(built: Built, folders: Path) -> None:
    before = built.live.now.stable
    shutil.rmtree(folders / "policies")
    looked(built.live)
    assert built.live.now.stable is before
    assert built.live.now.problems


def test_an_edit_that_does_not_fit_the_configuration_changes_nothing(
    built: Built, folders: Path
) -> None:
    before = built.live.now.stable
    words = folders / "policies" / "vocabulary.toml"
    words.write_text(words.read_text().replace("\ngeneral =", "\ngenerally =", 1))
    looked(built.live)
    assert built.live.now.stable is before


def test_an_exchange_keeps_to_the_policies_it_began_with(built: Built, folders: Path) -> None:
    first = built.live.deployment("c")
    (folders / "policies" / "acme.cedar").write_text(STOP)
    looked(built.live)
    assert first.guard.policies.digest != built.live.deployment("c").guard.policies.digest
    assert first.guard.detector is built.live.deployment("c").guard.detector


def test_a_thread_looks_by_itself_and_threads_see_whole_sets_only(folders: Path) -> None:
    with closing(build(configured(folders, reload_s=0.02))) as built:
        old = built.live.deployment().guard.policies.digest
        seen: set[str] = set()
        done = threading.Event()

        def serve() -> None:
            while not done.is_set():
                prove_thread(built)
                guard = built.live.deployment().guard
                decision = asked(built)
                assert (decision.treatment is Treatment.LOCAL) == ("acme.stop" in decision.policies)
                seen.add(guard.policies.digest)

        threads = [threading.Thread(target=serve) for _ in range(2)]
        for thread in threads:
            thread.start()
        (folders / "policies" / "acme.cedar").write_text(STOP)
        for _ in range(600):
            if built.live.now.stable.guard.policies.digest != old and len(seen) > 1:
                break
            done.wait(0.05)
        done.set()
        for thread in threads:
            thread.join()
        assert asked(built).treatment is Treatment.LOCAL
        assert seen == {old, built.live.now.stable.guard.policies.digest}


def digest_of(folders: Path, name: str) -> str:
    config = configured(folders, directory=str(folders / name / "policies"))
    with closing(build(config)) as made:
        return made.deployment.guard.policies.digest


def test_a_share_of_conversations_tries_the_candidate(built: Built, folders: Path) -> None:
    candidate = Folder(path=str(folders / "new"), digest=digest_of(folders, "new"))
    rollout = Rollout().start(candidate, 50)
    write_rollout(folders / "rollout.json", rollout)
    looked(built.live)
    for number in range(40):
        tries = rollout.tries(f"c{number}")
        decision = asked(built, f"c{number}")
        assert decision.treatment is (Treatment.LOCAL if tries else Treatment.CLEAR)
        assert (decision.digest == candidate.digest) == tries
    write_rollout(folders / "rollout.json", rollout.promote())
    looked(built.live)
    assert {asked(built, f"c{number}").treatment for number in range(9)} == {Treatment.LOCAL}
    write_rollout(folders / "rollout.json", rollout.promote().rollback())
    looked(built.live)
    assert {asked(built, f"c{number}").treatment for number in range(9)} == {Treatment.CLEAR}


def test_a_candidate_must_be_enforceable_on_streams_from_the_start(folders: Path) -> None:
    hidden = STOP.replace('"send"', '"output"').replace('"personal"', '"location"')
    (folders / "new" / "policies" / "acme.cedar").write_text(hidden)
    (folders / "own.yaml").write_text(
        "supported_languages: [en]\nrecognizers: [{name: k, supported_entity: LOCATION, "
        "patterns: [{name: n, regex: 'ACME-[0-9]+', score: 0.9}]}]\n"
    )
    detection = {"names": [], "recognizers": [str(folders / "own.yaml")]}
    config = configured(folders)
    config = config.model_copy(update={"detection": config.detection.model_validate(detection)})
    build(config).close()
    candidate = Folder(path=str(folders / "new"), digest=digest_of(folders, "new"))
    write_rollout(folders / "rollout.json", Rollout().start(candidate, 100))
    with pytest.raises(ConfigError) as caught:
        build(config)
    problems = caught.value.problems
    assert [problem.split(":")[0] for problem in problems] == ["endpoints.local", "endpoints.paris"]
    assert "policy masks 'location' in answers to app 'crm' (acme.stop)" in problems[0]


def test_a_candidate_that_is_changed_is_used_no_more(built: Built, folders: Path) -> None:
    candidate = Folder(path=str(folders / "new"), digest=digest_of(folders, "new"))
    write_rollout(folders / "rollout.json", Rollout().start(candidate, 100))
    looked(built.live)
    assert asked(built).treatment is Treatment.LOCAL
    (folders / "new" / "policies" / "acme.cedar").write_text(STOP + "\n")
    looked(built.live)
    assert asked(built).treatment is Treatment.CLEAR
    (problem,) = built.live.now.problems
    assert "not what the rollout began with" in problem


def test_a_rollout_that_cannot_be_read_changes_nothing(built: Built, folders: Path) -> None:
    before = built.live.now.stable
    (folders / "rollout.json").write_text("{")
    looked(built.live)
    assert built.live.now.stable is before
    assert built.live.now.problems


def test_a_shadow_is_told_and_decides_nothing(folders: Path) -> None:
    with closing(build(configured(folders, shadow=str(folders / "new")))) as built:
        decision = asked(built)
        assert decision.treatments == {"contact": Treatment.CLEAR}
        assert decision.shadow == {"contact": Treatment.LOCAL}
        assert "acme.stop" not in decision.policies
        shutil.rmtree(folders / "new")
        looked(built.live)
        assert asked(built).treatments == {"contact": Treatment.CLEAR}
        assert built.live.now.problems


def test_what_is_broken_at_the_start_does_not_start(folders: Path) -> None:
    (folders / "new" / "policies" / "acme.cedar").write_text("forbid principal;")
    with pytest.raises(ConfigError, match=r"the shadow: policies/acme\.cedar"):
        build(configured(folders, shadow=str(folders / "new")))
