"""A certificate authority of this run, and one certificate with the names of all hosts."""

import datetime
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PEM, PKCS8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8


def usage(**on):
    kinds = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign",
             "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{kind: on.get(kind, False) for kind in kinds})


def certificate(subject, issuer, public_key, signing_key):
    now = datetime.datetime.now(datetime.timezone.utc)
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in (subject, issuer)]
    return (x509.CertificateBuilder().subject_name(names[0]).issuer_name(names[1]).public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(days=30))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), False))


def make(directory, names, addresses):
    """Writes ca.pem and server.pem (certificate and key) into the directory and gives their paths."""
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    title = "Throw-away authority of a fake Earthdata"
    ca = (certificate(title, title, ca_key.public_key(), ca_key)
          .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
          .add_extension(usage(key_cert_sign=True, crl_sign=True), True).sign(ca_key, hashes.SHA256()))
    alternatives = [x509.DNSName(name) for name in names]
    alternatives += [x509.IPAddress(ipaddress.ip_address(a)) for a in dict.fromkeys(addresses)]
    server = (certificate("fake Earthdata", title, key.public_key(), ca_key)
              .add_extension(x509.SubjectAlternativeName(alternatives), False)
              .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
              .add_extension(usage(digital_signature=True), True)
              .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False).sign(ca_key, hashes.SHA256()))
    ca_file, server_file = directory / "ca.pem", directory / "server.pem"
    ca_file.write_bytes(ca.public_bytes(PEM))
    server_file.touch(mode=0o600)
    server_file.write_bytes(server.public_bytes(PEM) + key.private_bytes(PEM, PKCS8, serialization.NoEncryption()))
    return ca_file, server_file
