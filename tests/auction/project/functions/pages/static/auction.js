// Bids, news and withdrawals appear as they come.

import { io } from "./socket.io.esm.min.js";

const socket = io("/auction");
const state = document.getElementById("state");

socket.on("connect", () => (state.textContent = "open"));
socket.on("disconnect", (reason) => (state.textContent = reason));
socket.on("news", ({ text }) => (document.getElementById("news").textContent = text));
socket.on("withdrawn", (lot) => {
  for (const item of document.querySelectorAll("#lots li")) {
    if (item.querySelector("a").textContent === lot) item.remove();
  }
});
