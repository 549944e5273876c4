"""Who uses the service: accounts, their names, tokens and preferences.

This app knows nothing of recordings and jobs.
"""
