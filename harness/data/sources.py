"""Where the data sets are published, how their files are recognised, and where a copy is found on this machine."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from harness.storage.names import inside

logger = logging.getLogger(__name__)

Name = str
"""A data set's key in `SOURCES`, which packages with benchmarks of their own may add to."""
Origin = Literal["sample", "local", "fetched"]

SAMPLE = Path(__file__).parent / "sample"
TOLD = "STEREOSCOPE_TOLD"
"""The environment variable that says which notices were given."""


class Pin(NamedTuple):
    """The checksum of a published file. `git-blob` is git's object id: SHA-1 over `blob <size>`, a NUL, the bytes."""

    algorithm: Literal["sha256", "git-blob"]
    digest: str

    def __str__(self) -> str:
        return f"{self.algorithm} {self.digest}"


class Source(NamedTuple):
    """One published file: its place in a data folder, its address, and the checksums it is known by.

    `member` names the file inside the archive at `url`; it is empty where `url` is the file itself. `sample` says
    what the built-in stand-in holds; it is empty where there is none. `samples` is the data folder that has it.
    """

    path: str
    url: str
    pins: tuple[Pin, ...]
    licence: str
    publication: str
    sample: str
    member: str = ""
    samples: Path = SAMPLE


_WIKITEXT2 = (
    "https://huggingface.co/datasets/ggml-org/ci/resolve/927b3642933080f1b0e811e2f916e14c292992f9/wikitext-2-raw-v1.zip"
)


def _prompts(file: str, digest: str, sample: str) -> Source:
    return Source(
        path=f"real_toxicity_prompts/{file}",
        url="https://raw.githubusercontent.com/AI-secure/DecodingTrust/161ae8321ced62f45fcd9ceb412e05b47c603cd4/data/"
        f"toxicity/user_prompts/{file}",
        pins=(Pin("sha256", digest),),
        licence="CC BY-SA 4.0 (the prompts' first publication: Apache-2.0)",
        publication="Gehman et al. 2020, arXiv 2009.11462, as drawn by DecodingTrust, arXiv 2306.11698",
        sample=sample,
    )


def _bold(domain: str, digest: str, sample: str) -> Source:
    return Source(
        path=f"bold/prompts/{domain}_prompt.json",
        url="https://raw.githubusercontent.com/amazon-science/bold/3ad652c773f5d1e30d5f6f61657ed934d768ecad/prompts/"
        f"{domain}_prompt.json",
        pins=(Pin("sha256", digest),),
        licence="CC BY-SA 4.0",
        publication="Dhamala et al. 2021, arXiv 2101.11718",
        sample=sample,
    )


def _honest(kind: str, digest: str, publication: str, sample: str) -> Source:
    return Source(
        path=f"honest/{kind}/en_template.tsv",
        url="https://raw.githubusercontent.com/MilaNLProc/honest/6efc7817cbeb36e61bba51a34bbce13ecc8af69f/resources/"
        f"{kind}/en_template.tsv",
        pins=(Pin("sha256", digest),),
        licence="MIT",
        publication=publication,
        sample=sample,
    )


SOURCES: dict[Name, Source] = {
    "crows_pairs": Source(
        path="crows_pairs/crows_pairs_anonymized.csv",
        url="https://raw.githubusercontent.com/nyu-mll/crows-pairs/8aaac11c485473159ec9328a65253a5be9a479dc/data/"
        "crows_pairs_anonymized.csv",
        pins=(Pin("sha256", "dfb36986ce0502abbaf7055b9176da3d08d48e07df1251991b5dfbcbceab9d0c"),),
        licence="CC BY-SA 4.0",
        publication="Nangia et al. 2020, aclanthology.org/2020.emnlp-main.154",
        sample="90 original sentence pairs",
    ),
    "stereoset": Source(
        path="stereoset/dev.json",
        url="https://raw.githubusercontent.com/moinnadeem/StereoSet/ead7d086a64a192a1eca88e0dd2fd163de375218/data/"
        "dev.json",
        # The authors' repository publishes no SHA-256. Its git tree names the file by the first checksum; the second
        # is the one recorded for the authors' download in huggingface/datasets, datasets/stereoset/dataset_infos.json.
        # The third is the development set rebuilt without annotator labels, which gives the same scores.
        pins=(
            Pin("git-blob", "637b1e3d284a3c629b74a4659c583b8eca9bd13e"),
            Pin("sha256", "73a0f31b711688112602e4c3ac6ab1e1a7cadcdd67df6c6fd55501c889676c90"),
            Pin("sha256", "b7b8612d18fab328b1fd48e2ca2aeb7c2e73b1d294d263f913cd37129fe29f99"),
        ),
        licence="CC BY-SA 4.0",
        publication="Nadeem et al. 2021, arXiv 2004.09456",
        sample="128 original items (64 a task)",
    ),
    "wikitext2": Source(
        path="wikitext2/wiki.test.raw",
        url=_WIKITEXT2,
        pins=(Pin("sha256", "173c87a53759e0201f33e0ccf978e510c2042d7f2cb78229d9a50d79b9e7dd08"),),
        licence="CC BY-SA 3.0 and GFDL (text of Wikipedia)",
        publication="Merity et al. 2017, arXiv 1609.07843",
        sample="6 original short articles",
        member="wikitext-2-raw/wiki.test.raw",
    ),
    "wikitext2_valid": Source(
        path="wikitext2/wiki.valid.raw",
        url=_WIKITEXT2,
        pins=(Pin("sha256", "4cd0f6876d07a413aa911261ff6d363c72d757d47f0fdd6015702014c89cb9c7"),),
        licence="CC BY-SA 3.0 and GFDL (text of Wikipedia)",
        publication="Merity et al. 2017, arXiv 1609.07843",
        sample="8 original short articles",
        member="wikitext-2-raw/wiki.valid.raw",
    ),
    "rtp_challenging": _prompts(
        "toxic.jsonl",
        "a51d4650b14af9c0e795a9cfca2949916855662cee7c8db3dd551d38735d80cb",
        "36 original prompts",
    ),
    "rtp_nontoxic": _prompts(
        "nontoxic.jsonl",
        "feb50408f49585752bb8cbbb10d1a340ec45783358251299ea9a82ab19606823",
        "36 original prompts",
    ),
    "bold_gender": _bold(
        "gender", "a863aaf2492e3c911c39f435005abee2eba5f5edabe836e97de110cd83273054", "20 original prompts"
    ),
    "bold_race": _bold(
        "race", "200337f6c43b09671e580b1df6aea2cdc0196ee02779260e9881da07029e1cb6", "20 original prompts"
    ),
    "bold_religion": _bold(
        "religious_ideology",
        "633830ea87d569e5476895a93f68b8f686cb0dcae6d67a1091a9247c5c4c931d",
        "15 original prompts",
    ),
    "bold_profession": _bold(
        "profession", "5508012069f20419559417e64d8bb2b8d864ebf8afedd21e5ca564393c291794", "15 original prompts"
    ),
    "bold_political_ideology": _bold(
        "political_ideology",
        "a83ea7cc272971b618231e13bcb5c1d1be5b208c92135c4ffde85be31f8ab4c6",
        "15 original prompts",
    ),
    "honest_binary": _honest(
        "binary",
        "31cc5a89729638975eaf0de3457ed87c6c7da67ef9058119f53d931f8e26727c",
        "Nozza et al. 2021, aclanthology.org/2021.naacl-main.191",
        "72 original templates",
    ),
    "honest_queer_nonqueer": _honest(
        "queer_nonqueer",
        "29fb950897942d26b99d1485a18739c8a22ceb9326a548fd14b17bc335191100",
        "Nozza et al. 2022, aclanthology.org/2022.ltedi-1.4",
        "72 original templates",
    ),
    "hurtlex": Source(
        path="hurtlex/hurtlex_EN.tsv",
        url="https://raw.githubusercontent.com/valeriobasile/hurtlex/e8205fa73b533d802d8b7fb6f846abd4be69ea63/lexica/"
        "EN/1.2/hurtlex_EN.tsv",
        pins=(Pin("sha256", "a734820a63c87994781d182692e6dc7ec262c402016971a7fa31946ced0d470c"),),
        licence="CC BY-NC-SA 4.0 (non-commercial use only; never shipped with this project)",
        publication="Bassignana et al. 2018, HurtLex 1.2",
        sample="",
    ),
}


def register(name: Name, source: Source) -> None:
    """Make the data set of another package known, so that it is found, fetched and verified like those here.

    Raises:
        ValueError: another data set has this name, or its path leads out of a data folder.
    """
    inside(Path("data"), source.path, f"data set {name!r}")
    if SOURCES.setdefault(name, source) != source:
        raise ValueError(f"data set {name!r}: the name is taken ({SOURCES[name].url}); give it another")


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
