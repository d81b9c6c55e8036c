use super::*;
use crate::{crl::Reason, guard::sample, serial::Serial, validity::Time};
use proptest::prelude::*;

const NOW: Time = Time::EPOCH;

fn revoked() -> Vec<Revoked> {
    [
        (1, Reason::Unspecified),
        (2, Reason::KeyCompromise),
        (3, Reason::PrivilegeWithdrawn),
    ]
    .map(|(seed, reason)| Revoked {
        serial: Serial::from_random([seed; 16]),
        at: now(),
        reason,
    })
    .to_vec()
}

fn now() -> Time {
    NOW.plus(Duration::from_secs(1_800_000_000))
}

fn issuance(revoked: &[Revoked]) -> CrlIssuance<'_> {
    CrlIssuance {
        issuer: sample::issuing_ca(),
        number: 0x80,
        this_update: now(),
        next_update: now().plus(Duration::from_secs(3600)),
        revoked,
    }
}

/// The rule that what `proposed` means breaks where `decided` was decided.
fn rule(proposed: &CrlIssuance<'_>, decided: &CrlIssuance<'_>) -> Option<Rule> {
    check_crl(proposed.propose(), decided)
        .err()
        .map(|refusal| refusal.rule)
}

#[test]
fn lets_pass_what_was_decided() {
    let revoked = revoked();
    for list in [&[][..], &revoked[..1], &revoked] {
        let issuance = issuance(list);
        let checked = check_crl(issuance.propose(), &issuance).unwrap();
        assert_eq!(checked.der(), issuance.propose());
        assert_eq!(checked.issuer_key(), issuance.issuer.public_key());
    }
}

/// Written out by hand from RFC 5280 §5.1, so that builder and reader cannot err alike.
#[test]
fn a_list_is_these_octets() {
    let one = [Revoked {
        serial: Serial::from_random([0x41; 16]),
        at: now(),
        reason: Reason::KeyCompromise,
    }];
    let list = issuance(&one).propose();
    let utc = b"\x17\x0d270115080000Z";
    let entry = [
        &[0x30, 0x2f, 2, 16][..],
        &[0x41; 16],
        utc,
        &[0x30, 12, 0x30, 10, 6, 3, 0x55, 0x1d, 0x15, 4, 3, 0x0a, 1, 1],
    ]
    .concat();
    let entries = [&[0x30, 0x31][..], &entry].concat();
    let at = list
        .windows(entries.len())
        .position(|window| window == entries);
    assert!(at.is_some(), "{}", crate::hex(&list));
    let number = [0x30, 11, 6, 3, 0x55, 0x1d, 0x14, 4, 4, 2, 2, 0, 0x80];
    assert!(list.ends_with(&number), "{}", crate::hex(&list));
}

#[test]
fn every_changed_value_is_refused_by_its_rule() {
    let revoked = revoked();
    let good = issuance(&revoked);
    let second = Duration::from_secs(1);
    let other_number = CrlIssuance {
        number: 0x81,
        ..good.clone()
    };
    assert_eq!(rule(&other_number, &good), Some(Rule::CrlNumber));
    let earlier = CrlIssuance {
        this_update: now().minus(second),
        ..good.clone()
    };
    assert_eq!(rule(&earlier, &good), Some(Rule::UpdateTimes));
    let longer = CrlIssuance {
        next_update: good.next_update.plus(second),
        ..good.clone()
    };
    assert_eq!(rule(&longer, &good), Some(Rule::UpdateTimes));
}

#[test]
fn the_entries_are_those_decided() {
    let all = revoked();
    let good = issuance(&all);
    let mut fewer = all.clone();
    fewer.remove(1);
    let mut swapped = all.clone();
    swapped.swap(0, 1);
    let mut other_serial = all.clone();
    other_serial[2].serial = Serial::from_random([7; 16]);
    let mut other_date = all.clone();
    other_date[0].at = now().minus(Duration::from_secs(1));
    let mut other_reason = all.clone();
    other_reason[1].reason = Reason::Superseded;
    let more = [all.clone(), all[..1].to_vec()].concat();
    for proposed in [
        &[][..],
        &fewer,
        &swapped,
        &other_serial,
        &other_date,
        &other_reason,
        &more,
    ] {
        let found = rule(&issuance(proposed), &good);
        assert_eq!(found, Some(Rule::RevokedCertificates));
    }
}

/// What the host itself may not decide either.
#[test]
fn caps_hold_even_for_what_the_host_decided() {
    let twice = [revoked(), revoked()].concat();
    let twice = issuance(&twice);
    assert_eq!(rule(&twice, &twice), Some(Rule::RevokedCertificates));
    let mut future = revoked();
    future[1].at = now().plus(Duration::from_secs(1));
    let future = issuance(&future);
    assert_eq!(rule(&future, &future), Some(Rule::RevokedCertificates));
    for next_update in [
        now(),
        now().minus(Duration::from_secs(1)),
        now().plus(LONGEST_CRL_LIFE + Duration::from_secs(1)),
    ] {
        let odd = CrlIssuance {
            next_update,
            ..issuance(&[])
        };
        assert_eq!(rule(&odd, &odd), Some(Rule::LongestCrlLife));
    }
}

#[test]
fn no_list_is_longer_than_it_may_be() {
    let many: Vec<_> = (0..=u32::try_from(MAX_REVOKED).unwrap())
        .map(|n| {
            let mut dice = [0; 16];
            dice[12..].copy_from_slice(&n.to_be_bytes());
            Revoked {
                serial: Serial::from_random(dice),
                at: now(),
                reason: Reason::Unspecified,
            }
        })
        .collect();
    let most = issuance(&many[..MAX_REVOKED]);
    assert_eq!(rule(&most, &most), None);
    let more = issuance(&many);
    assert_eq!(rule(&more, &more), Some(Rule::RevokedCertificates));
}

#[test]
fn no_octet_can_be_changed_left_out_or_put_in() {
    let revoked = revoked();
    let issuance = issuance(&revoked);
    let good = issuance.propose();
    for at in 0..good.len() {
        for change in 1..=255_u8 {
            let mut bad = good.clone();
            bad[at] ^= change;
            assert!(check_crl(bad, &issuance).is_err(), "octet {at} ^ {change}");
        }
        let shorter = [&good[..at], &good[at + 1..]].concat();
        assert!(check_crl(shorter, &issuance).is_err(), "without octet {at}");
        let cut = good[..at].to_vec();
        assert!(check_crl(cut, &issuance).is_err(), "cut at {at}");
        let longer = [&good[..at], &[0], &good[at..]].concat();
        assert!(check_crl(longer, &issuance).is_err(), "longer at {at}");
    }
}

#[test]
fn a_list_without_entries_leaves_the_field_out() {
    let issuance = issuance(&[]);
    let good = issuance.propose();
    let place = good.len() - CertList::read(&good).map_or(0, |_| extensions_len(&good));
    let inner = [&good[header(&good)..place], &[0x30, 0], &good[place..]].concat();
    let with_empty = der::encode(0x30, &inner);
    let refusal = check_crl(with_empty, &issuance).unwrap_err();
    assert_eq!(refusal.rule, Rule::Encoding);
}

fn header(der: &[u8]) -> usize {
    if der[1] < 0x80 {
        2
    } else {
        usize::from(der[1] & 0x7f) + 2
    }
}

fn extensions_len(list: &[u8]) -> usize {
    let mut fields = der::Reader::new(&list[header(list)..]);
    std::iter::from_fn(|| fields.any().ok())
        .last()
        .unwrap()
        .raw
        .len()
}

proptest! {
    #[test]
    fn noise_is_refused(noise in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(check_crl(noise, &issuance(&[])).is_err());
    }
}
