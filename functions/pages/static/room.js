// A room, live: what the server rendered goes on from where it stood.

import { io } from "./socket.io.esm.min.js";
import { Timeline } from "./timeline.js";

const ANSWER = 10_000; // ms to wait for an ack before trying again
const PAUSE = 2_000; // ms between tries of what the host could not do just now
const RENDERED = 50; // messages on the page as the server renders it, at most
const TYPING = 3_000; // ms a "typing" lasts without another

const $ = (id) => document.getElementById(id);
const { room, last, me: id, name } = $("room").dataset;
let me = { id, name }; // until the host says otherwise: another tab may have got another session
const timeline = new Timeline($("messages"), { room, last: Number(last), me });

// Websocket first: one request instead of five. Where it cannot pass, polling (see connect_error).
const socket = io({ transports: ["websocket", "polling"], timeout: 8_000 });
let joined = false; // live events before that are the lobby's
let wasJoined = false; // before the connection dropped

// ---- Connection ----

function showStatus(state, words) {
  $("status").hidden = false;
  $("status").dataset.state = state;
  $("status").textContent = words;
}

function showConnected() {
  showStatus("live", `Live · ${socket.io.engine.transport.name}`);
}

function notify(words) {
  $("notice").textContent = words;
  $("notice").hidden = !words;
}

socket.on("connect", async () => {
  showConnected();
  socket.io.engine.once("upgrade", showConnected);
  await enter();
});

async function enter() {
  try {
    await (socket.recovered && wasJoined ? goOn() : join());
  } catch {
    // No answer: if the connection is gone, the next one joins; if the host is slow, ask again.
    if (socket.connected) socket.disconnect().connect();
  }
}

socket.on("disconnect", (reason) => {
  wasJoined ||= joined;
  joined = false;
  $("who").hidden = true;
  showStatus("waiting", "Reconnecting…");
  if (!socket.active) comeBack(); // the host said goodbye: the client would stay away
});

socket.on("connect_error", (error) => {
  showStatus("waiting", navigator.onLine ? "Reconnecting…" : "Offline");
  if (socket.active) {
    socket.io.opts.transports.reverse(); // the network's no: perhaps only to this transport
    if (error.description === 403) notify(error.context.responseText); // of this page's address
  } else if (error.data?.code === "session") {
    renewSession(error.message);
  } else {
    notify(error.message); // the host's own no: it is full, say
    comeBack();
  }
});

function comeBack() {
  setTimeout(() => socket.connect(), 5_000 + Math.random() * 5_000);
}

// A page visit renews the session's cookie. Once: if that does not help, reloading again will not.
function renewSession(words) {
  if (sessionStorage.getItem("renewed")) return notify(words);
  sessionStorage.setItem("renewed", "yes");
  location.reload();
}

// The host knows us still, and sends by itself what we missed.
function goOn() {
  joined = true;
  catchUp().catch(() => {}); // a hole may have been open when the connection dropped
  if (noteUnsent) sayNote();
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
  introduce(state.you);
  state.messages.forEach(showMessage);
  if (state.more || !timeline.whole) await catchUp();
  if (noteUnsent) sayNote();
  else showNote(state.text);
  showPeople(state.who);
  await send();
}

// ---- Who I am ----

// Two tabs that were opened at once each got a session, and the browser keeps one: whoever hears of
// another identity connects anew, with the cookie as it is by now.
const tabs = globalThis.BroadcastChannel && new BroadcastChannel("sidepath identity");
const heeded = new Set(); // once for each: two that never agree must not go on for ever

tabs?.addEventListener("message", ({ data }) => {
  if (!joined || data === me.id || heeded.has(data)) return;
  heeded.add(data);
  socket.disconnect().connect();
});

function introduce(you) {
  tabs?.postMessage(you.id);
  if (you.id === me.id && you.name === me.name) return;
  me = you;
  $("message").placeholder = `Message as ${you.name}`;
  timeline.iAm(you);
  // Who wrote what the server rendered, the page does not say.
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

function takeIn(message) {
  if (message.room !== room) return;
  showMessage(message);
  heal();
}

function heal() {
  if (!timeline.whole) catchUp().catch(() => {});
}

socket.on("message", takeIn);

// A host is gone that may have stored a message and told nobody.
socket.on("last", (news) => {
  if (news.room !== room) return;
  timeline.hear(news.seq);
  heal();
});

let catchingUp;
let askAgain;

// Asks for what is missing after the last message in order.
function catchUp() {
  askAgain = true; // what is being answered may be older than what I heard of just now
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

// Sends what is unsent, one after the other: what cannot be sent now is not overtaken by what was
// written later. The id makes a second try of a stored message harmless.
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

// Returns false if the message has to be sent again.
async function sendOne(entry) {
  timeline.state(entry, "Sending…");
  try {
    const { id, text } = entry;
    const { seq, at, error, retry } = await ask("message", { id, text });
    if (seq) {
      takeIn({ room, seq, id, author: me.id, name: me.name, text, at });
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
  sayTyping(false);
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
let said = 0; // when I last said that I type; 0 if I do not

function sayTyping(typing) {
  const now = Date.now();
  if (typing ? now - said < TYPING / 2 : !said) return;
  said = typing ? now : 0;
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
  sayTyping($("message").value !== "");
});

socket.on("typing", (typist) => joined && showTyping(typist));

// ---- Shared note ----

let noteUnsent = false; // until the host has it as it stands
let sayingNote = false;

// Sends the note as it stands, one at a time: what is typed meanwhile goes with the next.
async function sayNote() {
  noteUnsent = true;
  if (sayingNote) return;
  sayingNote = true;
  while (joined && noteUnsent) noteUnsent = !(await sayNoteOnce());
  sayingNote = false;
}

// Returns false if the note has to be sent again.
async function sayNoteOnce() {
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
  $("note").setSelectionRange(selectionStart, selectionEnd); // where I was, not at the end
}

$("note").addEventListener("input", sayNote);
// What others wrote before the host has mine, mine replaces.
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
