"""The pages of jobs and their work in the Django admin."""

from jobs_app.admin import jobs, local_models, providers, sound, work

__all__ = ["jobs", "local_models", "providers", "sound", "work"]
