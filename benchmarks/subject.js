// The process under test: the library ws, for Node.js, as a server. See subject.py.
"use strict";

const fs = require("node:fs");
const http = require("node:http");
const https = require("node:https");
const readline = require("node:readline");
const { WebSocketServer } = require("ws");

const connections = new Set();

const commands = {
  listen({ deflate, certificate }, answer) {
    const pem = certificate && fs.readFileSync(certificate);
    const server = certificate ? https.createServer({ cert: pem, key: pem }) : http.createServer();
    const options = { server, perMessageDeflate: Boolean(deflate), maxPayload: 0 };
    new WebSocketServer(options).on("connection", (websocket) => {
      connections.add(websocket);
      websocket.on("message", (data, binary) => websocket.send(data, { binary }));
      websocket.on("close", () => connections.delete(websocket));
      websocket.on("error", () => {});
    });
    server.listen({ port: 0, host: "127.0.0.1", backlog: 1000 }, () => answer({ port: server.address().port }));
  },

  cpu(_, answer) {
    const { user, system } = process.cpuUsage();
    answer({ cpu: (user + system) / 1e6 });
  },

  memory(_, answer) {
    answer({ memory: process.memoryUsage.rss() });
  },

  broadcast({ message }, answer) {
    for (const websocket of connections) websocket.send(message);
    answer({});
  },
};

readline.createInterface({ input: process.stdin })
  .on("line", (line) => {
    const { do: name, ...options } = JSON.parse(line);
    commands[name](options, (result) => process.stdout.write(JSON.stringify(result) + "\n"));
  })
  .on("close", () => process.exit());
