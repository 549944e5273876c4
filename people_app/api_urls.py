from django.urls import path
from rest_framework.routers import SimpleRouter

from people_app.token_api import TokenForPasswordView, TokenViewSet

router = SimpleRouter(use_regex_path=False)
router.register("tokens", TokenViewSet, basename="api-token")

urlpatterns = [
    path("auth/token/", TokenForPasswordView.as_view(), name="token"),
    *router.urls,
]
