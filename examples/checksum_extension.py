"""An extension of one's own: frames with a checksum, and a client and a server that use it."""

import asyncio
import dataclasses
import zlib
from collections.abc import Sequence

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import NegotiationError, ProtocolError
from websockets.extensions import ClientExtensionFactory, Extension, ServerExtensionFactory
from websockets.frames import CTRL_OPCODES, Frame
from websockets.typing import ExtensionName, ExtensionParameter


class Checksum(Extension):
    """The extension in use: data frames end with the CRC-32 of what is before."""

    name = ExtensionName("x-checksum")

    def encode(self, frame: Frame) -> Frame:
        """Add the checksum to a frame that is about to be sent."""
        if frame.opcode in CTRL_OPCODES:
            return frame
        checksum = zlib.crc32(frame.data).to_bytes(4, "big")
        return dataclasses.replace(frame, data=bytes(frame.data) + checksum)

    def decode(self, frame: Frame, *, max_size: int | None = None) -> Frame:
        """Check and remove the checksum of a frame that was received."""
        if frame.opcode in CTRL_OPCODES:
            return frame
        data, checksum = bytes(frame.data[:-4]), frame.data[-4:]
        if zlib.crc32(data).to_bytes(4, "big") != checksum:
            raise ProtocolError("wrong checksum")
        return dataclasses.replace(frame, data=data)


class ClientChecksumFactory(ClientExtensionFactory):
    """What offers it."""

    name = Checksum.name

    def get_request_params(self) -> Sequence[ExtensionParameter]:
        """Return parameters for the offer: none."""
        return []

    def process_response_params(
        self, params: Sequence[ExtensionParameter], accepted_extensions: Sequence[Extension]
    ) -> Checksum:
        """Make the extension, once the server accepted it."""
        if params:
            raise NegotiationError("x-checksum has no parameters")
        return Checksum()


class ServerChecksumFactory(ServerExtensionFactory):
    """What accepts it."""

    name = Checksum.name

    def process_request_params(
        self, params: Sequence[ExtensionParameter], accepted_extensions: Sequence[Extension]
    ) -> tuple[list[ExtensionParameter], Checksum]:
        """Make the extension, and parameters for the answer: none."""
        if params:
            raise NegotiationError("x-checksum has no parameters")
        return [], Checksum()


async def echo(websocket: ServerConnection) -> None:
    """Handle a connection."""
    async for message in websocket:
        await websocket.send(message)


async def main() -> None:
    """Run a server and a client."""
    async with (
        serve(
            echo, "localhost", 8765, extensions=[ServerChecksumFactory()], compression=None
        ) as server,
        connect(
            "ws://localhost:8765/", extensions=[ClientChecksumFactory()], compression=None
        ) as websocket,
    ):
        (connection,) = server.connections
        print(*(extension.name for extension in connection.protocol.extensions))
        await websocket.send("Hello!")
        print(await websocket.recv())


if __name__ == "__main__":
    asyncio.run(main())
