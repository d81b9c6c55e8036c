//! Which of two bundles is the newer one. Pure.
//!
//! Neither SDS nor Istio's API numbers bundles, and several streams and answers bring them at once. What can be told is what was known when
//! something was asked for: an answer to a question that was asked when the present bundle was known already is at least as new as that.

use std::collections::VecDeque;

use crate::shelf::Bundle;

/// How many bundles before the present one are known again.
const REMEMBERED: usize = 64;

/// Which bundle was known at a moment: the later, the greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(u64);

impl Mark {
    /// The number that a bundle is served under.
    pub(crate) fn number(self) -> u64 {
        self.0
    }
}

/// Who said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The answer to a request for a certificate. It has roots, and says nothing of revocation lists.
    Answer,
    /// A stream, or a fetch of the same. It is whole.
    Whole,
}

/// Roots and lists, as they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) bundle: Bundle,
    pub(crate) source: Source,
    /// What was known when it was asked for; on a stream, what its last message before had.
    pub(crate) since: Mark,
}

/// What a bundle is beside the present one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// This one is to be served from now on.
    Newer(Bundle),
    /// It is the present one.
    Present,
    /// It is an older one, or cannot be told from one.
    Older,
}

/// What makes two bundles the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Roots {
    roots: Vec<Vec<u8>>,
    lists: Vec<Vec<u8>>,
}

impl Roots {
    fn of(bundle: &Bundle) -> Self {
        Self {
            roots: bundle.roots.clone(),
            lists: bundle.lists.clone(),
        }
    }
}

/// The present bundle, and those before.
#[derive(Debug, Default)]
pub(crate) struct Order {
    mark: Mark,
    present: Option<Roots>,
    former: VecDeque<Roots>,
}

impl Order {
    /// What is known now.
    pub(crate) fn mark(&self) -> Mark {
        self.mark
    }

    /// The present roots, DER; none before the first.
    pub(crate) fn roots(&self) -> &[Vec<u8>] {
        self.present.as_ref().map_or(&[], |present| &present.roots)
    }

    /// Where a bundle belongs. Nothing changes by it.
    pub(crate) fn place(&self, heard: Heard) -> Place {
        let Some(present) = &self.present else {
            return Place::Newer(self.numbered(heard.bundle));
        };
        let bundle = match heard.source {
            Source::Whole => heard.bundle,
            // what was revoked stays revoked until somebody says otherwise
            Source::Answer => Bundle {
                lists: present.lists.clone(),
                ..heard.bundle
            },
        };
        let came = Roots::of(&bundle);
        if came == *present {
            return Place::Present;
        }
        let newer = match heard.source {
            _ if heard.since >= self.mark => true,
            Source::Answer => false,
            // a stream that lags behind another says what was known before; what nobody knows yet is news
            Source::Whole => !self.former.contains(&came),
        };
        match newer {
            true => Place::Newer(self.numbered(bundle)),
            false => Place::Older,
        }
    }

    /// This one, a [`Place::Newer`], is served.
    pub(crate) fn served(&mut self, bundle: &Bundle) {
        if let Some(before) = self.present.replace(Roots::of(bundle)) {
            self.former.push_back(before);
        }
        if self.former.len() > REMEMBERED {
            self.former.pop_front();
        }
        self.mark = Mark(self.mark.0.saturating_add(1));
    }

    fn numbered(&self, bundle: Bundle) -> Bundle {
        Bundle {
            sequence: Some(self.mark.0.saturating_add(1)),
            ..bundle
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn heard(root: u8, source: Source, since: Mark) -> Heard {
        let bundle = Bundle {
            roots: vec![vec![root]],
            ..Bundle::default()
        };
        Heard {
            bundle,
            source,
            since,
        }
    }

    fn with_list(heard: Heard, list: u8) -> Heard {
        let bundle = Bundle {
            lists: vec![vec![list]],
            ..heard.bundle
        };
        Heard { bundle, ..heard }
    }

    /// Serves it, if it is newer; whether it was.
    fn take(order: &mut Order, heard: Heard) -> bool {
        match order.place(heard) {
            Place::Newer(bundle) => {
                order.served(&bundle);
                assert_eq!(bundle.sequence, Some(order.mark().number()));
                true
            }
            Place::Present | Place::Older => false,
        }
    }

    #[test]
    fn an_answer_that_was_asked_for_before_the_last_change_changes_nothing() {
        let mut order = Order::default();
        let asked = order.mark();
        assert!(take(&mut order, heard(1, Source::Answer, asked)));
        assert!(!take(&mut order, heard(2, Source::Answer, asked)));
        let asked = order.mark();
        assert!(take(&mut order, heard(2, Source::Answer, asked)));
        assert_eq!(order.roots(), [vec![2]]);
    }

    #[test]
    fn a_stream_that_lags_behind_another_takes_nothing_back() {
        let mut order = Order::default();
        let behind = order.mark();
        take(&mut order, heard(1, Source::Whole, behind));
        let ahead = order.mark();
        take(&mut order, heard(2, Source::Whole, ahead));
        assert_eq!(order.place(heard(1, Source::Whole, behind)), Place::Older);
        assert!(take(&mut order, heard(3, Source::Whole, behind)), "news");
    }

    #[test]
    fn a_ca_that_goes_back_to_former_roots_is_followed() {
        let mut order = Order::default();
        for root in [1, 2, 1] {
            let since = order.mark();
            assert!(take(&mut order, heard(root, Source::Whole, since)));
        }
    }

    #[test]
    fn lists_outlive_answers_that_say_nothing_of_them() {
        let mut order = Order::default();
        take(&mut order, with_list(heard(1, Source::Whole, Mark(0)), 7));
        let since = order.mark();
        assert_eq!(order.place(heard(1, Source::Answer, since)), Place::Present);
        let Place::Newer(bundle) = order.place(heard(2, Source::Answer, since)) else {
            panic!("not newer")
        };
        assert_eq!(bundle.lists, [vec![7]]);
        let Place::Newer(bundle) = order.place(heard(1, Source::Whole, since)) else {
            panic!("not newer")
        };
        assert!(bundle.lists.is_empty(), "a stream is whole");
    }

    proptest! {
        /// A CA's bundles are numbered here. Streams bring them in order, each at its own pace; answers have the newest of when they were
        /// made, and come late. No answer takes anything back, and once every stream has caught up the newest is served.
        #[test]
        fn what_is_served_is_the_newest_in_the_end(events in vec((0_usize..4, 1_u8..4), 1..120)) {
            let mut order = Order::default();
            let mut newest = 1_u8;
            let mut streams = [(0_u8, Mark(0)); 2];
            let mut asked: Option<(u8, Mark)> = None;
            let catching_up = [(1, 255), (2, 255)];
            for (what, step) in events.into_iter().chain(catching_up) {
                let served = number(&order);
                match what {
                    0 => newest = newest.saturating_add(1).min(250),
                    1 | 2 => hear(&mut order, &mut streams[what - 1], step, newest),
                    _ => match asked.take() {
                        None => asked = Some((newest, order.mark())),
                        Some((root, since)) => {
                            take(&mut order, heard(root, Source::Answer, since));
                            prop_assert!(number(&order) >= served, "an answer took {served} back");
                        }
                    },
                }
            }
            prop_assert_eq!(number(&order), newest);
        }
    }

    fn number(order: &Order) -> u8 {
        order.roots().first().map_or(0, |root| root[0])
    }

    /// The next message of a stream, some bundles on.
    fn hear(order: &mut Order, (at, since): &mut (u8, Mark), step: u8, newest: u8) {
        let next = at.saturating_add(step).min(newest);
        if next == *at {
            return;
        }
        *at = next;
        let heard = heard(next, Source::Whole, *since);
        let older = order.place(heard.clone()) == Place::Older;
        take(order, heard);
        if !older {
            *since = order.mark();
        }
    }
}
