"""A process that times steps of one checkout's models when it is asked to; reads JSON lines, answers in JSON lines.

It is started by path, from the newer checkout, whatever checkout it times: nothing outside the standard library is
imported before the first request has said where to look. Only `bench.models.build.build` is asked of that checkout;
one that lacks it is asked through timm.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from typing import IO, Any

WARM_UP_STEPS, WARM_UP_S = 5, 0.5
"""Steps and seconds before anything is timed, both at least, unless a step is longer than the seconds."""


class Worker:
    """The state between requests: the device, and the step that is timed."""

    def __init__(self) -> None:
        self.device = "cpu"
        self.step: Callable[[], None] = lambda: None
        self.waited_s = run_queue_clock()
        self.operations: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "start": self.start,
            "prepare": self.prepare,
            "block": self.block,
        }

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """What one request gives; an exception becomes one line under `error`."""
        try:
            return self.operations[request["op"]](request)
        except Exception as error:
            first = (str(error).strip().splitlines() or [""])[0]
            return {"error": f"{type(error).__name__}: {first}"[:300]}

    def start(self, request: dict[str, Any]) -> dict[str, Any]:
        """Take `path` (folders searched for modules), `plugins`, `device`, `threads`; tell where modules came from."""
        sys.path[:] = [*request["path"], *(p for p in sys.path if p not in request["path"])]
        import torch

        torch.set_num_threads(int(request["threads"]))
        self.device = request["device"]
        files = {name: _file_of(importlib.import_module(name)) for name in request["plugins"]}
        try:
            files["bench"] = _file_of(importlib.import_module("bench.models.build"))
        except ImportError:
            files["bench"] = ""
        return {"files": files, "torch": torch.__version__}

    def prepare(self, request: dict[str, Any]) -> dict[str, Any]:
        """Build `model` for `img_size` and `num_classes`, make its step, warm it up; the median step in ms."""
        import torch

        self.step = lambda: None  # lets go of the model before, so that the two are never in memory together
        torch.manual_seed(0)
        model = _build(request["model"], request["num_classes"], request["img_size"])
        model = model.to(self.device).to(memory_format=torch.channels_last)
        shape = (request["batch_size"], 3, request["img_size"], request["img_size"])
        images = torch.randn(shape, device=self.device).contiguous(memory_format=torch.channels_last)
        labels = torch.arange(request["batch_size"], device=self.device) % request["num_classes"]
        make = _training_step if request["training"] else _inference_step
        self.step = make(model, images, labels, bool(request["bf16"]))
        taken: list[float] = []
        begin = time.perf_counter()
        while (
            not taken
            or (len(taken) < WARM_UP_STEPS and time.perf_counter() - begin < 20 * WARM_UP_S)
            or (time.perf_counter() - begin < WARM_UP_S)
        ):
            taken.append(self._timed())
        return {"ms": sorted(taken)[len(taken) // 2]}

    def block(self, request: dict[str, Any]) -> dict[str, Any]:
        """Milliseconds of each of `steps` steps, each waited for; on core `cpu` if one is named."""
        if request.get("cpu") is not None:
            os.sched_setaffinity(0, {int(request["cpu"])})
        return {"ms": [self._timed() for _ in range(int(request["steps"]))]}

    def _timed(self) -> float:
        """Milliseconds of one step; on a CPU without the time in which others had the processor."""
        waited, start = self.waited_s(), time.perf_counter()
        self.step()
        if self.device != "cpu":
            import torch

            torch.cuda.synchronize(self.device)
            return 1e3 * (time.perf_counter() - start)
        elapsed = time.perf_counter() - start
        return 1e3 * (elapsed - (self.waited_s() - waited))


def run_queue_clock() -> Callable[[], float]:
    """A clock of the seconds that this thread was ready to run while the processor was with others.

    Linux counts them in `/proc/thread-self/schedstat`. Taken off a step's wall time they leave what the step itself
    took, sleeping and waiting for disks included, however busy the machine is. Elsewhere the clock stands at 0.
    """
    try:
        handle = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
        int(os.pread(handle, 100, 0).split()[1])
    except (OSError, ValueError, IndexError):
        return lambda: 0.0
    return lambda: int(os.pread(handle, 100, 0).split()[1]) * 1e-9


def main() -> None:
    """Answer requests until standard input ends. What models print goes to standard error."""
    answers: IO[str] = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    worker = Worker()
    for line in sys.stdin:
        answers.write(json.dumps(worker.answer(json.loads(line))) + "\n")
        answers.flush()


def _build(name: str, num_classes: int, img_size: int) -> Any:
    """The model by the checkout's own registry, or by timm where the checkout has none."""
    try:
        build = importlib.import_module("bench.models.build").build
    except ImportError:
        import timm

        return timm.create_model(name, num_classes=num_classes)
    return build(name, num_classes=num_classes, img_size=img_size)[0]


def _inference_step(model: Any, images: Any, labels: Any, bf16: bool) -> Callable[[], None]:
    """A forward pass in float32 and eval mode, as every evaluation is."""
    import torch

    model.eval()

    def step() -> None:
        with torch.inference_mode():
            model(images)

    return step


def _training_step(model: Any, images: Any, labels: Any, bf16: bool) -> Callable[[], None]:
    """Forward, backward and a fused AdamW step."""
    import torch

    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
    autocast = torch.autocast(images.device.type, torch.bfloat16, enabled=bf16)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with autocast:
            logits = model(images)
        torch.nn.functional.cross_entropy(logits.float(), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def _file_of(module: Any) -> str:
    """Where a module's code lies."""
    return str(os.path.abspath(getattr(module, "__file__", None) or next(iter(module.__path__))))


if __name__ == "__main__":
    main()
