//! A transport of one's own: versions of a git repository, brought by rsync into directories.
//!
//! `cargo run -p examples --example custom_transport` lets the conformance suite try every promise
//! that [`Transport`] makes. `own_binary.rs` uses the same transport in a deploy program.
//!
//!     ROOT/<target>/live             -> releases/<commit>      what is served
//!     ROOT/<target>/releases/<commit>/                         one version, whole
//!     ROOT/<target>/state.json                                 what is good
//!     ROOT/<target>/claim.json                                 the run at work

#[path = "custom_transport/place.rs"]
mod place;
#[path = "custom_transport/suite.rs"]
mod suite;

use std::{fs, io, path::PathBuf, process::Stdio};

use async_trait::async_trait;
use deploy_core::{
    backend::{
        BackendError, Claim, Closing, ErrorKind, Good, Live, Scope, Serving, Standing, Transport,
    },
    model::{Release, ReleaseId, Target, Version},
    plan::Change,
    record::RunId,
};
use deploy_ssh::RunProcess;
use jiff::Timestamp;
use place::{Place, gone};
use tokio::{process::Command, time::timeout_at};

/// In steps, since a pipe would hide that its first part failed.
const COPY: &str = r#"git -C "$1" archive -o "$3/tree.tar" "$2"; mkdir "$3/tree"
tar -x -f "$3/tree.tar" -C "$3/tree"; exec rsync -a --checksum --link-dest="$5/" "$3/tree/" "$4/""#;

/// Brings versions of a git repository into directories, by rsync.
///
/// What is small is done by plain calls of the file system, which end at once on a local disk; the
/// copy, which may be long, heeds the deadline and the order to stop.
#[derive(Debug)]
pub struct Rsync {
    root: PathBuf,
    repository: PathBuf,
    keep: usize,
    process: RunProcess,
}

impl Rsync {
    /// Versions of `repository`, below `root`. Claims are made in the name of `process`.
    pub fn new(
        root: impl Into<PathBuf>,
        repository: impl Into<PathBuf>,
        process: RunProcess,
    ) -> Self {
        Self { root: root.into(), repository: repository.into(), keep: 2, process }
    }

    fn place(&self, target: &Target) -> Place {
        Place(self.root.join(target.as_str()))
    }

    fn standing(&self, claim: &place::Claim, run: &RunId) -> Standing {
        if claim.run == run.as_str() && claim.process == self.process {
            Standing::Ours
        } else if claim.process.is_dead(&self.process) {
            Standing::Dead
        } else {
            Standing::Foreign
        }
    }

    /// Claims the target, or takes over from a run that is proven dead: the first thing that every
    /// change does.
    fn hold(&self, place: &Place, attempted: &str, scope: &Scope) -> Result<(), BackendError> {
        let failed = |error: io::Error| rejected(attempted, error);
        if let Some(claim) = place.claim().map_err(failed)? {
            match self.standing(&claim, &scope.run) {
                Standing::Ours => return Ok(()),
                Standing::Dead => place.drop_claim().map_err(failed)?,
                Standing::Foreign => {
                    return Err(BackendError::new(ErrorKind::Claimed, attempted)
                        .with_source(format!("the run {} of {} holds it", claim.run, claim.who)));
                }
            }
        }
        let claim = place::Claim {
            run: scope.run.to_string(),
            who: scope.who.clone(),
            since: Timestamp::now(),
            process: self.process.clone(),
        };
        place.make_claim(&claim).map_err(failed)
    }

    /// Makes the files of a version, and copies them; what is unchanged is linked to `live`.
    async fn copy(
        &self,
        place: &Place,
        release: &Release,
        scope: &Scope,
    ) -> Result<(), BackendError> {
        let attempted = format!("copy {release}");
        let failed = |error: io::Error| rejected(&attempted, error);
        let exported = tempfile::tempdir().map_err(failed)?;
        let partial = place.partial(&release.id);
        if partial.exists() {
            fs::remove_dir_all(&partial).map_err(failed)?;
        }
        let mut copy = Command::new("sh");
        copy.args(["-euc", COPY, "sh"]).arg(&self.repository).arg(release.version.id.as_str());
        copy.arg(exported.path()).arg(&partial).arg(place.0.join("live"));
        copy.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let ended = tokio::select! {
            ended = timeout_at(scope.deadline, copy.output()) => ended,
            () = scope.cancel.cancelled() => {
                return Err(BackendError::new(ErrorKind::Cancelled, attempted));
            }
        };
        let output = ended
            .map_err(|_| BackendError::new(ErrorKind::TimedOut, &attempted))?
            .map_err(failed)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(rejected(&attempted, output.status.to_string()).with_evidence(said));
        }
        // The version's name lies beside the files that it names, and arrives with them.
        let named = serde_json::to_vec(&release.version).map_err(io::Error::from);
        named
            .and_then(|named| fs::write(partial.join(".version"), named))
            .and_then(|()| fs::rename(&partial, place.release(&release.id)))
            .map_err(failed)
    }

    /// Removes what is neither live, nor the way back, nor one of the newest good.
    fn prune(&self, place: &Place, good: &[Good], closing: &Closing) -> io::Result<()> {
        let live = place.live()?;
        let back = closing.back.as_ref().map(|back| &back.id);
        let present = good.iter().filter(|good| place.release(&good.release.id).exists());
        for old in present.skip(self.keep).map(|good| &good.release.id) {
            if Some(old) != live.as_ref() && Some(old) != back {
                gone(fs::remove_dir_all(place.release(old)))?;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Transport for Rsync {
    fn release(&self, _: &Target, version: &Version) -> Result<Release, BackendError> {
        // Nothing but the commit decides what is served here.
        let id = ReleaseId::new(version.id.as_str());
        let id = id.map_err(|error| rejected("name the release", error))?;
        Ok(Release { id, version: version.clone() })
    }

    async fn live(&self, target: &Target, scope: &Scope) -> Result<Live, BackendError> {
        let place = self.place(target);
        let read = || -> io::Result<Live> {
            let state = place.state()?;
            let serving = match place.live()? {
                None => None,
                Some(id) => match state.promoted {
                    Some(promoted) if promoted.release.id == id => Some(promoted),
                    _ => {
                        let named = fs::read(place.release(&id).join(".version"))?;
                        let version = serde_json::from_slice(&named)?;
                        let release = Release { id, version };
                        Some(Serving { release, since: None, by: None, run: None })
                    }
                },
            };
            let here = |good: &Good| place.release(&good.release.id).exists();
            let good = state.good.into_iter().map(|good| Good { present: here(&good), ..good });
            let claim = place.claim()?.map(|claim| {
                let standing = self.standing(&claim, &scope.run);
                let run = RunId::new(&claim.run).map_err(io::Error::other)?;
                Ok::<_, io::Error>(Claim { run, who: claim.who, since: claim.since, standing })
            });
            let claim = claim.transpose()?;
            Ok(Live { serving, good: good.collect(), claim, ..Live::default() })
        };
        read().map_err(|error| rejected("ask what it serves", error))
    }

    async fn fetch(
        &self,
        target: &Target,
        change: &Change,
        scope: &Scope,
    ) -> Result<(), BackendError> {
        let Some(release) = &change.to else { return Ok(()) };
        let place = self.place(target);
        self.hold(&place, "fetch", scope)?;
        if place.release(&release.id).exists() {
            return Ok(());
        }
        self.copy(&place, release, scope).await
    }

    async fn promote(
        &self,
        target: &Target,
        change: &Change,
        scope: &Scope,
    ) -> Result<(), BackendError> {
        let (place, attempted) = (self.place(target), "switch");
        let failed = |error: io::Error| rejected(attempted, error);
        self.hold(&place, attempted, scope)?;
        let (live, to) = (place.live().map_err(failed)?, change.to.as_ref());
        if live.as_ref() == to.map(|to| &to.id) {
            return Ok(());
        }
        if live.as_ref() != change.from.as_ref().map(|from| &from.id) {
            let now = live.map_or("nothing".to_owned(), |id| id.to_string());
            return Err(BackendError::new(ErrorKind::Conflict, attempted)
                .with_source(format!("it serves {now} now")));
        }
        if let Some(to) = to.filter(|to| !place.release(&to.id).exists()) {
            return Err(BackendError::new(ErrorKind::NotFound, attempted)
                .with_source(format!("{to} is not there")));
        }
        let mut state = place.state().map_err(failed)?;
        state.promoted = to.map(|to| Serving {
            release: to.clone(),
            since: Some(Timestamp::now()),
            by: Some(scope.who.clone()),
            run: Some(scope.run.clone()),
        });
        place.set_live(to.map(|to| &to.id)).and_then(|()| place.set_state(&state)).map_err(failed)
    }

    async fn finalize(
        &self,
        target: &Target,
        closing: &Closing,
        scope: &Scope,
    ) -> Result<(), BackendError> {
        let place = self.place(target);
        let failed = |error: io::Error| rejected("finalize", error);
        if let Some(release) = &closing.good {
            self.hold(&place, "finalize", scope)?;
            let mut state = place.state().map_err(failed)?;
            state.good.retain(|good| good.release != *release);
            let (run, by, at) = (scope.run.clone(), scope.who.clone(), Timestamp::now());
            state.good.insert(0, Good { release: release.clone(), run, by, at, present: true });
            place.set_state(&state).map_err(failed)?;
            self.prune(&place, &state.good, closing).map_err(failed)?;
        }
        let ours = place
            .claim()
            .map_err(failed)?
            .is_some_and(|claim| self.standing(&claim, &scope.run) == Standing::Ours);
        if ours { place.drop_claim().map_err(failed) } else { Ok(()) }
    }
}

fn rejected(
    attempted: &str,
    why: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> BackendError {
    BackendError::new(ErrorKind::Rejected, attempted).with_source(why)
}

#[tokio::main]
async fn main() -> io::Result<()> {
    deploy_core::testing::conformance::all(&suite::Directories::new()?).await;
    println!("every promise is kept");
    Ok(())
}
