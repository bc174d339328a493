//! The place that serves one version of the app at a time.

use super::name::name_type;

name_type! {
    /// A named place that serves one version of the app at a time: a host (as one would write it
    /// for `ssh`), or cluster, namespace and release.
    ///
    /// The name says nothing about how the target is reached; that is the transport's matter.
    Target, "target", "/@:[]", 255
}
