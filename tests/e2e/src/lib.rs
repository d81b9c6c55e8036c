//! Real Envoys, real credence: the harness, the demo and the end-to-end tests.
