from django.contrib import admin
from django.urls import include, path

from transcribe_site.edge.api_docs import DocsView, SchemaView

urlpatterns = [
    path("", include("sessions_app.page_urls")),
    path("api/", include("sessions_app.api_urls")),
    path("api/", include("jobs_app.api.urls")),
    path("", include("people_app.page_urls")),
    path("api/", include("people_app.api_urls")),
    path("v1/", include("sessions_app.openai.urls")),
    path("api/schema/", SchemaView.as_view(), name="schema"),
    path("api/docs/", DocsView.as_view(url_name="schema"), name="api-docs"),
    path("admin/", admin.site.urls),
]

handler400 = "transcribe_site.edge.error_pages.bad_request"
handler403 = "transcribe_site.edge.error_pages.forbidden"
handler404 = "transcribe_site.edge.error_pages.not_found"
handler500 = "transcribe_site.edge.error_pages.server_error"
