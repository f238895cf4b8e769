"""What a list of known people costs: to build, to keep, to load, and to look texts up in.

The list is made up: a quarter each of names, e-mail addresses, telephone numbers and ids. Each step
runs in a process of its own, so that its memory is its own.

    python benchmarks/known.py [--entries N] [--folder FOLDER] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prompts import prompt

from guardrail.detection.known.building import ListBuilder
from guardrail.detection.known.finder import load_known
from guardrail.detection.known.keys import key_of
from guardrail.detection.known.sources import read_file
from guardrail.detection.known.spelling import Spelling
from guardrail.types import TextUnit

SECRET = "benchmark-" * 4
WORDS = 500
TEXTS = 40
_SYLLABLES = "an bel cor da el fi gar hol in jo ka lu mer no or pe ri sa to va wil zen".split()
_ALSO_WORDS = "Will May Mark Grace Young Brown Long King Rose Hope Weiss Klein Lang Koch".split()


def people(count: int) -> Iterator[tuple[str, str, str, str]]:
    """Gives name, e-mail address, telephone number and id of people who do not exist."""
    chance = random.Random(7)
    given = _names(chance, 5_000)
    family = _names(chance, 200_000)
    for number in range(count):
        first, last = chance.choice(given), chance.choice(family)
        yield (
            f"{first} {last}",
            f"{first}.{last}{number}@example.com".lower(),
            f"+49 30 {chance.randrange(10**6, 10**8)}",
            f"KD-{number:08d}",
        )


def _names(chance: random.Random, count: int) -> list[str]:
    made = {"".join(chance.choices(_SYLLABLES, k=chance.randint(2, 5))) for _ in range(count)}
    return [*_ALSO_WORDS, *(name.capitalize() for name in sorted(made))]


def texts(*, hits: int) -> list[str]:
    """Gives texts of 500 words, each with so many values of the list put between them."""
    listed = [value for person in people(hits * TEXTS) for value in person]
    random.Random(3).shuffle(listed)
    made = []
    for number in range(TEXTS):
        words = prompt(12 * WORDS, seed=f"known/{number}").split()[:WORDS]
        for at, value in enumerate(listed[number * hits : (number + 1) * hits]):
            words[(at + 1) * WORDS // (hits + 1)] = value
        made.append(" ".join(words))
    return made


def build(folder: Path) -> dict[str, Any]:
    """Builds the list from the table in the folder."""
    start = time.perf_counter()
    builder = ListBuilder(key_of(SECRET), Spelling())
    with (folder / "people.csv").open("rb") as file:
        for entity, value in read_file(file, kind="csv", chosen={}):
            builder.add(entity, value)
    header = builder.write(folder / "people.known", now=datetime.now(UTC))
    return {
        "build_s": round(time.perf_counter() - start, 1),
        "build_cpu_s": round(time.process_time(), 1),
        "build_rss_mb": _peak_mb(),
        "values": sum(header.values.values()),
        "hashes": header.hashes,
        "file_mb": round((folder / "people.known").stat().st_size / 1e6, 1),
    }


def find(folder: Path) -> dict[str, Any]:
    """Loads the list and looks texts up in it, none of them twice."""
    before = _now_mb()
    start = time.perf_counter()
    (known,) = load_known([folder / "people.known"], SECRET)
    report: dict[str, Any] = {"load_s": round(time.perf_counter() - start, 3)}
    report["load_rss_mb"] = round(_now_mb() - before, 1)
    for name, hits in (("no_hits", 0), ("ten_hits", 10)):
        taken, worked, found = [], [], 0
        for text in texts(hits=hits):
            unit = TextUnit(pointer="", text=text)
            start, cpu = time.perf_counter(), time.process_time()
            findings = known.find(unit)
            taken.append(time.perf_counter() - start)
            worked.append(time.process_time() - cpu)
            found += len(findings)
        report[name] = {
            "p50_us": round(statistics.median(taken) * 1e6),
            "cpu_p50_us": round(statistics.median(worked) * 1e6),
            "p95_us": round(sorted(taken)[len(taken) * 95 // 100] * 1e6),
            "findings_per_text": round(found / TEXTS, 2),
        }
    report["find_rss_mb"] = round(_now_mb() - before, 1)
    return report


def _peak_mb() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def _now_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    """Runs every step and prints what it measured."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--entries", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path, help="where the list is made; a temporary one")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--step", choices=["build", "find"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        print(json.dumps({"build": build, "find": find}[options.step](options.folder)))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        with (Path(name) / "people.csv").open("w", encoding="utf-8") as file:
            file.write("name,email,phone,customer_id\n")
            file.writelines(f"{','.join(row)}\n" for row in people(options.entries // 4))
        report: dict[str, Any] = {"python": sys.version.split()[0], "load_average": os.getloadavg()}
        for step in ("build", "find"):
            command = [sys.executable, __file__, "--folder", name, "--step", step]
            run = subprocess.run(command, capture_output=True, text=True, check=True)
            report |= json.loads(run.stdout)
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        for key, value in report.items():
            print(f"{key:>16}  {value}")


if __name__ == "__main__":
    main()
