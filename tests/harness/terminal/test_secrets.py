"""Keys and tokens are in no command, no results file and no experiment's folder."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from harness.experiments.experiment_file import from_settings
from harness.scoring.evaluation import write_scored
from harness.storage.provenance import Provenance, TaskData
from harness.terminal.secrets import HIDDEN, recordable, secret_in, secrets_among, shown_command, without_tokens

HF = "hf_" + "aB3" * 8
COMMANDS = {
    "model args": (f"eval --model-args pretrained=x,token={HF},dtype=float32", HF),
    "a short one": ("eval --model-args pretrained=x,token=s3cret", "s3cret"),
    "hub logging": ("eval --hf_hub_log_args hub_results_org=me,token=s3cret", "s3cret"),
    "wandb": ("eval --wandb-args project=x,api_key=0123456789abcdef", "0123456789abcdef"),
    "a flag": ("train --hub-token s3cret --seed 1", "s3cret"),
    "a flag with =": ("train --hub_token=s3cret", "s3cret"),
    "user of a URL": ("eval --model-args base_url=https://me:s3cret@host/v1/completions", "s3cret"),
    "query of a URL": ("eval --model-args base_url=https://host/v1/completions?api-key=s3cret,model=m", "s3cret"),
    "header": ('eval --model-args \'header={"Authorization": "Bearer s3cret99"}\'', "s3cret99"),
    "OpenAI's": ("eval sk-proj-0123456789abcdefghij", "0123456789abcdefghij"),
    "GitHub's": ("eval ghp_0123456789abcdefghij", "0123456789abcdefghij"),
}


@pytest.mark.parametrize("kind", COMMANDS)
def test_no_key_stays_in_a_command(kind: str) -> None:
    command, secret = COMMANDS[kind]
    told = without_tokens(command)
    assert secret not in told
    assert HIDDEN in told
    assert secret not in shown_command(shlex.split(command), ())


def test_what_only_sounds_like_a_key_stays() -> None:
    command = "eval --model-args add_bos_token=true,prefix_token_id=3 --compare-start-token '<|x|>' max_gen_toks=5"
    assert without_tokens(command) == command
    assert without_tokens("the token of a key") == "the token of a key"


@pytest.mark.parametrize("name", ["HF_TOKEN", "OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "MY_PASSWORD"])
def test_keys_of_the_environment_are_known_wherever_they_stand(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "very-secret-0123")
    assert "very-secret-0123" in secrets_among({})
    assert without_tokens("a very-secret-0123 b") == f"a {HIDDEN} b"


def _provenance(**more: Any) -> Provenance:
    told: dict[str, Any] = {
        "model": "m",
        "pretrained": "m",
        "parameters": 1,
        "weights_sha256": "0",
        "started_after": "",
        "started_after_id": 0,
        "dtype": "float32",
        "tasks": {"boolq": TaskData(sha256="0", origin="task", n=1)},
        "versions": {},
        "seconds": 1.0,
    }
    return Provenance(**{**told, **more})


@pytest.mark.parametrize("kind", COMMANDS)
def test_no_key_is_in_a_results_file_whoever_wrote_its_command(kind: str, tmp_path: Path) -> None:
    command, secret = COMMANDS[kind]
    results = {
        "samples": {},
        "results": {},
        "config": {"model_args": {"token": secret, "base_url": f"https://me:{secret}@host"}, "more": command},
        "configs": {"boolq": {"metadata": {"token": secret}, "doc_to_text": "{{token}}"}},
    }
    file = write_scored(tmp_path, results, _provenance(command=command))
    written = file.read_text(encoding="utf-8")
    assert secret not in written
    assert json.loads(written)["configs"]["boolq"]["doc_to_text"] == "{{token}}"


@pytest.mark.parametrize(
    "settings",
    [
        {"scoring": {"metadata": {"token": "s3cret"}}},
        {"training": {"hub_token": "s3cret"}},
        {"models": [{"name": "a", "pretrained": "b", "model_args": {"token": "s3cret"}}]},
        {"models": [{"name": "a", "pretrained": "b", "model_args": {"x": HF}}]},
    ],
)
def test_an_experiment_with_a_key_is_refused_with_what_to_do(settings: dict[str, Any]) -> None:
    whole = {"name": "x", "models": [{"name": "a", "pretrained": "b"}], "tasks": ["crows_pairs"], **settings}
    with pytest.raises(ValueError, match=r"key or token, which would lie in the run's folder: .*HF_TOKEN") as error:
        from_settings(whole)
    assert "s3cret" not in str(error.value)
    assert HF not in str(error.value)


def test_settings_without_keys_are_as_they_were() -> None:
    settings = {"model_args": {"dtype": "float32", "add_bos_token": True, "n": [1, "a"]}, "token": ""}
    assert recordable(settings) == settings
    assert secret_in({"pretrained": "https://host/x", "token": None}) is None
