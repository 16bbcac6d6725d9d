# SPDX-License-Identifier: Apache-2.0
"""The protocol itself, on a bare socket: what stomp.py hides or cannot say."""

import time

import pytest

versions = pytest.mark.parametrize("version", ["1.0", "1.1", "1.2"])


@pytest.mark.parametrize("accepted,version", [("1.0", "1.0"), ("1.1", "1.1"), ("1.2", "1.2"), ("1.0,1.1,1.2", "1.2"), ("9.9,1.1", "1.1")])
def test_the_highest_common_version_is_spoken(raw, accepted, version):
    frame = raw().connect(accepted)
    assert frame.headers["version"] == version
    assert frame.headers["session"]
    assert "/" in frame.headers["server"]


def test_without_accept_version_it_is_1_0(raw):
    client = raw()
    client.send("CONNECT\nlogin:admin\npasscode:admin\n\n\0")
    frame = client.frame()
    assert (frame.command, frame.headers.get("version", "1.0")) == ("CONNECTED", "1.0")


@pytest.mark.sabir_only
def test_no_common_version_names_the_supported_ones_and_closes(raw):
    client = raw()
    client.send("CONNECT\naccept-version:9.9\nhost:localhost\n\n\0")
    frame = client.frame()
    assert (frame.command, frame.headers["version"]) == ("ERROR", "1.0,1.1,1.2")
    client.until_closed()


def test_stomp_says_the_same_as_connect_and_lines_may_end_with_crlf(raw, name):
    client = raw()
    client.send("STOMP\r\naccept-version:1.2\r\nhost:localhost\r\nlogin:admin\r\npasscode:admin\r\n\r\n\0\r\n")
    assert client.frame().command == "CONNECTED"
    client.send(f"SUBSCRIBE\r\nid:0\r\ndestination:/queue/{name}\r\n\r\n\0\r\n")
    client.send(f"SEND\r\ndestination:/queue/{name}\r\nreceipt:r\r\n\r\nbody\r\n\0")
    frames = {frame.command: frame for frame in (client.frame(), client.frame())}
    assert frames["RECEIPT"].headers["receipt-id"] == "r"
    assert frames["MESSAGE"].body == b"body\r\n"


def test_frames_may_come_byte_by_byte(raw, name):
    client = raw()
    for byte in b"CONNECT\naccept-version:1.2\nhost:localhost\nlogin:admin\npasscode:admin\n\n\0":
        client.send(bytes([byte]))
    assert client.frame().command == "CONNECTED"
    for byte in f"SEND\ndestination:/queue/{name}\nreceipt:r\ncontent-length:3\n\na\0b\0".encode():
        client.send(bytes([byte]))
    assert client.frame().headers["receipt-id"] == "r"


def test_frames_may_come_all_at_once(raw, name):
    client = raw()
    client.connect()
    frames = "".join(f"SEND\ndestination:/queue/{name}\nreceipt:{n}\n\n{n}\0\n\n" for n in range(500))
    client.send(f"SUBSCRIBE\nid:0\ndestination:/queue/{name}\n\n\0" + frames)
    receipts, bodies = [], []
    while len(receipts) < 500 or len(bodies) < 500:
        frame = client.frame()
        if frame.command == "RECEIPT":
            receipts.append(frame.headers["receipt-id"])
        else:
            bodies.append(frame.body.decode())
    assert receipts == bodies == [str(n) for n in range(500)]


@pytest.mark.sabir_only
def test_frames_may_come_before_connected(raw, name):
    client = raw()
    client.send("CONNECT\naccept-version:1.2\nhost:localhost\nlogin:admin\npasscode:admin\n\n\0")
    client.send(f"SUBSCRIBE\nid:0\ndestination:/queue/{name}\n\n\0SEND\ndestination:/queue/{name}\n\nx\0")
    assert client.frame().command == "CONNECTED"
    assert client.frame().body == b"x"


def test_escapes_of_1_2_come_back_escaped(raw, name):
    client = raw()
    client.connect("1.2")
    client.send(f"SUBSCRIBE\nid:a\\cb\ndestination:/queue/{name}\n\n\0")
    client.send(f"SEND\ndestination:/queue/{name}\nodd\\cname:\\r\\n\\c\\\\x\n\n\0")
    headers = client.frame().headers
    assert headers["subscription"] == "a\\cb"
    assert headers["odd\\cname"] == "\\r\\n\\c\\\\x"


def test_receipts_are_named_as_they_were_asked_for(raw, name):
    client = raw()
    client.connect("1.2")
    client.send(f"SEND\ndestination:/queue/{name}\nreceipt:a\\cb\\\\\\n\n\n\0")
    assert client.frame().headers["receipt-id"] == "a\\cb\\\\\\n"


def test_the_first_of_repeated_headers_counts(raw, name):
    client = raw()
    client.connect("1.2")
    client.send(f"SUBSCRIBE\nid:0\ndestination:/queue/{name}\n\n\0")
    client.send(f"SEND\ndestination:/queue/{name}\ndestination:/queue/other\nx:1\nx:2\n\n\0")
    assert client.frame().headers["x"] == "1"


def test_the_broker_sends_heart_beats(raw):
    client = raw()
    client.connect("1.2", "heart-beat:0,1000\n")
    begin = time.monotonic()
    assert client.byte(5) == b"\n"
    assert client.byte(5) == b"\n"
    assert time.monotonic() - begin < 3.5


def test_the_broker_misses_heart_beats(raw):
    client = raw()
    client.connect("1.2", "heart-beat:1000,0\n")
    begin = time.monotonic()
    client.until_closed(20)
    assert 0.9 < time.monotonic() - begin < 15


def test_heart_beats_keep_a_connection(raw, name):
    client = raw()
    client.connect("1.2", "heart-beat:1000,0\n")
    for _ in range(8):
        time.sleep(0.5)  # tidy: allow(a heart-beat is a matter of time)
        client.send("\n")
    client.send(f"SEND\ndestination:/queue/{name}\nreceipt:r\n\n\0")
    assert client.frame().command == "RECEIPT"


def test_stomp_py_and_the_broker_exchange_heart_beats(connect, name):
    client = connect("1.2", heartbeats=(1000, 1000))
    time.sleep(3.5)  # tidy: allow(a heart-beat is a matter of time)
    assert client.connection.is_connected()
    client.send(f"/queue/{name}", "x")


BAD = [
    ("unknown command", "HELLO\n\n\0", None),
    ("no colon", "SEND\nnocolon\nreceipt:r\n\n\0", None),
    ("negative length", "SEND\nreceipt:r\ndestination:/queue/x\ncontent-length:-1\n\nx\0", None),
    ("huge length", "SEND\nreceipt:r\ndestination:/queue/x\ncontent-length:99999999999999999999\n\nx\0", None),
    ("short length", "SEND\nreceipt:r\ndestination:/queue/x\ncontent-length:1\n\nxyz\0", None),
    ("undefined escape", "SEND\nreceipt:r\ndestination:/queue/\\t\n\nx\0", None),
    ("no destination", "SEND\nreceipt:r\n\nx\0", "r"),
    ("unknown transaction", "COMMIT\ntransaction:none\nreceipt:r\n\n\0", "r"),
    ("begin twice", "BEGIN\ntransaction:t\n\n\0BEGIN\ntransaction:t\nreceipt:r\n\n\0", "r"),
    ("unknown ack", "ACK\nid:nothing\nreceipt:r\n\n\0", "r"),
    ("unknown subscription", "UNSUBSCRIBE\nid:none\nreceipt:r\n\n\0", "r"),
    ("no id", "SUBSCRIBE\ndestination:/queue/x\nreceipt:r\n\n\0", "r"),
    ("bad selector", "SUBSCRIBE\nid:0\ndestination:/queue/x\nselector:a = = b\nreceipt:r\n\n\0", "r"),
    ("repeated delivery", "SEND\nreceipt:r\ndestination:/queue/x\nAMQ_SCHEDULED_PERIOD:1000\nAMQ_SCHEDULED_REPEAT:3\n\nx\0", None),
    ("delivery by calendar", "SEND\nreceipt:r\ndestination:/queue/x\nAMQ_SCHEDULED_CRON:* * * * *\n\nx\0", None),
    ("second connect", "CONNECT\naccept-version:1.2\nhost:x\nreceipt:r\n\n\0", None),
]


@pytest.mark.sabir_only
@pytest.mark.parametrize("text,receipt", [(text, receipt) for _, text, receipt in BAD], ids=[name for name, _, _ in BAD])
def test_what_is_wrong_is_told_with_the_receipt_and_the_connection_closes(raw, text, receipt):
    client = raw()
    client.connect()
    client.send(text)
    frame = client.frame(2)
    assert frame.command == "ERROR"
    assert frame.headers["message"]
    if receipt:
        assert frame.headers["receipt-id"] == receipt
    client.until_closed(2)


@pytest.mark.parametrize("text,receipt", [(text, receipt) for _, text, receipt in BAD if receipt], ids=[name for name, _, receipt in BAD if receipt])
def test_mistakes_are_answered_with_error(raw, text, receipt):
    if text.startswith("SUBSCRIBE\ndestination"):
        pytest.skip("ActiveMQ asks for the id in 1.1 only")
    client = raw()
    client.connect()
    client.send(text)
    assert client.frame(5).command == "ERROR"


@pytest.mark.sabir_only
def test_selectors_nested_beyond_measure_are_refused(raw):
    client = raw()
    client.connect()
    selector = "(" * 5000 + "a = 1" + ")" * 5000
    client.send(f"SUBSCRIBE\nid:0\ndestination:/queue/x\nselector:{selector}\nreceipt:r\n\n\0")
    frame = client.frame(2)
    assert (frame.command, frame.headers["receipt-id"]) == ("ERROR", "r")


@pytest.mark.sabir_only
@pytest.mark.parametrize("text", ["SEND\ndestination:/queue/x\n\n\0", "GET / HTTP/1.1\r\n\r\n", "\0\0\0\0", "\x16\x03\x01"])
def test_anything_but_connect_first_is_refused_at_once(raw, text):
    client = raw()
    client.send(text)
    assert client.until_closed(2).startswith(b"ERROR\n")


@pytest.mark.sabir_only
@pytest.mark.parametrize("text", ["", "CONN", "CONNECT\naccept-version:1.2\n"])
def test_a_client_that_does_not_log_in_is_given_up_after_two_seconds(raw, text):
    client = raw()
    client.send(text)
    begin = time.monotonic()
    client.until_closed(6)
    assert 1.5 < time.monotonic() - begin < 4


@pytest.mark.sabir_only
def test_a_hundred_thousand_transactions_are_not_opened(raw):
    client = raw()
    client.connect()
    try:
        for number in range(0, 100_000, 1000):
            client.send("".join(f"BEGIN\ntransaction:{number + n}\n\n\0" for n in range(1000)))
    except (BrokenPipeError, ConnectionResetError):
        pass
    assert b"max_transactions" in client.until_closed(5)
