//! What the targets of a plan are called, for people.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What the targets of a plan are called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Noun {
    /// Hosts.
    #[default]
    Host,
    /// Clusters.
    Cluster,
    /// Of several kinds.
    Target,
}

impl Noun {
    /// One of them: `host`.
    pub fn one(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Cluster => "cluster",
            Self::Target => "target",
        }
    }

    /// Several of them: `hosts`.
    pub fn many(self) -> &'static str {
        match self {
            Self::Host => "hosts",
            Self::Cluster => "clusters",
            Self::Target => "targets",
        }
    }

    /// `1 host`, `2 hosts`.
    pub fn count(self, number: usize) -> Counted {
        Counted { noun: self, number }
    }

    /// What all of `nouns` are; hosts where there are none.
    pub fn of(nouns: impl IntoIterator<Item = Self>) -> Self {
        let mut nouns = nouns.into_iter();
        let Some(first) = nouns.next() else { return Self::default() };
        if nouns.all(|noun| noun == first) { first } else { Self::Target }
    }

    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A number of targets. Displays as `2 hosts`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    noun: Noun,
    number: usize,
}

impl Counted {
    /// How many.
    pub fn number(self) -> usize {
        self.number
    }
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { noun, number } = *self;
        write!(f, "{number} {}", if number == 1 { noun.one() } else { noun.many() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_of_several_kinds_are_targets() {
        assert_eq!(Noun::of([]), Noun::Host);
        assert_eq!(Noun::of([Noun::Cluster, Noun::Cluster]), Noun::Cluster);
        assert_eq!(Noun::of([Noun::Host, Noun::Cluster]).count(2).to_string(), "2 targets");
        assert_eq!(Noun::Cluster.count(1).to_string(), "1 cluster");
    }
}
