"""Sound of any layout in another one, with the standard's gains and no peak beyond full scale.

FFmpeg mixes with the gains of ITU-R BS.775 (centre and surrounds 3 dB down, no bass channel). For whole
numbers it then turns all down so that nothing is cut off; for floats it does not, and 5.1 becomes stereo of
2.41 times full scale. Here floats are turned down as much. `cluster/evertalk_batch/mix_down.py` is a link to
this file, which imports nothing of the pack.
"""

from fractions import Fraction

from av import AudioFrame
from av.error import BlockingIOError as NothingYet
from av.error import EOFError as NothingLeft
from av.filter import Graph

FULL_SCALE_GAINS = "rematrix_maxval=1"
"""The gains of one channel add up to 1 at most."""


class MixDown:
    """Gives decoded frames as float32, one plane a channel; takes the place of av.AudioResampler.

    A track whose rate, layout or format changes on its way goes on as it began.

    Args:
        layout: FFmpeg's name of the layout that is wanted.
        rate_hz: the sample rate that is wanted.
    """

    def __init__(self, layout: str, rate_hz: int) -> None:
        self._layout = layout
        self._rate_hz = rate_hz
        self._graph: Graph | None = None
        self._comes_as: tuple[int, str, str] | None = None

    def resample(self, frame: AudioFrame | None) -> list[AudioFrame]:
        """The frame as wanted; None: what is still held. At its own rate a frame comes back at once."""
        made: list[AudioFrame] = []
        comes_as = None if frame is None else (frame.sample_rate, frame.format.name, frame.layout.name)
        if self._graph is not None and comes_as != self._comes_as:
            self._graph.push(None)
            made += _pulled(self._graph)
            self._graph = None
        if frame is None:
            return made
        if self._graph is None:
            self._graph, self._comes_as = self._graph_for(frame), comes_as
        self._graph.push(frame)
        return made + _pulled(self._graph)

    def _graph_for(self, frame: AudioFrame) -> Graph:
        graph = Graph()
        source = graph.add_abuffer(
            sample_rate=frame.sample_rate,
            format=frame.format.name,
            layout=frame.layout.name,
            time_base=Fraction(1, frame.sample_rate),
        )
        mixer = graph.add("aresample", f"{self._rate_hz}:ochl={self._layout}:osf=fltp:{FULL_SCALE_GAINS}")
        sink = graph.add("abuffersink")
        source.link_to(mixer)
        mixer.link_to(sink)
        graph.configure()
        return graph


def _pulled(graph: Graph) -> list[AudioFrame]:
    made: list[AudioFrame] = []
    while True:
        try:
            frame = graph.pull()
        except (NothingYet, NothingLeft):
            return made
        assert isinstance(frame, AudioFrame), "the graph is one of sound"
        made.append(frame)
