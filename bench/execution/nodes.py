"""Joining a Ray cluster, and which of its nodes can take part in a study. Ray is imported where it is used."""

from __future__ import annotations

import contextlib
import logging
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import UsageError, first_line
from bench.execution.software import differences, software
from bench.measure.hardware import Hardware

if TYPE_CHECKING:
    from bench.execution.remote import Answer
    from bench.study import Study

log = logging.getLogger("bench")

KNOCK_S, HEALTH_S, ANSWER_S = 5.0, 15.0, 120.0
"""Seconds to wait for a cluster's port, for its word that it is well, and for its nodes to introduce themselves."""


@dataclass(frozen=True)
class Node:
    """A machine of the cluster, as Ray tells of it."""

    id: str
    """Ray's id."""
    name: str
    """What it is called in messages."""
    cpus: float
    """CPUs that it gives to Ray."""
    gpus: float
    """GPUs that it gives to Ray."""


@dataclass(frozen=True)
class Member:
    """A node that takes part in a study."""

    node: Node
    """The machine."""
    hardware: Hardware
    """The device of its cells."""
    cache_dir: Path
    """Where it keeps prepared datasets."""


@contextlib.contextmanager
def joined(address: str | None) -> Iterator[None]:
    """Within, this process belongs to the cluster at `address`, or to a Ray of this machine alone where it is None.

    A connection that the caller has made already is used, and kept. Raises UsageError where there is no such
    cluster, where it is of another version, and where Ray is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise UsageError(
            "--launcher ray needs Ray, which is not installed: pip install 'backbone-bench[ray]'."
        ) from error
    if ray.is_initialized():
        yield
        return
    if address is not None:
        _knock(address)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        quiet["include_dashboard"] = False
    try:
        try:
            ray.init(address=address or "local", **quiet)
        except Exception as error:  # Ray raises RuntimeError, ConnectionError, ValueError and others of its own
            raise UsageError(_why_not(address, error)) from error
        yield
    finally:
        ray.shutdown()


def members_of(study: Study) -> list[Member]:
    """The nodes that can take part, all with one device and one software, and a warning for each that cannot.

    Raises UsageError where none can.
    """
    members, left_out = choose(ask(alive(), study), software(), study)
    for line in left_out:
        log.warning("left out: %s", line)
    if not members:
        raise UsageError(f"no node of the cluster can take part: {'; '.join(left_out) or 'none has a CPU for us'}.")
    return members


def alive() -> list[Node]:
    """The living nodes that give CPUs or GPUs to Ray, by name; two of one name are told apart by their ids."""
    import ray

    found = [entry for entry in ray.nodes() if entry["Alive"]]
    names = Counter(entry["NodeName"] for entry in found)
    nodes = [
        Node(
            entry["NodeID"],
            entry["NodeName"] if names[entry["NodeName"]] == 1 else f"{entry['NodeName']} ({entry['NodeID'][:8]})",
            entry["Resources"].get("CPU", 0.0),
            entry["Resources"].get("GPU", 0.0),
        )
        for entry in found
    ]
    return sorted((node for node in nodes if node.cpus > 0 or node.gpus > 0), key=lambda node: (node.name, node.id))


def only_on(node: Node, **demand: Any) -> dict[str, Any]:
    """Ray's options for what must run on one node."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return {"scheduling_strategy": NodeAffinitySchedulingStrategy(node.id, soft=False), **demand}


def ask(nodes: Sequence[Node], study: Study) -> list[tuple[Node, Answer | str]]:
    """How each node introduces itself, or why it did not."""
    import ray

    from bench.execution.remote import introduce

    asked = {}
    for node in nodes:
        gpus = 0.001 if node.gpus and study.device != "cpu" else 0  # without, Ray hides the GPUs from a task
        options = only_on(node, num_cpus=0, num_gpus=gpus, max_retries=3)
        asked[node] = ray.remote(introduce).options(**options).remote(study)
    ray.wait(list(asked.values()), num_returns=len(asked), timeout=ANSWER_S)
    return [(node, _answer(ref)) for node, ref in asked.items()]


def choose(
    answers: Sequence[tuple[Node, Answer | str]], ours: Mapping[str, str], study: Study
) -> tuple[list[Member], list[str]]:
    """The nodes of the most frequent device among those with our software, and why each of the others is left out.

    With `--device auto` a GPU goes before a CPU, as on a single machine.
    """
    fit: list[Member] = []
    left_out: list[str] = []
    for node, answer in answers:
        why = answer if isinstance(answer, str) else answer.trouble or _unlike(answer, ours)
        if not why and not isinstance(answer, str) and answer.hardware is not None:
            fit.append(Member(node, answer.hardware, answer.cache_dir))
        else:
            left_out.append(f"{node.name}: {why}")
    kinds = Counter(kind_of(member.hardware) for member in fit)
    if kinds:
        kind = max(kinds, key=lambda kind: (kind[0] != "cpu", kinds[kind]))
        left_out += [f"{m.node.name}: {_other(kind_of(m.hardware), kind)}" for m in fit if kind_of(m.hardware) != kind]
        fit = [member for member in fit if kind_of(member.hardware) == kind]
    small = {member: why for member in fit if (why := _too_small(member, study.gpus_per_cell))}
    left_out += [f"{member.node.name}: {why}" for member, why in small.items()]
    return [member for member in fit if member not in small], left_out


def _too_small(member: Member, together: int) -> str:
    """Why a node has no room for a cell that so many GPUs or processes work on together; empty where it has."""
    node, threads = member.node, member.hardware.threads * together
    if member.hardware.device == "cpu" and node.cpus < threads:
        return f"gives Ray {node.cpus:g} CPUs, and a cell computes with {threads} threads"
    if member.hardware.device != "cpu" and node.gpus < together:
        return f"gives Ray {node.gpus:g} GPUs, and a cell is trained by {together}"
    return ""


def kind_of(hardware: Hardware) -> tuple[str, str, int, str]:
    """What of a device must be the same for all cells: its type, name, threads (on a CPU) and precision."""
    device = hardware.device.partition(":")[0]
    return device, hardware.name, hardware.threads if device == "cpu" else 0, hardware.precision


def _other(theirs: tuple[str, str, int, str], ours: tuple[str, str, int, str]) -> str:
    words = ("{}", "{}", "{} threads", "{}")
    pairs = [(word.format(a), word.format(b)) for word, a, b in zip(words, theirs, ours, strict=True) if a != b]
    return "another device: " + ", ".join(f"{a} instead of {b}" for a, b in pairs)


def _unlike(answer: Answer, ours: Mapping[str, str]) -> str:
    found = differences(answer.software, ours)
    return f"has {found}" if found else ""


def _answer(ref: Any) -> Answer | str:
    """An introduction that has arrived, or why there is none."""
    import ray

    try:
        found: Answer = ray.get(ref, timeout=0)
    except ray.exceptions.GetTimeoutError:
        ray.cancel(ref, force=True)
        return f"did not answer within {ANSWER_S:g} s"
    except Exception as error:  # whatever goes wrong over there is a reason to do without it
        return f"cannot run Backbone Bench ({last_line(error)})"
    return found


def last_line(error: BaseException) -> str:
    """What went wrong on a node, in a line: Ray puts the reason below its traceback."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _knock(address: str) -> None:
    """Raise UsageError unless a Ray cluster answers at `address`: Ray itself would wait for minutes."""
    if address.startswith("ray://"):
        raise UsageError(
            f"--ray-address {address}: start the command on a machine of the cluster, with --ray-address auto."
        )
    where: list[str] = []
    if address != "auto":
        host, separator, port = address.rpartition(":")
        if not separator or not port.isdigit():
            raise UsageError(f"--ray-address must be auto or HOST:PORT, not {address!r}.")
        where = ["--address", address]
        try:
            socket.create_connection((host, int(port)), timeout=KNOCK_S).close()
        except (OSError, OverflowError) as error:
            raise UsageError(_why_not(address, error)) from error
    health = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--skip-version-check", *where]
    try:
        done = subprocess.run(health, capture_output=True, text=True, timeout=HEALTH_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise UsageError(_why_not(address, TimeoutError(f"no answer within {HEALTH_S:g} s"))) from error
    if "AuthenticationError" in done.stderr:
        raise UsageError(
            f"--ray-address {address}: the cluster asks for a token: set RAY_AUTH_MODE=token, and see that this "
            "machine has the cluster's token (ray get-auth-token)."
        )
    if done.returncode != 0:
        raise UsageError(_why_not(address, ConnectionError("nothing that answers there is a Ray cluster")))


def _why_not(address: str | None, error: BaseException) -> str:
    """One line for a cluster that cannot be joined."""
    if address is None:
        return f"Ray cannot be started on this machine: {first_line(error)}."
    text = " ".join(str(error).split())
    if "ersion mismatch" in text:
        return f"--ray-address {address}: {text.rstrip('.')}; install the same versions here and there."
    return f"--ray-address {address}: there is no Ray cluster ({text.rstrip('.')}); ray start --head starts one."
