"""What a results file says of itself: which model, how it was asked, on which data, and digests of its samples."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from harness.storage.recipes import Recipe
from harness.terminal.secrets import without_tokens

# What of a task's metadata changes the question; the rest says where model and data lie, or holds secrets.
ASKING_METADATA = (
    "permutations",
    "prompt_template",
    "wording",
    "continuation_template",
    "sampled_tokens",
    "max_length",
    "k",
    "tokenizer",
    "add_bos_token",
    "use_fast_tokenizer",
)
# The keys of lm-eval's task config that decide a prompt. What a reader makes of the data is compared row by row.
_DEFINING = (
    "dataset_path",
    "dataset_name",
    "description",
    "doc_to_text",
    "doc_to_target",
    "doc_to_choice",
    "gen_prefix",
    "target_delimiter",
    "fewshot_delimiter",
    "output_type",
    "generation_kwargs",
    "repeats",
    "filter_list",
)


NOT_KNOWN = "not known"
MatchedBy: TypeAlias = Literal["perplexity", "norm"]
"""In what a control is as large a change as the training that it stands beside."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TaskData(_Record):
    """Which data a task was scored on; `n` of its `of` rows, None in files that do not say how many it has.

    The digest is of the file, or for a task that loads data of its own ("task") of its documents.
    """

    sha256: str
    origin: Literal["sample", "local", "fetched", "task"]
    n: int
    of: int | None = None


class Generation(_Record):
    """How a task's texts were drawn, and who judged them.

    `k` texts a prompt; `arguments` are lm-eval's generation arguments, `seed` what the noise of sampled texts comes
    from. `judge` is its name for readers, None until judged; `classifier` what it is loaded from, None for HurtLex.
    """

    measures: Literal["toxicity", "regard", "honest"]
    k: int
    arguments: dict[str, Any]
    seed: int
    classifier: str | None = None
    labels: tuple[str, ...] = ()
    judge: str | None = None
    judge_sha256: str | None = None

    @property
    def setting(self) -> str:
        """What belongs to the name of every metric: EMT grows with k, and another judge gives other numbers."""
        return f"k={self.k}, {self.arguments['max_gen_toks']} tokens, {self.judge or 'not judged'}"


class AskedTask(_Record):
    """How one task was asked: examples in its prompt, its version, and a digest of what its YAML says of the prompt."""

    shots: int = 0
    version: str | None = None
    definition_sha256: str | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)


class Asking(_Record):
    """How a model was asked, beside its start token and precision. A digest is None where nothing was applied.

    A chat behind an API is asked in its server's own template, which nobody here sees: "server's own" is its digest.
    """

    chat_template_sha256: str | None = None
    system_instruction_sha256: str | None = None
    fewshot_as_multiturn: bool = False
    seeds: dict[str, int | None] = Field(default_factory=dict)
    gen_kwargs: dict[str, Any] = Field(default_factory=dict)
    tasks: dict[str, AskedTask] = Field(default_factory=dict)


class Seal(_Record):
    """What a samples file was when it was written."""

    sha256: str
    lines: int


class Lineage(_Record):
    """What a model's own files say of where it comes from.

    `made_from` maps a place ("config.json", "README.md") to the model that it names, `shape` holds the sizes in its
    config; `embedding_sha256` is the digest of the input embeddings as fp32, which fine-tuning often leaves alone.
    """

    made_from: dict[str, str] = Field(default_factory=dict)
    shape: dict[str, str | int | bool] = Field(default_factory=dict)
    embedding_sha256: str | None = None


class Server(_Record):
    """The server that answered for a model, as far as it says: its name and version, and the model's size and format.

    `base_url` is without user, password and query.
    """

    base_url: str
    name: str | None = None
    version: str | None = None
    parameters: int | None = None
    format: str | None = None


class Provenance(_Record):
    """Where a results file comes from: model, weights, training step, data, conditions, versions, command.

    `inputs_sha256` names everything that decided the scores, so that a finished stage is known when a run goes on.
    `stage` is "base" for an untrained model, "step" for a checkpoint and "control" for one that was made without
    training, of the kind `control`, to compare steps with; `method` is the experiment's name for what made a step, or
    for what a control stands beside, None where an experiment has a single one; with a `recipe` the step is a base's
    weights asked otherwise, and `weights_sha256` is a digest of both. `fold` counts from 0 and is None
    without cross-fitting.
    `seed` is that of the training or of the control, None where an experiment names none. `started_after` is the token
    that a sentence's first token is conditioned on, for a masked model the one that stands before it, "" where there is
    none. `generations` names each task that had texts generated.

    Files of before lack what has a default None: not recorded. `base_weights_sha256` is the digest of what was trained,
    an adapter's base; `trained_on` has the CrowS-Pairs that the checkpoint's split trained on, empty where it has no
    split; `samples` the seal of each samples file. `weights_sha256` is a digest of files, or of the tensors of a model
    that was in memory, as `weights_from` says; nothing is known of that one's training. Of a model behind an API, which
    `server` tells of, `weights_sha256` and, unless the server says, `parameters` are None and `dtype` is "not known";
    of one that plain `lm_eval` scored `weights_sha256` is None too.
    `command` is kept without keys and tokens, whoever gives it.
    """

    model: str
    pretrained: str
    parameters: int | None
    family: Literal["causal", "masked", "seq2seq"] = "causal"
    weights_sha256: str | None
    weights_from: Literal["files", "memory", "server"] = "files"
    server: Server | None = None
    base_weights_sha256: str | None = None
    trained_on: dict[str, int] | None = None
    lineage: Lineage | None = None
    stage: Literal["base", "step", "control"] = "base"
    method: str | None = None
    recipe: Recipe | None = None
    control: str | None = None
    matched_by: MatchedBy | None = None
    step: int | None = None
    epoch: float | None = None
    fold: int | None = None
    seed: int | None = None
    checkpoint: str | None = None
    started_after: str
    started_after_id: int
    dtype: str
    asking: Asking | None = None
    tasks: dict[str, TaskData]
    generations: dict[str, Generation] = Field(default_factory=dict)
    samples: dict[str, Seal] = Field(default_factory=dict)
    versions: dict[str, str]
    command: Annotated[str, AfterValidator(without_tokens)]
    seconds: float
    inputs_sha256: str = ""

    @property
    def passes(self) -> int:
        """How often the model reads a text to use it as it was scored."""
        return 1 if self.recipe is None else self.recipe.passes

    @property
    def weights(self) -> str:
        """What tells these weights from others: their digest, or the server that has them, which may change them."""
        if self.weights_sha256 is not None:
            return self.weights_sha256
        if self.server is None and self.weights_from == "files":
            return f"{self.pretrained}, weights {NOT_KNOWN}"
        server = self.server or Server(base_url="a server")
        return f"{self.pretrained} at {server.base_url}, {server.name or 'server'} {server.version or NOT_KNOWN}"

    @property
    def weights_shown(self) -> str:
        """The same for readers: the beginning of a digest."""
        return self.weights if self.weights_sha256 is None else self.weights_sha256[:12]

    @property
    def is_judged(self) -> bool:
        """Whether all that was generated was judged too."""
        return all(generation.judge for generation in self.generations.values())


def asking_of(results: Mapping[str, Any], tasks: Collection[str]) -> Asking:
    """How the tasks were asked, by what lm-eval itself notes in its results."""
    config = results.get("config") or {}
    given = config.get("gen_kwargs") or {}
    seeds = ("random_seed", "numpy_seed", "torch_seed", "fewshot_seed")
    return Asking(
        chat_template_sha256=results.get("chat_template_sha"),
        system_instruction_sha256=results.get("system_instruction_sha"),
        fewshot_as_multiturn=bool(results.get("fewshot_as_multiturn")),
        seeds={name: config[name] for name in seeds if name in config},
        gen_kwargs=dict(given) if isinstance(given, Mapping) else {"as given": str(given)},
        tasks={task: _asked_task(results, task) for task in sorted(tasks)},
    )


def _asked_task(results: Mapping[str, Any], task: str) -> AskedTask:
    config = (results.get("configs") or {}).get(task)
    version = (results.get("versions") or {}).get(task)
    metadata = (config or {}).get("metadata") or {}
    return AskedTask(
        shots=int((results.get("n-shot") or {}).get(task) or 0),
        version=None if version is None else str(version),
        definition_sha256=None if config is None else _definition_sha256(config),
        metadata={key: metadata[key] for key in ASKING_METADATA if key in metadata},
    )


def _definition_sha256(config: Mapping[str, Any]) -> str:
    told = {key: str(config[key]) for key in _DEFINING if config.get(key) is not None}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
