"""Measures what one model costs, inside worker processes of its own: one for speed, a fresh one for memory and MACs."""

from __future__ import annotations

from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import UsageError
from bench.execution.site import failure
from bench.execution.worker import keep_freed_memory, serve, settle_in
from bench.measure.hardware import Hardware
from bench.measure.settings import CostSettings, Metric
from bench.profiles import DeviceRecord, MachineState
from bench.records import Environment, ModelInfo

if TYPE_CHECKING:
    import torch
    from torch import nn

    from bench.measure.operation import Subject
    from bench.measure.speed import Series


ENERGY_S, LEAST_ENERGY_S = 5.0, 0.5
"""Seconds of each window in which energy is counted: a quarter of the time budget, within these limits."""


@dataclass(frozen=True)
class CostRequest:
    """One model to be measured, and how. Plain and picklable."""

    model: str
    """The name asked for."""
    id: str
    """Content hash of the request."""
    img_size: int
    """Side of the input image in pixels."""
    num_classes: int
    """Outputs of the head."""
    settings: CostSettings
    """How it is timed."""
    hardware: Hardware
    """The device as resolved."""
    environment: Environment
    """Goes into the record."""
    weights: str = "scratch"
    """`scratch`, `pretrained`, or `sha256:…` of a checkpoint."""
    checkpoint: Path | None = None
    """File with the initial weights."""
    drop: float = 0.0
    """Dropout rate."""
    drop_path: float = 0.0
    """Stochastic depth rate."""
    seed: int = 0
    """Seed of the initial weights."""
    plugins: tuple[str, ...] = ()
    """Modules to import first; they may register models."""
    other_sizes: bool = False
    """Whether multiply-accumulates are counted at other image sizes too."""


def measure(connection: Connection, request: CostRequest, parent: int) -> None:
    """Serve the speed of one model: ("open",), ("start", metric), ("turn", metric, seconds), ("close",)."""
    settle_in(parent, request.hardware.threads, request.plugins)
    keep_freed_memory()
    meter = Meter(request)
    serve(connection, {"open": meter.open, "start": meter.start, "turn": meter.turn, "close": meter.close})


def size_up(connection: Connection, request: CostRequest, parent: int) -> None:
    """Serve what needs a process that has done nothing else: ("memory",) and then ("count",)."""
    settle_in(parent, request.hardware.threads, request.plugins)
    sizer = Sizer(request)
    serve(connection, {"memory": sizer.memory, "count": sizer.count})


def survey(connection: Connection, hardware: Hardware, environment: Environment, seconds: float, parent: int) -> None:
    """Serve what the device can do at best: ("device",)."""
    from bench.measure.roofline import measure_device

    settle_in(parent, hardware.threads, ())

    def device() -> DeviceRecord:
        return measure_device(hardware, environment, seconds=seconds)

    serve(connection, {"device": device})


@dataclass
class Meter:
    """Times one model, metric by metric, in turns with others."""

    request: CostRequest
    _subject: Subject | None = None
    _series: dict[Metric, Series] = field(default_factory=dict)
    _before: MachineState | None = None

    def open(self) -> ModelInfo:
        """Build the model, look at the machine; what the model is."""
        from bench.measure.state import machine_state

        self._subject, info = _subject(self.request)
        if self.request.settings.compiled:
            self._subject.compile()
        self._before = machine_state(self.request.hardware.device)
        return info

    def start(self, metric: Metric) -> None:
        """Choose the batch of a metric and warm up at it."""
        from bench.measure.speed import start

        assert self._subject is not None
        self._series[metric] = start(self._subject, metric)
        self._make_room()

    def turn(self, metric: Metric, seconds: float) -> bool:
        """Take samples for about `seconds`; whether the metric gets no more: it is good, or the budget is used up."""
        from bench.measure.speed import used_up

        good = self._series[metric].turn(seconds)
        self._make_room()
        return good or used_up(self._series.values())

    def close(self) -> dict[str, Any]:
        """The fields of the profile that come from here."""
        from bench.measure.state import machine_state, switches

        fields: dict[str, Any] = {metric: series.timing() for metric, series in self._series.items()}
        fields |= {f"{m}_curve": series.curve for m, series in self._series.items() if m != "latency"}
        after = machine_state(self.request.hardware.device)
        energy, problem = self._energy()
        problems = [problem] if problem else []
        return {
            **fields, "energy": energy, "before": self._before, "after": after, "switches": switches(),
            "problems": problems,
        }  # fmt: skip

    def _energy(self) -> tuple[Any, str | None]:
        """Energy of batched inference, or why there is none although the device has a counter."""
        from bench.measure.energy import energy_counter, measure_energy

        series, counter = self._series.get("inference"), energy_counter(self.request.hardware.device)
        if series is None or counter is None:
            return None, None
        operation = series.operation
        try:
            return measure_energy(
                lambda: operation.queue(1),
                operation.wait,
                images_per_step=operation.batch_size,
                counter=counter,
                window_s=min(ENERGY_S, max(LEAST_ENERGY_S, self.request.settings.budget_s / 4)),
            ), None
        except Exception as error:
            return None, f"energy: {_one_line(error)}"

    def _make_room(self) -> None:
        """Leave the GPU's memory to the model whose turn it is; a CPU process keeps its pages."""
        if self.request.hardware.device != "cpu":
            import torch

            torch.cuda.empty_cache()


@dataclass
class Sizer:
    """Measures memory first, while the process is fresh, then counts multiply-accumulates."""

    request: CostRequest
    _built: tuple[Subject, ModelInfo] | None = None

    def memory(self) -> Any:
        """Peaks of inference and of a training step at the settings' batch."""
        from bench.measure.memory import measure_memory

        self._built = _subject(self.request)
        return measure_memory(self._built[0], self.request.settings.memory_batch)

    def count(self) -> dict[str, Any]:
        """Everything that is counted rather than timed, and the problems met."""
        import torch

        subject, info = self._built or _subject(self.request)
        model, device = subject.model.eval(), subject.device
        image = torch.zeros(1, 3, self.request.img_size, self.request.img_size, device=device)
        found: dict[str, Any] = {}
        problems: list[str] = []
        for part in (_counted, _checked, self._other_sizes):
            try:
                found |= part(model, image, info)
            except Exception as error:
                problems.append(f"macs: {_one_line(error)}")
        return {**found, "problems": list(dict.fromkeys(problems))}

    def _other_sizes(self, model: nn.Module, image: torch.Tensor, info: ModelInfo) -> dict[str, Any]:
        request = self.request
        if not request.other_sizes:
            return {}
        from bench.measure.sizes import macs_by_size
        from bench.models.build import build

        def at(img_size: int) -> nn.Module:
            return build(request.model, num_classes=request.num_classes, img_size=img_size, known=info)[0]

        return {"macs_by_size": macs_by_size(at)}


def _counted(model: nn.Module, image: torch.Tensor, info: ModelInfo) -> dict[str, Any]:
    from bench.measure.macs import count_macs

    counted = count_macs(model, image)
    return {
        "output_shape": counted.output_shape,
        "macs": counted.macs,
        "macs_by_operator": counted.by_operator,
        "macs_by_kind": counted.by_kind,
        "layers": counted.layers,
        "norm_ops": counted.norm_ops,
        "elementwise_ops": counted.elementwise_ops,
        "uncounted": counted.uncounted,
        "activations": counted.activations,
        "activations_read": counted.activations_read,
    }


def _checked(model: nn.Module, image: torch.Tensor, info: ModelInfo) -> dict[str, Any]:
    from bench.measure.macs import flop_counter_macs

    return {"flop_counter_macs": flop_counter_macs(model, image)}


def _subject(request: CostRequest) -> tuple[Subject, ModelInfo]:
    """The model as requested, on its device. Raises UsageError for a checkpoint that does not fit."""
    import torch

    from bench.measure.operation import Subject
    from bench.models.build import build
    from bench.protocol import Protocol
    from bench.training.recipe import make_optimizer

    model, info = build(
        request.model,
        num_classes=request.num_classes,
        img_size=request.img_size,
        drop=request.drop,
        drop_path=request.drop_path,
        pretrained=request.weights == "pretrained",
        checkpoint=request.checkpoint,
        seed=request.seed,
    )
    subject = Subject(
        model,
        img_size=request.img_size,
        settings=request.settings,
        device=torch.device(request.hardware.device),
        make_optimizer=lambda model: make_optimizer(model, Protocol().weight_decay),
    )
    return subject, info


def _one_line(error: BaseException) -> str:
    if isinstance(error, UsageError):
        return str(error)
    return failure(error).line
