//! A signing module that lies: what the guard and the sandbox must stop.
