"""Published weights on a folder of images, through the pipeline that they were published with: timm's own.

Reader, transforms and loader are timm's, as in its validation script; what differs is that an image that does not
decode is left out and counted, where timm takes the next one in its place, and that tar files are read through
`bench.data.shards`: in any order, and as far as they go where they are cut off.
"""

from __future__ import annotations

import io
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.data.imagenet import Mapping, map_classes, real_labels
from bench.data.shard_files import TEST_SPLITS
from bench.data.shards import Index, holds_tars, read_index, splits
from bench.errors import UsageError, first_line
from bench.models.weights import classifier_names, read_state_dict
from bench.models.zoo import resolve

if TYPE_CHECKING:
    import torch
    from torch import nn

VALIDATION_BATCH = 64
"""Images per forward pass; without effect on predictions but for rounding."""


@dataclass(frozen=True)
class Validated:
    """What a model said of a folder's images."""

    files: tuple[str, ...]
    """File names of the images that decode, in the reader's order."""
    labels: NDArray[np.int64]
    """The model's output that is each image's label."""
    logits: NDArray[np.float32]
    """[images, outputs]; of a folder with some of the classes, minus infinity for the others."""
    corrupt: tuple[str, ...]
    """Files that do not decode."""
    notes: tuple[str, ...]
    """What of the folder is missing."""
    mapping: Mapping
    """Which outputs the folder's classes are."""
    config: dict[str, Any]
    """Image size, interpolation, crop and normalisation, as timm resolves them."""
    seconds: float
    """Wall time of the pass, decoding included."""

    def real_top1(self) -> tuple[int, int] | None:
        """(right, images) by ReaL's labels, images without any left out; None where these are no validation images."""
        known = real_labels()
        stems = [Path(file).stem for file in self.files]
        told = [(known[name], said) for name, said in zip(stems, self.logits.argmax(1), strict=True) if name in known]
        judged = [said in labels for labels, said in told if labels]
        return (sum(judged), len(judged)) if judged else None

    @property
    def names(self) -> list[str]:
        """File names without folders."""
        return [Path(file).name for file in self.files]


def validate(
    model: nn.Module,
    folder: Path,
    *,
    device: torch.device,
    workers: int,
    img_size: int | None = None,
    crop_pct: float | None = None,
    interpolation: str | None = None,
    crop_mode: str | None = None,
) -> Validated:
    """Logits of every image below `folder` (class folders, or tar shards) in eval mode and float32.

    What is None is as the weights were published. Raises UsageError where the folder has no images, or classes that
    the model does not know.
    """
    import torch
    from timm.data.loader import create_loader

    config = data_config(model, img_size, crop_pct=crop_pct, interpolation=interpolation, crop_mode=crop_mode)
    pictures = _Pictures(_reader(folder))
    mapping = map_classes(pictures.classes, _outputs(model))
    loader = create_loader(
        pictures,  # type: ignore[arg-type]
        input_size=config["input_size"], batch_size=VALIDATION_BATCH, use_prefetcher=device.type == "cuda",
        interpolation=config["interpolation"], mean=config["mean"], std=config["std"], num_workers=workers,
        crop_pct=config["crop_pct"], crop_mode=config["crop_mode"], pin_memory=device.type == "cuda", device=device,
        persistent_workers=False,
    )  # fmt: skip
    model.eval()
    start, logits, told = time.perf_counter(), [], []
    with torch.inference_mode():
        for images, places in loader:
            logits.append(model(images.to(device).contiguous(memory_format=torch.channels_last)).float().cpu())
            told.append(places.cpu())
    seconds = time.perf_counter() - start
    found, place = torch.cat(logits).numpy(), torch.cat(told).numpy()
    if mapping.restricted:
        others = np.setdiff1d(np.arange(found.shape[1]), mapping.known)
        found[:, others] = -np.inf
    targets = np.array(mapping.outputs, np.int64)[pictures.targets]
    files = np.array(pictures.files, dtype=object)
    corrupt, good = place < 0, (place >= 0) & (targets >= 0)
    return Validated(
        tuple(files[good]), targets[good], found[good], tuple(files[corrupt]), (*pictures.notes, *mapping.unknown),
        mapping, config, seconds,
    )  # fmt: skip


def data_config(model: nn.Module, img_size: int | None, **asked: Any) -> dict[str, Any]:
    """timm's data configuration of a model at its test size, changed by what is asked for and not None."""
    from timm.data.config import resolve_data_config

    given = {name: value for name, value in asked.items() if value is not None}
    if img_size is not None:
        given["img_size"] = img_size
    config: dict[str, Any] = resolve_data_config(given, model=model, use_test_size=True)  # type: ignore[no-untyped-call]
    return config


def outputs_of(name: str, checkpoint: Path | None) -> int:
    """Outputs of a model as published, or as a checkpoint file has them."""
    published = _as_published(name)
    if checkpoint is not None:
        head = classifier_names(published)
        sizes = [tensor.shape[0] for key, tensor in read_state_dict(checkpoint).items() if key in head]
        if sizes:
            return int(sizes[0])
    return _outputs(published)


def test_size(name: str) -> int:
    """Side in pixels of the images with which a model's weights are published for testing."""
    return int(data_config(_as_published(name), None)["input_size"][-1])


@cache
def _as_published(name: str) -> nn.Module:
    """timm's model with its own classifier and configuration, without any memory for its weights."""
    import timm
    import torch

    from bench.models.build import register

    register()
    with torch.device("meta"):
        return timm.create_model(resolve(name).builder)


def _outputs(model: nn.Module) -> int:
    return int(model.num_classes)  # type: ignore[arg-type]


def _reader(folder: Path) -> Any:
    """A reader of tar shards, else timm's of class folders, in `folder` or its `val`, `validation` or `test`."""
    from timm.data.dataset_factory import create_dataset

    if folder.is_dir() and holds_tars(folder):
        tars = splits(folder)
        split = next((name for name in (*reversed(TEST_SPLITS), "train") if name in tars), "")
        return _Shards(read_index(folder, tars[split]))
    try:
        return create_dataset("", root=str(folder), split="validation").reader
    except (RuntimeError, AssertionError, OSError, IndexError) as error:
        raise UsageError(f"--dataset {folder}: no images can be read there: {first_line(error)}") from error


class _Shards:
    """What timm's readers offer, for the images of tar shards. Picklable."""

    def __init__(self, index: Index) -> None:
        from timm.utils.misc import natural_key  # the order that timm sorts class folders in

        self.index, self.notes = index, index.notes
        by_name = {str(value): value for value in index.classes}
        names = sorted(by_name, key=natural_key)  # type: ignore[arg-type]
        self.class_to_idx = {name: k for k, name in enumerate(names)}
        code = {by_name[name]: k for k, name in enumerate(names)}
        self.targets = index.labels(code, str(index.root))
        self.names = [index.member(k) for k in range(len(index))]
        if len(set(zip(self.targets.tolist(), self.names, strict=True))) < len(index):  # each shard counts from 0
            shards = [index.shards[k].name for k in index.places[:, 0]]
            self.names = [f"{shard}/{name}" for shard, name in zip(shards, self.names, strict=True)]

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, place: int) -> tuple[io.BytesIO, int]:
        return io.BytesIO(self.index.place(place).read()), int(self.targets[place])

    def filename(self, place: int) -> str:
        return self.names[place]


class _Pictures:
    """A reader's images with their place in it, or -1 - place where one does not decode. Picklable."""

    def __init__(self, reader: Any) -> None:
        self.reader = reader
        self.notes: tuple[str, ...] = getattr(reader, "notes", ())
        self.transform: Any = None  # set by timm's loader
        by_name = reader.class_to_idx if hasattr(reader, "class_to_idx") else reader.class_name_to_idx
        self.classes = [name for name, _ in sorted(by_name.items(), key=lambda item: item[1])]
        labels = reader.targets if hasattr(reader, "targets") else [target for _, target in reader.samples]
        self.targets = np.array(labels, np.int64)
        paths = [Path(reader.filename(k)) for k in range(len(reader))]
        self.files = [  # inside the tar file of a class there may be no folder of its name
            (path if len(path.parts) > 1 else Path(self.classes[label], path)).as_posix()
            for path, label in zip(paths, labels, strict=True)
        ]

    def __len__(self) -> int:
        return len(self.reader)

    def __getitem__(self, place: int) -> tuple[Any, int]:
        from PIL import Image

        try:
            image = Image.open(self.reader[place][0]).convert("RGB")
        except Exception:  # Pillow raises almost anything for a damaged file
            return self.transform(Image.new("RGB", (64, 64))), -1 - place
        return self.transform(image), place
