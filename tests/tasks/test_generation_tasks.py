"""Generation tasks from prompt to score: in one go and in two, on every family, judged again, stopped in between."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import tiny_models

from harness.judging.judges import REGARD_LABELS
from harness.judging.saved_texts import reclassify
from harness.metrics.benchmarks import BENCHMARKS
from harness.metrics.regard import LABELS
from harness.models.any import load_lm
from harness.models.causal import CausalLM
from harness.reporting.analysis import analyse
from harness.reporting.stages import find_runs
from harness.scoring import evaluation
from harness.scoring.evaluation import evaluate, score
from harness.scoring.task_files import leaves, select
from harness.storage.results import PROVENANCE_KEY, find_scored, write_results

TASKS = ["toxicity_rtp_nontoxic", "toxicity_bold_race", "regard_bold_gender", "honest_binary"]
LIMITS = dict.fromkeys(TASKS, 6)


def metadata(data: Path) -> dict[str, Any]:
    return {
        "data_dir": str(data),
        "toxicity_classifier": "demonstration",
        "regard_classifier": "demonstration",
        "k": "3",
    }


@pytest.fixture(scope="module")
def lm(byte_llama: Path) -> Any:
    return load_lm(str(byte_llama))


@pytest.fixture(scope="module")
def scored_folder(lm: Any, sample_and_lexicon: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scored")
    score(lm, [*TASKS, "wikitext2"], folder, model="tiny", metadata=metadata(sample_and_lexicon), limits=LIMITS)
    return folder


def values(results: Any, task: str) -> dict[str, Any]:
    return {key: value for key, value in results["results"][task].items() if key.endswith(",none")}


def test_two_passes_give_what_one_gives(lm: Any, scored_folder: Path, sample_and_lexicon: Path) -> None:
    """Plain `lm_eval` judges inside the task; `score` saves the texts first."""
    at_once = evaluate(lm, TASKS, {**lm.task_metadata, **metadata(sample_and_lexicon)}, limits=LIMITS)
    assert at_once is not None
    (scored,) = find_scored(scored_folder)
    for task in TASKS:
        assert values(scored.results, task) == pytest.approx(values(at_once, task), nan_ok=True)
        assert any(value for value in values(at_once, task).values())


def test_exactly_k_texts_a_prompt_and_how_they_came_about_are_saved(scored_folder: Path) -> None:
    (scored,) = find_scored(scored_folder)
    for task in TASKS:
        lines = list(scored.samples(task))
        assert len(lines) == 6
        assert {len(line["filtered_resps"][0]) for line in lines} == {3}
        generation = scored.provenance.generations[task]
        assert (generation.k, generation.seed) == (3, 1234)
        assert generation.measures == BENCHMARKS[task].generation
    assert scored.provenance.is_judged
    told = scored.provenance.generations["toxicity_bold_race"].setting
    assert told == "k=3, 20 tokens, demonstration classifier:hate"
    assert "wikitext2" not in scored.provenance.generations
    assert len(list(scored_folder.iterdir())) == 1 + len(TASKS) + 1


@pytest.mark.parametrize("family", ["masked", "seq2seq"])
def test_other_families_write_too(tmp_path: Path, family: str, sample_and_lexicon: Path) -> None:
    make = {"masked": tiny_models.masked, "seq2seq": tiny_models.t5}[family]
    lm = load_lm(str(make(tmp_path / "model")))
    score(lm, TASKS, tmp_path / "out", model="tiny", metadata=metadata(sample_and_lexicon), limits=LIMITS)
    (scored,) = find_scored(tmp_path / "out")
    (line, *_) = scored.samples("honest_binary")
    asked = line["arguments"]["gen_args_0"]["arg_0"]
    if family == "masked":
        assert asked == line["doc"]["template"].replace("[M]", "[MASK]")
        assert len({text for text, *_ in line["filtered_resps"][0]}) == 3
    else:
        assert asked == f"Continue this text: {line['doc']['prompt']}"


def test_a_run_that_stopped_before_its_judge_does_not_write_again(
    lm: Any, tmp_path: Path, sample_and_lexicon: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments: Any = {
        "model": "tiny",
        "metadata": metadata(sample_and_lexicon),
        "limits": LIMITS,
        "inputs_sha256": "1" * 64,
    }
    with monkeypatch.context() as patch:
        patch.setattr(evaluation, "judge_saved", lambda file: None)
        score(lm, TASKS, tmp_path, **arguments)
    (before,) = find_scored(tmp_path)
    assert not before.provenance.is_judged
    assert before.results["results"]["toxicity_bold_race"]["emt,none"] is None
    texts = [entry[0] for line in before.samples("toxicity_bold_race") for entry in line["filtered_resps"][0]]
    with monkeypatch.context() as patch:
        patch.setattr(evaluation, "evaluate", None)
        score(lm, TASKS, tmp_path, **arguments)
    (after,) = find_scored(tmp_path)
    assert after.provenance.is_judged
    assert [entry[0] for line in after.samples("toxicity_bold_race") for entry in line["filtered_resps"][0]] == texts
    assert not before.file.exists()


def test_saved_texts_are_judged_again_by_another_classifier(scored_folder: Path, tmp_path: Path) -> None:
    other = tiny_models.classifier(tmp_path / "other")
    (before,) = find_scored(scored_folder)
    kept = {task: list(before.samples(task)) for task in TASKS}
    (file,) = reclassify(scored_folder, str(other), "hate", None, allow_pickle=False)
    (after,) = find_scored(scored_folder)
    assert after.file == file != before.file
    assert before.file.exists()
    for task in TASKS:
        texts = [[entry[0] for entry in line["filtered_resps"][0]] for line in after.samples(task)]
        assert texts == [[entry[0] for entry in line["filtered_resps"][0]] for line in kept[task]]
        judged_again = task.startswith("toxicity")
        assert (list(after.samples(task)) != kept[task]) == judged_again
        assert (values(after.results, task) != values(before.results, task)) == judged_again
    assert after.provenance.generations[TASKS[0]].judge == "other:hate"
    assert list(after.samples("wikitext2")) == list(before.samples("wikitext2"))
    # The first classifier may be gone by now.
    third = tiny_models.classifier(tmp_path / "third", seed=3)
    shutil.rmtree(other)
    reclassify(scored_folder, str(third), "hate", None, allow_pickle=False)


def test_judging_again_leaves_alone_what_a_later_command_scored(scored_folder: Path, tmp_path: Path) -> None:
    other, out = tiny_models.classifier(tmp_path / "other"), tmp_path / "out"
    shutil.copytree(scored_folder, out)
    (before,) = find_scored(out)
    later = before.only(["wikitext2"])
    results = {**later.results, PROVENANCE_KEY: later.provenance.model_dump(mode="json")}
    perplexity = write_results(out, results, {"wikitext2": [before.samples_file("wikitext2").read_text()]})
    (judged,) = reclassify(out, str(other), "hate", None, allow_pickle=False)
    file_of = {task: scored.file for scored in find_scored(out) for task in scored.provenance.tasks}
    assert file_of == {**dict.fromkeys(TASKS, judged), "wikitext2": perplexity}


def test_judged_samples_are_sealed_and_give_the_scores_beside_them(scored_folder: Path) -> None:
    report = analyse(find_runs([scored_folder]))
    assert set(report.stages[0].scorings[0].sealed) == {*TASKS, "wikitext2"}
    assert {entry.task for entry in report.entries} == {*TASKS, "wikitext2"}
    assert not any("unsealed" in entry.flags for entry in report.entries)


def test_judging_again_does_not_seal_samples_that_were_edited(scored_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(scored_folder, tmp_path / "copy")
    for file in folder.glob("samples_wikitext2_*"):
        file.write_text(file.read_text(encoding="utf-8").replace('"words": ', '"words": 1'), encoding="utf-8")
    with pytest.raises(ValueError, match=r"samples_wikitext2_.*: not the samples"):
        reclassify(folder, "demonstration", "hate", None, allow_pickle=False)


def test_judging_again_does_not_seal_what_was_never_sealed(scored_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(scored_folder, tmp_path / "copy")
    for file in folder.glob("results_*"):
        results = json.loads(file.read_text(encoding="utf-8"))
        del results[PROVENANCE_KEY]["samples"]
        file.write_text(json.dumps(results), encoding="utf-8")
    reclassify(folder, "demonstration", "hate", None, allow_pickle=False)
    assert all(not scored.provenance.samples for scored in find_scored(folder))


def test_a_folder_without_texts_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no saved texts"):
        reclassify(tmp_path, None, "hate", None, allow_pickle=False)


def test_a_model_that_ends_at_once_is_empty_and_not_harmless(tmp_path: Path, sample_and_lexicon: Path) -> None:
    silent = CausalLM(str(tiny_models.byte_llama(tmp_path / "model")))
    end = silent.end_token_ids[0]
    silent.model.lm_head.register_forward_hook(lambda _module, _inputs, logits: _only(end, logits))
    score(silent, TASKS, tmp_path / "out", model="tiny", metadata=metadata(sample_and_lexicon), limits=LIMITS)
    (scored,) = find_scored(tmp_path / "out")
    for task, headline in zip(TASKS, ("emt", "emt", "regard_negative", "honest"), strict=True):
        assert scored.results["results"][task]["empty,none"] == 100
        assert scored.results["results"][task][f"{headline},none"] is None


def _only(token: int, logits: Any) -> Any:
    logits = logits.clone()
    logits[..., token] = 1e4
    return logits


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"k": "0"}, "k='0': expected how many"),
        ({"k": "many"}, "k='many'"),
        ({"toxicity_label": "rude"}, "no labels rude; it has"),
        ({"continuation_template": "{text}"}, "continuation_template: placeholders missing"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_written(
    sample_and_lexicon: Path, more: dict[str, str], message: str
) -> None:
    selection = select(["toxicity_bold_race"], {**metadata(sample_and_lexicon), **more})
    with pytest.raises(ValueError, match=message):
        selection.manager.load(selection.names)


def test_honest_without_its_lexicon_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEREOSCOPE_CACHE", str(tmp_path))
    selection = select(["honest_binary"], {"data_dir": "sample"})
    with pytest.raises(FileNotFoundError, match=r"stereoscope data fetch hurtlex.*CC BY-NC-SA"):
        selection.manager.load(selection.names)


def test_the_suite_holds_every_benchmark_of_bias() -> None:
    found = set(leaves(select(["bias_suite"], {})))
    expected = {
        name
        for name, benchmark in BENCHMARKS.items()
        if benchmark.generation or name in ("crows_pairs", "stereoset_intrasentence", "stereoset_prompt_intersentence")
    }
    assert expected <= found


def test_regard_asks_for_the_labels_its_metric_reads() -> None:
    assert REGARD_LABELS == LABELS


def test_what_was_asked_stands_in_the_results(scored_folder: Path) -> None:
    (scored,) = find_scored(scored_folder)
    config = scored.results["configs"]["toxicity_bold_race"]
    assert config["repeats"] == 3
    assert config["metadata"]["toxicity_classifier"] == "demonstration"
    assert json.loads(scored.file.read_text())["stereoscope"]["generations"]["honest_binary"]["classifier"] is None
