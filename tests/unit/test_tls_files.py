"""Errors of certificate and key files name the file at fault and its key in the configuration."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from mcppool.tls_files import UnusableTlsFile, client_context
from tests.certificates import ServerCertificate, make_server_certificate


def encrypted(made: ServerCertificate, into: Path) -> Path:
    key = serialization.load_pem_private_key(made.key.read_bytes(), None)
    into.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    return into


@pytest.mark.parametrize(
    ("authorities", "certificate", "key", "at_fault", "why"),
    [
        ("none", None, None, "ca_file", "No such file"),
        ("folder", None, None, "ca_file", "Is a directory"),
        ("pipe", None, None, "ca_file", "Not a regular file"),
        ("key", None, None, "ca_file", "no certificate in PEM"),
        ("empty", None, None, "ca_file", "no certificate in PEM"),
        ("certificate", "none", "key", "certificate_file", "No such file"),
        (None, "key", "key", "certificate_file", "no certificate in PEM"),
        (None, "text", "key", "certificate_file", "no certificate in PEM"),
        (None, "certificate", "none", "key_file", "No such file"),
        (None, "certificate", "certificate", "key_file", "no private key in PEM"),
        (None, "certificate", "other", "key_file", "does not belong to the certificate"),
        (None, "certificate", "encrypted", "key_file", "is encrypted"),
        (None, "certificate", None, "certificate_file", "no private key in PEM"),
    ],
)
def test_the_error_names_the_file_and_its_key(
    authorities: str | None, certificate: str | None, key: str | None, at_fault: str, why: str, tmp_path: Path
) -> None:
    made, other = make_server_certificate(tmp_path / "made"), make_server_certificate(tmp_path / "other")
    files = {name: tmp_path / name for name in ("none", "folder", "pipe", "empty", "text")}
    files |= {"certificate": made.certificate, "key": made.key, "other": other.key}
    files["encrypted"] = encrypted(made, tmp_path / "encrypted")
    files["folder"].mkdir()
    os.mkfifo(files["pipe"])
    files["empty"].touch()
    files["text"].write_text("-----BEGIN CERTIFICATE-----\nxyz\n-----END CERTIFICATE-----\n")
    paths = [None if name is None else str(files[name]) for name in (authorities, certificate, key)]
    with pytest.raises(UnusableTlsFile) as caught:
        client_context(*paths)
    found = caught.value
    assert (found.key, found.file) == (at_fault, paths[("ca_file", "certificate_file", "key_file").index(at_fault)])
    assert why in found.why
    assert str(found) == f"{found.file}: {found.why}"


def test_a_certificate_and_its_key_may_be_in_one_file(tmp_path: Path) -> None:
    made = make_server_certificate(tmp_path)
    both = tmp_path / "both.pem"
    both.write_bytes(made.key.read_bytes() + made.certificate.read_bytes())
    assert client_context(str(made.ca), str(both)).get_ca_certs()
