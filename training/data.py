"""What a training reads: pairs or texts, how they become a batch, and running text beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled

from harness.data.crows_pairs import Pair
from harness.data.families import Family
from harness.models.embedded import padding_id, unknown_token
from harness.models.positions import window
from training.dropout import require_drops
from training.families import collator_of, rows_of
from training.pair_arguments import ON_TEXT, PairArguments
from training.pairs import PairDataset, PairInEpoch
from training.running_text import DrawnText, pieces_of, text_file
from training.text_blocks import TextBlocks, TextCollator, text_blocks
from training.text_rows import longest_piece, row_of_text


def data_of(
    arguments: PairArguments,
    family: Family,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: Sequence[Pair],
    seed: int,
) -> tuple[PairDataset | TextBlocks, Callable[..., dict[str, Any]]]:
    """What is trained on, and how some of it becomes a batch.

    Args:
        model: as it was loaded, without an adapter.
        pairs: those to train on; none where the objective trains on running text.

    Raises:
        FileNotFoundError, ValueError: the model cannot be trained on these pairs, or on this text.
    """
    if arguments.objective not in ON_TEXT:
        read = rows_of(arguments, family, tokenizer, seed)
        dataset = PairDataset(pairs, read, window(model), partial(unknown_token, tokenizer, model))
        return dataset, collator_of(arguments, family, model, tokenizer, max(dataset.lengths))
    blocks = text_blocks(arguments, family, tokenizer, model, seed)
    # Under ZeRO-3 each process holds parts of the weights, and only a step puts them together.
    if arguments.objective == "dropout" and not is_deepspeed_zero3_enabled():
        inputs = blocks[PairInEpoch(0, 0)].row.inputs
        require_drops(model, {name: torch.tensor([ids]) for name, ids in inputs.items()})
    return blocks, TextCollator(padding_id(tokenizer, model))


def text_of(
    arguments: PairArguments, family: Family, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, seed: int
) -> DrawnText | None:
    """The text that each step holds the model to its base on; None where it is to count nothing.

    Raises:
        FileNotFoundError, ValueError: there is no such text, it is too short, or the model cannot read such pieces.
    """
    if not arguments.text_kl_weight:
        return None
    text, tokens = text_file(arguments), arguments.text_tokens
    row_of = row_of_text(arguments, family, tokenizer)
    if tokens > (longest := longest_piece(family, tokenizer, window(model))):
        raise ValueError(f"text_tokens={tokens}: {arguments.model_name_or_path} reads {longest} at once; lower it")
    pieces = pieces_of(text, tokenizer, tokens)
    if len(pieces) < arguments.text_chunks:
        raise ValueError(
            f"{text.path}: {len(pieces)} pieces of {tokens} tokens, and a step reads text_chunks="
            f"{arguments.text_chunks}; take a longer text, or lower text_tokens or text_chunks"
        )
    if told := unknown_token(tokenizer, model, *pieces):
        raise ValueError(f"{text.path}: the text has {told}; put the model's own tokenizer beside its weights")
    return DrawnText(pieces, row_of, arguments.text_chunks, seed)
