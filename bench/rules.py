"""What must hold of a study, with the line that says so where it does not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.study import Study


def rules_of(study: Study) -> list[tuple[bool, str]]:
    """(whether it holds, what to say where it does not, without the full stop)."""
    return [
        (
            re.fullmatch(r"auto|[1-9]\d{0,3}", study.cells_per_device) is not None,
            f"--cells-per-device must be auto or a number of models, not {study.cells_per_device!r}",
        ),
        (
            re.fullmatch(r"auto|[1-9]\d{0,4}", study.accumulate) is not None
            and (study.parts or 1) <= study.protocol.batch_size,
            f"--accumulate must be auto or a number up to --batch-size, not {study.accumulate!r}",
        ),
        (
            study.gpus_per_cell >= 1 and study.protocol.batch_size % max(1, study.gpus_per_cell) == 0,
            f"--gpus-per-cell must divide --batch-size {study.protocol.batch_size}, and {study.gpus_per_cell} does "
            "not: every GPU gets an equal part of each batch",
        ),
        (
            study.gpus_per_cell == 1 or study.cells_per_device in ("auto", "1"),
            "--gpus-per-cell and --cells-per-device exclude each other: give one of them",
        ),
        (
            study.gpus_per_cell == 1 or study.protocol.task in ("scratch", "finetune"),
            f"--gpus-per-cell is for trainings, and --task {study.protocol.task} trains nothing",
        ),
        (0 <= study.save_every < 1e6, f"--save-every must be 0 minutes or more, not {study.save_every}"),
        (
            not (study.pretrained and study.protocol.geometry == "small"),
            "--pretrained needs --geometry canonical: published weights do not fit the small geometry",
        ),
        (study.crop_pct is None or 0 < study.crop_pct <= 1, f"--crop-pct must be in (0, 1], not {study.crop_pct}"),
        (study.test_px is None or 8 <= study.test_px <= 4096, f"--test-px must be 8 to 4096, not {study.test_px}"),
        (
            study.interpolation in (None, "bilinear", "bicubic", "nearest", "lanczos"),
            f"--interpolation must be bilinear, bicubic, nearest or lanczos, not {study.interpolation!r}",
        ),
        (
            study.crop_mode in (None, "center", "squash", "border"),
            f"--crop-mode must be center, squash or border, not {study.crop_mode!r}",
        ),
        (study.ray_address is None or study.launcher == "ray", "--ray-address needs --launcher ray"),
        (
            study.launcher == "local" or study.protocol.task != "evaluate",
            "--task evaluate runs on one machine: leave --launcher ray out",
        ),
        (
            study.launcher == "local" or ":" not in study.device,
            f"--device {study.device} is a GPU of one machine; with --launcher ray, say cuda",
        ),
        (study.limit is None or study.limit >= 0, f"--limit must not be negative, not {study.limit}"),
        (study.threads is None or 1 <= study.threads <= 4096, f"--threads must be at least 1, not {study.threads}"),
        (
            all(size >= 1 for size in study.batch_sizes),
            f"--batch-sizes must all be at least 1: {list(study.batch_sizes)}",
        ),
        (
            study.time_budget is None or 0 < study.time_budget < 1e6,
            f"--time-budget must be above 0 seconds, not {study.time_budget}",
        ),
    ]
