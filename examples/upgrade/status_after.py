"""A refused connection."""

import asyncio

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus


async def main() -> None:
    """Run the client."""
    try:
        await connect("ws://localhost:8765/")
    except InvalidStatus as exc:
        print("refused with", exc.response.status_code)


if __name__ == "__main__":
    asyncio.run(main())
