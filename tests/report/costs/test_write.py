"""The files of costs are complete, strict, repeatable and in their places; nothing foreign goes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from bench.analysis.cost_table import COST_COLUMNS
from bench.report.costs.write import cost_files, cost_table, costs_json, write_cost_texts, write_costs
from bench.store import Records, Store, StoreError, load_records
from tests.analysis.test_costs import boards, profile
from tests.cost_samples import make_device
from tests.samples import ENVIRONMENT

LATER = "2026-06-01T00:00:00+00:00"


def _store(root: Path) -> Records:
    store = Store(root)
    for record in (profile("a", id="1" * 64), profile("b", id="2" * 64, speed=50.0)):
        store.write_profile(record)
    store.write_device(make_device(ENVIRONMENT))
    return load_records(root)


def _written(root: Path) -> set[str]:
    return {p.relative_to(root).as_posix() for p in (root / "figures").rglob("*") if p.is_file()}


def test_every_picture_is_there_and_listed_and_the_page_links_to_files_that_exist(tmp_path: Path) -> None:
    (board,) = write_costs(_store(tmp_path), tmp_path, "python run_bench.py --cost-only")
    names = ("roofline", "throughput_vs_batch", "macs_by_kind", "macs_vs_size")
    expected = {f"figures/costs/{name}{ending}" for name in names for ending in (".svg", ".png")}
    assert _written(tmp_path) == expected == set(cost_files([board]))
    assert set(json.loads((tmp_path / "costs.json").read_text())["files"]) == expected
    page = (tmp_path / "costs.md").read_text()
    targets = [part.partition(")")[0] for part in page.split("](")[1:]]
    assert len(targets) == 4 + 2
    assert all((tmp_path / target).exists() for target in targets)
    assert "python run_bench.py --cost-only" in page
    assert [p.name for p in tmp_path.rglob(".*") if p.is_file()] == [".drawn.json"]


def test_the_newest_board_has_the_plain_names_and_outdated_pictures_go(tmp_path: Path) -> None:
    records = _store(tmp_path)
    write_costs(records, tmp_path, "")
    Store(tmp_path).write_profile(profile("c", id="3" * 64, img_size=32, created=LATER, macs_by_size=[]))
    (tmp_path / "figures" / "costs" / "mine.png").write_bytes(b"mine")
    newest, older = write_costs(load_records(tmp_path), tmp_path, "")
    assert newest.key.img_size == 32
    files = _written(tmp_path)
    assert "figures/costs/macs_vs_size.png" not in files
    assert {
        "figures/costs/roofline.svg",
        f"figures/costs/{older.id}/macs_vs_size.png",
        "figures/costs/mine.png",
    } <= files


@pytest.mark.parametrize(
    "listed", [["../precious"], ["figures/costs/../../precious"], ["figures/mine"], "x", [3], ["figures/costs"]]
)
def test_a_doctored_list_of_files_removes_nothing_foreign(tmp_path: Path, listed: object) -> None:
    output = tmp_path / "results"
    (output / "figures" / "costs").mkdir(parents=True)
    for name in ("precious", "results/figures/mine", "results/precious"):
        (tmp_path / name).write_text("keep")
    (output / "costs.json").write_text(json.dumps({"files": listed}))
    write_cost_texts([], output)
    assert all((tmp_path / name).exists() for name in ("precious", "results/figures/mine", "results/precious"))


def test_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    records = _store(tmp_path)
    write_costs(records, tmp_path, "")
    names = [*sorted(_written(tmp_path)), "costs.md", "costs.csv", "costs.json"]
    before = {name: (tmp_path / name).read_bytes() for name in names}
    write_costs(load_records(tmp_path), tmp_path, "")
    assert {name: (tmp_path / name).read_bytes() for name in names} == before


def test_the_csv_and_the_json_hold_the_same_rows(tmp_path: Path) -> None:
    found = boards(profile("a"), profile("b", speed=50.0, training=None))
    write_cost_texts(found, tmp_path)
    with (tmp_path / "costs.csv").open() as file:
        lines = list(csv.DictReader(file))
    document = json.loads((tmp_path / "costs.json").read_text())
    rows = document["boards"][0]["rows"]
    assert list(lines[0]) == ["board", *COST_COLUMNS]
    assert [line["model"] for line in lines] == [row["model"] for row in rows] == ["a", "b"]
    assert float(lines[0]["inference_img_per_s"]) == rows[0]["inference_img_per_s"] == 100.0
    assert (lines[1]["training_img_per_s"], rows[1]["training_img_per_s"]) == ("", None)
    assert {line["board"] for line in lines} == {found[0].id}


def test_the_json_is_strict_and_holds_layers_sweeps_states_and_every_ratio() -> None:
    document = json.loads(json.dumps(costs_json(boards(profile("a"), profile("b"), profile("c"))), allow_nan=False))
    (board,) = document["boards"]
    row = board["rows"][0]
    assert (board["img_size"], board["precision"], board["compiled"]) == (224, "fp32", False)
    assert sum(layer["macs"] for layer in row["layers"]) == row["macs"]
    assert len(row["inference_curve"]) == 7
    assert row["before"]["governor"] == "performance"
    assert "samples_ms" not in row["timings"]["inference"]
    assert len(board["ratios"]) == 3 * 3
    assert {ratio["apart"] for ratio in board["ratios"]} <= {True, False}


def test_no_profile_at_all_still_writes_a_page(tmp_path: Path) -> None:
    assert write_costs(load_records(tmp_path), tmp_path, "") == []
    assert "No cost has been measured yet" in (tmp_path / "costs.md").read_text()


def test_a_folder_that_cannot_be_written_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="--report-only") as caught:
        write_cost_texts([], tmp_path / "file" / "below")
    assert len(str(caught.value).splitlines()) == 1


def test_what_the_command_prints_comes_from_here_too() -> None:
    (board,) = boards(profile("a"))
    assert "a (100 img/s)" in cost_table(board)
