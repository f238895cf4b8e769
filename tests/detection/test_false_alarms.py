"""Text of every day in which nobody's data stands: nothing may be found in it."""

from __future__ import annotations

import pytest
from detection_world import found

CLEAN = {
    "python": """def find(rules, text):
    for i in range(0, 100000):
        value = rules[i] @ weights.T
        if value > 1.23456789 and value != 0x1F4A9:
            return Foo(i, key="abc", token=tok)
""",
    "decorators": '@app.get("/items/{item_id}")\nasync def read(item_id: int = 12345): ...\n',
    "c++": "std::vector<int> v = {10001, 20002, 30003};\n#define VERSION 20240131\n",
    "sql": "SELECT * FROM orders WHERE id IN (100234, 100235, 100236) LIMIT 1000;",
    "log": """2024-03-01 12:34:56,789 INFO [main] server started on port 8080 in 12345 ms
2024-03-01T12:34:56.789Z WARN pid=12345 tid=140735123456789 heap=0x7ffee4c0
Mar  1 12:34:56 host kernel: [12345.678901] usb 1-1: new device number 12345
GET /api/v1/items/12345 HTTP/1.1 200 1234567 0.123
trace=4bf92f3577b34da6a3ce929d0e0e4736 span=00f067aa0ba902b7
""",
    "versions": "python 3.11.7, numpy==1.26.4, v2.10.0-rc.1, node:20.11.0-alpine3.19",
    "builds": "10.0.19045.3930, chrome/120.0.6099.129",
    "unix times": "created 1709294096 updated 1709294096123 expires 1735689600",
    "dates": "2024-03-01, 2024-03-01T12:34:56+01:00, 01.03.2024, 03/01/2024, 20240301, 12:34",
    "prices": "$1,234,567.89, 1.234.567,89 €, EUR 12345.67, 10 000 000 Ft, 99.99, 12,50 €",
    "orders": "Order 1002345678, order no. 4500012345, invoice INV-2024-001234, ticket #12345678",
    "goods": "tracking 1Z999AA10123456784, ISBN 978-3-16-148410-0, EAN 4006381333931",
    "digests": "da39a3ee5e6b4b0d3255bfef95601890afd80709 d41d8cd98f00b204e9800998ecf8427e 0xcafe",
    "uuids": "550e8400-e29b-41d4-a716-446655440000 123e4567-e89b-12d3-a456-426614174000",
    "css": ".a{color:#1a2b3c;margin:0 12px 100% 1.5em;width:calc(100% - 12345px);z-index:99999}",
    "markdown": "# Chapter 1\n\n* **Bold** item 1\n\n| a | b |\n|---|---|\n| 1.23 | 45678 |\n",
    "latex": r"\begin{equation} E = mc^2 \label{eq:1} \end{equation} \cite{knuth1984} $\pi = "
    r"3.14159265358979323846$ \includegraphics[width=12345pt]{fig12.png}",
    "json": '{"object": "chat.completion", "created": 1709294096, "items": [{"sku": "AB-12345", '
    '"qty": 10, "price": 1234.5}], "cursor": "eyJpZCI6MTIzNDV9"}',
    "long id in json": '{"id": 1234567890123, "etag": "686897696a7c876b7e"}',
    "numbers": "3.141592653589793 2.718281828459045 6.02214076e23 123456789 0.1234567890123",
    "matrix": "[[1, 2, 3], [4, 5, 6]]  1 2 3 4 5 6 7 8 9 10 11 12  0 0 0 0 0 0 0 0",
    "table": "2021 2022 2023 2024\n1200 1350 1410 1500\n34567 45678 56789 67890\n",
    "chemistry": "C6H12O6 H2SO4 pH 7.4 25 mg/ml 10 mmol/l 37.5 °C 1013 hPa B12 T4 A4 100x200",
    "prose": "The Treaty of Westphalia was signed in 1648 after 30 years of war. About 8 000 000 "
    "people died; the population of 15 cities fell by 40 %. In Art. 6(1)(f) and § 312 the rule of "
    "1 January 2024 applies. Hi there, thanks for the help! From: support.",
    "ids": "run 8123456789 job 1234567890 commit 3f78685 PR #12345 build 20240301.1",
    "metaphors": "a pen stroke, an economic depression, the Tropic of Cancer",
    "ports": "port=5432; 10:30; 1:2:3; ratio 12345/67890, range 10000-20000, 1920x1080",
}


@pytest.mark.parametrize("text", CLEAN.values(), ids=CLEAN.keys())
def test_nothing_is_found(text: str) -> None:
    assert found(text) == []


KNOWN = {
    "a version of four numbers is spelled like an address": (
        [("IP_ADDRESS", "1.2.3.4")],
        "firmware 1.2.3.4",
    ),
    "a part number is spelled like a telephone number": (
        [("PHONE_NUMBER", "123-456-789")],
        "SKU 123-456-789",
    ),
}


@pytest.mark.parametrize(("expected", "text"), KNOWN.values(), ids=KNOWN.keys())
def test_false_alarms_that_are_known(expected: list[tuple[str, str]], text: str) -> None:
    assert expected == found(text)
