// A client on the official TypeScript SDK, as a program: `client.mjs MODULES URL KIND`.
//
// KIND is `modern` or `legacy` (SDK 2.x, in that era) or `1.x`; MODULES is the folder where npm put the SDKs. Input and
// output are as those of ../mcp1/client.py: JSON lines `{"tool": …, "arguments": {…}}` or `{"list": true}` come in, and
// for each `{"result": …, "progress": […]}`, `{"tools": […]}` or `{"error": …, "code": …, "data": …}` goes out. The first
// line that goes out is `{"protocol": …, "session": …, "server": …}`. A call with a `timeout` in milliseconds is cancelled
// after it. `{"errors": true}` gives what the client has told its `onerror` so far.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [modules, url, kind] = process.argv.slice(2);
const load = createRequire(`${modules}/`);

function sdk() {
  if (kind !== "1.x") return load("@modelcontextprotocol/client");
  const { Client } = load("@modelcontextprotocol/sdk/client/index.js");
  return { Client, ...load("@modelcontextprotocol/sdk/client/streamableHttp.js") };
}

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

async function answer(client, request) {
  const progress = [];
  const onprogress = (update) => progress.push(update.progress);
  const options = request.timeout ? { onprogress, timeout: request.timeout } : { onprogress };
  try {
    if (request.list) return { tools: (await client.listTools()).tools.map((tool) => tool.name) };
    if (request.errors) return { errors };
    const call = { name: request.tool, arguments: request.arguments ?? {} };
    const result = await (kind === "1.x"
      ? client.callTool(call, undefined, options)
      : client.callTool(call, options));
    return { result, progress };
  } catch (error) {
    return { error: error.message, code: error.code, data: error.data };
  }
}

const { Client, StreamableHTTPClientTransport } = sdk();
const versionNegotiation = { mode: kind === "modern" ? { pin: "2026-07-28" } : "legacy" };
const client = new Client({ name: "mcppool-tests", version: "1" }, { versionNegotiation });
const errors = [];
client.onerror = (error) => errors.push(error.message);
const transport = new StreamableHTTPClientTransport(new URL(url));
await client.connect(transport);
say({
  protocol: transport.protocolVersion ?? null,
  session: transport.sessionId ?? null,
  server: client.getServerVersion()?.name ?? null,
});
for await (const line of createInterface({ input: process.stdin })) say(await answer(client, JSON.parse(line)));
await client.close();
