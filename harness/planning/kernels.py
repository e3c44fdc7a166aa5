"""What devices do differently from a plain forward pass on the CPU, for a pass over a model without weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode


class GpuKernels(TorchFunctionMode):
    """Dropout and attention as their GPU kernels do them: what these keep differs from what the CPU's keep."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        if func is functional.dropout:
            return _dropout(*args, **given)
        if func is functional.scaled_dot_product_attention:
            return _attention(*args, **given)
        return func(*args, **given)


def _dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    return torch.native_dropout(input, p, training)[0] if training and p > 0 else input


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    if enable_gqa:
        key, value = (part.repeat_interleave(query.size(1) // part.size(1), 1) for part in (key, value))
    attend = torch.ops.aten._scaled_dot_product_efficient_attention
    output: Tensor = attend(query, key, value, None, True, dropout_p, is_causal, scale=scale)[0]
    return output


class Autocast(TorchFunctionMode):
    """CUDA autocast's rules, which torch has for no meta device: products in 16 bit, sensitive operations in fp32.

    Source: the op lists of torch's automatic mixed precision documentation, as far as language models use them.
    """

    IN_16_BIT = ("linear", "matmul", "__matmul__", "addmm", "bmm", "baddbmm", "mm", "scaled_dot_product_attention")
    IN_FP32 = ("layer_norm", "softmax", "log_softmax", "pow", "__pow__", "exp", "rsqrt", "sum", "cumsum", "norm")

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.copies: dict[int, Tensor] = {}

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name, given = getattr(func, "__name__", ""), kwargs or {}
        if name not in self.IN_16_BIT + self.IN_FP32:
            return func(*args, **given)
        target = self.dtype if name in self.IN_16_BIT else torch.float32
        return func(
            *(self._cast(value, target) for value in args),
            **{key: self._cast(value, target) for key, value in given.items()},
        )

    def of_trained_weights(self) -> int:
        """Bytes of the copies of weights that are trained, which CUDA's autocast holds until the pass has ended."""
        return sum(copy.nbytes for copy in self.copies.values() if copy.requires_grad)

    def _cast(self, value: Any, target: torch.dtype) -> Any:
        if not isinstance(value, Tensor) or not value.is_floating_point() or value.dtype == target:
            return value
        if not isinstance(value, nn.Parameter):
            return value.to(target)
        if id(value) not in self.copies:
            self.copies[id(value)] = value.to(target)
        return self.copies[id(value)]
