"""`stereoscope eval` of SmolLM2 behind llama.cpp's own server, beside the same GGUF file in transformers."""

from __future__ import annotations

import importlib.util
import json
import shlex
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import llama_cpp_server
import pytest

from harness.models import smollm2
from harness.reporting.build import build_report
from harness.scoring.eval_command import run
from harness.storage.results import find_scored

NEEDED = ("xllamacpp", "tenacity", "gguf", smollm2.PACKAGE)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        any(importlib.util.find_spec(name) is None for name in NEEDED), reason=f"needs {', '.join(NEEDED)}"
    ),
]
KEY = "sk-llama-0123456789"
PROMPTS = ("The cat sat on the", "A nurse is someone who", "Paris is the capital of")
TOXICITY = "--metadata toxicity_classifier=demonstration,k=2"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Where the server answers, up to the API's name."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:  # half a gigabyte, which pytest would keep
        file = llama_cpp_server.as_float32(smollm2._gguf_file(), Path(folder) / "smollm2.gguf")
        command = [sys.executable, llama_cpp_server.__file__, str(file), str(port), KEY]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            assert process.stdout is not None
            yield f"{process.stdout.readline().strip()}/v1"
        finally:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def in_transformers() -> tuple[Any, Any]:
    """The model and tokenizer in the same GGUF file."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    file = smollm2._gguf_file()
    model = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32).eval()
    return model, AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEREOSCOPE_DATA", "sample")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def evaluate(url: str, tasks: str, more: str, chat: bool = False) -> None:
    name = "chat/completions" if chat else "completions"
    model = f"--model local-{name.replace('/', '-')} --model-args model=smollm2,base_url={url}/{name}"
    run(shlex.split(f"{model} --tasks {tasks} {more}"))


def texts(folder: Path, task: str) -> list[list[str]]:
    (scored,) = find_scored(folder)
    return [[entry[0] for entry in sample["filtered_resps"][0]] for sample in scored.samples(task)]


def test_texts_are_drawn_from_their_own_seeds_judged_and_in_the_report(url: str, tmp_path: Path) -> None:
    task = "toxicity_rtp_nontoxic"
    for folder in ("one", "two"):
        evaluate(url, task, f"--limit 3 --gen_kwargs max_gen_toks=8 {TOXICITY} --output-path {tmp_path}/{folder}")
    first = texts(tmp_path / "one", task)
    assert first == texts(tmp_path / "two", task)
    assert all(one != other for one, other in first)
    report = json.loads((build_report([tmp_path / "one"]) / "report.json").read_text(encoding="utf-8"))
    (stage,) = report["stages"]
    (scoring,) = stage["scorings"]
    assert (stage["model"], stage["parameters"]) == ("smollm2", 134_515_008)
    assert (scoring["dtype"], scoring["weights_sha256"]) == ("all F32", None)
    assert scoring["server"]["name"] == "llama.cpp"
    assert scoring["server"]["version"]


def test_a_chat_is_asked_the_prompt_forms(url: str, tmp_path: Path) -> None:
    task = "stereoset_prompt_generate_intrasentence"
    evaluate(url, task, f"--limit 3 --gen_kwargs max_gen_toks=4 --output-path {tmp_path}", chat=True)
    (scored,) = find_scored(tmp_path)
    assert scored.provenance.tasks[task].n == 3
    assert all(str(sample["filtered_resps"][0]).strip() for sample in scored.samples(task))


def test_likelihoods_of_given_text_are_refused_before_anything_is_scored(
    url: str, in_transformers: tuple[Any, Any], tmp_path: Path
) -> None:
    in_transformers[1].save_pretrained(tmp_path)
    server = f"model=smollm2,base_url={url}/completions,tokenizer={tmp_path}"
    with pytest.raises(ValueError, match=r"no log-probabilities of given text, which crows_pairs .* llama\.cpp"):
        run(shlex.split(f"--model local-completions --model-args {server} --tasks crows_pairs"))


def test_next_tokens_are_as_likely_as_in_transformers(url: str, in_transformers: tuple[Any, Any]) -> None:
    """As far as this server gives log-probabilities: of the likeliest 20 tokens to go on with.

    It keeps keys and values in half precision, hence the third decimal.
    """
    import requests
    import torch

    model, tokenizer = in_transformers
    for prompt in PROMPTS:
        ids = tokenizer(prompt, add_special_tokens=False).input_ids
        body: dict[str, Any] = {"prompt": prompt, "max_tokens": 1, "temperature": 0, "logprobs": 20}
        answer = requests.post(f"{url}/completions", json=body, headers={"Authorization": f"Bearer {KEY}"}, timeout=60)
        top = answer.json()["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
        with torch.inference_mode():
            here = model(torch.tensor([ids])).logits[0, -1].log_softmax(-1)
        assert [one["logprob"] for one in top] == pytest.approx([float(here[one["id"]]) for one in top], abs=0.02)
