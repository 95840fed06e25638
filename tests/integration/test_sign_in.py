"""Clients of the official SDKs sign in at a certified authorization server, as the gateway's metadata tells them."""

from __future__ import annotations

import asyncio
import os
import ssl
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.certificates import make_server_certificate
from tests.conftest import GatewayFactory
from tests.integration.raw_http import ask, request, tool_call
from tests.requirements import need_program
from tests.servers import aserving, free_port, pool_toml, sdk2_replica, text_of
from tests.servers.oauth import OidcProvider, Storage, mcp1_sign_in, signing_in, typescript_sign_in
from tests.servers.process import HOST, ServerProcess

ADD_NEEDS_MORE = """
[[pools.access.allow]]
name = "users"
scopes = ["mcp:use"]
tools = ["*", "!add"]
[[pools.access.allow]]
name = "admins"
scopes = ["mcp:admin"]
tools = ["add"]
"""


def jwt_toml(issuer: str) -> str:
    return (
        '[pools.auth.inbound]\ntype = "jwt"\nrequired_scopes = ["mcp:use"]\n'
        f'[pools.auth.inbound.jwt]\nissuers = [{{issuer = "{issuer}"}}]\n'
    )


class TlsProxy(ServerProcess):
    """nginx, which ends TLS in front of a port, with its defaults."""

    def __init__(self, folder: Path, behind: int) -> None:
        nginx = need_program("nginx", "`apt-get install nginx-light`")
        files, port = make_server_certificate(folder / "tls"), free_port()
        self.ca = files.ca
        folders = "".join(
            f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (folder / "nginx.conf").write_text(
            f"daemon off; master_process off; pid {folder}/pid; error_log stderr; events {{}}\n"
            f"http {{ access_log off; {folders} server {{ listen {HOST}:{port} ssl;"
            f" ssl_certificate {files.certificate}; ssl_certificate_key {files.key};"
            f" location / {{ proxy_pass http://{HOST}:{behind}; }} }} }}\n"
        )
        self.external = f"https://localhost:{port}"
        super().__init__("nginx", [nginx, "-p", str(folder), "-c", str(folder / "nginx.conf")], port)

    @property
    def trust(self) -> ssl.SSLContext:
        """For clients: its authority is trusted."""
        return ssl.create_default_context(cafile=self.ca)


async def sign_in_and_add(url: str, storage: Storage, mode: str, trust: ssl.SSLContext | None = None) -> str:
    async with (
        signing_in(url, storage, trust=trust) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode) as client,
    ):
        return text_of(await client.call_tool("add", {"a": 2, "b": 3}))


async def test_a_client_of_the_sdk_signs_in_and_its_token_is_seen_by_nobody_else(gateway: GatewayFactory) -> None:
    issuer = OidcProvider()
    async with aserving(issuer, sdk2_replica("a")) as (_, server):
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=jwt_toml(issuer.issuer)))
        storage = Storage()
        assert await sign_in_and_add(front.url, storage, "legacy") == "5"
        assert storage.tokens is not None
        token = storage.tokens.access_token
        for text in (front.log, server.log, (await asyncio.to_thread(front.get, "/metrics"))[1]):
            assert token not in text
        for shown, status in ((token, 200), ("x", 401)):
            answer = await ask(
                front, tool_call("add", arguments={"a": 1, "b": 1}, more=f"Authorization: Bearer {shown}\r\n")
            )
            assert answer.status == status
        refused = await ask(front, request(b"", {}, path="/mcp", method="GET"))
        assert refused.status == 401
        assert f'resource_metadata="http://127.0.0.1:{front.port}/.well-known/' in refused.headers["www-authenticate"]
        assert 'scope="mcp:use"' in refused.headers["www-authenticate"]
        for path, status in (("/mcp", 200), ("", 200), ("/demo/mcp", 200), ("/other/mcp", 404)):
            document = await ask(
                front, request(b"", {}, path=f"/.well-known/oauth-protected-resource{path}", method="GET")
            )
            assert document.status == status
            if status == 200:
                assert document.json["resource"] == f"http://127.0.0.1:{front.port}{path or '/mcp'}"
                assert document.json["authorization_servers"] == [issuer.issuer]


async def test_an_opaque_token_is_asked_about_at_its_issuer(gateway: GatewayFactory, tmp_path: Path) -> None:
    issuer = OidcProvider("opaque")
    (tmp_path / "secret").write_text("the gateway's own secret")
    auth = (
        '[pools.auth.inbound]\ntype = "introspection"\nrequired_scopes = ["mcp:use"]\n'
        f'[pools.auth.inbound.introspection]\nissuer = "{issuer.issuer}"\nclient_id = "gateway"\n'
        f'client_secret_file = "{tmp_path}/secret"\n'
    )
    async with aserving(issuer, sdk2_replica("a")) as (_, server):
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=auth))
        storage = Storage()
        assert await sign_in_and_add(front.url, storage, "auto") == "5"
        assert storage.tokens is not None
        assert "." not in storage.tokens.access_token


@pytest.fixture
async def behind_tls(gateway: GatewayFactory, tmp_path: Path) -> AsyncIterator[TlsProxy]:
    """nginx, which ends TLS in front of a gateway. The tool `add` needs one more scope."""
    issuer, behind = OidcProvider(), free_port()
    proxy = TlsProxy(tmp_path, behind)
    async with aserving(issuer, sdk2_replica("a"), proxy) as (_, server, _):
        toml = pool_toml(server.url, sections=jwt_toml(issuer.issuer) + ADD_NEEDS_MORE)
        await asyncio.to_thread(gateway, toml, listener=f'external_url = "{proxy.external}"', port=behind)
        yield proxy


async def test_clients_of_all_sdks_sign_in_behind_a_proxy_that_ends_tls_and_ask_for_more_scopes_when_they_need_them(
    behind_tls: TlsProxy,
) -> None:
    url = f"{behind_tls.external}/mcp"
    for mode in ("auto", "legacy"):
        storage = Storage()
        assert await sign_in_and_add(url, storage, mode, behind_tls.trust) == "5"
        assert storage.tokens is not None
        assert set(str(storage.tokens.scope).split()) == {"mcp:use", "mcp:admin"}
    for kind in ("modern", "legacy", "1.x"):
        assert await run(typescript_sign_in(url, kind), behind_tls.ca) == "5", kind
    assert await run(mcp1_sign_in(url), behind_tls.ca) == "5"


async def run(command: Sequence[str], ca: Path) -> str:
    """The output of a program that exits with 0; it trusts the authority `ca`."""
    env = {**os.environ, "NODE_EXTRA_CA_CERTS": str(ca), "SSL_CERT_FILE": str(ca)}
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE, env=env)
    try:
        out, errors = await asyncio.wait_for(process.communicate(), 120)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, errors.decode()
    return out.decode().strip()
