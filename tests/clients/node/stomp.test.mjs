// SPDX-License-Identifier: Apache-2.0
// Asks a running broker, at SABIR_STOMP, for the features that stompit has.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { randomUUID } from "node:crypto";
import { promisify } from "node:util";
import stompit from "stompit";

const address = process.env.SABIR_STOMP;
assert.ok(address, "SABIR_STOMP is not set: host:port of a broker");
const [host, port] = address.split(":");
const clients = [];
after(() => clients.forEach((client) => client.destroy()));

async function connect() {
  const connectHeaders = { host: "localhost", "heart-beat": "0,0" };
  const client = await promisify(stompit.connect)({ host, port: Number(port), connectHeaders });
  clients.push(client);
  return client;
}

const name = (kind) => `/${kind}/node.${randomUUID()}`;

/** Sends a persistent message and waits for its receipt. */
function send(client, destination, body, headers = {}) {
  return new Promise((resolve) => {
    const all = { destination, persistent: "true", "content-type": "text/plain", ...headers };
    client.send(all, { onReceipt: resolve }).end(body);
  });
}

/** Subscribes, and gives messages one by one. */
function subscribe(client, destination, ack, headers = {}) {
  const arrived = [];
  const waiting = [];
  client.subscribe({ destination, ack, ...headers }, (error, message) => {
    if (error) {
      // The connection was ended by its test.
      return;
    }
    message.readString("utf-8", (failed, body) => {
      assert.ifError(failed);
      const item = { message, body };
      waiting.length > 0 ? waiting.shift()(item) : arrived.push(item);
    });
  });
  return () => (arrived.length > 0 ? arrived.shift() : new Promise((resolve) => waiting.push(resolve)));
}

const settled = (client, verb, message) =>
  new Promise((resolve) => client[verb](message, {}, { onReceipt: resolve }));

test("messages keep their order, bodies and headers", async () => {
  const client = await connect();
  const destination = name("queue");
  for (let number = 0; number < 100; number++) {
    await send(client, destination, `n${number} ü`, { colour: "r:e" });
  }
  const next = subscribe(client, destination, "auto");
  for (let number = 0; number < 100; number++) {
    const { body, message } = await next();
    assert.equal(body, `n${number} ü`);
    assert.equal(message.headers.colour, "r:e");
  }
});

test("what a vanished consumer held goes to the next, marked as redelivered", async () => {
  const destination = name("queue");
  const first = await connect();
  await send(first, destination, "once");
  await subscribe(first, destination, "client-individual")();
  first.destroy();
  const second = await connect();
  const { body, message } = await subscribe(second, destination, "client-individual")();
  assert.equal(body, "once");
  assert.equal(message.headers.redelivered, "true");
  await settled(second, "ack", message);
});

test("a transaction counts whole or not at all", async () => {
  const client = await connect();
  const destination = name("queue");
  const aborted = client.begin();
  aborted.send({ destination }).end("never");
  await new Promise((resolve) => aborted.abort({ onReceipt: resolve }));
  const committed = client.begin();
  committed.send({ destination }).end("one");
  committed.send({ destination }).end("two");
  await new Promise((resolve) => committed.commit({ onReceipt: resolve }));
  const next = subscribe(client, destination, "auto");
  assert.equal((await next()).body, "one");
  assert.equal((await next()).body, "two");
});

test("a topic reaches every subscriber, and a selector chooses", async () => {
  const client = await connect();
  const other = await connect();
  const destination = name("topic");
  const all = subscribe(client, destination, "auto");
  const some = subscribe(other, destination, "auto", { selector: "size > 5" });
  // A receipt on the same connection says that its subscription stands.
  await send(other, name("queue"), "after the subscription");
  for (const size of ["3", "7"]) {
    await send(client, destination, `size ${size}`, { size });
  }
  assert.equal((await all()).body, "size 3");
  assert.equal((await all()).body, "size 7");
  assert.equal((await some()).body, "size 7");
});

test("a subscription that has ended gets nothing more", async () => {
  const client = await connect();
  const destination = name("queue");
  const ended = client.subscribe({ destination, ack: "auto" }, () => assert.fail("it has ended"));
  ended.unsubscribe();
  await send(client, destination, "for the other");
  assert.equal((await subscribe(client, destination, "auto")()).body, "for the other");
});

test("an orderly end loses nothing that was sent", async () => {
  const client = await connect();
  const destination = name("queue");
  client.send({ destination, persistent: "true" }).end("last words");
  await promisify(client.disconnect.bind(client))();
  assert.equal((await subscribe(await connect(), destination, "auto")()).body, "last words");
});
