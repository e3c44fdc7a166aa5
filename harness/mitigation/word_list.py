"""Lists of words that name a group, each beside the word for every other group: the project's own, or a user's file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from harness.storage.files import read_yaml
from harness.storage.reading import brief_name, shown
from harness.terminal.nearest import did_you_mean

OWN = Path(__file__).with_name("words.yaml")
BY_RULE = frozenset({"him", "his", "her", "hers"})
"""English has no word for word here, so that rows of these alone are left to the rule in `words.py`."""

_KEYS = ("groups", "words", "nouns")
Lines = Mapping[tuple[str | int, ...], int]


class Form(NamedTuple):
    """A listed word: as the file spells it, the number of its group, and the row that says what takes its place."""

    spelled: str
    group: int
    row: tuple[str, ...]


class WordList:
    """The words of one bias type.

    `groups` are their names; `forms` maps a word in small letters, hyphens as spaces, to its `Form`. `her_group` is the
    group of "her", None where the list has none of him, his, her and hers.
    """

    def __init__(
        self, bias_type: str, groups: tuple[str, ...], forms: Mapping[str, Form], her_group: int | None
    ) -> None:
        self.bias_type, self.groups, self.forms, self.her_group = bias_type, groups, forms, her_group

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Any word of the list, the longest first, in any case, with a hyphen or blanks between its parts."""
        known = {*self.forms, *(BY_RULE if self.her_group is not None else ())}
        longest_first = sorted(known, key=lambda word: (-len(word), word))
        choices = "|".join(re.escape(word).replace("\\ ", r"[\s\-]+") for word in longest_first)
        return re.compile(rf"(?<!\w)(?:{choices})(?!\w)", re.IGNORECASE)


def word_list(bias_type: str, file: Path | None = None) -> WordList:
    """The list of a bias type.

    Args:
        file: a user's own; default: the project's, which has gender, race and religion.

    Raises:
        ValueError: the file has no such bias type, or what it says of it is no list of this kind; names file, line and
            what to do.
    """
    path = OWN if file is None else file
    content, lines = read_yaml(path)
    section = content.get(bias_type)
    if section is None:
        raise ValueError(
            f"{path}: no words for bias type {brief_name(bias_type)!r}; it has {', '.join(map(brief_name, content))}"
            f"{did_you_mean(bias_type, content)}"
        )
    at = _Place(path, lines, bias_type)
    groups = _groups(section, at)
    rows = list(_rows(section, groups, at))
    by_rule = [row for row, _ in rows if set(row) <= BY_RULE]
    return WordList(
        bias_type,
        groups,
        _forms([found for found in rows if found[0] not in by_rule], groups, at),
        next((row.index(word) for row in by_rule for word in ("her", "hers") if word in row), None),
    )


def word_lists(bias_types: Sequence[str], file: Path | None = None) -> list[WordList]:
    """The list of each bias type; `file` as for `word_list`.

    Raises:
        ValueError: as `word_list`; or there is no bias type, or one twice.
    """
    if not bias_types or len(set(bias_types)) != len(bias_types):
        raise ValueError(f"bias types are {', '.join(bias_types) or 'none'}, expected one or more, each once")
    return [word_list(name, file) for name in bias_types]


class _Place(NamedTuple):
    """Where in a file something stands, for messages."""

    path: Path
    lines: Lines
    bias_type: str

    def __call__(self, *place: str | int) -> str:
        return f"{self.path}, line {self.lines[(self.bias_type, *place)]}"


def _groups(section: Any, at: _Place) -> tuple[str, ...]:
    if not isinstance(section, dict):
        raise ValueError(f"{at()}: {at.bias_type} is {shown(section)}, expected groups, and words or nouns under it")
    if unknown := [key for key in section if key not in _KEYS]:
        raise ValueError(
            f"{at(unknown[0])}: unknown key {brief_name(unknown[0])!r}; expected {', '.join(_KEYS)}"
            f"{did_you_mean(unknown[0], _KEYS)}"
        )
    groups: Any = section.get("groups")
    if not _are_words(groups) or len(set(groups)) != len(groups) or len(groups) < 2:
        line = at("groups") if "groups" in section else at()
        raise ValueError(f"{line}: groups is {shown(groups)}, expected the names of two groups or more")
    return tuple(groups)


def _rows(section: Mapping[str, Any], groups: Sequence[str], at: _Place) -> Iterator[tuple[tuple[str, ...], str]]:
    """Each row in the file's order, plurals of nouns right after their row, with its place for messages."""
    for key in ("words", "nouns"):
        given = section.get(key, [])
        if not isinstance(given, list):
            raise ValueError(f"{at(key)}: {key} is {shown(given)}, expected a list of rows, one word a group in each")
        for number, row in enumerate(given):
            place = at(key, number)
            if not _are_words(row) or len(row) != len(groups):
                raise ValueError(
                    f"{place}: {shown(row)}, expected one word a group: {', '.join(groups)}. A group without a word "
                    "has no place in a row"
                )
            yield tuple(row), place
            if key == "nouns":
                yield tuple(map(plural, row)), place
    if not section.get("words") and not section.get("nouns"):
        raise ValueError(f"{at()}: {at.bias_type} has no words; give rows under words or nouns, one word a group")


def _are_words(given: Any) -> bool:
    return isinstance(given, list) and all(isinstance(one, str) and re.search(r"\w", one) for one in given)


def _forms(rows: Sequence[tuple[tuple[str, ...], str]], groups: Sequence[str], at: _Place) -> dict[str, Form]:
    forms: dict[str, Form] = {}
    places: dict[str, str] = {}
    for row, place in rows:
        for group, word in enumerate(row):
            key = key_of(word)
            if key in BY_RULE:
                raise ValueError(
                    f"{place}: {word!r} stands beside {shown(row)}; him, his, her and hers go in rows of their own, "
                    "[him, her], [his, her] and [his, hers], since what takes their place depends on the sentence"
                )
            known = forms.setdefault(key, Form(word, group, row))
            if known.group != group:
                raise ValueError(
                    f"{place}: {word!r} is a word for {groups[group]}, and on {places[key].rpartition(', ')[2]} one "
                    f"for {groups[known.group]}; take it out of one of them"
                )
            places.setdefault(key, place)
    return forms


def key_of(word: str) -> str:
    """How a word is looked up: small letters, one blank for hyphens and blanks."""
    return re.sub(r"[\s\-]+", " ", word.strip().lower())


def plural(noun: str) -> str:
    """The regular plural of an English noun, by its spelling."""
    if re.search(r"(s|x|z|ch|sh)$", noun, re.IGNORECASE):
        return f"{noun}es"
    if re.search(r"[^aeiou]y$", noun, re.IGNORECASE):
        return f"{noun[:-1]}ies"
    return f"{noun}s"
