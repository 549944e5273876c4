"""Transcripts as rows, and clients that ask for them."""

from tests.jobs.api.conftest import add_segments, api, client_of, new_job, wakes  # noqa: F401
