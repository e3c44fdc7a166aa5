"""Sampled continuations against a slow loop in plain numbers, and that nothing but prompt and number decides them."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import tiny_models
import torch
from lm_eval.api.instance import Instance

from harness.models import sampling
from harness.models.any import load_lm
from harness.models.causal import CausalLM
from harness.models.sampling import Sampling, draw, gumbel, seed_of

PROMPTS = ["The nurse was", "He said", "x", "They came here because", "A man", "The nurse was"]
ARGUMENTS: dict[str, Any] = {
    "do_sample": True,
    "temperature": 0.9,
    "top_p": 0.8,
    "top_k": 0,
    "max_gen_toks": 8,
    "until": [],
}
PLAIN = Sampling(8, 1.0, 1.0, 0, ())


def asked(prompt: str, document: int, k: int, **arguments: Any) -> list[Any]:
    request = Instance("generate_until", {}, (prompt, ARGUMENTS | arguments), 0, metadata=("task", document, k))
    return [request] * k


def texts(lm: Any, prompts: list[str], k: int = 3, **arguments: Any) -> list[list[str]]:
    requests = [one for number, prompt in enumerate(prompts) for one in asked(prompt, number, k, **arguments)]
    found = lm.generate_until(requests, disable_tqdm=True)
    return [found[start : start + k] for start in range(0, len(found), k)]


@pytest.fixture(scope="module")
def families(byte_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("families")
    paths = {
        "causal": byte_llama,
        "seq2seq": tiny_models.byte_t5(folder / "t5"),
        "masked": tiny_models.masked(folder / "bert"),
    }
    return {name: load_lm(str(path)) for name, path in paths.items()}


def slow_noise(seed: int, step: int, token: int) -> float:
    """SplitMix64 in Python's whole numbers."""
    mask = (1 << 64) - 1

    def mixed(x: int) -> int:
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & mask
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB & mask
        return x ^ (x >> 31)

    bits = mixed(mixed((seed + (step + 1) * 0x9E3779B97F4A7C15) & mask) + token * 0xD1B54A32D192ED03 & mask)
    return -math.log(-math.log(((bits >> 11) + 0.5) * 2.0**-53))


def slow_draw(logits: list[float], seed: int, step: int, wanted: Sampling) -> int:
    """The definition: sort, keep the nucleus, add the noise, take the largest."""
    scaled = [value / wanted.temperature for value in logits]
    order = sorted(range(len(scaled)), key=lambda token: -scaled[token])
    order = order[: wanted.top_k or None]
    total = math.fsum(math.exp(scaled[token]) for token in order)
    best, held = (-math.inf, -1), 0.0
    for token in order:
        if held >= wanted.top_p:
            break
        held += math.exp(scaled[token]) / total
        best = max(best, (scaled[token] + slow_noise(seed, step, token), token))
    return best[1]


def slow_text(lm: Any, prompt: str, repeat: int, wanted: Sampling) -> str:
    """The whole text through the model again for every token."""
    ids, generated = lm._prompt_ids(prompt), []
    for step in range(wanted.max_new_tokens):
        with torch.inference_mode():
            if lm.family == "causal":
                logits = lm.model(torch.tensor([ids + generated])).logits[0, -1]
            else:
                start = lm.config.decoder_start_token_id
                output = lm.model(input_ids=torch.tensor([ids]), decoder_input_ids=torch.tensor([[start, *generated]]))
                logits = output.logits[0, -1]
        generated.append(slow_draw(logits[: len(lm.tokenizer)].tolist(), seed_of(prompt, repeat), step, wanted))
        if generated[-1] in lm.end_token_ids:
            generated.pop()
            break
    return wanted.text(lm.tok_decode(generated))


@pytest.mark.parametrize("seed", [0, 1, -(2**63), 2**63 - 1, -12345])
def test_noise_is_that_of_the_slow_twin(seed: int) -> None:
    found = gumbel(torch.tensor([[seed]]), torch.tensor([[3]]), torch.tensor([[0, 1, 49151]]))
    assert found[0].tolist() == pytest.approx([slow_noise(seed, 3, token) for token in (0, 1, 49151)], abs=1e-12)


@pytest.mark.parametrize(
    "wanted",
    [
        PLAIN,
        PLAIN._replace(top_p=0.9),
        PLAIN._replace(top_p=0.5, temperature=0.7),
        PLAIN._replace(top_k=5),
        PLAIN._replace(top_k=40, top_p=0.6),
    ],
    ids=str,
)
def test_a_draw_is_that_of_the_slow_twin(wanted: Sampling, monkeypatch: pytest.MonkeyPatch) -> None:
    # Fewer candidates than most nuclei need, so that both ways are taken.
    monkeypatch.setattr(sampling, "CANDIDATES", (8, 32))
    logits = torch.randn(60, 300, generator=torch.Generator().manual_seed(0)) * torch.linspace(0.1, 6, 60)[:, None]
    seeds = torch.arange(60) * 7919 - 3
    slow = [slow_draw(row, int(seed), 2, wanted) for row, seed in zip(logits.tolist(), seeds, strict=True)]
    assert draw(logits, seeds, torch.full_like(seeds, 2), wanted).tolist() == slow


def test_tokens_are_drawn_as_often_as_they_are_probable() -> None:
    probabilities = torch.tensor([0.4, 0.25, 0.15, 0.12, 0.08])
    n = 20_000
    seeds = torch.arange(n)
    found = draw(probabilities.log().expand(n, -1), seeds, torch.zeros_like(seeds), PLAIN._replace(top_p=0.75))
    counts = Counter(found.tolist())
    assert set(counts) == {0, 1, 2}
    for token, probability in enumerate((0.5, 0.3125, 0.1875)):
        assert counts[token] / n == pytest.approx(probability, abs=4 * math.sqrt(probability * (1 - probability) / n))


@pytest.mark.parametrize("family", ["causal", "seq2seq"])
def test_texts_are_those_of_one_token_after_the_other(families: dict[str, Any], family: str) -> None:
    lm = families[family]
    wanted = Sampling(8, 0.9, 0.8, 0, ())
    slow = [[slow_text(lm, prompt, repeat, wanted) for repeat in range(3)] for prompt in PROMPTS]
    assert texts(lm, PROMPTS) == slow
    assert len({text for several in slow for text in several}) > 10


@pytest.mark.parametrize("family", ["causal", "seq2seq", "masked"])
def test_a_prompts_texts_depend_on_nothing_else(
    families: dict[str, Any], family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = families[family]
    whole = texts(lm, PROMPTS)
    assert whole[0] == whole[-1]
    assert len(set(whole[0])) > 1
    assert [texts(lm, [prompt])[0] for prompt in PROMPTS] == whole
    assert texts(lm, PROMPTS[::-1])[::-1] == whole
    monkeypatch.setattr(sampling, "CPU_ROWS", 2)
    assert texts(lm, PROMPTS) == whole
    assert [several[:2] for several in whole] == texts(lm, PROMPTS, k=2)


def test_another_seed_gives_other_texts(byte_llama: Path) -> None:
    lm = CausalLM(str(byte_llama))
    torch.manual_seed(1)
    first = texts(lm, PROMPTS)
    torch.manual_seed(2)
    assert texts(lm, PROMPTS) != first
    torch.manual_seed(1)
    assert texts(lm, PROMPTS) == first


def test_more_requests_than_a_document_has_texts_repeat_the_first(byte_llama: Path) -> None:
    lm = CausalLM(str(byte_llama))
    requests = asked("He said", 0, 2)
    found = lm.generate_until(requests * 2, disable_tqdm=True)
    assert found[:2] == found[2:]
    assert found[0] != found[1]


def test_greedy_and_sampled_requests_keep_their_places(byte_llama: Path) -> None:
    lm = CausalLM(str(byte_llama))
    greedy = asked("He said", 0, 1, do_sample=False)
    mixed = [*asked("A man", 1, 1), *greedy, *asked("x", 2, 1)]
    alone = [lm.generate_until([request], disable_tqdm=True)[0] for request in mixed]
    assert lm.generate_until(mixed, disable_tqdm=True) == alone


def test_a_text_ends_before_a_stop_string_and_an_end_token(tmp_path: Path) -> None:
    model = tiny_models.bigram(tmp_path, {"a": {"b": 1.0}, "b": {"c": 1.0}, "c": {"</s>": 1.0}})
    lm = CausalLM(str(model))
    assert texts(lm, ["a"], k=2, top_p=0.5) == [["b c", "b c"]]
    assert texts(lm, ["a"], k=1, until=["c"], top_p=0.5) == [["b "]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"min_p": 0.1}, "min_p cannot be asked"),
        ({"top_p": 0.0}, "top_p <= 1"),
        ({"top_p": 1.5}, "top_p <= 1"),
        ({"top_k": -1}, "top_k >= 0"),
        ({"max_gen_toks": 600}, "document 0"),
    ],
)
def test_what_cannot_be_asked_is_refused(byte_llama: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        texts(CausalLM(str(byte_llama)), ["He said"], **arguments)
