"""Certificates made on the spot: what a server shows, and a client may or may not trust."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Key = ec.EllipticCurvePrivateKey


@attrs.frozen
class Certificate:
    """A certificate with its key, as files.

    Attributes:
        path: Both of them in one PEM file.
    """

    path: Path
    _certificate: x509.Certificate
    _key: Key

    def trusted(self) -> ssl.SSLContext:
        """Return a context for a client that trusts what this certificate has signed."""
        return ssl.create_default_context(cafile=str(self.path))

    def shown(self) -> ssl.SSLContext:
        """Return a context for a server that shows this certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path)
        return context

    def signs(
        self, folder: Path, address: str = "127.0.0.1", *, is_expired: bool = False
    ) -> Certificate:
        """Return a certificate for this address that it has signed."""
        return _certificate(folder, address, self, is_expired=is_expired)


def authority(folder: Path) -> Certificate:
    """Return one that has signed itself, for 127.0.0.1, and may sign others."""
    return _certificate(folder, "127.0.0.1", None)


def _certificate(
    folder: Path, address: str, issuer: Certificate | None, *, is_expired: bool = False
) -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "leaf" if issuer else "authority")])
    ends = datetime.now(UTC) + timedelta(days=-1 if is_expired else 1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer._certificate.subject if issuer else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(ends - timedelta(days=9))
        .not_valid_after(ends)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if issuer is not None:
        signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer._key.public_key())
        made = made.add_extension(signer, critical=False)
    else:
        made = made.add_extension(
            x509.KeyUsage(
                digital_signature=True,
                key_cert_sign=True,
                crl_sign=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
    certificate = made.sign(issuer._key if issuer else key, hashes.SHA256())
    path = folder / f"{certificate.serial_number}.pem"
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(certificate.public_bytes(pem) + private)
    return Certificate(path, certificate, key)
