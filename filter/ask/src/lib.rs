//! Pure: what is asked of a policy and how it is answered, on the command line and in the browser.
//!
//! `credence policy` and the playground both go through here, so that the one says what the other
//! says: a document is read by [`read`], a question by [`Facts::read`], a file of cases by
//! [`CasesFile::parse`]; the answers are types that are written as JSON.

mod ask;
mod cases;
mod document;
mod report;

pub use ask::{Ask, AskFault, Facts, Told, peer};
pub use cases::{Case, Cases, CasesFile, Expected, PolicySource};
pub use document::{Document, Faulty, LONGEST, parse, read};
pub use report::{
    CaseTold, CheckReport, Explained, FaultTold, RuleTold, TestReport, needs, summary,
};
