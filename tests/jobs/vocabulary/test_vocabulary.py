"""A person's corrections and target words."""

from __future__ import annotations

import pytest

from jobs_app.models.stored_words import encode_words
from jobs_app.models.vocabulary import Correction, TargetList
from jobs_app.vocabulary.vocabulary import correction_columns, vocabulary_of
from speech.types import SpeechSegment, Word

pytestmark = pytest.mark.django_db


def correct(owner, from_text: str, to_text: str) -> Correction:
    return Correction.objects.create(owner=owner, from_text=from_text, to_text=to_text)


def count(owner, *words: str, name: str = "Words") -> TargetList:
    return TargetList.objects.create(owner=owner, name=name, words=list(words))


def test_the_lists_of_one_person_are_loaded_in_two_queries(alice, bob, django_assert_num_queries):
    correct(alice, "open ai", "OpenAI")
    correct(bob, "radio", "wireless")
    count(alice, "Radio", "OpenAI", name="A")
    count(alice, "OpenAI", "tea", name="B")
    count(bob, "Bob's", name="A")
    with django_assert_num_queries(2):
        mine = vocabulary_of(alice.pk)
    assert mine.targets == ("Radio", "OpenAI", "tea")
    assert mine.correct(SpeechSegment(0, 1, "An open AI radio")).text == "An OpenAI radio"
    assert mine.count("An OpenAI radio") == {"Radio": 1, "OpenAI": 1, "tea": 0}


def test_without_target_words_every_word_is_counted(alice):
    count(alice, name="Empty")
    assert vocabulary_of(alice.pk).count("Tea or tea") == {"tea": 2, "or": 1}


def test_a_correction_is_stored_only_where_it_changes_something(alice):
    correct(alice, "open ai", "OpenAI")
    said = SpeechSegment(0, 300, "Open AI", 0.5, (Word(0, 100, "Open", 0.5), Word(100, 300, "AI", 0.7)))
    assert correction_columns(said, vocabulary_of(alice.pk).correct(said)) == {
        "corrected_text": "OpenAI",
        "corrected_words": encode_words((Word(0, 300, "OpenAI", 0.5),), "OpenAI"),
    }
    # A word for a word leaves the times as they are.
    Correction.objects.update(from_text="open", to_text="Closed")
    assert correction_columns(said, vocabulary_of(alice.pk).correct(said)) == {
        "corrected_text": "Closed AI",
        "corrected_words": None,
    }
    Correction.objects.all().delete()
    assert correction_columns(said, vocabulary_of(alice.pk).correct(said)) == {
        "corrected_text": None,
        "corrected_words": None,
    }
