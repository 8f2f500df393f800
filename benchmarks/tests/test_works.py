"""Tests of all works, with those contenders that need nothing but this project."""

import sys
from contextlib import contextmanager

import pytest
from contenders import CONTENDERS, HERE
from processes import ProcessFailed
from run import Machine, allow_files, find_count, make_certificate, measure, measure_memory
from works import WORKS, Cpu, Work

# More connections don't show more, and take long.
CONNECTIONS = 1000
FEW = [work for work in WORKS if work.connections <= CONNECTIONS]
BY_NAME = {contender.name: contender for contender in CONTENDERS}


@pytest.fixture(scope="session")
def machine(tmp_path_factory):
    """What starts contenders, in the environment of the tests."""
    assert allow_files(CONNECTIONS) >= CONNECTIONS
    commands = {
        contender.name: [sys.executable, str(HERE / "subject.py"), contender.subject]
        for contender in CONTENDERS
        if contender.environment == "ours"
    }
    counterpart = [sys.executable, str(HERE / "counterpart.py")]
    certificate = make_certificate(str(tmp_path_factory.mktemp("certificate")))
    return Machine(commands, counterpart, "uvloop", certificate)


@pytest.fixture(scope="module", params=["ours", "ours, legacy", "bare TCP"])
def pair(machine, request):
    """A contender and its counterpart."""
    pair = machine.start(BY_NAME[request.param])
    yield pair
    pair.kill()


@pytest.fixture
def start(machine):
    """Start a contender, for one test."""
    pairs = []

    def start(name):
        pairs.append(machine.start(BY_NAME[name]))
        return pairs[-1]

    yield start
    for pair in pairs:
        pair.kill()


@pytest.mark.slow
@pytest.mark.parametrize("work", FEW, ids=lambda work: work.name)
def test_contender_does_each_work_and_tells_its_time(pair, work):
    with work.prepare(pair) as turn:
        # More than the 64 that may be in flight.
        for count in (2, 100) if work.connections == 1 else (2,):
            cpu = turn(count)
            assert cpu.total > 0
            assert cpu.system >= 0


@pytest.mark.slow
def test_memory_of_connections_is_measured(start):
    # A connection of which nothing was kept would take less.
    assert measure_memory(start("ours"), True, 500) > 1024


@pytest.mark.slow
def test_who_fails_is_left_out_and_ends(start):
    pairs = {BY_NAME[name]: start(name) for name in ("bare TCP", "ours")}
    (work,) = [work for work in WORKS if work.name == "server-round-trip-256"]
    pairs[BY_NAME["ours"]].counterpart.kill()
    results, failures = measure(work, pairs, rounds=2, seconds=0.001)
    assert [*results] == ["bare TCP"]
    assert len(results["bare TCP"]) == 2
    assert [*failures] == ["ours"]
    with pytest.raises(ProcessFailed, match="ended"):
        pairs[BY_NAME["ours"]].subject.call("cpu")


def test_who_fails_in_a_later_turn_is_left_out_too():
    class Processes:
        alive = True

        def kill(self):
            self.alive = False

        def call(self):
            if not self.alive:
                raise ProcessFailed("ended")

    good, bad = Processes(), Processes()

    @contextmanager
    def prepare(pair):
        turns = [Cpu(1, 0)] * (4 if pair is good else 2)

        def turn(count):
            if not turns:
                raise ProcessFailed("no answer")
            return turns.pop()

        try:
            yield turn
        finally:
            pair.call()

    work = Work("a", "b", "c", prepare, limit=1)
    pairs = {BY_NAME["ours"]: bad, BY_NAME["websockets"]: good}
    results, failures = measure(work, pairs, rounds=3, seconds=1)
    assert results == {"websockets": [Cpu(1, 0)] * 3}
    assert failures == {"ours": "no answer"}
    assert (good.alive, bad.alive) == (True, False)


@pytest.mark.slow
def test_errors_of_a_process_are_told(start):
    pair = start("bare TCP")
    with pytest.raises(ProcessFailed, match=r"^open: ConnectionRefusedError: "):
        pair.subject.call("open", url="ws://127.0.0.1:1/", size=1)
    assert pair.subject.call("memory")["memory"] > 0


@pytest.mark.parametrize("limit, expected", [(10**6, 500), (100, 100)])
def test_contender_does_a_work_as_often_as_it_takes_time(limit, expected):
    work = Work("a", "b", "c", NotImplemented, limit=limit)
    turns = []

    def turn(count):
        turns.append(count)
        return Cpu(count * 0.002, 0)

    assert find_count(work, turn, seconds=1, warm_up=0) == expected
    assert turns == [4, 32]
