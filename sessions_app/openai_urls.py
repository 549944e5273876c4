"""Under /v1/. Without a slash at the end, as OpenAI's clients ask."""

from django.urls import path

from sessions_app import openai_api

urlpatterns = [
    path("audio/transcriptions", openai_api.TranscriptionsView.as_view()),
    path("audio/translations", openai_api.TranslationsView.as_view()),
    path("models", openai_api.ModelsView.as_view()),
    path("models/<path:name>", openai_api.ModelView.as_view()),
]
