//! One cluster: how it is reached, and how it is told from any other.

mod identity;

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use deploy_core::backend::{BackendError, ErrorKind, Scope};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, Config,
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
};
use sha2::{Digest, Sha256};
use tokio::sync::{OnceCell, Semaphore};

use crate::failure::{self, Effect};
pub use identity::{Identity, IdentityError};

/// How long a connection to an API server may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How many objects of one cluster are looked at at once, whichever releases they are of: each may take two
/// connections, and to open one costs both sides more than most answers do.
const LOOKS: usize = 8;

/// How a cluster is reached, and which one it must be.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// What people call it.
    pub name: String,
    /// The file with its address and credentials. `None`: those that `KUBECONFIG` names, else
    /// `~/.kube/config`.
    pub kubeconfig: Option<PathBuf>,
    /// The context in that file. The file's current context is never used.
    pub context: String,
    /// Which cluster it must be.
    pub identity: Identity,
}

/// One cluster. Connects when it is first asked for a client, and then proves that it is the one
/// that is meant. Cheap to clone; clones share the connection.
#[derive(Clone)]
pub struct Cluster(Arc<Inner>);

struct Inner {
    options: ClusterOptions,
    client: OnceCell<Client>,
    version: OnceCell<String>,
    looks: Arc<Semaphore>,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cluster").field(&self.0.options).finish()
    }
}

impl Cluster {
    /// A cluster as `options` say. Asks nobody yet.
    pub fn new(options: ClusterOptions) -> Self {
        let (client, version) = (OnceCell::new(), OnceCell::new());
        Self(Arc::new(Inner { options, client, version, looks: Arc::new(Semaphore::new(LOOKS)) }))
    }

    /// What people call it.
    pub fn name(&self) -> &str {
        &self.0.options.name
    }

    /// Whether `options` lead to it by the same means, whatever they call it.
    pub fn is_reached_by(&self, options: &ClusterOptions) -> bool {
        let ours = &self.0.options;
        ours.kubeconfig == options.kubeconfig
            && ours.context == options.context
            && ours.identity == options.identity
    }

    /// How it is reached.
    pub(crate) fn options(&self) -> &ClusterOptions {
        &self.0.options
    }

    /// A client of it, once it has proven to be the cluster that is meant. What failed is tried
    /// again by the next call.
    ///
    /// # Errors
    /// `NotFound` when there is no such context; `Conflict` with both identities when it is another
    /// cluster; `Denied` and `Unreachable` as for any call.
    pub async fn client(&self, scope: &Scope) -> Result<Client, BackendError> {
        self.0.client.get_or_try_init(|| self.connect(scope)).await.cloned()
    }

    /// The version of its API server, as it calls itself. Asked once.
    ///
    /// # Errors
    /// As [`client`](Self::client).
    pub(crate) async fn version(
        &self,
        scope: &Scope,
        attempted: &str,
    ) -> Result<&str, BackendError> {
        let client = self.client(scope).await?;
        let asked = async {
            let asked = failure::within(client.apiserver_version(), Effect::Asks, scope, attempted);
            Ok(asked.await?.git_version)
        };
        self.0.version.get_or_try_init(|| asked).await.map(String::as_str)
    }

    /// Places for those who look at its objects.
    pub(crate) fn looks(&self) -> Arc<Semaphore> {
        Arc::clone(&self.0.looks)
    }

    /// What the cluster is, by the same means as the one it must be.
    ///
    /// # Errors
    /// As [`client`](Self::client), but for `Conflict`.
    pub async fn identity(&self, scope: &Scope) -> Result<Identity, BackendError> {
        let (config, client) = self.open(scope).await?;
        self.seen(&config, &client, scope).await
    }

    async fn connect(&self, scope: &Scope) -> Result<Client, BackendError> {
        let (config, client) = self.open(scope).await?;
        let (seen, wanted) = (self.seen(&config, &client, scope).await?, &self.0.options.identity);
        if seen == *wanted {
            return Ok(client);
        }
        let name = self.name();
        let attempted = format!("make sure that the context leads to the cluster {name}");
        let context = &self.0.options.context;
        Err(BackendError::new(ErrorKind::Conflict, attempted)
            .with_source(format!("{context:?} leads to {seen}, and {name} is {wanted}"))
            .with_hint("correct the context; if the cluster was made anew, its identity"))
    }

    async fn open(&self, scope: &Scope) -> Result<(Config, Client), BackendError> {
        let options = &self.0.options;
        let attempted = format!("read how the cluster {} is reached", options.name);
        let failed = |error: &dyn fmt::Display| {
            let file = options.kubeconfig.as_ref().map_or_else(
                || "KUBECONFIG, or ~/.kube/config,".to_owned(),
                |file| file.display().to_string(),
            );
            BackendError::new(ErrorKind::NotFound, attempted.clone())
                .with_source(error.to_string())
                .with_hint(format!("{file} has to have the context {:?}", options.context))
        };
        let file = match &options.kubeconfig {
            Some(file) => Kubeconfig::read_from(file),
            None => Kubeconfig::read(),
        };
        let file = file.map_err(|error| failed(&read(&error)))?;
        let context =
            KubeConfigOptions { context: Some(options.context.clone()), cluster: None, user: None };
        let config = Config::from_custom_kubeconfig(file, &context).await;
        let mut config = config.map_err(|error| failed(&read(&error)))?;
        config.connect_timeout = Some(CONNECT);
        // Retries are the engine's.
        config.default_retry = false;
        let program = config.auth_info.exec.as_ref().and_then(|exec| exec.command.clone());
        let client = started(config.clone(), scope, &attempted).await?;
        let client = client.map_err(|error| match failure::auth(&error) {
            Some(auth) => failure::denied(auth, program.as_deref(), &attempted),
            None => failed(&error),
        })?;
        Ok((config, client))
    }

    async fn seen(
        &self,
        config: &Config,
        client: &Client,
        scope: &Scope,
    ) -> Result<Identity, BackendError> {
        let attempted = format!("ask the cluster {} which one it is", self.name());
        match &self.0.options.identity {
            Identity::Uid(_) => {
                let namespaces: Api<Namespace> = Api::all(client.clone());
                let asked = namespaces.get("kube-system");
                let system = failure::within(asked, Effect::Asks, scope, &attempted).await?;
                Ok(Identity::Uid(system.metadata.uid.unwrap_or_default()))
            }
            Identity::Authority(_) => {
                let authorities = config.root_cert.as_deref().unwrap_or_default();
                let authority = authorities.first();
                // All of a bundle are trusted: the first would say nothing of who has answered.
                if authorities.iter().any(|other| Some(other) != authority) {
                    let several = format!("its context trusts {} authorities", authorities.len());
                    return Err(BackendError::new(ErrorKind::NotFound, attempted)
                        .with_source(several)
                        .with_hint(
                            "give it the one that signs for it, or pin the uid of kube-system",
                        ));
                }
                let Some(authority) = authority.filter(|_| !config.accept_invalid_certs) else {
                    return Err(BackendError::new(ErrorKind::NotFound, attempted)
                        .with_source("its context names no certificate authority, or skips it")
                        .with_hint(
                            "give it certificate-authority, or pin the uid of kube-system",
                        ));
                };
                let digest = Sha256::digest(authority);
                let digest = digest.iter().map(|byte| format!("{byte:02x}")).collect();
                // Nothing is proven before a connection was made under it.
                let asked = client.apiserver_version();
                failure::within(asked, Effect::Asks, scope, &attempted).await?;
                Ok(Identity::Authority(digest))
            }
        }
    }
}

/// A client as `config` says. That may run a program which gives credentials, as long as it likes and
/// asking on the terminal: so on a thread of its own, which nobody waits for at the end.
async fn started(
    config: Config,
    scope: &Scope,
    attempted: &str,
) -> Result<Result<Client, kube::Error>, BackendError> {
    let (tell, told) = tokio::sync::oneshot::channel();
    let runtime = tokio::runtime::Handle::current();
    std::thread::spawn(move || {
        let _inside = runtime.enter();
        // Where nobody listens any more, it is too late.
        let _ = tell.send(Client::try_from(config));
    });
    tokio::select! {
        // The thread ends by itself where the library panics, as it does at a token of odd letters.
        client = told => client.map_err(|_| {
            BackendError::new(ErrorKind::Denied, attempted)
                .with_source("its credentials in the kubeconfig cannot be used")
        }),
        () = tokio::time::sleep_until(scope.deadline) => {
            Err(BackendError::new(ErrorKind::TimedOut, attempted)
                .with_source("the program that gives its credentials did not end in time"))
        }
        () = scope.cancel.cancelled() => Err(BackendError::new(ErrorKind::Cancelled, attempted)),
    }
}

/// What is wrong with a kubeconfig, without its text: it holds credentials.
fn read(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::Parse(_) => "it is not written as a kubeconfig is".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
