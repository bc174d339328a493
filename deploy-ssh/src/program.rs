//! The scripts that run on targets, as functions that every shell there gets at its start.
//!
//! Each is a file of its own in POSIX sh, beside the code that uses it. They are put together here,
//! since to send, read and start each by itself would cost a host more than what most of them do.
//! A step runs one in a copy of the shell: what it sets, it sets for itself.

/// Files of a script as one function, after the words `$before`.
macro_rules! function {
    ($name:literal, $before:literal, $($file:literal),+) => {
        concat!($name, "() {\n", $before, "\n", $(include_str!($file)),+, "\n}\n")
    };
    (of an app $name:literal, $($file:literal),+) => {
        function!($name, "of_app \"$1\"\nshift", $($file),+)
    };
    (of a unit $name:literal, $file:literal) => {
        function!($name, "of_unit \"$@\"", $file)
    };
    (acts on a unit $name:literal, $file:literal) => {
        function!($name, "of_unit \"$@\"\nacts_on_unit", $file)
    };
}

/// All of them.
pub(crate) const SCRIPTS: &str = concat!(
    function!("of_app", "", "transport/scripts/prelude.sh"),
    function!(of an app "probe", "transport/scripts/probe.sh"),
    function!(of an app "fetch", "transport/scripts/release.sh", "transport/scripts/fetch.sh"),
    function!(of an app "promote", "transport/scripts/promote.sh"),
    function!(of an app "finalize", "transport/scripts/finalize.sh"),
    function!(of an app "unlock", "transport/scripts/unlock.sh"),
    function!("of_unit", "", "restart/unit.sh"),
    function!("acts_on_unit", "", "restart/act.sh"),
    function!(of a unit "unit_running", "restart/running.sh"),
    function!(acts on a unit "unit_restart", "restart/restart.sh"),
    function!(acts on a unit "unit_stop", "restart/stop.sh"),
    function!(of a unit "unit_evidence", "restart/evidence.sh"),
    function!(of a unit "unit_stays_up", "check/service.sh"),
    function!("run_command", "", "check/run.sh"),
    function!("run_script", "", "check/script.sh"),
);
