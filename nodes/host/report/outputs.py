"""Which of a node's outputs the running prompt uses, so that costly ones are made only on demand."""

from comfy_execution.graph import DynamicPrompt
from comfy_execution.graph_utils import is_link
from comfy_execution.progress import get_progress_state
from comfy_execution.utils import get_executing_context


def output_is_taken(prompt: DynamicPrompt, node_id: str, slot: int) -> bool:
    """Whether any node of the prompt takes this output.

    A node that another one expanded into counts as used: its output may be handed on as the result of the
    expansion, which no input names.
    """
    if prompt.get_parent_node_id(node_id) is not None:
        return True
    return any(
        is_link(value) and value[0] == node_id and value[1] == slot
        for consumer_id in prompt.all_node_ids()
        for value in prompt.get_node(consumer_id)["inputs"].values()
    )


def new_nan() -> float:
    """A fingerprint that equals no other: the node runs. math.nan is one object, which is found again."""
    return float("nan")


def taken_fingerprint(slot: int) -> bool | float:
    """For a node's fingerprint_inputs: whether this output of it is taken in the prompt about to run.

    The host keeps a node's outputs while its inputs and fingerprint stay the same. With this in the
    fingerprint, an output that was left out is made when a later prompt takes it. Outside of a run
    that is unknown: NaN, which equals nothing, so that the node runs.
    """
    context, progress = get_executing_context(), get_progress_state()
    if context is None or context.prompt_id != progress.prompt_id:
        return new_nan()
    return output_is_taken(progress.dynprompt, context.node_id, slot)
