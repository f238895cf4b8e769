"""How well guardrail finds what people have labelled, on every set of a data folder.

The whole detector runs, models and rules, at one recall. Sets without a test part are represented
by the tenth that training never sees, and languages without any set by a small one of our own.

    python benchmarks/evaluation.py --data FOLDER [--presidio FILE] [--recall balanced] [--json]

`--presidio` is presidio-research's synth_dataset_v2.json with all its entities; it lies in the
source distribution of `presidio-evaluator`:

    pip download --no-deps --no-binary :all: presidio-evaluator==0.3.2
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from guardrail.detection.detector import RuleDetector, build_detector
from guardrail.evaluation import Mention, Report, Sample, evaluate, lowered, parse_samples
from guardrail.types import TextUnit

OWN = Path(__file__).resolve().parent.parent / "training" / "eval"
LANGUAGES = {
    "ancora_ca_test": "Catalan",
    "ancora_es_test": "Spanish",
    "btc_h_test": "English",
    "estner_et_test": "Estonian",
    "finer_wiki_fi": "Finnish",
    "frlitbank_fr": "French",
    "germeval_test": "German",
    "klintan_sv_test": "Swedish",
    "klue_ko_dev": "Korean",
    "lumii_lv_test": "Latvian",
    "meddocan_test": "Spanish",
    "mobie_de_test": "German",
    "multiconer1_en_dev": "English",
    "multiconer2_en_dev": "English",
    "nerkor_hu_test": "Hungarian",
    "norne_train": "Norwegian",
    "own_it": "Italian",
    "own_nl": "Dutch",
    "own_pl": "Polish",
    "presidio_synth_v2": "English",
    "redocred_test": "English",
    "ronec_ro_test": "Romanian",
    "stockmark_ja_test": "Japanese",
    "trwiki_tr_train": "Turkish",
    "turku_fi_test": "Finnish",
    "ud_cs_test": "Czech",
    "uner_da_test": "Danish",
    "uner_de_pud": "German",
    "uner_ewt_test": "English",
    "uner_hr_test": "Croatian",
    "uner_pt_test": "Portuguese",
    "uner_ru_pud": "Russian",
    "uner_sk_test": "Slovak",
    "uner_sr_test": "Serbian",
    "uner_sv_test": "Swedish",
    "weibo_zh_test": "Chinese",
    "wnut17_test": "English",
}
HELD_OUT = ("frlitbank_fr", "klue_ko_dev", "norne_train", "trwiki_tr_train")
"""Sets of which training never sees the last tenth; see `training/corpus.py`."""
_MARK = re.compile(r"\[(PERSON|LOCATION|ORGANIZATION) ([^\]]+)\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One set: how well it goes, and how well when all is in lower case."""

    name: str
    language: str
    report: Report
    lower: Report
    seconds: float

    def row(self) -> dict[str, Any]:
        """The figures, in percent."""
        person = next((r for r in self.report.rows if r.entity == "PERSON"), None)
        lower = next((r for r in self.lower.rows if r.entity == "PERSON"), None)
        return {
            "set": self.name,
            "language": self.language,
            "texts": self.report.samples,
            "tokens": self.report.tokens,
            "strict_p": 100 * self.report.total.strict.precision,
            "strict_r": 100 * self.report.total.strict.recall,
            "strict_f1": 100 * self.report.total.strict.f1,
            "person_r": 100 * person.token.recall if person else None,
            "person_p": 100 * person.token.precision if person else None,
            "any_p": 100 * self.report.any_token.precision,
            "any_r": 100 * self.report.any_token.recall,
            "any_f2": 100 * self.report.any_token.f2,
            "lower_r": 100 * self.lower.any_token.recall,
            "lower_person_r": 100 * lower.token.recall if lower else None,
            "seconds": self.seconds,
        }


def sets(data: Path) -> Iterator[tuple[str, list[Sample]]]:
    """Every set of the data folder, the held-out tenths, and our own."""
    for path in sorted((data / "eval").glob("*/*.jsonl")):
        yield path.stem, _without_handles(path.stem, parse_samples(path.read_text("utf-8")))
    for name in HELD_OUT:
        path = next(data.glob(f"train*/{name}/{name}.jsonl"))
        samples = parse_samples(path.read_text("utf-8"))
        yield name, samples[len(samples) * 9 // 10 :]
    for path in sorted(OWN.glob("*.txt")):
        yield f"own_{path.stem}", [marked(line) for line in path.read_text("utf-8").splitlines()]


def _without_handles(name: str, samples: list[Sample]) -> list[Sample]:
    """BTC labels @handles as people, which a rule finds as user names; they are left out here."""
    if name != "btc_h_test":
        return samples
    return [
        Sample(
            s.text,
            tuple(m for m in s.spans if "@" not in s.text[max(0, m.start - 1) : m.start + 1]),
        )
        for s in samples
    ]


def marked(line: str) -> Sample:
    """A sentence of our own sets: `[PERSON Anna] lives in [LOCATION Rome].`"""
    text, spans, at = "", [], 0
    for match in _MARK.finditer(line):
        text += line[at : match.start()]
        spans.append(Mention(len(text), len(text) + len(match[2]), match[1]))
        text += match[2]
        at = match.end()
    return Sample(text + line[at:], tuple(spans))


def measure(
    detector: RuleDetector, name: str, samples: Sequence[Sample], *, entities: Sequence[str]
) -> Result:
    """Runs the detector over a set as it is and in lower case."""
    begun = time.perf_counter()
    report = _report(detector, samples, entities)
    seconds = time.perf_counter() - begun
    low = _report(detector, [lowered(sample) for sample in samples], entities)
    return Result(
        name=name,
        language=LANGUAGES.get(name, "English"),
        report=report,
        lower=low,
        seconds=seconds,
    )


def _report(detector: RuleDetector, samples: Sequence[Sample], entities: Sequence[str]) -> Report:
    found = (detector.detect(TextUnit(pointer="", text=sample.text)) for sample in samples)
    return evaluate(samples, found, entities=entities)


_NAMES = ("PERSON", "LOCATION", "ORGANIZATION")


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The table of `docs/evaluation.md`."""

    def cell(value: float | None) -> str:
        return "–" if value is None else f"{value:.1f}"

    head = (
        "| set | language | texts | strict P / R / F1 | PERSON token recall | any P / R / F2 "
        "| lower case: any R | loss |\n| --- | --- | ---: | --- | ---: | --- | ---: | ---: |"
    )
    body = [
        f"| {r['set']} | {r['language']} | {r['texts']:,} "
        f"| {cell(r['strict_p'])} / {cell(r['strict_r'])} / **{cell(r['strict_f1'])}** "
        f"| {cell(r['person_r'])} | {cell(r['any_p'])} / {cell(r['any_r'])} / {cell(r['any_f2'])} "
        f"| {cell(r['lower_r'])} | {cell(r['any_r'] - r['lower_r'])} |"
        for r in rows
    ]
    return "\n".join([head, *body])


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with eval/ and train*/")
    parser.add_argument("--presidio", type=Path, help="synth_dataset_v2.json, all entities")
    parser.add_argument("--recall", default="balanced", help="precise, balanced or strict")
    parser.add_argument("--set", action="append", default=[], help="only this one; repeatable")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    options = parser.parse_args()
    detector = build_detector(recall=options.recall, organizations="on")
    chosen = [
        (name, samples)
        for name, samples in sets(options.data)
        if not options.set or name in options.set
    ]
    results = []
    console = Console(stderr=True)
    with Progress(console=console, disable=not sys.stderr.isatty()) as progress:
        for name, samples in progress.track(chosen, description="sets"):
            results.append(measure(detector, name, samples, entities=_NAMES))
    rows = [result.row() for result in sorted(results, key=lambda r: (r.language, r.name))]
    output: dict[str, Any] = {"recall": options.recall, "sets": rows}
    if options.presidio:
        samples = parse_samples(options.presidio.read_text("utf-8"))
        report = _report(detector, samples, ())
        output["presidio_all_types"] = {
            name: {"p": score.precision, "r": score.recall, "f1": score.f1, "f2": score.f2}
            for name, score in (
                ("iou_0.9", report.any_exact),
                ("iou_0.5", report.any_overlap),
                ("token", report.any_token),
            )
        }
    if options.json:
        print(json.dumps(output, indent=1))
        return 0
    print(markdown(rows))
    for name, score in output.get("presidio_all_types", {}).items():
        figures = ", ".join(f"{key.upper()} {100 * value:.1f}" for key, value in score.items())
        print(f"\nsynth_dataset_v2, all types, any label, {name}: {figures}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
