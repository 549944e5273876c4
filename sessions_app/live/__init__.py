"""The WebSocket by which recordings are sent and watched while they are spoken: `/ws/sessions/{id}/live/`."""
