"""The model files that the workflows name: where each lies on Hugging Face, and its folder in models/."""

from dataclasses import dataclass

HUGGING_FACE = "https://huggingface.co"
COMFY = "Comfy-Org/Wan_2.1_ComfyUI_repackaged"
KIJAI = "Kijai/WanVideo_comfy"
MADE_HERE = "evertalk_tiny_"
"""How the demo's own models begin: `make demo` makes them, nobody downloads them."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file that a user downloads, or a whole repository that is one model.

    Attributes:
        folder: the folder in ComfyUI's models/ that it belongs into.
        repository: on Hugging Face, owner and name.
        path: in that repository; empty for all of it, a folder of its name.
    """

    folder: str
    repository: str
    path: str = ""

    @property
    def is_repository(self) -> bool:
        """Whether it is a folder of files, which ComfyUI's dialog does not download."""
        return not self.path

    @property
    def name(self) -> str:
        """The file's name, as a loader shows it."""
        return (self.path or self.repository).rpartition("/")[2]

    @property
    def url(self) -> str:
        """Where the file itself is downloaded from, in the form that ComfyUI's dialog allows; or its page."""
        page = f"{HUGGING_FACE}/{self.repository}"
        return page if self.is_repository else f"{page}/resolve/main/{self.path}"


_FILES = (
    ModelFile(
        "diffusion_models", COMFY, "split_files/diffusion_models/wan2.1_i2v_480p_14B_fp8_scaled.safetensors"
    ),
    ModelFile("diffusion_models", "Soul-AILab/SoulX-FlashTalk-14B"),
    ModelFile("diffusion_models", "Skywork/SkyReels-V3-A2V-19B"),
    ModelFile("model_patches", KIJAI, "InfiniteTalk/Wan2_1-InfiniTetalk-Single_fp16.safetensors"),
    ModelFile("model_patches", KIJAI, "InfiniteTalk/Wan2_1-InfiniteTalk-Multi_fp16.safetensors"),
    ModelFile("model_patches", KIJAI, "WanVideo_2_1_Multitalk_14B_fp8_e4m3fn.safetensors"),
    ModelFile("loras", KIJAI, "Lightx2v/lightx2v_I2V_14B_480p_cfg_step_distill_rank64_bf16.safetensors"),
    ModelFile("vae", COMFY, "split_files/vae/wan_2.1_vae.safetensors"),
    ModelFile("text_encoders", COMFY, "split_files/text_encoders/umt5_xxl_fp8_e4m3fn_scaled.safetensors"),
    ModelFile("clip_vision", COMFY, "split_files/clip_vision/clip_vision_h.safetensors"),
    ModelFile("audio_encoders", "Kijai/wav2vec2_safetensors", "wav2vec2-chinese-base_fp16.safetensors"),
)

MODEL_FILES = {file.name: file for file in _FILES}
"""By name, in the order in which a note lists them."""
