"""What one model costs on one device, and what the device could do at best: typed, versioned, units in the names.

A `ProfileRecord` is as immutable and self-sufficient as a run's record: raw samples, settings and the state of the
machine stand in it, so that every figure can be judged again later.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bench.models.info import ModelInfo
from bench.records import SCHEMA_VERSION, Environment, Failure
from bench.values import Frozen

Kind = Literal["convolution", "attention", "projection", "mlp", "patch_embedding", "recurrent", "head", "other"]
"""What a multiply-accumulate is spent on. `attention` is the two products QKᵀ and AV, `projection` the matrices
around them."""


class Timing(Frozen):
    """Repeated timings of one operation at one setting."""

    batch_size: int
    """Images per step, as run."""
    repeats: int
    """Timed samples, warm-up not counted."""
    median_ms: float
    """Median milliseconds per step."""
    q25_ms: float
    """Lower quartile of milliseconds per step."""
    q75_ms: float
    """Upper quartile of milliseconds per step."""
    throughput_img_per_s: float
    """`batch_size` divided by the median."""
    low_ms: float | None = None
    """Lower end of the 95 % bootstrap interval of the median."""
    high_ms: float | None = None
    """Upper end of the 95 % bootstrap interval of the median."""
    p90_ms: float | None = None
    """90th percentile; None from fewer than 64 samples."""
    p99_ms: float | None = None
    """99th percentile; None from fewer than 662 samples."""
    requested_batch_size: int | None = None
    """Images per step that were asked for; more than `batch_size` where memory ran out."""
    steps_per_sample: int = 1
    """Steps queued between two synchronisations; a sample is their time divided by their number."""
    precision: str = "fp32"
    """Arithmetic: `fp32` or `bf16` (autocast)."""
    memory_format: str = "channels_last"
    """Layout of images and weights: `channels_last` or `contiguous`."""
    compiled: bool = False
    """Whether torch.compile was on."""
    first_ms: float | None = None
    """The very first step, which allocates, tunes and compiles; in no other figure."""
    warm_up_steps: int | None = None
    """Steps before the first sample."""
    settled: bool | None = None
    """Whether the rolling median had settled when the warm-up ended."""
    seconds: float | None = None
    """Wall time of sweep, warm-up and samples, other models' turns not counted."""
    drift: float | None = None
    """Median of the last third of the samples over that of the first third, minus 1."""
    cv: float | None = None
    """Coefficient of variation: standard deviation over mean."""
    waited: float | None = None
    """Time that the process's threads waited for a processor, over the time of the samples (Linux; CPU only)."""
    samples_ms: list[float] = Field(default_factory=list)
    """Raw samples in the order taken, milliseconds per step."""
    turns: list[int] = Field(default_factory=list)
    """Samples in each turn, where models took turns."""
    invalid: list[str] = Field(default_factory=list)
    """Why the figure must not be relied on; empty where it is valid."""


class CurvePoint(Frozen):
    """One batch size of a sweep."""

    batch_size: int
    """Images per step."""
    median_ms: float | None
    """Median milliseconds per step; None where memory ran out."""
    throughput_img_per_s: float | None
    """`batch_size` divided by the median; None where memory ran out."""


class Memory(Frozen):
    """Memory in a pass of its own, in a process that has done nothing else."""

    batch_size: int
    """Images per step, as run."""
    requested_batch_size: int
    """Images per step that were asked for; more than `batch_size` where memory ran out."""
    method: Literal["resident", "allocated"]
    """`resident`: growth of the process's peak resident size (CPU). `allocated`: torch's allocator (CUDA)."""
    weights_bytes: int
    """Parameters and buffers."""
    inference_peak_bytes: int
    """Peak during inference, weights included."""
    training_peak_bytes: int | None
    """Peak during a training step, weights, gradients and optimiser state included; None where it does not fit."""
    inference_reserved_bytes: int | None = None
    """Reserved by the allocator at that peak (CUDA)."""
    training_reserved_bytes: int | None = None
    """Reserved by the allocator at that peak (CUDA)."""


class Energy(Frozen):
    """Energy of batched inference by the device's own counter; a profile without a counter has none."""

    millijoule_per_image: float
    """Energy above idle for one image."""
    gross_millijoule_per_image: float
    """The same with the idle power left in."""
    idle_watt: float
    """Mean power of the idle device, over a window of its own."""
    busy_watt: float
    """Mean power while the model ran."""
    window_s: float
    """Length of the busy window."""
    images: int
    """Images in the busy window."""
    counter: str
    """What was read, such as `NVML total energy consumption`."""


class MachineState(Frozen):
    """What the machine was doing; every field that the system does not tell is None."""

    affinity: int | None = None
    """Logical processors that the process may use."""
    load: float | None = None
    """Load average over the last minute."""
    governor: str | None = None
    """CPU frequency governor."""
    cpu_mhz: float | None = None
    """Mean current frequency of the processors."""
    cpu_temperature_c: float | None = None
    """Highest reading of the CPU's sensors."""
    cpu_throttled: int | None = None
    """Times that the processors have throttled since the machine started."""
    gpu_mhz: float | None = None
    """Clock of the GPU's multiprocessors."""
    gpu_memory_mhz: float | None = None
    """Clock of the GPU's memory."""
    gpu_temperature_c: float | None = None
    """Temperature of the GPU."""
    gpu_watt: float | None = None
    """Power draw of the GPU."""
    gpu_throttle_reasons: list[str] = Field(default_factory=list)
    """Why the GPU's clocks are held down, as NVML names it; empty where they are not or nobody can tell."""


class Switches(Frozen):
    """Settings of torch that change speed."""

    tf32_matmul: bool
    """TensorFloat-32 allowed in matrix products."""
    tf32_cudnn: bool
    """TensorFloat-32 allowed in convolutions."""
    cudnn_benchmark: bool
    """cuDNN tries algorithms."""
    cudnn_deterministic: bool
    """cuDNN keeps to deterministic algorithms."""
    fused_attention: bool
    """timm builds models with fused attention."""


class LayerCost(Frozen):
    """One module of the model that does matrix products or convolutions itself, not through a child."""

    name: str
    """The module's name in the model."""
    kind: Kind
    """What its multiply-accumulates are spent on."""
    macs: int
    """Canonical multiply-accumulates for one image."""
    activations: int
    """Elements that they write."""
    params: int
    """Parameters of the module itself."""


class SizeCost(Frozen):
    """Multiply-accumulates at another image size."""

    img_size: int
    """Side of the input image in pixels."""
    macs: int
    """Canonical multiply-accumulates for one image."""
    macs_by_kind: dict[str, int]
    """The same by kind."""


class ProfileRecord(Frozen):
    """What one model costs at one image size on one device with one set of settings."""

    schema_version: int = SCHEMA_VERSION
    """Version of this layout."""
    id: str
    """Content hash of the request: model, image size, classes, hardware, threads and settings."""
    status: Literal["ok", "failed"]
    """Whether there is a result."""
    created: str
    """UTC time of writing, ISO 8601."""
    model: str
    """The name asked for."""
    img_size: int
    """Side of the input image in pixels."""
    num_classes: int
    """Outputs of the head."""
    environment: Environment
    """Machine and software."""
    info: ModelInfo | None = None
    """The model as built."""
    output_shape: list[int] = Field(default_factory=list)
    """Shape of the logits of one image."""
    macs: int | None = None
    """Canonical multiply-accumulates for one image: matrix products and convolutions, attention included."""
    macs_by_operator: dict[str, int] = Field(default_factory=dict)
    """Canonical multiply-accumulates by operator name."""
    macs_by_kind: dict[str, int] = Field(default_factory=dict)
    """Canonical multiply-accumulates by what they are spent on."""
    macs_by_size: list[SizeCost] = Field(default_factory=list)
    """Canonical multiply-accumulates at other image sizes, where the model takes them."""
    layers: list[LayerCost] = Field(default_factory=list)
    """Canonical multiply-accumulates by module, in forward order."""
    norm_ops: int | None = None
    """Elements that norms read for one image; not in `macs`."""
    elementwise_ops: int | None = None
    """Elements that elementwise operators, softmax and pooling write for one image; not in `macs`."""
    flop_counter_macs: int | None = None
    """The same as `macs` by torch's FlopCounterMode (half its FLOPs), as a check."""
    uncounted: list[str] = Field(default_factory=list)
    """Operators that are neither counted nor known to be free; not empty means `macs` is incomplete."""
    activations: int | None = None
    """Elements written by matrix products and convolutions for one image."""
    activations_read: int | None = None
    """Elements, weights not counted, that matrix products and convolutions read for one image."""
    latency: Timing | None = None
    """Inference of a single image, synchronised each time."""
    inference: Timing | None = None
    """Inference at the best batch, model only, without the loader."""
    training: Timing | None = None
    """Forward, backward and optimiser step at the best batch, on one resident batch."""
    inference_curve: list[CurvePoint] = Field(default_factory=list)
    """Inference at every batch of the sweep."""
    training_curve: list[CurvePoint] = Field(default_factory=list)
    """Training at every batch of the sweep."""
    memory: Memory | None = None
    """Memory, measured in a process of its own."""
    energy: Energy | None = None
    """Energy of inference; None where the device has no counter."""
    switches: Switches | None = None
    """Settings of torch that change speed."""
    before: MachineState | None = None
    """The machine before timing."""
    after: MachineState | None = None
    """The machine after timing."""
    session: str = ""
    """Shared by profiles whose models took turns; ratios of their timings are free of drift."""
    problems: list[str] = Field(default_factory=list)
    """Parts that could not be measured: `macs: …`, `training: …`."""
    failure: Failure | None = None
    """Why there is no result."""


class Rate(Frozen):
    """A rate that the device reached, with its spread."""

    median_per_s: float
    """Median over the samples."""
    low_per_s: float
    """Lower end of the 95 % bootstrap interval of the median."""
    high_per_s: float
    """Upper end."""


class DeviceRecord(Frozen):
    """What a device can do at best, as measured: the two roofs of a roofline."""

    schema_version: int = SCHEMA_VERSION
    """Version of this layout."""
    id: str
    """Content hash of hardware, device, threads and torch version."""
    created: str
    """UTC time of writing, ISO 8601."""
    environment: Environment
    """Machine and software."""
    copy_bytes_per_s: Rate
    """Bytes read and written by copying an array much larger than the caches."""
    flops_per_s: dict[str, Rate]
    """Floating-point operations (two per multiply-accumulate) per second of large matrix products, by precision."""
    matrix_size: int
    """Side of those square matrices."""
    copy_mib: int
    """Size of the copied array in MiB."""
    invalid: list[str] = Field(default_factory=list)
    """Why a roof must not be relied on, such as other work on the processors; empty where all of them are sound."""
