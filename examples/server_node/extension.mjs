#!/usr/bin/env node
// A telemetry extension for Node.js: sends the function's log lines on to INTAKE_URL, and tries again until they are taken.
import { createServer } from "node:http";
import { basename } from "node:path";

const api = `http://${process.env.AWS_LAMBDA_RUNTIME_API}`;
const json = { "Content-Type": "application/json" };

async function call(method, path, body, headers) {
  const answer = await fetch(api + path, { method, body: body && JSON.stringify(body), headers });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  return answer;
}

async function forward(batch) {
  for (let attempt = 0; attempt < 5; attempt++) {
    try {
      const answer = await fetch(process.env.INTAKE_URL, { method: "POST", body: JSON.stringify(batch), headers: json });
      if (answer.ok) return;
    } catch (error) {
      console.error(error.message); // a connection that was kept is dead after a freeze
    }
  }
  throw new Error("the intake takes nothing");
}

const listener = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  await forward(JSON.parse(Buffer.concat(chunks)));
  response.end(); // only now: what is acknowledged is never sent again
});
await new Promise((listening) => listener.listen(0, "sandbox.localdomain", listening));

const registered = await call("POST", "/2020-01-01/extension/register", { events: ["INVOKE", "SHUTDOWN"] }, {
  ...json,
  "Lambda-Extension-Name": basename(process.argv[1]), // Lambda wants the file's name
});
const identified = { "Lambda-Extension-Identifier": registered.headers.get("lambda-extension-identifier") };
await call("PUT", "/2022-07-01/telemetry", {
  schemaVersion: "2022-12-13",
  types: ["function"],
  buffering: { timeoutMs: 30_000 },
  destination: { protocol: "HTTP", URI: `http://sandbox.localdomain:${listener.address().port}` },
}, { ...json, ...identified });

for (;;) {
  const event = await (await call("GET", "/2020-01-01/extension/event/next", undefined, identified)).json();
  if (event.eventType === "SHUTDOWN") process.exit(0);
}
