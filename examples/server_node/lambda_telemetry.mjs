// A client of the server for node:test; copy this file. It wants nothing but Node.js 18 or later.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

// Starts a server; it ends with `stop()`, and with this process in any case.
export async function start(...options) {
  const [program, ...words] = (process.env.LAMBDA_TELEMETRY ?? "lambda-telemetry").split(" ");
  const command = [...words, "serve", "--parent", String(process.pid), ...options];
  const server = spawn(program, command, { stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise((resolve) => server.once("close", resolve));
  const line = await new Promise((resolve, reject) => {
    createInterface(server.stdout).once("line", resolve);
    server.once("error", reject);
    ended.then((code) => reject(new Error(`${program} serve ended with ${code}`)));
  });
  const ready = JSON.parse(line);

  async function call(method, name, given) {
    const answer = await fetch(`http://${ready.control}/v1/${name}`, {
      method,
      headers: { "Content-Type": "application/json" },
      body: given && JSON.stringify(given),
    });
    const { value, message, warnings = [] } = await answer.json();
    for (const warning of warnings) console.warn(warning);
    if (!answer.ok) throw new Error(`${method} ${name}: ${answer.status}: ${message}`);
    return value;
  }

  return {
    ready,
    post: (name, given = {}) => call("POST", name, given), // what acts or waits
    get: (name) => call("GET", name), // what is read
    delete: (name) => call("DELETE", name), // the end of an invocation
    stop: () => (server.kill(), ended),
  };
}
