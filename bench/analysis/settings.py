"""Which profiles may stand side by side: those of one machine with equal precision, layout and switches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from bench.measure.hardware import one_of
from bench.profiles import ProfileRecord, Switches, Timing
from bench.records import Environment, RunRecord


class Settings(NamedTuple):
    """What makes two speeds of one machine incomparable; None where a profile does not tell."""

    precision: str | None
    """Arithmetic of inference: `fp32` or `bf16`."""
    training_precision: str | None
    """Arithmetic of training."""
    memory_format: str | None
    """Layout of images and weights."""
    compiled: bool | None
    """Whether torch.compile was on."""
    switches: str | None
    """The switches of torch that were on and matter on this device, as words; `none` where all were off."""

    @property
    def known(self) -> int:
        """How many of the settings are known."""
        return sum(value is not None for value in self)

    def fits(self, other: Settings) -> bool:
        """Whether no setting that both know differs."""
        return all(a is None or b is None or a == b for a, b in zip(self, other, strict=True))

    def completed(self, other: Settings) -> Settings:
        """These settings, the unknown ones filled from `other`."""
        missing = {name: getattr(other, name) for name, value in self._asdict().items() if value is None}
        return self._replace(**missing)


class Choice(NamedTuple):
    """The profile that a board shows for one of its rows."""

    profile: ProfileRecord | None
    """A good one with the settings of the board, else a failed one, else None."""
    elsewhere: bool
    """Whether there is a good one, but with other settings."""


def settings_of(profile: ProfileRecord) -> Settings:
    """The settings of a profile, read off its timings."""
    inference = [t for t in (profile.inference, profile.latency) if t is not None]
    training = [profile.training] if profile.training is not None else []
    every = [*inference, *training]
    compiled = {t.compiled for t in every}
    return Settings(
        precision=_only(t.precision for t in inference),
        training_precision=_only(t.precision for t in training),
        memory_format=_only(t.memory_format for t in every),
        compiled=any(compiled) if compiled else None,
        switches=switches_on(profile.switches, profile.environment.device) if profile.switches else None,
    )


def switches_on(switches: Switches, device: str) -> str:
    """The switches that are on and matter on `device`, such as `fused attention`; `none` where all are off."""
    words = {"fused attention": switches.fused_attention}
    if device_kind(device) == "cuda":
        words = {
            "TF32 in products": switches.tf32_matmul,
            "TF32 in convolutions": switches.tf32_cudnn,
            "cuDNN benchmark": switches.cudnn_benchmark,
            "cuDNN deterministic": switches.cudnn_deterministic,
            **words,
        }
    return ", ".join(word for word, on in words.items() if on) or "none"


def device_kind(device: str) -> str:
    """`cuda:1` → `cuda`."""
    return device.partition(":")[0]


def same_machine(a: Environment, b: Environment) -> bool:
    """Whether speeds of two environments are speeds of the same device with the same threads."""
    kind = device_kind(a.device)
    return a.hardware == b.hardware and kind == device_kind(b.device) and (kind != "cpu" or a.threads == b.threads)


def choose_profiles(runs: Sequence[RunRecord], profiles: Sequence[ProfileRecord]) -> list[Choice]:
    """For one run of each row of a board, the profile of its model: the same settings for all rows.

    The settings that cover the most rows are taken; on a tie those whose training arithmetic is the board's, then
    the newest. A row that has no good profile with them shows a failed one or none.
    """
    by_request: dict[tuple[str, Any, int], list[ProfileRecord]] = {}
    for profile in profiles:
        by_request.setdefault((profile.model, profile.img_size, profile.num_classes), []).append(profile)
    fitting = [_of_run(by_request, run) for run in runs]
    good = [[p for p in found if p.status == "ok"] for found in fitting]
    told = [[settings_of(p) for p in found] for found in good]
    candidates = {settings_of(p): p.created for p in sorted(_flat(good), key=lambda p: p.created)}
    wanted = runs[0].cell.precision if runs else ""

    def weight(settings: Settings) -> tuple[int, bool, str, int]:
        covered = sum(any(other.fits(settings) for other in found) for found in told)
        return covered, settings.training_precision == wanted, candidates[settings], settings.known

    best = max(candidates, key=weight, default=None)
    return [_choice(found, best) for found in fitting]


def newest(profiles: Iterable[ProfileRecord]) -> ProfileRecord | None:
    """The newest good profile, else the newest failed one; None where there is none."""
    return max(profiles, key=lambda p: (p.status == "ok", p.created), default=None)


def _choice(fitting: Sequence[ProfileRecord], settings: Settings | None) -> Choice:
    good = [p for p in fitting if p.status == "ok"]
    chosen = [p for p in good if settings is not None and settings_of(p).fits(settings)]
    failed = [p for p in fitting if p.status == "failed"] if not good else []
    return Choice(newest([*chosen, *failed]), bool(good) and not chosen)


def _of_run(by_request: Mapping[tuple[str, Any, int], list[ProfileRecord]], run: RunRecord) -> list[ProfileRecord]:
    """The profiles of a run's model, at its size and classes, on its machine."""
    threads = run.cell.threads if device_kind(run.environment.device) == "cpu" else run.environment.threads
    here = run.environment.model_copy(update={"hardware": one_of(run.cell.hardware), "threads": threads})
    wanted = run.cell.model, run.protocol.get("img_size"), len(run.data.classes)
    return [p for p in by_request.get(wanted, []) if same_machine(here, p.environment)]


def _only(values: Iterable[str]) -> str | None:
    """The one value, several joined by a slash, None for none."""
    return "/".join(dict.fromkeys(values)) or None


def _flat(groups: Iterable[Sequence[ProfileRecord]]) -> list[ProfileRecord]:
    return [profile for group in groups for profile in group]


def timings(profile: ProfileRecord) -> dict[str, Timing]:
    """The timings that a profile has, by name: `inference`, `training`, `latency`."""
    found = {"inference": profile.inference, "training": profile.training, "latency": profile.latency}
    return {name: timing for name, timing in found.items() if timing is not None}
