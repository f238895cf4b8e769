"""Runs programs of Spark and Ray, on this machine alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

JOBS = Path(__file__).with_name("batch_jobs.py")
EXAMPLES = Path(__file__).parents[2] / "examples"


def run_program(program: Path, *arguments: str | Path, folder: Path) -> None:
    """Runs a program to its end; its home is a folder of its own, where it leaves what it likes."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, str(program), *map(str, arguments)],
        cwd=folder,
        env={**os.environ, **LOCAL, "HOME": str(home), "PYSPARK_PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


LOCAL = {
    "SPARK_LOCAL_IP": "127.0.0.1",
    "PYSPARK_SUBMIT_ARGS": (
        "--master local[2] --conf spark.ui.enabled=false --conf spark.driver.host=127.0.0.1 "
        "--conf spark.driver.bindAddress=127.0.0.1 pyspark-shell"
    ),
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # which else replaces loopback by another address
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""What keeps both engines on loopback."""
