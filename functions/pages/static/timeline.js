// The room's messages in the page: in order, each once, unsent ones last.

const KEPT = 500; // largest number of messages shown; a reload shows the latest

const times = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const dates = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
const days = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });

export class Timeline {
  /** Takes over the list that the server rendered, up to sequence number `last`. */
  constructor(list, { room, me, last }) {
    this.list = list;
    this.me = me;
    this.last = last;
    this.highest = last; // the highest known sequence number
    this.early = new Map(); // messages after a gap, by sequence number
    this.unsent = new Map(); // id → { id, text, item }, in the order they were written
    // Stored for the tab, so that a reload loses no unsent messages.
    this.key = `unsent ${room}`;
    for (const time of list.querySelectorAll("time")) showTime(time);
    for (const { id, text } of JSON.parse(sessionStorage.getItem(this.key) ?? "[]")) {
      // It may have been stored, although the ack did not arrive.
      if (!list.querySelector(`[data-id="${CSS.escape(id)}"]`)) this.write(text, id);
    }
    this.#keep();
    this.#scroll();
  }

  /** Whether no known message is missing. */
  get whole() {
    return this.last >= this.highest;
  }

  /** Changes the visitor, and marks their own messages. */
  setMe(me) {
    this.me = me;
    for (const { item } of this.unsent.values()) item.querySelector(".name").textContent = me.name;
    for (const item of this.list.querySelectorAll("[data-seq]")) {
      item.classList.toggle("mine", item.dataset.author === me.id);
    }
  }

  /** Stores the author of a message that is already shown. */
  attribute({ id, author }) {
    const item = this.list.querySelector(`[data-seq][data-id="${CSS.escape(id)}"]`);
    if (item) item.dataset.author = author;
    item?.classList.toggle("mine", author === this.me.id);
  }

  /** Records that a message with this number exists. */
  expect(seq) {
    this.highest = Math.max(this.highest, seq);
  }

  /** Adds a stored message. */
  add(message) {
    const written = this.unsent.get(message.id);
    if (written) this.drop(written);
    this.expect(message.seq);
    if (message.seq > this.last) this.early.set(message.seq, message);
    for (let next; (next = this.early.get(this.last + 1)); this.last++) {
      this.early.delete(next.seq);
      this.#show(next);
    }
  }

  /** Shows an own message that is not stored yet, and returns it. */
  write(text, id = newId()) {
    const entry = { id, text, item: render({ id, text, name: this.me.name }) };
    entry.item.classList.add("mine");
    this.unsent.set(id, entry);
    this.list.append(entry.item);
    this.state(entry, "Waiting to be sent");
    this.#keep();
    this.#scroll();
    return entry;
  }

  /** Shows the state of an unsent message. */
  state(entry, words) {
    entry.item.classList.add("unsent");
    entry.item.querySelector("time").textContent = words;
  }

  /** Removes an unsent message that is now stored, or was finally refused. */
  drop(entry) {
    this.unsent.delete(entry.id);
    entry.item.remove();
    this.#keep();
  }

  #show(message) {
    const near = this.#nearEnd();
    const item = render(message);
    item.dataset.author = message.author;
    item.classList.toggle("mine", message.author === this.me.id);
    const [firstUnsent] = this.unsent.values();
    this.list.insertBefore(item, firstUnsent?.item ?? null);
    while (this.list.children.length - this.unsent.size > KEPT) this.list.firstElementChild.remove();
    if (near) this.#scroll();
  }

  #keep() {
    const entries = [...this.unsent.values()].map(({ id, text }) => ({ id, text }));
    sessionStorage.setItem(this.key, JSON.stringify(entries));
  }

  // Does not scroll if the reader has scrolled up.
  #nearEnd() {
    return this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < 80;
  }

  #scroll() {
    this.list.scrollTop = this.list.scrollHeight;
  }
}

function render({ seq, id, name, text, at }) {
  const item = document.createElement("li");
  item.dataset.id = id;
  if (seq) item.dataset.seq = seq;
  item.append(part("span", "name", name), " ", part("time", "", ""), part("p", "", text));
  if (at) {
    const time = item.querySelector("time");
    time.dateTime = new Date(at).toISOString();
    showTime(time);
  }
  return item;
}

function part(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.textContent = text;
  return element;
}

/** Formats a time in the reader's time zone and locale. */
function showTime(time) {
  const at = new Date(time.dateTime);
  const today = at.toDateString() === new Date().toDateString();
  time.textContent = today ? times.format(at) : `${days.format(at)}, ${times.format(at)}`;
  time.title = dates.format(at);
}

// Not crypto.randomUUID: it exists only on secure origins, not at a local network's address.
function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
