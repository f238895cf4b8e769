"""National identifiers: persons, tax, health, companies, bank accounts and plates, by country.

The table is `national.toml`; a row says how a number is written, how it is checked, and which words
stand beside it. Check digits are those of python-stdnum, or of a function here where it has none.

A check digit over plain digits lets one random number in ten through, or one in 97. Such a number
counts only where a word to its left says what it is. A number that is printed as its issuer prints
it, or that holds letters, counts alone if its check digits are right.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from unicodedata import normalize

import regex
from stdnum import luhn, verhoeff
from stdnum.at import businessid
from stdnum.gb import nhs
from stdnum.hu import anum
from stdnum.iso7064 import mod_11_2

from guardrail.detection.patterns import AFTER, BEFORE, Rule, Scope, Validator

Check = Callable[[str], bool]

_SHAPE, _CHECKED, _ALONE = 0.1, 0.3, 0.6
"""Without and with check digits, which need a context word; the third needs none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifier:
    """One row: what a country calls a number, how it is written and how it is checked.

    `country` is an ISO 3166-1 code. `pattern` is every way to write the number, which counts beside
    a word of `context`; `printed` is the way that counts alone. Either may be empty. `small` is the
    way that counts alone in letters of any case: `printed` where there is a check, unless the row
    says otherwise. `needs` is a string that the last two always hold, in lower case.
    """

    entity: str
    country: str
    name: str
    pattern: str
    printed: str
    small: str
    needs: str
    check: Check | None
    context: tuple[str, ...]
    scope: Scope
    source: str


@lru_cache(maxsize=1)
def identifiers() -> tuple[Identifier, ...]:
    """Gives every row of the table, by country and entity."""
    table = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
    return tuple(_identifier(entity, row) for entity, row in table.items())


def _identifier(entity: str, row: Mapping[str, str]) -> Identifier:
    country = entity[:2]
    return Identifier(
        entity=entity,
        country="GB" if country == "UK" else country,
        name=row["name"],
        pattern=row.get("pattern", ""),
        printed=row.get("printed", ""),
        small=row.get("small", row.get("printed", "") if "check" in row else ""),
        needs=row.get("needs", ""),
        check=_check(row["check"]) if "check" in row else None,
        # Rules see text in this form, in which `ำ` is two characters.
        context=tuple(normalize("NFKC", row["context"]).split(", ")),
        scope=Scope[row.get("scope", "NUMBERS")],
        source=row["source"],
    )


def _check(name: str) -> Check:
    """A function of this module, or that of a module of python-stdnum (`nl.bsn`)."""
    return _CHECKS.get(name) or _unless_it_fails(import_module(f"stdnum.{name}").is_valid)


def _unless_it_fails(is_valid: Check) -> Check:
    """A library that fails on a number has not refused it, so the number counts."""

    def check(value: str) -> bool:
        try:
            return bool(is_valid(value))
        except Exception:
            return True

    return check


def national_rules() -> Iterator[Rule]:
    """Gives up to four rules a row: beside a word, printed alone, after a word without a space."""
    for row in identifiers():
        validate = _validator(row.check)
        caseless = row.small == row.printed
        beside = row.pattern or ("" if caseless else row.printed)
        if beside:
            yield Rule(
                entity=row.entity,
                name=_rule_name(row.entity),
                pattern=rf"(?i){_BEFORE}(?:{beside}){_AFTER}",
                score=_CHECKED if row.check else _SHAPE,
                validate=validate,
                context=row.context,
                scope=row.scope,
                caseless=True,
            )
        ways = [("printed", "(?i)" if caseless else "", row.printed)]
        ways += [] if caseless else [("small", "(?i)", row.small)]
        for way, flags, pattern in ways:
            if pattern:
                yield Rule(
                    entity=row.entity,
                    name=f"{_rule_name(row.entity)}-{way}",
                    pattern=rf"{flags}{_BEFORE}(?:{pattern}){_AFTER}",
                    score=_ALONE,
                    validate=validate,
                    context=row.context,
                    requires=(row.needs,) if row.needs else (),
                    scope=row.scope,
                    caseless=True,
                )
        unspaced = tuple(word for word in row.context if _UNSPACED.search(word))
        if unspaced:
            words = "|".join(map(regex.escape, sorted(unspaced, key=len, reverse=True)))
            number = row.pattern or row.printed
            yield Rule(
                entity=row.entity,
                name=f"{_rule_name(row.entity)}-unspaced",
                pattern=rf"(?i)(?:{words})[^0-9A-Za-z]{{0,8}}({number})(?![0-9A-Za-z])",
                group=1,
                score=_ALONE,
                validate=validate,
                requires=unspaced,
                scope=Scope.ANYWHERE,
                caseless=True,
            )


_UNSPACED = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}]")
"""Scripts in which a word ends where no space is: `身份证号码是…`."""
_BEFORE, _AFTER = rf"{BEFORE}(?<!\.)", AFTER


def _rule_name(entity: str) -> str:
    return entity.lower().replace("_", "-")


def _validator(check: Check | None) -> Validator | None:
    if check is None:
        return None
    return lambda value: None if check(value) else False


def _digits(value: str) -> list[int]:
    return [int(character) for character in value if character.isdecimal()]


def _dot(digits: list[int], *weights: int) -> int:
    return sum(digit * weight for digit, weight in zip(digits, weights, strict=False))


def _letters_as_numbers(value: str) -> list[int]:
    """Digits as they are and A = 10 to Z = 35, as in ISO 7064 and ICAO Doc 9303."""
    return [int(character, 36) for character in value.upper() if character.isalnum()]


def _luhn(value: str) -> bool:
    """Source: ISO/IEC 7812-1, annex B."""
    return luhn.is_valid("".join(map(str, _digits(value))))


def _at_business(value: str) -> bool:
    """Its letter is a small one."""
    return bool(businessid.is_valid(value.lower()))


def _br_cnh(value: str) -> bool:
    digits = _digits(value)
    first, second = _dot(digits[:9], *range(9, 0, -1)) % 11, _dot(digits[:9], *range(1, 10)) % 11
    if first == 10:
        first, second = 0, (second - 2) % 11
    return len(set(digits)) > 1 and digits[9:] == [first, second % 10 if second == 10 else second]


def _br_cns(value: str) -> bool:
    return _dot(_digits(value), *range(15, 0, -1)) % 11 == 0


def _br_pis(value: str) -> bool:
    digits = _digits(value)
    check = -_dot(digits, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2) % 11
    return any(digits) and digits[10] == check % 10


def _br_titulo(value: str) -> bool:
    digits = _digits(value)
    first = _dot(digits, *range(2, 10)) % 11 % 10
    second = _dot([*digits[8:10], first], 7, 8, 9) % 11 % 10
    return 1 <= digits[8] * 10 + digits[9] <= 28 and digits[10:] == [first, second]


def _cn_ric(value: str) -> bool:
    return bool(mod_11_2.is_valid(value.upper()))


def _es_nss(value: str) -> bool:
    digits = "".join(map(str, _digits(value)))
    number = digits[2:-2].lstrip("0").zfill(7)
    return int(digits[:2] + number) % 97 == int(digits[-2:])


def _fr_rib(value: str) -> bool:
    digits = value.upper().translate(_RIB).replace(" ", "")
    bank, branch, account, key = digits[:5], digits[5:10], digits[10:21], digits[21:]
    return (89 * int(bank) + 15 * int(branch) + 3 * int(account) + int(key)) % 97 == 0


_RIB = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "12345678912345678923456789")


def _uk_chi(value: str) -> bool:
    digits = _digits(value)
    return _is_day(digits[0:2], digits[2:4]) and bool(nhs.is_valid("".join(map(str, digits))))


def _is_day(day: list[int], month: list[int]) -> bool:
    try:
        date(2000, month[0] * 10 + month[1], day[0] * 10 + day[1])
    except ValueError:
        return False
    return True


def _hk_id(value: str) -> bool:
    characters = [c for c in value.upper() if c.isalnum()]
    numbers = [int(c, 36) for c in characters]
    padded = [36, *numbers] if len(numbers) == 8 else numbers
    return _dot(padded, *range(9, 0, -1)) % 11 == 0


def _hu_tax_number(value: str) -> bool:
    digits = "".join(map(str, _digits(value)))
    return digits[8] in "12345" and bool(anum.is_valid(digits[:8]))


def _hu_taj(value: str) -> bool:
    digits = _digits(value)
    return any(digits) and _dot(digits, 3, 7, 3, 7, 3, 7, 3, 7) % 10 == digits[8]


def _hu_tax_id(value: str) -> bool:
    digits = _digits(value)
    return _dot(digits, *range(1, 10)) % 11 == digits[9]


def _hu_bank(value: str) -> bool:
    digits = _digits(value)
    return all(_dot(part, *(9, 7, 3, 1) * 4) % 10 == 0 for part in (digits[:8], digits[8:]))


def _ir_national(value: str) -> bool:
    digits = _digits(value)
    rest = _dot(digits, *range(10, 1, -1)) % 11
    return len(set(digits)) > 1 and digits[9] == (rest if rest < 2 else 11 - rest)


def _kz_iin(value: str) -> bool:
    digits = _digits(value)
    check = _dot(digits, *range(1, 12)) % 11
    if check == 10:
        check = _dot(digits, 3, 4, 5, 6, 7, 8, 9, 10, 11, 1, 2) % 11
    return check == digits[11] and _is_day(digits[4:6], digits[2:4])


def _lu_matricule(value: str) -> bool:
    checked_twice = bool(luhn.is_valid(value[:12])) and bool(
        verhoeff.is_valid(value[:11] + value[12])
    )
    return checked_twice and _is_day(_digits(value[6:8]), _digits(value[4:6]))


def _mx_clabe(value: str) -> bool:
    digits = _digits(value)
    products = (digit * (3, 7, 1)[i % 3] % 10 for i, digit in enumerate(digits[:17]))
    return any(digits) and -sum(products) % 10 == digits[17]


def _nz_nhi(value: str) -> bool:
    alphabet = "ABCDEFGHJKLMNPQRSTUVWXYZ"
    numbers = [alphabet.index(letter) + 1 for letter in value[:3].upper()] + _digits(value)
    rest = _dot(numbers, 7, 6, 5, 4, 3, 2) % 11
    return rest != 0 and (11 - rest) % 10 == numbers[6]


def _pl_id_card(value: str) -> bool:
    numbers = _letters_as_numbers(value)
    return _dot(numbers, 7, 3, 1, 9, 7, 3, 1, 7, 3) % 10 == 0


def _pl_nrb(value: str) -> bool:
    digits = "".join(map(str, _digits(value)))
    return int(f"{digits[2:]}2521{digits[:2]}") % 97 == 1


def _pt_niss(value: str) -> bool:
    digits = _digits(value)
    return 9 - _dot(digits, 29, 23, 19, 17, 13, 11, 7, 5, 3, 2) % 10 == digits[10]


def _ru_snils(value: str) -> bool:
    digits = _digits(value)
    return any(digits) and _dot(digits, *range(9, 0, -1)) % 101 % 100 == digits[9] * 10 + digits[10]


def _tw_id(value: str) -> bool:
    # The letters stand for 10 to 35 in the order in which the counties were given them.
    number = "ABCDEFGHJKLMNPQRSTUVXYWZIO".index(value[0].upper()) + 10
    return _dot([number // 10, number % 10, *_digits(value)], 1, 9, *range(8, 0, -1), 1) % 10 == 0


def _us_dea(value: str) -> bool:
    digits = _digits(value)[-7:]
    return _dot(digits, 1, 2, 1, 2, 1, 2) % 10 == digits[6]


def _uy_ci(value: str) -> bool:
    digits = _digits(value)
    return -_dot(digits, 2, 9, 8, 7, 6, 3, 4) % 10 == digits[7]


_CHECKS: Mapping[str, Check] = MappingProxyType(
    {
        "luhn": _luhn,
        "at_business": _at_business,
        "br_cnh": _br_cnh,
        "br_cns": _br_cns,
        "br_pis": _br_pis,
        "br_titulo": _br_titulo,
        "ca_ohip": _luhn,
        "cn_ric": _cn_ric,
        "es_nss": _es_nss,
        "fr_rib": _fr_rib,
        "hk_id": _hk_id,
        "hu_bank": _hu_bank,
        "hu_taj": _hu_taj,
        "hu_tax_id": _hu_tax_id,
        "hu_tax_number": _hu_tax_number,
        "ir_national": _ir_national,
        "kz_iin": _kz_iin,
        "lu_matricule": _lu_matricule,
        "mx_clabe": _mx_clabe,
        "nz_nhi": _nz_nhi,
        "pl_id_card": _pl_id_card,
        "pl_nrb": _pl_nrb,
        "pt_niss": _pt_niss,
        "ru_snils": _ru_snils,
        "tw_id": _tw_id,
        "uk_chi": _uk_chi,
        "us_dea": _us_dea,
        "uy_ci": _uy_ci,
    }
)
