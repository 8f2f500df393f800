"""Interpreters of one process, each with a GIL of its own, run at the same time."""

import subprocess
import sys

import pytest

PROGRAM = """
import threading
import _interpreters as interpreters

code = '''
from ws_protocol.frames import serialize_frame
from ws_protocol.messages import Assembler
from ws_protocol.reader import FrameReader

texts = [text * 30 for text in ("hello", "caf\\\\xe9")]
chunk = b"".join(serialize_frame(0x81, text.encode(), True) for text in texts) * 50
for _ in range(100):
    reader = FrameReader(
        masked=True, max_message_size=None, max_fragment_size=None, max_fragments=None
    )
    frames, messages = [], []
    # The last frame comes in two pieces.
    reader.feed(chunk[:-10], frames, messages)
    reader.feed(chunk[-10:], frames, messages)
    assembler = Assembler()
    assembler.put_all(messages)
    for text in texts * 50:
        assert assembler.get_message() == text
    assert assembler.take_message() is None
    assert frames == []
'''

failures = []


def run():
    interpreter = interpreters.create("isolated")
    failures.append(interpreters.run_string(interpreter, code))
    interpreters.destroy(interpreter)


for _ in range(2):
    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
assert failures == [None] * 8, failures
"""


@pytest.mark.slow
@pytest.mark.skipif(
    sys.implementation.name != "cpython" or sys.version_info < (3, 13),
    reason="only CPython has them, and earlier versions have other ways to make them",
)
def test_interpreters_use_kernels_at_the_same_time():
    subprocess.run([sys.executable, "-c", PROGRAM], check=True)
