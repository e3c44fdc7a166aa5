"""The accelerate config as it is handed to accelerate, which looks for DeepSpeed's file in the working folder alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from harness.machine.strategy import deepspeed_file, read_launch
from harness.storage.files import atomic_write


def launched(config: Path | None, folder: Path) -> Path | None:
    """The file to launch with: the config, or where accelerate would not find DeepSpeed's, its copy in `folder`."""
    if config is None or _resolved(config) is None:
        return config
    return folder / f"accelerate-{config.name}"


def write_launched(config: Path | None, folder: Path) -> None:
    """Write that copy, where one is needed, with the absolute path of DeepSpeed's file."""
    if config is not None and (resolved := _resolved(config)) is not None:
        atomic_write(folder / f"accelerate-{config.name}", yaml.safe_dump(resolved, sort_keys=False))


def _resolved(config: Path) -> dict[str, Any] | None:
    launch = read_launch(config)
    if launch.get("distributed_type") != "DEEPSPEED":
        return None
    file, named = deepspeed_file(config, launch), Path(launch["deepspeed_config"]["deepspeed_config_file"])
    if named.is_file() and named.samefile(file):
        return None
    return {**launch, "deepspeed_config": {**launch["deepspeed_config"], "deepspeed_config_file": str(file.resolve())}}
