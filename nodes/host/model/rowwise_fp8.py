"""Layers with fp8 weights and fp8 products, a scale for each row of the weight and for each token.

ComfyUI's own fp8 products have one scale a tensor, which is 1 for the usual files: small weights fall into
fp8's coarsest steps. Here each row uses the whole range. The blocks' matrices are quantised when they load;
all other weights stay bf16. Where the GPU has no such product, weights are taken back to the tokens'
precision on each call: the same numbers but for the rounding of the tokens.

Shape letters: T tokens of the whole batch, I a layer's inputs, O its outputs.
"""

import logging
from functools import cache
from inspect import signature
from typing import Any

import comfy.float
import comfy.model_management
import comfy.ops
import torch
from comfy.model_management import get_torch_device
from torch import nn

from ..compat.precision import note_precision, precision_of
from ..compat.quantised import form_of
from .row_scaled_patch import FLOAT8, GREATEST, scale_the_patches

LOG = logging.getLogger("evertalk")

PATCHED_IN_FLOAT32: dict[str, Any] = {"compute_dtype": torch.float32, "want_requant": True}
"""What hosts with dynamic VRAM (0.15.0 and later) must be told: patch in float32, and hand back fp8."""

FETCH_OPTIONS = (
    PATCHED_IN_FLOAT32 if "want_requant" in signature(comfy.ops.cast_bias_weight).parameters else {}
)

LEAST_SCALE = 1e-12
"""Of a row of zeros, which any scale suits but 0."""

HEADROOM = 4.0
"""How much a patch may enlarge a row. It costs no exactness: fp8's steps are relative down to 1 / 28,672."""

LARGEST_SPREAD = 64.0
"""Between the scales of a matrix; smaller rows share a scale, so that a LoRA may fill a row of zeros."""

QUANTISED = "blocks."
"""Part of the names of the layers whose weights are quantised."""

CHUNK_TOKENS = 4096
PROBE = (257, 128, 96)
"""Tokens, inputs and outputs; as many tokens as CLIP's, which fill no tile of any kernel."""

PROBE_TOLERANCE = 0.06
"""Relative error of a good product of random numbers: 3.7 %, of which each side's rounding is a share."""


def quantised_rows(weight_OI: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A matrix in fp8 and the scale (rows, 1), float32, of each of its rows; with room for a LoRA."""
    values_OI = weight_OI.float()
    scale_O1 = HEADROOM * row_scale(values_OI)
    scale_O1 = scale_O1.maximum(scale_O1.max() / LARGEST_SPREAD)
    return (values_OI / scale_O1).to(FLOAT8), scale_O1


def row_scale(values: torch.Tensor) -> torch.Tensor:
    """What each row is divided by to fill fp8's range, float32, (rows, 1)."""
    return (values.abs().amax(dim=-1, keepdim=True).float() / GREATEST).clamp(min=LEAST_SCALE)


def quantised_beside(
    weight_OI: torch.Tensor, scale: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """A matrix, times its scale if there is one, in fp8 and its rows' scales: made on the GPU."""
    moved_OI = weight_OI.to(get_torch_device()).float()
    values_OI, scale_O1 = quantised_rows(moved_OI if scale is None else moved_OI * scale.to(moved_OI))
    return values_OI.to(weight_OI.device), scale_O1.to(weight_OI.device)


def quantised_tokens(
    x_TI: torch.Tensor, chunk_tokens: int = CHUNK_TOKENS
) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens in fp8 and their scales; part after part, since the divided copy is larger than they are."""
    scale_T1 = row_scale(x_TI)
    if torch.compiler.is_compiling():  # one pass there, and no copy
        return (x_TI / scale_T1).to(FLOAT8), scale_T1
    out_TI = torch.empty(x_TI.shape, dtype=FLOAT8, device=x_TI.device)
    for start in range(0, len(x_TI), chunk_tokens):
        part = slice(start, start + chunk_tokens)
        out_TI[part] = (x_TI[part] / scale_T1[part]).to(FLOAT8)
    return out_TI, scale_T1


def fp8_product(x_TI: torch.Tensor, weight_OI: torch.Tensor, scale_O1: torch.Tensor) -> torch.Tensor:
    """Tokens times the transposed fp8 weight, in bf16."""
    x8_TI, scale_T1 = quantised_tokens(x_TI)
    return torch._scaled_mm(  # pyright: ignore[reportPrivateImportUsage, reportPrivateUsage]
        x8_TI,
        weight_OI.t(),
        scale_a=scale_T1,
        scale_b=scale_O1.t().contiguous(),
        out_dtype=torch.bfloat16,
        use_fast_accum=True,
    )


@cache
def has_fp8_product(device: torch.device) -> bool:
    """Whether this device multiplies so and gets it right; tried once on small random matrices."""
    if device.type != "cuda":
        return False
    tokens, inputs, outputs = PROBE
    generator = torch.Generator().manual_seed(0)
    x_TI = torch.randn(tokens, inputs, generator=generator).to(device, torch.bfloat16)
    weight_OI = torch.randn(outputs, inputs, generator=generator).to(device)
    # Builds of PyTorch refuse it in many ways, and a wrong result says nothing at all.
    try:
        got = fp8_product(x_TI, *quantised_rows(weight_OI)).float()
    except (RuntimeError, ValueError, NotImplementedError) as error:
        LOG.warning("fp8_rowwise: no fp8 products on %s: %s", device, str(error).split("\n")[0])
        return False
    expected = x_TI.float() @ weight_OI.T
    return float((got - expected).norm() / expected.norm()) < PROBE_TOLERANCE


def multiplies_in_fp8(layer: Any) -> bool:
    """Whether a layer of the base multiplies in fp8, by the host's means or by the pack's."""
    if isinstance(layer, RowwiseFp8.Linear):
        return layer.multiplies
    if isinstance(layer, comfy.ops.fp8_ops.Linear):
        return precision_of(layer) is FLOAT8
    return form_of(layer) == "float8_e4m3fn" and not getattr(layer, "_full_precision_mm", True)


class RowwiseFp8(comfy.ops.manual_cast):
    """Operations for the host's loaders, as its own fp8 operations are."""

    class Linear(comfy.ops.manual_cast.Linear):
        """A linear layer; `scale_weight` is (outputs, 1), or None where the weight is not quantised."""

        scale_weight: nn.Parameter | None
        multiplies = False
        """Whether the device it will run on has the product; found out when weights load."""

        def reset_parameters(self) -> None:
            """Nothing to draw: weights come from a file."""
            self.register_parameter("scale_weight", None)

        def _load_from_state_dict(
            self, state_dict: dict[str, Any], prefix: str, *others: Any, **named: Any
        ) -> None:
            weight = state_dict.get(f"{prefix}weight")
            if weight is None or QUANTISED not in prefix or self.scale_weight is not None:
                super()._load_from_state_dict(state_dict, prefix, *others, **named)
                return
            given = state_dict.pop(f"{prefix}scale_weight", None)  # of a scaled fp8 file
            self.hold(*quantised_beside(weight, given))
            state_dict[f"{prefix}weight"] = self.weight.data
            super()._load_from_state_dict(state_dict, prefix, *others, **named)
            missing = others[2] if len(others) > 2 else named["missing_keys"]
            if f"{prefix}scale_weight" in missing:
                missing.remove(f"{prefix}scale_weight")

        def hold(self, weight_OI: torch.Tensor, scale_O1: torch.Tensor) -> None:
            """Take a quantised weight."""
            self.weight = nn.Parameter(weight_OI, requires_grad=False)
            self.scale_weight = nn.Parameter(scale_O1, requires_grad=False)
            note_precision(self)  # the host noted bf16 when the layer was made
            self.multiplies = has_fp8_product(get_torch_device())

        def forward_comfy_cast_weights(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002
            """As the host calls it, for weights on any device, patched or not."""
            if self.scale_weight is None:
                return super().forward_comfy_cast_weights(input)
            scale_the_patches(self, self.scale_weight)
            parts: Any = comfy.ops.cast_bias_weight(
                self, input, dtype=FLOAT8, bias_dtype=input.dtype, offloadable=True, **FETCH_OPTIONS
            )
            weight, bias, stream = parts
            bias = None if bias is None else bias.to(input.dtype)  # a patched one comes as it is held
            # As the weight comes: a plain copy would wait for the GPU, and hold up the weights after it.
            scale_O1 = comfy.model_management.cast_to_device(self.scale_weight, input.device, torch.float32)
            if self.multiplies and input.dtype is torch.bfloat16:
                product = fp8_product(input.flatten(0, -2), weight, scale_O1)
                out = product.unflatten(0, input.shape[:-1])
                out = out if bias is None else out + bias
            else:
                out = nn.functional.linear(input, (weight.float() * scale_O1).to(input.dtype), bias)
            comfy.ops.uncast_bias_weight(self, weight, bias, stream)
            return out

        def convert_weight(self, weight: torch.Tensor, inplace: bool = False, **_: Any) -> torch.Tensor:
            """The weight as it counts: the host asks before it patches."""
            del inplace
            if self.scale_weight is None:
                return weight
            return weight.float() * self.scale_weight.to(weight.device)

        def set_weight(
            self,
            weight: torch.Tensor,
            inplace_update: bool = False,
            seed: int | None = None,
            return_weight: bool = False,
            **_: Any,
        ) -> torch.Tensor | None:
            """Hold a patched weight, under the scales that there are; the host rounds patches at random."""
            if self.scale_weight is not None:
                scaled = (weight / self.scale_weight.to(weight)).clamp(-GREATEST, GREATEST)
                weight = comfy.float.stochastic_rounding(scaled, FLOAT8, seed=seed or 0)
            else:
                weight = weight.to(self.weight.dtype)
            if return_weight:
                return weight
            if inplace_update:
                self.weight.data.copy_(weight)
            else:
                self.weight = nn.Parameter(weight, requires_grad=False)
            return None
