"""The pages and the API with which people keep the voices that they have saved under names."""
