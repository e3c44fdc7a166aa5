"""Echoed log-probabilities: sums by hand, and answers that would give a wrong sum without anybody noticing."""

from __future__ import annotations

from typing import Any

import pytest

from harness.models.echoed import NoEchoError, echoed_logprobs

SENT = [[5, 6, 7]]


def answer(token_logprobs: Any, top: Any = None, index: int = 0) -> dict[str, Any]:
    return {"index": index, "logprobs": {"token_logprobs": token_logprobs, "top_logprobs": top}}


def test_what_stands_after_the_context_is_summed_without_the_generated_token() -> None:
    top = [None, {"a": -0.5}, {"a": -0.25}, {"a": -9.0}]
    body = {"choices": [answer([None, -0.5, -0.25, -9.0], top)]}
    assert echoed_logprobs(body, SENT, [1]) == [(-0.75, True)]
    assert echoed_logprobs(body, SENT, [2]) == [(-0.25, True)]


def test_a_likelier_token_makes_it_not_greedy() -> None:
    body = {"choices": [answer([None, -0.5, -0.25], [None, {"a": -0.5}, {"a": -0.25, "b": -0.1}])]}
    assert echoed_logprobs(body, SENT, [1]) == [(-0.75, False)]


def test_choices_of_a_batch_are_put_back_into_order() -> None:
    body = {"choices": [answer([None, -2.0], index=1), answer([None, -1.0], index=0)]}
    assert echoed_logprobs(body, [[1, 2], [3, 4]], [1, 1]) == [(-1.0, False), (-2.0, False)]


@pytest.mark.parametrize(
    "choice",
    [
        answer([-3.0]),  # the generated token alone: `echo` was ignored
        answer([None, -1.0, -1.0, -1.0, -1.0]),  # with a start token that nobody sent
        answer([-1.0, -1.0, -1.0, -1.0]),  # shifted by one
        answer([None, -1.0, None, -1.0]),
        answer([None, -1.0, float("nan"), -1.0]),
        {"index": 0, "logprobs": None},
        {"index": 0, "logprobs": {"content": [{"logprob": -1.0}]}},  # as llama.cpp answers
    ],
)
def test_what_is_not_one_number_a_token_is_refused(choice: dict[str, Any]) -> None:
    with pytest.raises(NoEchoError, match="expected"):
        echoed_logprobs({"choices": [choice]}, SENT, [1])


@pytest.mark.parametrize("body", [{"error": "busy"}, {"choices": []}, [], {"choices": [{}]}])
def test_another_answer_is_no_missing_echo_but_worth_another_try(body: Any) -> None:
    with pytest.raises(ValueError, match="expected") as error:
        echoed_logprobs(body, SENT, [1])
    assert not isinstance(error.value, NoEchoError)
