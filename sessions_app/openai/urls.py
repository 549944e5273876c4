"""The addresses under /v1/. They have no slash at the end, because OpenAI's clients send none."""

from django.urls import path

from sessions_app.openai import api as openai_api

urlpatterns = [
    path("audio/transcriptions", openai_api.TranscriptionsView.as_view()),
    path("audio/translations", openai_api.TranslationsView.as_view()),
    path("models", openai_api.ModelsView.as_view()),
    path("models/<path:name>", openai_api.ModelView.as_view()),
]
