"""Tests of tables, of the picture, and of targets."""

import pytest
import report
import targets


def work(name, group="As a client", **results):
    values = {contender.replace("_", " "): list(each) for contender, each in results.items()}
    return {
        "name": name,
        "group": group,
        "title": f"title of {name}",
        "unit": "µs",
        "results": values,
        "system": {name: [value / 4 for value in each] for name, each in values.items()},
        "failures": {},
    }


def verdicts(*works):
    return {
        (row["title"], row["asked"]): (row["met"], row["verdict"], row["floor"], row["against"])
        for row in targets.compare(list(works))
    }


@pytest.fixture
def data():
    """What a run writes."""
    works = [
        work("client-stream-16", ours=[1, 2, 4], picows_core=[2, 2, 2], bare_TCP=[0.5, 1, 2]),
        work("server-handshake", "As a server", ours=[8, 8, 8], websockets=[8, 10, 9]),
    ]
    works[1]["failures"] = {"picows core": "no answer"}
    names = ["ours", "websockets", "picows core", "bare TCP"]
    about = {
        "machine": "one core",
        "system": "Linux",
        "load": 0.0,
        "time": "now",
        "python": "3.13",
        "loop": "uvloop",
        "versions": dict.fromkeys(names, "1.0"),
    }
    return {"about": about, "works": works, "targets": targets.compare(works)}


def cells(text, start):
    (found,) = [line for line in text.splitlines() if line.startswith(start)]
    return [cell.strip() for cell in found.strip("|").split("|")]


def test_table_has_ratios_with_their_spread_and_a_dash_for_who_did_not_take_part(data):
    ratios, _ = report.describe(data).split("CPU time, and")
    row = cells(ratios, "| title of client-stream-16")
    assert row[1:] == ["2 µs", "-", "1.00 (0.50 to 2.00)", "0.50 (0.50 to 0.50)"]


def test_table_tells_how_much_time_is_spent_in_the_operating_system(data):
    _, times = report.describe(data).split("CPU time, and")
    row = cells(times, "| title of client-stream-16")
    assert row[1:] == ["2 µs, 25%", "-", "2 µs, 25%", "1 µs, 25%"]


def test_tables_for_pages_have_medians(data):
    (header, [row]), _ = report.compare(data, report.describe_median)
    assert header == ["As a client", "ours", "websockets", "picows core", "bare TCP"]
    assert row == ["title of client-stream-16", "2 µs", "-", "1.00", "0.50"]


def test_report_tells_who_failed(data):
    assert "- title of server-handshake: picows core fails: no answer" in report.describe(data)


def test_picture_is_drawn(data, tmp_path):
    report.plot(data, tmp_path / "results.png")
    assert (tmp_path / "results.png").read_bytes().startswith(b"\x89PNG")


def test_target_is_met_or_missed_by_what_it_costs_more():
    found = verdicts(work("client-stream-16", ours=[10.0], picows_core=[10.0], picows_API=[10.0]))
    title = "As a client: title of client-stream-16"
    assert found[title, "1.25 times picows core"] == (True, "met, 20% below", None, "")
    assert found[title, "half of picows API"] == (False, "missed by 100%", None, "")


def test_verdict_tells_when_the_spread_leaves_it_open():
    (found,) = verdicts(work("broadcast", ours=[1, 1, 1], websockets=[2, 2.4, 4])).values()
    assert found == (False, "missed by 25%, within the spread", None, "")


def test_target_shows_what_bare_tcp_would_get():
    (found,) = verdicts(work("broadcast", ours=[4.0], websockets=[6.0], bare_TCP=[3.0])).values()
    assert found == (False, "missed by 100%", 2.0, "")


def test_target_that_is_missed_by_little_is_not_missed_by_nothing():
    (found,) = verdicts(work("broadcast", ours=[1.001], websockets=[3.0])).values()
    assert found == (False, "missed by 1%", None, "")


def test_best_of_several_peers_counts():
    found = verdicts(work("server-in-flight-256", ours=[1.0], aiohttp=[4.0], Node_ws=[2.5]))
    assert list(found.values()) == [(True, "met, 20% below", None, "Node ws")]


def test_memory_must_be_below_a_number():
    entry = work("memory", targets.MEMORY, ours=[12.0])
    assert list(verdicts(entry).values()) == [(False, "missed by 20%", None, "")]


def test_growth_needs_all_numbers_of_connections():
    works = [work(name, ours=[1.0], bare_TCP=[1.0]) for name in targets.CONNECTIONS]
    works[2] = work(targets.CONNECTIONS[2], ours=[2.0], bare_TCP=[3.0])
    assert list(verdicts(*works).values()) == [(False, "missed by 60%", 3.0, "")]
    assert verdicts(*works[1:]) == {}


def test_pure_kernel_is_judged_by_its_worst_work():
    works = [work("broadcast", websockets=[2.0]), work("client-stream-16", websockets=[1.0])]
    for entry, pure in zip(works, [1.0, 1.25], strict=True):
        entry["results"]["ours, pure"] = [pure]
    found = verdicts(*works)
    assert found == {
        ("As a client: title of client-stream-16", "pure kernel ahead of websockets"): (
            False,
            "missed by 25%",
            None,
            "ahead in 1 of 2",
        )
    }
