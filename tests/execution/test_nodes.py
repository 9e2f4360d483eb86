"""Who takes part: nodes with the command's own software and one device; the others are named with the reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.execution.foreman import Post
from bench.execution.nodes import Member, Node, choose, joined
from bench.execution.parcel import unwrap, wrap
from bench.execution.remote import Answer
from bench.execution.software import CODE, differences, software
from bench.measure.hardware import Hardware
from bench.study import Study

OURS = {"Python": "3.11.7", "torch": "2.9.0", CODE: "abc"}
CPU = Hardware("cpu", "Test CPU", 4, "fp32", 1 << 30)
GPU = Hardware("cuda:0", "Test GPU", 4, "bf16", 1 << 30)


def _node(name: str, cpus: float = 8, gpus: float = 0) -> Node:
    return Node(f"id-{name}", name, cpus, gpus)


def _answer(hardware: Hardware | None = CPU, trouble: str = "", **changes: str) -> Answer:
    return Answer({**OURS, **changes}, hardware, Path("cache"), trouble)


def test_nodes_that_are_like_the_command_s_own_machine_take_part() -> None:
    members, left_out = choose([(_node("a"), _answer()), (_node("b"), _answer())], OURS, Study())
    assert [member.node.name for member in members] == ["a", "b"]
    assert left_out == []


def test_a_node_with_another_version_is_left_out_with_what_differs() -> None:
    other = _answer(torch="2.8.0", **{CODE: "def"})
    members, left_out = choose([(_node("a"), _answer()), (_node("b"), other)], OURS, Study())
    assert [member.node.name for member in members] == ["a"]
    assert left_out == [f"b: has torch 2.8.0 instead of 2.9.0, other {CODE}"]


def test_a_node_that_did_not_answer_or_lacks_a_plugin_is_left_out_with_its_reason() -> None:
    answers = [(_node("a"), "did not answer within 1 s"), (_node("b"), _answer(None, "cannot import 'mine'"))]
    members, left_out = choose(answers, OURS, Study())
    assert members == []
    assert left_out == ["a: did not answer within 1 s", "b: cannot import 'mine'"]


def test_the_most_frequent_device_is_chosen_and_a_gpu_goes_before_any_cpu() -> None:
    slow = replace(CPU, name="Slow CPU")
    answers = [(_node("a"), _answer(slow)), (_node("b"), _answer()), (_node("c"), _answer())]
    members, left_out = choose(answers, OURS, Study())
    assert [member.node.name for member in members] == ["b", "c"]
    assert left_out == ["a: another device: Slow CPU instead of Test CPU"]
    members, left_out = choose([*answers, (_node("d", gpus=2), _answer(GPU))], OURS, Study())
    assert [member.node.name for member in members] == ["d"]
    assert len(left_out) == 3


def test_threads_are_part_of_a_cpu_and_must_be_there() -> None:
    members, left_out = choose([(_node("a", cpus=2), _answer())], OURS, Study())
    assert members == []
    assert left_out == ["a: gives Ray 2 CPUs, and a cell computes with 4 threads"]
    two = _answer(replace(CPU, threads=2))
    _, left_out = choose([(_node("a"), _answer()), (_node("b"), _answer()), (_node("c"), two)], OURS, Study())
    assert left_out == ["c: another device: 2 threads instead of 4 threads"]


def test_software_names_all_that_can_change_a_number() -> None:
    assert {"Python", "torch", "timm", "numpy", CODE} <= set(software())
    assert differences(software(), software()) == ""


def test_a_parcel_arrives_whole_and_only_once(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    (there / "a.npy").write_bytes(b"0123456789")
    (there / "empty").write_bytes(b"")
    kept: list[bytes] = []

    def put(part: bytes) -> int:
        kept.append(part)
        return len(kept) - 1

    parcel = wrap("deep/folder", list(there.iterdir()), put, chunk_bytes=4)
    assert kept == [b"0123", b"4567", b"89"]
    unwrap(parcel, tmp_path / "cache", kept.__getitem__)
    assert (tmp_path / "cache/deep/folder/a.npy").read_bytes() == b"0123456789"
    assert (tmp_path / "cache/deep/folder/empty").read_bytes() == b""
    unwrap(parcel, tmp_path / "cache", lambda _: pytest.fail("fetched again"))


def test_a_parcel_that_breaks_off_leaves_nothing_that_looks_whole(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"01234567")
    parcel = wrap("folder", [tmp_path / "a"], bytes, chunk_bytes=4)

    def get(part: bytes) -> bytes:
        if part == b"4567":
            raise OSError("the node has gone")
        return part

    with pytest.raises(UsageError, match="the node has gone"):
        unwrap(parcel, tmp_path / "cache", get)
    assert not (tmp_path / "cache/folder").exists()
    unwrap(parcel, tmp_path / "cache", bytes)
    assert (tmp_path / "cache/folder/a").read_bytes() == b"01234567"


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("127.0.0.1:9", "there is no Ray cluster"),
        ("nowhere.invalid:6379", "there is no Ray cluster"),
        ("6379", "must be auto or HOST:PORT"),
        ("ray://127.0.0.1:10001", "on a machine of the cluster"),
    ],
)
def test_a_cluster_that_is_not_there_is_one_line(address: str, says: str) -> None:
    pytest.importorskip("ray")
    with pytest.raises(UsageError, match=says) as caught, joined(address):
        pass
    assert "\n" not in str(caught.value)


def test_an_address_without_the_launcher_is_one_line() -> None:
    with pytest.raises(UsageError, match="--ray-address needs --launcher ray"):
        Study(ray_address="auto")


def test_a_gpu_of_one_machine_cannot_be_asked_of_a_cluster() -> None:
    with pytest.raises(UsageError, match="say cuda"):
        Study(launcher="ray", device="cuda:1")


def test_a_cell_takes_a_whole_device_unless_several_are_to_share_it() -> None:
    on_cpu = Post(Member(_node("a", cpus=8), CPU, Path()), at_once=1)
    assert (on_cpu.seats, on_cpu.demand(1)) == (1, {"num_cpus": 8})
    shared = Post(Member(_node("a", cpus=8), CPU, Path()), at_once=3)
    assert (shared.seats, shared.demand(3)) == (3, {"num_cpus": 2})
    on_gpu = Post(Member(_node("a", gpus=4), GPU, Path()), at_once=2)
    assert (on_gpu.seats, on_gpu.demand(2), on_gpu.demand(1)["num_gpus"]) == (8, {"num_gpus": 0.5, "num_cpus": 1}, 1)


def test_a_cell_that_several_gpus_work_on_takes_them_all_from_one_node() -> None:
    together = Study(gpus_per_cell=4, launcher="ray")
    answers = [(_node("a", gpus=8), _answer(GPU)), (_node("b", gpus=2), _answer(GPU))]
    members, left_out = choose(answers, OURS, together)
    assert [member.node.name for member in members] == ["a"]
    assert left_out == ["b: gives Ray 2 GPUs, and a cell is trained by 4"]
    post = Post(members[0], 1, ranks=4)
    assert (post.seats, post.demand(1)["num_gpus"]) == (2, 4)
    _, left_out = choose([(_node("c", cpus=8), _answer())], OURS, together)
    assert left_out == ["c: gives Ray 8 CPUs, and a cell computes with 16 threads"]
