"""The chart's admission policies in a real API server: the permitted writes of a pool's author, and of the operator
itself."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
import yaml

from mcppool_operator.api import KubeError, connect
from mcppool_operator.pods import DELETION_COST
from mcppool_operator.resources import CONFIG_MAP, DEPLOYMENT, POD, POOL, ROLE, ROLE_BINDING, SECRET, Kind
from tests.chart.helm import Helm
from tests.kube.administrator import Administrator, eventually, plural, refused
from tests.kube.control_plane import Cluster
from tests.requirements import ROOT

SOURCE = {"type": "Service", "service": {"name": "tools", "port": "http"}}
CRD = Kind("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition")
ACCOUNT = Kind("", "v1", "serviceaccounts", "ServiceAccount")


def pool(who: Administrator, name: str = "search", **spec: Any) -> dict[str, Any]:
    return who.here(POOL, name, spec={"source": SOURCE, "auth": {"inbound": {"type": "None"}}, **spec})


@asynccontextmanager
async def acting_as(
    cluster: Cluster, admin: Administrator, account: str, *rules: dict[str, Any]
) -> AsyncIterator[Administrator]:
    """A user with an account of the test's namespace and exactly these rights."""
    await admin.put(
        admin.here(ACCOUNT, account),
        admin.here(ROLE, account, rules=list(rules)),
        admin.here(
            ROLE_BINDING,
            account,
            roleRef={"apiGroup": ROLE.group, "kind": "Role", "name": account},
            subjects=[{"kind": "ServiceAccount", "name": account, "namespace": admin.namespace}],
        ),
    )
    (group,), (resource,), (verb, *_) = (rules[0][key] for key in ("apiGroups", "resources", "verbs"))
    name = f"{admin.namespace}:{account}"
    await eventually(lambda: admin.allowed(name, verb, resource, group=group), f"{account} has the rights")
    kubeconfig = cluster.kubeconfig(f"{admin.namespace}-{account}", await admin.token(admin.namespace, account))
    async with connect(str(kubeconfig)) as api:
        somebody = Administrator(api)
        somebody.namespace = admin.namespace
        yield somebody


def may(resource: str, *verbs: str, group: str = "", names: tuple[str, ...] = ()) -> dict[str, Any]:
    rule: dict[str, Any] = {"apiGroups": [group], "resources": [resource], "verbs": list(verbs)}
    return {**rule, "resourceNames": list(names)} if names else rule


POOLS = may("mcpserverpools", "get", "create", "update", "patch", group="mcppool.dev")


async def enforced(author: Administrator) -> None:
    """Wait until the API server has taken the policies up, which it does a moment after they are there."""

    refers = pool(author, "probe", tls={"caSecretRef": {"name": "unknown", "key": "k"}})

    async def is_refused() -> bool:
        try:
            await author.call("POST", f"{POOL.path(author.namespace)}?dryRun=All", refers)
        except KubeError as error:
            return '"unknown", which' in error.message
        return False

    await eventually(is_refused, "the policies hold")


async def test_an_author_may_refer_to_secrets_that_they_may_get_and_to_no_other(
    installed: Cluster, admin: Administrator
) -> None:
    tls = {"caSecretRef": {"name": "theirs", "key": "ca.crt"}}
    password = {"redisPasswordSecretRef": {"name": "db", "key": "p"}}
    redis = {"cache": {"type": "Redis", "redisURL": "redis://r:6379", **password}}
    async with acting_as(installed, admin, "author", POOLS, may("secrets", "get", names=("theirs",))) as author:
        await enforced(author)
        await author.api.create(POOL, pool(author, tls=tls))
        sent = {"headers": {"send": {"X-Token": {"valueSecretRef": {"name": "db", "key": "t"}}}}}
        credentials = {
            "tokenURL": "https://a.example/token",
            "clientId": "x",
            "clientSecretRef": {"name": "db", "key": "s"},
        }
        fetched = {
            "auth": {
                "inbound": {"type": "None"},
                "outbound": {"type": "ClientCredentials", "clientCredentials": credentials},
            }
        }
        sql = {"cache": {"type": "SQL", "sqlURL": "postgresql://d", "sqlPasswordSecretRef": {"name": "db", "key": "p"}}}
        for spec in (
            sql,
            redis,
            {**redis, "tls": tls},
            {"tls": {"caSecretRef": {"name": "db", "key": "k"}}},
            sent,
            fetched,
        ):
            words = await refused(author.api.create(POOL, pool(author, "other", **spec)))
            assert 'spec refers to the Secret "db", which system:serviceaccount:' in words
        # A user who may get it has set it; one who may not can change fields that do not concern its use ...
        await admin.merge(POOL, "search", {"spec": redis})
        await author.merge(POOL, "search", {"metadata": {"annotations": {"example.com/note": "x"}}})
        # ... but not where it is sent.
        change = author.merge(POOL, "search", {"spec": {"cache": {"redisURL": "redis://mine:6379"}}})
        assert 'the Secret "db"' in await refused(change)


async def test_pools_without_authentication_are_refused_where_the_chart_requires_it(
    installed: Cluster, admin: Administrator, helm: Helm
) -> None:
    objects = helm.template(
        "--set", "fullnameOverride=strict", "--set", "admissionPolicy.requireAuthentication=true",
        "--set", f"watchNamespaces={{{admin.namespace}}}",
    )  # fmt: skip
    policies = [obj for obj in objects if obj["metadata"]["name"] == "strict-pools"]
    await admin.api.create(POOL, pool(admin, "old"))
    await admin.put(*policies)
    try:

        async def is_refused() -> bool:
            try:
                await admin.call("POST", f"{POOL.path(admin.namespace)}?dryRun=All", pool(admin))
            except KubeError as error:
                return "clients have to authenticate" in error.message
            return False

        await eventually(is_refused, "the policy holds")
        keys = {"type": "APIKeys", "apiKeys": {"keysSecretRef": {"name": "keys", "key": "keys"}}}
        await admin.api.create(POOL, pool(admin, auth={"inbound": keys}))
        await admin.merge(POOL, "old", {"metadata": {"annotations": {"example.com/note": "x"}}})
        change = admin.merge(POOL, "old", {"spec": {"timeouts": {"request": "7s"}}})
        assert "spec.auth.inbound.type cannot be None" in await refused(change)
    finally:
        for obj in policies:
            group, _, version = obj["apiVersion"].rpartition("/")
            await admin.call(
                "DELETE", Kind(group, version, plural(obj["kind"]), obj["kind"]).path(None, "strict-pools")
            )


async def test_an_author_may_refer_to_many_secrets_one_by_one(installed: Cluster, admin: Administrator) -> None:
    """Each question to the authorizer is dear: an expression has room for two."""

    def sending(count: int) -> dict[str, Any]:
        values = {f"X-Token-{n}": {"valueSecretRef": {"name": f"s{n}", "key": "t"}} for n in range(count)}
        return {"headers": {"send": values}}

    names = tuple(f"s{number}" for number in range(17))
    async with acting_as(installed, admin, "author", POOLS, may("secrets", "get", names=names)) as author:
        await enforced(author)
        await author.api.create(POOL, pool(author, **sending(16)))
        assert "at most 16 Secrets" in await refused(author.api.create(POOL, pool(author, "more", **sending(17))))
    async with acting_as(installed, admin, "editor", POOLS, may("secrets", "get")) as editor:
        await editor.api.create(POOL, pool(editor, "more", **sending(17)))


async def test_an_author_who_may_create_pods_may_choose_an_image(installed: Cluster, admin: Administrator) -> None:
    gateway = {"gateway": {"image": "example.com/mine:1"}}
    async with acting_as(installed, admin, "author", POOLS) as author:
        await enforced(author)
        words = await refused(author.api.create(POOL, pool(author, **gateway)))
        assert "spec.gateway.image may be set only by users who may create pods" in words
        await author.api.create(POOL, pool(author))
    async with acting_as(installed, admin, "developer", POOLS, may("pods", "create")) as developer:
        await developer.merge(POOL, "search", {"spec": gateway})


async def test_an_author_who_may_create_routes_may_request_one(installed: Cluster, admin: Administrator) -> None:
    ingress = {"gateway": {"route": {"type": "Ingress", "hostnames": ["a.example"]}}}
    http = {"type": "HTTPRoute", "hostnames": ["a.example"], "parentRefs": [{"name": "public"}]}
    balanced = {"gateway": {"service": {"type": "LoadBalancer"}}}
    async with acting_as(installed, admin, "author", POOLS) as author:
        await enforced(author)
        for spec in (ingress, {"gateway": {"route": http}}):
            words = await refused(author.api.create(POOL, pool(author, **spec)))
            assert "spec.gateway.route may be set only by users who may create what it makes" in words
        words = await refused(author.api.create(POOL, pool(author, **balanced)))
        assert "only by users who may create Services" in words
        await author.api.create(POOL, pool(author))
    rules = may("ingresses", "create", group="networking.k8s.io"), may("services", "create")
    async with acting_as(installed, admin, "network", POOLS, *rules) as network:
        await network.merge(POOL, "search", {"spec": ingress})
        await network.merge(POOL, "search", {"spec": balanced})


async def test_an_author_who_may_create_pods_may_run_servers_with_secrets_that_the_author_may_get(
    installed: Cluster, admin: Administrator
) -> None:
    def managed(**content: Any) -> dict[str, Any]:
        return {"source": {"type": "Managed", "managed": {"image": "example.com/mine:1", "port": 8000, **content}}}

    env = [{"name": "TOKEN", "secretRef": {"name": "db", "key": "p"}}]
    async with acting_as(installed, admin, "author", POOLS) as author:
        await enforced(author)
        words = await refused(author.api.create(POOL, pool(author, **managed())))
        assert "spec.source.managed may be set only by users who may create pods" in words
    async with acting_as(installed, admin, "developer", POOLS, may("pods", "create")) as developer:
        await developer.api.create(POOL, pool(developer, **managed()))
        words = await refused(developer.merge(POOL, "search", {"spec": managed(env=env)}))
        assert 'the Secret "db"' in words


@pytest_asyncio.fixture(loop_scope="function")
async def old_crd(installed: Cluster, admin: Administrator) -> AsyncIterator[None]:
    """A CRD that takes anything as podTemplate, as one did once; the committed one afterwards."""
    path = ROOT / "crds" / "mcpserverpools.yaml"
    committed = yaml.safe_load(path.read_text())
    opened = copy.deepcopy(committed)
    schema = opened["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["gateway"]
    anything = {"type": "object", "description": "x", "x-kubernetes-preserve-unknown-fields": True}
    schema["properties"]["podTemplate"] = anything

    async def put(crd: dict[str, Any]) -> None:
        await admin.put(crd)

        async def in_force() -> bool:
            template = {"gateway": {"podTemplate": {"spec": {"volumes": [{"name": "a"}]}}}}
            try:
                await admin.call("POST", f"{POOL.path(admin.namespace)}?dryRun=All", pool(admin, "probe", **template))
            except KubeError:
                return crd is committed
            return crd is opened

        await eventually(in_force, "the CRD is in force")

    await put(opened)
    yield
    await put(committed)


async def test_the_policy_refuses_by_name_fields_that_an_older_crd_accepts(
    old_crd: None, installed: Cluster, admin: Administrator
) -> None:
    def templated(**spec: Any) -> dict[str, Any]:
        return pool(admin, gateway={"podTemplate": {"spec": spec}})

    def container(**content: Any) -> dict[str, Any]:
        return templated(containers=[{"name": "gateway", **content}])

    bad = [
        (templated(serviceAccountName="admin"), "podTemplate.spec.serviceAccountName cannot be set"),
        (templated(hostNetwork=True), "podTemplate.spec.hostNetwork cannot be set"),
        (templated(initContainers=[]), "podTemplate.spec.initContainers cannot be set"),
        (templated(madeUp=1), "podTemplate.spec.madeUp cannot be set"),
        (templated(containers=[{"name": "sidecar"}]), "of the container gateway only"),
        (container(image="mine"), "env, resources and volumeMounts"),
        (container(securityContext={"privileged": True}), "env, resources and volumeMounts"),
        (container(env=[{"name": "A", "valueFrom": {}}]), "may have literal values only"),
        (container(env=[{"name": "PYTHONPATH", "value": "x"}]), "none that changes what program runs"),
        (container(volumeMounts=[{"name": "a", "mountPath": "/mnt/../opt"}]), "must be below /mnt"),
        (templated(volumes=[{"name": "a", "hostPath": {"path": "/"}}]), "of the kinds emptyDir"),
        (
            templated(volumes=[{"name": "a", "secret": {"secretName": "b"}}]),
            "of the kinds emptyDir",
        ),
        (templated(securityContext={"runAsUser": 0}), "the Pod Security Standard restricted"),
        (templated(securityContext={"runAsNonRoot": False}), "the Pod Security Standard restricted"),
        (pool(admin, gateway={"podTemplate": {"kind": "Pod"}}), "may have metadata and spec only"),
    ]
    for body, words in bad:
        assert words in await refused(admin.api.create(POOL, body)), body["spec"]["gateway"]
    good = templated(
        nodeSelector={"disk": "ssd"},
        volumes=[{"name": "a", "emptyDir": {}}],
        containers=[
            {
                "name": "gateway",
                "env": [{"name": "A", "value": "1"}],
                "volumeMounts": [{"name": "a", "mountPath": "/mnt/a"}],
            }
        ],
        securityContext={"runAsUser": 1000},
    )
    await admin.api.create(POOL, good)


async def test_the_operators_own_token_is_worth_nothing_beyond_pools(installed: Cluster, admin: Administrator) -> None:
    await admin.put(
        admin.here(SECRET, "theirs", stringData={"a": "b"}), admin.here(CONFIG_MAP, "theirs", data={"a": "b"})
    )
    await admin.api.create(POOL, pool(admin))
    uid = (await admin.get(POOL, "search"))["metadata"]["uid"]
    reference = {"apiVersion": POOL.api_version, "kind": POOL.kind, "name": "search", "uid": uid, "controller": True}
    token = await admin.token("mcppool-system", "mcppool")
    async with connect(str(installed.kubeconfig(f"{admin.namespace}-thief", token))) as api:

        def child(kind: Kind, name: str, **content: Any) -> dict[str, Any]:
            body = admin.here(kind, name, **content)
            body["metadata"]["ownerReferences"] = [reference]
            return body

        async def forbidden(request: Any, words: str) -> None:
            assert words in await refused(request)

        with pytest.raises(KubeError, match="403"):
            await api.get(SECRET, admin.namespace, "theirs")
        with pytest.raises(KubeError, match="403"):
            await api.list(SECRET, admin.namespace)
        token_secret = admin.here(SECRET, "search-mcp-token", type="kubernetes.io/service-account-token")
        token_secret["metadata"]["annotations"] = {"kubernetes.io/service-account.name": "default"}
        await forbidden(api.create(SECRET, token_secret), "writes only what belongs to a McpServerPool")
        await forbidden(api.create(SECRET, child(SECRET, "search-mcp-other")), "Secrets with sealing keys only")
        described = {"apiVersion": "v1", "kind": "ConfigMap", "name": "theirs", "uid": uid, "controller": True}
        for name in ("search-mcp-keys-1", "theirs"):  # that of a rotation belongs to the ConfigMap of its name alone
            secret = admin.here(SECRET, name)
            secret["metadata"]["ownerReferences"] = [described]
            words = "writes only what belongs" if name != "theirs" else "Secrets with sealing keys only"
            await forbidden(api.create(SECRET, secret), words)
        snapshot = await api.apply(CONFIG_MAP, child(CONFIG_MAP, "search-mcp-config", data={"a": "b"}))
        await forbidden(api.delete(CONFIG_MAP, snapshot), "descriptions of sealing keys")
        await api.delete(CONFIG_MAP, await api.apply(CONFIG_MAP, child(CONFIG_MAP, "search-mcp-keys-1")))
        await forbidden(api.apply(CONFIG_MAP, child(CONFIG_MAP, "theirs", data={"a": "c"})), "named after it")
        pod = {
            "metadata": {"labels": {"a": "b"}},
            "spec": {
                "containers": [{"name": "c", "image": "i"}],
                "serviceAccountName": "search-mcp-gateway",
                "automountServiceAccountToken": False,
            },
        }
        spec = {"selector": {"matchLabels": {"a": "b"}}, "template": pod}

        def deployment(name: str = "search-mcp-gateway", **changes: Any) -> dict[str, Any]:
            template = {**pod, "spec": {**pod["spec"], **changes}}
            return child(DEPLOYMENT, name, spec={**spec, "template": template})

        await forbidden(api.create(DEPLOYMENT, deployment(serviceAccountName="admin")), "account of their own")
        await forbidden(api.create(DEPLOYMENT, deployment(automountServiceAccountToken=True)), "account of their own")
        await forbidden(api.create(DEPLOYMENT, deployment("evil")), "named after it")
        await forbidden(api.create(DEPLOYMENT, deployment(hostNetwork=True)), "no part in their node")
        volumes = [{"name": "a", "hostPath": {"path": "/"}}]
        await forbidden(api.create(DEPLOYMENT, deployment(volumes=volumes)), "no part in their node")
        rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]
        await forbidden(api.create(ROLE, child(ROLE, "search-mcp-gateway", rules=rules)), "of one ConfigMap only")
        rules[0]["resourceNames"] = ["search-mcp-config"]
        await api.create(ROLE, child(ROLE, "search-mcp-gateway", rules=rules))
        subjects = [{"kind": "ServiceAccount", "name": "mine", "namespace": admin.namespace}]
        role = {"apiGroup": ROLE.group, "kind": "Role", "name": "search-mcp-gateway"}
        binding = child(ROLE_BINDING, "search-mcp-gateway", roleRef=role, subjects=subjects)
        await forbidden(api.create(ROLE_BINDING, binding), "to their Role only")
        await api.create(DEPLOYMENT, deployment())
        cost = {DELETION_COST: "3"}

        def pod_with(name: str, component: str, **metadata: Any) -> dict[str, Any]:
            labels = {"app.kubernetes.io/managed-by": "mcppool-operator", "app.kubernetes.io/component": component}
            body = admin.here(POD, name, labels=labels)
            return body | {"metadata": body["metadata"] | metadata}

        run = {"spec": {"containers": [{"name": "c", "image": "i"}]}}
        await admin.put(
            pod_with("server", "server", annotations={"a": "b"}) | run,
            pod_with("gateway", "gateway") | run,
        )
        only = "nothing of a pod but the deletion cost"
        await forbidden(api.apply(POD, pod_with("gateway", "gateway", annotations=cost)), only)
        await forbidden(api.apply(POD, pod_with("server", "server", annotations={"a": "c"})), only)
        await forbidden(api.apply(POD, pod_with("server", "server", annotations={"new": "c"})), only)
        await forbidden(api.apply(POD, pod_with("server", "server", finalizers=["a.b/c"])), only)
        await forbidden(api.apply(POD, pod_with("server", "server", labels={"app": "theirs"})), only)
        image = {"spec": {"containers": [{"name": "c", "image": "evil"}]}}
        await forbidden(api.apply(POD, pod_with("server", "server") | image), only)
        await api.apply(POD, pod_with("server", "server", annotations=cost))
