// Runs the app's own room.js and timeline.js, unchanged. Each page has a context of its own, with the few
// parts of a browser that the scripts use. Counts what they show and receive.

import { readFileSync } from "node:fs";
import vm from "node:vm";
import { io } from "socket.io-client";

const STATIC = new URL("../../functions/pages/static/", import.meta.url);
const scripts = Object.fromEntries(
  ["room.js", "timeline.js"].map((name) => [name, readFileSync(new URL(name, STATIC), "utf8")]),
);

const SPEED = 5; // the page's timers run this many times faster

export class Page {
  shown = []; // [seq, id] of the messages, in the order in which they appeared
  written = []; // texts, in the order in which they were typed
  acked = {}; // seq by id
  counts = { connects: 0, sent: 0, live: 0, doubled: 0 };

  constructor({ url, token, room, name, transports }) {
    Object.assign(this, { url, token, name, transports });
    this.elements = { room: new Element(), messages: new List(this.shown) };
    this.elements.room.dataset = { room, last: "0", me: name.toLowerCase(), name };
  }

  async open() {
    const context = vm.createContext(this.#globals());
    const modules = {};
    const client = new vm.SyntheticModule(["io"], () => client.setExport("io", this.#io), { context });
    const load = (name) =>
      (modules[name] ??= name.includes("socket.io")
        ? client
        : new vm.SourceTextModule(scripts[name], { context, identifier: name }));
    const room = load("room.js");
    await room.link((specifier) => load(specifier.replace("./", "")));
    await room.evaluate();
  }

  write() {
    const text = `${this.name} ${this.written.length + 1}`;
    this.written.push(text);
    this.#element("message").value = text;
    this.#element("composer").requestSubmit();
  }

  get unsent() {
    return this.elements.messages.children.filter((item) => !item.dataset.seq).length;
  }

  get joined() {
    return this.#element("count").textContent !== "";
  }

  get notice() {
    return this.#element("notice").textContent;
  }

  close() {
    this.socket.disconnect();
  }

  #element(id) {
    return (this.elements[id] ??= new Element());
  }

  #globals() {
    const stored = new Map();
    return {
      document: { getElementById: (id) => this.#element(id), createElement: (tag) => new Element(tag) },
      sessionStorage: {
        getItem: (key) => stored.get(key) ?? null,
        setItem: (key, value) => stored.set(key, value),
        removeItem: (key) => stored.delete(key),
      },
      setTimeout: (call, ms, ...values) => setTimeout(call, ms / SPEED, ...values),
      clearTimeout,
      navigator: { onLine: true },
      crypto,
      console,
    };
  }

  // Stands in for the page's `io`: the official client, connected to this site.
  #io = (options) => {
    this.socket = io(this.url, {
      ...options,
      auth: { ...options.auth, session: this.token },
      transports: this.transports ?? options.transports,
      withCredentials: true, // keeps the load balancer's cookie, as browsers do
      reconnectionDelay: 50,
      reconnectionDelayMax: 500,
      timeout: 3_000,
    });
    this.#count();
    return this.socket;
  };

  #count() {
    const { socket, counts } = this;
    let received;
    socket.on("connect", () => counts.connects++);
    socket.io.on("open", () => (received = new Set()));
    socket.on("message", ({ seq }) => {
      counts.live++;
      if (received.has(seq)) counts.doubled++; // the page would ignore it, but it must not be sent
      received.add(seq);
    });
    const ask = socket.emitWithAck.bind(socket);
    socket.emitWithAck = async (event, data) => {
      if (event === "message") counts.sent++;
      const answer = await ask(event, data);
      if (event === "message" && answer.seq) this.acked[data.id] = answer.seq;
      return answer;
    };
  }
}

class Element {
  children = [];
  dataset = {};
  style = {};
  classList = { add() {}, toggle() {} };
  textContent = "";
  value = "";
  #listeners = {};

  constructor(tag) {
    this.tag = tag;
  }

  append(...items) {
    for (const item of items) if (item instanceof Element) this.insertBefore(item, null);
  }

  insertBefore(item, next) {
    item.parent = this;
    this.children.splice(next ? this.children.indexOf(next) : this.children.length, 0, item);
  }

  replaceChildren(...items) {
    this.children = [];
    this.append(...items);
  }

  remove() {
    const siblings = this.parent.children;
    siblings.splice(siblings.indexOf(this), 1);
  }

  get firstElementChild() {
    return this.children[0];
  }

  querySelector(tag) {
    return this.children.find((child) => child.tag === tag) ?? null;
  }

  querySelectorAll(tag) {
    return this.children.filter((child) => child.tag === tag);
  }

  addEventListener(event, listener) {
    this.#listeners[event] = listener;
  }

  requestSubmit() {
    this.#listeners.submit({ preventDefault() {} });
  }

  setSelectionRange() {}
}

class List extends Element {
  constructor(shown) {
    super();
    this.shown = shown;
  }

  insertBefore(item, next) {
    if (item.dataset.seq) this.shown.push([Number(item.dataset.seq), item.dataset.id]);
    super.insertBefore(item, next);
  }
}
