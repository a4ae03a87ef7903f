#!/usr/bin/env node
// A forwarder for Node.js that survives what production does: every log line reaches the backend (the first argument),
// and none of them twice. Nothing but what Node.js brings.
import { createServer, request as httpRequest } from "node:http";
import { basename } from "node:path";

const api = `http://${process.env.AWS_LAMBDA_RUNTIME_API}`;
const managed = process.env.AWS_LAMBDA_INITIALIZATION_TYPE === "lambda-managed-instances"; // no INVOKE there
const name = basename(process.argv[1]); // Lambda wants the file's name
const backend = process.argv[2];
const ATTEMPTS = 8;
const TIMEOUT_MS = 1500;

async function call(method, path, body, headers) {
  const answer = await fetch(api + path, { method, body: body && JSON.stringify(body), headers });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  return answer;
}

const seen = new Set(); // a batch comes again when its answer was lost
let cut = ""; // the first piece of a record that was cut in two

function decoded(text) {
  try {
    return JSON.parse(text);
  } catch {
    const at = text.indexOf('"record":');
    if (cut && at >= 0) {
      try {
        // the piece ends with `}]`; this body repeats time and type, then the record goes on
        const whole = JSON.parse(cut.slice(0, -2) + text.slice(at + '"record":'.length));
        cut = "";
        return whole;
      } catch {
        // not the other piece
      }
    }
    cut = text;
    return [];
  }
}

// A connection of its own for each: one that is kept may be dead after a freeze.
function post(lines) {
  return new Promise((resolve) => {
    const sending = httpRequest(`${backend}/v1/logs`, { method: "POST", agent: false, timeout: TIMEOUT_MS }, (answer) => {
      answer.resume();
      resolve(answer.statusCode >= 200 && answer.statusCode < 300);
    });
    sending.on("timeout", () => sending.destroy());
    sending.on("error", () => resolve(false));
    sending.end(JSON.stringify(lines));
  });
}

let waiting = [];
let sending = Promise.resolve();

function send() {
  sending = sending.then(async () => {
    const lines = waiting;
    waiting = [];
    for (let attempt = 0; lines.length && attempt < ATTEMPTS; attempt += 1) if (await post(lines)) return;
    waiting = lines.concat(waiting); // perhaps next time
  });
  return sending;
}

const listener = createServer(async (request, response) => {
  const chunks = [];
  try {
    for await (const chunk of request) chunks.push(chunk);
  } catch {
    return; // it broke off: the same batch comes again
  }
  const text = Buffer.concat(chunks).toString();
  if (!seen.has(text)) {
    seen.add(text);
    for (const event of decoded(text)) if (event.type === "function") waiting.push(event.record);
  }
  await send(); // before the answer: what is answered never comes again
  response.end();
});
await new Promise((listening) => listener.listen(0, "sandbox.localdomain", listening));

const registered = await call(
  "POST",
  "/2020-01-01/extension/register",
  { events: managed ? ["SHUTDOWN"] : ["INVOKE", "SHUTDOWN"] },
  { "Content-Type": "application/json", "Lambda-Extension-Name": name },
);
const identified = { "Lambda-Extension-Identifier": registered.headers.get("lambda-extension-identifier") };
await call("PUT", "/2022-07-01/telemetry", {
  schemaVersion: "2025-01-29",
  types: ["platform", "function"],
  buffering: { timeoutMs: 100 },
  destination: { protocol: "HTTP", URI: `http://sandbox.localdomain:${listener.address().port}` },
}, { "Content-Type": "application/json", ...identified });

for (;;) {
  const event = await (await call("GET", "/2020-01-01/extension/event/next", undefined, identified)).json();
  if (event.eventType === "SHUTDOWN") {
    await send();
    process.exit(0);
  }
}
