//! What types cannot say of clusters: which tables go together, and names that lead somewhere.

use std::collections::BTreeMap;

use deploy_core::model::Target;
use deploy_k8s::{Identity, ImageName, ValueKey, WorkloadName};

use super::{told, told_at};
use crate::{
    config::{
        CheckSection, CheckStage, Config, GroupSection,
        error::{Told, suggest},
    },
    hosts,
};

/// Refuses clusters that could not be found, and what is missing to deploy to them.
pub(super) fn check(config: &Config) -> Result<(), Told> {
    for (name, cluster) in &config.cluster {
        let refuse = |key: &str, problem: String| told(["cluster", name, key], problem);
        Target::new(name.as_str())
            .map_err(|error| told(["cluster", name.as_str()], error.to_string()))?;
        if cluster.context.trim().is_empty() {
            return Err(refuse("context", "is empty: the current context is never used".into()));
        }
        cluster
            .identity
            .parse::<Identity>()
            .map_err(|error| refuse("identity", error.to_string()))?;
    }
    for (index, group) in config.group.iter().enumerate() {
        check_group(config, index, group)?;
    }
    check_apart(config)?;
    let has_clusters = config.group.iter().any(|group| !group.clusters.is_empty());
    if has_clusters {
        check_served(config)?;
    }
    check_image(config, has_clusters)?;
    check_values(config)?;
    check_lock(config)
}

fn check_group(config: &Config, index: usize, group: &GroupSection) -> Result<(), Told> {
    if group.clusters.is_empty() {
        return Ok(());
    }
    if !group.hosts.is_empty() || group.hosts_file.is_some() {
        let problem =
            "a group has either hosts or clusters: make the clusters a group of their own";
        return Err(told_at("group", index, "clusters", problem));
    }
    let known: Vec<&str> = config.cluster.keys().map(String::as_str).collect();
    for (position, name) in group.clusters.iter().enumerate() {
        let at = ["group", &index.to_string(), "clusters", &position.to_string()];
        if !config.cluster.contains_key(name) {
            let problem = format!("there is no [cluster.{name}]");
            let hint = (!known.is_empty()).then(|| suggest(name, &known));
            return Err(Told { hint, ..told(at, problem) });
        }
        if group.clusters[..position].contains(name) {
            let problem = format!("{name} is named twice in group {}", group.name);
            return Err(told(at, problem));
        }
    }
    Ok(())
}

/// Refuses two names for one place: the second would be proven by the first, and two runs of helm would meet.
fn check_apart(config: &Config) -> Result<(), Told> {
    let namespace = match (&config.helm, &config.workload) {
        (Some(helm), _) => helm.namespace.as_deref(),
        (None, workload) => workload.as_ref().and_then(|workload| workload.namespace.as_deref()),
    };
    let release = config.helm.as_ref().and_then(|helm| helm.release.as_deref());
    let mut places = BTreeMap::new();
    for name in config.group.iter().flat_map(|group| &group.clusters) {
        let Some(cluster) = config.cluster.get(name) else { continue };
        let place = (
            cluster.identity.to_ascii_lowercase(),
            cluster.namespace.as_deref().or(namespace),
            cluster.release.as_deref().or(release),
        );
        let first = places.entry(place).or_insert(name);
        if *first != name {
            let problem = format!(
                "is the same place as [cluster.{first}]: one cluster, namespace and release"
            );
            return Err(told(["cluster", name.as_str()], problem));
        }
        let is_host = |host: &String| {
            hosts::expand(host).is_ok_and(|all| all.iter().any(|target| target.as_str() == name))
        };
        if config.group.iter().flat_map(|group| &group.hosts).any(is_host) {
            let problem = "is called like a host: one of them needs another name";
            return Err(told(["cluster", name.as_str()], problem));
        }
    }
    Ok(())
}

/// What runs in the clusters: an image, by a chart or without.
fn check_served(config: &Config) -> Result<(), Told> {
    if config.image.is_none() {
        return Err(told(["image"], "is missing: clusters run an image, `name` says which"));
    }
    match (&config.helm, &config.workload) {
        (None, None) => {
            let problem = "clusters need `[helm]` with a chart, or `[workload]` with what runs it";
            Err(told([], problem))
        }
        (Some(_), Some(_)) => Err(told(["workload"], "give either [helm] or [workload]")),
        (Some(helm), None) => {
            helm.tag
                .parse::<ValueKey>()
                .map_err(|error| told(["helm", "tag"], error.to_string()))?;
            let chart = helm.chart.as_deref().map(str::trim);
            match (chart, &helm.helmfile) {
                (Some(""), _) => Err(told(["helm", "chart"], "is empty")),
                (Some(_), Some(_)) => {
                    Err(told(["helm", "helmfile"], "give either `chart` or `helmfile`"))
                }
                (None, None) => Err(told(["helm"], "needs `chart` or `helmfile`")),
                (Some(_), None) if helm.environment.is_some() => {
                    Err(told(["helm", "environment"], "goes with `helmfile` only"))
                }
                (None, Some(_)) if helm.version.is_some() => {
                    Err(told(["helm", "version"], "goes with `chart` only"))
                }
                _ => Ok(()),
            }
        }
        (None, Some(workload)) => workload
            .name
            .parse::<WorkloadName>()
            .map(drop)
            .map_err(|error| told(["workload", "name"], error.to_string())),
    }
}

fn check_image(config: &Config, has_clusters: bool) -> Result<(), Told> {
    let Some(image) = &config.image else { return Ok(()) };
    image.name.parse::<ImageName>().map_err(|error| told(["image", "name"], error.to_string()))?;
    let has_hosts = config.group.iter().any(|group| group.clusters.is_empty());
    if has_clusters && has_hosts && image.tag.is_none() {
        let problem = "needs `tag`: hosts are brought versions of the repository, so it must be said \
                       which image each of them is, such as `tag = \"{{ version }}\"`";
        return Err(told(["image"], problem));
    }
    Ok(())
}

fn check_values(config: &Config) -> Result<(), Told> {
    let Some(values) = &config.values else { return Ok(()) };
    let key = values.key.as_deref().or(config.helm.as_ref().map(|helm| helm.tag.as_str()));
    let Some(key) = key else {
        return Err(told(["values"], "needs `key`: where in the file the version is"));
    };
    key.parse::<ValueKey>().map_err(|error| told(["values", "key"], error.to_string()))?;
    let texts = [
        ("file", Some(&values.file)),
        ("branch", Some(&values.branch)),
        ("remote", values.remote.as_ref()),
        ("review", values.review.as_ref()),
        ("author", values.author.as_ref()),
    ];
    for (key, text) in texts {
        if text.is_some_and(|text| text.trim().is_empty()) {
            return Err(told(["values", key], "is empty"));
        }
    }
    match &values.review {
        Some(review) if !review.starts_with("refs/") => {
            Err(told(["values", "review"], "is no ref, such as `refs/for/main`"))
        }
        _ => Ok(()),
    }
}

fn check_lock(config: &Config) -> Result<(), Told> {
    let known: Vec<&str> = config.cluster.keys().map(String::as_str).collect();
    if let Some(name) = &config.lock.cluster
        && !config.cluster.contains_key(name)
    {
        let hint = (!known.is_empty()).then(|| suggest(name, &known));
        let problem = format!("there is no [cluster.{name}]");
        return Err(Told { hint, ..told(["lock", "cluster"], problem) });
    }
    match config.lock.lease {
        Some(span) if span.0.as_secs() < 10 => {
            Err(told(["lock", "lease"], "is too short: a slow answer would lose it; from 10s on"))
        }
        _ => Ok(()),
    }
}

/// Refuses a check of a kind that its group, or no group, has anything for.
pub(super) fn check_kind(
    config: &Config,
    index: usize,
    (check, kind): (&CheckSection, &'static str),
) -> Result<(), Told> {
    let has_any_clusters = config.group.iter().any(|group| !group.clusters.is_empty());
    let meant = |group: &&GroupSection| match &check.group {
        Some(name) => group.name == *name,
        None => true,
    };
    let mut groups = config.group.iter().filter(meant);
    let (has_hosts, has_clusters) = (
        groups.clone().any(|group| group.clusters.is_empty()),
        groups.any(|group| !group.clusters.is_empty()),
    );
    match kind {
        "rollout" if !has_clusters => Err(told_at(
            "check",
            index,
            kind,
            "is asked of clusters, and there is no group of them",
        )),
        "rollout" if check.rollout == Some(false) => {
            let problem = "is always asked of clusters; this table says how: give `rollout = true`";
            Err(told_at("check", index, kind, problem))
        }
        "rollout" if check.stage != CheckStage::Check => {
            let problem = "a rollout is watched after the switch: it goes with \"check\" only";
            Err(told_at("check", index, "stage", problem))
        }
        _ if kind != "rollout" && has_any_clusters && check.name == "rollout" => {
            let problem = "is what the check is called that clusters always have";
            Err(told_at("check", index, "name", problem))
        }
        "http" if has_hosts && has_clusters => {
            let problem = "hosts are asked themselves, and clusters from the deployer's machine: give \
                           `group`, and make it two checks";
            Err(told_at("check", index, "http", problem))
        }
        "http" if !has_hosts && check.from == Some(crate::config::CheckFrom::Host) => Err(told_at(
            "check",
            index,
            "from",
            "a cluster is no host: it is asked from the deployer",
        )),
        "rollout" | "http" | "prometheus" => Ok(()),
        _ if !has_hosts => {
            Err(told_at("check", index, kind, "is asked of hosts, and there is no group of them"))
        }
        _ => Ok(()),
    }
}
