# SPDX-License-Identifier: Apache-2.0
"""Sending and receiving, in every version."""

import os
import time

import pytest

from peers import until

VERSIONS = ["1.0", "1.1", "1.2"]
versions = pytest.mark.parametrize("version", VERSIONS)


@versions
def test_a_message_arrives_once_with_its_body(connect, name, version):
    client = connect(version)
    client.subscribe(f"/queue/{name}")
    client.send(f"/queue/{name}", "hello wörld")
    frame = client.message()
    assert frame.body == "hello wörld"
    assert frame.headers["destination"] == f"/queue/{name}"
    assert frame.headers["message-id"]
    client.nothing()


@versions
def test_messages_keep_their_order(connect, name, version):
    client = connect(version)
    for number in range(200):
        client.connection.send(f"/queue/{name}", str(number))
    client.subscribe(f"/queue/{name}")
    assert client.bodies(200) == [str(number) for number in range(200)]


@versions
def test_a_body_with_content_length_may_hold_nul(connect, name, version):
    client = connect(version)
    client.subscribe(f"/queue/{name}")
    body = bytes(range(256)).decode("latin-1")
    client.send(f"/queue/{name}", body, headers={"content-length": len(body.encode())})
    frame = client.message()
    assert frame.body == body
    assert int(frame.headers["content-length"]) == len(body.encode())


@versions
def test_an_empty_body_is_a_body(connect, name, version):
    client = connect(version)
    client.subscribe(f"/queue/{name}")
    client.send(f"/queue/{name}", "")
    assert not client.message().body


@pytest.mark.parametrize("size", [4095, 4096, 65_000, 70_000, 1_000_000])
@pytest.mark.parametrize("counted", [True, False])
def test_large_bodies_arrive_whole(connect, name, size, counted):
    client = connect("1.2")
    client.subscribe(f"/queue/{name}")
    body = os.urandom(size // 2).hex().ljust(size, "x")
    headers = {"content-length": size} if counted else {}
    client.send(f"/queue/{name}", body, headers=headers)
    assert client.message().body == body


@versions
def test_headers_of_the_application_come_back(connect, name, version):
    client = connect(version)
    client.subscribe(f"/queue/{name}")
    headers = {"region": "EU", "count": "42", "note": "grüße"}
    if version != "1.0":
        headers["odd"] = "a:b\\c\nd"
    client.send(f"/queue/{name}", "x", headers=headers)
    found = client.message().headers
    assert {key: found[key] for key in headers} == headers


@versions
def test_standard_headers_come_back(connect, name, version):
    client = connect(version)
    client.subscribe(f"/queue/{name}")
    expires = int(time.time() * 1000) + 60_000
    headers = {
        "persistent": "true",
        "priority": "7",
        "expires": str(expires),
        "correlation-id": "c-1",
        "type": "order",
        "reply-to": "/queue/replies",
    }
    client.send(f"/queue/{name}", "x", headers=headers, content_type="text/plain")
    found = client.message().headers
    assert {key: found[key] for key in headers} == headers
    assert found["content-type"] == "text/plain"
    assert abs(int(found["timestamp"]) - time.time() * 1000) < 60_000


@versions
def test_reserved_headers_cannot_be_forged(connect, name, version):
    client = connect(version)
    client.subscribe(f"/queue/{name}")
    client.send(f"/queue/{name}", "x", headers={"message-id": "forged", "redelivered": "true", "JMSXUserID": "root"})
    found = client.message().headers
    assert found["message-id"] != "forged"
    assert found.get("redelivered") != "true"
    assert found.get("JMSXUserID") != "root"


def test_messages_share_a_queue_and_every_subscription_of_a_topic_has_its_own(connect, name):
    one, two, sender = connect(), connect(), connect()
    for client in (one, two):
        client.subscribe(f"/queue/{name}", "q", headers={"activemq.prefetchSize": "1"})
        client.subscribe(f"/topic/{name}", "t")
    for number in range(20):
        sender.send(f"/queue/{name}", f"q{number}")
    until(lambda: one.inbox.messages.qsize() + two.inbox.messages.qsize() == 20)
    shared = []
    for client in (one, two):
        mine = [client.inbox.messages.get_nowait().body for _ in range(client.inbox.messages.qsize())]
        assert mine
        shared += mine
    assert sorted(shared) == sorted(f"q{number}" for number in range(20))
    sender.send(f"/topic/{name}", "news")
    assert (one.message().body, two.message().body) == ("news", "news")


def test_a_topic_forgets_what_nobody_listens_to(connect, name):
    client = connect()
    client.send(f"/topic/{name}", "early")
    client.subscribe(f"/topic/{name}")
    client.send(f"/topic/{name}", "late")
    assert client.message().body == "late"
    client.nothing()


def test_higher_priorities_come_first(connect, name):
    client = connect()
    if os.environ.get("STOMP_PEER") == "activemq":
        pytest.skip("ActiveMQ orders by priority only where a policy says so")
    for priority in (1, 9, 4):
        client.send(f"/queue/{name}", str(priority), headers={"priority": priority})
    client.subscribe(f"/queue/{name}")
    assert client.bodies(3) == ["9", "4", "1"]


def test_expired_messages_are_not_delivered(connect, name):
    client = connect()
    soon = int(time.time() * 1000) + 200
    client.send(f"/queue/{name}", "short", headers={"expires": soon})
    client.send(f"/queue/{name}", "long")
    time.sleep(0.4)  # tidy: allow(what is tested is that time passes)
    client.subscribe(f"/queue/{name}")
    assert client.message().body == "long"
    client.nothing()


@pytest.mark.sabir_only
def test_expiration_is_a_duration_as_in_rabbitmq(connect, name):
    client = connect()
    client.send(f"/queue/{name}", "short", headers={"expiration": "100"})
    time.sleep(0.3)  # tidy: allow(what is tested is that time passes)
    client.subscribe(f"/queue/{name}")
    client.nothing()


@pytest.mark.sabir_only
def test_scheduled_messages_come_when_they_are_due(connect, name):
    client = connect()
    client.subscribe(f"/queue/{name}")
    begin = time.monotonic()
    client.send(f"/queue/{name}", "later", headers={"AMQ_SCHEDULED_DELAY": "700"})
    client.nothing(0.4)
    assert client.message().body == "later"
    assert 0.65 < time.monotonic() - begin < 5


def test_a_composite_destination_is_all_of_them(connect, name):
    client = connect()
    client.subscribe(f"/queue/{name}.a", "a")
    client.subscribe(f"/queue/{name}.b", "b")
    client.send(f"/queue/{name}.a,{name}.b", "x")
    frames = [client.message() for _ in range(2)]
    assert sorted((frame.headers["subscription"], frame.headers["destination"]) for frame in frames) == [
        ("a", f"/queue/{name}.a"),
        ("b", f"/queue/{name}.b"),
    ]
    client.nothing()


@pytest.mark.sabir_only
def test_a_composite_destination_may_mix_queues_and_topics(connect, name):
    client = connect()
    client.subscribe(f"/queue/{name}.a", "a")
    client.subscribe(f"/queue/{name}.b", "b")
    client.subscribe(f"/topic/{name}.c", "c")
    client.send(f"/queue/{name}.a,queue://{name}.b,topic://{name}.c", "x")
    frames = [client.message() for _ in range(3)]
    assert sorted(frame.headers["subscription"] for frame in frames) == ["a", "b", "c"]
    client.nothing()


def test_wildcards_match_words(connect, name):
    client = connect()
    client.subscribe(f"/topic/{name}.*.end", "star")
    client.subscribe(f"/topic/{name}.>", "rest")
    expected = {"x.end": ["rest", "star"], "x.y.end": ["rest"], "x": ["rest"]}
    for suffix, subscriptions in expected.items():
        client.send(f"/topic/{name}.{suffix}", suffix)
        frames = [client.message() for _ in subscriptions]
        assert sorted(frame.headers["subscription"] for frame in frames) == subscriptions
        assert {frame.headers["destination"] for frame in frames} == {f"/topic/{name}.{suffix}"}
    client.send(f"/topic/{name}", "the name itself")
    assert client.message().headers["subscription"] == "rest"
    client.nothing()


@versions
def test_selectors_choose(connect, name, version):
    client = connect(version)
    client.subscribe(f"/queue/{name}", headers={"selector": "region = 'EU' AND amount > 10"})
    for region, amount in (("EU", 5), ("US", 50), ("EU", 50)):
        client.send(f"/queue/{name}", f"{region}{amount}", headers={"region": region, "amount": amount})
    assert client.message().body == "EU50"
    client.nothing()


def test_a_reply_finds_its_way_through_a_temporary_queue(connect, name):
    service, caller = connect(), connect()
    service.subscribe(f"/queue/{name}")
    caller.subscribe("/temp-queue/answers", "r")
    caller.send(f"/queue/{name}", "question", headers={"reply-to": "/temp-queue/answers", "correlation-id": "7"})
    question = service.message()
    assert question.headers["reply-to"].startswith("/remote-temp-queue/")
    service.send(question.headers["reply-to"], "answer", headers={"correlation-id": "7"})
    answer = caller.message()
    assert (answer.body, answer.headers["subscription"], answer.headers["correlation-id"]) == ("answer", "r", "7")
    assert answer.headers["destination"] == "/temp-queue/answers"


def test_a_temporary_topic_reaches_its_connection(connect, name):
    client = connect()
    client.subscribe("/temp-topic/mine", "t")
    client.send("/temp-topic/mine", "x")
    assert client.message().body == "x"


@pytest.mark.sabir_only
def test_only_the_owner_receives_from_a_temporary_queue(connect, raw, name):
    caller, service = connect(), connect()
    service.subscribe(f"/queue/{name}")
    caller.subscribe("/temp-queue/answers", "r")
    caller.send(f"/queue/{name}", "question", headers={"reply-to": "/temp-queue/answers"})
    remote = service.message().headers["reply-to"]
    thief = raw()
    thief.connect()
    thief.send(f"SUBSCRIBE\nid:0\ndestination:{remote}\nreceipt:r\n\n\0")
    assert thief.frame().command == "ERROR"
    service.send(remote, "answer")
    assert caller.message().body == "answer"


def test_browsing_takes_nothing_and_ends(connect, name):
    client = connect("1.1")
    for number in range(5):
        client.send(f"/queue/{name}", str(number))
    client.subscribe(f"/queue/{name}", "b", headers={"browser": "true"})
    assert client.bodies(5) == list("01234")
    end = client.message()
    assert (end.headers["browser"], end.headers["subscription"]) == ("end", "b")
    client.unsubscribe("b")
    client.subscribe(f"/queue/{name}", "c")
    assert client.bodies(5) == list("01234")


def test_no_local_leaves_out_what_the_connection_itself_sent(connect, name):
    one, two = connect(), connect()
    one.subscribe(f"/topic/{name}", headers={"activemq.noLocal": "true"})
    one.send(f"/topic/{name}", "own")
    two.send(f"/topic/{name}", "other")
    assert one.message().body == "other"
    one.nothing()


def test_an_exclusive_consumer_gets_everything(connect, name):
    one, two, sender = connect(), connect(), connect()
    for client in (one, two):
        client.subscribe(f"/queue/{name}", headers={"activemq.exclusive": "true"})
    for number in range(10):
        sender.send(f"/queue/{name}", str(number))
    assert one.bodies(10) == [str(number) for number in range(10)]
    two.nothing()


def test_the_consumer_with_the_higher_priority_is_served_first(connect, name):
    low, high, sender = connect(), connect(), connect()
    low.subscribe(f"/queue/{name}", headers={"activemq.priority": "0"})
    high.subscribe(f"/queue/{name}", headers={"activemq.priority": "5"})
    for number in range(10):
        sender.send(f"/queue/{name}", str(number))
    assert len(high.bodies(10)) == 10
    low.nothing()


def test_message_groups_stay_with_one_consumer(connect, name):
    if os.environ.get("STOMP_PEER", "sabir") == "sabir":
        pytest.skip("groups are not dispatched yet; the header is kept")
    one, two, sender = connect(), connect(), connect()
    for client in (one, two):
        client.subscribe(f"/queue/{name}", headers={"activemq.prefetchSize": "1"})
    for number in range(10):
        sender.send(f"/queue/{name}", str(number), headers={"JMSXGroupID": "g"})
    until(lambda: one.inbox.messages.qsize() + two.inbox.messages.qsize() == 10)
    assert sorted([one.inbox.messages.qsize(), two.inbox.messages.qsize()]) == [0, 10]


@pytest.mark.sabir_only
def test_the_group_of_a_message_comes_back(connect, name):
    client = connect()
    client.subscribe(f"/queue/{name}")
    client.send(f"/queue/{name}", "x", headers={"JMSXGroupID": "g"})
    assert client.message().headers["JMSXGroupID"] == "g"


def test_a_name_without_prefix_is_a_queue(connect, name):
    if os.environ.get("STOMP_PEER") == "activemq":
        pytest.skip("ActiveMQ refuses it in SUBSCRIBE unless told otherwise")
    client = connect()
    client.subscribe(f"/queue/{name}")
    client.send(name, "x")
    assert client.message().headers["destination"] == f"/queue/{name}"
