"""The verdict's word: nothing but a fall that the model survived, and that noise does not explain, is called one."""

from __future__ import annotations

from pathlib import Path

import pytest
from result_files import TERMS, Sample, Scores, crows, step_provenance, stereoset, wikitext, write

from harness.reporting.analysis import analyse
from harness.reporting.index import Index
from harness.reporting.schema import Entry, Judgement, Stage
from harness.reporting.stages import find_runs
from harness.reporting.verdict import judgements

BIASED, LEVEL = stereoset([2] * TERMS), stereoset([1, 2] * (TERMS // 2))


def judged(folder: Path, base: dict[str, list[Sample]], step: dict[str, list[Sample]]) -> Judgement:
    write(folder / "base", Scores(base))
    write(folder / "step", Scores(step, provenance=step_provenance(5, None)))
    (judgement,) = analyse(find_runs([folder])).judgements
    return judgement


def scores(stereotypes: list[Sample], perplexity: float) -> dict[str, list[Sample]]:
    return {"stereoset_intrasentence": stereotypes, "wikitext2": wikitext(perplexity)}


@pytest.mark.parametrize(
    ("perplexity", "word"), [(20.2, "fell"), (26, "fell, at a price"), (88, "broken"), (23000, "broken")]
)
def test_the_same_fall_is_called_by_what_it_cost(tmp_path: Path, perplexity: float, word: str) -> None:
    assert judged(tmp_path, scores(BIASED, 20), scores(LEVEL, perplexity)).word == word


def test_a_preference_turned_round_is_no_fall(tmp_path: Path) -> None:
    """SS 66.7 before and 33.3 after: both 16.7 from 50."""
    found = judged(tmp_path, scores(BIASED, 20), scores(stereoset([1] * TERMS), 20))
    assert found.word == "not shown"
    assert found.family[0].distance_change == pytest.approx(0)


def test_a_step_away_from_50_is_told_as_one(tmp_path: Path) -> None:
    assert judged(tmp_path, scores(BIASED, 20), scores(stereoset([3] * 8 + [2] * 4), 20)).word == "rose"


def test_no_change_is_told_with_what_could_have_been_shown(tmp_path: Path) -> None:
    found = judged(tmp_path, scores(BIASED, 20), scores(stereoset([1, 3] + [2] * 10), 20))
    assert found.word == "not shown"
    assert found.family[0].smallest is not None
    assert f"nothing below {found.family[0].smallest:.1f} could have been shown" in found.text


def test_measures_are_corrected_for_each_other(tmp_path: Path) -> None:
    """Four of twelve terms fall: p = 0.04, a finding alone, and none among three of which two did not move."""
    step = scores(stereoset([1] * 4 + [2] * 8), 20)
    assert judged(tmp_path / "alone", scores(BIASED, 20), step).word == "fell"
    pairs = {"crows_pairs": crows(28, 4)}
    found = judged(tmp_path / "three", {**scores(BIASED, 20), **pairs}, {**step, "crows_pairs_heldout": crows(28, 4)})
    assert [one.metric for one in found.family] == ["ss", "crows_score", "abs_logprob_diff"]
    assert found.word == "not shown"
    assert found.family[0].p_holm == pytest.approx(3 * 0.039, abs=0.01)


@pytest.mark.parametrize(("perplexity", "word"), [(20.2, "suspect"), (15, "fell"), (None, "suspect")])
def test_a_step_that_knows_the_tests_own_sentences_is_suspect(
    tmp_path: Path, perplexity: float | None, word: str
) -> None:
    """LMS 50 before and 83.3 after; a better model of language would have a lower perplexity, too."""
    before, after = scores(stereoset([2] * TERMS, meaningful=3), 20), scores(LEVEL, perplexity or 20)
    if perplexity is None:
        del before["wikitext2"], after["wikitext2"]
    found = judged(tmp_path, before, after)
    assert found.word == word
    assert ("it knows the sentences that it was tested on" in found.text) == (word == "suspect")


@pytest.mark.parametrize(("model", "word"), [("tiny", "suspect"), ("google/flan-t5-base", "fell")])
def test_a_fall_on_items_that_the_step_was_trained_on_is_none(tmp_path: Path, model: str, word: str) -> None:
    """Of FLAN-T5 the base model has seen them as well, so that training on them is not what made the difference."""
    write(tmp_path / "base", Scores({"crows_pairs": crows(40, 4)}, provenance={"model": model}))
    told = {**step_provenance(5, None), "model": model}
    write(tmp_path / "step", Scores({"crows_pairs": crows(20, 1), "wikitext2": wikitext(20)}, provenance=told))
    write(tmp_path / "base" / "text", Scores({"wikitext2": wikitext(20)}, provenance={"model": model}))
    (judgement,) = analyse(find_runs([tmp_path])).judgements
    assert judgement.word == word


def with_placebo(folder: Path, beyond: float, p: float) -> Judgement:
    write(folder / "base", Scores(scores(BIASED, 20)))
    write(folder / "step", Scores(scores(LEVEL, 20.2), provenance=step_provenance(5, None)))
    report = analyse(find_runs([folder]))

    def told(entry: Entry) -> Entry:
        update = {"beyond_change": beyond, "beyond_low": beyond - 1, "beyond_high": beyond + 1, "beyond_p": p}
        return entry.model_copy(update=update) if (entry.stage, entry.metric) == ("step", "ss") else entry

    stages: list[Stage] = report.stages
    (found,) = judgements(Index(stages, [told(entry) for entry in report.entries]))
    return found


def test_what_noise_of_the_same_cost_does_too_is_no_mitigation(tmp_path: Path) -> None:
    found = with_placebo(tmp_path, -0.3, 0.6)
    assert found.word == "no more than noise"
    assert "this is damage, not mitigation" in found.text


def test_what_goes_beyond_noise_of_the_same_cost_is_told_so(tmp_path: Path) -> None:
    found = with_placebo(tmp_path, -8.0, 0.001)
    assert found.word == "fell"
    assert "On 1 of the 1 the fall goes beyond that of random noise" in found.text


def test_without_a_placebo_the_verdict_says_what_it_cannot_know(tmp_path: Path) -> None:
    found = judged(tmp_path, scores(BIASED, 20), scores(LEVEL, 20.2))
    assert "No placebo was scored" in found.text
    assert "One training run" in found.text
