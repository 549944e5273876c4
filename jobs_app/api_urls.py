from django.urls import path
from rest_framework.routers import SimpleRouter

from jobs_app.api import EnginesView, JobViewSet, TokenView
from jobs_app.history import HistoryViewSet
from jobs_app.transcripts import TranscriptJson, TranscriptSrt, TranscriptTxt, TranscriptVtt

router = SimpleRouter(use_regex_path=False)
router.register("jobs", JobViewSet, basename="job")
router.register("job-history", HistoryViewSet, basename="job-history")

urlpatterns = [
    path("auth/token/", TokenView.as_view(), name="token"),
    path("engines/", EnginesView.as_view(), name="engines"),
    path("jobs/<uuid:pk>/transcript.json", TranscriptJson.as_view(), name="transcript-json"),
    path("jobs/<uuid:pk>/transcript.txt", TranscriptTxt.as_view(), name="transcript-txt"),
    path("jobs/<uuid:pk>/transcript.srt", TranscriptSrt.as_view(), name="transcript-srt"),
    path("jobs/<uuid:pk>/transcript.vtt", TranscriptVtt.as_view(), name="transcript-vtt"),
    *router.urls,
]
