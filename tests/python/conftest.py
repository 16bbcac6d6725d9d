# SPDX-License-Identifier: Apache-2.0
"""The broker that the tests talk to: one that is running (SABIR_STOMP), or one that they start (SABIR_BIN)."""

import os
import pathlib
import subprocess
import threading
import uuid

import pytest

from peers import Client, Raw

PEER = os.environ.get("STOMP_PEER", "sabir")


class Broker:
    """A broker process on a data directory."""

    def __init__(self, data):
        self.data = data
        self.process = None
        self.address = None

    def start(self):
        # A port of STOMP alone: where several protocols are spoken, what begins like none is owed no ERROR.
        config = self.data.with_name(f"{self.data.name}.toml")
        config.write_text('[[listeners]]\nuri = "tcp://127.0.0.1:0"\nprotocols = ["stomp"]\n')
        command = [os.environ["SABIR_BIN"], "run", "--data", str(self.data), "--config", str(config)]
        environment = dict(os.environ)
        if "SABIR_PLUGINS" in os.environ:
            command += ["--plugins", os.environ["SABIR_PLUGINS"]]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        self.log = []
        reader = threading.Thread(target=self._drain, args=(self.process.stderr,), daemon=True)
        reader.start()
        for line in self.process.stdout:
            words = line.split()
            if words[:1] == ["listening"]:
                host, _, port = words[2].rpartition(":")
                self.address = (host.strip("[]"), int(port))
            if words == ["ready"]:
                threading.Thread(target=self._drain, args=(self.process.stdout,), daemon=True).start()
                return self
        raise RuntimeError(f"the broker has ended: {self.process.wait()}\n{''.join(self.log)}")

    def _drain(self, stream):
        for line in stream:
            self.log.append(line)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.terminate()
        assert self.process.wait(timeout=20) == 0


def pytest_collection_modifyitems(items):
    for item in items:
        if PEER != "sabir" and item.get_closest_marker("sabir_only"):
            item.add_marker(pytest.mark.skip(reason=f"{PEER} does it differently"))
        if item.get_closest_marker("own_broker") and "SABIR_BIN" not in os.environ:
            item.add_marker(pytest.mark.skip(reason="SABIR_BIN is not set"))


@pytest.fixture(scope="session")
def address(tmp_path_factory):
    if "SABIR_STOMP" in os.environ:
        host, _, port = os.environ["SABIR_STOMP"].rpartition(":")
        yield host, int(port)
        return
    if "SABIR_BIN" not in os.environ:
        pytest.exit("set SABIR_STOMP to host:port of a broker, or SABIR_BIN to the program", 2)
    broker = Broker(tmp_path_factory.mktemp("broker")).start()
    yield broker.address
    broker.stop()


@pytest.fixture
def own_broker(tmp_path: pathlib.Path):
    broker = Broker(tmp_path / "data").start()
    yield broker
    if broker.process.poll() is None:
        broker.kill()


@pytest.fixture
def name():
    """A name that no other test uses."""
    return f"test.{uuid.uuid4().hex[:12]}"


@pytest.fixture
def connect(address):
    """Opens clients, and closes them at the end."""
    clients = []

    def open_client(version="1.2", **options):
        client = Client(options.pop("address", address), version, **options)
        clients.append(client)
        return client

    yield open_client
    for client in clients:
        client.close()


@pytest.fixture
def raw(address):
    """Opens bare sockets, and closes them at the end."""
    sockets = []

    def open_raw():
        sockets.append(Raw(address))
        return sockets[-1]

    yield open_raw
    for one in sockets:
        one.close()
