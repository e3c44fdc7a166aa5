"""The YAMLs as lm-eval reads them: every task there, nothing silently left out, the prompt form for T5 too."""

from __future__ import annotations

import os
from pathlib import Path

import lm_eval.tasks
import pytest
import tiny_models
from lm_eval import simple_evaluate
from lm_eval.api.task import ConfigurableTask
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks._yaml_loader import load_yaml

from harness.data import crows_pairs
from harness.data.families import FAMILIES, TASKS_OF, Family
from harness.metrics.benchmarks import BENCHMARKS
from harness.models.causal import CausalLM
from harness.scoring.task_files import check_task_files, leaves, select

GROUPS = {
    "stereoset",
    "stereoset_prompt",
    "bbq",
    "bbq_choice",
    "bbq_generate",
    "toxicity_rtp",
    "toxicity_bold",
    "regard_bold",
    "honest",
    "bias_generation",
    "bias_suite",
}


def test_every_benchmark_has_its_task_and_every_task_its_benchmark() -> None:
    manager = select(["crows_pairs"], {}).manager
    pooled = {name for name, benchmark in BENCHMARKS.items() if benchmark.pools}
    assert set(manager.all_subtasks) == set(BENCHMARKS) - pooled
    assert set(manager.all_groups) == GROUPS


def test_a_pattern_selects_all_tasks_it_fits() -> None:
    assert select(["crows_pairs_p*"], {}).names == [
        "crows_pairs_pll",
        "crows_pairs_pll_heldout",
        "crows_pairs_prompt",
        "crows_pairs_prompt_heldout",
    ]


def test_lm_evals_own_tasks_can_be_named_beside_ours() -> None:
    assert select(["crows_pairs", "wikitext"], {}).names == ["crows_pairs", "wikitext"]


def test_an_unknown_task_is_an_error_that_says_what_was_meant() -> None:
    with pytest.raises(ValueError, match=r"crows_pear; did you mean 'crows_pairs'.*`stereoscope tasks`"):
        select(["crows_pear"], {})


@pytest.mark.parametrize(
    "content",
    [
        "task: broken\nprocess_results: !function harness.metrics.crows_pairs.no_such\n",
        "task: [broken\n",
        "include: missing.yml\ntask: broken\n",
        "metric: broken\n",
    ],
)
def test_a_broken_task_file_is_an_error_that_names_it(tmp_path: Path, content: str) -> None:
    (tmp_path / "broken.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"broken\.yaml: broken task file"):
        check_task_files(tmp_path)


@pytest.mark.parametrize(
    ("task", "items"),
    [
        ("stereoset_prompt_intrasentence", 2),
        ("stereoset_prompt_generate_intersentence", 2),
        ("crows_pairs_prompt", 3),
    ],
)
def test_the_prompt_form_works_for_encoder_decoders_with_lm_evals_own_model(
    tmp_path: Path, task: str, items: int
) -> None:
    folder = tiny_models.byte_t5(tmp_path / "t5")
    metadata = {"pretrained": str(folder), "data_dir": "sample"}
    lm = HFLM(str(folder), device="cpu", dtype="float32", batch_size=8)
    results = simple_evaluate(lm, tasks=[task], task_manager=select([task], metadata).manager, limit=6)
    assert results["results"][task]["n,none"] == items


def test_a_likelihood_task_sends_an_encoder_decoder_to_the_prompt_form(tmp_path: Path) -> None:
    folder = tiny_models.byte_t5(tmp_path / "t5")
    manager = select(["crows_pairs"], {"pretrained": str(folder), "data_dir": "sample"}).manager
    with pytest.raises(ValueError, match="stereoset_prompt"):
        manager.load(["crows_pairs"])


@pytest.mark.parametrize("task", ["stereoset_prompt_intrasentence", "crows_pairs_prompt"])
def test_a_masked_model_is_refused_by_the_prompt_form_too(tmp_path: Path, task: str) -> None:
    metadata = {"pretrained": str(tiny_models.byte_bert(tmp_path)), "data_dir": "sample"}
    with pytest.raises(ValueError, match="masked"):
        select([task], metadata).manager.load([task])


@pytest.mark.parametrize("kind", FAMILIES)
def test_the_tasks_that_a_family_is_told_of_are_those_that_it_can_load(
    tmp_path: Path, kind: Family, sample_and_lexicon: Path
) -> None:
    make = {"causal": tiny_models.byte_llama, "masked": tiny_models.masked, "seq2seq": tiny_models.t5}[kind]
    metadata = {
        "pretrained": str(make(tmp_path / kind)),
        "data_dir": str(sample_and_lexicon),
        "toxicity_classifier": "demonstration",
        "regard_classifier": "demonstration",
    }
    told = leaves(select(TASKS_OF[kind].split(", "), {}))
    manager = select(["crows_pairs"], metadata).manager
    for task, benchmark in BENCHMARKS.items():
        if benchmark.pools or benchmark.whole:
            continue
        if task in told:
            manager.load([task])
        else:
            with pytest.raises(ValueError, match=kind):
                manager.load([task])


def test_groups_and_tags_are_taken_apart_into_their_tasks() -> None:
    tasks = ["stereoset_intrasentence", "stereoset_intersentence"]
    assert leaves(select(["stereoset", "stereoset_intersentence", "crows_pairs"], {})) == [*tasks, "crows_pairs"]


def test_lm_evals_stock_crows_pairs_and_ours_agree_on_the_real_pairs(byte_llama: Path) -> None:
    data = os.environ.get("STEREOSCOPE_DATA", "sample")
    if data == "sample":
        pytest.skip("needs the published CrowS-Pairs; set STEREOSCOPE_DATA to the data folder")
    metadata = {"pretrained": str(byte_llama), "data_dir": data}
    stock = load_yaml(Path(lm_eval.tasks.__file__).parent / "crows_pairs" / "crows_pairs_english.yaml")
    for key in ("tag", "dataset_path", "dataset_name"):
        del stock[key]
    stock |= {"task": "stock", "custom_dataset": crows_pairs.dataset, "metadata": metadata}
    manager = select(["crows_pairs"], metadata).manager
    ours = manager.load(["crows_pairs"])["tasks"]["crows_pairs"]
    results = simple_evaluate(
        CausalLM(str(byte_llama)), tasks=[ours, ConfigurableTask(config=stock)], task_manager=manager, bootstrap_iters=0
    )["results"]
    assert results["crows_pairs"]["n,none"] == 1508
    score = results["crows_pairs"]["crows_score,none"] / 100
    assert score == pytest.approx(results["stock"]["pct_stereotype,none"], abs=1e-6)
    gap = results["crows_pairs"]["abs_logprob_diff,none"]
    assert gap == pytest.approx(results["stock"]["likelihood_diff,none"], abs=1e-6)
