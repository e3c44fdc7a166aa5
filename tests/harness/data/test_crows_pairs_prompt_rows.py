"""The questions of the prompt form: both orders of every pair, and templates that cannot lose a sentence."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from harness.data.crows_pairs import read
from harness.data.crows_pairs_prompt import dataset, orders
from harness.data.sources import SAMPLE, SOURCES, sha256
from harness.data.split import Split

SAMPLE_FILE = SAMPLE / SOURCES["crows_pairs"].path
TEMPLATE = "{option_1}|{option_2}"


def rows(**metadata: object) -> list[dict[str, object]]:
    return list(dataset(data_dir="sample", **metadata)["test"])


def test_every_pair_is_asked_in_both_orders_with_the_sentences_where_the_row_says() -> None:
    found = rows(prompt_template=TEMPLATE)
    pairs = read(SAMPLE_FILE)
    assert [row["pair_id"] for row in found] == [pair.pair_id for pair in pairs for _ in range(2)]
    for row in found:
        order: list[str] = row["order"]  # type: ignore[assignment]
        assert row["prompt"] == "|".join(str(row[f"sent_{side}"]) for side in order)
    for first, second in zip(found[::2], found[1::2], strict=True):
        assert first["order"] == list(reversed(second["order"]))  # type: ignore[call-overload]


def test_the_first_order_favours_neither_sentence() -> None:
    firsts = Counter(orders(str(number))[0][0] for number in range(3000))
    assert 1400 < firsts["more"] < 1600


def test_a_template_may_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "template.txt").write_text(TEMPLATE + "\n", encoding="utf-8")
    assert rows(prompt_template=str(tmp_path / "template.txt")) == rows(prompt_template=TEMPLATE)


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("{option_1}", r"missing: \['option_2'\]"),
        ("{option_1} {option_2} {context}", r"unknown: \['context'\]"),
        ("no/such/file.txt", "neither a file"),
    ],
)
def test_a_template_that_would_lose_a_sentence_is_refused(template: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        rows(prompt_template=template)


def test_a_second_wording_asks_the_same_in_other_words() -> None:
    first, second = rows(), rows(wording="second")
    assert rows(wording="first") == first
    for one, other in zip(first, second, strict=True):
        assert {**one, "prompt": ""} == {**other, "prompt": ""}
        assert one["prompt"] != other["prompt"]
        texts = [str(other[f"sent_{side}"]) for side in other["order"]]  # type: ignore[attr-defined]
        assert f"A: {texts[0]}\nB: {texts[1]}\n" in str(other["prompt"])


def test_an_unknown_wording_is_refused() -> None:
    with pytest.raises(ValueError, match="wording='third': expected first or second"):
        rows(wording="third")


def test_a_checkpoint_is_asked_about_the_pairs_it_never_saw(tmp_path: Path) -> None:
    names = [pair.pair_id for pair in read(SAMPLE_FILE)]
    split = Split(data_sha256=sha256(SAMPLE_FILE), folds=2, fold=0, train=tuple(names[2:]), held_out=tuple(names[:2]))
    (tmp_path / "split.json").write_text(split.model_dump_json(), encoding="utf-8")
    assert [row["row"] for row in rows(held_out=True, split=str(tmp_path))] == [0, 0, 1, 1]


def test_an_unknown_split_is_refused_and_the_task_named() -> None:
    with pytest.raises(ValueError, match=r"crows_pairs_prompt_heldout: no split\.json.*score `crows_pairs_prompt`"):
        rows(held_out=True)
