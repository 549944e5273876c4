from django.urls import path
from rest_framework.routers import SimpleRouter

from sessions_app.preferences.api import PreferencesView
from sessions_app.recordings.api import SessionAudioView, SessionViewSet, UploadView
from sessions_app.recordings.chunks import CacheView, ChunksView, ChunkView, FinishView, TextView
from sessions_app.transcripts.urls import urlpatterns as transcripts
from sessions_app.tus.api import TusUploadsView, TusUploadView
from sessions_app.vocabulary.urls import api_urlpatterns as vocabulary
from sessions_app.voices.urls import api_urlpatterns as voices

router = SimpleRouter()
router.register("sessions", SessionViewSet, basename="session")

urlpatterns = [
    path("uploads/", UploadView.as_view(), name="uploads"),
    path("uploads/tus/", TusUploadsView.as_view(), name="tus-uploads"),
    path("uploads/tus/<str:pk>/", TusUploadView.as_view(), name="tus-upload"),
    path("sessions/<str:pk>/audio/", SessionAudioView.as_view(), name="session-audio"),
    path("sessions/<str:pk>/chunks/", ChunksView.as_view(), name="session-chunks"),
    path("sessions/<str:pk>/chunks/<int:number>/", ChunkView.as_view(), name="session-chunk"),
    path("sessions/<str:pk>/finish/", FinishView.as_view(), name="session-finish"),
    path("sessions/<str:pk>/cache/", CacheView.as_view(), name="session-cache"),
    path("sessions/<str:pk>/text/", TextView.as_view(), name="session-text"),
    path("preferences/", PreferencesView.as_view(), name="preferences"),
    *transcripts,
    *vocabulary,
    *voices,
    *router.urls,
]
