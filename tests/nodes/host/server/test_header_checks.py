import asyncio
import threading
import time

import pytest
from evertalk_pack.multitalk.common.errors import ModelFileError
from evertalk_pack.nodes.host.server.header_checks import off_the_loop


def test_the_loop_answers_others_while_a_file_is_looked_at() -> None:
    ticks: list[float] = []

    async def others() -> None:
        while len(ticks) < 5:
            ticks.append(time.monotonic())
            await asyncio.sleep(0.01)

    def slow() -> None:
        started.wait(5)

    started = threading.Event()

    async def both() -> None:
        checking = asyncio.create_task(off_the_loop("talk_model", slow))
        await others()
        assert not checking.done()
        started.set()
        await checking

    asyncio.run(both())
    assert len(ticks) == 5


def test_what_the_check_raises_is_raised() -> None:
    def refuse() -> None:
        raise ModelFileError("talk_model: `a` is damaged.")

    with pytest.raises(ModelFileError, match="`a` is damaged"):
        asyncio.run(off_the_loop("talk_model", refuse))


def test_a_check_that_takes_too_long_is_a_sentence() -> None:
    never = threading.Event()
    with pytest.raises(ModelFileError, match=r"talk_model: .* within 0\.05 s\. Wait until their disk"):
        asyncio.run(off_the_loop("talk_model", lambda: never.wait(2), limit_s=0.05))
