"""Datasets by timm's grammar: `torch/NAME` (torchvision) and `hfds/NAME` (Hugging Face datasets)."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.data.examples import (
    EMPTY,
    Example,
    Source,
    Split,
    class_codes,
    encode_labels,
    flip_keeps_labels,
    with_held_out_test,
)
from bench.errors import UsageError

if TYPE_CHECKING:
    from bench.data.examples import Encoded

TORCH_SETS: dict[str, tuple[str, ...]] = {
    "cifar10": ("cifar-10-batches-py",),
    "cifar100": ("cifar-100-python",),
    "fashion_mnist": ("FashionMNIST/raw",),
    "imagenet": ("train", "val"),
    "kmnist": ("KMNIST/raw",),
    "mnist": ("MNIST/raw",),
    "svhn": ("train_32x32.mat", "test_32x32.mat"),
}
"""Names after `torch/`, and the files or folders below the root that torchvision reads."""


def open_torch(dataset: str, root: Path, download: bool) -> Source:
    """The torchvision dataset `torch/NAME` (a name of TORCH_SETS) in `root`, downloaded into it if asked for.

    Raises UsageError where the data is neither there nor can be downloaded, and where it cannot be read.
    """
    name = dataset.partition("/")[2]
    train = _create_torch(dataset, name, root, "train", download)
    test = _create_torch(dataset, name, root, "validation" if name == "imagenet" else "test", download)
    classes = _class_names(train)
    return Source(
        name=dataset,
        classes=classes,
        train=_torch_split(train, f"{name} train"),
        test=_torch_split(test, f"{name} test"),
        flip=flip_keeps_labels(name, classes),
        notes=("the validation split is the test split",) if name == "imagenet" else (),
    )


def open_hfds(dataset: str, root: Path, download: bool) -> Source:
    """The Hugging Face dataset `hfds/NAME`, kept in `root`, downloaded into it if asked for.

    Raises UsageError where the `datasets` package is missing, and where the data is neither there nor can be
    downloaded. The test split is `test` if it has labels, else `validation`, else a held-out part of train.
    """
    if find_spec("datasets") is None:
        raise UsageError(f"{dataset} needs the Hugging Face datasets package: pip install 'backbone-bench[hfds]'.")
    with contextlib.nullcontext() if download else _offline():
        return _opened_hfds(dataset, root, download)


def _opened_hfds(dataset: str, root: Path, download: bool) -> Source:
    name = dataset.partition("/")[2]
    keys = _hfds_keys(dataset, name, root, download)
    train = _create_hfds(dataset, root, "train", keys)
    if train is None:
        raise UsageError(f"{dataset} has no train split.")
    names = sorted(train.class_to_idx, key=train.class_to_idx.get)
    raw = _hfds_labels(train)
    classes, code = class_codes(names, raw)
    split = Split(encode_labels(raw, code, f"{dataset} train"), partial(_walk_hfds, train))
    flip = flip_keeps_labels(name, names)
    for candidate in ("test", "validation"):
        found = _create_hfds(dataset, root, candidate, keys)
        raw = _hfds_labels(found) if found is not None else []
        if all(value == -1 for value in raw):
            continue
        test = Split(encode_labels(raw, code, f"{dataset} {candidate}"), partial(_walk_hfds, found))
        notes = () if candidate == "test" else (f"{candidate} is the test split",)
        return Source(dataset, classes, split, test, flip, notes)
    return with_held_out_test(Source(dataset, classes, split, EMPTY, flip))


def hfds_copy(dataset: str, root: Path) -> str:
    """The folder whose files are what `hfds/NAME` is read from: a local folder, or the package's copy in `root`."""
    name = dataset.partition("/")[2]
    return os.path.abspath(name) if os.path.exists(name) else os.path.join(root, name.replace("/", "___"))


def _create_torch(dataset: str, name: str, root: Path, split: str, download: bool) -> Any:
    with contextlib.redirect_stdout(sys.stderr):
        try:
            if download:
                root.mkdir(parents=True, exist_ok=True)
            if name == "svhn":
                from torchvision.datasets import SVHN

                return SVHN(str(root), split=split, download=download)
            from timm.data.dataset_factory import create_dataset

            return create_dataset(dataset, root=str(root), split=split, download=download)
        except (OSError, RuntimeError) as error:
            raise _missing(dataset, root, download, error) from error
        except Exception as error:  # the readers of pickle, idx and mat files raise almost anything for a torn one
            raise _unreadable(dataset, root, error) from error


def _missing(dataset: str, root: Path, download: bool, error: Exception) -> UsageError:
    if download:
        return UsageError(f"cannot download {dataset} into {root}: {' '.join(str(error).split())}.")
    if dataset.endswith("/imagenet"):
        return UsageError(
            f"{dataset} is not in {root}: put the archives ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar and "
            "ILSVRC2012_devkit_t12.tar.gz there and point --data-dir at it (they cannot be downloaded by a program)."
        )
    return UsageError(
        f"{dataset} is not in {root}, or not whole: add --download, or point --data-dir at the folder that holds it."
    )


def _unreadable(dataset: str, root: Path, error: Exception) -> UsageError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return UsageError(f"cannot read {dataset} in {root}: {reason}. Delete its files there and add --download.")


def _class_names(dataset: Any) -> list[str]:
    """Class names; of several synonyms the first, with the others where the first alone is not unique."""
    names = getattr(dataset, "classes", None)
    if names is None:
        return [str(c) for c in range(max(_targets(dataset), default=-1) + 1)]
    synonyms = [(n,) if isinstance(n, str) else tuple(n) for n in names]
    first = [s[0] for s in synonyms]
    return [", ".join(s) if first.count(s[0]) > 1 else s[0] for s in synonyms]


def _targets(dataset: Any) -> list[int]:
    targets = getattr(dataset, "targets", None)
    return [int(t) for t in (dataset.labels if targets is None else targets)]


def _torch_split(dataset: Any, name: str) -> Split:
    """Files where the dataset is made of files, else the images that it hands out."""
    labels = np.array(_targets(dataset), dtype=np.int64)
    if hasattr(dataset, "samples"):
        return Split(labels, partial(_walk_files, [path for path, _ in dataset.samples]), files=True)
    return Split(labels, partial(_walk_items, dataset, name))


def _walk_files(paths: Sequence[str]) -> Iterator[Example]:
    for path in paths:
        yield Example("/".join(Path(path).parts[-2:]), partial(Path, path))


def _walk_items(dataset: Any, name: str) -> Iterator[Example]:
    for i in range(len(dataset)):
        yield Example(f"{name}[{i}]", partial(_item, dataset, i))


def _item(dataset: Any, index: int) -> Encoded:
    return dataset[index][0]  # type: ignore[no-any-return]


def _hfds_keys(dataset: str, name: str, root: Path, download: bool) -> dict[str, str]:
    """The columns of image and label, from the dataset's features; timm's own defaults where they do not tell."""
    with contextlib.redirect_stdout(sys.stderr):
        import datasets

        try:
            features = datasets.load_dataset_builder(name, cache_dir=str(root)).info.features or {}
        except OSError as error:
            raise _missing(dataset, root, download, error) from error
        except Exception as error:
            raise _unreadable(dataset, root, error) from error
    images = [k for k, f in features.items() if isinstance(f, datasets.Image)]
    labels = [k for k, f in features.items() if isinstance(f, datasets.ClassLabel)]
    fine = [k for k in labels if k in ("label", "labels", "fine_label")]
    return {"input_key": (images or ["image"])[0], "target_key": (fine or labels or ["label"])[0]}


@contextlib.contextmanager
def _offline() -> Iterator[None]:
    """Where nobody asked for a download: nothing of Hugging Face's waits for a network inside."""
    with contextlib.redirect_stdout(sys.stderr):
        import datasets
        from huggingface_hub import constants

    before = datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE
    datasets.config.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE = before


def _create_hfds(dataset: str, root: Path, split: str, keys: dict[str, str]) -> Any:
    """timm's reader of one split; None where there is no such split."""
    from timm.data.dataset_factory import create_dataset

    with contextlib.redirect_stdout(sys.stderr):
        try:
            options: dict[str, Any] = {"root": str(root), "split": split, **keys}
            return create_dataset(dataset, **options).reader
        except Exception as error:
            if isinstance(error, ValueError) and "split" in str(error).lower():
                return None
            raise _unreadable(dataset, root, error) from error


def _hfds_labels(reader: Any) -> list[Any]:
    return list(reader.dataset[reader.label_key])


def _walk_hfds(reader: Any) -> Iterator[Example]:
    for i in range(len(reader)):
        yield Example(f"{reader.split}[{i}]", partial(_hfds_item, reader, i))


def _hfds_item(reader: Any, index: int) -> Encoded:
    """The file's bytes. timm's own dataset would put the next image in place of one that does not decode."""
    with reader[index][0] as file:
        return file.read()  # type: ignore[no-any-return]
