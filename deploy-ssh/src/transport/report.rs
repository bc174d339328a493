//! What a target says of itself. All of it is parsed as if somebody had made it up.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use deploy_core::{
    backend::{Good, Live, Serving},
    model::Release,
    record::RunId,
};

use super::{linked::Linked, rendered::Rendered};
use crate::{
    claim::{ClaimRecord, RunProcess},
    git::oid::Oid,
    layout::{Layout, is_release_id},
    pack::Have,
    session::quote,
    state::{Mark, State, parse_serving},
};

/// How many releases a target may list.
const RELEASES: usize = 1000;
/// How many haves a target may name.
const HAVES: usize = 64;
/// With less free space than this, in kB, nothing is begun.
pub(super) const LEAST_FREE: u64 = 1024;
/// The oldest git that is known to do.
const OLDEST_GIT: (u32, u32) = (2, 11);

/// What a target said.
#[derive(Debug, Clone, Default)]
pub(super) struct Report {
    /// What the live link names: an id, or whatever else it points to.
    pub live: String,
    /// The state file, without its line breaks; empty when there is none.
    pub state: Option<String>,
    /// The first line of the state file, where it has more.
    pub state_head: Option<String>,
    /// Who promoted what is live, as it is written there.
    pub serving: Option<String>,
    /// The claim as it is.
    pub claim_line: Option<String>,
    /// The complete releases.
    pub releases: BTreeMap<String, Mark>,
    /// Those that are told without their marks, which are known.
    known: BTreeSet<String>,
    pub haves: Vec<Have>,
    /// The claim that kept the run out.
    pub claimed: Option<String>,
    /// Whether the release was there already, whole.
    pub is_complete: bool,
    /// Remarks: what was mended, what is in use.
    pub remarks: Vec<String>,
    /// Whether a switch is still at work there.
    pub is_busy: bool,
    /// Whether the report is whole.
    pub is_done: bool,
    /// What only a probe says of rendered files.
    pub rendered: Rendered,
    probe: Probe,
}

/// What only a probe says.
#[derive(Debug, Clone, Default)]
struct Probe {
    git: Option<String>,
    has_gzip: bool,
    missing: Vec<String>,
    unwritable: Vec<String>,
    /// Where file systems are mounted that are read-only.
    readonly: BTreeSet<String>,
    odd: Vec<String>,
    is_half_adopted: bool,
    linked: Linked,
    path: String,
    user: String,
    disk: String,
    filesystem: String,
}

/// Something that a target lacks, or that is in the way there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lack {
    /// What it is.
    pub what: String,
    /// What can be done about it.
    pub cure: String,
}

impl Lack {
    pub(super) fn new(what: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { what: what.into(), cure: cure.into() }
    }

    /// Both, where `what` ends in a list.
    pub(super) fn in_a_line(&self) -> String {
        format!("{}; {}", self.what, self.cure)
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.cure)
    }
}

impl Report {
    /// Reads a report. Lines that are not understood are passed over: they are a login's noise.
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let mut report = Self::default();
        let text = String::from_utf8_lossy(bytes);
        for line in text.lines() {
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            report.take(key, value);
        }
        report
    }

    fn take(&mut self, key: &str, value: &str) {
        let owned = || value.to_owned();
        match key {
            "live" => self.live = owned(),
            "state" => self.state = Some(owned()),
            "state-head" => self.state_head = Some(owned()),
            "serving" => self.serving = Some(owned()),
            "claim" => self.claim_line = Some(owned()),
            "claimed" => self.claimed = Some(owned()),
            "complete" => self.is_complete = true,
            "busy" => self.is_busy = true,
            "done" => self.is_done = true,
            "mended" => self.remarks.push(format!("mended: {value}")),
            "kept" => self.remarks.push(format!("kept: {value}")),
            "release" if self.releases.len() + self.known.len() < RELEASES => {
                if let Some((id, mark)) = value.split_once(' ') {
                    self.releases.extend(Mark::parse(id, mark).map(|mark| (id.to_owned(), mark)));
                } else {
                    self.known.insert(owned());
                }
            }
            "have" if self.haves.len() < HAVES => {
                if let Some((commit, tree)) = value.split_once(' ')
                    && let (Some(commit), Some(tree)) = (Oid::parse(commit), Oid::parse(tree))
                {
                    self.haves.push(Have { commit, tree });
                }
            }
            "git" => self.probe.git = Some(owned()),
            "gzip" => self.probe.has_gzip = true,
            "missing" => self.probe.missing.push(owned()),
            "readonly" => {
                self.probe.readonly.insert(owned());
            }
            "unwritable" => self.probe.unwritable.push(owned()),
            "odd" => self.probe.odd.push(owned()),
            "unfinished" => self.probe.is_half_adopted = true,
            "linked-directory" => self.probe.linked.add_directory(value),
            "linked-else" => self.probe.linked.add_other(value),
            "path" => self.probe.path = owned(),
            "user" => self.probe.user = owned(),
            "disk" => self.probe.disk = owned(),
            "filesystem" => self.probe.filesystem = owned(),
            _ => self.rendered.take(key, value),
        }
    }

    /// This report, with what it does not tell taken from an older one: what only a probe says, the
    /// state, where nobody looked at it, and the marks that were known.
    pub(super) fn after(mut self, older: Option<Self>) -> Self {
        let Some(older) = older else { return self };
        if self.probe.user.is_empty() {
            self.probe = older.probe;
            self.rendered = older.rendered;
        }
        if self.state.is_none() {
            self.state = older.state;
            self.state_head = older.state_head;
        }
        self.serving = self.serving.or(older.serving);
        let known = older.releases.into_iter().filter(|(id, _)| self.known.contains(id));
        self.releases.extend(known);
        self
    }

    /// The first line of the state file.
    pub(super) fn state_head(&self) -> &str {
        self.state_head.as_ref().or(self.state.as_ref()).map_or("", String::as_str)
    }

    /// Takes note of a new state.
    pub(super) fn set_state(&mut self, text: &str) {
        self.state_head = text.split_once('\n').map(|(head, _)| head.to_owned());
        self.state = Some(text.replace('\n', ""));
    }

    /// The state, if it is believed.
    pub(super) fn state(&self) -> Result<State, String> {
        match self.state.as_deref() {
            None | Some("") => Ok(State::default()),
            Some(state) => State::parse(state).map_err(|error| error.to_string()),
        }
    }

    /// The release that is live: by its mark, or as the state remembers it.
    pub(super) fn live_release(&self) -> Option<Release> {
        self.release(&self.live)
    }

    /// The release of an id that is known here.
    pub(super) fn release(&self, id: &str) -> Option<Release> {
        let marked = self.releases.get(id).and_then(Mark::release);
        let remembered = || {
            let serving = self.promoted().map(|serving| serving.release);
            let good = self.state().unwrap_or_default().good;
            let mut known = serving.into_iter().chain(good.into_iter().map(|good| good.release));
            known.find(|release| release.id.as_str() == id)
        };
        // The state knows the name it was deployed under; the mark, that of the first time.
        remembered().or(marked)
    }

    /// Who promoted what is live, where that is known.
    pub(super) fn serving(&self) -> Option<Serving> {
        let release = self.live_release()?;
        Some(match self.promoted().filter(|serving| serving.release == release) {
            Some(serving) => serving,
            None => Serving { release, since: None, by: None, run: None },
        })
    }

    /// The links by which the live release shares what it does, where it was adopted.
    pub(super) fn linked(&self) -> Option<&Linked> {
        let live = self.releases.get(&self.live)?;
        live.is_adopted().then_some(&self.probe.linked)
    }

    /// What was promoted last, and by whom.
    pub(super) fn promoted(&self) -> Option<Serving> {
        self.serving.as_deref().and_then(parse_serving)
    }

    /// Where the file system is mounted, for a message; said only when there is little room.
    pub(super) fn mount(&self) -> Option<&str> {
        self.probe.disk.split_once(' ').map(|(_, mount)| mount)
    }

    /// Whether the file system is one that can share the blocks of files.
    pub(super) fn can_reflink(&self) -> bool {
        ["btrfs", "xfs", "bcachefs"].contains(&self.probe.filesystem.as_str())
    }

    /// The kind of that file system.
    pub(super) fn filesystem(&self) -> &str {
        &self.probe.filesystem
    }

    /// Whether it can unpack what gzip packed.
    pub(super) fn has_gzip(&self) -> bool {
        self.probe.has_gzip
    }

    /// The user that we are there, and whether that is root.
    pub(super) fn user(&self) -> Option<(&str, bool)> {
        self.probe.user.split_once(' ').map(|(name, uid)| (name, uid == "0"))
    }

    /// The answer to what a target serves.
    pub(super) fn into_live(
        self,
        layout: &Layout,
        needs_git: bool,
        run: &RunId,
        here: &RunProcess,
    ) -> Live {
        let lacks = self.lacks(layout, needs_git).iter().map(Lack::to_string).collect();
        let claim = self.claim().map(|record| record.claim(run, here));
        let state = self.state();
        let good = state.unwrap_or_default().good.into_iter().map(|good| Good {
            present: self.releases.contains_key(good.release.id.as_str()),
            release: good.release,
            run: good.run,
            by: good.by,
            at: good.at,
        });
        let foreign = self.is_foreign(layout);
        let (good, serving, notes) = (good.collect(), self.serving(), self.remarks);
        Live { good, serving, claim, foreign, torn: false, lacks, notes, details: Vec::new() }
    }

    /// Whether something that is not ours lies at the live path.
    fn is_foreign(&self, layout: &Layout) -> bool {
        let (kind, to) = self.probe.path.split_once(' ').unwrap_or((&self.probe.path, ""));
        match kind {
            "directory" | "file" => true,
            "link" => !is_our_link(layout.path(), &layout.cache(), to),
            _ => false,
        }
    }

    /// The claim, where it can be read.
    pub(super) fn claim(&self) -> Option<ClaimRecord> {
        self.claim_line.as_deref().and_then(ClaimRecord::parse)
    }

    /// What is missing for a deploy, or in its way.
    pub(super) fn lacks(&self, layout: &Layout, needs_git: bool) -> Vec<Lack> {
        let (path, cache) = (layout.path(), layout.cache());
        let mut lacks = self.tool_lacks(needs_git);
        let probe = &self.probe;
        lacks.extend(probe.odd.iter().map(|odd| Lack::new(odd, "move it away")));
        let who = self.user().map_or("the login user", |(name, _)| name);
        lacks.extend(probe.unwritable.iter().map(|dir| {
            let cure = format!("make {who} its owner, or choose another live path");
            Lack::new(format!("{dir} is not writable"), cure)
        }));
        lacks.extend(probe.readonly.iter().map(|mount| {
            let cure = format!("mount -o remount,rw {}", quote(mount));
            Lack::new(format!("the file system at {mount} is mounted read-only"), cure)
        }));
        if probe.is_half_adopted {
            lacks.push(Lack::new("its adoption was broken off", "`deploy-cli adopt` finishes it"));
        } else {
            lacks.extend(self.path_lack(path, &cache));
        }
        if let Some((free, mount)) = probe.disk.split_once(' ')
            && free.parse().is_ok_and(|free: u64| free < LEAST_FREE)
        {
            lacks.push(Lack::new(
                format!("disk full on {mount}"),
                format!("{free} kB are free; make room"),
            ));
        }
        if !self.live.is_empty() && self.live_release().is_none() {
            let what = if is_release_id(&self.live) { "has no release" } else { "is not ours" };
            let live = format!("{cache}/live points to {:?}, which {what}", self.live);
            lacks.push(Lack::new(live, "point it to a release, or remove it"));
        }
        if let Err(why) = self.state() {
            let file = format!("{cache}/state.json {why}");
            lacks.push(Lack::new(file, "look at it, and move it away to start anew"));
        }
        if self.claim_line.is_some() && self.claim().is_none() {
            let file = format!("{cache}/claim.json cannot be read");
            lacks.push(Lack::new(file, "`deploy-cli unlock` removes it"));
        }
        lacks
    }

    fn tool_lacks(&self, needs_git: bool) -> Vec<Lack> {
        let mut lacks = Vec::new();
        match self.probe.git.as_deref().map(git_version) {
            _ if !needs_git => {}
            None => lacks.push(Lack::new("no git", "install it there")),
            Some(Some(version)) if version < OLDEST_GIT => {
                let (major, minor) = OLDEST_GIT;
                let cure =
                    format!("{}.{} is there, {major}.{minor} is needed", version.0, version.1);
                lacks.push(Lack::new("needs a newer git", cure));
            }
            Some(_) => {}
        }
        if !self.probe.missing.is_empty() {
            let missing = format!("no {}", self.probe.missing.join(", no "));
            lacks.push(Lack::new(missing, "install GNU coreutils and findutils, or busybox"));
        }
        lacks
    }

    fn path_lack(&self, path: &str, cache: &str) -> Option<Lack> {
        let name = path.rsplit('/').next().unwrap_or_default();
        let (kind, to) = self.probe.path.split_once(' ').unwrap_or((&self.probe.path, ""));
        let way_out = format!("move it away (`mv {path} {path}.before`), or choose another path");
        let adopt = "`deploy-cli adopt` takes it over; or";
        match kind {
            "directory" => Some(Lack::new(
                format!("{path} is a plain directory"),
                format!("{adopt} {way_out}"),
            )),
            "file" => Some(Lack::new(format!("{path} is a file"), way_out)),
            "ours" => None,
            "link" if !is_our_link(path, cache, to) => {
                let link = format!("{path} is a link to {to:?}, which is not ours");
                Some(Lack::new(link, format!("{adopt} {way_out}")))
            }
            "none" if !self.live.is_empty() => {
                let cure = format!("`ln -s {name}-cache/live {path}` brings it back");
                Some(Lack::new(format!("{path}, the link to what is live"), cure))
            }
            _ => None,
        }
    }
}

/// Whether a link at `path` that leads `to` there is what we put there.
fn is_our_link(path: &str, cache: &str, to: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    to == format!("{name}-cache/live") || to == format!("{cache}/live")
}

/// Major and minor of `git version 2.39.5`.
fn git_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.strip_prefix("git version ")?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn live(text: &str) -> Live {
        let layout = Layout::new("/srv/app/live").unwrap();
        let here = RunProcess::current().unwrap();
        let run = RunId::new("r1").unwrap();
        Report::parse(text.as_bytes()).into_live(&layout, true, &run, &here)
    }

    #[test]
    fn a_fresh_target_lacks_nothing() {
        let fresh = "git git version 2.39.5\nuser deploy 1000\npath none\ndisk 9999999 /srv\n\
            filesystem ext2/ext3\nlive \nstate \ndone \n";
        assert_eq!(live(fresh), Live::default());
    }

    #[test]
    fn what_is_missing_is_named_with_a_way_out() {
        let poor = "missing mv -T\nuser deploy 1000\npath directory\ndisk 12 /srv\n\
            unwritable /srv/app\nreadonly /srv\nreadonly /srv\nlive ../../etc\nstate {}\nclaim {\ndone ";
        let lacks = live(poor).lacks.join("\n");
        for part in [
            "git: install",
            "mv -T: install GNU coreutils",
            "/srv/app/live is a plain directory: `deploy-cli adopt` takes it over; or move it away",
            "disk full on /srv",
            "make deploy its owner",
            "the file system at /srv is mounted read-only: mount -o remount,rw /srv",
            "points to \"../../etc\", which is not ours",
            "state.json cannot be read",
            "`deploy-cli unlock`",
        ] {
            assert!(lacks.contains(part), "{part}: {lacks}");
        }
        assert!(live("git git version 1.8.3\npath none").lacks[0].contains("a newer git"));
        let link = live("git git version 2.39\npath link /etc\nlive \n");
        assert!(link.lacks[0].contains("is a link to \"/etc\""), "{:?}", link.lacks);
        assert!(link.foreign && live(poor).foreign);
        let ours = "git git version 2.39\npath link live-cache/live\nlive \n";
        assert!(!live(ours).foreign && !live("git git version 2.39\npath none\n").foreign);
    }

    #[test]
    fn strange_ids_and_haves_are_passed_over() {
        let id = "0123456789ab-0123456789ab";
        let mark = format!(r#"{{"id":"{id}","version":{{"id":"{COMMIT}"}},"tree":"{COMMIT}"}}"#);
        let report = Report::parse(
            format!(
                "release {id} {mark}\nrelease ../x {mark}\nrelease {id}\nhave {COMMIT} {COMMIT}\n\
                 have --all {COMMIT}\nhave {COMMIT}^ {COMMIT}\nhave HEAD HEAD\n"
            )
            .as_bytes(),
        );
        assert_eq!(report.releases.len(), 1);
        assert_eq!(report.haves.len(), 1);
        let many = format!("have {COMMIT} {COMMIT}\n").repeat(100);
        assert_eq!(Report::parse(many.as_bytes()).haves.len(), HAVES);
    }
}
