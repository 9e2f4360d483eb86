"""`--task evaluate`: what timm's own pipeline predicts, image by image; every outcome is a record."""

from __future__ import annotations

import csv
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from timm.data import create_dataset, create_loader

from bench import Protocol, Study, run
from bench.analysis.evaluations import build_evaluations
from bench.cli import main
from bench.data.imagenet import synsets
from bench.data.tar import members
from bench.models.build import build
from bench.store import load_records
from bench.training.validate import data_config, outputs_of, validate
from tests.benchmarks.validation_speed import timm_logits
from tests.data.makers import tar_file

CPU = torch.device("cpu")
CLASSES = ("cat", "dog", "fox")
LOADER_KEYS = ("input_size", "interpolation", "mean", "std", "crop_pct", "crop_mode")


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


def samples(folder: Path, shards: Path, each: int = 4) -> Path:
    """The images of class folders, shuffled, in webdataset's shards of `each`, with numbers for classes."""
    files = sorted(folder.rglob("*.jpg"))
    files = [files[k] for k in np.random.default_rng(1).permutation(len(files))]
    for start in range(0, len(files), each):
        content = {}
        for path in files[start : start + each]:
            key = f"{path.parent.name}_{path.stem}"
            number = sorted(p.name for p in folder.iterdir()).index(path.parent.name)
            content |= {f"{key}.jpg": path.read_bytes(), f"{key}.cls": str(number).encode()}
        tar_file(shards / f"pets-validation-{start // each:04}.tar", content)
    return shards


def of_shard(file: str) -> str:
    """The name within a shard of an image in a class folder."""
    return Path(file).as_posix().replace("/", "_")


def test_samples_in_shards_give_what_their_folder_gives(tmp_path: Path) -> None:
    folder, file = photographs(tmp_path / "images"), weights(tmp_path / "w.safetensors")
    samples(folder, tmp_path / "shards")
    tar_file(tmp_path / "shards" / "pets-train-0000.tar", {"a.jpg": b"not for judging", "a.cls": b"0"})
    model = build("test_vit", num_classes=3, img_size=160, checkpoint=file)[0]
    plain = validate(model, folder, device=CPU, workers=0)
    packed = validate(model, tmp_path / "shards", device=CPU, workers=2)
    order = [next(k for k, name in enumerate(packed.names) if name == of_shard(file)) for file in plain.files]
    np.testing.assert_allclose(packed.logits[order], plain.logits, atol=1e-5)
    assert packed.labels[order].tolist() == plain.labels.tolist()
    assert (packed.mapping.named_by, packed.corrupt, packed.notes) == ("order", (), ())


def test_samples_in_shards_give_what_timm_s_own_reader_of_shards_gives(tmp_path: Path) -> None:
    pytest.importorskip("webdataset")
    shards = samples(photographs(tmp_path / "images"), tmp_path / "shards")
    file = weights(tmp_path / "w.safetensors")
    model = timm.create_model("test_vit", num_classes=3, checkpoint_path=str(file)).eval()
    asked = {"name": "wds/pets", "root": str(shards), "split": "pets-validation-{0000..0003}.tar|15"}
    loader = create_loader(
        create_dataset(**asked, batch_size=4), use_prefetcher=False, num_workers=0, batch_size=4,
        **{k: v for k, v in data_config(model, None).items() if k in LOADER_KEYS},
    )  # fmt: skip
    with torch.inference_mode():
        told = [(model(images).numpy(), labels.numpy()) for images, labels in loader]
    found = validate(
        build("test_vit", num_classes=3, img_size=160, checkpoint=file)[0], shards, device=CPU, workers=0
    )  # fmt: skip
    np.testing.assert_allclose(found.logits, np.concatenate([logits for logits, _ in told]), rtol=1e-4, atol=1e-4)
    assert found.labels.tolist() == np.concatenate([labels for _, labels in told]).tolist()


def test_images_of_one_name_in_several_shards_are_told_apart(tmp_path: Path) -> None:
    (image,) = photographs(tmp_path / "images", ("cat",), each=1).rglob("*.jpg")
    for shard in range(3):
        files = {}
        for k in range(3):
            files |= {f"{k}.jpg": image.read_bytes(), f"{k}.cls": str(k).encode()}
        tar_file(tmp_path / "shards" / f"val-{shard}.tar", files)
    model = build("test_vit", num_classes=3, img_size=160, checkpoint=weights(tmp_path / "w.safetensors"))[0]
    found = validate(model, tmp_path / "shards", device=CPU, workers=0)
    assert found.files[3:5] == ("val-1.tar/0.jpg", "val-1.tar/1.jpg")
    assert len(set(found.files)) == 9


def test_what_is_missing_is_said_and_the_rest_is_judged(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    known, unknown = synsets()[7], "n00000001"
    folder = photographs(tmp_path / "images", (unknown, known), each=6)
    shards = tmp_path / "shards"
    for start, end in ((0, 6), (6, 12)):
        paths = sorted(folder.rglob("*.jpg"))[start:end:1]
        tar_file(shards / f"val-{start}.tar", {f"{p.parent.name}/{p.name}": p.read_bytes() for p in paths})
    torn = shards / "val-6.tar"
    os.truncate(torn, list(members(torn))[4][1] + 10)
    file = weights(tmp_path / "w.safetensors", outputs=1000)
    command = ["--task", "evaluate", "--dataset", str(shards), "--models", "test_vit", "--output", str(tmp_path / "r")]
    assert main([*command, "--checkpoint", f"test_vit={file}"]) == 0
    lines = [
        "val-6.tar is cut off after 4 images: the rest is missing",
        f"class {unknown} is none of ImageNet-1k's, its images are left out.",
    ]
    told, page = capsys.readouterr().err, (tmp_path / "r" / "evaluations.md").read_text()
    assert all(told.count(line) == 1 and line in page for line in lines)
    (record,) = load_records(tmp_path / "r").evaluations
    assert (record.metrics.n, record.metrics.classes) == (4, 1)


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


@pytest.mark.slow
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
