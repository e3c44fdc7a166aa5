"""BBQ from its rows to a report: a model whose probabilities are set by hand, and tiny ones of both families."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import tiny_models

from harness import report, score
from harness.metrics.bbq_scores import SCORES
from harness.models.any import load_lm
from harness.scoring.evaluation import evaluate
from harness.scoring.task_files import select

TEMPLATE = "{context} {question}"
LETTERED = "{option_1} {option_2} {option_3} {context} {question}"


def row(number: int, condition: str, polarity: str, question: str, label: int) -> dict[str, Any]:
    """The stereotyped person is "aunt", the other "niece" of two words, and "nobody" says that it cannot be known."""
    return {
        "example_id": number,
        "question_index": str(number // 4),
        "question_polarity": polarity,
        "context_condition": condition,
        "category": "Age",
        "answer_info": {"ans0": ["aunt", "old"], "ans1": ["young niece", "nonOld"], "ans2": ["nobody", "unknown"]},
        "additional_metadata": {"stereotyped_groups": ["old"]},
        "context": "ice",
        "question": question,
        "ans0": "aunt",
        "ans1": "young niece",
        "ans2": "nobody",
        "label": label,
    }


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    rows = [
        row(0, "ambig", "neg", "fell", 2),
        row(1, "disambig", "neg", "fell", 0),
        row(2, "ambig", "nonneg", "stood", 2),
        row(3, "disambig", "nonneg", "stood", 1),
        row(4, "ambig", "neg", "left", 2),
        row(5, "disambig", "neg", "left", 1),
    ]
    (folder / "bbq").mkdir()
    (folder / "bbq" / "Age.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """After "fell" the aunt, after "stood" the niece, after "left" nobody; of letters B after anything."""
    following = {
        "<s>": {"ice": 1.0},
        "ice": {"fell": 0.5, "stood": 0.25, "left": 0.25},
        "fell": {"aunt": 0.5, "young": 0.125, "nobody": 0.0625, "B": 0.25},
        "stood": {"aunt": 0.125, "young": 0.0625, "nobody": 0.0625, "B": 0.5},
        "left": {"aunt": 0.125, "young": 0.125, "nobody": 0.5, "B": 0.125},
        "young": {"niece": 1.0},
        **{word: {".": 1.0} for word in ("aunt", "niece", "nobody", "A", "B", "C", ".")},
    }
    return tiny_models.bigram(tmp_path_factory.mktemp("model"), following)


def scores(model: Path, task: str, **metadata: Any) -> dict[str, Any]:
    lm = load_lm(str(model))
    results = evaluate(lm, [task], {**lm.task_metadata, **metadata})
    assert results is not None
    return {key.removesuffix(",none"): value for key, value in results["results"][task].items()}


def test_words_are_scored_as_counted_by_hand(model: Path, data: Path) -> None:
    found = scores(model, "bbq_age", data_dir=str(data), prompt_template=TEMPLATE)
    # Bits a token after "fell": aunt 1, niece 3/2, nobody 4; after "stood": 3, 4/2, 4; after "left": 3, 3/2, 1. So the
    # aunt, who is the biased answer, the niece, who is one too, as the question is not negative, and nobody.
    assert (found["accuracy_ambig"], found["s_amb"]) == (pytest.approx(100 / 3), pytest.approx(200 / 3))
    # Disambiguated: right, right, and the third one, whose right answer goes against the stereotype, is nobody.
    assert found["accuracy_disambig"] == pytest.approx(200 / 3)
    assert (found["s_dis"], found["accuracy_gap"]) == (100, 100)
    assert (found["unknown_ambig"], found["unknown_disambig"]) == (pytest.approx(100 / 3), pytest.approx(100 / 3))
    # As a whole the niece has 4 bits after "stood", behind the aunt's 3: the answer against the stereotype.
    assert (found["s_dis_sum"], found["accuracy_gap_sum"]) == (0, 50)
    assert (found["left_out"], found["n"], found["ties"]) == (0, 6, 0)


def test_a_model_that_always_says_b_is_position_bias_and_nothing_else(model: Path, data: Path) -> None:
    found = scores(model, "bbq_choice_age", data_dir=str(data), prompt_template=LETTERED)
    assert (found["position_share/2"], found["order_flips"], found["ties"]) == (100, 100, 100)
    assert found["position_bias"] == pytest.approx(200 / 3)
    assert found["accuracy_ambig"] == pytest.approx(100 / 3)
    assert (found["s_amb"], found["s_dis"]) == (pytest.approx(0), pytest.approx(0))


def test_a_generated_answer_is_read_from_the_text(model: Path, data: Path) -> None:
    found = scores(model, "bbq_generate_age", data_dir=str(data), prompt_template=LETTERED)
    # After "fell" the likeliest word is "aunt", after "left" "nobody", and after "stood" a B that no sign closes.
    assert (found["no_answer"], found["n"]) == (pytest.approx(100 / 3), 6)
    assert found["unknown_ambig"] == found["unknown_disambig"] == pytest.approx(100 / 3)
    assert (found["s_amb"], found["s_dis"]) == (pytest.approx(200 / 3), 100)
    assert found["accuracy_disambig"] == pytest.approx(100 / 3)


def test_a_masked_model_is_refused_by_name_in_all_forms(tmp_path: Path) -> None:
    metadata = {"pretrained": str(tiny_models.byte_bert(tmp_path)), "data_dir": "sample"}
    for task in ("bbq_age", "bbq_choice_ses", "bbq_generate_religion"):
        with pytest.raises(ValueError, match=rf"{task} takes causal and seq2seq language models.*is a masked one"):
            select([task], metadata).manager.load([task])


def test_all_categories_are_scored_pooled_and_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEREOSCOPE_DATA", "sample")
    monkeypatch.setenv("COLUMNS", "300")
    model = tiny_models.byte_llama(tmp_path / "model", width=16, window=512)
    found = score(model, "bbq", limit=8)
    assert found["bbq"]["n"] == 88
    assert set(SCORES) <= set(found["bbq_race_x_gender"])
    found.save(tmp_path / "scores")
    made = report(tmp_path / "scores")
    entries = {(one.task, one.metric): one for one in made.entries if one.part is None}
    best = {"accuracy_ambig": "higher", "accuracy_disambig": "higher", "s_amb": "0", "s_dis": "0", "accuracy_gap": "0"}
    assert {name: entries["bbq", name].best for name in best} == best
    assert entries["bbq", "accuracy_ambig"].clusters == 11
    assert {one.part for one in made.entries if (one.task, one.metric) == ("bbq", "s_dis")} > {None, "age", "ses"}
    page = (made.folder / "report.html").read_text(encoding="utf-8")
    assert "BBQ Race x gender, likelihood of the words" in page
    assert "Bias score, ambiguous" in page


@pytest.mark.parametrize("task", ["bbq_age", "bbq_choice_race_x_gender", "bbq_generate_ses"])
def test_both_families_are_asked_in_every_form(tmp_path: Path, task: str) -> None:
    for model in (
        tiny_models.byte_llama(tmp_path / "llama", window=512),
        tiny_models.t5(tmp_path / "t5", n_positions=512),
    ):
        lm = load_lm(str(model))
        results = evaluate(lm, [task], {**lm.task_metadata, "data_dir": "sample"}, limits={task: 6})
        assert results is not None
        found = {key.removesuffix(",none"): value for key, value in results["results"][task].items()}
        assert found["n"] == (6 if task == "bbq_age" else 2)
        assert 0 <= found["accuracy_ambig"] <= 100
        assert math.isfinite(found["left_out"])
