from django.urls import path
from rest_framework.routers import SimpleRouter

from sessions_app.voices import pages
from sessions_app.voices.api import VoiceViewSet

router = SimpleRouter(use_regex_path=False)
router.register("voices", VoiceViewSet, basename="voice")

api_urlpatterns = router.urls

page_urlpatterns = [
    path("account/voices/<uuid:pk>/rename/", pages.rename, name="rename-voice"),
    path("account/voices/<uuid:pk>/delete/", pages.delete, name="delete-voice"),
]
