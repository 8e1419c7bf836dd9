// Node socket.io with its default settings, and with its Redis adapter if BUS names a Redis.
import { createServer } from "node:http";
import { Server } from "socket.io";

const http = createServer();
const io = new Server(http);

if (process.env.BUS) {
  const { createAdapter } = await import("@socket.io/redis-adapter");
  const { createClient } = await import("redis");
  const publisher = createClient({ url: process.env.BUS });
  const listener = publisher.duplicate();
  await Promise.all([publisher.connect(), listener.connect()]);
  io.adapter(createAdapter(publisher, listener));
}

io.on("connection", (socket) => {
  socket.on("echo", (text, ack) => ack(text));
  socket.on("say", (text) => io.emit("said", text));
  socket.on("burst", (text, times) => {
    for (let i = 0; i < times; i++) io.emit("said", text, i);
  });
});

http.listen(0, "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${http.address().port}`);
});
