// Runs one case of an SDK for each line of standard input, and writes a line with what came of it.
// A line asks {sdk, case, url, headers, text, tool, schema}; it is answered {value} or {error}.

import net from "node:net";
import readline from "node:readline";

// The tests of clients reach this machine and nothing else; an SDK that tries is told so.
const connect = net.Socket.prototype.connect;
net.Socket.prototype.connect = function (...values) {
  const options = Array.isArray(values[0]) ? values[0][0] : values[0];
  if (options?.host !== "127.0.0.1") {
    throw new Error(`a test tried to reach ${options?.host}`);
  }
  return connect.apply(this, values);
};

const messages = (error) =>
  error ? [String(error.message ?? error), ...messages(error.cause)] : [];
const failed = (error) => ({
  name: error?.constructor?.name,
  status: error?.status ?? error?.status_code ?? error?.statusCode ?? null,
  message: messages(error).join(": "),
});

for await (const line of readline.createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  let told;
  try {
    const { default: cases } = await import(`./${asked.sdk}.mjs`);
    told = { value: await cases[asked.case](asked) };
  } catch (error) {
    told = { error: failed(error) };
  }
  process.stdout.write(`${JSON.stringify(told)}\n`);
}
