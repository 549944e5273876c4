"""The API under /v1/, which is OpenAI's."""
