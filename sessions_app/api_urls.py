from django.urls import path
from rest_framework.routers import SimpleRouter

from sessions_app.api import SessionAudioView, SessionViewSet, UploadView

router = SimpleRouter()
router.register("sessions", SessionViewSet, basename="session")

urlpatterns = [
    path("uploads/", UploadView.as_view(), name="uploads"),
    path("sessions/<str:pk>/audio/", SessionAudioView.as_view(), name="session-audio"),
    *router.urls,
]
