"""Prompts with one or two things wrong, made from what the server says of its nodes.

Each can be made again from its seed and number. All are small: 32 x 32 pixels, 0.4 s of speech, four steps.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeAlias

from hostile_values import VALUES, Described, choices_of, inputs_of, is_socket, must_be_refused

Graph: TypeAlias = dict[str, dict[str, Any]]

OURS = "EverTalk"
SHOWN, SOUND, CLIP, PICTURE = "shown", "hostile.wav", "clip.mp4", "portrait.jpg"
SIDE_PX = 32

HOST_NODES: Graph = {
    "picture": {"class_type": "LoadImage", "inputs": {"image": PICTURE}},
    "clip": {"class_type": "LoadVideo", "inputs": {"file": CLIP}},
    "vae": {"class_type": "VAELoader", "inputs": {"vae_name": "evertalk_tiny_wan_vae.safetensors"}},
}
GIVERS: dict[str, tuple[str, int]] = {
    "MODEL": ("EverTalkModelLoader", 0),
    "CONDITIONING": ("EverTalkTextEmbeds", 0),
    "VAE": ("vae", 0),
    "AUDIO": ("EverTalkLoadSpeech", 0),
    "IMAGE": ("picture", 0),
    "MASK": ("picture", 1),
    "VIDEO": ("clip", 0),
    "LATENT": ("EverTalkSampler", 0),
    "EVERTALK_SPEECH_ENCODER": ("EverTalkAudioEncoderLoader", 0),
    "EVERTALK_SPEAKERS": ("EverTalkSpeakers", 0),
    "EVERTALK_AUDIO_EMBEDS": ("EverTalkAudioEmbeds", 0),
    "EVERTALK_GUIDANCE": ("EverTalkGuidance", 0),
    "EVERTALK_SCHEDULE": ("EverTalkSchedule", 0),
    "EVERTALK_LOOK": ("EverTalkLook", 0),
    "EVERTALK_SOURCE": ("EverTalkVideoSource", 0),
}
"""Which node, by its id in the whole graph, gives what; our nodes' ids are their classes."""

LINKED: dict[str, tuple[str, ...]] = {
    "EverTalkSampler": ("start_image", "guidance", "schedule", "look"),
    "EverTalkAudioEmbeds": ("audio",),
    "EverTalkSpeakers": ("audio_a", "audio_b", "start_image"),
    "EverTalkSchedule": ("pictures",),
    "EverTalkTextEmbeds": (),
}
"""Optional sockets that are linked."""

CHOSEN: dict[str, dict[str, Any]] = {
    "EverTalkModelLoader": {
        "base_model": "evertalk_tiny_wan_i2v.safetensors",
        "talk_model": "evertalk_tiny_infinitetalk.safetensors",
    },
    "EverTalkApply": {"talk_model": "evertalk_tiny_infinitetalk.safetensors"},
    "EverTalkParallel": {"gpus": "1"},
    "EverTalkAudioEncoderLoader": {"encoder": "evertalk_tiny_wav2vec2.safetensors"},
    "EverTalkTextEmbeds": {"file": "evertalk_tiny_prompt.safetensors"},
    "EverTalkSaveTextEmbeds": {"save_as": "hostile"},
    "EverTalkLoadSpeech": {"audio": SOUND},
    "EverTalkSchedule": {"picture_times": "0s: 1"},
    "EverTalkSampler": {
        "size": "custom",
        "width": SIDE_PX,
        "height": SIDE_PX,
        "window_frames": 9,
        "motion_frames": 5,
        "scheduler": "multitalk",
        "text_scale": 1.0,
        "audio_scale": 1.0,
        "filename_prefix": "EverTalk/hostile",
    },
}
"""Widgets that are not left at their defaults."""


@dataclass
class Case:
    """One prompt.

    Attributes:
        name: seed and number, and what was changed.
        node: whose inputs were changed.
        prompt: in the API's format.
        pnginfo: what the editor would send to be written into files.
        must_fail: something in it that no host and no node can make sense of, or "".
    """

    name: str
    node: str
    prompt: Graph
    pnginfo: Any = field(default_factory=dict[str, Any])
    must_fail: str = ""


class Prompts:
    """Makes prompts for the nodes that a server has."""

    def __init__(self, object_info: Described, seed: int) -> None:
        self._info, self._seed = object_info, seed
        self._ours = sorted(name for name in object_info if name.startswith(OURS))
        self._whole: Graph = {**deepcopy(HOST_NODES), **{name: self._node(name) for name in self._ours}}
        self.places = [(node, name) for node in self._ours for name in inputs_of(object_info[node])]
        Random(seed).shuffle(self.places)

    def _node(self, kind: str) -> dict[str, Any]:
        """A node with its widgets set and its sockets linked."""
        inputs: dict[str, Any] = {}
        for name, (takes, options, is_required) in inputs_of(self._info[kind]).items():
            if is_socket(takes):
                if is_required or name in LINKED.get(kind, ()):
                    inputs[name] = list(GIVERS[takes])
            else:
                choices = choices_of(takes, options)
                inputs[name] = options.get("default", choices[0] if choices else "")
        return {"class_type": kind, "inputs": inputs | CHOSEN.get(kind, {})}

    def good(self, kind: str) -> Graph:
        """A node, all that it needs, and one that shows what it gives if it is no end itself."""
        wanted, graph = [kind], dict[str, dict[str, Any]]()
        while wanted:
            name = wanted.pop()
            if name not in graph:
                graph[name] = deepcopy(self._whole[name])
                links = graph[name]["inputs"].values()
                wanted += [link[0] for link in links if isinstance(link, list)]
        if not self._info[kind]["output_node"]:
            graph[SHOWN] = {"class_type": "PreviewAny", "inputs": {"source": [kind, 0]}}
        return graph

    def case(self, number: int) -> Case:
        """The prompt of a number; every input has had its turn after so many as there are inputs."""
        draw = Random(f"{self._seed}:{number}")
        kind, name = self.places[number % len(self.places)]
        case = Case(f"{self._seed}:{number}", kind, self.good(kind))
        self._change(case, kind, name, draw)
        if draw.random() < 0.15:
            self._change(case, kind, draw.choice([one for node, one in self.places if node == kind]), draw)
        return case

    def _change(self, case: Case, kind: str, name: str, draw: Random) -> None:
        changes: list[Callable[[Case, str, str, Random], str]] = [self._value] * 6
        changes += [self._link] * 3 + [self._without, self._extra, self._metadata]
        case.name += f" {draw.choice(changes)(case, kind, name, draw)}"

    def _value(self, case: Case, kind: str, name: str, draw: Random) -> str:
        takes, options, _ = inputs_of(self._info[kind])[name]
        value = deepcopy(draw.choice(VALUES))
        case.prompt[kind]["inputs"][name] = value
        wrong = must_be_refused(value, takes, options)
        told = f"{kind}.{name} = {ascii(value)[:80]}"
        case.must_fail = told if wrong else case.must_fail if name not in case.must_fail else ""
        return told

    def _link(self, case: Case, kind: str, name: str, draw: Random) -> str:
        takes, _, _ = inputs_of(self._info[kind])[name]
        case.prompt |= {node: deepcopy(self._whole[node]) for node in ("picture", "EverTalkLook")}
        link: list[Any] = draw.choice(
            [["missing", 0], [kind, 0], ["picture", 99], ["picture", "0"], ["picture", 0.5], [None, 0],
             ["EverTalkLook", 0], ["EverTalkLook", 10**30], ["picture", None], [0, 0], [True, True]]
        )  # fmt: skip
        case.prompt[kind]["inputs"][name] = link
        fits = link == ["EverTalkLook", 0] and takes == "EVERTALK_LOOK"
        told = f"{kind}.{name} = {link}"
        case.must_fail = "" if fits else told
        return told

    def _without(self, case: Case, kind: str, name: str, draw: Random) -> str:
        del draw
        case.prompt[kind]["inputs"].pop(name, None)
        told = f"without {kind}.{name}"
        is_needed = inputs_of(self._info[kind])[name][2]
        case.must_fail = told if is_needed else "" if f"{kind}.{name} " in case.must_fail else case.must_fail
        return told

    def _extra(self, case: Case, kind: str, name: str, draw: Random) -> str:
        extra = draw.choice(["audio_e", f"{name}.1", "\ud800", "", "self", "cls", "x" * 5_000, "__class__"])
        case.prompt[kind]["inputs"][extra] = deepcopy(draw.choice(VALUES))
        return f"{kind} with one more: {ascii(extra)[:40]}"

    def _metadata(self, case: Case, kind: str, name: str, draw: Random) -> str:
        del name, kind
        value = deepcopy(draw.choice(VALUES))
        case.pnginfo = draw.choice([value, {"workflow": value}, {"\ud800": value}])
        return f"extra_pnginfo = {ascii(case.pnginfo)[:80]}"
