# SPDX-License-Identifier: Apache-2.0
"""What the broker has stored, read by a program that knows docs/journal-format.md alone."""

import pytest

from journal_reader import Damaged, Journal
from peers import Client

pytestmark = [pytest.mark.sabir_only, pytest.mark.own_broker]


def bodies_of(journal):
    return [journal.read(log, seq)[1] for log, entries in journal.entries.items() for seq in sorted(entries)]


@pytest.mark.parametrize("pointer", [True, False], ids=["by the pointer", "without the pointer"])
def test_a_second_reader_finds_what_was_confirmed_and_not_acknowledged_when_the_broker_was_killed(own_broker, name, pointer):
    sizes = [10, 5_000, 70_000, 300_000]
    for run in range(2):
        client = Client(own_broker.address)
        for size in sizes:
            client.send(f"/queue/{name}", f"<{run}-{size}>" + "x" * size, {"persistent": "true"})
        if run == 0:
            client.subscribe(f"/queue/{name}", ack="client-individual")
            client.ack(client.message())
            # The end of a run writes a checkpoint; what comes after it has none.
            own_broker.stop()
            own_broker.start()
    own_broker.kill()
    folder = own_broker.data / "journal"
    if not pointer:
        (folder / "checkpoint").unlink()
    stored = bodies_of(Journal(folder))
    found = {(run, size) for run in range(2) for size in sizes if any(f"<{run}-{size}>".encode() in one for one in stored)}
    assert found == {(run, size) for run in range(2) for size in sizes} - {(0, 10)}
    for run, size in found:
        assert any(one.count(b"x") >= size and f"<{run}-{size}>".encode() in one for one in stored), (run, size)


def test_a_second_reader_mends_what_is_no_record_and_names_a_damaged_one(own_broker, name):
    client = Client(own_broker.address)
    for number in range(20):
        client.send(f"/queue/{name}", f"<{number}>" + "y" * 500, {"persistent": "true"})
    own_broker.kill()
    folder = own_broker.data / "journal"
    path = max(folder.glob("data-*.sjl"), key=lambda path: path.read_bytes().count(b"y"))
    whole, found = path.read_bytes(), bodies_of(Journal(folder))
    used = len(whole.rstrip(b"\0"))
    lost = 0
    for at in range(0, used, max(1, used // 200)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        try:
            assert bodies_of(Journal(folder)) == found, at
        except Damaged as damaged:
            # Only a record has no second copy.
            assert "record" in str(damaged), at
            lost += 1
    assert 0 < lost < 200
