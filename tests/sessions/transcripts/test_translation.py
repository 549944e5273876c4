"""What is read of a transcript that the translator has translated, but for one segment."""

from __future__ import annotations

import pytest

from jobs_app.work import correcting
from sessions_app.models import Edit
from sessions_app.models.edits import EditKind
from tests.sessions.translated import GERMAN, READ, translated_job


@pytest.fixture
def talk(alice, new_job, add_segments):
    return translated_job(alice, new_job, add_segments)


def download(api, job, ending, **query):
    return api.get(f"/api/jobs/{job.pk}/transcript.{ending}", query)


def test_a_job_has_the_translation_and_what_was_said(api, talk):
    answer = api.get(f"/api/jobs/{talk.pk}/").json()
    assert answer["transcript"] == READ
    assert answer["original_text"] == " ".join(GERMAN)
    assert (answer["translated_to"], answer["translator"], answer["timing"]) == ("en", "small", "segments")
    assert [(one["code"], one["detail"]) for one in answer["warnings"]] == [
        ("partly_translated", "1 segment could not be translated. The text there is as it was said.")
    ]


def test_segments_have_the_original_beside_and_words_only_where_they_were_heard(api, talk):
    listed = api.get(f"/api/jobs/{talk.pk}/segments/").json()["results"]
    shown = download(api, talk, "json").json()["segments"]
    assert [one["text"] for one in listed] == ["Good morning.", "How are you?", "Tschüss."]
    assert [one["original"] for one in listed] == [*GERMAN[:2], ""]
    assert [one.get("original") for one in shown] == [*GERMAN[:2], None]
    for one in (listed, shown):
        assert [bool(segment["words"]) for segment in one] == [False, False, True]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "A: Good morning. How are you? Tschüss.\n"),
        ("translation", "A: Good morning. How are you? Tschüss.\n"),
        ("original", "A: Guten Morgen. Wie geht es? Tschüss.\n"),
        ("both", "A: Good morning. How are you? Tschüss.\nGuten Morgen. Wie geht es? Tschüss.\n"),
    ],
)
def test_a_download_has_the_text_that_is_asked_for(api, talk, text, expected):
    assert download(api, talk, "txt", text=text).content.decode() == expected


def test_captions_with_both_have_a_line_of_each(api, talk):
    assert "Good morning.\nGuten Morgen." in download(api, talk, "srt", text="both").content.decode()
    assert "Good morning.\nGuten Morgen." in download(api, talk, "vtt", text="both").content.decode()
    assert "Guten" not in download(api, talk, "vtt").content.decode()


def test_json_of_the_original_has_its_language_and_its_words(api, talk):
    whole = download(api, talk, "json", text="original").json()
    assert (whole["language"], whole["timing"], whole["text"]) == ("de", "words", " ".join(GERMAN))
    assert all(one["words"] and "original" not in one for one in whole["segments"])
    assert "original_text" not in whole
    both = download(api, talk, "json", text="both").json()
    assert (both["language"], both["timing"], both["original_text"]) == ("en", "segments", " ".join(GERMAN))


@pytest.mark.parametrize("ending", ["txt", "srt", "vtt", "json"])
def test_an_unknown_text_is_refused(api, talk, ending):
    answer = download(api, talk, ending, text="elvish")
    assert (answer.status_code, answer.json()["code"]) == (422, "not_supported")
    assert "original" in answer.json()["detail"]


def test_a_transcript_without_a_translation_has_only_what_was_said(api, alice, new_job, add_segments):
    job = new_job(alice, detected_language="de")
    add_segments(job, (0, "Guten Morgen.", ""))
    assert download(api, job, "txt", text="original").content.decode() == "Guten Morgen.\n"
    for text in ("translation", "both"):
        answer = download(api, job, "txt", text=text)
        assert (answer.status_code, answer.json()["code"]) == (409, "not_ready")
    assert api.get(f"/api/jobs/{job.pk}/").json()["original_text"] == ""


def test_what_the_engine_translated_has_no_original(api, alice, new_job, add_segments):
    job = new_job(alice, translate_to="en")
    add_segments(job, (0, "Good morning.", ""))
    assert download(api, job, "txt", text="translation").content.decode() == "Good morning.\n"
    for text in ("original", "both"):
        assert download(api, job, "txt", text=text).status_code == 409


def test_what_somebody_typed_stands_for_the_translation(api, talk):
    Edit.objects.create(job=talk, segment_number=0, kind=EditKind.TEXT, value="Hello!")
    assert download(api, talk, "txt").content.decode() == "A: Hello! How are you? Tschüss.\n"
    assert download(api, talk, "txt", text="original").content.decode().startswith("A: Guten Morgen.")
    assert api.get(f"/api/jobs/{talk.pk}/").json()["transcript"] == "Hello! How are you? Tschüss."


def test_corrections_change_what_was_said_and_what_was_not_translated(api, alice, talk):
    alice.corrections.create(from_text="Tschüss", to_text="Servus")
    alice.corrections.create(from_text="Morgen", to_text="Abend")
    assert correcting.apply_again(talk.pk) == correcting.Outcome.DONE
    answer = api.get(f"/api/jobs/{talk.pk}/").json()
    assert answer["original_text"] == "Guten Abend. Wie geht es? Servus."
    assert answer["transcript"] == "Good morning. How are you? Servus."


def test_a_search_finds_the_translation(api, talk):
    found = api.get("/api/jobs/", {"search": "How are you"}).json()["results"]
    assert [one["id"] for one in found] == [str(talk.pk)]


def test_v1_answers_with_the_translation(api, talk):
    from sessions_app.openai.answers import Wanted, answer
    from sessions_app.openai.events import news

    assert b"Good morning. How are you?" in answer(talk.pk, Wanted(response_format="text")).content
    assert news(talk.pk, "", 0, translated=True)[:2] == ("completed", READ)
    assert news(talk.pk, "Good", 0, translated=True)[1] == ""
