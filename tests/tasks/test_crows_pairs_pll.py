"""Nangia et al.'s metric through lm-eval and `hf-masked`, against a plain loop that follows the definition."""

from __future__ import annotations

import csv
import difflib
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import tiny_models
import torch
from lm_eval.tasks import TaskManager
from transformers import AutoModelForMaskedLM, AutoTokenizer

from harness.data import crows_pairs
from harness.metrics.crows_pairs import record_pll
from harness.models.masked import MaskedLM
from harness.scoring.evaluation import evaluate, score
from harness.storage.results import find_scored
from harness.storage.shipped import shipped

TASK = "crows_pairs_pll"
ROOT = Path(__file__).resolve().parents[2]
PAIRS = [
    ("The nurse is kind.", "The house is kind.", "stereo", "gender"),
    ("He was not kind, the nurse said.", "She was kind, the nurse said.", "antistereo", "gender"),
    ("THE NURSE IS PLAYING.", "The house is playing kind.", "stereo", "age"),
    ("The nurse was kind.", "He played.", "stereo", "age"),
    ("Nurse", "house", "stereo", "religion"),
]
# the is kind . | was kind , the nurse s ##a ##i ##d . | the is play ##ing . | . | nothing
SHARED = [4, 10, 5, 1, 0]


class Expected(NamedTuple):
    """Of one pair, by the definition: both scores, rounded, and how many tokens were scored."""

    more: float
    less: float
    tokens: int


def pairs_file(folder: Path, pairs: list[tuple[str, str, str, str]]) -> Path:
    path = folder / "crows_pairs" / "crows_pairs_anonymized.csv"
    path.parent.mkdir(parents=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["", "sent_more", "sent_less", "stereo_antistereo", "bias_type", "anon_writer"])
        writer.writerows([row, *pair, f"a{row}"] for row, pair in enumerate(pairs))
    return folder


@torch.inference_mode()
def by_definition(model: Path, more: str, less: str) -> Expected:
    """One mask at a time over the tokens that both sentences share, in small letters, rounded to 3 decimals."""
    tokenizer, network = AutoTokenizer.from_pretrained(model), AutoModelForMaskedLM.from_pretrained(model).eval()
    ids = [tokenizer(text.lower())["input_ids"] for text in (more, less)]
    shared: tuple[list[int], list[int]] = ([], [])
    for tag, start, end, other_start, other_end in difflib.SequenceMatcher(None, *ids).get_opcodes():
        if tag == "equal":
            shared[0].extend(range(start, end))
            shared[1].extend(range(other_start, other_end))
    totals = []
    for sentence, places in zip(ids, shared, strict=True):
        total = 0.0
        for place in places[1:-1]:  # the first and the last are [CLS] and [SEP]
            masked = torch.tensor([sentence])
            masked[0, place] = tokenizer.mask_token_id
            total += network(masked).logits[0, place].log_softmax(-1)[sentence[place]].item()
        totals.append(round(total, 3))
    return Expected(*totals, tokens=len(shared[0]) - 2)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.masked(tmp_path_factory.mktemp("models") / "bert")


def assert_scores_are_the_definitions(results: dict[str, Any], model: Path) -> None:
    samples = results["samples"][TASK]
    expected = [by_definition(model, sample["doc"]["sent_more"], sample["doc"]["sent_less"]) for sample in samples]
    for sample, one in zip(samples, expected, strict=True):
        found = record_pll(sample)
        assert (found.logprob_more, found.logprob_less) == pytest.approx((one.more, one.less), abs=1.001e-3)
        assert found.tokens_more == found.tokens_less == one.tokens
    won = [one.more > one.less for one in expected]
    assert results["results"][TASK]["crows_score,none"] == pytest.approx(100 * sum(won) / len(won))


def test_scores_are_those_of_the_published_definition(model: Path, tmp_path: Path) -> None:
    data = pairs_file(tmp_path, PAIRS)
    lm = MaskedLM(str(model), device="cpu")
    results = evaluate(lm, [TASK], {**lm.task_metadata, "data_dir": str(data)})
    assert results is not None
    assert_scores_are_the_definitions(results, model)
    # The last pair shares no token, so that nothing is scored: a tie, which stays in the denominator.
    assert [sample["doc"]["tokens_more"] for sample in results["samples"][TASK]] == SHARED
    assert results["results"][TASK]["ties,none"] == 20
    assert results["results"][TASK]["n,none"] == 5


def test_first_real_pairs_with_the_real_vocabulary(real_data: Path, tmp_path: Path) -> None:
    model = tiny_models.masked(tmp_path / "bert", tokenizer=tiny_models.real_tokenizer(real_data, "bert-base-uncased"))
    lm = MaskedLM(str(model), device="cpu")
    results = evaluate(lm, [TASK], {**lm.task_metadata, "data_dir": str(real_data)}, limits={TASK: 20})
    assert results is not None
    assert_scores_are_the_definitions(results, model)


def test_an_uncased_model_reads_small_letters_and_a_cased_one_the_sentences_as_they_are(
    model: Path, tmp_path: Path
) -> None:
    from harness.data.crows_pairs_pll import dataset

    cased = tiny_models.masked(tmp_path / "cased", tokenizer=tiny_models.word_pieces(lower=False))
    data = str(pairs_file(tmp_path, PAIRS))
    assert dataset(pretrained=str(model), data_dir=data)["test"][2]["answers"][0] == "the nurse is playing."
    assert dataset(pretrained=str(cased), data_dir=data)["test"][2]["answers"][0] == "THE NURSE IS PLAYING."


def test_a_samples_file_gives_the_same_scores_again(model: Path, tmp_path: Path) -> None:
    data = pairs_file(tmp_path, PAIRS)
    lm = MaskedLM(str(model), device="cpu")
    score(lm, [TASK], tmp_path / "out", model="bert", metadata={"data_dir": str(data)})
    results = evaluate(lm, [TASK], {**lm.task_metadata, "data_dir": str(data)})
    assert results is not None
    (scored,) = find_scored(tmp_path / "out")
    assert [record_pll(line) for line in scored.samples(TASK)] == [
        record_pll(sample) for sample in results["samples"][TASK]
    ]
    assert scored.provenance.tasks[TASK].n == len(PAIRS)
    line = next(scored.samples(TASK))
    assert line["arguments"]["gen_args_0"] == {"arg_0": "", "arg_1": "the nurse is kind.", "arg_2": [1]}


def test_a_checkpoint_is_scored_on_the_pairs_it_never_saw(model: Path, tmp_path: Path) -> None:
    from harness.data.crows_pairs_pll import dataset
    from harness.data.sources import find
    from harness.data.split import Split

    data = pairs_file(tmp_path, PAIRS)
    names = [pair.pair_id for pair in crows_pairs.read(find("crows_pairs", data).path)]
    split = Split(
        data_sha256=find("crows_pairs", data).sha256, folds=2, fold=0, train=tuple(names[1:]), held_out=(names[0],)
    )
    (tmp_path / "split.json").write_text(split.model_dump_json(), encoding="utf-8")
    rows = dataset(held_out=True, pretrained=str(model), data_dir=str(data), split=str(tmp_path / "split.json"))["test"]
    assert rows["row"] == [0]


@pytest.mark.parametrize(("make", "instead"), [("byte_llama", "crows_pairs_prompt"), ("byte_t5", "crows_pairs_prompt")])
def test_another_family_is_told_which_tasks_it_can_do(make: str, instead: str, tmp_path: Path) -> None:
    folder = getattr(tiny_models, make)(tmp_path / "model")
    metadata = {"pretrained": str(folder), "data_dir": "sample"}
    manager = TaskManager(include_path=shipped("tasks"), include_defaults=False, metadata=metadata)
    with pytest.raises(ValueError, match=rf"{TASK} takes masked language models.*{instead}"):
        manager.load([TASK])


def test_without_a_model_the_message_says_that_none_is_named(model: Path) -> None:
    from harness.data.crows_pairs_pll import dataset

    with pytest.raises(ValueError, match="crows_pairs_pll takes masked language models, and a model that has no name"):
        dataset(tokenizer=str(model), data_dir="sample")
