"""Which outputs a folder's classes mean."""

from __future__ import annotations

import pytest

from bench.data.imagenet import CLASSES, map_classes, real_labels, synsets
from bench.errors import UsageError


def test_the_ids_are_imagenet_s_in_the_order_of_outputs() -> None:
    assert len(synsets()) == CLASSES
    assert (synsets()[0], synsets()[999]) == ("n01440764", "n15075141")  # tench, toilet tissue


def test_all_ids_mean_the_outputs_in_order() -> None:
    found = map_classes(sorted(synsets()), CLASSES)
    assert found.outputs == tuple(range(CLASSES))
    assert not found.restricted


def test_a_subset_by_id_competes_among_its_own() -> None:
    found = map_classes(["n01440764", "n15075141"], CLASSES)
    assert found.outputs == (0, 999)
    assert (found.named_by, found.restricted) == ("WordNet id", True)


def test_folders_named_by_number_mean_that_output_whatever_their_order() -> None:
    names = sorted(str(k) for k in range(CLASSES))  # 0, 1, 10, 100, 101, …, as ImageNetV2's folders sort
    found = map_classes(names, CLASSES)
    assert found.outputs[names.index("207")] == 207
    assert (found.named_by, found.restricted) == ("number", False)


def test_other_names_mean_the_outputs_in_order_if_they_are_as_many() -> None:
    assert map_classes(["cat", "dog", "fox"], 3).outputs == (0, 1, 2)
    assert map_classes(["0", "1", "2"], 3).named_by == "order"


@pytest.mark.parametrize(
    ("names", "outputs", "said"),
    [
        (["n01440765", "n01440766"], CLASSES, "class folder n01440765 is none of ImageNet-1k's. Did you mean n014407"),
        (["cat", "dog"], CLASSES, "2 classes .such as 'cat'. and the model 1000 outputs"),
        (["cat", "dog"], 3, "give a model with as many outputs"),
    ],
)
def test_names_that_mean_nothing_are_one_line(names: list[str], outputs: int, said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        map_classes(names, outputs)
    assert "\n" not in str(refused.value)


def test_a_class_that_imagenet_lacks_is_named_and_the_others_are_judged() -> None:
    found = map_classes(["n01440764", "n01440765", "n15075141"], CLASSES)
    assert (found.outputs, found.known, found.restricted) == ((0, -1, 999), (0, 999), True)
    (line,) = found.unknown
    assert line.startswith("class n01440765 is none of ImageNet-1k's, its images are left out. Did you mean n01440764")
    whole = map_classes([*synsets(), "thumbnails"], CLASSES)
    assert not whole.restricted
    assert whole.known == tuple(range(CLASSES))


def test_numbers_mean_the_outputs_of_any_model_that_has_more() -> None:
    found = map_classes(["2", "0"], 3)
    assert (found.outputs, found.named_by, found.restricted) == ((2, 0), "number", True)


def test_real_labels_are_those_of_the_validation_images() -> None:
    found = real_labels()
    assert len(found) == 50_000
    assert all(0 <= label < CLASSES for labels in list(found.values())[:2000] for label in labels)
    assert 40_000 < sum(bool(labels) for labels in found.values()) < 50_000
