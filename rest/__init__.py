"""The ways in which this server answers over HTTP, whatever the request is about. It knows no models."""
