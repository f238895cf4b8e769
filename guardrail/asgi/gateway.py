"""The gateway: an OpenAI-compatible endpoint in front of local and cloud models.

An application changes its base URL and nothing else. Only what a protocol map describes has a path
here; everything else is refused.
"""

from __future__ import annotations

import hmac
import json
from dataclasses import replace

import anyio
import httpx
from anyio.abc import TaskGroup
from starlette.types import Receive, Scope, Send

from guardrail.asgi.shell import (
    Budget,
    Gone,
    Performer,
    Share,
    Torn,
    lowered,
    read_request,
)
from guardrail.asgi.websocket import refuse_socket
from guardrail.config import Built, Upstream
from guardrail.context import App
from guardrail.exchange import (
    ChunkReceived,
    Door,
    Forward,
    Headers,
    PeerGone,
    RequestReceived,
    RequestRefused,
    ResponseEnded,
    ResponseStarted,
    UpstreamFailed,
)
from guardrail.opening import open_exchange
from guardrail.protocols.maps import load_protocols
from guardrail.types import Principal

_PASSED_BACK = frozenset(
    b"content-type content-encoding retry-after x-request-id openai-processing-ms "
    b"openai-version".split()
)
"""Answer headers a client may see; `x-ratelimit-*` besides."""


class Gateway:
    """The ASGI app behind `guardrail serve`. The caller closes `built` when done.

    `GET /healthz` tells whether requests can be served, `GET /v1/models` lists model names.
    """

    def __init__(self, built: Built) -> None:
        self._built = built
        self._budget = Budget(built.config.limits.inflight_bytes)
        self._paths = frozenset(
            path for p in load_protocols().values() if p.served for path in p.paths
        )
        self._client = httpx.AsyncClient(
            trust_env=False,
            follow_redirects=False,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=100),
        )

    async def aclose(self) -> None:
        """Closes the connections to the endpoints."""
        await self._client.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one connection."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "websocket":
            await refuse_socket(scope, receive, send, message=_NO_SOCKETS)
        elif scope["type"] != "http":
            raise RuntimeError(f"guardrail does not know the scope type {scope['type']!r}")
        elif scope["method"] == "GET" and scope["path"] == "/healthz":
            await self._healthz(send)
        elif scope["method"] == "GET" and scope["path"] in ("/v1/models", "/models"):
            await self._models(scope, send)
        else:
            await self._http(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await self.aclose()
                await send({"type": "lifespan.shutdown.complete"})
                return
            await send({"type": "lifespan.startup.complete"})

    async def _healthz(self, send: Send) -> None:
        healthy = self._built.audit.healthy
        live = self._built.live
        now = live.now
        policies = now.stable.guard.policies
        candidate = now.candidate.guard.policies.digest if now.candidate else None
        shadow = now.stable.guard.shadow
        ill = now.problems or live.expiring
        state = "expired" if now.expired else "degraded" if now.problems else None
        await _send_json(
            send,
            200 if healthy and not now.expired else 503,
            {
                "status": "ok" if healthy and not ill else "degraded",
                "audit": "ok" if healthy else "unavailable",
                "policies": state or ("expiring" if live.expiring else "ok"),
                "policy_problems": len(now.problems),
                "policy_problem_codes": sorted(now.codes),
                "policy_serial": now.signed.serial if now.signed else None,
                "policy_key": now.signed.key if now.signed else None,
                "policy_expires": now.signed.expires_at.isoformat() if now.signed else None,
                "policy_days_left": live.days_left,
                "policy_digest": policies.digest,
                "policies_since": now.since.isoformat(timespec="seconds"),
                "candidate_digest": candidate,
                "candidate_share": now.rollout.share,
                "shadow_digest": shadow.digest if shadow else None,
                "regions": list(policies.regions.ids),
            },
        )

    async def _models(self, scope: Scope, send: Send) -> None:
        if self._caller(lowered(scope)) is None:
            await _send_json(
                send,
                401,
                {
                    "error": {
                        "code": "invalid_api_key",
                        "type": "guardrail_error",
                        "message": _UNAUTHORISED,
                        "param": None,
                    }
                },
            )
            return
        models = [
            {"id": name, "object": "model", "created": 0, "owned_by": route.endpoint.provider}
            for route in self._built.deployment.routes
            for name in dict.fromkeys((*route.models, route.model))
            if name and not set(name) & set("*?[")
        ]
        await _send_json(send, 200, {"object": "list", "data": models})

    def _caller(self, headers: Headers) -> App | None:
        """The app whose key the request presents, or the one app that needs none."""
        given = dict(headers).get(b"authorization", b"")
        presented = given[7:].strip() if given[:7].lower() == b"bearer " else b""
        found = None
        for name, settings in self._built.config.apps.items():
            if settings.key is not None:
                key = settings.key.get_secret_value().encode()
                if hmac.compare_digest(presented, key):
                    found = name
        if found is None:
            keyless = [n for n, s in self._built.config.apps.items() if s.key is None]
            found = keyless[0] if keyless else None
        return self._built.apps[found] if found else None

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._budget.share() as share:
            await self._exchange(scope, receive, send, share)

    async def _exchange(self, scope: Scope, receive: Receive, send: Send, share: Share) -> None:
        headers = lowered(scope)
        path: str = scope["path"]
        caller = self._caller(headers)
        some = next(iter(self._built.apps.values()))
        nobody = replace(some, principal=Principal(id="anonymous"), origin="")
        exchange, refusal = open_exchange(
            self._built,
            door=Door.GATEWAY,
            app=caller or nobody,
            headers=headers if caller else (),
            path=path,
        )
        performer = Performer(self._built, exchange, send)
        request: RequestReceived | RequestRefused
        if path not in self._paths or scope["method"] != "POST":
            known = ", ".join(sorted(self._paths))
            request = RequestRefused(
                status=404,
                code="unknown_route",
                message=f"guardrail serves POST {known}; other paths are not inspected",
                path="/v1/chat/completions",
            )
        elif caller is None:
            request = RequestRefused(
                status=401, code="invalid_api_key", message=_UNAUTHORISED, path=path
            )
        elif refusal:
            request = refusal
        else:
            limits = self._built.config.limits
            try:
                request = await read_request(
                    scope,
                    receive,
                    limit=limits.request_bytes,
                    timeout_s=limits.read_timeout_s,
                    share=share,
                )
            except Gone:
                return
        forward = await performer.feed(request)
        if forward is not None:
            await self._forward(forward, path, receive, performer)

    async def _forward(
        self, forward: Forward, path: str, receive: Receive, performer: Performer
    ) -> None:
        """Sends the request on and the answer back; stops the endpoint when the client leaves."""
        async with anyio.create_task_group() as group:

            async def watch() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass
                group.cancel_scope.cancel()

            group.start_soon(watch)
            await self._exchange_bytes(forward, path, performer, group)
        if not performer.closed:
            await performer.feed(PeerGone())
        elif performer.torn:
            raise Torn("the answer broke off")

    async def _exchange_bytes(
        self, forward: Forward, path: str, performer: Performer, group: TaskGroup
    ) -> None:
        assert forward.route is not None
        upstream = self._built.upstreams[forward.route.endpoint.id]
        answering = False
        try:
            async with self._client.stream(
                "POST",
                _address(upstream, path, forward.query),
                content=forward.body,
                headers=_credentials(upstream),
                timeout=httpx.Timeout(upstream.timeout_s, connect=min(10.0, upstream.timeout_s)),
            ) as response:
                headers = tuple(
                    (name.lower(), value)
                    for name, value in response.headers.raw
                    if name.lower() in _PASSED_BACK or name.lower().startswith(b"x-ratelimit-")
                )
                answering = True
                await performer.feed(ResponseStarted(status=response.status_code, headers=headers))
                async for chunk in response.aiter_raw():
                    await performer.feed(ChunkReceived(chunk))
                    if performer.aborted:
                        break
                else:
                    await performer.feed(ResponseEnded())
        except httpx.TimeoutException:
            await performer.feed(UpstreamFailed(504, "upstream_timeout"))
        except httpx.TransportError:
            code = "upstream_broken" if answering else "upstream_unreachable"
            await performer.feed(UpstreamFailed(502, code))
        group.cancel_scope.cancel()


_NO_SOCKETS = "the gateway serves no WebSockets; put guardrail's middleware around an app that does"
_UNAUTHORISED = "present this app's key as a bearer token"


def _address(upstream: Upstream, path: str, query: bytes) -> str:
    suffix = path.removeprefix("/v1")
    return f"{upstream.url}{suffix}" + (f"?{query.decode('ascii')}" if query else "")


def _credentials(upstream: Upstream) -> dict[str, str]:
    headers = {"content-type": "application/json", "accept-encoding": "identity"}
    if upstream.key:
        headers["authorization"] = f"Bearer {upstream.key.get_secret_value()}"
    return headers


async def _send_json(send: Send, status: int, value: object) -> None:
    body = json.dumps(value).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
