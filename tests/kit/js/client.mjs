// Official socket.io-client instances, which get commands and report events as lines of JSON.

import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const sockets = new Map();
let lives = 0; // how often all of them have been disconnected
const write = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

function connect(client, url, options) {
  const socket = io(url, { forceNew: true, ...options });
  const report = (event, ...values) => write({ client, event, values });
  socket.onAny(report);
  socket.on("connect", () => report("connect"));
  socket.on("disconnect", (reason) => report("disconnect", reason));
  socket.on("connect_error", ({ message, data }) => report("connect_error", { message, data }));
  sockets.set(client, socket);
}

const commands = {
  call: (socket, event, values) => socket.timeout(15_000).emitWithAck(event, ...values),
  emit: (socket, event, values) => void socket.emit(event, ...values),
  close: (socket) => void socket.disconnect(),
  transport: (socket) => socket.io.engine.transport.name,
  script: (socket, code) => new Function("socket", code)(socket),
};

function end() {
  for (const socket of sockets.values()) socket.offAny().off().disconnect();
  sockets.clear();
  lives += 1;
}

for await (const line of createInterface({ input: process.stdin })) {
  const { ask, client, do: command, values } = JSON.parse(line);
  const done =
    command === "end" ? end()
    : command === "connect" ? connect(client, ...values)
    : commands[command](sockets.get(client), ...values);
  const life = lives;
  const answer = (line) => life === lives && write(line);
  Promise.resolve(done).then(
    (value) => answer({ answer: ask, value: value ?? null }),
    (error) => answer({ answer: ask, error: `${command}: ${error}` }),
  );
}

process.exit(0);
