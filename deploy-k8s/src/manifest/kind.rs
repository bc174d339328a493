//! How kinds are called by the API, and whether their objects are in namespaces.

use kube::core::{ApiResource, GroupVersionKind};

use super::object::Key;

/// Kinds of Kubernetes' own whose objects are in no namespace.
const OF_CLUSTERS: &[&str] = &[
    "APIService",
    "CSIDriver",
    "CSINode",
    "CertificateSigningRequest",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "FlowSchema",
    "IngressClass",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PodSecurityPolicy",
    "PriorityClass",
    "PriorityLevelConfiguration",
    "RuntimeClass",
    "StorageClass",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
    "VolumeAttachment",
];

/// Groups of Kubernetes' own that are not below `.k8s.io`.
const OWN: &[&str] = &["", "apps", "autoscaling", "batch", "extensions", "policy"];
/// Those below it that are.
const OWN_K8S_IO: &[&str] = &[
    "admissionregistration",
    "apiextensions",
    "apiregistration",
    "certificates",
    "coordination",
    "discovery",
    "flowcontrol.apiserver",
    "networking",
    "node",
    "rbac.authorization",
    "scheduling",
    "storage",
];

/// How a kind is asked for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Kind {
    pub resource: ApiResource,
    pub in_namespace: bool,
}

pub(super) fn group_version_kind(key: &Key) -> GroupVersionKind {
    let (group, version) = key.group_and_version();
    GroupVersionKind::gvk(group, version, &key.kind)
}

/// A kind of Kubernetes' own. Others have to be asked for.
pub(super) fn known(key: &Key) -> Option<Kind> {
    let (group, _) = key.group_and_version();
    let of_k8s = group.strip_suffix(".k8s.io").is_some_and(|group| OWN_K8S_IO.contains(&group));
    (of_k8s || OWN.contains(&group)).then(|| Kind {
        resource: ApiResource::from_gvk(&group_version_kind(key)),
        in_namespace: !OF_CLUSTERS.contains(&key.kind.as_str()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_kinds_are_known_without_asking() {
        let of = |api_version: &str, kind: &str| {
            let text = String::from;
            let key = Key {
                kind: text(kind),
                api_version: text(api_version),
                name: text("x"),
                namespace: text("y"),
            };
            known(&key).map(|kind| (kind.resource.plural, kind.in_namespace))
        };
        for (api_version, kind, plural, in_namespace) in [
            ("v1", "ConfigMap", "configmaps", true),
            ("v1", "Endpoints", "endpoints", true),
            ("v1", "Namespace", "namespaces", false),
            ("networking.k8s.io/v1", "Ingress", "ingresses", true),
            ("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", true),
            ("rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles", false),
        ] {
            assert_eq!(of(api_version, kind), Some((plural.to_owned(), in_namespace)), "{kind}");
        }
        assert_eq!(of("monitoring.coreos.com/v1", "ServiceMonitor"), None);
        assert_eq!(of("gateway.networking.k8s.io/v1", "Gateway"), None);
    }
}
