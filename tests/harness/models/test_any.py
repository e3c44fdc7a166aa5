"""One name for every family: which class it picks, and the ways in which lm-eval and `stereoscope eval` reach it."""

from __future__ import annotations

import logging
import shlex
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import tiny_models
from lm_eval.api.registry import get_model
from masked_reference import requests

import harness
from harness.models.any import AnyLM, load_lm
from harness.models.base import TransformersLM
from harness.models.causal import CausalLM
from harness.models.masked import MaskedLM
from harness.models.seq2seq import Seq2SeqLM
from harness.scoring.eval_command import run
from harness.storage.results import find_scored


@pytest.fixture(scope="module")
def folders(byte_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {
        "causal": byte_llama,
        "masked": tiny_models.masked(tmp_path_factory.mktemp("bert")),
        "seq2seq": tiny_models.t5(tmp_path_factory.mktemp("t5")),
    }


@pytest.mark.parametrize(("family", "chosen"), [("causal", CausalLM), ("masked", MaskedLM), ("seq2seq", Seq2SeqLM)])
def test_the_class_fits_the_model_and_is_told(
    folders: dict[str, Path], caplog: pytest.LogCaptureFixture, family: str, chosen: type[TransformersLM]
) -> None:
    with caplog.at_level(logging.INFO, logger="harness"):
        lm = load_lm(str(folders[family]))
    assert type(lm) is chosen
    assert f"{folders[family]} is a {family} language model: scored as hf-{family}" in caplog.text


@pytest.mark.parametrize("family", ["masked", "seq2seq"])
def test_lm_evals_registry_hands_over_a_working_model_however_arguments_come(
    folders: dict[str, Path], family: str
) -> None:
    text = f"pretrained={folders[family]},dtype=float32"
    arguments: dict[str, Any] = {"pretrained": str(folders[family]), "dtype": "float32"}
    extra = {"batch_size": "2", "max_batch_size": None, "device": "cpu"}
    registered = get_model("hf-any")
    models = [
        registered.create_from_arg_obj(arguments, extra),
        registered.create_from_arg_string(text, {**extra, "batch_size": 2}),
        registered.create_from_arg_obj(arguments),
    ]
    asked = requests(("the nurse", " was kind"), ("he", " was"), ("she", " is kind"))
    first, *others = ([answer[0] for answer in lm.loglikelihood(asked, disable_tqdm=True)] for lm in models)
    assert [lm.batch_size for lm in models] == [2, 2, "auto"]
    assert all(answers == pytest.approx(first, abs=1e-4) for answers in others)


def test_without_a_model_the_message_says_how_to_name_one() -> None:
    with pytest.raises(ValueError, match="--model_args pretrained=MODEL"):
        get_model("hf-any").create_from_arg_string("dtype=float32", {"batch_size": 1})


def test_every_entry_point_is_the_model_that_is_registered_under_its_name() -> None:
    project = Path(harness.__file__).parents[1] / "pyproject.toml"
    tomllib = pytest.importorskip("tomllib", reason="pyproject.toml is read with Python 3.11's tomllib")
    group = "lm_eval.models"
    points = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["entry-points"][group]
    ours = {"hf-any": AnyLM, "hf-causal": CausalLM, "hf-masked": MaskedLM, "hf-seq2seq": Seq2SeqLM}
    assert {name: EntryPoint(name, value, group).load() for name, value in points.items()} == ours
    assert {name: get_model(name) for name in points} == ours


@pytest.mark.parametrize("family", ["masked", "seq2seq"])
def test_eval_takes_any_family_without_being_told_which(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    monkeypatch.setenv("STEREOSCOPE_DATA", "sample")
    tasks = "crows_pairs,stereoset_intrasentence,stereoset_intersentence"
    command = f"--model_args pretrained={folders[family]} --tasks {tasks} --limit 6 --output_path {tmp_path}"
    run(shlex.split(command))
    (found,) = find_scored(tmp_path)
    assert found.results["config"]["model"] == "hf-any"
    lm = load_lm(str(folders[family]))
    for task in tasks.split(","):
        samples = list(found.samples(task))
        assert len(samples) == 6
        first = samples[0]
        asked = requests(*((first["doc"]["query"], answer) for answer in first["doc"]["answers"]))
        expected = [answer[0] for answer in lm.loglikelihood(asked, disable_tqdm=True)]
        # lm-eval writes what it was answered as text.
        logged = [float(answer[0]) for answer in first["filtered_resps"]]
        assert logged == pytest.approx(expected, abs=1e-3)
