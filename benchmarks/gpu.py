"""How fast are models of real shapes on one GPU? lm-eval's `hf` or one mask at a time, and this project, in turn.

    python benchmarks/gpu.py runs/gpu --dtype float16

The models have the shapes of GPT-2, GPT-2 large, BERT base and large, BLOOM 560m, FLAN-T5 base and a Llama of 1B, and
random weights, which cost as much as trained ones; tokenizers come from the data folder (`STEREOSCOPE_DATA`). Writes a
table and `gpu.json` with the device's name. Without a GPU it runs on the CPU, which shows that it works, no more.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
import transformers as hf
from speed.contest import Contest, Outcome, Way, machine_name, table
from speed.masked import one_mask_at_a_time
from speed.scoring import best_of_theirs, requests_of, scored

from harness.models.any import MODEL_CLASSES
from harness.storage.files import atomic_write

Build = Callable[[int], Any]

LLAMA_1B = {
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
}
SHAPES: Mapping[str, tuple[str, str, Build]] = {
    "gpt2": ("causal", "gpt2", lambda size: hf.GPT2LMHeadModel(hf.GPT2Config(vocab_size=size))),
    "gpt2-large": (
        "causal",
        "gpt2",
        lambda size: hf.GPT2LMHeadModel(hf.GPT2Config(vocab_size=size, n_embd=1280, n_layer=36, n_head=20)),
    ),
    "bloom-560m": (
        "causal",
        "gpt2",
        lambda _: hf.BloomForCausalLM(hf.BloomConfig(vocab_size=250_880, hidden_size=1024, n_layer=24, n_head=16)),
    ),
    "llama-1b": ("causal", "gpt2", lambda _: hf.LlamaForCausalLM(hf.LlamaConfig(vocab_size=128_256, **LLAMA_1B))),
    "bert-base": ("masked", "bert-base-uncased", lambda size: hf.BertForMaskedLM(hf.BertConfig(vocab_size=size))),
    "bert-large": (
        "masked",
        "bert-base-uncased",
        lambda size: hf.BertForMaskedLM(
            hf.BertConfig(
                vocab_size=size,
                hidden_size=1024,
                num_hidden_layers=24,
                num_attention_heads=16,
                intermediate_size=4096,
            )
        ),
    ),
    "flan-t5-base": (
        "seq2seq",
        "t5-small",
        lambda _: hf.T5ForConditionalGeneration(
            hf.T5Config(
                d_model=768,
                d_ff=2048,
                num_layers=12,
                num_heads=12,
                feed_forward_proj="gated-gelu",
                tie_word_embeddings=False,
                decoder_start_token_id=0,
            )
        ),
    ),
}


def main() -> None:
    """Make the models that are not there yet, time both ways on each, and write what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where models, table and JSON are written")
    parser.add_argument("--dtype", default="float16", help="precision of the weights")
    parser.add_argument("--rounds", type=int, default=5, help="how often each way is timed")
    parser.add_argument(
        "--items", type=int, default=800, help="pairs for causal models; others get a share, see _SHARES"
    )
    parser.add_argument("--only", nargs="+", choices=SHAPES, default=list(SHAPES), help="shapes")
    given = parser.parse_args()
    tokenizers = Path(os.environ.get("STEREOSCOPE_DATA", "")) / "tokenizers"
    if not tokenizers.is_dir():
        parser.error("STEREOSCOPE_DATA: name the folder of the published data, which has tokenizers in it")
    outcomes: list[Outcome] = []
    for name in given.only:
        family, tokenizer, build = SHAPES[name]
        model = _made(given.folder / name, tokenizers / tokenizer, build)
        items = max(1, given.items // _SHARES[family])
        ways = partial(_WAYS[family], model, given.dtype, items)
        outcomes.append(Contest(name, f"{name}, {_TASKS[family]}, {items} items", "", ways).run(given.rounds))
        print(table(outcomes[-1:]), flush=True)
    machine = f"{machine_name()}, torch {torch.__version__}, {given.dtype}"
    atomic_write(given.folder / "gpu.md", f"{machine}\n\n{table(outcomes)}\n")
    content = {"machine": machine, "contests": [one.as_json() for one in outcomes]}
    atomic_write(given.folder / "gpu.json", json.dumps(content, indent=1) + "\n")


def _made(folder: Path, tokenizer: Path, build: Build) -> Path:
    if not (folder / "config.json").is_file():
        torch.manual_seed(0)
        vocabulary = hf.AutoTokenizer.from_pretrained(tokenizer)
        with torch.device("cuda" if torch.cuda.is_available() else "cpu"):  # a CPU fills a billion weights slowly
            build(len(vocabulary)).to(torch.float16).save_pretrained(folder)
        vocabulary.save_pretrained(folder)
    return folder


def _causal(model: Path, dtype: str, items: int) -> Mapping[str, Way]:
    asked = requests_of([_TASKS["causal"]], items, model)
    theirs = best_of_theirs(model, asked[: max(16, len(asked) // 4)], dtype)
    ours = MODEL_CLASSES["causal"](str(model), dtype=dtype)
    return {f"lm-eval's hf, batch {theirs.batch_size}": scored(theirs, asked), "hf-causal": scored(ours, asked)}


def _masked(model: Path, dtype: str, items: int) -> Mapping[str, Way]:
    asked = requests_of([_TASKS["masked"]], items, model)
    ours = MODEL_CLASSES["masked"](str(model), dtype=dtype)
    texts = [one.args[1] for one in asked]
    return {
        "one mask at a time": lambda: [one_mask_at_a_time(ours.model, ours.tokenizer, text) for text in texts],
        "hf-masked": scored(ours, asked),
    }


def _seq2seq(model: Path, dtype: str, items: int) -> Mapping[str, Way]:
    asked = requests_of([_TASKS["seq2seq"]], items, model, permutations=1)
    one, ours = (MODEL_CLASSES["seq2seq"](str(model), dtype=dtype, batch_size=size) for size in (1, "auto"))
    return {"one request at a time": scored(one, asked), "hf-seq2seq": scored(ours, asked)}


_WAYS = {"causal": _causal, "masked": _masked, "seq2seq": _seq2seq}
_TASKS = {"causal": "crows_pairs", "masked": "crows_pairs", "seq2seq": "stereoset_prompt_intrasentence"}
_SHARES = {"causal": 1, "masked": 40, "seq2seq": 16}
"""One mask, or one request, at a time takes so much longer on a GPU."""


if __name__ == "__main__":
    main()
