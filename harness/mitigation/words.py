"""Counterfactuals: a text with every word for one group in place of every word for another (Zmigrod et al. 2019).

Case is kept, an article before the word is made to fit (an actor, a waitress), a possessive ending stays where it is.
Names are words like any other: "King Lear" becomes "Queen Lear", and the "White House" a black one.

English has one word "her" for two of the male ones. The rule: "her" stands for "his" if a word follows it that can
begin or go on naming a thing (her book, her first book), and for "him" before punctuation, at the end, and before one
of `CLOSED` (saw her and, gave her the). "his" becomes "her" and "hers" by the same rule, "him" always "her", "hers"
always "his". It errs where an adjective or adverb follows the object: "made her famous", "saw her yesterday".
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from functools import cache

from harness.mitigation.word_list import BY_RULE, Form, WordList, key_of, word_list

_CLOSED = """
a about above across after again against along also although always am among an and any are around as at away be because
been before below beside between beyond both but by did do does down during either else ever for from had has have he
here him how i if in inside into is it just later me must my neither never nor not now of off on once or our out outside
over rather shall she should since so some soon than that the their them then there these they this those though through
till to together too toward towards twice under unless until up upon us very was we were what when where whether which
while who whom whose why with within without yet you your
"""
CLOSED = frozenset(_CLOSED.split())
"""Words after which no thing is named any more that "her" or "his" could own."""

_NEXT_WORD = re.compile(r"""[\s"“‘]*(\w*)""")
_ARTICLE = re.compile(r"(?<!\w)(an?)(\s+)$", re.IGNORECASE)
_SOUNDS_AS_VOWEL = re.compile(r"(?!eu|uni|one)[aeiou]|heir|hono|hour", re.IGNORECASE)
_BEGINS_SENTENCE = re.compile(r"""(?:^|[.!?:\n])[\s"“‘'(]*$""")


@cache
def _own(bias_type: str) -> WordList:
    return word_list(bias_type)


def counterfactuals(text: str, bias_type: str, generator: random.Random, words: WordList | None = None) -> str | None:
    """The text about another group; None where it has no listed word.

    Of two groups, each goes to the other. Of more, each goes to one of the others that `generator` draws.

    Args:
        bias_type: one of the project's own list: gender, race, religion.
        words: another list in its place.
    """
    words = words or _own(bias_type)
    numbers = range(len(words.groups))
    return swapped(text, words, [generator.choice([other for other in numbers if other != group]) for group in numbers])


def groups_of(text: str, words: WordList) -> frozenset[int]:
    """The numbers of the groups that the text has words for."""
    return frozenset(_group_of(match.group(), words) for match in words.pattern.finditer(text))


def swapped(text: str, words: WordList, goes_to: Sequence[int]) -> str | None:
    """The text with a word for group `goes_to[g]` in place of every word for group g; None where it has none."""
    written, read = "", 0
    for match in words.pattern.finditer(text):
        group = _group_of(match.group(), words)
        written += text[read : match.start()]
        read = match.end()
        if goes_to[group] == group:
            written += match.group()
            continue
        by_rule = key_of(match.group()) in BY_RULE and words.her_group is not None
        other = (
            _cased(_by_rule(match.group(), text[match.end() :]), match.group())
            if by_rule
            else _in_place_of(match.group(), words.forms[key_of(match.group())], goes_to[group], text[: match.start()])
        )
        written = _with_article(written, match.group(), other) + other
    return written + text[read:] if read else None


def _group_of(found: str, words: WordList) -> int:
    key = key_of(found)
    if words.her_group is None or key not in BY_RULE:
        return words.forms[key].group
    # Rows of him, his, her and hers are pairs.
    return words.her_group if key in ("her", "hers") else 1 - words.her_group


def _by_rule(found: str, after: str) -> str:
    match = _NEXT_WORD.match(after)
    following = match.group(1).lower() if match else ""
    names_a_thing = bool(following) and following not in CLOSED
    return {
        "him": "her",
        "hers": "his",
        "her": "his" if names_a_thing else "him",
        "his": "her" if names_a_thing else "hers",
    }[found.lower()]


def _in_place_of(found: str, form: Form, group: int, before: str) -> str:
    """A word that stands as the list spells it gives one that the list spells so, large at a sentence's beginning."""
    other = form.row[group]
    if found != form.spelled:
        return _cased(other, found)
    if form.spelled[0].isupper() and _BEGINS_SENTENCE.search(before):
        return other[0].upper() + other[1:]
    return other


def _cased(word: str, like: str) -> str:
    if len(like) > 1 and like.isupper():
        return word.upper()
    if like[0].isupper():
        return word[0].upper() + word[1:]
    return word.lower()


def _with_article(before: str, word: str, other: str) -> str:
    """What stands before a word, with its article as the other word wants it; one that was wrong already stays."""
    match = _ARTICLE.search(before)
    vowels = [bool(_SOUNDS_AS_VOWEL.match(one)) for one in (word, other)]
    if not match or vowels[0] == vowels[1] or vowels[0] != (len(match.group(1)) == 2):
        return before
    article = match.group(1)
    other_article = article[0] if len(article) == 2 else article + ("N" if article == "A" and other.isupper() else "n")
    return before[: match.start()] + other_article + match.group(2)
