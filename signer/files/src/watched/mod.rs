//! Certificate files that somebody else rotates: looked at again and again, and taken when they are whole.
//!
//! Looking beats being told here: a Kubernetes volume is switched by a symbolic link two steps away from the file's name, an editor
//! renames another file over it, a network file system tells nothing at all. A look at each file's content every second costs less than to
//! follow all of those rightly, and sees them all in the same way.
//!
//! What two looks in a row found the same is settled; a certificate goes on only with the key that it was made for.

mod content;
mod folders;
mod look;
mod name;

pub use content::{Content, Fault, Pair, roots};
pub use folders::{Folders, FoldersError, ReadError};
pub use look::{Seen, Watch, Why};
pub use name::{NameError, Source};
