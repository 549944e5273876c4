"""The engine that runs Whisper on this machine."""

from speech import telemetry

# The modules of this folder import faster-whisper, and with it onnxruntime.
telemetry.turn_off()
