"""The pages of corrections and target words, and what a job's page shows of them."""

from __future__ import annotations

import re
import uuid

import pytest
from django.core.files.base import ContentFile
from django.test import Client
from django.urls import reverse

from jobs_app.models.vocabulary import Correction, TargetList
from jobs_app.work import unit
from jobs_app.work.correcting import apply_again
from tests.samples import completed_job, make_job, words_on
from tests.sessions.conftest import sound

pytestmark = pytest.mark.django_db
NASTY = '<script>alert("1")</script>'


@pytest.fixture
def page(client, alice) -> Client:
    client.force_login(alice)
    return client


@pytest.fixture
def correction(alice) -> Correction:
    return Correction.objects.create(owner=alice, from_text="cooper netties", to_text="Kubernetes")


@pytest.fixture
def target_list(alice) -> TargetList:
    return TargetList.objects.create(owner=alice, name="Devices", words=["radio", "Tape recorder"])


def post(client: Client, view: str, *args, **form):
    return client.post(reverse(view, args=args), form, follow=True)


def importing(client: Client, view: str, content: str, mode: str = "add"):
    file = ContentFile(content.encode(), name="list.csv")
    return post(client, view, file=file, mode=mode)


# --- Who may see it ------------------------------------------------------------------------------

OF_ONE = ["edit-correction", "delete-correction", "edit-target-list", "delete-target-list"]


@pytest.mark.parametrize("name", OF_ONE)
@pytest.mark.parametrize("method", ["get", "post"])
def test_what_is_someone_elses_does_not_exist(client, bob, correction, target_list, name, method):
    client.force_login(bob)
    pk = correction.pk if "correction" in name else target_list.pk
    answer = getattr(client, method)(reverse(name, args=[pk]), {"name": "x", "from_text": "x"})
    assert answer.status_code == (405 if (method, name) == ("get", "delete-correction") else 404)
    assert Correction.objects.get().from_text == "cooper netties"
    assert TargetList.objects.get().name == "Devices"


def test_one_sees_only_ones_own(client, bob, correction, target_list):
    client.force_login(bob)
    said = words_on(client.get(reverse("vocabulary")))
    assert "Kubernetes" not in said.replace("for Kubernetes", "")
    assert "Devices" not in said


@pytest.mark.parametrize(
    "name",
    ["vocabulary", "vocabulary-try", "add-correction", "add-target-list", "import-corrections"],
)
def test_a_stranger_is_sent_to_the_login(client, db, name):
    assert client.post(reverse(name)).url.startswith(reverse("login"))


# --- Corrections ---------------------------------------------------------------------------------


def test_the_page_explains_itself_while_it_is_empty(page):
    said = words_on(page.get(reverse("vocabulary")))
    assert "You have none yet" in said
    assert "You have no list yet" in said
    assert "Export as CSV" not in said


def test_a_correction_is_added_changed_and_deleted(page, alice):
    answer = post(page, "add-correction", from_text=" open  ai ", to_text="OpenAI", whole_word="on")
    assert "“open ai” → “OpenAI” is added" in words_on(answer)
    correction = Correction.objects.get()
    assert (correction.owner, correction.whole_word, correction.match_case) == (alice, True, False)

    form = page.get(reverse("edit-correction", args=[correction.pk]))
    assert 'value="open ai"' in form.content.decode()
    answer = post(page, "edit-correction", correction.pk, from_text="open ai", to_text="", match_case="on")
    assert "“open ai” → nothing is saved" in words_on(answer)
    assert "Anywhere, same case" in words_on(answer)

    assert "is deleted" in words_on(post(page, "delete-correction", correction.pk))
    assert not Correction.objects.exists()


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"from_text": " ", "to_text": "x"}, "Give the word or phrase that is to be replaced."),
        ({"from_text": "\u200b", "to_text": "x"}, "Give the word or phrase that is to be replaced."),
        ({"from_text": "x" * 10_000, "to_text": "x"}, "at most 200 characters"),
        ({"from_text": "a", "to_text": "x" * 201}, "at most 200 characters"),
        ({"from_text": "a\x00", "to_text": "x"}, "Null characters are not allowed."),
        (
            {"from_text": "COOPER NETTIES", "to_text": "x"},
            "There is a correction of “cooper netties” already.",
        ),
    ],
)
def test_a_wrong_correction_is_refused_with_the_reason(page, correction, form, says):
    answer = post(page, "add-correction", **form)
    assert answer.status_code == 422
    assert says in words_on(answer)
    assert Correction.objects.count() == 1
    other = Correction.objects.create(owner=correction.owner, from_text="um")
    answer = post(page, "edit-correction", other.pk, **form)
    assert (answer.status_code, says in words_on(answer)) == (422, True)


def test_what_people_write_is_never_markup(page, alice):
    Correction.objects.create(owner=alice, from_text=NASTY, to_text=NASTY)
    TargetList.objects.create(owner=alice, name=NASTY, words=[NASTY])
    answer = post(page, "vocabulary-try", text=NASTY)
    assert NASTY not in answer.content.decode()
    assert answer.content.decode().count("&lt;script&gt;") > 4


def test_the_pages_have_nothing_inline_and_no_id_twice(page, correction, target_list):
    for url in (
        reverse("vocabulary"),
        reverse("edit-correction", args=[correction.pk]),
        reverse("add-target-list"),
        reverse("delete-target-list", args=[target_list.pk]),
    ):
        html = page.get(url).content.decode()
        assert not re.search(r"<style|<script>|<script(?![^>]*\bsrc=)|\bstyle=|\bon\w+=", html)
        ids = re.findall(r'\bid="([^"]+)"', html)
        assert len(ids) == len(set(ids))
        assert set(re.findall(r'\b(?:for|aria-labelledby|aria-describedby)="([^"]+)"', html)) <= set(ids)


# --- Trying it -----------------------------------------------------------------------------------


def test_a_text_can_be_tried(page, correction, target_list):
    answer = post(page, "vocabulary-try", text="The cooper netties radio.")
    said = words_on(answer)
    assert "It becomes: The Kubernetes radio." in said
    assert "radio 1 Tape recorder 0" in said
    assert "None of your corrections changes it" in words_on(post(page, "vocabulary-try", text="Tea."))
    assert post(page, "vocabulary-try", text="x" * 5001).status_code == 422
    assert "Write something" in words_on(post(page, "vocabulary-try", text=" "))


# --- Target lists --------------------------------------------------------------------------------


def test_a_list_is_made_changed_and_deleted_after_a_question(page, alice):
    post(page, "add-target-list", name="Devices", words="radio\n\n  Tape   recorder\r\nRADIO\n")
    target_list = TargetList.objects.get()
    assert (target_list.owner, target_list.words) == (alice, ["radio", "Tape recorder"])

    form = page.get(reverse("edit-target-list", args=[target_list.pk])).content.decode()
    assert "radio\nTape recorder</textarea>" in form
    said = words_on(post(page, "edit-target-list", target_list.pk, name="Things", words="lamp"))
    assert "“Things” is saved" in said

    url = reverse("delete-target-list", args=[target_list.pk])
    assert "Delete this list?" in words_on(page.get(url))
    assert TargetList.objects.exists()
    assert "“Things” is deleted" in words_on(page.post(url, follow=True))
    assert not TargetList.objects.exists()


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"name": "", "words": "a"}, "Give the list a name."),
        ({"name": "Devices", "words": "a"}, "You have a list of this name already."),
        ({"name": "New", "words": "x" * 201}, "longer than 200 characters. Shorten it."),
        ({"name": "New", "words": "\n".join(map(str, range(500)))}, "Use fewer."),
        ({"name": "New", "words": "a\x00"}, "Null characters are not allowed."),
    ],
)
def test_a_wrong_list_is_refused_with_the_reason(page, target_list, form, says):
    answer = post(page, "add-target-list", **form)
    assert (answer.status_code, says in words_on(answer)) == (422, True)
    assert TargetList.objects.get() == target_list


# --- CSV -----------------------------------------------------------------------------------------


def test_files_are_imported_and_errors_name_the_row(page, correction):
    assert "1 row imported." in words_on(importing(page, "import-corrections", "um,\n"))
    assert Correction.objects.count() == 2
    answer = importing(page, "import-corrections", "um,\n,x\n", mode="replace")
    assert (answer.status_code, Correction.objects.count()) == (422, 2)
    assert "Row 2: Give the word or phrase" in words_on(answer)
    assert "2 rows imported." in words_on(importing(page, "import-target-lists", "A,tea\nB,milk\n"))
    assert TargetList.objects.count() == 2
    assert "Choose a file." in words_on(post(page, "import-target-lists", mode="add"))


# --- On the page of a job ------------------------------------------------------------------------


def test_corrections_are_applied_again_from_a_jobs_page(page, alice, target_list):
    job = completed_job(alice)
    Correction.objects.create(owner=alice, from_text="old radio", to_text="gramophone")
    url = reverse("job", args=[job.pk])
    assert "Target word" not in words_on(page.get(url))
    said = words_on(post(page, "apply-corrections", job.pk))
    assert "are applied" in said
    assert "Today we repair a" in said
    assert "gramophone." in said
    assert "radio 0 Tape recorder 0" in said


def test_the_most_frequent_target_word_stands_first(page, alice):
    job = completed_job(alice)
    TargetList.objects.create(owner=alice, name="A", words=["absent", "radio", "the", "good morning"])
    apply_again(job.pk)
    said = words_on(page.get(reverse("job", args=[job.pk])))
    assert "the 3 radio 1 good morning 1 absent 0" in said


def test_the_page_follows_a_worker_that_corrects_a_long_transcript(page, alice, settings, tmp_path):
    settings.CORRECT_AT_ONCE_S = 0
    settings.RUN_DIR = tmp_path
    job = completed_job(alice, audio=sound(1.0))
    Correction.objects.create(owner=alice, from_text="old radio", to_text="gramophone")
    answer = post(page, "apply-corrections", job.pk)
    said = words_on(answer)
    assert "This transcript is long. Your corrections and target words are being applied to it." in said
    assert "are being applied to this transcript. The result appears in a moment." in said
    assert "Today we repair an old radio." in said
    assert "Apply corrections again" not in said
    assert "Cancel" not in said
    assert b'http-equiv="refresh"' not in answer.content
    assert b'id="player"' in answer.content
    assert "being applied already" in words_on(post(page, "apply-corrections", job.pk))

    progress = reverse("job-progress", args=[job.pk])
    seen = re.search(r'data-version="([^"]+)" data-final="no"', page.get(progress).content.decode())[1]
    assert page.get(progress, {"seen": seen}).status_code == 204
    assert unit.do_next()
    assert b'data-final="yes"' in page.get(progress, {"seen": seen}).content
    said = words_on(page.get(reverse("job", args=[job.pk])))
    assert "gramophone." in said
    assert "Apply corrections again" in said
    assert "being applied" not in said


def test_the_page_says_that_corrections_could_not_be_applied(page, alice, settings):
    settings.CORRECT_AT_ONCE_S = 0
    job = completed_job(alice)
    apply_again(job.pk)
    job.steps.update(status="failed")
    said = words_on(page.get(reverse("job", args=[job.pk])))
    assert "Your corrections could not be applied." in said
    assert "Apply corrections again" in said


def test_a_job_that_is_not_finished_says_so(page, alice):
    job = make_job(alice, status="failed", error="It broke.")
    assert "Apply corrections" not in words_on(page.get(reverse("job", args=[job.pk])))
    assert "is not finished" in words_on(post(page, "apply-corrections", job.pk))


def test_nobody_elses_job_is_corrected(client, alice, bob):
    job = completed_job(alice)
    client.force_login(bob)
    for pk in (job.pk, uuid.uuid4()):
        assert client.post(reverse("apply-corrections", args=[pk])).status_code == 404
