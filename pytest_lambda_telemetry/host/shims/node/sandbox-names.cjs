// Start-up hook of a Node.js child, through NODE_OPTIONS where the machine allows no mount namespace:
// `sandbox.localdomain` and `sandbox` resolve to the environment's address, which a variable has. Servers and clients both ask dns.lookup.
"use strict";
const dns = require("dns");

const address = process.env.PYTEST_LAMBDA_TELEMETRY_SANDBOX_ADDRESS || "127.0.0.1";
const isSandbox = (host) => /^sandbox(\.localdomain)?\.?$/i.test(host);
const translated = (lookup) =>
  Object.defineProperties(
    (host, ...rest) => lookup(isSandbox(host) ? address : host, ...rest),
    Object.getOwnPropertyDescriptors(lookup), // what util.promisify looks for
  );

dns.lookup = translated(dns.lookup);
dns.promises.lookup = translated(dns.promises.lookup);
require("module").syncBuiltinESMExports(); // for `import { lookup } from "dns"`
