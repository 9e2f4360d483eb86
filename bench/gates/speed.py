"""Gate 3: is this code slower than that, on this machine, now? Absolute times are never compared.

Two processes, one with the base checkout first on its module path and one with the head, are asked in turn for a
block of timed steps: A B B A, then B A A B, and so on, so that neither drift nor place in the order favours one. What
looks slower is measured once more from the start, in fresh processes, and only what looks slower both times fails.

On a CPU the steps run on one thread unless the user asks for more: then a neighbour on another core does not hold up
every parallel loop, and the gate stays sharp on the machines that CI runs on. All four blocks of a quad run on the
same core, the next quad on the next one: cores differ, and a scheduler tends to give each process one of its own.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from bench.errors import UsageError
from bench.gates.findings import Finding, GateName, Outcome, judged
from bench.gates.ratios import LOW_LIMIT, MEDIAN_LIMIT, Ratio, is_clear, quad_ratio, summarise
from bench.gates.workers import TimingWorker, WorkerFailed
from bench.measure.hardware import Hardware
from bench.protocol import Protocol
from bench.report.words import NOTHING

GATE: GateName = "3 speed"
BLOCK_MS = 150.0
"""Aimed-at length of a block."""
FEWEST_STEPS = 3
"""Steps of a block, at least."""
CASE_S, FEWEST_IN_TIME = 120.0, 4
"""Seconds after which a case ends if it has this many quads."""
NO_BASE = "no --base was given: --base DIR, a checkout of the version to compare with, turns this gate on"


@dataclass(frozen=True)
class Case:
    """What one ratio is about."""

    model: str
    """The model."""
    training: bool
    """Forward, backward and optimiser step, or forward only."""
    batch_size: int
    """Images per step."""

    @property
    def quantity(self) -> str:
        """As the table says it."""
        return f"{'training' if self.training else 'inference'} step, batch {self.batch_size}"


@dataclass(frozen=True)
class Setting:
    """What both sides share, and where each finds its modules."""

    base: Path
    """The base checkout."""
    plugins: tuple[str, ...]
    """Modules that register models."""
    device: str
    """`cpu` or `cuda:i`."""
    threads: int
    """Threads that torch computes with."""
    bf16: bool
    """Whether training steps run in bfloat16 autocast."""
    img_size: int
    """Side of the images in pixels."""
    num_classes: int
    """Outputs of the head."""


@dataclass(frozen=True)
class Measured:
    """What came of a case."""

    ratio: Ratio
    """Head over base."""
    base_ms: float
    """Median step of the base."""
    head_ms: float
    """Median step of the head."""


def compare_speed(
    models: Sequence[str],
    protocol: Protocol,
    num_classes: int,
    *,
    base: Path,
    plugins: Sequence[str],
    hardware: Hardware,
    log: Callable[[str], None],
    threads: int | None = None,
) -> Outcome:
    """Time an inference and a training step of each model on both sides. Raises UsageError for an unusable base."""
    check_base(base, plugins)
    setting = Setting(
        base=base.resolve(),
        plugins=tuple(plugins),
        device=hardware.device,
        threads=threads or (1 if hardware.device == "cpu" else hardware.threads),
        bf16=hardware.precision == "bf16",
        img_size=protocol.img_size,
        num_classes=num_classes,
    )
    cases = [Case(model, training, protocol.batch_size) for model in models for training in (False, True)]
    first = _measure_all(setting, cases, log)
    suspects = [case for case in cases if isinstance(m := first[case], Measured) and m.ratio.slower]
    if suspects:
        log(f"{len(suspects)} of {len(cases)} look slower and are measured again in fresh processes")
    second = _measure_all(setting, suspects, log)
    findings = [_finding(case, first[case], second.get(case)) for case in cases]
    timed = sum(isinstance(m, Measured) for m in first.values())
    said = (
        f"{timed} of {len(cases)} steps timed against {base.name or base}, none has a median ratio above "
        f"{MEDIAN_LIMIT:.2f} with an interval above {LOW_LIMIT:.2f}"
    )
    if not timed and not any(f.verdict == "FAIL" for f in findings):
        return Outcome(GATE, "not run", "nothing could be timed on both sides", tuple(findings))
    return judged(GATE, findings, said)


def check_base(base: Path, plugins: Sequence[str]) -> None:
    """Raise UsageError unless `base` is a folder with this project's `bench/`, or with the plugins' modules."""
    if not base.is_dir():
        raise UsageError(f"--base: there is no folder {base}; check out the version to compare with there.")
    if not plugins and not (base / "bench" / "__init__.py").is_file():
        raise UsageError(f"--base {base} holds no bench/, and no --plugins names a module to look for in it.")
    for name in plugins:
        place = base.joinpath(*name.split("."))
        if not (place.with_suffix(".py").is_file() or place.is_dir()):
            raise UsageError(f"--base {base} holds no module {name}: give the folder that {place.name}.py lies in.")


def measure(base: TimingWorker, head: TimingWorker, case: Case, setting: Setting) -> Measured:
    """The ratio of one case, from alternating blocks. Raises WorkerFailed, whose message names the side."""
    sides = (base, head)
    request = {
        "model": case.model,
        "training": case.training,
        "batch_size": case.batch_size,
        "img_size": setting.img_size,
        "num_classes": setting.num_classes,
        "bf16": setting.bf16,
    }
    fastest = min(float(_ask(side, "prepare", **request)["ms"]) for side in sides)
    steps = max(FEWEST_STEPS, round(BLOCK_MS / max(fastest, 1e-3)))
    cores = _cores(setting)
    ratios: list[float] = []
    times: tuple[list[float], list[float]] = ([], [])
    begin = time.perf_counter()
    while not is_clear(ratios):
        if len(ratios) >= FEWEST_IN_TIME and time.perf_counter() - begin > CASE_S:
            break
        core = cores[len(ratios) % len(cores)]
        blocks: tuple[list[list[float]], list[list[float]]] = ([], [])
        for k in (0, 1, 1, 0) if len(ratios) % 2 == 0 else (1, 0, 0, 1):
            blocks[k].append(_ask(sides[k], "block", steps=steps, cpu=core)["ms"])
        ratios.append(quad_ratio(*blocks))
        for k in (0, 1):
            times[k].extend(median(block) for block in blocks[k])
    return Measured(summarise(ratios), median(times[0]), median(times[1]))


def _cores(setting: Setting) -> Sequence[int | None]:
    """The cores that quads take in turn; only None where steps are not confined to one thread of a CPU."""
    if setting.device != "cpu" or setting.threads != 1 or not hasattr(os, "sched_getaffinity"):
        return [None]
    return sorted(os.sched_getaffinity(0))


def _ask(worker: TimingWorker, op: str, **request: object) -> dict[str, Any]:
    try:
        return worker.ask(op, **request)
    except WorkerFailed as failed:
        raise WorkerFailed(f"{worker.side}: {failed}") from failed


def _measure_all(
    setting: Setting, cases: Sequence[Case], log: Callable[[str], None]
) -> dict[Case, Measured | WorkerFailed]:
    """Every case, in a pair of processes that is replaced after a failure."""
    found: dict[Case, Measured | WorkerFailed] = {}
    left = list(cases)
    while left:
        with ExitStack() as held:
            base, head = (held.enter_context(TimingWorker(side)) for side in ("base", "head"))
            _start(base, head, setting)
            while left:
                case = left.pop(0)
                try:
                    found[case] = measured = measure(base, head, case, setting)
                except WorkerFailed as failed:
                    found[case] = failed
                    log(f"{case.model} {case.quantity}: {failed}")
                    break
                log(f"{case.model} {case.quantity}: head takes {measured.ratio.median:.3f} times as long")
    return found


def _start(base: TimingWorker, head: TimingWorker, setting: Setting) -> None:
    """Point both workers to their modules; UsageError where the base's would come from elsewhere."""
    here = [os.path.abspath(folder or ".") for folder in sys.path]
    paths = {base: [str(setting.base), *(p for p in here if p != str(setting.base))], head: here}
    for worker, path in paths.items():
        try:
            files = worker.start(path, setting.plugins, setting.device, setting.threads)
        except WorkerFailed as failed:
            raise UsageError(f"gate 3: the {worker.side} cannot be started: {failed}.") from failed
        if worker is not base:
            continue
        wanted = [*setting.plugins, *(["bench"] if (setting.base / "bench" / "__init__.py").is_file() else [])]
        for name in wanted:
            if not files[name] or setting.base not in Path(files[name]).resolve().parents:
                where = files[name] or "nowhere"
                raise UsageError(f"--base {setting.base}: {name} was loaded from {where}, not from there.")


def _finding(case: Case, first: Measured | WorkerFailed, second: Measured | WorkerFailed | None) -> Finding:
    blank = Finding(GATE, case.model, case.quantity, NOTHING, NOTHING, NOTHING, "ok")
    if isinstance(first, WorkerFailed):
        side, _, reason = str(first).partition(": ")
        if side == "base":
            return replace(blank, base=f"cannot be timed: {reason}", verdict="not compared")
        return replace(blank, head=f"cannot be timed: {reason}", verdict="FAIL")
    change = _change(first.ratio)
    slower = first.ratio.slower
    if second is not None:
        slower = isinstance(second, WorkerFailed) or second.ratio.slower
        again = "failed" if isinstance(second, WorkerFailed) else _change(second.ratio)
        change = f"{change}; again: {again}"
    shown = second if isinstance(second, Measured) else first
    faster = not slower and 1 / first.ratio.high > LOW_LIMIT and 1 / first.ratio.median > MEDIAN_LIMIT
    return replace(
        blank,
        base=f"{shown.base_ms:.2f} ms",
        head=f"{shown.head_ms:.2f} ms",
        change=change,
        verdict="FAIL" if slower else "better" if faster else "ok",
    )


def _change(ratio: Ratio) -> str:
    ends = f"{100 * (ratio.low - 1):+.1f}, {100 * (ratio.high - 1):+.1f}"
    return f"{100 * (ratio.median - 1):+.1f} % [{ends}], {ratio.quads} quads".replace("-", "−")
