//! Pure: request splitting, profiles, the guard, issuance rules.
