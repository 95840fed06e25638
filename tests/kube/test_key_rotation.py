"""Sealing keys rotate: every gateway accepts a new one before one of them seals with it, and nobody reads a Secret."""

from __future__ import annotations

import base64
import json
from typing import Any

from mcppool_operator.resources import CONFIG_MAP, POOL, SECRET, Kind
from mcppool_operator.rotation import ROTATE, STATE
from tests.kube.administrator import Administrator
from tests.kube.control_plane import Cluster
from tests.kube.gateway_pods import GatewayPod, gateway_pods
from tests.kube.operator_process import Operator

CONFIG, KEYS = "search-mcp-config", "search-mcp-keys"
FILES = "/etc/mcppool/keys"


def keys_of(config_map: Any) -> tuple[str, list[str]]:
    """The files of the keys in a snapshot: the one that seals, and the others."""
    listener = json.loads(config_map["data"]["snapshot.json"])["listener"] if config_map else {}
    names = [path.removeprefix(f"{FILES}/") for path in listener.get("accepted_keys", ())]
    return listener.get("sealing_keys", "").removeprefix(f"{FILES}/"), names


async def published(admin: Administrator, seals: str, *accepted: str) -> Any:
    """Wait until the snapshot has these key files."""
    return await admin.until(
        CONFIG_MAP,
        CONFIG,
        lambda found: keys_of(found) == (seals, list(accepted)),
        f"{seals} seals, and {accepted} open",
        60,
    )


async def line_of(admin: Administrator, secret: str) -> str:
    """The content of a Secret with a key."""
    found = await admin.until(SECRET, secret, bool, f"{secret} is made", 60)
    return base64.b64decode(found["data"]["keys"]).decode()


async def bring(admin: Administrator, *gateways: GatewayPod) -> str:
    """Act as the kubelets of gateways: bring the key of the first rotation to them; returns its id."""
    id = (await line_of(admin, f"{KEYS}-1")).partition(":")[0]
    for gateway in gateways:
        gateway.key_ids = (*gateway.key_ids, id)
    return id


async def test_a_rotation_on_request_waits_for_every_gateway_and_survives_a_deleted_configmap(
    operator: Operator, admin: Administrator, installed: Cluster
) -> None:
    await admin.service()
    await admin.server("10.1.0.1")
    await admin.pool()
    async with gateway_pods(installed, admin) as (one, two):
        await admin.pool_says("Programmed", "True", "Programmed")
        await admin.merge(POOL, "search", {"metadata": {"annotations": {ROTATE: "2026-01-01"}}})
        await published(admin, "keys", "keys-1")
        id = await bring(admin, one)
        pool = await admin.until(
            POOL, "search", lambda found: found["status"].get("sealingKeys", {}).get("next"), "the next key is shown"
        )
        assert pool["status"]["sealingKeys"]["next"] == id
        assert keys_of(await admin.get(CONFIG_MAP, CONFIG))[0] == "keys", "one gateway does not have it"
        await bring(admin, two)
        await published(admin, "keys-1", "keys")
        await admin.event("Normal", "SealingKeysRotated")
        await admin.delete(CONFIG_MAP, CONFIG)
        await published(admin, "keys-1", "keys")
        pool = await admin.until(
            POOL, "search", lambda found: found["status"]["sealingKeys"].get("id") == id, "the key is shown"
        )
        assert pool["status"]["sealingKeys"]["accepted"] == 2
    secret = (await line_of(admin, f"{KEYS}-1")).strip().partition(":")[2]
    assert secret not in operator.log()
    assert secret not in json.dumps(pool)
    assert secret not in json.dumps(await admin.api.list(CONFIG_MAP, admin.namespace))


async def test_an_operator_goes_on_with_the_schedule_and_the_keys_of_an_earlier_one(
    operator: Operator, admin: Administrator
) -> None:
    await admin.service()
    await admin.server("10.1.0.1")
    await admin.pool(suspend=True)
    await admin.pool_says("Accepted", "False", "Suspended")
    pool = reference(await admin.get(POOL, "search"))
    # Long ago: the key of slot 1 began to seal; that of slot 2 has expired since.
    state = {"keys": [{"slot": 1, "id": "present"}, {"slot": 2, "id": "past", "until": 2.0}], "since": 1.0}
    await admin.put(owned(admin, CONFIG_MAP, CONFIG, pool, **{STATE: json.dumps(state)}))
    described = owned(admin, CONFIG_MAP, f"{KEYS}-2", pool) | {"data": {"id": "past"}}
    await admin.put(described)
    described = await admin.get(CONFIG_MAP, f"{KEYS}-2")
    past = base64.b64encode(b"past:").decode()
    await admin.put(owned(admin, SECRET, f"{KEYS}-2", reference(described)) | {"data": {"keys": past}})
    await admin.pool(suspend=False, gateway={"sealingKeys": {"rotateEvery": "24h"}})
    assert (await line_of(admin, f"{KEYS}-1")).startswith("present:"), "a missing Secret is made"
    # The next rotation is due. The Secret of its slot goes with its description first.
    await published(admin, "keys-1", "keys-2")
    made = await admin.until(
        SECRET, f"{KEYS}-2", lambda found: found and found["data"]["keys"] != past, "there is a new key", 60
    )
    described = await admin.get(CONFIG_MAP, f"{KEYS}-2")
    assert made["metadata"]["ownerReferences"][0]["uid"] == described["metadata"]["uid"]
    assert base64.b64decode(made["data"]["keys"]).decode().startswith(described["data"]["id"] + ":")


def reference(obj: Any) -> dict[str, Any]:
    """An owner reference to an object."""
    named = {"name": obj["metadata"]["name"], "uid": obj["metadata"]["uid"], "controller": True}
    return {"apiVersion": obj.get("apiVersion", "v1"), "kind": obj.get("kind", "ConfigMap"), **named}


def owned(admin: Administrator, kind: Kind, name: str, owner: dict[str, Any], **annotations: str) -> dict[str, Any]:
    """An object that an earlier operator has made."""
    body = admin.here(kind, name, labels={"app.kubernetes.io/managed-by": "mcppool-operator"})
    body["metadata"] |= {"ownerReferences": [owner], "annotations": annotations}
    return body
