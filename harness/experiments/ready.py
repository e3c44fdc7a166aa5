"""The ready experiments that come with the program: listed, and copied to start from."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from harness.experiments.experiment_file import ExperimentFile, defaults
from harness.experiments.names import check_name
from harness.storage.files import atomic_write
from harness.storage.reading import parse_yaml
from harness.storage.shipped import shipped, shipped_file, shipped_names

HEADER = """\
# From the experiment {name} of lm-stereoscope, to change as you like.
#   stereoscope run --dry-run {file}   says what it would do
#   stereoscope run {file}             does it, in runs/{run}
# Folders and files named here are looked for beside this file first, then in the folder that you start from.
{configs}
# `training` takes every flag of `stereoscope train --help`. Keys that are not below have these values:
{defaults}
#
"""


def listing() -> Iterator[str]:
    """The lines of `stereoscope experiments`: of each its name, what it is for, its models, tasks and data."""
    for name in shipped_names("experiments"):
        text = (shipped("experiments") / f"{name}.yaml").read_text(encoding="utf-8")
        file = ExperimentFile.model_validate(parse_yaml(text, name))
        tasks = dict.fromkeys(task for model in file.models for task in model.tasks or file.tasks)
        yield from _wrapped(f"{name}: ", purpose(text), "  ")
        yield from _wrapped("  models: ", ", ".join(model.pretrained for model in file.models))
        yield from _wrapped("  tasks:  ", ", ".join(tasks))
        yield from _wrapped("  data:   ", _data(file.data_dir))
        yield ""
    yield "`stereoscope run NAME` runs one, `stereoscope plan NAME` tells the memory that its training takes,"
    yield "`stereoscope init NAME` writes a copy into this folder to start from."


def purpose(text: str) -> str:
    """The first sentence of the comment that a file begins with."""
    comment = " ".join(line.lstrip("# ").rstrip() for line in _leading_comment(text))
    return re.split(r"(?<=[.?!]) ", comment, maxsplit=1)[0]


def write_copy(name: str, file: Path | None = None) -> Path:
    """Write a commented copy of a shipped experiment, of the new file's name, and return the file.

    Raises:
        ValueError: no such experiment, or a file name that no run's folder could have.
        FileExistsError: the file is there already.
    """
    source = shipped_file("experiments", name)
    if source is None:
        raise ValueError(
            f"no experiment {name}; those that come with the program are {', '.join(shipped_names('experiments'))}"
        )
    target = file or Path(f"{source.stem}.yaml")
    if target.exists():
        raise FileExistsError(f"{target} is there already, and is left as it is; name another file")
    run = check_name(target.stem)
    text = re.sub(r"^name: .*$", f"name: {run}", source.read_text(encoding="utf-8"), count=1, flags=re.MULTILINE)
    names = ", ".join(shipped_names("accelerate_configs"))
    configs = _wrapped("# ", f"`accelerate_config` may be one of {names}.", "# ")
    absent = "\n".join(f"#   {line}" for line in defaults(text))
    header = HEADER.format(name=source.stem, file=target, run=run, configs="\n".join(configs), defaults=absent)
    atomic_write(target, header + text)
    return target


def _leading_comment(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if not line.startswith("#"):
            return
        yield line


def _wrapped(first: str, text: str, later: str | None = None) -> list[str]:
    indent = " " * len(first) if later is None else later
    # Names are not broken at their hyphens.
    return textwrap.wrap(text, 110, initial_indent=first, subsequent_indent=indent, break_on_hyphens=False)


def _data(data_dir: str | None) -> str:
    if data_dir == "sample":
        return "the built-in samples"
    if data_dir is not None:
        return f"the folder {data_dir}"
    return "the published sets (`stereoscope data fetch`, or STEREOSCOPE_DATA); without them the built-in samples"
