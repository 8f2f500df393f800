// The process under test: the library ws, for Node.js, as client and as server. See subject.py.
"use strict";

const { once } = require("node:events");
const fs = require("node:fs");
const http = require("node:http");
const https = require("node:https");
const readline = require("node:readline");
const { setTimeout: sleep } = require("node:timers/promises");
const { WebSocket, WebSocketServer } = require("ws");

const connections = new Set();
let websocket, payload, toSend, left, done;

function receive(data, binary) {
  if (!binary) data.toString();
  if (toSend > 0) {
    toSend--;
    websocket.send(payload);
  }
  if (--left === 0) done();
}

const commands = {
  // As a client

  async open({ url, size, deflate, certificate }) {
    const ca = certificate && fs.readFileSync(certificate);
    websocket = new WebSocket(url, { perMessageDeflate: Boolean(deflate), maxPayload: 0, ca });
    websocket.on("message", receive);
    payload = Buffer.alloc(size, 1);
    await once(websocket, "open");
  },

  async close() {
    websocket.close(1000);
    await once(websocket, "close");
  },

  async run({ work, count, in_flight: inFlight = 1 }) {
    const streaming = work === "stream" || work === "receive";
    left = count;
    toSend = streaming ? 0 : count - inFlight;
    const finished = new Promise((resolve) => { done = resolve; });
    for (let number = 0; number < inFlight; number++) websocket.send(payload);
    await finished;
  },

  async handshakes({ url, count, deflate }) {
    for (let number = 0; number < count; number++) {
      await commands.open({ url, size: 16, deflate });
      await commands.close();
    }
  },

  // As a server

  async listen({ deflate, certificate }) {
    const pem = certificate && fs.readFileSync(certificate);
    const server = certificate ? https.createServer({ cert: pem, key: pem }) : http.createServer();
    const options = { server, perMessageDeflate: Boolean(deflate), maxPayload: 0 };
    new WebSocketServer(options).on("connection", (connection) => {
      connections.add(connection);
      connection.on("message", (data, binary) => connection.send(data, { binary }));
      connection.on("close", () => connections.delete(connection));
      connection.on("error", () => {});
    });
    server.listen({ port: 0, host: "127.0.0.1", backlog: 1000 });
    await once(server, "listening");
    return { port: server.address().port };
  },

  async broadcast({ message }) {
    for (const connection of connections) connection.send(message);
  },

  async disconnected() {
    while (connections.size) await sleep(10);
  },

  async cpu() {
    const { user, system } = process.cpuUsage();
    return { cpu: (user + system) / 1e6, system: system / 1e6 };
  },

  async memory() {
    return { memory: process.memoryUsage.rss() };
  },
};

readline.createInterface({ input: process.stdin })
  .on("line", async (line) => {
    const { do: name, ...options } = JSON.parse(line);
    let result;
    try {
      result = (await commands[name](options)) ?? {};
    } catch (error) {
      result = { error: String(error) };
    }
    process.stdout.write(JSON.stringify(result) + "\n");
  })
  .on("close", () => process.exit());
