"""Jobs in every state, as the tests of the API make them."""

from tests.jobs.api.conftest import add_segments, new_job

__all__ = ["add_segments", "new_job"]
