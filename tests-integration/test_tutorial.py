"""The tutorial's programs, as its readers run them: from the command line, and in a browser."""

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from docblocks import find_blocks

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

ROOT = Path(__file__).resolve().parents[1]
REPORTS = ROOT / "reports"

# Interpreters start.
pytestmark = pytest.mark.slow


async def test_commands_of_the_first_step_start_a_server(reader, start_program):
    [install, start] = find_blocks("docs/tutorial/index.rst", "sh")
    reader.run(install)
    # It is saved under its name.
    shutil.copy(start_program.directory / "tutorial" / "step1_server.py", reader.folder)
    async with reader.running(start) as process:
        await start_program.wait_for(process)
        async with connect(f"ws://localhost:{start_program.port}/") as websocket:
            await websocket.send("tea")
            assert json.loads(await websocket.recv()) == {"tea": 1, "coffee": 0}


async def test_server_of_the_first_step_answers_the_command_line(start_program):
    await start_program("tutorial/step1_server.py")
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "websockets", f"ws://localhost:{start_program.port}/"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    output, _ = await process.communicate(b"tea\ntea\ncoffee\nwater\n")
    assert [json.loads(line) for line in output.splitlines()] == [
        {"tea": 1, "coffee": 0},
        {"tea": 2, "coffee": 0},
        {"tea": 2, "coffee": 1},
        {"error": "vote for tea or coffee"},
    ]


async def test_page_of_the_second_step_counts_its_own_votes(start_program, open_page):
    await start_program("tutorial/step2_server.py")
    page = await open_page(f"http://localhost:{start_program.port}/")
    await page.wait_until("state.innerText === 'Connected'")
    for name in ["tea", "coffee", "tea"]:
        await page.evaluate(f"document.getElementById('vote-{name}').click()")
    await page.wait_until("tea.value === '2' && coffee.value === '1'")
    assert page.complaints == []


@pytest.mark.parametrize("step", [2, 3])
async def test_other_paths_are_not_found(start_program, step):
    await start_program(f"tutorial/step{step}_server.py")
    with pytest.raises(InvalidStatus, match="HTTP 404"):
        await connect(f"ws://localhost:{start_program.port}/other")


async def test_pages_of_the_third_step_show_every_vote(start_program, open_page):
    await start_program("tutorial/step3_server.py")
    url = f"http://localhost:{start_program.port}/"
    pages = [await open_page(url, width=560, height=460) for _ in range(2)]
    for page in pages:
        await page.wait_until("state.innerText === 'Connected'")
    await pages[0].evaluate("document.getElementById('vote-tea').click()")
    await pages[1].evaluate("document.getElementById('vote-tea').click()")
    await pages[1].evaluate("document.getElementById('vote-coffee').click()")
    for page in pages:
        await page.wait_until("tea.value === '2' && coffee.value === '1'")
        assert page.complaints == []
    # Whoever comes later sees the result, too.
    late = await open_page(url)
    await late.wait_until("tea.value === '2' && coffee.value === '1'")
    await pages[0].take_screenshot(REPORTS / "tutorial.png")


async def test_server_of_the_third_step_is_for_its_own_page(start_program):
    await start_program("tutorial/step3_server.py")
    uri = f"ws://localhost:{start_program.port}/poll"
    with pytest.raises(InvalidStatus, match="HTTP 403"):
        await connect(uri, origin="http://elsewhere.example")
    async with connect(uri, origin=f"http://localhost:{start_program.port}") as websocket:
        assert json.loads(await websocket.recv()) == {"tea": 0, "coffee": 0}
        await websocket.send("water")
        await websocket.send("tea")
        assert json.loads(await websocket.recv()) == {"tea": 1, "coffee": 0}
