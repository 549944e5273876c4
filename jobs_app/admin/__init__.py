"""The pages of jobs and their work in the Django admin."""

from jobs_app.admin import jobs, known_voices, local_models, providers, sound, work

__all__ = ["jobs", "known_voices", "local_models", "providers", "sound", "work"]
