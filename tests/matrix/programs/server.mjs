// One small MCP server on each TypeScript SDK: `server.mjs MODULES KIND [PORT]`, HTTP on PORT or standard streams without one.
//
// MODULES is the folder where npm put the SDKs; KIND is `ts1` (sessions) or `ts2` (both eras, as the SDK's handler serves
// them). Tools, resources and prompts are those of server.py. Every replica answers the same.

import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { setTimeout } from "node:timers/promises";

const [modules, kind, port] = process.argv.slice(2);
const load = createRequire(`${modules}/`);
const z = load("zod/v4");

function sdk() {
  if (kind === "ts2") {
    return {
      ...load("@modelcontextprotocol/server"),
      ...load("@modelcontextprotocol/server/stdio"),
      ...load("@modelcontextprotocol/node"),
    };
  }
  return {
    ...load("@modelcontextprotocol/sdk/server/mcp.js"),
    ...load("@modelcontextprotocol/sdk/server/stdio.js"),
    ...load("@modelcontextprotocol/sdk/server/streamableHttp.js"),
    ...load("@modelcontextprotocol/sdk/types.js"),
  };
}

const it = sdk();
const shape = (fields) => (kind === "ts1" ? fields : z.object(fields));
const text = (words) => ({ content: [{ type: "text", text: String(words) }] });

function server() {
  const made = new it.McpServer({ name: "matrix", version: "1.0.0" }, { instructions: "A server of the matrix." });
  made.registerTool(
    "add",
    { description: "The sum of two numbers.", inputSchema: shape({ a: z.int(), b: z.int() }) },
    ({ a, b }) => text(a + b),
  );
  made.registerTool("echo", { description: "The message.", inputSchema: shape({ message: z.string() }) }, ({ message }) =>
    text(message),
  );
  made.registerTool("fail", { description: "Fails." }, () => {
    throw new Error("as asked");
  });
  made.registerTool(
    "count",
    { description: "Reports its progress so many times.", inputSchema: shape({ steps: z.int() }) },
    async ({ steps }, extra) => {
      const { _meta, notify } = kind === "ts1" ? { _meta: extra._meta, notify: extra.sendNotification } : extra.mcpReq;
      const progressToken = _meta?.progressToken;
      for (let step = 1; step <= steps && progressToken !== undefined; step++) {
        await notify({ method: "notifications/progress", params: { progressToken, progress: step, total: steps } });
        await setTimeout(10);
      }
      return text(steps);
    },
  );
  made.registerResource("text", "matrix://text", { description: "A text.", mimeType: "text/plain" }, (uri) => ({
    contents: [{ uri: uri.href, mimeType: "text/plain", text: "a text, äöü €" }],
  }));
  made.registerPrompt("greeting", { description: "A greeting.", argsSchema: shape({ who: z.string() }) }, ({ who }) => ({
    messages: [{ role: "user", content: { type: "text", text: `Greet ${who}.` } }],
  }));
  return made;
}

// The usual server of the SDK 1.x: a transport and a server for each session.
function withSessions() {
  const transports = new Map();
  return async (request, response) => {
    const id = request.headers["mcp-session-id"];
    let transport = transports.get(id);
    if (id === undefined) {
      transport = new it.StreamableHTTPServerTransport({
        sessionIdGenerator: randomUUID,
        onsessioninitialized: (fresh) => transports.set(fresh, transport),
        onsessionclosed: (old) => transports.delete(old),
      });
      await server().connect(transport);
    }
    if (transport === undefined) {
      response.writeHead(404, { "content-type": "application/json" });
      response.end('{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Session not found"}}');
      return;
    }
    await transport.handleRequest(request, response);
  };
}

if (port !== undefined) {
  const answer = kind === "ts1" ? withSessions() : it.toNodeHandler(it.createMcpHandler(server));
  createServer(answer).listen(Number(port), "127.0.0.1");
} else if (kind === "ts1") {
  await server().connect(new it.StdioServerTransport());
} else {
  it.serveStdio(server);
}
