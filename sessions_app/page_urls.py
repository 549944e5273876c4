from django.urls import path

from sessions_app.pages import home as pages
from sessions_app.pages import job as job_pages
from sessions_app.pages import language as language_pages
from sessions_app.pages import record as record_page
from sessions_app.pages import recording as recording_pages
from sessions_app.pages import refinement as refinement_pages
from sessions_app.pages import speakers as speakers_pages
from sessions_app.preferences.page import account
from sessions_app.vocabulary.urls import page_urlpatterns as vocabulary
from sessions_app.voices.urls import page_urlpatterns as voices

urlpatterns = [
    path("", pages.home, name="home"),
    path("rows/", pages.home_rows, name="home-rows"),
    path("upload/", pages.upload, name="upload"),
    path("record/", record_page.record, name="record"),
    path("record/who/", record_page.who, name="record-who"),
    path("jobs/<uuid:pk>/", job_pages.job, name="job"),
    path("jobs/<uuid:pk>/progress/", job_pages.progress, name="job-progress"),
    path("jobs/<uuid:pk>/cancel/", job_pages.cancel, name="cancel-job"),
    path("jobs/<uuid:pk>/retry/", job_pages.retry, name="retry-job"),
    path("jobs/<uuid:pk>/again/", job_pages.again, name="transcribe-again"),
    path("jobs/<uuid:pk>/language/", language_pages.again_in_language, name="transcribe-in-language"),
    path("jobs/<uuid:pk>/second-hearing/", refinement_pages.second_hearing, name="second-hearing"),
    path("jobs/<uuid:pk>/use/", refinement_pages.use, name="use-job"),
    path("jobs/<uuid:pk>/rename/", job_pages.rename, name="rename-recording"),
    path("jobs/<uuid:pk>/speakers/", speakers_pages.change_on_page, name="change-speakers"),
    path("jobs/<uuid:pk>/delete/", job_pages.delete, name="delete-recording"),
    path("recordings/<uuid:pk>/transcribe/", recording_pages.transcribe, name="transcribe-recording"),
    path("recordings/<uuid:pk>/delete/", recording_pages.delete_untranscribed, name="delete-untranscribed"),
    path("account/", account, name="account"),
    *vocabulary,
    *voices,
]
