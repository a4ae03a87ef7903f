#!/usr/bin/env node
// A telemetry extension for Node.js, with nothing but what Node.js brings: prints the function's log lines, and sends
// them on to a backend.
import { createHash } from "node:crypto";
import { createServer } from "node:http";
import { basename } from "node:path";

const api = `http://${process.env.AWS_LAMBDA_RUNTIME_API}`;
const name = basename(process.argv[1]); // Lambda wants the file's name

async function call(method, path, body, headers) {
  const answer = await fetch(api + path, { method, body: body && JSON.stringify(body), headers });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  return answer;
}

// Whether the backend has taken a batch. One that comes again has the same key: the backend may know it already.
async function taken(batch) {
  const headers = { "Idempotency-Key": createHash("sha256").update(batch).digest("hex") };
  try {
    return (await fetch(`${process.env.BACKEND_URL}/v1/logs`, { method: "POST", body: batch, headers })).ok;
  } catch {
    return false; // such as a connection that died while Lambda had frozen us
  }
}

const listener = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const batch = Buffer.concat(chunks);
  for (const event of JSON.parse(batch)) console.log(`received: ${event.record}`);
  response.writeHead((await taken(batch)) ? 200 : 503).end(); // what the backend has not taken, Lambda sends again
});
await new Promise((listening) => listener.listen(0, "sandbox.localdomain", listening));

const registered = await call("POST", "/2020-01-01/extension/register", { events: ["INVOKE", "SHUTDOWN"] }, {
  "Content-Type": "application/json",
  "Lambda-Extension-Name": name,
});
const identified = { "Lambda-Extension-Identifier": registered.headers.get("lambda-extension-identifier") };
await call("PUT", "/2022-07-01/telemetry", {
  schemaVersion: "2022-12-13",
  types: ["function"], // not "extension": the line printed above would come back as the next batch, for ever
  buffering: { timeoutMs: 100 },
  destination: { protocol: "HTTP", URI: `http://sandbox.localdomain:${listener.address().port}` },
}, { "Content-Type": "application/json", ...identified });

for (;;) {
  const event = await (await call("GET", "/2020-01-01/extension/event/next", undefined, identified)).json();
  if (event.eventType === "SHUTDOWN") process.exit(0);
}
