"""What the server and the client of this example share: an identity from a SPIFFE Workload API, as gRPC wants it."""

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from google.protobuf.empty_pb2 import Empty
from google.protobuf.wrappers_pb2 import StringValue
from spiffe import X509Source

SERVICE = "mirror.Mirror"  # as ../mirror.proto has it
REQUEST, RESPONSE = Empty, StringValue


class Identity:
    """A certificate with its chain and key, and the roots of its own trust domain, all as PEM."""

    def __init__(self, source: X509Source):
        context = source.get_x509_context()  # certificate and roots of one moment
        svid = context.default_svid
        self.id = svid.spiffe_id
        self.chain = pem(svid.cert_chain)
        self.key = svid.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        bundle = context.x509_bundle_set.get_bundle_for_trust_domain(self.id.trust_domain)
        if not bundle or not bundle.x509_authorities:
            raise RuntimeError(f"no roots for {self.id.trust_domain}")
        self.roots = pem(bundle.x509_authorities)


def pem(certificates) -> bytes:
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def spiffe_id(certificate: x509.Certificate) -> str:
    """The one URI that a certificate has (X509-SVID §2)."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    (uri,) = names.get_values_for_type(x509.UniformResourceIdentifier)
    return uri
