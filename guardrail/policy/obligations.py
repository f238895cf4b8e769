"""Obligations: for how long what guardrail keeps may be kept, and for how long it must be.

Rules are asked, for each number of days in `DAYS`, whether what was kept so long may be kept on,
and whether it may be destroyed. Of several laws the shortest limit and the longest duty count.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from guardrail.errors import PolicyUnavailable
from guardrail.policy.cedar import ask
from guardrail.policy.loader import EVERYWHERE, PolicyStore
from guardrail.policy.questions import keeping
from guardrail.policy.vocabulary import DAYS, PURGE, RETAIN


class Keeping(NamedTuple):
    """How long something may be kept and must be kept, in days, and the rules that say so.

    `limit` is the last of `DAYS` up to which all are permitted, -1 where it may not be kept at all;
    `duty` the first from which on it may be destroyed, None where it may never be.
    """

    limit: int
    duty: int | None
    policies: tuple[str, ...]

    @property
    def days(self) -> int | None:
        """When it is destroyed: at the limit, or when the duty ends if that is later; None: never.

        An obligation to keep outlives the interest in deleting (GDPR Art. 17(3)(b)).
        """
        return None if self.duty is None else max(self.limit, self.duty, 0)


def retention(
    store: PolicyStore,
    kept: Literal["audit", "vault"],
    *,
    principal: str,
    origin: str,
    purpose: str,
    basis: str,
) -> Keeping:
    """For how long a store may keep, and must keep, what it holds of an application's requests.

    `origin` is where the people are, as in a question about sending; the laws of their place and of
    the application's establishment count, and where the place is not known the rules that hold
    everywhere.

    Raises:
        PolicyUnavailable: the application or a word is not known, or a rule cannot be evaluated.
            Nothing may be destroyed then, and nothing new be kept.
    """
    app = store.principals.get(principal)
    words = store.vocabulary
    if app is None or purpose not in words["purpose"] or basis not in words["basis"]:
        raise PolicyUnavailable("the policies cannot be asked: an app or word is not known")
    known = store.regions.known(origin)
    laws = store.regions.applicable(origin=origin, establishment=app.establishment)
    sets = laws if laws and known else (*laws, EVERYWHERE)
    each = [
        _of_law(store, law, kept, app.id, origin if known else "", purpose, basis) for law in sets
    ]
    duties = [one.duty for one in each]
    return Keeping(
        limit=min(one.limit for one in each),
        duty=None if None in duties else max(duty for duty in duties if duty is not None),
        policies=tuple(sorted({policy for one in each for policy in one.policies})),
    )


def _of_law(
    store: PolicyStore, law: str, kept: str, principal: str, origin: str, purpose: str, basis: str
) -> Keeping:
    policies: set[str] = set()

    def permitted(action: str, days: int) -> bool:
        answer = ask(
            keeping(
                principal=principal,
                action=action,
                kept=kept,
                origin=origin,
                purpose=purpose,
                basis=basis,
                days=days,
            ),
            policies=store.sets[law][action].policies,
            entities=store.entities,
            schema=store.schema,
        )
        if answer.fault:
            raise PolicyUnavailable(f"the policies cannot be asked: {answer.fault}")
        policies.update(answer.policies)
        return answer.allowed

    limit = -1
    for days in DAYS:
        if not permitted(RETAIN, days):
            break
        limit = days
    duty = next((days for days in DAYS if permitted(PURGE, days)), None)
    return Keeping(limit, duty, tuple(policies))
