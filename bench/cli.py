"""argv → Study, then launch, then report. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import UsageError

if TYPE_CHECKING:
    from bench.analysis.board import Board
    from bench.analysis.budget import Budget, UnderBudget
    from bench.claims.claim import Claim
    from bench.data.info import DataInfo
    from bench.options import Options
    from bench.plan import Plan
    from bench.store import Records

OK, SOME_FAILED, USAGE, GATE_FAILED, INTERRUPTED = 0, 1, 2, 3, 130
log = logging.getLogger("bench")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Exit code: 0 done, 1 some cells failed, 2 usage, 3 a gate failed, 130 interrupted."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _main(arguments)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print("interrupted: finished cells are kept; the same command goes on from there.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK


def _main(arguments: list[str]) -> int:
    from bench.options import parse

    options = parse(arguments)
    if options is None:
        return OK
    _log_to_stderr(options.verbosity)
    if options.list_models is not None:
        return _list_models(options)
    if options.list_claims:
        return _list_claims(options)
    _budget(options)
    _one_machine(options)
    command = f"python run_bench.py {shlex.join(arguments)}".rstrip()
    if options.claims is not None:
        return _claims(options, command)
    if options.report_only:
        return _report_only(options)
    if options.save_baseline is not None or options.check is not None or options.base is not None:
        return _gates(options)
    if options.study.protocol.task == "evaluate":
        return _evaluate(options, command)
    return _run(options, command)


def _one_machine(options: Options) -> None:
    """Raise UsageError where a cluster is asked for something that runs on one machine."""
    gates = (options.save_baseline, options.check, options.base)
    if options.study.launcher == "ray" and any(gate is not None for gate in gates):
        raise UsageError("a gate runs on one machine: leave --launcher ray out.")


def _evaluate(options: Options, command: str) -> int:
    """Evaluate given weights on a folder, as published; write and print the table of that folder."""
    from bench.analysis.evaluations import build_evaluations
    from bench.execution.evaluation import evaluate, requests_of
    from bench.execution.packing import hardware_of
    from bench.execution.process import warm_up
    from bench.report.markdown.evaluations import evaluation_table, write_evaluations
    from bench.store import Store, load_records

    study = options.study
    requests = requests_of(study, hardware_of(study), command)
    if options.dry_run:
        print("\n".join(f"{request.spec.model} on {request.folder}" for request in requests))
        return OK
    noted: set[str] = set()
    with Store(study.output).open().exclusive():
        warm_up()
        for record in evaluate(requests, fresh=study.fresh):
            told = record.failure.line if record.failure else f"top-1 {100 * record.metrics.top1:.1f} %"  # type: ignore[union-attr]
            log.log(logging.WARNING if record.failure else logging.INFO, "%s: %s", record.spec.model, told)
            for note in record.metrics.notes if record.metrics else ():
                if note not in noted:
                    log.warning("%s", note)
                    noted.add(note)
        records = load_records(study.output)
        boards = build_evaluations(records)
        write_evaluations(boards, study.output)
    asked = {request.id for request in requests}
    shown = [board for board in boards if any(row.record.id in asked for row in board.rows)]
    for board in shown:
        print(f"{board.dataset}\n\n{evaluation_table(board)}\n")
    print(f"written: {study.output / 'evaluations.md'}")
    failed = any(row.record.failure for board in shown for row in board.rows if row.record.id in asked)
    return SOME_FAILED if failed else OK


def _run(options: Options, command: str) -> int:
    """Prepare, plan, run what is left, write and print the board."""
    from bench.execution.launch import launcher_of
    from bench.execution.local import prepare_data
    from bench.plan import make_plan
    from bench.store import Store, load_records

    study = options.study
    store = Store(study.output)
    with contextlib.ExitStack() as held:
        launcher = held.enter_context(launcher_of(study))
        hardware = launcher.hardware()
        if not options.dry_run:
            store.open()
            held.enter_context(
                store.exclusive(on_wait=lambda: log.warning("waiting: another study runs in %s", study.output))
            )
        data, cache_dir = prepare_data(study, _decoding_bar(options))
        plan = make_plan(study, data, hardware, store)
        if options.dry_run:
            return _dry_run(options, plan, cache_dir, command)
        failed = 0
        if plan.left():
            tally = launcher.execute(plan, cache_dir, command=command, reporter=_reporter(options, plan))
            failed = tally.failed
            if tally.left:
                log.warning("--limit reached: %d jobs are left; the same command goes on from there", tally.left)
        code = SOME_FAILED if failed else OK
        records = load_records(study.output)
        if study.cost_only:
            return _report_costs(options, records, command, plan, code)
        return _report(options, records, command, plan, code, cache_dir)


def _report(
    options: Options, records: Records, command: str, plan: Plan | None, code: int, cache_dir: Path | None = None
) -> int:
    """Write every board of the output folder; print that of `plan`, or all. Text does not wait for pictures.

    `cache_dir` is where the images of the plan's dataset are.
    """
    from bench.analysis.board import build_board
    from bench.analysis.costs import build_costs
    from bench.report.costs.write import write_cost_pictures, write_cost_texts
    from bench.report.write import write_pictures, write_texts

    for problem in records.problems:
        log.warning("%s", problem)
    boards = build_board(records)
    if plan is not None and plan.data is not None and cache_dir is not None:
        _keep_thumbnails(boards, plan.data, cache_dir, options.study.output)
    shown = [b for b in boards if plan is None or _is_of(b, plan)]
    budgets = _under_budget(options, shown)
    mistakes = write_texts(boards, options.study.output, command, records.problems, budgets[:1])
    _print_boards(options, shown, budgets)
    sys.stdout.flush()
    costs = build_costs(records)
    write_cost_texts(costs, options.study.output, command, records.problems)
    if options.pictures:
        write_pictures(boards, options.study.output, mistakes, records.problems)
        write_cost_pictures(costs, options.study.output)
    log.info("written: %s", options.study.output / "leaderboard.md")
    return code


def _keep_thumbnails(boards: list[Board], data: DataInfo, cache_dir: Path, output: Path) -> None:
    """Keep the test images that the boards show; one line where that is not possible."""
    from bench.execution.thumbnails import keep_thumbnails
    from bench.store import Store

    trouble = keep_thumbnails(boards, data, cache_dir, Store(output))
    if trouble is not None:
        log.warning("%s", trouble)


def _report_costs(options: Options, records: Records, command: str, plan: Plan | None, code: int) -> int:
    """Write what models cost; print the board of `plan`, or all."""
    from bench.analysis.costs import build_costs
    from bench.report.costs.write import cost_table, costs_json, write_cost_pictures, write_cost_texts

    for problem in records.problems:
        log.warning("%s", problem)
    every = build_costs(records)
    write_cost_texts(every, options.study.output, command, records.problems)
    wanted = {job.id for job in plan.jobs} if plan is not None else {p.id for p in records.profiles}
    boards = [board for board in every if any(row.profile.id in wanted for row in board.rows)]
    if options.json:
        print(json.dumps(costs_json(boards), indent=1))
    for board in boards if not options.json else ():
        print(cost_table(board))
    sys.stdout.flush()
    if options.pictures:
        write_cost_pictures(every, options.study.output)
    log.info("written: %s", options.study.output / "costs.md")
    return code


def _report_only(options: Options) -> int:
    """Redraw everything from the records, without torch."""
    records = _records_or_error(options)
    if records.evaluations:
        from bench.analysis.evaluations import build_evaluations
        from bench.report.markdown.evaluations import write_evaluations

        write_evaluations(build_evaluations(records), options.study.output)
    if not any(record.cell.kind == "run" for record in records.runs):
        if records.evaluations and not records.profiles:
            print(f"written: {options.study.output / 'evaluations.md'}")
            return OK
        if records.profiles and options.where is None:
            return _report_costs(options, records, "", None, OK)
        raise UsageError(f"there are no finished runs in {options.study.output}: run without --report-only first.")
    return _report(options, records, "", None, OK)


def _records_or_error(options: Options) -> Records:
    from bench.store import load_records

    if not options.study.output.is_dir():
        raise UsageError(f"there is no folder {options.study.output}: run without --report-only first.")
    return load_records(options.study.output)


def _print_boards(options: Options, boards: list[Board], budgets: list[UnderBudget]) -> None:
    """Print boards; with a budget, its table and the board's takeaway instead of the board."""
    from bench.report.markdown.budget import budget_json, budget_table

    if options.json:
        from bench.report.tables import boards_json

        asked = {"budgets": [budget_json(found) for found in budgets]} if budgets else {}
        print(json.dumps({**boards_json(boards), **asked}, indent=1))
        return
    from bench.report.markdown.board import terminal_table

    for text in map(budget_table, budgets) if budgets else map(terminal_table, boards):
        print(text)


def _budget(options: Options) -> Budget | None:
    """The budget of `--where`. Raises UsageError where it cannot be read, or where there is no board to apply it to."""
    if options.where is None:
        return None
    from bench.analysis.budget import parse_budget

    if options.study.cost_only:
        raise UsageError("--where ranks by accuracy, and --cost-only measures none: leave one of them out.")
    if options.save_baseline is not None or options.check is not None:
        raise UsageError("--where belongs to a board; --save-baseline and --check write none.")
    return parse_budget(options.where)


def _under_budget(options: Options, boards: list[Board]) -> list[UnderBudget]:
    """Boards under the budget that was asked for; none without one."""
    budget = _budget(options)
    if budget is None:
        return []
    from bench.analysis.budget import under_budget

    return [under_budget(board, budget) for board in boards]


def _is_of(board: Board, plan: Plan) -> bool:
    """Whether `board` is one of those that this plan's runs are on."""
    cells = {job.cell.intervention: job.cell for job in plan.jobs if job.cell is not None}
    return any(board.holds(cell) for cell in cells.values())


def _gates(options: Options) -> int:
    """Save a baseline, or check against one; prints Markdown and adds it to the step summary where CI names one."""
    from bench.gates.command import check, save_baseline
    from bench.gates.findings import append_to_step_summary

    if options.save_baseline is not None and options.check is not None:
        raise UsageError("--save-baseline and --check exclude each other: check first, then save.")
    if options.save_baseline is not None:
        print(save_baseline(options.study, options.save_baseline, log=log.info))
        return OK
    if options.check is None:
        raise UsageError("--base belongs to --check FILE, which is missing.")
    named = options.study.models if options.named_models else ()
    result = check(options.study, options.check, base=options.base, log=log.info, named=named)
    print(result.markdown)
    append_to_step_summary(result.markdown)
    return OK if result.passed else GATE_FAILED


def _claims(options: Options, command: str) -> int:
    """Test claims, or judge again from the records with `--report-only`; write and print their verdicts."""
    from bench.claims.lab import run_lab
    from bench.claims.registry import choose

    claims = choose(options.claims or "")
    others = (options.save_baseline, options.check, options.where)
    if options.study.cost_only or any(other is not None for other in others):
        raise UsageError("--claims excludes --cost-only, --where and the gates: run them apart.")
    if options.dry_run:
        return _dry_run_claims(options, claims)
    failed = False
    if not options.report_only:
        from bench.execution.process import warm_up

        warm_up()
        failed = run_lab(
            options.study,
            claims,
            command=command,
            reporter=lambda plan: _reporter(options, plan),
            progress=_decoding_bar(options),
        )
    return _report_claims(options, SOME_FAILED if failed else OK)


def _report_claims(options: Options, code: int) -> int:
    """Judge from the records, write the pages, print the table of verdicts."""
    from bench.analysis.board import build_board
    from bench.claims.judging import judge_all
    from bench.claims.lab import evidence_of, lab_of, read_note
    from bench.claims.registry import choose
    from bench.report.claims.page import terminal_table
    from bench.report.claims.payload import claims_json
    from bench.report.claims.write import write_claims
    from bench.store import load_records

    output = options.study.output
    note = read_note(output)
    claims = choose(",".join(note.claims))
    boards = build_board(load_records(output)) if any(claim.id == "C20" for claim in claims) else []
    evidence = evidence_of(note, claims, output, boards)
    lab = lab_of(note, claims, evidence, judge_all(claims, evidence))
    asked = {claim.id for claim in choose(options.claims or "")}
    print(json.dumps(claims_json(lab), indent=1) if options.json else terminal_table(lab, asked))
    sys.stdout.flush()
    write_claims(lab, output, evidence.records.problems, pictures=options.pictures)
    log.info("written: %s", output / "claims.md")
    return code


def _dry_run_claims(options: Options, claims: Sequence[Claim]) -> int:
    """Print the trainings and probes of the claims, task by task. Trains nothing, writes no record."""
    from bench.claims.lab import plan_lab
    from bench.execution.estimate import known_rates
    from bench.report.plan import plan_json, plan_table

    layout, _, _ = plan_lab(options.study, claims, _decoding_bar(options))
    left = len(layout.looks_left(fresh=options.study.fresh))
    plans = {task: (plan, known_rates(plan)) for task, plan in layout.plans.items()}
    if options.json:
        tasks = {task: plan_json(plan, rates) for task, (plan, rates) in plans.items()}
        print(json.dumps({"tasks": tasks, "probes": len(layout.looks), "probes_left": left}, indent=1))
        return OK
    for task, (plan, rates) in plans.items():
        print(f"{task}: {plan_table(plan, rates)}\n")
    print(f"{left} of {len(layout.looks)} probes left")
    return OK


def _list_claims(options: Options) -> int:
    from bench.claims.registry import all_claims

    claims = all_claims()
    if options.json:
        print(json.dumps([{"id": c.id, "kind": c.kind, "title": c.title, "statement": c.english} for c in claims]))
        return OK
    for claim in claims:
        print(f"{claim.id}  {claim.kind:<3}  {'confirmatory' if claim.confirmatory else '':<12}  {claim.english}")
    return OK


def _list_models(options: Options) -> int:
    from bench.models.zoo import list_models

    entries = list_models(options.list_models or None)
    if options.json:
        print(json.dumps([{"name": e.name, "builder": e.builder, "family": e.family} for e in entries], indent=1))
        return OK
    if not entries:
        raise UsageError(f"no model matches {options.list_models!r}; try a glob such as '*vit*'.")
    width = max(len(e.name) for e in entries)
    for entry in entries:
        print(f"{entry.name:<{width}}  {entry.family:<7} {entry.year or '':<5} {entry.builder}")
    return OK


def _dry_run(options: Options, plan: Plan, cache_dir: Any, command: str) -> int:
    """Print the plan: cells, steps, estimated time, what is already done. Trains nothing, writes no record."""
    from bench.execution.estimate import known_rates, rates_of_plan
    from bench.report.plan import plan_json, plan_table

    here = options.study.launcher == "local"
    rates = rates_of_plan(plan, cache_dir, command) if here else known_rates(plan)
    print(json.dumps(plan_json(plan, rates), indent=1) if options.json else plan_table(plan, rates))
    return OK


def _reporter(options: Options, plan: Plan) -> Any:
    from bench.execution.estimate import known_rates
    from bench.execution.progress import Console

    return Console(plan, known_rates(plan), bars=_bars(options))


def _decoding_bar(options: Options) -> Callable[[int, int], None] | None:
    """A callback that shows the decoding of a dataset, where there is a terminal."""
    if not _bars(options):
        return None
    from tqdm import tqdm

    bar = tqdm(desc="decoding", unit="img", file=sys.stderr, leave=False, dynamic_ncols=True)

    def show(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)
        if done >= total:
            bar.close()

    return show


def _bars(options: Options) -> bool:
    return sys.stderr.isatty() and options.verbosity >= 0


def _log_to_stderr(verbosity: int) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    log.handlers = [handler]
    log.propagate = False
    log.setLevel({-1: logging.WARNING, 0: logging.INFO}.get(max(-1, min(verbosity, 1)), logging.DEBUG))


if __name__ == "__main__":
    sys.exit(main())
