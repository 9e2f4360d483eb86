"""The whole path on every kind of data, and what a user meets when something is wrong with it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch

from bench.data.tar import members
from bench.store import load_records
from tests.command import HASTE, ROOT, TINY, call, run
from tests.data.makers import folder_set, idx_set, parquet_set, samples, tar_file, tar_set

CIFAR10 = ROOT.parent / "shared" / "data" / "cifar10"


def _rows(output: Path) -> list[dict[str, object]]:
    boards = json.loads((output / "leaderboard.json").read_text())["boards"]
    return [row for board in boards for row in board["rows"]]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A small folder of class folders."""
    counts = {"train": {"cat": 12, "dog": 12}, "val": {"cat": 4, "dog": 4}}
    return folder_set(tmp_path / "pictures", counts, height=12, width=10)


def test_a_folder_of_class_folders_works(pictures: Path, tmp_path: Path) -> None:
    done = call(*TINY, "--dataset", str(pictures), "--train-sizes", "8,16", "--output", str(tmp_path / "r"))
    assert done.returncode == 0, done.stderr
    assert {row["model"] for row in _rows(tmp_path / "r")} == {"test_resnet", "test_vit"}
    assert "pictures" in done.stdout
    assert (tmp_path / "r" / "confusion" / "test_vit.csv").read_text().count("cat") >= 2
    assert not (tmp_path / "r" / "leaderboard.html").exists()
    assert not list((tmp_path / "r").rglob("*.png"))


@pytest.mark.slow
def test_a_folder_of_parquet_shards_works(tmp_path: Path) -> None:
    parquet_set(tmp_path / "set")
    argv = ["--dataset", str(tmp_path / "set"), "--train-sizes", "4", "--output", str(tmp_path / "r")]
    done = call(*TINY, *argv)
    assert done.returncode == 0, done.stderr
    assert len(_rows(tmp_path / "r")) == 2


@pytest.mark.slow
def test_a_folder_of_tar_shards_works_as_far_as_they_go(tmp_path: Path) -> None:
    tar_set(tmp_path / "set")
    torn = tar_file(tmp_path / "set" / "train-000002.tar", samples(range(20, 24), ["cat", "dog"] * 2))
    os.truncate(torn, list(members(torn))[6][1])  # where the fourth image begins
    argv = ["--dataset", str(tmp_path / "set"), "--train-sizes", "4", "--output", str(tmp_path / "r")]
    done = call(*TINY, *argv)
    assert done.returncode == 0, done.stderr
    line = "train-000002.tar is cut off after 3 images: the rest is missing"
    assert done.stderr.count(line) == 1
    assert line in (tmp_path / "r" / "leaderboard.md").read_text()
    assert len(_rows(tmp_path / "r")) == 2


@pytest.mark.slow
def test_a_torchvision_name_works(tmp_path: Path) -> None:
    idx_set(tmp_path / "data", "FashionMNIST", n_train=40, n_test=10)
    argv = ["--dataset", "torch/fashion_mnist", "--data-dir", str(tmp_path / "data"), "--train-sizes", "20"]
    done = call(*TINY, *argv, "--output", str(tmp_path / "r"))
    assert done.returncode == 0, done.stderr
    assert len(_rows(tmp_path / "r")) == 2


@pytest.mark.slow
@pytest.mark.skipif(not CIFAR10.is_dir(), reason="needs ../shared/data/cifar10")
def test_cifar10_in_parquet_works(tmp_path: Path) -> None:
    done = call(*TINY, "--dataset", str(CIFAR10), "--train-sizes", "100", "--output", str(tmp_path / "r"))
    assert done.returncode == 0, done.stderr
    assert "cifar10-jpeg" in done.stdout


def test_another_model_adds_a_row_and_leaves_the_others_as_they_are(tmp_path: Path) -> None:
    tail = [*HASTE, "--output", str(tmp_path)]
    assert call("--models", "test_resnet", *tail).returncode == 0
    # What a device can do is measured again where it was disturbed.
    records = [p for part in ("runs", "profiles") for p in (tmp_path / part).rglob("record.json")]
    before = {p: p.stat().st_mtime_ns for p in records}
    assert [row["model"] for row in _rows(tmp_path)] == ["test_resnet"]
    assert call("--models", "test_vit", *tail).returncode == 0
    assert {row["model"] for row in _rows(tmp_path)} == {"test_resnet", "test_vit"}
    assert {p: p.stat().st_mtime_ns for p in before} == before


@pytest.mark.slow
def test_a_corrupt_image_is_skipped_named_and_on_the_board(pictures: Path, tmp_path: Path) -> None:
    (pictures / "train" / "cat" / "003.png").write_bytes(b"\x89PNG torn")
    tail = [*HASTE, "--train-sizes", "8", "--output", str(tmp_path / "r")]
    assert call("--models", "test_resnet", "--dataset", str(pictures), *tail).returncode == 0
    record = load_records(tmp_path / "r").runs[0]
    assert record.data.n_corrupt == 1
    assert "003.png" in record.data.corrupt[0]
    assert re.search(r"1 corrupt image", (tmp_path / "r" / "leaderboard.md").read_text())


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"train": {"cat": 3}, "val": {"cat": 2}}, "one class only"),
        ({"train": {"cat": 3, "dog": 0}, "val": {"cat": 2, "dog": 1}}, "is empty"),
        ({"train": {"cat": 3, "dog": 3}, "val": {"cat": 2}}, "same classes"),
    ],
)
def test_a_dataset_that_nothing_can_be_learnt_from_is_one_line_and_nothing_is_written(
    counts: dict[str, dict[str, int]], message: str, tmp_path: Path
) -> None:
    done = call(*TINY, "--dataset", str(folder_set(tmp_path / "set", counts)), "--output", str(tmp_path / "r"))
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list((tmp_path / "r").rglob("*.json"))


def test_a_checkpoint_that_does_not_fit_is_one_line_before_anything_runs(tmp_path: Path) -> None:
    torch.save(timm.create_model("test_resnet").state_dict(), tmp_path / "other.pth")
    done = call(*TINY, "--checkpoint", f"test_vit={tmp_path / 'other.pth'}", "--output", str(tmp_path / "r"))
    assert done.returncode == 2
    assert "other.pth does not fit the model" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list((tmp_path / "r").rglob("*.json"))


@pytest.mark.slow
def test_a_checkpoint_that_fits_stands_in_its_row(tmp_path: Path) -> None:
    torch.save(timm.create_model("test_vit").state_dict(), tmp_path / "mine.pth")
    done = call(*TINY, "--checkpoint", f"test_vit={tmp_path / 'mine.pth'}", "--output", str(tmp_path / "r"))
    assert done.returncode == 0, done.stderr
    assert "mine.pth" in (tmp_path / "r" / "leaderboard.md").read_text()
    provenance = {r.model.name: r.model.provenance for r in load_records(tmp_path / "r").runs if r.model}
    assert provenance == {"test_resnet": "from scratch", "test_vit": "weights of mine.pth, new classifier"}


@pytest.mark.slow
def test_the_readme_s_python_example_runs_as_it_stands(tmp_path: Path) -> None:
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert code is not None
    script = tmp_path / "example.py"
    script.write_text(code.group(1))
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "resnet18" in done.stdout
    assert "deit_ti" in done.stdout


def test_every_option_of_the_command_in_the_readme_exists() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    lines = [line for line in lines if "`python -m " not in line and not line.startswith("ray ")]  # of other commands
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", "\n".join(lines)))
    known = run("--help").stdout
    assert {"--dataset", "--checkpoint", "--report-only"} <= named
    assert not [option for option in named if option not in known and option != "--print_config"]


def test_the_boards_in_the_readme_are_those_of_the_committed_snapshots() -> None:
    readme = (ROOT / "README.md").read_text()
    pages = re.findall(r"\[the whole board\]\((results/snapshots/[^)]*leaderboard\.md)\)", readme)
    assert pages

    def rows(text: str) -> list[list[str]]:
        cells = [[c.strip() for c in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| ")]
        return [[re.sub(r"\(.*?\)", "", c) for c in row] for row in cells if row[0].rstrip("=").isdigit()]

    snapshots = [rows((ROOT / page).read_text()) for page in pages]
    assert all(snapshots)
    assert [row for row in rows(readme) if row[1].startswith("[")] == [row for found in snapshots for row in found]
    for link in re.findall(r"\]\((results/[^)]+)\)", readme):
        assert (ROOT / link.partition("#")[0]).exists(), link


def test_the_costs_in_the_readme_are_the_committed_snapshot_s() -> None:
    readme = (ROOT / "README.md").read_text()
    folder = re.search(r"\]\((results/snapshots/[^)]*/)costs\.md\)", readme)
    assert folder is not None
    page = (ROOT / folder.group(1) / "costs.md").read_text()
    table = [line for line in page.splitlines() if line.startswith("| [")]
    assert len(table) == 4
    for line in table:
        assert re.sub(r"\]\(", f"]({folder.group(1)}", line) in readme


def test_the_verdicts_in_the_readme_are_the_committed_snapshot_s() -> None:
    readme = (ROOT / "README.md").read_text()
    folder = re.search(r"\]\((results/snapshots/[^)]*/)claims\.md\)", readme)
    assert folder is not None
    page = (ROOT / folder.group(1) / "claims.md").read_text()
    table = [line for line in page.splitlines() if line.startswith("| [C")]
    assert len(table) == 21
    for line in table:
        assert line.replace("](#", f"]({folder.group(1)}claims.md#") in readme
    assert json.loads((ROOT / folder.group(1) / "claims.json").read_text())["command"] in readme
