import pytest

from ws_protocol import extensions
from ws_protocol.extensions import ClientExtensionFactory, Extension, ServerExtensionFactory, base
from ws_protocol.frames import Frame, Opcode

FRAME = Frame(Opcode.TEXT, b"hello")

METHODS = {
    "decode": lambda: Extension().decode(FRAME),
    "decode with a limit": lambda: Extension().decode(FRAME, max_size=10),
    "encode": lambda: Extension().encode(FRAME),
    "offer": lambda: ClientExtensionFactory().get_request_params(),
    "process response": lambda: ClientExtensionFactory().process_response_params([], []),
    "process request": lambda: ServerExtensionFactory().process_request_params([], []),
}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
def test_extensions_must_define_every_method(method):
    with pytest.raises(NotImplementedError):
        method()


@pytest.mark.parametrize("name", base.__all__)
def test_classes_are_found_in_the_package_too(name):
    assert getattr(extensions, name) is getattr(base, name)
    assert name in extensions.__all__
