//! Which Kubernetes API server it is, and what it is shown: from inside of a cluster, or by a client's configuration file.

use crate::Environment;
use credence_attest::{HttpsError, HttpsUrl, kubernetes::ApiServer};
use credence_policy_import::yaml;
use serde_json::Value;
use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    time::Duration,
};

/// Where Kubernetes mounts what a pod shows the API server.
const MOUNTED: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// The longest client's configuration, in octets.
const LONGEST: u64 = 1 << 20;

/// An API server, and files to talk to it with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Its URL.
    pub server: HttpsUrl,
    /// The CA certificates by which it is known.
    pub ca_file: PathBuf,
    /// The token that it is shown.
    pub token_file: PathBuf,
}

/// Why no API server is known.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// Neither.
    #[error(
        "no Kubernetes API server is known: this is not a pod (KUBERNETES_SERVICE_HOST is not set), and --kubeconfig names no file"
    )]
    None,
    /// The environment's words make no URL.
    #[error("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT name no server: {0}")]
    Environment(#[source] HttpsError),
    /// The file cannot be used.
    #[error("{}: {why}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

impl Cluster {
    /// The one that this pod is in; else the one that the file names.
    ///
    /// # Errors
    /// If there is neither, or what is said of it cannot be used.
    pub fn find(
        kubeconfig: Option<&Path>,
        environment: &Environment,
    ) -> Result<Self, ClusterError> {
        let set = |name| {
            environment
                .get(name)
                .filter(|value: &&String| !value.is_empty())
        };
        match (
            set("KUBERNETES_SERVICE_HOST"),
            set("KUBERNETES_SERVICE_PORT"),
            kubeconfig,
        ) {
            (Some(host), Some(port), _) => in_pod(host, port),
            (_, _, Some(path)) => of_file(path),
            (_, _, None) => Err(ClusterError::None),
        }
    }

    /// A connection to it.
    ///
    /// # Errors
    /// If https cannot be set up.
    pub fn api(&self, timeout: Duration) -> Result<ApiServer, HttpsError> {
        let ca = Some(self.ca_file.clone());
        ApiServer::new(self.server.clone(), ca, self.token_file.clone(), timeout)
    }
}

fn in_pod(host: &str, port: &str) -> Result<Cluster, ClusterError> {
    let host = match host.contains(':') {
        true => format!("[{host}]"),
        false => host.to_owned(),
    };
    let server = HttpsUrl::parse(&format!("https://{host}:{port}"));
    Ok(Cluster {
        server: server.map_err(ClusterError::Environment)?,
        ca_file: Path::new(MOUNTED).join("ca.crt"),
        token_file: Path::new(MOUNTED).join("token"),
    })
}

fn of_file(path: &Path) -> Result<Cluster, ClusterError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    read(path)
        .and_then(|text| of_text(&text, folder))
        .map_err(|why| ClusterError::File {
            path: path.to_path_buf(),
            why,
        })
}

fn read(path: &Path) -> Result<String, String> {
    let file = fs::File::open(path).map_err(|why| format!("cannot be read: {why}"))?;
    let mut text = String::new();
    let read = file.take(LONGEST + 1).read_to_string(&mut text);
    read.map_err(|why| format!("cannot be read: {why}"))?;
    if text.len() as u64 > LONGEST {
        return Err(format!("has more than {LONGEST} octets"));
    }
    Ok(text)
}

/// The current context's cluster and user. What they hold inside the file itself is not taken: such a token could not be renewed, and a
/// client certificate is not what this CA shows.
fn of_text(text: &str, folder: &Path) -> Result<Cluster, String> {
    let documents = yaml::documents(text).map_err(|why| why.to_string())?;
    let config = documents.first().map_or(&Value::Null, |first| &first.value);
    let current = config.get("current-context").and_then(Value::as_str);
    let current = current.ok_or("has no current-context")?;
    let context = named(config, "contexts", "context", current)?;
    let of = |field: &str| {
        let name = context.get(field).and_then(Value::as_str);
        name.ok_or(format!("the context {current:?} has no {field}"))
    };
    let cluster = named(config, "clusters", "cluster", of("cluster")?)?;
    let user = named(config, "users", "user", of("user")?)?;
    let text = |map: &Value, field: &str, hint: &str| {
        let text = map.get(field).and_then(Value::as_str);
        text.map(str::to_owned)
            .ok_or(format!("has no {field}{hint}"))
    };
    let ca = text(
        cluster,
        "certificate-authority",
        ": name a file; data inside of it is not taken",
    )?;
    let token = text(
        user,
        "tokenFile",
        ": a service account's token in a file is what the API server is shown; client certificates, passwords, plugins and tokens inside of it are not taken",
    )?;
    let server = text(cluster, "server", "")?;
    Ok(Cluster {
        server: HttpsUrl::parse(&server).map_err(|why| why.to_string())?,
        ca_file: folder.join(ca),
        token_file: folder.join(token),
    })
}

/// The entry of this name in one of the file's lists.
fn named<'c>(config: &'c Value, list: &str, field: &str, name: &str) -> Result<&'c Value, String> {
    let entries = config.get(list).and_then(Value::as_array);
    let found = entries
        .into_iter()
        .flatten()
        .find(|entry| entry.get("name").and_then(Value::as_str) == Some(name));
    found
        .and_then(|entry| entry.get(field))
        .ok_or(format!("has no {name:?} among its {list}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "
apiVersion: v1
kind: Config
current-context: dev
contexts:
- name: other
  context: {cluster: x, user: y}
- name: dev
  context: {cluster: c, user: u, namespace: n}
clusters:
- name: c
  cluster: {server: 'https://127.0.0.1:6443', certificate-authority: ca.crt}
users:
- name: u
  user: {tokenFile: /run/token}
";

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        variables.iter().map(own).collect()
    }

    #[test]
    fn a_pod_knows_its_server() {
        let find = |host, port| {
            let both = [
                ("KUBERNETES_SERVICE_HOST", host),
                ("KUBERNETES_SERVICE_PORT", port),
            ];
            Cluster::find(Some(Path::new("/nowhere")), &environment(&both))
        };
        let found = find("127.0.0.1", "443").unwrap();
        assert_eq!(found.server.to_string(), "https://127.0.0.1:443/");
        assert_eq!(found.token_file, Path::new(MOUNTED).join("token"));
        assert!(
            find("fd00::1", "443")
                .unwrap()
                .server
                .to_string()
                .contains("[fd00::1]")
        );
        assert!(matches!(
            find("user@c", "443"),
            Err(ClusterError::Environment(_))
        ));
        assert!(matches!(find("", "443"), Err(ClusterError::File { .. })));
    }

    #[test]
    fn elsewhere_a_file_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        fs::write(&path, CONFIG).unwrap();
        let found = Cluster::find(Some(&path), &environment(&[])).unwrap();
        let expected = Cluster {
            server: HttpsUrl::parse("https://127.0.0.1:6443").unwrap(),
            ca_file: dir.path().join("ca.crt"),
            token_file: "/run/token".into(),
        };
        assert_eq!(found, expected);
        let none = Cluster::find(None, &environment(&[])).unwrap_err();
        assert!(matches!(none, ClusterError::None));
        let missing = Cluster::find(Some(Path::new("/nowhere/config")), &environment(&[]));
        assert!(
            missing
                .unwrap_err()
                .to_string()
                .contains("/nowhere/config: cannot be read")
        );
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (from, to, why) in [
            (
                "current-context: dev",
                "current-context: x",
                "has no \"x\" among its contexts",
            ),
            ("current-context: dev", "", "has no current-context"),
            ("cluster: c,", "", "the context \"dev\" has no cluster"),
            ("name: c\n", "name: d\n", "among its clusters"),
            ("tokenFile: /run/token", "token: abc", "has no tokenFile"),
            (
                "certificate-authority: ca.crt",
                "certificate-authority-data: AA==",
                "has no certificate-authority",
            ),
            ("https://", "http://", "is not a URL"),
            ("kind: Config", "kind: [", "not YAML"),
        ] {
            let text = CONFIG.replacen(from, to, 1);
            let refused = of_text(&text, Path::new("/")).unwrap_err();
            assert!(refused.contains(why), "{refused}");
            assert!(!refused.contains("abc"), "a secret is not shown");
        }
        assert!(of_text("", Path::new("/")).is_err());
    }
}
