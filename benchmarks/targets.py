"""What is asked of this project, and how far it is from that."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable
from typing import Any

from report import BARE, OURS, PURE, ratios
from works import MEMORY

PEERS = ("websockets", "picows API", "picows core", "aiohttp", "Node ws")
# Numbers of connections with a message in flight on each.
CONNECTIONS = ["server-round-trip-256", *(f"server-connections-{10**n}" for n in (1, 2, 3, 4))]

# What was written of works, by their names.
Entries = dict[str, dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Measured:
    """What counts for a target.

    Attributes:
        title: Of what.
        values: In each round.
        floor: What bare TCP would get, if it takes part.
        against: The peer that is the best of several, or what else there is to say.

    """

    title: str
    values: list[float]
    floor: float | None
    against: str = ""


@dataclasses.dataclass(frozen=True)
class Target:
    """A target.

    Attributes:
        asked: What is asked, in words.
        limit: What it is in numbers.
        measure: Returns what counts for it; :obj:`None` if that wasn't measured.
        unit: Unit of the numbers.
        at_most: Whether they have to be below, and not above.

    """

    asked: str
    limit: float
    measure: Callable[[Entries], Measured | None]
    unit: str = "times"
    at_most: bool = False


def title_of(entry: dict[str, Any]) -> str:
    """Return the title of a work, where its group isn't known."""
    return f"{entry['group']}: {entry['title']}"


def median_or_none(values: list[float]) -> float | None:
    """Return a median, if there is one."""
    return statistics.median(values) if values else None


def against(work: str, *peers: str) -> Callable[[Entries], Measured | None]:
    """Return what takes how many times as much the best of some peers takes as this project."""

    def measure(entries: Entries) -> Measured | None:
        if work not in entries:
            return None
        found = {peer: values for peer in peers if (values := ratios(entries[work], peer))}
        if not found:
            return None
        best = min(found, key=lambda peer: statistics.median(found[peer]))
        floor = median_or_none(ratios(entries[work], best, BARE))
        return Measured(title_of(entries[work]), found[best], floor, best if len(peers) > 1 else "")

    return measure


def worst(contender: str, peer: str) -> Callable[[Entries], Measured | None]:
    """Return what takes how many times as much a peer takes as a contender where that is least."""

    def measure(entries: Entries) -> Measured | None:
        found = {
            name: values
            for name, entry in entries.items()
            if entry["group"] != MEMORY and (values := ratios(entry, peer, contender))
        }
        if not found:
            return None
        name = min(found, key=lambda name: statistics.median(found[name]))
        ahead = sum(statistics.median(values) > 1 for values in found.values())
        floor = median_or_none(ratios(entries[name], peer, BARE))
        note = f"ahead in {ahead} of {len(found)}"
        return Measured(title_of(entries[name]), found[name], floor, note)

    return measure


def memory(entries: Entries) -> Measured | None:
    """Return what an idle connection takes."""
    if "memory" not in entries:
        return None
    results = entries["memory"]["results"]
    if OURS not in results:
        return None
    floor = median_or_none(results.get(BARE, []))
    return Measured(title_of(entries["memory"]), results[OURS], floor)


def growth(entries: Entries) -> Measured | None:
    """Return how many times the lowest cost with some number of connections the highest is."""
    factors = {}
    for contender in (OURS, BARE):
        results = [entries.get(name, {"results": {}})["results"] for name in CONNECTIONS]
        medians = [statistics.median(each[contender]) for each in results if contender in each]
        if len(medians) == len(CONNECTIONS):
            factors[contender] = max(medians) / min(medians)
    if OURS not in factors:
        return None
    title = "As a server: echo on 1 to 10,000 connections"
    return Measured(title, [factors[OURS]], factors.get(BARE))


STREAMS = ["client-stream-16", "client-stream-256"]
ROUND_TRIPS = ["client-round-trip-256", "server-round-trip-256"]
IN_FLIGHT = ["client-in-flight-256", "server-in-flight-256"]
HANDSHAKES = ["client-handshake", "server-handshake"]

# In words, it is what this project takes that is compared; in numbers, how many times that a peer
# takes.
TARGETS = [
    *(
        target
        for work in STREAMS
        for target in (
            Target("1.25 times picows core", 1 / 1.25, against(work, "picows core")),
            Target("half of picows API", 2, against(work, "picows API")),
        )
    ),
    Target("level with picows core", 1, against("client-stream-1048576", "picows core")),
    *(
        target
        for work in ROUND_TRIPS
        for target in (
            Target("1.15 times picows core", 1 / 1.15, against(work, "picows core")),
            Target("1/1.15 of picows API", 1.15, against(work, "picows API")),
        )
    ),
    *(Target("half of the best peer", 2, against(work, *PEERS)) for work in IN_FLIGHT),
    Target("ahead of every peer", 1, against("client-stream-deflate", *PEERS)),
    *(
        target
        for work in HANDSHAKES
        for target in (
            Target("half of websockets", 2, against(work, "websockets")),
            Target("not behind picows", 1, against(work, "picows API", "picows core")),
        )
    ),
    Target("a third of websockets", 3, against("broadcast", "websockets")),
    Target("a tenth of websockets", 10, against("broadcast-deflate", "websockets")),
    Target("at most 10 KiB", 10, memory, unit="KiB", at_most=True),
    # Runs differ by as much.
    Target("flat: at most 1.25", 1.25, growth, at_most=True),
    Target("pure kernel ahead of websockets", 1, worst(PURE, "websockets")),
]


def verdict(target: Target, values: list[float]) -> tuple[bool, str]:
    """Return whether a target is met, and by how much."""
    median = statistics.median(values)
    cost = median / target.limit if target.at_most else target.limit / median
    met = cost <= 1
    # What is missed isn't missed by nothing.
    percent = round(abs(cost - 1) * 100)
    text = f"met, {percent}% below" if met else f"missed by {max(percent, 1)}%"
    if min(values) < target.limit < max(values):
        text += ", within the spread"
    return met, text


def compare(works: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what is written of each target."""
    entries = {entry["name"]: entry for entry in works}
    rows = []
    for target in TARGETS:
        measured = target.measure(entries)
        if measured is not None:
            met, text = verdict(target, measured.values)
            rows.append(
                {
                    **dataclasses.asdict(measured),
                    "asked": target.asked,
                    "limit": target.limit,
                    "at_most": target.at_most,
                    "unit": target.unit,
                    "met": met,
                    "verdict": text,
                }
            )
    return rows
