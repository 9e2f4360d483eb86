"""The Ray launcher: the same records as the local one, whatever happens to the nodes, the models or the command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file

from bench import Protocol, Records, Study, load_records, run
from bench.analysis.board import build_board
from bench.data.cache import prepare
from bench.errors import UsageError
from bench.execution.progress import Silent
from bench.execution.remote import receive
from bench.models.build import build_module
from bench.plan import Job
from bench.profiles import ProfileRecord
from bench.records import RunRecord
from tests.data.makers import folder_set
from tests.execution.test_local import TINY, _study
from tests.test_cli import ROOT

pytest.importorskip("ray")
MODELS = ("test_resnet", "slow_linear")
JUDGED = ["rank", "rank_low", "rank_high", "p_best", "model", "top1", "top1_low", "top1_high", "top1_smallest"]
"""What a board says of its rows, other than of time."""
QUICK = {"time_budget": 0.2, "launcher": "ray"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Records]:
    """A small study by the local launcher."""
    study = _study(tmp_path_factory.mktemp("local"), *MODELS, time_budget=0.2)
    return study, run(study)


class Cluster:
    """Nodes of one CPU each on this machine, each with a cache of its own that is empty at first."""

    def __init__(self, folder: Path, head_cpus: int = 1, others: int = 1) -> None:
        from ray.cluster_utils import Cluster

        self.caches = [folder / f"cache-{k}" for k in range(1 + others)]
        env = [{"env_vars": {"BACKBONE_BENCH_CACHE": str(cache)}} for cache in self.caches]
        head: dict[str, Any] = {"num_cpus": head_cpus, "include_dashboard": False, **env[0]}
        self.ray = Cluster(initialize_head=True, head_node_args=head)
        self.others = [self.ray.add_node(num_cpus=1, **env[1 + k]) for k in range(others)]

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.ray.shutdown()

    def kill_first_of_the_others(self) -> None:
        """As when a machine loses power: of those that are not the head, the first by id."""
        victim = min(self.others, key=lambda node: node.node_id)
        self.others.remove(victim)
        self.ray.remove_node(victim, allow_graceful=False)


class Killer(Silent):
    """Kills a node once: when a job of this model and kind is done, or two seconds after it was started."""

    def __init__(self, cluster: Cluster, model: str, kind: str) -> None:
        self.cluster, self.wanted, self.killed = cluster, (model, kind), False

    def started(self, job: Job) -> None:
        """Kill a node soon, where a profile is waited for."""
        if job.kind == "profile" and (job.model, job.kind) == self.wanted and not self.killed:
            self.killed = True
            threading.Timer(2.0, self.cluster.kill_first_of_the_others).start()

    def finished(self, job: Job, record: RunRecord | ProfileRecord) -> None:
        """Kill a node now, where a cell is waited for."""
        if job.kind != "profile" and (job.model, job.kind) == self.wanted and not self.killed:
            self.killed = True
            self.cluster.kill_first_of_the_others()


def _same(records: Records, expected: Records) -> None:
    """All cells of `expected` are there, good, with the same metrics and the same predictions, bit for bit."""
    assert records.problems == []
    assert all(record.status == "ok" for record in [*records.runs, *records.profiles])
    assert {p.id for p in records.profiles} == {p.id for p in expected.profiles}
    found = {record.id: record for record in records.runs}
    assert set(found) == {record.id for record in expected.runs}
    for record in expected.runs:
        twin = found[record.id]
        assert twin.test == record.test
        assert twin.trials == record.trials
        assert (twin.train and twin.train.loss_curve) == (record.train and record.train.loss_curve)
        assert twin.environment.versions == record.environment.versions
        if record.cell.kind == "run":
            mine, other = records.predictions(record.id), expected.predictions(record.id)
            assert {name: a.tobytes() for name, a in mine.items()} == {name: a.tobytes() for name, a in other.items()}
    (mine,), (other,) = build_board(records), build_board(expected)
    assert mine.id == other.id
    assert mine.to_frame()[JUDGED].equals(other.to_frame()[JUDGED])


@pytest.mark.slow
def test_a_study_in_two_calls_on_a_ray_of_this_machine_is_that_of_the_local_launcher(
    whole: tuple[Study, Records], tmp_path: Path
) -> None:
    study = replace(whole[0], output=tmp_path, launcher="ray")
    part = run(replace(study, limit=4))
    assert (len(part.profiles), len(part.runs)) == (2, 2)
    first = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("record.json")}
    _same(run(study), whole[1])
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("record.json")}
    assert first.items() <= before.items()
    run(study)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("record.json")} == before


@pytest.mark.slow
def test_two_processes_of_a_node_train_one_model_together(tmp_path: Path) -> None:
    study = _study(tmp_path, "test_resnet", "broken_raise", gpus_per_cell=2, threads=1, **QUICK)
    records = run(study)
    good = [record for record in records.runs if record.cell.model == "test_resnet"]
    assert good
    assert all(record.train is not None and record.train.devices == 2 for record in good)
    assert all(record.failure is not None for record in records.runs if record not in good)


@pytest.mark.slow
def test_a_node_that_dies_in_mid_study_loses_nothing_and_nodes_fetch_the_dataset(
    whole: tuple[Study, Records], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Cluster(tmp_path) as cluster, caplog.at_level("INFO", "bench"):
        killer = Killer(cluster, "slow_linear", "trial")
        study = replace(whole[0], output=tmp_path / "out", launcher="ray", ray_address=cluster.ray.address)
        records = run(study, killer)
    assert killer.killed
    _same(records, whole[1])
    assert not list(study.output.rglob("failed-*.json"))
    assert sum("has died" in line for line in caplog.messages) == 1
    fingerprint = records.runs[0].data.fingerprint[:32]
    assert all((cache / fingerprint / "train_images.npy").is_file() for cache in cluster.caches)
    assert not [file for cache in cluster.caches for file in cache.glob("unfinished-*")]


@pytest.mark.slow
def test_a_node_that_dies_while_it_measures_hands_that_on_and_checkpoints_travel(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "weights" / "seven.safetensors"
    file.parent.mkdir()
    model = build_module("test_resnet", num_classes=7, img_size=32, seed=5)
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, file)
    linear = Protocol(task="linear", train_sizes=(40, 200), seeds=(0, 1), augment="none")
    alone = Study(
        models=("test_resnet",), protocol=linear, checkpoint=(f"test_resnet={file}",), device="cpu",
        output=tmp_path / "alone", time_budget=4.0,
    )  # fmt: skip
    expected = run(alone)
    with Cluster(tmp_path, head_cpus=0, others=2) as cluster, caplog.at_level("INFO", "bench"):
        killer = Killer(cluster, "test_resnet", "profile")
        records = run(replace(alone, output=tmp_path / "out", launcher="ray", ray_address=cluster.ray.address), killer)
        assert len(cluster.others) == 1
    _same(records, expected)
    assert sum("has died" in line for line in caplog.messages) == 1
    assert list((tmp_path / "cache-1" / "checkpoints").glob("*/seven.safetensors"))
    assert not (tmp_path / "cache-0").exists()


@pytest.mark.slow
def test_models_that_fail_become_the_records_that_the_local_launcher_leaves(tmp_path: Path) -> None:
    single = replace(TINY, lr_trials=1, train_sizes=(1.0,))
    records = run(_study(tmp_path, "broken_kill", "broken_raise", "fine_linear", protocol=single, **QUICK))
    outcome = {record.cell.model: record for record in records.runs}
    assert outcome["fine_linear"].status == "ok"
    killed, raised = outcome["broken_kill"].failure, outcome["broken_raise"].failure
    assert killed is not None
    assert (killed.kind, "SIGKILL" in killed.message) == ("WorkerDied", True)
    assert raised is not None
    assert raised.message == "a kernel is missing"
    assert records.problems == []


@pytest.mark.slow
def test_where_every_node_has_another_version_it_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.execution import nodes

    monkeypatch.setattr(nodes, "software", lambda: {"torch": "1.0"})
    with pytest.raises(UsageError, match=r"no node .* can take part: .*has torch .* instead of 1\.0"):
        run(_study(tmp_path, "fine_linear", **QUICK))
    assert not list(tmp_path.rglob("record.json"))


def test_a_node_without_the_files_of_a_streamed_dataset_says_so(tmp_path: Path) -> None:
    counts = {"train": {"cat": 12, "dog": 12}, "val": {"cat": 4, "dog": 4}}
    pictures = folder_set(tmp_path / "pictures", counts, height=12, width=10)
    cache = tmp_path / "cache"
    info = prepare(str(pictures), data_dir=None, img_size=8, download=False, cache_dir=cache, max_resident_bytes=0)
    assert receive([], info, cache) == ""
    pictures.rename(tmp_path / "elsewhere")
    assert "the images of" in receive([], info, cache)


def _command(output: Path, *argv: str) -> list[str]:
    common = ["--models", "slow_linear", "--plugins", "tests.broken_models", "--protocol", "smoke", "--device", "cpu"]
    small = ["--samples-seen", "24", "--batch-size", "8", "--time-budget", "0.2", "--no-pictures"]
    return [sys.executable, str(ROOT / "run_bench.py"), *common, *small, "--output", str(output), *argv]


def test_no_cluster_at_the_address_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    command = _command(tmp_path, "--launcher", "ray", "--ray-address", "127.0.0.1:9")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: --ray-address 127.0.0.1:9: there is no Ray cluster")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("what", [["--claims"], ["--check", "base.json"], ["--task", "evaluate"]])
def test_what_runs_on_one_machine_says_so(tmp_path: Path, what: list[str]) -> None:
    command = [sys.executable, str(ROOT / "run_bench.py"), "--device", "cpu", "--launcher", "ray", *what]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "on one machine: leave --launcher ray out" in done.stderr


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_finished_and_the_same_command_goes_on(tmp_path: Path) -> None:
    command = _command(tmp_path, "--launcher", "ray")
    running = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 240
    while not list(tmp_path.glob("runs/**/record.json")):
        assert running.poll() is None, running.stderr and running.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    assert out == ""
    assert err.splitlines()[-1].startswith("interrupted: finished cells are kept")
    assert not [path for path in tmp_path.rglob(".*") if path.is_file() and path.name != ".lock"]
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("record.json")}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "slow_linear" in done.stdout
    assert "ray" not in done.stdout.lower()
    assert kept.items() <= {path: path.stat().st_mtime_ns for path in tmp_path.rglob("record.json")}.items()
    records = load_records(tmp_path)
    assert len(records.runs) > sum("runs" in path.parts for path in kept)
    assert all(record.status == "ok" for record in records.runs)
    assert os.environ.get("RAY_ADDRESS") is None
