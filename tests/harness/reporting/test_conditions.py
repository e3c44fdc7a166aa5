"""A base model and its steps that were not scored alike: refused, kept apart, or flagged with both values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from result_files import Sample, Scores, crows, step_provenance, stereoset, wikitext, write

from harness.reporting.analysis import analyse
from harness.reporting.index import Index
from harness.reporting.page import page_html
from harness.reporting.plot import plot_svg
from harness.reporting.schema import ConditionDifference, Entry, Report
from harness.reporting.stages import find_runs

TEMPLATE: dict[str, Any] = {"chat_template_sha": "cafe" * 16, "fewshot_as_multiturn": True}


def report_of(*folders: Path) -> Report:
    return analyse(find_runs(folders))


def score_of(report: Report, step: int | None = 5, task: str = "crows_pairs_heldout") -> Entry:
    """The CrowS score of a stage, or the perplexity where that is asked for."""
    metric = "word_perplexity" if task == "wikitext2" else "crows_score"
    (entry,) = (
        entry
        for entry in report.entries
        if (entry.step, entry.task, entry.metric, entry.part) == (step, task, metric, None)
    )
    return entry


def pair(folder: Path, base: dict[str, Any], step: dict[str, Any], **noted: Any) -> Report:
    """A base and one step, with what differs in their provenance; `noted` is what lm-eval writes of the step."""
    write(folder / "base", Scores({"crows_pairs": crows(28, 4), "wikitext2": wikitext(20)}, provenance=base))
    scores = {"crows_pairs_heldout": crows(24, 2), "wikitext2": wikitext(21)}
    write(folder / "step", Scores(scores, provenance={**step_provenance(5, 0), **step}, noted=noted))
    return report_of(folder)


def test_stages_that_were_scored_alike_have_no_differences(tmp_path: Path) -> None:
    report = pair(tmp_path, {}, {})
    assert [stage.conditions for stage in report.stages] == [[], []]
    assert score_of(report).flags == []


@pytest.mark.parametrize(
    ("base", "step", "difference"),
    [
        ({}, {"dtype": "bfloat16"}, ("dtype", "float32", "bfloat16")),
        ({}, {"versions": {"lm_eval": "0.4.13", "torch": "2.9.0"}}, ("version of torch", "2.13.0", "2.9.0")),
        ({}, {"versions": {"lm_eval": "0.4.9"}}, ("version of lm_eval", "0.4.13", "0.4.9")),
    ],
)
def test_another_precision_or_package_is_flagged_with_both_values(
    tmp_path: Path, base: dict[str, Any], step: dict[str, Any], difference: tuple[str, str, str]
) -> None:
    report = pair(tmp_path, base, step)
    what, before, after = difference
    tasks = ["crows_pairs_heldout", "wikitext2"]
    assert report.stages[1].conditions == [ConditionDifference(what=what, base=before, step=after, tasks=tasks)]
    assert score_of(report).flags == ["conditions_differ"]
    assert score_of(report).base_value == 70.0
    assert score_of(report, None, "crows_pairs").flags == []


def test_another_definition_of_one_task_is_flagged_there_alone(tmp_path: Path) -> None:
    config = {"output_type": "loglikelihood_rolling", "description": "Read this:"}
    noted = {"configs": {"wikitext2": config}}
    base = {"wikitext2": {**config, "description": ""}}
    write(tmp_path / "base", Scores({"crows_pairs": crows(28, 4), "wikitext2": wikitext(20)}, noted={"configs": base}))
    scores = {"crows_pairs_heldout": crows(24, 2), "wikitext2": wikitext(21)}
    write(tmp_path / "step", Scores(scores, provenance=step_provenance(5, 0), noted=noted))
    report = report_of(tmp_path)
    assert [(one.what, one.tasks) for one in report.stages[1].conditions] == [("task definition", ["wikitext2"])]
    assert "conditions_differ" not in score_of(report).flags
    assert "conditions_differ" in score_of(report, task="wikitext2").flags


def test_other_seeds_are_listed_and_not_held_against_likelihoods(tmp_path: Path) -> None:
    write(tmp_path / "base", Scores({"wikitext2": wikitext(20)}, noted={"config": {"torch_seed": 1234}}))
    step = Scores({"wikitext2": wikitext(21)}, provenance=step_provenance(5, 0), noted={"config": {"torch_seed": 7}})
    write(tmp_path / "step", step)
    report = report_of(tmp_path)
    assert report.stages[1].conditions == [
        ConditionDifference(what="torch_seed", base="1234", step="7", tasks=[]),
    ]
    assert "conditions_differ" not in score_of(report, task="wikitext2").flags


def asked(samples: list[Sample], wording: str) -> list[Sample]:
    return [{**line, "arguments": {"gen_args_0": {"arg_0": wording, "arg_1": "A"}}} for line in samples]


def test_other_words_in_the_samples_are_seen_whatever_the_results_file_says(tmp_path: Path) -> None:
    samples = stereoset([2] * 12)
    write(tmp_path / "base", Scores({"stereoset_intrasentence": asked(samples, "Which fits best?")}))
    changed = asked(samples[:7], "Which is true?") + asked(samples[7:], "Which fits best?")
    step = Scores({"stereoset_intrasentence": changed}, provenance=step_provenance(5, 0))
    write(tmp_path / "step", step)
    report = report_of(tmp_path)
    (difference,) = report.stages[1].conditions
    assert (difference.what, difference.step) == ("prompts", "7 of 36 samples in other words")
    assert all("conditions_differ" in entry.flags for entry in report.entries if entry.step == 5)


def test_folds_that_were_scored_differently_are_flagged_without_a_base(tmp_path: Path) -> None:
    for fold, dtype in enumerate(("float32", "bfloat16")):
        told = step_provenance(5, fold, dtype=dtype)
        write(tmp_path / str(fold), Scores({"wikitext2": wikitext(20)}, provenance=told))
    report = report_of(tmp_path)
    (difference,) = report.stages[0].conditions
    assert (difference.base, difference.step) == ("fold 0: float32", "fold 1: bfloat16")
    assert "conditions_differ" in score_of(report, task="wikitext2").flags


@pytest.mark.parametrize(
    ("what", "step"),
    [
        ("family is masked in", {"family": "masked"}),
        ("number of parameters is 135000001 in", {"parameters": 135_000_001}),
        ("start token's id is 2 in", {"started_after_id": 2}),
        (f"base weights is {'d' * 64} in", {"base_weights_sha256": "d" * 64}),
    ],
)
def test_what_makes_a_comparison_mean_nothing_is_refused(tmp_path: Path, what: str, step: dict[str, Any]) -> None:
    what = what.partition(" is ")[0]
    with pytest.raises(
        ValueError, match=rf"base/results_.* and .*step/results_.* not stages of one model: the {what} is"
    ):
        pair(tmp_path, {}, step)


@pytest.mark.parametrize(
    ("noted", "prompt"),
    [
        (TEMPLATE, "chat template cafecafe"),
        ({"system_instruction_sha": "beef" * 16}, "system instruction beefbeef"),
        ({"n-shot": {"crows_pairs_heldout": 5, "wikitext2": 5}}, "5 examples"),
    ],
)
def test_a_step_under_another_prompt_is_another_model_and_not_compared(
    tmp_path: Path, noted: dict[str, Any], prompt: str
) -> None:
    report = pair(tmp_path, {}, {}, **noted)
    assert [(stage.stage, stage.prompt) for stage in report.stages] == [("base", None), ("step", prompt)]
    assert score_of(report).base_value is None
    index = Index.of(report)
    assert [index.name(stage) for stage in report.stages] == [
        "tiny-model without a prompt",
        f"tiny-model with {prompt}",
    ]
    assert "fell" not in report.verdict


def test_the_page_says_that_sentences_follow_a_prompt_where_they_do(tmp_path: Path) -> None:
    write(tmp_path, Scores({"crows_pairs": crows(28, 4)}, noted=TEMPLATE))
    report = report_of(tmp_path)
    page = page_html(report, plot_svg(report))
    assert "sentences follow a prompt" in page
    assert "chat template cafecafe" in page
    assert "sentences start after" not in page


def test_two_prompts_scored_into_one_folder_are_both_reported(tmp_path: Path) -> None:
    write(tmp_path / "model", Scores({"crows_pairs": crows(28, 4)}), "2026-01-01T00-00-00")
    write(tmp_path / "model", Scores({"crows_pairs": crows(20, 4)}, noted=TEMPLATE), "2026-01-02T00-00-00")
    report = report_of(tmp_path)
    assert {stage.prompt for stage in report.stages} == {None, "chat template cafecafe"}


def test_a_step_finds_its_base_in_another_folder_by_its_weights(tmp_path: Path) -> None:
    """`stereoscope eval` of a checkpoint, and of its base under another name and into a folder of its own."""
    hub: dict[str, Any] = {"model": "somebody/tiny", "pretrained": "somebody/tiny", "base_weights_sha256": "b" * 64}
    write(tmp_path / "base", Scores({"crows_pairs": crows(28, 4)}, provenance=hub))
    other: dict[str, Any] = {"model": "other", "weights_sha256": "e" * 64}
    write(tmp_path / "base" / "other", Scores({"crows_pairs": crows(20, 4)}, provenance=other))
    told = step_provenance(5, 0, base_weights_sha256="b" * 64)
    write(tmp_path / "step", Scores({"crows_pairs_heldout": crows(24, 2)}, provenance=told))
    report = report_of(tmp_path / "step", tmp_path / "base")
    assert score_of(report).base_value == 70.0
    assert [(stage.run, stage.model, stage.stage) for stage in report.stages] == [
        ("base", "other", "base"),
        ("step", "somebody/tiny", "base"),
        ("step", "somebody/tiny", "step"),
    ]
    assert report.stages[1].scorings[0].results.startswith("../base/results_")
    assert "somebody/tiny was scored but not trained" not in report.verdict


def test_each_run_keeps_the_base_that_it_scored_itself(tmp_path: Path) -> None:
    told = step_provenance(5, 0, base_weights_sha256="b" * 64)
    for run, won in (("first", 28), ("second", 28)):
        write(tmp_path / run / "base", Scores({"crows_pairs": crows(won, 4)}))
        write(tmp_path / run / "step", Scores({"crows_pairs_heldout": crows(24, 2)}, provenance=told))
    report = report_of(tmp_path / "first", tmp_path / "second")
    assert [(stage.run, stage.stage) for stage in report.stages] == [
        ("first", "base"),
        ("first", "step"),
        ("second", "base"),
        ("second", "step"),
    ]


def test_other_metadata_of_a_question_is_flagged_with_both_values(tmp_path: Path) -> None:
    for folder, told, permutations in (("base", {}, None), ("step", step_provenance(5, 0), "6")):
        metadata = {"pretrained": folder, **({} if permutations is None else {"permutations": permutations})}
        noted = {"configs": {"stereoset_intrasentence": {"metadata": metadata}}}
        samples = {"stereoset_intrasentence": stereoset([2] * 12)}
        write(tmp_path / folder, Scores(samples, provenance=told, noted=noted))
    (difference,) = report_of(tmp_path).stages[1].conditions
    assert (difference.what, difference.base, difference.step) == ("metadata permutations", "default", "6")
