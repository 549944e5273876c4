"""MP3 and AAC without a container: frames one after another. The header of each frame tells its length."""

from __future__ import annotations

_MP3_KBITS = {
    3: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),  # MPEG-1
    2: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),  # MPEG-2
    0: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),  # MPEG-2.5
}
_MP3_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_MP3_LAYER = 1
_ADTS_LAYER = 0
# Random bytes look like a first frame with a chance of one in 2,000, and like each further one with a far
# smaller chance.
_FRAMES = 4

LONGEST_LOOK = 4 * 2048
"""In bytes. At the usual rates, `_FRAMES` frames end within this length."""


def begins_with_frames(head: bytes) -> bool:
    """Whether a file begins with MP3 or AAC frames of one kind, each at the end of the one before.

    `head` is the first `LONGEST_LOOK` bytes of the file, or all of it. The headers are those of ISO 11172-3
    and 13818-3 (layer 3 with a stated bit rate) and the ADTS headers of 14496-3.
    """
    at = 0
    kind = None
    for _ in range(_FRAMES):
        header = head[at : at + 7]
        length, this = _frame(header)
        if not length or kind not in (None, this):
            return False
        kind = this
        at += length
    return at <= len(head)


def _frame(header: bytes) -> tuple[int, tuple[int, ...]]:
    """Return the length of a frame in bytes, and what all frames of a stream have in common. 0 means no
    frame.
    """
    if len(header) < 7 or header[0] != 0xFF or header[1] < 0xE0:
        return 0, ()
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    if layer == _ADTS_LAYER and version & 2:
        length = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
        return length if length > 7 else 0, (header[1], header[2])
    rate, kbits = header[2] >> 2 & 3, header[2] >> 4
    if layer != _MP3_LAYER or version not in _MP3_KBITS or rate == 3 or kbits in (0, 15):
        return 0, ()
    samples_per_bit = 144_000 if version == 3 else 72_000
    padding = header[2] >> 1 & 1
    length = samples_per_bit * _MP3_KBITS[version][kbits - 1] // _MP3_RATES[version][rate] + padding
    return length, (header[1], rate)
