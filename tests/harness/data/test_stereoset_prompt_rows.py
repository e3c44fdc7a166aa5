"""The questions of the prompt form: orders that are fair to every label, and templates that cannot lose an option."""

from __future__ import annotations

from collections import Counter
from itertools import permutations
from pathlib import Path

import pytest

from harness.data.sources import SAMPLE
from harness.data.stereoset import LABELS, Task, read
from harness.data.stereoset_prompt import dataset, option_texts, orders

TEMPLATE = "{context}|{option_1}|{option_2}|{option_3}"


def rows(**metadata: object) -> list[dict[str, object]]:
    return list(dataset(task="intersentence", data_dir="sample", **metadata)["test"])


def test_three_orders_put_each_option_in_each_place_once() -> None:
    for item in ("a", "b", "c", "d"):
        for place in range(3):
            assert sorted(order[place] for order in orders(item, 3)) == sorted(LABELS)


def test_six_orders_are_all_there_are_and_start_with_the_three() -> None:
    assert set(orders("a", 6)) == set(permutations(LABELS))
    assert orders("a", 6)[:3] == orders("a", 3)
    assert orders("a", 6)[:1] == orders("a", 1)


def test_a_single_order_favours_no_label() -> None:
    firsts = Counter(orders(str(number), 1)[0][0] for number in range(3000))
    assert all(900 < firsts[label] < 1100 for label in LABELS)


def test_every_item_is_asked_in_three_orders_with_the_options_where_the_row_says() -> None:
    found = rows(prompt_template=TEMPLATE)
    items = read(SAMPLE / "stereoset" / "dev.json", "intersentence")
    assert [row["id"] for row in found] == [item.id for item in items for _ in range(3)]
    for row in found:
        texts = option_texts(row)  # type: ignore[arg-type]
        order: list[str] = row["order"]  # type: ignore[assignment]
        assert row["prompt"] == "|".join([str(row["context"]), *(texts[label] for label in order)])


@pytest.mark.parametrize("task", ["intrasentence", "intersentence"])
def test_a_second_wording_asks_the_same_in_other_words(task: Task) -> None:
    first, second = (list(dataset(task=task, data_dir="sample", wording=name)["test"]) for name in ("first", "second"))
    for one, other in zip(first, second, strict=True):
        assert {**one, "prompt": ""} == {**other, "prompt": ""}
        texts = option_texts(other)
        listed = "\n".join(f"{letter}: {texts[label]}" for letter, label in zip("ABC", other["order"], strict=True))
        assert other["context"] in other["prompt"]
        assert listed in other["prompt"] != one["prompt"]


def test_a_template_may_be_a_file(tmp_path: Path) -> None:
    file = tmp_path / "template.txt"
    file.write_text(TEMPLATE + "\n", encoding="utf-8")
    assert rows(prompt_template=str(file), permutations=1) == rows(prompt_template=TEMPLATE, permutations=1)


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("{context} {option_1} {option_2}", r"missing: \['option_3'\]"),
        ("{context} {option_1} {option_2} {option_3} {answer}", r"unknown: \['answer'\]"),
        ("no/such/file.txt", "neither a file"),
        ("{context} {option_1} {option_2} {option_3", "brace"),
    ],
)
def test_a_template_that_would_lose_an_option_is_refused(template: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        rows(prompt_template=template)


@pytest.mark.parametrize("count", [0, 2, "many"])
def test_other_numbers_of_orders_are_refused(count: object) -> None:
    with pytest.raises(ValueError, match="expected 1, 3"):
        rows(permutations=count)
