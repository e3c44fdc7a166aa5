"""Classifiers one text at a time against many at once, and what is refused before anything is generated."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import tiny_models
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from harness.judging import text_classifier
from harness.judging.classifiers import load_classifier, require_labels
from harness.judging.judges import REGARD_LABELS, choice_of

TEXTS = ["the nurse was kind", "he", "the nurse was kind", "they came here, and then " * 12, "kind the was nurse"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.classifier(tmp_path_factory.mktemp("classifier"))


@pytest.mark.parametrize("tokens", [1, 40, 4096])
def test_many_texts_at_once_are_judged_as_one_by_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tokens: int
) -> None:
    monkeypatch.setattr(text_classifier, "CPU_TOKENS", tokens)
    found = load_classifier(str(folder), ["hate", "calm"]).classify(TEXTS, ["hate", "calm"], disable_tqdm=True)
    model, tokenizer = AutoModelForSequenceClassification.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    for text, one in zip(TEXTS, found, strict=True):
        encoded = tokenizer(text, truncation=True, max_length=128, return_tensors="pt")
        with torch.no_grad():
            alone = model(**encoded).logits[0].softmax(-1)
        assert one.probabilities == pytest.approx((float(alone[1]), float(alone[0])), abs=1e-5)
        assert one.is_cut == (len(tokenizer(text)["input_ids"]) > 128)
    assert found[3].is_cut


def test_labels_that_exclude_nothing_are_each_a_sigmoid(tmp_path: Path) -> None:
    folder = tiny_models.classifier(tmp_path, problem_type="multi_label_classification")
    (found,) = load_classifier(str(folder), ["hate"]).classify(["he"], ["hate"], disable_tqdm=True)
    model, tokenizer = AutoModelForSequenceClassification.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        assert found.probabilities[0] == pytest.approx(
            float(model(**tokenizer("he", return_tensors="pt")).logits[0, 1].sigmoid())
        )


def test_a_label_it_lacks_lists_those_it_has(folder: Path) -> None:
    with pytest.raises(ValueError, match="no label toxic; it has calm, hate, other"):
        require_labels(str(folder), ["toxic"])
    metadata = {"toxicity_classifier": str(folder), "toxicity_label": "toxic"}
    with pytest.raises(ValueError, match="no label toxic"):
        choice_of("toxicity", metadata)
    with pytest.raises(ValueError, match="no label positive"):
        choice_of("regard", {"regard_classifier": str(folder)})


def test_a_language_model_is_no_classifier(byte_llama: Path) -> None:
    with pytest.raises(ValueError, match="no text classifier: its config names LlamaForCausalLM"):
        require_labels(str(byte_llama), ["hate"])


def test_a_classifier_that_is_nowhere_is_named_with_what_to_do() -> None:
    with pytest.raises(OSError, match="classifier nobody/has-this: not found"):
        require_labels("nobody/has-this", ["hate"])


def test_damaged_weights_are_an_error(folder: Path) -> None:
    damaged = load_classifier(str(folder), ["hate"])
    weight = damaged._model.classifier.weight
    before = weight.detach().clone()
    with torch.no_grad():
        weight.fill_(torch.nan)
    with pytest.raises(FloatingPointError, match="not finite"):
        damaged.classify(["he"], ["hate"], disable_tqdm=True)
    with torch.no_grad():
        weight.copy_(before)


def test_the_demonstration_classifier_learned_its_sentences_and_says_what_it_is() -> None:
    found = load_classifier("demonstration", ["hate"])
    rude, mild = found.classify(["you stupid ugly idiot", "the train stops near the harbour"], ["hate"], True)
    assert rude.probabilities[0] > 0.7 > 0.3 > mild.probabilities[0]
    assert found.name == "demonstration classifier"
    regard = load_classifier("demonstration", REGARD_LABELS)
    (kind,) = regard.classify(["she is admired and loved by the children"], REGARD_LABELS, True)
    assert max(zip(kind.probabilities, REGARD_LABELS, strict=True))[1] == "positive"
    with pytest.raises(ValueError, match="no labels angry"):
        load_classifier("demonstration", ["angry"])


def test_a_classifier_of_pickled_weights_is_refused_unless_allowed(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "pickled")
    for file in (tmp_path / "pickled").glob("*.safetensors"):
        file.rename(file.with_name("pytorch_model.bin"))
    with pytest.raises(ValueError, match=r"only pickled weights \(pytorch_model\.bin\)"):
        require_labels(str(tmp_path / "pickled"), ("hate",))
