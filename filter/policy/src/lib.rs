//! Pure: SPIFFE peer policy, decisions and their reasons.
