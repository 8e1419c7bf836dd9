// What is typed in one window appears in all others.

import { io } from "./socket.io.esm.min.js";

const socket = io({ transports: ["websocket", "polling"] });
const input = document.getElementById("text");

input.addEventListener("input", () => socket.emit("input-change", input.value));
socket.on("update-input", (text) => (input.value = text));
