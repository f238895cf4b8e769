"""Recognizers of a deployment's own, in the YAML format of Presidio's recognizer registry.

What is read is `type: custom`: patterns, context words and deny lists, as rules like the built-in
ones. Patterns of others are run under a time limit only, and tried on hostile texts first.

Source: https://microsoft.github.io/presidio/analyzer/analyzer_engine_provider/
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import regex
import yaml
from presidio_analyzer.input_validation.yaml_recognizer_models import CustomRecognizerConfig
from pydantic import ValidationError

from guardrail.detection.lists import deny_rules
from guardrail.detection.patterns import Rule, Scope
from guardrail.detection.presidio import RECOGNIZERS
from guardrail.errors import ConfigError

_FLAGS = int(re.DOTALL | re.MULTILINE | re.IGNORECASE)
"""Presidio's default for `global_regex_flags`."""


def load_custom_rules(paths: Sequence[Path]) -> list[Rule]:
    """Gives a rule for each pattern and deny list of the files' recognizers.

    Recognizers with `enabled: false` are left out; so are those of Presidio that are always at
    work. A recognizer serves every language, with the context words of all of them.

    Raises:
        ConfigError: a file cannot be read, or a recognizer is not one; each by file and path.
    """
    rules: list[Rule] = []
    problems: list[str] = []
    for path in paths:
        try:
            rules += _rules_of(path)
        except ConfigError as error:
            problems += [f"detection.recognizers: {path}: {problem}" for problem in error.problems]
    names = [rule.name for rule in rules]
    problems += [
        f"detection.recognizers: two patterns bear the name {name!r}; rename one"
        for name in sorted({name for name in names if names.count(name) > 1})
    ]
    if problems:
        raise ConfigError(problems)
    return rules


def _rules_of(path: Path) -> list[Rule]:
    content = _content(path)
    flags = content.get("global_regex_flags", _FLAGS)
    listed = content.get("recognizers")
    if not isinstance(flags, int) or not isinstance(listed, list) or not listed:
        raise ConfigError(
            ["recognizers: a list of at least one is required, global_regex_flags is a number"]
        )
    rules: list[Rule] = []
    problems: list[str] = []
    for number, item in enumerate(listed):
        where = f"recognizers[{number}]"
        try:
            rules += _rules(item, flags, content.get("supported_languages") or ["en"])
        except ValidationError as error:
            problems += [
                ".".join([where, *map(str, problem["loc"])]) + f": {problem['msg']}"
                for problem in error.errors(include_url=False, include_input=False)
            ]
        except ValueError as error:
            problems.append(f"{where}{error}")
    if problems:
        raise ConfigError(problems)
    return rules


def _content(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError([f"{error.strerror}"]) from None
    except UnicodeDecodeError:
        raise ConfigError(["not UTF-8"]) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        raise ConfigError([f"{line}not valid YAML"]) from None
    if not isinstance(content, dict):
        raise ConfigError(["a mapping with the key `recognizers` is required"])
    return content


def _rules(item: Any, flags: int, languages: Any) -> Iterator[Rule]:
    """Raises ValueError with what follows the recognizer's place in the message."""
    name = item.get("class_name", item.get("name")) if isinstance(item, dict) else item
    if isinstance(item, dict) and item.get("enabled") is False:
        return
    if not isinstance(item, dict) or item.get("type", "custom") != "custom":
        if name in RECOGNIZERS:
            return
        raise ValueError(
            f": {name!r} is not a custom recognizer; write its patterns or its deny_list here"
        )
    one = CustomRecognizerConfig.model_validate(
        item if item.get("supported_language") else {"supported_languages": languages, **item}
    )
    context = tuple(one.context or ()) + tuple(
        word
        for language in one.supported_languages or ()
        for word in getattr(language, "context", None) or ()
    )
    for number, pattern in enumerate(one.patterns or ()):
        where = f".patterns[{number}].regex"
        try:
            rule = Rule(
                entity=one.supported_entity,
                name=f"{one.name}:{pattern['name']}",
                pattern=pattern["regex"],
                flags=flags,
                score=float(pattern["score"]),
                context=context,
                scope=Scope.ANYWHERE,
                guarded=True,
            )
            slow = _is_slow(rule)
        except (regex.error, TypeError, ValueError) as error:
            raise ValueError(f"{where}: not a regular expression: {error}") from None
        if slow:
            raise ValueError(f"{where}: takes too long on some texts; give repetitions a maximum")
        yield rule
    if one.deny_list:
        try:
            yield from deny_rules(
                one.supported_entity,
                one.deny_list,
                name=f"{one.name}:deny_list",
                score=one.deny_list_score,
            )
        except ValueError as error:
            raise ValueError(f".deny_list: {error}") from None


_PATIENCE = 1.0
"""Seconds for a few thousand characters, of which a sound pattern needs thousandths."""
_SOUND = re.compile(r"\w")


def _is_slow(rule: Rule) -> bool:
    """Whether the pattern takes too long on a text of what it looks for, over and over."""
    letters = dict.fromkeys("a1 -_" + "".join(_SOUND.findall(rule.pattern))[:64])
    for text in (*letters, "a1", "a ", rule.pattern[:64]):
        hostile = text * (4096 // len(text)) + "!"
        try:
            rule.compiled.search(hostile, timeout=_PATIENCE)
        except TimeoutError:
            return True
    return False
