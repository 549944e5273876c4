"""The pages of jobs and their work in the Django admin."""

from jobs_app.admin import jobs, providers, sound, work

__all__ = ["jobs", "providers", "sound", "work"]
