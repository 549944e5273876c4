from __future__ import annotations

import re

import pytest
import yaml
from django.contrib.staticfiles import finders
from django.core.management import call_command
from playwright.sync_api import sync_playwright


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    path = tmp_path_factory.mktemp("schema") / "schema.yml"
    call_command("spectacular", "--fail-on-warn", "--validate", file=str(path))
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_the_document_is_valid_and_has_every_path(schema):
    jobs = "/api/jobs/{id}/"
    assert set(schema["paths"]) >= {
        "/api/auth/token/",
        "/api/tokens/",
        "/api/tokens/{id}/",
        "/api/preferences/",
        "/api/engines/",
        "/api/jobs/",
        jobs,
        *(f"{jobs}{verb}/" for verb in ("status", "cancel", "retry", "segments")),
        *(f"{jobs}transcript.{ending}" for ending in ("json", "txt", "srt", "vtt")),
        "/api/job-history/",
        "/api/job-history/{id}/",
        "/api/job-history/stats/summary/",
        "/api/uploads/",
        "/api/uploads/tus/",
        "/api/uploads/tus/{id}/",
        "/api/sessions/",
        "/api/sessions/{id}/",
        *(f"/api/sessions/{{id}}/{verb}/" for verb in ("chunks", "finish", "cache", "text", "jobs", "audio")),
    }


def test_the_document_says_how_a_recording_is_sent(schema):
    begin = schema["paths"]["/api/sessions/"]["post"]
    assert set(begin["responses"]) == {"201", "400", "422", "429"}
    assert {"title", "source", "language", "engine"} <= set(properties(schema, "SessionCreateInput"))

    chunks = schema["paths"]["/api/sessions/{id}/chunks/"]
    assert set(chunks["post"]["requestBody"]["content"]) == {"multipart/form-data"}
    assert set(properties(schema, "ChunkInput")) == {"number", "file", "duration_ms", "sha256"}
    assert properties(schema, "ChunkInput")["file"]["format"] == "binary"
    assert set(chunks["post"]["responses"]) == {
        *("200", "201", "400", "404", "409", "413", "415", "422", "429", "507"),
    }
    assert "missing" in properties(schema, "ChunkPageOutput")
    finish = schema["paths"]["/api/sessions/{id}/finish/"]["post"]["responses"]
    assert finish["409"]["content"]["application/json"]["schema"]["$ref"].endswith("ChunksMissingOutput")
    assert set(properties(schema, "CacheOutput")) == {
        *("windows", "done", "running", "waiting", "failed", "covered_ms", "duration_ms", "coverage"),
    }
    span = schema["paths"]["/api/sessions/{id}/text/"]["get"]["parameters"]
    assert {(p["in"], p["name"]) for p in span} == {
        ("path", "id"),
        ("query", "start_ms"),
        ("query", "end_ms"),
    }


def properties(schema, component) -> dict:
    return schema["components"]["schemas"][component]["properties"]


def test_the_document_names_the_filters_of_the_contract(schema):
    names = {parameter["name"] for parameter in schema["paths"]["/api/jobs/"]["get"]["parameters"]}
    assert names == {
        *("status", "kind", "engine", "language", "source", "created_after", "created_before", "search"),
        *("ordering", "page", "page_size"),
    }


def test_only_lists_have_filters(schema):
    for path in ("/api/jobs/{id}/", "/api/jobs/{id}/status/", "/api/job-history/stats/summary/"):
        where = {(p["in"], p["name"]) for p in schema["paths"][path]["get"].get("parameters", [])}
        assert where <= {("path", "id"), ("header", "If-None-Match")}


def test_every_field_of_a_job_is_described(schema):
    fields = schema["components"]["schemas"]["JobOutput"]["properties"]
    plain = {"id", "filename", "status", "stage", "priority", "error", "created_at"}
    undescribed = {name for name, field in fields.items() if "description" not in field} - plain
    assert undescribed == set()


def test_errors_are_in_the_document(schema):
    error = schema["components"]["schemas"]["ErrorOutput"]["properties"]
    assert set(error) == {"detail", "code", "fields"}
    answers = schema["paths"]["/api/jobs/{id}/cancel/"]["post"]["responses"]
    assert answers["409"]["content"]["application/json"]["schema"]["$ref"].endswith("ErrorOutput")


def test_the_document_is_served(client, db):
    answer = client.get("/api/schema/")
    assert answer.status_code == 200
    assert yaml.safe_load(answer.content)["openapi"].startswith("3.")


@pytest.mark.parametrize("path", ["/api/schema/", "/api/docs/"])
@pytest.mark.parametrize(
    "query", ["version=%00", "version=2%0d%0aSet-Cookie:a=b", "lang=%00", "lang=..%2f..", "script=%00"]
)
def test_nothing_in_the_query_changes_or_breaks_it(client, db, path, query):
    answer = client.get(f"{path}?{query}")
    assert answer.status_code == 200
    if path == "/api/schema/":
        assert answer["Content-Disposition"] == 'inline; filename="Transcription API.yaml"'
        assert yaml.safe_load(answer.content)["info"]["version"] == "1"


@pytest.mark.parametrize("path", ["/api/schema/", "/api/docs/"])
@pytest.mark.parametrize("method", ["options", "post", "put", "patch", "delete"])
def test_it_is_only_read(client, db, path, method):
    answer = getattr(client, method)(path)
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert client.head(path).status_code == 200


def test_its_page_needs_nothing_inline_and_nothing_from_elsewhere(client, db):
    answer = client.get("/api/docs/")
    page = answer.content.decode()
    assert "unsafe" not in answer["Content-Security-Policy"]
    assert not re.search(r"<style|<script>|<script(?![^>]*\bsrc=)|\bstyle=|\bon\w+=", page)

    sources = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(sources) == 5
    for source in sources:
        if source.startswith("/api/docs/"):
            script = client.get(source)
            assert script["Content-Type"].startswith("application/javascript")
            assert b"/api/schema/" in script.content
        else:
            assert finders.find(source.removeprefix("/static/")), source


@pytest.mark.browser
@pytest.mark.slow
def test_its_page_works_in_a_browser_under_the_content_security_policy(live_server, chromium):
    complaints = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        page = browser.new_page()
        page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{live_server.url}/api/docs/")
        page.get_by_role("button", name="How far a job is").click()
        page.get_by_text("queue_position").first.wait_for()
        browser.close()
    assert complaints == []
