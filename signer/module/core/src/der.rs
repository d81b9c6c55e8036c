//! DER, element by element, for what the host or rcgen has written: lengths are believed, within the octets
//! that are there.

/// The tag of a SEQUENCE.
pub(crate) const SEQUENCE: u8 = 0x30;

/// The next element, whole, and what follows it.
pub(crate) fn element(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (header, length) = header(bytes)?;
    bytes.split_at_checked(header.checked_add(length)?)
}

/// What is in the next element, and what follows it.
pub(crate) fn contents(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (header, _) = header(bytes)?;
    let (whole, rest) = element(bytes)?;
    Some((whole.get(header..)?, rest))
}

/// [`contents`], if the element has this tag.
pub(crate) fn tagged(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    (*bytes.first()? == tag).then(|| contents(bytes)).flatten()
}

/// [`contents`], if the element has this tag and nothing follows it.
pub(crate) fn only(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    let (inside, rest) = tagged(bytes, tag)?;
    rest.is_empty().then_some(inside)
}

/// The lengths of header and contents.
fn header(bytes: &[u8]) -> Option<(usize, usize)> {
    let first = usize::from(*bytes.get(1)?);
    if first < 0x80 {
        return Some((2, first));
    }
    let digits = bytes.get(2..2 + (first & 0x7f))?;
    let length = digits.iter().try_fold(0_usize, |sum, d| {
        sum.checked_mul(256)?.checked_add((*d).into())
    })?;
    Some((2 + digits.len(), length))
}
