"""What the inputs of EverTalk Video Source say of themselves."""

REGION = (
    "The part of the clip that may change, as a white mask over its frame: the face. Outside it the clip is "
    "kept. One mask, or one for each frame of the clip, at the clip's own frame rate, if it moves. Any size: "
    "it is stretched over the frame."
)
SCENE_CUTS = (
    "detect: look through the clip for cuts (PySceneDetect); windows begin afresh at each, from the new "
    "scene's own frame. off: the clip is one scene."
)
DENOISE = (
    "1: new frames, from one frame of the clip a window: head and body move freely. Below 1: every frame of "
    "the clip is made over, so that movement and light stay the clip's; try 0.5 to 0.8. With scheduler "
    "multitalk only those of its four timesteps run that are not above the level."
)
WORK_ON = (
    "whole picture: the video has the sampler's size and 25 frames a second. region: the region alone is "
    "made to talk, at the sampler's size, and goes back into the clip's own frames, at their size and frame "
    "rate; what is outside stays the clip's."
)
REGION_BOX = (
    "With work_on region, instead of a mask: the face's box x,y,width,height in percent of the clip's frame, "
    "or in pixels; if it moves, with times in the clip: 0s: 30%,20%,25%,40%; 4s: 50%,20%,25%,40%."
)
CONTEXT = (
    "With work_on region: how much around the region the weights see, on each side, as a part of its longer "
    "side. A face needs its head and shoulders."
)
CUT_THRESHOLD = (
    "How great a change from one frame to the next is a cut (PySceneDetect's content threshold). Lower it if "
    "cuts are missed, raise it if movement counts as one."
)
