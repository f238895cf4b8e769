"""Synthetic prompts: own templates filled with people, places and organisations that do not exist.

A template holds slots such as `<pf>` (a full name) or `<c>` (a city); `\\n` is a line break. One
file a language lies in `templates/`, in groups that start with `## name`.
"""

from __future__ import annotations

import random
import re
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from corpus import Document
from faker import Faker
from pools import Pools

TEMPLATES = Path(__file__).parent / "templates"
_SLOT = re.compile(r"<(\w+)>")
_HEADING = re.compile(r"(?m)^## (\w+)$")


def _row(words: str) -> tuple[str, ...]:
    return tuple(word.replace("_", " ") for word in words.split())


_TOOLS = _row(
    "Python Java JavaScript TypeScript Rust Go Kotlin Swift Ruby Julia Scala Perl Haskell Elixir "
    "Lua R C++ Docker Kubernetes Jenkins Kafka Redis Postgres PostgreSQL MySQL MongoDB Cassandra "
    "Elasticsearch Kibana Grafana Prometheus Terraform Ansible Nginx Apache Tomcat Spark Hadoop "
    "Airflow Flask Django FastAPI Spring Hibernate React Angular Vue Svelte Next.js Node Express "
    "Webpack Vite Pandas NumPy PyTorch TensorFlow Keras spaCy Presidio LangChain Claude GPT-4 "
    "ChatGPT Gemini Llama Mistral BERT Transformer Adam Dijkstra Bellman-Ford Kruskal Bayes Gauss "
    "Fourier Laplace Markov Monte_Carlo Excel Word Outlook Slack Jira Confluence Notion Trello "
    "Figma Photoshop Android iOS Windows Linux Ubuntu Debian Fedora Chrome Firefox Safari iPhone "
    "Galaxy Pixel Alexa Siri Cortana Tesla_Model_S Corolla Civic Mustang Bitcoin Ethereum Markdown "
    "JSON YAML XML HTML CSS SQL OAuth JWT REST GraphQL gRPC Lambda S3 EC2 Azure BigQuery "
    "ValueError TypeError HttpClient UserService AppConfig BaseModel DataFrame EventLoop"
)
_FIXED: Mapping[str, tuple[str, ...]] = {
    "t": _TOOLS,
    "v": _row("debug optimize refactor explain configure install deploy test document migrate"),
    "nn": _row(
        "function class module pipeline query schema endpoint decorator dataset regex unit_test "
        "config_file cluster cache queue logger model tokenizer script dashboard chart report "
        "spreadsheet presentation essay poem recipe workout_plan cover_letter resume summary"
    ),
    "r": _row(
        "manager engineer accountant nurse doctor teacher lawyer CEO CTO director analyst "
        "Software_Engineer Product_Manager Head_of_Sales Vice_President Account_Executive "
        "Data_Scientist Senior_Developer Marketing_Director Legal_Counsel Office_Manager Physician"
    ),
    "ti": tuple(
        f"{title} "
        for title in "Mr. Mrs. Ms. Dr. Prof. Mr Mrs Ms Dr Professor Judge Officer Captain Sister "
        "Aunt Uncle Coach Nurse Detective Sir Father".split()
    ),
    "rel": _row(
        "wife husband sister brother boss friend colleague neighbor son daughter mom dad cousin "
        "roommate coworker landlord ex girlfriend boyfriend partner doctor therapist teacher uncle"
    ),
    "co": _row(
        "diabetes hypertension asthma pneumonia migraine Parkinson's_disease Alzheimer's_disease "
        "Crohn's_disease Hodgkin_lymphoma Down_syndrome Lyme_disease COVID-19 anxiety depression"
    ),
    "med": _row(
        "ibuprofen Lisinopril Metformin Xanax Prozac Tylenol Advil Humira Ozempic Zoloft "
        "amoxicillin Lipitor"
    ),
    "mon": _row(
        "January February March April May June July August September October November December"
    ),
    "day": _row("Monday Tuesday Wednesday Thursday Friday Saturday Sunday"),
}
_LEADS = _row(
    "Blue Red Green Bright North South East West Silver Golden Summit Peak Prime Apex Nova Quantum "
    "Global United First Pacific Atlantic Evergreen Horizon Pioneer Liberty Heritage Crystal "
    "Stellar Urban Clear Iron Stone Oak Cedar Maple River Lake Harbor Omni Hyper Cyber Data Cloud "
    "Bio Medi Agri Eco Nano"
)
_TRADES = _row(
    "Systems Technologies Solutions Labs Partners Consulting Capital Holdings Logistics Foods "
    "Energy Health Therapeutics Pharma Robotics Analytics Software Networks Media Studios Motors "
    "Airlines Insurance Bank Realty Properties Construction Industries Group Ventures Foundation "
    "Institute Academy Clinic Hospital Pharmacy Dental Travel Marketing Design Security"
)
_FORMS = ("", "", "", *_row("_Inc _Inc. _LLC _Ltd _Ltd. _GmbH _AG _S.A. _Corp _Co. _PLC _BV _SE"))

_JSON_KEYS = tuple(
    tuple(pair.split("="))
    for pair in (
        "name=p full_name=pf customer=p firstName=f lastName=s city=c address=a country=ctry "
        "company=o employer=o email=em phone=ph id=n status=w created_at=d language=t tool=t "
        "ref=id title=r contact=pf location=l organization=o amount=amt user=f author=pf "
        "assignee=f model=t"
    ).split()
)
_COLUMNS = tuple(
    tuple(pair.replace("_", " ").split("="))
    for pair in (
        "Name=p Customer=pf City=c Company=o Email=em Phone=ph Role=r Date=d Amount=amt ID=n "
        "Country=ctry Status=w Address=a First_name=f Last_name=s Tool=t Manager=pf"
    ).split()
)
_LOG_LINES = (
    "User <em> logged in from <ip>", "Request <id> completed in <n>ms",
    "Connection refused to <ip>:<n>", "Cache miss for key user:<n>", "Job <w>-<w> finished",
    "java.lang.NullPointerException at com.<w>.<w>.Main.run(Main.java:<n>)",
    "Failed to parse <t> config at line <n>", "user=<f> action=login status=ok",
    "payment from <pf> accepted amount=<amt>", "order shipped to <c> via DHL",
    "GET /api/v1/users/<n> 200", "<t> worker started pid=<n>", "Email sent to <pf> <em>",
    "session opened for user <f>",
)  # fmt: skip

_SHARES = {
    "neg": 0.17, "chat": 0.25, "email": 0.08, "form": 0.08, "med": 0.05, "legal": 0.06, "hr": 0.06,
    "support": 0.07, "misc": 0.13, "short": 0.05,
}  # fmt: skip
_LABELLED = {
    "p": "PERSON", "pf": "PERSON", "f": "PERSON", "s": "PERSON",
    "l": "LOCATION", "c": "LOCATION", "a": "LOCATION", "ctry": "LOCATION", "o": "ORGANIZATION",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes prompts of one language from its pools and templates."""

    language: str
    pools: Pools
    chance: random.Random
    fake: Faker
    groups: Mapping[str, tuple[str, ...]]
    code: tuple[str, ...] = ()

    def prompts(self, count: int) -> Iterator[Document]:
        """Gives `count` documents."""
        for _ in range(count):
            yield self._one()

    def _one(self) -> Document:
        roll = self.chance.random()
        if roll < 0.06:
            return self._fill(self._json())
        if roll < 0.11:
            return self._fill(self._table())
        if roll < 0.15 and self.code:
            return self.chance.choice(self.code), ()
        if roll < 0.18:
            return self._fill(self._log())
        group = self._group()
        text, spans = self._fill(self.chance.choice(self.groups[group]))
        if group in ("chat", "neg", "short", "misc") and self.chance.random() < 0.35:
            other, marks = self._fill(self.chance.choice(self.groups[self._group()]))
            gap = self.chance.choice((" ", "\n", "\n\n"))
            shift = len(text) + len(gap)
            spans += tuple((s + shift, e + shift, label) for s, e, label in marks)
            text = text + gap + other
        roll = self.chance.random()
        other = text
        if group in ("chat", "short", "neg") and roll < 0.30:
            other = text.lower()
        elif roll > 0.98:
            other = text.upper()
        return (other if len(other) == len(text) else text), spans

    def _group(self) -> str:
        names = [name for name in _SHARES if name in self.groups]
        return self.chance.choices(names, [_SHARES[name] for name in names])[0]

    def _fill(self, template: str) -> Document:
        out, spans, at = "", [], 0
        for match in _SLOT.finditer(template):
            value = self._value(match[1])
            if value is None:
                continue
            out += template[at : match.start()]
            value = value if match[1] == "ti" else value.strip()
            if match[1] in _LABELLED and value:
                spans.append((len(out), len(out) + len(value), _LABELLED[match[1]]))
            out += value
            at = match.end()
        return out + template[at:], tuple(spans)

    def _value(self, slot: str) -> str | None:
        if slot in _FIXED:
            return self.chance.choice(_FIXED[slot])
        make = _MAKERS.get(slot)
        return make(self) if make else None

    def pick(self, values: tuple[str, ...]) -> str:
        """One of the values."""
        return self.chance.choice(values)

    def full_name(self) -> str:
        """A given and a family name, in the order of the language."""
        given, family = self.pick(self.pools.given), self.pick(self.pools.family)
        if self.language in ("ja", "zh", "ko"):
            gap = " " if self.language == "ja" and self.chance.random() < 0.3 else ""
            return f"{family}{gap}{given}"
        return f"{family} {given}" if self.pools.family_first else f"{given} {family}"

    def name(self) -> str:
        """A person's name in any of the forms in which people write one."""
        if self.language in ("ja", "zh", "ko"):
            return self.full_name()
        given, family = self.pick(self.pools.given), self.pick(self.pools.family)
        letter = self.chance.choice("ABCDEFGHJKLMNPRSTW")
        forms = (
            (50, self.full_name()),
            (10, given),
            (5, family),
            (5, f"{given} {letter}. {family}"),
            (4, f"{letter}. {family}"),
            (4, f"{given} {self.pick(self.pools.given)} {family}"),
            (4, f"{given} {family}-{self.pick(self.pools.family)}"),
            (4, f"{given} {family} {self.pick(self.pools.family)}"),
            (2, f"{given} {family} {self.chance.choice(('Jr.', 'Sr.', 'III', 'II'))}"),
            (4, f"{family}, {given}"),
            (3, f"{given} {family}".upper()),
            (4, f"{given} {family}".lower()),
        )
        return self.chance.choices([f for _, f in forms], [w for w, _ in forms])[0]

    def place(self) -> str:
        """A city, region, country or address."""
        kinds = (
            (45, self.pools.cities), (20, self.pools.countries), (20, self.pools.regions),
            (8, self.pools.addresses),
        )  # fmt: skip
        pool = self.chance.choices([p for _, p in kinds], [w for w, _ in kinds])[0]
        if self.language not in ("ja", "zh", "ko") and self.chance.random() < 0.07:
            return f"{self.pick(self.pools.cities)}, {self.pick(self.pools.countries)}"
        return self.pick(pool)

    def organisation(self) -> str:
        """A company, university, authority or hospital."""
        roll, city = self.chance.random(), self.pick(self.pools.cities)
        if roll < 0.5 or self.language in ("ja", "zh", "ko"):
            return self.pick(self.pools.companies)
        if roll < 0.7:
            gap = self.chance.choice((" ", "", " "))
            return f"{self.pick(_LEADS)}{gap}{self.pick(_TRADES)}{self.pick(_FORMS)}"
        if roll < 0.76:
            tail = self.chance.choice(("", " LLP", " Associates", " Partners"))
            return f"{self.pick(self.pools.family)} & {self.pick(self.pools.family)}{tail}"
        if self.language != "en":
            return f"{self.pick(self.pools.family)}{self.pick(_FORMS)}"
        if roll < 0.82:
            return f"University of {city}" if self.chance.random() < 0.5 else f"{city} University"
        if roll < 0.88:
            kind = self.chance.choice(
                _row("General_Hospital Medical_Center Police_Department City_Council "
                     "School_District High_School Public_Library Airport_Authority")
            )  # fmt: skip
            return f"{city} {kind}"
        if roll < 0.95:
            return f"{self.pick(self.pools.family)} {self.pick(_TRADES)}{self.pick(_FORMS)}"
        letters = "".join(self.chance.choices("ABCDEFGHIKLMNOPRSTUVX", k=self.chance.randint(3, 4)))
        return letters + self.chance.choice((" Group", " Holdings", " Bank", ""))

    def date(self) -> str:
        """A date, day or month as people write them."""
        day, year = self.chance.randint(1, 28), self.chance.randint(1950, 2027)
        month, number = self.pick(_FIXED["mon"]), self.chance.randint(1, 12)
        return self.chance.choice(
            (
                f"{year}-{number:02d}-{day:02d}",
                f"{month} {day}, {year}",
                f"{number}/{day}/{year}",
                f"{day:02d}.{number:02d}.{year}",
                f"{day} {month} {year}",
                f"{month} {day}",
                self.pick(_FIXED["day"]),
            )
        )

    def phone(self) -> str:
        """A telephone number."""
        number = self.chance.randint
        return self.chance.choice(
            (
                str(self.fake.phone_number()),
                f"+44 7{number(100, 999)} {number(100000, 999999)}",
                f"({number(200, 999)}) 555-{number(1000, 9999)}",
                f"+49 {number(30, 999)} {number(1000000, 9999999)}",
            )
        )

    def email(self) -> str:
        """A mail address."""
        given, family = self.pick(self.pools.given), self.pick(self.pools.family)
        local = f"{given}.{family}".lower().replace(" ", "").replace("'", "")
        host = f"{self.pick(_LEADS)}{self.pick(_TRADES)}.com".lower().replace(" ", "")
        return self.chance.choice((str(self.fake.email()), f"{local}@{host}", f"{local}@gmail.com"))

    def number(self) -> str:
        """A reference, identifier or number of an account."""
        kind = self.chance.choice(_row("INV ORD TCK CASE PO MRN ID REF PROJ JIRA"))
        return self.chance.choice(
            (
                f"{kind}-{self.chance.randint(1000, 999999)}",
                str(self.fake.ssn()) if self.language == "en" else str(self.fake.iban()),
                str(self.fake.uuid4()),
                str(self.fake.iban()),
                str(self.fake.credit_card_number()),
                f"#{self.chance.randint(100, 99999)}",
            )
        )

    def package(self) -> str:
        """The name of a piece of software, which often looks like somebody's."""
        word = str(self.fake.word())
        stem = word[: self.chance.randint(3, 6)]
        end = self.chance.choice(("", *"a o ix ly io kit py er ster elle".split()))
        name = self.chance.choice((stem + end, f"{word}-{stem}", f"py{stem}"))
        return name.capitalize() if self.chance.random() < 0.6 else name

    def class_name(self) -> str:
        """The name of a class: words with capitals, run together."""
        words = [str(self.fake.word()) for _ in range(self.chance.randint(2, 4))]
        end = self.chance.choice(("", "Event", "Error", "Handler", "Config", "Item", "Params"))
        return "".join(word.capitalize() for word in words) + end

    def _json(self) -> str:
        pairs = self.chance.sample(_JSON_KEYS, self.chance.randint(2, 7))
        roll, wide = self.chance.random(), self.chance.random() < 0.5
        if roll < 0.6:
            inner = (",\n " if wide else ", ").join(f'"{key}": "<{slot}>"' for key, slot in pairs)
            return "{" + inner + "}"
        if roll < 0.75:
            return "\n".join(f"{key}: <{slot}>" for key, slot in pairs)
        if roll < 0.87:
            return "\n".join(f"{key.replace('_', ' ').title()}: <{slot}>" for key, slot in pairs)
        return "&".join(f"{key}=<{slot}>" for key, slot in pairs)

    def _table(self) -> str:
        columns = self.chance.sample(_COLUMNS, self.chance.randint(2, 6))
        separator = self.chance.choices((" | ", ",", "\t", ";"), (50, 30, 12, 8))[0]
        out = []
        if self.chance.random() < 0.8:
            out.append(separator.join(title for title, _ in columns))
            if separator == " | ":
                out.append("|".join(["---"] * len(columns)))
        row = separator.join(f"<{slot}>" for _, slot in columns)
        out += [row] * self.chance.randint(1, 5)
        if separator == " | " and self.chance.random() < 0.7:
            out = [f"|{line}|" if line.startswith("-") else f"| {line} |" for line in out]
        return "\n".join(out)

    def _log(self) -> str:
        clock = ":".join(f"{self.chance.randint(0, 59) % top:02d}" for top in (24, 60, 60))
        level = self.chance.choice(("INFO", "WARN", "ERROR", "DEBUG"))
        return f"<d> {clock} {level} {self.chance.choice(_LOG_LINES)}"


_MAKERS: Mapping[str, Callable[[Writer], str]] = {
    "p": Writer.name,
    "pf": Writer.full_name,
    "f": lambda w: w.pick(w.pools.given),
    "s": lambda w: w.pick(w.pools.family),
    "l": Writer.place,
    "c": lambda w: w.pick(w.pools.cities),
    "a": lambda w: w.pick(w.pools.addresses),
    "ctry": lambda w: w.pick(w.pools.countries),
    "o": Writer.organisation,
    "d": Writer.date,
    "ph": Writer.phone,
    "em": Writer.email,
    "id": Writer.number,
    "n": lambda w: str(w.chance.randint(1, 10 ** w.chance.randint(1, 6))),
    "w": lambda w: str(w.fake.word()),
    "pk": Writer.package,
    "cls": Writer.class_name,
    "sent": lambda w: str(w.fake.sentence()),
    "url": lambda w: str(w.fake.url()),
    "ip": lambda w: str(w.fake.ipv4()),
    "z": lambda w: str(w.fake.postcode()),
    "amt": lambda w: w.chance.choice(("$", "€", "£", "")) + f"{w.chance.randint(1, 99999):,}",
}


def load_templates(language: str) -> Mapping[str, tuple[str, ...]]:
    """Gives the templates of a language by group."""
    groups: dict[str, tuple[str, ...]] = {}
    _, *parts = _HEADING.split((TEMPLATES / f"{language}.txt").read_text("utf-8"))
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        if name not in _SHARES:
            raise ValueError(f"{language}.txt: there is no group {name!r}")
        rows = (line.strip().replace("\\n", "\n") for line in body.splitlines())
        groups[name] = tuple(row for row in rows if row)
    return groups


_PERSONAL = re.compile(r'#|"""|@|Copyright|author|by [A-Z]|[A-Z][a-z]+ [A-Z]')


def code_samples(chance: random.Random, count: int) -> tuple[str, ...]:
    """Pieces of Python's own library that name nobody: code is no prose about people."""
    root = Path(sysconfig.get_paths()["stdlib"])
    out = []
    for path in (*sorted(root.glob("*.py")), *sorted(root.glob("*/*.py"))[:200]):
        rows = path.read_text("utf-8", errors="ignore").split("\n")
        for at in range(0, len(rows) - 12, 12):
            piece = "\n".join(rows[at : at + chance.randint(4, 12)])
            if len(piece) >= 80 and not _PERSONAL.search(piece):
                out.append(piece)
    return tuple(chance.sample(out, min(count, len(out))))


def writer(language: str, pools: Pools, chance: random.Random) -> Writer:
    """Gives the writer of a language."""
    fake = Faker("en_US")
    fake.seed_instance(chance.randrange(2**32))
    return Writer(
        language=language,
        pools=pools,
        chance=chance,
        fake=fake,
        groups=load_templates(language),
        code=code_samples(chance, 3000) if language == "en" else (),
    )
