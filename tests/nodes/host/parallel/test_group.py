"""Where the ranks find each other."""

import os

import psutil
import pytest
from evertalk_pack.nodes.host.parallel.group import new_store, port_of, store_at

pytestmark = pytest.mark.host

WAIT_S = 60.0


def listening() -> set[str]:
    """The addresses where this process listens, as `host:port`."""
    found = psutil.net_connections("tcp")
    mine = [one for one in found if one.pid == os.getpid() and one.status == psutil.CONN_LISTEN]
    return {f"{one.laddr.ip}:{one.laddr.port}" for one in mine if one.laddr}


def test_ranks_meet_where_no_other_machine_comes_and_nothing_of_it_is_left() -> None:
    before = listening()
    store = new_store(2, WAIT_S)
    assert listening() - before == {f"127.0.0.1:{port_of(store)}"}
    other = store_at(port_of(store), 2, WAIT_S)
    other.set("said", "by another rank")
    assert store.get("said") == b"by another rank"
    del other, store
    assert listening() == before
