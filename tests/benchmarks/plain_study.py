"""The default study against a shell loop over plain PyTorch scripts: `python -m tests.benchmarks.plain_study`.

Both train the same models on the same images as often and as long: two learning rates at the largest size, the better
one at the other sizes; both evaluate on the same test images, and both measure latency, inference and training steps.
The shell loop starts a script for each training, each validation and each benchmark (`plain_scripts`); ours is one
command with a fresh output folder. Printed as a Markdown table: seconds of each part and of all.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from bench.protocol import PRESETS
from bench.study import CANONICAL

ROOT = Path(__file__).resolve().parents[2]


def digits_folder(folder: Path) -> None:
    """scikit-learn's digits as PNG files in class folders, 80 % of them for training."""
    from PIL import Image

    digits = load_digits()
    pixels = (digits.images * 255 / 16).astype("uint8")
    index = range(len(pixels))
    for split, chosen in zip(
        ("train", "test"), train_test_split(index, test_size=0.2, stratify=digits.target, random_state=0), strict=True
    ):
        for k in chosen:
            path = folder / split / str(digits.target[k])
            path.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels[k]).convert("RGB").save(path / f"{k}.png")


def called(*arguments: str) -> float:
    """Seconds that a Python command takes; raises where it fails."""
    start = time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, env=dict(os.environ), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)}\n{done.stderr[-3000:]}")
    return time.perf_counter() - start


def shell_loop(models: list[str], work: Path, data: Path) -> dict[str, float]:
    """Seconds by part of a loop over the scripts; a pretended choice of the rate, since accuracy is not compared."""
    protocol = PRESETS["quick"]
    seconds: dict[str, float] = defaultdict(float)
    script = ("-m", "tests.benchmarks.plain_scripts")
    for model in models:
        runs = [(rate, 1.0) for rate in protocol.learning_rates()]
        runs += [(protocol.lr, part) for part in protocol.train_sizes if part < 1]
        for k, (rate, part) in enumerate(runs):
            common = ("--model", model, "--data", str(data), "--img-size", str(protocol.img_size))
            weights = str(work / f"{model}-{k}.pt")
            budget = ("--images", str(protocol.samples_seen), "--batch", str(protocol.batch_size))
            seconds["training"] += called(
                *script, "train", *common, *budget, "--lr", str(rate), "--part", str(part), "--save", weights
            )
            if k > 0:  # of the two rates only the better one is validated
                seconds["validation"] += called(*script, "validate", *common, "--weights", weights)
        seconds["benchmark"] += called(*script, "benchmark", "--model", model, "--img-size", str(protocol.img_size))
    return dict(seconds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default=",".join(CANONICAL))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        digits_folder(Path(folder) / "digits")
        ours = called("run_bench.py", "--models", asked.models, "--protocol", "quick", "--output", f"{folder}/results")
        theirs = shell_loop(asked.models.split(","), Path(folder), Path(folder) / "digits")
    print("| | s |\n| --- | ---: |")
    for part, spent in theirs.items():
        print(f"| shell loop, {part} | {spent:.0f} |")
    print(f"| shell loop, all | {sum(theirs.values()):.0f} |\n| run_bench.py, all | {ours:.0f} |")
    print(f"| shell loop ÷ run_bench.py | {sum(theirs.values()) / ours:.2f} |")
