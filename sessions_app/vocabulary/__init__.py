"""The pages and the API with which people and programs keep corrections and target words."""
