"""Which request headers are treated with the body, besides those that mirror it.

A proxy for models passes some of its callers' headers on: who asks, how a request is tagged, what a
trace carries. So what they say leaves as the body does.

Source: LiteLLM, https://docs.litellm.ai/docs/proxy/request_headers; Open WebUI,
https://docs.openwebui.com (ENABLE_FORWARD_USER_INFO_HEADERS); Helicone,
https://docs.helicone.ai/helicone-headers/header-directory; W3C Baggage.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

DEFAULT_HEADERS = (
    "baggage",
    "helicone-property-*",
    "helicone-user-id",
    "openai-safety-identifier",
    "openai-user",
    "x-forwarded-email",
    "x-forwarded-preferred-username",
    "x-forwarded-user",
    "x-litellm-customer-id",
    "x-litellm-end-user-id",
    "x-litellm-spend-logs-metadata",
    "x-litellm-tags",
    "x-openwebui-user-*",
    "x-user-email",
    "x-user-id",
    "x-user-name",
)
"""Headers by which apps and proxies tell a model's endpoint about their users.

Cookies, addresses and credentials are not among them: an app needs them as they are.
"""

_NAME = re.compile(r"[a-z0-9_-]+\*?")
_PERSON = re.compile(
    rb".*(?:^|[-_])(?:user|user-?id|user-?name|email|username|customer-id|identifier)"
)


class HeaderNames:
    """Names of headers in lower case; a final `*` stands for any rest.

    Raises:
        ValueError: one is no name.

    >>> b"x-user-email" in HeaderNames(["x-user-*"]), b"cookie" in HeaderNames(["x-user-*"])
    (True, False)
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        given = sorted(set(names))
        if wrong := [name for name in given if not _NAME.fullmatch(name)]:
            raise ValueError(
                f"{wrong[0]!r} is no header name in lower case, with * at its end at most"
            )
        self._exact = frozenset(n.encode() for n in given if not n.endswith("*"))
        self._begun = tuple(n[:-1].encode() for n in given if n.endswith("*"))

    def __contains__(self, name: bytes) -> bool:
        return name in self._exact or name.startswith(self._begun)


NO_HEADERS = HeaderNames()


def is_person(name: bytes) -> bool:
    """Whether a header's name says that its value is somebody's id, rather than a text."""
    return _PERSON.fullmatch(name) is not None
