"""How many GPUs can share a model, and the words where they cannot."""

import pytest
from evertalk_pack.multitalk.common.errors import InputError
from evertalk_pack.nodes.host.parallel.group import SAFE
from evertalk_pack.nodes.host.parallel.machine import (
    GIB,
    ON_CPU,
    VISIBLE,
    Machine,
    check_memory,
    count_for,
    environment_of,
    this_machine,
)

pytestmark = pytest.mark.host

HEADS = 40
EIGHT = Machine("nccl", 8, memory_bytes=(80 * GIB,) * 8)
MIXED = Machine("nccl", 3, own=1, memory_bytes=(24 * GIB, 80 * GIB, 12 * GIB))


@pytest.mark.parametrize(("asked", "count"), [("auto", 8), ("2", 2), ("4", 4), ("5", 5), ("8", 8), ("1", 1)])
def test_numbers_that_divide_the_heads_are_taken(asked: str, count: int) -> None:
    assert count_for(asked, HEADS, EIGHT) == count


@pytest.mark.parametrize(("there", "taken"), [(3, 2), (6, 5), (7, 5), (1, 1)])
def test_auto_takes_the_most_that_divide(there: int, taken: int) -> None:
    assert count_for("auto", HEADS, Machine("nccl", there)) == taken


def test_a_number_that_does_not_divide_is_refused_with_those_that_do() -> None:
    words = r"gpus: 3 GPUs cannot share the 40 .* Choose 1 or 2 or 4 or 5 or 8 of this machine's 8"
    with pytest.raises(InputError, match=words):
        count_for("3", HEADS, EIGHT)


def test_more_than_there_are_is_refused() -> None:
    with pytest.raises(InputError, match=r"gpus: 8 were chosen, and this ComfyUI sees 3\. Choose 3 at most"):
        count_for("8", HEADS, MIXED)


def test_a_gpu_without_room_for_the_weights_is_refused_by_its_number() -> None:
    check_memory(2, 20 * GIB, MIXED)  # the server's own and GPU 0
    with pytest.raises(InputError, match=r"GPU 2 has 12\.0 GiB, and each GPU holds all 20\.0 GiB"):
        check_memory(3, 20 * GIB, MIXED)


def test_workers_get_the_gpus_that_the_server_does_not_compute_on() -> None:
    assert MIXED.others(3) == [0, 2]
    assert EIGHT.others(4) == [1, 2, 3]


def test_a_worker_sees_its_gpu_alone_as_the_server_numbers_them() -> None:
    assert environment_of(2, 3, MIXED, {})[VISIBLE] == "2"
    assert environment_of(2, 3, MIXED, {VISIBLE: "4,GPU-5,7"})[VISIBLE] == "7"
    assert environment_of(1, 3, MIXED, {VISIBLE: "4,GPU-5,7", "HOME": "/home"}) == {
        **SAFE,
        "HOME": "/home",
        "PYTHONUNBUFFERED": "1",
        VISIBLE: "GPU-5",
    }


def test_a_worker_talks_to_this_machine_alone_unless_the_person_chose_otherwise() -> None:
    plain, chosen = (environment_of(1, 3, MIXED, given) for given in ({}, {"NCCL_SOCKET_IFNAME": "eth1"}))
    assert (plain["NCCL_SOCKET_IFNAME"], plain["GLOO_SOCKET_IFNAME"]) == ("lo", "lo")
    assert (chosen["NCCL_SOCKET_IFNAME"], chosen["GLOO_SOCKET_IFNAME"]) == ("eth1", "lo")


def test_a_cpu_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ON_CPU, raising=False)
    with pytest.raises(InputError, match=r"gpus: this ComfyUI computes on cpu, .* Set gpus to 1"):
        this_machine()
