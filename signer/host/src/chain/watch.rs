//! Files that change while they are in use.
//!
//! Nothing here waits: whoever runs it looks every few seconds. Files that are written one by one are taken once two looks have found them
//! the same, so that a file in the middle of being written is not taken for a shorter one; a Kubernetes volume, which is exchanged
//! whole, at once.

use super::{
    OwnChain,
    error::{BadChain, Why},
    layout::{Layout, Reading},
    set::Mark,
};
use credence_ca::chain::Terms;

/// What a look has found.
#[derive(Debug)]
pub enum Seen {
    /// Nothing new: the chain in use, or something not settled yet, or a fault that has been told.
    Unchanged,
    /// Another chain, checked. It is the one in use from now on.
    Changed(Box<OwnChain>),
    /// Something that is not taken. The chain in use stays, and the files are looked at again.
    Bad(BadChain),
}

/// Looks at a chain's files again and again.
#[derive(Debug)]
pub struct Watch {
    layout: Layout,
    reading: Reading,
    in_use: Option<Mark>,
    /// What the last look has found.
    last: Option<Mark>,
    /// What was told of which files.
    told: Option<(Mark, Vec<String>)>,
}

impl Watch {
    /// Watches files. `in_use` is what was loaded from them, if anything was.
    #[must_use]
    pub fn new(layout: Layout, reading: Reading, in_use: Option<&OwnChain>) -> Self {
        Self {
            layout,
            reading,
            in_use: in_use.and_then(|chain| chain.mark),
            last: None,
            told: None,
        }
    }

    /// Whether what is in the files now, as far as it was looked at, is something that is not taken.
    #[must_use]
    pub fn is_bad(&self) -> bool {
        self.told.is_some()
    }

    /// Looks once.
    pub fn look(&mut self, terms: &Terms<'_>) -> Seen {
        let snapshot = match self.layout.read(&self.reading) {
            Ok(snapshot) => snapshot,
            Err(why) => return self.tell(Mark::default(), why.into()),
        };
        let mark = snapshot.set.mark();
        if self.in_use == Some(mark) || self.was_never_there(&snapshot.set) {
            self.last = Some(mark);
            self.told = None;
            return Seen::Unchanged;
        }
        let settled = snapshot.is_whole || self.last == Some(mark);
        self.last = Some(mark);
        if !settled {
            return Seen::Unchanged;
        }
        if self.layout.may_be_absent() && snapshot.set.is_absent() {
            return self.tell(mark, Why::Gone(snapshot.set.paths()).into());
        }
        match snapshot.set.into_chain(&self.reading, terms) {
            Ok(chain) => {
                self.in_use = Some(mark);
                self.told = None;
                Seen::Changed(Box::new(chain))
            }
            Err(bad) => self.tell(mark, bad),
        }
    }

    fn was_never_there(&self, set: &super::set::Set) -> bool {
        self.in_use.is_none() && self.layout.may_be_absent() && set.is_absent()
    }

    /// Once, for the same files and the same reasons. A fault that time brings or takes is told when it comes.
    fn tell(&mut self, mark: Mark, bad: BadChain) -> Seen {
        let told = Some((mark, bad.why().iter().map(Why::gist).collect()));
        if self.told == told {
            return Seen::Unchanged;
        }
        self.told = told;
        Seen::Bad(bad)
    }
}
