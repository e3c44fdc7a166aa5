"""The prompt form of CrowS-Pairs with answers made by hand: what the orders cancel, and what they show."""

from __future__ import annotations

import pytest

from harness.metrics import crows_pairs_prompt
from harness.metrics.crows_pairs_prompt import Answer

ORDERS = (("more", "less"), ("less", "more"))


def asked(row: int, *logprobs: tuple[float, float], bias_type: str = "age", writer: str = "w") -> list[Answer]:
    """One pair, asked in both orders; each order's log-probabilities of A and B."""
    return [
        Answer(f"p{row}", row, bias_type, writer, rotation, order, letters)
        for rotation, (order, letters) in enumerate(zip(ORDERS, logprobs, strict=False))
    ]


def test_scores_are_the_ones_counted_by_hand() -> None:
    answers = [
        *asked(0, (-1.0, -3.0), (-2.0, -1.0)),  # more: -1 and -1, less: -3 and -2; the mean gap is 1.5
        *asked(1, (-4.0, -1.0), (-1.0, -2.0), bias_type="gender"),  # more: -4, -2, less: -1, -1; the mean gap is -2
        *asked(2, (-1.0, -2.0), (-1.0, -2.0)),  # more: -1, -2, less: -2, -1; level, the first place chosen twice
        *asked(3, (-2.0, -1.0), (-1.0, -4.0)),  # more: -2, -4, less: -1, -1; the mean gap is -2
    ]
    found = crows_pairs_prompt.metrics(answers)
    assert found["n"] == 4
    assert (found["crows_score"], found["ties"]) == (25, 25)
    assert found["abs_logprob_diff"] == pytest.approx((1.5 + 2 + 0 + 2) / 4)
    assert found["logprob_diff"] == pytest.approx((1.5 - 2 + 0 - 2) / 4)
    assert found["order_flips"] == 25  # the third
    assert found["position_bias"] == pytest.approx(100 * 5 / 8 - 50)  # A B, B A, A A, B A
    assert (found["crows_score/gender"], found["n/gender"]) == (0, 1)
    assert found["crows_score/age"] == pytest.approx(100 / 3)


def test_a_model_that_always_says_a_has_position_bias_and_no_preference() -> None:
    answers = [answer for row in range(3) for answer in asked(row, (-0.1, -5.0), (-0.1, -5.0))]
    found = crows_pairs_prompt.metrics(answers)
    assert (found["position_bias"], found["order_flips"]) == (50, 100)
    assert (found["crows_score"], found["ties"], found["abs_logprob_diff"]) == (0, 100, 0)


def test_differences_that_fp32_rounds_away_do_not_decide_a_pair() -> None:
    rounded = asked(0, (-9.0 + 2**-17, -9.0), (-9.0, -9.0))
    beyond = asked(1, (-9.0 + 2**-14, -9.0), (-9.0, -9.0))
    found = crows_pairs_prompt.metrics([*rounded, *beyond])
    assert (found["ties"], found["crows_score"]) == (50, 50)


def test_letters_that_are_level_are_no_position_bias() -> None:
    found = crows_pairs_prompt.metrics(asked(0, (-1.0, -1.0), (-1.0, -1.0)))
    assert (found["position_bias"], found["order_flips"], found["ties"]) == (0, 0, 100)


def test_the_size_of_the_preferences_stands_beside_their_signs() -> None:
    answers = [*asked(0, (-1.0, -3.0)), *asked(1, (-1.0, -1.5)), *asked(2, (-4.0, -1.0))]
    found = crows_pairs_prompt.metrics(answers)
    assert found["abs_logprob_diff_median"] == 2
    assert found["within_one_nat"] == pytest.approx(100 / 3)
    assert found["within_one_nat/age"] == found["within_one_nat"]


def test_position_bias_does_not_hide_a_preference() -> None:
    # The first place is worth 3 nats, the stereotypical sentence 1: A is said twice, and the mean still tells.
    found = crows_pairs_prompt.metrics(asked(0, (4.0, 0.0), (3.0, 1.0)))
    assert (found["crows_score"], found["logprob_diff"]) == (100, 1)
    assert found["position_bias"] == 50


def test_a_pair_that_the_file_holds_twice_counts_twice() -> None:
    twice = [*asked(0, (-1.0, -2.0), (-2.0, -1.0)), *asked(1, (-1.0, -2.0), (-2.0, -1.0))]
    assert crows_pairs_prompt.metrics([answer._replace(pair_id="p") for answer in twice])["n"] == 2


def test_a_pair_asked_in_one_order_only_cannot_flip() -> None:
    assert crows_pairs_prompt.metrics(asked(0, (-1.0, -2.0)))["order_flips"] is None


def test_a_cluster_is_a_writer() -> None:
    answers = [*asked(0, (-1.0, -2.0), (-2.0, -1.0), writer="a"), *asked(1, (-1.0, -2.0), (-2.0, -1.0), writer="b")]
    assert set(crows_pairs_prompt.table(answers).clusters) == {"a", "b"}


def test_a_line_of_lm_evals_file_gives_the_record_that_was_scored() -> None:
    doc = {
        "pair_id": "p",
        "row": 7,
        "bias_type": "age",
        "writer": "w",
        "rotation": 1,
        "order": ["less", "more"],
    }
    in_memory = crows_pairs_prompt.record({"doc": doc, "filtered_resps": [(-1.25, False), (-0.5, True)]})
    from_file = crows_pairs_prompt.record({"doc": doc, "filtered_resps": [["-1.25", "False"], ["-0.5", "True"]]})
    assert in_memory == from_file
    assert (in_memory.difference, in_memory.places) == (0.75, (1,))
