"""Counterfactual sentences by hand: case, plurals, possessives, articles, her and his; and lists that are none."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from harness.mitigation.word_list import OWN, word_list
from harness.mitigation.words import counterfactuals, groups_of, swapped
from harness.storage.files import read_yaml


def gender(text: str) -> str | None:
    return counterfactuals(text, "gender", random.Random(0))


@pytest.mark.parametrize(
    ("text", "swapped_text"),
    [
        ("The king met two princesses.", "The queen met two princes."),
        ("My brothers' house and my aunt's car.", "My sisters' house and my uncle's car."),
        ("THE MEN LEFT; Women stayed.", "THE WOMEN LEFT; Men stayed."),
        ("Mr. Lee and Ms Wu are husband and wife.", "Mrs. Lee and Mr Wu are wife and husband."),
        ("She said he hurt himself.", "He said she hurt herself."),
        ("He's a waiter and she'll be an actress.", "She's a waitress and he'll be an actor."),
        ("A hero is an heiress.", "A heroine is an heir."),
        ("The man's boyfriends", "The woman's girlfriends"),
        ("Ladies and gentlemen", "Gentlemen and ladies"),
    ],
)
def test_words_of_both_genders_change_places_with_their_case_and_endings(text: str, swapped_text: str) -> None:
    assert gender(text) == swapped_text
    assert gender("The manual is humane, the shed theirs.") is None


@pytest.mark.parametrize(
    ("text", "swapped_text"),
    [
        ("She read her book.", "He read his book."),
        ("I saw her.", "I saw him."),
        ("I saw her and left.", "I saw him and left."),
        ("They gave her the prize in her first year.", "They gave him the prize in his first year."),
        ("Her eyes met his.", "His eyes met hers."),
        ("The fault is his, not hers", "The fault is hers, not his"),
        ("His friends told him that his is better.", "Her friends told her that hers is better."),
        ('Her "Best Of" made her.', 'His "Best Of" made him.'),
        ("HER OWN HOUSE", "HIS OWN HOUSE"),
        ("his 1994 album", "her 1994 album"),
    ],
)
def test_her_is_him_or_his_by_what_follows_and_his_is_her_or_hers(text: str, swapped_text: str) -> None:
    assert gender(text) == swapped_text


def test_the_rule_errs_where_it_says_it_does() -> None:
    assert gender("It made her famous.") == "It made his famous."


def test_each_group_of_three_goes_to_one_other_that_the_seed_draws() -> None:
    text = "A Jewish family and the imams of an Islamic school."
    found = {counterfactuals(text, "religion", random.Random(seed)) for seed in range(40)}
    assert found == {
        "A Christian family and the priests of a Christian school.",
        "A Christian family and the rabbis of a Judaic school.",
        "A Muslim family and the priests of a Christian school.",
        "A Muslim family and the rabbis of a Judaic school.",
    }
    assert counterfactuals(text, "religion", random.Random(3)) == counterfactuals(text, "religion", random.Random(3))


@pytest.mark.parametrize(
    ("text", "to_white"),
    [
        ("Black people, black hair.", "White people, white hair."),
        ("Asian cooks met an Asian.", "White cooks met a white."),
        ("The african-american vote", "The european american vote"),
        ("She lives in West Africa.", "She lives in Western Europe."),
    ],
)
def test_names_of_peoples_are_large_where_the_list_has_them_large(text: str, to_white: str) -> None:
    words = word_list("race")
    assert swapped(text, words, [1, 1, 1]) == to_white


def test_a_text_tells_its_groups() -> None:
    words = word_list("gender")
    assert groups_of("He and her", words) == {0, 1}
    assert groups_of("hers", words) == {1}
    assert groups_of("the sky", words) == frozenset()


def test_swapping_genders_twice_gives_the_text_of_words_that_have_one_partner() -> None:
    text = "The King, his wife and HER brothers saw him; she left an actor's house to a waitress."
    once = gender(text)
    assert once is not None
    assert gender(once) == text


def test_the_own_list_has_as_many_pairs_and_triples_as_the_literatures() -> None:
    content, _ = read_yaml(OWN)
    sizes = {name: len(section["words"]) + len(section["nouns"]) for name, section in content.items()}
    assert sizes["gender"] >= 57
    assert sizes["race"] >= 6
    assert sizes["religion"] >= 6


def test_own_words_in_a_users_file(tmp_path: Path) -> None:
    file = tmp_path / "words.yaml"
    file.write_text("tribe:\n  groups: [a, b]\n  nouns:\n    - [blorvi, quastu]\n    - [fox, city]\n")
    words = word_list("tribe", file)
    assert counterfactuals("Blorvis and foxes", "tribe", random.Random(0), words) == "Quastus and cities"
    assert counterfactuals("his", "tribe", random.Random(0), words) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "tribe:\n  groups: [a, b]\n  words:\n    - [x, y]\n    - [y, z]\n",
            "line 5: 'y' is a word for a, and on line 4",
        ),
        (
            "tribe:\n  groups: [a, b]\n  words:\n    - [x, '']\n",
            r"line 4: \['x', ''\], expected one word a group: a, b",
        ),
        ("tribe:\n  groups: [a, b]\n  words:\n    - [x]\n", "line 4: .* expected one word a group"),
        ("tribe:\n  groups: [a, b]\n  words:\n    - [x, 3]\n", "line 4: .* expected one word a group"),
        (
            "tribe:\n  groups: [a]\n  words:\n    - [x]\n",
            r"line 2: groups is \['a'\], expected the names of two groups",
        ),
        ("tribe:\n  words:\n    - [x, y]\n", "line 1: groups is None"),
        ("tribe:\n  groups: [a, b]\n", "line 1: tribe has no words"),
        ("tribe:\n  groups: [a, b]\n  words: x\n", "line 3: words is 'x', expected a list of rows"),
        ("tribe:\n  groups: [a, b]\n  nuons:\n    - [x, y]\n", "line 3: unknown key 'nuons'.*did you mean 'nouns'"),
        ("tribe:\n  groups: [a, b]\n  words:\n    - [him, wife]\n", "line 4: 'him' .* rows of their own"),
        ("tribe: [a, b]\n", "line 1: tribe is .* expected groups"),
        ("tribes:\n  groups: [a, b]\n", "no words for bias type 'tribe'; it has tribes"),
    ],
)
def test_a_list_that_is_none_is_refused_with_its_line(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "words.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=message):
        word_list("tribe", file)
