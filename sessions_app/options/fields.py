"""Fields of forms for languages, as people write and read them."""

from __future__ import annotations

from django import forms

from jobs_app.engines.language_names import language_name
from jobs_app.models.options import Door, offered_at
from speech.errors import NotSupported, UnknownLanguage
from speech.text.language_tags import read_language

LANGUAGES = next(row for row in offered_at(Door.ACCOUNT_PAGE) if row.name == "languages")


class LanguageChoice(forms.ChoiceField):
    """A choice among the languages of the models here. It accepts other spellings, too: `pt-BR`, `German`."""

    def to_python(self, value: object) -> str:
        wish: str = super().to_python(value)
        try:
            return str(read_language(wish))
        except UnknownLanguage:
            return wish


class LanguagesField(forms.CharField):
    """Languages by their names, with commas between them. It accepts other spellings, too."""

    def prepare_value(self, value: object) -> object:
        codes = str(value or "").split(",")
        return ", ".join(language_name(code.strip()) for code in codes if code.strip())

    def clean(self, value: object) -> str:
        try:
            return str(LANGUAGES.value(super().clean(value)))
        except NotSupported as error:
            raise forms.ValidationError(str(error)) from error

    def has_changed(self, initial: object, data: object) -> bool:
        return bool(data)
