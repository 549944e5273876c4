"""The form in which people give a recording its title."""

from __future__ import annotations

from django import forms

from sessions_app.models import RecordingSession


class TitleForm(forms.ModelForm):
    class Meta:
        model = RecordingSession
        fields = ["title"]
        widgets = {"title": forms.TextInput(attrs={"autocomplete": "off"})}
