from django.urls import path

from jobs_app.api.engines import EnginesView

urlpatterns = [
    path("engines/", EnginesView.as_view(), name="engines"),
]
