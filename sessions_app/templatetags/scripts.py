"""Write the script of a page, with hints for the modules that it imports."""

from __future__ import annotations

import posixpath
import re
from functools import cache
from pathlib import Path

from django import template
from django.contrib.staticfiles import finders
from django.templatetags.static import PrefixNode, static
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

register = template.Library()

_IMPORT = re.compile(r'^import\s[^;]*?"(\.[^"]+)";', re.MULTILINE)


@register.simple_tag
def module(name: str) -> SafeString:
    """Write the script of a page, and a hint for each module that it needs.

    Without hints, a browser learns of a module only when it has read the module that imports it, so on a slow
    line each level of imports is one more wait. Modules import each other by their plain names, so the hints
    have these names, too.
    """
    prefix = PrefixNode.handle_simple("STATIC_URL")
    hints = format_html_join(
        "\n", '<link rel="modulepreload" href="{}{}">', ((prefix, needed) for needed in needed_by(name))
    )
    return format_html('{}\n<script type="module" src="{}"></script>', hints, static(name))


@cache
def needed_by(name: str) -> tuple[str, ...]:
    """Return every module that this one imports, directly or through others. The nearest ones come first."""
    found = [name]
    for one in found:  # the list grows in the loop
        path = finders.find(one)
        if path is None:
            raise FileNotFoundError(one)
        for address in _IMPORT.findall(Path(path).read_text(encoding="utf-8")):
            needed = posixpath.normpath(posixpath.join(posixpath.dirname(one), address))
            if needed not in found:
                found.append(needed)
    return tuple(found[1:])
