//! From when to when (RFC 5280 §4.1.2.5): as decided, and even that only within caps.

use super::{Rule, Verdict, refusal::refuse};
use crate::{
    issuance::{Issuance, Issuer},
    tbs::Tbs,
};

/// Both ends are the ones that the host decided.
pub(super) fn validity(tbs: &Tbs<'_>, issuance: &Issuance<'_>) -> Verdict {
    if tbs.validity == issuance.validity {
        Ok(())
    } else {
        refuse(Rule::Validity, &issuance.validity, &tbs.validity)
    }
}

/// The profile's cap, which holds for the host's decision too.
pub(super) fn longest_life(tbs: &Tbs<'_>, issuance: &Issuance<'_>) -> Verdict {
    let (found, longest) = (tbs.validity, issuance.profile.longest_life());
    if found.not_before <= found.not_after && found.life() <= longest {
        return Ok(());
    }
    let expected = format!(
        "an end after the start, and at most {} s",
        longest.as_secs()
    );
    refuse(Rule::LongestLife, &expected, &found)
}

/// A chain ends with its first certificate to end.
pub(super) fn within_issuer(tbs: &Tbs<'_>, issuance: &Issuance<'_>) -> Verdict {
    let end = match issuance.issuer {
        Issuer::Itself => return Ok(()),
        Issuer::Ca(ca) => ca.validity().not_after,
    };
    if tbs.validity.not_after <= end {
        return Ok(());
    }
    let expected = format!("no later than {end}");
    refuse(Rule::WithinIssuer, &expected, &tbs.validity)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        guard::sample,
        validity::{Time, Validity},
    };
    use std::time::Duration;

    fn verdict(
        rule: fn(&Tbs<'_>, &Issuance<'_>) -> Verdict,
        issuance: &Issuance<'_>,
        found: Validity,
    ) -> Option<Rule> {
        let der = sample::tbs(issuance);
        let mut tbs = Tbs::read(&der).unwrap();
        tbs.validity = found;
        rule(&tbs, issuance).err().map(|refusal| refusal.rule)
    }

    fn from_to(start: Time, end: Time) -> Validity {
        Validity {
            not_before: start,
            not_after: end,
        }
    }

    #[test]
    fn validity_is_the_one_decided_to_the_second() {
        let leaf = sample::leaf();
        let Validity {
            not_before: start,
            not_after: end,
        } = leaf.validity;
        let second = Duration::from_secs(1);
        assert_eq!(verdict(validity, &leaf, leaf.validity), None);
        for other in [
            from_to(start.minus(second), end),
            from_to(start.plus(second), end),
            from_to(start, end.minus(second)),
            from_to(start, end.plus(second)),
        ] {
            assert_eq!(verdict(validity, &leaf, other), Some(Rule::Validity));
        }
    }

    #[test]
    fn longest_life_is_the_profiles_to_the_second() {
        for issuance in sample::all() {
            let start = issuance.validity.not_before;
            let cap = issuance.profile.longest_life();
            let second = Duration::from_secs(1);
            let found = |end| verdict(longest_life, &issuance, from_to(start, end));
            assert_eq!(found(start), None);
            assert_eq!(found(start.plus(cap)), None);
            assert_eq!(found(start.plus(cap + second)), Some(Rule::LongestLife));
            assert_eq!(found(start.minus(second)), Some(Rule::LongestLife));
        }
    }

    #[test]
    fn within_issuer_is_to_the_second_and_a_root_has_none() {
        let (leaf, root) = (sample::leaf(), sample::root());
        let Issuer::Ca(ca) = leaf.issuer else {
            panic!("a leaf has an issuer")
        };
        let (start, end) = (leaf.validity.not_before, ca.validity().not_after);
        let late = from_to(start, end.plus(Duration::from_secs(1)));
        assert_eq!(verdict(within_issuer, &leaf, from_to(start, end)), None);
        assert_eq!(
            verdict(within_issuer, &leaf, late),
            Some(Rule::WithinIssuer)
        );
        assert_eq!(verdict(within_issuer, &root, late), None);
    }
}
