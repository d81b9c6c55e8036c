//! Where the configuration is read from: a file, or an object of Kubernetes.

use crate::{
    Environment,
    cluster::{Cluster, ClusterError},
    configuration::Configuration,
    fault::{Fault, Faults},
    flags::{DEFAULT_CONFIG, Flags, Mode},
};
use credence_attest::{HttpsError, Unavailable};
use std::{path::Path, time::Duration};

/// How long the API server has for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// What is wrong in it.
    #[error(transparent)]
    Faults(#[from] Faults),
    /// It is not known how to reach the API server.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The API server cannot be asked over https.
    #[error("the API server cannot be asked: {0}")]
    Https(#[from] HttpsError),
    /// It does not answer, or does not let us ask.
    #[error("the configuration cannot be had: {0}")]
    Unavailable(#[from] Unavailable),
    /// It has no such object.
    #[error(
        "there is no Configuration {name} in the namespace {namespace}; --config names another"
    )]
    Missing {
        /// Its name.
        name: String,
        /// Where it should be.
        namespace: String,
    },
}

/// Reads the configuration that the flags name, with what is odd about it.
///
/// On a host a file that is named has to be there. Where none is named and there is no file `daprsystem`, the defaults hold: so that
/// the command line of Dapr's own documentation works, which names none.
///
/// # Errors
/// If it is not there, cannot be had or has faults.
pub async fn read(
    flags: &Flags,
    environment: &Environment,
) -> Result<(Configuration, Vec<String>), SourceError> {
    match flags.mode {
        Mode::Standalone => Ok(of_file(flags.config.as_deref(), environment)?),
        Mode::Kubernetes => of_cluster(flags, environment).await,
    }
}

fn of_file(named: Option<&str>, environment: &Environment) -> crate::configuration::Read {
    let default = Path::new(DEFAULT_CONFIG);
    match named {
        Some(path) => Configuration::from_file(Path::new(path), environment),
        None if default.exists() => Configuration::from_file(default, environment),
        None => {
            let warning = "--config: names no configuration; the defaults hold".to_owned();
            Ok((Configuration::default(), vec![warning]))
        }
    }
}

async fn of_cluster(
    flags: &Flags,
    environment: &Environment,
) -> Result<(Configuration, Vec<String>), SourceError> {
    if !environment.contains_key("NAMESPACE") {
        let fault = Fault {
            place: "NAMESPACE in the environment".into(),
            what: "has to name the control plane's namespace in mode kubernetes".into(),
        };
        return Err(Faults::one(fault).into());
    }
    let cluster = Cluster::find(flags.kubeconfig.as_deref(), environment)?;
    let name = flags.config.as_deref().unwrap_or(DEFAULT_CONFIG);
    let found = cluster
        .api(PATIENCE)?
        .configuration(&flags.namespace, name)
        .await?;
    let missing = || SourceError::Missing {
        name: name.to_owned(),
        namespace: flags.namespace.clone(),
    };
    Ok(Configuration::from_json(&found.ok_or_else(missing)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Parsed;

    fn flags(words: &[&str]) -> Flags {
        let words: Vec<_> = words.iter().map(ToString::to_string).collect();
        match Flags::parse(&words, &Environment::new()) {
            Ok(Parsed::Run(flags)) => *flags,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_file_that_is_named_has_to_be_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.yaml");
        let named = flags(&["--config", path.to_str().unwrap()]);
        let refused = read(&named, &Environment::new()).await.unwrap_err();
        assert!(
            refused.to_string().contains("config.yaml: cannot be read"),
            "{refused}"
        );
        std::fs::write(&path, "spec: {mtls: {workloadCertTTL: $TTL}}").unwrap();
        let environment = [("TTL".to_owned(), "1h".to_owned())].into();
        let (configuration, warnings) = read(&named, &environment).await.unwrap();
        assert_eq!(configuration.workload_ttl, Some(Duration::from_secs(3600)));
        assert_eq!(warnings, [""; 0]);
    }

    #[tokio::test]
    async fn where_none_is_named_the_defaults_hold() {
        let (configuration, warnings) = read(&flags(&[]), &Environment::new()).await.unwrap();
        assert_eq!(configuration, Configuration::default());
        assert_eq!(warnings.len(), 1);
    }

    #[tokio::test]
    async fn a_cluster_needs_its_namespace_and_its_server() {
        let named = flags(&["--mode", "kubernetes"]);
        let refused = read(&named, &Environment::new()).await.unwrap_err();
        assert!(refused.to_string().contains("NAMESPACE"), "{refused}");
        let environment = [("NAMESPACE".to_owned(), "dapr-system".to_owned())].into();
        let refused = read(&named, &environment).await.unwrap_err();
        assert!(
            matches!(refused, SourceError::Cluster(ClusterError::None)),
            "{refused}"
        );
    }
}
