// A client on the official TypeScript SDK that signs in, as a program: `sign_in.mjs MODULES URL KIND`.
//
// KIND is `modern` or `legacy` (SDK 2.x, in that era) or `1.x`. It registers, signs in as the user of issuer.mjs, calls the
// tool `add` with 2 and 3, and prints the text of the result.

import { createRequire } from "node:module";

const [modules, url, kind] = process.argv.slice(2);
const load = createRequire(`${modules}/`);
const redirectUrl = "http://127.0.0.1:1/callback"; // nobody listens there: the browser goes no further

function sdk() {
  if (kind !== "1.x") return load("@modelcontextprotocol/client");
  const { Client } = load("@modelcontextprotocol/sdk/client/index.js");
  return { Client, ...load("@modelcontextprotocol/sdk/client/streamableHttp.js") };
}

// Follows the redirects of an authorization request, as the browser of a signed-in user does.
async function browse(start) {
  const cookies = new Map();
  let at = start;
  for (let hop = 0; hop < 10 && !at.href.startsWith(redirectUrl); hop++) {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const response = await fetch(at, { redirect: "manual", headers: { cookie } });
    for (const line of response.headers.getSetCookie()) {
      const [name, ...value] = line.split(";")[0].split("=");
      cookies.set(name, value.join("="));
    }
    at = new URL(response.headers.get("location"), at);
  }
  return at.searchParams;
}

let answered; // the parameters with which the browser came back
const kept = {};
const authProvider = {
  redirectUrl,
  clientMetadata: { client_name: "test", redirect_uris: [redirectUrl], token_endpoint_auth_method: "none" },
  clientInformation: () => kept.client,
  saveClientInformation: (client) => (kept.client = client),
  tokens: () => kept.tokens,
  saveTokens: (tokens) => (kept.tokens = tokens),
  codeVerifier: () => kept.verifier,
  saveCodeVerifier: (verifier) => (kept.verifier = verifier),
  redirectToAuthorization: async (start) => (answered = await browse(start)),
};

const { Client, StreamableHTTPClientTransport } = sdk();
const open = () => ({
  client: new Client(
    { name: "mcppool-tests", version: "1" },
    { versionNegotiation: { mode: kind === "modern" ? { pin: "2026-07-28" } : "legacy" } },
  ),
  transport: new StreamableHTTPClientTransport(new URL(url), { authProvider }),
});

// Does `action` with a connected client; signs in and does it again, as often as the server asks for a token or for more
// scopes.
async function signedIn(action) {
  for (let times = 0; ; times++) {
    const { client, transport } = open();
    answered = undefined;
    try {
      await client.connect(transport);
      return await action(client);
    } catch (error) {
      if (!answered?.get("code") || times === 2) throw error;
      await transport.finishAuth(kind === "1.x" ? answered.get("code") : answered);
    } finally {
      await client.close(); // its stream would keep this program alive
    }
  }
}

const call = { name: "add", arguments: { a: 2, b: 3 } };
console.log((await signedIn((client) => client.callTool(call))).content[0].text);
