from django.urls import path
from rest_framework.routers import SimpleRouter

from sessions_app.transcripts.api import HistoryViewSet, JobViewSet
from sessions_app.transcripts.downloads import view_of
from sessions_app.transcripts.formats import find_formats
from sessions_app.transcripts.speakers import SpeakersView

router = SimpleRouter(use_regex_path=False)
router.register("jobs", JobViewSet, basename="job")
router.register("job-history", HistoryViewSet, basename="job-history")

urlpatterns = [
    *(
        path(
            f"jobs/<uuid:pk>/transcript.{ending}",
            view_of(ending, format).as_view(),
            name=f"transcript-{ending}",
        )
        for ending, format in find_formats().items()
    ),
    path("jobs/<uuid:pk>/speakers/", SpeakersView.as_view(), name="job-speakers"),
    *router.urls,
]
