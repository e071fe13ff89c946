"""Runs a command that ends when the process which started it does, however that ends: with_parent.py COMMAND ..."""

import os
import signal
import subprocess
import sys
import threading


def main() -> int:
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())

    def end() -> None:
        sys.stdin.buffer.read()  # until nobody holds the other end
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            pass
        os.killpg(0, signal.SIGKILL)  # PHP's server leaves its own processes behind

    threading.Thread(target=end, daemon=True).start()
    return child.wait()


if __name__ == "__main__":
    sys.exit(main())
