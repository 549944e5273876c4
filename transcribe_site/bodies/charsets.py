"""Allow only some charsets for bodies.

Django decodes forms with any codec of Python that the header names, and the API decodes its JSON in the same
way. Some codecs take time that grows with the square of the size, some return no text, and some raise
unexpected exceptions.
"""

from __future__ import annotations

import re

from django.utils.http import parse_header_parameters

from transcribe_site.bodies.refusals import UnsupportedCharset

ALLOWED = {"", "utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "iso8859-1", "latin-1", "latin1"}

# With RFC 2231, a parameter can name the codec in which it is written itself.
_ENCODED_PARAMETER = re.compile(r";[^=]*\*")


def check_charset(content_type: str) -> None:
    """Check the charset in a Content-Type.

    Raises:
        UnsupportedCharset: Python would decode such a body with a codec that is not allowed here.
    """
    if _ENCODED_PARAMETER.search(content_type):
        raise UnsupportedCharset
    try:
        _, parameters = parse_header_parameters(content_type)
    except ValueError:
        raise UnsupportedCharset from None
    if str(parameters.get("charset", "")).strip("\"' ").lower() not in ALLOWED:
        raise UnsupportedCharset
