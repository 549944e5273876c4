"""The settings, the addresses and the server. This package connects the apps, and knows no product."""
