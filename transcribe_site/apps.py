from django.contrib.admin.apps import AdminConfig as DjangoAdminConfig


class AdminConfig(DjangoAdminConfig):
    default_site = "transcribe_site.watching.admin.AdminSite"

    def ready(self) -> None:
        super().ready()
        from transcribe_site.watching import prepared  # noqa: F401  registers the system check
