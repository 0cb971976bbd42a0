//! How results name the cluster that a run was on: `kind (Docker answers)`, `existing (staging)`, and
//! `existing (staging, rehearsed)` of one of ours with what was captured there.

use super::{MergedRun, Results};

/// What the name of an existing cluster begins with.
const EXISTING: &str = "existing (";

/// How the name of a rehearsal ends.
const REHEARSED: &str = ", rehearsed)";

/// The existing cluster of this context.
pub fn existing(context: &str) -> String {
    format!("{EXISTING}{context})")
}

/// A cluster of ours with what was captured on the existing one of this context.
pub fn rehearsed(context: &str) -> String {
    format!("{EXISTING}{context}{REHEARSED}")
}

/// What tells the cluster from others: of one of ours its kind and not why it was chosen, of an existing one its context too.
fn place(cluster: &str) -> &str {
    if cluster.starts_with(EXISTING) { cluster } else { kind(cluster) }
}

fn kind(cluster: &str) -> &str {
    cluster.split(' ').next().unwrap_or_default()
}

impl Results {
    /// What tells its cluster from others: `kind`, `existing (staging)`.
    pub fn place(&self) -> &str {
        place(&self.cluster)
    }

    /// The kind of its cluster: `kind`, `embedded`, `existing`.
    pub fn kind(&self) -> &str {
        kind(&self.cluster)
    }

    /// The existing cluster that it is about, whether it was there or rehearsed; `None` of one of ours.
    pub fn context(&self) -> Option<&str> {
        let context = self.cluster.strip_prefix(EXISTING)?;
        context.strip_suffix(REHEARSED).or_else(|| context.strip_suffix(')'))
    }

    /// Its runs, each with its number among those on one cluster with one profile, from 1. One that did not begin may
    /// have been on any: what it would have said is not taken for what another one says.
    pub fn numbered(&self) -> Vec<(usize, Results)> {
        let runs = self.split();
        let is_alike = |earlier: &Results, run: &Results| {
            earlier.started.is_empty()
                || (earlier.place(), &earlier.profile) == (run.place(), &run.profile)
        };
        let number = |(position, run): (usize, &Results)| {
            1 + runs[..position].iter().filter(|earlier| is_alike(earlier, run)).count()
        };
        let numbers: Vec<usize> = runs.iter().enumerate().map(number).collect();
        numbers.into_iter().zip(runs).collect()
    }
}

impl MergedRun {
    /// What tells its cluster from others.
    pub fn place(&self) -> &str {
        place(&self.cluster)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn existing_clusters_are_told_apart_and_own_ones_by_their_kinds() {
        let run = |cluster: String| Results { cluster, ..Results::default() };
        let (own, there) = (run("kind (Docker answers)".to_owned()), run(existing("a, b (c)")));
        let here = run(rehearsed("a, b (c)"));
        assert_eq!([own.place(), there.place()], ["kind", "existing (a, b (c))"]);
        assert_ne!(there.place(), here.place());
        assert_eq!([own.context(), there.context()], [None, Some("a, b (c)")]);
        assert_eq!((here.context(), here.kind()), (there.context(), "existing"));
    }

    #[test]
    fn runs_on_one_cluster_with_one_profile_are_numbered() {
        let run = |id: &str, cluster: &str| Results {
            run: id.to_owned(),
            cluster: cluster.to_owned(),
            started: "2026-01-01T00:00:00Z".to_owned(),
            ..Results::default()
        };
        let lost = Results { run: "lost.json".to_owned(), ..Results::default() };
        let behind = Results::merged(vec![lost, run("a", "kind (one)")]).numbered();
        assert_eq!(behind.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 2]);
        let runs = vec![run("a", "kind (one)"), run("b", "embedded"), run("c", "kind (other)")];
        let numbered = Results::merged(runs).numbered();
        let told: Vec<_> = numbered.iter().map(|(number, run)| (*number, &*run.run)).collect();
        assert_eq!(told, [(1, "a"), (1, "b"), (2, "c")]);
    }
}
