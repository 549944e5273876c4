"""Divide lists into pages. The settings are the length of a page and the name of the parameter for it."""

from __future__ import annotations

from rest_framework.pagination import PageNumberPagination


class Pages(PageNumberPagination):
    page_size = 20
    page_size_query_param = "page_size"
    page_size_query_description = "How many results a page has, at most 100."
    max_page_size = 100
    invalid_page_message = "There is no page {page_number}. Begin at page 1 and follow `next`."
