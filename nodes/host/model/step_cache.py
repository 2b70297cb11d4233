"""The step cache of a talking MODEL: put on it by a node, told of by the sampler."""

from dataclasses import replace

from comfy.model_patcher import ModelPatcher

from ....wanvideo.step_cache import StepCache, StepCacheSettings
from .patcher import KEY, attachment_of


def with_step_cache(model: ModelPatcher, settings: StepCacheSettings | None) -> ModelPatcher:
    """A clone of a talking MODEL whose steps are left out as the settings say; None computes them all.

    Raises:
        InputError: the model has no audio weights.
    """
    attachment = replace(attachment_of(model), step_cache=settings)
    patched = model.clone()
    patched.set_attachments(KEY, attachment)
    return patched


def step_cache_notes(settings: StepCacheSettings | None, steps: int) -> tuple[str, ...]:
    """What a run of so many steps has to tell of its step cache before it begins."""
    if settings is None:
        return ()
    if all(settings.always_computes(step, steps) for step in range(steps)):
        return (
            f"step cache: it does nothing in {steps} steps, since the first {settings.first_steps} and the "
            f"last {settings.last_steps} are always computed. Take more steps, or lower first_steps",
        )
    return (f"step cache: TeaCache, threshold {settings.threshold:g}; its pictures differ from full ones",)


def window_note(cache: StepCache) -> str:
    """What the step cache saved in a window."""
    return f"step cache: {cache.left_out} of {cache.computed + cache.left_out} evaluations left out"
