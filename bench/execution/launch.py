"""The call from Python: everything in a study, whatever its task, to its records."""

from __future__ import annotations

from bench.execution.evaluation import evaluate, requests_of
from bench.execution.local import execute, prepare_data
from bench.execution.packing import hardware_of, try_to_pack
from bench.execution.progress import Reporter, Silent
from bench.store import Records, Store, load_records
from bench.study import Study, make_plan

COMMAND = "bench.run(study)"
"""What stands as the command in records of studies that were started from Python."""


def run(study: Study, reporter: Reporter | None = None) -> Records:
    """Run everything in `study` that is not done, and return all records of its output folder.

    Raises UsageError for bad input. Interrupted or killed, the same call goes on where it stopped.
    """
    store = Store(study.output).open()
    with store.exclusive():
        if study.protocol.task == "evaluate":
            list(evaluate(requests_of(study, hardware_of(study), COMMAND), fresh=study.fresh))
            return load_records(study.output)
        data, cache_dir = prepare_data(study)
        plan = make_plan(study, data, hardware_of(study), store)
        many = try_to_pack(plan, cache_dir, COMMAND)
        execute(plan, cache_dir, command=COMMAND, reporter=reporter or Silent(), at_once=many)
    return load_records(study.output)
