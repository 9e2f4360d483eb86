"""How many patches there are, and what reducing keys and values saves: formulas against real modules."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from itertools import product
from math import isqrt
from typing import TYPE_CHECKING, Any

from bench.probes.attention import weights_of
from bench.probes.blocks import blocks_of
from bench.probes.subject import Findings, NotProbable, Subject

if TYPE_CHECKING:
    from torch import Tensor, nn

SIDES, KERNELS, STRIDES, PADDINGS = (16, 31, 32, 56, 64, 224), (1, 3, 4, 7, 8, 16), (1, 2, 4, 7, 16), (0, 1, 2, 3)
OWN_SIDES = range(32, 96)
"""Image sides at which a model's own embedding is counted: long enough for every remainder of a stride."""


def patch_count(subject: Subject) -> Findings:
    """Patches a side against ⌊(H + 2p − k)/s⌋ + 1: on real embeddings over a grid of sizes, and on the subject.

    The embeddings are a bare convolution, CvT's, and timm's where it takes the size. Values: `cases` tried;
    `mismatches`; `notes_wrong`, cases in which (H − k)/s is not the count; of the subject: `side` and `patches` as its
    first convolution puts them out, `kernel`, `stride`, `padding`, `formula`, `notes`; `own_counts`, what that
    convolution puts out a side for images of `own_sides` pixels.
    """
    import torch
    from torch import nn

    cases = _cases()
    convolution = next((m for m in subject.model.modules() if isinstance(m, nn.Conv2d)), None)
    if convolution is None:
        raise NotProbable("it has no patch embedding")
    seen: list[Tensor] = []
    hook = convolution.register_forward_hook(lambda _m, _i, output: seen.append(output))
    with torch.inference_mode():
        subject.model(torch.zeros(1, 3, subject.img_size, subject.img_size, device=subject.device))
    hook.remove()
    embedding = deepcopy(convolution).to("meta")
    own_kernel, own_stride = convolution.kernel_size[0], convolution.stride[0]
    own_padding = int(convolution.padding[0])
    return Findings(
        {
            "cases": len(cases),
            "mismatches": sum(count != formula for count, formula, _ in cases),
            "notes_wrong": sum(count != notes for count, _, notes in cases),
            "side": seen[0].shape[-1],
            "patches": seen[0].shape[-1] * seen[0].shape[-2],
            "kernel": own_kernel,
            "stride": own_stride,
            "padding": own_padding,
            "formula": (subject.img_size + 2 * own_padding - own_kernel) // own_stride + 1,
            "notes": (subject.img_size - own_kernel) / own_stride,
            "own_sides": list(OWN_SIDES),
            "own_counts": [int(embedding(torch.zeros(1, 3, px, px, device="meta")).shape[-1]) for px in OWN_SIDES],
        }
    )


def key_value_reduction(subject: Subject, *, full: str) -> Findings:
    """What CvT's strided projections leave of keys and values, and what they save against the model `full` without.

    Values by block: `queries` and `keys`, without class tokens; `channels_in` and `channels_out` of the convolution
    before the keys, and its `stride` and `groups`. Multiply-accumulates of one image, counted call by call: `macs`,
    `macs_full`; `saved_formula`, what the reduction must save by its shapes.
    """
    import torch

    model, other = subject.model, subject.build(full, seed=subject.seed)
    image = torch.zeros(1, 3, subject.img_size, subject.img_size, device=subject.device)
    with torch.inference_mode(), weights_of(model) as calls:
        model(image)
    projections = [getattr(block.attn, "conv_proj_k", None) for _, block in blocks_of(model) if hasattr(block, "attn")]
    if not calls or any(projection is None for projection in projections):
        raise NotProbable("it does not project keys by convolutions")
    convolutions = [projection.conv for projection in projections if projection is not None]
    queries = [isqrt(weights.shape[2]) ** 2 for _, _, weights in calls]
    keys = [isqrt(weights.shape[3]) ** 2 for _, _, weights in calls]
    extra = [weights.shape[2] - n for n, (_, _, weights) in zip(queries, calls, strict=True)]
    saved = sum(
        _saved(n, k, own, convolution.out_channels)
        for n, k, own, convolution in zip(queries, keys, extra, convolutions, strict=True)
    )
    values: dict[str, Any] = {
        "queries": queries,
        "keys": keys,
        "channels_in": [convolution.in_channels for convolution in convolutions],
        "channels_out": [convolution.out_channels for convolution in convolutions],
        "stride": [convolution.stride[0] for convolution in convolutions],
        "groups": [convolution.groups for convolution in convolutions],
        "macs": counted_macs(model, image),
        "macs_full": counted_macs(other, image),
        "saved_formula": saved,
    }
    return Findings(values)


def counted_macs(model: nn.Module, image: Tensor) -> int:
    """Multiply-accumulates of matrix products and convolutions, as torch's own counter sees them."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    # Some fused kernels are counted as nothing.
    with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(image)
    return int(counter.get_total_flops()) // 2


@cache
def _cases() -> tuple[tuple[int, int, float], ...]:
    """(patches a side, what the formula says, what the notes say) of each real embedding over the grid of sizes."""
    return tuple(
        (count, (side + 2 * padding - kernel) // stride + 1, (side - kernel) / stride)
        for side, kernel, stride, padding in product(SIDES, KERNELS, STRIDES, PADDINGS)
        if kernel <= side + 2 * padding
        for count in _counts(side, kernel, stride, padding)
    )


def _counts(side: int, kernel: int, stride: int, padding: int) -> list[int]:
    """Patches a side that each real embedding makes of an image of `side` pixels."""
    import torch
    from timm.layers.patch_embed import PatchEmbed
    from torch import nn

    from bench.models.cvt import ConvEmbed, StageConfig

    image = torch.zeros(1, 3, side, side, device="meta")
    with torch.device("meta"):
        plain = nn.Conv2d(3, 1, kernel, stride, padding)
        found = [
            int(plain(image).shape[2]),
            int(ConvEmbed(3, StageConfig(1, 1, 1, kernel, stride, padding))(image).shape[1]),
        ]
        if kernel == stride and not padding and side % kernel == 0:
            found.append(isqrt(PatchEmbed(side, kernel, embed_dim=1)(image).shape[1]))
    return found


def _saved(queries: int, keys: int, class_tokens: int, dim: int) -> int:
    """What one block saves by having `keys` instead of as many keys as queries.

    Each cell spared spares two depthwise 3×3 convolutions (9·d each), two linear projections (d² each), and its part
    of QKᵀ and of the weighted sum (d each for every query).
    """
    spared = queries - keys
    return spared * (2 * 9 * dim + 2 * dim * dim + 2 * (queries + class_tokens) * dim)
