"""Names of people, places and organisations from open lists, by language.

People and street addresses come from Faker (MIT), places from phonenumbers' geocoding data
(Apache-2.0), CLDR through Babel (Unicode licence) and GeoNames (CC BY 4.0). Nothing is fetched.
"""

from __future__ import annotations

import csv
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import babel
from faker import Faker
from phonenumbers.geodata import GEOCODE_DATA

LOCALES: Mapping[str, tuple[str, ...]] = {
    "en": tuple("en_US en_US en_GB en_IN en_AU en_IE en_CA en_NZ en_PK en_NG yo_NG zu_ZA".split()),
    "de": ("de_DE", "de_AT", "de_CH"),
    "es": ("es_ES", "es_MX", "es_AR", "es_CO", "es_CL"),
    "fr": ("fr_FR", "fr_BE", "fr_CA", "fr_CH"),
    "it": ("it_IT",),
    "pt": ("pt_PT", "pt_BR"),
    "nl": ("nl_NL", "nl_BE"),
    "sv": ("sv_SE",),
    "da": ("da_DK",),
    "no": ("no_NO",),
    "fi": ("fi_FI",),
    "pl": ("pl_PL",),
    "cs": ("cs_CZ",),
    "sk": ("sk_SK",),
    "hu": ("hu_HU",),
    "ro": ("ro_RO",),
    "hr": ("hr_HR",),
    "tr": ("tr_TR",),
    "ja": ("ja_JP",),
    "zh": ("zh_CN", "zh_TW"),
    "ko": ("ko_KR",),
    "ru": ("ru_RU",),
    "uk": ("uk_UA",),
    "el": ("el_GR",),
}
"""Faker's locales of each language; a locale named twice is drawn twice as often."""

_OWN_SCRIPT = frozenset(("ja", "zh", "ko", "ru", "uk", "el"))

FOREIGN = tuple(
    "id_ID fil_PH tl_PH az_AZ et_EE lt_LT lv_LV sl_SI vi_VN tr_TR pl_PL de_DE fr_FR es_MX it_IT "
    "pt_BR nl_NL sv_SE no_NO da_DK fi_FI cs_CZ ro_RO hu_HU hr_HR sk_SK en_IN en_NG yo_NG".split()
)
"""Locales in Latin script whose people and places occur in texts of every language."""

_GIVEN = tuple(
    "Wei Xiu Jing Hao Yan Ming Li Mei Jun Lei Xin Yu Chen Hyun Min-jun Seo-yeon Ji-woo Soo-jin "
    "Haruto Yui Sakura Kenji Hiroshi Aiko Ren Mohammed Muhammad Ahmed Omar Fatima Aisha Yusuf "
    "Ibrahim Khalid Layla Noor Hassan Zainab Ali Tariq Amina Priya Rahul Ananya Arjun Deepak "
    "Lakshmi Sanjay Kavya Rohan Sunita Vikram Meera Nguyen Linh Minh Thanh Huong Chidi Ngozi "
    "Oluwaseun Adaeze Kwame Ama Kofi Thabo Sipho Zanele Wanjiru Otieno Kamau Amara Emeka Tunde "
    "Ivan Olga Dmitri Natasha Sergei Svetlana Boris Yelena Anastasia Mikhail Giorgi Nino Levon "
    "Ani Bohdan Oksana Taras Mark Will Grace Hope May June April Rose Chase Jordan Paris Georgia "
    "Austin Madison Faith Joy Dawn Summer Autumn Crystal Amber Ruby Pearl Jade Ivy Violet Daisy "
    "Lily Iris Hazel Basil Rusty Cash Chance Miles Max Pat Drew Rob Bill Jack Frank Art Gene Ray "
    "Cliff Heath Brook River Sky Dakota Savannah Chelsea Brooklyn Sydney Victoria Charlotte "
    "Carolina Virginia Israel Kenya India Asia Trinity Destiny Kim Lee Jan Jean Dean Dale Sandy "
    "Randy Sue Josh Nick Dick Ty Bo Al Ed Jo Bea Zoë José María Søren Björn Łukasz Žana Émile "
    "Renée Noël Chloé Siobhán Niamh Aoife Seán Xóchitl Itzel".split()
)
_FAMILY = tuple(
    name.replace("_", " ")
    for name in (
        "Wang Li Zhang Liu Chen Yang Huang Zhao Wu Zhou Xu Sun Ma Zhu Hu Guo He Lin Gao Luo Kim "
        "Park Choi Jung Kang Yoon Tanaka Suzuki Sato Watanabe Yamamoto Nakamura Ito Al-Sayed "
        "Al-Rashid El-Amin Hussein Haddad Khalil Nasser Mansour Farouk Singh Kumar Sharma Patel "
        "Gupta Reddy Iyer Nair Rao Das Banerjee Mukherjee Chatterjee Khan Malik Tran Nguyen Pham "
        "Le Vo Okafor Okonkwo Adeyemi Balogun Mensah Owusu Nkosi Dlamini Mwangi Kariuki Abebe "
        "Tesfaye Haile Petrov Ivanov Smirnov Volkov Kuznetsova Popova Shevchenko Kovalenko "
        "O'Brien O'Connor O'Sullivan D'Angelo McDonald MacLeod McCarthy Smith-Jones Garcia-Lopez "
        "van_der_Berg de_la_Cruz von_Trapp Di_Stefano Young Black White Green Brown King Price "
        "Rice Wood Stone Hill Banks Rivers Fields Woods Bush Ford Cooper Mason Baker Cook Fisher "
        "Hunter Carter Walker Page Best Long Short Small Rich Love Power Day Winter Snow Frost "
        "March May"
    ).split()
)
_CITIES = tuple(
    name.replace("_", " ")
    for name in (
        "London Paris Berlin Madrid Rome Tokyo Beijing Shanghai Delhi Mumbai Bangalore Sydney "
        "Melbourne Toronto Vancouver Montreal Chicago Boston Seattle Austin Dallas Houston Denver "
        "Atlanta Miami Phoenix Portland Detroit Dublin Manchester Leeds Glasgow Edinburgh Zurich "
        "Geneva Vienna Prague Warsaw Budapest Lisbon Barcelona Munich Hamburg Amsterdam Brussels "
        "Copenhagen Stockholm Oslo Helsinki Istanbul Dubai Doha Cairo Lagos Nairobi Johannesburg "
        "Singapore Manila Jakarta Bangkok Seoul Osaka Karachi Lahore Dhaka New_York Los_Angeles "
        "San_Francisco San_Diego Las_Vegas Hong_Kong Tel_Aviv New_Delhi Mexico_City São_Paulo "
        "Rio_de_Janeiro Buenos_Aires Cape_Town Kuala_Lumpur Salt_Lake_City Saint_Louis NYC LA SF "
        "D.C. Washington Washington,_D.C. Brooklyn Queens Manhattan Silicon_Valley Bay_Area"
    ).split()
)
_REGIONS = tuple(
    name.replace("_", " ")
    for name in (
        "California Texas Florida Ohio Georgia Virginia Washington Oregon Nevada Arizona Colorado "
        "Illinois Michigan Pennsylvania Massachusetts Ontario Quebec Alberta Bavaria Tuscany "
        "Catalonia Normandy Scotland Wales England Punjab Kerala Maharashtra Queensland Kent "
        "Surrey Yorkshire Cornwall Siberia Crimea Europe Asia Africa New_Jersey North_Carolina "
        "New_South_Wales West_Virginia Latin_America Southeast_Asia the_Netherlands United_States "
        "US USA UK U.S. U.K. EU"
    ).split()
)
_COMPANIES = tuple(
    name.replace("_", " ")
    for name in (
        "Google Microsoft Apple Amazon Netflix Tesla Intel IBM Oracle SAP Siemens Bosch Volkswagen "
        "BMW Toyota Honda Sony Samsung LG Huawei Alibaba Tencent Nokia Ericsson Vodafone Orange "
        "Verizon AT&T Comcast Disney Pfizer Moderna Novartis Roche Bayer Merck AstraZeneca Walmart "
        "Target Costco IKEA Tesco Carrefour Lidl Aldi Starbucks Nike Adidas Visa Mastercard PayPal "
        "Stripe Revolut HSBC Barclays Santander Citibank UBS Deloitte PwC KPMG McKinsey Accenture "
        "Infosys Boeing Airbus Lufthansa Ryanair NASA ESA FBI CIA NHS IRS SEC FDA WHO NATO UNESCO "
        "UNICEF IMF Harvard Stanford MIT Oxford Cambridge Reuters Bloomberg CNN BBC ESPN Uber Lyft "
        "Airbnb Spotify Shopify Salesforce Adobe Nvidia AMD Qualcomm Cisco Dell HP Lenovo OpenAI "
        "Anthropic DeepMind Meta Facebook Twitter Reddit LinkedIn GitHub Atlassian Cloudflare "
        "Databricks Snowflake Goldman_Sachs Morgan_Stanley JPMorgan_Chase Wells_Fargo "
        "Bank_of_America Deutsche_Bank BNP_Paribas Johnson_&_Johnson Procter_&_Gamble "
        "General_Electric General_Motors Ford_Motor_Company Red_Cross World_Bank United_Nations "
        "European_Commission European_Union Supreme_Court High_Court Congress Senate Parliament "
        "Department_of_Justice Home_Office Ministry_of_Health Federal_Reserve "
        "European_Central_Bank Mayo_Clinic Cleveland_Clinic Kaiser_Permanente Real_Madrid "
        "Manchester_United New_York_Times Washington_Post The_Guardian University_of_Oxford"
    ).split()
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pools:
    """What the slots of a template are filled from, for one language."""

    given: tuple[str, ...]
    family: tuple[str, ...]
    cities: tuple[str, ...]
    countries: tuple[str, ...]
    regions: tuple[str, ...]
    addresses: tuple[str, ...]
    companies: tuple[str, ...]
    family_first: bool = False


_LATIN = re.compile(r"[\w'’ .()-]+")


def build_pools(language: str, *, data: Path, chance: random.Random) -> Pools:
    """Gives the pools of a language; deterministic for a seeded `chance`."""
    fakers = [_faker(locale, chance) for locale in LOCALES[language]]
    english = language == "en"
    abroad = [_faker(locale, chance) for locale in FOREIGN]
    given = _drawn(fakers, "first_name", 1500 if english else 700)
    family = _drawn(fakers, "last_name", 1500 if english else 900)
    if language not in _OWN_SCRIPT:
        given += _latin(_drawn(abroad, "first_name", 150 if english else 25))
        family += _latin(_drawn(abroad, "last_name", 150 if english else 25))
        given += _GIVEN * 3 if english else _GIVEN[:60]
        family += _FAMILY * 3 if english else _FAMILY[:60]
    with (data / "gazetteer" / "world-cities.csv").open(encoding="utf-8") as file:
        world = list(csv.DictReader(file))
    cities = _local_places(language) + _drawn(fakers, "city", 150)
    if english:
        cities = (*_CITIES * 60, *(row["name"] for row in world))
    elif language not in _OWN_SCRIPT:
        cities += tuple(chance.sample([row["name"] for row in world], 800)) + _CITIES * 3
    territories = babel.Locale(language if language != "no" else "nb").territories
    countries = tuple(
        str(name) for code, name in sorted(territories.items()) if len(code) == 2 and code != "ZZ"
    )
    regions = tuple(row["subcountry"] for row in world if row["subcountry"]) if english else ()
    return Pools(
        given=given,
        family=family,
        cities=cities,
        countries=countries,
        regions=(*_REGIONS * 20, *regions) if english else tuple(cities[:400]),
        addresses=tuple(_addresses(fakers)),
        companies=_drawn(fakers, "company", 300) + (_COMPANIES if english else _COMPANIES[:120]),
        family_first=language in ("ja", "zh", "ko", "hu"),
    )


def _faker(locale: str, chance: random.Random) -> Faker:
    fake = Faker(locale)
    fake.seed_instance(chance.randrange(2**32))
    return fake


def _drawn(fakers: list[Faker], kind: str, count: int) -> tuple[str, ...]:
    return tuple(str(getattr(fake, kind)()).strip() for fake in fakers for _ in range(count))


def _latin(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(v for v in values if _LATIN.fullmatch(v) and all(ord(c) < 0x250 for c in v))


def _addresses(fakers: list[Faker]) -> list[str]:
    out = []
    for fake in fakers:
        for number in range(180):
            street, whole = fake.street_address(), fake.address()
            out += [street.replace("\n", ", "), whole.replace("\n", ", ")]
            if number % 8 == 0:
                out.append(whole)
    return out


def _local_places(language: str) -> tuple[str, ...]:
    names = {
        part.strip()
        for places in GEOCODE_DATA.values()
        for part in re.split(r"[,/]", places.get(language, ""))
    }
    good = sorted(n for n in names if 1 < len(n) < 24 and not re.search(r"[\d()]", n))
    return tuple(good)
