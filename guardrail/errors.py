"""The few errors guardrail raises. A denial is a value, not an error.

    GuardrailError
    ├── ConfigError          the configuration, policies or regions are wrong: nothing starts
    ├── Refusal              this request is refused; carries status and code for the caller
    └── Unavailable          a part that must answer cannot: nothing leaves
        ├── DetectorUnavailable
        │   └── NestedTooDeep
        ├── PolicyUnavailable
        ├── AuditUnavailable
        └── VaultUnavailable

No message quotes user text: messages are shown to callers and written to logs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from guardrail.problems import Problem


class GuardrailError(Exception):
    """Base of every error that guardrail raises."""


class ConfigError(GuardrailError):
    """What is configured cannot be used.

    `problems` lists every fault, one line each, by path; `details` the same as data. What is given
    as a line alone has the code `configuration`.
    """

    def __init__(self, problems: Iterable[str | Problem]) -> None:
        self.details = tuple(
            Problem(code="configuration", message=one) if isinstance(one, str) else one
            for one in problems
        )
        self.problems = tuple(map(str, self.details))
        super().__init__("\n".join(self.problems))

    def __reduce__(self) -> tuple[type[Self], tuple[tuple[Problem, ...]]]:
        return type(self), (self.details,)


class Refusal(GuardrailError):
    """This request is refused. `status` is HTTP's, `code` is stable and machine-readable."""

    def __init__(self, status: int, code: str, message: str) -> None:
        self.status = status
        self.code = code
        self.message = message
        super().__init__(message)

    def __reduce__(self) -> tuple[type[Self], tuple[int, str, str]]:
        return type(self), (self.status, self.code, self.message)


class Unavailable(GuardrailError):
    """A part that must answer did not, so nothing leaves."""


class DetectorUnavailable(Unavailable):
    """Detection failed or took too long."""


class NestedTooDeep(DetectorUnavailable):
    """Text is encoded within encoded text more often than detection looks into."""


class PolicyUnavailable(Unavailable):
    """No usable policy set, or the engine failed its self-test."""


class AuditUnavailable(Unavailable):
    """The audit log could not make an event durable."""


class VaultUnavailable(Unavailable):
    """The store of vaults does not answer."""
