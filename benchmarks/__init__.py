from speech import telemetry

# Some benchmarks import faster-whisper before any part of `speech` does.
telemetry.turn_off()
