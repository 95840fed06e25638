"""The sections of a pool, as typed dictionaries: the arguments of `mcppool.Pool`.

Generated from the models of the configuration by `make generate`. A type checker and an editor know every key; the same
checks as for a file run when the pool is made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Required, TypedDict


class HeaderValueSection(TypedDict, total=False):
    """Value of a header: a text, a file or a variable. A plain string is a `value`."""

    value: str
    """The value itself. Printable ASCII without white space at its ends."""

    value_file: str
    """File with the value. The gateway reads it again when it changes. A string of 1 to 4096 characters."""

    value_env: str
    """Variable of the gateway's environment with the value. A name of letters, digits and `_`."""

    prefix: str
    """Text before the value, such as `Bearer `. Up to 64 characters of ASCII."""


class EndpointSection(TypedDict, total=False):
    """One replica of the pool's server."""

    url: Required[str]
    """Address at which the server speaks MCP. A URL such as http://127.0.0.1:8001/mcp, without user name and
    fragment.
    """

    weight: int
    """Share of calls relative to the other endpoints. A whole number from 0 to 1000. Default: 100."""

    host: str
    """Name of the server where `url` has an IP address: the gateway sends it as the Host header and expects it in
    the certificate. The name of a host, such as search.example.com.
    """

    zone: str
    """Zone of the endpoint. A string of 1 to 1024 characters."""

    priority: int
    """Only endpoints of the lowest number that has an available endpoint get calls. A whole number from 0 to 100.
    Default: 0.
    """

    headers: Mapping[str, str | HeaderValueSection]
    """Headers that the gateway sends with each request to this endpoint. They replace those of the same name in
    `headers.send`.
    """


class ConnectionPoolSection(TypedDict, total=False):
    """How many connections each endpoint has, how long they live, and how calls wait for one."""

    min_connections: int
    """Connections that stay open to an endpoint in use. A whole number from 0 to 10000. Default: 5."""

    max_connections: int
    """Maximum number of connections to one endpoint; long-lived streams do not count. A whole number from 1 to
    10000. Default: 50.
    """

    max_idle_time: str
    """Close a connection that has been idle for this time. A duration such as "250ms" or "1m30s", from 1ms to 168h.
    Default: 10m.
    """

    health_check_interval: str
    """Time between two active checks of an endpoint. A duration such as "250ms" or "1m30s", from 1ms to 168h.
    Default: 30s.
    """

    reconnect_backoff: str
    """First wait before the gateway tries a failed endpoint again. The wait doubles each time, with jitter. A
    duration such as "250ms" or "1m30s", from 1ms to 168h. Default: 1s.
    """

    max_reconnect_backoff: str
    """Upper bound of that wait. A duration such as "250ms" or "1m30s", from 1ms to 168h. Default: 30s."""

    connection_timeout: str
    """Time to open a connection, TLS included. A duration such as "250ms" or "1m30s", from 1ms to 168h. Default:
    10s.
    """

    max_connection_age: str
    """Replace a connection of this age, with jitter. A duration such as "250ms" or "1m30s", from 1ms to 168h.
    Default: 1h.
    """

    max_waiting: int
    """Maximum number of calls that wait for a connection to one endpoint. A whole number from 0 to 100000. Default:
    256.
    """

    acquire_timeout: str
    """How long a call waits for a connection. `none`: as long as the call may take. A duration such as "250ms" or
    "1m30s", from 1ms to 168h, or "none".
    """


class RetryPolicySection(TypedDict, total=False):
    """Retries of calls. A preset sets the keys that you leave out."""

    preset: Literal["quick", "standard", "network", "throttle"]
    """Sets strategy, base_delay, max_delay and max_attempts together."""

    strategy: Literal["exponential", "linear", "adaptive"]
    """How the wait grows from one attempt to the next. Default: exponential."""

    base_delay: str
    """Wait before the second attempt at the same endpoint. A duration such as "250ms" or "1m30s", from 0s to 168h.
    Default: 1s.
    """

    max_delay: str
    """Longest wait between two attempts. A duration such as "250ms" or "1m30s", from 0s to 168h. Default: 30s."""

    max_attempts: int
    """Attempts of one call, the first included. 1 turns retries off. A whole number from 1 to 10. Default: 5."""

    budget_percent: int
    """Retries may add this percentage to the calls. A whole number from 0 to 100. Default: 20."""

    budget_min_per_second: int
    """Retries per second that are always allowed. A whole number from 0 to 1000. Default: 3."""

    budget_percent_per_principal: int
    """Percentage of these retries that one principal may use while other principals call, too. A whole number from 1
    to 100. Default: 50.
    """

    refused_statuses: Sequence[int]
    """HTTP statuses of a refusal: the server did not begin the call. Default: [429]."""

    hedge_after: str
    """Send a safe call to a second endpoint, too, when no answer has come after this time. `auto` is the 95th
    percentile of the last 200 calls of the same method. Default: never. A duration such as "250ms" or "1m30s",
    from 1ms to 168h, or "auto".
    """

    trust_annotations: bool
    """Believe a tool's `readOnlyHint` and `idempotentHint` when the gateway decides whether to repeat a call.
    Default: True.
    """


class LoadBalancerSection(TypedDict, total=False):
    """How the gateway picks an endpoint for a call."""

    strategy: Literal[
        "round_robin",
        "least_connections",
        "weighted_round_robin",
        "health_based",
        "response_time_based",
        "random",
        "consistent_hash",
    ]
    """How the gateway picks an endpoint. Default: least_connections."""

    failover_enabled: bool
    """Whether a retry may go to another endpoint. Default: True."""

    slow_start: str
    """Time in which a new or recovered endpoint grows to its full share. A duration such as "250ms" or "1m30s", from
    0s to 168h. Default: 30s.
    """

    panic_threshold_percent: int
    """When a smaller share of endpoints is available, the gateway ignores ejections. 0 turns this off. A whole
    number from 0 to 100. Default: 50.
    """

    zone_preference: Literal["none", "prefer_local"]
    """Whether endpoints in the gateway's own zone come first. Default: none."""

    hash_key: str
    """Input of `consistent_hash`: the client, the name of the tool, or a header. Principal, tool, header:NAME.
    Default: principal.
    """


class HealthCheckSection(TypedDict, total=False):
    """Active checks, made every `connection_pool.health_check_interval`."""

    timeout: str
    """A check fails if no answer comes within this time. If a server's last checks took longer, the next one may
    take twice as long as they did, at most startup_timeout. A duration such as "250ms" or "1m30s", from 1ms to
    168h. Default: 2s.
    """

    startup_timeout: str
    """Time for the first contact with a server, which may still be starting, and for each handshake. Also for a
    server that refused connections and accepts them again. A duration such as "250ms" or "1m30s", from 1ms to
    168h. Default: 30s.
    """

    unhealthy_threshold: int
    """Consecutive failed checks that take an endpoint out. A whole number from 1 to 100. Default: 3."""

    healthy_threshold: int
    """Consecutive passed checks that bring it back. A whole number from 1 to 100. Default: 2."""


class OutlierDetectionSection(TypedDict, total=False):
    """Ejection of endpoints that answer real calls badly."""

    consecutive_failures: int
    """Consecutive failed calls that eject an endpoint. A whole number from 1 to 1000. Default: 5."""

    base_ejection_time: str
    """Length of the first ejection. It grows with each further one. A duration such as "250ms" or "1m30s", from 1ms
    to 168h. Default: 30s.
    """

    max_ejection_time: str
    """Longest ejection. A duration such as "250ms" or "1m30s", from 1ms to 168h. Default: 5m."""

    max_ejection_percent: int
    """Largest share of endpoints that may be ejected at once. A whole number from 0 to 100. Default: 50."""

    hung_after: str
    """How long a silent endpoint that accepts connections counts as busy, not as hung, while it holds a call of a
    tool that may take long; at most half of timeouts.request. In any case an endpoint that came back from
    silences before counts as busy for 1.5 times the longest of them. A duration such as "250ms" or "1m30s", from
    0s to 168h. Default: 15s.
    """

    suspect_after: str
    """The gateway checks an endpoint when a call waits longer than this for its first byte. `auto` is twice the 99th
    percentile of the tools at work there, from 500ms to 30s; while these are unknown, 1s or four times the mean
    latency of the endpoint, whichever is larger. A duration such as "250ms" or "1m30s", from 1ms to 168h, or
    "auto".
    """


class CircuitBreakerSection(TypedDict, total=False):
    """A breaker for each endpoint and tool. An open breaker keeps calls of the tool away from the endpoint."""

    failure_threshold: int
    """Consecutive failures that open the breaker. A whole number from 1 to 1000. Default: 5."""

    open_duration: str
    """How long the breaker stays open before it lets one call try. A duration such as "250ms" or "1m30s", from 1ms
    to 168h. Default: 1m.
    """

    success_threshold: int
    """Consecutive successes that close the breaker. A whole number from 1 to 1000. Default: 3."""

    count_internal_errors: bool
    """Count the JSON-RPC error -32603 as a failure. Many servers send it for any error of a handler. Default: False."""


class TimeoutsSection(TypedDict, total=False):
    """How long the parts of a call may take, and how long an endpoint may drain."""

    request: str
    """Time until the answer comes or its event stream begins, with all attempts and waits. Time in which the server
    waits for the user of the client does not count. A duration such as "250ms" or "1m30s", from 1ms to 168h.
    Default: 5m.
    """

    first_byte: str
    """Time from sending a request to the first byte of its answer, for each attempt. A duration such as "250ms" or
    "1m30s", from 1ms to 168h, or "none".
    """

    stream_idle: str
    """The gateway ends a stream after the server has been silent for this time. A duration such as "250ms" or
    "1m30s", from 1ms to 168h. Default: 5m.
    """

    keep_alive: str
    """The gateway sends a comment to the client when an event stream has been silent for this time. It opens the
    stream of a call that waits longer for its answer. 0s turns this off. A duration such as "250ms" or "1m30s",
    from 0s to 168h. Default: 15s.
    """

    drain: str
    """How long work in flight may go on when the gateway stops or an endpoint is removed. A duration such as "250ms"
    or "1m30s", from 0s to 168h. Default: 30s.
    """


class CacheSection(TypedDict, total=False):
    """Where the gateway caches answers, how many, and for how long."""

    type: Literal["none", "memory", "redis", "sql"]
    """Where answers are cached; `none` turns the cache off. Default: memory."""

    max_size: int
    """Maximum number of answers in memory, or in the database. A whole number from 1 to 10000000. Default: 10000."""

    max_bytes: str
    """Maximum size of the answers in memory, or in the database. A size such as "64KiB" or "4MiB", from 1B to
    1024GiB. Default: 64MiB.
    """

    ttl: str
    """Upper bound on how long a cacheable answer is kept. A duration such as "250ms" or "1m30s", from 1ms to 168h.
    Default: 1h.
    """

    honor_hints: bool
    """Follow the `ttlMs` and `cacheScope` that servers send. Default: True."""

    redis_url: str
    """Address of Redis, for every section that uses it. Redis://HOST:PORT/DB, rediss://HOST:PORT/DB or
    unix:///SOCKET, without a password.
    """

    redis_prefix: str
    """Prefix of the keys in Redis. Give different prefixes to different pools of the same name. Up to 64 letters,
    digits, dots, underscores, colons and hyphens. Default: mcppool.
    """

    redis_timeout: str
    """How long a call waits for Redis before it goes on without it. A duration such as "250ms" or "1m30s", from 1ms
    to 168h. Default: 50ms.
    """

    redis_password_file: str
    """File with the password of Redis. A string of 1 to 4096 characters."""

    sql_url: str
    """Database of the cache: PostgreSQL for several gateways, an SQLite file for one. By default an SQLite file in
    the directory for caches of the system or the user. Sqlite:///ABSOLUTE/FILE or
    postgresql://USER@HOST:PORT/DATABASE, without a password.
    """

    sql_prefix: str
    """Separates the answers of different pools of the same name in one database. Up to 64 letters, digits, dots,
    underscores, colons and hyphens. Default: mcppool.
    """

    sql_timeout: str
    """How long a call waits for the database before it goes on without it. A duration such as "250ms" or "1m30s",
    from 1ms to 168h. Default: 50ms.
    """

    sql_password_file: str
    """File with the password of the database. A string of 1 to 4096 characters."""

    sql_ca_file: str
    """File with the authorities that sign the certificate of the database. TLS is then required; the name in the
    certificate is checked, unless `sslmode` is `verify-ca`. A string of 1 to 4096 characters.
    """


class RateSection(TypedDict, total=False):
    """A token bucket."""

    requests_per_second: Required[int]
    """Calls per second in the long run. A whole number from 1 to 1000000."""

    burst: int
    """Calls at once. Default: the calls of one second. A whole number from 1 to 1000000."""


class RateLimitSection(TypedDict, total=False):
    """Bounds on calls per second. Each part that you set counts by itself."""

    principal: RateSection
    """For each client: its principal, or the address of a client without a credential."""

    tool: RateSection
    """For each tool."""

    pool: RateSection
    """For the whole pool."""

    store: Literal["memory", "redis"]
    """Where calls are counted: in each gateway alone, or for all gateways in the Redis at cache.redis_url. Default:
    memory.
    """


class ConcurrencySection(TypedDict, total=False):
    """Concurrent calls."""

    max_concurrent: Required[int]
    """Maximum number of calls in flight. A whole number from 1 to 1000000."""

    max_queue: int
    """Maximum number of further calls that wait. A whole number from 0 to 1000000. Default: 0."""


class EndpointConcurrencySection(TypedDict, total=False):
    """Concurrent calls at one endpoint."""

    max_concurrent: Required[int | Literal["auto"]]
    """Maximum number of calls in flight. `auto` learns it from latencies, refusals and time-outs. In a file,
    `endpoint = "auto"` is short for that, with a `max_queue` of 50. A whole number from 1 to 1000000, or "auto".
    """

    max_queue: int
    """Maximum number of further calls that wait. A whole number from 0 to 1000000. Default: 0."""


class LimitsSection(TypedDict, total=False):
    """Bounds on calls in flight. Each part that you set counts by itself."""

    principal: ConcurrencySection
    """For each client: its principal, or the address of a client without a credential."""

    endpoint: EndpointConcurrencySection
    """For each endpoint."""

    pool: ConcurrencySection
    """For the whole pool."""

    tool: ConcurrencySection
    """For each tool."""

    max_answer: str
    """Largest answer, and largest event of a stream. A size such as "64KiB" or "4MiB", from 1B to 1024GiB. Default:
    64MiB.
    """


class SessionsSection(TypedDict, total=False):
    """Sessions of clients that speak 2025-11-25 or older."""

    on_loss: Literal["reinitialize", "fail"]
    """Fate of a session whose endpoint is lost: `reinitialize` opens a new one on another endpoint, `fail` answers
    404. Default: reinitialize.
    """

    idle_timeout: str
    """Forget a session that has been unused for this time. A duration such as "250ms" or "1m30s", from 1ms to 168h.
    Default: 30m.
    """

    max_age: str
    """Age at which a session ends even if it is in use. Its id is invalid from then on. A duration such as "250ms"
    or "1m30s", from 1ms to 168h. Default: 168h.
    """

    max_bytes: str
    """Maximum memory for sessions. The gateway opens a forgotten session again from its id. A size such as "64KiB"
    or "4MiB", from 1B to 1024GiB. Default: 128MiB.
    """

    max_sessions: int
    """Maximum number of sessions that one gateway remembers. A whole number from 1 to 10000000. Default: 50000."""

    max_sessions_per_client: int
    """Maximum number of sessions of one client that one gateway remembers: of its principal, or of its address in a
    pool that verifies no principals. Beyond it the gateway forgets the client's least recently used session.
    Default: none, but if the gateway has no room, a client with more than an eighth of all sessions or of
    `max_bytes` makes room first. A whole number from 1 to 10000000.
    """

    store: Literal["memory", "redis"]
    """Where the gateway records that a session has moved or has ended: in its own memory, or for all gateways in the
    Redis at cache.redis_url. Default: memory.
    """

    stateless: bool
    """The server's sessions hold no state, so several clients may use one. Default: False."""


class CatalogSection(TypedDict, total=False):
    """Lists of tools, prompts and resources, and whether every client sees the same ones."""

    uniform: bool
    """Every client sees the same lists, so the gateway may answer them from its catalog. Default: False."""

    trusted: bool
    """Believe servers that mark a list as `cacheScope: "public"`. Default: False."""

    pin: Literal["off", "warn", "deny"]
    """Reaction when the definition of a tool (name, title, description, schemas, annotations) is another one than in
    `lock_file`, or than the gateway has seen first: nothing, a warning, or the gateway withholds the tool.
    Default: off.
    """

    lock_file: str
    """File with the expected definitions, from `mcppool pin URL`. The gateway reads it again when it changes. A tool
    that is not in it counts as changed. A string of 1 to 4096 characters.
    """


class ToolRetryPolicySection(TypedDict, total=False):
    """The pool's `retry_policy` where a tool differs. Keys that you leave out have the pool's values."""

    preset: Literal["quick", "standard", "network", "throttle"]
    """Sets the four keys below together."""

    strategy: Literal["exponential", "linear", "adaptive"]
    """How the wait grows from one attempt to the next."""

    base_delay: str
    """Wait before the second attempt at the same endpoint. A duration such as "250ms" or "1m30s", from 0s to 168h."""

    max_delay: str
    """Longest wait between two attempts. A duration such as "250ms" or "1m30s", from 0s to 168h."""

    max_attempts: int
    """Attempts of one call, the first included. A whole number from 1 to 10."""


class ToolSection(TypedDict, total=False):
    """Overrides for one tool, or for all tools whose names have the prefix."""

    idempotent: bool
    """Whether the gateway may repeat a call that may have run. Default: the tool's annotations decide."""

    access: Literal["allow", "deny"]
    """Whether clients may call the tool. A denied tool is not listed. See also `access`. Default: allow."""

    timeout: str
    """Replaces timeouts.request. A duration such as "250ms" or "1m30s", from 1ms to 168h."""

    retry_policy: ToolRetryPolicySection
    """Overrides the pool's retry_policy, key by key."""

    cache_ttl: str
    """Cache results of the tool for this time. A duration such as "250ms" or "1m30s", from 1ms to 168h."""

    max_concurrent: int
    """Maximum number of calls of the tool in flight. A whole number from 1 to 1000000."""


class HeadersSection(TypedDict, total=False):
    """Headers beyond those of the protocol."""

    forward: Sequence[str]
    """Headers of a client that the gateway sends on to the servers, besides those of the protocol, `Accept`,
    `Accept-Language` and trace context.
    """

    send: Mapping[str, str | HeaderValueSection]
    """Headers that the gateway sends with each of its requests to the servers, health checks included."""


class ApiKeysSection(TypedDict, total=False):
    """Keys that this gateway knows by their hashes."""

    keys_file: Required[str]
    """File with the hashes of the keys, as `mcppool keys add` writes it. The gateway reads it again when it changes.
    A string of 1 to 4096 characters.
    """

    header: str
    """Header with the key: `Authorization: Bearer KEY`, or the key alone in any other header. The name of a header,
    such as X-Api-Key. Default: Authorization.
    """


class IssuerSection(TypedDict, total=False):
    """An authorization server whose access tokens are accepted."""

    issuer: Required[str]
    """Its identifier, exactly as in the `iss` claim of its tokens. An https URL without query."""

    audiences: Sequence[str]
    """Accepted audiences. A token must have one of them. Default: `auth.inbound.resource`."""

    jwks_uri: str
    """URL of its keys. Default: as its metadata says (RFC 8414, OpenID Connect Discovery). An https URL without
    query.
    """

    jwks_file: str
    """File with its keys, in place of a URL. The gateway reads it again when it changes. A string of 1 to 4096
    characters.
    """

    ca_file: str
    """File with the certificate authorities of the issuer, in place of the system's. A string of 1 to 4096
    characters.
    """

    algorithms: Sequence[
        Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
    ]
    """Signatures that are accepted. Default: ['RS256', 'PS256', 'ES256', 'EdDSA']."""

    token_types: Sequence[str]
    """Accepted values of the `typ` header (RFC 9068); a token without one is a `JWT`. Some issuers need `JWT` here.
    Default: ['at+jwt'].
    """

    subject_claim: str
    """Claim that identifies the user or service. A string of 1 to 1024 characters. Default: sub."""

    groups_claim: str
    """Claim with the groups of the subject. A string of 1 to 1024 characters. Default: groups."""


class JwtSection(TypedDict, total=False):
    """Signed access tokens (OAuth 2.1)."""

    issuers: Required[Sequence[IssuerSection]]
    """Issuers that are trusted."""

    clock_skew: str
    """Allowed difference between the clocks of issuer and gateway. A duration such as "250ms" or "1m30s", from 0s to
    5m. Default: 30s.
    """


class IntrospectionSection(TypedDict, total=False):
    """Opaque access tokens, about which the gateway asks their issuer (RFC 7662)."""

    issuer: Required[str]
    """Identifier of the authorization server. An https URL without query."""

    introspection_url: str
    """URL of its introspection endpoint. Default: as its metadata says. An https URL without query."""

    client_id: Required[str]
    """The gateway's own client id at the issuer. A string of 1 to 1024 characters."""

    client_secret_file: Required[str]
    """File with the gateway's secret. The gateway reads it again for each request. A string of 1 to 4096 characters."""

    audiences: Sequence[str]
    """Accepted audiences. A token must have one of them. Default: `auth.inbound.resource`."""

    ca_file: str
    """File with the certificate authorities of the issuer, in place of the system's. A string of 1 to 4096
    characters.
    """

    subject_claim: str
    """Claim that identifies the user or service. A string of 1 to 1024 characters. Default: sub."""

    groups_claim: str
    """Claim with the groups of the subject. A string of 1 to 1024 characters. Default: groups."""


class InboundAuthSection(TypedDict, total=False):
    """Authentication of clients."""

    type: Literal["none", "api_keys", "jwt", "introspection", "mtls", "passthrough"]
    """How clients authenticate. `none` accepts every client; it must be written out if the gateway listens on an
    address that is not a loopback address. `mtls` is by client certificate (`listener.tls.client_ca_file`).
    `passthrough` leaves it to the servers, which get the client's `Authorization`. Default: none.
    """

    api_keys: ApiKeysSection
    """For type api_keys."""

    jwt: JwtSection
    """For type jwt."""

    introspection: IntrospectionSection
    """For type introspection."""

    dpop: Literal["off", "accepted", "required"]
    """Whether clients may or must prove, with each request, that they hold the key of their token (RFC 9449). For
    types jwt and introspection. `required` refuses plain bearer tokens. Default: off.
    """

    dpop_nonce: bool
    """Whether each DPoP proof needs a nonce of the gateway, which it sends with its 401. Default: False."""

    required_scopes: Sequence[str]
    """Scopes that a client needs to use the pool at all."""

    resource: str
    """URL of the pool as clients type it. Default: `listener.external_url` and the path of the pool. A URL such as
    https://mcp.example.com/mcp, without query.
    """

    revocation_bound: str
    """Upper bound on how long a verified token is accepted without another verification. A duration such as "250ms"
    or "1m30s", from 1ms to 168h. Default: 5m.
    """

    max_failures_per_minute: int
    """Failures to authenticate per minute and client address. Beyond them a failure gets 429. A whole number from 1
    to 1000000. Default: 60.
    """


class OutboundTokenSection(TypedDict, total=False):
    """A secret that the gateway sends with every request to the servers."""

    header: str
    """Header with the secret. The name of a header, such as Authorization. Default: Authorization."""

    token_file: Required[str]
    """File with the secret. The gateway reads it again when it changes. A string of 1 to 4096 characters."""

    prefix: str
    """Text before the secret. Default: `Bearer ` in `Authorization`, nothing in other headers. Up to 64 characters
    of ASCII.
    """


class ClientCredentialsSection(TypedDict, total=False):
    """Access tokens for the gateway itself, from an OAuth authorization server (RFC 6749, section 4.4)."""

    issuer: str
    """Issuer; the gateway reads the token endpoint from its metadata (RFC 8414, OpenID Connect). An https URL
    without query.
    """

    token_url: str
    """Token endpoint, in place of `issuer`. An https URL without query."""

    client_id: Required[str]
    """The gateway's client id at the issuer. Printable ASCII without spaces."""

    client_secret_file: str
    """File with the client's secret. The gateway reads it for each token. A string of 1 to 4096 characters."""

    client_secret_method: Literal["basic", "post"]
    """Where the secret goes: in an `Authorization` header (the default) or in the body."""

    private_key_file: str
    """PEM file with a private key, for `private_key_jwt` (RFC 7523), read for each token. A string of 1 to 4096
    characters.
    """

    key_id: str
    """The `kid` of that key, where the issuer wants one. Printable ASCII without spaces."""

    assertion_audience: str
    """Audience of the assertion that the key signs. Default: the URL of the token endpoint. A string of 1 to 1024
    characters.
    """

    scopes: Sequence[str]
    """Scopes to ask for."""

    audience: str
    """The `audience` parameter of the request for a token. A string of 1 to 1024 characters."""

    resource: str
    """The `resource` parameter of the request for a token (RFC 8707). An https URL without query."""

    ca_file: str
    """File with the certificate authorities to trust for the issuer, in place of the system's. A string of 1 to 4096
    characters.
    """


class TokenExchangeSection(TypedDict, total=False):
    """Access tokens for the clients, each in exchange for the token that the client has shown (RFC 8693). Health
    checks
    """

    issuer: str
    """Issuer; the gateway reads the token endpoint from its metadata (RFC 8414, OpenID Connect). An https URL
    without query.
    """

    token_url: str
    """Token endpoint, in place of `issuer`. An https URL without query."""

    client_id: Required[str]
    """The gateway's client id at the issuer. Printable ASCII without spaces."""

    client_secret_file: str
    """File with the client's secret. The gateway reads it for each token. A string of 1 to 4096 characters."""

    client_secret_method: Literal["basic", "post"]
    """Where the secret goes: in an `Authorization` header (the default) or in the body."""

    private_key_file: str
    """PEM file with a private key, for `private_key_jwt` (RFC 7523), read for each token. A string of 1 to 4096
    characters.
    """

    key_id: str
    """The `kid` of that key, where the issuer wants one. Printable ASCII without spaces."""

    assertion_audience: str
    """Audience of the assertion that the key signs. Default: the URL of the token endpoint. A string of 1 to 1024
    characters.
    """

    scopes: Sequence[str]
    """Scopes to ask for."""

    audience: str
    """The `audience` parameter of the request for a token. A string of 1 to 1024 characters."""

    resource: str
    """The `resource` parameter of the request for a token (RFC 8707). An https URL without query."""

    ca_file: str
    """File with the certificate authorities to trust for the issuer, in place of the system's. A string of 1 to 4096
    characters.
    """

    actor: bool
    """Show the gateway's own token too, so that the issuer can name the gateway as the actor. Default: False."""


class IdentitySection(TypedDict, total=False):
    """A signed header that tells the servers who the client is: a JWT that servers verify with the keys at
    `/jwks.json`
    """

    header: str
    """Header with the JWT. Clients cannot set it. The name of a header, such as Authorization. Default: X-Mcppool-
    Identity.
    """

    key_file: Required[str]
    """PEM file with the private key that signs. The gateway reads it again when it changes. A string of 1 to 4096
    characters.
    """

    issuer: str
    """The `iss` claim. A string of 1 to 1024 characters. Default: mcppool."""

    audience: str
    """The `aud` claim. Default: the name of the pool. A string of 1 to 1024 characters."""

    lifetime: str
    """How long a JWT is valid. One is used for at most half of it. A duration such as "250ms" or "1m30s", from 1ms
    to 168h. Default: 5m.
    """

    claims: Sequence[str]
    """Claims of the client's own token that the JWT repeats, in `claims`."""


class OutboundAuthSection(TypedDict, total=False):
    """Authentication of the gateway at the servers, and the identity of the client for them. `tls` has its client"""

    type: Literal["none", "token", "client_credentials", "token_exchange"]
    """How the gateway authenticates. Default: none."""

    token: OutboundTokenSection
    """For type token."""

    client_credentials: ClientCredentialsSection
    """For type client_credentials."""

    token_exchange: TokenExchangeSection
    """For type token_exchange."""

    identity: IdentitySection
    """A header that tells who the client is, with any type."""


class AuthSection(TypedDict, total=False):
    """Authentication in both directions."""

    inbound: InboundAuthSection
    """Authentication of clients."""

    outbound: OutboundAuthSection
    """How the gateway authenticates to the servers."""


class AccessRuleSection(TypedDict, total=False):
    """A rule: conditions on the client and on the request. All keys that are set must match."""

    name: Required[str]
    """Name of the rule in metrics, logs and the audit log. At most 64 lower-case letters, digits, inner hyphens,
    underscores and dots.
    """

    scopes: Sequence[str]
    """Scopes that the client's token must all have."""

    groups: Sequence[str]
    """Groups. The client must belong to one of them."""

    names: Sequence[str]
    """Names of API keys, or subjects of certificates. The client's must be one of them."""

    claims: Mapping[str, Sequence[str]]
    """Claims of the client's token, each with the values that are allowed. A dot leads into an object:
    `realm_access.roles`.
    """

    methods: Sequence[str]
    """Methods that the rule concerns. Default: all."""

    tools: Sequence[str]
    """Names of tools that the rule concerns."""

    prompts: Sequence[str]
    """Names of prompts that the rule concerns."""

    resources: Sequence[str]
    """URIs of resources that the rule concerns."""

    with_arguments: Sequence[str]
    """The rule concerns calls that have one of these arguments, whatever its value."""

    without_arguments: Sequence[str]
    """The rule concerns calls that have none of these arguments."""


class AccessSection(TypedDict, total=False):
    """Access rules. Without any rule in `allow`, clients may use everything that no rule in `deny` matches."""

    mode: Literal["enforce", "shadow"]
    """`shadow` only counts, logs and audits what `enforce` would refuse. Default: enforce."""

    denied: Literal["step_up", "unknown", "forbidden"]
    """Answer to a refused call. `unknown`: as if there were no such tool, prompt, resource or method. `forbidden`:
    HTTP 403. `step_up`: HTTP 403 with the missing scopes if a token with more scopes would be enough, else as
    `unknown`. Default: step_up.
    """

    allow: Sequence[AccessRuleSection]
    """Rules that allow requests. If there is one, all else is refused."""

    deny: Sequence[AccessRuleSection]
    """Rules that refuse requests. They win over `allow`."""


class OtlpSection(TypedDict, total=False):
    """A collector of OpenTelemetry that takes the lines as logs, by OTLP over HTTP."""

    headers: Mapping[str, str | HeaderValueSection]
    """Headers of each request to the collector, such as `Authorization`."""

    timeout: str
    """Upper bound on each wait for the collector. A duration such as "250ms" or "1m30s", from 100ms to 5m. Default:
    10s.
    """

    ca_file: str
    """File with the certificate authorities to trust for the collector, in place of the system's. A string of 1 to
    4096 characters.
    """

    certificate_file: str
    """File with the gateway's own certificate for the collector. A string of 1 to 4096 characters."""

    key_file: str
    """File with its private key. A string of 1 to 4096 characters."""

    url: Required[str]
    """URL of the collector. Without a path, `/v1/logs` is added. A URL such as https://collector.example.com:4318,
    without query.
    """


class AuditSection(TypedDict, total=False):
    """The audit log: one JSON line for each call of a tool and for each refusal."""

    type: Literal["none", "file", "stdout", "otlp"]
    """Where the audit log goes. Default: none."""

    file: str
    """File for type file. The name of a file in a folder that the gateway may write to."""

    otlp: OtlpSection
    """For type otlp."""

    max_size: str
    """Size at which the file is renamed to `FILE.1` and a new one is begun. A size such as "64KiB" or "4MiB", from
    64KiB to 1024GiB. Default: 100MiB.
    """

    keep: int
    """Number of renamed files that are kept. A whole number from 1 to 1000. Default: 5."""

    arguments: bool
    """Write the arguments of calls, up to 8 KiB of each call. Default: False."""

    redact: Sequence[str]
    """Names of arguments, at any depth, whose values are not written. `*` stands for any text; case does not matter.
    Default: ['*password*', '*secret*', '*token*', '*key*', '*credential*', 'authorization'].
    """

    buffer: str
    """Bytes of lines that wait to be written, for all pools that share the log. A size such as "64KiB" or "4MiB",
    from 64KiB to 1GiB. Default: 4MiB.
    """

    overflow: Literal["drop", "refuse"]
    """Reaction to a full buffer. `drop`: lines are dropped and counted. `refuse`: calls of tools are refused until
    lines can be written again. Default: drop.
    """


class TracingSection(TypedDict, total=False):
    """Spans of calls and attempts for a collector of OpenTelemetry, and the durations `mcp.*.duration`."""

    headers: Mapping[str, str | HeaderValueSection]
    """Headers of each request to the collector, such as `Authorization`."""

    timeout: str
    """Upper bound on each wait for the collector. A duration such as "250ms" or "1m30s", from 100ms to 5m. Default:
    10s.
    """

    ca_file: str
    """File with the certificate authorities to trust for the collector, in place of the system's. A string of 1 to
    4096 characters.
    """

    certificate_file: str
    """File with the gateway's own certificate for the collector. A string of 1 to 4096 characters."""

    key_file: str
    """File with its private key. A string of 1 to 4096 characters."""

    enabled: bool
    """Make spans and send them. Needs the extra `otel`. Default: False."""

    endpoint: str
    """URL of the collector. Over HTTP `/v1/traces` and `/v1/metrics` are added. Default: the environment variable
    `OTEL_EXPORTER_OTLP_ENDPOINT`, else `http://localhost:4318`, or port 4317 for gRPC. A URL such as
    https://collector.example.com:4318, without query.
    """

    protocol: Literal["http/protobuf", "grpc"]
    """Protocol of the collector. `grpc` needs the extra `otel-grpc`; collectors listen for it on port 4317. Default:
    http/protobuf.
    """

    sample_ratio: str
    """Share of the calls to trace, of those whose client has not decided. Default: the environment variables
    `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`, else 1.
    """

    parent_based: bool
    """Follow the decision of a client that sends a trace context, whatever `sample_ratio` is. With `false`, the
    ratio decides about every call. Default: by `OTEL_TRACES_SAMPLER`, else `true`.
    """

    metrics: bool
    """Send the durations `mcp.*.duration`, too. Default: True."""

    metrics_interval: str
    """Time between two sendings of durations. A duration such as "250ms" or "1m30s", from 1s to 1h. Default: 1m."""

    resource_attributes: Mapping[str, str]
    """Attributes of the gateway, such as `deployment.environment.name`. They go before those of
    `OTEL_RESOURCE_ATTRIBUTES`.
    """

    queue: int
    """Maximum number of spans that wait to be sent. Beyond it, spans are dropped and counted. A whole number from 1
    to 1000000. Default: 2048.
    """


class LocalSection(TypedDict, total=False):
    """The processes of a local server."""

    idle_timeout: str
    """How long the process of a session stays after its client has gone (no connection, no stream, no call). The
    session ends with it. A duration such as "250ms" or "1m30s", from 1ms to 168h. Default: 1m.
    """

    max_processes: int
    """Maximum number of processes of the pool, over all replicas. A whole number from 1 to 10000. Default: 64."""

    max_processes_per_client: int
    """Maximum number of processes for the sessions of one client: its principal, or its address in a pool that
    verifies no principals. A whole number from 1 to 10000. Default: 32.
    """


class UpstreamTlsSection(TypedDict, total=False):
    """How the gateway verifies `https` endpoints; by default with the system's certificate authorities."""

    ca_file: str
    """File with the certificate authorities to trust in place of the system's. A string of 1 to 4096 characters."""

    server_name: str
    """Name that the certificates must have, in place of the name in the URL. The name of a host, such as
    search.example.com.
    """

    certificate_file: str
    """File with the gateway's own certificate. A string of 1 to 4096 characters."""

    key_file: str
    """File with its private key. A string of 1 to 4096 characters."""


class PoolSections(TypedDict, total=False):
    """All replicas of one MCP server, and their policy."""

    connection_pool: ConnectionPoolSection
    """Connections to each endpoint."""

    retry_policy: RetryPolicySection | Literal["quick", "standard", "network", "throttle"]
    """Retries of calls."""

    load_balancer: LoadBalancerSection
    """Choice of the endpoint for a call."""

    health_check: HealthCheckSection
    """Active checks of endpoints."""

    outlier_detection: OutlierDetectionSection
    """Ejection of endpoints that answer badly."""

    circuit_breaker: CircuitBreakerSection
    """A breaker per endpoint and tool."""

    timeouts: TimeoutsSection
    """Time limits for the parts of a call."""

    cache: CacheSection
    """The cache of answers."""

    rate_limit: RateLimitSection
    """Limits on calls per second."""

    limits: LimitsSection
    """Limits on calls in flight."""

    sessions: SessionsSection
    """Sessions of clients of the legacy era."""

    catalog: CatalogSection
    """Lists of tools, prompts and resources."""

    tools: Mapping[str, ToolSection]
    """Overrides by tool name, or by prefix with a `*`."""

    headers: HeadersSection
    """Headers that pass besides those of the protocol."""

    auth: AuthSection
    """Authentication of clients, and of the gateway at the servers."""

    access: AccessSection
    """Access rules: which client may use which tool, resource or prompt."""

    audit: AuditSection
    """The audit log."""

    tracing: TracingSection
    """Traces, and durations by OpenTelemetry's conventions."""

    dns: str
    """A URL. Every address of its host name is an endpoint. A URL such as http://127.0.0.1:8001/mcp, without user
    name and fragment.
    """

    command: Sequence[str]
    """A program that speaks MCP on standard input and output, with its arguments."""

    replicas: int
    """Number of processes of `command`. Default: 3. A whole number from 1 to 256."""

    env: Mapping[str, str]
    """Environment variables for `command`."""

    env_from: Sequence[str]
    """Variables of the gateway's environment that `command` gets: names, prefixes with a `*`, or `*` for all of
    them.
    """

    local: LocalSection
    """Processes of `command`."""

    tls: UpstreamTlsSection
    """TLS to `https` endpoints."""
