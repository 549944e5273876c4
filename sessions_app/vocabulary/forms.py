"""The forms in which people write corrections and target words, import them, and try them out."""

from __future__ import annotations

from django import forms
from django.http import QueryDict

from jobs_app.models.vocabulary import LONGEST_PHRASE, Correction, TargetList
from sessions_app.vocabulary.lists import distinct, single_spaced

LONGEST_TRIAL = 5000
"""People can try out a text of at most this many characters."""


def _seen(form: CorrectionForm | TargetListForm, name: str) -> str:
    if not (text := single_spaced(form.cleaned_data[name])):
        raise forms.ValidationError(form.fields[name].error_messages["required"])
    return text


class CorrectionForm(forms.ModelForm):
    class Meta:
        model = Correction
        fields = ["from_text", "to_text", "whole_word", "match_case"]
        error_messages = {"from_text": {"required": "Give the word or phrase that is to be replaced."}}
        widgets = {
            "from_text": forms.TextInput(attrs={"autocomplete": "off"}),
            "to_text": forms.TextInput(attrs={"autocomplete": "off"}),
        }

    def clean_from_text(self) -> str:
        return _seen(self, "from_text")

    def clean_to_text(self) -> str:
        return single_spaced(self.cleaned_data["to_text"])

    def validate_constraints(self) -> None:
        """Check nothing here. `save_correction` checks whether the text is there already, and compares texts
        as corrections do.
        """


class TargetListForm(forms.ModelForm):
    words = forms.CharField(
        required=False,
        label="Words and phrases",
        help_text="One on each line, as you want to see it with its count.",
        widget=forms.Textarea(attrs={"rows": 12}),
    )

    class Meta:
        model = TargetList
        fields = ["name", "words"]
        error_messages = {"name": {"required": "Give the list a name."}}
        widgets = {"name": forms.TextInput(attrs={"autocomplete": "off"})}

    def __init__(self, data: QueryDict | None = None, *, instance: TargetList) -> None:
        initial = {"words": "\n".join(instance.words)}
        super().__init__(data, instance=instance, initial=initial)

    def clean_name(self) -> str:
        return _seen(self, "name")

    def clean_words(self) -> list[str]:
        words = distinct(self.cleaned_data["words"].splitlines())
        if long := next((word for word in words if len(word) > LONGEST_PHRASE), ""):
            raise forms.ValidationError(
                f"“{long[:40]}…” is longer than {LONGEST_PHRASE} characters. Shorten it."
            )
        return words

    def validate_constraints(self) -> None:
        """Check nothing here, because `save_target_list` checks whether the name is there already."""


class ImportForm(forms.Form):
    file = forms.FileField(
        label="CSV file",
        allow_empty_file=True,
        widget=forms.FileInput(attrs={"accept": ".csv,text/csv,text/plain"}),
        error_messages={"required": "Choose a file."},
    )
    mode = forms.ChoiceField(
        label="What becomes of those you have",
        choices=[("add", "They stay, unless the file has the same"), ("replace", "They are all deleted")],
    )


class TryForm(forms.Form):
    text = forms.CharField(
        max_length=LONGEST_TRIAL,
        label="A text, as an engine could have written it",
        widget=forms.Textarea(attrs={"rows": 3}),
        error_messages={"required": "Write something that is to be corrected."},
    )
