"""Where in a text an address may be: what is put there leaves with whoever follows it.

A model can be talked into writing a link whose address carries somebody's data away. Which end an
address has depends on who reads it, so the widest reading counts.
"""

from __future__ import annotations

import regex

_BEGINS = r"(?:(?:https?|ftp|file|mailto|data|javascript|wss?|tel|sms):|www\.|&#|[\\/]{2})"
_CLOSED = regex.compile(
    # Links and addresses of which the end is certain: no reader takes what follows for a part.
    r"(?<!\\)\[[^\[\]\n\\`<]*+\]\((?:[^()\s\\<>]|\\[!-~]|\([^()\s\\<>]*+\))*+\)"
    rf"|<{_BEGINS}[^\s<>]*+>"
    rf"|(?<![^\s,:;=\[{{(>])(?:\"{_BEGINS}[^\"\n]*+\"|'{_BEGINS}[^'\n]*+')",
    regex.IGNORECASE,
)
_LINK = regex.compile(
    rf"{_BEGINS}[^\s<]*$"  # brackets and quotes within it are a part of a bare address
    rf"|\"{_BEGINS}[^\"\n]*$|'{_BEGINS}[^'\n]*$"  # in quotes, with spaces
    # the target of a Markdown link, wherever it has got to: with brackets in pairs or in `<>`
    r"|\]\((?:[^()\n\\]|\\.|\((?:[^()\n\\]|\\.)*+(?:\)|$))*+$|\][(:]\s*<[^<>\n]*$|\]:[^\n]*$"
    r"|<[a-z!/][^>]*$"  # inside a tag, whose attributes may be addresses
    r"|<[a-z][\s\S]*=\s*(?:\"[^\"]*|'[^']*)$"  # where a tag does not end with `>`
    r"|\burl\(\s*(?:\"[^\"]*|'[^']*|[^)\"']*)$"  # of a style
    r"|(?<![\w@.-])(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}(?::\d{1,5})?[/?#][^\s<]*$"  # no scheme
    r"|^\S{100,}$",  # a word too long to tell
    regex.IGNORECASE,
)


def ends_in_link(left: str) -> bool:
    """Whether what follows `left` would become part of a link, or of a word too long to tell."""
    return _LINK.search(_CLOSED.sub("x", left)) is not None


_MANY_WORDS = (
    # What may go on over many words, and a few code points that have begun the same.
    (r"<[a-z][\s\S]*=\s*\"[^\"]*$", '<a b="'),
    (r"<[a-z][\s\S]*=\s*'[^']*$", "<a b='"),
    (r"\burl\(\s*\"[^\"]*$", 'url("'),
    (r"\burl\(\s*'[^']*$", "url('"),
    (r"\burl\(\s*[^)\"']*$", "url("),
    (r"\][(:]\s*<[^<>\n]*$", "](<"),
    (r"\]\((?:[^()\n\\]|\\.|\((?:[^()\n\\]|\\.)*+\))*+$", "]("),
    (r"\]\((?:[^()\n\\]|\\.|\((?:[^()\n\\]|\\.)*+(?:\)|$))*+$", "](("),
    (r"\]:[^\n]*$", "]:"),
    (r"<[a-z][\w-]*[\s/][^<>]*$", "<a "),
    (rf"\"\s*{_BEGINS}[^\"\n]*$", '"https://'),
    (rf"'\s*{_BEGINS}[^'\n]*$", "'https://"),
)
_OPEN = tuple((regex.compile(pattern, regex.IGNORECASE), short) for pattern, short in _MANY_WORDS)


def opened(text: str) -> str:
    """What has begun in a text, is not over and may go on over many words, in a few code points.

    >>> opened('see <img src="https://example.org/?q=a word and a word and')
    '<a b="'
    >>> opened("see <img src='x'> and")
    ''
    """
    text = _CLOSED.sub("x", text)
    return next((short for pattern, short in _OPEN if pattern.search(text)), "")
