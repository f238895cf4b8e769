"""`guardrail serve`: the gateway under uvicorn."""

from __future__ import annotations

import gc
import os
import signal
from contextlib import closing, suppress
from types import FrameType
from typing import Annotated

import typer
import uvicorn
from rich.console import Console
from rich.text import Text

from guardrail.asgi.gateway import Gateway
from guardrail.cli.terminal import DEFAULT, ConfigFile, bind, out, told
from guardrail.config import Built, build, load_config

_DRAIN_S = 30
"""Seconds for which answers that are under way may go on once the gateway is told to stop."""
_KEEP_ALIVE_S = 75
"""Seconds that an idle connection stays open: longer than clients keep theirs, which would
otherwise send a request just as it is closed."""


def serve(
    file: ConfigFile = DEFAULT,
    host: Annotated[
        str | None, typer.Option(help="Where to listen, in place of gateway.host.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="In place of gateway.port; 0: a free one.")
    ] = None,
) -> None:
    """Serve the gateway: an OpenAI-compatible endpoint in front of local and cloud models.

    An application changes its base URL and nothing else. Requests are not logged; each has its
    events in the audit log instead. Stop it with Ctrl-C or SIGTERM.

    Example: **guardrail serve --port 8750**
    """
    # By the environment, so that what must hold off loopback is checked for this address, too.
    for name, value in (("HOST", host), ("PORT", port)):
        if value is not None:
            os.environ[f"GUARDRAIL_GATEWAY__{name}"] = str(value)
    with told():
        settings = load_config(file)
        listener = bind(settings.gateway.host, settings.gateway.port)
        with listener, closing(build(settings)) as built:
            # A full collection of what the libraries keep takes a tenth of a second.
            gc.collect()
            gc.freeze()
            _announce(out(), built, settings.gateway.host, listener.getsockname()[1])
            # uvicorn hands the signal on once it has stopped, which must not keep us from closing.
            signal.signal(signal.SIGTERM, _interrupt)
            server = uvicorn.Server(
                uvicorn.Config(
                    Gateway(built),
                    log_config=None,
                    access_log=False,  # its lines hold addresses, and query strings
                    timeout_keep_alive=_KEEP_ALIVE_S,
                    timeout_graceful_shutdown=_DRAIN_S,
                )
            )
            with suppress(KeyboardInterrupt):
                server.run([listener])


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _announce(console: Console, built: Built, host: str, port: int) -> None:
    place = f"[{host}]" if ":" in host else host
    policies = built.deployment.guard.policies
    console.print(
        Text.assemble(("guardrail listens on ", "bold"), f"http://{place}:{port}/v1"),
        soft_wrap=True,
    )
    for name, endpoint in built.config.endpoints.items():
        where = f"{endpoint.location}, local" if endpoint.local else endpoint.location
        models = ", ".join(endpoint.models)
        console.print(Text(f"  endpoint {name} ({where}): {models}"), soft_wrap=True)
    console.print(Text(f"  regions {', '.join(policies.regions.ids)}"), soft_wrap=True)
    console.print(Text(f"  policies {len(policies.reasons)}, digest {policies.digest[:16]}"))
    console.print(Text(f"  audit log {built.config.audit.path}"), soft_wrap=True)
