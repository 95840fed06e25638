// A certified OAuth authorization server (npm's oidc-provider), as a program: `issuer.mjs MODULES PORT`.
//
// It signs JWT access tokens (RFC 9068) for the resource that a client names (RFC 8707), registers clients that ask
// (RFC 7591), and asks its only user, ann, nothing: she is signed in and has agreed to everything. ACCESS_TOKEN_FORMAT is
// `jwt` or `opaque`. GET /ready answers 200. The client `exchanger`, with the secret of CLIENT_SECRET, exchanges tokens of
// others (RFC 8693, token_exchange.mjs). It and two more clients get tokens for themselves (client credentials): `worker`, with the
// secret of CLIENT_SECRET, and `signer`, with the public key of CLIENT_JWK.

import { generateKeyPairSync } from "node:crypto";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { GRANT, actorClaim, registerTokenExchange } from "./token_exchange.mjs";

const [modules, port] = process.argv.slice(2);
const { Provider, errors } = await import(pathToFileURL(`${modules}/node_modules/oidc-provider/lib/index.js`));
const jose = await import(pathToFileURL(createRequire(`${modules}/`).resolve("jose")));
const issuer = `http://127.0.0.1:${port}`;
const key = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "jwk" });
const scope = "mcp:use mcp:admin";
const ownTokens = { redirect_uris: [], grant_types: ["client_credentials"], response_types: [] };
const { CLIENT_SECRET, CLIENT_JWK } = process.env;
const format = process.env.ACCESS_TOKEN_FORMAT ?? "jwt";

const jwks = { keys: [{ ...key, kid: "k1", use: "sig", alg: "ES256" }] };
const server = (resource) => ({
  scope, audience: resource, accessTokenFormat: format, accessTokenTTL: 600, jwt: { sign: { alg: "ES256" } },
});

const provider = new Provider(issuer, {
  clients: [
    { client_id: "gateway", client_secret: "the gateway's own secret", redirect_uris: [], grant_types: [], response_types: [],
      token_endpoint_auth_method: "client_secret_basic" },
    ...(CLIENT_SECRET ? [{ ...ownTokens, client_id: "worker", client_secret: CLIENT_SECRET,
      token_endpoint_auth_method: "client_secret_basic" },
      { ...ownTokens, client_id: "exchanger", client_secret: CLIENT_SECRET, token_endpoint_auth_method: "client_secret_basic",
        grant_types: ["client_credentials", GRANT] }] : []),
    ...(CLIENT_JWK ? [{ ...ownTokens, client_id: "signer", token_endpoint_auth_method: "private_key_jwt",
      token_endpoint_auth_signing_alg: "ES256", jwks: { keys: [JSON.parse(CLIENT_JWK)] } }] : []),
  ],
  jwks,
  extraTokenClaims: actorClaim,
  // A client may ask for more scopes later than it registered with.
  extraClientMetadata: {
    properties: ["all_scopes"],
    validator: (_, __, ___, client) => { if (client.scope) client.scope = `openid offline_access ${scope}`; },
  },
  clientDefaults: { id_token_signed_response_alg: "ES256" },
  cookies: { keys: ["test"] },
  scopes: ["openid", "offline_access", ...scope.split(" ")],
  pkce: { required: () => true },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
    registration: { enabled: true },
    revocation: { enabled: true },
    dPoP: { enabled: true },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: () => true,
      getResourceServerInfo: (_, resource) => server(resource),
    },
  },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
});

registerTokenExchange(provider, { jose, errors, jwks, server });

async function granted({ client_id, resource }) {
  const grant = new provider.Grant({ clientId: client_id, accountId: "ann" });
  grant.addOIDCScope(`openid offline_access ${scope}`);
  for (const one of [resource].flat().filter(Boolean)) grant.addResourceScope(one, scope);
  return grant.save();
}

provider.use(async (ctx, next) => {
  if (ctx.path === "/ready") ctx.body = "ready";
  else if (ctx.path.startsWith("/interaction/")) {
    const { params } = await provider.interactionDetails(ctx.req, ctx.res);
    const agreed = { login: { accountId: "ann" }, consent: { grantId: await granted(params) } };
    await provider.interactionFinished(ctx.req, ctx.res, agreed);
    ctx.respond = false;
  } else await next();
});
provider.on("server_error", (_, error) => console.error(error));
provider.listen(Number(port), "127.0.0.1");
