"""Says whether freshly trained weights are the shipped ones; with `--ship` makes them so.

python training/ship.py [--ship] FOLDER MODEL ...
"""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
from pathlib import Path

from guardrail.detection.builtin import DIGESTS

ROOT = Path(__file__).resolve().parent.parent
WEIGHTS = ROOT / "guardrail" / "detection" / "weights"
MODULE = ROOT / "guardrail" / "detection" / "builtin.py"


def main(arguments: list[str]) -> None:
    """The command."""
    ship = "--ship" in arguments
    folder, *names = (one for one in arguments if one != "--ship")
    for name in names:
        path = Path(folder) / f"{name}.npz"
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        same = "the shipped weights" if digest == DIGESTS.get(name) else "not the shipped weights"
        print(f"{name}  {path.stat().st_size / 1e6:.1f} MB  sha256 {digest}  {same}")
        if ship:
            WEIGHTS.mkdir(exist_ok=True)
            shutil.copy(path, WEIGHTS / path.name)
            source = MODULE.read_text("utf-8")
            MODULE.write_text(
                re.sub(rf'("{name}": )"[0-9a-f]*"', rf'\g<1>"{digest}"', source), "utf-8"
            )


if __name__ == "__main__":
    main(sys.argv[1:])
