"""A server for clients that have a user name and a password: HTTP Basic Authentication."""

import asyncio
import hmac

from websockets.asyncio.server import ServerConnection, basic_auth, serve

# In an application, hashes of passwords, in a database.
PASSWORDS = {"alice": "open sesame"}


async def check_credentials(username: str, password: str) -> bool:
    """Tell whether credentials are good."""
    expected = PASSWORDS.get(username, "")
    # How long the comparison takes doesn't tell how much of the password is right.
    good = hmac.compare_digest(expected.encode(), password.encode())
    return good and username in PASSWORDS


async def greet(websocket: ServerConnection) -> None:
    """Handle a connection."""
    await websocket.send(f"Hello {websocket.username}!")


async def main() -> None:
    """Run the server."""
    process_request = basic_auth("greetings", check_credentials=check_credentials)
    async with serve(greet, "localhost", 8765, process_request=process_request) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
