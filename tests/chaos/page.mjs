// The messages of a page of the small app. It sends one at a time and repeats each until it is acked. It
// shows messages in the order of their numbers and fetches those that are missing.

import { setTimeout as pause } from "node:timers/promises";
import { io } from "socket.io-client";

const PATIENCE = 3_000; // ms for an answer
const PAUSE = 100; // ms before something is tried again

export class Page {
  shown = []; // [seq, id] of the messages, in the order in which they appeared
  written = []; // texts, in the order in which they were typed
  acked = {}; // seq by id
  counts = { connects: 0, sent: 0, live: 0, doubled: 0 };
  notice = "";
  #queue = [];
  #early = new Map(); // ids of messages that came before one with a lower number
  #last = 0;
  #entered = false;
  #stale = false;
  #catching = false;
  #sending = false;

  constructor({ url, token, room, name, transports = ["websocket", "polling"] }) {
    Object.assign(this, { room, name });
    this.socket = io(url, {
      auth: { session: token },
      transports,
      autoConnect: false,
      withCredentials: true, // keeps the load balancer's cookie, as browsers do
      reconnectionDelay: 50,
      reconnectionDelayMax: 500,
      timeout: PATIENCE,
    });
    this.#listen();
  }

  async open() {
    this.socket.connect();
  }

  close() {
    this.socket.disconnect();
  }

  write() {
    const text = `${this.name} ${this.written.length + 1}`;
    this.written.push(text);
    this.#queue.push({ id: crypto.randomUUID(), text });
    this.#send();
  }

  get unsent() {
    return this.#queue.length;
  }

  #listen() {
    const { socket, counts } = this;
    let received;
    socket.io.on("open", () => (received = new Set()));
    socket.on("connect", () => {
      counts.connects++;
      this.#entered = false;
      this.#catchUp();
    });
    socket.on("message", (message) => {
      counts.live++;
      if (received.has(message.seq)) counts.doubled++;
      received.add(message.seq);
      this.#show([message]);
      if (this.#early.size) this.#catchUp();
    });
    socket.on("last", ({ seq }) => seq > this.#last && this.#catchUp());
  }

  async #catchUp() {
    this.#stale = true; // if a request is already under way, it is repeated
    if (this.#catching) return;
    this.#catching = true;
    while (this.#stale && this.socket.connected) {
      this.#stale = false;
      const entering = !this.#entered;
      this.#entered = true; // unless it connects anew meanwhile
      const answer = entering
        ? await this.#ask("enter", { room: this.room, after: this.#last })
        : await this.#ask("missed", { after: this.#last });
      if (answer?.messages) this.#show(answer.messages);
      else if (entering) this.#entered = false;
      if (!answer?.messages) await pause(PAUSE);
      this.#stale ||= !answer?.messages || answer.more;
    }
    this.#catching = false;
    this.#send();
  }

  async #send() {
    if (this.#sending) return;
    this.#sending = true;
    while (this.#queue.length && this.#entered && this.socket.connected) {
      const [message] = this.#queue;
      this.counts.sent++;
      const answer = await this.#ask("message", message);
      if (answer?.seq) {
        this.acked[message.id] = answer.seq;
        this.#queue.shift();
        this.#show([{ seq: answer.seq, id: message.id }]);
      } else await pause(PAUSE);
    }
    this.#sending = false;
  }

  #ask(event, data) {
    return this.socket.timeout(PATIENCE).emitWithAck(event, data).catch(() => null);
  }

  #show(messages) {
    for (const { seq, id } of messages) if (seq > this.#last) this.#early.set(seq, id);
    for (let id; (id = this.#early.get(this.#last + 1)); ) {
      this.#early.delete(++this.#last);
      this.shown.push([this.#last, id]);
    }
  }
}
