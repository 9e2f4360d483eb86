"""Small datasets in the real file formats, made of pictures that are all different."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import struct
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from bench.data.cache import prepare


def picture(seed, height=8, width=8, channels=3):
    """uint8 [height, width, channels], or [height, width] for one channel."""
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def file_bytes(array, kind="PNG", **options):
    """An image file's content."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind, **options)
    return buffer.getvalue()


def folder_set(root, splits, **shape):
    """Class folders: {"train": {"cat": 3, "dog": 3}} or, for a flat one, {"": {"cat": 3}}. No two images are equal."""
    seed = 0
    for split, classes in splits.items():
        for name, count in classes.items():
            folder = Path(root) / split / name
            folder.mkdir(parents=True)
            for k in range(count):
                seed += 1
                (folder / f"{k:03}.png").write_bytes(file_bytes(picture(seed, **shape)))
    return Path(root)


def shard(path, images, labels, names=None, metadata=None):
    """One Parquet shard in the Hugging Face layout; `images` are bytes, or {"bytes", "path"} values."""
    cells = [i if isinstance(i, dict) else {"bytes": i, "path": f"{k}.png"} for k, i in enumerate(images)]
    table = pa.table(
        {
            "image": pa.array(cells, pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
            "label": pa.array(labels),
        }
    )
    if names is not None:
        features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
        metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata(metadata), path)
    return path


def parquet_set(root, *, names=("cat", "dog"), test="test"):
    """Two train shards of four images each and, unless `test` is None, one of two for that split; 8×8 colour."""
    images = [file_bytes(picture(k)) for k in range(10)]
    names = None if names is None else list(names)
    shard(root / "train-00000-of-00002.parquet", images[:4], [0, 0, 0, 1], names)
    shard(root / "train-00001-of-00002.parquet", images[4:8], [1, 1, 0, 1], names)
    if test is not None:
        shard(root / f"{test}-00000-of-00001.parquet", images[8:], [1, 0], names)
    return root


def tar_file(path, files):
    """An uncompressed tar file of {name: content}, in this order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def samples(seeds, labels, extension="cls"):
    """{name: content} of webdataset's samples: 8×8 colour PNG files, each beside its label."""
    files = {}
    for seed, label in zip(seeds, labels, strict=True):
        text = json.dumps({"label": label}) if extension == "json" else str(label)
        files |= {f"{seed:06}.png": file_bytes(picture(seed)), f"{seed:06}.{extension}": text.encode()}
    return files


def tar_set(root, *, test="test", labels=("cat", "dog"), extension="cls"):
    """Two train shards of four images each and, unless `test` is None, one of two for that split; 8×8 colour."""
    cat, dog = labels
    tar_file(root / "train-000000.tar", samples(range(4), [cat, cat, cat, dog], extension))
    tar_file(root / "train-000001.tar", samples(range(4, 8), [dog, dog, cat, dog], extension))
    if test is not None:
        tar_file(root / f"{test}-000000.tar", samples((8, 9), [dog, cat], extension))
    return root


def cifar_set(root, kind, per_file=4):
    """torchvision's folder of pickled batches for `cifar10` or `cifar100`; labels count up."""
    folder, files, key, meta = {
        "cifar10": (
            "cifar-10-batches-py",
            [*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"],
            "labels",
            ("batches.meta", "label_names", 10),
        ),
        "cifar100": ("cifar-100-python", ["train", "test"], "fine_labels", ("meta", "fine_label_names", 100)),
    }[kind]
    (root / folder).mkdir(parents=True)
    classes = meta[2]
    count = per_file if kind == "cifar10" else classes
    start = 0
    for name in files:
        rows = np.stack([picture(start + k, 32, 32).transpose(2, 0, 1).ravel() for k in range(count)])
        labels = [(start + k) % classes for k in range(count)]
        (root / folder / name).write_bytes(pickle.dumps({"data": rows, key: labels}))
        start += count
    (root / folder / meta[0]).write_bytes(pickle.dumps({meta[1]: [f"class {k}" for k in range(classes)]}))
    return root


def idx_set(root, folder, n_train=20, n_test=10):
    """The idx files of MNIST and its relatives, packed and unpacked; 28×28 grey, labels count up."""
    raw = root / folder / "raw"
    raw.mkdir(parents=True)
    for prefix, start, count in (("train", 0, n_train), ("t10k", n_train, n_test)):
        pixels = np.stack([picture(start + k, 28, 28, 1) for k in range(count)])
        labels = np.arange(count, dtype=np.uint8) % 10
        files = {
            f"{prefix}-images-idx3-ubyte": struct.pack(">IIII", 0x803, count, 28, 28) + pixels.tobytes(),
            f"{prefix}-labels-idx1-ubyte": struct.pack(">II", 0x801, count) + labels.tobytes(),
        }
        for name, content in files.items():
            (raw / name).write_bytes(content)
            (raw / f"{name}.gz").write_bytes(gzip.compress(content))
    return root


def svhn_set(root, n_train=20, n_test=10):
    """SVHN's MATLAB files: 32×32 colour, the digit 0 labelled 10."""
    from scipy.io import savemat

    root.mkdir(parents=True, exist_ok=True)
    for split, start, count in (("train", 0, n_train), ("test", n_train, n_test)):
        pixels = np.stack([picture(start + k, 32, 32) for k in range(count)], axis=3)
        labels = (np.arange(count) % 10 + 1).astype(np.uint8)[:, None]
        savemat(root / f"{split}_32x32.mat", {"X": pixels, "y": labels})
    return root


def prepared(dataset, cache_dir, *, img_size=8, data_dir=None, **options):
    """`prepare` with the arguments that most tests leave alone."""
    options = {"download": False, **options}
    return prepare(str(dataset), data_dir=data_dir, img_size=img_size, cache_dir=cache_dir, **options)


def opened(dataset, cache_dir, *, img_size=8, **options):
    """The prepared dataset on the CPU."""
    import torch

    from bench.data.batches import load

    info = prepared(dataset, cache_dir, img_size=img_size, **options)
    return load(info, cache_dir=cache_dir, img_size=img_size, device=torch.device("cpu"))
