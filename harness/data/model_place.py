"""Whether a name can be a model's, told from what lies there, before a library or the hub is asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from harness.storage.files import looked_in
from harness.storage.names import exists
from harness.storage.reading import brief_name, read_object


def require_model(metadata: Mapping[str, object]) -> None:
    """Refuse what is no model's folder; names that may be hub ids pass.

    Args:
        metadata: names the model in `pretrained`, as `--model_args` does.

    Raises:
        ValueError: a file, an adapter's folder, a folder without a config, or a path that leads nowhere; says what to
            give instead.
    """
    name = str(metadata["pretrained"])
    path = Path(name).expanduser()
    if not exists(path):
        _require_name(name, path)
    elif path.is_file():
        raise ValueError(f"pretrained={name}: a file, expected a model's folder. {_of_file(path)}")
    elif path.is_dir():
        if not metadata.get("gguf_file"):
            _require_config(path / str(metadata.get("subfolder") or ""))
        elif not (path / str(metadata["gguf_file"])).is_file():
            raise ValueError(f"pretrained={name}: no file {metadata['gguf_file']} in this folder; {_ggufs(path)}")


def _require_name(name: str, path: Path) -> None:
    if name.startswith((".", "/", "~")) or name.endswith("/") or len(path.parts) > 2:
        raise ValueError(f"pretrained={name}: no such folder {looked_in()}. Give a model's folder or a hub id")


def not_on_hub(name: str, error: OSError) -> str:
    """What to say of a name that is no folder's and that the hub gave no model for."""
    return (
        f"pretrained={name}: no such folder {looked_in()}, and as a hub id it gives no model "
        f"({str(error).strip().partition(chr(10))[0]})"
    )


def _require_config(folder: Path) -> None:
    if (folder / "config.json").is_file():
        return
    adapter = folder / "adapter_config.json"
    if adapter.is_file():
        raise ValueError(
            f"{folder}: an adapter, expected a model. Score it with pretrained={_base_of(adapter)},peft={folder}; to "
            "train it further, merge it into its base model first (PEFT's `merge_and_unload`)"
        )
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder. Give a model's folder or a hub id")
    raise ValueError(f"{folder}: no config.json, expected a model's folder; {_ggufs(folder)}")


def _base_of(adapter: Path) -> str:
    try:
        base = read_object(adapter).get("base_model_name_or_path")
    except ValueError:
        base = None
    return brief_name(str(base or "ITS_BASE_MODEL"))


def _of_file(path: Path) -> str:
    if path.suffix == ".gguf":
        return f"Give pretrained={path.parent},gguf_file={path.name}"
    return f"Give the folder that has it: pretrained={path.parent}"


def _ggufs(folder: Path) -> str:
    files = sorted(file.name for file in folder.glob("*.gguf"))
    return f"it has {', '.join(files)}: give gguf_file={files[0]} too" if files else "it has no .gguf file either"
