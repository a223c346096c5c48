// Drives the echo server with the stock client. SERVER is its URL, MODE one of websocket, polling, upgrade.
"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { io } = require("socket.io-client");

const { SERVER, MODE } = process.env;
const transports = { websocket: ["websocket"], polling: ["polling"], upgrade: ["polling", "websocket"] }[MODE];

/** Runs body with a function that makes clients, all of which are closed in the end. */
function scenario(name, body) {
  test(name, async () => {
    const sockets = [];
    // A body that hangs still gets its clients closed, so that the process ends.
    let timer;
    const timeout = new Promise((_, reject) => { timer = setTimeout(reject, 5000, new Error("timed out")); });
    const client = (options = {}, namespace = "") => {
      const socket = io(SERVER + namespace, {
        transports, forceNew: true, reconnectionDelay: 20, reconnectionDelayMax: 50, ...options,
      });
      sockets.push(socket);
      return socket;
    };
    try {
      await Promise.race([body(client), timeout]);
    } finally {
      clearTimeout(timer);
      for (const socket of sockets) socket.disconnect();
    }
  });
}

/** The arguments of the next such event. */
function next(emitter, event) {
  return new Promise((resolve) => emitter.once(event, (...args) => resolve(args)));
}

async function connected(socket) {
  if (!socket.connected) await next(socket, "connect");
  return socket;
}

scenario("connects and has its auth object passed on", async (client) => {
  const socket = client({ auth: { token: "123" } });
  const auth = next(socket, "auth");
  await connected(socket);
  assert.equal(typeof socket.id, "string");
  assert.notEqual(socket.id, socket.io.engine.id, "the session id is a secret");
  assert.deepEqual(await auth, [{ token: "123" }]);
  if (MODE === "upgrade") {
    if (socket.io.engine.transport.name !== "websocket") await next(socket.io.engine, "upgrade");
    assert.equal(socket.io.engine.transport.name, "websocket");
  } else {
    assert.equal(socket.io.engine.transport.name, MODE);
  }
});

scenario("asks its auth function", async (client) => {
  const socket = client({ auth: (cb) => setTimeout(cb, 5, { n: 1 }) });
  assert.deepEqual(await next(socket, "auth"), [{ n: 1 }]);
});

scenario("echoes events", async (client) => {
  const socket = client();
  for (const args of [[1, "2", { 3: [true] }], [{ text: "h€llo 👋 \u2028 \"quoted\"" }], [[]], [{ big: "x".repeat(60 << 10) }]]) {
    socket.emit("message", ...args);
    assert.deepEqual(await next(socket, "message-back"), args);
  }
});

scenario("keeps the order of what was emitted before and while connecting", async (client) => {
  const socket = client();
  const total = 300;
  const seen = [];
  const all = new Promise((resolve) => socket.on("message-back", (n) => {
    seen.push(n);
    if (seen.length === total) resolve();
  }));
  for (let n = 0; n < total / 2; n++) socket.emit("message", n);
  await connected(socket);
  for (let n = total / 2; n < total; n++) {
    socket.emit("message", n);
    if (n % 10 === 0) await new Promise(setImmediate);
  }
  await all;
  assert.deepEqual(seen, [...Array(total).keys()]);
});

scenario("acks its events", async (client) => {
  const socket = client();
  const acked = new Promise((resolve) => socket.emit("message-with-ack", 1, "2", { 3: [false] }, (...args) => resolve(args)));
  assert.deepEqual(await acked, [1, "2", { 3: [false] }]);
  assert.deepEqual(await socket.emitWithAck("message-with-ack", { a: null }), { a: null });
  const empty = new Promise((resolve) => socket.emit("message-with-ack", (...args) => resolve(args)));
  assert.deepEqual(await empty, [], "called with a callback alone");
  const many = await Promise.all([...Array(50).keys()].map((n) => socket.emitWithAck("message-with-ack", n)));
  assert.deepEqual(many, [...Array(50).keys()]);
  await assert.rejects(socket.timeout(50).emitWithAck("never-ack"), /timed out/);
});

scenario("acks the server's events", async (client) => {
  const socket = client();
  socket.once("question", (a, b, ack) => ack({ a, b }, "more"));
  socket.emit("ask-me", 1, [2]);
  assert.deepEqual(await next(socket, "answer-was"), [{ a: 1, b: [2] }, "more"]);
  socket.emit("ask-me"); // nobody answers
  assert.deepEqual(await next(socket, "answer-missing"), [{}]);
});

scenario("carries binary both ways", async (client) => {
  const socket = client();
  const one = Buffer.from([1, 2, 3]), two = Buffer.from([]), three = Buffer.alloc(3000, 7);
  socket.emit("message", one, { deep: [two, { three }] }, "text");
  assert.deepEqual(await next(socket, "message-back"), [one, { deep: [two, { three }] }, "text"]);
  const [a, b] = await new Promise((resolve) => socket.emit("message-with-ack", one, three, (...args) => resolve(args)));
  assert.deepEqual([a, b], [one, three]);
  socket.once("question", (got, ack) => ack(Buffer.concat([got, got])));
  socket.emit("ask-me", one);
  assert.deepEqual(await next(socket, "answer-was"), [Buffer.concat([one, one])]);
  const ten = [...Array(10).keys()].map((n) => Buffer.from([n]));
  socket.emit("message", ten);
  assert.deepEqual(await next(socket, "message-back"), [ten]);
});

scenario("is cut off with eleven attachments and comes back", async (client) => {
  const socket = await connected(client());
  socket.emit("message", [...Array(11).keys()].map((n) => Buffer.from([n])));
  const [reason] = await next(socket, "disconnect");
  assert.ok(["transport close", "transport error"].includes(reason), reason);
  await next(socket, "connect");
});

scenario("multiplexes namespaces over one session", async (client) => {
  const root = await connected(client());
  const custom = root.io.socket("/custom", { auth: { for: "custom" } });
  try {
    assert.deepEqual(await next(custom, "auth"), [{ for: "custom" }]);
    assert.notEqual(custom.id, root.id);
    root.once("message-back", () => assert.fail("wrong namespace"));
    custom.emit("message", "hi");
    assert.deepEqual(await next(custom, "message-back"), ["hi"]);
    root.off("message-back");
    assert.equal(await custom.emitWithAck("message-with-ack", 5), 5);
    custom.disconnect();
    assert.equal(await root.emitWithAck("message-with-ack", 6), 6);
  } finally {
    custom.disconnect();
  }
});

scenario("learns of an unknown namespace", async (client) => {
  const socket = client({}, "/nowhere");
  const [err] = await next(socket, "connect_error");
  assert.equal(err.message, "Invalid namespace");
  assert.equal(socket.active, false);
});

scenario("learns why it is refused, and does not retry", async (client) => {
  const socket = client({ auth: { refuse: true } });
  const [err] = await next(socket, "connect_error");
  assert.equal(err.message, "refused");
  assert.deepEqual(err.data, { code: "ASKED_FOR" });
  assert.equal(socket.active, false);
});

scenario("retries by itself when the transport is closed at connect", async (client) => {
  let attempts = 0;
  const socket = client({ auth: (cb) => cb(attempts++ < 2 ? { close: true } : { attempts }) });
  assert.deepEqual(await next(socket, "auth"), [{ attempts: 3 }]);
});

scenario("stays away after a disconnect by the server", async (client) => {
  const socket = await connected(client());
  socket.emit("message", "before");
  const echoed = next(socket, "message-back");
  socket.emit("kick");
  const [reason] = await next(socket, "disconnect");
  assert.deepEqual(await echoed, ["before"]);
  assert.equal(reason, "io server disconnect");
  assert.equal(socket.active, false);
});

scenario("comes back by itself after a transport close", async (client) => {
  const socket = await connected(client());
  const before = socket.id;
  const back = next(socket, "disconnect").then(async ([reason]) => {
    await next(socket, "connect");
    return reason;
  });
  socket.emit("drop");
  assert.equal(await back, "transport close");
  assert.notEqual(socket.id, before);
  assert.equal(await socket.emitWithAck("message-with-ack", 1), 1);
});

scenario("leaves and comes again", async (client) => {
  const socket = await connected(client());
  socket.disconnect();
  socket.connect();
  await connected(socket);
  assert.equal(await socket.emitWithAck("message-with-ack", 1), 1);
});

scenario("retries what is not acked, and goes on with its queue", async (client) => {
  const socket = client({ retries: 2, ackTimeout: 60 });
  const failed = new Promise((resolve) => socket.emit("never-ack", (err) => resolve(err)));
  const queued = new Promise((resolve) => socket.emit("message-with-ack", "next", (err, got) => resolve([err, got])));
  assert.match((await failed).message, /timed out/);
  assert.deepEqual(await queued, [null, "next"]);
});

scenario("stays connected over many heartbeats", async (client) => {
  const socket = await connected(client());
  let pings = 0;
  socket.io.on("ping", () => pings++);
  while (pings < 5) await next(socket.io, "ping");
  assert.equal(socket.connected, true);
});
