"""Relative errors of predictions: half precision beside float32, attention backends beside sdpa.

    python bench/numerics.py                 on the first CUDA device
    python bench/numerics.py --device cpu
    python bench/numerics.py --models real_width     two blocks as wide as the real ones; 5 GB of RAM

Two kinds of models: the golden ones, whose weights and inputs come with the tests, and a random one of few
blocks with heads of 128, the only size that all backends take; a row of JSON each. An error is
|got - expected| / |expected| over the prediction; the float32 runs are made with sdpa on the CPU. Needs
nothing but torch and the pack's folder.
"""

import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
import pack_alias
from rows import digits, emit, emit_setting, parser_of

pack_alias.name_pack()
sys.path.insert(0, str(pack_alias.ROOT / "tests" / "support"))
from evertalk_pack.attention import sdpa  # noqa: E402 - only importable now
from evertalk_pack.attention.protocol import Attention  # noqa: E402
from evertalk_pack.attention.registry import BACKENDS, Resolver  # noqa: E402
from evertalk_pack.attention.self_test import relative_error  # noqa: E402
from evertalk_pack.multitalk.model.audio_model import AudioModel, TalkHooks  # noqa: E402
from evertalk_pack.multitalk.model.checkpoint import TalkConfig  # noqa: E402
from evertalk_pack.multitalk.model.routing import SpeakerRouter  # noqa: E402
from evertalk_pack.multitalk.speakers.masks import token_masks  # noqa: E402
from evertalk_pack.wanvideo.forward import WanInputs, wan_forward  # noqa: E402
from evertalk_pack.wanvideo.protocols import WanTree  # noqa: E402
from evertalk_pack.wanvideo.rope import grid_rotation  # noqa: E402
from parity_case import PUBLIC_CASES, load_case  # noqa: E402
from parity_kinds import kind_of  # noqa: E402
from parity_runners.model import inputs_of, load_models  # noqa: E402
from plain_wan import PlainConfig, PlainWan  # noqa: E402

CPU = torch.device("cpu")
GOLDEN = ("model_single", "model_dual")
HALF = (torch.bfloat16, torch.float16)
GRID = (5, 12, 16)
LONG_GRID = (21, 30, 52)
"""Of a window of 832x480 and 81 frames: backends are right or wrong by the number of keys."""
RANDOM = PlainConfig(
    dim=512, num_heads=4, ffn_dim=1024, num_layers=4, text_dim=64, freq_dim=256, in_dim=36, out_dim=16
)
REAL_WIDTH = replace(RANDOM, dim=5120, num_heads=40, ffn_dim=13824, num_layers=2)
"""As wide as the real base, whose sums over channels are ten times longer; two of its blocks."""


@dataclass(frozen=True)
class Example:
    """A model and what it is given: one prediction.

    Attributes:
        name: in the report.
        tree: the video transformer.
        talk: its audio weights.
        inputs: of one evaluation.
        audio_SFKLC: features of the voices.
        masks_MP: of several voices, else None.
    """

    name: str
    tree: PlainWan
    talk: AudioModel
    inputs: WanInputs
    audio_SFKLC: torch.Tensor
    masks_MP: torch.Tensor | None

    def predict(self, device: torch.device, dtype: torch.dtype, attention: Attention) -> torch.Tensor:
        """The prediction with weights and inputs of this type, as float32 on the CPU."""
        tree, talk = self.tree.to(device, dtype), self.talk.to(device, dtype)
        # As in the host, which casts the weights of these two to the float32 that they are given.
        tree.patch_embedding.float()
        talk.audio_proj.norm.float()
        given = self.inputs
        rotation = replace(given.rotation, turn_BLHP2=given.rotation.turn_BLHP2.to(device))
        moved = WanInputs(
            given.x_BCTHW.to(device, dtype),
            given.timestep_B.to(device),
            given.text_BMC.to(device, dtype),
            None if given.clip_BMC is None else given.clip_BMC.to(device, dtype),
            rotation,
        )
        tokens_BTNC = talk.audio_tokens(self.audio_SFKLC[None].to(device, dtype))
        route = None
        if self.masks_MP is not None:
            route = SpeakerRouter(self.masks_MP.to(device, dtype), tokens_BTNC.shape[2], attention)
        hooks = TalkHooks(talk, tokens_BTNC, tree.num_heads, attention, route)
        return wan_forward(cast(WanTree, tree), moved, attention, hooks).float().cpu()


def golden(name: str) -> Callable[[], Example]:
    """A golden case, read anew each time: a model in half precision has forgotten its float32 weights."""

    def read() -> Example:
        case = load_case(PUBLIC_CASES / name, kind_of)
        tree, talk = load_models(case)
        audio_SFKLC = case.inputs["in_audio"]
        masks_MP = token_masks(case.inputs["in_ref_target_masks"]) if len(audio_SFKLC) > 1 else None
        return Example(name, tree, talk, inputs_of(case, tree), audio_SFKLC, masks_MP)

    return read


def random_model(
    config: PlainConfig = RANDOM, name: str = "random_heads_of_128", grid: tuple[int, int, int] = GRID
) -> Example:
    """Random blocks with heads of 128, two voices."""
    torch.manual_seed(0)
    tree = PlainWan(config).eval()
    talk = AudioModel(TalkConfig(config.dim, config.num_layers, 12 * 768, 512, 32, 768)).eval()
    for parameter in (*tree.parameters(), *talk.parameters()):
        if parameter.ndim > 1:
            parameter.data.normal_(0, parameter[0].numel() ** -0.5)
    frames, rows, columns = grid
    halves_MP = torch.zeros(3, rows, columns)
    halves_MP[0, :, : columns // 2], halves_MP[1, :, columns // 2 :] = 1, 1
    inputs = WanInputs(
        torch.randn(1, 36, frames, 2 * rows, 2 * columns),
        torch.tensor([700.0]),
        torch.randn(1, 64, config.text_dim),
        torch.randn(1, 257, 1280),
        grid_rotation(grid, config.dim // config.num_heads, CPU),
    )
    audio_SFKLC = torch.randn(2, 4 * (frames - 1) + 1, 5, 12, 768)
    return Example(name, tree, talk, inputs, audio_SFKLC, halves_MP.flatten(1))


def precision_rows(make: Callable[[], Example], device: torch.device) -> Iterator[dict[str, object]]:
    """The error of each half precision, with sdpa."""
    exact = make().predict(CPU, torch.float32, sdpa.attend)
    for dtype in (torch.float32, *HALF):
        example = make()
        error = relative_error(example.predict(device, dtype, sdpa.attend), exact)
        yield {"model": example.name, "precision": str(dtype), "relative_error": digits(error)}


def backend_rows(
    device: torch.device, dtype: torch.dtype, grid: tuple[int, int, int]
) -> Iterator[dict[str, object]]:
    """The error of each backend beside sdpa of the same precision, or why it cannot run.

    As a run takes it: one that is right in self-attention alone has an exact one beside it.
    """
    resolver = Resolver()
    head_dim, tokens = RANDOM.dim // RANDOM.num_heads, math.prod(grid)
    expected = random_model(grid=grid).predict(device, dtype, sdpa.attend)
    for backend in BACKENDS:
        row: dict[str, object] = {"backend": backend.name, "exact": backend.exact, "tokens": tokens}
        choice = resolver.resolve(backend.name, device, dtype, head_dim, tokens=tokens)
        if choice.ran == backend.name:
            got = random_model(grid=grid).predict(device, dtype, choice.attention)
            row["elsewhere"] = choice.elsewhere
            row["relative_error"] = digits(relative_error(got, expected))
        else:
            row["why_not"] = choice.notes[0]
        yield row


def main() -> None:
    """Measure and print."""
    makers = {name: golden(name) for name in GOLDEN} | {"random": random_model}
    usual = list(makers)
    makers["real_width"] = lambda: random_model(REAL_WIDTH, "random_of_real_width")
    parser = parser_of(__doc__)
    parser.add_argument("--models", nargs="+", choices=makers, default=usual)
    arguments = parser.parse_args()
    device: torch.device = arguments.device
    emit_setting("numerics", arguments, device)
    for name in arguments.models:
        for row in precision_rows(makers[name], device):
            emit({"what": "precision against float32", **row})
    for grid in (GRID, LONG_GRID) if device.type == "cuda" else (GRID,):
        for row in backend_rows(device, torch.bfloat16, grid):
            emit({"what": "backend against sdpa in bf16", **row})


if __name__ == "__main__":
    with torch.inference_mode():
        main()
