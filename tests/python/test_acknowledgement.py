# SPDX-License-Identifier: Apache-2.0
"""Acknowledging, transactions, durable subscriptions."""

import os

import pytest

DEAD_LETTERS = os.environ.get("STOMP_DLQ", "/queue/ActiveMQ.DLQ")
versions = pytest.mark.parametrize("version", ["1.0", "1.1", "1.2"])
later_versions = pytest.mark.parametrize("version", ["1.1", "1.2"])


def fill(client, name, count, **headers):
    for number in range(count):
        client.send(f"/queue/{name}", str(number), headers=headers)


@versions
def test_what_was_not_acknowledged_comes_again_and_says_so(connect, name, version):
    first, second = connect(version), connect(version)
    fill(first, name, 3)
    first.subscribe(f"/queue/{name}", ack="client")
    frames = [first.message() for _ in range(3)]
    first.ack(frames[0])
    first.break_off()
    second.subscribe(f"/queue/{name}")
    again = [second.message() for _ in range(2)]
    assert [frame.body for frame in again] == ["1", "2"]
    assert all(frame.headers.get("redelivered") == "true" for frame in again)
    second.nothing()


@versions
def test_client_acknowledges_all_before(connect, name, version):
    first, second = connect(version), connect(version)
    fill(first, name, 5)
    first.subscribe(f"/queue/{name}", ack="client")
    frames = [first.message() for _ in range(5)]
    first.ack(frames[3])
    first.close()
    second.subscribe(f"/queue/{name}")
    assert second.message().body == "4"
    second.nothing()


@versions
def test_client_individual_acknowledges_one(connect, name, version):
    first, second = connect(version), connect(version)
    fill(first, name, 4)
    first.subscribe(f"/queue/{name}", ack="client-individual")
    frames = [first.message() for _ in range(4)]
    first.ack(frames[1])
    first.ack(frames[3])
    first.close()
    second.subscribe(f"/queue/{name}")
    assert sorted(second.bodies(2)) == ["0", "2"]
    second.nothing()


@versions
def test_the_window_limits_what_is_in_flight(connect, name, version):
    client = connect(version)
    fill(client, name, 5)
    client.subscribe(f"/queue/{name}", ack="client-individual", headers={"activemq.prefetchSize": "2"})
    first, second = client.message(), client.message()
    client.nothing()
    client.ack(first)
    client.message()
    client.nothing()
    client.ack(second)
    client.message()


@pytest.mark.sabir_only
def test_prefetch_count_is_the_same_as_rabbitmq_spells_it(connect, name):
    client = connect()
    fill(client, name, 3)
    client.subscribe(f"/queue/{name}", ack="client", headers={"prefetch-count": "1"})
    frame = client.message()
    client.nothing()
    client.ack(frame)
    client.message()


@later_versions
def test_nack_sends_to_the_dead_letters(connect, name, version):
    client, dead = connect(version), connect(version)
    fill(client, name, 1, persistent="true", marker=name)
    client.subscribe(f"/queue/{name}", ack="client-individual")
    client.nack(client.message())
    client.nothing()
    dead.subscribe(DEAD_LETTERS, headers={"selector": f"marker = '{name}'"})
    frame = dead.message()
    assert frame.body == "0"
    assert frame.headers["original-destination"] == f"/queue/{name}"
    if os.environ.get("STOMP_PEER", "sabir") == "sabir":
        assert "NACK" in frame.headers["dlqDeliveryFailureCause"]


@pytest.mark.sabir_only
@later_versions
def test_nack_with_requeue_gives_it_back(connect, name, version):
    client = connect(version)
    fill(client, name, 1)
    client.subscribe(f"/queue/{name}", ack="client-individual")
    client.nack(client.message(), requeue="true")
    again = client.message()
    assert again.headers["redelivered"] == "true"
    client.ack(again)


@versions
def test_a_transaction_shows_all_or_nothing(connect, name, version):
    client, watcher = connect(version), connect(version)
    watcher.subscribe(f"/queue/{name}.a", "a")
    watcher.subscribe(f"/queue/{name}.b", "b")
    transaction = client.begin()
    client.send(f"/queue/{name}.a", "1", headers={"transaction": transaction})
    client.send(f"/queue/{name}.b", "2", headers={"transaction": transaction})
    watcher.nothing()
    client.commit(transaction)
    assert sorted(watcher.bodies(2)) == ["1", "2"]
    transaction = client.begin()
    client.send(f"/queue/{name}.a", "3", headers={"transaction": transaction})
    client.abort(transaction)
    watcher.nothing()


@versions
def test_an_acknowledgement_counts_with_its_transaction(connect, name, version):
    client, other = connect(version), connect(version)
    fill(client, name, 2)
    client.subscribe(f"/queue/{name}", ack="client-individual")
    frames = [client.message(), client.message()]
    transaction = client.begin()
    client.ack(frames[0], transaction=transaction)
    client.commit(transaction)
    transaction = client.begin()
    client.ack(frames[1], transaction=transaction)
    client.abort(transaction)
    client.close()
    other.subscribe(f"/queue/{name}")
    assert other.message().body == "1"
    other.nothing()


def test_a_connection_that_is_gone_has_committed_nothing(connect, name):
    client, watcher = connect(), connect()
    transaction = client.begin()
    client.send(f"/queue/{name}", "x", headers={"transaction": transaction})
    client.break_off()
    watcher.subscribe(f"/queue/{name}")
    watcher.nothing()


@later_versions
@pytest.mark.parametrize("header", ["activemq.subscriptionName", "activemq.subcriptionName"])
def test_a_durable_subscription_collects_while_its_client_is_away(connect, name, version, header):
    if header == "activemq.subcriptionName" and os.environ.get("STOMP_PEER") == "activemq":
        pytest.skip("that spelling is for UNSUBSCRIBE of old clients")
    durable = {header: f"{name}-sub"}
    client = connect(version, client_id=name)
    client.subscribe(f"/topic/{name}", headers=durable)
    client.close()
    sender = connect(version)
    sender.send(f"/topic/{name}", "missed", headers={"persistent": "true"})
    client = connect(version, client_id=name)
    client.subscribe(f"/topic/{name}", headers=durable)
    assert client.message().body == "missed"
    client.unsubscribe("0")
    sender.send(f"/topic/{name}", "missed too", headers={"persistent": "true"})
    client.subscribe(f"/topic/{name}", headers=durable)
    assert client.message().body == "missed too"
    client.unsubscribe("0")
    client.unsubscribe("0", headers=durable)
    sender.send(f"/topic/{name}", "for nobody", headers={"persistent": "true"})
    client.subscribe(f"/topic/{name}", headers=durable)
    client.nothing()


@pytest.mark.sabir_only
def test_durable_as_rabbitmq_spells_it_needs_no_client_id(connect, name):
    durable = {"durable": "true", "auto-delete": "false"}
    client = connect()
    client.subscribe(f"/topic/{name}", name, headers=durable)
    client.close()
    sender = connect()
    sender.send(f"/topic/{name}", "missed", headers={"persistent": "true"})
    client = connect()
    client.subscribe(f"/topic/{name}", name, headers=durable)
    assert client.message().body == "missed"
    client.unsubscribe(name, headers=durable)
    sender.send(f"/topic/{name}", "for nobody", headers={"persistent": "true"})
    client.subscribe(f"/topic/{name}", name, headers=durable)
    client.nothing()


@pytest.mark.sabir_only
def test_durable_as_rabbitmq_spells_it_is_shared_by_id_and_destination(connect, name):
    durable = {"durable": "true", "auto-delete": "false", "activemq.prefetchSize": "1"}
    one, two, other, passing = connect(), connect(), connect(), connect()
    one.subscribe(f"/topic/{name}", "1", ack="client-individual", headers=durable)
    two.subscribe(f"/topic/{name}", "1", ack="client-individual", headers=durable)
    other.subscribe(f"/topic/{name}.other", "1", headers=durable)
    passing.subscribe(f"/topic/{name}", "1", headers={"durable": "false", "auto-delete": "true"})
    sender = connect()
    for body in ("a", "b"):
        sender.send(f"/topic/{name}", body, headers={"persistent": "true"})
    sender.send(f"/topic/{name}.other", "c")
    assert sorted([one.message().body, two.message().body]) == ["a", "b"]
    assert passing.bodies(2) == ["a", "b"]
    assert other.message().body == "c"
    for client in (one, two, other, passing):
        client.nothing(0.1)
    for client in (one, other):
        client.unsubscribe("1", headers=durable)


def test_after_unsubscribe_nothing_comes(connect, name):
    client = connect()
    client.subscribe(f"/queue/{name}")
    client.unsubscribe()
    client.send(f"/queue/{name}", "x")
    client.nothing()
    client.subscribe(f"/queue/{name}")
    assert client.message().body == "x"


def test_disconnect_with_receipt_covers_what_was_sent_before(connect, name):
    client = connect()
    for number in range(100):
        client.connection.send(f"/queue/{name}", str(number), headers={"persistent": "true"})
    client.connection.disconnect(receipt="bye")
    assert client.inbox.receipts.get(timeout=10) == "bye"
    other = connect()
    other.subscribe(f"/queue/{name}")
    assert len(other.bodies(100)) == 100


@pytest.mark.own_broker
def test_what_was_confirmed_survives_kill_9(own_broker, connect, name):
    confirmed = 0
    for round_number in range(3):
        client = connect(address=own_broker.address)
        for number in range(50):
            client.send(f"/queue/{name}", f"{round_number}-{number}", headers={"persistent": "true"})
            confirmed += 1
        own_broker.kill()
        own_broker.start()
    client = connect(address=own_broker.address)
    client.subscribe(f"/queue/{name}", ack="client")
    frames = [client.message() for _ in range(confirmed)]
    assert [frame.body for frame in frames] == [f"{r}-{n}" for r in range(3) for n in range(50)]
    client.ack(frames[99])
    own_broker.kill()
    own_broker.start()
    client = connect(address=own_broker.address)
    client.subscribe(f"/queue/{name}")
    assert client.bodies(50) == [f"2-{n}" for n in range(50)]


@pytest.mark.own_broker
def test_a_durable_subscription_survives_kill_9_and_a_temporary_queue_does_not(own_broker, connect, name):
    client = connect(address=own_broker.address, client_id="desk")
    client.subscribe(f"/topic/{name}", headers={"activemq.subscriptionName": "news"})
    client.send(f"/topic/{name}", "x", headers={"persistent": "true"})
    client.message()
    client.unsubscribe()
    client.send(f"/topic/{name}", "y", headers={"persistent": "true"})
    own_broker.kill()
    own_broker.start()
    client = connect(address=own_broker.address, client_id="desk")
    client.subscribe(f"/topic/{name}", headers={"activemq.subscriptionName": "news"})
    assert client.message().body == "y"
