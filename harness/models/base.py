"""What every scored model has in common: loading, what tasks are told of it, processes, batches, adapters."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from lm_eval.models.huggingface import HFLM
from lm_eval.models.utils import normalize_gen_kwargs
from peft import PeftModel

from harness.data.families import Family, read_config, require_family
from harness.data.in_memory import held
from harness.inference.recipe import recipe_of
from harness.machine.allocator import keep_freed_memory
from harness.machine.processes import join_processes, processes_on_cpu
from harness.models.adapters import Attached, attach
from harness.models.arguments import require_dtype, require_known_arguments
from harness.models.batches import InBatches
from harness.models.borrowed import base_parameters, tensors_sha256
from harness.models.by_recipe import ByRecipe
from harness.models.embedded import padding_id, unknown_token
from harness.models.requests import request_name
from harness.models.sampling import Asked, continuations, numbered, sampling_of
from harness.storage.recipes import Recipe, weights_by
from harness.storage.weights import files_sha256, require_safe_weights

log = logging.getLogger(__name__)

# lm-eval leaves the log-softmax in the logits' dtype. In bfloat16 a sentence then scores -141 or -144, in whole nats.
SOFTMAX_DTYPE = "float32"
# Arguments that decide how a text is cut into tokens and windows; tasks are told of them.
OF_TOKENS = ("tokenizer", "add_bos_token", "use_fast_tokenizer", "max_length")


class TransformersLM(InBatches, ByRecipe, HFLM):
    """lm-eval's `hf` for one family of models, with these differences.

    fp32 unless told otherwise, log-softmax and its sums always; safetensors only, unless `allow_pickle`; models of
    other families refused; documents shared out over all processes of `accelerate launch`, on CPU too; a log-likelihood
    that is no finite number is an error; batches are filled up to a number of tokens; adapters can be swapped.
    """

    family: ClassVar[Family]
    backend_name: ClassVar[str]
    _model: Any

    def __init__(
        self,
        pretrained: str,
        *,
        device: str | None = None,
        dtype: str = "float32",
        batch_size: int | str = "auto",
        revision: str = "main",
        subfolder: str = "",
        gguf_file: str | None = None,
        peft: str | None = None,
        prefix_token_id: int | None = None,
        allow_pickle: bool = False,
        recipe: str | Mapping[str, Any] | Recipe | None = None,
        trust_remote_code: bool = False,
        **kwargs: Any,
    ) -> None:
        """Load the model; the arguments are lm-eval's.

        Args:
            pretrained: a model folder, a hub id, or the name of a model in memory (`harness.data.in_memory`), which
                stays on its device and in its precision.
            batch_size: rows a batch at most; "auto" sets no such limit beside the one on tokens.
            allow_pickle: whether weights that can run code when they are loaded are accepted.
            recipe: a method at inference, see `use_recipe`; a kind's name, or a YAML file with its settings.

        Raises:
            ValueError: a model of another family, a folder without weights or with pickled ones only, a checkpoint
                that lacks weights of the model, or too few processes.
        """
        source = {"revision": revision, "subfolder": subfolder, "gguf_file": gguf_file}
        self._held = held(pretrained)
        require_family({"pretrained": pretrained, **source}, f"hf-{self.family}", (self.family,))
        if "share_prefixes" in kwargs:
            raise ValueError(f"share_prefixes: of hf-causal alone; hf-{self.family} reads each text as a whole")
        require_dtype(dtype)
        require_known_arguments(kwargs, read_config({"pretrained": pretrained, **source}))
        meant = None if recipe is None else recipe_of(recipe)
        in_memory = {} if self._held is None else {"tokenizer": self._held.tokenizer}
        if self._held is None and gguf_file is None:
            require_safe_weights(pretrained, allow_pickle)
            kwargs |= {} if allow_pickle else {"use_safetensors": True}
        state = join_processes()
        with processes_on_cpu():
            super().__init__(
                pretrained if self._held is None else self._held.model,
                backend=self.backend_name,
                device=_device(device),
                dtype=dtype,
                batch_size=batch_size,
                prefix_token_id=None if prefix_token_id is None else int(prefix_token_id),
                trust_remote_code=trust_remote_code,
                **source,
                **{"softmax_dtype": SOFTMAX_DTYPE, **kwargs},
                **in_memory,
            )
        self.pretrained = pretrained
        self._rank, self._world_size = state.process_index, state.num_processes
        if self.tokenizer.pad_token_id not in (None, known := padding_id(self.tokenizer, self._model)):
            self.tokenizer.pad_token = self.tokenizer.convert_ids_to_tokens(known)
        if self.device.type == "cpu":
            keep_freed_memory()
        self.metadata: dict[str, Any] = {
            "pretrained": pretrained,
            **{name: value for name, value in source.items() if value},
            **{
                name: kwargs[name]
                for name in ("tokenizer", "add_bos_token", "use_fast_tokenizer", "max_length")
                if name in kwargs
            },
        }
        self.parameters = base_parameters(self._model)
        self.adapter: Path | None = None
        self._attached: Attached | None = None
        if peft:
            self.use_adapter(peft)
        self.use_recipe(meant)

    @property
    def start(self) -> tuple[str, int]:
        """The token that scored text starts after, and its id."""
        return str(self.tokenizer.convert_ids_to_tokens(self.prefix_token_id)), int(self.prefix_token_id)

    @property
    def task_metadata(self) -> dict[str, Any]:
        """What the tasks are told of the model: enough to load its tokenizer and find its checkpoint's split."""
        return {
            **self.metadata,
            **({} if self.custom_prefix_token_id is None else {"prefix_token_id": self.custom_prefix_token_id}),
            **({} if self.adapter is None else {"peft": str(self.adapter)}),
        }

    @property
    def weights_sha256(self) -> str:
        """Digest of the files that the base model's weights came from and, with an adapter, of the adapter's.

        With a recipe it is one of both: the same weights, asked otherwise, answer otherwise.

        Of a model in memory it is one of its tensors, see `tensors_sha256`: what a file says of it may be long past.
        """
        if self._held is not None:
            return weights_by(self.recipe, tensors_sha256(self._model))
        return weights_by(self.recipe, files_sha256(**self._source, peft=self.peft))

    @property
    def base_weights_sha256(self) -> str:
        """The same without the adapter and the recipe."""
        return files_sha256(**self._source)

    @property
    def _source(self) -> dict[str, str]:
        names = ("pretrained", "revision", "subfolder", "gguf_file")
        return {name: self.metadata[name] for name in names if name in self.metadata}

    @property
    def weights_from(self) -> Literal["files", "memory"]:
        """What `weights_sha256` is a digest of."""
        return "files" if self._held is None else "memory"

    @property
    def end_token_ids(self) -> list[int]:
        """The tokens that end a generated text."""
        configured = self._model.generation_config.eos_token_id
        ids = configured if isinstance(configured, list) else [configured]
        return sorted({int(token) for token in (*ids, self.eot_token_id) if token is not None})

    @property
    def whole_model(self) -> Any:
        """The `transformers` model, an adapter's layers inside it where there is one."""
        return self._model.get_base_model() if isinstance(self._model, PeftModel) else self._model

    def get_model_info(self) -> dict[str, Any]:
        """lm-eval's note on the model; for one in memory no revision on the hub can be named."""
        if self._held is None:
            return dict(super().get_model_info())
        return {"model_num_parameters": self.parameters, "model_dtype": self._model.dtype}

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """lm-eval's generations; sampled ones (`do_sample`) as `harness.models.sampling` draws them.

        Raises:
            ValueError: a prompt and what may be generated after it exceed the model's window, or an argument of
                sampling is unknown or out of range.
        """
        numbers = numbered(requests)
        sampled: dict[int, Asked] = {}
        for place, request in enumerate(requests):
            prompt, arguments = request.args
            ids = self._prompt_ids(prompt)
            self.require_embedded(request, ids)
            room = int(normalize_gen_kwargs(dict(arguments), self.max_gen_toks)["max_gen_toks"])
            if (needed := self._positions_needed(len(ids), room)) > self.max_length:
                raise ValueError(self.too_long(request, needed))
            if sampling := sampling_of(request, self.max_gen_toks, greedy_too=self.recipe is not None):
                sampled[place] = Asked(prompt, tuple(ids), sampling, numbers[place])
        greedy = [place for place in range(len(requests)) if place not in sampled]
        texts: dict[int, str] = {}
        if greedy:
            with self.batch_size_known():
                found = super().generate_until([requests[place] for place in greedy], disable_tqdm=disable_tqdm)
            texts |= zip(greedy, found, strict=True)
        if sampled:
            drawn = continuations(self, list(sampled.values()), disable_tqdm)
            texts |= {place: drawn[asked] for place, asked in sampled.items()}
        return [texts[place] for place in range(len(requests))]

    def prompt_parts(self, ids: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """A prompt's tokens as the part that is read at once, by all who share it, and the rest, one after the other.

        How a prompt is parted must depend on nothing but itself: tokens read together round otherwise.
        """
        raise NotImplementedError

    def _prompt_ids(self, prompt: str) -> list[int]:
        raise NotImplementedError

    def _positions_needed(self, prompt: int, room: int) -> int:
        """Of the model's window, for a prompt of so many tokens and so many new ones."""
        raise NotImplementedError

    def use_adapter(self, path: str | Path | None) -> None:
        """Put another LoRA adapter on the loaded base weights; None takes the adapter off, and the base is as loaded.

        Raises:
            ValueError: the adapter was trained on another base model, or does not hold all that changed in it; the
                model then has no adapter.
        """
        if self._attached is not None:
            self._model = self._attached.kept.put_back()
            self.adapter = self.peft = self._attached = None
        if path is not None:
            self._attached = attach(self._model, Path(path), self.pretrained)
            self._model = self._attached.model
            self.adapter, self.peft = Path(path), str(path)

    def _create_model(self, pretrained: str, **kwargs: Any) -> None:
        if any(kwargs.get(other) for other in ("delta", "autogptq", "gptqmodel")):
            super()._create_model(pretrained, **kwargs)
            return
        super()._create_model(pretrained, output_loading_info=True, **kwargs)
        self._model, loading = self._model
        head, embeddings = self._model.get_output_embeddings(), self._model.get_input_embeddings()
        if head is not None and head.weight is not embeddings.weight:
            # transformers calls every T5 tied and loads FLAN-T5's own head all the same; lm-eval then ties it.
            self._model.config.tie_word_embeddings = False
        # transformers draws them at random and goes on; of a checkpoint without a vocabulary head that scores noise.
        parameters = {name for name, _ in self._model.named_parameters()}
        if missing := sorted(parameters & set(loading["missing_keys"])):
            raise ValueError(
                f"{pretrained}: its files lack {len(missing)} weights of a {self.family} language model, first "
                f"{missing[0]}. It was saved without its vocabulary head or is another kind of model; take the "
                "checkpoint that it was made from"
            )

    def require_embedded(self, request: Any, *ids: Sequence[int]) -> None:
        """Refuse a request whose text has tokens that the model has no embedding for.

        Published tokenizers often have some (`<pad>` of Llama 2), which no text needs.

        Args:
            ids: what the model is to read and to predict.

        Raises:
            ValueError: names the document, the token and the model.
        """
        if told := unknown_token(self.tokenizer, self._model, *ids):
            raise ValueError(
                f"{request_name(request)}: its text has {told}. Leave the document out, or, if {self.pretrained} was "
                "made with another tokenizer, name that one with tokenizer=..."
            )

    def too_long(self, request: Any, length: int) -> str:
        return (
            f"{request_name(request)}: {length} tokens with special tokens, and the context window of "
            f"{self.pretrained} has {self.max_length}. It would have to be cut, which scores another text; leave the "
            "document out or take a model with a longer window."
        )


def _device(asked: str | None) -> str:
    if asked is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    if asked.startswith("cuda") and not torch.cuda.is_available():
        log.warning("device %s: torch finds no GPU here; scoring on the CPU", asked)
        return "cpu"
    return asked
