//! What is refused of templates and their variables.

use std::path::Path;

use figment::value::Dict;

use super::{check_path, told};
use crate::{
    config::{
        Config,
        error::{Told, suggest},
    },
    hosts,
};

/// Refuses what templates could not see, or nobody could mean.
pub(super) fn check(config: &Config) -> Result<(), Told> {
    variables(config)?;
    templates(config)
}

/// Variables that templates could not see, and files that nobody could mean.
fn variables(config: &Config) -> Result<(), Told> {
    let ours = |vars: &Dict| ["deploy", "secret"].into_iter().find(|name| vars.contains_key(*name));
    let problem = "is what templates get from the deploy itself: choose another name";
    if let Some(name) = ours(&config.vars) {
        return Err(told(["vars", name], problem));
    }
    for (index, group) in config.group.iter().enumerate() {
        if let Some(name) = ours(&group.vars) {
            return Err(told(["group", &index.to_string(), "vars", name], problem));
        }
    }
    for (host, vars) in &config.host_vars {
        if let Err(error) = hosts::expand(host) {
            return Err(told(["host_vars", host], error.to_string()));
        }
        if let Some(name) = ours(vars) {
            return Err(told(["host_vars", host, name], problem));
        }
    }
    for (index, file) in config.vars_files.iter().enumerate() {
        let index = index.to_string();
        check_path(&["vars_files", &index], Path::new(file))?;
        if !file.ends_with(".toml") && !file.ends_with(".json") {
            return Err(told(["vars_files", &index], "is neither `.toml` nor `.json`"));
        }
        let places = ["{environment}", "{group}", "{host}"];
        let rest = places.iter().fold(file.clone(), |rest, place| rest.replace(place, ""));
        if rest.contains(['{', '}']) {
            let problem = "may have {environment}, {group} and {host} in its name, and no other";
            return Err(told(["vars_files", &index], problem));
        }
    }
    Ok(())
}

fn templates(config: &Config) -> Result<(), Told> {
    for (index, template) in config.template.iter().enumerate() {
        for (at, group) in template.groups.iter().enumerate() {
            let names: Vec<&str> = config.group.iter().map(|group| group.name.as_str()).collect();
            if !names.contains(&group.as_str()) {
                let (index, at) = (index.to_string(), at.to_string());
                return Err(Told {
                    hint: Some(suggest(group.as_str(), &names)),
                    ..told(
                        ["template", &index, "groups", &at],
                        format!("there is no group {group}"),
                    )
                });
            }
        }
    }
    if config.secrets_file.is_some() && config.template.is_empty() {
        let hint = "remove that line, or add the [[template]] that writes its secrets";
        return Err(Told {
            hint: Some(hint.to_owned()),
            ..told(["secrets_file"], "goes with [[template]] only")
        });
    }
    Ok(())
}
