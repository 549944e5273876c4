"""Tell the kind of a file from its first bytes."""

from __future__ import annotations

from enum import Enum

HEAD_BYTES = 512

_SIGNATURES = (
    b"fLaC", b"OggS", b"ID3\x02", b"ID3\x03", b"ID3\x04", b"#!AMR", b"caff", b".snd", b"FLV\x01",
    b"riff\x2e\x91\xcf\x11",  # w64
    b"\x1a\x45\xdf\xa3",  # matroska, webm
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # asf: wma, wmv
    b"\x00\x00\x01\xba",  # mpeg program stream
    b"\x0b\x77",  # ac3, eac3
    b"wvpk", b"TTA1", b"Creative Voice File\x1a", b"\x7f\xfe\x80\x01", b"DTSHDHDR", b".RMF\0\0", b".ra\xfd",
    b"NIST_1A\n",
    b"\x02dss", b"\x03dss", b"DSD \x1c\0\0\0", b"\x64\xa3\x01\0",
    b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01",  # mxf
    b"ea3\x03", b"EA3\x01",  # oma
)  # fmt: skip
# A stored archive or a document may hold an mp3 whose frames a demuxer finds. The file is refused anyway.
_FOREIGN = (
    b"PK\x03\x04", b"PK\x05\x06", b"%PDF", b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"\x1f\x8b",
    b"7z\xbc\xaf\x27\x1c", b"Rar!", b"\x7fELF", b"MZ", b"SQLite format 3",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",  # doc, xls, msi
)  # fmt: skip
# Kinds of file that only the programs of the recorder's maker can read.
_DS2 = "This is a DS2 dictation. Export it as WAV in the Olympus or Philips software, and upload that."
_SONY = "This is a Sony voice memo. Export it as MP3 or WAV in Sony's software, and upload that."
MAKERS = {b"\x03ds2": _DS2, b"\x01ds2": _DS2, b"\x03enc": _DS2, b"MS_VOICE": _SONY}
_MOV_ATOMS = {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"styp", b"moof", b"sidx"}
_STILL_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis"}
_IFF_FORMS = {b"WAVE", b"AVI ", b"AIFF", b"AIFC"}
_CONTROL = frozenset(range(32)) - frozenset(b"\t\n\r\f\x1b") | {127}


class Kind(Enum):
    """What the first bytes of a file show."""

    MEDIA = "a known signature of audio or video"
    FOREIGN = "certainly something else"
    UNKNOWN = "for the demuxers to say"


def kind_of(head: bytes) -> Kind:
    """Return what `head`, the first HEAD_BYTES of a file or all of it, shows. It may not be empty."""
    if head.startswith(_SIGNATURES):
        return Kind.MEDIA
    if head.startswith((b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM")):
        return Kind.MEDIA if head[8:12] in _IFF_FORMS or len(head) < 12 else Kind.FOREIGN
    if head.startswith(_FOREIGN) or head[257:262] == b"ustar" or is_text(head):
        return Kind.FOREIGN
    if head[4:8] in _MOV_ATOMS:
        # HEIC and AVIF images are mov files, too, and open as video without sound.
        return Kind.FOREIGN if head[8:12] in _STILL_BRANDS else Kind.MEDIA
    frame_sync = head[0] == 0xFF and head[1:2] >= b"\xe0"  # mp3, aac; the branch above has caught UTF-16 text
    transport_stream = head[0:189:188] == b"GG" or head[4:197:192] == b"GG"
    return Kind.MEDIA if frame_sync or transport_stream else Kind.UNKNOWN


def is_foreign(head: bytes) -> bool:
    """Whether a file that begins with `head` is certainly a text, picture, archive or program.

    Signatures of two bytes do not count, because one of 30,000 pieces of a stream begins with one of them.
    """
    return is_text(head) or head.startswith(tuple(magic for magic in _FOREIGN if len(magic) > 2))


def is_text(head: bytes) -> bool:
    """Whether it is text in an encoding that has ASCII in it. Compressed sound has many control bytes."""
    return head.startswith((b"\xff\xfe", b"\xfe\xff")) or _CONTROL.isdisjoint(head)
