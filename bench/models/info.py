"""What is known of a model once it has been built; it stands in every record."""

from __future__ import annotations

from pydantic import Field

from bench.values import Frozen


class Stage(Frozen):
    """The grid of features that one stage of a model works on."""

    name: str
    """The module's name in the model, or a short word such as `stage 2`."""
    height: int
    """Rows of the feature or token grid."""
    width: int
    """Columns of the feature or token grid."""
    channels: int
    """Channels or embedding width."""
    window: int | None = None
    """Side of the attention window in cells of the grid; None where there is no window."""
    keys: int | None = None
    """Keys that each query attends to; None where there is no attention."""


class Geometry(Frozen):
    """What a model makes of an image of the protocol's size, read off the built module."""

    img_size: int
    """Side of the input image in pixels."""
    stages: list[Stage]
    """Grids in forward order."""
    degenerate: list[str] = Field(default_factory=list)
    """Why conclusions about locality or attention do not hold at this size; empty where it is sound."""


class ModelInfo(Frozen):
    """A model as it was built."""

    name: str
    """The name on the board."""
    builder: str
    """The timm architecture name that built it, with the arguments of the small geometry in brackets."""
    family: str
    """`CNN`, `ViT`, `Swin`, `Hybrid`, `RNN` or `other`."""
    paper: str = ""
    """Authors and year of the paper."""
    year: int | None = None
    """Year of the paper."""
    params: int
    """Parameters with the head for this dataset."""
    provenance: str = "from scratch"
    """Where the initial weights come from."""
    mean: list[float] | None = None
    """Mean of each channel that the initial weights were made with, of values 0 to 1; None for random ones."""
    std: list[float] | None = None
    """Standard deviation of each channel, likewise."""
    regularisation: dict[str, float] = Field(default_factory=dict)
    """Rates that the protocol set, as far as this model has them (`drop_rate`, `drop_path_rate`)."""
    recipe_diff: list[str] = Field(default_factory=list)
    """Where this model could not follow the common recipe; empty for most."""
    geometry: Geometry | None = None
    """Grids per stage; None where the module does not tell."""
