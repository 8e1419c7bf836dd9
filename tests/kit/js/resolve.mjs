// Resolves URLs as browsers do: reads a line [location, base] of JSON, writes the resolved URL.
import { createInterface } from "node:readline";

for await (const line of createInterface({ input: process.stdin })) {
  const [location, base] = JSON.parse(line);
  const { origin, pathname, search } = new URL(location, base);
  console.log(JSON.stringify({ origin, pathname, search }));
}
