"""The engine that sends windows to a server with OpenAI's API."""
