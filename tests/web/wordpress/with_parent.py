"""Runs a command that ends when the process which started it does, however that ends: with_parent.py COMMAND ...

To be started as the leader of a group of its own; at the end everything in that is killed, this too.
"""

import os
import signal
import subprocess
import sys
import threading


def main() -> None:
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)

    def end() -> None:
        sys.stdin.buffer.read()  # until nobody holds the other end
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=end, daemon=True).start()
    child.wait()
    os.killpg(0, signal.SIGKILL)  # PHP's server leaves its own processes behind


if __name__ == "__main__":
    main()
