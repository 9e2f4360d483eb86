"""What `--save-baseline` and `--check` do: collect, compare, and say it in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import UsageError
from bench.gates.baseline import Baseline, ModelFacts, Reference, read, torch_minor, write
from bench.gates.findings import Outcome, markdown
from bench.protocol import Protocol
from bench.report.words import pipe_table, plain, points, significant
from bench.values import now

if TYPE_CHECKING:
    from bench.data.info import DataInfo
    from bench.measure.hardware import Hardware
    from bench.study import Study

Log = Callable[[str], None]


@dataclass(frozen=True)
class CheckResult:
    """What a check found."""

    outcomes: tuple[Outcome, ...]
    """The three gates, in order."""
    markdown: str
    """The same for people: a table of the gates, a table of what moved."""

    @property
    def passed(self) -> bool:
        """Whether no gate failed. A gate that was not run has not failed, and the Markdown says that it was not run."""
        return all(outcome.status != "failed" for outcome in self.outcomes)


def save_baseline(study: Study, file: Path, *, log: Log) -> str:
    """Write everything that a later `check` compares with into `file`; returns a summary in Markdown.

    References of other torch versions in `file` stay where protocol, data and models are still the same. Raises
    UsageError for bad input, and where not one model can be built.
    """
    from bench.gates import accuracy, exact
    from bench.gates.schema import board_schema
    from bench.measure.environment import environment

    _from_scratch(study)
    hardware, info, cache_dir = _place(study, study.protocol)
    earlier = _earlier(file, log)
    p = study.protocol
    found, reasons = exact.collect(study.models, img_size=p.img_size, num_classes=len(info.classes), log=log)
    if not found:
        raise UsageError(f"not one model can be measured: {next(iter(reasons.values()))}.")
    trainer = accuracy.Trainer(p, info, cache_dir, hardware)
    reference = accuracy.make_reference(trainer, list(found), log)
    made_by = environment(hardware, "")
    minor = torch_minor(made_by.versions["torch"])
    kept = _kept(earlier, p, info, found, minor, log)
    baseline = Baseline(
        created=now(),
        hardware=hardware.name,
        git_commit=made_by.git_commit,
        protocol=p.to_dict(),
        num_classes=len(info.classes),
        models=found,
        board_schema=board_schema(),
        references=dict(sorted({**kept, minor: reference}.items())),
    )
    write(baseline, file)
    return _summary(baseline, file, minor, {**reasons, **reference.left_out})


def check(study: Study, file: Path, *, base: Path | None, log: Log, named: Sequence[str] = ()) -> CheckResult:
    """Hold the code at hand against the baseline in `file`, and against the checkout in `base` for speed.

    Models and protocol are the baseline's own; of `study` count the device, the plugins and where the data are.
    `named` are models the user asked for beyond the baseline's: they are measured and told. Raises UsageError for bad
    input.
    """
    from bench.gates import accuracy, exact
    from bench.gates.schema import board_schema
    from bench.measure.environment import environment

    _from_scratch(study)
    baseline = read(file)
    p = Protocol.from_dict(baseline.protocol)
    if base is not None:
        from bench.gates.speed import check_base

        check_base(base, study.plugins)
    hardware, info, cache_dir = _place(study, p)
    models = list(dict.fromkeys((*baseline.models, *named)))
    log(f"gate 1: {len(models)} models and the layout of the board")
    found, reasons = exact.collect(models, img_size=p.img_size, num_classes=len(info.classes), log=log)
    outcomes = [exact.compare(baseline, found, reasons, board_schema())]
    version = environment(hardware, "").versions["torch"]
    reference = accuracy.reference_for(baseline, version)
    if isinstance(reference, str):
        outcomes.append(Outcome(accuracy.GATE, "not run", reference))
    else:
        log(f"gate 2: {len(reference.models)} models trained again")
        outcomes.append(accuracy.compare(reference, accuracy.Trainer(p, info, cache_dir, hardware), log))
    outcomes.append(_speed(study, p, list(found), info, base=base, hardware=hardware, log=log))
    result = CheckResult(tuple(outcomes), "")
    title = f"Regression gates: {'passed' if result.passed else 'failed'}"
    return replace(result, markdown=markdown(title, outcomes, _remarks(baseline, file, hardware, result)))


def _speed(
    study: Study,
    protocol: Protocol,
    models: Sequence[str],
    info: DataInfo,
    *,
    base: Path | None,
    hardware: Hardware,
    log: Log,
) -> Outcome:
    from bench.gates.speed import GATE, NO_BASE, compare_speed

    if base is None:
        return Outcome(GATE, "not run", NO_BASE)
    log(f"gate 3: {len(models)} models against {base}, block by block in turn")
    return compare_speed(
        models,
        protocol,
        len(info.classes),
        base=base,
        plugins=study.plugins,
        hardware=hardware,
        log=log,
        threads=study.threads,
    )


def _from_scratch(study: Study) -> None:
    if study.pretrained or study.checkpoint:
        raise UsageError("the gates compare code and train from scratch: leave out --pretrained and --checkpoint.")


def _place(study: Study, protocol: Protocol) -> tuple[Hardware, DataInfo, Path]:
    """The device, and the dataset prepared."""
    from bench.execution.local import prepare_data
    from bench.measure.hardware import detect

    hardware = detect(study.device, protocol.precision, study.threads)
    info, cache_dir = prepare_data(replace(study, protocol=protocol, cost_only=False))
    if info is None:
        raise UsageError("the gates need a dataset.")
    return hardware, info, cache_dir


def _earlier(file: Path, log: Log) -> Baseline | None:
    """What `file` holds now; a file that is none of ours is not overwritten."""
    if not file.exists():
        return None
    try:
        return read(file)
    except UsageError as error:
        if "is no baseline" in str(error) or "not JSON" in str(error):
            raise UsageError(f"{file} is there and holds something else; name another file.") from error
        log(f"{error} It is replaced.")
        return None


def _kept(
    earlier: Baseline | None, protocol: Protocol, info: DataInfo, found: dict[str, ModelFacts], minor: str, log: Log
) -> dict[str, Reference]:
    """References of other torch versions that still speak of the same study and the same models."""
    if earlier is None:
        return {}
    others = {key: value for key, value in earlier.references.items() if key != minor}
    same = earlier.protocol == protocol.to_dict() and earlier.models == found
    kept = {key: r for key, r in others.items() if same and r.data_fingerprint == info.fingerprint}
    for key in others:
        if key not in kept:
            log(f"the reference of torch {key} is dropped: protocol, data or models have changed since it was made")
    return kept


def _summary(baseline: Baseline, file: Path, minor: str, reasons: dict[str, str]) -> str:
    from statistics import fmean, stdev

    rows = []
    for name, facts in baseline.models.items():
        runs = baseline.references[minor].models.get(name)
        accuracy = [fmean(runs.accuracy), stdev(runs.accuracy)] if runs else []
        rows.append(
            [
                plain(name),
                f"{facts.params:,}",
                f"{facts.macs:,}",
                f"{100 * accuracy[0]:.1f}" if accuracy else "–",
                points(accuracy[1]).lstrip("+") if accuracy else "–",
            ]
        )
    headers = ["model", "parameters", "MACs", "accuracy %", "spread over seeds"]
    size = significant(file.stat().st_size / 1024)
    known = ", ".join(baseline.references)
    parts = [
        f"Baseline written to {plain(str(file))} ({size} KiB), with accuracy for torch {known}.",
        pipe_table(headers, rows, right=(1, 2, 3, 4)),
        *(f"{plain(name)} was left out: {plain(reason)}" for name, reason in reasons.items()),
    ]
    return "\n\n".join(parts) + "\n"


def _remarks(baseline: Baseline, file: Path, hardware: Hardware, result: CheckResult) -> list[str]:
    commit = f" at commit {baseline.git_commit[:10]}" if baseline.git_commit else ""
    same = baseline.hardware == hardware.name
    where = f"on the same kind of machine, {hardware.name}" if same else f"on another machine, {baseline.hardware}"
    here = "" if same else f"; this is {hardware.name}"
    said = [
        f"Baseline of {baseline.created[:10]}{commit}, made {where}{here}. Gates 1 and 2 hold on any machine; absolute "
        "speeds are never compared."
    ]
    if not result.passed:
        said.append(f"Where the change is meant, write the baseline anew: --save-baseline {file}.")
    return said
