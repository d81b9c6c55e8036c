//! What the engine asks of a rule, to find it.

use crate::{
    pattern::PatternSet,
    rule::{ConnectionCondition, RequestCondition, Rule},
};

impl Rule {
    pub(super) fn principals(&self) -> Option<&PatternSet> {
        self.on_connection
            .iter()
            .find_map(|condition| match condition {
                ConnectionCondition::Principals(of) => of.only.as_ref(),
                _ => None,
            })
    }

    pub(super) fn paths(&self) -> Option<&PatternSet> {
        self.on_request
            .iter()
            .find_map(|condition| match condition {
                RequestCondition::Paths(of) => of.only.as_ref(),
                _ => None,
            })
    }

    pub(crate) fn has_path_keys(&self) -> bool {
        self.paths().is_some_and(|paths| paths.keys().is_some())
    }

    pub(super) fn needs_port(&self) -> bool {
        let needs =
            |condition: &ConnectionCondition| matches!(condition, ConnectionCondition::Ports(_));
        self.on_connection.iter().any(needs)
    }

    pub(super) fn needs_source(&self) -> bool {
        let needs =
            |condition: &ConnectionCondition| matches!(condition, ConnectionCondition::IpBlocks(_));
        self.on_connection.iter().any(needs)
    }
}
