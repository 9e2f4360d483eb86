"""What stands below the table of `costs.md`: ratios, memory, MACs, sweeps, limits of the device, validity, state."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.analysis.cost_notes import completeness, count_difference
from bench.analysis.cost_table import KINDS, kind_shares
from bench.analysis.costs import CostBoard, CostRow
from bench.analysis.settings import timings
from bench.analysis.speeds import is_judged, state_of
from bench.profiles import CurvePoint, MachineState, Rate, SizeCost, Timing
from bench.report.costs.words import ALIKE, giga, mebibytes, milliseconds, roof_doubt, signed_percent, times
from bench.report.words import NOTHING, filled_table, percent, pipe_table, plain, significant

_METHODS = {
    "resident": "growth of the process's peak resident size",
    "allocated": "peak of torch's allocator",
}


def cost_sections(board: CostBoard, pictures: Sequence[tuple[str, str]]) -> list[str]:
    """The sections below a board's table; those that would be empty are left out. `pictures` are (text, path)."""
    found = [
        _figures(pictures),
        _ratios(board),
        _latency(board),
        _memory(board),
        _energy(board),
        _kinds(board),
        _completeness(board),
        _sizes(board),
        _sweeps(board),
        _roofline(board),
        _validity(board),
        _state(board),
        _HOW if any(is_judged(t) for row in board.good for t in timings(row.profile).values()) else "",
    ]
    return [section for section in found if section]


def _figures(pictures: Sequence[tuple[str, str]]) -> str:
    return "### Figures\n\n" + "\n\n".join(f"![{text}]({path})" for text, path in pictures) if pictures else ""


def _ratios(board: CostBoard) -> str:
    best = board.fastest("inference") or next((row for row in board.good if row.inference is not None), None)
    if best is None:
        return ""
    rows = []
    for row in board.good:
        found = [board.ratio(q, row.model, best.model) for q in ("inference", "training", "latency")]
        if row is not best and any(found):
            turns = " / ".join(NOTHING if r is None else str(r.turns) for r in found)
            rows.append([plain(row.model), *map(times, found), turns])
    if not rows:
        return ""
    headers = ["model", "inference img/s ×", "training img/s ×", "latency ×", "turns"]
    return (
        f"### Compared with {plain(best.model)}\n\nMedian over the turns of the ratio within a turn, with its 95 % "
        f"interval over turns: drift of the machine cancels. {ALIKE}: cannot be told apart. Every interval "
        f"stands for itself; every pair is in `costs.json`.\n\n{pipe_table(headers, rows, right=(1, 2, 3, 4))}"
    )


def _latency(board: CostBoard) -> str:
    rows = [
        [plain(row.model), milliseconds(t), _range(t), significant(t.p90_ms), significant(t.p99_ms), str(t.repeats)]
        for row in board.good
        if (t := row.latency) is not None
    ]
    if not rows:
        return ""
    table = pipe_table(["model", "p50 ms", "95 % interval", "p90 ms", "p99 ms", "samples"], rows, right=range(1, 6))
    return (
        "### Latency\n\nOne image at a time, synchronised each time. p90 needs 64 samples and p99 needs 662: from "
        f"fewer their upper limit is not known.\n\n{table}"
    )


def _range(timing: Timing) -> str:
    if timing.low_ms is None or timing.high_ms is None:
        return NOTHING
    return f"{significant(timing.low_ms)}–{significant(timing.high_ms)}"


def _memory(board: CostBoard) -> str:
    rows = []
    for row in board.good:
        if (m := row.memory) is None:
            continue
        asked = f"{m.batch_size} of {m.requested_batch_size}" if m.requested_batch_size > m.batch_size else ""
        training = "did not fit" if m.training_peak_bytes is None else mebibytes(m.training_peak_bytes)
        reserved = [m.inference_reserved_bytes, m.training_reserved_bytes]
        rows.append(
            [
                *(plain(row.model), mebibytes(m.weights_bytes), mebibytes(m.inference_peak_bytes), training),
                *(*map(mebibytes, reserved), asked or str(m.batch_size)),
            ]
        )
    if not rows:
        return ""
    methods = dict.fromkeys(_METHODS[row.memory.method] for row in board.good if row.memory)
    headers = ["model", "weights", "inference", "training step", "inference, reserved", "training, reserved", "batch"]
    table = filled_table(headers, rows)
    return f"### Memory\n\nIn MiB, weights included, in a process of its own: {' or '.join(methods)}.\n\n{table}"


def _energy(board: CostBoard) -> str:
    rows = [
        [
            plain(row.model),
            *(significant(v) for v in (e.millijoule_per_image, e.gross_millijoule_per_image)),
            *(significant(v) for v in (e.idle_watt, e.busy_watt, e.window_s)),
            f"{e.images:,}",
            plain(e.counter),
        ]
        for row in board.good
        if (e := row.energy) is not None
    ]
    if not rows:
        return ""
    headers = ["model", "mJ/image", "with idle", "idle W", "busy W", "window s", "images", "counter"]
    table = pipe_table(headers, rows, right=range(1, 7))
    return f"### Energy\n\nOf inference, above the idle device, by the device's own counter.\n\n{table}"


def _kinds(board: CostBoard) -> str:
    shares = {row.model: kind_shares(row.profile.macs_by_kind) for row in board.good if row.profile.macs_by_kind}
    if not shares:
        return ""
    kinds = [kind for kind in KINDS if any(kind in found for found in shares.values())]
    kinds += [kind for kind in dict.fromkeys(k for found in shares.values() for k in found) if kind not in kinds]
    rows = []
    for row in board.good:
        if row.model not in shares:
            continue
        parts = [percent(shares[row.model].get(kind)) for kind in kinds]
        p = row.profile
        beside = [_mega(n) for n in (p.norm_ops, p.elementwise_ops, p.activations, p.activations_read)]
        rows.append([plain(row.model), giga(row.macs), *parts, *beside])
    headers = ["model", "GMACs", *(f"{kind.replace('_', ' ')} %" for kind in kinds)]
    headers += ["norms M", "elementwise M", "written M", "read M"]
    return (
        "### MACs by kind\n\nCanonical: matrix products and convolutions only. `attention` is QKᵀ and AV, `projection` "
        "the matrices around them. Norms (elements read) and elementwise operators (elements written) are apart, in "
        "millions, as are the elements that products and convolutions write and read. By layer: `costs.json`."
        f"\n\n{filled_table(headers, rows)}"
    )


def _completeness(board: CostBoard) -> str:
    rows = [
        [
            plain(row.model),
            f"{row.macs:,}" if row.macs is not None else NOTHING,
            f"{p.flop_counter_macs:,}" if (p := row.profile).flop_counter_macs is not None else NOTHING,
            signed_percent(count_difference(p), 3),
            plain(", ".join(p.uncounted)) or "none",
            completeness(p),
        ]
        for row in board.good
    ]
    if not rows:
        return ""
    headers = ["model", "MACs", "FlopCounterMode", "difference %", "operators without a count", "count"]
    return (
        "### Are the MACs complete?\n\nEvery operator that was met is counted or known to hold no product; torch's "
        f"FlopCounterMode comes to the same number by another road.\n\n{pipe_table(headers, rows, right=(1, 2, 3))}"
    )


def _sizes(board: CostBoard) -> str:
    sizes = sorted({s.img_size for row in board.good for s in row.profile.macs_by_size})
    if not sizes:
        return ""
    rows = []
    for row in board.good:
        at = {s.img_size: s for s in row.profile.macs_by_size}
        if at:
            rows.append([plain(row.model), *(_at_size(at.get(size)) for size in sizes)])
    table = pipe_table(["model", *(f"{size} px" for size in sizes)], rows, right=range(1, len(sizes) + 1))
    return f"### MACs against image size\n\nGMACs for one image (in brackets: % spent on QKᵀ and AV).\n\n{table}"


def _at_size(cost: SizeCost | None) -> str:
    if cost is None:
        return NOTHING
    share = kind_shares(cost.macs_by_kind).get("attention", 0.0)
    return giga(cost.macs) + (f" ({100 * share:.0f})" if share else "")


def _sweeps(board: CostBoard) -> str:
    lines: list[tuple[str, Timing | None, list[CurvePoint]]] = []
    for row in board.good:
        lines.append((f"{row.model}, inference", row.inference, row.profile.inference_curve))
        lines.append((f"{row.model}, training", row.training, row.profile.training_curve))
    lines = [line for line in lines if line[2]]
    if not lines:
        return ""
    batches = sorted({point.batch_size for _, _, curve in lines for point in curve})
    rows = []
    for name, chosen, curve in lines:
        at = {point.batch_size: point for point in curve}
        rows.append([plain(name), *(_swept(at.get(b), chosen) for b in batches)])
    table = pipe_table(["images per second", *map(str, batches)], rows, right=range(1, len(batches) + 1))
    return f"### Batch sizes\n\nThe whole sweep; the batch in bold is the one that was then measured.\n\n{table}"


def _swept(point: CurvePoint | None, chosen: Timing | None) -> str:
    if point is None:
        return ""
    if point.throughput_img_per_s is None:
        return "out of memory"
    bold = "**" if chosen is not None and chosen.batch_size == point.batch_size else ""
    return f"{bold}{significant(point.throughput_img_per_s)}{bold}"


def _roofline(board: CostBoard) -> str:
    points = [(row, p) for row in board.good for p in (row.inference_point, row.training_point) if p is not None]
    device = board.device
    if device is None or not points:
        return ""
    rows = [
        [
            *(plain(row.model), p.use, significant(p.intensity), giga(p.flops_per_s)),
            *(giga(p.attainable_flops_per_s), percent(p.fraction), percent(p.mfu) + roof_doubt(row, p)),
        ]
        for row, p in points
    ]
    roofs = ", ".join(f"{name} {_with_range(r)} GFLOP/s" for name, r in device.flops_per_s.items())
    headers = ["model", "use", "FLOP/byte", "GFLOP/s", "attainable", "% of attainable", "MFU %"]
    return (
        f"### What the device could do\n\nMeasured here: copying moves {_with_range(device.copy_bytes_per_s)} GB/s "
        f"({device.copy_mib} MiB), products of {device.matrix_size:,}×{device.matrix_size:,} matrices reach {roofs}. "
        "Attainable is the lower of the matrix rate and the bandwidth times FLOP per byte, where every product and "
        "convolution is taken to move its input, output and weights; caches may save some of that. MFU is the share "
        "of the matrix rate; training counts as three forward passes.\n\n"
        + pipe_table(headers, rows, right=range(2, 7))
    )


def _with_range(rate: Rate) -> str:
    return f"{giga(rate.median_per_s)} [{giga(rate.low_per_s)}–{giga(rate.high_per_s)}]"


def _validity(board: CostBoard) -> str:
    rows = []
    for row in board.rows:
        for name, t in timings(row.profile).items():
            half = (
                max(t.high_ms - t.median_ms, t.median_ms - t.low_ms) / t.median_ms if t.high_ms and t.low_ms else None
            )
            warm_up = NOTHING if t.warm_up_steps is None else f"{t.warm_up_steps}{'' if t.settled else ', unsettled'}"
            rows.append(
                [
                    *(plain(row.model), name, significant(t.median_ms), f"{t.repeats:,}", f"{t.steps_per_sample:,}"),
                    *(NOTHING if half is None else f"±{100 * half:.2f}", signed_percent(t.drift)),
                    *(percent(t.cv), percent(t.waited)),
                    *(warm_up, significant(t.first_ms), significant(t.seconds), state_of(t)),
                ]
            )
    if not rows:
        return ""
    headers = ["model", "figure", "median ms", "samples", "steps each", "interval %", "drift %", "CV %", "waited %"]
    headers += ["warm-up steps", "first ms", "seconds", "state"]
    return (
        "### Can the figures be relied on?\n\nA figure is INVALID where it drifted, spread, waited or is uncertain; "
        "the reasons stand below the first table. Waited: for a processor, because something else ran.\n\n"
        + filled_table(headers, rows, left=(0, 1))
    )


_STATE: tuple[tuple[str, Callable[[MachineState], float | str | None]], ...] = (
    ("processors", lambda s: None if s.affinity is None else str(s.affinity)),
    ("governor", lambda s: s.governor),
    ("load", lambda s: s.load),
    ("CPU MHz", lambda s: s.cpu_mhz),
    ("CPU °C", lambda s: s.cpu_temperature_c),
    ("CPU throttled", lambda s: None if s.cpu_throttled is None else f"{s.cpu_throttled:,}×"),
    ("GPU MHz", lambda s: s.gpu_mhz),
    ("GPU memory MHz", lambda s: s.gpu_memory_mhz),
    ("GPU °C", lambda s: s.gpu_temperature_c),
    ("GPU W", lambda s: s.gpu_watt),
    ("clocks held down", lambda s: ", ".join(s.gpu_throttle_reasons) or None),
)


def _state(board: CostBoard) -> str:
    rows = [
        [plain(row.model), *(_before_after(row, read) for _, read in _STATE)]
        for row in board.good
        if row.profile.before is not None or row.profile.after is not None
    ]
    if not rows:
        return ""
    table = filled_table(["model", *(name for name, _ in _STATE)], rows)
    return f"### The machine, before → after each model\n\nWhat the system does not tell is left out.\n\n{table}"


def _before_after(row: CostRow, read: Callable[[MachineState], float | str | None]) -> str:
    before, after = (None if s is None else read(s) for s in (row.profile.before, row.profile.after))
    if before is None and after is None:
        return NOTHING
    first, then = _reading(before), _reading(after)
    return first if first == then else f"{first} → {then}"


def _reading(value: float | str | None) -> str:
    return NOTHING if value is None else plain(value) if isinstance(value, str) else significant(value)


def _mega(count: int | None) -> str:
    return NOTHING if count is None else significant(count / 1e6)


_HOW = (
    "### How it is measured\n\nEach model is measured in processes of its own while nothing else of the study runs, on "
    "random images that already lie on the device, without the loader; models take turns. Latency is a single image, "
    "synchronised each time. Throughput is many steps queued between two synchronisations, at the best batch of a "
    "sweep over powers of two; a training step is forward, backward and optimiser. Warm-up lasts until the rolling "
    "median settles and counts in no figure; sampling goes on until the 95 % bootstrap interval of the median is "
    "within 1 %, or the time is up. Energy is read from the device's own counter; where there is none it is left out, "
    "never estimated. Raw samples are in the records."
)
