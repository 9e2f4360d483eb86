"""What stands above a table: under which protocol, on which data and machine, by which command it came about."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis.board import Board
from bench.analysis.rows import Row
from bench.records import Environment
from bench.report.words import listing, percent, plural, setting

LIBRARIES = ("torch", "timm")
"""Libraries named in the stamp; the records have them all."""


def title(board: Board) -> str:
    """`digits · quick · AMD EPYC, 2 threads, fp32`."""
    threads = f", {plural(board.key.threads, 'thread')}" if board.key.threads else ""
    return f"{board.dataset} · {board.preset} · {board.key.hardware}{threads}, {board.key.precision}"


def short_stamp(board: Board) -> list[tuple[str, str]]:
    """(label, text) of what a reader needs before the table; the title names the machine, `stamp` has it all."""
    p, data = board.protocol.get, board.data
    sizes = f"{plural(len(board.train_sizes), 'train size')} ({_from_to(board.train_sizes)} images)"
    seeds = f"{plural(len(board.seeds), 'seed')} ({', '.join(map(str, board.seeds))})"
    known = [f"{board.dataset}, {len(data.classes):,} classes, {plural(data.n_test, 'test image')}"]
    if data.duplicates_train_test:
        known.append(f"{plural(data.duplicates_train_test, 'test image')} also in train")
    if data.n_corrupt:
        known.append(f"{plural(data.n_corrupt, 'corrupt image')} skipped")
    return [
        (
            "Protocol",
            f"{board.preset} {board.key.protocol_id[:8]}, {_budget(board)}, {p('img_size')} px, {sizes}, {seeds}",
        ),
        ("Data", "; ".join(known)),
    ]


def stamp(board: Board) -> list[tuple[str, str]]:
    """(label, text) of every fact that the numbers depend on."""
    return [
        ("Protocol", _protocol(board)),
        ("Data", _data(board)),
        ("Machine", _machine(board)),
        ("Software", software(board.environments)),
    ]


def commands(board: Board) -> list[str]:
    """The distinct commands that made the board's runs, newest last."""
    return list(dict.fromkeys(e.command for e in board.environments if e.command))


def caveat(board: Board) -> str | None:
    """What too few seeds mean; None with three or more."""
    if not board.exploratory:
        return None
    so_far = f" so far, of {len(board.seeds)}" if board.most_seeds < len(board.seeds) else ""
    if board.most_seeds == 1:
        return (
            f"Exploratory: one seed{so_far}. Intervals say only how much depends on which images the test set holds "
            "(test-set uncertainty only), not on the luck of training: with another seed, ranks may change."
        )
    return (
        f"Exploratory: two seeds{so_far}, from which the spread over seeds is hardly known; intervals are wide "
        "accordingly."
    )


def detectable(board: Board) -> str | None:
    """Which difference this board could have seen at all; None where no two rows can be compared."""
    if board.detectable is None:
        return None
    size = plural(board.train_sizes[-1], "training image")
    return (
        f"Minimum detectable difference: {100 * board.detectable:.1f} points at {size} (median over pairs). A true "
        "difference smaller than that is missed more than once in five."
    )


def takeaway(board: Board) -> str:
    """One sentence that says who is ahead and who cannot be told apart."""
    ranked = [row for row in board.rows if row.rank is not None]
    if not ranked:
        return "No model has a result at the largest train size yet."
    size = f"{plural(board.train_sizes[-1], 'training image')}"
    if all(_guesses(row, board.guessing_level) for row in ranked):
        return f"At {size} no model can be told apart from always naming the most frequent class."
    first = [row for row in ranked if row.rank == 1]
    behind = [row for row in ranked if row.rank != 1]
    scores = listing([f"{row.name} ({percent(_value(row))} %)" for row in first], most=6)
    if len(ranked) == 1:
        return f"At {size} {scores} is the only model with a result."
    if len(first) == len(ranked):
        return f"At {size} none of the {len(ranked)} models can be told apart from the best: {scores}."
    following = f"next is {behind[0].name}, {_gap(behind[0], first[0], board)}"
    if len(first) == 1:
        return f"At {size} {scores} is first; {following}."
    return f"At {size} {scores} share first place and cannot be told apart; {following}."


def _gap(row: Row, first: Row, board: Board) -> str:
    """How far a row is behind the first one, by their paired comparison."""
    found = board.pairs.between(first.name, row.name, board.train_sizes[-1])
    if found is None:
        return f"with {percent(_value(row))} %"
    low, high = (f"{100 * end:.1f}" for end in (found.low, found.high))
    return f"{100 * found.difference:.1f} points behind {first.name} (95 % interval {low} to {high})"


def _value(row: Row) -> float | None:
    return row.top1.value if row.top1 else None


def _guesses(row: Row, level: float | None) -> bool:
    return level is not None and row.top1 is not None and row.top1.low is not None and row.top1.low <= level


TASKS = {
    "finetune": "fine-tuned from given weights, images normalised as these were made with",
    "linear": "a linear classifier on the frozen features of given weights, images normalised as these were made with",
}
"""What is done with a model, where it is not trained from scratch."""


def _protocol(board: Board) -> str:
    p = board.protocol.get
    sizes = ", ".join(f"{size:,}" for size in board.train_sizes)
    where = [
        f"{p('img_size')} px{', small geometry' if p('geometry') == 'small' else ''}",
        f"train sizes {sizes}",
        f"{'seed' if len(board.seeds) == 1 else 'seeds'} {', '.join(map(str, board.seeds))}",
    ]
    if p("task") == "linear":
        how = "logistic regression by L-BFGS, its regularisation chosen on dev for every run; all in fp32"
        return "; ".join([f"{board.preset} {board.key.protocol_id[:8]}", TASKS["linear"], how, *where])
    tried = f"{p('lr_trials')} learning rates around {setting(p('lr'))} tried on dev for every model"
    if p("lr_trials") == 1:
        tried = f"learning rate {setting(p('lr'))}, not tuned"
    parts = [
        f"{board.preset} {board.key.protocol_id[:8]}",
        *([TASKS["finetune"]] if p("task") == "finetune" else []),
        f"{_budget(board)} per run at every train size",
        f"batch {p('batch_size')}, AdamW, weight decay {setting(p('weight_decay'))}",
        f"warm-up {100 * (p('warmup_fraction') or 0):.0f} %, cosine to zero, clipping {setting(p('clip_grad'))}",
        f"label smoothing {setting(p('smoothing'))}, dropout {setting(p('drop'))}, drop-path {setting(p('drop_path'))}",
        tried,
        f"augmentation {p('augment')}",
        f"BatchNorm statistics from {p('bn_samples') or 'running averages, no'} images",
        f"training in {board.key.precision}, evaluation in fp32",
        *where,
    ]
    return "; ".join(parts)


def _budget(board: Board) -> str:
    p = board.protocol.get
    if p("task") == "linear":
        return "linear classifier on frozen features"
    return f"{p('epochs'):g} epochs" if p("epochs") else f"{plural(p('samples_seen') or 0, 'image')} seen"


def _from_to(sizes: Sequence[int]) -> str:
    return f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"


def _data(board: Board) -> str:
    data = board.data
    near = data.near_duplicates_train_test
    largest = board.rows[0].runs[-1].subset if board.rows and board.rows[0].runs else None
    dev = f" ({largest.dev_size:,} held out as dev)" if largest else ""
    parts = [
        f"{board.dataset} {data.fingerprint[:12]}",
        f"{len(data.classes):,} classes",
        f"{data.n_train:,} training images{dev}, {data.n_test:,} test images",
        f"{plural(data.duplicates_train_test, 'test image')} also in train",
        "near duplicates not computed" if near is None else plural(near, "near duplicate"),
        f"{plural(data.n_corrupt, 'corrupt image')} skipped",
        *data.notes,
    ]
    return "; ".join(parts)


def _machine(board: Board) -> str:
    newest = board.environments[-1]
    memory = f", {newest.memory_bytes / 2**30:.0f} GiB memory" if newest.memory_bytes else ""
    threads = plural(newest.threads, "thread")
    most = max(found.cells_per_device for found in board.environments)
    shared = f"; up to {most} models trained side by side: train img/s are those of a shared device" if most > 1 else ""
    return (
        f"{board.key.hardware} ({newest.device}), {threads}, {board.key.precision}{memory}; {newest.platform}"
        f"{_launched(board)}{_divided(board)}{shared}"
    )


LAUNCHED = {"graph": "recorded as CUDA graphs", "compiled": "compiled and recorded as CUDA graphs", "eager": "launched"}
"""How training steps were made, by the word of the records."""


def _launched(board: Board) -> str:
    """How training steps reached the device; empty where all of them were launched operation by operation."""
    rows: dict[str, list[str]] = {}
    for row in board.rows:
        for kind in sorted({run.train.step for run in row.runs if run.train is not None}):
            rows.setdefault(kind, []).append(row.name)
    if set(rows) <= {"eager"}:
        return ""
    if len(rows) == 1:
        return f"; training steps {LAUNCHED[next(iter(rows))]}"
    return "; training steps " + ", ".join(f"{LAUNCHED[kind]} ({listing(names)})" for kind, names in rows.items())


def _divided(board: Board) -> str:
    """How batches were divided among devices and in time, and what BatchNorm then saw; empty where they were whole."""
    divided: dict[str, list[str]] = {}
    together = False
    for row in board.rows:
        trained = [run.train for run in row.runs if run.train is not None]
        together = together or any(train.bn_synchronised for train in trained)
        most = max((train.parts for train in trained), default=1)
        if most > 1:
            seen = min((train.bn_batch for train in trained if train.bn_batch is not None), default=None)
            batch = f", BatchNorm over {seen:,} images" if seen is not None else ""
            divided.setdefault(f"in up to {most} parts{batch}", []).append(row.name)
    words = "; BatchNorm synchronised over the devices of a training" if together else ""
    return words + "".join(f"; batches {how} ({listing(names)})" for how, names in divided.items())


def software(found: Sequence[Environment]) -> str:
    """Libraries, Python and commits of some environments, each once, oldest first."""
    parts = [
        f"{name} {', '.join(dict.fromkeys(e.versions[name] for e in found if name in e.versions))}"
        for name in LIBRARIES
        if any(name in e.versions for e in found)
    ]
    parts.append(f"Python {', '.join(dict.fromkeys(e.python for e in found))}")
    parts.append(f"commit {', '.join(dict.fromkeys(map(_commit, found)))}")
    return "; ".join(parts)


def _commit(environment: Environment) -> str:
    dirty = " (with uncommitted changes)" if environment.git_dirty else ""
    return f"{environment.git_commit[:12]}{dirty}" if environment.git_commit else "unknown"
