"""Text as the shop model reads it: small letters, no accents, Spanish as English, words one letter off put right.

All in one pass over the words, by tables that are made once: a message costs tens of microseconds.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files

import yaml

_TOKEN = re.compile(r"\d+(?:[.,]\d+)+|[a-z0-9]+(?:[-'.][a-z0-9]+)*|[%$€£¥]|[.?!;,:\n]")
_FOLD = str.maketrans(
    {"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": ",", "<": " under ", "≤": " under ", "¿": " ", "¡": " "}
)
_NAME = re.compile(r"(?<=[\w,] )[A-Z][\w']{3,}")
"""A word that is written as a name, within a sentence: no typing error of another."""
_PLAIN_WORD = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_SPANISH_VERB = re.compile(r"\w{2,}(?:aron|ieron|aban|amos|emos|imos|aste|iste|ando|iendo|arian|erian)$")
"""A form that only verbs have; one that is unknown names nothing to look for."""
_BY = re.compile(r"^by(?= (?:these|this|it|them|the|me|two|a)\b)")
_DRAWN_OUT = re.compile(r"([a-z])\1{2,}")
"""A letter held down: `heyyy`, `pleaseee`."""
_OWN_WORDS = frozenset(["id", "wed", "shed", "shell", "hell", "hed"])
"""Words that a contraction without its apostrophe would be taken for."""
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_SHORTEST_TYPO = 4
_UNITS = {word: number for number, word in enumerate(
    ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"], 1)}  # fmt: skip
_TENS = {word: 10 * number for number, word in enumerate(
    ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], 2)}  # fmt: skip
_SCALES = {"hundred": 100, "thousand": 1000}
_NUMBER_WORDS = re.compile(
    r"(?<![\w'])(?:(?:a|{0})[ -])?(?:{1})(?:[ -](?:(?:and )?(?:{0})\b))*".format(
        "|".join((*_UNITS, *_TENS, *_SCALES)), "|".join((*_TENS, *_SCALES))
    )
)
"""A number of more than one word, or of tens: `two hundred and fifty`, `thirty-five`, `a hundred`."""


@dataclass(frozen=True)
class Lexicon:
    """What is known of words. Tables by form; every form is folded."""

    plain: frozenset[str]
    goods: frozenset[str]
    unnamed: frozenset[str]
    describing: frozenset[str]
    into: Mapping[str, str]
    spanish: frozenset[str]
    phrases: re.Pattern[str]
    phrase_into: Mapping[str, str]
    near: Mapping[str, list[str]]
    needs: Mapping[str, list[str]]
    people: Mapping[str, list[str]]
    interests: Mapping[str, list[str]]
    traits: Mapping[str, tuple[frozenset[str], frozenset[str]]]
    trait_asks: frozenset[str]
    trait_words: frozenset[str]


@dataclass(frozen=True)
class Reading:
    """A message as read. `text` is its normal form, words parted by one space; `spanish`: the share of such words."""

    raw: str
    text: str
    spanish: float


_PAST = {
    "sí": "yes",
    "compré": "i bought",
    "pedí": "i ordered",
    "encargué": "i ordered",
    "recibí": "i received",
    "devolví": "i returned",
}
"""Spanish forms that only their accent tells from others."""
_PAST_FORMS = re.compile(rf"\b(?:{'|'.join(_PAST)})\b", re.IGNORECASE)
_ENCLITIC = re.compile(r"(.{3,}?[aeioudnr])(?:me|te|se|nos)?(?:la|lo|las|los|le|les)$|(.{3,}[r])(?:me|te|nos)$")
"""A Spanish verb with its pronouns: devolverla, comprarmelos."""


def fold(text: str) -> str:
    """Small letters without accents; curly quotes are plain."""
    plain = unicodedata.normalize("NFKD", text.translate(_FOLD).lower())
    return plain if plain.isascii() else "".join(letter for letter in plain if not unicodedata.combining(letter))


def stem(word: str) -> str:
    """A noun without its plural s; what is found by one form is found by the other."""
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3]  # battery and batteries both begin with it
    if len(word) > 5 and word.endswith("elves"):
        return word[:-3]  # shelves and shelf both begin with it
    if len(word) > 4 and word.endswith(("sses", "shes", "ches", "xes")):
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


@lru_cache(4096)
def _spaced(text: str) -> str:
    """Folded words between single spaces, one before each."""
    return " " + " ".join(_PLAIN_WORD.findall(fold(text)))


def holds(text: str, word: str) -> bool:
    """Whether a word of the text begins with this one, in one number or the other."""
    return f" {stem(word)}" in _spaced(text)


@lru_cache(1024)
def read(raw: str) -> Reading:
    """The message in its normal form."""
    known = lexicon()
    folded = _NUMBER_WORDS.sub(_figure, _DRAWN_OUT.sub(r"\1", fold(_present(raw[:4_000]))))
    tokens = _TOKEN.findall(folded)
    names = {fold(name) for name in _NAME.findall(raw)}
    spanish = sum(token in known.spanish for token in tokens)
    only = sum(token in known.spanish and token not in known.plain for token in tokens)
    words = sum(token[0].isalnum() for token in tokens)
    is_spanish = only >= 1 and spanish >= 2 and spanish >= 0.3 * words
    text = known.phrases.sub(lambda match: known.phrase_into[match[0]], " ".join(tokens))
    read_as = (token if token in names else _normal(token, known, is_spanish) for token in text.split(" "))
    text = " ".join(token for token in read_as if token)
    text = _BY.sub("buy", text)
    # Once more: `tell me when` may have been written `tel me when`, and `let me know` `let me knw`.
    text = known.phrases.sub(lambda match: known.phrase_into[match[0]], text)
    return Reading(raw, text, spanish / words if is_spanish else 0.0)


def _present(raw: str) -> str:
    """Spanish forms of the past in English, while their accents are there."""
    return raw if raw.isascii() else _PAST_FORMS.sub(lambda match: _PAST[match[0].lower()], raw)


def _figure(match: re.Match[str]) -> str:
    """Number words in figures."""
    total = part = 0
    for word in re.split(r"[ -]", match[0]):
        if word in _SCALES:
            total, part = total + max(part, 1) * _SCALES[word], 0
        else:
            part += _UNITS.get(word, _TENS.get(word, 0))
    return str(total + part)


def _normal(token: str, known: Lexicon, is_spanish: bool) -> str:
    if not token or not token[0].isalpha():
        return known.into.get(token) or (token.rstrip(".,") if token and token[0].isdigit() else token)
    if token in known.spanish and (is_spanish or token not in known.plain):
        return known.into[token]
    if token in known.into and token not in known.spanish:
        return known.into[token]
    if token in known.plain:
        return token
    if token.endswith("'s"):
        return f"{_normal(token[:-2], known, is_spanish)}'s"
    if _inflected(token, known):
        return token
    if is_spanish and (verb := _ENCLITIC.match(token)) and (verb[1] or verb[2]) in known.spanish:
        return f"{known.into[verb[1] or verb[2]]} it"
    if len(token) < _SHORTEST_TYPO - 1 or any(letter.isdigit() for letter in token):
        return token
    cuts = _cuts(token) if len(token) >= _SHORTEST_TYPO else (token,)  # of three letters: one that is missing
    meant = next((word for cut in cuts for word in known.near.get(cut, ()) if _one_off(token, word)), None)
    if meant is None:
        return "" if is_spanish and _SPANISH_VERB.match(token) else token
    return known.into.get(meant, meant) if meant not in known.spanish or is_spanish else token


def _inflected(token: str, known: Lexicon) -> bool:
    """Whether a word is a form of one that is known, and so no typing error of another: `arrived`, `cooker`, `lists`."""
    if token.endswith(("ed", "er")):
        return token[:-2] in known.plain or token[:-1] in known.plain
    return token.endswith("s") and token[:-1] in known.plain


def _one_off(written: str, meant: str) -> bool:
    """Whether one letter was changed, lost, doubled or swapped; people get the first one right."""
    if written[0] != meant[0]:
        return written[:2] == meant[1::-1] and written[2:] == meant[2:]
    start = next(
        (i for i, (a, b) in enumerate(zip(written, meant, strict=False)) if a != b), min(len(written), len(meant))
    )
    rest, other = written[start:], meant[start:]
    swapped = rest[:2] == other[1::-1] and rest[2:] == other[2:]
    return rest[1:] == other[1:] or rest[1:] == other or rest == other[1:] or swapped


def _cuts(word: str) -> Iterator[str]:
    """The word, and the word without each of its letters: what one changed, lost, doubled or swapped letter leaves."""
    yield word
    for place in range(len(word)):
        yield word[:place] + word[place + 1 :]


@cache
def lexicon() -> Lexicon:
    """The package's file."""
    raw = yaml.load(
        files("emulator.shop_model").joinpath("words.yaml").read_text("utf-8"),
        Loader=yaml.BaseLoader,  # noqa: S506 (text alone is made)
    )  # every value is text: `off` and `no` are words here
    phrases = {fold(form): str(into) for form, into in raw["phrases"].items()}
    spanish = {str(form): str(into) for form, into in raw["spanish"].items()}
    english = {str(form): str(into) for form, into in raw["english"].items()}
    plain = frozenset(raw["plain"].split()) | frozenset(raw["common"].split())
    bare = {form.replace("'", ""): english.get(form, form) for form in (*plain, *english) if "'" in form}
    into = {**{form: full for form, full in bare.items() if form not in plain | _OWN_WORDS}, **english, **spanish}
    meant = raw["meant"].split()
    nouns = [word for group in ("needs", "people") for things in raw[group].values() for thing in things
             for word in thing.split()]  # fmt: skip
    plurals = [f"{word}s" for word in nouns if not word.endswith("s")]
    correct = dict.fromkeys([*meant, *raw["needs"], *raw["people"], *nouns, *plurals, *into])
    near: dict[str, list[str]] = {}
    for word in correct:
        if len(word) >= _SHORTEST_TYPO:
            for cut in _cuts(word):
                if len(cut) >= _SHORTEST_TYPO - 1:
                    near.setdefault(cut, []).append(word)
    rows = [*raw["needs"].values(), *raw["people"].values(), *raw["interests"].values()]
    goods = {word for things in rows for thing in things for word in thing.split()} | set(raw["goods"].split())
    listed = "|".join(re.escape(form) for form in sorted(phrases, key=len, reverse=True))
    return Lexicon(
        plain=plain | frozenset(meant) - set(into) | frozenset(nouns) | frozenset(plurals) | frozenset(raw["needs"]),
        goods=frozenset(goods | {stem(word) for word in goods} | {f"{word}s" for word in goods}),
        unnamed=frozenset(raw["unnamed"].split()),
        describing=frozenset(raw["describing"].split()),
        into=into,
        spanish=frozenset(spanish),
        phrases=re.compile(rf"(?<![\w'])(?:{listed})(?![\w'])"),
        phrase_into=phrases,
        near=near,
        needs=raw["needs"],
        people=raw["people"],
        interests=raw["interests"],
        traits={name: (frozenset(trait["asks"]), frozenset(trait["values"])) for name, trait in raw["traits"].items()},
        trait_asks=frozenset(word for trait in raw["traits"].values() for word in trait["asks"]),
        trait_words=frozenset(word for trait in raw["traits"].values() for word in (*trait["asks"], *trait["values"])),
    )


def number(text: str) -> float:
    """`1,299.50`, `1.299,50`, `80` -> a number; a comma or point before one or two last digits parts the cents."""
    match = _NUMBER.search(text)
    if match is None:
        return 0.0
    digits = match[0]
    cents = re.search(r"[.,](\d{1,2})$", digits)
    whole = re.sub(r"[.,]", "", digits[: cents.start()] if cents else digits)
    return float(f"{whole}.{cents[1]}" if cents else whole)
