# SPDX-License-Identifier: Apache-2.0
"""Clients: stomp.py with a listener that waits, and a bare socket that can say anything."""

import os
import queue
import socket
import threading
import time

import stomp

# Who the tests are, and on which virtual host, for peers that check it.
USER, _, PASSWORD = os.environ.get("STOMP_LOGIN", "admin:admin").partition(":")
HOST = os.environ.get("STOMP_HOST", "localhost")
CLASSES = {"1.0": stomp.Connection10, "1.1": stomp.Connection11, "1.2": stomp.Connection12}
PATIENCE = 10.0


def until(happened):
    """Waits until something has happened."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, "it does not happen"
        threading.Event().wait(0.01)


class Inbox(stomp.ConnectionListener):
    """Collects what the broker sends."""

    def __init__(self):
        self.messages = queue.Queue()
        self.receipts = queue.Queue()
        self.errors = queue.Queue()
        self.disconnected = queue.Queue()

    def on_message(self, frame):
        self.messages.put(frame)

    def on_receipt(self, frame):
        self.receipts.put(frame.headers["receipt-id"])

    def on_error(self, frame):
        self.errors.put(frame)

    def on_disconnected(self):
        self.disconnected.put(True)


class Client:
    """stomp.py, with calls that wait for the broker."""

    def __init__(self, address, version="1.2", client_id=None, heartbeats=(0, 0), **connect):
        self.version = version
        self.inbox = Inbox()
        options = {} if version == "1.0" else {"heartbeats": heartbeats, "vhost": HOST}
        self.connection = CLASSES[version]([address], auto_content_length=False, **options)
        self.connection.set_listener("inbox", self.inbox)
        headers = {"client-id": client_id} if client_id else {}
        self.connection.connect(connect.pop("user", USER), connect.pop("password", PASSWORD), wait=True, headers=headers, **connect)
        self._receipts = 0

    def receipt(self):
        self._receipts += 1
        return f"receipt-{self._receipts}"

    def wait_receipt(self, wanted):
        found = self.inbox.receipts.get(timeout=PATIENCE)
        assert found == wanted

    def send(self, destination, body="", headers=None, **more):
        receipt = self.receipt()
        self.connection.send(destination, body, headers=dict(headers or {}, receipt=receipt), **more)
        self.wait_receipt(receipt)

    def subscribe(self, destination, ident="0", ack="auto", headers=None):
        receipt = self.receipt()
        self.connection.subscribe(destination, ident, ack, headers=dict(headers or {}, receipt=receipt))
        self.wait_receipt(receipt)

    def unsubscribe(self, ident="0", headers=None):
        receipt = self.receipt()
        self.connection.unsubscribe(ident, headers=dict(headers or {}, receipt=receipt))
        self.wait_receipt(receipt)

    def message(self, patience=PATIENCE):
        return self.inbox.messages.get(timeout=patience)

    def bodies(self, count):
        return [self.message().body for _ in range(count)]

    def nothing(self, patience=0.4):
        try:
            frame = self.inbox.messages.get(timeout=patience)
        except queue.Empty:
            return
        raise AssertionError(f"a message has come: {frame.headers} {frame.body!r}")

    def error(self):
        return self.inbox.errors.get(timeout=PATIENCE)

    def _acknowledge(self, command, frame, **headers):
        receipt = self.receipt()
        if self.version == "1.2":
            command(frame.headers["ack"], receipt=receipt, **headers)
        elif self.version == "1.1":
            command(frame.headers["message-id"], frame.headers["subscription"], receipt=receipt, **headers)
        else:
            command(frame.headers["message-id"], receipt=receipt, **headers)
        self.wait_receipt(receipt)

    def ack(self, frame, **headers):
        self._acknowledge(self.connection.ack, frame, **headers)

    def nack(self, frame, **headers):
        self._acknowledge(self.connection.nack, frame, **headers)

    def begin(self):
        return self.connection.begin()

    def commit(self, transaction):
        receipt = self.receipt()
        self.connection.commit(transaction, receipt=receipt)
        self.wait_receipt(receipt)

    def abort(self, transaction):
        receipt = self.receipt()
        self.connection.abort(transaction, receipt=receipt)
        self.wait_receipt(receipt)

    def close(self):
        if self.connection.is_connected():
            self.connection.disconnect()

    def break_off(self):
        """Leaves without a word, as a process that dies."""
        self.connection.transport.set_connected(False)
        self.connection.transport.disconnect_socket()


class Frame:
    """A frame as it was read."""

    def __init__(self, raw):
        head, _, self.body = raw.partition(b"\n\n")
        lines = head.decode().split("\n")
        self.command = lines[0]
        self.headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            self.headers.setdefault(name, value)

    def __repr__(self):
        return f"{self.command} {self.headers} {self.body!r}"


class Raw:
    """A client on a bare socket."""

    def __init__(self, address):
        self.socket = socket.create_connection(address, timeout=PATIENCE)
        self.kept = b""

    def send(self, text):
        self.socket.sendall(text if isinstance(text, bytes) else text.encode())

    def connect(self, version="1.2", headers=""):
        self.send(f"CONNECT\naccept-version:{version}\nhost:{HOST}\nlogin:{USER}\npasscode:{PASSWORD}\n{headers}\n\0")
        frame = self.frame()
        assert frame.command == "CONNECTED", frame
        return frame

    def _read(self):
        data = self.socket.recv(65536)
        if not data:
            raise EOFError(self.kept)
        self.kept += data

    def frame(self, patience=PATIENCE):
        """The next frame; line ends between frames are skipped."""
        self.socket.settimeout(patience)
        while True:
            self.kept = self.kept.lstrip(b"\r\n")
            head, blank, rest = self.kept.partition(b"\n\n")
            if blank:
                length = Frame(self.kept).headers.get("content-length") if b"content-length" in head else None
                if length is not None:
                    if len(rest) > int(length):
                        raw, self.kept = self.kept[: len(head) + 2 + int(length)], rest[int(length) + 1 :]
                        return Frame(raw)
                elif b"\0" in rest:
                    raw, _, self.kept = self.kept.partition(b"\0")
                    return Frame(raw)
            self._read()

    def byte(self, patience=PATIENCE):
        self.socket.settimeout(patience)
        while not self.kept:
            self._read()
        byte, self.kept = self.kept[:1], self.kept[1:]
        return byte

    def until_closed(self, patience=PATIENCE):
        """Everything until the broker closes the connection."""
        end = time.monotonic() + patience
        while True:
            self.socket.settimeout(max(0.01, end - time.monotonic()))
            try:
                self._read()
            except (EOFError, ConnectionResetError):
                return self.kept

    def close(self):
        self.socket.close()
