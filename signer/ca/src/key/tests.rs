use super::*;

/// A SubjectPublicKeyInfo of the right form; nobody has its private key.
pub(crate) fn p256(seed: u8) -> PublicKey {
    let mut octets = vec![seed; 65];
    octets[0] = 4;
    PublicKey::from_spki(&spki(oid::algorithm::P256_KEY, &octets)).unwrap()
}

pub(crate) fn spki(algorithm: &[u8], octets: &[u8]) -> Vec<u8> {
    der::sequence(&[algorithm, &der::bit_string(octets)])
}

/// An RSAPublicKey with a modulus of this many bits; nobody knows its factors.
pub(crate) fn rsa_octets(bits: usize, exponent: &[u8]) -> Vec<u8> {
    let mut modulus = vec![0x5b; bits.div_ceil(8)];
    modulus[0] = 1 << ((bits - 1) % 8);
    if modulus[0] & 0x80 != 0 {
        modulus.insert(0, 0);
    }
    der::sequence(&[
        &der::encode(tag::INTEGER, &modulus),
        &der::encode(tag::INTEGER, exponent),
    ])
}

fn rsa(bits: usize, exponent: &[u8]) -> Result<PublicKey, KeyError> {
    PublicKey::from_spki(&spki(oid::algorithm::RSA_KEY, &rsa_octets(bits, exponent)))
}

#[test]
fn accepts_the_four_kinds_and_signs_with_one_algorithm_each() {
    let p384 = spki(oid::algorithm::P384_KEY, &[4; 97]);
    let ed = spki(oid::algorithm::ED25519, &[9; 32]);
    for (key, kind, algorithm) in [
        (p256(1), KeyKind::P256, SignatureAlgorithm::EcdsaSha256),
        (
            PublicKey::from_spki(&p384).unwrap(),
            KeyKind::P384,
            SignatureAlgorithm::EcdsaSha384,
        ),
        (
            PublicKey::from_spki(&ed).unwrap(),
            KeyKind::Ed25519,
            SignatureAlgorithm::Ed25519,
        ),
        (
            rsa(2048, &[1, 0, 1]).unwrap(),
            KeyKind::Rsa(2048),
            SignatureAlgorithm::RsaSha256,
        ),
    ] {
        assert_eq!(key.kind(), kind);
        assert_eq!(kind.signature_algorithm(), algorithm);
    }
}

#[test]
fn rsa_has_2048_to_4096_bits_and_the_one_exponent() {
    for bits in [2048, 2049, 3072, 4095, 4096] {
        let kind = rsa(bits, &[1, 0, 1]).unwrap().kind();
        assert_eq!(kind, KeyKind::Rsa(u16::try_from(bits).unwrap()));
    }
    for bits in [512, 1024, 2047, 4097, 16_384] {
        assert_eq!(rsa(bits, &[1, 0, 1]), Err(KeyError::RsaSize(bits)));
    }
    for (exponent, shown) in [
        (&[3][..], "03"),
        (&[1], "01"),
        (&[1, 0, 3], "010003"),
        (&[7; 12], "0707070707070707…"),
    ] {
        assert_eq!(
            rsa(2048, exponent),
            Err(KeyError::RsaExponent(shown.into()))
        );
    }
}

#[test]
fn rsa_is_der_to_the_last_octet() {
    let good = rsa_octets(2048, &[1, 0, 1]);
    let trailing = [good.as_slice(), &[0]].concat();
    let negative = der::sequence(&[&der::encode(tag::INTEGER, &[0x80; 256]), &[2, 3, 1, 0, 1]]);
    let padded = der::sequence(&[
        &der::encode(tag::INTEGER, &[&[0, 0x7f][..], &[1; 255]].concat()),
        &[2, 3, 1, 0, 1],
    ]);
    for octets in [trailing, negative, padded] {
        let refused = PublicKey::from_spki(&spki(oid::algorithm::RSA_KEY, &octets));
        assert!(
            matches!(refused, Err(KeyError::Malformed(_))),
            "{refused:?}"
        );
    }
}

#[test]
fn key_id_is_rfc_7093_method_1() {
    // openssl dgst -sha256 of 32 octets 0x09, the leftmost 160 bits
    let ed = PublicKey::from_spki(&spki(oid::algorithm::ED25519, &[9; 32])).unwrap();
    let whole: [u8; 32] = Sha256::digest([9; 32]).into();
    assert_eq!(ed.key_id(), whole[..20]);
}

#[test]
fn names_what_it_refuses() {
    let rsa_without_null = [
        0x30, 0x0b, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1,
    ];
    let pss = [
        0x30, 0x0b, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10,
    ];
    let p521 = [
        0x30, 0x10, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 5, 0x2b, 0x81, 4, 0, 0x23,
    ];
    let rsa = rsa_octets(2048, &[1, 0, 1]);
    for (spki, found) in [
        (spki(&rsa_without_null, &rsa), "RSA (without"),
        (spki(&pss, &rsa), "RSA-PSS"),
        (spki(&p521, &[4; 133]), "P-521"),
        (spki(&[0x30, 5, 6, 3, 0x2b, 0x65, 0x71], &[4; 57]), "Ed448"),
        (spki(&[0x30, 3, 6, 1, 0x2a], &[]), "algorithm 1.2"),
    ] {
        match PublicKey::from_spki(&spki) {
            Err(KeyError::Unsupported { found: name }) => assert!(name.starts_with(found)),
            other => panic!("{found}: {other:?}"),
        }
    }
}

#[test]
fn refuses_compressed_points_and_odd_lengths() {
    for (algorithm, octets) in [
        (oid::algorithm::P256_KEY, vec![2; 33]),
        (oid::algorithm::P256_KEY, vec![4; 64]),
        (oid::algorithm::P384_KEY, vec![3; 49]),
        (oid::algorithm::P384_KEY, vec![4; 65]),
        (oid::algorithm::ED25519, vec![4; 31]),
    ] {
        assert!(matches!(
            PublicKey::from_spki(&spki(algorithm, &octets)),
            Err(KeyError::Form { .. })
        ));
    }
}
