"""Trains the tiny transformer and its audio branch by flow matching.

    python demo/train/run_talk.py --features features.pt --vae vae.safetensors --prompt ... --out FOLDER

One stretch of a machine's time: encode a pool of clips, train until the deadline, write, examine.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from export import FILES, out_of_fp8
from features import Bank, load_bank
from film import Direction, examine
from latents import Codec, Pool, make_pool
from plain_vae import PlainVae
from safetensors.torch import load_file
from scenes import make_cast
from talk import EMA_DECAY, descend, flow_loss, make_batch, save
from talker import Talker, is_matrix, through_fp8, used_in_training

from evertalk_pack.multitalk.common.mask_places import default_masks  # isort: skip
from evertalk_pack.multitalk.speakers.masks import make_speaker_masks  # isort: skip

WARM_UP_STEPS = 150
SAID_EVERY_S = 25.0


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train the tiny talking transformer.")
    for name in ("features", "vae", "prompt", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--resume", type=Path)
    parser.add_argument(
        "--deadline", type=float, default=440.0, help="seconds from the start to the end of training"
    )
    parser.add_argument("--clips", type=int, default=9000)
    parser.add_argument("--batch", type=int, nargs=2, default=(40, 24))
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--windows", type=int, default=20)
    parser.add_argument("--examined", type=int, nargs=2, default=(16, 12))
    parser.add_argument("--eager", action="store_true", help="no recording of the step, on a GPU")
    return parser.parse_args()


@dataclass(frozen=True, slots=True)
class Stage:
    """What training looks at.

    Attributes:
        codec: the trained VAE.
        bank: features and mouths of the training voices.
        text: the prompt's embedding.
        masks_MP: where two people are.
        single: encoded clips of one person.
        pair: encoded clips of two.
        generator: of all that is drawn.
    """

    codec: Codec
    bank: Bank
    text: torch.Tensor
    masks_MP: torch.Tensor
    single: Pool
    pair: Pool
    generator: torch.Generator


def prepare(chosen: argparse.Namespace, device: torch.device) -> Stage:
    """Load what is given and encode the clips."""
    vae = PlainVae().to(device)
    vae.load_state_dict(load_file(chosen.vae))
    codec = Codec(vae.requires_grad_(requires_grad=False), device)
    bank = load_bank(chosen.features, "train").to(device)
    generator = torch.Generator(device).manual_seed(5)
    cast = make_cast(500, 12000, bank.law_VT2, device)
    alone = range(cast.scenes - cast.pairs)
    small = 16 if device.type == "cuda" else 1
    single = make_pool(codec, cast, alone, round(0.6 * chosen.clips), generator, small, 58)
    pairs = range(alone.stop, cast.scenes)
    pair = make_pool(codec, cast, pairs, round(0.4 * chosen.clips), generator, small, 42)
    return Stage(
        codec=codec,
        bank=bank,
        text=load_file(chosen.prompt)["cross_attn"].float().to(device),
        masks_MP=make_speaker_masks(default_masks(2, 128, 128), 2, 128, 128).token_MK.to(device),
        single=single,
        pair=pair,
        generator=generator,
    )


def make_talker(resume: Path | None, device: torch.device) -> Talker:
    """A new talker, or one with the weights of an earlier stretch, or of demo/models."""
    talker = Talker().to(device)
    if resume is None:
        return talker
    for part, exported in FILES.items():
        own = resume / f"{part}.safetensors"
        weights = out_of_fp8(load_file(own if own.exists() else resume / exported))
        found = getattr(talker, part).load_state_dict(weights, strict=False)
        assert not found.unexpected_keys, f"{resume} holds {found.unexpected_keys[:3]}"
    return talker


class Record:
    """A training step as a recording of the GPU.

    Args:
        step: the step; what it is given lies at the same place in every replay.
        optimiser: of the step; made for recording.
        batches: of the first step, which is taken three times here.
    """

    def __init__(
        self,
        step: Callable[[list[tuple[torch.Tensor, ...]]], tuple[torch.Tensor, ...]],
        optimiser: torch.optim.Optimizer,
        batches: list[tuple[torch.Tensor, ...]],
    ) -> None:
        self.batches = [tuple(part.clone() for part in batch) for batch in batches]
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(3):
                step(self.batches)
        torch.cuda.current_stream().wait_stream(aside)
        optimiser.zero_grad(set_to_none=True)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.parts = step(self.batches)

    def replay(self, batches: list[tuple[torch.Tensor, ...]]) -> tuple[torch.Tensor, ...]:
        """The step with other batches."""
        for places, values in zip(self.batches, batches, strict=True):
            for place, value in zip(places, values, strict=True):
                place.copy_(value)
        self.graph.replay()
        return tuple(part.clone() for part in self.parts)


def talker_device(talker: Talker) -> torch.device:
    """Where its weights are."""
    return next(talker.parameters()).device


class Training:
    """The loop's state: weights, their running mean, the optimiser, and how far it has come.

    Args:
        stage: what it looks at.
        talker: what it trains.
        chosen: the command line.
    """

    def __init__(self, stage: Stage, talker: Talker, chosen: argparse.Namespace) -> None:
        self.stage, self.talker, self.chosen = stage, talker, chosen
        self.named = {name: value for name, value in talker.named_parameters() if used_in_training(name)}
        self.mean = {name: value.detach().clone() for name, value in self.named.items()}
        matrices = [value for value in self.named.values() if value.ndim >= 2]
        others = [value for value in self.named.values() if value.ndim < 2]
        # On a GPU the whole step is recorded once and replayed: its thousands of small kernels would wait for
        # Python, and compiling them takes longer than they are used.
        self.is_recorded = talker_device(talker).type == "cuda" and not chosen.eager
        groups = [{"params": matrices, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
        rate = torch.tensor(chosen.rate, device=talker_device(talker)) if self.is_recorded else chosen.rate
        self.optimiser = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), capturable=self.is_recorded)
        self.record: Record | None = None
        self.losses: list[torch.Tensor] = []

    @property
    def step(self) -> int:
        """Steps done."""
        return len(self.losses)

    def advance(self, done: float) -> None:
        """One step, `done` (0..1) of the way through the time."""
        stage, batch = self.stage, self.chosen.batch
        batches = [
            make_batch(pool, stage.bank, voices, count, stage.generator).tensors()
            for pool, voices, count in ((stage.single, 1, batch[0]), (stage.pair, 2, batch[1]))
        ]
        warm = min(1, (self.step + 1) / WARM_UP_STEPS)
        rate = self.chosen.rate * warm * (1 + torch.tensor(done * torch.pi).cos().item()) / 2
        for group in self.optimiser.param_groups:
            if self.is_recorded:
                group["lr"].fill_(max(rate, 1e-6))
            else:
                group["lr"] = max(rate, 1e-6)
        if not self.is_recorded:
            parts = self.descend(batches)
        else:
            if self.record is None:
                self.record = Record(self.descend, self.optimiser, batches)
            parts = self.record.replay(batches)
        decay = min(EMA_DECAY, self.step / (self.step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.mean.values()), list(self.named.values()), 1 - decay)  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
        self.losses.append(torch.stack([part.detach() for part in parts]))

    def descend(self, batches: list[tuple[torch.Tensor, ...]]) -> tuple[torch.Tensor, ...]:
        """A step down; gives the losses."""
        self.optimiser.zero_grad()
        parts = descend(flow_loss, self.talker, batches, self.stage.text, self.stage.masks_MP)
        torch.nn.utils.clip_grad_norm_(self.named.values(), 1.0)
        self.optimiser.step()
        return parts

    def run(self, begun_s: float) -> None:
        """Train until the deadline; the weights are also written at three fifths of the time."""
        start_s = said_s = 0.0
        done, saved = 0.0, False
        while done < 1:
            self.advance(done)
            if self.step == 2:
                start_s = said_s = time.monotonic()
                print(f"training begins after {start_s - begun_s:.0f} s", flush=True)
            if self.step % 10 or self.step <= 2:
                continue
            self.losses[-1].sum().item()
            now_s = time.monotonic()
            done = (now_s - start_s) / max(1.0, begun_s + self.chosen.deadline - start_s)
            if now_s - said_s > SAID_EVERY_S:
                said_s = now_s
                recent = torch.stack(self.losses[-100:]).mean(dim=0).tolist()
                speed = (self.step - 2) / (now_s - start_s)
                shown = [round(value, 4) for value in recent]
                print(f"  step {self.step}, {speed:.1f}/s, losses {shown}", flush=True)
            if done > 0.6 and not saved:
                saved = True
                save(self.mean, self.chosen.out)

    def take_mean(self) -> None:
        """Put the running mean, as it will be stored, in the weights' place."""
        with torch.no_grad():
            for name, value in self.named.items():
                value.copy_(self.mean[name])
        take_stored_form(self.named)


@torch.no_grad()
def take_stored_form(named: dict[str, torch.nn.Parameter]) -> None:
    """Round weights to what demo/models holds of them."""
    for name, value in named.items():
        if used_in_training(name):
            kept = value.half().float()
            value.copy_(through_fp8(kept) if is_matrix(name, value) else kept)


def main() -> None:
    """Encode a pool of clips, train until the deadline, write, examine."""
    chosen = read_arguments()
    begun_s = time.monotonic()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    torch.set_float32_matmul_precision("high")
    chosen.out.mkdir(parents=True, exist_ok=True)
    stage = prepare(chosen, device)
    clips = len(stage.single) + len(stage.pair)
    print(f"{clips} clips after {time.monotonic() - begun_s:.0f} s", flush=True)
    training = Training(stage, make_talker(chosen.resume, device), chosen)
    training.run(begun_s)
    save(training.mean, chosen.out)
    print(f"{training.step} steps, saved after {time.monotonic() - begun_s:.0f} s", flush=True)
    training.take_mean()
    held = load_bank(chosen.features, "held").to(device)
    strangers = make_cast(880000, 100, held.law_VT2, device)
    frames = examine(
        training.talker,
        stage.codec,
        held,
        strangers,
        Direction(stage.text, stage.masks_MP, chosen.windows),
        tuple(chosen.examined),
    )
    torch.save((frames * 255).byte(), chosen.out / "frames.pt")
    print(f"all done after {time.monotonic() - begun_s:.0f} s", flush=True)


if __name__ == "__main__":
    main()
