import importlib.metadata

import websockets
import websockets.version


def test_version_is_that_of_the_distribution():
    version = importlib.metadata.version("websockets")
    assert websockets.__version__ == version
    assert websockets.version.version == version


def test_tag_and_commit_are_the_version():
    assert websockets.version.tag == websockets.version.version
    assert websockets.version.commit == websockets.version.version
