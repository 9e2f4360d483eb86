"""`--task evaluate`: what timm's own pipeline predicts, image by image; every outcome is a record."""

from __future__ import annotations

import csv
import tarfile
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from bench import Protocol, Study, run
from bench.analysis.evaluations import build_evaluations
from bench.cli import main
from bench.data.imagenet import synsets
from bench.models.build import build
from bench.store import load_records
from bench.training.validate import outputs_of, validate
from tests.benchmarks.validation_speed import timm_logits

CPU = torch.device("cpu")
CLASSES = ("cat", "dog", "fox")


def photographs(root: Path, classes: tuple[str, ...] = CLASSES, each: int = 5, names: str = "{k}.jpg") -> Path:
    """Class folders of JPEG files of many shapes, grey and with transparency among them."""
    rng = np.random.default_rng(0)
    number = 0
    for name in classes:
        (root / name).mkdir(parents=True)
        for k in range(each):
            number += 1
            size = (int(rng.integers(40, 260)), int(rng.integers(40, 260)))
            pixels = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
            image = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
            image = image.convert("L") if k == 1 else image
            image.save(root / name / names.format(k=k, number=number))
    return root


def weights(path: Path, name: str = "test_vit", outputs: int = 3, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    model = timm.create_model(name, num_classes=outputs)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)  # so that images are told apart
    save_file({key: tensor.contiguous() for key, tensor in model.state_dict().items()}, path)
    return path


def of_timm(name: str, checkpoint: Path, folder: Path, outputs: int) -> np.ndarray:
    """Logits as timm's validation script makes them."""
    model = timm.create_model(name, num_classes=outputs, checkpoint_path=str(checkpoint)).eval()
    return timm_logits(model, folder, workers=0, device=CPU)


@pytest.mark.parametrize("name", ["test_vit", "test_resnet", "test_efficientnet"])
def test_logits_are_those_of_timm_s_own_pipeline_for_all_images(name: str, tmp_path: Path) -> None:
    folder, file = photographs(tmp_path / "images"), weights(tmp_path / "w.safetensors", name)
    model = build(name, num_classes=3, img_size=160, checkpoint=file)[0]
    found = validate(model, folder, device=CPU, workers=0)
    np.testing.assert_allclose(found.logits, of_timm(name, file, folder, 3), rtol=1e-4, atol=1e-4)
    assert found.labels.tolist() == [0] * 5 + [1] * 5 + [2] * 5
    assert not found.corrupt


def test_tar_files_of_classes_give_the_same(tmp_path: Path) -> None:
    folder, file = photographs(tmp_path / "images"), weights(tmp_path / "w.safetensors")
    (tmp_path / "tars").mkdir()
    for name in CLASSES:
        with tarfile.open(tmp_path / "tars" / f"{name}.tar", "w") as tar:
            for path in sorted((folder / name).iterdir()):
                tar.add(path, path.name)
    model = build("test_vit", num_classes=3, img_size=160, checkpoint=file)[0]
    plain, packed = (validate(model, tmp_path / where, device=CPU, workers=0) for where in ("images", "tars"))
    assert sorted(packed.files) == sorted(plain.files)
    order = [packed.files.index(file) for file in plain.files]
    np.testing.assert_allclose(packed.logits[order], plain.logits, atol=1e-5)
    assert packed.labels[order].tolist() == plain.labels.tolist()


def test_a_damaged_image_is_left_out_and_the_others_are_untouched(tmp_path: Path) -> None:
    folder, file = photographs(tmp_path / "images"), weights(tmp_path / "w.safetensors")
    model = build("test_vit", num_classes=3, img_size=160, checkpoint=file)[0]
    whole = validate(model, folder, device=CPU, workers=0)
    damaged = folder / "dog" / "2.jpg"
    damaged.write_bytes(damaged.read_bytes()[:60])
    found = validate(model, folder, device=CPU, workers=0)
    assert [Path(f).as_posix() for f in found.corrupt] == ["dog/2.jpg"]
    kept = [k for k, f in enumerate(whole.files) if Path(f).as_posix() != "dog/2.jpg"]
    np.testing.assert_allclose(found.logits, whole.logits[kept], atol=1e-5)
    assert found.labels.tolist() == whole.labels[kept].tolist()


def test_what_is_asked_for_changes_the_pipeline_and_nothing_else(tmp_path: Path) -> None:
    folder, file = photographs(tmp_path / "images"), weights(tmp_path / "w.safetensors")
    model = build("test_vit", num_classes=3, img_size=160, checkpoint=file)[0]
    plain = validate(model, folder, device=CPU, workers=0)
    other = validate(model, folder, device=CPU, workers=0, crop_pct=0.5, interpolation="nearest")
    assert (other.config["crop_pct"], other.config["interpolation"]) == (0.5, "nearest")
    assert not np.allclose(plain.logits, other.logits, atol=1e-3)


def test_a_subset_of_imagenet_is_judged_among_its_own_classes(tmp_path: Path) -> None:
    chosen = (synsets()[7], synsets()[500])
    folder = photographs(tmp_path / "images", tuple(sorted(chosen)))
    file = weights(tmp_path / "w.safetensors", outputs=1000)
    found = validate(
        build("test_vit", num_classes=1000, img_size=160, checkpoint=file)[0], folder, device=CPU, workers=0
    )
    assert set(found.labels.tolist()) == {7, 500}
    assert set(found.logits.argmax(1).tolist()) <= {7, 500}
    every = of_timm("test_vit", file, folder, 1000)
    np.testing.assert_allclose(found.logits[:, [7, 500]], every[:, [7, 500]], rtol=1e-4, atol=1e-4)


def test_real_labels_judge_validation_images_by_their_file_names(tmp_path: Path) -> None:
    names = "ILSVRC2012_val_{number:08d}.JPEG"
    folder = photographs(tmp_path / "images", (synsets()[7], synsets()[500]), names=names)
    file = weights(tmp_path / "w.safetensors", outputs=1000)
    model = build("test_vit", num_classes=1000, img_size=160, checkpoint=file)[0]
    right, judged = validate(model, folder, device=CPU, workers=0).real_top1()
    assert 0 <= right <= judged <= 10
    others = photographs(tmp_path / "others", (synsets()[7], synsets()[500]))
    assert validate(model, others, device=CPU, workers=0).real_top1() is None


def test_the_number_of_outputs_is_read_off_the_file(tmp_path: Path) -> None:
    assert outputs_of("test_vit", weights(tmp_path / "w.safetensors", outputs=17)) == 17
    assert outputs_of("test_resnet", None) == 1000


def test_the_command_ranks_weights_and_goes_on_after_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folder = photographs(tmp_path / "images", each=12)
    good = weights(tmp_path / "w.safetensors")
    torn = tmp_path / "torn.safetensors"
    torn.write_bytes(good.read_bytes()[:100])
    output = tmp_path / "results"
    command = [
        "--task",
        "evaluate",
        "--dataset",
        str(folder),
        "--models",
        "test_vit,test_resnet",
        "--output",
        str(output),
    ]
    command += ["--checkpoint", f"test_vit={good},test_resnet={torn}", "-q"]
    assert main(command) == 1
    shown = capsys.readouterr().out
    assert "test_vit (file" in shown
    assert "failed" in shown
    page = (output / "evaluations.md").read_text()
    assert "36 images of 3 classes" in page
    assert "torn.safetensors cannot be read" in page
    rows = list(csv.DictReader((output / "evaluations.csv").open()))
    assert [bool(row["top1"]) for row in rows] == [True, False]

    (tmp_path / "torn.safetensors").write_bytes(weights(tmp_path / "r.safetensors", "test_resnet", seed=1).read_bytes())
    assert main(command) == 0
    records = load_records(output)
    (board,) = build_evaluations(records)
    assert [row.rank for row in board.rows] in ([1, 1, None], [1, 2, None])  # the torn file's row stays, as failed
    assert board.rows[1].difference <= 0
    assert board.rows[1].difference_low <= board.rows[1].difference <= board.rows[1].difference_high
    made = {record.id: record.created for record in records.evaluations if record.status == "ok"}
    assert main(command) == 0
    again = {record.id: record.created for record in load_records(output).evaluations if record.status == "ok"}
    assert again == made  # nothing is evaluated twice
    page = (output / "evaluations.md").read_text()
    (output / "evaluations.md").unlink()
    assert main(["--report-only", "--output", str(output)]) == 0
    assert (output / "evaluations.md").read_text() == page


def test_the_python_call_evaluates_too(tmp_path: Path) -> None:
    folder, file = photographs(tmp_path / "images"), weights(tmp_path / "w.safetensors")
    asked = Protocol(task="evaluate", dataset=str(folder))
    study = Study(models=("test_vit",), protocol=asked, checkpoint=(f"test_vit={file}",), output=tmp_path / "r")
    (record,) = run(study).evaluations
    assert record.status == "ok"
    assert record.metrics.n == 15


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["--dataset", "nowhere"], "needs --dataset FOLDER"),
        (["--crop-pct", "1.5"], "--crop-pct must be in (0, 1]"),
        (["--interpolation", "cubic"], "--interpolation must be bilinear, bicubic"),
        (["--crop-mode", "middle"], "--crop-mode must be center"),
    ],
)
def test_bad_input_is_one_line(change: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    base = ["--task", "evaluate", "--dataset", str(tmp_path), "--output", str(tmp_path / "r")]
    assert main([*base, *change]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
