//! Memory for one request: handed out from front to back, and given back all at once, when the instance ends.
//!
//! Fit for an instance that serves one request and no other. In a host that reuses instances the arena fills
//! up, and then all comes from the standard library's allocator: slower, and no less right.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::{Cell, UnsafeCell},
    ptr,
};

/// An ordinary request takes a quarter of it; a page that is never touched costs nothing.
const ARENA: usize = 32 << 10;

/// The strictest alignment that the arena serves.
#[repr(align(16))]
struct Arena(UnsafeCell<[u8; ARENA]>);

/// An allocator that takes back nothing but the last block.
#[repr(C)]
pub(crate) struct Bump {
    // first, so that it lies on a page that is touched anyway
    used: Cell<usize>,
    arena: Arena,
}

#[cfg(target_family = "wasm")]
#[global_allocator]
static MEMORY: Bump = Bump::new();

// SAFETY: a component of this world has one thread.
#[cfg(target_family = "wasm")]
unsafe impl Sync for Bump {}

impl Bump {
    const fn new() -> Self {
        Self {
            used: Cell::new(0),
            arena: Arena(UnsafeCell::new([0; ARENA])),
        }
    }

    fn start(&self) -> *mut u8 {
        self.arena.0.get().cast()
    }

    /// Where `block` lies in the arena; none if it is the system's.
    fn offset(&self, block: *mut u8) -> Option<usize> {
        let offset = block.addr().wrapping_sub(self.start().addr());
        (offset < ARENA).then_some(offset)
    }

    /// The next place for such a block, and its end; none if the arena has none.
    fn place(&self, layout: Layout) -> Option<(usize, usize)> {
        let start = self.used.get().checked_next_multiple_of(layout.align())?;
        let end = start.checked_add(layout.size())?;
        (layout.align() <= align_of::<Arena>() && end <= ARENA).then_some((start, end))
    }

    /// Gives the last block another size where it stands.
    fn resize(&self, offset: usize, layout: Layout, size: usize) -> bool {
        let end = offset.checked_add(size).filter(|end| *end <= ARENA);
        match end {
            Some(end) if offset + layout.size() == self.used.get() => {
                self.used.set(end);
                true
            }
            _ => false,
        }
    }
}

// SAFETY: blocks of the arena are aligned and within it, and do not overlap, since `used` moves back over
// nothing but the last of them. All others are the system's. None of this panics.
unsafe impl GlobalAlloc for Bump {
    // not inlined: in a module that runs once, code that is fetched costs more than calls
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match self.place(layout) {
            Some((start, end)) => {
                self.used.set(end);
                // SAFETY: `start` is within the arena.
                unsafe { self.start().add(start) }
            }
            // SAFETY: the caller's layout.
            None => unsafe { System.alloc(layout) },
        }
    }

    #[inline(never)]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match self.offset(block) {
            Some(offset) => {
                self.resize(offset, layout, 0);
            }
            // SAFETY: what is not the arena's was the system's.
            None => unsafe { System.dealloc(block, layout) },
        }
    }

    #[inline(never)]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Some(offset) = self.offset(block) else {
            // SAFETY: what is not the arena's was the system's.
            return unsafe { System.realloc(block, layout, size) };
        };
        if self.resize(offset, layout, size) {
            return block;
        }
        // SAFETY: the caller has checked size and alignment.
        let other = unsafe { self.alloc(Layout::from_size_align_unchecked(size, layout.align())) };
        if !other.is_null() {
            // SAFETY: both are at least as long, and `block` is still held.
            unsafe { ptr::copy_nonoverlapping(block, other, size.min(layout.size())) };
        }
        other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    /// A block that is filled, so that one that overlaps it would show.
    struct Block(*mut u8, Layout, u8);

    impl Block {
        fn new(bump: &Bump, layout: Layout, fill: u8) -> Self {
            // SAFETY: no layout of these tests is empty; the block is as long as it says.
            let start = unsafe { bump.alloc(layout) };
            assert!(!start.is_null() && start.addr() % layout.align() == 0);
            unsafe { start.write_bytes(fill, layout.size()) };
            Self(start, layout, fill)
        }

        fn resize(&mut self, bump: &Bump, size: usize) {
            // SAFETY: the block is held, and its layout is its own.
            let start = unsafe { bump.realloc(self.0, self.1, size) };
            let kept = size.min(self.1.size());
            *self = Self(start, layout(size, self.1.align()), self.2);
            assert!(self.octets()[..kept].iter().all(|octet| *octet == self.2));
            unsafe { start.write_bytes(self.2, size) };
        }

        fn octets(&self) -> &[u8] {
            // SAFETY: the block is held and was written to its end.
            unsafe { std::slice::from_raw_parts(self.0, self.1.size()) }
        }

        fn free(self, bump: &Bump) {
            assert!(self.octets().iter().all(|octet| *octet == self.2));
            // SAFETY: the block is held, and its layout is its own.
            unsafe { bump.dealloc(self.0, self.1) };
        }
    }

    #[test]
    fn blocks_are_aligned_and_keep_to_themselves() {
        let bump = Bump::new();
        let mut blocks = Vec::new();
        for (fill, align) in (0..200_u8).zip([1, 2, 4, 8, 16, 64].into_iter().cycle()) {
            // beyond the arena too: these are 100 KiB
            blocks.push(Block::new(
                &bump,
                layout(usize::from(fill) * 5 + 1, align),
                fill,
            ));
        }
        for (at, block) in blocks.iter_mut().enumerate() {
            block.resize(&bump, at * 7 % 900 + 1);
        }
        blocks.into_iter().rev().for_each(|block| block.free(&bump));
    }

    #[test]
    fn the_last_block_grows_in_place_and_is_taken_back() {
        let bump = Bump::new();
        let first = Block::new(&bump, layout(10, 1), 1);
        let mut last = Block::new(&bump, layout(10, 1), 2);
        let place = last.0;
        last.resize(&bump, 100);
        assert_eq!((last.0, bump.used.get()), (place, 110));
        last.free(&bump);
        assert_eq!(bump.used.get(), 10);
        first.free(&bump);
        assert_eq!(bump.used.get(), 0);
    }

    #[test]
    fn what_does_not_fit_is_the_systems() {
        let bump = Bump::new();
        for (size, align) in [(ARENA + 1, 1), (usize::from(u16::MAX), 8), (8, 4096)] {
            let mut block = Block::new(&bump, layout(size, align), 7);
            assert_eq!((bump.offset(block.0), bump.used.get()), (None, 0));
            block.resize(&bump, size + 1);
            block.free(&bump);
        }
    }
}
