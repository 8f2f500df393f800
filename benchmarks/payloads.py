"""What is sent: the same for all contenders, in every run."""

from __future__ import annotations

import json
import random


def make_payloads(kind: str, size: int) -> list[bytes]:
    """Return payloads.

    Args:
        kind: ``"binary"`` for random bytes, ``"text"`` for text beyond ASCII, ``"json"`` for what
            programs tell one another: different each time, and alike.
        size: How many bytes each has; with ``"json"``, about.

    """
    source = random.Random(size)
    if kind == "binary":
        return [source.randbytes(size)]
    if kind == "text":
        text = "Ωκεανός, the sea; ".encode() * (size // 16 + 1)
        return [text[:size].decode(errors="ignore").encode().ljust(size)]
    payloads = []
    for number in range(64):
        trades: list[dict[str, object]] = []
        while len(json.dumps(trades)) < size - 100:
            trades.append(
                {
                    "symbol": source.choice(["BTC-USD", "ETH-USD", "EUR-USD", "XAU-USD"]),
                    "price": f"{source.uniform(1, 90000):.2f}",
                    "quantity": round(source.expovariate(1), 6),
                    "side": source.choice(["buy", "sell"]),
                    "trade_id": source.randrange(10**9),
                }
            )
        payloads.append(json.dumps({"channel": "trades", "n": number, "data": trades}).encode())
    return payloads
