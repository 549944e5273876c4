from django.urls import path
from rest_framework.routers import SimpleRouter

from sessions_app.vocabulary import pages
from sessions_app.vocabulary.api import (
    ApplyAgainView,
    CorrectionsCsv,
    CorrectionViewSet,
    TargetListsCsv,
    TargetListViewSet,
)

router = SimpleRouter(use_regex_path=False)
router.register("corrections", CorrectionViewSet, basename="correction")
router.register("target-lists", TargetListViewSet, basename="target-list")

api_urlpatterns = [
    path("corrections.csv", CorrectionsCsv.as_view(), name="corrections-csv"),
    path("target-lists.csv", TargetListsCsv.as_view(), name="target-lists-csv"),
    path("jobs/<uuid:pk>/corrections/", ApplyAgainView.as_view(), name="job-corrections"),
    *router.urls,
]

page_urlpatterns = [
    path("vocabulary/", pages.vocabulary, name="vocabulary"),
    path("vocabulary/try/", pages.try_out, name="vocabulary-try"),
    path("vocabulary/corrections/", pages.add_correction, name="add-correction"),
    path("vocabulary/corrections/import/", pages.import_corrections_file, name="import-corrections"),
    path("vocabulary/corrections/<uuid:pk>/", pages.edit_correction, name="edit-correction"),
    path("vocabulary/corrections/<uuid:pk>/delete/", pages.delete_correction, name="delete-correction"),
    path("vocabulary/lists/new/", pages.edit_list, name="add-target-list"),
    path("vocabulary/lists/import/", pages.import_lists_file, name="import-target-lists"),
    path("vocabulary/lists/<uuid:pk>/", pages.edit_list, name="edit-target-list"),
    path("vocabulary/lists/<uuid:pk>/delete/", pages.delete_list, name="delete-target-list"),
    path("jobs/<uuid:pk>/corrections/", pages.apply_corrections, name="apply-corrections"),
]
