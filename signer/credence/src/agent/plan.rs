//! From the configuration to what the agent is to do.

use crate::failure::Failure;
use credence_agent::{
    Access, Callers, Entitled, Identity, Limits, OneUid, Plan, Registered, Socket, View,
    sds::Validation,
};
use credence_attest::peer::PeerAttestor;
use credence_ca::dns::DnsName;
use credence_config::agent::{
    AgentConfig, IdentityConfig, Limits as Taken, RegistryPlace, SharedConfig,
    Validation as Validated,
};
use spiffe::SpiffeId;
use std::{collections::BTreeMap, sync::Arc};

/// What the agent is to do; what it serves from elsewhere is still to be said.
///
/// # Errors
/// If a caller could not tell its identities apart.
pub(super) fn plan(config: &AgentConfig) -> Result<Plan, Failure> {
    let views = views(&config.identities)?;
    let own = rustix::process::geteuid().as_raw();
    let mut sockets = Vec::new();
    for one in &config.identities {
        let (Some(socket), Some(view)) = (&one.socket, views.get(&one.id)) else {
            continue;
        };
        let uid = socket.uid.unwrap_or(own);
        sockets.push(Socket {
            path: socket.path.clone(),
            access: Access::Uid(uid),
            callers: Arc::new(OneUid::new(uid, view.clone())),
        });
    }
    if let Some(shared) = &config.shared {
        sockets.push(Socket {
            path: shared.socket.clone(),
            access: Access::Everyone,
            callers: callers(shared, views.into_values()),
        });
    }
    Ok(Plan {
        identities: config.identities.iter().map(identity).collect(),
        sockets,
        validation: match config.validation {
            Validated::TrustedCa => Validation::TrustedCa,
            Validated::Spiffe => Validation::Spiffe,
        },
        elsewhere: None,
        limits: limits(&config.limits),
    })
}

fn identity(config: &IdentityConfig) -> Identity {
    Identity {
        id: config.id.clone(),
        dns_names: config.dns_names.iter().map(DnsName::to_string).collect(),
    }
}

/// What the callers of each identity may have.
fn views(identities: &[IdentityConfig]) -> Result<BTreeMap<SpiffeId, View>, Failure> {
    let entitled = |one: &IdentityConfig| Entitled {
        id: one.id.clone(),
        hint: one.hint.clone(),
    };
    let by_id: BTreeMap<_, _> = identities.iter().map(|one| (&one.id, one)).collect();
    let mut views = BTreeMap::new();
    for one in identities {
        let also = one.also.iter().filter_map(|id| by_id.get(id));
        let also = also.map(|other| entitled(other)).collect();
        let view = View::new(entitled(one), also, one.federates_with.clone())?;
        views.insert(one.id.clone(), view);
    }
    Ok(views)
}

fn callers(config: &SharedConfig, views: impl Iterator<Item = View>) -> Arc<dyn Callers> {
    let name = "shared".to_owned();
    let attestor = match &config.registry {
        RegistryPlace::File(path) => PeerAttestor::file(name, path.clone()),
        RegistryPlace::Entries(registry) => PeerAttestor::new(name, registry.clone()),
    };
    Arc::new(Registered::new(attestor, views))
}

/// What is taken; what the configuration does not say is as it is by default.
fn limits(config: &Taken) -> Limits {
    let mut limits = Limits::default();
    for (place, given) in [
        (&mut limits.connections, config.connections),
        (&mut limits.connections_per_uid, config.connections_per_uid),
        (&mut limits.streams, config.streams),
        (&mut limits.streams_per_uid, config.streams_per_uid),
    ] {
        *place = given.unwrap_or(*place);
    }
    limits
}
