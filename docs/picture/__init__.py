"""The picture of rooms, folders and imports in docs/architecture.svg."""
