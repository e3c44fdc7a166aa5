"""The published data files: the address, licence and checksums of each, and which built-in sample stands in for it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from harness.storage.names import inside

Name = str
"""A data set's key in `SOURCES`, which packages with benchmarks of their own may add to."""

SAMPLE = Path(__file__).parent / "sample"


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


def _bbq(category: str, pin: Pin) -> Source:
    return Source(
        path=f"bbq/{category}.jsonl",
        url=f"https://raw.githubusercontent.com/nyu-mll/BBQ/bea11bd97d79217245b5871acd247b9d6eb24598/data/{category}.jsonl",
        pins=(pin,),
        licence="CC BY 4.0",
        publication="Parrish et al. 2022, doi.org/10.18653/v1/2022.findings-acl.165",
        sample="16 original questions",
    )


BBQ: dict[str, Pin] = {
    "Age": Pin("sha256", "46e805b3fc2d8cbd26eeb8e8430d98cf7b2dc9c83574ff3674e8ce4f0fca2a60"),
    "Disability_status": Pin("sha256", "375d40d9b71f056150264445ec189b13934998f3f49a1e311aa7578eb3b45e5f"),
    # Where the checksum is a git-blob's, it is the one that the authors' git tree names the file by at that commit.
    "Gender_identity": Pin("git-blob", "dc79ceaaa9e7126edc99a200d632899c50274b16"),
    "Nationality": Pin("sha256", "a583e74666aec0341ded8aa3983e7cad694eb24de72c254d28b2df3035720090"),
    "Physical_appearance": Pin("sha256", "e48d7e13508565f4801574e611043470c25c95a0a62af3699cb5ee7cb02608fb"),
    "Race_ethnicity": Pin("git-blob", "68daf3d692b27a10596772b3b15742b26f0b110e"),
    "Race_x_SES": Pin("git-blob", "905cd8a5b8734e2063fe524e69a38f0a71c75907"),
    "Race_x_gender": Pin("git-blob", "dd09a905b284690445d36259d675243950fa0bd7"),
    "Religion": Pin("sha256", "cb9555f9f3454a52cd2df85956b59bd7fcca5aa922c8527693b1164d08417616"),
    "SES": Pin("git-blob", "78d11ffbdb70f501617345e5c697d00045d57c29"),
    "Sexual_orientation": Pin("sha256", "2c71036b9e7584fe589c42aef32c1a42bc01b9a5e9b1b8704342630cdb08cefd"),
}
"""The checksum of the file of each category of BBQ, by the category's name in the data."""


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
    **{f"bbq_{category.lower()}": _bbq(category, pin) for category, pin in BBQ.items()},
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
