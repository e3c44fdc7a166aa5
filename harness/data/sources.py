"""Where a copy of a data set is found on this machine, and whether its file is the published one."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from harness.data.published import SAMPLE as SAMPLE
from harness.data.published import SOURCES as SOURCES
from harness.data.published import Name as Name
from harness.data.published import Pin as Pin
from harness.data.published import Source as Source
from harness.data.published import register as register

logger = logging.getLogger(__name__)

Origin = Literal["sample", "local", "fetched"]

TOLD = "STEREOSCOPE_TOLD"
"""The environment variable that says which notices were given."""


class DataFile(NamedTuple):
    """A data file on this machine. `pinned`: its checksum is a published one, so scores on it compare with others."""

    path: Path
    sha256: str
    origin: Origin
    pinned: bool

    @property
    def columns(self) -> dict[str, str]:
        """What every row carries of its file."""
        return {"data_sha256": self.sha256, "data_origin": self.origin}


def find(benchmark: Name, data_dir: str | Path | None = None) -> DataFile:
    """The file to score `benchmark` on: `data_dir`, else `STEREOSCOPE_DATA`, else fetched, else the built-in sample.

    `data_dir` and `STEREOSCOPE_DATA` name a folder laid out as `Source.path` says, or are the word `sample`, which
    means the built-in one. What has no built-in sample is then taken where it was fetched to.

    Raises:
        FileNotFoundError: the folder asked for does not hold the file, or nothing does and there is no sample of it.
        ValueError: the fetched file is not the published one.
    """
    source = SOURCES[benchmark]
    asked, by = _asked(data_dir)
    if asked and asked != "sample":
        return _local(source, Path(asked).expanduser(), by)
    fetched = cache_folder() / source.path
    if (not asked or not source.sample) and fetched.is_file():
        if not is_published(fetched, source):
            raise ValueError(
                f"{fetched}: this fetched file was altered: {mismatch(fetched, source)}. Delete it and run "
                f"`stereoscope data fetch {benchmark}` again."
            )
        return DataFile(fetched, sha256(fetched), "fetched", pinned=True)
    if not source.sample:
        raise FileNotFoundError(
            f"{benchmark}: not on this machine, and there is no built-in sample of it. `stereoscope data fetch "
            f"{benchmark}` downloads it, or put the published file into your data folder as {source.path} and set "
            f"STEREOSCOPE_DATA. Licence: {source.licence}"
        )
    path = source.samples / source.path
    return DataFile(path, sha256(path), "sample", pinned=False)


def locate(benchmark: Name, data_dir: str | Path | None = None) -> DataFile:
    """`find`, with a warning where scores will not compare with published ones: an altered file, the sample unasked."""
    source = SOURCES[benchmark]
    file = find(benchmark, data_dir)
    if file.origin == "sample" and not _asked(data_dir)[0]:
        tell_once(
            f"{benchmark}: scores on the built-in sample of {source.sample} show that things work and are not "
            "comparable with published numbers; set STEREOSCOPE_DATA or run `stereoscope data fetch`."
        )
    if file.origin == "local" and not file.pinned:
        tell_once(f"{file.path}: altered, or another edition than the published one: {mismatch(file.path, source)}")
    return file


def locate_for(benchmark: Name, metadata: Mapping[str, object]) -> DataFile:
    """`locate` with the `data_dir` of a task's metadata, where there is one."""
    data_dir = metadata.get("data_dir")
    return locate(benchmark, str(data_dir) if data_dir else None)


def cache_folder() -> Path:
    """The data folder that `stereoscope data fetch` writes: `$STEREOSCOPE_CACHE`, else `~/.cache/stereoscope/data`."""
    return Path(os.environ.get("STEREOSCOPE_CACHE") or "~/.cache/stereoscope/data").expanduser()


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    return digest(path, "sha256")


def digest(path: Path, algorithm: Literal["sha256", "git-blob"]) -> str:
    """Hex checksum of a file's bytes, of the kind a `Pin` names."""
    hasher = hashlib.sha256() if algorithm == "sha256" else hashlib.sha1(b"blob %d\0" % path.stat().st_size)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            hasher.update(block)
    return hasher.hexdigest()


def is_published(path: Path, source: Source) -> bool:
    """Whether the file carries one of the source's checksums."""
    return any(digest(path, pin.algorithm) == pin.digest for pin in source.pins)


def mismatch(path: Path, source: Source) -> str:
    """The expected and the found checksums of a file that is not the published one, for a message."""
    kinds = sorted({pin.algorithm for pin in source.pins}, reverse=True)
    found = ", ".join(str(Pin(kind, digest(path, kind))) for kind in kinds)
    return f"expected {' or '.join(map(str, source.pins))}; found {found}"


def _asked(data_dir: str | Path | None) -> tuple[str, str]:
    """The data folder somebody asked for ("" where nobody did), and by which setting."""
    if data_dir:
        return str(data_dir), "data_dir"
    return os.environ.get("STEREOSCOPE_DATA", ""), "STEREOSCOPE_DATA"


def _local(source: Source, folder: Path, by: str) -> DataFile:
    path = folder / source.path
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such file, though {by} names {folder} as the data folder. Expected the file with "
            f"{' or '.join(map(str, source.pins))} there. `stereoscope data fetch` downloads it (then leave {by} "
            f"unset), and {by}=sample means the built-in sample."
        )
    return DataFile(path, sha256(path), "local", is_published(path, source))


def tell_once(message: str) -> None:
    """Warn once a run: its stages inherit what was told, and of a launch's processes the first one tells it."""
    told = os.environ.get(TOLD, "").split()
    digest = hashlib.sha256(message.encode()).hexdigest()[:16]
    if digest in told or os.environ.get("RANK", "0") != "0":
        return
    os.environ[TOLD] = " ".join([*told, digest])
    logger.warning(message)
