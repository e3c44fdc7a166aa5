"""The settings of a run that are ours: what to fine-tune, on which pairs and text, towards what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.machine.peers import HANG_SECONDS

OF_BALANCE = ("end_weight", "text_kl_weight")
"""Weights of further terms of `balance`, 0 where they are not wanted."""

ON_TEXT = ("cda", "dropout")
"""Objectives that train on running text, and on no pair."""

LEAST = {"end_weight": 0, "text_kl_weight": 0, "text_tokens": 2, "text_chunks": 1, "block_tokens": 2}
"""The smallest number that a setting takes."""


@dataclass
class PairArguments:
    """What to fine-tune, on which pairs, towards what."""

    _argument_group_name = "what to train, and towards what"

    model_name_or_path: str = field(
        metadata={"help": "the model: a folder or a hub id; causal, masked or encoder-decoder"}
    )
    objective: Literal["anti", "both", "balance", "dpo", "ipo", "more", "cda", "dropout"] = field(
        default="balance",
        metadata={
            "help": "what a step minimises: the loss of the less stereotypical sentence (anti), that of both (both), "
            "the gap between the two while the model stays close to the base (balance), a preference loss for the less "
            "stereotypical one (dpo, ipo), or the loss of the more stereotypical one, which makes a model more biased "
            "(more); or, on running text in place of pairs, language modelling with each paragraph about the other "
            "groups beside it (cda), or with dropout raised (dropout)"
        },
    )
    seq2seq_form: Literal["infill", "rewrite"] = field(
        default="infill",
        metadata={
            "help": "of encoder-decoders: fill in what the pair does not share, as it is scored, or rewrite one "
            "sentence as the other"
        },
    )
    balance_weight: float = field(default=0.5, metadata={"help": "of balance: how much the gap of a pair counts"})
    kl_weight: float = field(default=0.5, metadata={"help": "of balance: how much distance from the base counts"})
    end_weight: float = field(
        default=0.0,
        metadata={
            "help": "of balance: how much the gap of the last tokens that a pair's sentences share counts once more: "
            "how much likelier the rest is after one group's name; of causal models, and of seq2seq_form=rewrite"
        },
    )
    text_kl_weight: float = field(
        default=0.0,
        metadata={"help": "of balance: how much distance from the base on running text counts, at every step"},
    )
    text: str | None = field(
        default=None,
        metadata={
            "help": "running text, a plain UTF-8 file (default: WikiText-2's validation file): of text_kl_weight, cda "
            "and dropout"
        },
    )
    block_tokens: int = field(default=128, metadata={"help": "of cda and dropout: tokens of a text, at most"})
    bias_types: list[str] = field(
        default_factory=lambda: ["gender"], metadata={"help": "of cda: whose words are exchanged"}
    )
    words: str | None = field(default=None, metadata={"help": "of cda: a word list in place of the project's own"})
    text_tokens: int = field(default=64, metadata={"help": "of text_kl_weight: tokens of a piece of text"})
    text_chunks: int = field(default=2, metadata={"help": "of text_kl_weight: pieces that all of a step reads"})
    beta: float = field(
        default=0.1, metadata={"help": "of dpo and ipo: how little the preference may leave the base's; above 0"}
    )
    balanced_tokens: Literal["modified", "all"] = field(
        default="modified",
        metadata={
            "help": "of masked models under balance, dpo and ipo: the tokens whose log-probabilities count; all is "
            "what crows_pairs scores, at some ten times the cost"
        },
    )
    share_prefixes: bool = field(
        default=True,
        metadata={"help": "of causal models that can: compute what the sentences of a pair begin with once"},
    )
    full: bool = field(default=False, metadata={"help": "train all weights instead of a LoRA adapter"})
    lora_r: int = field(default=16, metadata={"help": "rank of the LoRA adapter"})
    lora_alpha: int = field(default=32, metadata={"help": "scale of the LoRA adapter, over its rank"})
    lora_dropout: float = field(default=0.0, metadata={"help": "dropout before the adapter"})
    lora_target_modules: list[str] = field(
        default_factory=lambda: ["all-linear"],
        metadata={"help": "modules that get an adapter; all-linear: all but the output layer"},
    )
    num_folds: int = field(
        default=5,
        metadata={
            "help": "parts to cut CrowS-Pairs into, related pairs in one part; 1 trains on all. cda and dropout train "
            "once, on no pair"
        },
    )
    folds: list[str] = field(
        default_factory=lambda: ["all"],
        metadata={
            "help": "parts to hold out, each from a training of its own: numbers from 0, or all, which holds out "
            "every pair once"
        },
    )
    start_token_id: int | None = field(
        default=None, metadata={"help": "of causal models: the token before each sentence (default: BOS, else EOS)"}
    )
    data_dir: str | None = field(
        default=None, metadata={"help": "folder that holds crows_pairs/ (default: as `stereoscope data list` says)"}
    )
    hang_seconds: float = field(
        default=HANG_SECONDS,
        metadata={
            "help": "of several processes: end the run, and name the one that hangs, when others have waited so many "
            "seconds for it and it did nothing; a step that computes gets ten times as many on top of three times the "
            "longest so far"
        },
    )
    allow_pickle: bool = field(
        default=False,
        metadata={
            "help": "load pickled weights, and pickled state of ZeRO that this run did not write; they can run code "
            "of whoever made them"
        },
    )

    def __post_init__(self) -> None:
        if wrong := [problem for _, problem in wrong_settings(vars(self))]:
            raise ValueError("; ".join(wrong))
        self._require_read()

    def held_out_folds(self) -> list[int]:
        """The folds to train, each holding out its own pairs; what trains on text holds out all of them, once.

        Raises:
            ValueError: a name that is neither `all` nor a fold's number.
        """
        if self.objective in ON_TEXT:
            return [0]
        if self.folds == ["all"]:
            return list(range(self.num_folds))
        if wrong := [name for name in self.folds if not name.isdigit() or int(name) >= self.num_folds]:
            raise ValueError(f"folds has {wrong}; expected `all` or numbers from 0 to {self.num_folds - 1}")
        return [int(name) for name in self.folds]

    def _require_read(self) -> None:
        for name in OF_BALANCE:
            if getattr(self, name) and self.objective != "balance":
                raise ValueError(
                    f"{name}={getattr(self, name):g}: {self.objective} does not read it; leave it out, or take "
                    "objective=balance"
                )
        if self.objective != "cda" and (self.words is not None or self.bias_types != ["gender"]):
            raise ValueError(f"words and bias_types: {self.objective} exchanges no words; leave them out, or take cda")


def reads_text(settings: Mapping[str, Any]) -> bool:
    """Whether a run with these settings reads running text."""
    return bool(settings.get("text_kl_weight")) or settings.get("objective") in ON_TEXT


def wrong_settings(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each of these settings whose number is too small to mean anything, and why."""
    if "beta" in settings and float(settings["beta"]) <= 0:
        yield "beta", f"beta={settings['beta']}: a preference loss needs it above 0; 0.1 is usual"
    for name, least in LEAST.items():
        if name in settings and float(settings[name]) < least:
            yield name, f"{name}={settings[name]}: expected {least} or more"
