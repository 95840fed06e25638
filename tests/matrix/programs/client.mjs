// Clients of the matrix on the TypeScript SDKs: `client.mjs MODULES KIND TARGETS ACTIONS`.
//
// MODULES is the folder where npm put the SDKs; KIND is `ts1`, `ts2` or `ts2-legacy`. The rest, and what goes out, is as in client.py.
// What the client tells its `onerror` comes as `"errors"` of the `close` that ends the connection.

import { createRequire } from "node:module";
import { setTimeout } from "node:timers/promises";

const [modules, kind, targets, script] = process.argv.slice(2);
const load = createRequire(`${modules}/`);
const LIMIT = 60_000;

// How long a call waits for its last progress after its result, in milliseconds. Where both come in one read, the SDKs handle the
// result first, and report the progress to `onerror`: as one for an unknown token.
const LATE = 2_000;
const UNKNOWN_TOKEN = /^Received a progress notification for an unknown token: (.*)$/s;

function sdk() {
  if (kind !== "ts1") return { ...load("@modelcontextprotocol/client"), ...load("@modelcontextprotocol/client/stdio") };
  return {
    ...load("@modelcontextprotocol/sdk/client/index.js"),
    ...load("@modelcontextprotocol/sdk/client/streamableHttp.js"),
    ...load("@modelcontextprotocol/sdk/client/stdio.js"),
  };
}

const { Client, StreamableHTTPClientTransport, StdioClientTransport } = sdk();
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

let target;
let client;
let errors;
let late;

const actionsOf = {
  async connect() {
    const mine = []; // what comes after its end is not told of the next connection
    errors = mine;
    late = [];
    const versionNegotiation = { mode: kind === "ts2" ? "auto" : "legacy" };
    client = new Client({ name: "mcppool-matrix", version: "1" }, { versionNegotiation });
    client.onerror = (error) => {
      const update = UNKNOWN_TOKEN.exec(error.message);
      if (update === null) return mine.push(error.message);
      const { progressToken, ...rest } = JSON.parse(update[1]).params;
      return late.push(rest);
    };
    const transport = Array.isArray(target)
      ? new StdioClientTransport({ command: target[0], args: target.slice(1), stderr: "ignore" })
      : new StreamableHTTPClientTransport(new URL(target));
    let told; // the client tells its transport which version it has agreed to
    const tell = transport.setProtocolVersion;
    transport.setProtocolVersion = (version) => {
      told = version;
      tell?.call(transport, version);
    };
    await client.connect(transport);
    return {
      result: {
        protocol: client.getNegotiatedProtocolVersion?.() ?? told,
        server: client.getServerVersion(),
        capabilities: client.getServerCapabilities(),
        instructions: client.getInstructions(),
      },
    };
  },
  tools: async () => ({ result: (await client.listTools()).tools }),
  prompts: async () => ({ result: (await client.listPrompts()).prompts }),
  resources: async () => ({ result: (await client.listResources()).resources }),
  read: async (uri) => ({ result: await client.readResource({ uri }) }),
  prompt: async (name, args) => ({ result: await client.getPrompt({ name, arguments: args }) }),
  async call(name, args) {
    const progress = [];
    const options = { timeout: LIMIT, onprogress: (update) => progress.push(update) };
    const call = { name, arguments: args };
    const line = await (kind === "ts1" ? client.callTool(call, undefined, options) : client.callTool(call, options)).then(
      (result) => ({ result }),
      failed,
    );
    const end = Date.now() + LATE;
    while (line.result && progress.length + late.length < (args.steps ?? 0) && Date.now() < end) await setTimeout(1);
    progress.push(...late.splice(0));
    return progress.length ? { ...line, progress } : line;
  },
  async close() {
    const told = [...errors]; // what it is told from now on is about closing its own streams
    await client.close();
    return told.length ? { result: "closed", errors: told } : { result: "closed" };
  },
};

const failed = (error) => ({ error: error.message, code: error.code ?? null });

for (const [index, one] of JSON.parse(targets).entries()) {
  target = one;
  for (const [what, ...rest] of JSON.parse(script)) {
    say({ target: index, ...(await actionsOf[what](...rest).catch(failed)) });
  }
}
process.exit(0);
