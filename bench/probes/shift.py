"""What a shift of the image does to a model's answers."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import numpy as np

from bench.probes.subject import Findings, NotProbable, Subject

if TYPE_CHECKING:
    from torch import Tensor


def shift_consistency(subject: Subject, *, largest_px: int = 4, images: int = 512) -> Findings:
    """How often the answer stays when an image is shifted right and down by 1 to `largest_px` pixels.

    Edges are reflected. Values, by shift from 0: `consistency`, the part of images whose answer is that of the image at
    its place; `accuracy`; `worst`, the part that keep their answer, and `worst_accuracy`, that are right, under every
    shift. Arrays: `same` and `right`, bool [shifts, images].
    """
    import torch

    index = np.arange(min(images, len(subject.images.labels("test"))))
    label = subject.images.labels("test")[index]
    answers: list[list[Tensor]] = [[] for _ in range(largest_px + 1)]
    with torch.inference_mode():
        for shown, _ in subject.images.eval_batches("test", index, 128):
            for px, found in enumerate(answers):
                found.append(subject.model(moved(shown, px)).argmax(1).cpu())
    answered = np.stack([torch.cat(found).numpy() for found in answers])
    same, right = answered == answered[0], answered == label
    return Findings(
        {
            "shift_px": list(range(largest_px + 1)),
            "consistency": same.mean(1).tolist(),
            "accuracy": right.mean(1).tolist(),
            "worst": float(same.all(0).mean()),
            "worst_accuracy": float(right.all(0).mean()),
            "images": len(index),
        },
        {"same": same, "right": right},
    )


def shift_equality(subject: Subject, *, patch_px: int = 4) -> Findings:
    """What a circular shift by a whole patch, and by less, changes in the logits, exactly (float64).

    Values: `whole_patch` and `half_patch`, the largest change of a logit as a part of the logits' spread over random
    images; 0 up to rounding where the shift only permutes what the model sees.
    """
    import torch

    if subject.img_size % patch_px:
        raise NotProbable(f"patches of {patch_px} px do not divide images of {subject.img_size} px")
    model = deepcopy(subject.model).double()
    images = subject.noise(4)

    def change(px: int) -> float:
        with torch.inference_mode():
            plain = model(images)
            turned = model(torch.roll(images, (px, px), dims=(2, 3)))
        return float((turned - plain).abs().max() / plain.std())

    return Findings({"whole_patch": change(patch_px), "half_patch": change(patch_px // 2)})


def moved(images: Tensor, px: int) -> Tensor:
    """[b, c, h, w] shifted right and down by `px` pixels, edges reflected."""
    import torch

    if px == 0:
        return images
    source = (torch.arange(images.shape[-1], device=images.device) - px).abs()
    return images[..., source, :][..., source]
