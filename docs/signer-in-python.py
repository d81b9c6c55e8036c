"""Signs a certification request with credence_signer.wasm under the Python package wasmtime.

usage: signer-in-python.py MODULE.wasm ISSUER.pem ISSUER.key CSR.pem SPIFFE-ID LEAF.pem

The host's part of the contract (signer/wit): prove possession, decide, ask, sign. The issuer's key is P-256.
There is no guard here: this host believes the module, which Credence does not.
"""

import secrets, subprocess, sys, time
from types import SimpleNamespace as record
from wasmtime import Engine, Store, component

module, issuer, key, csr, identity, leaf = sys.argv[1:]


def openssl(*arguments, data=None, told=b""):
    done = subprocess.run(["openssl", *arguments], input=data, capture_output=True)
    if done.returncode != 0 or told not in done.stderr:
        sys.exit(f"openssl {arguments[0]}: {done.stderr.decode()}")
    return done.stdout


def der(tag, *parts):
    body = b"".join(parts)
    size = len(body).to_bytes(4, "big").lstrip(b"\0")
    return bytes([tag]) + (size if len(body) < 128 else bytes([0x80 | len(size)]) + size) + body


# 1. possession: the request's own key has signed it (up to 3.3, openssl says so and exits with 0 either way)
csr = openssl("req", "-in", csr, "-outform", "DER")
openssl("req", "-inform", "DER", "-verify", "-noout", data=csr, told=b"verify OK")
# 2. the decision; a record's fields have the contract's names
now = int(time.time())
validity = record(**{"not-before": now - 60, "not-after": now + 3600})
request = record(csr=csr, identity=identity, profile="x509-svid", subject=None, validity=validity)
request.issuer = openssl("x509", "-in", issuer, "-outform", "DER")
request.serial = b"\x40" + secrets.token_bytes(15)
vars(request).update({"permitted-dns-names": [], "signature-algorithm": "ecdsa-with-sha256"})
# 3. the module, in a fresh instance; a trap is behind everything that it imports but a constant seed
engine = Engine()
code = component.Component.from_file(engine, module)
linker = component.Linker(engine)
linker.allow_shadowing = True
linker.define_unknown_imports_as_traps(code)
for name in code.type.imports(engine):
    if name.startswith("wasi:random/insecure-seed@"):
        with linker.root() as root, root.add_instance(name) as seed:
            seed.add_func("insecure-seed", lambda store: (0, 0))
store = Store(engine)
instance = linker.instantiate(store, code)
interface = instance.get_export_index(store, "credence:signer/certificates@1.0.0")
issue = instance.get_func(store, instance.get_export_index(store, "issue", interface))
answer = issue(store, request)
if not isinstance(answer, (bytes, bytearray)):
    sys.exit(f"the module refused: {vars(answer)}")
# 4. the signature, over exactly those octets (RFC 5280 section 4.1.1)
algorithm = bytes.fromhex("300a06082a8648ce3d040302")  # ecdsa-with-SHA256
certificate = der(0x30, answer, algorithm, der(0x03, b"\0", openssl("dgst", "-sha256", "-sign", key, data=answer)))
open(leaf, "wb").write(openssl("x509", "-inform", "DER", data=certificate))
