"""What is asked for: models, their protocol, the machine and the folder, checked before anything else happens."""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bench.errors import UsageError, did_you_mean, first_line
from bench.models.zoo import parse_models
from bench.protocol import Protocol

if TYPE_CHECKING:  # the command line must answer --help without waiting for pydantic and numpy
    from bench.measure.settings import CostSettings

GATE_MODELS = ("test_resnet", "test_vit", "test_convnext")
"""The default of `--models` for `--save-baseline`: timm's smallest of three families, seconds to train."""
COST_ONLY_PX, COST_ONLY_CLASSES = 224, 1000
"""Image size and outputs where only cost is measured: those under which published costs are told."""
CANONICAL = ("resnet50", "vit_b16", "swin_t", "cvt_13")
"""The four backbones that the project is about, and the default of `--models`."""


@dataclass(frozen=True)
class Study:
    """What to compare, on what machine, and where the results go. Everything else is in the protocol."""

    models: tuple[str, ...] = CANONICAL
    """Models to compare: names of `--list-models`, torchvision's spellings, timm names, `hf_hub:…`."""
    protocol: Protocol = field(default_factory=Protocol)
    """Everything held equal between the models."""
    interventions: tuple[str, ...] = ("none",)
    """Fixed changes to every image, in training and in test, each with a board of its own: `none`, `patch-permute`,
    `within-patch-permute`, `pixel-permute`, `row-permute`, `shift`; `:N` after one gives its size in pixels."""
    data_dir: Path | None = None
    """Folder that holds the dataset, for those that are not a folder themselves."""
    download: bool = False
    """Download the dataset into `data_dir` where its source can."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda` or `cuda:i`."""
    test_px: int | None = None
    """With `--task evaluate`, side of the images; as the weights are published with unless given, as the next three."""
    crop_pct: float | None = None
    """With `--task evaluate`, part of the resized image that is cut out."""
    interpolation: str | None = None
    """With `--task evaluate`, resampling: `bilinear`, `bicubic`, `nearest`, `lanczos`."""
    crop_mode: str | None = None
    """With `--task evaluate`, how images are cut: `center`, `squash` or `border`."""
    pretrained: bool = False
    """Start every model from its default published weights; stands in the row."""
    checkpoint: tuple[str, ...] = ()
    """MODEL=FILE: start that model from a local `.pth` or `.safetensors` file; stands in the row."""
    plugins: tuple[str, ...] = ()
    """Python modules to import first; they may register models of your own with timm."""
    output: Path = Path("results")
    """Folder for runs and boards."""
    fresh: bool = False
    """Run every cell again, also those that are done; old records stand until new ones replace them."""
    limit: int | None = None
    """Run at most this many unfinished cells in this call; the same command goes on from there."""
    threads: int | None = None
    """Threads that torch computes with; as many as there are physical cores unless given."""
    cells_per_device: str = "auto"
    """How many models train side by side on the device, `auto` or a number. `auto` is as many as raise the total on a
    GPU (measured, where that pays), and one on a CPU; a number shares the threads of a CPU out among them."""
    gpus_per_cell: int = 1
    """GPUs of this machine that train one model together, each on its part of every batch; on a CPU so many processes,
    which share its threads."""
    accumulate: str = "auto"
    """Parts that each batch goes through a model in, gradients added up: `auto` is as few as fit into a GPU's memory,
    and one on a CPU."""
    save_every: float = 10.0
    """Minutes of a training after which its state is kept, to go on from there if it is ended; 0 for never."""
    launcher: Literal["local", "ray"] = "local"
    """Where cells run: `local`, on this machine, or `ray`, on the nodes of a Ray cluster."""
    ray_address: str | None = None
    """With `--launcher ray`, the cluster: HOST:PORT, or `auto` for that of this machine; a new one on this machine
    alone unless given."""
    cost_only: bool = False
    """Measure what the models cost (at 224 px and 1,000 classes unless given), train nothing, need no dataset."""
    channels_last: bool = True
    """Layout of images and weights where cost is measured: channels last, or contiguous."""
    compile: bool = False
    """Send the models through torch.compile where cost is measured."""
    batch_sizes: tuple[int, ...] = ()
    """Batches of the throughput sweep; powers of two, as far as they help, unless given."""
    time_budget: float | None = None
    """Seconds that the timing of one model may take; 40 with --cost-only, 10 in a study (1 in smoke)."""

    def __post_init__(self) -> None:
        import_plugins(self.plugins)
        object.__setattr__(self, "models", tuple(parse_models(",".join(self.models), self.protocol.small_px)))
        object.__setattr__(self, "interventions", _interventions(self.interventions, self.protocol.img_size))
        for holds, message in _rules(self):
            if not holds:
                raise UsageError(f"{message}.")
        self.checkpoints()

    @property
    def fixed_cells(self) -> int:
        """Models side by side as asked for; 1 where that is left to a measurement."""
        return 1 if self.cells_per_device == "auto" else int(self.cells_per_device)

    @property
    def parts(self) -> int | None:
        """Parts of a batch as asked for; None where the memory decides."""
        return None if self.accumulate == "auto" else int(self.accumulate)

    def cost_settings(self, training_precision: str) -> CostSettings:
        """How cost is measured, given the training arithmetic as resolved; inference is float32 unless asked."""
        from bench.measure.settings import COST_ONLY_S, IN_SMOKE_S, IN_STUDY_S, MEMORY_BATCH, CostSettings

        asked = self.protocol.precision
        batch = self.protocol.batch_size
        default_s = COST_ONLY_S if self.cost_only else IN_SMOKE_S if self.protocol.preset == "smoke" else IN_STUDY_S
        return CostSettings(
            inference_precision="fp32" if asked == "auto" else asked,
            training_precision=training_precision,
            channels_last=self.channels_last,
            compiled=self.compile,
            batch_sizes=tuple(sorted(self.batch_sizes)),
            budget_s=self.time_budget or default_s,
            memory_batch=min(batch, MEMORY_BATCH) if self.cost_only else batch,
        )

    def checkpoints(self) -> dict[str, Path]:
        """Checkpoint file of each model that has one; UsageError where one is malformed, unknown or missing."""
        files: dict[str, Path] = {}
        for item in self.checkpoint:
            name, separator, file = item.partition("=")
            if not separator or not name.strip() or not file.strip():
                raise UsageError(f"--checkpoint takes MODEL=FILE, not {item!r}.")
            model = parse_models(name, self.protocol.small_px)[0]
            if model not in self.models:
                raise UsageError(
                    f"--checkpoint names {name!r}, which is not among the models.{did_you_mean(model, self.models)}"
                )
            path = Path(file.strip()).expanduser()
            if not path.is_file():
                raise UsageError(f"--checkpoint {name}: there is no file {path}.")
            files[model] = path
        return files


def _rules(study: Study) -> list[tuple[bool, str]]:
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


def _interventions(texts: Sequence[str], img_size: int) -> tuple[str, ...]:
    """Each intervention once, in its one spelling. Raises UsageError for an unknown one, or none at all."""
    if tuple(texts) == ("none",):
        return ("none",)
    from bench.data.interventions import parse_intervention

    found = tuple(dict.fromkeys(parse_intervention(text, img_size).text for text in texts))
    if not found:
        raise UsageError("--interventions needs at least one, such as none,patch-permute.")
    return found


def import_plugins(modules: Sequence[str]) -> None:
    """Import each module by name; UsageError where there is none or its import fails."""
    here = os.getcwd()
    if modules and here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)  # an installed command does not look there by itself
    for name in modules:
        try:
            importlib.import_module(name)
        except Exception as error:
            raise UsageError(f"--plugins: cannot import {name!r}: {first_line(error)}.") from error


def initial_weights(study: Study) -> dict[str, str]:
    """What each model starts from, as it stands in its cells: `scratch`, `pretrained` or a file's hash."""
    files = study.checkpoints()
    start = "pretrained" if study.pretrained or study.protocol.task != "scratch" else "scratch"
    return {m: f"sha256:{_file_sha256(files[m])}" if m in files else start for m in study.models}


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
