//! What an identity begins with. Everything is read again at each use: tokens are replaced on disk while the agent runs.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use credence_agent::UpstreamError;
use credence_attest::join::{JoinToken, TokenHash};
use spiffe::SpiffeId;
use zeroize::Zeroizing;

/// The longest token in bytes. Kubernetes' projected tokens take some 1 KiB.
const LONGEST_TOKEN: u64 = 16 * 1024;

/// What a CA is shown for a first certificate.
#[derive(Clone)]
pub enum Proof {
    /// A token in a file, which others renew: a JWT, as Kubernetes projects it.
    TokenFile(PathBuf),
    /// A join token in a file, as `credence token create` writes it. It is good once; another one may be put in its place.
    JoinToken(JoinTokenFile),
    /// Nothing: the kernel tells the CA who is at the other end of a Unix socket.
    Peer,
}

/// A join token in a file, and which one was used up.
#[derive(Clone)]
pub struct JoinTokenFile {
    path: PathBuf,
    used: Arc<Mutex<Option<TokenHash>>>,
}

/// What each identity begins with.
#[derive(Clone, Default)]
pub struct Proofs {
    by_id: BTreeMap<SpiffeId, Proof>,
    others: Option<Proof>,
}

impl Proof {
    /// A join token in this file.
    #[must_use]
    pub fn join_token(path: PathBuf) -> Self {
        Self::JoinToken(JoinTokenFile::new(path))
    }

    /// The token to be shown now; none where there is none to be shown.
    ///
    /// # Errors
    ///
    /// [`UpstreamError::Unattested`], which names the file.
    pub(crate) fn token(&self) -> Result<Option<Zeroizing<String>>, UpstreamError> {
        match self {
            Self::TokenFile(path) => read(path).map(Some),
            Self::JoinToken(file) => file.token().map(|(text, _)| Some(text)),
            Self::Peer => Ok(None),
        }
    }

    /// The CA has seen the token and answered. Whether it granted anything, a join token is used up.
    pub(crate) fn was_shown(&self, token: Option<&str>) {
        if let (Self::JoinToken(file), Some(token)) = (self, token)
            && let Ok(token) = JoinToken::parse(token)
        {
            *file.used.lock().unwrap_or_else(PoisonError::into_inner) = Some(token.hash());
        }
    }
}

impl Proofs {
    /// All identities begin with the same.
    #[must_use]
    pub fn all(proof: Proof) -> Self {
        Self {
            by_id: BTreeMap::new(),
            others: Some(proof),
        }
    }

    /// The same, but for this identity.
    #[must_use]
    pub fn with(mut self, id: SpiffeId, proof: Proof) -> Self {
        self.by_id.insert(id, proof);
        self
    }

    pub(crate) fn of(&self, id: &SpiffeId) -> Result<&Proof, UpstreamError> {
        let proof = self.by_id.get(id).or(self.others.as_ref());
        proof.ok_or_else(|| unattested(format_args!("no proof is configured for {id}")))
    }
}

impl JoinTokenFile {
    /// A file that a token is in, or will be. Nothing is read yet.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            used: Arc::default(),
        }
    }

    /// The token, unless it was used up.
    pub(crate) fn token(&self) -> Result<(Zeroizing<String>, JoinToken), UpstreamError> {
        let path = self.path.display();
        let text = read(&self.path)?;
        let token =
            JoinToken::parse(&text).map_err(|error| unattested(format_args!("{path}: {error}")))?;
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        match used.as_ref() == Some(&token.hash()) {
            true => Err(unattested(format_args!(
                "the join token in {path} was used up; put a new one there"
            ))),
            false => Ok((text, token)),
        }
    }
}

fn read(path: &Path) -> Result<Zeroizing<String>, UpstreamError> {
    let named = |why: &dyn fmt::Display| unattested(format_args!("{}: {why}", path.display()));
    let file = File::open(path).map_err(|error| named(&error))?;
    let mut text = Zeroizing::new(String::new());
    let mut bounded = file.take(LONGEST_TOKEN + 1);
    let length = bounded
        .read_to_string(&mut text)
        .map_err(|error| named(&error))?;
    if length as u64 > LONGEST_TOKEN {
        return Err(named(&format_args!(
            "longer than {LONGEST_TOKEN} bytes: not a token"
        )));
    }
    let token = text.trim();
    if token.is_empty() {
        return Err(named(&"the file is empty"));
    }
    if !token.chars().all(|character| character.is_ascii_graphic()) {
        return Err(named(&"not a token: it has spaces or odd characters"));
    }
    Ok(Zeroizing::new(token.to_owned()))
}

fn unattested(why: fmt::Arguments<'_>) -> UpstreamError {
    UpstreamError::Unattested(why.to_string())
}

#[cfg(test)]
mod tests {
    use credence_attest::join::RootPin;
    use tempfile::TempDir;

    use super::*;

    fn folder(token: &str) -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, token).unwrap();
        (folder, path)
    }

    #[test]
    fn a_token_is_read_again_at_each_use() {
        let (_folder, path) = folder("one\n");
        let proof = Proof::TokenFile(path.clone());
        assert_eq!(**proof.token().unwrap().unwrap(), *"one");
        std::fs::write(&path, "two").unwrap();
        assert_eq!(**proof.token().unwrap().unwrap(), *"two");
    }

    #[test]
    fn a_file_without_a_token_is_named_and_nothing_of_it_is_told() {
        let long = "x".repeat(20_000);
        for text in ["", " \n", "se cret", "secret\u{7}", &long] {
            let (_folder, path) = folder(text);
            let error = Proof::TokenFile(path.clone()).token().unwrap_err();
            assert!(matches!(error, UpstreamError::Unattested(_)));
            let told = error.to_string();
            assert!(told.contains(path.to_str().unwrap()), "{told}");
            assert!(!told.contains("cret") && !told.contains("xxx"), "{told}");
        }
        let gone = Proof::TokenFile("/nowhere/token".into()).token();
        assert!(gone.unwrap_err().to_string().contains("/nowhere/token"));
    }

    #[test]
    fn a_join_token_is_shown_once_and_the_next_one_again() {
        let token = |seed| JoinToken::new([seed; 32], RootPin::of(b"root")).to_text();
        let (_folder, path) = folder(&token(1));
        let proof = Proof::join_token(path.clone());
        let shown = proof.token().unwrap().unwrap();
        assert!(proof.token().is_ok(), "the CA has not seen it yet");
        proof.was_shown(Some(&shown));
        let error = proof.token().unwrap_err().to_string();
        assert!(error.contains("used up"), "{error}");
        std::fs::write(&path, &*token(2)).unwrap();
        assert_eq!(proof.token().unwrap().unwrap(), token(2));
    }

    #[test]
    fn an_identity_without_a_proof_is_named() {
        let id = SpiffeId::new("spiffe://example.org/one").unwrap();
        let other = SpiffeId::new("spiffe://example.org/two").unwrap();
        let proofs = Proofs::default().with(id.clone(), Proof::Peer);
        assert!(proofs.of(&id).is_ok());
        let error = proofs.of(&other).err().unwrap().to_string();
        assert!(error.contains("spiffe://example.org/two"), "{error}");
    }
}
