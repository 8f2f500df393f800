// Has connections of the library ws, for Node.js.
"use strict";

const fs = require("node:fs");
const http = require("node:http");
const https = require("node:https");
const readline = require("node:readline");
const { WebSocket, WebSocketServer } = require("ws");

const connections = new Map();

function tell(event, details) {
  process.stdout.write(JSON.stringify({ event, ...details }) + "\n");
}

function run(websocket) {
  const connection = connections.size + 1;
  connections.set(connection, websocket);
  const compression = websocket.extensions.includes("permessage-deflate");
  tell("open", { connection, subprotocol: websocket.protocol, compression });
  websocket.on("message", (data, isBinary) => {
    const message = isBinary ? { base64: data.toString("base64") } : { text: data.toString() };
    tell("message", { connection, ...message });
  });
  websocket.on("pong", (data) => tell("pong", { connection, data: data.toString() }));
  websocket.on("close", (code, reason) => tell("close", { connection, code, reason: reason.toString() }));
  websocket.on("error", (error) => console.error(error));
}

const commands = {
  listen({ compression, subprotocol, certificate, key }) {
    const server = certificate
      ? https.createServer({ cert: fs.readFileSync(certificate), key: fs.readFileSync(key) })
      : http.createServer();
    const handleProtocols = (offered) => offered.has(subprotocol) && subprotocol;
    new WebSocketServer({ server, perMessageDeflate: compression, handleProtocols }).on("connection", run);
    server.listen(0, "127.0.0.1", () => tell("listening", { port: server.address().port }));
  },

  connect({ url, compression, subprotocol, ca }) {
    const options = { perMessageDeflate: compression, ca: ca ? fs.readFileSync(ca) : undefined };
    const websocket = new WebSocket(url, [subprotocol], options);
    websocket.on("open", () => run(websocket));
  },

  send({ connection, fragments }) {
    fragments.forEach((fragment, index) => {
      const data = fragment.text ?? Buffer.from(fragment.base64, "base64");
      const fin = index === fragments.length - 1;
      connections.get(connection).send(data, { fin });
    });
  },

  ping({ connection, data }) {
    connections.get(connection).ping(data);
  },

  close({ connection, code, reason }) {
    connections.get(connection).close(code, reason);
  },
};

tell("ready", { version: require("ws/package.json").version, file: require.resolve("ws") });
readline.createInterface({ input: process.stdin })
  .on("line", (line) => {
    const { do: name, ...details } = JSON.parse(line);
    commands[name](details);
  })
  .on("close", () => process.exit());
