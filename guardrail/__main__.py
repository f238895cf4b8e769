"""`python -m guardrail` is `guardrail`."""

from __future__ import annotations

import os


def main() -> None:
    """The entry point of `guardrail`."""
    # Before numpy is loaded: on short texts, threads would only wait for each other.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from guardrail.cli import main as run

    run()


if __name__ == "__main__":
    main()
