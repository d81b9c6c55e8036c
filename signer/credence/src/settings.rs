//! What a configuration says, as those have it who go by it.

use credence_config::{
    ca::{
        Access as SocketAccess, ChainConfig, Layout as Files, Limits as Taken, Readers as Who,
        Validator as Way,
    },
    custody::SecretSource as Place,
    sandbox,
};
use credence_daemon::{grpc::Access, ports::Validator};
use credence_host::{
    chain::{DaprNames, Layout, Reading},
    custody::SecretSource,
    private_file::Readers,
    sandbox::Limits as Bounds,
    signer::{ModuleSource, Settings},
};
use credence_service::{chain::ChainPlan, plan::Limits};

/// The signing module, and what it may use.
pub(crate) fn signer(config: &sandbox::Settings) -> Settings {
    let limits = &config.limits;
    Settings {
        module: match &config.module {
            sandbox::ModuleSource::BuiltIn => ModuleSource::BuiltIn,
            sandbox::ModuleSource::File(path) => ModuleSource::File(path.clone()),
        },
        limits: Bounds {
            memory: limits.memory,
            table_elements: limits.table_elements,
            stack: limits.stack,
            deadline: limits.deadline,
            proposal: limits.proposal,
            instances: limits.instances,
        },
        patience: config.patience,
    }
}

/// Where a secret is.
pub(crate) fn secret(config: &Place) -> SecretSource {
    match config {
        Place::File(path) => SecretSource::File(path.clone()),
        Place::Descriptor(number) => SecretSource::Descriptor(*number),
    }
}

/// Which token.
#[cfg(feature = "pkcs11")]
pub(crate) fn token(
    config: &credence_config::custody::TokenSettings,
) -> credence_host::custody::TokenSettings {
    credence_host::custody::TokenSettings {
        library: config.library.clone(),
        token: config.token.clone(),
        root_label: config.root_label.clone(),
        issuer_label: config.issuer_label.clone(),
    }
}

/// Root and issuer from somebody else's files.
pub(crate) fn chain(config: &ChainConfig) -> ChainPlan {
    ChainPlan {
        layout: layout(&config.layout),
        reading: Reading {
            readers: match config.readers {
                Who::Nobody => Readers::Nobody,
                Who::Group => Readers::Group,
                Who::Anyone => Readers::Anyone,
            },
            passphrase: None,
        },
        near_its_end: false,
        others: config.others,
    }
}

fn layout(config: &Files) -> Layout {
    match config {
        Files::Files {
            roots,
            chain,
            issuer_key,
            root_key,
        } => Layout::Files {
            roots: roots.clone(),
            chain: chain.clone(),
            issuer_key: issuer_key.clone(),
            root_key: root_key.clone(),
        },
        Files::Dapr { folder } => Layout::Dapr {
            folder: folder.clone(),
            names: DaprNames::default(),
        },
        Files::Istio { folder } => Layout::Istio {
            folder: folder.clone(),
        },
    }
}

/// What is taken; what the configuration does not say is as it is by default.
pub(crate) fn limits(config: &Taken) -> Limits {
    let mut limits = Limits::default();
    let (connections, issuance) = (&mut limits.connections, &mut limits.issuance);
    for (place, given) in [
        (&mut connections.connections, config.connections),
        (&mut connections.per_address, config.connections_per_address),
        (&mut issuance.signing, config.signing),
        (&mut issuance.waiting, config.waiting),
    ] {
        *place = given.unwrap_or(*place);
    }
    issuance.identity = config.identity;
    issuance.global = config.global;
    limits
}

/// Who may connect to a socket.
pub(crate) fn access(config: &SocketAccess) -> Access {
    Access {
        owner: config.owner,
        group: config.group,
        mode: config.mode,
    }
}

/// Dapr's way to look at a token.
pub(crate) fn validator(config: Way) -> Validator {
    match config {
        Way::Kubernetes => Validator::Kubernetes,
        Way::Jwks => Validator::Jwks,
    }
}

#[cfg(test)]
mod tests;
