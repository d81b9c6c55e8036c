"""A gRPC server whose identity and trust come from the Workload API that SPIFFE_ENDPOINT_SOCKET names.

usage: server.py ADDRESS CLIENT_ID
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone

import grpc
from cryptography import x509
from spiffe import X509Source

from identity import REQUEST, RESPONSE, SERVICE, Identity, spiffe_id


def credentials(source: X509Source) -> grpc.ServerCredentials:
    """gRPC asks before each handshake, so that each has the newest certificate and roots. Callers have to show a certificate."""

    def newest():
        identity = Identity(source)
        return grpc.ssl_server_certificate_configuration([(identity.key, identity.chain)], identity.roots)

    return grpc.dynamic_ssl_server_credentials(newest(), newest, require_client_authentication=True)


class OnlyFrom(grpc.ServerInterceptor):
    """Lets one client in. gRPC has verified that a trusted CA issued its certificate; who it is, and whether the certificate is
    still valid on a connection that is old by now, is looked at here."""

    def __init__(self, client: str):
        self.client = client

    def intercept_service(self, continuation, details):
        handler = continuation(details)
        if handler is None:
            return None

        def guarded(request, context):
            caller = certificate(context)
            if not caller.not_valid_before_utc <= datetime.now(timezone.utc) <= caller.not_valid_after_utc:
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "your certificate is not valid now")
            if spiffe_id(caller) != self.client:
                print(f"refused: {spiffe_id(caller)}", flush=True)
                context.abort(grpc.StatusCode.PERMISSION_DENIED, "you may not call")
            return handler.unary_unary(request, context)

        return grpc.unary_unary_rpc_method_handler(
            guarded, handler.request_deserializer, handler.response_serializer
        )


def certificate(context: grpc.ServicerContext) -> x509.Certificate:
    """The caller's."""
    (shown,) = context.auth_context()["x509_pem_cert"]
    return x509.load_pem_x509_certificate(shown)


def who_am_i(_, context: grpc.ServicerContext):
    caller = certificate(context)
    return RESPONSE(value=f"{spiffe_id(caller)} {caller.serial_number:x}")


def main(address: str, client: str) -> None:
    # Waits until there is an identity, and keeps it new from then on.
    with X509Source() as source:
        server = grpc.server(ThreadPoolExecutor(), interceptors=[OnlyFrom(client)])
        handler = grpc.unary_unary_rpc_method_handler(who_am_i, REQUEST.FromString, RESPONSE.SerializeToString)
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, {"WhoAmI": handler})])
        port = server.add_secure_port(address, credentials(source))
        server.start()
        print(f"{Identity(source).id} serves on {address.rpartition(':')[0]}:{port}", flush=True)
        server.wait_for_termination()


if __name__ == "__main__":
    main(*sys.argv[1:])
