import torch
from evertalk_pack.multitalk.common.mask_places import Box
from evertalk_pack.multitalk.common.types import Speakers, Waveform
from evertalk_pack.multitalk.speakers.mask_preview import COLOURS, GLYPHS, draw_masks, outline
from evertalk_pack.multitalk.speakers.preview import GREY, preview_speakers

SOUND = Waveform(torch.zeros(1, 16000), 16000)
GREEN = torch.tensor([0.0, 1.0, 0.0])


def picture(height: int = 96, width: int = 160) -> torch.Tensor:
    return GREEN.expand(height, width, 3).clone()


def halves(height: int = 96, width: int = 160) -> torch.Tensor:
    masks_SHW = torch.zeros(2, height, width)
    masks_SHW[0, 8:-8, 8 : width // 2 - 8] = 1
    masks_SHW[1, 8:-8, width // 2 + 8 : -8] = 1
    return masks_SHW


def speakers(*places: torch.Tensor | Box, names: tuple[str, ...] = ("A", "B")) -> Speakers:
    return Speakers(names, (SOUND,) * len(names), SOUND, places, ("a note",))


def test_only_what_is_inside_a_mask_is_tinted_and_its_edge_is_the_speakers_colour() -> None:
    before = picture()
    drawn = draw_masks(before, halves(), ("A", "B"))
    outside = halves().amax(dim=0) == 0
    assert torch.equal(drawn[outside], before[outside])
    assert torch.allclose(drawn[8, 40], torch.tensor(COLOURS[0]))
    assert torch.allclose(drawn[8, 120], torch.tensor(COLOURS[1]))
    assert torch.allclose(drawn[10, 12], 0.6 * GREEN + 0.4 * torch.tensor(COLOURS[0]))
    assert torch.equal(before, picture()), "the picture given is not touched"


def test_each_name_is_written_white_on_the_middle_of_its_mask() -> None:
    drawn = draw_masks(picture(), halves(), ("A", "B"))
    white = (drawn == 1).all(dim=2)
    for name, left in (("A", 0), ("B", 80)):
        rows, columns = white[:, left : left + 80].nonzero().unbind(1)
        shape = (int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1)
        letter = white[rows.min() : rows.max() + 1, left + columns.min() : left + columns.max() + 1]
        dots = torch.tensor([[dot == "#" for dot in row] for row in GLYPHS[name]])
        assert shape == (7, 5)
        assert torch.equal(letter, dots)
        assert abs(float(rows.double().mean()) - 48) < 4


def test_outlines_lie_inside_the_mask_and_have_the_width_asked_for() -> None:
    mask_HW = torch.zeros(12, 12)
    mask_HW[2:10, 2:10] = 1
    inside = outline(mask_HW, 2) & (mask_HW > 0)
    assert int(inside.sum()) == 8 * 8 - 4 * 4


def test_a_mask_and_a_name_at_the_pictures_edge_are_drawn() -> None:
    mask_HW = torch.zeros(96, 160)
    mask_HW[0, 0] = 1
    drawn = draw_masks(picture(), mask_HW[None], ("D",))
    assert (drawn[:9, :7] == 1).all(dim=2).sum() == sum(row.count("#") for row in GLYPHS["D"])


def test_a_picture_smaller_than_a_name_is_drawn_on() -> None:
    drawn = draw_masks(picture(4, 5), torch.ones(1, 4, 5), ("A",))
    assert drawn.shape == (4, 5, 3)
    assert not torch.equal(drawn, picture(4, 5))


def test_places_are_drawn_over_the_picture_and_notes_of_both_come_out() -> None:
    boxes = (Box(0, 0, 60, 100, percent=True), Box(40, 0, 60, 100, percent=True))
    drawn, notes = preview_speakers(speakers(*boxes), picture())
    assert drawn.shape == (96, 160, 3)
    assert not torch.equal(drawn, picture())
    assert notes[0] == "a note"
    assert "speakers A and B overlap in 33%" in notes[1]


def test_masks_of_another_size_than_the_picture_are_said_to_be_resized() -> None:
    masks = halves(48, 80)
    _, notes = preview_speakers(speakers(*masks), picture())
    assert notes[1] == "The mask of speaker A is 80x48; it was resized to the picture's 160x96."


def test_without_a_picture_the_places_are_on_grey() -> None:
    drawn, notes = preview_speakers(speakers(*halves()), None)
    assert drawn.shape == (96, 160, 3)
    assert drawn[0, 0].tolist() == [GREY] * 3
    assert notes == ("a note",)
    drawn, _ = preview_speakers(speakers(Box(0, 0, 500, 900), Box(500, 0, 1400, 900)), None)
    assert drawn.shape == (900, 1900, 3)


def test_one_speaker_has_nothing_drawn() -> None:
    drawn, notes = preview_speakers(speakers(names=("A",)), picture())
    assert torch.equal(drawn, picture())
    assert notes == ("a note",)


def test_a_mask_that_the_nearest_trained_size_cuts_off_is_a_note_only() -> None:
    edge = torch.zeros(2, 330, 300)  # 640x640 keeps rows 15 to 315
    edge[0, 0] = 1
    edge[1, 100:] = 1
    _, notes = preview_speakers(speakers(*edge), picture(330, 300))
    assert notes[1].startswith("At 640x640: mask of speaker A: it lies wholly in the margin")
