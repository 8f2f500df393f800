"""A refused connection: the new API raises another exception."""

import asyncio

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatusCode


async def main() -> None:
    """Run the client."""
    try:
        await connect("ws://localhost:8765/")
    except InvalidStatusCode as exc:
        print("refused with", exc.status_code)


if __name__ == "__main__":
    asyncio.run(main())
