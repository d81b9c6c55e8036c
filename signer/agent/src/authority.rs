//! Requests whose `:authority` is a socket's path, as gRPC's own library sends it (and with it Python, Ruby and C++, and Java's), made
//! acceptable to our HTTP/2 library, which resets such a request: a path is no authority (RFC 9113 §8.3.1), and a Unix socket has none.
//!
//! What a client sends passes through here on its way in. In a block of headers (HPACK, RFC 7541) the value of a literal `:authority`
//! becomes one letter; nothing here goes by it. One letter is never longer than what it replaces, so that the client's table of headers
//! evicts nothing later than ours does. All else passes as it is: frames of other kinds, a block that goes on in another frame, and
//! what cannot be read, for HTTP/2 to judge.
//!
//! Frames of data pass in pieces ([`PIECE`]). The library keeps, for as long as a connection is open, a buffer of what its longest frame took;
//! Envoy's first request comes in frames of 16 KiB, and there are thousands of connections that say little after it.

/// What every HTTP/2 connection begins with (RFC 9113 §3.4).
const PREFACE: usize = 24;
const FRAME_HEAD: usize = 9;
/// The longest frame that we take (RFC 9113 §6.5.2, `SETTINGS_MAX_FRAME_SIZE`, its least value).
const LONGEST: usize = 16_384;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;
/// The longest frame of data that is passed on, in bytes: with its head, as much as the buffer takes that the library begins with.
const PIECE: usize = 8_192 - FRAME_HEAD;
/// The index of `:authority` in HPACK's static table.
const AUTHORITY: usize = 1;
/// The name as a string, as gRPC's library has it: plain, and in Huffman's code (RFC 7541 appendix B).
const NAMES: [&[u8]; 2] = [
    b"\x0a:authority",
    &[0x88, 0xb8, 0x3b, 0x53, 0x39, 0xec, 0x32, 0x7d, 0x7f],
];
/// A string of one letter, as HPACK has it: in Huffman's code, which the library copies. Of a plain one its table would keep a part of the
/// buffer that it was read in, and with it all of that, for as long as the connection is open.
const LETTER: [u8; 2] = [0x81, 0b0001_1111];

/// Where in a connection's bytes it is.
#[derive(Debug)]
pub(crate) enum Rewriter {
    /// So many bytes pass.
    Through(usize),
    /// A frame's head is gathered: so many bytes of it are there.
    Head { head: [u8; FRAME_HEAD], have: usize },
    /// A frame of headers is gathered, its head in front.
    Block { frame: Vec<u8>, whole: usize },
    /// A frame of data passes in pieces.
    Pieces(Pieces),
}

/// A frame of data under way.
#[derive(Debug)]
pub(crate) struct Pieces {
    flags: u8,
    stream: [u8; 4],
    /// So many bytes of the frame are to come.
    left: usize,
    /// So many of them belong to the piece whose head was passed on last.
    of_piece: usize,
}

impl Pieces {
    /// Passes on the head of the next piece. Only the last one may end the stream.
    fn begin(&mut self, out: &mut impl FnMut(&[u8])) {
        self.of_piece = self.left.min(PIECE);
        let flags = match self.of_piece == self.left {
            true => self.flags,
            false => self.flags & !END_STREAM,
        };
        let [_, _, high, low] = u32::try_from(self.of_piece)
            .unwrap_or_default()
            .to_be_bytes();
        let [s0, s1, s2, s3] = self.stream;
        out(&[0, high, low, DATA, flags, s0, s1, s2, s3]);
    }

    fn pass(&mut self, bytes: &[u8], out: &mut impl FnMut(&[u8])) {
        out(bytes);
        self.left = self.left.saturating_sub(bytes.len());
        self.of_piece = self.of_piece.saturating_sub(bytes.len());
        if self.of_piece == 0 && self.left > 0 {
            self.begin(out);
        }
    }
}

impl Default for Rewriter {
    fn default() -> Self {
        Self::Through(PREFACE)
    }
}

impl Rewriter {
    const NEXT: Self = Self::Head {
        head: [0; FRAME_HEAD],
        have: 0,
    };

    /// Takes what came, and gives what is to be read to `out`, piece by piece.
    pub(crate) fn feed(&mut self, mut came: &[u8], out: &mut impl FnMut(&[u8])) {
        while !came.is_empty() {
            let (now, later) = came.split_at(came.len().min(self.wanted()));
            came = later;
            self.take(now, out);
        }
    }

    /// How many bytes until something changes.
    fn wanted(&self) -> usize {
        match self {
            Self::Through(left) => *left,
            Self::Head { have, .. } => FRAME_HEAD.saturating_sub(*have),
            Self::Block { frame, whole } => whole.saturating_sub(frame.len()),
            Self::Pieces(pieces) => pieces.of_piece,
        }
        .max(1)
    }

    fn take(&mut self, bytes: &[u8], out: &mut impl FnMut(&[u8])) {
        match self {
            Self::Through(left) => {
                out(bytes);
                *left = left.saturating_sub(bytes.len());
                if *left == 0 {
                    *self = Self::NEXT;
                }
            }
            Self::Head { head, have } => {
                let room = head.iter_mut().skip(*have);
                room.zip(bytes).for_each(|(to, from)| *to = *from);
                *have += bytes.len();
                if *have >= FRAME_HEAD {
                    *self = Self::frame(*head, out);
                }
            }
            Self::Pieces(pieces) => {
                pieces.pass(bytes, out);
                if pieces.left == 0 {
                    *self = Self::NEXT;
                }
            }
            Self::Block { frame, whole } => {
                frame.extend_from_slice(bytes);
                if frame.len() >= *whole {
                    out(&rewritten(frame).unwrap_or_else(|| std::mem::take(frame)));
                    *self = Self::NEXT;
                }
            }
        }
    }

    fn frame(head: [u8; FRAME_HEAD], out: &mut impl FnMut(&[u8])) -> Self {
        let [a, b, c, kind, flags, s0, s1, s2, s3] = head;
        let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        // a padded one would have to be read, and one that is too long is for HTTP/2 to refuse
        if kind == DATA && flags & PADDED == 0 && (PIECE + 1..=LONGEST).contains(&length) {
            let mut pieces = Pieces {
                flags,
                stream: [s0, s1, s2, s3],
                left: length,
                of_piece: 0,
            };
            pieces.begin(out);
            return Self::Pieces(pieces);
        }
        let one_block = kind == HEADERS && flags & END_HEADERS != 0;
        if one_block && (1..=LONGEST).contains(&length) {
            return Self::Block {
                frame: head.to_vec(),
                whole: FRAME_HEAD + length,
            };
        }
        out(&head);
        match length {
            0 => Self::NEXT,
            length => Self::Through(length),
        }
    }
}

/// A frame of headers with another authority; nothing if it has none, or cannot be read.
fn rewritten(frame: &[u8]) -> Option<Vec<u8>> {
    let (head, payload) = frame.split_at_checked(FRAME_HEAD)?;
    let flags = *head.get(4)?;
    let (before, padding) = match flags & PADDED {
        0 => (0, 0),
        _ => (1, usize::from(*payload.first()?)),
    };
    let before = before + if flags & PRIORITY == 0 { 0 } else { 5 };
    let (before, rest) = payload.split_at_checked(before)?;
    let (block, padding) = rest.split_at_checked(rest.len().checked_sub(padding)?)?;
    let block = without_authority(block)?;
    let length = before.len() + block.len() + padding.len();
    let length = u32::try_from(length).ok()?.to_be_bytes();
    Some([&length[1..], head.get(3..)?, before, &block, padding].concat())
}

/// The block with another authority; nothing if it has none, or cannot be read.
fn without_authority(block: &[u8]) -> Option<Vec<u8>> {
    let (mut out, mut found) = (Vec::with_capacity(block.len()), false);
    let mut rest = block;
    while let Some(first) = rest.first() {
        let start = rest;
        let (prefix, literal) = match first {
            0x80.. => (7, false),
            0x40..=0x7f => (6, true),
            0x20..=0x3f => (5, false),
            0x00..=0x1f => (4, true),
        };
        let index = integer(&mut rest, prefix)?;
        let mut authority = literal && index == AUTHORITY;
        if literal && index == 0 {
            let name = string(&mut rest)?;
            authority = NAMES.contains(&name);
        }
        let name = start.get(..start.len() - rest.len())?;
        out.extend_from_slice(name);
        if literal {
            let value = string(&mut rest)?;
            let replaced = authority && value.len() > LETTER.len();
            out.extend_from_slice(if replaced { &LETTER } else { value });
            found |= replaced;
        }
    }
    found.then_some(out)
}

/// An integer (RFC 7541 §5.1) whose first byte has so many bits of it. Nothing that fits in a frame is longer than three bytes more.
fn integer(rest: &mut &[u8], prefix: u32) -> Option<usize> {
    let (first, mut after) = rest.split_first()?;
    let most = (1_usize << prefix) - 1;
    let mut value = usize::from(*first) & most;
    if value == most {
        let mut shift = 0;
        loop {
            let (byte, later) = after.split_first()?;
            after = later;
            value += usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
            shift += 7;
            if shift > 14 {
                return None;
            }
        }
    }
    *rest = after;
    Some(value)
}

/// A string (RFC 7541 §5.2), with its length and as it is coded.
fn string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let start = *rest;
    let length = integer(rest, 7)?;
    *rest = rest.get(length..)?;
    start.get(..start.len() - rest.len())
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    fn connection(frames: &[Vec<u8>]) -> Vec<u8> {
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        [&[preface], frames].concat().concat()
    }

    fn passed(bytes: &[u8], size: usize) -> Vec<u8> {
        let (mut rewriter, mut out) = (Rewriter::default(), Vec::new());
        for piece in bytes.chunks(size) {
            rewriter.feed(piece, &mut |bytes: &[u8]| out.extend_from_slice(bytes));
        }
        out
    }

    /// `:method: POST`, the authority by this first byte, `te: trailers` by a name of its own.
    fn block(first: u8, value: &[u8]) -> Vec<u8> {
        block_with(first, &plain(value))
    }

    /// The same, with the authority as HPACK has it.
    fn block_with(first: u8, value: &[u8]) -> Vec<u8> {
        let te = [&[0x40, 2], &b"te"[..], &[8], b"trailers"].concat();
        [&[0x83, first], value, &te].concat()
    }

    fn plain(value: &[u8]) -> Vec<u8> {
        [&[u8::try_from(value.len()).unwrap()], value].concat()
    }

    #[test]
    fn a_path_becomes_a_letter_and_nothing_else_changes() {
        let settings = frame(4, 0, &[0, 3, 0, 0, 0, 100]);
        let data = frame(0, 1, &[7; 3_000]);
        for literal in [0x41, 0x01, 0x11] {
            let ours = |value: &[u8], flags, before: &[u8], padding: &[u8]| {
                let payload = [before, &block_with(literal, value), padding].concat();
                let headers = frame(HEADERS, END_HEADERS | flags, &payload);
                connection(&[settings.clone(), headers, data.clone()])
            };
            let all: [(u8, &[u8], &[u8]); 3] = [
                (0, &[], &[]),
                (PRIORITY, &[0, 0, 0, 0, 9], &[]),
                (PRIORITY | PADDED, &[4, 0, 0, 0, 0, 9], &[0; 4]),
            ];
            for (flags, before, padding) in all {
                let path = ours(&plain(b"%2Ftmp%2Fagent.sock"), flags, before, padding);
                let letter = ours(&LETTER, flags, before, padding);
                for size in [1, 2, 9, 100, 10_000] {
                    assert_eq!(passed(&path, size), letter);
                    assert_eq!(passed(&letter, size), letter);
                }
            }
        }
    }

    #[test]
    fn data_passes_in_pieces_of_which_the_last_ends_the_stream() {
        let pieces = |payload: &[u8], flags| {
            let cut: Vec<_> = payload.chunks(PIECE).collect();
            let last = cut.len() - 1;
            let cut = cut.into_iter().enumerate();
            cut.map(|(at, piece)| frame(DATA, if at == last { flags } else { 0 }, piece))
                .collect::<Vec<_>>()
        };
        let payload: Vec<u8> = (0..=255).cycle().take(LONGEST).collect();
        for length in [1, PIECE, PIECE + 1, 2 * PIECE, 2 * PIECE + 1, LONGEST] {
            for flags in [0, END_STREAM] {
                let after = frame(4, 0, &[]);
                let whole = frame(DATA, flags, &payload[..length]);
                let came = connection(&[whole.clone(), whole, after.clone()]);
                let expected = pieces(&payload[..length], flags);
                let expected = [&expected[..], &expected, &[after]].concat();
                for size in [1, 9, PIECE, 100_000] {
                    assert_eq!(passed(&came, size), connection(&expected), "{length}");
                }
            }
        }
        for odd in [
            frame(DATA, PADDED, &payload),
            frame(DATA, 0, &[0; LONGEST + 1]),
        ] {
            let came = connection(&[odd]);
            assert_eq!(passed(&came, 100_000), came);
        }
    }

    #[test]
    fn a_value_in_huffmans_code_is_replaced_too() {
        let coded = [&[0x41, 0x82], &[0x60, 0xd5][..]].concat();
        let letter = [&[0x41][..], &LETTER].concat();
        assert_eq!(without_authority(&coded), Some(letter));
    }

    #[test]
    fn a_name_that_is_written_out_is_known() {
        for name in NAMES {
            let field = |value: &[u8]| [&[0x40], name, value].concat();
            let path = field(b"\x0f/tmp/agent.sock");
            assert_eq!(without_authority(&path), Some(field(&LETTER)));
        }
    }

    #[test]
    fn what_is_not_one_block_with_an_authority_passes_as_it_is() {
        let path = block(0x41, b"/tmp/agent.sock");
        for frames in [
            vec![frame(HEADERS, END_HEADERS, &block(0x44, b"/path"))],
            vec![frame(HEADERS, END_HEADERS, &[0x81, 0x83])],
            // goes on in another frame
            vec![frame(HEADERS, 0, &path), frame(9, END_HEADERS, &[0x83])],
            // cannot be read
            vec![frame(HEADERS, END_HEADERS, &[0x41, 0x7f])],
            vec![frame(
                HEADERS,
                END_HEADERS,
                &[0x41, 0xff, 0xff, 0xff, 0xff, 0xff],
            )],
            vec![frame(HEADERS, END_HEADERS | PADDED, &[200, 0x83])],
            vec![frame(HEADERS, END_HEADERS, &[])],
            // too long for us
            vec![frame(HEADERS, END_HEADERS, &vec![0x83; LONGEST + 1])],
        ] {
            let bytes = connection(&frames);
            assert_eq!(passed(&bytes, 7), bytes);
        }
    }

    proptest! {
        /// Whatever comes, however it is cut: the same goes on, and no more than came; and what was rewritten is not rewritten again.
        #[test]
        fn any_bytes_pass(block in vec(any::<u8>(), 0..80), rest in vec(any::<u8>(), 0..80), size in 1_usize..40) {
            let mut bytes = connection(&[frame(HEADERS, END_HEADERS, &block)]);
            bytes.extend(rest);
            let whole = passed(&bytes, bytes.len());
            prop_assert_eq!(&passed(&bytes, size), &whole);
            prop_assert!(whole.len() <= bytes.len());
            if let Some(once) = without_authority(&block) {
                prop_assert_eq!(without_authority(&once), None);
            }
        }
    }
}
