"""What the computer does with recordings: jobs, their units of work, and their results."""

from jobs_app.models.jobs import (
    JOB_ACTIVE,
    JOB_ENDED,
    LONGEST_SEARCH,
    JobKind,
    JobStage,
    JobStatus,
    LongOptions,
    TranscriptionJob,
    TranscriptionJobQuerySet,
)
from jobs_app.models.known_voices import KnownVoice, KnownVoiceSample, VoiceSuggestion
from jobs_app.models.live import LIVE_HOST_SILENT_AFTER, LiveHost, LiveText
from jobs_app.models.local_models import LocalModel
from jobs_app.models.loose import LooseFile
from jobs_app.models.options import JobPriority
from jobs_app.models.providers import ProviderState
from jobs_app.models.runners import RUNNER_SILENT_AFTER, Runner, SweepTurn
from jobs_app.models.sound import PlacedChunk, SoundTrack, Waveform
from jobs_app.models.speakers import Speaker, SpeakerTurns, SpeakerVoice, WindowVoices
from jobs_app.models.transcripts import (
    Segment,
    SegmentKind,
    SpeakersState,
    Transcript,
    TranscriptText,
    TranslationState,
)
from jobs_app.models.turns import Turn
from jobs_app.models.vocabulary import Correction, TargetList
from jobs_app.models.work import (
    UNKNOWN_LEFT_MS,
    WORK_OPEN,
    ChunkTranscription,
    JobStep,
    LeasedWork,
    StepKind,
    WorkStatus,
)

__all__ = [
    "JOB_ACTIVE",
    "JOB_ENDED",
    "LIVE_HOST_SILENT_AFTER",
    "LONGEST_SEARCH",
    "RUNNER_SILENT_AFTER",
    "UNKNOWN_LEFT_MS",
    "WORK_OPEN",
    "ChunkTranscription",
    "Correction",
    "JobKind",
    "JobPriority",
    "JobStage",
    "JobStatus",
    "JobStep",
    "KnownVoice",
    "KnownVoiceSample",
    "LeasedWork",
    "LiveHost",
    "LiveText",
    "LocalModel",
    "LongOptions",
    "LooseFile",
    "PlacedChunk",
    "ProviderState",
    "Runner",
    "Segment",
    "SegmentKind",
    "SoundTrack",
    "Speaker",
    "SpeakerTurns",
    "SpeakerVoice",
    "SpeakersState",
    "StepKind",
    "SweepTurn",
    "TargetList",
    "Transcript",
    "TranscriptText",
    "TranscriptionJob",
    "TranscriptionJobQuerySet",
    "TranslationState",
    "Turn",
    "VoiceSuggestion",
    "Waveform",
    "WindowVoices",
    "WorkStatus",
]
