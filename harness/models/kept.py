"""A model as it was before an adapter was put on it: its modules, and the very memory that its weights lie in."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class Kept:
    """Remembers a model without copying it, and puts it back to the bit; nothing may write into its weights meanwhile.

    PEFT's own `unload` leaves trained copies of modules (`modules_to_save`) in the model, and the weights as PiSSA,
    OLoRA and LoftQ change them when they are set up.
    """

    def __init__(self, model: Any) -> None:
        """Remember `model`, which has no adapter."""
        self.model = model
        self.weights: dict[str, Tensor] = {
            name: weight.data for name, weight in model.named_parameters(remove_duplicate=False)
        }
        self._owned = [(weight, weight.data) for weight in model.parameters()]
        self._parts = [(part, *map(dict, _parts(part))) for part in model.modules()]
        self._embeddings = int(model.get_input_embeddings().num_embeddings)

    def put_back(self) -> Any:
        """Make the model what it was, whatever stands in the places of its modules now; gives it."""
        vars(self.model).pop("peft_config", None)
        for part, *before in self._parts:
            for now, then in zip(_parts(part), before, strict=True):
                now.clear()
                now.update(then)
        if self.model.get_input_embeddings().weight.shape[0] != self._embeddings:
            self.model.resize_token_embeddings(self._embeddings, mean_resizing=False)
        for weight, data in self._owned:
            weight.data = data
        return self.model


def _parts(module: nn.Module) -> tuple[dict[str, Any], ...]:
    return module._modules, module._parameters, module._buffers
