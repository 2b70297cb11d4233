"""Golden cases of the timestep schedule."""

from collections.abc import Mapping

import torch
from evertalk_pack.wanvideo.schedule import infinitetalk_timesteps
from parity_case import Case, Runner


def run_timesteps(case: Case) -> Mapping[str, torch.Tensor]:
    """The InfiniteTalk schedule for every number of steps and every shift of the case."""
    return {
        f"out_timesteps_steps{steps}_shift{shift:g}": infinitetalk_timesteps(int(steps), shift)
        for steps in case.inputs["in_steps"].tolist()
        for shift in case.inputs["in_shifts"].tolist()
    }


RUNNERS: dict[str, Runner] = {"timesteps": run_timesteps}
