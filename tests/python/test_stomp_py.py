# SPDX-License-Identifier: Apache-2.0
"""What stomp.py has beside the protocol: used as its users use it, with its defaults."""

import uuid

import pytest
import stomp

from peers import CLASSES, HOST, PASSWORD, PATIENCE, USER, Inbox


def opened(address, version, **options):
    inbox = Inbox()
    connection = CLASSES[version](address if isinstance(address, list) else [address], **options)
    connection.set_listener("inbox", inbox)
    return connection, inbox


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2"])
def test_the_defaults_count_bodies_and_they_come_back_whole(address, name, version):
    connection, inbox = opened(address, version)
    connection.connect(USER, PASSWORD, wait=True)
    connection.subscribe(f"/queue/{name}", "0")
    connection.send(f"/queue/{name}", "héllo\0there", content_type="text/plain")
    frame = inbox.messages.get(timeout=PATIENCE)
    assert frame.body == "héllo\0there"
    assert frame.headers["content-length"] == str(len("héllo\0there".encode()))
    connection.disconnect()


@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_stomp_opens_a_connection_as_connect_does(address, name, version):
    connection, inbox = opened(address, version, vhost=HOST)
    connection.connect(USER, PASSWORD, wait=True, with_connect_command="STOMP")
    connection.send(f"/queue/{name}", "x", receipt="r")
    assert inbox.receipts.get(timeout=PATIENCE) == "r"
    connection.disconnect()


def test_disconnect_waits_for_its_receipt(address, name):
    connection, inbox = opened(address, "1.2", vhost=HOST)
    waiting = stomp.WaitingListener("bye")
    connection.set_listener("waiting", waiting)
    connection.connect(USER, PASSWORD, wait=True)
    connection.send(f"/queue/{name}", "x", persistent="true")
    connection.disconnect(receipt="bye")
    waiting.wait_on_receipt()
    assert inbox.disconnected.get(timeout=PATIENCE)


def test_of_several_hosts_the_one_that_is_there_is_taken(address, name):
    nobody = ("127.0.0.1", 1)
    connection, inbox = opened([nobody, address], "1.2", vhost=HOST, reconnect_sleep_initial=0.01)
    connection.connect(USER, PASSWORD, wait=True)
    connection.subscribe(f"/queue/{name}", "0")
    connection.send(f"/queue/{name}", "over")
    assert inbox.messages.get(timeout=PATIENCE).body == "over"
    connection.disconnect()


def test_several_subscriptions_share_a_connection_and_are_counted(address, name):
    connection, inbox = opened(address, "1.2", vhost=HOST)
    stats = stomp.StatsListener()
    connection.set_listener("stats", stats)
    connection.connect(USER, PASSWORD, wait=True)
    for kind in ("queue", "topic"):
        connection.subscribe(f"/{kind}/{name}", kind, receipt=kind)
        assert inbox.receipts.get(timeout=PATIENCE) == kind
    for kind in ("queue", "topic"):
        connection.send(f"/{kind}/{name}", kind)
    found = {inbox.messages.get(timeout=PATIENCE).headers["subscription"] for _ in range(2)}
    assert found == {"queue", "topic"}
    assert (stats.messages, stats.errors) == (2, 0)
    connection.disconnect()


@pytest.mark.sabir_only
def test_a_mistake_reaches_the_listener_and_ends_the_connection(address):
    connection, inbox = opened(address, "1.2")
    connection.connect(USER, PASSWORD, wait=True)
    connection.send("/quue/misspelt", "x", receipt=uuid.uuid4().hex)
    frame = inbox.errors.get(timeout=PATIENCE)
    assert "the destination cannot be used" in frame.headers["message"]
    assert "/quue/misspelt" in frame.body
    assert inbox.disconnected.get(timeout=PATIENCE)
