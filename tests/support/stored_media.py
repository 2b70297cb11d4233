"""Pictures and videos that hold workflows, made as ComfyUI and VideoHelperSuite make them."""

import io
import json
from collections.abc import Mapping
from typing import Any

import av
from PIL import Image
from PIL.PngImagePlugin import PngInfo

Held = Mapping[str, Any]
"""What is stored, by name."""

SIDE_PX = 16


def png(held: Held, *, packed: bool = False, ascii_only: bool = True) -> bytes:
    texts, file = PngInfo(), io.BytesIO()
    for name, value in held.items():
        text = json.dumps(value, ensure_ascii=ascii_only)
        if ascii_only:
            texts.add_text(name, text, zip=packed)
        else:
            texts.add_itxt(name, text, zip=packed)
    Image.new("RGB", (SIDE_PX, SIDE_PX)).save(file, "PNG", pnginfo=texts)
    return file.getvalue()


def webp(held: Held) -> bytes:
    file, picture = io.BytesIO(), Image.new("RGB", (SIDE_PX, SIDE_PX))
    exif = picture.getexif()
    for tag, (name, value) in zip((0x0110, 0x010F), held.items(), strict=False):
        exif[tag] = f"{name}:{json.dumps(value)}"
    picture.save(file, "WEBP", exif=exif)
    return file.getvalue()


def video(texts: Mapping[str, str], container: str = "mp4") -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=container, options={"movflags": "use_metadata_tags"}) as output:
        output.metadata.update(texts)
        stream = output.add_stream("mpeg4", rate=25)
        stream.width = stream.height = SIDE_PX  # pyright: ignore[reportAttributeAccessIssue]
        frame = av.VideoFrame(SIDE_PX, SIDE_PX, "yuv420p")
        for packet in (*stream.encode(frame), *stream.encode()):  # pyright: ignore
            output.mux(packet)
    return file.getvalue()


def mp4(held: Held) -> bytes:
    return video({name: json.dumps(value) for name, value in held.items()})


def mkv(held: Held) -> bytes:
    return video({name: json.dumps(value) for name, value in held.items()}, "matroska")


def mp4_with_a_comment(held: Held) -> bytes:
    """As older versions of VideoHelperSuite did: all in one text, what was queued as a text in it."""
    return video({"comment": json.dumps({**held, "prompt": json.dumps(held["prompt"])})})


def packed_png(held: Held) -> bytes:
    return png(held, packed=True)


def unicode_png(held: Held) -> bytes:
    return png(held, ascii_only=False)


def packed_unicode_png(held: Held) -> bytes:
    return png(held, ascii_only=False, packed=True)
