"""A GGUF file, as llama.cpp has them, as a plain transformers folder in fp32: the numbers that its weights stand for.

A model that transformers reads from GGUF scores like any other, but refuses to be saved, so that it could not be
trained or changed.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from harness.storage.folders import copy_licences, new_folder, require_new
from harness.storage.reading import brief

log = logging.getLogger(__name__)

TOLERANCE = 1e-5
"""Of the largest logit; the very same weights give the very same logits in practice."""
PROBE = 16
"""Tokens that both models are asked for."""
SAID = "The nurse said that she, he and 3 others were at home."


def write_gguf(file: Path, folder: Path) -> Path:
    """Write a language model and its tokenizer from a GGUF file into a new folder, whole or not at all.

    Output weights that are the embeddings in the file are so in the folder. Licence files beside the file come along.

    Returns:
        `folder`.

    Raises:
        ValueError: no GGUF file, an architecture that transformers does not read from GGUF, a model that is no language
            model, or a folder that holds something.
        RuntimeError: `gguf` is not installed, or the folder, loaded again, is not the model that was read.
    """
    require_new(folder)
    with _read_once(), new_folder(folder) as partial:
        architecture = _architecture(file)
        _convert(file, architecture, partial)
        for name in copy_licences(file.parent, partial):
            log.info("copied %s", name)
    log.info("wrote %s", folder)
    return folder


@contextmanager
def _read_once() -> Iterator[None]:
    """Within, a GGUF file is walked once: transformers opens it anew for config, tokenizer, weights and each of their
    parts, and walking a vocabulary of 49,152 takes four seconds each time.
    """
    if importlib.util.find_spec("gguf") is None:
        yield
        return
    import gguf

    reader = gguf.GGUFReader
    gguf.GGUFReader = lru_cache(maxsize=1)(reader)
    try:
        yield
    finally:
        gguf.GGUFReader = reader


def _architecture(file: Path) -> str:
    """What the file says it is.

    Raises:
        ValueError: it is no GGUF file, or of an architecture that transformers does not read.
    """
    if not file.is_file():
        raise ValueError(f"{file}: no such file; expected a model in llama.cpp's format, *.gguf")
    if importlib.util.find_spec("gguf") is None:
        raise RuntimeError("reading a GGUF file needs gguf: pip install 'lm-stereoscope[demo]'")
    from gguf import GGUFReader
    from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES

    with file.open("rb") as opened:
        if opened.read(4) != b"GGUF":
            raise ValueError(f"{file}: does not begin as a GGUF file does; expected a model in llama.cpp's format")
    try:
        found = str(GGUFReader(str(file)).fields["general.architecture"].contents())
    except Exception as error:  # of any kind: its reader walks offsets that a broken file makes up
        raise ValueError(f"{file}: a broken GGUF file ({brief(error)}); fetch it again") from error
    known = sorted({*GGUF_SUPPORTED_ARCHITECTURES} - {"general", "tokenizer"})
    spellings = {name.replace("_", separator) for name in known for separator in ("_", "-", "")}
    if found not in spellings:
        raise ValueError(
            f"{file}: its architecture is {found!r}, which transformers does not read from GGUF; it reads "
            f"{', '.join(known)}"
        )
    return found


def _convert(file: Path, architecture: str, folder: Path) -> None:
    import torch
    from transformers import AutoTokenizer

    log.info("reading %s (%s), which takes half a minute or more", file.name, architecture)
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    read = _loaded(file, architecture)
    config = read.config
    # A model read from GGUF refuses to be saved; the same weights in a model of their own do not.
    if "quantization_config" in config.__dict__:
        del config.quantization_config
    with torch.device("meta"):
        model = type(read)(config)
    model.load_state_dict(read.state_dict(), assign=True)
    model.tie_weights()
    model.generation_config = read.generation_config
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    _require_same(file, read, tokenizer, folder)


def _loaded(file: Path, architecture: str) -> Any:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

    config = AutoConfig.from_pretrained(file.parent, gguf_file=file.name)
    if any("Encoder" in name for name in config.architectures or []):
        raise ValueError(f"{file}: a {architecture} has no vocabulary head, so that it is no language model")
    auto_class = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    return auto_class.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32).eval()


def _require_same(file: Path, read: Any, tokenizer: Any, folder: Path) -> None:
    import torch
    from transformers import AutoTokenizer

    written = type(read).from_pretrained(folder, dtype=torch.float32, use_safetensors=True).eval()
    expected, found = (_logits(model) for model in (read, written))
    difference = float((expected - found).abs().max())
    log.info("logits before and after differ by %.2g at most", difference)
    tied = [model.get_output_embeddings().weight is model.get_input_embeddings().weight for model in (read, written)]
    encoded = [one(SAID)["input_ids"] for one in (tokenizer, AutoTokenizer.from_pretrained(folder))]
    same = {
        "its logits": difference <= TOLERANCE * max(1.0, float(expected.abs().max())),
        "whether its output weights are the embeddings": tied[0] == tied[1],
        "its tokens": encoded[0] == encoded[1],
    }
    if wrong := [what for what, is_same in same.items() if not is_same]:
        raise RuntimeError(f"{file}: written and loaded again, another model came of it: {', '.join(wrong)} changed")


def _logits(model: Any) -> Any:
    import torch

    ids = torch.linspace(0, model.get_input_embeddings().weight.shape[0] - 1, PROBE).long()[None]
    asked = {"decoder_input_ids": ids} if model.config.is_encoder_decoder else {}
    with torch.inference_mode():
        return model(input_ids=ids, **asked).logits
