"""Whether the order in which patches are listed means anything to a transformer."""

from __future__ import annotations

from bench.probes.subject import Findings, NotProbable, Subject


def patch_order_equality(subject: Subject, *, patch_px: int = 4) -> Findings:
    """What listing the patches in another order changes in the logits, exactly (float64).

    `with_rows`: each patch keeps its row of the position embedding. `without_rows`: the rows stay where they were. Both
    the largest change of a logit as a part of the logits' spread over random images. Raises NotProbable for a model
    without a table of positions, one row a patch.
    """
    import torch

    from bench.data.interventions import Intervention, pixel_map

    model = subject.model.double()
    side = subject.img_size // patch_px
    table = getattr(model, "pos_embed", None)
    if table is None or table.ndim != 3 or table.shape[1] < side * side:
        raise NotProbable("it has no table of positions with a row for every patch")
    images = subject.noise(4)
    pixels = torch.from_numpy(pixel_map(Intervention("patch-permute", patch_px), subject.img_size, subject.seed))
    listed = images.flatten(2)[:, :, pixels.to(images.device)].view(images.shape)
    # The patch now at place k came from where its first pixel was.
    corner = pixels.view(subject.img_size, subject.img_size)[::patch_px, ::patch_px].flatten()
    came_from = corner // subject.img_size // patch_px * side + corner % subject.img_size // patch_px
    with torch.inference_mode():
        plain = model(images)
        without = model(listed)
        prefix = table.shape[1] - side * side
        moved = table[:, torch.cat([torch.arange(prefix), prefix + came_from]).to(table.device)].clone()
        table.copy_(moved)
        along = model(listed)
    spread = plain.std()
    return Findings(
        {
            "with_rows": float((along - plain).abs().max() / spread),
            "without_rows": float((without - plain).abs().max() / spread),
        }
    )
