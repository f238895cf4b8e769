from __future__ import annotations

import gc
import threading
from dataclasses import replace

from guardrail.detection.cache import FindingCache, Reading
from guardrail.detection.detector import build_detector
from guardrail.detection.names import Doubt
from guardrail.types import Finding, Kind, Span, TextUnit

FINDING = Finding(entity="PERSON", span=Span(0, 3), score=1.0, recognizer="test")
READING = Reading((FINDING,), (Doubt(Span(0, 3), 0.9),))


def test_what_was_put_is_given_back() -> None:
    cache = FindingCache(2)
    key = cache.key("prose", "", "Ada")
    assert cache.get(key) is None
    cache.put(key, READING)
    assert cache.get(key) == READING


def test_the_least_recently_used_is_dropped() -> None:
    cache = FindingCache(2)
    first, second, third = (cache.key(text) for text in "abc")
    cache.put(first, Reading())
    cache.put(second, Reading())
    assert cache.get(first) == Reading()
    cache.put(third, Reading())
    assert (cache.get(first), cache.get(second), cache.get(third)) == (
        Reading(),
        None,
        Reading(),
    )


def test_a_cache_of_no_size_keeps_nothing() -> None:
    cache = FindingCache(0)
    cache.put(cache.key("a"), Reading())
    assert cache.get(cache.key("a")) is None


def test_keys_tell_parts_apart_and_differ_from_cache_to_cache() -> None:
    cache = FindingCache(1)
    assert cache.key("ab", "c") != cache.key("a", "bc")
    assert cache.key("a", "") != cache.key("", "a")
    assert cache.key("a") == cache.key("a")
    assert cache.key("a") != FindingCache(1).key("a")
    assert cache.key("\ud800") != cache.key("\ud801")


def test_no_text_is_kept() -> None:
    secret = "canary-" + "4111111111111111"
    detector = build_detector(names=["blank:en"])
    detector.detect(TextUnit(pointer="/canary-pointer", text=f"card {secret[7:]} {secret}"))
    reachable: list[object] = [detector.cache]
    seen: set[int] = set()
    while reachable:
        thing = reachable.pop()
        if id(thing) in seen or isinstance(thing, type):
            continue
        seen.add(id(thing))
        assert secret[7:] not in (thing if isinstance(thing, str) else "")
        assert secret[7:].encode() not in (thing if isinstance(thing, bytes) else b"")
        reachable += gc.get_referents(thing)
    assert "411111" not in repr(detector)


def test_a_text_is_remembered_by_kind_and_field_too() -> None:
    detector = build_detector(names=["blank:en"])
    number = "536904399"
    assert detector.detect(TextUnit(pointer="/count", text=number)) == ()
    assert detector.detect(TextUnit(pointer="/ssn", text=number)) != ()
    assert detector.detect(TextUnit(pointer="/count", text=number, kind=Kind.IDENTIFIER)) == ()


def test_what_another_threshold_found_is_not_found_again() -> None:
    unit = TextUnit(pointer="", text="4155552672")
    strict = build_detector(names=["blank:en"])
    assert strict.detect(unit) == ()
    assert replace(strict, threshold=0.1, selections={}).detect(unit) != ()
    assert strict.detect(unit) == ()


def test_threads_may_share_a_cache() -> None:
    cache = FindingCache(8)
    failures: list[BaseException] = []

    def work(seed: int) -> None:
        try:
            for number in range(2000):
                key = cache.key(str((number * seed) % 16))
                cache.put(key, READING)
                assert cache.get(key) in (None, READING)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in (1, 3, 5, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
