"""Peak memory above the weights, of a model whose vocabulary has 250,880 entries, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch
from transformers import AutoTokenizer, BloomConfig, BloomForCausalLM

PROGRAM = """
import resource, sys
import torch
from speed.scoring import requests_of
which, folder, tokenizer = sys.argv[1:]
from pathlib import Path
if which == "ours":
    from harness.models.causal import CausalLM
    lm = CausalLM(folder)
else:
    from lm_eval.models.huggingface import HFLM
    lm = HFLM(folder, dtype="float32", batch_size=int(which), device="cpu")
asked = requests_of(["stereoset_prompt_intrasentence"], 36, Path(folder), permutations=3)
ids = torch.ones((1, 8), dtype=torch.long)
with torch.inference_mode():
    lm.model(ids)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
lm.loglikelihood(asked, disable_tqdm=True)
print("PEAK", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def peaks(folder: Path) -> list[str]:
    """Lines that tell the resident memory that scoring StereoSet's questions takes over what the loaded model has."""
    model = folder / "bloom-560m-shape"
    if not (model / "config.json").is_file():
        torch.manual_seed(0)
        BloomForCausalLM(BloomConfig(vocab_size=250_880, hidden_size=1024, n_layer=24, n_head=16)).save_pretrained(
            model
        )
        AutoTokenizer.from_pretrained(_tokenizer()).save_pretrained(model)
    taken = {which: _peak(which, model) for which in ("16", "64", "ours")}
    told = ", ".join(
        f"{'hf-causal' if which == 'ours' else f'hf with batch {which}'} {kib / 2**20:.2f} GiB"
        for which, kib in taken.items()
    )
    return [
        "Peak resident memory above the loaded weights, BLOOM-560m's shape, fp32, stereoset_prompt_intrasentence, "
        f"36 prompts: {told} (1/{taken['16'] / taken['ours']:.1f} of batch 16; aim 1/8)"
    ]


def _peak(which: str, model: Path) -> int:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])}
    command = [sys.executable, "-c", PROGRAM, which, str(model), _tokenizer()]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return int(next(line for line in done.stdout.splitlines() if line.startswith("PEAK")).split()[1])


def _tokenizer() -> str:
    folder = Path(os.environ.get("STEREOSCOPE_DATA", "")) / "tokenizers" / "gpt2"
    return str(folder) if folder.is_dir() else "openai-community/gpt2"
