"""What is known of a dataset once it has been prepared; it stands in every record."""

from __future__ import annotations

from pydantic import Field

from bench.values import Frozen


class DataInfo(Frozen):
    """A dataset as it was used: what it holds, and the fingerprint of its content."""

    dataset: str
    """The name asked for, such as `digits` or `torch/cifar10`; a folder is named by its last part."""
    fingerprint: str
    """SHA-256 over all decoded pixels and labels of all splits, at the cached size."""
    classes: list[str]
    """Class names, in label order."""
    n_train: int
    """Images in the train split, the dev part included."""
    n_test: int
    """Images in the test split."""
    train_counts: list[int] = Field(default_factory=list)
    """Images per class in the train split, in label order."""
    channels: int
    """Channels as stored (1 or 3); grey images are shown to models as three equal channels."""
    native_px: int | None
    """Side of the source's images in pixels before resizing; None where they differ."""
    cached_px: int | None
    """Side of the decoded images in the cache, in pixels; None where images are streamed."""
    mean: list[float]
    """Per-channel mean of the train split, pixels scaled to 0..1."""
    std: list[float]
    """Per-channel standard deviation of the train split, pixels scaled to 0..1."""
    flip: bool
    """Whether a horizontal flip keeps the label (not so for digits and street numbers)."""
    corrupt: list[str] = Field(default_factory=list)
    """Images that did not decode: skipped, by name (at most the first 100)."""
    n_corrupt: int = 0
    """How many images did not decode."""
    duplicates_train_test: int = 0
    """Test images whose decoded pixels also stand in the train split."""
    near_duplicates_train_test: int | None = None
    """Test images whose 64-bit difference hash is the same as a train image's; None where not computed."""
    notes: list[str] = Field(default_factory=list)
    """What a reader should know, such as that the test split was carved from the only split there was."""
