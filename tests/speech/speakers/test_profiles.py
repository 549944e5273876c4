"""Whose saved voice a speaker sounds like."""

from __future__ import annotations

from speech.speakers import Suggestion, Voice, suggest
from tests.jobs.voices import voice_of

ANNA, BEN = voice_of(0), voice_of(1)
PROFILES = {"Anna": [ANNA.vector], "Ben": [BEN.vector]}


def test_whoever_is_alike_enough_is_suggested_with_how_much():
    assert suggest([voice_of(0, other=0.6), voice_of(2)], PROFILES) == {0: Suggestion("Anna", 0.8)}
    assert suggest([voice_of(0, other=0.83)], PROFILES)[0].person == "Anna"
    assert suggest([voice_of(0, other=0.84)], PROFILES) == {}


def test_the_best_of_several_samples_counts():
    profiles = {"Anna": [BEN.vector, voice_of(5).vector, ANNA.vector], "none": []}
    assert suggest([ANNA], profiles)[0] == Suggestion("Anna", 1.0)


def test_nobody_is_suggested_where_two_people_fit_about_equally():
    nearly = voice_of(0, other=0.3).vector
    assert suggest([ANNA], {"Anna": [ANNA.vector], "Ben": [nearly]}) == {}


def test_one_person_is_suggested_for_the_speaker_who_is_most_alike():
    voices = [voice_of(0, other=0.5), voice_of(1), voice_of(0, other=0.2)]
    assert {at: one.person for at, one in suggest(voices, PROFILES).items()} == {1: "Ben", 2: "Anna"}


def test_who_says_little_is_not_compared():
    assert suggest([voice_of(0, clean_s=5.9), Voice()], PROFILES) == {}
