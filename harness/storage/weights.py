"""Model folders: are their weights safe to load, and which weights are they?"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from harness.storage.files import sha256_file

PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")
ONLY_FOR_TRAINING = ("optimizer", "scheduler", "scaler", "training_args")


def require_safe_weights(name_or_path: str, allow_pickle: bool = False) -> None:
    """Refuse a local folder without weights, or with pickled ones only. Hub ids are checked when they load.

    Raises:
        ValueError: names the folder, what was found and what to do.
    """
    folder = Path(name_or_path)
    if not folder.is_dir():
        if folder.exists() or name_or_path.startswith((".", "/", "~")):
            raise ValueError(f"{name_or_path}: not a model folder")
        return
    if any(folder.glob("*.safetensors")):
        return
    pickled = sorted(file.name for pattern in PICKLED for file in folder.glob(pattern))
    if not pickled:
        found = ", ".join(sorted(file.name for file in folder.iterdir())[:8]) or "nothing"
        raise ValueError(f"{folder}: no weights here (expected *.safetensors, found {found})")
    if not allow_pickle:
        raise ValueError(
            f"{folder}: only pickled weights ({', '.join(pickled)}), which can run code when loaded. Convert them to "
            "safetensors, or say allow_pickle=True if you trust whoever made them."
        )


def weights_sha256(folder: Path) -> str:
    """One digest over all weight files of a model or adapter folder, names included."""
    digest = hashlib.sha256()
    for file in sorted(file for pattern in ("*.safetensors", *PICKLED) for file in folder.glob(pattern)):
        if file.stem not in ONLY_FOR_TRAINING and not file.stem.startswith("rng_state"):
            digest.update(f"{file.name}:{sha256_file(file)}\n".encode())
    return digest.hexdigest()


def files_sha256(
    pretrained: str, revision: str = "main", subfolder: str = "", gguf_file: str | None = None, peft: str | None = None
) -> str:
    """Digest of a model's weight files, in a folder or in the hub's cache, and of its adapter's where it has one."""
    from transformers.utils import cached_file

    config = cached_file(pretrained, gguf_file or "config.json", revision=revision, subfolder=subfolder)
    base = sha256_file(Path(config)) if gguf_file else weights_sha256(Path(config).parent)
    return base if peft is None else hashlib.sha256(f"{base}\n{weights_sha256(Path(peft))}".encode()).hexdigest()


def read_ahead(folder: Path) -> None:
    """Ask the system to read a model's weights while something else is done; does nothing where it cannot be asked."""
    if not hasattr(os, "posix_fadvise"):
        return
    for file in folder.glob("*.safetensors"):
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_WILLNEED)
        finally:
            os.close(descriptor)
