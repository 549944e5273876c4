"""The models that can be had by a short name, with what is known of each before it is here.

A sum is in this table only if two public repositories have the same one. Those of tiny.en and base are
named in docs/decisions/0004-models-from-pip-packages.md. Each of these has all files of the models with an x,
at the revision of this table:

| | small | medium | distil-large-v3 | large-v3-turbo | large-v3 |
|---|---|---|---|---|---|
| suyzhi/SubtitleFactory (backend/app/services/model_catalog.py) | x | x | x | x | x |
| rekreatedigital/rekounts (rekounts/models.py) | x | x | | | |
| KristjanHS/transcribe-offline (app/transcribe_offline/models.py) | | | x | | |
| calebn/sharecut-studio (WHISPER_PINS in src/podcast_mcp) | | | | x | x |
| scottconverse/civiccast-native (civiccast/native/caption_tiers.py) | | x | | | x |

distil-large-v3.5 has no sums: one repository alone was found that has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

MB = 1_000_000
NEEDED = ("config.json", "model.bin", "tokenizer.json")
"""A model without one of these cannot be used; without its tokenizer, it would be looked for on a hub."""
VOCABULARIES = ("vocabulary.json", "vocabulary.txt")
"""A model has one of them."""
WANTED = (*NEEDED, *VOCABULARIES, "preprocessor_config.json")
"""All the files of a model that are used."""

_TOKENIZER = "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab"
_VOCABULARY = "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913"
_TOKENIZER_EN = "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df"
_VOCABULARY_EN = "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf"
_TOKENIZER_V3 = "6d8cbd7cd0d8d5815e478dac67b85a26bbe77c1f5e0c6d76d1ce2abc0e5f21ca"
_V3 = {
    "vocabulary.json": "c69260f2ab26d659b7c398f9a2b2b48ed0df16c3b47d7326782fd9cba71690c1",
    "preprocessor_config.json": "7ccc62c6f2765af1f3b46c00c9b5894426835a05021c8b9c01eecb6dfb542711",
}

BASE_SHA256 = {
    "model.bin": "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
    "config.json": "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
    "tokenizer.json": _TOKENIZER,
    "vocabulary.txt": _VOCABULARY,
}
TINY_EN_SHA256 = {
    "model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    "config.json": "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
    "tokenizer.json": _TOKENIZER_EN,
    "vocabulary.txt": _VOCABULARY_EN,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownModel:
    """A model that can be had by its name.

    `size` is that of model.bin, in bytes. `memory_mb` is what a worker took with it at the most, with 8-bit
    weights on the CPU; None: not measured. `sums` has the SHA-256 of its files, for `revision`.
    """

    name: str
    repository: str
    revision: str
    size: int
    english_only: bool = False
    translates: bool = True
    packaged: bool = False
    memory_mb: int | None = None
    licence: str = "MIT"
    sums: Mapping[str, str] = field(default_factory=dict)


_ALL = (
    KnownModel(
        name="tiny.en",
        repository="Systran/faster-whisper-tiny.en",
        revision="0d3d19a32d3338f10357c0889762bd8d64bbdeba",
        size=75_537_502,
        english_only=True,
        translates=False,
        packaged=True,
        memory_mb=450,
        sums=TINY_EN_SHA256,
    ),
    KnownModel(
        name="base",
        repository="Systran/faster-whisper-base",
        revision="ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66",
        size=145_217_532,
        packaged=True,
        memory_mb=550,
        sums=BASE_SHA256,
    ),
    KnownModel(
        name="small",
        repository="Systran/faster-whisper-small",
        revision="536b0662742c02347bc0e980a01041f333bce120",
        size=483_546_902,
        sums={
            "model.bin": "3e305921506d8872816023e4c273e75d2419fb89b24da97b4fe7bce14170d671",
            "config.json": "b55496ac7940a7ae47d2c01eab40edfd8701feec1229d9cce3b40014383fb828",
            "tokenizer.json": _TOKENIZER,
            "vocabulary.txt": _VOCABULARY,
        },
    ),
    KnownModel(
        name="medium",
        repository="Systran/faster-whisper-medium",
        revision="08e178d48790749d25932bbc082711ddcfdfbc4f",
        size=1_527_906_378,
        sums={
            "model.bin": "9b45e1009dcc4ab601eff815b61d80e60ce3fd8c74c1a14f4a282258286b51ae",
            "config.json": "3622a2ddc41ec0e0fd4e68c13c6830f03b90c38d89aaad184de02c8c642cf807",
            "tokenizer.json": _TOKENIZER,
            "vocabulary.txt": _VOCABULARY,
        },
    ),
    KnownModel(
        name="distil-large-v3",
        repository="Systran/faster-distil-whisper-large-v3",
        revision="c3058b475261292e64a0412df1d2681c06260fab",
        size=1_512_927_867,
        english_only=True,
        translates=False,
        sums={
            "model.bin": "b79368e19b6623813609431a6e5ee309a71506701ebc49fd7820e692dec7c5f5",
            "config.json": "90c55f775cc4e0bb17293d0bf12f96557a486f20dea886fabd8e6075a3588b21",
            "tokenizer.json": _TOKENIZER_V3,
            **_V3,
        },
    ),
    KnownModel(
        name="distil-large-v3.5",
        repository="distil-whisper/distil-large-v3.5-ct2",
        revision="9793ccc07920e0f830e1dba0343efcdf0ef8c903",
        size=1_512_927_867,
        english_only=True,
        translates=False,
    ),
    KnownModel(
        name="large-v3-turbo",
        repository="mobiuslabsgmbh/faster-whisper-large-v3-turbo",
        revision="0a363e9161cbc7ed1431c9597a8ceaf0c4f78fcf",
        size=1_617_884_929,
        translates=False,
        sums={
            "model.bin": "e76620f83d5f5b69efd3d87e3dc180c1bd21df9fbebacfd4335e5e1efcc018da",
            "config.json": "b0253ea6c0d3bea6b1e19e91a02acfd3b53f4467362efcb5a3e6b16c9b3a9b7e",
            "tokenizer.json": "297b13372ac43916285644fb9687add3cc62ee2a1adb60da3dc25cc94c1871fd",
            **_V3,
        },
    ),
    KnownModel(
        name="large-v3",
        repository="Systran/faster-whisper-large-v3",
        revision="edaa852ec7e145841d8ffdb056a99866b5f0a478",
        size=3_087_284_237,
        sums={
            "model.bin": "69f74147e3334731bc3a76048724833325d2ec74642fb52620eda87352e3d4f1",
            "config.json": "a9306624f5ec14270a014b647e5c316b6e03a662c369758d1b90697a7b0655b9",
            "tokenizer.json": _TOKENIZER_V3,
            **_V3,
        },
    ),
)

KNOWN: Mapping[str, KnownModel] = MappingProxyType({model.name: model for model in _ALL})
"""By name, those that hear worst and are fastest first."""


def of_repository(repository: str) -> KnownModel | None:
    """Return the model of the catalogue that comes from this repository."""
    return next((model for model in _ALL if model.repository == repository), None)
