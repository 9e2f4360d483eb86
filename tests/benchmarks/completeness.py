"""Is every operator counted? `python -m tests.benchmarks.completeness --output FOLDER` asks one model of every file.

For each model file of timm, and for our CvT, the architecture with the fewest parameters is built, traced and counted,
and torch's FlopCounterMode, which shares no code with our counter, counts the same forward pass. README.md holds the
table, completeness.csv the same for machines.
"""

from __future__ import annotations

import argparse
import csv
import io
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import nn

from bench.measure.macs import MacCount, TraceError, count_macs, flop_counter_macs
from bench.models.zoo import timm_modules

TOLERANCE = 1e-3
"""Relative difference between the two counters that is allowed."""
LARGEST_PX = 256
"""A model that is made for larger images is counted at `SMALLER_PX`, where it takes that."""
SMALLER_PX = 224

SMALLEST = (
    "beit_base_patch16_224", "halonet_h1", "test_byobnet", "cait_xxs24_224", "coat_tiny", "convit_tiny",
    "convmixer_768_32", "test_convnext", "cpubone_nano", "crossvit_tiny_240", "csatv2", "cs3darknet_focus_s",
    "cspnext_tiny", "cvt_13", "davit_tiny", "deepseek_vit_412m", "deit_tiny_patch16_224", "densenet121", "dla46x_c",
    "dpn48b", "edgenext_xx_small", "efficientformer_l1", "efficientformerv2_s0", "test_efficientnet", "efficientvim_m1",
    "efficientvit_b0", "efficientvit_m0", "vit_tiny_patch16_dinov3_qkvb", "fasternet_t0", "fastvit_t8",
    "focalnet_tiny_srf", "gcvit_xxtiny", "gemma4_vit_167m", "ghostnet_050", "hardcorenas_b", "hgnetv2_b0",
    "hiera_tiny_224", "sam2_hiera_tiny", "hrnet_w18_small", "iformer_t", "inception_next_atto", "inception_resnet_v2",
    "inception_v3", "inception_v4", "lcnetv2_small", "levit_128s", "lowformer_b0", "test_mambaout", "test_coatnet",
    "poolformerv2_s12", "gmlp_ti16_224", "mobilenetv3_small_050", "mobilenetv5_base", "mobilevit_xxs", "mvitv2_tiny",
    "naflexvit_base_patch16_parfac_gap", "nasnetalarge", "nest_tiny", "nextvit_small", "test_nfnet", "pit_ti_224",
    "pnasnet5large", "pvt_v2_b0", "qwen3_vit_88m", "rdnet_tiny", "regnetx_002", "repghostnet_050", "repvit_m1",
    "res2next50", "resnest14d", "test_resnet", "resnetv2_18", "rexnet_100", "selecsls42", "legacy_seresnet18",
    "sequencer2d_s", "shvit_s1", "skresnet18", "starnet_s050", "swiftformer_xs", "swin_tiny_patch4_window7_224",
    "swinv2_tiny_window16_256", "swinv2_cr_tiny_224", "tiny_vit_5m_224", "tnt_s_legacy_patch16_224", "tresnet_m",
    "twins_svt_small", "vgg11", "visformer_tiny", "test_vit", "vit_tiny_r_s16_p8_224", "test_vit_relpos",
    "samvit_base_patch16_224", "vitamin_small_224", "volo_d1_224", "ese_vovnet19b_slim_dw", "legacy_xception",
    "xception41p", "xcit_nano_12_p8_224",
)  # fmt: skip
"""The architecture with the fewest parameters of each model file, by timm 1.0.31."""


@dataclass(frozen=True)
class Row:
    """What the two counters say about one architecture."""

    file: str
    """timm's model file."""
    architecture: str
    """timm's name."""
    px: int | None = None
    """Side of the image in pixels."""
    params: int | None = None
    """Parameters, with the head that the architecture comes with."""
    macs: int | None = None
    """Canonical multiply-accumulates."""
    flop_counter_macs: int | None = None
    """Half of FlopCounterMode's FLOPs; None where it cannot run the model."""
    missing: str = ""
    """Operators that nobody knows, separated by spaces; empty where the count is complete."""
    problem: str = ""
    """Why the architecture was not counted."""
    seconds: float = 0.0
    """Time of our counter."""

    @property
    def difference(self) -> float | None:
        """FlopCounterMode's count over ours, minus 1."""
        return None if not self.macs or self.flop_counter_macs is None else self.flop_counter_macs / self.macs - 1

    @property
    def complete(self) -> bool:
        """Whether every operator is counted or known to be free."""
        return self.macs is not None and not self.missing


@cache
def modules() -> dict[str, str]:
    """Model file of each architecture: timm's own and CvT, whatever else has been registered with timm."""
    import timm.models

    import bench.models.cvt  # noqa: F401  registers CvT with timm

    folder = Path(timm.models.__path__[0])
    files = {path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")} | {"cvt"}
    return {name: file for name, file in timm_modules().items() if file in files}


@cache
def architectures() -> dict[str, str]:
    """One architecture of each model file: the smallest known, or the first by name in a file that timm has added."""
    known = modules()
    chosen: dict[str, str] = {}
    for name in (*(name for name in SMALLEST if name in known), *sorted(known)):
        chosen.setdefault(known[name], name)
    return dict(sorted(chosen.items()))


@contextmanager
def _blank_weights() -> Iterator[None]:
    """Weights are born as zeros: drawing hundreds of millions takes longer than counting, which they do not change."""
    drawn = ("normal_", "uniform_", "erfinv_")
    with ExitStack() as stack:
        for name in drawn:
            stack.enter_context(patch.object(torch.Tensor, name, lambda tensor, *_, **__: tensor.zero_()))
        yield


def built(architecture: str) -> tuple[nn.Module, int]:
    """The model in eval mode, its weights blank, and the side of the images that it is counted with."""
    import timm

    with _blank_weights():
        model, px = _create(architecture, timm)
    return model.eval(), px


def _create(architecture: str, timm: Any) -> tuple[nn.Module, int]:
    cfg = timm.get_pretrained_cfg(architecture, allow_unregistered=True)
    native = cfg.input_size[-1] if cfg is not None else SMALLER_PX
    px = native if native <= LARGEST_PX else SMALLER_PX
    try:
        model: nn.Module = timm.create_model(architecture, img_size=px)
    except TypeError:
        model = timm.create_model(architecture)
        px = native if cfg is not None and cfg.fixed_input_size else px
    return model, px


def count(architecture: str) -> tuple[nn.Module, torch.Tensor, MacCount]:
    """The model, its image and its count."""
    model, px = built(architecture)
    image = torch.zeros(1, 3, px, px)
    return model, image, count_macs(model, image)


def ask(file: str, architecture: str) -> Row:
    """The row of one architecture; one that cannot be built or traced says why."""
    start = time.perf_counter()
    try:
        model, image, counted = count(architecture)
    except (TraceError, RuntimeError, ValueError, TypeError, AssertionError, ImportError) as error:
        return Row(file, architecture, problem=" ".join(str(error).split())[:200])
    return Row(
        file,
        architecture,
        px=image.shape[-1],
        params=sum(p.numel() for p in model.parameters()),
        macs=counted.macs,
        missing=" ".join(counted.uncounted),
        seconds=round(time.perf_counter() - start, 2),
        flop_counter_macs=flop_counter_macs(model, image),
    )


def table(rows: list[Row]) -> str:
    """The result in Markdown, its first sentence the count of complete architectures."""
    complete = [row for row in rows if row.complete]
    compared = [row for row in complete if row.difference is not None]
    agree = [row for row in compared if abs(row.difference or 0.0) <= TOLERANCE]
    exact = [row for row in compared if row.difference == 0]
    lines = [
        f"{len(complete)} of {len(rows)} are complete: every operator that their forward pass meets is counted or "
        "known to hold no matrix product and no convolution.",
        "",
        f"One architecture of every model file of timm, and CvT. FlopCounterMode agrees within {100 * TOLERANCE:.1f} % "
        f"on {len(agree)} of the {len(compared)} that it can run, and to the last multiply-accumulate on {len(exact)}.",
        "",
        "| file | architecture | px | parameters | MACs | FlopCounterMode | difference | complete |",
        "|:--|:--|--:|--:|--:|--:|--:|:--|",
    ]
    for row in rows:
        cells = [row.file, row.architecture, *_numbers(row), "yes" if row.complete else row.missing or row.problem]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", f"Made by `python -m tests.benchmarks.completeness` with {_versions()}.", ""]
    return "\n".join(lines)


def _numbers(row: Row) -> list[str]:
    difference = "–" if row.difference is None else f"{100 * row.difference:+.4f} %" if row.difference else "0"
    counts = (row.px, row.params, row.macs, row.flop_counter_macs)
    return [*("–" if n is None else f"{n:,}" for n in counts), difference]


def _versions() -> str:
    from importlib.metadata import version

    return ", ".join(f"{name} {version(name)}" for name in ("timm", "torch", "fvcore"))


def as_csv(rows: list[Row]) -> str:
    """The result for machines, one line for each architecture."""
    buffer = io.StringIO()
    names = [*(f.name for f in fields(Row) if f.name != "seconds"), "complete"]
    writer = csv.DictWriter(buffer, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({**asdict(row), "complete": row.complete} for row in rows)
    return buffer.getvalue()


def main() -> None:
    """Count them all, write both files, and print the first sentence."""
    parser = argparse.ArgumentParser(description="How many of timm's model files our MAC counter covers completely.")
    parser.add_argument("--output", type=Path, required=True, help="folder for README.md and completeness.csv")
    folder: Path = parser.parse_args().output
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    rows = []
    for file, architecture in architectures().items():
        rows.append(ask(file, architecture))
        print(f"{len(rows):3d} {rows[-1]}", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    text = table(rows)
    (folder / "README.md").write_text(f"# Are all operators counted?\n\n{text}")
    (folder / "completeness.csv").write_text(as_csv(rows))
    print(text.partition("\n")[0])


if __name__ == "__main__":
    main()
