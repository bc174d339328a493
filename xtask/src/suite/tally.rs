//! How many tests passed and failed, read from what test runners print.

use std::{fmt, ops::AddAssign};

/// Sums over test runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Tally {
    /// The counts in `line`, if it is a runner's summary.
    pub(super) fn read(line: &str) -> Option<Self> {
        // What nextest shows of a test that failed has such a line too, indented.
        line.strip_prefix("test result: ")
            .and_then(Self::read_libtest)
            .or_else(|| line.trim().strip_prefix("Summary [").and_then(Self::read_nextest))
    }

    /// "ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s"
    fn read_libtest(rest: &str) -> Option<Self> {
        let (_, counts) = rest.split_once(". ")?;
        let count = |word| count(counts.split("; "), word);
        Some(Self {
            passed: count("passed")?,
            failed: count("failed")?,
            skipped: count("ignored")?,
        })
    }

    /// "   0.2s] 4 tests run: 3 passed (1 slow), 1 failed, 2 skipped"
    fn read_nextest(rest: &str) -> Option<Self> {
        let (_, rest) = rest.split_once("] ")?;
        let (run, counts) = rest.split_once(" run: ")?;
        // "4 tests", or "3/4 tests" when not all were run.
        let run: usize = run.split([' ', '/']).next()?.parse().ok()?;
        let count = |word| count(counts.split(", "), word).unwrap_or(0);
        let passed = count("passed");
        Some(Self { passed, failed: run.saturating_sub(passed), skipped: count("skipped") })
    }

    /// Adds a run of tests that an earlier run has counted as skipped.
    pub(super) fn add_skipped_before(&mut self, run: Self) {
        self.passed += run.passed;
        self.failed += run.failed;
        self.skipped = self.skipped.saturating_sub(run.passed + run.failed);
    }

    /// Counts steps that failed as a whole, without a failed test.
    pub(super) fn count_broken_steps(&mut self, steps: usize) {
        self.failed += steps;
    }

    /// Whether a run of tests that ended like this has failed without a failed test: something
    /// else did, or it ran none (a filter that fits no test is a success to the runner).
    pub(super) fn hides_failure(self, success: bool) -> bool {
        if success { self.passed + self.failed == 0 } else { self.is_good() }
    }

    pub(super) fn is_good(self) -> bool {
        self.failed == 0
    }
}

/// The number in the first part that reads "N word…".
fn count<'a>(mut parts: impl Iterator<Item = &'a str>, word: &str) -> Option<usize> {
    parts.find_map(|part| {
        let (number, rest) = part.trim().split_once(' ')?;
        if rest.starts_with(word) { number.parse().ok() } else { None }
    })
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 { write!(f, ", {} skipped", self.skipped) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(passed: usize, failed: usize, skipped: usize) -> Option<Tally> {
        Some(Tally { passed, failed, skipped })
    }

    #[test]
    fn summaries_of_both_runners_are_read() {
        let table = [
            (
                "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s\n",
                tally(3, 0, 1),
            ),
            (
                "test result: FAILED. 2 passed; 4 failed; 0 ignored; 0 measured; 9 filtered out; finished in 1s",
                tally(2, 4, 0),
            ),
            (
                "     Summary [   0.212s] 4 tests run: 3 passed (1 slow), 1 failed, 2 skipped",
                tally(3, 1, 2),
            ),
            ("     Summary [   0.212s] 1 test run: 1 passed, 0 skipped", tally(1, 0, 0)),
            (
                "     Summary [   9.000s] 3/9 tests run: 1 passed, 1 failed, 1 timed out, 2 skipped",
                tally(1, 2, 2),
            ),
            ("    test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured", None),
            ("test tests::a ... ok", None),
            ("running 3 tests", None),
        ];
        for (line, expected) in table {
            assert_eq!(Tally::read(line), expected, "{line}");
        }
    }

    #[test]
    fn a_run_succeeds_only_with_tests_that_ran() {
        let of = |passed, failed| Tally { passed, failed, skipped: 3 };
        assert!(!of(2, 0).hides_failure(true));
        assert!(of(2, 0).hides_failure(false));
        assert!(of(0, 0).hides_failure(true));
        assert!(!of(1, 1).hides_failure(false), "told by its failed test already");
    }

    #[test]
    fn a_test_that_ran_later_is_no_longer_skipped() {
        let mut sum = Tally { passed: 10, failed: 0, skipped: 4 };
        sum.add_skipped_before(Tally { passed: 2, failed: 1, skipped: 0 });
        assert_eq!(sum.to_string(), "12 passed, 1 failed, 1 skipped");
    }
}
