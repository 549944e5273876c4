"""Corrections and target lists through the REST API, as rows and as CSV."""

# ruff: noqa: RUF001 (look-alike characters are what is tested)

from __future__ import annotations

import csv
import io
import threading
import uuid

import pytest
from django.core.files.base import ContentFile
from django.db import connection

from jobs_app.models.vocabulary import Correction, TargetList
from jobs_app.work import unit
from people_app.models import User
from sessions_app.vocabulary import lists as vocabulary_lists
from tests.samples import completed_job, make_job
from tests.sessions.conftest import client_of

pytestmark = pytest.mark.django_db
CORRECTIONS = "/api/corrections/"
LISTS = "/api/target-lists/"


def add(api, from_text: str, to_text: str = "", **more):
    return api.post(CORRECTIONS, {"from_text": from_text, "to_text": to_text, **more})


def refused(answer, field: str, status: int = 400) -> str:
    """What is wrong with `field`, in an answer of the documented form."""
    assert answer.status_code == status, answer.content
    body = answer.json()
    assert body["code"] == "invalid"
    assert body["detail"].endswith((".", "?"))
    return " ".join(body["fields"][field])


def send(api, url: str, content: str | bytes, **more):
    data = content.encode() if isinstance(content, str) else content
    file = ContentFile(data, name="list.csv")
    return api.post(f"{url}import/", {"file": file, **more}, format="multipart")


def rows(answer) -> list[list[str]]:
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))


def texts() -> dict[str, str]:
    return dict(Correction.objects.values_list("from_text", "to_text"))


# --- Corrections ---------------------------------------------------------------------------------


def test_a_correction_is_made_read_changed_and_deleted(api):
    made = add(api, "  open \n ai ", " OpenAI ")
    assert made.status_code == 201
    correction = made.json()
    assert correction == {
        "id": correction["id"],
        "from_text": "open ai",
        "to_text": "OpenAI",
        "whole_word": True,
        "match_case": False,
    }
    url = f"{CORRECTIONS}{correction['id']}/"
    assert api.get(url).json() == correction
    assert api.get(CORRECTIONS).json()["results"] == [correction]

    changed = api.patch(url, {"to_text": "", "whole_word": False})
    assert (changed.status_code, changed.json()) == (200, correction | {"to_text": "", "whole_word": False})
    assert api.get(url).json() == changed.json()

    assert api.delete(url).status_code == 204
    assert api.get(url).status_code == 404


def test_what_a_form_leaves_out_has_its_default(api):
    made = api.post(CORRECTIONS, {"from_text": "um"}, format="multipart").json()
    assert (made["to_text"], made["whole_word"], made["match_case"]) == ("", True, False)


def test_corrections_are_searched_and_ordered(api):
    for from_text, to_text in (("b", "x"), ("a", "y"), ("c", "ax")):
        add(api, from_text, to_text)
    assert [c["from_text"] for c in api.get(CORRECTIONS).json()["results"]] == ["a", "b", "c"]
    found = api.get(CORRECTIONS, {"search": "A", "ordering": "-from_text"}).json()
    assert [c["from_text"] for c in found["results"]] == ["c", "a"]
    assert api.get(CORRECTIONS, {"search": "x" * 300}).status_code == 400
    assert api.get(CORRECTIONS, {"ordering": "owner"}).status_code == 400


@pytest.mark.parametrize(
    "value",
    [
        *("", "  ", "\u00a0", "x" * 201, "x" * 10_000, "\x00", "a\x00b", None, ["a"], {"a": 1}),
        *("\u200b", "\u200b \u00ad\ufeff", "\u3164", "\ufe0f"),
    ],
)
def test_a_text_that_cannot_be_looked_for_is_refused(api, value):
    refused(api.post(CORRECTIONS, {"from_text": value, "to_text": "x"}), "from_text")
    assert not Correction.objects.exists()


def test_half_a_character_is_refused(api):
    answer = api.post(CORRECTIONS, rb'{"from_text": "\ud800"}', content_type="application/json")
    refused(answer, "from_text")


def test_what_is_too_long_to_be_written_is_refused(api):
    assert "200" in refused(add(api, "a", "x" * 201), "to_text")


def test_one_text_has_one_correction_however_it_is_written(api):
    first = add(api, "Straße  café", "x").json()
    for same in ("straße cafe\u0301", "STRASSE CAFÉ"):
        assert "Straße café" in refused(add(api, same, "y"), "from_text")
    assert add(api, "STRASSE CAFÉ", "y", match_case=True).status_code == 201
    other = add(api, "um").json()
    refused(api.patch(f"{CORRECTIONS}{other['id']}/", {"from_text": "strasse café"}), "from_text")
    assert api.patch(f"{CORRECTIONS}{first['id']}/", {"from_text": "STRASSE café"}).status_code == 200


def test_there_is_a_limit(api, monkeypatch):
    monkeypatch.setattr(vocabulary_lists, "MAX_CORRECTIONS", 2)
    ids = [add(api, text).json()["id"] for text in ("a", "b")]
    assert "2" in refused(add(api, "c"), "from_text")
    assert api.patch(f"{CORRECTIONS}{ids[0]}/", {"to_text": "x"}).status_code == 200
    refused(send(api, CORRECTIONS, "c,d\n"), "from_text")
    assert send(api, CORRECTIONS, "c,d\n", mode="replace").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_of_two_requests_at_once_for_the_same_text_one_is_refused(api, alice):
    together = threading.Barrier(2)
    answers = []

    def request(from_text: str) -> None:
        together.wait(timeout=10)
        answers.append(add(client_of(alice), from_text).status_code)
        connection.close()

    threads = [threading.Thread(target=request, args=[text]) for text in ("Café", "CAFE\u0301")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [201, 400]
    assert Correction.objects.count() == 1


@pytest.mark.parametrize("method", ["get", "patch", "delete"])
@pytest.mark.parametrize("base", [CORRECTIONS, LISTS])
def test_what_is_someone_elses_does_not_exist(bobs_api, alice, base, method):
    correction = Correction.objects.create(owner=alice, from_text="a", to_text="b")
    target_list = TargetList.objects.create(owner=alice, name="Tea", words=["a"])
    row = correction if base == CORRECTIONS else target_list
    for pk in (row.pk, uuid.uuid4(), "1"):
        assert getattr(bobs_api, method)(f"{base}{pk}/", {"name": "x", "to_text": "x"}).status_code == 404
    assert bobs_api.get(base).json()["count"] == 0
    assert len(rows(bobs_api.get(f"{base[:-1]}.csv"))) == 1
    row.refresh_from_db()


@pytest.mark.parametrize("path", [CORRECTIONS, LISTS, "/api/corrections.csv", "/api/target-lists.csv"])
def test_a_stranger_gets_nothing(client, path):
    assert client.get(path).status_code == 401


# --- Target lists --------------------------------------------------------------------------------


def test_a_target_list_is_made_read_changed_and_deleted(api):
    made = api.post(LISTS, {"name": " My  words ", "words": [" New   York", "new york", "", "C++", "東京"]})
    assert made.status_code == 201
    target_list = made.json()
    assert target_list == {"id": target_list["id"], "name": "My words", "words": ["New York", "C++", "東京"]}
    url = f"{LISTS}{target_list['id']}/"
    assert api.patch(url, {"name": "Places"}).json() == target_list | {"name": "Places"}
    assert api.patch(url, {"words": []}).json()["words"] == []
    assert api.get(LISTS).json()["results"] == [api.get(url).json()]
    assert api.delete(url).status_code == 204
    assert not TargetList.objects.exists()


def test_a_list_that_cannot_be_kept_is_refused(api, monkeypatch):
    monkeypatch.setattr(vocabulary_lists, "MAX_TARGET_WORDS", 3)
    monkeypatch.setattr(vocabulary_lists, "MAX_TARGET_LISTS", 2)
    api.post(LISTS, {"name": "A", "words": ["a", "b"]})
    refused(api.post(LISTS, {"name": "A"}), "name")
    refused(api.post(LISTS, {"name": " "}), "name")
    refused(api.post(LISTS, {"name": "\u200b"}), "name")
    refused(api.post(LISTS, {"name": "x" * 101}), "name")
    refused(api.post(LISTS, {"name": "B", "words": ["c", "d"]}), "words")
    refused(api.post(LISTS, {"name": "B", "words": ["x" * 201]}), "words")
    refused(api.post(LISTS, {"name": "B", "words": ["a\x00"]}), "words")
    refused(api.post(LISTS, {"name": "B", "words": "a"}), "words")
    assert TargetList.objects.count() == 1
    api.post(LISTS, {"name": "B"})
    refused(api.post(LISTS, {"name": "C"}), "name")


# --- CSV -----------------------------------------------------------------------------------------

HOSTILE = [
    *("=1+1", "'=1+1", "''=x", "+x", "-x", "@x", "＝x", "'", "'x"),
    *('say "hi"', "a,b;c", "Straße", "👩‍💻", "from", "ﬁ"),
]


def test_corrections_come_back_from_csv_as_they_were(api, alice):
    for text in HOSTILE:
        Correction.objects.create(owner=alice, from_text=text, to_text=text[::-1], whole_word=False)
    before = texts()
    exported = api.get("/api/corrections.csv", headers={"Accept": "text/csv"})
    assert exported.content.startswith(b"\xef\xbb\xbffrom,to,whole_word,match_case\r\n")
    assert 'filename="corrections.csv"' in exported["Content-Disposition"]
    assert not any(cell.startswith(tuple("=+-@＝")) for row in rows(exported) for cell in row)

    for mode in ("add", "replace"):
        answer = send(api, CORRECTIONS, exported.content, mode=mode)
        assert answer.json() == {"imported": len(HOSTILE)}
        assert texts() == before
        assert not Correction.objects.filter(whole_word=True).exists()


def test_target_lists_come_back_from_csv_as_they_were(api, alice):
    TargetList.objects.create(owner=alice, name="=Formulas", words=HOSTILE)
    TargetList.objects.create(owner=alice, name="Empty, with a comma")
    before = set(map(str, TargetList.objects.values_list("name", "words")))
    exported = api.get("/api/target-lists.csv")
    for mode in ("add", "replace"):
        assert send(api, LISTS, exported.content, mode=mode).json() == {"imported": len(HOSTILE) + 1}
        assert set(map(str, TargetList.objects.values_list("name", "words"))) == before


@pytest.mark.parametrize(
    "content",
    [
        "from,to\nopen ai,OpenAI\n",
        "open ai,OpenAI",
        "\ufefffrom;to;whole_word;match_case\r\nopen ai;OpenAI;YES;no\r\n\r\n",
        "To\tFrom\nOpenAI\topen ai\n",
        '"open\nai","OpenAI"\n',
        " open ai , OpenAI ,,\n,,,\n",
        "sep=;\r\nfrom;to\r\nopen ai;OpenAI\r\n",
        "\ufeffsep=,\nopen ai,OpenAI\n",
        '"SEP=\t"\nopen ai\tOpenAI\n',
    ],
)
def test_csv_is_read_as_any_spreadsheet_writes_it(api, content):
    assert send(api, CORRECTIONS, content).json() == {"imported": 1}
    correction = Correction.objects.get()
    assert (correction.from_text, correction.to_text) == ("open ai", "OpenAI")
    assert (correction.whole_word, correction.match_case) == (True, False)


def test_semicolons_are_found_though_every_row_has_commas(api):
    send(api, CORRECTIONS, "from;to\na, b;c, d\ne, f;g\n")
    assert texts() == {"a, b": "c, d", "e, f": "g"}


def test_an_import_adds_and_replaces_what_is_of_the_same_text(api):
    add(api, "Open AI", "old")
    add(api, "um")
    assert send(api, CORRECTIONS, "open ai,OpenAI\nuh,\n").json() == {"imported": 2}
    assert texts() == {"open ai": "OpenAI", "um": "", "uh": ""}
    send(api, CORRECTIONS, "colour,color\n", mode="replace")
    assert texts() == {"colour": "color"}


def test_an_import_of_target_words_adds_to_the_list_of_that_name(api):
    api.post(LISTS, {"name": "A", "words": ["tea"]})
    assert send(api, LISTS, "list,word\nA,TEA\nA,coffee\nB,milk\n").json() == {"imported": 3}
    assert dict(TargetList.objects.values_list("name", "words")) == {"A": ["tea", "coffee"], "B": ["milk"]}
    send(api, LISTS, "C,salt\n", mode="replace")
    assert dict(TargetList.objects.values_list("name", "words")) == {"C": ["salt"]}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "nothing in this file"),
        ("from,to\n\n", "nothing in this file"),
        ("a,b\n,c\n", "Row 2: Give the word"),
        (f"a,b\n\nc,{'x' * 201}\n", "Row 3: Use at most 200"),
        ("a,b,maybe\n", "Row 1: whole_word is “maybe”. Write yes or no."),
        ("a,b\nA,c\n", "Row 2 replaces the same text as row 1"),
        ("a,b\nonly one\n", "Row 2 has 1 column."),
        ("a,b,yes,no,more\n", "Row 1 has 5 columns."),
        ("from,to,colour\na,b,c\n", "a column “colour”"),
        ("from,to,To\na,b,c\n", "The column “to” is there twice."),
        ("\u200b,b\n", "Row 1: Give the word"),
        ("sep=;\na,b\n", "Row 1 has 1 column."),
        ('sep=;\na;b\n"c"d;e\n', "Line 3 cannot be read"),
        ('a,b\n"c"d,e\n', "Line 2 cannot be read"),
        ('a,"b\n', "cannot be read"),
        ("a,b\n".encode("utf-16"), "not in UTF-8"),
        ("ä,b\n".encode("latin-1"), "not in UTF-8"),
        ("a,b\x00\n", "not a CSV file"),
        (b"\x89PNG\r\n\x1a\n", "not in UTF-8"),
        ("a,b\n" * 300_000, "larger than 1 MB"),
        ("".join(f"a{n},b\n" for n in range(501)), "501 rows. At most 500"),
        ("a," + "x" * 200_000, "cannot be read"),
        (",x\n" * 20, "And 10 more."),
    ],
)
def test_a_file_that_cannot_be_read_changes_nothing_and_says_where(api, content, says):
    add(api, "kept")
    answer = send(api, CORRECTIONS, content, mode="replace")
    assert says in refused(answer, "file")
    assert says in answer.json()["detail"]
    assert texts() == {"kept": ""}


def test_an_import_needs_a_file_and_a_mode_that_exists(api):
    refused(api.post(f"{CORRECTIONS}import/", {}, format="multipart"), "file")
    refused(send(api, CORRECTIONS, "a,b", mode="destroy"), "mode")
    assert "Row 1 has 1 column." in refused(send(api, LISTS, "word\n"), "file")


# --- Again, on a job -----------------------------------------------------------------------------


def test_corrections_are_applied_again_to_a_finished_job(api, alice):
    job = completed_job(alice)
    add(api, "radio", "wireless")
    api.post(LISTS, {"name": "A", "words": ["Wireless", "radio"]})
    answer = api.post(f"/api/jobs/{job.pk}/corrections/")
    assert answer.status_code == 200
    body = answer.json()
    assert "an old wireless." in body["transcript"]
    assert body["corrected_text"] == body["transcript"]
    assert "an old radio." in body["raw_text"]
    assert body["word_counts"] == {"Wireless": 1, "radio": 0}
    segment = api.get(f"/api/jobs/{job.pk}/segments/").json()["results"][1]
    assert (segment["raw_text"], segment["text"]) == (
        "Today we repair an old radio.",
        "Today we repair an old wireless.",
    )


def test_a_worker_corrects_a_long_transcript(api, alice, settings, tmp_path):
    settings.CORRECT_AT_ONCE_S = 0
    settings.RUN_DIR = tmp_path
    job = completed_job(alice)
    add(api, "radio", "wireless")
    for code in ("correcting", "already_correcting"):
        answer = api.post(f"/api/jobs/{job.pk}/corrections/")
        assert (answer.status_code, answer.json()["code"]) == (202, code)
        assert (
            answer["Location"]
            == answer.json()["status_url"]
            == f"http://testserver/api/jobs/{job.pk}/status/"
        )
    status = api.get(answer["Location"])
    assert status.json()["correcting"] == "waiting"
    assert unit.do_next()
    changed = api.get(answer["Location"], HTTP_IF_NONE_MATCH=status["ETag"])
    assert (changed.status_code, changed.json()["correcting"]) == (200, "")
    body = api.get(f"/api/jobs/{job.pk}/").json()
    assert "an old wireless." in body["transcript"]
    assert body["correcting"] == ""


def test_a_job_that_is_not_completed_is_left_alone(api, alice):
    job = make_job(alice, status="processing")
    answer = api.post(f"/api/jobs/{job.pk}/corrections/")
    assert (answer.status_code, answer.json()["code"]) == (409, "wrong_state")


def test_nobody_elses_job_is_corrected(bobs_api, alice):
    job = completed_job(alice)
    Correction.objects.create(owner=User.objects.get_or_create(username="bob")[0], from_text="radio")
    for pk in (job.pk, uuid.uuid4(), "1"):
        assert bobs_api.post(f"/api/jobs/{pk}/corrections/").status_code == 404
    job.refresh_from_db()
    assert "radio" in job.transcript.text
