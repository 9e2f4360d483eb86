"""Our CvT-13 against transformers', side by side: `python -m tests.benchmarks.cvt_ratio` prints a Markdown table.

Both models are built in one process and take turns (A B, B A, …), so that whatever slows the machine slows both.
A ratio is their time over ours within one turn; the table holds the median over turns and its 95 % bootstrap interval.
Images and parameters are channels last unless asked otherwise; training is loss, backward pass and a fused AdamW step.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

THREADS = 2


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    px: int
    """Image height and width in pixels."""
    training: bool
    """Training step, or inference."""
    bf16: bool
    """Autocast to bfloat16, or float32."""

    @property
    def batch(self) -> int:
        """Images per step."""
        return 8 if self.px >= 224 else 32

    @property
    def name(self) -> str:
        """For test names and rows."""
        return f"{self.px}px-{'train' if self.training else 'infer'}-{'bf16' if self.bf16 else 'fp32'}"


CASES = tuple(Case(px, training, bf16) for px in (32, 64, 224) for training in (True, False) for bf16 in (False, True))


def ours() -> nn.Module:
    """This project's CvT-13, through timm."""
    import timm

    import bench.models.cvt  # noqa: F401

    model: nn.Module = timm.create_model("cvt_13")
    return model


def theirs() -> nn.Module:
    """transformers' CvT-13 without drop-path, its attention as it comes."""
    from transformers import CvtConfig, CvtForImageClassification

    config = CvtConfig(num_labels=1000, drop_path_rate=[0.0, 0.0, 0.0])  # type: ignore[call-arg]
    model: nn.Module = CvtForImageClassification(config)
    return model


def make_step(
    model: nn.Module, case: Case, optimizer: bool = True, layout: torch.memory_format = torch.channels_last
) -> Callable[[], None]:
    """A function that runs one training or inference step of `case` on fixed random images."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(case.batch, 3, case.px, case.px, generator=generator)
    images = images.contiguous(memory_format=layout)
    labels = torch.randint(0, 1000, (case.batch,), generator=generator)
    model = model.to(memory_format=layout).train(case.training)
    adamw = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def forward() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=case.bf16):
            out = model(images)
        logits: Tensor = getattr(out, "logits", out)
        return logits

    def train() -> None:
        F.cross_entropy(forward().float(), labels).backward()  # type: ignore[no-untyped-call]
        if optimizer:
            adamw.step()
        adamw.zero_grad(set_to_none=True)

    def infer() -> None:
        with torch.inference_mode():
            forward()

    return train if case.training else infer


def take_turns(first: Callable[[], None], second: Callable[[], None], turns: int) -> NDArray[np.float64]:
    """Seconds of each call [turns, 2], after two warm-up calls; who goes first alternates."""
    for step in (first, second, first, second):
        step()
    seconds = np.zeros((turns, 2))
    for turn in range(turns):
        for side in (0, 1) if turn % 2 == 0 else (1, 0):
            start = time.perf_counter()
            (first, second)[side]()
            seconds[turn, side] = time.perf_counter() - start
    return seconds


def ratio_interval(seconds: NDArray[np.float64], resamples: int = 2000) -> tuple[float, float, float]:
    """Median of second / first over the turns [turns, 2], and its 95 % percentile-bootstrap interval."""
    ratios = seconds[:, 1] / seconds[:, 0]
    draws = np.random.default_rng(0).integers(0, len(ratios), (resamples, len(ratios)))
    low, high = np.quantile(np.median(ratios[draws], axis=1), (0.025, 0.975))
    return float(np.median(ratios)), float(low), float(high)


def main() -> None:
    """Time the cases asked for and print their table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="time to spend on each row")
    parser.add_argument("--only", default="", help="part of the names of the rows wanted, such as 32px-train")
    parser.add_argument("--no-optimizer", action="store_true", help="leave the AdamW step out of training")
    parser.add_argument("--theirs-as-it-comes", action="store_true", help="leave their model in torch's default layout")
    args = parser.parse_args()
    torch.set_num_threads(THREADS)
    print("| px | what | precision | batch | ours ms | transformers ms | ratio | 95 % interval | turns |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    for case in CASES:
        if args.only in case.name:
            print(_row(case, args.seconds, not args.no_optimizer, args.theirs_as_it_comes), flush=True)


def _row(case: Case, seconds: float, optimizer: bool, as_it_comes: bool) -> str:
    layout = torch.contiguous_format if as_it_comes else torch.channels_last
    sides = [make_step(ours(), case, optimizer), make_step(theirs(), case, optimizer, layout)]
    once = take_turns(sides[0], sides[1], turns=1).sum()
    times = take_turns(sides[0], sides[1], turns=max(6, int(seconds / once)))
    ratio, low, high = ratio_interval(times)
    mine, other = np.median(times, axis=0) * 1000
    what = "inference" if not case.training else "training" if optimizer else "training, no optimiser"
    precision = "bf16" if case.bf16 else "fp32"
    return (
        f"| {case.px} | {what} | {precision} | {case.batch} | {mine:.1f} | {other:.1f} "
        f"| {ratio:.2f}× | {low:.2f}–{high:.2f} | {len(times)} |"
    )


if __name__ == "__main__":
    main()
