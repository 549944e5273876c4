"""What is known of the languages that a person speaks, before their recording is heard."""

from __future__ import annotations

from django.utils.translation.trans_real import parse_accept_lang_header

from people_app.models import User
from speech.languages.prior import likely_odds, written_odds
from speech.text.language_tags import language_code

LONGEST_HEADER = 1000


def known_languages(user: User, accept_language: str = "") -> dict[str, str]:
    """Return the options that say which languages a person is likely to speak.

    `accept_language` is the header of that name, in which a browser says what its user reads. Programs send
    none.
    """
    accepted = parse_accept_lang_header(accept_language[:LONGEST_HEADER].lower())
    browser = list(dict.fromkeys(filter(None, (language_code(tag) for tag, _ in accepted))))
    odds = likely_odds(account=language_code(user.language), browser=browser)
    return {"likely_languages": written_odds(odds)} if odds else {}
