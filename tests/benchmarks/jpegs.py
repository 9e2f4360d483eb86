"""Made-up photographs that cost what real ones cost to decode, as class folders and as tar shards.

A few hundred base images with a photograph's spectrum (amplitude falls as 1/f; Field 1987) and edges; each file is a
crop of one, mirrored and brightened by chance, of 500×375 pixels and about 100 kB, as in ImageNet.
"""

from __future__ import annotations

import io
import tarfile
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SIZE = (500, 375)
BASES = 200
PER_SHARD = 1000
QUALITY = 88


def write_folders(folder: Path, images: int, classes: int) -> None:
    """Class folders below `folder/train` and, for every tenth image, `folder/val`; what is there already is kept."""
    for split in ("train", "val"):
        for k in range(classes):
            (folder / split / f"n{k:08}").mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor() as pool:
        for _ in pool.map(partial(_write, folder, classes), range(images), chunksize=250):
            pass


def write_shards(folder: Path, images: int, classes: int, to: Path) -> None:
    """The same files in the same order, a thousand a tar file, with their classes beside them."""
    to.mkdir(parents=True, exist_ok=True)
    for split in ("train", "val"):
        files = sorted(path for k in range(images) if (path := _path(folder, classes, k)).parent.parent.name == split)
        for start in range(0, len(files), PER_SHARD):
            with tarfile.open(to / f"{split}-{start // PER_SHARD:06}.tar", "w") as tar:
                for path in files[start : start + PER_SHARD]:
                    tar.add(path, path.name)
                    label = tarfile.TarInfo(f"{path.stem}.cls")
                    label.size = 9
                    tar.addfile(label, io.BytesIO(path.parent.name.encode()))


def _path(folder: Path, classes: int, k: int) -> Path:
    return folder / ("val" if k % 10 == 9 else "train") / f"n{k // 10 % classes:08}" / f"{k:08}.JPEG"


def _write(folder: Path, classes: int, k: int) -> None:
    path = _path(folder, classes, k)
    if path.exists():
        return
    rng = np.random.default_rng(k)
    base = _base(int(rng.integers(BASES)))
    left, top = int(rng.integers(base.width - SIZE[0])), int(rng.integers(base.height - SIZE[1]))
    image = base.crop((left, top, left + SIZE[0], top + SIZE[1]))
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    gain = 0.8 + 0.4 * rng.random()
    image = image.point([min(255, int(v * gain)) for v in range(256)] * 3)
    temporary = path.with_suffix(".part")
    image.save(temporary, "JPEG", quality=QUALITY)
    temporary.rename(path)


@cache
def _base(seed: int) -> Image.Image:
    """One of the base images, 640×480."""
    rng = np.random.default_rng((1, seed))
    height, width = 480, 640
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = np.inf
    planes = []
    for scale in (45.0, 14.0, 14.0):  # brightness, and two weaker differences of colour
        phase = rng.standard_normal((2, *frequency.shape))
        plane = np.fft.irfft2((phase[0] + 1j * phase[1]) / frequency, (height, width))
        planes.append(scale * plane / plane.std())
    values = np.clip(np.stack(planes, -1) + 128, 0, 255).astype(np.uint8)
    image = Image.fromarray(values, "YCbCr").convert("RGB")
    draw = ImageDraw.Draw(image, "RGBA")
    for _ in range(12):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        w, h = (int(v) for v in rng.integers(20, 200, 2))
        draw.ellipse((x, y, x + w, y + h), fill=(*(int(v) for v in rng.integers(0, 256, 3)), 90))
    return image
