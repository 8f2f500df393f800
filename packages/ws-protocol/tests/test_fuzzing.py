"""What is fuzzed holds for the seeds, among which is what fuzzing found before."""

import importlib.util
from pathlib import Path

import pytest

DIRECTORY = Path(__file__).resolve().parents[1] / "fuzzing"

spec = importlib.util.spec_from_file_location("fuzzing_targets", DIRECTORY / "targets.py")
targets = importlib.util.module_from_spec(spec)
spec.loader.exec_module(targets)

SEEDS = {
    f"{path.parent.name}-{path.name}": (path.parent.name, path.read_bytes())
    for path in sorted(DIRECTORY.glob("seeds/*/*"))
}


@pytest.fixture
def target(monkeypatch):
    targets.remove_randomness(monkeypatch.setattr)
    # How long it takes is for those who fuzz to look at: here, machines may be busy.
    monkeypatch.setattr(targets, "CPU_SECONDS", float("inf"))
    monkeypatch.setattr(targets, "LARGE", 2**12)
    return targets.TARGETS.__getitem__


def test_every_target_has_seeds():
    assert {name for name, _ in SEEDS.values()} == set(targets.TARGETS)


@pytest.mark.parametrize("name, data", SEEDS.values(), ids=SEEDS.keys())
def test_target_holds_for_seed(name, data, target):
    target(name)(data)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(targets.TARGETS))
def test_target_holds_for_seeds_with_changes(name, target, changes):
    for data in changes([data for seeded, data in SEEDS.values() if seeded == name]):
        target(name)(data)


@pytest.fixture
def changes():
    """Each seed without its end, and with each byte changed, as far as there is time for it."""

    def changes(seeds):
        for data in seeds:
            step = max(1, len(data) // 20)
            for i in range(0, len(data), step):
                yield data[:i]
                for bit in (0, 3, 7):
                    yield data[:i] + bytes([data[i] ^ 1 << bit]) + data[i + 1 :]

    return changes
