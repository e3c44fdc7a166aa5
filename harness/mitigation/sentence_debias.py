"""SentenceDebias (Liang et al. 2020, aclanthology.org/2020.acl-main.488): the group's principal directions are gone.

Features f of a sentence and its counterfactuals, scaled to length 1, less their mean over the sentence's versions:
x_ng = f_ng / |f_ng| - mean_g(f_ng / |f_ng|). With v_1..v_k the first principal components of all x_ng,

    h <- h - sum_i (h . v_i) v_i

It is linear: no shift. One component a bias type is the published setting (`components`).
"""

from __future__ import annotations

import torch

from harness.mitigation.projection import Examples, Projection, without
from harness.storage.projections import Settings


def sentence_debias(examples: Examples, settings: Settings, takes_shift: bool = False) -> Projection:
    """The projection; `takes_shift` makes no difference.

    Raises:
        ValueError: more components than the examples span, or than the hidden state has dimensions.
    """
    lengths = examples.versions.double().norm(dim=-1, keepdim=True).clamp_min(torch.finfo(torch.float64).tiny)
    unit = examples.versions.double() / lengths
    centred = (unit - unit.mean(dim=1, keepdim=True)).flatten(0, 1)
    # Each sentence is centred by itself, so that the mean over all of them is 0 and no principal component either.
    _, sizes, directions = torch.linalg.svd(centred, full_matrices=False)
    spanned = int((sizes > 1e-9 * sizes.max()).sum()) if sizes.max() > 0 else 0
    if settings.components > spanned:
        raise ValueError(
            f"components={settings.components}: sentences and their counterfactuals differ in {spanned} directions; "
            "take fewer components or more text"
        )
    return without(directions[: settings.components])
