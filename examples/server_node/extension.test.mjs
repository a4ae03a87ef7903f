import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { fileURLToPath } from "node:url";
import { start } from "./lambda_telemetry.mjs";

const program = fileURLToPath(new URL("extension.mjs", import.meta.url));
let lambda;

before(async () => (lambda = await start()));
after(() => lambda.stop());

beforeEach(async () => {
  await lambda.post("reset"); // a fresh environment
  const backend = await lambda.post("backend");
  await lambda.post("run_extension", { argv: [process.execPath, program], env: { INTAKE_URL: backend.url } });
  await lambda.post("wait_until_ready", { timeout: 30 });
});
afterEach(() => lambda.post("end")); // throws where the extension broke a rule of Lambda's

test("half a minute of buffering takes no time", async () => {
  await lambda.post("emit", { events: [{ type: "function", record: "hello" }] });
  assert.deepEqual(await lambda.post("advance", { seconds: 29.999 }), []);
  assert.equal((await lambda.post("advance", { ms: 1 })).length, 1);
  const [request] = await lambda.post("backend/backend/wait_for");
  assert.equal(request.json[0].record, "hello");
});

test("a delivery that fails comes again", async () => {
  await lambda.post("fail_next_delivery", { fault: 503 });
  await lambda.post("emit", { events: [{ type: "function", record: "hello" }] });
  const [delivery] = await lambda.post("advance", { seconds: 31 });
  assert.deepEqual(delivery.attempts.map((one) => one.status), [503, 200]);
});

test("every line reaches the backend exactly once, whatever fails", async () => {
  await lambda.post("backend/backend/fail_next", { fault: 500 });
  await lambda.post("fail_next_delivery", { fault: "refuse", times: 2 });
  await lambda.post("emit", { events: ["one", "two"].map((record) => ({ type: "function", record })) });
  await lambda.post("advance", { seconds: 31 });
  await lambda.post("invoke", { logs: ["three"] });
  await lambda.post("shutdown");
  await lambda.post("assert_exactly_once");
});
