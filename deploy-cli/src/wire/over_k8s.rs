//! From the configuration to clusters.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use deploy_core::{
    backend::{Checker, Examiner, Operator, Preview, Transport},
    model::{Scheme, Target, Version},
    run::Backend,
};
use deploy_k8s::{
    BuiltImages, Chart, Cluster, ClusterOptions, HelmPlace, HelmTransport, Identity, Lease,
    LeaseTerms, ReleaseCheck, ReleaseOperator, RolloutCheck, ValueKey, WorkloadName,
    WorkloadOperator, WorkloadPlace, WorkloadTransport,
};
use deploy_ssh::{RunProcess, session::Sessions};

use super::{checks, phrase, values};
use crate::{
    config::{ClusterSection, HelmSection, LEASE, Loaded, WorkloadSection},
    context::{Context, Project},
    error::CommandError,
};

/// What acts on clusters, with what it was made of.
#[derive(Debug)]
pub(super) struct OverK8s {
    /// What acts on the clusters, as a site left it.
    pub(super) backend: Backend,
    served: Served,
    built: Option<Built>,
}

/// The images of the repository's versions, and how their tags are called.
#[derive(Debug)]
struct Built {
    images: BuiltImages,
    tag: String,
    loaded: Loaded,
}

/// What runs in the clusters.
#[derive(Debug)]
enum Served {
    Workload(Arc<WorkloadTransport>),
    Helm(Arc<HelmTransport>),
}

/// A target with its cluster, and what the configuration says of both.
struct Written<'a> {
    target: Target,
    cluster: Cluster,
    section: &'a ClusterSection,
}

impl OverK8s {
    /// Makes it for the clusters of a project.
    ///
    /// # Errors
    /// Refused when the configuration cannot be used as it is.
    pub(super) fn new(
        context: &Context,
        project: &Project,
        (sessions, process): (&Sessions, &RunProcess),
        values: Option<&values::Values>,
    ) -> Result<Self, CommandError> {
        let loaded = &project.loaded;
        let clusters = clusters(loaded)?;
        let terms = terms(loaded, process)?;
        let config = &loaded.config;
        let (served, rollout, operator) = match (&config.workload, &config.helm) {
            (Some(section), _) => workload(loaded, section, clusters, terms)?,
            (None, Some(section)) => helm(project, section, clusters, terms)?,
            (None, None) => return Err(loaded.refuse(&["helm"], "is missing").into()),
        };
        let built = built(project)?;
        let (mut transport, mut preview, mut rollout) =
            (values::around(served.transport(), values), served.preview(), rollout);
        if let Some(Built { images, .. }) = &built {
            transport = images.transport(transport);
            preview = images.preview(preview);
            rollout = images.checker(rollout);
        }
        let backend = Backend {
            transport,
            restarters: Vec::new(),
            checks: checks::cluster_checks(loaded, sessions, &rollout)?,
            steps: Vec::new(),
            operators: vec![operator],
            preview: Some(preview),
        };
        let backend = (context.customize)(project, backend)?;
        Ok(Self { backend, served, built })
    }

    /// The lease by which runs claim `target`, where that is a cluster.
    pub(super) fn claim_on(&self, target: &Target) -> Option<Lease> {
        match &self.served {
            Served::Workload(transport) => transport.claim_on(target),
            Served::Helm(transport) => transport.claim_on(target),
        }
    }

    /// Refuses a version of which there is no image.
    ///
    /// # Errors
    /// As [`BuiltImages::find`].
    pub(super) async fn admit(&self, version: &Version) -> Result<(), CommandError> {
        let Some(built) = &self.built else { return Ok(()) };
        Ok(built.images.find(version, &built.tag_of(version)?).await?)
    }

    /// The same for a version that is gone back to: the image that the clusters remember, where they were
    /// asked and do.
    ///
    /// # Errors
    /// As [`BuiltImages::recall`] and [`BuiltImages::find`].
    pub(super) async fn admit_back(&self, version: &Version) -> Result<(), CommandError> {
        let Some(built) = &self.built else { return Ok(()) };
        match built.images.recall(version, &built.tag_of(version)?)? {
            true => Ok(()),
            false => self.admit(version).await,
        }
    }

    /// What examines a cluster before a deploy.
    pub(super) fn examiner(&self) -> Arc<dyn Examiner> {
        match &self.served {
            Served::Workload(transport) => Arc::clone(transport) as Arc<_>,
            Served::Helm(transport) => Arc::clone(transport) as Arc<_>,
        }
    }
}

impl Built {
    /// How the image of `version` is called.
    fn tag_of(&self, version: &Version) -> Result<String, CommandError> {
        let names = minijinja::context! {
            version => version.name.as_deref().unwrap_or(version.id.as_str()),
            commit => version.id.as_str(),
        };
        phrase::filled(&self.loaded, &["image", "tag"], &self.tag, names)
    }
}

impl Served {
    fn preview(&self) -> Arc<dyn Preview> {
        match self {
            Self::Workload(transport) => Arc::clone(transport) as Arc<_>,
            Self::Helm(transport) => Arc::clone(transport) as Arc<_>,
        }
    }

    fn transport(&self) -> Arc<dyn Transport> {
        match self {
            Self::Workload(transport) => Arc::clone(transport) as Arc<_>,
            Self::Helm(transport) => Arc::clone(transport) as Arc<_>,
        }
    }
}

type Acting = (Served, Arc<dyn Checker>, Arc<dyn Operator>);

fn workload(
    loaded: &Loaded,
    section: &WorkloadSection,
    clusters: Vec<Written<'_>>,
    terms: LeaseTerms,
) -> Result<Acting, CommandError> {
    let app = loaded.config.app.as_str();
    let workload: WorkloadName = section.name.parse().map_err(|error| {
        let error: deploy_k8s::WorkloadNameError = error;
        CommandError::from(loaded.refuse(&["workload", "name"], error.to_string()))
    })?;
    let place = |written: Written<'_>| {
        let namespace = written.section.namespace.as_ref().or(section.namespace.as_ref());
        let place = WorkloadPlace {
            cluster: written.cluster,
            namespace: namespace.map_or(app, String::as_str).to_owned(),
            workload: workload.clone(),
            container: section.container.as_deref().unwrap_or(app).to_owned(),
        };
        (written.target, place)
    };
    let places: BTreeMap<Target, WorkloadPlace> = clusters.into_iter().map(place).collect();
    let image = loaded.config.image.as_ref().map_or("", |image| image.name.as_str());
    let transport = WorkloadTransport::new(app, image, places.clone(), terms).keep(section.keep);
    let rollout = Arc::new(RolloutCheck::new(places.clone()));
    let operator = Arc::new(WorkloadOperator::new(places));
    Ok((Served::Workload(Arc::new(transport)), rollout, operator))
}

fn helm(
    project: &Project,
    section: &HelmSection,
    clusters: Vec<Written<'_>>,
    terms: LeaseTerms,
) -> Result<Acting, CommandError> {
    let loaded = &project.loaded;
    let app = loaded.config.app.as_str();
    let refuse = |key: &str, error: &dyn std::fmt::Display| {
        CommandError::from(loaded.refuse(&["helm", key], error.to_string()))
    };
    let key: ValueKey = section.tag.parse().map_err(|error| refuse("tag", &error))?;
    let mut places = BTreeMap::new();
    for Written { target, cluster, section: of } in clusters {
        let names = minijinja::context! { cluster => target.as_str() };
        let mut values = Vec::new();
        for (at, file) in section.values.iter().enumerate() {
            let at = ["helm", "values", &at.to_string()];
            values.push(loaded.directory().join(phrase::filled(loaded, &at, file, &names)?));
        }
        for (at, file) in of.values.iter().enumerate() {
            let at = ["cluster", target.as_str(), "values", &at.to_string()];
            values.push(loaded.directory().join(phrase::filled(loaded, &at, file, &names)?));
        }
        let chart = match &section.helmfile {
            Some(file) => {
                let environment = section.environment.as_deref().unwrap_or("{{ cluster }}");
                let at = ["helm", "environment"];
                let environment = phrase::filled(loaded, &at, environment, &names)?;
                let file = loaded.directory().join(file);
                Chart::of_helmfile(file, Some(environment), &values, key.clone())
                    .map_err(|error| refuse("helmfile", &error))?
            }
            None => {
                let chart = section.chart.clone().unwrap_or_default();
                let beside = loaded.directory().join(&chart);
                // A directory of that name where one happens to stand is not meant.
                if !beside.exists() && Path::new(&chart).exists() {
                    let problem = format!("there is no {chart} beside the configuration");
                    return Err(refuse("chart", &problem));
                }
                let chart = if beside.exists() { beside.display().to_string() } else { chart };
                Chart::load(chart, section.version.clone(), values, key.clone())
                    .map_err(|error| refuse("chart", &error))?
            }
        };
        let namespace = of.namespace.as_ref().or(section.namespace.as_ref());
        let release = of.release.as_ref().or(section.release.as_ref());
        let place = HelmPlace {
            cluster,
            namespace: namespace.map_or(app, String::as_str).to_owned(),
            release: release.map_or(app, String::as_str).to_owned(),
            chart: Arc::new(chart),
        };
        places.insert(target, place);
    }
    let image = loaded.config.image.as_ref();
    let tags = image.map(|image| super::source::image_tags(project, image, Scheme::Any));
    let image = image.map_or("", |image| image.name.as_str());
    let rollout = Arc::new(ReleaseCheck::new(places.clone()));
    let operator = Arc::new(ReleaseOperator::new(places.clone()));
    let mut transport = HelmTransport::new(app, image, places, terms).keep(section.keep);
    if let Some(tags) = tags.transpose()? {
        transport = transport.pinned_by(Arc::new(tags));
    }
    transport = transport.program(program(loaded, section));
    Ok((Served::Helm(Arc::new(transport)), rollout, operator))
}

/// The images of the repository's versions, where versions are the repository's.
fn built(project: &Project) -> Result<Option<Built>, CommandError> {
    let loaded = &project.loaded;
    let Some(section) = loaded.config.image.as_ref() else { return Ok(None) };
    let Some(tag) = &section.tag else { return Ok(None) };
    let registry = super::source::image_tags(project, section, Scheme::Any)?;
    let (tag, loaded) = (tag.clone(), loaded.clone());
    Ok(Some(Built { images: BuiltImages::new(registry), tag, loaded }))
}

/// The program that is run as helm: a plain name is found in the `PATH`.
pub fn program(loaded: &Loaded, section: &HelmSection) -> PathBuf {
    match &section.program {
        None => PathBuf::from("helm"),
        Some(program) if program.components().count() == 1 => program.clone(),
        Some(program) => loaded.directory().join(program),
    }
}

/// The clusters of all groups. Those that are reached alike share their connections.
fn clusters(loaded: &Loaded) -> Result<Vec<Written<'_>>, CommandError> {
    let mut reached: Vec<Cluster> = Vec::new();
    let mut clusters: BTreeMap<Target, Written<'_>> = BTreeMap::new();
    let named = loaded.config.group.iter().flat_map(|group| &group.clusters);
    for name in named {
        let Some(section) = loaded.config.cluster.get(name) else { continue };
        let target = Target::new(name.as_str()).map_err(|error| {
            CommandError::from(loaded.refuse(&["cluster", name], error.to_string()))
        })?;
        let options = options(loaded, name, section)?;
        let known = reached.iter().find(|cluster| cluster.is_reached_by(&options));
        let cluster = known.cloned().unwrap_or_else(|| {
            let cluster = Cluster::new(options);
            reached.push(cluster.clone());
            cluster
        });
        clusters.insert(target.clone(), Written { target, cluster, section });
    }
    Ok(clusters.into_values().collect())
}

/// The lease that keeps others out who deploy from elsewhere, where the configuration wants that.
///
/// # Errors
/// Refused when the configuration cannot be used as it is.
pub(super) fn lock(project: &Project, process: &RunProcess) -> Result<Option<Lease>, CommandError> {
    let loaded = &project.loaded;
    let config = &loaded.config;
    let Some(name) = &config.lock.cluster else { return Ok(None) };
    let Some(section) = config.cluster.get(name) else { return Ok(None) };
    let namespace = section.namespace.as_ref().or_else(|| match (&config.helm, &config.workload) {
        (Some(helm), _) => helm.namespace.as_ref(),
        (None, workload) => workload.as_ref().and_then(|workload| workload.namespace.as_ref()),
    });
    let app = config.app.as_str();
    let environment = loaded.environment.as_ref().map_or("default", |name| name.as_str());
    let cluster = Cluster::new(options(loaded, name, section)?);
    let namespace = namespace.map_or(app, String::as_str);
    let terms = terms(loaded, process)?;
    Ok(Some(Lease::of_app(cluster, namespace, (app, environment), terms)))
}

/// How a cluster is reached.
fn options(
    loaded: &Loaded,
    name: &str,
    section: &ClusterSection,
) -> Result<ClusterOptions, CommandError> {
    let identity: Identity = section.identity.parse().map_err(|error| {
        let error: deploy_k8s::IdentityError = error;
        CommandError::from(loaded.refuse(&["cluster", name, "identity"], error.to_string()))
    })?;
    Ok(ClusterOptions {
        name: name.to_owned(),
        kubeconfig: section.kubeconfig.as_ref().map(|file| loaded.directory().join(file)),
        context: section.context.clone(),
        identity,
    })
}

/// How leases are held by this process.
fn terms(loaded: &Loaded, process: &RunProcess) -> Result<LeaseTerms, CommandError> {
    let record = serde_json::to_string(process)
        .map_err(|error| CommandError::because("write who this process is", error))?;
    let here = process.clone();
    let is_dead = move |record: &str| {
        serde_json::from_str::<RunProcess>(record).is_ok_and(|process| process.is_dead(&here))
    };
    let duration = loaded.config.lock.lease.map_or(LEASE, |span| span.0);
    Ok(LeaseTerms { duration, process: record, is_dead: Arc::new(is_dead) })
}
