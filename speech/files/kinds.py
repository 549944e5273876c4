"""How files of each kind begin. Each beginning is long enough that it never occurs by chance."""

from __future__ import annotations

HEAD_BYTES = 64
"""How many bytes of a beginning are examined."""

_W64 = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
_ASF = b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c"
EBML = b"\x1a\x45\xdf\xa3"
_FLAC = b'fLaC\x00\x00\x00"'
FIRST_PAGE = b"OggS\x00\x02"
_OGG_CODECS = (
    b"OpusHead", b"\x01vorbis", b"\x7fFLAC", b"Speex   ", b"\x80theora", b"fishead\0", b"fisbone\0",
    b"\x01video", b"\x01audio", b"BBCD", b"OVP80", b"PCM     ", b"CELT    ", b"\x80kate",
)  # fmt: skip
_VOC = b"Creative Voice File\x1a"
_WAVPACK = b"wvpk"
_NIST = b"NIST_1A\n"
_SIMPLE = {
    _W64: "w64", b"caff\0\1\0\0": "caf", _FLAC: "flac", _ASF: "asf", b"#!AMR\n": "amr", b"#!AMR-WB\n": "amr",
    b".snd": "au", b"ID3": "mp3", b"TTA1": "tta", _VOC: "voc", _NIST: "nistsphere",
    b"\x02dss": "dss", b"\x03dss": "dss",
    b"FLV\x01\1\0\0\0\x09": "flv", b"FLV\x01\4\0\0\0\x09": "flv", b"FLV\x01\5\0\0\0\x09": "flv",
}  # fmt: skip
_BOXES = {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"moof", b"styp"}

# What is searched for, with its offset from the beginning of a file.
_USUAL = {b"WAVE": 8, b"ftyp": 4, FIRST_PAGE: 0, EBML: 0}
_OWN = {"wv": {_WAVPACK: 0}, "aiff": {b"FORM": 0}, "amr": {b"#!AMR": 0}, "avi": {b"AVI LIST": 8}}
_HOLD_FLAC = ("ogg", "matroska", "mp4")
LONGEST_KEY = 32


def kind_of(head: bytes) -> str:
    """Return the kind of file that begins with `head`; '' for an unknown one."""
    if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64"):
        if head[8:12] == b"WAVE":
            return "wav" if is_name(head[12:16]) else ""
        return "avi" if head[8:12] == b"AVI " else ""
    if head[:4] == b"FORM":
        return "aiff" if head[8:12] in (b"AIFF", b"AIFC") else ""
    if head.startswith(EBML):
        return "matroska" if b"webm" in head or b"matroska" in head else ""
    if head.startswith(FIRST_PAGE):
        content = 27 + head[26] if len(head) > 26 else 0
        return "ogg" if head[content:].startswith(_OGG_CODECS) else ""
    for start, kind in _SIMPLE.items():
        if head.startswith(start):
            return kind
    if head.startswith(_WAVPACK):  # each block begins so; only the first one of a file has the number 0
        return "wv" if head[16:20] == bytes(4) and len(head) > 25 and head[25] & 8 else ""
    if head[4:8] in _BOXES:
        return "mp4"
    if head[:1] == b"\xff" and head[1:2] >= b"\xe0":
        return "mp3" if head[1] & 6 else "aac"
    return ""


def keys_to_search(kind: str = "") -> dict[bytes, int]:
    """Return what to search for in a file of this kind, each with its offset from the beginning of a file.

    Most joined files are of one kind, and a search for all kinds would take as long as reading the file.
    """
    own = _OWN.get(kind) or {start: 0 for start, other in _SIMPLE.items() if other == kind}
    # FLAC inside Ogg, Matroska and mp4 begins like a FLAC file.
    return _USUAL | own | ({} if kind in _HOLD_FLAC else {_FLAC: 0})


def is_name(name: bytes) -> bool:
    """Whether the bytes may be the name of a chunk or box."""
    return len(name) == 4 and all(32 <= letter < 127 or letter == 0xA9 for letter in name)
