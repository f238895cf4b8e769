"""Prompts as people write them: support mails, meeting notes, code; German and English.

The same seed gives the same text. About one identifier stands in every 150 characters, and every
text has identifiers of its own, so that no text is the repetition of another.
"""

from __future__ import annotations

from random import Random

_MAIL_EN = (
    "Dear support team,\n",
    "my order has not arrived yet although the tracking page says it was delivered on Monday. ",
    "I asked the neighbours and the concierge, and nobody has seen a parcel. ",
    "Could you please look into it and write to {mail}? ",
    "I would prefer a refund to {iban}, because I have bought the item elsewhere by now. ",
    "Your colleague promised to call me back at {phone}, but that was a week ago. ",
    "The article is still listed as available, so a replacement would be fine as well. ",
    "Please treat this as urgent, since the warranty ends this month. ",
    "My name is {name} and I live at {street_en}. ",
    "Kind regards\n{name}\n",
)
_MAIL_DE = (
    "Guten Tag,\n",
    "leider stimmt die letzte Rechnung nicht mit dem Angebot überein, das wir besprochen hatten. ",
    "Könnten Sie mir bitte bestätigen, dass der Vertrag zum Jahresende ausläuft? ",
    "Bitte buchen Sie den Betrag künftig von {iban} ab. ",
    "Für Rückfragen bin ich nachmittags unter {phone} erreichbar. ",
    "Die Unterlagen können Sie mir gern an {mail} schicken. ",
    "Die Lieferung soll in den ersten Stock, der Aufzug ist zurzeit außer Betrieb. ",
    "Wir ziehen um; unsere neue Anschrift lautet {street_de}. ",
    "Über eine kurze Antwort noch in dieser Woche würde ich mich freuen. ",
    "Mit freundlichen Grüßen\n{name}\n",
)
_NOTES = (
    "Notes of the weekly meeting. ",
    "The release moves by one week because the import of old contracts is still too slow. ",
    "Design wants to test the new form with five customers before it goes live. ",
    "Action item: write to {mail} and ask for the missing specification. ",
    "We agreed to drop the second approval step and to measure the effect for a month. ",
    "Nobody objected to the proposal, but the budget has to be confirmed by finance. ",
    "The customer can be reached at {phone} and wants an update every Friday. ",
    "Open question: who takes over the on-call rota while half of the team is on holiday? ",
    "Next meeting on Thursday at 10:30 in the large room; Mr {name} takes the minutes. ",
    "The gateway at {ip} dropped connections twice, operations is looking into it. ",
)
_CODE = (
    "def total(items, rate=0.19):\n    return sum(item.price for item in items) * (1 + rate)\n\n",
    "# reviewed by {mail}\n",
    'HOST = "{ip}"\nRETRIES = 3\n\n',
    "for attempt in range(RETRIES):\n    try:\n        send(batch, timeout=2.5)\n        break\n"
    "    except TimeoutError:\n        log.warning('attempt %d failed', attempt)\n\n",
    "class Cart:\n    def __init__(self) -> None:\n        self.items: list[Item] = []\n\n",
    'SUPPORT = "{phone}"  # shown in the footer\n',
    "Why does this function return None when the list is empty, and how would you test it? ",
    "SELECT id, total FROM orders WHERE status = 'open' ORDER BY created_at DESC LIMIT 50;\n",
)
_PADDING = (
    "That is all for today; the rest can wait until everybody is back from the holidays, and then "
    "we should sit together for an hour to go through the list once more and to decide what is "
)
_KINDS = (_MAIL_EN, _MAIL_DE, _NOTES, _CODE)

_FIRST = "Anna Peter Julia Thomas Maria Lukas Emily Oliver Sophie Jonas Grace Martin".split()
_LAST = (
    "Schneider Weber Wagner Miller Johnson Brown Fischer Becker Hoffmann Taylor Clarke Vogel"
).split()
_STREETS = "Hauptstraße Gartenstraße Lindenallee Bahnhofstraße Schillerplatz Ahornweg".split()
_ROADS = "Station Mill Church Orchard Victoria Park".split()
_TOWNS = "Berlin Hamburg Leipzig Dresden Bremen Kassel".split()


def prompt(characters: int, *, seed: str) -> str:
    """Gives a text of exactly so many characters."""
    random = Random(seed)
    text = ""
    while True:
        for sentence in random.choice(_KINDS):
            if random.random() < 0.15:
                continue
            sentence = sentence.format(**_identifiers(random))
            if len(text) + len(sentence) > characters:  # no identifier is ever cut
                return text + _PADDING[: characters - len(text)]
            text += sentence


def history(characters: int, *, seed: str, turns: int = 6) -> list[dict[str, str]]:
    """Gives the earlier messages of a chat, so many characters in all."""
    roles = ("user", "assistant")
    sizes = [characters // turns + (turn < characters % turns) for turn in range(turns)]
    return [
        {"role": roles[turn % 2], "content": prompt(size, seed=f"{seed}/{turn}")}
        for turn, size in enumerate(sizes)
    ]


def _identifiers(random: Random) -> dict[str, str]:
    first, last = random.choice(_FIRST), random.choice(_LAST)
    return {
        "name": f"{first} {last}",
        "mail": f"{first}.{last}{random.randrange(1000)}@example.com".lower(),
        "phone": f"+49 30 {random.randrange(2_000_000, 9_999_999)}",
        "iban": _iban(random.randrange(10**18)),
        "ip": f"10.{random.randrange(256)}.{random.randrange(256)}.{random.randrange(1, 255)}",
        "street_de": f"{random.choice(_STREETS)} {random.randrange(1, 200)}, "
        f"{random.randrange(10000, 99999)} {random.choice(_TOWNS)}",
        "street_en": f"{random.randrange(1, 999)} {random.choice(_ROADS)} Road",
    }


def _iban(account: int) -> str:
    """A German IBAN with its check digits (ISO 13616, ISO 7064 MOD 97-10)."""
    check = 98 - int(f"{account:018d}131400") % 97
    return f"DE{check:02d}{account:018d}"
