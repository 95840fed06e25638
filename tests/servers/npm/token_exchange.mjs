// Token exchange (RFC 8693) for npm's oidc-provider, as a custom grant type (registerGrantType): the subject keeps its
// name, the token is made out for the resource that is asked for, and `act` names the client whose token is the actor's.

const TYPE = "urn:ietf:params:oauth:token-type:access_token";
const PARAMETERS = [
  "audience", "resource", "scope", "requested_token_type", "subject_token", "subject_token_type", "actor_token", "actor_token_type",
];

export const GRANT = "urn:ietf:params:oauth:grant-type:token-exchange";

// For `extraTokenClaims` of the configuration.
export const actorClaim = (ctx) => (ctx.act ? { act: ctx.act } : undefined);

// `server(resource)` describes a resource; `jose` and `errors` are modules, `jwks` the issuer's keys.
export function registerTokenExchange(provider, { jose, errors, jwks, server }) {
  const keys = jose.createLocalJWKSet({ keys: jwks.keys.map(({ d, ...key }) => key) });

  async function claimsOf(token, type) {
    if (type !== TYPE) throw new errors.InvalidRequest("only access tokens are exchanged");
    try {
      return (await jose.jwtVerify(token, keys, { issuer: provider.issuer, typ: "at+jwt" })).payload;
    } catch (error) {
      throw new errors.InvalidRequest(`the token is not valid: ${error.message}`);
    }
  }

  async function exchange(ctx) {
    const { client, params } = ctx.oidc;
    const subject = await claimsOf(params.subject_token, params.subject_token_type);
    const actor = params.actor_token && (await claimsOf(params.actor_token, params.actor_token_type));
    if (actor && actor.client_id !== client.clientId) throw new errors.InvalidRequest("the actor is another client");
    if (!params.resource) throw new errors.InvalidTarget("a resource must be named");
    const asked = (params.scope ?? subject.scope).split(" ");
    const token = new provider.AccessToken({
      client, accountId: subject.sub, gty: "token_exchange",
      scope: asked.filter((scope) => subject.scope.split(" ").includes(scope)).join(" "),
    });
    ctx.act = actor && { sub: actor.sub };
    token.resourceServer = new provider.ResourceServer(params.resource, server(params.resource));
    ctx.body = {
      access_token: await token.save(), issued_token_type: TYPE, token_type: token.tokenType, expires_in: token.expiration,
      scope: token.scope,
    };
  }

  provider.registerGrantType(GRANT, exchange, PARAMETERS, ["audience", "resource"]);
}
