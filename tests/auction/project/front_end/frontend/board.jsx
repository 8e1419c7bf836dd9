// The lots for sale, rendered by React.

import { useEffect, useState } from "react";
import { createRoot } from "react-dom/client";

import { io } from "./socket.io.esm.min.js";

function Board({ names }) {
  const [lots, setLots] = useState(names);
  const [state, setState] = useState("");
  const [praise, setPraise] = useState("");

  useEffect(() => {
    const socket = io("/auction");
    socket.on("connect", () => setState("open"));
    socket.on("disconnect", setState);
    socket.on("offered", (name) => setLots((lots) => [...lots, name]));
    socket.on("withdrawn", (name) => setLots((lots) => lots.filter((lot) => lot !== name)));
    return () => socket.close();
  }, []);

  const show = async (name) => setPraise((await import("./praise.js")).praise(name));

  return (
    <>
      <ul id="lots">
        {lots.map((name) => (
          <li key={name}>
            <button onClick={() => show(name)}>{name}</button>
          </li>
        ))}
      </ul>
      <p id="praise">{praise}</p>
      <p id="state">{state}</p>
    </>
  );
}

const root = document.getElementById("root");
createRoot(root).render(<Board names={JSON.parse(root.dataset.names)} />);
