"""`python -m guardrail` is `guardrail`."""

from __future__ import annotations

import os

# Before numpy is loaded: on short texts, threads would only wait for each other.
os.environ["OPENBLAS_NUM_THREADS"] = os.environ.get("OPENBLAS_NUM_THREADS", "1")

from guardrail.cli import main

if __name__ == "__main__":
    main()
