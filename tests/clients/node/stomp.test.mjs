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

async function connect(headers = {}) {
  const connectHeaders = { host: "localhost", "heart-beat": "0,0", ...headers };
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

const settled = (client, verb, message, headers = {}) =>
  new Promise((resolve) => client[verb](message, headers, { onReceipt: resolve }));

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

for (const version of ["1.0", "1.1", "1.2"]) {
  test(`version ${version} has messages, acknowledgements and what goes back`, async () => {
    const client = await connect({ "accept-version": version });
    const destination = name("queue");
    for (const body of ["done", "held"]) {
      await send(client, destination, body);
    }
    const next = subscribe(client, destination, "client-individual");
    await settled(client, "ack", (await next()).message);
    assert.equal((await next()).body, "held");
    client.destroy();
    const other = await connect({ "accept-version": version });
    const { body, message } = await subscribe(other, destination, "client-individual")();
    assert.equal(body, "held");
    assert.equal(message.headers.redelivered, "true");
    await settled(other, "ack", message);
  });
}

test("heart-beats keep an idle connection", async () => {
  // Either end would give up the other after two seconds of silence.
  const client = await connect({ "heart-beat": "1000,1000" });
  await new Promise((resolve) => setTimeout(resolve, 4000));
  const destination = name("queue");
  await send(client, destination, "still here");
  assert.equal((await subscribe(client, destination, "auto")()).body, "still here");
});

test("a message that is refused goes to the dead letters", async () => {
  const client = await connect();
  const destination = name("queue");
  await send(client, destination, "bad", { mark: destination });
  await settled(client, "nack", (await subscribe(client, destination, "client")()).message);
  const dead = subscribe(client, "/queue/ActiveMQ.DLQ", "client-individual", { selector: `mark = '${destination}'` });
  const { body, message } = await dead();
  assert.equal(body, "bad");
  assert.equal(message.headers["original-destination"], destination);
  await settled(client, "ack", message);
});

test("acknowledgements count with their transaction", async () => {
  const destination = name("queue");
  const client = await connect();
  await send(client, destination, "kept");
  await send(client, destination, "gone");
  const next = subscribe(client, destination, "client-individual");
  const [kept, gone] = [await next(), await next()];
  const aborted = client.begin();
  await settled(client, "ack", kept.message, { transaction: aborted.id });
  await new Promise((resolve) => aborted.abort({ onReceipt: resolve }));
  const committed = client.begin("a name");
  await settled(client, "ack", gone.message, { transaction: committed.id });
  await new Promise((resolve) => committed.commit({ onReceipt: resolve }));
  await promisify(client.disconnect.bind(client))();
  const other = await connect();
  const rest = subscribe(other, destination, "auto");
  assert.equal((await rest()).body, "kept");
  await send(other, destination, "last");
  assert.equal((await rest()).body, "last");
});

test("a durable subscription collects while its client is away", async () => {
  const destination = name("topic");
  const desk = { "client-id": randomUUID() };
  const durable = { "activemq.subscriptionName": "news" };
  const first = await connect(desk);
  subscribe(first, destination, "auto", durable);
  await promisify(first.disconnect.bind(first))();
  await send(await connect(), destination, "missed");
  const second = await connect(desk);
  assert.equal((await subscribe(second, destination, "auto", durable)()).body, "missed");
});

test("requests are answered through a temporary queue", async () => {
  const [asks, answers, destination] = [await connect(), await connect(), name("queue")];
  const reply = subscribe(asks, "/temp-queue/replies", "auto");
  const request = subscribe(answers, destination, "auto");
  await send(asks, destination, "how much?", { "reply-to": "/temp-queue/replies", "correlation-id": "c:1" });
  const { message: question } = await request();
  await send(answers, question.headers["reply-to"], "42", { "correlation-id": question.headers["correlation-id"] });
  const { body, message } = await reply();
  assert.deepEqual([body, message.headers["correlation-id"]], ["42", "c:1"]);
});

for (const counted of [true, false]) {
  test(`a large body comes whole, ${counted ? "counted" : "streamed up to its end"}`, async () => {
    const client = await connect();
    const destination = name("queue");
    const body = randomUUID().repeat(50_000);
    await send(client, destination, body, counted ? { "content-length": body.length } : {});
    assert.equal((await subscribe(client, destination, "auto")()).body, body);
  });
}

test("a mistake is told and ends the connection", async () => {
  const client = await connect();
  const told = new Promise((resolve) => client.on("error", resolve));
  const frame = client.send({ destination: "/quue/misspelt" });
  // The connection ends under it too.
  frame.on("error", () => {});
  frame.end("x");
  assert.match((await told).message, /the destination cannot be used/);
});

test("channels fail over to the broker that is there, and confirm what they send", async () => {
  // Nobody listens on the first.
  const servers = new stompit.ConnectFailover(
    [
      { host: "127.0.0.1", port: 1, connectHeaders: { host: "localhost" } },
      { host, port: Number(port), connectHeaders: { host: "localhost", "heart-beat": "0,0" } },
    ],
    { maxReconnects: 10, initialReconnectDelay: 1, randomize: false },
  );
  const pool = new stompit.ChannelPool(servers);
  const channel = await promisify(pool.channel.bind(pool))();
  const destination = name("queue");
  await promisify(channel.send.bind(channel))({ destination, persistent: "true" }, "over");
  const arrived = new Promise((resolve, reject) =>
    channel.subscribe({ destination, ack: "client-individual" }, (error, message, subscription) => {
      if (error) {
        return reject(error);
      }
      message.readString("utf-8", (failed, body) => {
        channel.ack(message);
        subscription.unsubscribe();
        failed ? reject(failed) : resolve(body);
      });
    }),
  );
  assert.equal(await arrived, "over");
  channel.close();
  pool.close();
});
