"""The driver and Ray with workers that only sleep: results, throughput, memory. The work is simulated."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from batch_setup import ROOT, batch_environment

LOG = logging.getLogger("evertalk")
SCRIPT = Path(__file__).resolve().parent.parent / "support" / "simulated_batch.py"

pytestmark = pytest.mark.timeout(3600)
soak = pytest.mark.skipif(
    not os.environ.get("EVERTALK_BATCH_SOAK"), reason="set EVERTALK_BATCH_SOAK=1 (minutes)"
)


def simulated(**options: float) -> dict[str, Any]:
    arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    environment = batch_environment()
    environment["PYTHONPATH"] += f":{ROOT / 'tests' / 'support'}"
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    LOG.info("%s: %s", options, measured)
    return measured


def test_every_job_has_one_result_though_workers_die() -> None:
    measured = simulated(workers=2, jobs=40, seconds=0.02, deaths=2)
    assert measured["done"] == measured["results"] == measured["different"] == 40
    assert len([text for text in measured["told"] if "was lost with job-" in text]) == 2


@soak
@pytest.mark.parametrize("workers", [1, 2, 4, 8, 16])
def test_throughput_grows_with_the_workers(workers: int) -> None:
    seconds, rounds = 10.0, 4
    measured = simulated(workers=workers, jobs=workers * rounds, seconds=seconds)
    per_server = workers * rounds * seconds / measured["seconds"]
    LOG.info("%d workers do the work of %.2f", workers, per_server)
    assert per_server >= 0.9 * workers


@soak
def test_memory_of_the_driver_is_flat_at_100_000_jobs() -> None:
    measured = simulated(workers=4, jobs=100_000, seconds=0.0)
    assert measured["done"] == measured["different"] == 100_000
    rss_mb = [measured["rss_mb"][str(step)] for step in range(0, 100_001, 10_000)]
    assert max(rss_mb[1:]) - rss_mb[1] < 10, rss_mb
