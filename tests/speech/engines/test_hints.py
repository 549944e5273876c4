"""Which texts may be hints that nobody said, and when a second hearing confirms them."""

# ruff: noqa: RUF001  letters that look alike are what is tested
from __future__ import annotations

import pytest

from speech.engines.hints import Hints, choose_hearing, compared_words, too_fast
from speech.types import SpeechSegment, Word

PEOPLE = (
    "The participants are Dr. Okonkwo-Whitfield, Siobhan Ng, and Xavier. "
    "Topics: Kubernetes, tachycardia, amoxicillin."
)


def heard(text: str, *, length_ms: int = 4_000, sure: float | None = None, at_ms: int = 0) -> SpeechSegment:
    """A segment whose words follow each other evenly; with `sure`, each is so sure."""
    if sure is None:
        return SpeechSegment(at_ms, at_ms + length_ms, text)
    parts = text.split()
    each = length_ms // len(parts)
    words = [Word(at_ms + n * each, at_ms + (n + 1) * each, part, sure) for n, part in enumerate(parts)]
    return SpeechSegment(at_ms, at_ms + length_ms, text, sure, tuple(words))


def doubted(prompt: str, segment: SpeechSegment) -> bool:
    return bool(Hints(prompt).doubtful(segment))


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        (PEOPLE, "The participants are Dr. Okonkwo-Whitfield, Siobhan Ng, and Xavier."),
        (PEOPLE, "the participants are dr okonkwo whitfield"),
        (
            PEOPLE,
            "Mm. The participants are Dr. Okonkwo, so let us begin with what we have on the list today.",
        ),
        (PEOPLE, "We go on. Xavier. Topics: Kubernetes, and then we will see what else there is to do here."),
        (PEOPLE, "Okay. Amoxicillin."),
        (PEOPLE, "Xavier, Siobhan Ng."),
        ("Kubernetes, Grafana, PostgreSQL", "kubernetes"),
        ("Kubernetes, Grafana, PostgreSQL", "Kubernetes.com"),
        ("pantoprazole, ramipril", "Pantoprolol, ramiprilol."),
        ("Zoë, Gärtner", "Zoé."),
        ("张伟，李娜，王芳", "张伟"),
        ("Екатерина Гранкина, Кузнецов", "ЕКАТЕРИНА ГРАНКИНА"),
        ("प्रिया शर्मा, अर्जुन", "प्रिया शर्मा।"),
        ("ＫＵＢＥＲＮＥＴＥＳ", "Kubernetes"),
    ],
)
def test_what_looks_like_the_prompt_is_doubtful(prompt, text):
    assert doubted(prompt, heard(text))


@pytest.mark.parametrize(
    "text",
    [
        "So, my fellow Americans, ask not what your country can do for you.",
        "The patients are waiting, and they are tired.",
        "I spoke with Xavier about that yesterday, and he agrees.",
        "Mm. Mm-hm.",
        "",
        "...",
    ],
)
def test_other_texts_are_not(text):
    assert not doubted(PEOPLE, heard(text))


def test_a_word_of_the_prompt_is_doubtful_where_the_model_does_not_believe_in_it():
    text = "I spoke with Xavier about that yesterday, and he agrees."
    assert doubted(PEOPLE, heard(text, sure=0.3))
    assert not doubted(PEOPLE, heard(text, sure=0.9))


def test_nine_words_in_two_thirds_of_a_second_were_said_by_nobody():
    text = "We are going to go ahead and see what comes."
    assert too_fast(heard(text, length_ms=640))
    assert too_fast(heard(text, length_ms=640, sure=0.5))
    assert not too_fast(heard(text, length_ms=640, sure=0.9)), "the times are wrong, not the words"
    assert not too_fast(heard(text, length_ms=1_800))
    assert not too_fast(heard("Yes.", length_ms=20))


@pytest.mark.parametrize(
    ("hinted", "plain"),
    [
        ("I met Siobhan Ng yesterday.", "I met Shavorn Eng yesterday."),
        ("Dr. Okonkwo-Whitfield, Siobhan Ng, and Xavier.", "Dr. O'Conquo Whitfield, Shivaun Ing and Zavier."),
        ("Amoxicillin.", "A moxy silin."),
        ("Kubernetes.", "Cooper Netties."),
        ("Topics: Kubernetes, tachycardia, amoxicillin.", "topics cooper netties, taki cardia, a moxicilin"),
    ],
)
def test_names_that_sound_alike_in_both_hearings_are_spelled_as_the_hints_say(hinted, plain):
    first, second = [heard(hinted)], [heard(plain)]
    assert choose_hearing(first, [run for s in first for run in Hints(PEOPLE).doubtful(s)], second) is first


@pytest.mark.parametrize(
    "plain",
    ["", "Mm.", "Mm. Hmm. Mm.", "Ha ha ha ha.", "Yes, of course.", "Thank you.", "Uh-huh.", "Hmm, so so."],
)
@pytest.mark.parametrize(
    "hinted",
    [
        "The participants are Dr. Okonkwo-Whitfield, Siobhan Ng, and Xavier.",
        "Amoxicillin.",
        "Kubernetes.",
        "Xavier.",
    ],
)
def test_without_anything_alike_in_the_second_hearing_that_one_counts(hinted, plain):
    first, second = [heard(hinted)], [heard(plain)] if plain else []
    doubtful = [run for s in first for run in Hints(PEOPLE).doubtful(s)]
    assert doubtful
    assert choose_hearing(first, doubtful, second) is second


def test_a_name_that_was_said_at_another_time_confirms_nothing():
    said = heard("So this is about Xavier.", sure=0.9)
    first = [said, heard("Xavier.", sure=0.2, at_ms=20_000)]
    doubtful = [run for s in first for run in Hints(PEOPLE).doubtful(s)]
    second = [said, heard("Mm.", sure=0.9, at_ms=20_000)]
    assert choose_hearing(first, doubtful, second) is second


@pytest.mark.parametrize(
    ("plain", "kept"),
    [
        ("\u4eca\u5929\u7ae0\u5a01\u6ca1\u6709\u6765", True),
        ("\u4eca\u5929\u6ca1\u6709\u6765", False),
        ("\u55ef\u55ef\u55ef", False),
    ],
)
def test_a_name_of_other_characters_stays_where_all_around_it_is_the_same(plain, kept):
    first, second = [heard("\u4eca\u5929\u5f20\u4f1f\u6ca1\u6709\u6765", sure=0.2)], [heard(plain)]
    doubtful = Hints("\u5f20\u4f1f\uff0c\u674e\u5a1c").doubtful(first[0])
    assert doubtful
    assert choose_hearing(first, doubtful, second) is (first if kept else second)


def test_a_cough_between_words_is_no_name():
    first, second = (
        [heard("I think that Xavier we should go.", sure=0.2)],
        [heard("I think that uh we should go.")],
    )
    assert choose_hearing(first, Hints(PEOPLE).doubtful(first[0]), second) is second


def test_words_are_compared_without_case_width_and_punctuation():
    assert compared_words("Dr. OKONKWO-Whitfield’s １２") == ["dr", "okonkwo", "whitfields", "12"]
