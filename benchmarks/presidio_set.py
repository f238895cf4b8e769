"""guardrail's findings on presidio-research's set, counted by presidio-research's evaluator.

The published figures of Presidio (F2 over all types, label-agnostic, IoU of at least 0.9: 0.618 as
it comes, 0.845 tuned by its authors) were counted by `presidio_evaluator.SpanEvaluator`, and so are
these. It needs packages that guardrail does not, so it runs in an environment of its own:

    python -m venv /tmp/evaluator && /tmp/evaluator/bin/pip install presidio-evaluator==0.3.2
    pip download --no-deps --no-binary :all: presidio-evaluator==0.3.2 && tar xzf presidio_eval*.gz
    .venv/bin/python benchmarks/presidio_set.py find SET.json > found.json
    /tmp/evaluator/bin/python benchmarks/presidio_set.py count SET.json found.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def find(source: Path, recall: str) -> None:
    """Writes what guardrail finds in each text of the set: `[[start, end, entity], …]`."""
    from guardrail.detection.cues import OPTIONAL_ENTITIES
    from guardrail.detection.detector import build_detector
    from guardrail.types import TextUnit

    detector = build_detector(recall=recall, organizations="on", include=OPTIONAL_ENTITIES)
    texts = [row["full_text"] for row in json.loads(source.read_text("utf-8"))]
    found = (detector.detect(TextUnit(pointer="", text=text)) for text in texts)
    json.dump([[(f.span.start, f.span.end, f.entity) for f in each] for each in found], sys.stdout)


def count(source: Path, findings: Path) -> None:
    """Prints what the evaluator makes of it, by the IoU it asks for."""
    import pandas  # type: ignore[import-untyped]  # not installed here
    import spacy
    from presidio_evaluator.evaluation import SpanEvaluator  # type: ignore[import-not-found]

    nlp = spacy.blank("en")
    rows = []
    found = json.loads(findings.read_text("utf-8"))
    for number, (sample, spans) in enumerate(
        zip(json.loads(source.read_text("utf-8")), found, strict=True)
    ):
        gold = [(s["start_position"], s["end_position"], s["entity_type"]) for s in sample["spans"]]
        for token in nlp(sample["full_text"]):
            begin, end = token.idx, token.idx + len(token)
            rows.append(
                {
                    "sentence_id": number,
                    "token": token.text,
                    "start_indices": begin,
                    "annotation": next((n for s, e, n in gold if s < end and e > begin), "O"),
                    "prediction": next((n for s, e, n in spans if s < end and e > begin), "O"),
                }
            )
    table = pandas.DataFrame(rows)
    for least in (0.9, 0.5):
        result = SpanEvaluator(iou_threshold=least).calculate_score_on_df(table, level="pii")
        print(
            f"IoU >= {least}: P {result.pii_precision:.3f} R {result.pii_recall:.3f} "
            f"F2 {result.pii_f:.3f}"
        )


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["find", source, *recall]:
            find(Path(source), recall[0] if recall else "balanced")
        case ["count", source, findings]:
            count(Path(source), Path(findings))
        case _:
            sys.exit(__doc__)
