"""Files with something in them, and the command line as a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

MAIL = "erika@example.com"
TEXT = f"Dear team,\nmy name is Erika Mustermann, {MAIL}.\nNothing else.\n"
JSON = '{"mail": "a@b.example.com",\n "n@example.com": [1, 2.50]}\n'
CSV = "name;mail\r\nnobody;x@example.com\r\n"


def fill(folder: Path) -> Path:
    """Writes a text, JSON, a table, a binary file, a file in .git, and one without findings."""
    (folder / ".git").mkdir(parents=True)
    for name, content in {
        "a.txt": TEXT,
        "b.json": JSON,
        "c.csv": CSV,
        "none.txt": "Nothing.\n",
        ".git/config": MAIL,
    }.items():
        (folder / name).write_bytes(content.encode())
    (folder / "d.png").write_bytes(b"\x89PNG\x00" + MAIL.encode())
    return folder


def guardrail(
    *arguments: str | Path, stdin: bytes = b"", env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Runs a command to its end."""
    command = [sys.executable, "-m", "guardrail", *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, env=env, check=False)
