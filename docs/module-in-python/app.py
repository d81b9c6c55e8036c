"""A signing module in Python that puts a DNS name beside the identity of a service account.

`spiffe://example.org/ns/shop/sa/orders` gets `orders.example.org`, asked for or not: a name that the guard lets
pass only where a template of the host's grants it. This module does not look whether one does, so that both can
be seen with it.

    componentize-py -d signer/wit -w signer componentize --stub-wasi -p docs/module-in-python app -o dns.wasm
"""

from hashlib import sha256
import time

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports import certificates as contract

SEQUENCE, BOOLEAN, INTEGER, BITS, OCTETS, OID = 0x30, 0x01, 0x02, 0x03, 0x04, 0x06
ALGORITHMS = {
    contract.SignatureAlgorithm.ECDSA_WITH_SHA256: "300a06082a8648ce3d040302",
    contract.SignatureAlgorithm.ECDSA_WITH_SHA384: "300a06082a8648ce3d040303",
    contract.SignatureAlgorithm.ED25519: "300506032b6570",
    contract.SignatureAlgorithm.SHA256_WITH_RSA_ENCRYPTION: "300d06092a864886f70d01010b0500",
}


def der(tag, *parts):
    body = b"".join(parts)
    size = len(body).to_bytes(4, "big").lstrip(b"\0")
    return bytes([tag]) + (bytes([len(body)]) if len(body) < 128 else bytes([0x80 | len(size)]) + size) + body


def read(data):
    """The elements of a DER sequence's contents: (tag, contents, whole). A request's are a stranger's octets."""
    at, elements = 0, []
    while at < len(data):
        length, start = data[at + 1], at + 2
        if length >= 128:
            start += length - 128
            length = int.from_bytes(data[at + 2 : start], "big")
        if start + length > len(data):
            raise ValueError("an element is longer than what it stands in")
        elements.append((data[at], data[start : start + length], data[at : start + length]))
        at = start + length
    return elements


def extension(number, value, critical=False):
    flag = der(BOOLEAN, b"\xff") if critical else b""
    return der(SEQUENCE, der(OID, bytes([0x55, 0x1D, number])), flag, der(OCTETS, value))


def moment(seconds):
    parts = time.gmtime(seconds)
    if parts.tm_year < 2050:
        return der(0x17, time.strftime("%y%m%d%H%M%SZ", parts).encode())
    return der(0x18, time.strftime("%Y%m%d%H%M%SZ", parts).encode())


def unsigned(octets):
    return der(INTEGER, (b"\0" if octets[0] & 0x80 else b"") + octets)


EXTENSION_REQUEST, SUBJECT_ALT_NAME = bytes.fromhex("2a864886f70d01090e"), bytes([0x55, 0x1D, 17])
URI, DNS = 0x86, 0x82


def check_asked(request, attributes):
    """What a request asks for is granted or rejected, never quietly left out: names, and nothing else."""
    for _, attribute, _ in read(attributes):
        oid, values = read(attribute)
        if oid[1] != EXTENSION_REQUEST:
            raise Err(contract.Rejection_ExtensionNotAllowed(f"attribute {oid[1].hex()}"))
        for _, requested, _ in read(read(values[1])[0][1]):
            parts = read(requested)
            if parts[0][1] != SUBJECT_ALT_NAME:
                raise Err(contract.Rejection_ExtensionNotAllowed(f"extension {parts[0][1].hex()}"))
            for kind, contents, _ in read(read(parts[-1][1])[0][1]):
                check_name(request, kind, contents.decode("ascii"))


def check_name(request, kind, text):
    if kind == URI and text != request.identity:
        raise Err(contract.Rejection_OtherIdentity(text))
    if kind != URI and (kind != DNS or text not in request.permitted_dns_names):
        raise Err(contract.Rejection_NameNotAllowed(text))


def issuer_of(certificate):
    """The issuer's name, whole, and its key identifier."""
    fields = read(read(read(certificate)[0][1])[0][1])
    name = fields[5][2]
    for _, contents, _ in read(read(fields[-1][1])[0][1]):
        parts = read(contents)
        if parts[0][1] == bytes([0x55, 0x1D, 14]):
            return name, read(parts[-1][1])[0][1]
    raise Err(contract.Rejection_UnsupportedIssuer("no subject key identifier"))


def name(subject):
    if subject is None:
        return der(SEQUENCE)
    attribute = lambda number, text: der(0x31, der(SEQUENCE, der(OID, bytes([0x55, 4, number])), der(0x0C, text.encode())))
    return der(SEQUENCE, attribute(10, subject.organization), attribute(3, subject.common_name))


def extensions(request, key_id, authority):
    names = [der(URI, request.identity.encode())]
    if request.profile == contract.Profile.X509_SVID:
        trust_domain, *path = request.identity.removeprefix("spiffe://").split("/")
        if len(path) == 4 and path[::2] == ["ns", "sa"]:
            names.append(der(DNS, f"{path[3]}.{trust_domain}".encode()))
        usages = [der(OID, bytes.fromhex("2b060105050703" + use)) for use in ("01", "02")]
        yield extension(15, der(BITS, b"\x07\x80"), critical=True)
        yield extension(37, der(SEQUENCE, *usages))
        yield extension(19, der(SEQUENCE), critical=True)
    else:
        length = [der(INTEGER, b"\0")] if request.profile == contract.Profile.ISSUER else []
        yield extension(15, der(BITS, b"\x01\x06"), critical=True)
        yield extension(19, der(SEQUENCE, der(BOOLEAN, b"\xff"), *length), critical=True)
    yield extension(17, der(SEQUENCE, *names), critical=request.subject is None)
    yield extension(14, der(OCTETS, key_id))
    if authority is not None:
        yield extension(35, der(SEQUENCE, der(0x80, authority)))


def proposal(request):
    try:
        _, _, key, attributes = read(read(read(request.csr)[0][1])[0][1])
        check_asked(request, attributes[1])
    except (IndexError, ValueError) as error:
        raise Err(contract.Rejection_MalformedCsr(str(error)))
    key_id = sha256(read(key[1])[1][1][1:]).digest()[:20]
    subject = name(request.subject)
    issuer, authority = (subject, None) if request.issuer is None else issuer_of(request.issuer)
    return der(
        SEQUENCE,
        der(0xA0, der(INTEGER, b"\x02")),
        unsigned(request.serial),
        bytes.fromhex(ALGORITHMS[request.signature_algorithm]),
        issuer,
        der(SEQUENCE, moment(request.validity.not_before), moment(request.validity.not_after)),
        subject,
        key[2],
        der(0xA3, der(SEQUENCE, *extensions(request, key_id, authority))),
    )


PROFILES = (contract.Profile.ROOT, contract.Profile.ISSUER, contract.Profile.X509_SVID)


class Certificates(exports.Certificates):
    def issue(self, request: contract.Request) -> bytes:
        if request.profile not in PROFILES:
            raise Err(contract.Rejection_InvalidRequest("this module makes roots, issuers and X.509-SVIDs"))
        return proposal(request)
