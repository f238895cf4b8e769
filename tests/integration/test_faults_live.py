"""What happens while the audit log cannot be written, seen from outside."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from apps import support_app
from servers import PROMPT, Model, kinds, leaked, local_endpoint, serve, settings, user

from guardrail.asgi.gateway import Gateway
from guardrail.asgi.middleware import Guardrail
from guardrail.config import Built, build, default_directory, load_config
from guardrail.transport import GuardrailTransport

UNAUDITED = """
@id("overlay.unaudited.local")
@title("The local model keeps running while the audit log is down")
@reason("An unavailable assistant is the greater harm here.")
permit (principal, action == Action::"processUnaudited", resource)
when { resource.local };
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """The doors of one deployment, its models, and its audit log."""

    gateway: str
    middleware: str
    built: Built
    cloud: Model
    cloud_url: str
    local: Model
    audit: Path

    @contextmanager
    def broken_audit(self) -> Iterator[None]:
        """Takes the log's file away, as a lost volume would."""
        away = self.audit.with_name("away.db")
        self.audit.rename(away)
        try:
            yield
        finally:
            self.audit.unlink(missing_ok=True)
            away.rename(self.audit)


@contextmanager
def deployment(folder: Path, *, policies: Path | None) -> Iterator[House]:
    cloud, local = Model(), Model()
    with ExitStack() as stack:
        cloud_url = stack.enter_context(serve(cloud))
        config = settings(folder, cloud_url, policies={"directory": policies})
        config["endpoints"]["local"] = local_endpoint(stack.enter_context(serve(local)))
        config["audit"] |= {"timeout_s": 0.5}
        built = build(load_config(config))
        stack.callback(built.close)
        yield House(
            gateway=stack.enter_context(serve(Gateway(built))),
            middleware=stack.enter_context(serve(Guardrail(support_app(cloud_url), built))),
            built=built,
            cloud=cloud,
            cloud_url=cloud_url,
            local=local,
            audit=folder / "audit.db",
        )


@pytest.fixture(scope="module")
def strict(folder: Path) -> Iterator[House]:
    with deployment(folder, policies=None) as house:
        yield house


@pytest.fixture(scope="module")
def lenient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("lenient")
    policies = folder / "policies"
    shutil.copytree(default_directory("policies"), policies)
    base = policies / "00-base.cedar"
    base.write_text(base.read_text() + UNAUDITED)
    with deployment(folder, policies=policies) as house:
        yield house


@pytest.fixture(autouse=True)
def nothing_seen(request: pytest.FixtureRequest) -> None:
    for name in {"strict", "lenient"} & set(request.fixturenames):
        house = request.getfixturevalue(name)
        for model in (house.cloud, house.local):
            model.reset()


def asked(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": user(PROMPT), **more}


def post(url: str, body: object, **options: Any) -> httpx.Response:
    with httpx.Client(trust_env=False, timeout=20, **options) as http:
        return http.post(url, json=body)


def by_gateway(house: House, body: object) -> httpx.Response:
    return post(f"{house.gateway}/v1/chat/completions", body)


def by_middleware(house: House, body: object) -> httpx.Response:
    return post(f"{house.middleware}/v1/chat/completions", body)


def by_transport(house: House, body: object) -> httpx.Response:
    transport = GuardrailTransport(house.built)
    return post(f"{house.cloud_url}/v1/chat/completions", body, transport=transport)


DOORS = [by_gateway, by_middleware, by_transport]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_nothing_leaves_that_cannot_be_recorded_and_all_is_well_afterwards(
    strict: House, door: Callable[[House, object], httpx.Response], streamed: bool
) -> None:
    with strict.broken_audit():
        answer = door(strict, asked("gpt-4o", stream=streamed))
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "audit_unavailable")
        assert strict.cloud.seen == strict.local.seen == []
        assert leaked(answer.content) == []
    assert door(strict, asked("gpt-4o", stream=streamed)).status_code == 200
    assert len(strict.cloud.seen) == 1


def test_a_refusal_that_cannot_be_recorded_is_a_refusal_all_the_same(strict: House) -> None:
    with strict.broken_audit():
        assert by_gateway(strict, asked("unknown")).status_code in (400, 503)
    assert strict.cloud.seen == []


def test_the_local_model_waits_for_the_log_as_well(strict: House) -> None:
    with strict.broken_audit():
        assert by_gateway(strict, asked("llama3")).status_code == 503
    assert strict.local.seen == []


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_the_local_model_goes_on_where_policy_says_so(lenient: House, streamed: bool) -> None:
    with lenient.broken_audit():
        answer = by_gateway(lenient, asked("llama3", stream=streamed))
        refused = by_gateway(lenient, asked("gpt-4o", stream=streamed))
    assert (answer.status_code, refused.status_code) == (200, 503)
    assert answer.content
    assert len(lenient.local.seen) == 1
    assert lenient.cloud.seen == []


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_an_answer_whose_outcome_cannot_be_recorded_still_ends(
    strict: House, door: Callable[[House, object], httpx.Response], streamed: bool
) -> None:
    """The decision was recorded before anything left; the client has what it has."""
    with ExitStack() as stack:
        strict.cloud.before_answer = lambda: stack.enter_context(strict.broken_audit())
        answer = door(strict, asked("gpt-4o", stream=streamed))
    assert answer.status_code == 200
    assert (b"[DONE]" in answer.content) is streamed
    exchange = answer.headers["x-guardrail-exchange"]
    assert kinds(strict.audit, exchange) == ["egress.decision"]


def test_health_says_that_the_log_is_down(strict: House) -> None:
    with strict.broken_audit():
        by_gateway(strict, asked("gpt-4o"))
        with httpx.Client(trust_env=False) as http:
            down = http.get(f"{strict.gateway}/healthz")
    assert (down.status_code, down.json()["status"]) == (503, "degraded")
    by_gateway(strict, asked("gpt-4o"))
    with httpx.Client(trust_env=False) as http:
        assert http.get(f"{strict.gateway}/healthz").status_code == 200
