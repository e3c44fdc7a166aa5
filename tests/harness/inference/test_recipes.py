"""Methods at inference: the published formula by hand, and every family's scores and texts against the slow way."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_models
import torch
from lm_eval.api.instance import Instance
from torch import Tensor

from harness.inference.prompt import PromptSettings
from harness.inference.recipe import Applied, put_before, recipe_of
from harness.inference.self_debias import SelfDebiasSettings, damped
from harness.models.any import load_lm
from harness.models.base import TransformersLM
from harness.storage.recipes import Recipe

DEBIAS = SelfDebiasSettings(prefixes=("They hate:\n", "A bad text: "), decay=50.0, epsilon=0.01).recipe()
STRONG = DEBIAS.model_copy(update={"decay": 1e5, "epsilon": 1e-9})
"""Damps whatever a prefix makes the least bit likelier, so that texts change."""
PROMPT = PromptSettings(text="Be fair. ").recipe()
EMPTY = SelfDebiasSettings(prefixes=("",)).recipe()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TransformersLM]:
    folder = tmp_path_factory.mktemp("models")
    made = {
        "causal": tiny_models.byte_llama(folder / "causal"),
        "masked": tiny_models.masked(folder / "masked"),
        "seq2seq": tiny_models.t5(folder / "seq2seq"),
    }
    return {family: load_lm(str(path)) for family, path in made.items()}


FAMILIES = pytest.mark.parametrize("family", ["causal", "masked", "seq2seq"])
TEXTS = {
    "causal": [("", "The nurse was kind."), ("", "The nurse was rude."), ("Who?", " She."), ("Who?", " He was.")],
    "masked": [("", "The nurse was kind."), ("The nurse", " was rude.")],
    "seq2seq": [("The nurse was", "kind."), ("The nurse was", "rude."), ("Who was it?", "He.")],
}


def asked(family: str) -> list[Instance]:
    return [Instance("loglikelihood", {}, pair, number) for number, pair in enumerate(TEXTS[family])]


def scores(lm: TransformersLM, family: str, recipe: Recipe | None) -> list[tuple[float, bool]]:
    lm.use_recipe(recipe)
    try:
        return lm.loglikelihood(asked(family), disable_tqdm=True)
    finally:
        lm.use_recipe(None)


def slow(lm: Any, family: str, recipe: Recipe) -> list[float]:
    """Each token's distribution by a pass of its own over each text, alone, combined by the formula as published."""
    prefixes = [lm.tokenizer(text, add_special_tokens=False)["input_ids"] for text in recipe.prefixes]
    totals = []
    for context, continuation in TEXTS[family]:
        total = 0.0
        for predict, token in PLACES[family](lm, context, continuation):
            p, behind = predict([]), [predict(prefix) for prefix in prefixes]
            total += math.log(float(published(p, behind, recipe)[token]))
        totals.append(total)
    return totals


def published(p: Tensor, behind: list[Tensor], recipe: Recipe) -> Tensor:
    if recipe.kind == "prompt":
        return behind[0]
    alpha = torch.ones_like(p)
    for q in behind:
        delta = p - q
        alpha = torch.minimum(
            alpha, torch.where(delta >= 0, 1.0, torch.exp(recipe.decay * delta).clamp(min=recipe.epsilon))
        )
    return alpha * p / (alpha * p).sum()


def _causal(lm: Any, context: str, continuation: str) -> Any:
    before = lm.tok_encode(context) if context else [lm.prefix_token_id]
    tokens = lm.tok_encode(continuation)
    for place, token in enumerate(tokens):

        def predict(prefix: list[int], ids: tuple[int, ...] = (*before, *tokens[:place])) -> Tensor:
            put = [ids[0], *prefix, *ids[1:]] if ids[0] == lm.prefix_token_id else [*prefix, *ids]
            return _softmax(lm.model(torch.tensor([put])).logits[0, -1])

        yield predict, token


def _masked(lm: Any, context: str, continuation: str) -> Any:
    cls, *ids, sep = lm.tokenizer(context + continuation)["input_ids"]
    for place in range(len(lm.tokenizer(context, add_special_tokens=False)["input_ids"]), len(ids)):

        def predict(prefix: list[int], place: int = place) -> Tensor:
            hidden = [*ids[:place], lm.tokenizer.mask_token_id, *ids[place + 1 :]]
            put = torch.tensor([[cls, *prefix, *hidden, sep]])
            return _softmax(lm.model(put).logits[0, 1 + len(prefix) + place])

        yield predict, ids[place]


def _seq2seq(lm: Any, context: str, continuation: str) -> Any:
    source, target = lm.tokenizer(context)["input_ids"], lm.tokenizer(continuation)["input_ids"]
    for place, token in enumerate(target):

        def predict(prefix: list[int], place: int = place) -> Tensor:
            decoded = torch.tensor([[lm.model.config.decoder_start_token_id, *target[:place]]])
            return _softmax(lm.model(torch.tensor([[*prefix, *source]]), decoder_input_ids=decoded).logits[0, -1])

        yield predict, token


PLACES: dict[str, Callable[..., Any]] = {"causal": _causal, "masked": _masked, "seq2seq": _seq2seq}


def _softmax(logits: Tensor) -> Tensor:
    return logits.detach().double().softmax(-1)


def test_the_published_damping_by_hand() -> None:
    # p = .5 .3 .2, q = .2 .4 .4: the second and third are damped by exp(-5), exp(-10); of the third epsilon is left.
    p, q = torch.tensor([[0.5, 0.3, 0.2]]), torch.tensor([[0.2, 0.4, 0.4]])
    recipe = Recipe(kind="self_debias", prefixes=("y",), decay=50.0, epsilon=0.001)
    left = [0.5, 0.3 * math.exp(-5), 0.2 * 0.001]
    found = damped(p.log(), [q.log()], recipe).softmax(-1)[0].tolist()
    assert found == pytest.approx([one / sum(left) for one in left], rel=1e-5)


def test_of_several_prefixes_the_smallest_alpha_counts() -> None:
    p = torch.tensor([[0.5, 0.3, 0.2]]).log()
    some, other = torch.tensor([[0.2, 0.4, 0.4]]).log(), torch.tensor([[0.3, 0.5, 0.2]]).log()
    both, one, two = (damped(p, behind, DEBIAS) - p for behind in ([some, other], [some], [other]))
    assert torch.equal(both, torch.minimum(one, two))


@FAMILIES
@pytest.mark.parametrize("recipe", [DEBIAS, PROMPT], ids=["self_debias", "prompt"])
def test_batches_and_trees_score_what_one_pass_a_token_scores(
    models: dict[str, TransformersLM], family: str, recipe: Recipe
) -> None:
    found = [score for score, _ in scores(models[family], family, recipe)]
    assert found == pytest.approx(slow(models[family], family, recipe), abs=2e-4)
    plain = [score for score, _ in scores(models[family], family, None)]
    assert any(abs(one - other) > 1e-3 for one, other in zip(found, plain, strict=True))


@FAMILIES
def test_an_empty_prefix_gives_the_base_to_the_bit(models: dict[str, TransformersLM], family: str) -> None:
    assert scores(models[family], family, EMPTY) == scores(models[family], family, None)


@FAMILIES
@pytest.mark.parametrize("recipe", [STRONG, PROMPT], ids=["self_debias", "prompt"])
def test_greedy_texts_take_the_recipes_likeliest_token_each_time(
    models: dict[str, TransformersLM], family: str, recipe: Recipe
) -> None:
    lm: Any = models[family]
    prompt = "The nurse said that she was"
    request = Instance("generate_until", {}, (prompt, {"until": [], "max_gen_toks": 4, "do_sample": False}), 0)
    lm.use_recipe(recipe)
    try:
        (text,) = lm.generate_until([request], disable_tqdm=True)
    finally:
        lm.use_recipe(None)
    assert lm.tokenizer.decode(_greedy(lm, family, prompt, recipe), skip_special_tokens=True).endswith(text)
    (plain,) = lm.generate_until([request], disable_tqdm=True)
    if (recipe is STRONG) == (family == "masked"):  # elsewhere these random models insist on their first choice
        assert text != plain


def _greedy(lm: Any, family: str, prompt: str, recipe: Recipe) -> list[int]:
    """Four tokens, each by passes over everything before it; of a masked model the prompt is in front of them."""
    prefixes = [lm.tokenizer(text, add_special_tokens=False)["input_ids"] for text in recipe.prefixes]
    ids = lm.tokenizer(prompt, add_special_tokens=family != "causal")["input_ids"]
    tokens: list[int] = []
    for step in range(4):

        def predict(prefix: list[int], step: int = step) -> Tensor:
            if family == "causal":
                return _softmax(lm.model(torch.tensor([[*prefix, *ids, *tokens]])).logits[0, -1])
            if family == "seq2seq":
                decoded = torch.tensor([[lm.model.config.decoder_start_token_id, *tokens]])
                return _softmax(lm.model(torch.tensor([[*prefix, *ids]]), decoder_input_ids=decoded).logits[0, -1])
            masks = [lm.tokenizer.mask_token_id] * (4 - step)
            put = [ids[0], *prefix, *ids[1:-1], *tokens, *masks, ids[-1]]
            return _softmax(lm.model(torch.tensor([put])).logits[0, len(put) - 1 - len(masks)])

        chosen = published(predict([]), [predict(prefix) for prefix in prefixes], recipe)
        if family == "masked":
            chosen[lm.tokenizer.all_special_ids] = 0
        tokens.append(int(chosen[: len(lm.tokenizer)].argmax()))
    return [*ids[1:-1], *tokens] if family == "masked" else tokens


def test_documents_are_scored_by_the_recipe_too(models: dict[str, TransformersLM]) -> None:
    lm = models["causal"]
    request = Instance("loglikelihood_rolling", {}, ("The nurse was kind.",), 0)
    lm.use_recipe(DEBIAS)
    try:
        (found,) = lm.loglikelihood_rolling([request], disable_tqdm=True)
    finally:
        lm.use_recipe(None)
    assert found == pytest.approx(scores(lm, "causal", DEBIAS)[0][0], abs=1e-4)


def test_other_weights_and_other_recipes_have_other_digests(models: dict[str, TransformersLM]) -> None:
    lm = models["causal"]
    digests = []
    for recipe in (None, DEBIAS, PROMPT):
        lm.use_recipe(recipe)
        digests.append((lm.weights_sha256, lm.base_weights_sha256))
    lm.use_recipe(None)
    assert len({one for one, _ in digests}) == 3
    assert {base for _, base in digests} == {digests[0][0]}


def test_a_prefix_stands_behind_the_start_token_and_in_front_of_any_other() -> None:
    assert put_before([256, 1, 2], (7, 8), 256) == [256, 7, 8, 1, 2]
    assert put_before([1, 2], (7, 8), 256) == [7, 8, 1, 2]
    assert put_before([], (7, 8), 256) == [7, 8]


def test_a_prefix_longer_than_the_window_is_refused_with_both_lengths(models: dict[str, TransformersLM]) -> None:
    with pytest.raises(ValueError, match=r"longest prefix has 300 tokens, and the context window of .* has 256"):
        models["causal"].use_recipe(PromptSettings(text="x" * 300).recipe())
    assert models["causal"].recipe is None


def test_what_no_longer_fits_beside_the_prefix_is_refused(models: dict[str, TransformersLM]) -> None:
    lm = models["causal"]
    lm.use_recipe(PROMPT)
    try:
        assert lm.max_length == 256 - len("Be fair. ")
        with pytest.raises(ValueError, match="has 247"):
            lm.loglikelihood([Instance("loglikelihood", {}, ("", "x" * 250), 0)], disable_tqdm=True)
    finally:
        lm.use_recipe(None)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("kind: selfdebias", "kind is 'selfdebias'; there are self_debias, prompt; did you mean 'self_debias'"),
        ("kind: self_debias\nlambda: 3", "unknown key 'lambda'; self_debias has bias_types, prefixes, decay, epsilon"),
        ("kind: self_debias\nepsilon: 0", "epsilon: Input should be greater than 0"),
        ("kind: prompt", "key 'text' is missing"),
        ("kind: prompt\ntext: ' '", "text: String should match pattern"),
    ],
)
def test_a_wrong_recipe_file_is_refused_with_file_and_key(tmp_path: Path, written: str, told: str) -> None:
    (file := tmp_path / "recipe.yaml").write_text(written)
    with pytest.raises(ValueError, match=re.escape(f"{file}: ") + ".*" + re.escape(told)):
        recipe_of(str(file))


def test_a_kind_names_a_recipe_with_its_defaults_and_a_file_that_is_not_there_is_told() -> None:
    assert recipe_of("self_debias").prefixes[0] == (
        "The following text discriminates against people because of their gender:\n"
    )
    assert recipe_of("self_debias").passes == 4
    with pytest.raises(ValueError, match=r"recipe=fair.yaml: neither a kind \(self_debias, prompt\) nor a file"):
        recipe_of("fair.yaml")


def test_without_a_recipe_nothing_is_read_twice() -> None:
    asked_for = []
    Applied()(lambda prefix: asked_for.append(prefix) or torch.zeros(1))
    assert asked_for == [()]
