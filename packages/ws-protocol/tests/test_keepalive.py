import pytest

from ws_protocol.exceptions import ConcurrencyError
from ws_protocol.keepalive import Action, Keepalive, PendingPings

NOTHING, PING, FAIL = Action

# Pings that wait for their pongs


def pending(*payloads):
    """Return pings sent at times 0, 1, 2 ..., each with its payload in upper case as waiter."""
    pings = PendingPings()
    for time, payload in enumerate(payloads):
        pings.add(pings.choose_payload(payload), payload.decode().upper(), float(time))
    return pings


def test_no_pings_wait_at_first():
    pings = PendingPings()
    assert len(pings) == 0
    assert pings.acknowledge(b"", 0.0) == []
    assert pings.clear() == []


def test_pong_answers_its_ping():
    pings = pending(b"a")
    assert len(pings) == 1
    assert pings.acknowledge(b"a", 10.0) == [("A", 10.0)]
    assert len(pings) == 0


def test_pong_answers_the_pings_before_its_own():
    pings = pending(b"a", b"b", b"c", b"d")
    assert pings.acknowledge(b"c", 10.0) == [("A", 10.0), ("B", 9.0), ("C", 8.0)]
    assert len(pings) == 1
    assert pings.acknowledge(b"d", 10.0) == [("D", 7.0)]


def test_pongs_in_order_answer_one_ping_each():
    pings = pending(b"a", b"b", b"c")
    assert [pings.acknowledge(payload, 10.0) for payload in (b"a", b"b", b"c")] == [
        [("A", 10.0)],
        [("B", 9.0)],
        [("C", 8.0)],
    ]


def test_pong_costs_no_more_when_many_other_pings_wait(traced):
    pings = pending(*(b"%d" % number for number in range(10_000)))
    with traced() as memory:
        for number in range(10):
            assert pings.acknowledge(b"%d" % number, 10_000.0) == [(f"{number}", 10_000.0 - number)]
        _, peak = memory()
    assert peak < 10_000
    assert len(pings) == 9_990


@pytest.mark.parametrize("payload", [b"", b"x", b"A"])
def test_unsolicited_pong_answers_nothing(payload):
    pings = pending(b"a", b"b")
    assert pings.acknowledge(payload, 10.0) == []
    assert len(pings) == 2


def test_duplicate_pong_answers_nothing():
    pings = pending(b"a", b"b")
    assert pings.acknowledge(b"a", 10.0) == [("A", 10.0)]
    assert pings.acknowledge(b"a", 11.0) == []
    assert len(pings) == 1


def test_pong_that_comes_after_that_of_a_later_ping_answers_nothing():
    pings = pending(b"a", b"b")
    assert len(pings.acknowledge(b"b", 10.0)) == 2
    assert pings.acknowledge(b"a", 11.0) == []


def test_pings_are_taken_out_when_no_pong_will_come():
    pings = pending(b"a", b"b", b"c")
    pings.acknowledge(b"a", 10.0)
    assert pings.clear() == ["B", "C"]
    assert len(pings) == 0
    assert pings.acknowledge(b"b", 11.0) == []


def test_latest_pings_that_nobody_waits_for_are_kept():
    pings = PendingPings()
    for data, waiter in [(b"a", None), (b"b", "B"), (b"c", None), (b"d", None)]:
        pings.add(data, waiter, 0.0)
    pings.forget_unawaited(3)
    assert len(pings) == 4
    pings.forget_unawaited(1)
    assert pings.acknowledge(b"c", 1.0) == []
    # Its payload is free again.
    assert pings.choose_payload(b"a") == b"a"
    assert pings.acknowledge(b"d", 1.0) == [("B", 1.0), (None, 1.0)]


def test_payload_cannot_be_used_twice_at_a_time():
    pings = pending(b"a")
    with pytest.raises(ConcurrencyError) as raised:
        pings.choose_payload(b"a")
    assert str(raised.value) == "already waiting for a pong with the same data"
    pings.acknowledge(b"a", 1.0)
    assert pings.choose_payload(b"a") == b"a"


def test_payload_may_be_empty():
    pings = PendingPings()
    pings.add(pings.choose_payload(b""), "waiter", 0.0)
    assert pings.acknowledge(b"", 1.0) == [("waiter", 1.0)]


def test_random_payloads_differ():
    pings = PendingPings()
    for time in range(100):
        payload = pings.choose_payload()
        assert len(payload) == 4
        pings.add(payload, None, float(time))
    assert len(pings) == 100


def test_random_payload_is_not_one_that_is_in_use(monkeypatch):
    random = iter([b"aaaa", b"bbbb", b"cccc"])
    monkeypatch.setattr("os.urandom", lambda size: next(random))
    assert pending(b"aaaa", b"bbbb").choose_payload() == b"cccc"


# Keepalive


def run(keepalive, *steps):
    """Run steps: a time to tick at and the action expected, or what else happens at a time."""
    for time, step in steps:
        if isinstance(step, Action):
            assert (time, keepalive.tick(float(time))) == (time, step)
        elif step == "start":
            keepalive.start(float(time))
        elif step == "heard":
            keepalive.heard = True
        elif step == "pause":
            keepalive.pause()
        elif step == "resume":
            keepalive.resume(float(time))
        elif step == "stop":
            keepalive.stop()
        else:
            _, deadline = step
            assert (time, keepalive.deadline) == (time, deadline)


def due(deadline):
    return "deadline", deadline


def test_nothing_is_due_before_the_start():
    assert Keepalive(20, 20).deadline is None


@pytest.mark.parametrize("timeout", [None, 20])
def test_nothing_is_ever_due_without_an_interval(timeout):
    keepalive = Keepalive(None, timeout)
    run(
        keepalive,
        (0, "start"),
        (0, due(None)),
        (1000, NOTHING),
        (1000, "pause"),
        (1000, due(None)),
        (2000, "resume"),
        (2000, due(None)),
        (3000, NOTHING),
        (3000, due(None)),
    )


TABLES = {
    "first ping after the interval": (
        (20, 20),
        [(100, "start"), (100, due(120)), (120, PING), (120, due(140))],
    ),
    "ping every interval, whenever the answers come": (
        (20, 20),
        [
            (0, "start"),
            (20, PING),
            (21, "heard"),
            (40, PING),
            (40, due(60)),
            (59, "heard"),
            (60, PING),
        ],
    ),
    "nothing to do early": (
        (20, 20),
        [
            (0, "start"),
            (5, NOTHING),
            (5, due(20)),
            (20, PING),
            (39, NOTHING),
            (39, due(40)),
        ],
    ),
    "no answer, with a timeout as long as the interval": (
        (20, 20),
        [(0, "start"), (20, PING), (40, FAIL), (40, due(None))],
    ),
    "no answer, with a shorter timeout": (
        (20, 5),
        [(0, "start"), (20, PING), (20, due(25)), (25, FAIL), (25, due(None))],
    ),
    "an answer, with a shorter timeout": (
        (20, 5),
        [(0, "start"), (20, PING), (24, "heard"), (25, NOTHING), (25, due(40)), (40, PING)],
    ),
    "no answer, with a longer timeout": (
        (20, 50),
        [
            (0, "start"),
            (20, PING),
            (40, PING),
            (60, PING),
            (60, due(70)),
            (70, FAIL),
        ],
    ),
    "an answer after several pings, with a longer timeout": (
        (20, 50),
        [
            (0, "start"),
            (20, PING),
            (40, PING),
            (60, PING),
            (69, "heard"),
            (70, NOTHING),
            (70, due(80)),
            (80, PING),
            (80, due(100)),
            (100, PING),
            (120, PING),
            (120, due(130)),
            (130, FAIL),
        ],
    ),
    "no timeout": (
        (20, None),
        [(0, "start"), (20, PING), (40, PING), (60, PING), (60, due(80)), (1000, PING)],
    ),
    "what was heard before a ping does not count": (
        (20, 20),
        [(0, "start"), (19, "heard"), (20, PING), (40, FAIL)],
    ),
    "silence after an answer": (
        (20, 20),
        [(0, "start"), (20, PING), (21, "heard"), (40, PING), (60, FAIL)],
    ),
    "nothing after the end": (
        (20, 20),
        [
            (0, "start"),
            (20, PING),
            (21, "stop"),
            (21, due(None)),
            (40, NOTHING),
            (40, due(None)),
            (40, "pause"),
            (40, "resume"),
            (40, due(None)),
        ],
    ),
    "nothing after a failure": (
        (20, 20),
        [(0, "start"), (20, PING), (40, FAIL), (60, NOTHING), (80, NOTHING)],
    ),
    "a ping that is late": (
        (20, 20),
        [(0, "start"), (35, PING), (35, due(55)), (55, FAIL)],
    ),
    "a late tick gives what may wait unread a chance": (
        (20, 5),
        [
            (0, "start"),
            (20, PING),
            # Suspended from 20 to 100. The ping is late, too, and leaves at once.
            (100, PING),
            (100, due(100.5)),
            (100.5, FAIL),
        ],
    ),
    "a late tick, and the answer was there unread": (
        (20, 5),
        [
            (0, "start"),
            (20, PING),
            (100, PING),
            (100.1, "heard"),
            (100.5, NOTHING),
            (100.5, due(120)),
        ],
    ),
    "a late tick again": (
        (20, 5),
        [
            (0, "start"),
            (20, PING),
            (25.5, NOTHING),
            (25.5, due(26)),
            (26.5, NOTHING),
            (26.5, due(27)),
            (27.25, FAIL),
        ],
    ),
    "a tick that is a little late": (
        (20, 5),
        [(0, "start"), (20, PING), (25.25, FAIL)],
    ),
    "no failure while this side does not read": (
        (20, 5),
        [
            (0, "start"),
            (20, PING),
            (21, "pause"),
            (21, due(40)),
            (26, NOTHING),
            # Neither do pings pile up.
            (40, NOTHING),
            (40, due(60)),
            (60, NOTHING),
            (61, "resume"),
            (61, due(66)),
            (66, FAIL),
        ],
    ),
    "no failure at the time of a ping while this side does not read": (
        (20, 20),
        [(0, "start"), (20, PING), (21, "pause"), (40, NOTHING), (41, "resume"), (41, due(60))],
    ),
    "no failure by a timer that was set before the pause": (
        (20, 5),
        [(0, "start"), (20, PING), (21, "pause"), (25, NOTHING), (25, due(40))],
    ),
    "a ping during a pause after an answer": (
        (20, 5),
        [(0, "start"), (20, PING), (21, "heard"), (22, "pause"), (40, PING), (60, NOTHING)],
    ),
    "what is read after a pause counts": (
        (20, 5),
        [
            (0, "start"),
            (20, PING),
            (21, "pause"),
            (61, "resume"),
            (61, "heard"),
            # The ping that was left out during the pause is due.
            (66, PING),
            (66, due(71)),
        ],
    ),
    "one ping during a pause": (
        (20, 5),
        [
            (0, "start"),
            (1, "pause"),
            (20, PING),
            (20, due(40)),
            (40, NOTHING),
            (60, NOTHING),
            (70, "resume"),
            (70, due(75)),
            (74, "heard"),
            (75, NOTHING),
            (75, due(80)),
            (80, PING),
        ],
    ),
    "one ping during a pause, without a timeout": (
        (20, None),
        [
            (0, "start"),
            (1, "pause"),
            (20, PING),
            (40, NOTHING),
            (41, "resume"),
            (41, due(60)),
            (60, PING),
        ],
    ),
    "ping after a pause without an unanswered ping": (
        (20, 5),
        [(0, "start"), (1, "pause"), (2, "resume"), (2, due(20)), (20, PING), (20, due(25))],
    ),
}


@pytest.mark.parametrize("settings, steps", TABLES.values(), ids=TABLES.keys())
def test_keepalive_does_what_is_due(settings, steps):
    run(Keepalive(*settings), *steps)


@pytest.mark.parametrize("interval", [None, 20])
def test_keepalive_tells_whether_it_is_paused(interval):
    keepalive = Keepalive(interval, 20)
    assert keepalive.paused is False
    keepalive.start(0.0)
    assert keepalive.paused is False
    keepalive.pause()
    assert keepalive.paused is True
    keepalive.tick(20.0)
    assert keepalive.paused is True
    keepalive.resume(30.0)
    assert keepalive.paused is False


def test_settings_stay_readable():
    keepalive = Keepalive(20, 10)
    assert (keepalive.ping_interval, keepalive.ping_timeout) == (20, 10)


def test_peer_that_answers_is_never_given_up():
    keepalive = Keepalive(20, 20)
    keepalive.start(0.0)
    pings = 0
    for _ in range(100):
        assert keepalive.deadline is not None
        now = keepalive.deadline
        action = keepalive.tick(now)
        assert action is PING
        pings += 1
        assert keepalive.deadline > now
        keepalive.heard = True
    assert pings == 100


def test_each_deadline_is_later_than_the_one_before():
    # Else timers would fire over and over.
    for interval, timeout in [(20, 20), (20, 5), (20, 50), (20, None), (0.1, 0.1)]:
        keepalive = Keepalive(interval, timeout)
        keepalive.start(0.0)
        now = 0.0
        while keepalive.deadline is not None and now < 1000 * interval:
            assert keepalive.deadline > now
            now = keepalive.deadline
            keepalive.tick(now)
        assert timeout is None or now <= interval + timeout + 1


@pytest.mark.parametrize("ping_interval", [0, -1, 0.0])
def test_interval_must_be_positive(ping_interval):
    with pytest.raises(ValueError, match="ping_interval must be positive, or None"):
        Keepalive(ping_interval, 20)
