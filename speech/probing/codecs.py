"""The decoders of ffmpeg that may read what people upload.

Each decoder is C code that gets hostile bytes. No decoder for pictures is among them, and none for the sounds
of games.
"""

from __future__ import annotations

DECODERS = frozenset(
    """
    aac aac_latm ac3 alac als amrnb amrwb ape aptx aptx_hd atrac1 atrac3 atrac3al atrac3plus atrac3plusal
    atrac9 comfortnoise cook dca dolby_e dss_sp dst dvaudio eac3 evrc flac g722 g723_1 g726 g726le g728 g729
    gsm gsm_ms iac ilbc imc libopencore_amrnb libopencore_amrwb libopus mace3 mace6 metasound mlp mp1 mp1float
    mp2 mp2float mp3 mp3adu mp3adufloat mp3float mp3on4 mp3on4float mpc7 mpc8 msnsiren nellymoser opus osq
    qcelp qdm2 qdmc ralf real_144 real_288 s302m sbc shorten sipr siren speex tak truehd truespeech tta twinvq
    vorbis wavpack wmalossless wmapro wmav1 wmav2 wmavoice
    dsd_lsbf dsd_lsbf_planar dsd_msbf dsd_msbf_planar
    adpcm_adx adpcm_ima_apc adpcm_ima_oki adpcm_ima_qt adpcm_ima_wav adpcm_ms adpcm_sanyo
    adpcm_sbpro_2 adpcm_sbpro_3 adpcm_sbpro_4 adpcm_swf adpcm_yamaha
    pcm_alaw pcm_bluray pcm_dvd pcm_f16le pcm_f24le pcm_f32be pcm_f32le pcm_f64be pcm_f64le pcm_mulaw
    pcm_s16be pcm_s16be_planar pcm_s16le pcm_s16le_planar pcm_s24be pcm_s24daud pcm_s24le pcm_s24le_planar
    pcm_s32be pcm_s32le pcm_s32le_planar pcm_s64be pcm_s64le pcm_s8 pcm_s8_planar pcm_u16be pcm_u16le
    pcm_u24be pcm_u24le pcm_u32be pcm_u32le pcm_u8 pcm_vidc
    8svx_exp 8svx_fib sdx2_dpcm
    """.split()  # noqa: SIM905  a list would be 150 lines long
)
"""Their names; all of them decode sound.

Beside the codecs of the containers that are allowed stand their relatives.
"""
