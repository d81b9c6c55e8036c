//! What callers are served, made once for each view and change, however many streams have that view.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::watch;

use crate::shelf::{Holdings, Shelf};
use crate::view::View;

/// Makes what callers are served.
pub(crate) trait Make: Send + Sync + 'static {
    /// What else it depends on beside the view.
    type Kind: Copy + Ord + Send + Sync + 'static;
    /// What is served.
    type Made: Clone + Default + Send + Sync + 'static;

    /// What there is to serve now; nothing if that is what there was before.
    fn make(
        &self,
        view: &Arc<View>,
        kind: Self::Kind,
        held: &Holdings,
        before: Option<&Self::Made>,
    ) -> Option<Self::Made>;

    /// Marked as changed when something else than what is held may have become another.
    fn others(&self) -> Option<watch::Receiver<()>> {
        None
    }

    /// The same again, if something else than what is held may have become another.
    fn refresh(&self, before: &Self::Made) -> Option<Self::Made>;
}

/// All boards of one sort.
pub(crate) struct Boards<M: Make> {
    make: M,
    held: watch::Receiver<Arc<Holdings>>,
    boards: Mutex<ByView<M>>,
}

type ByView<M> = BTreeMap<(Arc<View>, <M as Make>::Kind), Weak<Board<M>>>;

/// What one kind of caller is served. It is kept up to date as long as a reader has it.
struct Board<M: Make> {
    view: Arc<View>,
    kind: M::Kind,
    posted: watch::Sender<M::Made>,
}

/// Reads a board.
pub(crate) struct Reader<M: Make> {
    board: Arc<Board<M>>,
    posted: watch::Receiver<M::Made>,
}

impl<M: Make> Boards<M> {
    pub(crate) fn new(make: M, shelf: &Shelf) -> Arc<Self> {
        Arc::new(Self {
            make,
            held: shelf.watch(),
            boards: Mutex::default(),
        })
    }

    /// A reader of what this view is served; it has not seen anything yet.
    pub(crate) fn reader(&self, view: &Arc<View>, kind: M::Kind) -> Reader<M> {
        let mut boards = self.boards();
        let key = (Arc::clone(view), kind);
        let board = match boards.get(&key).and_then(Weak::upgrade) {
            Some(board) => board,
            None => {
                let board = Arc::new(self.board(view, kind));
                boards.insert(key, Arc::downgrade(&board));
                board
            }
        };
        let mut posted = board.posted.subscribe();
        posted.mark_changed();
        Reader { board, posted }
    }

    fn board(&self, view: &Arc<View>, kind: M::Kind) -> Board<M> {
        let held = Arc::clone(&self.held.borrow());
        let made = self.make.make(view, kind, &held, None);
        Board {
            view: Arc::clone(view),
            kind,
            posted: watch::Sender::new(made.unwrap_or_default()),
        }
    }

    /// Keeps the boards up to date for ever.
    pub(crate) async fn run(self: Arc<Self>) {
        let (mut held, mut others) = (self.held.clone(), self.make.others());
        loop {
            tokio::select! {
                changed = held.changed() => match changed {
                    Ok(()) => {
                        held.mark_unchanged();
                        self.each(|board| self.make_again(board));
                    }
                    Err(_) => return,
                },
                () = changed(&mut others) => self.each(|board| self.make.refresh(&board.posted.borrow())),
            }
        }
    }

    /// Of what is newest by now, which may be newer than what this was begun for.
    fn make_again(&self, board: &Board<M>) -> Option<M::Made> {
        let held = Arc::clone(&self.held.borrow());
        let before = board.posted.borrow();
        self.make
            .make(&board.view, board.kind, &held, Some(&before))
    }

    /// Posts what is new, and forgets boards that nobody reads.
    fn each(&self, renew: impl Fn(&Board<M>) -> Option<M::Made>) {
        self.boards().retain(|_, board| {
            let Some(board) = board.upgrade() else {
                return false;
            };
            if let Some(made) = renew(&board) {
                board.posted.send_replace(made);
            }
            true
        });
    }

    fn boards(&self) -> MutexGuard<'_, ByView<M>> {
        self.boards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Never, once nobody can change anything any more.
async fn changed(others: &mut Option<watch::Receiver<()>>) {
    if let Some(receiver) = others {
        if receiver.changed().await.is_ok() {
            return;
        }
        *others = None;
    }
    std::future::pending::<()>().await;
}

impl<M: Make> Reader<M> {
    /// Whose board it is.
    pub(crate) fn view(&self) -> &Arc<View> {
        &self.board.view
    }

    /// Resolves when there is something that was not seen yet.
    pub(crate) async fn changed(&mut self) {
        // the board, and with it the sender, is held
        let _ = self.posted.changed().await;
    }

    /// What there is now, which then is seen.
    pub(crate) fn newest(&mut self) -> M::Made {
        self.posted.borrow_and_update().clone()
    }
}
