"""The fields of forms and of the API in which people ask for a transcript."""
