"""What stands above a table of costs: on which machine, with which settings, in what state, by which command."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bench.analysis.costs import CostBoard, CostRow
from bench.analysis.ratios import Ratio
from bench.analysis.speeds import INVALID
from bench.profiles import MachineState
from bench.report.costs.words import times
from bench.report.markdown.stamp import software
from bench.report.words import listing, plural, significant


def cost_title(board: CostBoard) -> str:
    """`224 px · AMD EPYC, 2 threads, fp32`."""
    key = board.key
    threads = f", {plural(key.threads, 'thread')}" if key.threads else ""
    compiled = ", compiled" if key.settings.compiled else ""
    layout = ", contiguous" if key.settings.memory_format == "contiguous" else ""
    return f"{key.img_size} px · {key.hardware}{threads}, {_precision(board)}{layout}{compiled}"


def cost_stamp(board: CostBoard) -> list[tuple[str, str]]:
    """(label, text) of every fact a reader needs to judge the table by."""
    return [
        ("Machine", _machine(board)),
        ("Settings", _settings(board)),
        ("State", _state(board)),
        ("Software", software(board.environments)),
    ]


def cost_commands(board: CostBoard) -> list[str]:
    """The distinct commands that measured the board's rows, newest last."""
    return list(dict.fromkeys(e.command for e in board.environments if e.command))


def cost_caveats(board: CostBoard) -> list[str]:
    """What differs between the rows although it may change speed."""
    found = []
    torches = _distinct(e.versions.get("torch") for e in board.environments)
    if len(torches) > 1:
        found.append(f"Rows were measured with different versions of torch ({', '.join(torches)}).")
    affinities = _distinct(_text(s.affinity) for s in _states(board))
    if len(affinities) > 1:
        found.append(f"Rows were measured with different numbers of usable processors ({', '.join(affinities)}).")
    sessions = {row.profile.session for row in board.good}
    if len(board.good) > 1 and (len(sessions) > 1 or "" in sessions):
        found.append("Not all rows took turns with each other: between those that did not, a difference may be drift.")
    if board.device is not None and board.device.invalid:
        found.append(
            f"The device's own rates are {INVALID}, and with them every utilisation: {'; '.join(board.device.invalid)}."
        )
    return found


def cost_takeaway(board: CostBoard) -> str:
    """One sentence that says which model is fastest at inference and which cannot be told apart from it."""
    valid = [row for row in board.good if row.inference is not None and not row.inference.invalid]
    best = board.fastest("inference")
    if best is None:
        doubtful = any(row.inference is not None for row in board.good)
        advice = ": measure again with --fresh while nothing else runs" if doubtful else ""
        return f"No model has a valid inference throughput{advice}."
    start = f"At {board.key.img_size} px"
    ratios = {row.model: board.ratio("inference", row.model, best.model) for row in valid if row is not best}
    alike = [row for row in valid if (r := ratios.get(row.model)) is not None and r.low is not None and not r.apart]
    behind = [row for row in valid if row is not best and row not in alike]
    first = listing([f"{row.model} ({_speed(row)})" for row in (best, *alike)], most=6)
    if len(valid) == 1:
        said = f"{start} {first} is the only model with a valid inference throughput"
    elif alike:
        said = f"{start} {first} are fastest at inference and cannot be told apart"
    else:
        said = f"{start} {first} is fastest at inference"
    return said + _following(behind, ratios) + _invalid(board) + "."


def _following(behind: list[CostRow], ratios: dict[str, Ratio | None]) -> str:
    if not behind:
        return ""
    found = ratios[behind[0].model]
    how = f"at {times(found)} times that speed" if found else f"with {_speed(behind[0])}, measured apart"
    return f"; next is {behind[0].model}, {how}"


def _invalid(board: CostBoard) -> str:
    names = [row.model for row in board.good if row.inference is not None and row.inference.invalid]
    return f"; {INVALID} and left out: {listing(names)}" if names else ""


def _speed(row: CostRow) -> str:
    return f"{significant(row.inference.throughput_img_per_s)} img/s" if row.inference else "no throughput"


def _precision(board: CostBoard) -> str:
    settings = board.key.settings
    known = [name for name in (settings.precision, settings.training_precision) if name]
    if len(set(known)) == 2:
        return f"{settings.precision} inference, {settings.training_precision} training"
    return known[0] if known else "arithmetic unknown"


def _machine(board: CostBoard) -> str:
    newest, key = board.environments[-1], board.key
    parts = [f"{key.hardware} ({newest.device})", plural(newest.threads, "thread")]
    affinities = _distinct(_text(s.affinity) for s in _states(board))
    if affinities:
        parts.append(f"{', '.join(affinities)} usable processors")
    if newest.memory_bytes:
        parts.append(f"{newest.memory_bytes / 2**30:.0f} GiB memory")
    return f"{', '.join(parts)}; {newest.platform}"


def _settings(board: CostBoard) -> str:
    key, settings = board.key, board.key.settings
    training = settings.training_precision
    parts = [
        f"{key.img_size} px, {key.num_classes:,} classes",
        f"inference in {settings.precision or 'unknown arithmetic'}",
        f"training step in {training}" if training else "training step not measured",
        (settings.memory_format or "unknown layout").replace("_", " "),
        {True: "torch.compile on", False: "torch.compile off", None: "torch.compile unknown"}[settings.compiled],
        f"switches on: {settings.switches}" if settings.switches is not None else "switches unknown",
    ]
    return "; ".join(parts)


def _state(board: CostBoard) -> str:
    """Governor, clocks, temperature and load before and after, as ranges over the rows."""
    before = [row.profile.before for row in board.good if row.profile.before is not None]
    after = [row.profile.after for row in board.good if row.profile.after is not None]
    parts = [f"governor {', '.join(found)}" for found in [_distinct(s.governor for s in before)] if found]
    for label, unit, read in _READINGS:
        first, then = _span(before, read), _span(after, read)
        if first or then:
            parts.append(f"{label} {first or 'unknown'} before, {then or 'unknown'} after{unit and f' ({unit})'}")
    reasons = _distinct(reason for s in after for reason in s.gpu_throttle_reasons)
    if reasons:
        parts.append(f"clocks held down: {', '.join(reasons)}")
    return "; ".join(parts) or "not recorded"


_READINGS: tuple[tuple[str, str, Callable[[MachineState], float | None]], ...] = (
    ("CPU clock", "MHz", lambda s: s.cpu_mhz),
    ("CPU temperature", "°C", lambda s: s.cpu_temperature_c),
    ("load", "", lambda s: s.load),
    ("GPU clock", "MHz", lambda s: s.gpu_mhz),
    ("GPU memory clock", "MHz", lambda s: s.gpu_memory_mhz),
    ("GPU temperature", "°C", lambda s: s.gpu_temperature_c),
    ("GPU power", "W", lambda s: s.gpu_watt),
)


def _span(states: Iterable[MachineState], read: Callable[[MachineState], float | None]) -> str:
    values = [value for state in states if (value := read(state)) is not None]
    if not values:
        return ""
    low, high = significant(min(values)), significant(max(values))
    return low if low == high else f"{low}–{high}"


def _states(board: CostBoard) -> list[MachineState]:
    return [row.profile.before for row in board.good if row.profile.before is not None]


def _distinct(values: Iterable[str | None]) -> list[str]:
    return list(dict.fromkeys(value for value in values if value))


def _text(value: int | None) -> str | None:
    return None if value is None else str(value)
