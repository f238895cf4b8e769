"""Addresses of pages, wallets and devices: found as they stand, and told from names in programs."""

from __future__ import annotations

import pytest
from detection_world import found

from guardrail.detection.online import public_suffix

LINKS = [
    ("https://www.linkedin.com/in/jane-doe-12345/", "{}"),
    ("http://jane.example.org:8080/~jane?tab=1#top", "see {}."),
    ("https://müller.example.de/über", "({})"),
    ("https://shop.example.co.uk/orders/1", "<{}>"),
    ("ftp://files.example.net/pub", "{}, please"),
    ("www.janedoe.photography", "at {}!"),
    ("janedoe.com", "My site is {}."),
    ("jane-doe.co.uk", "{}"),
    ("github.com/janedoe", "code: {}"),
    ("bit.ly/3xYz12A", "{}"),
    ("instagram.com/jane.doe", "{}"),
    ("praxis-mueller.de", "Website: {}"),
]


@pytest.mark.parametrize(("link", "around"), LINKS, ids=[link for link, _ in LINKS])
def test_a_link_is_found_whole(link: str, around: str) -> None:
    assert [("URL", link)] == found(around.format(link))


@pytest.mark.parametrize(
    "text",
    [
        "self.as result.app os.name event.id x.is df.at[0] obj.no item.es",
        "README.md main.rs script.sh setup.py lib.so a.pl data.zip",
        "src/main.rs/x setup.py/x README.md/a",
        "import java.net.URL; org.apache.commons.net.ftp com.example.app",
        "self.net(x) super.com[0] torch.nn.functional np.linalg.norm",
        "e.g. this, i.e. that, and/or, 24/7, 1.5/2, vs. others, U.S. law",
        "http://localhost:8080/x http://127.0.0.1/x https://",
        '<svg xmlns="http://www.w3.org/2000/svg">',
        "one sentence.Another sentence",
        "node:20.11 image.name@sha256 a.b.c x.y",
    ],
)
def test_what_only_looks_like_a_link_is_not_one(text: str) -> None:
    assert [value for entity, value in found(text) if entity == "URL"] == []


WALLETS = [
    "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
    "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy",
    "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
    "0xde0B295669a9FD93d5F28D9Ec85E40f4cb697BAe",
    "rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh",
]


@pytest.mark.parametrize("wallet", WALLETS)
def test_the_address_of_a_wallet_is_found(wallet: str) -> None:
    assert [("CRYPTO", wallet)] == found(f"Send it to {wallet}, please.")


@pytest.mark.parametrize(
    "wallet", [w[:-4] + ("1" if w[-4] != "1" else "2") + w[-3:] for w in WALLETS if w[1] != "x"]
)
def test_a_wallet_with_a_wrong_character_is_not_found(wallet: str) -> None:
    assert found(f"Send it to {wallet}, please.") == []


DEVICES = [
    ("UUID", "123e4567-e89b-12d3-a456-426614174000", "user id {}"),
    ("UUID", "123E4567-E89B-12D3-A456-426614174000", "Device: {}"),
    ("IMEI", "861234567890127", "IMEI {}"),
    ("IMEI", "86-123456-789012-7", "{}"),
    ("ICCID", "8988303000000614224", "ICCID: {}"),
    ("IMSI", "310150123456789", "IMSI {}"),
]


@pytest.mark.parametrize(
    ("entity", "value", "around"), DEVICES, ids=[f"{e}: {a.format(v)}" for e, v, a in DEVICES]
)
def test_the_number_of_a_device_is_found(entity: str, value: str, around: str) -> None:
    assert [(entity, value)] == found(around.format(value))


@pytest.mark.parametrize(
    "text", ["861234567890127", "IMEI 861234567890128", "86-123456-789012-8", "310150123456789"]
)
def test_a_number_without_its_word_or_check_digit_is_not_found(text: str) -> None:
    assert found(text) == []


def test_a_public_suffix_may_have_several_parts() -> None:
    assert [public_suffix(d) for d in ("example.co.uk", "example.de", "a.corp")] == [
        "co.uk",
        "de",
        "",
    ]
