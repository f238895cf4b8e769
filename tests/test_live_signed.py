"""Signed policies in force: only what a known key signed, no older, and not beyond its time."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from guardrail.asgi.gateway import Gateway
from guardrail.config import Built, Config, build, load_config
from guardrail.context import derive_context
from guardrail.errors import ConfigError
from guardrail.exchange import Door, Reply, RequestReceived
from guardrail.guard import inspect, judge
from guardrail.live import Live
from guardrail.opening import advance, advance_session, open_exchange, open_session
from guardrail.policy import signing
from guardrail.policy.ladder import decide
from guardrail.policy.loader import policies_digest
from guardrail.policy.rollout import Folder, Rollout, write_rollout
from guardrail.policy.serials import read_highest
from guardrail.policy.signing import MANIFEST, SIGNATURE, Manifest, hashes, held, sign
from guardrail.protocols.bodies import read_body
from guardrail.protocols.maps import GENERIC
from guardrail.regions import load_regions
from guardrail.session import ClientFrame, Deliver, ServerAccepted
from guardrail.transform.vault import Vault
from guardrail.types import Category, Evidence, Treatment

ROOT = Path(__file__).parents[1]
STOP = """@id("acme.stop") @title("t")
forbid (principal, action in Action::"send", resource)
when { context.category in Category::"personal" };
"""
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))
START = datetime(2026, 12, 1, 12, tzinfo=UTC)
DAYS = timedelta(days=1)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


def signed(root: Path, serial: int, *, key: Ed25519PrivateKey = KEY, days: int = 90) -> str:
    """Signs a folder; gives its digest."""
    digest = policies_digest(root / "policies", load_regions(root / "regions"))
    manifest = Manifest(
        serial=serial,
        digest=digest,
        issued_at=START,
        expires_at=START + days * DAYS,
        files=hashes(held(root)),
    )
    (root / MANIFEST).write_bytes(manifest.content())
    (root / SIGNATURE).write_bytes(sign(manifest, key))
    return digest


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A signed set of serial 5, and one in new/, stricter, of serial 6."""
    for folder in (tmp_path, tmp_path / "new"):
        for name in ("policies", "regions"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("tests"))
    (tmp_path / "new" / "policies" / "acme.cedar").write_text(STOP)
    signed(tmp_path, 5)
    signed(tmp_path / "new", 6)
    for name, key in (("key", KEY), ("other", OTHER)):
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (tmp_path / f"{name}.pub.pem").write_bytes(public)
    return tmp_path


def configured(home: Path, **policies: Any) -> Config:
    cloud = {"provider": "p", "location": "FR", "agreements": ["DPA"], "models": ["p"]}
    local = {"provider": "own", "location": "DE", "local": True, "models": ["l"], "model": "l"}
    return load_config(
        {
            "apps": {"crm": {"establishment": "DE", "origin": "DE", "basis": "contract"}},
            "endpoints": {"local": local, "paris": cloud},
            "policies": {
                "directory": str(home / "policies"),
                "rollout": str(home / "rollout.json"),
                "state": str(home / "state.json"),
                "verify_key": str(home / "key.pub.pem"),
                "reload_s": 0,
                **policies,
            },
            "regions": {"directory": str(home / "regions")},
            "detection": {"names": []},
            "audit": {"path": str(home / "audit.db")},
            "middleware": {"app": "crm"},
        }
    )


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("guardrail.opening.now", clock)
    return clock


@pytest.fixture
def built(home: Path, clock: Clock) -> Iterator[Built]:
    with closing(build(configured(home), clock=clock)) as made:
        yield made


def looked(live: Live, times: int = 2) -> None:
    for _ in range(times):
        live.look()


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.levelname for one in caplog.records]


def serial_in_force(built: Built, conversation: str = "c") -> int:
    policies = built.live.deployment(conversation).guard.policies
    assert policies.signed is not None
    return policies.signed.serial


def codes(built: Built) -> set[str]:
    return set(built.live.now.codes)


def refused(home: Path, match: str, *, at: Clock | None = None, **policies: Any) -> None:
    with pytest.raises(ConfigError, match=match):
        build(configured(home, **policies), clock=at or Clock())


# at the start


def test_a_signed_set_starts_and_its_serial_is_noted(built: Built, home: Path) -> None:
    assert serial_in_force(built) == 5
    policies = built.deployment.guard.policies
    assert read_highest(home / "state.json") == (5, policies.digest)
    assert built.live.now.problems == ()


def test_what_is_not_signed_or_was_changed_does_not_start(home: Path) -> None:
    (home / "policies" / "acme.cedar").write_text(STOP)
    refused(home, r"policies/acme\.cedar: was not signed")
    (home / "policies" / "acme.cedar").unlink()
    signed(home, 5, key=OTHER)
    refused(home, "signed by the key")
    (home / SIGNATURE).unlink()
    refused(home, r"manifest\.sig: cannot be read")
    assert not (home / "state.json").exists()
    with closing(build(configured(home).model_copy(update={"policies": unsigned(home)}))):
        pass  # nobody asked for a signature


def unsigned(home: Path) -> Any:
    return configured(home).policies.model_copy(update={"verify_key": ()})


def test_keys_can_be_rotated(home: Path) -> None:
    both = [str(home / "key.pub.pem"), str(home / "other.pub.pem")]
    for key in (KEY, OTHER):
        signed(home, 5, key=key)
        with closing(build(configured(home, verify_key=both), clock=Clock())):
            pass
    refused(home, "signed by the key")
    refused(home, "cannot be read", verify_key=str(home / "gone.pem"))


def test_an_older_set_does_not_start(home: Path, clock: Clock) -> None:
    with closing(build(configured(home), clock=clock)):
        pass
    signed(home, 4)
    refused(home, "serial 4 is lower than 5")
    with pytest.raises(ConfigError, match="serial 4 is lower than 5"):
        build(configured(home), clock=clock, adopt=False)  # nor is it tried
    (home / "policies" / "acme.cedar").write_text(STOP)
    signed(home, 5)
    refused(home, "serial 5 is taken by other policies")
    signed(home, 6)
    with closing(build(configured(home), clock=clock)) as built:
        assert serial_in_force(built) == 6


def test_the_same_set_may_be_signed_for_longer(home: Path, clock: Clock) -> None:
    with closing(build(configured(home), clock=clock)):
        pass
    signed(home, 5, days=180)
    with closing(build(configured(home), clock=clock)) as built:
        assert built.live.days_left == 180


def test_an_expired_set_does_not_start(home: Path, clock: Clock) -> None:
    clock.now = START + 90 * DAYS
    refused(home, "serial 5 expired at 2027-03-01T12:00:00Z", at=clock)


def test_a_broken_state_does_not_start_and_is_kept(home: Path) -> None:
    (home / "state.json").write_text("{")
    refused(home, "not what guardrail wrote")
    assert (home / "state.json").read_text() == "{"


def test_a_state_that_cannot_be_written_does_not_start(home: Path) -> None:
    refused(home, "cannot be written", state=str(home / "gone" / "state.json"))


def test_a_digest_that_is_not_that_of_the_policies_does_not_start(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("test_live_signed.policies_digest", lambda *_: "ab" * 32)
    signed(home, 5)
    refused(home, "the digest is not that of these policies")


def test_folders_that_do_not_stand_together_do_not_start(home: Path) -> None:
    refused(home, "in one folder", directory=str(home / "new" / "policies"))


def test_a_link_that_deployments_turn_is_followed(home: Path, clock: Clock) -> None:
    (home / "current").symlink_to(home / "new")
    settings = configured(home, directory=str(home / "current" / "policies"))
    regions = settings.regions.model_copy(update={"directory": home / "current" / "regions"})
    with closing(build(settings.model_copy(update={"regions": regions}), clock=clock)) as built:
        assert serial_in_force(built) == 6


def test_what_is_tried_only_is_not_noted(home: Path, clock: Clock) -> None:
    with closing(build(configured(home), clock=clock, adopt=False)):
        pass
    assert not (home / "state.json").exists()


# what is verified is what is loaded


def test_files_are_read_once(home: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    verify = signing.verify

    def swapped(root: Path, keys: Any) -> Any:
        found = verify(root, keys)
        (root / "policies" / "acme.cedar").write_text("permit (principal, action, resource);")
        (root / "policies" / "eu.cedar").write_text("permit (principal, action, resource);")
        (root / "regions" / "eu.toml").write_text("")
        return found

    monkeypatch.setattr("guardrail.policy.serials.verify", swapped)
    before = signed(home, 5)
    with closing(build(configured(home), clock=clock)) as built:
        assert built.deployment.guard.policies.digest == before


# while it runs


def test_a_newer_set_comes_into_force_and_the_older_does_not_come_back(
    built: Built, home: Path
) -> None:
    old = (home / MANIFEST).read_bytes(), (home / SIGNATURE).read_bytes()
    (home / "policies" / "acme.cedar").write_text(STOP)
    signed(home, 6)
    looked(built.live)
    assert serial_in_force(built) == 6
    assert read_highest(home / "state.json") == (6, built.live.now.stable.guard.policies.digest)
    (home / "policies" / "acme.cedar").unlink()
    (home / MANIFEST).write_bytes(old[0])
    (home / SIGNATURE).write_bytes(old[1])
    looked(built.live)
    assert serial_in_force(built) == 6
    assert codes(built) == {"rolled-back"}


def test_what_is_changed_on_the_disk_changes_nothing_and_is_told(
    built: Built, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = built.live.now.stable
    with caplog.at_level(logging.WARNING):
        file = home / "policies" / "eu.cedar"
        file.write_text(file.read_text() + "\n")
        looked(built.live)
    assert built.live.now.stable is before
    assert codes(built) == {"changed-file"}
    (record,) = caplog.records
    assert "policies/eu.cedar: changed-file" in record.getMessage()
    signed(home, 6)  # what was changed is signed now
    looked(built.live)
    assert (serial_in_force(built), built.live.now.problems) == (6, ())


def test_a_signature_alone_that_is_new_is_noticed(built: Built, home: Path) -> None:
    signed(home, 5, days=120)
    looked(built.live)
    assert built.live.days_left == 120


def test_a_state_that_breaks_keeps_the_newer_set_out_until_it_is_mended(
    built: Built, home: Path
) -> None:
    state = (home / "state.json").read_bytes()
    (home / "state.json").write_text("")
    (home / "policies" / "acme.cedar").write_text(STOP)
    signed(home, 6)
    looked(built.live)
    assert (serial_in_force(built), codes(built)) == (5, {"bad-state"})
    (home / "state.json").write_bytes(state)
    looked(built.live)
    assert (serial_in_force(built), built.live.now.problems) == (6, ())


def test_another_process_with_a_later_set_keeps_an_older_one_out(built: Built, home: Path) -> None:
    shutil.copytree(home, home / "there")  # the same disk, deployed to later
    there = home / "there" / "new"
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from test_live_signed import Clock, build, configured\n"
        "home, there = Path(sys.argv[2]), Path(sys.argv[3])\n"
        "settings = configured(there, verify_key=str(home / 'key.pub.pem'),\n"
        "                      state=str(home / 'state.json'))\n"
        "build(settings, clock=Clock()).close()\n"
    )
    subprocess.run(
        [sys.executable, "-c", program, str(Path(__file__).parent), str(home), str(there)],
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (read_highest(home / "state.json") or (0,))[0] == 6
    looked(built.live)
    assert (serial_in_force(built), codes(built)) == (5, {"rolled-back"})
    refused(home, "serial 5 is lower than 6")


# rollout and shadow


def candidate_of(home: Path) -> Folder:
    folder = home / "new"
    digest = policies_digest(folder / "policies", load_regions(folder / "regions"))
    return Folder(path=str(folder), digest=digest)


def test_a_candidate_is_tried_promoted_and_only_then_noted(built: Built, home: Path) -> None:
    rollout = Rollout().start(candidate_of(home), 100)
    write_rollout(home / "rollout.json", rollout)
    looked(built.live)
    assert serial_in_force(built) == 6
    assert (read_highest(home / "state.json") or (0,))[0] == 5
    write_rollout(home / "rollout.json", rollout.rollback())
    looked(built.live)
    assert (serial_in_force(built), built.live.now.problems) == (5, ())
    write_rollout(home / "rollout.json", rollout.promote())
    looked(built.live)
    assert (read_highest(home / "state.json") or (0,))[0] == 6
    write_rollout(home / "rollout.json", rollout.promote().rollback())
    looked(built.live)
    assert (serial_in_force(built), codes(built)) == (6, {"rolled-back"})
    signed(home, 7)  # the way back, signed by who may
    looked(built.live)
    assert (serial_in_force(built), built.live.now.problems) == (7, ())


@pytest.mark.parametrize(
    ("serial", "key", "days", "code"),
    [
        (4, KEY, 90, "rolled-back"),
        (5, KEY, 90, "rolled-back"),
        (6, OTHER, 90, "unknown-key"),
        (6, KEY, 0, "expired"),
    ],
    ids=["lower", "same serial", "other key", "expired"],
)
def test_a_candidate_that_is_not_sound_is_not_tried(
    built: Built, home: Path, serial: int, key: Ed25519PrivateKey, days: int, code: str
) -> None:
    signed(home / "new", serial, key=key, days=days)
    write_rollout(home / "rollout.json", Rollout().start(candidate_of(home), 100))
    looked(built.live)
    assert (serial_in_force(built), codes(built)) == (5, {code})
    assert built.live.now.problems[0].startswith("the candidate: manifest.")


def test_a_candidate_that_expires_is_tried_no_more(built: Built, home: Path, clock: Clock) -> None:
    signed(home / "new", 6, days=3)
    write_rollout(home / "rollout.json", Rollout().start(candidate_of(home), 100))
    looked(built.live)
    assert serial_in_force(built) == 6
    clock.now += 3 * DAYS
    assert (serial_in_force(built), codes(built)) == (5, {"expired"})
    assert not built.live.now.expired


def test_a_shadow_must_be_signed_and_may_be_older(home: Path, clock: Clock) -> None:
    signed(home / "new", 1)
    with closing(build(configured(home, shadow=str(home / "new")), clock=clock)) as built:
        assert built.live.deployment().guard.shadow is not None
    (home / "new" / "policies" / "acme.cedar").write_text(STOP + "\n")
    refused(home, r"the shadow: policies/acme\.cedar: changed", shadow=str(home / "new"))


def test_a_shadow_that_expires_is_asked_no_more(home: Path, clock: Clock) -> None:
    signed(home / "new", 1, days=3)
    with closing(build(configured(home, shadow=str(home / "new")), clock=clock)) as built:
        guard, app = built.live.deployment().guard, built.apps["crm"]
        local, paris = (route.endpoint for route in built.deployment.routes)
        body = read_body(b'{"text": "bob@example.com"}', content_type="application/json")
        found = inspect(guard, [(body, GENERIC)], vault=Vault(), app="crm")
        shadows = []
        for at in (START, START + 3 * DAYS):
            context = derive_context(
                app, headers=(), vocabulary=guard.policies.vocabulary, exchange="e", now=at
            )
            decision = judge(guard, context, found, endpoint=paris, local=local)
            assert decision.treatment is Treatment.CLEAR
            shadows.append(dict(decision.shadow))
        assert shadows == [{"contact": Treatment.LOCAL}, {}]


# expiry while in force


def refusal_of(built: Built) -> Reply | None:
    """Why a mail address may not go to Paris, where the gateway is asked; None: it goes."""
    exchange, refusal = open_exchange(built, door=Door.GATEWAY, app=built.apps["crm"], headers=())
    assert refusal is None
    body = b'{"model": "p", "messages": [{"role": "user", "content": "bob@example.com"}]}'
    event = RequestReceived(
        path="/v1/chat/completions", headers=((b"content-type", b"application/json"),), body=body
    )
    commands = advance(built, exchange, event)
    return next((one for one in commands if isinstance(one, Reply)), None)


def test_nothing_leaves_once_the_signature_has_expired(
    built: Built, home: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    assert refusal_of(built) is None
    clock.now = START + 76 * DAYS - timedelta(seconds=1)
    with caplog.at_level(logging.WARNING):
        looked(built.live)
        assert logged(caplog) == []
        clock.now = START + 76 * DAYS
        looked(built.live, 3)
        assert logged(caplog) == ["WARNING"]
        assert "expires in 14 days" in caplog.records[0].getMessage()
        assert refusal_of(built) is None
        clock.now = START + 90 * DAYS
        looked(built.live, 3)
    assert logged(caplog) == ["WARNING", "ERROR"]
    assert "nothing may leave" in caplog.records[1].getMessage()
    answer = refusal_of(built)
    assert answer is not None
    assert answer.status == 503
    assert b"signature of the policies has expired" in answer.body
    now = built.live.now
    assert (now.expired, codes(built)) == (True, {"expired"})
    signed(home, 6, days=180)
    looked(built.live)
    assert (built.live.now.expired, serial_in_force(built)) == (False, 6)
    assert refusal_of(built) is None


def test_a_connection_that_was_open_before_sends_nothing_once_it_has_expired(
    home: Path, clock: Clock
) -> None:
    config = configured(home)
    middleware = config.middleware.model_copy(update={"endpoint": "paris"})
    config = config.model_copy(update={"middleware": middleware})
    with closing(build(config, clock=clock)) as built:
        session, refusal = open_session(
            built, app=built.apps["crm"], headers=(), path="/socket", protocol=GENERIC
        )
        assert refusal is None
        advance_session(built, session, ServerAccepted())
        hello = ClientFrame(data=b"hello", binary=False)
        sent = advance_session(built, session, hello)
        assert [one.data for one in sent if isinstance(one, Deliver)] == [b"hello"]
        clock.now = START + 90 * DAYS
        sent = advance_session(built, session, hello)
        assert sent
        assert not any(isinstance(one, Deliver) for one in sent)


def test_a_key_must_be_named_where_keys_are_asked_for(home: Path) -> None:
    with pytest.raises(ConfigError, match="verify_key"):
        configured(home, verify_key=[])


def test_an_expired_set_decides_nothing_wherever_it_is_asked(built: Built) -> None:
    policies = built.deployment.guard.policies
    app = built.apps["crm"]
    paris = policies.endpoints["paris"]
    for at, treatment in ((89 * DAYS, Treatment.CLEAR), (90 * DAYS, Treatment.BLOCKED)):
        context = derive_context(
            app, headers=(), vocabulary=policies.vocabulary, exchange="e", now=START + at
        )
        decision = decide(
            policies, context, {Category("contact"): Evidence()}, endpoint=paris, local=None
        )
        assert decision.treatment is treatment
    assert decision.errors == ("ExpiredPolicies",)


async def health(built: Built) -> tuple[int, dict[str, Any]]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/healthz", "headers": []}
    gateway = Gateway(built)
    await gateway(scope, None, send)  # type: ignore[arg-type]
    await gateway.aclose()
    return sent[0]["status"], json.loads(sent[1]["body"])


@pytest.mark.anyio
async def test_health_says_until_when_it_holds(built: Built, home: Path, clock: Clock) -> None:
    status, told = await health(built)
    assert (status, told["status"], told["policies"]) == (200, "ok", "ok")
    assert (told["policy_serial"], told["policy_days_left"]) == (5, 90)
    assert told["policy_expires"] == "2027-03-01T12:00:00+00:00"
    clock.now = START + 80 * DAYS
    status, told = await health(built)
    assert (status, told["status"], told["policies"]) == (200, "degraded", "expiring")
    assert told["policy_days_left"] == 10
    clock.now = START + 91 * DAYS
    status, told = await health(built)
    assert (status, told["status"], told["policies"]) == (503, "degraded", "expired")
    assert told["policy_problem_codes"] == ["expired"]
    clock.now = START
    (home / SIGNATURE).write_text("none")
    looked(built.live)
    status, told = await health(built)
    assert (status, told["policies"], told["policy_problems"]) == (200, "degraded", 1)
    assert told["policy_problem_codes"] == ["bad-signature"]
