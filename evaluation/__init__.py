"""The adversary: files in, numbers out.

Nothing here may import `cloak`, except `evaluation.protect`, which runs the engine on paths. What the engine
says about its own work is not read: every figure starts from the bytes of a written file.
"""

import os

# Before anything here imports onnxruntime: since 1.32 its import alone makes a device id and a database of events in
# the user's cache, for upload. Its own `disable_telemetry_events` comes too late for that.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
