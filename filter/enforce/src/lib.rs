//! Pure: what the Envoy filter does with a connection and a request.
