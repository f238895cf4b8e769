"""The same app behind guardrail; the configuration's path is in `BENCHMARK_CONFIG`."""

from __future__ import annotations

import os

import chat_app

from guardrail.asgi.middleware import Guardrail

app = Guardrail(chat_app.app, os.environ["BENCHMARK_CONFIG"])
