"""The adversary: files in, numbers out.

Nothing here may import `cloak`, except `evaluation.protect`, which runs the engine on paths. What the engine
says about its own work is not read: every figure starts from the bytes of a written file.
"""
