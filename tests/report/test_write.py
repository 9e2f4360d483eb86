"""Everything is written, atomically, in its place; nothing stale stays and nothing foreign goes."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench import build_board, load_records
from bench.analysis.board import Board
from bench.analysis.mistakes import mistakes_of
from bench.analysis.table import COLUMNS
from bench.protocol import PRESETS
from bench.report.costs.write import write_costs
from bench.report.figures.board import FIGURES, draw_figures
from bench.report.tables import boards_json
from bench.report.write import files_of, write_boards, write_texts
from bench.store import Store, StoreError
from tests.answer_samples import answered_study, keep_images
from tests.samples import CANONICAL_FAKES, Fake, make_study

TWO = (Fake("resnet18", 0.8), Fake("hf_hub:org/model", 0.7))
LATER = "2026-06-01T00:00:00+00:00"


def _written(root: Path) -> set[str]:
    folders = (root / "figures", root / "confusion", root / "cards")
    return {p.relative_to(root).as_posix() for folder in folders for p in folder.rglob("*") if p.is_file()}


def test_every_file_of_a_board_is_there_and_listed(tmp_path: Path) -> None:
    make_study(tmp_path, models=TWO)
    boards = write_boards(load_records(tmp_path), tmp_path, "python run_bench.py")
    expected = {
        f"figures/{name}{ending}" for name in (*FIGURES, "per_class", "agreement") for ending in (".svg", ".png")
    } | {
        f"confusion/{name}{ending}"
        for name in ("resnet18", "hf_hub_org_model")
        for ending in (".svg", ".png", ".csv", ".md")
    }
    expected |= {f"cards/{name}/README.md" for name in ("resnet18", "hf_hub_org_model")}
    planned = files_of(boards, {board.id: mistakes_of(board, Store(tmp_path)) for board in boards})
    assert _written(tmp_path) == expected == set(planned)
    assert json.loads((tmp_path / "leaderboard.json").read_text())["files"] == planned
    assert [p.name for p in tmp_path.rglob(".*") if p.is_file()] == [".drawn.json"]


@pytest.mark.slow
def test_pictures_are_drawn_again_only_if_they_would_change_or_one_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_study(tmp_path, models=TWO)
    drawn: list[str] = []

    def draw(board: Board) -> Iterator[tuple[str, dict[str, bytes]]]:
        drawn.append(board.id)
        return draw_figures(board)

    monkeypatch.setattr("bench.report.write.draw_figures", draw)

    def drawings() -> int:
        drawn.clear()
        write_boards(load_records(tmp_path), tmp_path, "python run_bench.py")
        return len(drawn)

    assert drawings() == 1
    assert drawings() == 0
    (tmp_path / "figures" / "ranks.png").unlink()
    assert drawings() == 1
    make_study(tmp_path, models=[Fake("deit_ti", 0.6)], created=LATER)
    assert drawings() == 1
    assert "deit_ti" in (tmp_path / "leaderboard.html").read_text()
    (tmp_path / ".drawn.json").write_text("torn")
    assert drawings() == 1


def test_logits_and_kept_images_add_their_pictures_and_these_go_when_the_images_do(tmp_path: Path) -> None:
    board, store = answered_study(tmp_path, (Fake("resnet18", 0.9), Fake("deit_ti", 0.7)))
    keep_images(board, store)
    write_boards(load_records(tmp_path), tmp_path, "")
    extra = {f"figures/{name}" for name in ("calibration.csv", "calibration.svg", "disagreements.svg")}
    assert extra <= _written(tmp_path)
    shutil.rmtree(tmp_path / "images")
    write_boards(load_records(tmp_path), tmp_path, "")
    assert extra & _written(tmp_path) == {"figures/calibration.csv", "figures/calibration.svg"}


def test_only_the_best_rows_have_pictures_and_all_have_their_tables(tmp_path: Path) -> None:
    make_study(tmp_path, models=[Fake(f"m{k}", 0.9 - 0.01 * k) for k in range(22)])
    boards = build_board(load_records(tmp_path))
    write_texts(boards, tmp_path)
    planned = set(json.loads((tmp_path / "leaderboard.json").read_text())["files"])
    names = [row.name for row in boards[0].rows]
    assert {f"confusion/{name}.csv" for name in names} <= planned
    assert {name for name in names if f"confusion/{name}.png" in planned} == set(names[:20])


def test_every_link_and_picture_of_the_page_exists(tmp_path: Path) -> None:
    make_study(tmp_path, models=TWO[:1])
    make_study(tmp_path, models=(Fake("other"),), protocol=PRESETS["smoke"], created=LATER)
    write_boards(load_records(tmp_path), tmp_path, "")
    write_costs(load_records(tmp_path), tmp_path, "")
    targets = re.findall(r"\]\((?!https:)([^)]+)\)", (tmp_path / "leaderboard.md").read_text())
    assert len(targets) >= 3 * 2 + 2 * 4
    assert [target for target in targets if not (tmp_path / target).exists()] == []


def test_the_newest_board_has_the_plain_names_and_the_others_folders_of_their_own(tmp_path: Path) -> None:
    make_study(tmp_path, models=TWO[:1])
    write_boards(load_records(tmp_path), tmp_path, "")
    make_study(tmp_path, models=(Fake("other"),), protocol=PRESETS["smoke"], created=LATER)
    (tmp_path / "figures" / "mine.png").write_bytes(b"mine")
    newest, older = write_boards(load_records(tmp_path), tmp_path, "")
    files = _written(tmp_path)
    assert "confusion/other.svg" in files
    assert "confusion/resnet18.svg" not in files
    assert f"confusion/{older.id}/resnet18.svg" in files
    assert f"figures/{older.id}/data_efficiency.svg" in files
    assert "figures/mine.png" in files
    assert newest.preset == "smoke"


@pytest.mark.parametrize("listed", [["../precious"], ["/etc/hostname"], ["runs/x"], "figures", None, [3]])
def test_a_doctored_list_of_files_removes_nothing_outside_the_picture_folders(tmp_path: Path, listed: object) -> None:
    output = tmp_path / "results"
    make_study(output, models=TWO)
    for name in ("precious", "results/runs/x"):
        (tmp_path / name).write_text("keep")
    (output / "leaderboard.json").write_text(json.dumps({"files": listed}))
    write_texts(build_board(load_records(output)), output)
    assert (tmp_path / "precious").exists()
    assert (output / "runs" / "x").exists()


def test_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    make_study(tmp_path, models=TWO[:1], protocol=replace(PRESETS["quick"], seeds=(0, 1, 2)))
    write_boards(load_records(tmp_path), tmp_path, "")
    names = [*sorted(_written(tmp_path)), "leaderboard.md", "leaderboard.csv", "leaderboard.json"]
    before = {name: (tmp_path / name).read_bytes() for name in names}
    write_boards(load_records(tmp_path), tmp_path, "")
    assert {name: (tmp_path / name).read_bytes() for name in names} == before


def test_the_csv_and_the_json_hold_the_same_rows_as_the_data_frame(tmp_path: Path) -> None:
    make_study(tmp_path, models=(*CANONICAL_FAKES, Fake("broken", fails=((0, 0), (1, 0), (2, 0)))))
    (board,) = boards = build_board(load_records(tmp_path))
    write_texts(boards, tmp_path)
    with (tmp_path / "leaderboard.csv").open() as file:
        lines = list(csv.DictReader(file))
    rows = json.loads((tmp_path / "leaderboard.json").read_text())["boards"][0]["rows"]
    frame = board.to_frame()
    assert list(lines[0]) == ["board", *COLUMNS]
    assert list(frame.columns) == list(COLUMNS)
    assert [line["model"] for line in lines] == [row["model"] for row in rows] == list(frame["model"])
    assert float(lines[0]["top1"]) == rows[0]["top1"] == frame["top1"][0]
    assert (lines[-1]["top1"], rows[-1]["top1"]) == ("", None)
    assert {line["board"] for line in lines} == {board.id}


def test_board_json_is_strict_json_and_equal_to_what_the_command_prints(tmp_path: Path) -> None:
    make_study(tmp_path)
    boards = build_board(load_records(tmp_path))
    write_texts(boards, tmp_path)
    text = json.dumps(boards_json(boards), allow_nan=False)
    written = json.loads((tmp_path / "leaderboard.json").read_text())
    assert json.loads(text) == {name: value for name, value in written.items() if name != "files"}


def test_a_board_without_any_result_is_written_without_pictures(tmp_path: Path) -> None:
    make_study(tmp_path, models=(Fake("broken", fails=((0, 0), (1, 0), (2, 0))),))
    write_boards(load_records(tmp_path), tmp_path, "")
    assert _written(tmp_path) == set()
    assert "](figures" not in (tmp_path / "leaderboard.md").read_text()


def test_no_record_at_all_still_writes_a_page(tmp_path: Path) -> None:
    assert write_boards(load_records(tmp_path), tmp_path, "") == []
    assert "no run yet" in (tmp_path / "leaderboard.md").read_text()


def test_a_folder_that_cannot_be_written_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="--report-only") as caught:
        write_texts([], tmp_path / "file" / "below")
    assert len(str(caught.value).splitlines()) == 1
