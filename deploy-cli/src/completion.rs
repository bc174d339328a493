//! What a shell offers for an argument: versions, hosts, environments, runs, keys.
//!
//! Only what is known on this machine: no host is asked, nothing is fetched, and what cannot be
//! learnt is not offered. A word is offered only if no shell could read more than a word into it:
//! a tag may be named `v1;reboot`, and a person who presses TAB has not read it yet.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    path::PathBuf,
    sync::Arc,
};

use clap_complete::CompletionCandidate;
use deploy_core::model::Environment;

use crate::{
    args::GlobalArgs,
    config::{self, Setting},
    context::{Context, Project},
    hosts::Ended,
    observers::Touched,
    repo::Repo,
    state::Past,
    ui::{Color, Ui},
    wire,
};

/// The variable by which a shell asks for completions.
pub const VARIABLE: &str = "DEPLOY_CLI_COMPLETE";

/// The name by which the program is called.
pub const PROGRAM: &str = "deploy-cli";

/// The most words that are offered: more help nobody.
const MOST: usize = 500;

/// Versions: `latest`, `previous`, tags.
pub fn versions(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(context) = context() else { return Vec::new() };
    let tags = Repo::find(&context.cwd).map(|repo| repo.tags()).unwrap_or_default();
    // The names of tags rise, mostly: the newest are last.
    offer(
        current,
        ["latest", "previous"].map(str::to_owned).into_iter().chain(tags.into_iter().rev()),
    )
}

/// Environments of the configuration.
pub fn environments(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(context) = context() else { return Vec::new() };
    offer(current, defined(&context).iter().map(ToString::to_string))
}

/// One host.
pub fn host(current: &OsStr) -> Vec<CompletionCandidate> {
    offer(current, all_hosts())
}

/// A list of hosts, as `--hosts` takes it: what stands before the last comma is kept.
pub fn hosts(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else { return Vec::new() };
    let at = current.rfind([',', '!']).map_or(0, |at| at + 1);
    let (before, last) = current.split_at(at);
    if let Some(list) = last.strip_prefix('@') {
        let lists = runs_known()
            .into_iter()
            .flat_map(|run| Ended::each_word().map(move |ended| format!("{run}/{ended}")));
        return offer(OsStr::new(list), lists)
            .into_iter()
            .map(|c| c.add_prefix(format!("{before}@")))
            .collect();
    }
    let named: BTreeSet<&str> = before.split([',', '!']).collect();
    let left = all_hosts().into_iter().filter(|host| !named.contains(host.as_str()));
    offer(OsStr::new(last), left).into_iter().map(|c| c.add_prefix(before)).collect()
}

/// Runs of the past: `last`, and ids, newest first.
pub fn runs(current: &OsStr) -> Vec<CompletionCandidate> {
    offer(current, runs_known())
}

/// Keys of the configuration that have a value.
pub fn keys(current: &OsStr) -> Vec<CompletionCandidate> {
    let of_each = projects().into_iter().map(|project| named_keys(&project.loaded.all_settings()));
    offer(current, of_each.flatten().collect::<BTreeSet<String>>())
}

/// `group.0.hosts` as `group.canary.hosts`, as one would rather write it.
fn named_keys(settings: &[Setting]) -> Vec<String> {
    let mut names: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    for setting in settings {
        if let [table, index, "name"] = setting.key.split('.').collect::<Vec<_>>()[..]
            && let Some(name) = setting.value.as_str().filter(|name| !name.contains('.'))
        {
            names.insert((table, index), name);
        }
    }
    let named = |setting: &Setting| {
        let mut parts: Vec<&str> = setting.key.splitn(3, '.').collect();
        if let [table, index, _] = parts[..] {
            parts[1] = names.get(&(table, index)).unwrap_or(&index);
        }
        parts.join(".")
    };
    settings.iter().map(named).collect()
}

fn all_hosts() -> BTreeSet<String> {
    let groups = projects().into_iter().filter_map(|project| wire::groups(&project.loaded).ok());
    groups.flatten().flat_map(|group| group.targets).map(|target| target.to_string()).collect()
}

fn runs_known() -> Vec<String> {
    let all = projects().into_iter().flat_map(|project| Past::all(&project.state));
    let mut ids: Vec<String> = all.map(|past| past.run.to_string()).collect();
    ids.sort_by(|a, b| b.cmp(a));
    ["last".to_owned()].into_iter().chain(ids).collect()
}

fn offer(current: &OsStr, words: impl IntoIterator<Item = String>) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else { return Vec::new() };
    let words = words.into_iter().filter(|word| word.starts_with(current) && is_plain(word));
    words
        .take(MOST)
        .enumerate()
        .map(|(order, word)| CompletionCandidate::new(word).display_order(Some(order)))
        .collect()
}

/// Whether every shell takes it as this very word.
fn is_plain(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._/+:@%-".contains(c);
    !word.is_empty() && !word.starts_with('-') && word.chars().all(plain)
}

/// The project for the environment that is named on the command line so far, or for each.
fn projects() -> Vec<Project> {
    let Some(context) = context() else { return Vec::new() };
    if let Ok(project) = context.project() {
        return vec![project];
    }
    let in_each = defined(&context).into_iter().filter_map(|environment| {
        let mut context = context.clone();
        context.global.env = Some(environment);
        context.project().ok()
    });
    in_each.collect()
}

fn defined(context: &Context) -> Vec<Environment> {
    let Ok(repo) = Repo::find(&context.cwd) else { return Vec::new() };
    config::environments(&context.wanted(&repo)).unwrap_or_default()
}

/// Where the person stands, with what the unfinished command line says already.
fn context() -> Option<Context> {
    let words: Vec<String> =
        std::env::args_os().filter_map(|word| word.into_string().ok()).collect();
    let given = |option: &str| {
        let after = words.iter().position(|word| word == option)?;
        words.get(after + 1).cloned()
    };
    let global = GlobalArgs {
        env: given("--env").and_then(|name| Environment::new(name).ok()),
        config: given("--config").map(PathBuf::from),
        ..GlobalArgs::default()
    };
    Some(Context {
        cwd: std::env::current_dir().ok()?,
        global,
        ui: Ui::new(Color::Never, false),
        customize: Arc::new(|_, backend| Ok(backend)),
        touched: Touched::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_are_offered_that_no_shell_reads_more_into() {
        let tags =
            ["v1", "v1;reboot", "v1$(reboot)", "v1`a`", "v1|a", "v1\u{202e}", "v1 a", "-v1", "v1&"];
        let offered = offer(OsStr::new(""), tags.map(str::to_owned));
        let offered: Vec<&OsStr> = offered.iter().map(CompletionCandidate::get_value).collect();
        assert_eq!(offered, ["v1"]);
    }
}
