// Runs many pages. The argument is the module that exports `Page`. The first line of standard input is
// [{ url, token, room, name, transports }, …], and every other line a command, both in JSON.

import { createInterface } from "node:readline";

const { Page } = await import(process.argv[2]);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const pages = JSON.parse((await lines.next()).value).map((options) => new Page(options));
const writing = [];
const UNSENT = 5;

const commands = {
  // Every page writes about once in `ms` milliseconds until `stop`; less often if it cannot send.
  write: (ms) => {
    const write = (page) => page.unsent < UNSENT && page.write();
    for (const page of pages) writing.push(setInterval(write, ms * (0.75 + Math.random() / 2), page));
  },
  stop: () => {
    writing.splice(0).forEach(clearInterval);
  },
  stand: () =>
    pages.map(({ name, shown, unsent, notice, written, joined, socket: { connected } }) => {
      return { name, shown: shown.length, unsent, notice, written: written.length, joined, connected };
    }),
  report: () =>
    pages.map(({ name, shown, written, acked, counts }) => ({ name, shown, written, acked, counts })),
};

await Promise.all(pages.map((page) => page.open()));
process.stdout.write(`${JSON.stringify("open")}\n`);
for await (const line of lines) {
  const [command, ...values] = JSON.parse(line);
  process.stdout.write(`${JSON.stringify(commands[command](...values) ?? null)}\n`);
}
for (const page of pages) page.close();
process.exit(0);
