// A live room, which starts from what the server has rendered.

import { io } from "./socket.io.esm.min.js";
import { Timeline } from "./timeline.js";

const ANSWER = 10_000; // ms to wait for an ack before trying again
const PAUSE = 2_000; // ms before retrying what the host could not do
const RENDERED = 50; // largest number of messages that the server renders
const TYPING = 3_000; // ms for which a "typing" is shown

const $ = (id) => document.getElementById(id);
const { room, last, me: id, name } = $("room").dataset;
let me = { id, name }; // the host may use another one, if another tab has set another session
const timeline = new Timeline($("messages"), { room, last: Number(last), me });

// Websocket first, which takes one request instead of five; polling if it fails (see connect_error).
const socket = io({ transports: ["websocket", "polling"], timeout: 8_000 });
let joined = false; // earlier events are the lobby's
let wasJoined = false; // before the connection dropped

// ---- Connection ----

function showStatus(state, text) {
  $("status").hidden = false;
  $("status").dataset.state = state;
  $("status").textContent = text;
}

function showConnected() {
  showStatus("live", `Live · ${socket.io.engine.transport.name}`);
}

function notify(text) {
  $("notice").textContent = text;
  $("notice").hidden = !text;
}

socket.on("connect", async () => {
  showConnected();
  socket.io.engine.once("upgrade", showConnected);
  await enter();
});

async function enter() {
  try {
    await (socket.recovered && wasJoined ? resume() : join());
  } catch {
    // No ack. After a drop, the next connection joins; if the host is slow, try again.
    if (socket.connected) socket.disconnect().connect();
  }
}

socket.on("disconnect", (reason) => {
  wasJoined ||= joined;
  joined = false;
  $("who").hidden = true;
  showStatus("waiting", "Reconnecting…");
  if (!socket.active) reconnectLater(); // disconnected by the host, so the client would not reconnect
});

socket.on("connect_error", (error) => {
  showStatus("waiting", navigator.onLine ? "Reconnecting…" : "Offline");
  if (socket.active) {
    socket.io.opts.transports.reverse(); // the network may block only this transport
    if (error.description === 403) notify(error.context.responseText); // this page's origin is refused
  } else if (error.data?.code === "session") {
    renewSession(error.message);
  } else {
    notify(error.message); // refused by the host, for example because it is full
    reconnectLater();
  }
});

function reconnectLater() {
  setTimeout(() => socket.connect(), 5_000 + Math.random() * 5_000);
}

// Reloading renews the session's cookie. Reload only once: if that does not help, again will not.
function renewSession(text) {
  if (sessionStorage.getItem("renewed")) return notify(text);
  sessionStorage.setItem("renewed", "yes");
  location.reload();
}

// The session was recovered, and the host sends the missed events by itself.
function resume() {
  joined = true;
  catchUp().catch(() => {}); // messages may have been missing when the connection dropped
  if (noteUnsent) sendNote();
  return send();
}

async function join() {
  wasJoined = false;
  const state = await ask("join", { room, after: timeline.last });
  if (state.error) {
    if (state.retry) setTimeout(() => socket.connected && !joined && enter(), PAUSE);
    return notify(state.error);
  }
  sessionStorage.removeItem("renewed");
  notify("");
  joined = true;
  setVisitor(state.you);
  state.messages.forEach(showMessage);
  if (state.more || !timeline.whole) await catchUp();
  if (noteUnsent) sendNote();
  else showNote(state.text);
  showPeople(state.who);
  await send();
}

// ---- The visitor ----

// Two tabs opened at the same time each get a session, and the browser keeps one of them. A tab that
// sees another identity reconnects, with the current cookie.
const tabs = globalThis.BroadcastChannel && new BroadcastChannel("sidepath identity");
const adopted = new Set(); // once for each identity, so that two tabs cannot reconnect forever

tabs?.addEventListener("message", ({ data }) => {
  if (!joined || data === me.id || adopted.has(data)) return;
  adopted.add(data);
  socket.disconnect().connect();
});

function setVisitor(you) {
  tabs?.postMessage(you.id);
  if (you.id === me.id && you.name === me.name) return;
  me = you;
  $("message").placeholder = `Message as ${you.name}`;
  timeline.setMe(you);
  // The page does not contain the authors of the messages that the server rendered.
  ask("history", { after: Math.max(0, Number(last) - RENDERED) })
    .then((answer) => answer.messages?.forEach((message) => timeline.attribute(message)))
    .catch(() => {});
}

function pause() {
  return new Promise((resolve) => setTimeout(resolve, PAUSE));
}

function ask(event, data) {
  return socket.timeout(ANSWER).emitWithAck(event, data);
}

// ---- Messages ----

function showMessage(message) {
  $("empty").hidden = true;
  showTyping({ id: message.author, typing: false });
  timeline.add(message);
}

function receive(message) {
  if (message.room !== room) return;
  showMessage(message);
  fillGap();
}

function fillGap() {
  if (!timeline.whole) catchUp().catch(() => {});
}

socket.on("message", receive);

// A killed host may have stored a message without sending it.
socket.on("last", (news) => {
  if (news.room !== room) return;
  timeline.expect(news.seq);
  fillGap();
});

let catchingUp;
let askAgain;

// Requests the messages after the last one in order.
function catchUp() {
  askAgain = true; // the pending response may lack the newest messages
  catchingUp ??= (async () => {
    for (let more = joined; more; ) {
      askAgain = false;
      const answer = await ask("history", { after: timeline.last });
      answer.messages?.forEach(showMessage);
      if (answer.retry) await pause();
      more = joined && (answer.more || answer.retry || (askAgain && !timeline.whole));
    }
  })().finally(() => (catchingUp = undefined));
  return catchingUp;
}

let sending = false;

// Sends unsent messages one after another, so that they stay in order. Because of its id, a stored
// message can be sent again without harm.
async function send() {
  if (sending) return;
  sending = true;
  try {
    for (const entry of timeline.unsent.values()) {
      if (!joined || !(await sendOne(entry))) break;
    }
  } finally {
    sending = false;
  }
  if (joined && timeline.unsent.size) setTimeout(send, PAUSE);
}

// Returns false if the message must be sent again.
async function sendOne(entry) {
  timeline.state(entry, "Sending…");
  try {
    const { id, text } = entry;
    const { seq, at, error, retry } = await ask("message", { id, text });
    if (seq) {
      receive({ room, seq, id, author: me.id, name: me.name, text, at });
      return true;
    }
    notify(error);
    if (!retry) {
      timeline.drop(entry);
      $("message").value ||= text;
      return true;
    }
  } catch {} // no answer
  timeline.state(entry, "Not sent yet");
  return false;
}

$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("message").value.trim();
  if (!text) return;
  notify("");
  timeline.write(text);
  $("empty").hidden = true;
  $("message").value = "";
  fit();
  sendTyping(false);
  send();
});

$("message").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $("composer").requestSubmit();
});

// Grows the composer with its text.
function fit() {
  $("message").style.height = "auto";
  $("message").style.height = `${$("message").scrollHeight}px`;
}

// ---- Typing ----

const typists = new Map(); // id → { name, timer }
let typingSentAt = 0; // when "typing" was last sent; 0 if nothing is being typed

function sendTyping(typing) {
  const now = Date.now();
  if (typing ? now - typingSentAt < TYPING / 2 : !typingSentAt) return;
  typingSentAt = typing ? now : 0;
  if (joined) socket.volatile.emit("typing", typing);
}

function showTyping({ id, name, typing }) {
  clearTimeout(typists.get(id)?.timer);
  typists.delete(id);
  if (typing && id !== me.id) {
    typists.set(id, { name, timer: setTimeout(showTyping, TYPING, { id, typing: false }) });
  }
  const names = [...typists.values()].slice(0, 3).map((typist) => typist.name);
  const verb = names.length === 1 ? "is" : "are";
  $("typing").textContent = names.length ? `${names.join(", ")} ${verb} typing…` : "";
}

$("message").addEventListener("input", () => {
  fit();
  sendTyping($("message").value !== "");
});

socket.on("typing", (typist) => joined && showTyping(typist));

// ---- Shared note ----

let noteUnsent = false; // whether the host lacks the current text
let sendingNote = false;

// Sends the current note, one at a time; changes in the meantime are sent next.
async function sendNote() {
  noteUnsent = true;
  if (sendingNote) return;
  sendingNote = true;
  while (joined && noteUnsent) noteUnsent = !(await sendNoteOnce());
  sendingNote = false;
}

// Returns false if the note must be sent again.
async function sendNoteOnce() {
  const text = $("note").value;
  try {
    const { error, retry } = await ask("input-change", text);
    if (!retry) {
      if (error) notify(error);
      return text === $("note").value;
    }
  } catch {} // no answer
  await pause();
  return false;
}

function showNote(text) {
  const { selectionStart, selectionEnd } = $("note");
  $("note").value = text;
  $("note").setSelectionRange(selectionStart, selectionEnd); // keeps the cursor's position
}

$("note").addEventListener("input", sendNote);
// Until the host has this text, others' changes are ignored, because it will replace them.
socket.on("update-input", (text) => joined && !noteUnsent && showNote(text));

// ---- Who is here ----

socket.on("who", (who) => joined && showPeople(who));

function showPeople({ count, names }) {
  $("who").hidden = false;
  $("count").textContent = count;
  const lines = names.map((person) => (person === me.name ? `${person} (you)` : person));
  if (count > names.length) lines.push(`and ${count - names.length} more`);
  const items = lines.map((textContent) => Object.assign(document.createElement("li"), { textContent }));
  $("people").replaceChildren(...items);
}

$("note").readOnly = false;
showStatus("connecting", "Connecting…");
