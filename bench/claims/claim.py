"""A claim: what the notes say, what is tested, on which cells and probes, and the rule, fixed beforehand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from bench.claims.chart import Chart

if TYPE_CHECKING:
    from bench.claims.evidence import Evidence

Verdict = Literal["supported", "refuted", "inconclusive", "not testable here", "by structure"]
Kind = Literal["S", "M", "S+M"]
MAIN = "main"
"""The task that stands for the dataset asked for; any other is a dataset's own name, such as `synthetic/texture`."""


@dataclass(frozen=True)
class Arm:
    """A model under one intervention on one task: trained with every seed of the protocol."""

    model: str
    """Name of the model, with its arguments."""
    intervention: str = "none"
    """What is done to every image, in training and in test."""
    task: str = MAIN
    """The dataset."""
    sizes: Literal["all", "largest"] = "largest"
    """Train sizes asked for: all of the protocol, or the largest."""

    @property
    def whole(self) -> Arm:
        """The arm by which its cells are known, whatever train sizes a claim wants of it."""
        return replace(self, sizes="all")

    @property
    def words(self) -> str:
        """The arm in a few words."""
        under = "" if self.intervention == "none" else f" under {self.intervention}"
        return f"{self.model}{under}" + ("" if self.task == MAIN else f" on {self.task}")


@dataclass(frozen=True)
class Look:
    """A probe of a model."""

    probe: str
    """Name of the probe."""
    model: str
    """Name of the model, with its arguments."""
    arm: Arm | None = None
    """What it was trained in, at the largest train size; None for the untrained model."""
    seeds: Literal["each", "first", "all"] = "first"
    """A trained model is looked at once per seed, with the first seed only, or all seeds' models in one look (which an
    intervention rules out: each seed has its own)."""
    options: tuple[tuple[str, Any], ...] = ()
    """Keywords of the probe."""
    task: str = MAIN
    """Whose images an untrained model is shown, where the probe needs any."""
    img_size: int | None = None
    """Side of the images of a structural look in pixels; the protocol's unless given."""
    num_classes: int | None = None
    """Outputs of a structural look; the task's unless given (10 without a task)."""

    def __post_init__(self) -> None:
        if self.seeds == "all" and self.arm is not None and self.arm.intervention != "none":
            raise ValueError("models of several seeds under an intervention do not see the same images")


@dataclass(frozen=True)
class Finding:
    """One number that bears on the verdict."""

    name: str
    """What it is, in a few words."""
    value: float
    """The estimate."""
    low: float | None = None
    """Lower end of its 95 % interval; None for an exact number."""
    high: float | None = None
    """Upper end."""
    unit: str = ""
    """`points` (of accuracy, in hundredths), `px`, `×`, or nothing."""
    p: float | None = None
    """p-value of the rule's test, before any correction; None where there is none."""
    detectable: float | None = None
    """Smallest effect, in the same unit, that the run would have found 4 times in 5; None for an exact number."""
    control: bool = False
    """Whether it is a control."""
    digits: int = 3
    """Significant digits that are shown."""


@dataclass(frozen=True)
class Check:
    """An exact statement about a structure, and whether it holds."""

    statement: str
    """What must hold."""
    holds: bool
    """Whether it does."""
    measured: str
    """What was found, with the number."""


@dataclass(frozen=True)
class Judgement:
    """What the rule makes of the evidence."""

    verdict: Verdict
    """From the vocabulary."""
    reason: str
    """One sentence with the numbers that decided."""
    meaning: str
    """Two sentences: what it means, and what the notes should have said."""
    findings: tuple[Finding, ...] = ()
    """Measured numbers, controls included."""
    checks: tuple[Check, ...] = ()
    """Exact statements."""
    chart: Chart | None = None
    """The figure; None only where there is nothing to show."""
    needed: str = ""
    """What it would take to decide, where the verdict is `inconclusive` or `not testable here`."""
    p: float | None = None
    """The confirmatory test's p-value before the common correction; None for an exploratory claim."""
    p_holm: float | None = None
    """The same after it."""


@dataclass(frozen=True)
class Claim:
    """One statement of the notes."""

    id: str
    """`C01` to `C21`."""
    title: str
    """A few words for the table."""
    korean: str
    """The statement as the notes have it."""
    english: str
    """The same in English."""
    hypothesis: str
    """What is tested."""
    kind: Kind
    """`S`: settled by structure. `M`: by measurement."""
    models: str
    """Which models take part, in words."""
    controls: str
    """What the measurement is shown beside."""
    statistics: str
    """Estimand, interval and test, in words."""
    rule: str
    """Threshold and direction: what makes which verdict."""
    judge: Callable[[Evidence], Judgement]
    """The rule itself. Raises `Missing` where evidence is not there."""
    arms: tuple[Arm, ...] = ()
    """Trainings it asks for."""
    looks: tuple[Look, ...] = ()
    """Probes it asks for."""
    confirmatory: bool = False
    """Whether it is one of those fixed beforehand that share one Holm correction."""
    sources: tuple[str, ...] = field(default=())
    """Papers that the measurement follows."""


class Missing(LookupError):
    """Evidence that a rule needs is not there; its message is one line that says what and why."""
