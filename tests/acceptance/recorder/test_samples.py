"""From the microphone's samples to pieces: none is lost, doubled or changed."""

from __future__ import annotations

import io
import wave
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page

from speech.types import SAMPLE_RATE
from tests.acceptance import test_browser_pages as pages
from tests.acceptance.recorder.page import CHUNK_S

pytestmark = pages.pytestmark

# --- The resampler -------------------------------------------------------------------------------

RESAMPLE = """async ({rate, hz, samples, block}) => {
    const { Resampler } = await import("/static/recorder/sound/resample.js");
    const resampler = new Resampler(rate, 16000);
    const output = [];
    for (let at = 0; at < samples; at += block) {
        const length = Math.min(block, samples - at);
        const input = Float32Array.from({ length }, (_, n) => Math.sin((2 * Math.PI * hz * (at + n)) / rate));
        for (const sample of resampler.process(input)) output.push(sample);
    }
    for (const sample of resampler.flush()) output.push(sample);
    return output;
}"""


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("block", [128, 441])
def test_blocks_of_another_rate_become_the_same_sine_at_16_khz(page, rate, block):
    samples = 2 * rate + 77
    out = np.array(page.evaluate(RESAMPLE, {"rate": rate, "hz": 997, "samples": samples, "block": block}))
    assert len(out) == -(-samples * SAMPLE_RATE // rate)
    expected = np.sin(2 * np.pi * 997 * np.arange(len(out)) / SAMPLE_RATE)
    # Before the beginning and after the end there is silence, which the filter hears too.
    inner = slice(200, -200)
    assert np.abs(out - expected)[inner].max() < 2e-4


@pytest.mark.parametrize(("hz", "gain"), [(100, 1), (6_000, 1), (8_500, 0), (12_000, 0), (20_000, 0)])
def test_what_16_khz_cannot_hold_is_left_out_instead_of_folded_back(page, hz, gain):
    given = {"rate": 48_000, "hz": hz, "samples": 48_000, "block": 128}
    out = np.array(page.evaluate(RESAMPLE, given))[200:-200]
    assert np.abs(out).max() == pytest.approx(gain, abs=2e-3)


# --- From samples to pieces ----------------------------------------------------------------------

# A context that computes faster than time goes by runs the same worklet on a known signal.
RECORD_OFFLINE = """async ({rate, samples, cutSamples, hz}) => {
    const { captureNode } = await import("/static/recorder/sound/capture.js");
    const { Recording } = await import("/static/recorder/recording.js");
    const { openStore } = await import("/static/recorder/store.js");
    const store = await openStore();
    const recording = Recording.begin(store, { user: "nobody", title: "", options: {}, cutSamples });
    await recording.save();
    const context = new OfflineAudioContext(1, samples, rate);
    const buffer = context.createBuffer(1, samples, rate);
    const channel = buffer.getChannelData(0);
    const sine = (n) => 0.5 * Math.sin((2 * Math.PI * hz * n) / rate);
    const ramp = (n) => ((n % 32749) - 16000) / 32768;
    for (let n = 0; n < samples; n++) channel[n] = hz ? sine(n) : ramp(n);
    const source = new AudioBufferSourceNode(context, { buffer });
    const node = await captureNode(context);
    source.connect(node).connect(context.destination);
    let counted = 0;
    let held;
    const done = new Promise((resolve) => (held = resolve));
    node.port.onmessage = ({ data }) => {
        counted = data.counted;
        if (data.samples) recording.add(data.samples);
        if (data.held) held();
    };
    node.port.postMessage("run");
    await new Promise((resolve) => setTimeout(resolve, 100));
    source.start();
    await context.startRendering();
    node.port.postMessage("hold");
    await done;
    await recording.finish();
    const lengths = [];
    const all = [];
    for (const number of [...recording.waiting]) {
        const piece = await store.chunk(recording.row.id, number);
        lengths.push(piece.samples);
        all.push(Array.from(new Int16Array(piece.wav, 44)));
    }
    const tails = (await store.kept(recording.row.id)).tails.length;
    const wav = Array.from(new Uint8Array((await store.chunk(recording.row.id, 0)).wav));
    await recording.forget();
    return { counted, lengths, samples: all.flat(), tails, wav };
}"""


def record_offline(page: Page, **given: Any) -> dict[str, Any]:
    return page.evaluate(RECORD_OFFLINE, {"cutSamples": [CHUNK_S * SAMPLE_RATE], "hz": 0, **given})


def test_no_sample_is_lost_or_doubled_at_the_borders_of_pieces(page):
    samples = 23 * SAMPLE_RATE + 1234
    done = record_offline(page, rate=SAMPLE_RATE, samples=samples)
    full = CHUNK_S * SAMPLE_RATE
    # The context computes in blocks of 128, and what is behind the end of the file is silence.
    assert samples <= done["counted"] < samples + 128
    assert sum(done["lengths"]) == done["counted"]
    assert done["lengths"][:-1] == [full] * 4
    assert 0 < done["lengths"][-1] < full
    expected = np.arange(samples) % 32749 - 16000
    np.testing.assert_array_equal(done["samples"][:samples], expected)
    assert done["tails"] == 0


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_a_microphone_of_another_rate_gives_one_unbroken_tone(page, rate):
    samples = 12 * rate
    done = record_offline(page, rate=rate, samples=samples, hz=440)
    assert sum(done["lengths"]) == done["counted"] == len(done["samples"])
    assert 12 * SAMPLE_RATE <= done["counted"] <= 12 * SAMPLE_RATE + 128
    n = np.arange(200, 12 * SAMPLE_RATE - 200)
    expected = 16384 * np.sin(2 * np.pi * 440 * n / SAMPLE_RATE)
    assert np.abs(np.array(done["samples"])[n] - expected).max() < 6


def test_a_piece_is_a_wav_that_can_be_read_by_itself(page):
    done = record_offline(page, rate=SAMPLE_RATE, samples=6 * SAMPLE_RATE)
    with wave.open(io.BytesIO(bytes(done["wav"]))) as piece:
        assert (piece.getframerate(), piece.getnchannels(), piece.getsampwidth()) == (SAMPLE_RATE, 1, 2)
        assert piece.getnframes() == CHUNK_S * SAMPLE_RATE


def test_the_first_pieces_are_short_and_all_further_ones_have_the_last_length(page):
    done = record_offline(
        page, rate=SAMPLE_RATE, samples=12 * SAMPLE_RATE, cutSamples=[SAMPLE_RATE, 2 * SAMPLE_RATE]
    )
    lengths = [length / SAMPLE_RATE for length in done["lengths"]]
    assert lengths[:6] == [1, 2, 2, 2, 2, 2]
    expected = np.arange(12 * SAMPLE_RATE) % 32749 - 16000
    np.testing.assert_array_equal(done["samples"][: len(expected)], expected)


# A tab of an earlier version, where all pieces had one length, was closed during its second piece.
RESCUE_EARLIER = """async () => {
    const { Recording, unsentSamples } = await import("/static/recorder/recording.js");
    const { openStore } = await import("/static/recorder/store.js");
    const { wavOf } = await import("/static/recorder/sound/wav.js");
    const store = await openStore();
    const row = { id: "earlier", user: "nobody", title: "", options: {}, startedAt: 0, chunkSamples: 32000,
        cut: 1, samples: 32000, base: 0, stopped: false, key: "" };
    const pcm = (length) => new Int16Array(length).fill(7);
    const wav = wavOf([pcm(32000)], 16000);
    await store.saveChunk({ recording: "earlier", number: 0, samples: 32000, sha256: "", wav }, row);
    await store.saveTail({ recording: "earlier", number: 1, part: 0, pcm: pcm(16000) });
    const [found] = await store.recordingsOf("nobody");
    const waiting = unsentSamples(found, (await store.kept("earlier")).numbers);
    const recording = await Recording.rescue(store, found);
    const { row: { ends }, unsentSamples: unsent, samples } = recording;
    const rescued = { waiting, ends, numbers: [...recording.waiting], unsent, samples };
    await recording.forget();
    return rescued;
}"""


def test_what_an_earlier_version_left_behind_is_rescued(page):
    assert page.evaluate(RESCUE_EARLIER) == {
        "waiting": 32_000,
        "ends": [32_000, 48_000],
        "numbers": [0, 1],
        "unsent": 48_000,
        "samples": 48_000,
    }
