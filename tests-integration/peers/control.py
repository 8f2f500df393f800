"""What the programs in Python have in common: they obey commands, and tell events."""

import asyncio
import base64
import itertools
import json
import sys

connections = {}
numbers = itertools.count(1)


def tell(event, **details):
    print(json.dumps({"event": event, **details}), flush=True)


def tell_open(connection, subprotocol, compression):
    """Tell of a new connection, and return its number."""
    number = next(numbers)
    connections[number] = connection
    tell("open", connection=number, subprotocol=subprotocol, compression=compression)
    return number


def tell_message(number, data):
    if isinstance(data, str):
        tell("message", connection=number, text=data)
    else:
        tell("message", connection=number, base64=base64.b64encode(data).decode())


async def obey(command, listen, connect):
    do = command.pop("do")
    if do == "listen":
        tell("listening", port=await listen(**command))
    elif do == "connect":
        await connect(**command)
    else:
        connection = connections[command.pop("connection")]
        if do == "send":
            await connection.send(
                [
                    fragment["text"] if "text" in fragment else base64.b64decode(fragment["base64"])
                    for fragment in command["fragments"]
                ]
            )
        else:
            await getattr(connection, do)(**command)


async def main(library, listen, connect):
    tell("ready", version=library.__version__, file=library.__file__)
    reader = asyncio.StreamReader(limit=2**24)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    async with asyncio.TaskGroup() as tasks:
        async for line in reader:
            tasks.create_task(obey(json.loads(line), listen, connect))
        # Whatever is still open: nobody is there to care.
        sys.exit()
