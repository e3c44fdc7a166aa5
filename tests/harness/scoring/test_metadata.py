"""A setting of tasks that no task of the run reads changes nothing, and is refused."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import harness.data
from harness.metrics.benchmarks import BENCHMARKS
from harness.scoring.eval_command import run
from harness.scoring.metadata import SETTINGS, require_read_metadata, settings_of


def test_every_setting_is_read_by_some_task() -> None:
    assert set(SETTINGS) == set().union(*(settings_of(task) for task in BENCHMARKS))


def test_every_key_that_a_reader_looks_up_is_a_setting_or_names_the_model() -> None:
    folder = Path(inspect.getfile(harness.data)).parent
    text = "".join(file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.py")))
    of_models = {"pretrained", "tokenizer", "revision", "subfolder", "gguf_file", "backend", "peft", "max_length"}
    of_models |= {"add_bos_token", "prefix_token_id", "use_fast_tokenizer"}
    assert set(re.findall(r'metadata(?:\.get\(|\[)"(\w+)"', text)) <= {*SETTINGS, *of_models}


@pytest.mark.parametrize(
    ("key", "tasks", "said"),
    [
        ("colour", ["crows_pairs"], "no task of this run reads 'colour'. They read data_dir"),
        ("permutatons", ["stereoset_prompt_intrasentence"], "reads 'permutatons'; did you mean 'permutations'"),
        ("k", ["crows_pairs", "wikitext2"], "reads 'k'. It is a setting of other tasks"),
        ("split", ["crows_pairs"], "reads 'split'"),
        ("regard_classifier", ["toxicity_rtp_challenging"], "reads 'regard_classifier'"),
        ("k", ["crows_pairs_pll", "stereoset_intrasentence"], "reads 'k'"),
    ],
)
def test_a_key_that_no_task_reads_is_refused(key: str, tasks: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        require_read_metadata([key], tasks)


@pytest.mark.parametrize(
    ("key", "tasks"),
    [
        ("data_dir", ["crows_pairs"]),
        ("split", ["crows_pairs", "crows_pairs_heldout"]),
        ("k", ["crows_pairs", "toxicity_rtp_challenging"]),
        ("wording", ["crows_pairs_prompt"]),
        ("sampled_tokens", ["wikitext2"]),
        ("prefix_token_id", ["crows_pairs"]),
        ("colour", ["crows_pairs", "lambada_openai"]),
    ],
)
def test_keys_that_a_task_may_read_pass(key: str, tasks: list[str]) -> None:
    require_read_metadata([key], tasks)


def test_eval_refuses_it_before_the_model_loads(byte_llama: Path) -> None:
    asked = ["--model_args", f"pretrained={byte_llama}", "--tasks", "crows_pairs", "--metadata", "data_dir=sample"]
    with pytest.raises(ValueError, match="no task of this run reads 'colour'"):
        run([*asked, "colour=blue"])
